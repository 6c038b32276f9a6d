"""The bounds, against scipy; and what they promise, by simulation with fixed seeds."""

from math import sqrt
from random import Random

import pytest
from scipy import stats

from ringfence_operator.rollout import bounds


@pytest.mark.parametrize("freedom", [1, 2, 5.5, 59, 300, 1e5])
@pytest.mark.parametrize("chance", [0.0015, 0.05, 0.3, 0.5, 0.95, 0.9985])
def test_student_as_scipy(chance: float, freedom: float) -> None:
    """To eight digits, from one degree of freedom to many."""
    assert bounds.student_quantile(chance, freedom) == pytest.approx(stats.t.ppf(chance, freedom), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("b", [0.5, 2, 30, 1e4])
@pytest.mark.parametrize("a", [0.5, 1, 3, 400, 1e5])
@pytest.mark.parametrize("x", [0.0, 0.001, 0.1, 0.5, 0.97, 1.0])
def test_beta_as_scipy(x: float, a: float, b: float) -> None:
    """Also far out, where one of the two sides is tiny."""
    assert bounds.beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-12)


@pytest.mark.parametrize(("events", "total"), [(0, 1), (0, 299), (1, 300), (5, 600), (50, 1e5), (7, 7)])
def test_clopper_pearson_as_scipy(events: int, total: float) -> None:
    """scipy's interval is two-sided: ours at 5 % each side is its 90 %."""
    found = bounds.clopper_pearson(events, total, 0.05)
    exact = stats.binomtest(events, int(total)).proportion_ci(0.90, method="exact")
    assert (found.lower, found.upper) == pytest.approx((exact.low, exact.high), rel=1e-8, abs=1e-12)


def test_299_orders_without_a_reject_bound_the_share_by_one_percent() -> None:
    """The least sample of the library's metric of refused orders."""
    assert bounds.clopper_pearson(0, 299, 0.05).upper < 0.01 < bounds.clopper_pearson(0, 298, 0.05).upper


def test_welch_as_scipy() -> None:
    """The bound excludes a difference exactly where the one-sided test rejects it."""
    random = Random(7)
    one, other = [random.gauss(0.3, 2) for _ in range(40)], [random.gauss(0, 5) for _ in range(90)]
    means = [bounds.mean(len(v), sum(v), sum(x * x for x in v)) for v in (one, other)]
    upper = bounds.difference_interval(*means, 0.05).upper
    shifted = stats.ttest_ind([value - upper for value in one], other, equal_var=False, alternative="less")
    assert shifted.pvalue == pytest.approx(0.05, rel=1e-6)
    alone = stats.t.interval(0.90, len(one) - 1, sum(one) / len(one), stats.sem(one))
    assert tuple(bounds.mean_interval(means[0], 0.05)) == pytest.approx(alone, rel=1e-9)


def test_three_looks_spend_five_percent() -> None:
    """The constant, by the joint distribution of the three statistics."""
    at = [bounds.OBRIEN_FLEMING * sqrt(bounds.LOOKS / look) for look in (1, 2, 3)]
    joint = [[sqrt(min(i, j) / max(i, j)) for j in (1, 2, 3)] for i in (1, 2, 3)]
    crossing = 1 - stats.multivariate_normal.cdf(at, mean=[0, 0, 0], cov=joint, abseps=1e-7, releps=1e-7)
    assert 0.0495 < crossing <= 0.05
    assert [round(bounds.tail(look), 4) for look in (1, 2, 3)] == [0.0015, 0.0181, 0.0436]


def test_equal_values_have_no_spread() -> None:
    """Rounding never makes a variance negative."""
    found = bounds.mean(3, 0.3, 0.03)
    assert found.error2 == pytest.approx(0)
    assert bounds.difference_interval(found, found, 0.05) == pytest.approx((0, 0), abs=1e-6)
