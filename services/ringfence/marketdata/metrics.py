"""What the service exports, computed at scrape time from plain integers."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ringfence.marketdata.sync import MarketSync

_BOUNDS_NS: Final = tuple(
    us * 1_000 for us in (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
)
_COUNTERS: Final = (
    ("gaps", "Holes in the venue's update ids; each makes the book unusable until it is rebuilt"),
    ("resyncs", "Times that a book in sync was given up"),
    ("crossings", "Books found crossed"),
    ("agreements", "Books whose best prices were those of the best quote of the same update"),
    ("disagreements", "Books whose best prices were not those of the best quote of the same update"),
    ("snapshots", "Snapshots taken in"),
)


class Histogram:
    """Durations in nanoseconds, by a bisected list of bounds."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0

    def observe(self, ns: int) -> None:
        self.counts[bisect_left(_BOUNDS_NS, ns)] += 1
        self.sum_ns += ns

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound_ns, count in zip((*_BOUNDS_NS, None), self.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound_ns is None else str(bound_ns / 1e9), float(total)))
        family = HistogramMetricFamily(name, documentation)
        family.add_metric([], buckets, self.sum_ns / 1e9)
        return family


def families(sync: MarketSync, handled: Histogram, now_ns: int) -> Iterable[Metric]:
    """Metrics of all symbols."""
    messages = CounterMetricFamily(
        "ringfence_marketdata_messages", "Messages of the venue by kind", labels=["symbol", "kind"]
    )
    usable = GaugeMetricFamily(
        "ringfence_marketdata_usable", "1 while the data may be traded on, else 0", labels=["symbol"]
    )
    age = GaugeMetricFamily(
        "ringfence_marketdata_book_age_seconds",
        "Time since the last update of a book in sync; absent while it is not",
        labels=["symbol"],
    )
    levels = GaugeMetricFamily("ringfence_marketdata_book_levels", "Levels of both sides", labels=["symbol"])
    counters = [
        CounterMetricFamily(f"ringfence_marketdata_{name}", text, labels=["symbol"]) for name, text in _COUNTERS
    ]
    for symbol, one in sync.symbols.items():
        for kind in ("diffs", "quotes", "trades"):
            messages.add_metric([symbol, kind], getattr(one.metrics, kind))
        for (name, _), family in zip(_COUNTERS, counters, strict=True):
            family.add_metric([symbol], getattr(one.metrics, name))
        usable.add_metric([symbol], 0 if one.reason else 1)
        levels.add_metric([symbol], len(one.book))
        age_ns = one.book_age_ns(now_ns)
        if age_ns is not None:
            age.add_metric([symbol], age_ns / 1e9)
    yield from (messages, usable, age, levels, *counters)
    yield handled.family(
        "ringfence_marketdata_handle_seconds", "From a decoded message to everything that follows from it published"
    )
