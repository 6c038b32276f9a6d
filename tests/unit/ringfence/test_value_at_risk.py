"""Value at risk against the formula of matrices and against every corner of the ranges; hedges count as hedges."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm

from ringfence.execution.value_at_risk import SHORTFALL, UnknownRiskError, Z, expected_shortfall, value_at_risk
from ringfence.model.money import SCALE

VOLATILITIES = {"A": SCALE // 50, "B": SCALE // 50, "C": SCALE // 10}
WHOLE = 10_000 * SCALE


def alike(rho: int, symbols: str = "ABC") -> dict[str, dict[str, int]]:
    return {one: {other: rho for other in symbols if other != one} for one in symbols}


def at(**exposures: int) -> dict[str, tuple[int, int]]:
    """All held, nothing working."""
    return {symbol: (exposure, exposure) for symbol, exposure in exposures.items()}


def test_the_factors_are_those_of_the_normal_distribution() -> None:
    """The shortfall is the mean of the tail, integrated."""
    assert Z / SCALE == pytest.approx(norm.ppf(0.99), abs=1e-8)
    beyond = norm.expect(lambda x: x, lb=norm.ppf(0.99), conditional=True)
    assert SHORTFALL / SCALE == pytest.approx(beyond, abs=1e-7)


def test_of_one_instrument_it_is_its_own_on_either_side() -> None:
    whole = value_at_risk(at(A=WHOLE), VOLATILITIES, {})
    assert whole == value_at_risk(at(A=-WHOLE), VOLATILITIES, {}) == WHOLE // 50 * Z // SCALE
    assert value_at_risk({"A": (-WHOLE, WHOLE // 2)}, VOLATILITIES, {}) == whole


def test_the_same_twice_adds_up_and_against_itself_is_nothing() -> None:
    alone = value_at_risk(at(A=WHOLE), VOLATILITIES, {})
    assert value_at_risk(at(A=WHOLE, B=WHOLE), VOLATILITIES, alike(SCALE)) == 2 * alone
    assert value_at_risk(at(A=WHOLE, B=-WHOLE), VOLATILITIES, alike(SCALE)) == 0
    assert value_at_risk(at(A=WHOLE, B=WHOLE), VOLATILITIES, alike(-SCALE)) == 0
    assert value_at_risk(at(A=WHOLE, B=-WHOLE), VOLATILITIES, alike(SCALE + 1)) == 0, "rounded away from zero"


def test_an_order_for_a_hedge_adds_nothing_before_it_executes() -> None:
    """It may not, and then the risk is what it was; and a larger one than is needed is a risk of its own."""
    alone = value_at_risk(at(A=WHOLE), VOLATILITIES, {})
    for hedge in (WHOLE // 2, WHOLE):
        assert value_at_risk({"A": (WHOLE, WHOLE), "B": (-hedge, 0)}, VOLATILITIES, alike(SCALE * 9 // 10)) == alone
    assert value_at_risk({"A": (WHOLE, WHOLE), "B": (-2 * WHOLE, 0)}, VOLATILITIES, alike(SCALE * 9 // 10)) > alone


def test_nothing_is_no_risk_whatever_is_known() -> None:
    assert value_at_risk({}, {}, {}) == value_at_risk({"A": (0, 0), "X": (0, 0)}, {}, {}) == expected_shortfall(0) == 0


@pytest.mark.parametrize(
    ("held", "named"),
    [
        (at(A=WHOLE, X=1), "symbol=X"),
        (at(A=WHOLE, D=1), "symbol=D"),
        (at(A=WHOLE, B=WHOLE, C=0), "symbol=A with=B"),
    ],
)
def test_what_is_not_known_is_named(held: dict[str, Any], named: str) -> None:
    with pytest.raises(UnknownRiskError) as unknown:
        value_at_risk(held, VOLATILITIES | {"D": 0}, {"A": {"C": 0}})
    assert str(unknown.value) == named


amounts = st.integers(-(10**6), 10**6).map(lambda value: value * SCALE)
portfolios = st.lists(
    st.tuples(amounts, amounts, st.integers(1, SCALE // 2), st.lists(st.floats(-1, 1), min_size=3, max_size=3)),
    min_size=1,
    max_size=5,
)
"""Ends, volatility, and what the return is made of."""


@given(portfolios, st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_no_exposure_within_the_ranges_has_a_larger_one(portfolio: list[Any], where: list[float]) -> None:
    """By the quadratic form of the covariances: at any point, and at all corners. Exact for points and for two."""
    names = "ABCDE"[: len(portfolio)]
    made = np.array([parts for *_, parts in portfolio])
    assume(all(np.linalg.norm(made, axis=1) > 1e-3))
    made /= np.linalg.norm(made, axis=1)[:, None]
    rhos = made @ made.T
    sigmas = np.array([volatility / SCALE for _, _, volatility, _ in portfolio])
    covariance = rhos * np.outer(sigmas, sigmas)
    ends = [(min(a, b), max(a, b)) for a, b, *_ in portfolio]

    def exact(exposures: Any) -> float:
        x = np.array(exposures, dtype=float) / SCALE
        return float(norm.ppf(0.99)) * math.sqrt(max(0.0, float(x @ covariance @ x)))

    def found(ranges: list[tuple[int, int]]) -> float:
        volatilities = {name: volatility for name, (_, _, volatility, _) in zip(names, portfolio, strict=True)}
        correlations = {
            one: {other: round(rhos[i, j] * SCALE) for j, other in enumerate(names) if i != j}
            for i, one in enumerate(names)
        }
        worst = value_at_risk(dict(zip(names, ranges, strict=True)), volatilities, correlations)
        assert worst >= 0
        assert expected_shortfall(worst) >= worst
        return worst / SCALE

    size = sum(max(abs(low), abs(high)) / SCALE * sigma for (low, high), sigma in zip(ends, sigmas, strict=True))
    slack = 1e-3 * size + 1e-6  # of a hedge that is nearly perfect: the root of the rounding of correlations
    corners = [exact(corner) for corner in product(*ends)]
    point = [low + int((high - low) * share) for (low, high), share in zip(ends, where, strict=False)]
    worst = found(ends)
    assert worst >= max(*corners, exact(point)) - slack
    assert found([(x, x) for x in point]) == pytest.approx(exact(point), abs=slack)
    if len(ends) <= 2:
        assert worst == pytest.approx(max(corners), abs=slack)
