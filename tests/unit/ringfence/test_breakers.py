"""Breakers: soft ones confirm, hard ones do not wait, all of them stay open until a person has looked."""

from ringfence.execution.breakers import (
    RULES,
    SECOND_NS,
    Breakers,
    Open,
    Ratio,
    Reading,
    Since,
    duration_reading,
    ratio_reading,
)
from ringfence.model.money import SCALE

WALL = 1_700_000_000_000_000_000
FIVE_PERCENT = SCALE // 20


def loss(holds: bool, evidence: str = "loss=281 limit=280") -> list[Reading]:
    return [Reading("loss-day", holds, evidence)]


def test_a_soft_breaker_confirms_three_of_five() -> None:
    """One bad tick stops nobody; a breach that flickers does."""
    breakers = Breakers()
    for holds in (True, False, False, True, False, False, False, True, False, True):
        assert breakers.read(loss(holds), WALL) == []
    assert [one.name for one in breakers.read(loss(True), WALL)] == ["loss-day"]


def test_a_hard_breaker_trips_at_once() -> None:
    breakers = Breakers()
    (tripped,) = breakers.read([Reading("position", True, "value=120 limit=100")], WALL)
    assert (tripped.severity, tripped.evidence, tripped.at) == ("Cancel", "value=120 limit=100", WALL)


def test_an_open_breaker_stays_open_and_keeps_the_evidence_that_tripped_it() -> None:
    breakers = Breakers()
    for _ in range(3):
        breakers.read(loss(True), WALL)
    for _ in range(100):
        assert breakers.read(loss(False), WALL + 10**18) == []
    assert breakers.read(loss(True, "loss=999 limit=280"), WALL) == []
    assert breakers.open["loss-day"].reason == "breaker loss-day tripped: loss=281 limit=280"


def test_an_acknowledged_breaker_whose_condition_holds_trips_again() -> None:
    breakers = Breakers()
    for _ in range(3):
        breakers.read(loss(True), WALL)
    assert [one.key for one in breakers.acknowledge(["loss-day", "drawdown"])] == ["loss-day"]
    assert [len(breakers.read(loss(True), WALL)) for _ in range(4)] == [0, 0, 1, 0]
    assert breakers.trips == {"loss-day": 2}


def test_a_breaker_of_one_track_refuses_that_track_alone() -> None:
    breakers = Breakers()
    breakers.read([Reading("consecutive-losses", True, "losses=8 limit=8", "candidate")], WALL)
    assert breakers.refusals("candidate", "") == ("LOSSES_CONSECUTIVE track=candidate losses=8 limit=8",)
    assert breakers.refusals("stable", "") == ()
    breakers.read([Reading("consecutive-losses", True, "losses=9 limit=8", "stable")], WALL)
    assert set(breakers.open) == {"consecutive-losses/candidate", "consecutive-losses/stable"}


def test_open_breakers_survive_a_restart() -> None:
    found = Open(name="drawdown", track="", severity="Halt", evidence="drawdown_percent=10.2", at=WALL)
    breakers = Breakers()
    breakers.restore([found])
    assert breakers.open == {"drawdown": found}
    assert breakers.read([Reading("drawdown", False)], WALL) == []
    assert breakers.open == {"drawdown": found}


def test_every_breaker_has_a_severity_and_can_trip() -> None:
    for name, rule in RULES.items():
        breakers = Breakers()
        rounds = [breakers.read([Reading(name, True, "x=1")], WALL) for _ in range(rule.of)]
        assert [len(found) for found in rounds].index(1) == rule.confirm - 1
        assert breakers.open[name].severity == rule.severity.word


def test_a_ratio_needs_enough_to_prove_anything() -> None:
    assert not ratio_reading("rejects", (49, 49), FIVE_PERCENT, 50).holds
    found = ratio_reading("rejects", (60, 4), FIVE_PERCENT, 50, "stable")
    assert (found.holds, found.evidence) == (True, "percent=6.66666666 of=60 limit_percent=5")
    assert not ratio_reading("rejects", (60, 3), FIVE_PERCENT, 50).holds, "5 % exactly is not above it"
    assert not ratio_reading("rejects", (60, 60), 0, 50).holds, "without a limit it is not watched"


def test_a_ratio_forgets_what_is_older_than_its_window_in_bounded_memory() -> None:
    ratio = Ratio()
    total = bad = 0
    for tick in range(5 * 600):
        total, bad = ratio.read(tick, min(tick, 1000), 60, tick * SECOND_NS // 5)
    assert 300 <= total <= 305, "a window of 60 s, and at most one sample more"
    assert bad == 0
    assert len(ratio._samples) <= 62


def test_a_duration_begins_anew_after_each_break() -> None:
    since = Since()
    assert [since.read(holds, n * SECOND_NS) for n, holds in enumerate([True, True, False, True, True])] == [
        0,
        SECOND_NS,
        0,
        0,
        SECOND_NS,
    ]
    assert duration_reading("connectivity", 30 * SECOND_NS, 30 * SECOND_NS).holds
    assert not duration_reading("connectivity", 30 * SECOND_NS - 1, 30 * SECOND_NS).holds
    assert not duration_reading("connectivity", 30 * SECOND_NS, 0).holds
