"""Breakers at work: they latch the guard or refuse a track, survive restarts, and end by a person's release alone."""

from pathlib import Path
from typing import Any

import pytest

from ringfence.execution.breakers import GONE_KEPT
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.handover import Handovers
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.protection import Acknowledged, Protection, document
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.store import NOTE_LATCHES, Store
from ringfence.model.money import SCALE
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.model.positions import Book
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.runtime.journal import Journal
from ringfence.wire.kill import Severity
from ringfence.wire.messages import Intent

WALL = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
SYMBOL = "BTCUSDT"
LIMITS = Limits(
    order_value_max=money("50000"),
    order_collar_bps=money("50"),
    order_messages_per_second=1000,
    order_working_orders=50,
    order_approved_lifetime_ms=50,
    position_per_instrument=money("1000"),
    position_gross=money("1000"),
    loss_day=money("300"),
    loss_drawdown_halt_percent=money("10"),
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
    breakers_consecutive_losses=3,
    breakers_repeated_executions=5,
    breakers_check_failure_percent=money("5"),
    breakers_check_failure_min=50,
    breakers_reject_percent=money("5"),
    breakers_reject_min=50,
    breakers_disconnected_seconds=30,
    breakers_position_breach_percent=money("10"),
)


class Rig:
    """A gate whose notes go to a real journal; ``again`` is the next process."""

    def __init__(self, path: Path, **revisions: str) -> None:
        self.path = path
        self.guard = Guard("s", {}, [], WALL)
        self.gate = Gate(self.guard, (SYMBOL,))
        self.manager = Manager(self.gate, prefix("n", "s"), "USDT", 0)
        self.manager.capital = money("10000")
        self.journal = Journal(path, SystemClock())
        store = Store(self.journal)
        store.replay(self.manager, Reconciler(self.manager, self.guard), Handovers(self.manager), self.guard, WALL)
        self.generation = 0
        self.switch()
        self.guard.reconciled(1, WALL)
        self.protection = Protection(self.gate, self.manager, self.note)
        self.protection.restored(store.breakers, WALL)
        self.allocate(**revisions)
        self.mono = 0

    def allocate(self, **revisions: str) -> None:
        """The revision of each track, where it is not called like it."""
        tracks = tuple(
            Track(name=name, revision=revisions.get(name, name), stage="Live", weight=50, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)
        self.protection.allocated()

    def again(self, **revisions: str) -> "Rig":
        self.journal.close()
        return Rig(self.path, **revisions)

    def note(self, kind: str, body: object) -> None:
        self.journal.note(kind, WALL, body)

    def switch(self, **spec: Any) -> None:
        self.generation += 1
        released = self.guard.releases
        meta = {"name": "s", "uid": "u", "generation": self.generation}
        self.guard.switch_seen({"metadata": meta, "spec": spec}, WALL)
        if hasattr(self, "protection"):
            self.note(NOTE_LATCHES, tuple(self.guard.latches.values()))
            self.protection.guard_changed(released=self.guard.releases != released, wall=WALL)

    def release(self, by: str = "alice") -> None:
        self.switch(engaged=True)
        self.switch(engaged=False, releasedBy=by)

    def rounds(self, count: int = 5, seconds: float = 0.2) -> list[str]:
        found = []
        for _ in range(count):
            self.mono += int(seconds * SECOND)
            self.manager.evaluate(WALL)
            found += [one.key for one in self.protection.round(WALL, self.mono)]
        self.note(NOTE_LATCHES, tuple(self.guard.latches.values()))
        return found

    def lose(self, track: str, amount: str) -> None:
        self.manager.books[track] = Book(cash={"USDT": -money(amount)}, positions={}, fees={})


def test_a_days_loss_latches_reduce_only_and_outlives_restarts_and_the_loss(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    assert rig.rounds() == []
    rig.lose("stable", "300")
    assert rig.rounds() == ["loss-day"]
    assert rig.guard.severity is Severity.REDUCE_ONLY
    assert "breaker loss-day tripped: loss=300 limit=300" in rig.guard.reason
    rig = rig.again()
    assert rig.guard.latches["breaker/loss-day"].severity == "ReduceOnly"
    assert "loss-day" in document(rig.protection)["open"]
    assert rig.rounds() == []
    assert rig.guard.latches, "the loss is gone, and the latch is not"


def test_a_persons_release_names_who_and_which_and_is_journaled(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    rig.lose("stable", "300")
    rig.rounds()
    rig.lose("stable", "0")
    rig.switch(engaged=True)
    assert "loss-day" in rig.protection.breakers.open, "engaging lets nothing go"
    rig.switch(engaged=False, releasedBy="alice")
    assert rig.protection.acknowledged == Acknowledged(by="alice", breakers=("loss-day",))
    assert rig.guard.latches == {}
    assert rig.rounds() == []
    rig = rig.again()
    assert (rig.guard.latches, rig.protection.breakers.open) == ({}, {})


def test_a_released_breaker_whose_condition_still_holds_trips_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    rig.lose("stable", "1100")
    assert set(rig.rounds()) == {"loss-day", "drawdown", "drawdown/stable"}
    rig.release()
    assert rig.protection.breakers.open == {}
    assert set(rig.rounds()) == {"loss-day", "drawdown", "drawdown/stable"}
    assert rig.guard.severity is Severity.HALT


def test_a_crash_between_the_notes_leaves_the_stop_in_place(tmp_path: Path) -> None:
    """The breaker's note was written, the guard's was not."""
    rig = Rig(tmp_path / "j")
    rig.lose("stable", "300")
    rig.rounds()
    rig.note(NOTE_LATCHES, ())
    rig = rig.again()
    assert "breaker/loss-day" in rig.guard.latches


def test_one_tracks_losing_streak_stops_that_track_until_a_person_has_looked(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    rig.manager.trips.streaks["candidate"] = 3
    assert rig.rounds() == ["consecutive-losses/candidate"]
    assert rig.gate.tracks["candidate"].losses == ("LOSSES_CONSECUTIVE track=candidate losses=3 limit=3",)
    assert rig.gate.tracks["stable"].losses == ()
    assert rig.guard.severity is Severity.NONE
    rig.release("bob")
    assert rig.manager.trips.streak("candidate") == 0
    assert rig.rounds() == []
    assert rig.gate.tracks["candidate"].losses == ()


def test_a_candidates_breaker_holds_its_revision_on_every_track_and_no_other_revision(tmp_path: Path) -> None:
    """The next candidate has done nothing yet. The evidence stays, and the revision that tripped it never escapes."""
    rig = Rig(tmp_path / "j", candidate="first")
    rig.rounds(1)
    rig.manager.trips.streaks |= {"candidate": 3, "stable": 2}
    rig.gate.tracks["candidate"].checked, rig.gate.tracks["candidate"].failed = 100, 6
    assert set(rig.rounds()) == {"consecutive-losses/first", "checks/first"}
    for _ in range(2):
        rig.allocate(candidate="second")
        assert rig.rounds() == []
        assert rig.gate.tracks["candidate"].losses == ()
        assert (rig.manager.trips.streak("candidate"), rig.manager.trips.streak("stable")) == (0, 2)
        kept = document(rig.protection)["open"]["consecutive-losses/first"]
        assert (kept["evidence"], kept["track"], kept["holds"]) == ("losses=3 limit=3", "candidate", [])
        rig = rig.again(candidate="second")
        rig.manager.trips.streaks["stable"] = 2
    rig.allocate(stable="first")
    assert [told.split()[0] for told in rig.gate.tracks["stable"].losses] == ["LOSSES_CONSECUTIVE", "CHECK_FAILURES"]
    rig.release()
    rig.rounds(1)
    assert document(rig.protection)["open"] == {}
    assert rig.gate.tracks["stable"].losses == ()


@pytest.mark.parametrize("behind", ["first", "second"])
def test_a_revision_takes_what_it_has_lost_along_when_it_is_promoted(tmp_path: Path, behind: str) -> None:
    """Whether another candidate follows it at once or not: it is as near to its breaker as it was."""
    rig = Rig(tmp_path / "j", stable="old", candidate="first")
    trips = rig.manager.trips
    trips.streaks |= {"candidate": 2, "stable": 1}
    for number in range(4):
        trips.execution("candidate", SYMBOL, Side.BUY, f"c{number}", WALL + number)
        trips.execution("stable", SYMBOL, Side.SELL, f"s{number}", WALL + number)
    rig.allocate(stable="first", candidate=behind)
    assert (trips.streak("stable"), trips.streak("candidate")) == (2, 0)
    assert trips.repeated("stable", 4, SECOND) == f"{SYMBOL} BUY"
    assert trips.repeated("candidate", 1, SECOND) == ""
    trips.execution("stable", SYMBOL, Side.BUY, "c3", WALL + 4)
    assert trips.repeated("stable", 5, SECOND) == "", "a second fill of an order is no second execution"
    replayed = rig.again(stable="first", candidate=behind).manager.trips
    assert replayed.revisions == trips.revisions


def test_a_breaker_of_the_account_holds_the_next_candidate_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j", candidate="first")
    rig.lose("candidate", "300")
    assert rig.rounds() == ["loss-day"]
    rig.allocate(candidate="second")
    rig.rounds()
    assert rig.guard.severity is Severity.REDUCE_ONLY


def test_a_drawdown_that_goes_on_trips_for_the_next_revision_too(tmp_path: Path) -> None:
    """No revision resets what its track has lost."""
    rig = Rig(tmp_path / "j", candidate="first")
    rig.rounds(1)
    rig.lose("candidate", "600")
    assert "drawdown/first" in rig.rounds()
    rig.allocate(candidate="second")
    assert rig.rounds() == ["drawdown/second"]


def test_open_breakers_of_revisions_that_are_gone_are_bounded(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    for number in range(2 * GONE_KEPT):
        rig.allocate(candidate=f"r{number}")
        rig.rounds(1)
        rig.manager.trips.streaks["candidate"] = 3
        assert rig.rounds() == [f"consecutive-losses/r{number}"]
    assert len(rig.protection.breakers.open) <= GONE_KEPT + 1
    assert rig.gate.tracks["candidate"].losses, "the last one trades, and is held"


def test_a_storm_of_executions_disables_the_track_and_time_does_not_enable_it(tmp_path: Path) -> None:
    """RTS 6 Article 15(3): not the end of the window, not a restart, not midnight; a designated person."""
    rig = Rig(tmp_path / "j")
    for number in range(5):
        rig.manager.trips.execution("stable", SYMBOL, Side.BUY, f"c{number}", WALL + number)
    assert rig.rounds() == ["repeated-executions/stable"]
    rig.manager.trips.forget_executions("stable")
    rig = rig.again()
    rig.rounds(5, 86_400)
    assert rig.gate.tracks["stable"].losses[0].startswith("EXECUTIONS_REPEATED track=stable executions=5 limit=5")
    rig.release()
    rig.rounds()
    assert rig.gate.tracks["stable"].losses == ()


@pytest.mark.parametrize("revision", ["", "abc123"])
def test_an_acknowledgement_starts_only_the_counts_of_the_breakers_that_were_open(
    tmp_path: Path, revision: str
) -> None:
    """A release lets go of what has tripped. Whoever is one loss away from it has not been looked at."""
    named = {"stable": revision} if revision else {}
    rig = Rig(tmp_path / "j", **named)
    trips = rig.manager.trips
    trips.streaks |= {"stable": 3, "candidate": 2}
    for track in ("stable", "candidate"):
        for number in range(4):
            trips.execution(track, SYMBOL, Side.BUY, f"{track}{number}", WALL + number)
    assert rig.rounds() == [f"consecutive-losses/{revision or 'stable'}"]
    rig.release()
    assert trips.streaks == {"candidate": 2}
    assert trips.repeated("candidate", 4, SECOND) == trips.repeated("stable", 4, SECOND) == f"{SYMBOL} BUY"
    replayed = rig.again(**named).manager
    replayed.trips.streaks |= {"stable": 3, "candidate": 2}
    assert rig.protection.acknowledged is not None
    Protection.forget(replayed, rig.protection.acknowledged)
    assert replayed.trips.streaks == {"candidate": 2}, "and so after a restart"


def test_refused_intents_trip_the_breaker_of_their_own_track(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    rig.rounds(1)
    track = rig.gate.tracks["candidate"]
    track.checked, track.failed = 100, 6
    assert rig.rounds() == ["checks/candidate"]
    rig.release()
    assert rig.rounds() == [], "what a person has seen is not counted again"


def test_what_a_stop_of_one_instrument_refuses_trips_no_breaker(tmp_path: Path) -> None:
    """The strategy goes on asking for what a person stopped; the other instruments go on trading."""
    rig = Rig(tmp_path / "j")
    intent = Intent(
        "i", "stable", SYMBOL, Side.BUY, OrderType.LIMIT, TimeInForce.IOC, money("1"), money("1"), False, WALL
    )
    part: dict[str, Any] = {"metadata": {"name": "part", "uid": "p", "generation": 1}}
    rig.guard.switch_seen(
        part | {"spec": {"engaged": True, "systems": ["s"], "scope": {"instruments": [SYMBOL]}}}, WALL
    )
    track = rig.gate.tracks["stable"]
    rig.manager.intent(intent, "stable", WALL, rig.mono)
    assert (track.checked, track.failed) == (0, 0)
    part["metadata"]["generation"] = 2
    rig.guard.switch_seen(part | {"spec": {}}, WALL)
    rig.guard.reconciled(rig.guard.cycle, WALL)
    rig.manager.intent(intent, "stable", WALL, rig.mono)
    assert (track.checked, track.failed) == (1, 1)


def test_venue_rejects_and_silence_halt_the_account(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    rig.rounds(1)
    rig.protection.traffic.orders, rig.protection.traffic.rejected = 60, 60
    assert rig.rounds() == ["rejects"]
    assert rig.guard.severity is Severity.HALT
    rig.release()
    rig.protection.stream_up = False
    assert rig.rounds(1, 1) == []
    assert rig.rounds(5, 29 / 5) == []
    assert rig.rounds(4, 1) == ["connectivity"]
    assert "stream=down" in rig.guard.latches["breaker/connectivity"].reason


def test_lost_market_data_counts_only_while_something_is_at_stake(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    assert rig.rounds(5, 60) == []
    market = rig.gate.markets[SYMBOL]
    slot = rig.gate.tracks["stable"].slot(market)
    slot.position = 1
    slot.settle()
    assert rig.rounds(5, 10) == []
    assert rig.rounds(1, 10) == ["market-data"]
    assert f"symbols={SYMBOL}" in rig.guard.latches["breaker/market-data"].reason


def test_a_fill_beyond_the_position_limit_cancels_at_once_and_a_price_does_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    market = rig.gate.markets[SYMBOL]
    market.ask = 100 * SCALE
    slot = rig.gate.tracks["stable"].slot(market)
    slot.position = 10 * SCALE
    rig.rounds(1)
    market.ask = 200 * SCALE
    assert rig.rounds(1) == [], "twice the limit, by price alone"
    market.ask = 100 * SCALE
    slot.position = 11 * SCALE
    assert rig.rounds(1) == [], "ten percent are allowed for what prices did between approval and fill"
    slot.position = 12 * SCALE
    assert rig.rounds(1) == ["position"]
    assert rig.guard.severity is Severity.CANCEL
