"""A few of the thousand rollouts of `make sim`: whatever goes wrong, each step was earned and each ends at rest."""

import pytest

from rolloutsim.run import run

SEEDS = range(1, 31)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rollout_with_faults_breaks_no_rule(seed: int) -> None:
    """Prometheus away or lying, crashes at every await, edits, stops, wrong clocks, refusals; the seed says which."""
    assert run(seed).wrong == ()


def test_the_same_seed_is_the_same_rollout() -> None:
    """A seed that failed can be repeated."""
    assert run(3) == run(3)
