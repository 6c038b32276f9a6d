"""Correlations and volatilities of hourly returns: against other formulas, on common hours, unknown where there is
little."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.execution.correlation import HOUR_MS, LEAST, correlations, volatilities
from ringfence.model.money import SCALE


def walk(seed: int, hours: int, *, like: dict[int, int] | None = None, share: float = 0.0) -> dict[int, int]:
    """Hourly closes of a random walk, of whose returns a share is another's."""
    rng = Random(seed)
    price, found = 1000.0, {}
    for hour in range(hours):
        at = hour * HOUR_MS
        other = math.log(like[at] / like[at - HOUR_MS]) if like is not None and at - HOUR_MS in like else 0.0
        price *= math.exp(share * other + (1 - abs(share)) * rng.gauss(0, 0.01))
        found[at] = int(price * SCALE)
    return found


def pearson(one: dict[int, int], other: dict[int, int]) -> float:
    hours = [at for at in one if at - HOUR_MS in one and at in other and at - HOUR_MS in other]
    xs = [math.log(one[at] / one[at - HOUR_MS]) for at in hours]
    ys = [math.log(other[at] / other[at - HOUR_MS]) for at in hours]
    n = len(hours)
    covariance = sum(x * y for x, y in zip(xs, ys, strict=True)) / n - sum(xs) / n * sum(ys) / n
    return covariance / math.sqrt((sum(x * x for x in xs) / n - (sum(xs) / n) ** 2) *
                                  (sum(y * y for y in ys) / n - (sum(ys) / n) ** 2))  # fmt: skip


@given(st.integers(0, 50), st.floats(-1, 1), st.sets(st.integers(1, 99), max_size=30))
def test_it_is_pearsons_of_the_returns_over_common_hours(seed: int, share: float, missing: set[int]) -> None:
    """Symmetric, between -1 and 1; what one did not trade in is left out of both."""
    one = walk(seed, 100)
    whole = walk(seed + 1000, 100, like=one, share=share)
    other = {at: price for at, price in whole.items() if at // HOUR_MS not in missing}
    found = correlations({"A": one, "B": other})
    assert found["A"]["B"] == found["B"]["A"]
    assert abs(found["A"]["B"]) <= SCALE + 1
    assert found["A"]["B"] / SCALE == pytest.approx(pearson(one, other), abs=1e-6)


def test_the_same_market_is_one_and_its_inverse_minus_one() -> None:
    one = walk(7, 50)
    inverse = {at: SCALE * SCALE // price * 1000 for at, price in one.items()}
    found = correlations({"A": one, "B": {at: 3 * price for at, price in one.items()}, "C": inverse})
    assert found["A"]["B"] == pytest.approx(SCALE, rel=1e-6)
    assert found["A"]["C"] == pytest.approx(-SCALE, rel=1e-3)


@pytest.mark.parametrize(("hours", "known"), [(LEAST, False), (LEAST + 1, True)])
def test_too_few_returns_in_common_are_not_known(hours: int, known: bool) -> None:
    assert ("B" in correlations({"A": walk(1, 100), "B": walk(2, hours)})["A"]) is known
    assert ("B" in volatilities({"B": walk(2, hours)})) is known


def test_a_price_that_stands_still_or_is_none_is_not_known() -> None:
    still = dict.fromkeys(walk(1, 100), SCALE)
    assert correlations({"A": walk(1, 100), "B": still, "C": dict.fromkeys(still, 0)}) == {"A": {}, "B": {}, "C": {}}
    assert correlations({}) == {}
    assert volatilities({"B": still, "C": dict.fromkeys(still, 0)}) == {}


def test_volatility_is_a_days_from_the_hours_that_follow_each_other() -> None:
    """With Bessel's correction; an hour that is missing takes both returns beside it away."""
    closes = walk(3, 100)
    del closes[50 * HOUR_MS]
    hourly = np.diff(np.log([closes.get(hour * HOUR_MS, np.nan) for hour in range(100)]))
    daily = np.nanstd(hourly, ddof=1) * math.sqrt(24)
    assert volatilities({"A": closes})["A"] == pytest.approx(daily * SCALE, abs=2)
