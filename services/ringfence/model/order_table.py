"""Orders of one owner as folded from their events, with a bound on what is kept."""

from collections import OrderedDict

import msgspec

from ringfence.model.orders import FillBusted, FillCorrected, Filled, Initialized, Order, OrderEvent, OrderState

CLOSED_KEPT = 20_000
"""Closed orders remembered for late fills, as many as a gate remembers."""


class Applied(msgspec.Struct, frozen=True):
    """What one event did."""

    order: Order | None
    """None if the event names an order that was never initialized here: then nothing is known of it."""
    fill: Filled | None
    """The execution as it stands now, if the event was one that was not seen before, or has corrected one."""
    undone: Filled | None
    """The execution as it stood before, if the event has corrected or busted it."""
    before: OrderState | None
    """State before the event; None for a new order."""
    anomaly: str | None


def fold(order: Order, event: OrderEvent) -> tuple[Filled | None, Filled | None, str | None]:
    """Fold one event: the execution that now counts, the one that no longer does, and what was irregular."""
    if not isinstance(event, Filled | FillBusted | FillCorrected):
        return None, None, order.apply(event)
    was = order.fills.get(event.trade_id)
    anomaly = order.apply(event)
    stands = order.fills.get(event.trade_id)
    return (None, None, anomaly) if stands is was else (stands, was, anomaly)


class OrderTable:
    """Every open order, and the last closed ones."""

    def __init__(self, closed_kept: int = CLOSED_KEPT) -> None:
        self.open: dict[str, Order] = {}
        self.closed: OrderedDict[str, Order] = OrderedDict()
        self._closed_kept = closed_kept

    def apply(self, event: OrderEvent) -> Applied:
        """Fold one event."""
        client_id = event.client_order_id
        order = self.open.get(client_id) or self.closed.get(client_id)
        if order is None:
            if not isinstance(event, Initialized):
                return Applied(None, None, None, None, f"UNKNOWN_ORDER client_order_id={client_id}")
            order = self.open[client_id] = Order(event)
            return Applied(order, None, None, None, None)
        before = order.state
        fill, undone, anomaly = fold(order, event)
        self._file(order)
        return Applied(order, fill, undone, before, anomaly)

    def _file(self, order: Order) -> None:
        if order.closed:
            self.open.pop(order.client_order_id, None)
            self.closed[order.client_order_id] = order
            if len(self.closed) > self._closed_kept:
                self.closed.popitem(last=False)
