"""``python -m rolloutsim.looks``: how often a candidate fails that is good, and one that is just not, by simulation.

A stage looks three times and then, while orders or an approval are waited for, at every measurement (see
`ringfence_operator.rollout.analysis`). Here many candidates go through both: the share that fails at the looks, and the
share of all that fails later, while the stage waits for 1, 3 and 10 times as long as it took. There is a measurement
at each new sample, which is as often as anything can change; the stage ends with no more than the least sample, where
a bound is weakest. Vectorised; a test holds it to the real analysis, measurement by measurement.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from ringfence_operator.rollout import analysis, bounds
from ringfence_operator.rollout.evidence import MeanWithin, MetricSpec, NonInferior, Ratio
from ringfence_operator.rollout.library import LIBRARY

WAITS: Final = (1, 3, 10)
"""How much longer than the stage it waits."""
CHUNK: Final = 1_000
"""Candidates at once."""
TAILS: Final = 3.0
"""Degrees of freedom of Student's t that values are drawn from: returns have fat tails."""
SPREAD: Final = {
    "arrival-slippage": 3.5,
    "markout-10s": 3.5,
    "live-minus-simulated": 3.0,
    "live-minus-simulated-fills": 0.4,
}
"""Standard deviation of an episode: basis points, as the recorded market moves in ten seconds; share of an order."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """How bad it is, as a share of what is allowed: at 1 it is as bad as may just not be."""

    name: str
    share: float
    """Of rejects that are allowed."""
    worse: float
    """Of the margin, or of the range around 0."""
    burst: int = 1
    """So many orders in a row are rejected together."""
    alike: int = 1
    """So many episodes in a row come out the same, as within one move of the market."""


CANDIDATES: Final = (
    Candidate("as good as stable", 0.5, 0.0),
    Candidate("as good, clustered", 0.5, 0.0, burst=5, alike=2),
    Candidate("half as bad as allowed", 0.5, 0.5),
    Candidate("just not good enough", 1.0, 1.0),
)


@dataclass(frozen=True, slots=True)
class Failed:
    """Shares of all candidates."""

    looks: float
    after: tuple[float, ...]
    """Later, by `WAITS`."""


def failures(spec: MetricSpec, candidate: Candidate, runs: int, seed: int) -> Failed:
    """The shares that fail, of so many candidates."""
    rng = np.random.default_rng(seed)  # sim-ok: the seed of a simulation, an argument
    looks, after = 0, [0] * len(WAITS)
    for first in range(0, runs, CHUNK):
        count = min(CHUNK, runs - first)
        samples = spec.min_samples * (1 + WAITS[-1])
        at_looks, later = crossings(spec, drawn(spec, candidate, rng, (count, samples)))
        looks += int(at_looks.sum())
        for number, wait in enumerate(WAITS):
            after[number] += int((~at_looks & later[:, : spec.min_samples * wait].any(axis=1)).sum())
    return Failed(looks / runs, tuple(one / runs for one in after))


def drawn(
    spec: MetricSpec, candidate: Candidate, rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[Floats, ...]:
    """Samples of the candidate, and of stable where it is compared: rows are candidates."""
    runs, samples = shape

    def repeated(values: Floats, times: int) -> Floats:
        return np.repeat(values, times, axis=1)[:, :samples]

    def fat() -> Floats:
        size = SPREAD[spec.name] / sqrt(TAILS / (TAILS - 2))
        return repeated(rng.standard_t(TAILS, (runs, -(-samples // candidate.alike))) * size, candidate.alike)

    match spec.rule:
        case Ratio(high):
            rejected = rng.random((runs, -(-samples // candidate.burst))) < high * candidate.share
            return (repeated(rejected.astype(np.float64), candidate.burst),)
        case NonInferior(margin, higher_is_worse):
            worse = margin * candidate.worse * (1 if higher_is_worse else -1)
            return fat() + worse, fat()
        case MeanWithin(_, high):
            return (fat() + (high or 0.0) * candidate.worse,)
    raise ValueError(f"{spec.name} is judged at each measurement, not at looks")


def crossings(spec: MetricSpec, values: tuple[Floats, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each candidate fails at one of the looks; and at which of the samples after them."""
    least = spec.min_samples
    at = [-(-least * look // bounds.LOOKS) for look in range(1, bounds.LOOKS + 1)]
    sums = tuple((np.cumsum(one, axis=1), np.cumsum(one * one, axis=1)) for one in values)
    failed = np.zeros(len(values[0]), dtype=np.bool_)
    for look, count in enumerate(at, 1):
        found = tuple((s[:, count - 1 : count], q[:, count - 1 : count]) for s, q in sums)
        failed |= _worse(spec, found, np.array([count], dtype=np.float64), bounds.tail(look))[:, 0]
    later = tuple((s[:, least:], q[:, least:]) for s, q in sums)
    counts = np.arange(least + 1, values[0].shape[1] + 1, dtype=np.float64)
    return failed, _worse(spec, later, counts, bounds.tail(1))


def _worse(
    spec: MetricSpec, sums: tuple[tuple[Floats, Floats], ...], counts: Floats, level: float
) -> NDArray[np.bool_]:
    """Where the whole interval is outside of what is allowed. ``counts``: samples so far, by column."""
    if isinstance(spec.rule, Ratio):
        events, total = sums[0][0] / analysis.BURST, counts / analysis.BURST
        lower = np.zeros_like(events)
        some = events / total > spec.rule.high  # the bound is below the share itself
        lower[some] = stats.beta.ppf(level, events[some], (total - events + 1)[some])
        return np.asarray(lower > spec.rule.high)
    means = [total / counts for total, _ in sums]
    errors = [np.maximum(0.0, squares - total * total / counts) / (counts - 1) / counts for total, squares in sums]
    error2 = sum(errors)
    own = sum(error * error for error in errors) / (counts - 1)
    freedom = np.divide(error2 * error2, own, out=np.full_like(own, np.inf), where=own > 0)
    outside = _outside(spec, means[0] - means[1] if len(means) > 1 else means[0])
    error = np.sqrt(error2)
    worse = np.asarray(outside > stats.norm.isf(level) * error)  # Student's bound is further out
    worse[worse] = outside[worse] > stats.t.isf(level, freedom[worse]) * error[worse]
    return worse


def _outside(spec: MetricSpec, centre: Floats) -> Floats:
    """How far a value is beyond what is allowed; negative within."""
    match spec.rule:
        case NonInferior(margin, higher_is_worse):
            return (centre if higher_is_worse else -centre) - margin
        case MeanWithin(low, high):
            return np.maximum(centre - (np.inf if high is None else high), (-np.inf if low is None else low) - centre)
    raise ValueError(f"{spec.name} has no mean")


def statistical() -> Iterator[MetricSpec]:
    """The library's metrics that are judged at looks."""
    yield from (spec for spec in LIBRARY.values() if spec.statistical)


def main() -> int:
    parser = argparse.ArgumentParser(prog="rolloutsim.looks", description=__doc__)
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    waits = "".join(f"{f'+{wait}x':>8}" for wait in WAITS)
    print(f"failed, % of {chosen.runs} candidates; after the looks: while waiting so many times as long as the stage")
    for candidate in CANDIDATES:
        print(f"\n{candidate.name:<34}{'looks':>8}{waits}")
        for spec in statistical():
            found = failures(spec, candidate, chosen.runs, chosen.seed)
            shares = "".join(f"{100 * share:>8.2f}" for share in (found.looks, *found.after))
            print(f"  {spec.name:<32}{shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
