"""Reconciliation: what the venue says of orders, executions and balances, against what we believe. Pure.

Deterministic and idempotent: ids of what we did not send are made from the venue's own ids, and the same reports
twice give no new entry. What nobody can explain goes to the sub-ledger ``foreign``; a balance that ledgers do not
explain is a break and halts trading. A break is confirmed by a second look with no fill in between, since lists of
a venue are not taken at one instant. It ends when the difference does, or when a person engages and releases the
system's KillSwitch: the difference is then booked as an adjustment (a deposit, a withdrawal), and kept on record.
While one is suspected, executions that were taken in long ago are compared once more (`restated`).
"""

from typing import Final

import msgspec

from ringfence.execution import ids, restated
from ringfence.execution.agenda import OURS, Look
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Output, Query
from ringfence.execution.state import FOREIGN
from ringfence.model.money import text
from ringfence.model.orders import Accepted, Filled, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.guard import Guard
from ringfence.venues.api import OrderReport, TradeReport, VenueBalance
from ringfence.wire.stops import Severity

BREAK: Final = "reconciliation"
WRITER: Final = "another writer"
NOTE_BASELINE: Final = "baseline"
NOTE_CURSORS: Final = "cursors"
NOTE_ADJUSTMENT: Final = "adjustment"


class Baseline(msgspec.Struct, frozen=True):
    """What the account held, and which executions it had, when this gate saw it first."""

    balances: dict[str, int]
    cursors: dict[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """Outcome of comparing balances."""

    sound: bool
    """No break and nothing left open: trading may start."""
    again: Look = Look.NOTHING
    """What to look at again soon: something moved meanwhile, or a break is to be confirmed."""


class Reconciler:
    """What it remembers goes to the journal as notes; ``restore`` takes them back."""

    def __init__(self, manager: Manager, guard: Guard) -> None:
        self.cursors: dict[str, str] = {}
        """Last execution taken in, by symbol."""
        self.breaks: dict[str, int] = {}
        """Venue's balance minus what the ledgers explain, by asset; confirmed ones only."""
        self.runs = 0
        self.foreign: dict[str, int] = {}
        """Open orders that are not ours, by symbol."""
        self.deferred = 0
        self.baseline: Baseline | None = None
        self._adjusted: dict[str, int] = {}
        self._manager = manager
        self._guard = guard
        self._suspect: tuple[dict[str, int], int] | None = None
        self._closed_here: set[str] = set()
        """Orders that the last look listed as open after we had closed them: once, a list may just be old."""
        self._young: list[str] = []
        """Executions that the venue seems to have restated, and that are too young for that to be believed."""

    @property
    def doubtful(self) -> bool:
        """Whether the last balances were not explained: then the history is to be read again."""
        return self._suspect is not None

    @property
    def foreign_orders(self) -> int:
        return sum(self.foreign.values())

    # --- notes

    def restore(self, kind: str, body: str) -> None:
        if kind == NOTE_BASELINE:
            self.baseline = msgspec.json.decode(body, type=Baseline)
            self.cursors = dict(self.baseline.cursors)
        elif kind == NOTE_CURSORS:
            self.cursors |= msgspec.json.decode(body, type=dict[str, str])
        elif kind == NOTE_ADJUSTMENT:
            self._book(msgspec.json.decode(body, type=dict[str, int]))

    def first_look(self, balances: dict[str, VenueBalance], trades: dict[str, tuple[TradeReport, ...]]) -> Baseline:
        """The first start on this account: what was there before is the owner's, not ours."""
        cursors = {symbol: found[-1].trade_id for symbol, found in trades.items() if found}
        self.baseline = Baseline({asset: b.free + b.locked for asset, b in balances.items()}, cursors)
        self.cursors = dict(cursors)
        return self.baseline

    # --- orders

    def open_orders(
        self,
        reports: tuple[OrderReport, ...],
        asked: int,
        wall: int,
        mono: int,
        symbols: tuple[str, ...] | None = None,
    ) -> list[Output]:
        """All open orders of the account, or of some instruments. What of ours is not there is asked for by its id."""
        manager = self._manager
        outputs: list[Output] = []
        missing = {
            key
            for key, live in manager.live.items()
            if live.order.track != FOREIGN and (symbols is None or live.order.symbol in symbols)
        }
        leaves: dict[tuple[str, Side], int] = {}
        elsewhere = {} if symbols is None else {s: n for s, n in self.foreign.items() if s not in symbols}
        self.foreign = elsewhere
        open_there = {name for name in self._closed_here if symbols is not None and self._symbol(name) not in symbols}
        for report in reports:
            known = manager.orders.get(report.client_order_id)
            if known is not None and known.closed:
                open_there.add(report.client_order_id)
                if report.client_order_id in self._closed_here:
                    key = (report.symbol, report.side)
                    leaves[key] = leaves.get(key, 0) + report.quantity - report.filled
                    outputs += manager.open_though_closed(known, wall)
                continue
            if known is not None:
                missing.discard(report.client_order_id)
                outputs += manager.queried(report.client_order_id, report, asked, wall, mono)
                continue
            parts = ids.parse(report.client_order_id)
            if parts is not None and parts.prefix == manager.prefix:
                outputs += self._take_back(report, parts, wall)
            else:
                self.foreign[report.symbol] = self.foreign.get(report.symbol, 0) + 1
                key = (report.symbol, report.side)
                leaves[key] = leaves.get(key, 0) + report.quantity - report.filled
        self._closed_here = open_there
        self._foreign_leaves(leaves, symbols)
        outputs += [Query(manager.live[key].order.symbol, key) for key in sorted(missing)]
        return outputs

    def _symbol(self, client_order_id: str) -> str:
        order = self._manager.orders.get(client_order_id)
        return "" if order is None else order.symbol

    def _take_back(self, report: OrderReport, parts: ids.Parts, wall: int) -> list[Output]:
        """An order of ours that the journal does not know: the last milliseconds before a power cut."""
        manager = self._manager
        if parts.fence > manager.fence:
            self._guard.hold(
                WRITER,
                Severity.HALT,
                f"the venue has an order of fence {parts.fence}, and this process has only {manager.fence}: "
                "another process trades this account",
                wall,
            )
        manager.sequence = max(manager.sequence, parts.sequence)
        tracks = manager.gate.tracks.values()
        owners = (t for t in tracks if parts.revision in (t.mark, ids.closing_mark(t.mark)) and t.name != FOREIGN)
        track = next((t.name for t in owners), FOREIGN)
        initialized = _initialized(report.client_order_id, f"taken-back-{report.client_order_id}", track, report, wall)
        return [
            manager.adopt(initialized),
            *manager.fold(Submitted(client_order_id=report.client_order_id, ts=wall)),
            *manager.fold(
                Accepted(client_order_id=report.client_order_id, ts=wall, venue_order_id=report.venue_order_id)
            ),
        ]

    def _foreign_leaves(self, leaves: dict[tuple[str, Side], int], symbols: tuple[str, ...] | None) -> None:
        """Foreign open orders count at worst case; they are read anew each time and not journaled."""
        gate = self._manager.gate
        foreign = gate.tracks[FOREIGN]
        for market in gate.markets.values():
            if symbols is not None and market.symbol not in symbols:
                continue
            slot = foreign.slot(market)
            slot.buys = leaves.get((market.symbol, Side.BUY), 0)
            slot.sells = leaves.get((market.symbol, Side.SELL), 0)
            slot.settle()

    # --- executions

    def trades(self, symbol: str, reports: tuple[TradeReport, ...], wall: int) -> list[Output]:
        """Executions after the cursor, oldest first."""
        manager = self._manager
        outputs: list[Output] = []
        for report in reports:
            if report.trade_id not in manager.trades.get(symbol, ()):
                client_order_id = manager.venue_ids.get((symbol, report.venue_order_id), "")
                if not client_order_id and self._unanswered(symbol):
                    # it may be of an order whose venue id we do not know yet: settle that one first
                    self.deferred += 1
                    break
                if not client_order_id:
                    client_order_id, entries = self._foreign(symbol, report, wall)
                    outputs += entries
                outputs += manager.fold(_filled(client_order_id, report, wall))
            self.cursors[symbol] = report.trade_id
        return outputs

    def _unanswered(self, symbol: str) -> bool:
        return any(not v.order.venue_order_id for v in self._manager.live.values() if v.order.symbol == symbol)

    def _foreign(self, symbol: str, report: TradeReport, wall: int) -> tuple[str, list[Output]]:
        """An order made up around one foreign execution, so that it is booked like any other."""
        made = f"ext-{symbol}-{report.venue_order_id}-{report.trade_id}"
        initialized = _initialized(made, made, FOREIGN, report, wall)
        entries: list[Output] = [
            self._manager.adopt(initialized),
            *self._manager.fold(Submitted(client_order_id=made, ts=wall)),
        ]
        return made, entries

    def history_after(self, symbol: str) -> str | None:
        """From which execution on the venue is to list them once more; None = from its first."""
        after = restated.known(self._manager, symbol)[1]
        return after or (self.baseline.cursors.get(symbol) if self.baseline is not None else None)

    def restatements(
        self,
        history: dict[str, tuple[TradeReport, ...]],
        found: dict[str, VenueBalance],
        activity_before: int,
        wall: int,
    ) -> list[Output]:
        """Busts and corrections of executions long taken in, where history and balances prove them together.

        ``history``: executions of each symbol as `history_after` says; ``activity_before``: from before it was read.
        """
        manager, self._young = self._manager, []
        if manager.activity != activity_before:
            return []
        events = [
            event
            for symbol, reports in history.items()
            for event in restated.compared(restated.known(manager, symbol)[0], reports, wall)
        ]
        if not events or restated.gained(manager, events) != self.differences(found):
            return []
        self._young = restated.young(manager, events, wall)
        return [] if self._young else [output for event in events for output in manager.fold(event)]

    # --- balances

    def balances(self, found: dict[str, VenueBalance], activity_before: int, cycle: int, wall: int) -> Verdict:
        """Compare; ``activity_before``: the manager's when the run began, ``cycle``: the guard's."""
        self.runs += 1
        manager = self._manager
        # an order whose outcome is unknown may have moved the balances, and so may a fill that came meanwhile
        unknown = [key for key, live in manager.live.items() if live.order.unknown]
        if unknown or manager.activity != activity_before:
            self._guard.missed("reconciled", _waiting(unknown), wall) if unknown else None
            return Verdict(sound=False, again=Look.BALANCES)
        differences = self.differences(found)
        if not differences:
            self._suspect, self.breaks = None, {}
            self._guard.drop(BREAK, wall)
            self._guard.reconciled(cycle, wall)
            return Verdict(sound=True)
        if self._suspect != (differences, manager.activity):
            self._suspect = (differences, manager.activity)
            return Verdict(sound=False, again=OURS)
        told = ", ".join(f"{text(amount)} {asset}" for asset, amount in sorted(differences.items()))
        if self._young:
            self.breaks = {}  # nothing that a person should accept
            executions = ", ".join(self._young[:10])
            sentence = f"the account holds {told}, as if executions {executions} were restated; they are too young"
            self._guard.hold(BREAK, Severity.HALT, f"{sentence} to be sure, so it is looked at again", wall)
            return Verdict(sound=False, again=Look.BALANCES)
        self.breaks = differences
        sentence = f"the account holds {told} that no order explains; engage and release the KillSwitch to accept it"
        self._guard.hold(BREAK, Severity.HALT, sentence, wall)
        return Verdict(sound=False)

    def differences(self, found: dict[str, VenueBalance]) -> dict[str, int]:
        """Balance minus baseline, adjustments and ledgers, by asset that we trade or pay fees in."""
        if self.baseline is None:
            return {}
        books = self._manager.books.values()
        assets = {asset for book in books for asset in book.cash}
        for market in self._manager.gate.markets.values():
            if market.instrument is not None:
                assets |= {market.instrument.base, market.instrument.quote}
        result = {}
        for asset in assets:
            held = found.get(asset)
            total = 0 if held is None else held.free + held.locked
            explained = self.baseline.balances.get(asset, 0) + self._adjusted.get(asset, 0)
            explained += sum(book.cash.get(asset, 0) for book in books)
            if total != explained:
                result[asset] = total - explained
        return result

    def expected(self, opening: dict[str, int]) -> dict[str, int]:
        """What the account should hold: the baseline (or the opening balances before there is one) and all since."""
        held = dict(self.baseline.balances if self.baseline is not None else opening)
        for changes in (self._adjusted, *(book.cash for book in self._manager.books.values())):
            for asset, amount in changes.items():
                held[asset] = held.get(asset, 0) + amount
        return held

    def owners(self, asset: str) -> int:
        """What of an asset is not ours to close: what was there before us, adjustments, and foreign trades since."""
        baseline = self.baseline.balances.get(asset, 0) if self.baseline is not None else 0
        foreign = self._manager.books.get(FOREIGN)
        since = foreign.cash.get(asset, 0) if foreign is not None else 0
        return baseline + self._adjusted.get(asset, 0) + since

    def accept(self, wall: int) -> dict[str, int]:
        """A person released the switch: book confirmed breaks as adjustments. Returns what to note."""
        accepted, self.breaks, self._suspect = self.breaks, {}, None
        self._book(accepted)
        self._guard.drop(BREAK, wall)
        return accepted

    def _book(self, amounts: dict[str, int]) -> None:
        for asset, amount in amounts.items():
            self._adjusted[asset] = self._adjusted.get(asset, 0) + amount


def entries(outputs: list[Output]) -> list[Entry]:
    return [output for output in outputs if isinstance(output, Entry)]


def _waiting(unknown: list[str]) -> str:
    return f"the outcome of {unknown[0]} is unknown" + (f" and of {len(unknown) - 1} more" if unknown[1:] else "")


def _initialized(
    client_order_id: str, intent_id: str, track: str, report: OrderReport | TradeReport, wall: int
) -> Initialized:
    order = report if isinstance(report, OrderReport) else None
    return Initialized(
        client_order_id=client_order_id,
        ts=wall,
        intent_id=intent_id,
        track=track,
        symbol=report.symbol,
        side=report.side,
        type=order.type if order else OrderType.LIMIT,
        time_in_force=order.time_in_force if order else TimeInForce.GTC,
        quantity=report.quantity,
        price=report.price,
    )


def _filled(client_order_id: str, report: TradeReport, wall: int) -> Filled:
    return Filled(
        client_order_id=client_order_id,
        ts=wall,
        trade_id=report.trade_id,
        price=report.price,
        quantity=report.quantity,
        commission=report.commission,
        commission_asset=report.commission_asset,
        maker=report.maker,
        ts_venue=report.ts_venue,
    )
