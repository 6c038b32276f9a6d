"""What the service exports, computed at scrape time from plain integers."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from ringfence.marketdata.sync import MarketSync
from ringfence.runtime.histogram import Histogram

HANDLE_US: Final = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
_COUNTERS: Final = (
    ("gaps", "Holes in the venue's update ids; each makes the book unusable until it is rebuilt"),
    ("resyncs", "Times that a book in sync was given up"),
    ("crossings", "Books found crossed"),
    ("agreements", "Books whose best prices were those of the best quote of the same update"),
    ("disagreements", "Books whose best prices were not those of the best quote of the same update"),
    ("snapshots", "Snapshots taken in"),
)


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
