"""What a day may cost at the exposures that there may be. Pure; normal returns without a mean (F12, F15)."""

import math
from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist
from typing import Final

from ringfence.model.money import SCALE

CONFIDENCE: Final = 0.99
Z: Final = math.ceil(NormalDist().inv_cdf(CONFIDENCE) * SCALE)
"""Standard deviations that are not lost with this confidence: 2.3263, scaled."""
SHORTFALL: Final = math.ceil(NormalDist().pdf(Z / SCALE) / (1 - CONFIDENCE) * SCALE)
"""Standard deviations that are lost on the mean of the days that are worse: 2.6652, scaled."""

Range = tuple[int, int]
"""The lowest and the highest exposure that there may be: value, negative if short."""


class UnknownRiskError(Exception):
    """Names the instrument, or the pair, of whose past too little is known."""


def value_at_risk(
    ranges: Mapping[str, Range], volatilities: Mapping[str, int], correlations: Mapping[str, Mapping[str, int]]
) -> int:
    """The largest of all exposures within the ranges, by symbol; never negative. Raises UnknownRiskError.

    ``volatilities``: of a day's returns. A 0, and what is missing, is not known.

    Where an order may execute or not, the variance is bounded from above, pair by pair: each pair has its part of the
    variances of its two, and their covariance, at those ends of the ranges where both together are worst. That is
    exact for one and two instruments, and wherever nothing is working; what is held as a hedge counts as one.
    """
    held = {symbol: ends for symbol, ends in ranges.items() if ends != (0, 0)}
    for symbol in held:
        if not volatilities.get(symbol):
            raise UnknownRiskError(f"symbol={symbol}")
    moves = {symbol: (low * volatilities[symbol], high * volatilities[symbol]) for symbol, (low, high) in held.items()}
    if len(moves) < 2:
        variance = max((move * move for ends in moves.values() for move in ends), default=0)
    else:
        others = len(moves) - 1  # the pairs that an instrument's own variance is divided among
        total = 0
        for (one, its), (other, theirs) in combinations(moves.items(), 2):
            rho = correlations.get(one, {}).get(other)
            if rho is None:
                raise UnknownRiskError(f"symbol={one} with={other}")
            total += max((x * x + y * y) * SCALE + 2 * others * rho * x * y for x in its for y in theirs)
        variance = max(0, total) // (others * SCALE)
    return -(-math.isqrt(variance) * Z // (SCALE * SCALE))


def expected_shortfall(value_at_risk: int) -> int:
    """The mean of the losses beyond a value at risk."""
    return -(-value_at_risk * SHORTFALL // Z)
