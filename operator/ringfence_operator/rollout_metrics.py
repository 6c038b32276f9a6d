"""What the operator exports of rollouts, as the last pass over each system left it. The one place where a metric of
the operator carries a system's name: a rollout that nobody can tell from another is of no use to anybody."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence_operator.rollout.evidence import MetricState
from ringfence_operator.rollout.platform import Phase
from ringfence_operator.rollout.state import Decision, State

SYSTEMS_MAX: Final = 1_000
"""Exported at most; further systems run, and are not exported."""
_MINUTE_S: Final = 60
_SPANS_S: Final = tuple(minutes * _MINUTE_S for minutes in (1, 10, 60, 360, 1_440, 4_320, 10_080, 20_160, 43_200))

Key = tuple[str, str]


class Shown(NamedTuple):
    state: State
    metrics: tuple[MetricState, ...]
    platform: Phase


class RolloutMetrics(Collector):
    """Fed by every pass."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: dict[Key, Shown] = {}
        self._durations = Histogram(
            "ringfence_rollout_stage_seconds",
            "From entering a stage to its end, by how it ended.",
            ["outcome"],
            buckets=_SPANS_S,
            registry=registry,
        )
        for outcome in ("Promoted", "Failed", "Aborted", "Superseded", "RolledBack"):
            self._durations.labels(outcome)
        registry.register(self)

    def passed(
        self,
        key: Key,
        before: State,
        decided: Decision,
        metrics: Sequence[MetricState],
        platform: Phase,
        now: datetime,
    ) -> None:
        """After the pass is written down: one that was cut off is not counted twice."""
        rising = before.rising
        for ended in decided.ended:
            if rising is not None:
                self._durations.labels(ended.outcome).observe(max(0.0, (now - rising.since).total_seconds()))
        if key in self._shown or len(self._shown) < SYSTEMS_MAX:
            self._shown[key] = Shown(decided.state, tuple(metrics), platform)

    def gone(self, key: Key) -> None:
        self._shown.pop(key, None)

    def collect(self) -> Iterable[Metric]:
        where = ["namespace", "system"]
        stage = GaugeMetricFamily(
            "ringfence_rollout_stage",
            "1 for the stage that a track is in",
            labels=[*where, "track", "revision", "stage"],
        )
        weight = GaugeMetricFamily(
            "ringfence_rollout_weight",
            "Percent of the capital that a track may use",
            labels=[*where, "track", "revision"],
        )
        value = GaugeMetricFamily(
            "ringfence_rollout_metric_value",
            "Last measured value, or bound; absent where there is none",
            labels=[*where, "metric"],
        )
        verdict = GaugeMetricFamily(
            "ringfence_rollout_verdict", "1 for the verdict of a metric", labels=[*where, "metric", "verdict"]
        )
        platform = GaugeMetricFamily(
            "ringfence_rollout_platform", "1 for the phase of the platform's upgrade", labels=[*where, "phase"]
        )
        for key, shown in self._shown.items():
            platform.add_metric([*key, str(shown.platform)], 1)
            state = shown.state
            for name, track in (("stable", state.stable), ("candidate", state.candidate), ("shadow", state.shadow)):
                if track is not None:
                    stage.add_metric([*key, name, track.revision, str(track.stage)], 1)
                    weight.add_metric([*key, name, track.revision], track.weight)
            for metric in shown.metrics:
                verdict.add_metric([*key, metric.name, str(metric.verdict)], 1)
                measured = _number(metric)
                if measured is not None:
                    value.add_metric([*key, metric.name], measured)
        yield from (stage, weight, value, verdict, platform)


def _number(metric: MetricState) -> float | None:
    if not metric.measurements:
        return None
    try:
        found = float(metric.measurements[-1].value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
