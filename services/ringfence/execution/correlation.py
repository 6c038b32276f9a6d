"""How much instruments have moved, and how alike: volatilities and correlations of hourly returns. Pure; too slow for
the order path.

Only returns over the same hours are compared: an hour that one of them did not trade in says nothing of both.
"""

import math
import statistics
from collections.abc import Mapping
from itertools import combinations
from typing import Final

from ringfence.model.money import SCALE

HOUR_MS: Final = 3_600_000
LEAST: Final = 20
"""Returns, of a pair in common, below which nothing is known (F17)."""


def volatilities(closes: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """Standard deviations of a day's returns, scaled by 1e-8, rounded up; unknown ones are left out, as are those of
    prices that did not move at all. ``closes``: as of `correlations`."""
    returns = {symbol: list(_returns(found).values()) for symbol, found in closes.items()}
    days = {s: statistics.stdev(found) * math.sqrt(24) for s, found in returns.items() if len(found) >= LEAST}
    return {symbol: math.ceil(day * SCALE) for symbol, day in days.items() if day > 0}


def correlations(closes: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """Of each instrument with each other, scaled by 1e-8, rounded away from zero; unknown pairs are left out.

    ``closes``: by symbol, the price at the end of each hour, by the milliseconds at which the hour began.
    """
    returns = {symbol: _returns(found) for symbol, found in closes.items()}
    found: dict[str, dict[str, int]] = {symbol: {} for symbol in closes}
    for one, other in combinations(returns, 2):
        common = sorted(returns[one].keys() & returns[other].keys())
        if len(common) < LEAST:
            continue
        try:
            rho = statistics.correlation([returns[one][at] for at in common], [returns[other][at] for at in common])
        except statistics.StatisticsError:
            continue  # one of them did not move at all
        found[one][other] = found[other][one] = int(math.copysign(math.ceil(abs(rho) * SCALE), rho))
    return found


def _returns(closes: Mapping[int, int]) -> dict[int, float]:
    """Logarithmic, by the hour; none where the hour before is missing."""
    return {
        at: math.log(price / before)
        for at, price in closes.items()
        if price > 0 and (before := closes.get(at - HOUR_MS, 0)) > 0
    }
