"""What taking would cost: the walk of the book, and its price against the mid."""

import pytest

from ringfence.execution.slippage import Walk, slippage, walk
from ringfence.model.money import SCALE

ASKS = ((100 * SCALE, 5 * SCALE), (101 * SCALE, 5 * SCALE))
BIDS = ((98 * SCALE, 5 * SCALE), (97 * SCALE, 5 * SCALE))


def test_levels_are_taken_in_order() -> None:
    """To the last lot, and what is not there is said."""
    found = [walk(ASKS, quantity * SCALE, buying=True) for quantity in (1, 5, 6, 10, 11)]
    assert [one.last // SCALE for one in found] == [100, 100, 101, 101, 101]
    assert [one.unfilled // SCALE for one in found] == [0, 0, 0, 0, 1]
    assert walk((), SCALE, buying=True) == Walk(0, SCALE, 0, 0)


def test_it_stops_at_the_limit_price() -> None:
    """On either side."""
    assert walk(ASKS, 9 * SCALE, buying=True, limit=100 * SCALE).filled == 5 * SCALE
    assert walk(BIDS, 9 * SCALE, buying=False, limit=98 * SCALE).filled == 5 * SCALE
    assert walk(BIDS, 9 * SCALE, buying=False, limit=99 * SCALE).filled == 0


def test_cost_against_the_mid() -> None:
    """The mid is 99: 100 is 101.01 bps away, rounded up; a sale at 98 costs as much."""
    assert slippage(walk(ASKS, SCALE, buying=True), 98 * SCALE, 100 * SCALE, buying=True) == 10101010102
    assert slippage(walk(BIDS, SCALE, buying=False), 98 * SCALE, 100 * SCALE, buying=False) == 10101010102
    both = slippage(walk(ASKS, 10 * SCALE, buying=True), 98 * SCALE, 100 * SCALE, buying=True)
    assert both == 15151515152, "half at 100, half at 101"


def test_no_answer_is_not_no_cost() -> None:
    """Nothing taken, crossed or missing prices."""
    taken = walk(ASKS, SCALE, buying=True)
    with pytest.raises(ValueError, match="nothing is taken"):
        slippage(walk((), SCALE, buying=True), 98, 100, buying=True)
    for bid, ask in ((100, 100), (101, 100), (0, 100), (100, 0)):
        with pytest.raises(ValueError, match="no mid"):
            slippage(taken, bid, ask, buying=True)
