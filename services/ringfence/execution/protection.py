"""What the gate watches itself for: readings for the breakers, and what an open one does. Pure but for its outputs.

`readings` looks; `Protection` feeds the breakers, latches the guard, and turns a person's release of the system's
KillSwitch into an acknowledgement. The host carries the notes to the journal.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ringfence.execution.breakers import (
    LATCH,
    RULES,
    Breakers,
    Open,
    Ratio,
    Reading,
    Since,
    duration_reading,
    ratio_reading,
)
from ringfence.execution.gate import Gate
from ringfence.execution.manager import Manager
from ringfence.execution.state import FOREIGN, Track
from ringfence.execution.thresholds import SECOND_NS
from ringfence.execution.trips import Trips
from ringfence.execution.valuation import percent
from ringfence.model.money import SCALE, text
from ringfence.venues import api
from ringfence.wire.kill import Severity

NOTE_BREAKERS: Final = "breakers"
"""All open breakers, whenever that changes."""
NOTE_BEGAN: Final = "revision began"
"""Track and revision: what is counted from fills is that revision's from here on."""
NOTE_ACKNOWLEDGED: Final = "acknowledged"
"""A person let go: who, and of which breakers."""
FROM_FILLS: Final = {"consecutive-losses": Trips.forget_losses, "repeated-executions": Trips.forget_executions}
"""Breakers whose counts start anew once acknowledged, and how."""


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    breakers: tuple[str, ...]


class Traffic:
    """What the host sees of the venue. Counters only grow."""

    __slots__ = ("orders", "rejected", "unanswered")

    def __init__(self) -> None:
        self.orders = 0
        self.rejected = 0
        self.unanswered = 0
        """Requests in a row that ended without an answer: time-outs, 5xx, disconnects."""

    def request(self, *, failed: bool) -> None:
        self.unanswered = self.unanswered + 1 if failed else 0

    def changed(self, outcome: api.CancelOutcome) -> None:
        """How a cancel or a reduction ended. A refused one is no rejected order: most come too late for a fill."""
        if not isinstance(outcome, api.NotSent):
            self.request(failed=isinstance(outcome, api.Unknown))

    def sent(self, outcome: api.SubmitOutcome) -> None:
        """How the sending of an order ended: on its own, as the leg of a pair, or in the place of another."""
        self.changed(outcome)
        if not isinstance(outcome, api.NotSent):
            self.orders += 1
            self.rejected += isinstance(outcome, api.Refused)


class Protection:
    """One gate's breakers at work."""

    def __init__(self, gate: Gate, manager: Manager, note: Callable[[str, object], None]) -> None:
        self.breakers = Breakers()
        self.traffic = Traffic()
        self.acknowledged: Acknowledged | None = None
        """The last one."""
        self._gate = gate
        self._guard = gate.guard
        self._manager = manager
        self._note = note
        self._checks: dict[tuple[str, str], Ratio] = {}
        """By track and its present revision."""
        self._rejects = Ratio()
        self._disconnected = Since()
        self._blind = Since()
        self.stream_up: bool | None = None
        """The venue's private stream; None = it has not been up yet, which start-up says by itself."""
        self._held: dict[tuple[str, str], int] | None = None

    def restored(self, found: tuple[Open, ...], wall: int) -> None:
        """Breakers of an earlier process. A latch that a crash kept from the disk is set again."""
        self.breakers.restore(found)
        for one in found:
            if not one.track and LATCH + one.key not in self._guard.latches:
                self._latch(one, wall)
        self._refuse()

    def round(self, wall: int, mono: int) -> list[Open]:
        """Look at everything once; returns what has tripped."""
        tripped = self.breakers.read(self._readings(mono), wall)
        if tripped:
            self._note(NOTE_BREAKERS, tuple(self.breakers.open.values()))
            for one in tripped:
                if not one.track:
                    self._latch(one, wall)
        self._refuse()
        return tripped

    def guard_changed(self, *, released: bool, wall: int) -> None:
        """After each change of the guard: a breaker whose latch a person let go is acknowledged.

        ``released``: the system's own switch was engaged and has been released just now.
        """
        keys = [
            one.key
            for one in self.breakers.open.values()
            if (released if one.track else LATCH + one.key not in self._guard.latches)
        ]
        if not keys:
            return
        closed = self.breakers.acknowledge(keys)
        self.acknowledged = Acknowledged(by=self._guard.released_by, breakers=tuple(one.key for one in closed))
        self._note(NOTE_ACKNOWLEDGED, self.acknowledged)
        self._note(NOTE_BREAKERS, tuple(self.breakers.open.values()))
        self.forget(self._manager, self.acknowledged)
        for one in closed:
            if one.name == "checks":
                self._checks.pop((one.track, one.revision), None)
            elif one.name == "rejects":
                self._rejects.restart()
        self._refuse()

    @staticmethod
    def forget(manager: Manager, acknowledged: Acknowledged) -> None:
        """What an acknowledgement does to counts that are folded from fills; also in a replay. The count of a track
        whose breaker was not open goes on: nobody has looked at it."""
        for key in acknowledged.breakers:
            name, _, whose = key.partition("/")
            if name in FROM_FILLS:
                for track in manager.trips.tracks_of(whose):
                    FROM_FILLS[name](manager.trips, track)

    def allocated(self) -> None:
        """After each allocation, before anything is sent under it: what is open follows its revision, and what was
        counted of one is not held against the next on its track."""
        trips = self._manager.trips
        known = set(trips.revisions.values())  # those change the track, before others begin on what they leave
        tracks = sorted((one for one in self._own() if one.revision), key=lambda one: one.revision not in known)
        began = [one for one in tracks if trips.begins(one.name, one.revision)]
        for track in began:
            self._note(NOTE_BEGAN, (track.name, track.revision))
        if began:
            current = {(one.name, one.revision) for one in self._own()}
            self._checks = {key: ratio for key, ratio in self._checks.items() if key in current}
            self.breakers.forget({revision for _, revision in current})
        self._refuse()

    def _latch(self, one: Open, wall: int) -> None:
        self._guard.latch(LATCH + one.key, Severity.parse(one.severity, Severity.CANCEL), one.reason, wall)

    def holding(self, one: Open) -> list[str]:
        """What an open breaker stops now: tracks, or the account; nothing, while its revision does not trade here."""
        if not one.track:
            return ["account"]
        return [track.name for track in self._own() if one.holds(track.name, track.revision)]

    def _refuse(self) -> None:
        for track in self._gate.tracks.values():
            refusals = self.breakers.refusals(track.name, track.revision)
            if refusals:
                track.refuse(refusals)

    # --- looking

    def _readings(self, mono: int) -> Iterator[Reading]:
        yield from self._losses()
        yield from self._positions()
        yield from self._failures(mono)
        for track in self._own():
            yield from self._counts(track)

    def _own(self) -> list[Track]:
        return [track for track in self._gate.tracks.values() if track.name != FOREIGN]

    def _losses(self) -> Iterator[Reading]:
        account = self._gate.account
        limit, most_share = account.caps.loss, account.loss_caps.day_share
        share = self._manager.ledger.owner("").loss_share("day")
        known, by_share = not self._gate.loss_unknown, 0 < most_share <= share
        evidence = f"loss={text(account.loss)} limit={text(limit)}"
        if by_share:
            evidence = f"percent={percent(share)} limit_percent={percent(most_share)}"
        yield Reading("loss-day", known and (by_share or 0 < limit <= account.loss), evidence)
        for track in (account, *self._own()):
            name, revision = ("", "") if track is account else (track.name, track.revision)
            halt = track.loss_caps.drawdown_halt
            owner = self._manager.ledger.owner(name)
            evidence = (
                f"percent={percent(owner.drawdown)} limit_percent={percent(halt)} "
                f"equity={text(owner.equity)} high_water_mark={text(owner.peak)}"
            )
            yield Reading("drawdown", known and 0 < halt <= owner.drawdown, evidence, name, revision)

    def _positions(self) -> Iterator[Reading]:
        """Fills that carried the account beyond its limit. What a price or a tighter limit did is no breach."""
        held = {
            (track.name, symbol): slot.position
            for track in self._own()
            for symbol, slot in track.slots.items()
            if slot.position
        }
        before, self._held = self._held, held
        if before is None:
            return
        limit, margin = self._gate.account.caps.position, self._gate.account.breaker_caps.breach
        for (name, symbol), quantity in held.items():
            if abs(quantity) <= abs(before.get((name, symbol), 0)):
                continue
            worth = sum(self._worth(*key, amount) for key, amount in held.items() if key[1] == symbol)
            beyond = limit * (SCALE + margin) // SCALE
            if margin and worth > beyond:
                told = f"symbol={symbol} value={text(worth)} limit={text(beyond)} by={name} held={text(quantity)}"
                yield Reading("position", holds=True, evidence=told)

    def _worth(self, name: str, symbol: str, quantity: int) -> int:
        """At what was paid or at the market, whichever is less: a breach must not be a matter of price."""
        market = self._gate.markets[symbol]
        book = self._manager.books.get(name)
        average = book.positions[symbol].average if book and symbol in book.positions else 0
        known = [price for price in (average, market.ask) if price > 0]
        return abs(quantity) * min(known) // SCALE if known else 0

    def _failures(self, mono: int) -> Iterator[Reading]:
        caps, traffic = self._gate.account.breaker_caps, self.traffic
        of = self._rejects.read(traffic.orders, traffic.rejected, caps.window_s, mono)
        yield ratio_reading("rejects", of, caps.rejects, caps.rejects_least)
        down = self.stream_up is False or traffic.unanswered > 0
        what = f" stream={'up' if self.stream_up else 'down'} unanswered={traffic.unanswered}"
        yield duration_reading("connectivity", self._disconnected.read(down, mono), caps.disconnected_ns, what)
        blind = [
            market.symbol
            for market in self._gate.markets.values()
            if mono > market.usable_until and (market.worst or market.resting_buys or market.resting_sells)
        ]
        lasted = self._blind.read(bool(blind), mono)
        yield duration_reading("market-data", lasted, caps.disconnected_ns, f" symbols={','.join(blind)}")
        for track in self._own():
            limits = track.breaker_caps
            ratio = self._checks.setdefault((track.name, track.revision), Ratio())
            of = ratio.read(track.checked, track.failed, limits.window_s, mono)
            yield ratio_reading("checks", of, limits.checks, limits.checks_least, track.name, track.revision)

    def _counts(self, track: Track) -> Iterator[Reading]:
        caps, trips = track.loss_caps, self._manager.trips
        streak = trips.streak(track.name)
        evidence = f"losses={streak} limit={caps.streak}"
        yield Reading("consecutive-losses", 0 < caps.streak <= streak, evidence, track.name, track.revision)
        repeated = trips.repeated(track.name, caps.repeated, caps.repeated_ns)
        evidence = (
            f"executions={caps.repeated} limit={caps.repeated} seconds={caps.repeated_ns // SECOND_NS} on={repeated!r}"
        )
        yield Reading("repeated-executions", bool(repeated), evidence, track.name, track.revision)


def document(protection: Protection) -> dict[str, Any]:
    """For people: which are open, since when and why, and who closed the last ones."""
    breakers = protection.breakers
    last = protection.acknowledged
    return {
        "open": {
            key: {
                "severity": one.severity,
                "evidence": one.evidence,
                "at": one.at,
                "track": one.track,
                "revision": one.revision,
                "holds": protection.holding(one),
            }
            for key, one in sorted(breakers.open.items())
        },
        "trips": {name: breakers.trips.get(name, 0) for name in RULES},
        "acknowledged": {"by": last.by, "breakers": list(last.breakers)} if last else None,
    }
