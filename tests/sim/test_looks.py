"""The simulation of looks says what the real analysis does, and that good candidates are left alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ringfence_operator.rollout import analysis, bounds
from ringfence_operator.rollout.analysis import Done
from ringfence_operator.rollout.evidence import EvaluationState, MetricSpec, Ratio, Reading, Sums, Verdict
from rolloutsim import looks

SPECS = {spec.name: spec for spec in looks.statistical()}
BAD = looks.Candidate("bad enough to fail often", 3.0, 1.8, burst=5, alike=2)
START = datetime(2026, 11, 1, tzinfo=UTC)


def reading(spec: MetricSpec, values: tuple[looks.Floats, ...], count: int, at: datetime) -> Reading:
    """What Prometheus would tell of the first so many samples."""
    first = [one[:count] for one in values]
    if isinstance(spec.rule, Ratio):
        return Reading(metric=spec.name, at=at, value=float(first[0].sum()), total=count, age_s=0)
    sums = [
        Sums(
            count=count,
            positive=float(one[one > 0].sum()),
            negative=float(-one[one < 0].sum()),
            squares=float((one * one).sum()),
        )
        for one in first
    ]
    return Reading(metric=spec.name, at=at, candidate=sums[0], stable=sums[1] if len(sums) > 1 else None, age_s=0)


def failed_at(spec: MetricSpec, values: tuple[looks.Floats, ...]) -> int | None:
    """After how many samples the real analysis fails the candidate; None: it does not."""
    least, state = spec.min_samples, EvaluationState(started=START)
    at_looks = [-(-least * look // bounds.LOOKS) for look in range(1, bounds.LOOKS + 1)]
    for number, count in enumerate([*at_looks, *range(least + 1, len(values[0]) + 1)], 1):
        done = min(1.0, number / bounds.LOOKS)
        told = reading(spec, values, count, START + timedelta(minutes=number))
        state = analysis.record([spec], state, [told], Done(done, done))
        if state.metric(spec.name).verdict is Verdict.FAILED:
            return count
    return None


@pytest.mark.parametrize("name", SPECS)
def test_the_simulation_fails_whom_the_analysis_fails(name: str) -> None:
    """Candidate by candidate, and at the same sample."""
    spec = SPECS[name]
    values = looks.drawn(spec, BAD, np.random.default_rng(3), (12, spec.min_samples + 30))
    at_looks, later = looks.crossings(spec, values)
    told = []
    for run in range(12):
        found = failed_at(spec, tuple(one[run] for one in values))
        told.append(found)
        assert bool(at_looks[run]) is (found is not None and found <= spec.min_samples)
        if not at_looks[run]:
            first = int(later[run].argmax()) + spec.min_samples + 1 if later[run].any() else None
            assert found == first
    assert any(found is not None for found in told), "nothing was compared"


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("candidate", looks.CANDIDATES[:2], ids=lambda one: one.name)
def test_a_good_candidate_fails_less_than_once_in_a_hundred(name: str, candidate: looks.Candidate) -> None:
    """At the looks and in a wait of ten stages together; also where rejects and episodes come in clusters."""
    found = looks.failures(SPECS[name], candidate, 500, seed=1)
    assert found.looks + found.after[-1] < 0.01


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if not isinstance(spec.rule, Ratio)])
def test_what_is_just_not_good_enough_seldom_fails_later_than_at_its_looks(name: str) -> None:
    """Waiting ten stages long with a look at each episode adds little to what three looks find."""
    found = looks.failures(SPECS[name], looks.CANDIDATES[-1], 500, seed=1)
    assert found.after[-1] < 0.03 < found.looks + found.after[-1] < 0.12
