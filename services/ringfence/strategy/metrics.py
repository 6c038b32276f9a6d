"""What the service exports, computed at scrape time from plain integers."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.runtime.histogram import Histogram
from ringfence.strategy.engine import StrategyEngine


def families(engine: StrategyEngine, latency: Histogram, revision: str, started_s: float) -> Iterable[Metric]:
    """Metrics of one strategy, by its revision: the track that it trades on may change while it runs."""
    desk = engine.desk
    counters = (
        ("decisions", "Market events that the author's code was asked about", engine.decisions),
        ("withheld", "Market events on which nothing could be decided", engine.withheld),
        ("intents", "Orders asked for", desk.intents),
        ("cancels", "Cancels asked for", desk.cancels),
        ("refused", "Intents that were refused before they left: not ready, or the gate away", desk.refused),
        ("denied_unjournaled", "Refusals by the gate beyond what it journals per second", desk.denied),
        ("unanswered", "Intents that the gate never answered", desk.unanswered),
        ("adoptions", "Times that positions of others were handed over to it", engine.adoptions),
        (
            "exceptions",
            "Exceptions that left the author's code; the first one stops the strategy",
            bool(engine.failure),
        ),
    )
    for name, text, value in counters:
        counter = CounterMetricFamily(f"ringfence_strategy_{name}", text, labels=["revision"])
        counter.add_metric([revision], value)
        yield counter
    ready = GaugeMetricFamily("ringfence_strategy_ready", "1 while decisions are possible, else 0", labels=["revision"])
    ready.add_metric([revision], 0 if engine.waiting_for else 1)
    yield ready
    started = GaugeMetricFamily(
        "ringfence_strategy_started_seconds",
        "When this process began, UTC seconds: changes are restarts",
        labels=["revision"],
    )
    started.add_metric([revision], started_s)
    yield started
    yield latency.family(
        "ringfence_strategy_tick_to_intent_seconds",
        "From the receipt of market data by marketdata to the intent that it led to leaving this process",
        {"revision": revision},
    )
