"""When a conditional order meets the market: stops, take-profits, and triggers that trail. Pure."""

from typing import Final

from ringfence.model.orders import OrderType, Side

_STOPS: Final = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})
_BPS: Final = 10_000


def rises(side: Side, kind: OrderType) -> bool:
    """Whether its trigger is reached from below: a stop buys into a rise and sells into a fall, a take-profit the
    other way round."""
    return (side is Side.BUY) == (kind in _STOPS)


class Trigger:
    """One order's condition, and how far a trailing one has come. Prices scaled by 1e-8."""

    __slots__ = ("_activated", "_extreme", "_rises", "_stop_price", "_trailing_bps")

    def __init__(self, side: Side, kind: OrderType, stop_price: int, trailing_bps: int) -> None:
        """``stop_price`` of a trailing one: where it begins to trail, 0 = at once."""
        self._rises = rises(side, kind)
        self._stop_price = stop_price
        self._trailing_bps = trailing_bps
        self._activated = not (trailing_bps and stop_price)
        self._extreme = 0

    def price(self) -> int:
        """Where it stands now; 0 while a trailing one has seen no price."""
        if not self._trailing_bps:
            return self._stop_price
        distance = self._extreme * self._trailing_bps // _BPS
        return self._extreme + distance if self._rises else self._extreme - distance

    def reached(self, price: int) -> bool:
        """Whether this price of the market sets it off; a trailing one follows it otherwise."""
        if price <= 0:
            return False
        if not self._activated:
            self._activated = self._past(price, self._stop_price)
            if not self._activated:
                return False
        if self._trailing_bps:
            better = min if self._rises else max
            self._extreme = better(self._extreme, price) if self._extreme else price
        return self._past(price, self.price())

    def _past(self, price: int, level: int) -> bool:
        return price >= level if self._rises else price <= level
