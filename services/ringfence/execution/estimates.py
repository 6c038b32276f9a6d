"""What orders that take were estimated to cost when they passed the gate, against what they cost. Pure.

Both are slippage: value against the middle at the decision, in the quote currency. The estimate is the walk of the
book as it was then, for as much as the order took in the end. An estimate that is too low for long means that the
book is thinner, or that orders come later, than the gate believes.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ringfence.execution.slippage import walk
from ringfence.execution.state import FOREIGN, Market
from ringfence.model.money import SCALE
from ringfence.model.orders import Canceled, Expired, Filled, Initialized, OrderType, Rejected, Side
from ringfence.model.records import Entry
from ringfence.model.transfers import is_transfer
from ringfence.wire.messages import Level

ORDERS_MAX: Final = 2_000
_TAKERS: Final = frozenset({OrderType.MARKET, OrderType.LIMIT})


class Totals:
    """Of one track in one instrument; quote currency scaled by 1e-8. All of it only grows."""

    __slots__ = ("above", "actual_cost", "actual_gain", "below", "estimated", "orders")

    def __init__(self) -> None:
        self.orders = 0
        self.estimated = 0
        self.actual_cost = 0
        self.actual_gain = 0
        """Of orders that got a better average than the middle."""
        self.above = 0
        """By how much orders cost more than estimated."""
        self.below = 0


class Taking(NamedTuple):
    """An order that would take when it was decided, and the book that it was to take from."""

    totals: Totals
    buying: bool
    quantity: int
    price: int
    levels: tuple[Level, ...]
    twice_mid: int


class Estimates:
    """``entries`` after each journaling; what is replayed is not measured."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self.totals: dict[tuple[str, str], Totals] = {}
        """By track and symbol."""
        self._markets = markets
        self._taking: OrderedDict[str, Taking] = OrderedDict()
        self._taken: dict[str, tuple[int, int]] = {}
        """Quantity and value (scaled twice) of the executions as taker, by order."""

    def entries(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            event = entry.event
            match event:
                case Initialized():
                    if event.type in _TAKERS and entry.track != FOREIGN and not is_transfer(event.client_order_id):
                        self._decided(entry.track, event)
                case Filled():
                    self._filled(event)
                case Canceled() | Expired() | Rejected():
                    self._settle(event.client_order_id)
                case _:
                    pass

    def _decided(self, track: str, event: Initialized) -> None:
        market = self._markets.get(event.symbol)
        if market is None or not 0 < market.bid < market.ask:
            return
        buying = event.side is Side.BUY
        levels = market.asks if buying else market.bids
        if not walk(levels, 1, buying=buying, limit=event.price).filled:
            return  # it rests, or there is no book to judge by
        totals = self.totals.setdefault((track, event.symbol), Totals())
        taking = Taking(totals, buying, event.quantity, event.price, levels, market.bid + market.ask)
        self._taking[event.client_order_id] = taking
        if len(self._taking) > ORDERS_MAX:
            self._taken.pop(self._taking.popitem(last=False)[0], None)

    def _filled(self, event: Filled) -> None:
        taking = self._taking.get(event.client_order_id)
        if taking is None or event.maker:
            return
        quantity, value = self._taken.get(event.client_order_id, (0, 0))
        quantity, value = quantity + event.quantity, value + event.quantity * event.price
        self._taken[event.client_order_id] = quantity, value
        if quantity >= taking.quantity:
            self._settle(event.client_order_id)

    def _settle(self, client_order_id: str) -> None:
        taking = self._taking.pop(client_order_id, None)
        quantity, value = self._taken.pop(client_order_id, (0, 0))
        if taking is None or not quantity:
            return
        found = walk(taking.levels, quantity, buying=taking.buying, limit=taking.price)
        if found.unfilled:
            return  # more was there than we saw: there is no estimate for all of it
        sign = 1 if taking.buying else -1
        middle = taking.twice_mid * quantity // 2
        estimated, actual = (sign * (cost - middle) // SCALE for cost in (found.cost, value))
        totals = taking.totals
        totals.orders += 1
        totals.estimated += max(0, estimated)
        totals.actual_cost += max(0, actual)
        totals.actual_gain += max(0, -actual)
        totals.above += max(0, actual - estimated)
        totals.below += max(0, estimated - actual)
