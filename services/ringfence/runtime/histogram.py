"""Durations as plain integers, exported as a Prometheus histogram at scrape time."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily

PATH_US: Final = (10, 20, 50, 75, 100, 150, 200, 300, 450, 700, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000)
"""Bounds for the path of an order, microseconds."""


class Histogram:
    """Counts by upper bound, in nanoseconds."""

    __slots__ = ("_bounds_ns", "counts", "sum_ns")

    def __init__(self, bounds_us: Sequence[int] = PATH_US) -> None:
        self._bounds_ns = [us * 1_000 for us in bounds_us]
        self.counts = [0] * (len(bounds_us) + 1)
        self.sum_ns = 0

    def observe(self, ns: int) -> None:
        self.counts[bisect_left(self._bounds_ns, ns)] += 1
        self.sum_ns += ns

    def family(
        self, name: str, documentation: str, labels: Mapping[str, str] = MappingProxyType({})
    ) -> HistogramMetricFamily:
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound_ns, count in zip((*self._bounds_ns, None), self.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound_ns is None else str(bound_ns / 1e9), float(total)))
        family = HistogramMetricFamily(name, documentation, labels=[*labels])
        family.add_metric([*labels.values()], buckets, self.sum_ns / 1e9)
        return family
