"""Whatever is observed: decide answers, is stable, never rewards silence, and never raises anything by a kill."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator.rollout.health import Problem
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.state import (
    GateSeen,
    Observation,
    RolloutSpec,
    Stage,
    State,
    Stop,
    TrackState,
    WorkloadSeen,
)

T0 = datetime(2026, 11, 21, tzinfo=UTC)
WORDS = st.text("abc", min_size=1, max_size=3)
PROBLEMS = st.builds(Problem, reason=WORDS, message=WORDS, needs_somebody=st.booleans())
STOPS = st.builds(
    Stop, severity=st.sampled_from(["None", "ReduceOnly", "Halt", "Cancel", "Flatten", "Unheard"]), reason=WORDS
)
SPECS = st.builds(RolloutSpec, goal=st.sampled_from(Stage), simulated=st.booleans())
TRACKS = st.builds(
    TrackState,
    revision=WORDS,
    stage=st.sampled_from(Stage),
    weight=st.integers(0, 100),
    grant=WORDS,
    since=st.just(T0),
)
STATES = st.builds(State, stable=st.none() | TRACKS)
WORKLOADS = st.builds(WorkloadSeen, name=WORDS, service=WORDS, ready=st.booleans(), problem=st.none() | PROBLEMS)
GATES = st.builds(
    GateSeen,
    pod=WORDS,
    paper=st.booleans(),
    state=st.sampled_from(["Active", "ReduceOnly", "Halted", "Starting", "Cancel", "", "Unheard"]),
)
SEEN = st.builds(
    Observation,
    generation=st.integers(1, 5),
    revision=WORDS,
    grant=WORDS,
    workloads=st.lists(WORKLOADS, max_size=3).map(tuple),
    missing=st.lists(PROBLEMS, max_size=2).map(tuple),
    gates=st.lists(GATES, max_size=3).map(tuple),
    stop=STOPS,
)
NOWS = st.integers(0, 10_000).map(lambda seconds: T0 + timedelta(seconds=seconds))


@settings(max_examples=300, deadline=None)
@given(SPECS, STATES, SEEN, NOWS)
def test_weight_needs_a_goal_and_no_real_money(
    spec: RolloutSpec, state: State, seen: Observation, now: datetime
) -> None:
    """Whatever an earlier status said: real money stays at weight 0 in this version, and Paper is weight 0."""
    stable = decide(spec, state, seen, now).state.stable

    assert stable is not None
    assert (stable.weight > 0) == (spec.simulated and spec.goal is not Stage.PAPER)
    assert (stable.weight, stable.stage) in {(0, Stage.PAPER), (100, Stage.LIVE)}
    assert (stable.revision, stable.grant) == (seen.revision, seen.grant)


@settings(max_examples=300, deadline=None)
@given(SPECS, STATES, SEEN, NOWS, st.integers(1, 5_000))
def test_a_second_look_changes_nothing(
    spec: RolloutSpec, state: State, seen: Observation, now: datetime, later: int
) -> None:
    """The same world again: same state, no new transition, no event. So a repeated pass after a crash is silent."""
    first = decide(spec, state, seen, now)
    again = decide(spec, first.state, replace(seen, conditions=first.conditions), now)
    late = decide(
        spec, first.state, replace(seen, conditions=first.conditions), now + timedelta(seconds=min(later, 599))
    )

    assert (again.state, again.conditions, again.events) == (first.state, first.conditions, ())
    assert (late.state, late.conditions) == (first.state, first.conditions)


@settings(max_examples=300, deadline=None)
@given(SPECS, STATES, SEEN, NOWS, STOPS)
def test_a_kill_raises_nothing(spec: RolloutSpec, state: State, seen: Observation, now: datetime, stop: Stop) -> None:
    """A switch shows in what is reported, and changes neither stage nor weight; it never makes trading Active."""
    free = decide(spec, state, replace(seen, stop=Stop()), now)
    stopped = decide(spec, state, replace(seen, stop=stop), now)

    assert stopped.state == free.state
    if stop.severity in {"Halt", "Cancel", "Flatten"}:
        assert stopped.trading in {"Halted", "Cancel", "Flatten"}
        assert {c.type: c.status for c in stopped.conditions}["TradingHalted"] == "True"
    if stopped.trading == "Active":
        assert stop.severity == "None"


@settings(max_examples=300, deadline=None)
@given(SPECS, STATES, SEEN, NOWS)
def test_conditions_hold_together(spec: RolloutSpec, state: State, seen: Observation, now: datetime) -> None:
    """kstatus: Ready only where nothing is under way or stuck; never under way and stuck; always all of them."""
    decided = decide(spec, state, seen, now)
    found = {c.type: c for c in decided.conditions}
    status = {name: c.status for name, c in found.items()}

    assert list(found) == [
        "Ready", "Reconciling", "Stalled", "Progressing", "TradingHalted", "Exposed", "Degraded",
        "CandidateStarved", "LimitsPending",
    ]  # fmt: skip
    assert all(c.reason and c.message and c.observed_generation == seen.generation for c in decided.conditions)
    assert [status["Ready"], status["Reconciling"], status["Stalled"]].count("True") == 1
    if status["Ready"] == "True":
        assert all(workload.ready for workload in seen.workloads)
        assert not seen.missing
    if any(workload.problem for workload in seen.workloads):
        assert status["Degraded"] == "True"


@settings(max_examples=200, deadline=None)
@given(SPECS, STATES, SEEN, NOWS)
def test_silence_is_not_active(spec: RolloutSpec, state: State, seen: Observation, now: datetime) -> None:
    """Trading is Active only where a gate of the track's stage says so itself."""
    decided = decide(spec, state, seen, now)
    assert decided.state.stable is not None
    paper = decided.state.stable.weight == 0

    if decided.trading == "Active":
        mine = [gate.state for gate in seen.gates if gate.paper is paper]
        assert mine
        assert set(mine) == {"Active"}
