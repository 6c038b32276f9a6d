"""The matching engine of one instrument: price, then time. Commands in, events out. Pure.

Our clients' orders meet the market's book and each other; `bookside` says what stands on each side and who is before
whom. Money scaled by 1e-8. Order ids are positive; 0 stands for the market. An iceberg shows one part at a time; each
next part goes behind all that is displayed, as a new order would.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence.model.money import SCALE, notional
from ringfence.model.orders import CONDITIONAL, UNPRICED, OrderType, Side, TimeInForce
from ringfence.simulator.bookside import BookSide, Resting
from ringfence.simulator.market import BookChange, Levels, Print
from ringfence.simulator.orders import Prevention, VenueOrder
from ringfence.simulator.queue import QueueBounds

MARKET_ID: Final = 0


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    order_id: int
    account: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int
    """0 for a market order."""
    quantity: int
    display: int = 0
    """Of an iceberg: the part that the book shows."""
    prevention: Prevention = Prevention.EXPIRE_MAKER


class Reduce(msgspec.Struct, frozen=True, gc=False):
    """Take this much off a resting order; its place stays."""

    order_id: int
    quantity: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    order_id: int


Command = Place | Reduce | Cancel | BookChange | Print


class Matched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two parties traded; either may be the market."""

    price: int
    quantity: int
    maker_id: int
    taker_id: int
    aggressor: Side
    """The taker's side."""


class Rested(msgspec.Struct, frozen=True, gc=False):
    order_id: int
    ahead: int


class Canceled(msgspec.Struct, frozen=True, gc=False):
    order_id: int


class Expired(msgspec.Struct, frozen=True, gc=False):
    """The rest of an order that may not rest, or all of a fill-or-kill that could not be filled."""

    order_id: int


class Prevented(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two orders met that have one owner, and did not trade. Who has nothing left has ended by it."""

    price: int
    quantity: int
    """What would have traded."""
    maker_id: int
    taker_id: int
    maker_loses: int
    """What of the order will not execute any more."""
    taker_loses: int


class WouldTake(msgspec.Struct, frozen=True, gc=False):
    """A maker-only order was refused."""

    order_id: int


Event = Matched | Rested | Canceled | Expired | Prevented | WouldTake


def placing(order: VenueOrder) -> Place:
    """What the engine is told of an order: a conditional one comes to it as what it then is."""
    kind = order.type
    if kind in CONDITIONAL:
        kind = OrderType.MARKET if kind in UNPRICED else OrderType.LIMIT
    return Place(
        order_id=order.order_id,
        account=order.account,
        side=order.side,
        type=kind,
        time_in_force=order.time_in_force,
        price=order.price,
        quantity=order.left,
        display=order.display,
        prevention=order.prevention,
    )


def counted_as(account: str, prevention: Prevention) -> str:
    """Whose orders an order cannot trade with: its owner's, unless nothing prevents that."""
    return "" if prevention is Prevention.NONE else account


class MatchingEngine:
    """All orders of one instrument."""

    def __init__(self) -> None:
        self.bounds = QueueBounds()
        self.bids = BookSide(Side.BUY, self.bounds)
        self.asks = BookSide(Side.SELL, self.bounds)
        self.resting: dict[int, Resting] = {}
        self._events: list[Event] = []

    def handle(self, command: Command, now_ns: int) -> list[Event]:
        """Apply one command; the events in the order in which they happened."""
        self._events = []
        match command:
            case Place():
                self._place(command, now_ns)
            case Reduce():
                resting = self.resting.get(command.order_id)
                if resting is not None:
                    self.side(resting.side).reduce(resting, command.quantity)
            case Cancel():
                self._cancel(command.order_id)
            case BookChange():
                self._change(command)
            case Print():
                self._print(command)
        return self._events

    def side(self, side: Side) -> BookSide:
        return self.bids if side is Side.BUY else self.asks

    def against(self, side: Side) -> BookSide:
        """What an order of this side trades with."""
        return self.asks if side is Side.BUY else self.bids

    def cost(self, side: Side, quantity: int, limit: int, account: str) -> tuple[int, int]:
        """What a taker would get now: quantity, and the quote amount for it. Its own orders do not count."""
        book = self.against(side)
        left, amount = quantity, 0
        for price, there in self._levels(book, account):
            if not left or not book.reaches(price, limit):
                break
            step = min(left, there)
            left -= step
            amount += notional(price, step)
        return quantity - left, amount

    def quantity_for(self, side: Side, amount: int, lot: int, account: str) -> int:
        """Largest quantity in whole lots that this quote amount trades now."""
        quantity, left = 0, amount
        for price, there in self._levels(self.against(side), account):
            step = min(there, left * SCALE // price)
            quantity += step
            left -= notional(price, step)
            if step < there:
                break
        return quantity - quantity % lot

    def _levels(self, book: BookSide, account: str) -> Iterator[tuple[int, int]]:
        """Levels that this account may trade with: its own orders there expire instead."""
        for price, there in book.levels():
            queue = book.queues.get(price, ())
            mine = sum(order.leaves for order in queue if order.account == account)
            hidden = sum(order.hidden for order in queue if order.account != account)
            if there + hidden > mine:
                yield price, there + hidden - mine

    def _place(self, order: Place, now_ns: int) -> None:
        book = self.against(order.side)
        if order.type is OrderType.LIMIT_MAKER and book.reaches(book.best(), order.price):
            self._events.append(WouldTake(order.order_id))
            return
        if order.time_in_force is TimeInForce.FOK:
            fillable, _ = self.cost(
                order.side, order.quantity, order.price, counted_as(order.account, order.prevention)
            )
            if fillable < order.quantity:
                self._events.append(Expired(order.order_id))
                return
        left = self._take(order, book)
        if not left:
            return
        if order.type is OrderType.MARKET or order.time_in_force is not TimeInForce.GTC:
            self._events.append(Expired(order.order_id))
            return
        mine = self.side(order.side)
        shown = min(left, order.display or left)
        resting = Resting(
            order_id=order.order_id,
            account=order.account,
            side=order.side,
            price=order.price,
            leaves=shown,
            ahead=mine.available(order.price),
            since_ns=now_ns,
            hidden=left - shown,
            display=order.display,
        )
        mine.insert(resting)
        self.resting[order.order_id] = resting
        self._events.append(Rested(order.order_id, resting.ahead))

    def _take(self, order: Place, book: BookSide) -> int:
        """Walk the book up to the limit; returns what is left."""
        left = order.quantity
        while left:
            price = book.best()
            if not book.reaches(price, order.price):
                break
            available = book.available(price)
            left, consumed = self._walk(
                book, price, left, available, order.order_id, order.account, prevention=order.prevention
            )
            book.take(price, consumed)
        return left

    def _walk(
        self,
        book: BookSide,
        price: int,
        quantity: int,
        available: int,
        taker_id: int,
        account: str,
        *,
        prevention: Prevention = Prevention.EXPIRE_MAKER,
    ) -> tuple[int, int]:
        """Trade at one price in order of time; returns what is left, and how much of the market's was consumed."""
        consumed = 0
        queue = book.queues.get(price, [])
        for order in queue.copy():
            first = min(max(0, min(order.ahead, available) - consumed), quantity)
            self._match(book, price, first, MARKET_ID, taker_id)
            consumed += first
            quantity -= first
            if not quantity:
                break
            if order.account == account and prevention is not Prevention.NONE:
                quantity -= self._prevent(book, price, order, taker_id, quantity, prevention)
                continue
            step = min(order.leaves, quantity)
            self._match(book, price, step, order.order_id, taker_id)
            quantity -= step
            book.fill(order, step)
            if not order.leaves:
                del self.resting[order.order_id]
        last = min(available - consumed, quantity)
        self._match(book, price, last, MARKET_ID, taker_id)
        consumed += last
        for order in queue:
            order.ahead = max(0, order.ahead - consumed)
        return quantity - last, consumed

    def _prevent(
        self, book: BookSide, price: int, maker: Resting, taker_id: int, quantity: int, mode: Prevention
    ) -> int:
        """Two orders of one owner do not trade; returns what the taker loses of its ``quantity``."""
        there = maker.leaves + maker.hidden
        both = min(there, quantity)
        match mode:
            case Prevention.EXPIRE_TAKER:
                maker_loses, taker_loses = 0, quantity
            case Prevention.EXPIRE_MAKER:
                maker_loses, taker_loses = there, 0
            case Prevention.EXPIRE_BOTH:
                maker_loses, taker_loses = there, quantity
            case _:
                maker_loses, taker_loses = both, both
        self._events.append(
            Prevented(
                price=price,
                quantity=both,
                maker_id=maker.order_id,
                taker_id=taker_id,
                maker_loses=maker_loses,
                taker_loses=taker_loses,
            )
        )
        book.reduce(maker, maker_loses)
        if not maker.leaves:
            del self.resting[maker.order_id]
        return taker_loses

    def _match(self, book: BookSide, price: int, quantity: int, maker_id: int, taker_id: int) -> None:
        if quantity:
            aggressor = Side.SELL if book.side is Side.BUY else Side.BUY
            self._events.append(
                Matched(price=price, quantity=quantity, maker_id=maker_id, taker_id=taker_id, aggressor=aggressor)
            )

    def _cancel(self, order_id: int) -> None:
        order = self.resting.get(order_id)
        if order is not None:
            self._forget(self.side(order.side), order)
            self._events.append(Canceled(order_id))

    def _forget(self, book: BookSide, order: Resting) -> None:
        book.remove(order)
        del self.resting[order.order_id]

    def _print(self, trade: Print) -> None:
        """Others traded: what our clients' priority entitles them to is theirs, the rest stays the market's."""
        book = self.against(trade.aggressor)
        self.bounds.printed(book.side, trade.price, trade.quantity)
        left = trade.quantity
        for price in book.own.better_than(trade.price):
            # the aggressor went past this price, so nothing of the market's was ahead any more
            while left and book.own.get(price):  # an iceberg's parts, one after the other
                left, _ = self._walk(book, price, left, 0, MARKET_ID, "")
            if not left:
                return
        self._walk(book, trade.price, left, left, MARKET_ID, "")

    def _change(self, change: BookChange) -> None:
        if change.reset:
            self._reset(self.bids, change.bids)
            self._reset(self.asks, change.asks)
        for price, quantity in change.bids:
            self.bids.change(price, quantity)
        for price, quantity in change.asks:
            self.asks.change(price, quantity)
        if self.resting:
            self._uncross(self.bids, self.asks)
            self._uncross(self.asks, self.bids)

    def _reset(self, book: BookSide, levels: Levels) -> None:
        kept = {price for price, _ in levels}
        for price in [price for price in book.market.levels if price not in kept]:
            book.change(price, 0)
        for price in book.taken:
            book.changed[price] = None
        book.taken.clear()

    def _uncross(self, book: BookSide, other: BookSide) -> None:
        """The market came to our clients' prices from the other side: it would have traded with them."""
        while other.reaches(other.best_market(), book.own.best) and len(book.own):
            price = other.best_market()
            order = book.queues[book.own.best][0]
            step = min(order.leaves, other.available(price))
            self._match(book, order.price, step, order.order_id, MARKET_ID)
            other.take(price, step)
            book.fill(order, step)
            order.ahead = 0
            if not order.leaves:
                del self.resting[order.order_id]
