"""Rollouts, promise by promise; and that their state survives status."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator import interpret, records
from ringfence_operator.api import TradingSystem
from ringfence_operator.rollout import analysis, library, staging, waiting
from ringfence_operator.rollout.evidence import (
    EvaluationState,
    Measurement,
    MetricSpec,
    MetricState,
    NonInferior,
    Reading,
    Verdict,
    Within,
)
from ringfence_operator.rollout.health import Container, Pod
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.state import (
    Decision,
    EvaluationSeen,
    Failure,
    GateSeen,
    Handover,
    HandoverSeen,
    Mode,
    Observation,
    Outlook,
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
from ringfence_operator.rollout.turn import Turn, evaluation_name

SAMPLE = Path(__file__).parents[3] / "manifests" / "samples" / "momentum.yaml"
T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
METRIC = MetricSpec(name="m", rule=Within(None, 1.0))
GATES = (GateSeen(pod="p", paper=True, state="Active"), GateSeen(pod="e", paper=False, state="Active"))
SPEC = RolloutSpec(
    goal=Stage.LIVE,
    simulated=False,
    stages=(
        StageSpec(stage=Stage.PAPER, weight=0, metrics=(METRIC,)),
        StageSpec(stage=Stage.CANARY, weight=5, approval=True, metrics=(METRIC,)),
        StageSpec(stage=Stage.LIVE, weight=100, approval=True, metrics=(METRIC,)),
    ),
)


def track(revision: str, stage: Stage, weight: int) -> TrackState:
    return TrackState(revision=revision, stage=stage, weight=weight, grant="g1", since=T0)


OLD, NEW = track("old", Stage.LIVE, 100), track("new", Stage.CANARY, 5)
CANARY = State(stable=OLD, candidate=NEW, progress=Progress(), attempt=2, clock=T0)
FIRST = State(stable=track("new", Stage.PAPER, 0), progress=Progress(), attempt=1, clock=T0)
BAKING = State(
    stable=track("new", Stage.LIVE, 100),
    shadow=track("old", Stage.PAPER, 0),
    progress=Progress(baking=True),
    attempt=3,
    clock=T0,
)


def look(state: State, verdict: Verdict = Verdict.SUCCESSFUL, **parts: object) -> Observation:
    line = Measurement(at=T0, verdict=verdict, value="", samples="", query="", reason="")
    metric = MetricState(name="m", verdict=verdict, reason="5 is above 1", measured=1, measurements=(line,))
    rising = state.rising
    evidence = EvaluationState(started=rising.since if rising else None, metrics=(metric,))
    seen = Observation(
        generation=1,
        revision="new",
        grant="g1",
        gates=GATES,
        fresh=True,
        evaluation=EvaluationSeen(name=evaluation_name(state), uid="u1", state=evidence),
        adopts=True,
    )
    return replace(seen, **parts)  # type: ignore[arg-type]


def approval(stage: Stage, **parts: object) -> PromotionSeen:
    found = PromotionSeen(
        name="p", uid="1", raises=False, revision="new", stage=stage, evaluation="u1", grant="g1", by="bob",
        expires=T0 + timedelta(hours=1),
    )  # fmt: skip
    return replace(found, **parts)  # type: ignore[arg-type]


def answer(found: Decision) -> tuple[str, str]:
    return found.promotions[0].state, found.promotions[0].message


def test_the_first_revision_is_gated_too() -> None:
    """There is nothing beside it, and still it starts on paper and waits for a person."""
    begun = decide(SPEC, State(), look(State()), T0)
    assert begun.state.stable is not None
    assert (begun.state.stable.stage, begun.state.stable.weight) == (Stage.PAPER, 0)
    waits = decide(SPEC, FIRST, look(FIRST), T0)
    assert waits.state.stable == FIRST.stable
    assert "a Promotion into Canary for revision new" in waits.outlook.waits_for
    assert waits.outlook.next == "Canary 5%"
    approved = decide(SPEC, FIRST, look(FIRST, promotions=(approval(Stage.CANARY),)), T0)
    assert approved.state.stable is not None
    assert approved.state.stable.weight == 5
    assert answer(approved) == ("Used", "into Canary 5%")


def test_the_status_says_what_the_next_step_takes_of_a_person() -> None:
    """What is automatic is not offered to anybody, nor what was approved and waits for something else."""
    paused = replace(SPEC, paused=True)
    automatic = replace(SPEC, stages=(SPEC.stages[0], replace(SPEC.stages[1], approval=False), SPEC.stages[2]))
    approved = look(FIRST, promotions=(approval(Stage.CANARY),))
    found = [
        decide(paused, FIRST, look(FIRST), T0),
        decide(paused, FIRST, approved, T0),
        decide(replace(automatic, paused=True), FIRST, look(FIRST), T0),
        decide(SPEC, BAKING, look(BAKING), T0),
    ]
    assert [one.outlook.approval for one in found] == ["Required", "Given", "Automatic", ""]
    assert records.rollout_status(FIRST, found[0].outlook, (), None).dump()["approval"] == "Required"


@pytest.mark.parametrize(
    ("parts", "state", "said"),
    [
        ({"revision": "other"}, "Refused", "it is for revision other, and the next step needs new"),
        ({"stage": Stage.CANARY}, "Refused", "it is for stage Canary, and the next step needs Live"),
        ({"evaluation": "u0"}, "Refused", "it is for Evaluation u0, and the next step needs u1"),
        ({"grant": "g0"}, "Refused", "it is for limits g0, and the next step needs g1"),
        ({"expires": T0}, "Expired", "it was good until 2026-11-21T12:00:00Z"),
    ],
)
def test_an_approval_of_something_else_is_refused_with_the_reason(
    parts: dict[str, object], state: str, said: str
) -> None:
    """And nothing rises on it."""
    found = decide(SPEC, CANARY, look(CANARY, promotions=(replace(approval(Stage.LIVE), **parts),)), T0)  # type: ignore[arg-type]
    assert answer(found) == (state, said)
    assert found.state.candidate == NEW


def test_a_promotion_hands_over_and_keeps_the_old_one_deciding() -> None:
    """Positions of the candidate go to stable's books, which the new revision takes over with the track."""
    found = decide(SPEC, CANARY, look(CANARY, promotions=(approval(Stage.LIVE),)), T0).state
    assert found.stable is not None
    assert found.shadow is not None
    assert (found.stable.revision, found.stable.weight, found.candidate) == ("new", 100, None)
    assert (found.shadow.revision, found.shadow.weight) == ("old", 0)
    assert [(h.source, h.target, h.mode) for h in found.handovers] == [("candidate", "stable", Mode.ADOPT)]


def test_a_strategy_that_cannot_adopt_is_not_promoted() -> None:
    """It is said what to do; with Flatten it goes."""
    seen = look(CANARY, promotions=(approval(Stage.LIVE),), adopts=False)
    held = decide(SPEC, CANARY, seen, T0)
    assert held.state.candidate == NEW
    assert {c.type: c.reason for c in held.conditions}["Stalled"] == "HandoverRefused"
    flat = decide(replace(SPEC, handover=Mode.FLATTEN), CANARY, seen, T0).state
    assert [(h.source, h.mode) for h in flat.handovers] == [("stable", Mode.FLATTEN), ("candidate", Mode.ADOPT)]


def test_a_refused_handover_puts_both_back() -> None:
    state = decide(SPEC, CANARY, look(CANARY, promotions=(approval(Stage.LIVE),)), T0).state
    refused = (HandoverSeen(id=state.handovers[0].id, state="Refused", message="no on_adopt"),)
    found = decide(SPEC, state, look(state, handovers=refused), T0).state
    assert found.stable is not None
    assert found.candidate is not None
    assert found.failure is not None
    assert (found.stable.revision, found.stable.weight) == ("old", 100)
    assert (found.candidate.revision, found.candidate.weight) == ("new", 5)
    assert found.failure.reason == "HandoverRefused"


def test_a_failed_candidate_goes_back_and_stable_is_untouched() -> None:
    found = decide(SPEC, CANARY, look(CANARY, Verdict.FAILED), T0)
    state = found.state
    assert state.stable == OLD
    assert state.candidate is not None
    assert state.candidate.weight == 0
    assert [(h.source, h.target) for h in state.handovers] == [("candidate", "stable")]
    assert "AnalysisFailed" in {event.reason for event in found.events}
    assert "5 is above 1" in found.outlook.waits_for or state.handovers


def test_a_failure_in_the_bake_rolls_back_by_itself() -> None:
    """Not while trading is halted: then the failed one has stopped, and the other comes with the release."""
    bad = look(BAKING, Verdict.FAILED)
    back = decide(SPEC, BAKING, bad, T0).state
    assert back.stable is not None
    assert (back.stable.revision, back.stable.weight) == ("old", 100)
    killed = decide(SPEC, BAKING, replace(bad, stop=Stop(severity="Cancel", reason="bad ticks")), T0).state
    assert killed.stable is not None
    assert (killed.stable.revision, killed.stable.weight) == ("new", 0)
    released = decide(SPEC, killed, look(killed), T0).state
    assert released.stable is not None
    assert (released.stable.revision, released.stable.weight) == ("old", 100)


@pytest.mark.parametrize("severity", ["ReduceOnly", "Halt", "Cancel", "Flatten"])
def test_the_kill_switch_beats_a_good_verdict_and_an_approval(severity: str) -> None:
    seen = look(CANARY, promotions=(approval(Stage.LIVE),), stop=Stop(severity=severity, reason="x"))
    found = decide(SPEC, CANARY, seen, T0)
    assert (found.state.stable, found.state.candidate) == (OLD, NEW)
    assert "a kill switch holds" in found.outlook.waits_for


def test_a_newer_revision_restarts_from_paper_when_positions_were_handed_over() -> None:
    found = decide(SPEC, CANARY, look(CANARY, revision="newer"), T0).state
    assert (found.stable, found.candidate) == (OLD, None)
    assert [(h.source, h.target) for h in found.handovers] == [("candidate", "stable")]
    done = tuple(HandoverSeen(id=h.id, state="Done") for h in found.handovers)
    begun = decide(SPEC, found, look(found, revision="newer", handovers=done), T0).state
    assert begun.candidate is not None
    assert (begun.candidate.revision, begun.candidate.weight) == ("newer", 0)


def test_a_canary_below_the_venues_smallest_order_is_stalled_with_the_figure() -> None:
    """5 % of 100 is 5, and three times the venue's 10 is 30."""
    spec = replace(SPEC, order_value_max=100 * 10**8)
    seen = look(FIRST, promotions=(approval(Stage.CANARY),), min_notional=10 * 10**8)
    found = decide(spec, FIRST, seen, T0)
    (stalled,) = [c for c in found.conditions if c.type == "Stalled"]
    assert (stalled.status, stalled.reason) == ("True", "CanaryTooSmall")
    assert "orders of 5 " in stalled.message
    assert "30" in stalled.message


def test_looser_limits_wait_for_a_raise_and_tighter_ones_do_not_need_one() -> None:
    settled = State(stable=replace(OLD, revision="new"))
    seen = look(settled, grant="g2", looser=("limits.order.valueMax",))
    held = decide(SPEC, settled, seen, T0)
    assert held.state.stable == settled.stable
    assert {c.type: c.status for c in held.conditions}["LimitsPending"] == "True"
    by = approval(Stage.LIVE, raises=True, evaluation="", grant="g2")
    raised = decide(SPEC, settled, replace(seen, promotions=(by,)), T0)
    assert raised.state.stable is not None
    assert raised.state.stable.grant == "g2"
    assert answer(raised)[0] == "Used"


SLOW = replace(SPEC, stages=(replace(SPEC.stages[0], duration_s=300), *SPEC.stages[1:]))
PASS = timedelta(seconds=15)


def walked(state: State, spec: RolloutSpec, passes: int, now: datetime, **parts: object) -> tuple[State, datetime]:
    """Pass after pass, each with only what status kept of the one before: an operator that restarts every time."""
    for _ in range(passes):
        now += PASS
        state = kept(decide(spec, state, look(state, **parts), now).state)
    return state, now


def kept(state: State) -> State:
    """By way of status, and back."""
    raw = yaml.safe_load(SAMPLE.read_text())
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    told = records.rollout_status(state, Outlook(), (), None).dump()
    tracks = {name: records.track_status(getattr(state, name)) for name in ("stable", "candidate", "shadow")}
    raw["status"] = {"rollout": told} | {name: found.dump() for name, found in tracks.items() if found is not None}
    found = records.state_of(TradingSystem.parse(raw))
    assert found == state
    return found


HALTED = tuple(replace(gate, state="Halted") for gate in GATES)


@pytest.mark.parametrize("good_for", [0, 200], ids=["from the start", "after the second look"])
def test_a_candidate_whose_every_intent_is_refused_fails_for_that_and_is_not_waited_for(good_for: int) -> None:
    """The stage asks for orders that will never come, since the gate refuses all intents."""
    refusals = library.LIBRARY["gate-refusals"]
    paper = StageSpec(
        stage=Stage.PAPER, weight=0, duration_s=3600, min_orders=2000, min_episodes=5, metrics=(refusals,)
    )
    spec = replace(SPEC, stages=(paper, *SPEC.stages[1:]))
    state, evidence = FIRST, EvaluationState(started=T0)
    for minute_quarter in range(300):
        now = T0 + timedelta(seconds=15 * minute_quarter)
        intents, orders = 5.0 * minute_quarter, 5 * min(minute_quarter, good_for)
        seen = look(state, orders=orders, episodes=orders)
        measured = Reading(metric=refusals.name, at=now, value=intents - orders, total=intents, age_s=1.0)
        done = waiting.done(Turn(spec=spec, seen=seen, now=now, state=state))
        evidence = analysis.record((refusals,), evidence, (measured,), done)
        seen = replace(seen, evaluation=EvaluationSeen(name=evaluation_name(state), uid="u1", state=evidence))
        found = decide(spec, state, seen, now)
        state = found.state
        if state.failure is not None:
            break
    assert state.failure is not None, found.outlook.waits_for
    assert (state.failure.reason, state.failure.message.split(":")[0]) == ("AnalysisFailed", "gate-refusals")
    assert "AnalysisFailed" in [event.reason for event in found.events]


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        (replace(SLOW, paused=True), {}),
        (SLOW, {"fresh": False}),
        (SLOW, {"gates": HALTED}),
        (SLOW, {"gates": ()}),
        (SLOW, {"stop": Stop(severity="ReduceOnly", reason="r")}),
        (SLOW, {"stop": Stop(severity="Cancel", reason="r")}),
    ],
    ids=["paused", "without data", "gate halted", "no gate", "reduce only", "killed"],
)
def test_session_time_is_trading_time_only(spec: RolloutSpec, parts: dict[str, object]) -> None:
    """Neither paused time, nor time without data or an Active gate counts: not all of it, nor its first or last pass;
    and no restart of the operator makes it count."""
    state, now = walked(FIRST, SLOW, 4, T0)
    assert state.progress is not None
    before = state.progress.session_ms
    assert before == 45_000, "the first pass begins, three count"
    state, now = walked(state, spec, 20, now, **parts)
    assert state.progress is not None
    assert (state.progress.session_ms, state.progress.counting) == (before, False)
    state, now = walked(state, SLOW, 1, now)
    assert state.progress is not None
    assert state.progress.session_ms == before, "the pass that sees it again begins anew"
    state, now = walked(state, SLOW, 1, now)
    assert state.progress is not None
    assert state.progress.session_ms == before + 15_000


@pytest.mark.parametrize(("leap_s", "counted_s"), [(0, 15), (40, 16), (44, 16), (3600, 0), (-30, 0)])
def test_a_clock_that_leaps_is_no_session_time(leap_s: int, counted_s: int) -> None:
    """A pass counts what it should have taken at most; what is longer than a minute was not seen at all."""
    state, now = walked(FIRST, SLOW, 4, T0)
    assert state.progress is not None
    before = state.progress.session_ms
    after = decide(SLOW, state, look(state), now + PASS + timedelta(seconds=leap_s)).state
    assert after.progress is not None
    assert after.progress.session_ms == before + counted_s * 1000


def test_no_data_for_long_asks_for_a_person_and_never_moves() -> None:
    quiet = replace(CANARY, progress=Progress(silent_since=T0 - timedelta(hours=2)))
    found = decide(SPEC, quiet, look(quiet, Verdict.NO_DATA, promotions=(approval(Stage.LIVE),)), T0)
    assert found.state.candidate == NEW
    assert {c.type: c.reason for c in found.conditions}["Stalled"] == "NoDataTimeout"


def test_a_goal_that_is_lowered_ends_a_promotion_on_its_way_without_leaving_a_position() -> None:
    """Both have all weight taken; what the candidate held is still booked over, then closed, or closed where it is if
    that is refused. Nothing goes back to the revision before: the goal does not allow it either."""
    asked = Handover(id="h1", purpose=Purpose.PROMOTE, source="candidate", target="stable", mode=Mode.ADOPT, since=T0)
    state, spec = replace(BAKING, handovers=(asked,)), replace(SPEC, goal=Stage.PAPER)
    found = decide(spec, state, look(state), T0).state
    assert (found.stable and found.stable.weight, found.candidate, found.shadow) == (0, None, None)
    assert [(h.source, h.mode) for h in found.handovers] == [("candidate", Mode.ADOPT), ("stable", Mode.FLATTEN)]
    no = (HandoverSeen(id="h1", state="Refused", message="no on_adopt"),)
    closed = decide(spec, found, look(found, handovers=no), T0).state
    assert {(h.source, h.mode) for h in closed.handovers} == {("candidate", Mode.FLATTEN), ("stable", Mode.FLATTEN)}
    assert closed.stable == found.stable


def test_a_goal_that_is_lowered_leaves_a_good_approval_unused() -> None:
    found = decide(replace(SPEC, goal=Stage.PAPER), CANARY, look(CANARY, promotions=(approval(Stage.LIVE),)), T0)
    assert [(track and track.weight) for track in (found.state.stable, found.state.candidate)] == [0, 0]
    assert "Used" not in {result.state for result in found.promotions}


def test_a_failure_demotes_also_while_paused_and_killed() -> None:
    held = replace(SPEC, paused=True)
    stop = Stop(severity="Cancel", reason="x")
    found = decide(held, CANARY, look(CANARY, Verdict.FAILED, stop=stop), T0).state
    assert (found.stable, found.candidate and found.candidate.weight) == (OLD, 0)


def test_a_candidate_that_gets_nothing_is_told_by_which_limit() -> None:
    found = decide(SPEC, CANARY, look(CANARY, starved="Gross: the others take up 100 of 100"), T0)
    starved = next(c for c in found.conditions if c.type == "CandidateStarved")
    assert (starved.status, starved.reason) == ("True", "LimitUsedUp")
    assert starved.message.endswith("Gross: the others take up 100 of 100")


def test_a_bake_that_was_not_measured_to_its_end_earns_no_way_back() -> None:
    """A newer revision does not wait for what will not come; the one that was not shown to be good needs its stages,
    should it ever come back."""
    quiet = replace(BAKING, progress=Progress(baking=True, silent_since=T0 - timedelta(hours=2)))
    found = decide(SPEC, quiet, look(quiet, Verdict.NO_DATA, revision="newer"), T0)
    assert found.state.stable is not None
    assert (found.state.stable.revision, found.state.shadow) == ("new", None)
    assert "new" not in {earned.revision for earned in found.state.earned}
    assert [ended.outcome for ended in found.ended] == ["Superseded"]


def test_careful_defaults_hold_where_there_is_real_money() -> None:
    """A week on paper, 5 % and 25 %, a bake of two days; a person before the first money and before all of it."""
    document = yaml.safe_load(SAMPLE.read_text())
    assert staging.rollout_spec(TradingSystem.parse(document).spec, compared=True).stages == ()
    document["spec"]["venues"] = [{"name": "sim", "type": "Binance", "binance": {"credentialsSecret": "keys"}}]
    stages = staging.rollout_spec(TradingSystem.parse(document).spec, compared=True).stages
    assert [(s.title, s.duration_s // 3600, s.approval) for s in stages] == [
        ("Paper", 168, False),
        ("Canary 5%", 72, True),
        ("Canary 25%", 120, False),
        ("Live", 48, True),
    ]
    assert all(s.metrics for s in stages)
    alone = staging.rollout_spec(TradingSystem.parse(document).spec, compared=False).stages
    assert not [m for s in alone for m in s.metrics if isinstance(m.rule, NonInferior)]


def test_a_comparison_with_a_stable_that_does_not_trade_is_named() -> None:
    """The first revision of all has nothing beside it; people are told which metric to leave out."""
    document = yaml.safe_load(SAMPLE.read_text())
    metrics = [{"name": "venue-rejects"}, {"name": "arrival-slippage"}]
    stages = [{"stage": "Paper"}, {"stage": "Canary", "weight": 5, "analysis": {"metrics": metrics}}]
    document["spec"]["rollout"] = {"stages": stages}
    found = staging.uncomparable(TradingSystem.parse(document).spec)
    assert found is not None
    assert found.needs_somebody
    assert "metric arrival-slippage of stage Canary" in found.message
    metrics.pop()
    assert staging.uncomparable(TradingSystem.parse(document).spec) is None


WHEN = st.integers(0, 10**6).map(lambda seconds: T0 + timedelta(seconds=seconds))
TRACK = st.builds(
    TrackState,
    revision=st.sampled_from(["0a1b2c3d", "7f3a9c12"]),
    stage=st.sampled_from(Stage),
    weight=st.integers(0, 100),
    grant=st.just("0123456789"),
    since=WHEN,
)
STATES = st.builds(
    State,
    stable=TRACK,
    candidate=st.none() | TRACK,
    shadow=st.none() | TRACK,
    progress=st.none()
    | st.builds(
        Progress,
        session_ms=st.integers(0, 10**9),
        counting=st.booleans(),
        silent_since=st.none() | WHEN,
        baking=st.booleans(),
        returning=st.booleans(),
    ),
    attempt=st.integers(0, 99),
    clock=st.none() | WHEN,
    failure=st.none()
    | st.builds(Failure, revision=st.just("7f3a9c12"), reason=st.just("X"), message=st.just("y"), at=WHEN),
    retry=st.integers(0, 9),
    handovers=st.lists(
        st.builds(
            Handover,
            id=st.just("20261121120000-1-candidate"),
            purpose=st.sampled_from(Purpose),
            source=st.just("candidate"),
            target=st.sampled_from(["", "stable"]),
            mode=st.sampled_from(Mode),
            since=WHEN,
        ),
        max_size=1,
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(STATES)
def test_state_survives_status(state: State) -> None:
    """What decide keeps is all in status: whoever restarts reads back the same, and so goes on the same."""
    document = yaml.safe_load(SAMPLE.read_text())
    rollout = records.rollout_status(state, Outlook(), (), None)
    tracks = {name: records.track_status(getattr(state, name)) for name in ("stable", "candidate", "shadow")}
    status = {name: found.dump() for name, found in tracks.items() if found is not None} | {"rollout": rollout.dump()}
    assert records.state_of(TradingSystem.parse(document | {"status": status})) == state


# --- what stands open


GATES_THERE = {"e": "execution", "p": "paper"}


def exposed(*lines: dict[str, object], services: dict[str, str] = GATES_THERE) -> tuple[str, str, str]:
    """Status, reason and message of the condition, from gates' lines as they are read."""
    runs = Container(running=True)
    pods = [Pod(name=name, workload="w", service=service, container=runs) for name, service in services.items()]
    gates = tuple(interpret.gates({"status": {"gates": list(lines)}}, pods))
    decided = decide(SPEC, State(), Observation(generation=1, revision="r", grant="g", gates=gates), T0)
    (found,) = [one for one in decided.conditions if one.type == "Exposed"]
    return found.status, found.reason, found.message


def test_what_a_gate_leaves_open_is_a_condition_and_its_silence_is_no_all_clear() -> None:
    """On paper nothing is real, and the line of a pod that is gone says nothing."""
    apart = ["hedge pair of stable misses a leg"]
    assert exposed(services={}) == ("Unknown", "NotTold", "no gate of execution has said anything yet")
    assert exposed() == ("Unknown", "NotTold", "e does not say")
    assert exposed({"pod": "e", "state": "Active"}) == ("Unknown", "NotTold", "e does not say")
    assert exposed({"pod": "e", "state": "Active", "exposed": []})[:2] == ("False", "NothingOpen")
    found = exposed({"pod": "e", "state": "Active", "exposed": apart})
    assert found == ("True", "StandsOpen", "a person decides: hedge pair of stable misses a leg (e)")
    assert exposed({"pod": "p", "state": "Active", "exposed": apart})[0] == "Unknown"
    assert exposed({"pod": "gone", "state": "Active", "exposed": apart})[0] == "Unknown"
