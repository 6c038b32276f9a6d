"""Orders, sub-ledgers and exposure as a fold of order events, live or replayed. Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ringfence.execution import ids
from ringfence.execution.gate import Gate
from ringfence.execution.outputs import Output, Reconcile
from ringfence.execution.state import FOREIGN, Slot, Track
from ringfence.execution.trips import Trips
from ringfence.model.instrument import Instrument
from ringfence.model.order_table import fold
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    Initialized,
    Order,
    OrderEvent,
    OrderState,
    PendingCancel,
    Rejected,
    Side,
    Submitted,
    Triggered,
    Updated,
)
from ringfence.model.positions import Book
from ringfence.model.records import Entry
from ringfence.model.transfers import is_transfer
from ringfence.wire.kill import Severity

MILLISECOND_NS: Final = 1_000_000
QUERY_FIRST_NS: Final = 200 * MILLISECOND_NS
CLOSED_KEPT: Final = 20_000
"""Closed orders that are remembered, for late fills and for cancels of what is gone; some 2 KB each."""
TRADES_KEPT: Final = 50_000
"""Executions of one instrument that are remembered: each is booked once."""
CODES_MAX: Final = 64
EXPLAINED_BY_VENUE: Final = ("LATE_", "ILLEGAL", "FILL_", "BUST", "CORRECTION_", "UNASKED_")
"""Irregularities after which the account is looked at as a whole."""


class Live:
    """An order that may still execute, and what we are waiting for."""

    __slots__ = (
        "cancel_again",
        "cancel_wanted",
        "closing",
        "counted",
        "follower",
        "order",
        "query_at",
        "query_gap",
        "rival",
        "sent_mono",
        "slot",
    )

    def __init__(self, order: Order, slot: Slot) -> None:
        self.order = order
        self.slot = slot
        self.counted = 0
        """Leaves that are in the slot."""
        self.rival = ""
        """Client id of an order of which the venue lets this one execute only instead: together the larger counts."""
        self.follower = ""
        """Client id of the order whose rival this one is."""
        self.sent_mono = 0
        """Its bytes have left by this monotonic time, or never will. Not wall time: that may be off by any amount."""
        self.query_at = 0
        """Monotonic time of the next query; 0 = none is due."""
        self.query_gap = QUERY_FIRST_NS
        self.cancel_wanted = False
        """Its cancel was asked for, and is repeated until it is closed, whatever the venue has said and who asks."""
        self.cancel_again = 0
        self.closing = ids.is_closing(order.client_order_id)
        """The platform's own, by which Flatten closes a position."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Meanwhile the exposure is as if there were no such order."""
        self._count(-self.counted)
        try:
            yield
        finally:
            self._count(self.counted)

    def _count(self, more: int) -> None:
        if self.order.side is Side.BUY:
            self.slot.buys += more
        else:
            self.slot.sells += more
        self.slot.settle()


class Activity:
    """What a track has done in the life of this journal. Book entries are no orders and are left out."""

    __slots__ = ("executed", "fills", "sent")

    def __init__(self) -> None:
        self.sent = 0
        """Orders that passed the gate."""
        self.executed = 0
        """Those that executed at least in part."""
        self.fills = 0


class Accounting:
    """One account's orders, whose they are, and what they may still lead to."""

    def __init__(self, gate: Gate, prefix: str) -> None:
        self.gate = gate
        self.guard = gate.guard
        self.prefix = prefix
        self.fence = 0
        self.sequence = 0
        """Of the last client order id."""
        self.orders: dict[str, Order] = {}
        self.live: dict[str, Live] = {}
        self.books: dict[str, Book] = {}
        self.trades: dict[str, OrderedDict[str, None]] = {}
        """Trade ids by symbol, oldest first."""
        self.venue_ids: dict[tuple[str, str], str] = {}
        self.trips = Trips()
        self.activity = 0
        """Counts fills: two looks at the account compare only if it did not move between them."""
        self.activities: dict[str, Activity] = {}
        """By track."""
        self.anomalies: dict[str, int] = {}
        self.canceled_by_kill = 0
        self._intent_ids: dict[tuple[str, str], str] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        gate.tracks.setdefault(FOREIGN, Track(FOREIGN))

    # --- recovery

    def replay(self, entry: Entry) -> None:
        """Fold one entry of the journal, without outputs."""
        event = entry.event
        parts = ids.parse(event.client_order_id)
        if parts is not None and parts.prefix == self.prefix:
            self.sequence = max(self.sequence, parts.sequence)
            self.fence = max(self.fence, parts.fence)
        if isinstance(event, Initialized):
            self.adopt(event)
            return
        if isinstance(event, Denied):
            order = self.orders.get(event.client_order_id)
            if order is not None:
                self._forget(order)
            return
        if event.client_order_id in self.orders:
            if isinstance(event, Submitted):
                self.sent(self.orders[event.client_order_id])
            self._fold(event)

    def sent(self, order: Order) -> None:
        """Count an order that has passed the gate."""
        if not is_transfer(order.client_order_id):
            self.activities.setdefault(order.track, Activity()).sent += 1

    def adopt(self, event: Initialized) -> Entry:
        """Take an order in: from the journal, or one that the venue told us of."""
        track = self.gate.tracks.get(event.track)
        if track is None:
            track = self.gate.tracks[event.track] = Track(event.track)
        track.remember(event.intent_id)
        self._enter(Order(event), track)
        return Entry(event.track, event)

    # --- folding

    def fold(self, event: OrderEvent) -> list[Output]:
        """An event that reconciliation has derived."""
        order = self.orders[event.client_order_id]
        return [] if self._is_known(order, event) else self._fold(event)

    def _is_known(self, order: Order, event: OrderEvent) -> bool:
        match event:
            case Filled():
                return event.trade_id in order.fills or event.trade_id in order.busted
            case FillBusted():
                return event.trade_id in order.busted
            case FillCorrected():
                return event in order.corrected.values()
            case Triggered():
                return order.state is OrderState.TRIGGERED or order.filled > 0 or order.closed
            case Updated():
                return order.update is None and (order.quantity, order.price) == (event.quantity, event.price)
            case Accepted():
                return order.venue_order_id == event.venue_order_id and not order.unknown
            case Canceled():
                return order.state is OrderState.CANCELED
            case Expired():
                return order.state is OrderState.EXPIRED
            case Rejected():
                return order.state is OrderState.REJECTED
            case _:
                return False

    def _fold(self, event: OrderEvent) -> list[Output]:
        order = self.orders[event.client_order_id]
        fill, undone, anomaly = fold(order, event)
        outputs: list[Output] = [Entry(order.track, event)]
        if anomaly is not None:
            self._anomaly(anomaly, event.ts)
            if anomaly.startswith(EXPLAINED_BY_VENUE):
                outputs.append(Reconcile(anomaly))
        if isinstance(event, Accepted):
            self.venue_ids[order.symbol, event.venue_order_id] = order.client_order_id
        elif fill is not None or undone is not None:
            self._book(order, fill, undone)
        elif isinstance(event, Canceled) and self.guard.worst >= Severity.CANCEL:
            self.canceled_by_kill += 1
        live = self.live.get(order.client_order_id)
        if live is not None:
            live.cancel_wanted = live.cancel_wanted or isinstance(event, PendingCancel)
            self._account(live)
        return outputs

    def _book(self, order: Order, fill: Filled | None, undone: Filled | None) -> None:
        """Bring one execution, its correction or its bust into its owner's sub-ledger."""
        track = self.gate.tracks[order.track]
        market = self.gate.market(order.symbol)
        rules = market.instrument
        assert rules is not None  # noqa: S101 - rules are journaled before the first order of an instrument
        book = self.books.get(order.track)
        if book is None:
            book = self.books[order.track] = Book(cash={}, positions={}, fees={})
        seen = self.trades.setdefault(order.symbol, OrderedDict())
        slot = track.slot(market)
        for one, change, sign in ((undone, book.undo, -1), (fill, book.fill, 1)):
            if one is not None:
                position = change(rules, order.side, one.quantity, one.price, one.commission, one.commission_asset)
                if is_transfer(order.client_order_id):
                    self.trips.handed_over(order.track, order.symbol, position.quantity, position.realised, rules.lot)
                elif order.track != FOREIGN:
                    before, fee = slot.position, sign * _fee(rules, one.commission, one.commission_asset)
                    self.trips.position(
                        order.track, order.symbol, before, position.quantity, position.realised, fee, rules.lot
                    )
                slot.position = position.quantity
                seen[one.trade_id] = None
        ours = order.track != FOREIGN and not is_transfer(order.client_order_id)
        if fill is not None and undone is None and ours:
            self.trips.execution(order.track, order.symbol, order.side, order.client_order_id, fill.ts)
        slot.settle()
        self.activity += 1
        if fill is not None and not is_transfer(order.client_order_id):
            counts = self.activities.setdefault(order.track, Activity())
            counts.fills += 1
            counts.executed += order.filled == fill.quantity
        if len(seen) > TRADES_KEPT:
            seen.popitem(last=False)

    def _enter(self, order: Order, track: Track) -> Live:
        track.remember(order.intent_id)
        self.orders[order.client_order_id] = order
        self._intent_ids[order.track, order.intent_id] = order.client_order_id
        self._closed.pop(order.client_order_id, None)
        live = Live(order, track.slot(self.gate.market(order.symbol)))
        self.live[order.client_order_id] = live
        self._oppose(live)
        if order.track != FOREIGN:
            track.working += 1
            self.gate.account.working += 1
        return live

    def _oppose(self, live: Live) -> None:
        """Find the order that excludes this one: what it replaces while nothing of it has filled, or its pair's other
        leg. Where there is none, or both might execute, each counts in full."""
        order = live.order
        if order.replaces:
            rival = self.live.get(order.replaces)
            rival = rival if rival is not None and not rival.order.filled else None
        elif order.group:
            others = (other for other in self.live.values() if other.order.group == order.group and other is not live)
            rival = next(others, None)
        else:
            return
        if rival is not None and not rival.follower and rival.slot is live.slot and rival.order.side is order.side:
            live.rival, rival.follower = rival.order.client_order_id, order.client_order_id

    def _account(self, live: Live) -> None:
        """Bring exposure and counts in line with the order."""
        order, slot = live.order, live.slot
        market, client_order_id = slot.market, order.client_order_id
        leaves = order.leaves
        if live.rival:
            rival = self.live.get(live.rival)
            leaves = max(0, leaves - (rival.order.leaves if rival is not None else 0))
        if leaves != live.counted:
            if order.side is Side.BUY:
                slot.buys += leaves - live.counted
            else:
                slot.sells += leaves - live.counted
            live.counted = leaves
            slot.settle()
            follower = self.live.get(live.follower)
            if follower is not None and not order.closed:
                self._account(follower)
        resting = slot.resting_buys if order.side is Side.BUY else slot.resting_sells
        if order.unknown:
            market.unknown.add(client_order_id)
        elif market.unknown:
            market.unknown.discard(client_order_id)
        if not order.closed:
            if order.resting:
                resting[client_order_id] = order.price
            else:
                resting.pop(client_order_id, None)
            return
        resting.pop(client_order_id, None)
        del self.live[client_order_id]
        follower = self.live.get(live.follower)
        if follower is not None:
            follower.rival = ""
            self._account(follower)
        if order.track != FOREIGN:
            self.gate.tracks[order.track].working -= 1
            self.gate.account.working -= 1
        self._closed[client_order_id] = None
        if len(self._closed) > CLOSED_KEPT:
            self._drop(self.orders[self._closed.popitem(last=False)[0]])

    def _forget(self, order: Order) -> None:
        """A refused intent: it never became an order."""
        live = self.live.pop(order.client_order_id, None)
        if live is not None and order.track != FOREIGN:
            self.gate.tracks[order.track].working -= 1
            self.gate.account.working -= 1
        self._drop(order)

    def _drop(self, order: Order) -> None:
        self.orders.pop(order.client_order_id, None)
        self.venue_ids.pop((order.symbol, order.venue_order_id), None)
        self._intent_ids.pop((order.track, order.intent_id), None)

    def _anomaly(self, text: str, wall: int) -> None:
        code = text.partition(" ")[0]
        self._count(self.anomalies, code)
        if code == "OVERFILL":
            self.guard.hold("overfill", Severity.REDUCE_ONLY, f"the venue filled more than was ordered: {text}", wall)

    @staticmethod
    def _count(counts: dict[str, int], code: str) -> None:
        if code in counts or len(counts) < CODES_MAX:
            counts[code] = counts.get(code, 0) + 1


def _fee(rules: Instrument, commission: int, asset: str) -> int:
    """What a round trip pays beside its price: a base asset's fee is in the position, and what one in a third asset
    is worth is not known here, so it counts as the least amount there is."""
    if asset == rules.base:
        return 0
    return commission if asset == rules.quote else min(commission, 1)
