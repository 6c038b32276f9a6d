"""What stops mean: the table, scopes, and that what cannot be read covers more, not less."""

import itertools
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence.runtime.guard import Guard
from ringfence.wire.kill import KillRequest, MirroredState, MirroredStop
from ringfence.wire.stops import (
    ALLOWED,
    EVERYTHING,
    Place,
    Scope,
    Severity,
    covers,
    keeps_protective,
    scope_at,
    scope_of,
    switch_scope,
)

NOW = 1_700_000_000_000_000_000
SYSTEM = "momentum"
HERE = Place(
    venue="sim", symbols=("BTCUSDT", "ETHUSDT"), venues=("other", "sim"), instruments=("BTCUSDT", "ETHUSDT", "XUSDT")
)
BTC = {"instruments": ["BTCUSDT"]}


def switch(name: str, generation: int = 1, uid: str = "", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or f"u-{name}", "generation": generation}, "spec": spec}


def part(generation: int = 1, scope: Any = None, **spec: Any) -> dict[str, Any]:
    return switch("momentum.part", generation, systems=[SYSTEM], scope=BTC if scope is None else scope, **spec)


def active() -> Guard:
    guard = Guard(SYSTEM, {"desk": "crypto"}, [], NOW, HERE)
    guard.switches_listed([switch(SYSTEM)], NOW)
    guard.reconciled(guard.cycle, NOW)
    assert guard.state == "Active"
    return guard


def test_each_severity_allows_no_more_than_the_one_before() -> None:
    """An ordered list; only the platform's own closing is something that the severest alone allows."""
    rows = [ALLOWED[severity] for severity in sorted(Severity)]
    for milder, harder in itertools.pairwise(rows):
        for field in ("opening", "reducing", "working", "protective"):
            assert getattr(milder, field) >= getattr(harder, field)
    assert [row.closing for row in rows] == [False, False, False, False, True]
    assert set(ALLOWED) == set(Severity)


@pytest.mark.parametrize(
    "broken",
    [
        "x",
        [],
        ["BTCUSDT"],
        {"symbols": ["BTCUSDT"]},
        {"instruments": "BTCUSDT"},
        {"instruments": [1]},
        {"tracks": ["canary"]},
    ],
)
def test_failing_closed_a_scope_that_cannot_be_read_is_everything(broken: Any) -> None:
    assert scope_of({"scope": broken}) == EVERYTHING
    guard = active()
    guard.switch_seen(part(scope=broken or {"x": 1}, engaged=True), NOW)
    assert guard.severity is Severity.CANCEL


@pytest.mark.parametrize("scope", [{"instruments": ["BTCUSD"]}, {"venues": ["smi"]}])
def test_failing_closed_a_part_that_the_named_system_does_not_have_is_everything(scope: Any) -> None:
    """A mistyped name in a stop of this system; in a stop of many it may be another system's."""
    guard = active()
    guard.switch_seen(part(scope=scope, engaged=True), NOW)
    assert guard.severity is Severity.CANCEL
    many = active()
    many.switch_seen(switch("all", everySystem=True, scope=scope, engaged=True), NOW)
    assert (many.state, many.partial) == ("Active", ())


def test_another_venues_stop_is_not_ours() -> None:
    assert scope_at(Scope(venues=("other",)), HERE, named=True) is None
    assert scope_at(Scope(instruments=("XUSDT",)), HERE, named=True) is None
    assert scope_at(Scope(venues=("other", "sim")), HERE, named=True) == EVERYTHING


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, False),
        ({"systems": ["momentum"]}, True),
        ({"systems": ["other"]}, False),
        ({"systems": "momentum"}, True),
        ({"systems": {"a": 1}}, True),
        ({"everySystem": True}, True),
        ({"everySystem": False}, False),
        ({"everySystem": None}, False),
        ({"everySystem": "no"}, True),
        ({"everySystem": 0}, True),
        ({"selector": {}}, False),
        ({"selector": {"matchLabels": {"desk": "crypto"}}}, True),
    ],
)
def test_whom_a_switch_covers(spec: dict[str, Any], expected: bool) -> None:
    """By name, by list, by label, or all of the namespace: anything but a plain no is a yes."""
    assert covers(switch("x", **spec), SYSTEM, {"desk": "crypto"}) is expected


def test_the_systems_own_switch_stops_all_of_it_whatever_its_scope_says() -> None:
    """One patch stops everything: nothing that was left in the object makes it less."""
    own = switch(SYSTEM, 2, scope=BTC, engaged=True)
    assert switch_scope(own, SYSTEM) == EVERYTHING
    guard = active()
    guard.switch_seen(own, NOW)
    assert guard.severity is Severity.CANCEL


def test_only_the_word_cancel_takes_protection_away() -> None:
    assert [keeps_protective({"protective": word}) for word in ("Keep", "Cancel", "cancel", None, 7)] == [
        True, False, True, True, True,
    ]  # fmt: skip


def test_a_part_is_stopped_and_the_rest_goes_on() -> None:
    guard = active()
    epoch = guard.epoch
    guard.switch_seen(part(engaged=True, reason="bad ticks"), NOW)
    assert (guard.state, guard.severity, guard.worst) == ("Active", Severity.NONE, Severity.CANCEL)
    assert guard.severity_of("stable", "BTCUSDT") is Severity.CANCEL
    assert guard.severity_of("stable", "ETHUSDT") is Severity.NONE
    assert guard.epoch == epoch + 1, "what was approved before is void"
    assert "bad ticks" in guard.reason


def test_the_most_severe_of_all_that_cover_holds() -> None:
    guard = active()
    guard.switch_seen(part(engaged=True), NOW)
    guard.switch_seen(
        switch("momentum.candidate", systems=[SYSTEM], scope={"tracks": ["candidate"]}, restrict="Halt"), NOW
    )
    guard.hold("breaker", Severity.REDUCE_ONLY, "loss", NOW)
    assert guard.severity_of("candidate", "BTCUSDT") is Severity.CANCEL
    assert guard.severity_of("candidate", "ETHUSDT") is Severity.HALT
    assert guard.severity_of("stable", "ETHUSDT") is Severity.REDUCE_ONLY
    assert guard.word(Severity.CANCEL, Scope(instruments=("BTCUSDT",))) == "Cancel"
    assert guard.word(Severity.REDUCE_ONLY, EVERYTHING) == "ReduceOnly"


def test_a_released_part_starts_up_again_before_it_trades() -> None:
    """Only a reconciliation that began after the release opens it; the rest was never closed."""
    guard = active()
    cycle = guard.cycle
    guard.switch_seen(part(engaged=True), NOW)
    guard.switch_seen(part(2), NOW)
    assert (guard.severity, guard.severity_of("stable", "BTCUSDT")) == (Severity.NONE, Severity.HALT)
    assert "starting up again" in guard.reason
    guard.reconciled(cycle, NOW)
    assert guard.severity_of("stable", "BTCUSDT") is Severity.HALT
    guard.reconciled(guard.cycle, NOW)
    assert (guard.worst, guard.reason) == (Severity.NONE, "")


def test_a_deleted_stop_of_a_part_is_latched_for_that_part() -> None:
    guard = active()
    guard.switch_seen(part(engaged=True), NOW)
    guard.switch_deleted(part(engaged=True), NOW)
    assert guard.severity_of("stable", "BTCUSDT") is Severity.CANCEL
    assert guard.severity is Severity.NONE
    restarted = Guard(SYSTEM, {}, [], NOW, HERE)
    restarted.restore(guard.latches.values(), NOW)
    assert restarted.severity_of("stable", "BTCUSDT") is Severity.CANCEL
    guard.switch_seen(switch(SYSTEM, 2, engaged=True), NOW)
    guard.switch_seen(switch(SYSTEM, 3), NOW)
    guard.reconciled(guard.cycle, NOW)
    assert guard.worst is Severity.NONE


def test_widening_a_stop_tightens_and_narrowing_opens_only_after_reconciliation() -> None:
    guard = active()
    guard.switch_seen(part(engaged=True), NOW)
    epoch = guard.epoch
    guard.switch_seen(part(2, scope={"tracks": ["stable"]}, engaged=True), NOW)
    assert guard.epoch == epoch + 1
    assert guard.severity_of("stable", "ETHUSDT") is Severity.CANCEL
    assert guard.severity_of("candidate", "BTCUSDT") is Severity.HALT
    guard.reconciled(guard.cycle, NOW)
    assert guard.severity_of("candidate", "BTCUSDT") is Severity.NONE


def direct(severity: str = "Cancel", **more: Any) -> KillRequest:
    return KillRequest(**({"severity": severity, "reason": "r", "by": "ann", "ts": NOW, "source": "direct"} | more))


def test_a_direct_kill_of_a_part_is_latched_beside_others() -> None:
    guard = active()
    guard.pushed(direct(scope=Scope(instruments=("BTCUSDT",)), protective="Cancel"), NOW)
    guard.pushed(direct("Halt", scope=Scope(tracks=("candidate",))), NOW)
    assert guard.severity_of("stable", "BTCUSDT") is Severity.CANCEL
    assert guard.severity_of("candidate", "ETHUSDT") is Severity.HALT
    assert not guard.leaves_protective("stable", "BTCUSDT")
    assert guard.leaves_protective("stable", "ETHUSDT")
    assert len(guard.latches) == 2


def test_a_push_of_a_part_ends_when_the_object_is_seen() -> None:
    guard = active()
    push = direct(source="operator", uid="u-momentum.part", generation=1, scope=Scope(instruments=("BTCUSDT",)))
    guard.pushed(push, NOW)
    assert (guard.severity, guard.severity_of("stable", "BTCUSDT")) == (Severity.NONE, Severity.CANCEL)
    guard.switch_seen(part(engaged=True), NOW)
    assert not [name for name in guard.sources if name.startswith("push/")]
    assert guard.severity_of("stable", "BTCUSDT") is Severity.CANCEL


def test_a_second_push_with_another_scope_covers_everything() -> None:
    """The object has changed meanwhile, and only the object can say to what; a push never loosens."""
    guard = active()
    push = direct(source="operator", uid="u", generation=1, scope=Scope(instruments=("BTCUSDT",)))
    guard.pushed(push, NOW)
    guard.pushed(msgspec.structs.replace(push, generation=2, scope=Scope(tracks=("stable",))), NOW)
    assert guard.severity is Severity.CANCEL


def test_the_mirrored_state_carries_parts() -> None:
    """The mounted file and the ConfigMap stop parts without any KillSwitch object in reach."""
    state = msgspec.json.encode(
        MirroredState(
            epoch=1,
            severity="None",
            scoped=(
                MirroredStop(severity="Cancel", scope=Scope(instruments=("BTCUSDT",))),
                MirroredStop(severity="Halt", scope=Scope(venues=("other",))),
                MirroredStop(severity="Nonsense", scope=Scope(tracks=("candidate",))),
            ),
        )
    ).decode()
    for guard in (active(), active()):
        guard.file_seen("", state, NOW)
        assert guard.severity_of("stable", "BTCUSDT") is Severity.CANCEL
        assert guard.severity_of("candidate", "ETHUSDT") is Severity.HALT
        assert guard.severity_of("stable", "ETHUSDT") is Severity.NONE
        guard.file_seen("", "", NOW)
        guard.reconciled(guard.cycle, NOW)
        assert guard.worst is Severity.NONE


DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_for_the_night_says_what_the_table_says() -> None:
    """One table in code: the docs' rows are held to it."""
    rows = {
        "`restrict: ReduceOnly`": Severity.REDUCE_ONLY,
        "`restrict: Halt`": Severity.HALT,
        "`engaged: true` (`action: Cancel`)": Severity.CANCEL,
        "`engaged: true`, `action: Flatten`": Severity.FLATTEN,
    }
    yes, stay = {True: "yes", False: "no"}, {True: "stay", False: "cancelled"}
    page = (DOCS / "stop.md").read_text()
    for name, severity in rows.items():
        row = ALLOWED[severity]
        told = [yes[row.opening], yes[row.reducing], yes[row.closing], "yes", stay[row.working], stay[row.protective]]
        assert "| " + " | ".join([name, *told]) + " |" in page


def test_failing_closed_every_row_has_its_test_and_every_test_its_row() -> None:
    tests = Path(__file__).resolve().parents[2]
    found = {
        name
        for file in (*tests.glob("contract/test_*.py"), *tests.glob("unit/ringfence/test_*.py"))
        for name in re.findall(r"def (test_failing_closed_\w+)", file.read_text())
    } - {"test_failing_closed_every_row_has_its_test_and_every_test_its_row"}
    told = set(re.findall(r"`(test_failing_closed_\w+)`", (DOCS / "failing-closed.md").read_text()))
    assert told == found
