"""Orders and executions as a venue remembers them: by number, by account, by client id. Pure."""

from collections import deque
from typing import Final

from ringfence.simulator.orders import Execution, Request, VenueOrder

HISTORY_MAX: Final = 60_000
"""Closed orders kept per venue, and executions kept per account: older ones are forgotten."""


class Register:
    """What clients may ask for. The layer that `Venue` stands on, which alone enters and changes it."""

    def __init__(self, base: int) -> None:
        """Orders are numbered from ``base`` on."""
        self._order_id = base
        self._orders: dict[int, VenueOrder] = {}
        self._closed: deque[int] = deque()
        self._open: dict[str, dict[int, VenueOrder]] = {}
        self._by_client_id: dict[tuple[str, str, str], VenueOrder] = {}
        self._executions: dict[str, deque[Execution]] = {}

    def find(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None) -> VenueOrder | None:
        """The order with this id, or the latest with this client id."""
        if order_id is not None:
            order = self._orders.get(order_id)
            if order is None or order.account != account or order.symbol != symbol:
                return None
            # with both ids sent, both must be this order's
            return order if client_order_id in {None, order.client_order_id} else None
        return self._by_client_id.get((account, symbol, client_order_id or ""))

    def open_orders(self, account: str, symbol: str | None = None) -> list[VenueOrder]:
        return [order for order in self._open[account].values() if symbol in {None, order.symbol}]

    def orders(self, account: str, symbol: str) -> list[VenueOrder]:
        """All that is remembered, oldest first."""
        return [o for o in self._orders.values() if o.account == account and o.symbol == symbol]

    def executions(self, account: str) -> deque[Execution]:
        """Oldest first."""
        return self._executions[account]

    def executions_of(self, order: VenueOrder) -> list[Execution]:
        """Oldest first; quick for an order that has just traded."""
        found: list[Execution] = []
        missing = order.filled
        for execution in reversed(self._executions[order.account]):
            if not missing:
                break
            if execution.order_id == order.order_id:
                found.append(execution)
                missing -= execution.quantity
        return found[::-1]

    def _enroll(self, account: str) -> None:
        self._open[account] = {}
        self._executions[account] = deque(maxlen=HISTORY_MAX)

    def _record(self, account: str, request: Request, quantity: int, reserved: int, now_ns: int) -> VenueOrder:
        """A new order, under the next number. ``reserved``: what it has locked."""
        self._order_id += 1
        order = VenueOrder(
            order_id=self._order_id,
            account=account,
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=quantity,
            quote_quantity=request.quote_quantity,
            created=now_ns,
            updated=now_ns,
            reserved=reserved,
            stop_price=request.stop_price,
            trailing_bps=request.trailing_bps,
            display=request.display,
            prevention=request.prevention,
        )
        self._orders[order.order_id] = order
        self._open[account][order.order_id] = order
        self._by_client_id[account, order.symbol, order.client_order_id] = order
        return order

    def _shelve(self, order: VenueOrder) -> None:
        """It is closed. The oldest closed one may be forgotten for it."""
        del self._open[order.account][order.order_id]
        self._closed.append(order.order_id)
        if len(self._closed) > HISTORY_MAX:
            old = self._orders.pop(self._closed.popleft())
            key = (old.account, old.symbol, old.client_order_id)
            if self._by_client_id.get(key) is old:
                del self._by_client_id[key]
