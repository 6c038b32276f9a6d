"""Confidence bounds, and the three fixed looks at them. Pure; standard library only, checked against scipy in tests.

A bound says how bad it may still be, given how little was seen; a test that finds no difference says nothing.
"""

from collections.abc import Callable
from math import exp, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

LEVEL: Final = 0.05
"""One-sided: a candidate that is worse by exactly the margin passes with at most this chance."""
LOOKS: Final = 3
OBRIEN_FLEMING: Final = 1.710
"""One-sided 5 % over three equal looks: the k-th look takes 1.710 * sqrt(3 / k) standard errors."""
_EPSILON: Final = 3e-16
_TINY: Final = 1e-300


class Interval(NamedTuple):
    lower: float
    upper: float


def tail(look: int) -> float:
    """One-sided chance that look 1, 2 or 3 spends: 0.15 %, 1.8 % and 4.4 %."""
    return NormalDist().cdf(-OBRIEN_FLEMING * sqrt(LOOKS / look))


def clopper_pearson(events: float, total: float, level: float) -> Interval:
    """Exact bounds of a share, each one-sided at ``level``. 0 <= events <= total, total > 0; counts may be fractions,
    as Prometheus extrapolates them."""
    lower = 0.0 if events <= 0 else beta_quantile(level, events, total - events + 1)
    upper = 1.0 if events >= total else beta_quantile(1 - level, events + 1, total - events)
    return Interval(lower, upper)


class Mean(NamedTuple):
    """Mean of independent values, and its squared standard error."""

    size: float
    mean: float
    error2: float


def mean(count: float, total: float, squares: float) -> Mean:
    """Of sums over at least two values."""
    centre = total / count
    variance = max(0.0, (squares - count * centre * centre) / (count - 1))
    return Mean(count, centre, variance / count)


def mean_interval(found: Mean, level: float) -> Interval:
    """Student's bounds of a mean, each one-sided at ``level``."""
    reach = student_quantile(1 - level, found.size - 1) * sqrt(found.error2)
    return Interval(found.mean - reach, found.mean + reach)


def difference_interval(candidate: Mean, stable: Mean, level: float) -> Interval:
    """Welch's bounds of candidate minus stable, each one-sided at ``level``: spreads may differ."""
    error2 = candidate.error2 + stable.error2
    freedom = inf
    if error2 > 0:
        spread = candidate.error2**2 / (candidate.size - 1) + stable.error2**2 / (stable.size - 1)
        freedom = error2**2 / spread if spread > 0 else inf
    reach = student_quantile(1 - level, freedom) * sqrt(error2)
    centre = candidate.mean - stable.mean
    return Interval(centre - reach, centre + reach)


def student_quantile(chance: float, freedom: float) -> float:
    """Of Student's t. 0 < chance < 1, freedom > 0."""
    if freedom > 1e7:
        return NormalDist().inv_cdf(chance)
    if chance == 0.5:
        return 0.0
    tail_chance = min(chance, 1 - chance)
    x = beta_quantile(2 * tail_chance, freedom / 2, 0.5)
    size = sqrt(freedom * (1 - x) / x) if x > 0 else inf
    return size if chance > 0.5 else -size


def beta_quantile(chance: float, a: float, b: float) -> float:
    """Where the regularized incomplete beta function reaches ``chance``."""
    return _bisect(lambda x: beta_cdf(x, a, b) < chance)


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if below(middle):
            low = middle
        else:
            high = middle


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's method; converges in some sqrt(max(a, b)) steps on this side of the mean."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 10_000):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + factor * d)
            c = _away(1 + factor / c)
            found *= c * d
        if abs(c * d - 1) < _EPSILON * 10:
            break
    return found


def _away(value: float) -> float:
    """Away from a division by zero."""
    return value if abs(value) > _TINY else _TINY
