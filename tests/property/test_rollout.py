"""Rollouts in stages, from any state and any observation: decide answers, and weight is only ever earned."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ringfence_operator.rollout.evidence import (
    EvaluationState,
    Measurement,
    MetricSpec,
    MetricState,
    Verdict,
    Within,
)
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.state import (
    Earned,
    EvaluationSeen,
    Failure,
    GateSeen,
    Handover,
    HandoverSeen,
    Mode,
    Observation,
    Progress,
    PromotionSeen,
    Purpose,
    RolloutSpec,
    Stage,
    StageSpec,
    State,
    Stop,
    TrackState,
)
from ringfence_operator.rollout.turn import evaluation_name

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REVISIONS = st.sampled_from(["aaaa", "bbbb", "cccc"])
GRANTS = st.sampled_from(["1111", "2222"])
METRIC = MetricSpec(name="m", rule=Within(None, 1.0))
INSTANTS = st.integers(-600, 600).map(lambda seconds: T0 + timedelta(seconds=seconds))
POSITIONS = st.sampled_from([(Stage.PAPER, 0), (Stage.CANARY, 5), (Stage.CANARY, 25), (Stage.LIVE, 100)])


def stages(approval: bool, duration: int) -> tuple[StageSpec, ...]:
    def step(stage: Stage, weight: int, *, asks: bool) -> StageSpec:
        return StageSpec(
            stage=stage, weight=weight, duration_s=duration, min_orders=10, approval=asks, metrics=(METRIC,)
        )

    return (
        step(Stage.PAPER, 0, asks=False),
        step(Stage.CANARY, 5, asks=approval),
        step(Stage.CANARY, 25, asks=False),
        step(Stage.LIVE, 100, asks=approval),
    )


SPECS = st.builds(
    RolloutSpec,
    goal=st.sampled_from(Stage),
    simulated=st.booleans(),
    stages=st.builds(stages, st.booleans(), st.sampled_from([0, 60])),
    handover=st.sampled_from(Mode),
    to_paper=st.booleans(),
    paused=st.booleans(),
    abort=st.just("") | REVISIONS,
    retry=st.integers(0, 2),
    order_value_max=st.sampled_from([0, 10**8, 10**12]),
)
TRACKS = st.builds(
    lambda revision, position, grant, since: TrackState(
        revision=revision, stage=position[0], weight=position[1], grant=grant, since=since
    ),
    REVISIONS,
    POSITIONS,
    GRANTS,
    INSTANTS,
)
FAILURES = st.builds(Failure, revision=REVISIONS, reason=st.just("X"), message=st.just("x"), at=INSTANTS)
HANDOVERS = st.builds(
    Handover,
    id=st.sampled_from(["h1", "h2"]),
    purpose=st.sampled_from(Purpose),
    source=st.sampled_from(["stable", "candidate"]),
    target=st.sampled_from(["", "stable"]),
    mode=st.sampled_from(Mode),
    since=INSTANTS,
)
PROGRESSES = st.builds(
    Progress,
    session_ms=st.sampled_from([0, 59_000, 60_000]),
    counting=st.booleans(),
    silent_since=st.none() | INSTANTS,
    baking=st.booleans(),
    returning=st.booleans(),
)
STATES = st.builds(
    State,
    stable=st.none() | TRACKS,
    candidate=st.none() | TRACKS,
    shadow=st.none() | TRACKS.map(lambda track: replace(track, stage=Stage.PAPER, weight=0)),
    progress=st.none() | PROGRESSES,
    attempt=st.integers(0, 3),
    clock=st.none() | INSTANTS,
    failure=st.none() | FAILURES,
    retry=st.integers(0, 2),
    handovers=st.lists(HANDOVERS, max_size=2, unique_by=lambda h: h.id).map(tuple),
    earned=st.lists(st.builds(Earned, revision=REVISIONS, grant=GRANTS, at=INSTANTS), max_size=2).map(tuple),
)


def evidence(verdict: Verdict, started: datetime, at: datetime) -> EvaluationState:
    line = Measurement(at=at, verdict=verdict, value="", samples="", query="", reason="")
    metric = MetricState(name="m", verdict=verdict, reason="so", measured=1, measurements=(line,))
    return EvaluationState(started=started, metrics=(metric,))


def promotions_for(rising: TrackState) -> st.SearchStrategy[PromotionSeen]:
    """Right in all parts now and then."""
    return st.builds(
        PromotionSeen,
        name=st.sampled_from(["p1", "p2"]),
        uid=st.just(""),
        raises=st.booleans(),
        revision=st.just(rising.revision) | REVISIONS,
        stage=st.sampled_from([Stage.CANARY, Stage.LIVE]),
        evaluation=st.sampled_from(["u1", "u1", "u2", ""]),
        grant=GRANTS,
        by=st.just("bob"),
        expires=INSTANTS,
        final=st.booleans(),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[RolloutSpec, State, Observation, datetime]:
    """A state with evidence and approvals that are, half the time, exactly those that the next step needs."""
    spec, state = draw(SPECS), draw(STATES)
    rising, name = state.rising, evaluation_name(state)
    evaluation: EvaluationSeen | None = None
    promotions: list[PromotionSeen] = []
    if rising is not None and name:
        right = draw(st.booleans())
        found = evidence(draw(st.sampled_from(Verdict)), rising.since if right else draw(INSTANTS), T0)
        evaluation = EvaluationSeen(name=name if draw(st.integers(0, 4)) else "other", uid="u1", state=found)
        promotions = draw(st.lists(promotions_for(rising), max_size=2, unique_by=lambda p: p.name))
    state_word = draw(st.sampled_from(["Active", "Active", "Halted"]))
    seen = Observation(
        generation=1,
        revision=draw(st.just(rising.revision) | REVISIONS) if rising else draw(REVISIONS),
        grant=draw(GRANTS),
        gates=(GateSeen(pod="p", paper=True, state=state_word), GateSeen(pod="e", paper=False, state=state_word)),
        stop=Stop(severity=draw(st.sampled_from(["None", "None", "None", "ReduceOnly", "Halt", "Cancel", "Odd"]))),
        fresh=draw(st.booleans()),
        orders=draw(st.none() | st.sampled_from([0, 9, 10, 11])),
        episodes=draw(st.none() | st.integers(0, 20)),
        evaluation=evaluation,
        promotions=tuple(promotions),
        adopts=draw(st.none() | st.booleans()),
        handovers=tuple(
            HandoverSeen(id=h.id, state=draw(st.sampled_from(["Waiting", "Done", "Refused"]))) for h in state.handovers
        ),
        min_notional=draw(st.none() | st.sampled_from([10**7, 10**10])),
    )
    return spec, state, seen, T0 + timedelta(seconds=draw(st.integers(-30, 30)))


def weights(state: State) -> dict[str, int]:
    found: dict[str, int] = {}
    for track in (state.shadow, state.candidate, state.stable):
        if track is not None:
            found[track.revision] = max(track.weight, found.get(track.revision, 0))
    return found


def rises(before: State, after: State) -> list[str]:
    was = weights(before)
    return [revision for revision, weight in weights(after).items() if weight > was.get(revision, 0)]


@settings(max_examples=150, deadline=None)
@given(situations())
def test_decide_is_total_and_weight_is_earned(found: tuple[RolloutSpec, State, Observation, datetime]) -> None:
    """Up only on a Successful verdict of this very step, with enough orders and time, approved where that is asked;
    or back to what a revision had. Never while anything holds."""
    spec, state, seen, now = found
    decided = decide(spec, state, seen, now)
    assert decided.state.stable is not None
    back = {"RolledBack", "HandoverRefused"} & {event.reason for event in decided.events}
    risen = [] if back else rises(state, decided.state)
    if seen.stop.severity not in {"None", "ReduceOnly"}:
        assert not rises(state, decided.state)
    for revision in risen:
        assert seen.stop.severity == "None"
        assert not spec.paused
        assert state.clock is None or now.replace(microsecond=0) >= state.clock or spec.retry > state.retry
        assert decided.state.failure is None or decided.state.failure.revision != revision
        if state.progress is not None and state.progress.returning:
            continue
        assert seen.evaluation is not None
        assert seen.evaluation.name == evaluation_name(state)
        assert seen.evaluation.state.metric("m").verdict is Verdict.SUCCESSFUL
        assert seen.orders is not None
        assert seen.orders >= 10
        target = next(step for step in spec.stages if step.weight == weights(decided.state)[revision])
        if target.approval:
            approvals = [
                p for p in seen.promotions if not p.raises and not p.final and p.expires > now.replace(microsecond=0)
            ]
            assert any(
                (p.revision, p.stage, p.evaluation, p.grant) == (revision, target.stage, "u1", seen.grant)
                for p in approvals
            )


@settings(max_examples=100, deadline=None)
@given(situations())
def test_no_weight_is_above_the_goal(found: tuple[RolloutSpec, State, Observation, datetime]) -> None:
    """Whatever the state said before; and never do two revisions have all of it."""
    spec, state, seen, now = found
    after = decide(spec, state, seen, now).state
    cap = {Stage.PAPER: 0, Stage.CANARY: 25, Stage.LIVE: 100}[spec.goal]
    assert all(weight <= cap for weight in weights(after).values())


@settings(max_examples=100, deadline=None)
@given(situations())
def test_a_failed_verdict_never_raises(found: tuple[RolloutSpec, State, Observation, datetime]) -> None:
    """It takes weight away, or leaves none."""
    spec, state, seen, now = found
    rising = state.rising
    assume(rising is not None and state.progress is not None)
    assert rising is not None
    seen = replace(
        seen,
        evaluation=EvaluationSeen(
            name=evaluation_name(state), uid="u1", state=evidence(Verdict.FAILED, rising.since, T0)
        ),
    )
    decided = decide(replace(spec, retry=state.retry), state, seen, now)
    back = {"HandoverRefused", "RolledBack"} & {event.reason for event in decided.events}
    assert back or rising.revision not in rises(state, decided.state)


@settings(max_examples=100, deadline=None)
@given(situations(), st.integers(0, 59))
def test_a_pass_that_is_lost_is_made_again(found: tuple[RolloutSpec, State, Observation, datetime], later: int) -> None:
    """A crash between deciding and writing: the same world gives the same answer, to the last event."""
    spec, state, seen, now = found
    assert decide(spec, state, seen, now) == decide(spec, state, seen, now)
    # and time that only the lost pass saw is not counted twice
    lost, written = decide(spec, state, seen, now), decide(spec, state, seen, now + timedelta(seconds=later))
    if lost.state.progress is not None and written.state.progress is not None and state.progress is not None:
        assert written.state.progress.session_ms - state.progress.session_ms <= 60_000


@settings(max_examples=100, deadline=None)
@given(situations())
def test_time_that_runs_backwards_counts_for_nothing(found: tuple[RolloutSpec, State, Observation, datetime]) -> None:
    """Behind the latest time that was seen nothing rises and no session time is added."""
    spec, state, seen, now = found
    spec, state = replace(spec, retry=state.retry), replace(state, clock=now + timedelta(seconds=5))
    decided = decide(spec, state, seen, now)
    if state.progress is not None and evaluation_name(decided.state) == evaluation_name(state) != "":
        assert decided.state.progress is not None
        assert decided.state.progress.session_ms == state.progress.session_ms
    back = {"HandoverRefused", "RolledBack"} & {event.reason for event in decided.events}
    assert back or state.progress is None or not rises(state, decided.state)
