"""One side of a book: quantities by price, best first. Pure."""

from bisect import bisect_left
from collections.abc import Iterator


class Ladder:
    """Prices with a positive quantity. ``sign`` is +1 where the highest price is best (bids), -1 for asks."""

    __slots__ = ("_keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, int] = {}
        self._keys: list[int] = []
        # signed prices in ascending order, so that the best, where most changes are, is at the cheap end

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, price: int) -> int:
        return self.levels.get(price, 0)

    def set(self, price: int, quantity: int) -> bool:
        """Put an absolute quantity; 0 removes. Returns whether anything changed."""
        before = self.levels.get(price, 0)
        if before == quantity:
            return False
        key = self.sign * price
        if quantity == 0:
            del self.levels[price]
            del self._keys[bisect_left(self._keys, key)]
        else:
            self.levels[price] = quantity
            if before == 0:
                self._keys.insert(bisect_left(self._keys, key), key)
        return True

    @property
    def best(self) -> int:
        """Best price, 0 when empty."""
        return self._keys[-1] * self.sign if self._keys else 0

    @property
    def worst(self) -> int:
        """Worst price, 0 when empty."""
        return self._keys[0] * self.sign if self._keys else 0

    def at(self, position: int) -> int:
        """Price of the level at this position, 0 = best."""
        return self._keys[-1 - position] * self.sign

    def nearest(self, price: int, within: int) -> int | None:
        """The level closest to this price, if one lies no further from it than that."""
        wanted = self.sign * price
        after = bisect_left(self._keys, wanted)
        around = self._keys[max(0, after - 1) : after + 1]
        best = min(around, key=lambda key: abs(key - wanted), default=None)
        return None if best is None or abs(best - wanted) > within else best * self.sign

    def prices(self) -> Iterator[int]:
        """Prices from the best on. The ladder must not change meanwhile."""
        for key in reversed(self._keys):
            yield key * self.sign

    def better_than(self, price: int) -> list[int]:
        """Prices strictly better than this one, best first."""
        first = bisect_left(self._keys, self.sign * price + 1)
        return [key * self.sign for key in reversed(self._keys[first:])]
