"""When a waiting order meets the market: stops, take-profits, and triggers that trail. Pure.

A venue looks at its trades. We also look at the touch: what a stop would sell at has then reached the trigger.
"""

from typing import Final

from ringfence.model.approved import Approved
from ringfence.model.orders import OrderType, Side

_STOPS: Final = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})
_BPS: Final = 10_000


class Trigger:
    """One order's condition, and how far a trailing one has come."""

    __slots__ = ("_activated", "_extreme", "_order", "rises")

    def __init__(self, order: Approved) -> None:
        self._order = order
        self.rises = (order.side is Side.BUY) == (order.type in _STOPS)
        """Whether it is reached from below."""
        self._activated = not (order.trailing_bps and order.stop_price)
        self._extreme = 0

    def price(self) -> int:
        """Where it stands now; 0 while a trailing one has seen no price."""
        order = self._order
        if not order.trailing_bps:
            return order.stop_price
        distance = self._extreme * order.trailing_bps // _BPS
        return self._extreme + distance if self.rises else self._extreme - distance

    def reached(self, price: int) -> bool:
        """Whether this price of the market sets it off; a trailing one follows it otherwise."""
        if price <= 0:
            return False
        if not self._activated:
            self._activated = self._past(price, self._order.stop_price)
            if not self._activated:
                return False
        if self._order.trailing_bps:
            better = min if self.rises else max
            self._extreme = better(self._extreme, price) if self._extreme else price
        return self._past(price, self.price())

    def _past(self, price: int, level: int) -> bool:
        return price >= level if self.rises else price <= level
