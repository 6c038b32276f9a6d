"""Whether memory stays: how much each process holds after how many orders, beside what it means to remember. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MOMENTS: Final = 7
SLACK_MB: Final = 10.0
"""Beyond what is remembered: tables that double, buffers, whatever the allocator keeps."""


class Stage(NamedTuple):
    """Up to so many orders since a process began, each adds so much."""

    orders: int
    kb: float


REMEMBERED: Final[Mapping[str, tuple[Stage, ...]]] = {
    # 20,000 closed orders; then the ids of the last 100,000 intents of each track, and 50,000 executions
    "execution": (Stage(20_000, 2.5), Stage(100_000, 0.4)),
    "strategy": (Stage(20_000, 2.0),),
    "portfolio": (Stage(20_000, 2.0),),
    "simulator": (Stage(60_000, 2.5),),
}
"""What is not named remembers nothing of an order."""


class Sample(NamedTuple):
    orders: int
    """Since the process began."""
    mb: float


class Memory:
    """Samples of all processes of a run."""

    def __init__(self) -> None:
        self.samples: dict[str, list[Sample]] = {}
        self._before: dict[str, int] = {}

    def began(self, process: str, orders: int) -> None:
        """A process has been started again, after so many orders of the run."""
        self.samples.pop(process, None)
        self._before[process] = orders

    def sample(self, orders: int, mb: Mapping[str, float]) -> None:
        """Resident megabytes by process, after so many orders of the run."""
        for process, held in mb.items():
            self.samples.setdefault(process, []).append(Sample(orders - self._before.get(process, 0), held))

    def grown(self) -> list[str]:
        """A sentence for each process that has grown by more than it remembers."""
        return [told for process, samples in self.samples.items() if (told := _grown(process, samples))]


def explained_mb(process: str, first: int, last: int) -> float:
    """What this many orders since its beginning may add, between ``first`` and ``last`` of them."""
    total, begin = 0.0, 0
    for stage in REMEMBERED.get(process, ()):
        total += max(0, min(last, stage.orders) - max(first, begin)) * stage.kb / 1e3
        begin = stage.orders
    return total


def moments(samples: Sequence[Sample]) -> list[Sample]:
    """Some of them, spread evenly, with the first and the last."""
    steps = min(MOMENTS, len(samples)) - 1
    return [samples[round(step * (len(samples) - 1) / max(1, steps))] for step in range(steps + 1)]


def _grown(process: str, samples: Sequence[Sample]) -> str:
    """From the start, and once more from where nothing is added any more: a slow leak shows there alone."""
    full = max((stage.orders for stage in REMEMBERED.get(process, ())), default=0)
    last = samples[-1]
    for first in (samples[0], next((one for one in samples if one.orders >= full), last)):
        explained = explained_mb(process, first.orders, last.orders)
        if last.mb - first.mb > explained + SLACK_MB:
            return (
                f"{process} grew by {last.mb - first.mb:.1f} MB from order {first.orders:,} to {last.orders:,}, "
                f"of which what it remembers explains {explained:.1f}"
            )
    return ""
