"""Order events of gates folded into sub-ledgers, one per gate and track. Pure.

A paper gate's money is not real, so nothing is ever summed over gates.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.model.calendar import Calendar
from ringfence.model.instrument import Instrument
from ringfence.model.order_table import OrderTable
from ringfence.model.orders import Filled, Order, Side
from ringfence.model.positions import Book, Position
from ringfence.wire.messages import OrderUpdate

FILLS_KEPT: Final = 10_000
"""For ``GET /fills``; older ones are in the gate's journal."""
FOREIGN: Final = "foreign"
"""Track of what the account does that no strategy of ours asked for; never part of a system's result."""


class FillRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution as it is listed."""

    gate: str
    sequence: int
    track: str
    client_order_id: str
    intent_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    """Negative: an execution told before is taken back."""
    commission: int
    commission_asset: str
    maker: bool
    trade_id: str
    ts: int


class TrackLedger:
    """One sub-ledger: what one track holds at one gate."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        """Of the gate's venue: where its days begin, as execution counts them."""
        self.book = Book(cash={}, positions={}, fees={})
        self.gains: dict[str, int] = {}
        """Sum of what closing trades won, by symbol; only grows."""
        self.losses: dict[str, int] = {}
        """Sum of what closing trades lost, by symbol, positive; only grows."""
        self.fills = 0
        self._day = 0
        self._today: dict[str, int] = {}

    def fill(self, instrument: Instrument, side: Side, fill: Filled, *, undone: bool = False) -> None:
        """Fold one execution in, or take one back that the venue has busted or restated."""
        before = dict(self.book.cash)
        position = self.book.positions.get(instrument.symbol)
        realised = 0 if position is None else position.realised
        change = self.book.undo if undone else self.book.fill
        position = change(instrument, side, fill.quantity, fill.price, fill.commission, fill.commission_asset)
        won = position.realised - realised
        sums = self.gains if won > 0 else self.losses
        sums[instrument.symbol] = sums.get(instrument.symbol, 0) + abs(won)
        self.fills += -1 if undone else 1
        self._count_today(self.calendar.keys(fill.ts).day, before)

    def _count_today(self, day: int, before: dict[str, int]) -> None:
        if day < self._day:
            return
        if day > self._day:
            self._day, self._today = day, {}
        for asset, amount in self.book.cash.items():
            change = amount - before.get(asset, 0)
            if change:
                self._today[asset] = self._today.get(asset, 0) + change

    def opening_cash(self, now_ns: int) -> dict[str, int]:
        """Change of each asset from the start of the ledger to the beginning of this day."""
        today = self._today if self.calendar.keys(now_ns).day == self._day else {}
        return {asset: amount - today.get(asset, 0) for asset, amount in self.book.cash.items()}


class GateLedger:
    """Everything that one gate has recorded."""

    def __init__(self, name: str, calendar: Calendar) -> None:
        self.name = name
        self.calendar = calendar
        self.sequence = 0
        self.tracks: dict[str, TrackLedger] = {}
        self.unknown_fills = 0
        """Fills of orders of which nothing is known; the books are not complete if there are any."""
        self.anomalies = 0
        self.orders = OrderTable()
        self.held: dict[str, list[tuple[Order, OrderUpdate, Filled, bool]]] = {}
        """Fills of instruments whose rules are not known yet."""
        self.fills: deque[FillRow] = deque(maxlen=FILLS_KEPT)

    @property
    def complete(self) -> bool:
        return not self.unknown_fills and not self.held


class Ledger:
    """The ledgers of all gates of a system."""

    def __init__(self, gates: Mapping[str, Calendar]) -> None:
        """``gates``: the calendar of each one's venue, by name."""
        self.gates = {name: GateLedger(name, calendar) for name, calendar in gates.items()}
        self.instruments: dict[str, Instrument] = {}

    def rules(self, instrument: Instrument) -> None:
        """The venue's rules of an instrument, which say what its assets are."""
        if self.instruments.get(instrument.symbol) == instrument:
            return
        self.instruments[instrument.symbol] = instrument
        for gate in self.gates.values():
            for order, update, fill, undone in gate.held.pop(instrument.symbol, ()):
                self._fill(gate, order, update, fill, undone)

    def update(self, update: OrderUpdate) -> None:
        """Fold one event of a gate. Each sequence once and in order: the feed sees to that."""
        gate = self.gates[update.gate]
        gate.sequence = update.sequence
        applied = gate.orders.apply(update.event)
        gate.anomalies += applied.anomaly is not None
        if applied.order is None:
            gate.unknown_fills += isinstance(update.event, Filled)
            return
        for fill, undone in ((applied.undone, True), (applied.fill, False)):
            if fill is None:
                continue
            gate.fills.append(_row(applied.order, update, fill, -1 if undone else 1))
            if applied.order.symbol in self.instruments:
                self._fill(gate, applied.order, update, fill, undone)
            else:
                gate.held.setdefault(applied.order.symbol, []).append((applied.order, update, fill, undone))

    def restart(self, gate: str) -> None:
        """The gate has begun a new journal: what the old one said is gone."""
        self.gates[gate] = GateLedger(gate, self.gates[gate].calendar)

    def fills(self, after: int, gate: str | None = None) -> list[FillRow]:
        """Fills with a sequence above ``after``, by gate and sequence, as far as they are kept."""
        wanted = [one for one in self.gates.values() if gate is None or one.name == gate]
        return [row for one in wanted for row in one.fills if row.sequence > after]

    def _fill(self, gate: GateLedger, order: Order, update: OrderUpdate, fill: Filled, undone: bool) -> None:
        track = gate.tracks.setdefault(update.track, TrackLedger(gate.calendar))
        track.fill(self.instruments[order.symbol], order.side, fill, undone=undone)


def positions(track: TrackLedger) -> dict[str, Position]:
    """What a track holds or has held, by symbol."""
    return dict(sorted(track.book.positions.items()))


def _row(order: Order, update: OrderUpdate, fill: Filled, sign: int) -> FillRow:
    return FillRow(
        gate=update.gate,
        sequence=update.sequence,
        track=update.track,
        client_order_id=order.client_order_id,
        intent_id=order.intent_id,
        symbol=order.symbol,
        side=order.side,
        price=fill.price,
        quantity=sign * fill.quantity,
        commission=fill.commission,
        commission_asset=fill.commission_asset,
        maker=fill.maker,
        trade_id=fill.trade_id,
        ts=fill.ts,
    )
