"""The venue's books against the journal's, to the last digit. Every difference is a sentence; none is forgiven.

The journal is folded here once more, by nothing but the model: what the gate believes is not asked.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ringfence.execution.state import FOREIGN
from ringfence.model.instrument import Instrument
from ringfence.model.order_table import fold
from ringfence.model.orders import CLOSED, Denied, Filled, Initialized, Order, OrderState, PendingUpdate
from ringfence.model.positions import Book
from ringfence.model.records import Entry
from ringfence.simulator.orders import Execution, Status, VenueOrder
from ringfence.simulator.record import Asked

STATES: Final = {
    Status.NEW: OrderState.ACCEPTED,
    Status.PARTIALLY_FILLED: OrderState.PARTIALLY_FILLED,
    Status.FILLED: OrderState.FILLED,
    Status.CANCELED: OrderState.CANCELED,
    Status.EXPIRED: OrderState.EXPIRED,
    Status.EXPIRED_IN_MATCH: OrderState.EXPIRED,
}
EXPLAINED: Final = ("LATE_FILL", "UNASKED_UPDATE", "LATE_UPDATE", "FILL_BUSTED", "FILL_CORRECTED")
"""Irregularities that the venue has made; whether rightly booked, the comparison shows."""
_FILL: Final = ("trade_id", "price", "quantity", "commission", "commission_asset", "maker")


class VenueBooks:
    """What the venue knows of our account since we trade it."""

    def __init__(
        self,
        orders: Sequence[VenueOrder],
        executions: Sequence[Execution],
        delta: dict[str, int],
        asked: Sequence[Asked],
    ) -> None:
        self.orders = orders
        self.executions = executions
        self.delta = delta
        self.asked = asked


class OurBooks:
    """A fold of the journal's entries."""

    def __init__(self, entries: Sequence[Entry], instrument: Instrument) -> None:
        self.orders: dict[str, Order] = {}
        self.fills: dict[tuple[str, str], Filled] = {}
        """By order and trade id, as they stand."""
        self.book = Book(cash={}, positions={}, fees={})
        self.wrong: list[str] = []
        self.denied: set[str] = set()
        self.asked: set[tuple[str, int]] = set()
        """Quantities that orders were asked to be lowered to."""
        for entry in entries:
            event = entry.event
            name = event.client_order_id
            if entry.track == FOREIGN:
                self.wrong.append(f"nobody else trades here, but {name} was booked as foreign")
            if isinstance(event, Initialized):
                if name in self.orders:
                    self.wrong.append(f"client order id {name} was used twice")
                self.orders[name] = Order(event)
                continue
            if name not in self.orders:
                self.wrong.append(f"{type(event).__name__} of {name}, which was never initialized")
                continue
            order = self.orders[name]
            fill, undone, anomaly = fold(order, event)
            if anomaly is not None and not anomaly.startswith(EXPLAINED):
                self.wrong.append(f"{name}: {anomaly}")
            if isinstance(event, PendingUpdate):
                self.asked.add((name, event.quantity))
            for one, book in ((undone, self.book.undo), (fill, self.book.fill)):
                if one is not None:
                    book(instrument, order.side, one.quantity, one.price, one.commission, one.commission_asset)
            if undone is not None:
                del self.fills[name, undone.trade_id]
            if fill is not None:
                self.fills[name, fill.trade_id] = fill
            elif isinstance(event, Denied):
                self.denied.add(name)


def differences(venue: VenueBooks, ours: OurBooks, gate: Book | None, instrument: Instrument) -> list[str]:
    """All of them; empty = exactly once. ``gate``: the sub-ledger in a living gate's memory, if there is one."""
    return [
        *ours.wrong,
        *_orders(venue, ours),
        *_requests(venue, ours),
        *_fills(venue, ours),
        *_money(venue, ours, gate, instrument),
    ]


def _orders(venue: VenueBooks, ours: OurBooks) -> list[str]:
    wrong = []
    there = {order.client_order_id: order for order in venue.orders}
    if len(there) != len(venue.orders):
        wrong.append(f"{len(venue.orders)} orders at the venue have only {len(there)} client order ids")
    intents: Counter[str] = Counter()
    for name, theirs in there.items():
        mine = ours.orders.get(name)
        if mine is None:
            wrong.append(f"the venue has {name} ({theirs.status}), the journal does not")
            continue
        intents[mine.intent_id] += 1
        facts = (theirs.side, theirs.type, theirs.price, theirs.quantity, theirs.filled, STATES[theirs.status])
        quantity = mine.quantity
        if mine.closed and (name, theirs.quantity) in ours.asked:
            quantity = theirs.quantity  # it ended before anybody told that it had become smaller: nothing is left of it
        believed = (mine.side, mine.type, mine.price, quantity, mine.filled, mine.state)
        if facts != believed:
            wrong.append(f"{name}: venue {facts}, journal {believed}")
        if mine.venue_order_id not in {"", str(theirs.order_id)}:
            wrong.append(f"{name}: venue order {theirs.order_id}, journal {mine.venue_order_id}")
    wrong += [f"intent {intent} became {count} venue orders" for intent, count in intents.items() if count > 1]
    for name, mine in ours.orders.items():
        if name not in there and (mine.filled or mine.state not in CLOSED):
            wrong.append(f"{name} is {mine.state} with {mine.filled} filled here, and the venue never had it")
    return wrong


def _requests(venue: VenueBooks, ours: OurBooks) -> list[str]:
    wrong = []
    sent = Counter(one.client_order_id for one in venue.asked if one.kind == "order")
    wrong += [f"{name} was sent {count} times" for name, count in sent.items() if count > 1]
    wrong += [f"{name} was sent and is not in the journal" for name in sent if name not in ours.orders]
    wrong += [f"{name} was refused by the gate and sent" for name in sent if name in ours.denied]
    accepted = {one.client_order_id for one in venue.asked if one.kind == "order" and one.accepted}
    there = {order.client_order_id for order in venue.orders}
    wrong += [f"the venue's record and its orders disagree on {name}" for name in sorted(accepted ^ there)]
    return wrong


def _fills(venue: VenueBooks, ours: OurBooks) -> list[str]:
    def theirs(one: Execution) -> tuple[object, ...]:
        return (one.client_order_id, str(one.trade_id), *(getattr(one, name) for name in _FILL[1:]))

    at_venue = Counter(theirs(one) for one in venue.executions)
    here = Counter((name, *(getattr(fill, field) for field in _FILL)) for (name, _), fill in ours.fills.items())
    return [
        *(f"fill not in the journal: {fill}" for fill in (at_venue - here)),
        *(f"fill not at the venue, or twice in the journal: {fill}" for fill in (here - at_venue)),
    ]


def _money(venue: VenueBooks, ours: OurBooks, gate: Book | None, instrument: Instrument) -> list[str]:
    wrong = []
    books = {"journal": ours.book}
    if gate is not None:
        books["gate"] = gate
    fees: dict[str, int] = {}
    held = Book(cash={}, positions={}, fees={})
    for one in venue.executions:
        fees[one.commission_asset] = fees.get(one.commission_asset, 0) + one.commission
        held.fill(instrument, one.side, one.quantity, one.price, one.commission, one.commission_asset)
    delta = {asset: amount for asset, amount in venue.delta.items() if amount}
    quantity = held.positions[instrument.symbol].quantity if held.positions else 0
    for who, book in books.items():
        cash = {asset: amount for asset, amount in book.cash.items() if amount}
        if cash != delta:
            wrong.append(f"assets: venue {delta}, {who} {cash}")
        if {a: f for a, f in book.fees.items() if f} != {a: f for a, f in fees.items() if f}:
            wrong.append(f"fees: venue {fees}, {who} {book.fees}")
        mine = book.positions[instrument.symbol].quantity if book.positions else 0
        if mine != quantity or mine != delta.get(instrument.base, 0):
            wrong.append(f"position: venue {quantity}, {who} {mine}")
    return wrong
