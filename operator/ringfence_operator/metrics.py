"""What the operator measures of itself. Labels have few values: never a system's name,
but in `rollout_metrics`."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringfence_operator.rollout_metrics import RolloutMetrics

_FAST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_PASS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of the operator, registered once."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self.reconciles = Counter(
            "ringfence_operator_reconciles",
            "Passes over one object, by outcome.",
            ["queue", "outcome"],
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "ringfence_operator_reconcile_seconds", "Duration of a pass.", ["queue"], buckets=_PASS_S, registry=registry
        )
        self.errors = Counter(
            "ringfence_operator_errors", "Failed passes, by class of error.", ["queue", "error"], registry=registry
        )
        self.queue_waiting = Gauge(
            "ringfence_operator_queue_waiting", "Keys that are due and have no worker.", ["queue"], registry=registry
        )
        self.changed = Counter(
            "ringfence_operator_objects_changed",
            "Objects applied, created or pruned, by kind.",
            ["kind"],
            registry=registry,
        )
        self.kill_push_seconds = Histogram(
            "ringfence_operator_kill_push_seconds",
            "From the switch's event arriving here to one gate's acknowledgement of the push.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.kill_push_failures = Counter(
            "ringfence_operator_kill_push_failures", "Pushes that a gate did not acknowledge.", registry=registry
        )
        self.policies_wrong = Gauge(
            "ringfence_operator_admission_policies_wrong",
            "Faults of the admission policies; above 0, no system is reconciled.",
            registry=registry,
        )
        self.rollouts = RolloutMetrics(registry)
        self.watch_age_seconds = Gauge(
            "ringfence_operator_watch_age_seconds",
            "Age of the newest own heartbeat that came back through the watch.",
            registry=registry,
        )

    def collect(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Export what another part counts itself."""
        self._registry.register(_Collected(families))


class _Collected(Collector):
    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()
