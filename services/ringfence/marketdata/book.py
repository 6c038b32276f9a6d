"""One instrument's order book on integers scaled by 1e-8. Pure.

Each side is a sorted list of prices and a dict of quantities. The best price is at the end of its list, where
most of the changes are, so that inserting and deleting move almost nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

Level = tuple[int, int]
"""Price and quantity."""

LEVELS_MAX: Final = 20_000
"""A side never holds more; what is farthest from the best goes first. Real ones stay well below."""


class _Side:
    """``sign`` +1 for bids, -1 for asks: keys are signed prices, so the best is the greatest key on both sides."""

    __slots__ = ("keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, int] = {}

    def apply(self, levels: Iterable[Level]) -> None:
        keys, quantities, sign = self.keys, self.quantities, self.sign
        for price, quantity in levels:
            key = price * sign
            if quantity:
                if key not in quantities:
                    insort(keys, key)
                quantities[key] = quantity
            elif quantities.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        excess = len(keys) - LEVELS_MAX
        if excess > 0:
            for key in keys[:excess]:
                del quantities[key]
            del keys[:excess]

    def replace(self, levels: Iterable[Level]) -> None:
        self.quantities = {price * self.sign: quantity for price, quantity in levels if quantity}
        self.keys = sorted(self.quantities)
        self.apply(())

    def top(self, count: int) -> tuple[Level, ...]:
        quantities, sign = self.quantities, self.sign
        # a slice of a reversed slice: the best `count`, best first
        return tuple([(key * sign, quantities[key]) for key in self.keys[: -count - 1 : -1]])


class Book:
    """Absolute quantities by price. Believes what it is told: whether that is in sync is `sync`'s business."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids = _Side(1)
        self._asks = _Side(-1)

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Forget everything, and begin from a snapshot."""
        self._bids.replace(bids)
        self._asks.replace(asks)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Fold changes in; a quantity of 0 removes the level, and removing what is not there is nothing."""
        self._bids.apply(bids)
        self._asks.apply(asks)

    @property
    def best_bid(self) -> int:
        """Highest bid, 0 when there is none."""
        return self._bids.keys[-1] if self._bids.keys else 0

    @property
    def best_ask(self) -> int:
        """Lowest ask, 0 when there is none."""
        return -self._asks.keys[-1] if self._asks.keys else 0

    @property
    def crossed(self) -> bool:
        """A bid at or above an ask: no venue that matches orders shows that, so the book is wrong."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks) and bids[-1] >= -asks[-1]

    @property
    def one_sided(self) -> bool:
        return not (self._bids.keys and self._asks.keys)

    def bids(self, count: int) -> tuple[Level, ...]:
        """The best ``count`` bids, highest first."""
        return self._bids.top(count)

    def asks(self, count: int) -> tuple[Level, ...]:
        """The best ``count`` asks, lowest first."""
        return self._asks.top(count)

    def __len__(self) -> int:
        """Levels of both sides."""
        return len(self._bids.keys) + len(self._asks.keys)
