"""What the operator exports of rollouts, and when it looks again."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from ringfence_operator import measuring
from ringfence_operator.rollout.evidence import Measurement, MetricSpec, MetricState, Verdict, Within
from ringfence_operator.rollout.platform import Phase
from ringfence_operator.rollout.state import (
    Decision,
    Ended,
    Observation,
    Progress,
    RolloutSpec,
    Stage,
    StageSpec,
    State,
    TrackState,
)
from ringfence_operator.rollout.turn import Turn
from ringfence_operator.rollout_metrics import SYSTEMS_MAX, RolloutMetrics

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY = ("trading", "momentum")
STABLE = TrackState(revision="c0441100", stage=Stage.LIVE, weight=100, grant="g", since=START)
CANDIDATE = TrackState(revision="7f3a9c00", stage=Stage.CANARY, weight=25, grant="g", since=START)
STATE = State(stable=STABLE, candidate=CANDIDATE, progress=Progress())
WHERE = {"namespace": "trading", "system": "momentum"}


def metric(name: str, value: str, verdict: Verdict) -> MetricState:
    measured = Measurement(at=START, verdict=verdict, value=value, samples="", query="", reason="")
    return MetricState(name=name, verdict=verdict, measurements=(measured,))


def decided(state: State, *ended: Ended) -> Decision:
    return Decision(state=state, conditions=(), trading="Active", ended=ended)


def test_stage_weight_values_and_verdicts_are_exported_by_system() -> None:
    """A value that is no finite number is absent, never 0."""
    registry = CollectorRegistry()
    metrics = (metric("restarts", "2", Verdict.FAILED), metric("profit", "", Verdict.NO_DATA))
    found = RolloutMetrics(registry)
    found.passed(KEY, STATE, decided(STATE), metrics, Phase.FAILED, START)
    track = WHERE | {"track": "candidate", "revision": "7f3a9c00"}
    assert 25 == registry.get_sample_value("ringfence_rollout_weight", track)
    assert 1 == registry.get_sample_value("ringfence_rollout_stage", track | {"stage": "Canary"})
    assert 2 == registry.get_sample_value("ringfence_rollout_metric_value", WHERE | {"metric": "restarts"})
    assert registry.get_sample_value("ringfence_rollout_metric_value", WHERE | {"metric": "profit"}) is None
    assert 1 == registry.get_sample_value(
        "ringfence_rollout_verdict", WHERE | {"metric": "restarts", "verdict": "Failed"}
    )
    assert 1 == registry.get_sample_value("ringfence_rollout_platform", WHERE | {"phase": "Failed"})
    found.gone(KEY)
    assert registry.get_sample_value("ringfence_rollout_weight", track) is None


def test_stages_that_end_are_timed_by_outcome() -> None:
    registry = CollectorRegistry()
    after = decided(STATE, Ended(name="7f3a9c00-canary25-3", outcome="Failed"))
    RolloutMetrics(registry).passed(KEY, STATE, after, (), Phase.SETTLED, START + timedelta(minutes=5))
    assert 300 == registry.get_sample_value("ringfence_rollout_stage_seconds_sum", {"outcome": "Failed"})
    assert 0 == registry.get_sample_value("ringfence_rollout_stage_seconds_count", {"outcome": "Promoted"})


def test_systems_are_bounded() -> None:
    registry = CollectorRegistry()
    found = RolloutMetrics(registry)
    for number in range(SYSTEMS_MAX + 5):
        found.passed(("trading", f"s{number}"), STATE, decided(STATE), (), Phase.SETTLED, START)
    exported = [family for family in registry.collect() if family.name == "ringfence_rollout_weight"]
    assert 2 * SYSTEMS_MAX == len(exported[0].samples)


def test_the_next_look_comes_with_the_next_measurement() -> None:
    """The shortest interval of the stage, but never a busy loop; with nothing on its way there is none."""
    metrics = (
        MetricSpec(name="a", rule=Within(None, 0), interval_s=60),
        MetricSpec(name="b", rule=Within(None, 0), interval_s=5),
    )
    stages = (
        StageSpec(stage=Stage.PAPER, weight=0, metrics=metrics),
        StageSpec(stage=Stage.CANARY, weight=25, duration_s=3600, metrics=metrics),
    )
    spec = RolloutSpec(goal=Stage.LIVE, simulated=True, stages=stages)
    seen = Observation(generation=1, revision="7f3a9c00", grant="g")
    turn = Turn(spec=spec, seen=seen, now=START, state=STATE)
    assert 5 == measuring.next_s(turn, decided(STATE))
    assert math.inf == measuring.next_s(turn, decided(replace(STATE, progress=None)))
