"""The optimistic bound of a queue position, beside the engine's risk-averse one. Pure; decides no fill.

The engine lets cancels of others count as behind an order while they can. Here they count as spread evenly over the
queue, so that a part of each was ahead. What a real queue would have filled lies between the two; both are
reported, and a result that only holds for one of them is none.
"""

import msgspec

from ringfence.model.orders import Side

_Place = tuple[Side, int]


class _Bound(msgspec.Struct, kw_only=True, gc=False, eq=False):
    place: _Place
    ahead: int
    leaves: int
    optimistic: int = 0
    actual: int = 0


class QueueBounds:
    """Sums over all orders that ever rested in one instrument, base asset scaled by 1e-8."""

    __slots__ = ("_at", "_bounds", "_traded", "filled", "filled_optimistic", "orders", "quantity")

    def __init__(self) -> None:
        self.orders = 0
        self.quantity = 0
        """What rested."""
        self.filled = 0
        self.filled_optimistic = 0
        self._bounds: dict[int, _Bound] = {}
        self._at: dict[_Place, list[_Bound]] = {}
        self._traded: dict[_Place, int] = {}
        """Since the market last changed the level: the change that follows a trade is no cancel."""

    def rested(self, order_id: int, side: Side, price: int, leaves: int, ahead: int) -> None:
        bound = _Bound(place=(side, price), ahead=ahead, leaves=leaves)
        self.orders += 1
        self.quantity += leaves
        self._bounds[order_id] = bound
        self._at.setdefault(bound.place, []).append(bound)

    def filled_by(self, order_id: int, quantity: int) -> None:
        """A fill that the engine has made: the optimistic bound is never behind it."""
        bound = self._bounds[order_id]
        bound.actual += quantity
        self.filled += quantity
        self._fill(bound, bound.actual - bound.optimistic)

    def gone(self, order_id: int) -> None:
        """It no longer rests."""
        bound = self._bounds.pop(order_id)
        others = self._at[bound.place]
        others.remove(bound)
        if not others:
            del self._at[bound.place]
            self._traded.pop(bound.place, None)

    def printed(self, side: Side, price: int, quantity: int) -> None:
        """Others traded with this side at a price; what rests at better ones was passed."""
        if not self._at:
            return
        for (resting, at), bounds in self._at.items():
            if resting is not side or (at - price) * side.sign < 0:
                continue
            passed = at != price
            for bound in bounds:
                step = bound.ahead if passed else min(bound.ahead, quantity)
                bound.ahead -= step
                self._fill(bound, bound.leaves if passed else quantity - step)
        if (side, price) in self._at:
            self._traded[side, price] = self._traded.get((side, price), 0) + quantity

    def changed(self, side: Side, price: int, before: int, after: int) -> None:
        """The market's own quantity at a price has changed."""
        bounds = self._at.get((side, price))
        if bounds is None:
            return
        canceled = before - after - self._traded.pop((side, price), 0)
        for bound in bounds:
            if canceled > 0:
                bound.ahead -= bound.ahead * canceled // before
            bound.ahead = min(bound.ahead, after)

    def _fill(self, bound: _Bound, quantity: int) -> None:
        step = min(bound.leaves, max(0, quantity))
        bound.leaves -= step
        bound.optimistic += step
        self.filled_optimistic += step
