"""One side of an instrument's book: the market's levels, and our clients' queues among them. Pure.

The market's quantity at a price counts as one participant that was there first: an order that joins a price has all
of it ahead. That queue is risk-averse: it shrinks by trades at the price, and is never longer than what is displayed,
so cancels of others count as behind us while they can; `queue` counts beside it what the optimistic rule would have
filled. What a client took of a level stays taken until the market itself changes that level.
"""

from collections.abc import Iterator
from heapq import merge

import msgspec

from ringfence.model.orders import Side
from ringfence.simulator.book import Ladder
from ringfence.simulator.queue import QueueBounds


class Resting(msgspec.Struct, kw_only=True, gc=False):
    """A client's order in the book."""

    order_id: int
    account: str
    side: Side
    price: int
    leaves: int
    """What the book shows of it."""
    ahead: int
    """The market's quantity that trades before it."""
    since_ns: int
    hidden: int = 0
    """Of an iceberg: what is to come when the shown part is gone."""
    display: int = 0


class BookSide:
    """The market's levels and our clients' queues on one side."""

    __slots__ = ("bounds", "changed", "market", "own", "queues", "side", "taken")

    def __init__(self, side: Side, bounds: QueueBounds) -> None:
        self.side = side
        self.bounds = bounds
        self.market = Ladder(side.sign)
        self.taken: dict[int, int] = {}
        """What clients took of the market's level since the market last changed it."""
        self.own = Ladder(side.sign)
        self.queues: dict[int, list[Resting]] = {}
        """Clients' orders by price, oldest first; ``ahead`` never falls along a queue."""
        self.changed: dict[int, None] = {}
        """Prices whose displayed quantity may have changed, for whoever publishes the book."""

    def available(self, price: int) -> int:
        """What is left of the market's quantity."""
        return self.market.get(price) - self.taken.get(price, 0)

    def displayed(self, price: int) -> int:
        """What the venue shows at this price: the market's and our clients' together."""
        return self.available(price) + self.own.get(price)

    def best_market(self) -> int:
        """Best price where the market still has something, 0 if none."""
        if not self.taken:
            return self.market.best
        return next((price for price in self.market.prices() if self.available(price) > 0), 0)

    def best(self) -> int:
        """Best displayed price, 0 if the side is empty."""
        return self.better(self.best_market(), self.own.best)

    def better(self, one: int, other: int) -> int:
        """The better of two prices; 0 is none."""
        if not one or not other:
            return one or other
        return max(one, other) if self.side is Side.BUY else min(one, other)

    def reaches(self, resting: int, limit: int) -> bool:
        """Whether a taker with this limit (0 = any price) may trade at a resting price of this side."""
        if not resting:
            return False
        if not limit:
            return True
        return resting >= limit if self.side is Side.BUY else resting <= limit

    def levels(self) -> Iterator[tuple[int, int]]:
        """Displayed levels, best first. The side must not change meanwhile."""
        last = 0
        for price in merge(self.market.prices(), self.own.prices(), key=lambda price: -self.side.sign * price):
            if price != last:
                last = price
                quantity = self.displayed(price)
                if quantity:
                    yield price, quantity

    def take(self, price: int, quantity: int) -> None:
        if quantity:
            self.taken[price] = self.taken.get(price, 0) + quantity
            self.changed[price] = None

    def change(self, price: int, quantity: int) -> None:
        """The market's own change of a level: what was taken there is forgotten, and queues shrink to it."""
        before = self.market.get(price)
        if not self.market.set(price, quantity):
            return
        self.bounds.changed(self.side, price, before, quantity)
        self.taken.pop(price, None)
        self.changed[price] = None
        for order in self.queues.get(price, ()):
            order.ahead = min(order.ahead, quantity)

    def insert(self, order: Resting) -> None:
        self.queues.setdefault(order.price, []).append(order)
        self.bounds.rested(order.order_id, order.side, order.price, order.leaves, order.ahead)
        self._own(order.price, order.leaves)

    def fill(self, order: Resting, quantity: int) -> None:
        order.leaves -= quantity
        self._own(order.price, -quantity)
        if quantity:
            self.bounds.filled_by(order.order_id, quantity)
        if not order.leaves:
            self._drop(order)
            if order.hidden:
                order.leaves = min(order.display, order.hidden)
                order.hidden -= order.leaves
                order.ahead = self.available(order.price)
                self.insert(order)

    def reduce(self, order: Resting, quantity: int) -> None:
        """Less of it: first what is hidden, so that what is shown keeps its place."""
        unseen = min(order.hidden, quantity)
        order.hidden -= unseen
        if quantity > unseen:
            self.fill(order, quantity - unseen)

    def remove(self, order: Resting) -> None:
        self._own(order.price, -order.leaves)
        self._drop(order)

    def _own(self, price: int, change: int) -> None:
        self.own.set(price, self.own.get(price) + change)
        self.changed[price] = None

    def _drop(self, order: Resting) -> None:
        queue = self.queues[order.price]
        queue.remove(order)
        self.bounds.gone(order.order_id)
        if not queue:
            del self.queues[order.price]
