"""What the service exports, computed at scrape time from plain integers."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.runtime.histogram import Histogram
from ringfence.strategy.engine import StrategyEngine


def families(engine: StrategyEngine, latency: Histogram) -> Iterable[Metric]:
    """Metrics of one strategy. The track is a label of the pod and is added by Prometheus."""
    desk = engine.desk
    counters = (
        ("decisions", "Market events that the author's code was asked about", engine.decisions),
        ("withheld", "Market events on which nothing could be decided", engine.withheld),
        ("intents", "Orders asked for", desk.intents),
        ("cancels", "Cancels asked for", desk.cancels),
        ("refused", "Intents that were refused before they left: not ready, or the gate away", desk.refused),
        ("unanswered", "Intents that the gate never answered", desk.unanswered),
        (
            "exceptions",
            "Exceptions that left the author's code; the first one stops the strategy",
            bool(engine.failure),
        ),
    )
    for name, text, value in counters:
        yield CounterMetricFamily(f"ringfence_strategy_{name}", text, value=value)
    ready = 0 if engine.waiting_for else 1
    yield GaugeMetricFamily("ringfence_strategy_ready", "1 while decisions are possible, else 0", value=ready)
    yield latency.family(
        "ringfence_strategy_tick_to_intent_seconds",
        "From the receipt of market data by marketdata to the intent that it led to leaving this process",
    )
