"""What taking from a book would cost, before it is done (F1). Pure.

A book that does not reach is said to be insufficient: what lies beyond the levels that we see is unknown, not free.
"""

from typing import Final, NamedTuple

from ringfence.model.money import BPS, SCALE
from ringfence.wire.messages import Level

_BPS_SCALE: Final = SCALE * BPS


class Walk(NamedTuple):
    """What an order would take. Quantities and prices scaled by 1e-8."""

    filled: int
    unfilled: int
    cost: int
    """Sum of price times quantity, scaled twice."""
    last: int
    """Price of the last level that it reaches; 0 = it takes nothing."""


def walk(levels: tuple[Level, ...], quantity: int, *, buying: bool, limit: int = 0) -> Walk:
    """Take ``quantity`` from the opposite levels, best first, up to the ``limit`` price; 0 = any price."""
    left = quantity
    cost = last = 0
    for price, available in levels:
        if left <= 0 or (limit and (price > limit if buying else price < limit)):
            break
        taken = min(available, left)
        left -= taken
        cost += price * taken
        last = price
    return Walk(quantity - left, left, cost, last)


def slippage(found: Walk, bid: int, ask: int, *, buying: bool) -> int:
    """Average price of what is taken against the mid at the decision: basis points scaled by 1e-8, rounded up.

    Positive = a cost. Raises ValueError where nothing is taken or the best prices are crossed: that has no slippage,
    and must not look like none.
    """
    if found.filled <= 0:
        raise ValueError("nothing is taken, so it has no average price")
    if not 0 < bid < ask:
        raise ValueError("best prices that are crossed or missing have no mid")
    middle = (bid + ask) * found.filled  # twice the mid's value
    lost = 2 * found.cost - middle if buying else middle - 2 * found.cost
    return -(-lost * _BPS_SCALE // middle)
