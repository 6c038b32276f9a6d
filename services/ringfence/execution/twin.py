"""The twin: copies of live orders in a simulated venue, so that live minus simulated on the same orders is known. Pure.

It hears what execution journals, and sees the same market. A copy is placed when its live order was sent, one way
later, and ends when that one ends: by the same cancel, or a minute after the live order has filled without it. Each
track's copies have an account of their own without bounds: the twin never refuses for money, and nothing of it ever
leaves this process. What is judged is the mean of an episode, as for the live figures (`evidence`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, cast

from ringfence.execution.evidence import Episodes, Owner
from ringfence.execution.state import FOREIGN
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import BPS, SCALE
from ringfence.model.orders import (
    Canceled,
    Denied,
    Expired,
    Filled,
    Initialized,
    OrderEvent,
    PendingCancel,
    Rejected,
    Submitted,
    Updated,
)
from ringfence.model.transfers import is_transfer
from ringfence.venues.paper.engine import PaperEngine
from ringfence.wire.messages import AnyMessage, BookTop, InstrumentRules, OrderUpdate, Quote, Trade

SECOND_NS: Final = 1_000_000_000
LATE_NS: Final = SECOND_NS
"""An order that is heard of later than this after it was sent would be placed in another market: it is left out."""
GRACE_NS: Final = 60 * SECOND_NS
"""How long a copy may go on when the live order has filled."""
COPIES_MAX: Final = 10_000
RECORDS_MAX: Final = 8
UNLIMITED: Final = 1 << 80
NEVER_SENT: Final = ("NOT_SENT", "NEVER_ARRIVED")


class Copy:
    """One live order and its simulation. Quantities and values scaled by 1e-8."""

    __slots__ = ("ends", "filled", "live_closed", "live_filled", "live_value", "order", "owner", "placed", "value")

    def __init__(self, order: Initialized, owner: Owner) -> None:
        self.order = order
        self.owner = owner
        self.placed = False
        self.live_filled = self.live_value = 0
        self.filled = self.value = 0
        self.live_closed = False
        self.ends = 0
        """When the copy is canceled at the latest, UTC nanoseconds; 0 = not while the live order works."""


class Compared:
    """What is known of one revision on one track. Quote amounts scaled by 1e-8."""

    __slots__ = ("fill_share", "live", "ordered", "orders", "simulated", "slippage")

    def __init__(self) -> None:
        self.orders = 0
        self.ordered = 0
        self.live = 0
        self.simulated = 0
        self.slippage = Episodes()
        """Live average price against the simulated one of the same order, basis points; positive is a cost."""
        self.fill_share = Episodes()
        """Share of the order that filled live minus simulated."""


class Due(NamedTuple):
    """Something that reaches the simulated venue at ``at``."""

    at: int
    client_order_id: str
    act: str
    quantity: int = 0


class Twin:
    """``revision_of``: what trades on a track now. Times are UTC nanoseconds, ``started`` that of this process."""

    def __init__(
        self, revision_of: Callable[[str], str], maker_bps: int, taker_bps: int, latency_ns: int, started: int
    ) -> None:
        self.records: OrderedDict[Owner, Compared] = OrderedDict()
        self.copies: OrderedDict[str, Copy] = OrderedDict()
        self.left_out = 0
        """Live orders that were heard of too late, or that the simulated venue refused."""
        self._revision_of = revision_of
        self._fees = maker_bps, taker_bps
        self._latency_ns = latency_ns
        self._started = started
        self._instruments: dict[str, Instrument] = {}
        self._engines: dict[str, PaperEngine] = {}
        self._books: dict[str, BookTop] = {}
        self._due: deque[Due] = deque()
        """All wait equally long, so they are in order."""

    def reset(self) -> None:
        """Events are missing: what is open cannot be compared any more."""
        self.left_out += len(self.copies)
        self.copies.clear()
        self._due.clear()
        self._engines.clear()

    # --- what execution says

    def update(self, update: OrderUpdate, now: int) -> None:
        event = update.event
        if event.ts < self._started or update.track == FOREIGN or is_transfer(event.client_order_id):
            return
        if isinstance(event, Initialized):
            self.copies[event.client_order_id] = Copy(event, (update.track, self._revision_of(update.track)))
            if len(self.copies) > COPIES_MAX:
                self._leave_out(next(iter(self.copies)))
            return
        copy = self.copies.get(event.client_order_id)
        if copy is not None:
            self._follow(copy, event, now)

    def _follow(self, copy: Copy, event: OrderEvent, now: int) -> None:
        name, at = event.client_order_id, event.ts + self._latency_ns
        match event:
            case Denied():
                del self.copies[name]
            case Submitted():
                if now - event.ts > LATE_NS:
                    self._leave_out(name)
                else:
                    self._due.append(Due(at, name, "place"))
            case PendingCancel():
                self._due.append(Due(at, name, "cancel"))
            case Updated(quantity=quantity):
                self._due.append(Due(at, name, "amend", quantity))
            case Filled():
                copy.live_filled += event.quantity
                copy.live_value += event.price * event.quantity // SCALE
                if copy.live_filled >= copy.order.quantity:
                    copy.live_closed, copy.ends = True, now + GRACE_NS
            case Canceled(reason=reason) if reason.startswith(NEVER_SENT):
                self._leave_out(name)
            case Canceled() | Expired() | Rejected():
                copy.live_closed = True
                self._due.append(Due(at, name, "cancel"))
            case _:
                pass

    # --- the market, and time

    def market(self, message: AnyMessage, now: int) -> None:
        self.tick(now)
        match message:
            case InstrumentRules():
                rules = message.instrument
                self._instruments[rules.symbol] = rules
                for engine in self._engines.values():  # one that was opened before these rules came
                    for asset in (rules.base, rules.quote):
                        engine.free.setdefault(asset, UNLIMITED)
            case BookTop():
                self._books[message.symbol] = message
                for engine in self._engines.values():
                    self._filled(engine.book(message, now))
            case Quote():
                for engine in self._engines.values():
                    self._filled(engine.quote(message, now))
            case Trade():
                for engine in self._engines.values():
                    self._filled(engine.trade(message, now))
            case _:
                pass

    def tick(self, now: int) -> None:
        """Carry out what is due."""
        while self._due and self._due[0].at <= now:
            self._perform(self._due.popleft(), now)

    def settle(self, now: int) -> None:
        """Compare what is over; some times a second."""
        self.tick(now)
        for name, copy in list(self.copies.items()):
            if not copy.live_closed or not copy.placed:
                continue
            engine = self._engine(copy)
            if name in engine.open and copy.ends and now >= copy.ends:
                engine.cancel(name, now)
            if name not in engine.open:
                self._compare(copy, now)
                del self.copies[name]
        for record in self.records.values():
            record.slippage.close_before(now, 0)
            record.fill_share.close_before(now, 0)

    def _perform(self, due: Due, now: int) -> None:
        copy = self.copies.get(due.client_order_id)
        if copy is None:
            return
        engine = self._engine(copy)
        if due.act == "place":
            # the paper engine asks for the fields of an order that passed the gate; nothing can be sent with it
            _, events = engine.submit(cast("Approved", copy.order), now)
            copy.placed = bool(events)
            self._filled(events)
            if not events:
                self._leave_out(due.client_order_id)
        elif due.act == "amend":
            self._filled(engine.amend(due.client_order_id, due.quantity, now)[1])
        else:
            engine.cancel(due.client_order_id, now)

    def _engine(self, copy: Copy) -> PaperEngine:
        track = copy.owner[0]
        found = self._engines.get(track)
        if found is None:
            assets = {a for rules in self._instruments.values() for a in (rules.base, rules.quote)}
            found = self._engines[track] = PaperEngine(
                self._instruments, dict.fromkeys(assets, UNLIMITED), *self._fees, f"twin.{track}"
            )
            for book in self._books.values():
                found.book(book, book.ts_recv)
        return found

    def _filled(self, events: Iterable[tuple[str, OrderEvent]]) -> None:
        for _, event in events:
            if isinstance(event, Filled) and (copy := self.copies.get(event.client_order_id)) is not None:
                copy.filled += event.quantity
                copy.value += event.price * event.quantity // SCALE

    # --- the comparison

    def _compare(self, copy: Copy, now: int) -> None:
        order = copy.order
        found = self.records.setdefault(copy.owner, Compared())
        if len(self.records) > RECORDS_MAX:
            self.records.popitem(last=False)
        price = order.price or self._average(copy)
        ordered = price * order.quantity // SCALE
        found.orders += 1
        found.ordered += ordered
        found.live += copy.live_value
        found.simulated += copy.value
        if ordered:
            share = (copy.live_filled - copy.filled) / order.quantity
            found.fill_share.add(order.symbol, share, ordered / SCALE, now)
        if copy.live_filled and copy.filled:
            live, simulated = copy.live_value / copy.live_filled, copy.value / copy.filled
            cost = order.side.sign * (live - simulated) / simulated * BPS
            found.slippage.add(order.symbol, cost, min(copy.live_value, copy.value) / SCALE, now)

    def _average(self, copy: Copy) -> int:
        quantity = copy.live_filled or copy.filled
        return (copy.live_value if copy.live_filled else copy.value) * SCALE // quantity if quantity else 0

    def _leave_out(self, name: str) -> None:
        copy = self.copies.pop(name)
        self.left_out += 1
        engine = self._engines.get(copy.owner[0])
        if engine is not None and name in engine.open:
            engine.cancel(name, copy.order.ts)
