"""`decide`: the whole policy of a system, as one total function.

A pass walks `STEPS` in order: first what takes weight away (goal, abort, failure), then what gives it. Giving needs
all of `waiting`'s reasons gone: session time, orders, episodes, a good verdict, an approval, and nothing that holds.
Where there is no real money and nobody wrote stages, a revision is at once as far as the goal.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

from ringfence_operator.rollout import conditions, moves, waiting
from ringfence_operator.rollout.conditions import Why
from ringfence_operator.rollout.evidence import Verdict
from ringfence_operator.rollout.health import NOT_RUNNING, Problem
from ringfence_operator.rollout.state import (
    Decision,
    Event,
    Failure,
    Mode,
    Observation,
    Outlook,
    Progress,
    PromotionResult,
    PromotionSeen,
    Purpose,
    RolloutSpec,
    Stage,
    StageSpec,
    State,
    TrackState,
)
from ringfence_operator.rollout.turn import Turn, evaluation_name

WATCHFUL_S: Final = 15.0
"""While something is on its way: look again soon, in case an event was lost."""
UNSEEN: Final = timedelta(seconds=60)
"""A longer time between two passes was not seen, and does not count as session time."""
COUNTED_MAX: Final = timedelta(seconds=WATCHFUL_S + 1)
"""What one pass may count: it was to come after `WATCHFUL_S`. More may be a clock that leapt ahead, which nobody can
tell from a pass that came late; so a leap counts for a moment, and a late pass for less than it was."""
HANDOVER_DEADLINE: Final = timedelta(minutes=10)


def decide(spec: RolloutSpec, state: State, seen: Observation, now: datetime) -> Decision:
    """What the system may do now. Total: every spec, state and observation has an answer."""
    turn = Turn(spec=spec, seen=seen, now=now.replace(microsecond=0), state=state)
    if not spec.stages:
        return _at_once(turn)
    for step in STEPS:
        turn = step(turn)
    turn = _remembering(turn)
    outlook, problem = _outlook(turn)
    why = Why("GoalReached" if not outlook.next else "InStages", _sentence(outlook, turn.state))
    said = conditions.RolloutSaid(
        moving=turn.state.progress is not None and not turn.failed,
        problem=problem,
        failure=turn.state.failure,
        starved=(seen.starved or "") if turn.state.candidate is not None else "",
        looser=seen.looser if turn.stable.weight > 0 and turn.stable.grant != seen.grant else (),
    )
    found = conditions.judge(turn.stable, why, seen, turn.now, said)
    busy = turn.state.progress is not None or turn.state.shadow is not None or bool(turn.state.handovers)
    settled = all(c.status == "False" for c in found if c.type == "Reconciling")
    return Decision(
        state=turn.state,
        conditions=found,
        trading=trading(turn.stable, seen),
        events=turn.events,
        requeue_s=WATCHFUL_S if busy or not settled else None,
        outlook=outlook,
        evaluation=evaluation_name(turn.state),
        promotions=turn.promotions,
        ended=turn.ended,
    )


# --- without stages


def _at_once(turn: Turn) -> Decision:
    """No real money, no stages: the spec's revision, as far as the goal."""
    spec, seen, before = turn.spec, turn.seen, turn.state.stable
    stage, weight, why = target(spec)
    moved = before is None or (before.revision, before.stage) != (seen.revision, stage)
    # without real money a change of limits needs nobody's consent, so the grant is always the current spec
    since = turn.now if before is None or moved else before.since
    stable = TrackState(revision=seen.revision, stage=stage, weight=weight, grant=seen.grant, since=since)
    found = conditions.judge(stable, why, seen, turn.now)
    settled = all(c.status == "False" for c in found if c.type == "Reconciling")
    return Decision(
        state=State(stable=stable, retry=spec.retry, attempt=turn.state.attempt),
        conditions=found,
        trading=trading(stable, seen),
        events=_moves(before, stable, why),
        requeue_s=None if settled else WATCHFUL_S,
    )


def target(spec: RolloutSpec) -> tuple[Stage, int, Why]:
    """How far a revision goes without stages, and why not further. First hit wins."""
    if spec.goal is Stage.PAPER:
        return Stage.PAPER, 0, Why("GoalReached", "the goal is Paper; no order reaches a venue")
    if not spec.simulated:
        return Stage.PAPER, 0, Why("StagesMissing", "a venue with real money is reached in stages, and there are none")
    return Stage.LIVE, 100, Why("GoalReached", "every venue is a Simulator: live without stages")


def _moves(before: TrackState | None, after: TrackState, why: Why) -> tuple[Event, ...]:
    found = []
    if before is None or before.revision != after.revision:
        found.append(Event(type="Normal", reason="NewRevision", message=f"revision {after.revision}"))
    if before is None or before.stage is not after.stage:
        message = f"{after.stage} {after.weight}%: {why.message}"
        found.append(Event(type="Normal", reason="EnteredStage", message=message))
    return tuple(found)


# --- in stages, one step after the other


def _begun(turn: Turn) -> Turn:
    """The first revision of all climbs as stable: there is nothing beside it."""
    return moves.begin(turn, "stable") if turn.state.stable is None else turn


def _retried(turn: Turn) -> Turn:
    """A raised retry forgets the failure and measures anew, from where the revision is."""
    asked = turn.spec.retry
    if asked <= turn.state.retry:
        return turn.kept(retry=asked) if asked != turn.state.retry else turn
    turn = turn.kept(retry=asked)
    if turn.failed:
        turn = turn.kept(failure=None)
    if turn.state.progress is None:
        return turn
    returning = turn.state.progress.returning
    turn = moves.enter(turn, turn.present, "retried").told("Retried", f"spec.rollout.retry is {asked}")
    return turn.kept(progress=replace(turn.state.progress or Progress(), returning=returning))


def _timed(turn: Turn) -> Turn:
    """Session time: between two passes that both saw fresh data, an Active gate and nothing that holds."""
    progress, clock = turn.state.progress, turn.state.clock
    if progress is None:
        return turn.kept(clock=None)
    if clock is not None and turn.now < clock:
        return turn.kept(progress=replace(progress, counting=False))
    states = {gate.state for gate in turn.seen.gates if gate.paper is (turn.rising.weight == 0)}
    counting = turn.seen.fresh and states == {"Active"} and not turn.held and not turn.state.handovers
    since = turn.now - clock if clock is not None else timedelta(0)
    counted = min(since, COUNTED_MAX) if counting and progress.counting and since <= UNSEEN else timedelta(0)
    progress = replace(
        progress, counting=counting, session_ms=progress.session_ms + int(counted.total_seconds()) * 1000
    )
    return turn.kept(progress=progress, clock=turn.now)


def _handed_over(turn: Turn) -> Turn:
    """Handovers that execution has done, or refused."""
    said = {found.id: found for found in turn.seen.handovers}
    done = {found.id for found in said.values() if found.state == "Done"}
    turn = turn.kept(handovers=tuple(h for h in turn.state.handovers if h.id not in done))
    for found in turn.state.handovers:
        if found.id not in said or said[found.id].state != "Refused" or found.mode is Mode.FLATTEN:
            continue  # what cannot be closed now is asked for until it can
        if found.purpose is not Purpose.PROMOTE or turn.state.shadow is None or turn.state.candidate is not None:
            return moves.close_instead(turn, found, said[found.id].message)
        return turn if turn.stopped else moves.put_back(turn, said[found.id].message)
    return turn


def _capped(turn: Turn) -> Turn:
    """Goal and stages, where they allow less than they did."""
    return moves.lower(turn, "spec.goal or spec.rollout.stages allow no more")


def _aborted(turn: Turn) -> Turn:
    """People take a revision back to paper, whatever was measured."""
    asked, failure = turn.spec.abort, turn.state.failure
    if asked != turn.rising.revision:
        return turn
    if failure is not None and failure.revision == asked and turn.rising.weight == 0:
        return turn
    return _down(turn, "Aborted", "spec.rollout.abort names it", to_paper=True)


def _wanted(turn: Turn) -> Turn:
    """The spec names another revision than the one on its way."""
    state, wanted = turn.state, turn.seen.revision
    if wanted == turn.rising.revision:
        return turn
    if state.candidate is not None:
        return _wanted(moves.supersede(turn))
    if state.shadow is not None:
        if state.progress is None:
            return turn  # on its way back
        if wanted == state.shadow.revision:
            return moves.stop_baking(turn.closed("RolledBack"), None, f"the spec names {wanted} again")
        # the bake goes on; the newer revision waits for its end, unless that will not come by waiting
        return _wanted(moves.cut_short(turn)) if _stuck(turn) else turn
    if state.progress is None and turn.stable.weight > 0 and turn.stable.weight == turn.top.weight:
        # the candidate's books may still hold what another revision left
        return turn if state.handovers else moves.begin(turn, "candidate")
    return moves.supersede(turn)


def _restored(turn: Turn) -> Turn:
    """The revision before, when the one that baked has stopped. Not while trading is halted: no weight rises then."""
    back = turn.state.shadow is not None and turn.state.progress is None and turn.stable.weight == 0
    return moves.restore(turn) if back and not turn.stopped else turn


def _stuck(turn: Turn) -> bool:
    """Waiting will not end this bake."""
    return bool(turn.assessment.person) or turn.failed or _silent_too_long(turn)


def _climbing(turn: Turn) -> Turn:
    """What is below its top is on its way; where the goal was raised, again."""
    state = turn.state
    if state.progress is not None or state.shadow is not None or turn.index(turn.rising) == len(turn.steps) - 1:
        return turn
    returning = turn.rising.revision in turn.within_window
    turn = turn.kept(progress=Progress(returning=returning), attempt=state.attempt + 1, clock=turn.now)
    name = "stable" if state.candidate is None else "candidate"
    return turn.kept(**{name: replace(turn.rising, since=turn.now)})


def _judged(turn: Turn) -> Turn:
    """A failed metric takes weight away at once, at an approval gate and in the bake too."""
    if turn.state.progress is None:
        return turn
    found = turn.assessment
    if found.verdict is not Verdict.FAILED:
        return turn
    if turn.failed and turn.rising.weight == 0:
        return turn
    return _down(turn, "AnalysisFailed", found.message, to_paper=turn.spec.to_paper or found.critical)


def _down(turn: Turn, reason: str, message: str, *, to_paper: bool) -> Turn:
    """Where a revision goes that failed or was aborted: aside for the one before while it bakes, else back."""
    track = turn.rising
    failure = Failure(revision=track.revision, reason=reason, message=message, at=turn.now)
    turn = moves.unearned(turn.closed("Aborted" if reason == "Aborted" else "Failed"), track.revision)
    turn = turn.told(reason, f"revision {track.revision} in {turn.present.title}: {message}", warning=True)
    if turn.state.candidate is None and turn.state.shadow is not None:
        return moves.stop_baking(turn, failure, message)
    turn = turn.kept(failure=failure)
    index = turn.index(track)
    if index == 0:
        return turn.kept(progress=replace(turn.state.progress or Progress(), returning=False))
    return moves.demote(turn, 0 if to_paper else index - 1, message)


def _granted(turn: Turn) -> Turn:
    """Limits: without money, or without real money, the spec's; else what was granted until a Raise acknowledges more.
    Tightening needs no grant: execution applies the stricter of grant and spec."""
    for name in ("stable", "candidate"):
        track: TrackState | None = getattr(turn.state, name)
        if track is None or track.grant == turn.seen.grant:
            continue
        if track.weight == 0 or turn.spec.simulated:
            turn = turn.kept(**{name: replace(track, grant=turn.seen.grant)})
        elif not turn.held and (found := _raise(turn, track)) is not None:
            turn = turn.kept(**{name: replace(track, grant=turn.seen.grant)})
            turn = turn.told("LimitsRaised", f"{track.revision} has limits {turn.seen.grant}, by {found.by}")
            used = PromotionResult(name=found.name, state="Used", message="the limits are granted")
            turn = replace(turn, promotions=(*turn.promotions, used))
    return turn


def _raise(turn: Turn, track: TrackState) -> PromotionSeen | None:
    return next(
        (
            p
            for p in turn.seen.promotions
            if p.raises
            and not p.final
            and turn.now < p.expires
            and (p.revision, p.stage, p.grant) == (track.revision, track.stage, turn.seen.grant)
        ),
        None,
    )


def _risen(turn: Turn) -> Turn:
    """One step up, where nothing is waited for any more."""
    if turn.state.progress is None or turn.state.handovers or turn.failed:
        return turn
    step = _next(turn)
    if step is None:
        if turn.state.progress.baking and not turn.held and not waiting.leaving(turn):
            return moves.finish(turn)
        return turn
    found = waiting.entering(turn, step)
    if found.reasons:
        return turn
    if found.approval is not None:
        used = PromotionResult(name=found.approval.name, state="Used", message=f"into {step.title}")
        turn = replace(turn, promotions=(*turn.promotions, used))
    why = f"approved by {found.approval.by}" if found.approval is not None else "all that it needs is there"
    if turn.state.candidate is not None and step == turn.top:
        return moves.promote(turn, why)
    return moves.enter(turn.closed("Promoted"), step, why)


def _next(turn: Turn) -> StageSpec | None:
    """The step after the present one; for a revision that returns the last one."""
    index = turn.index(turn.rising)
    if index == len(turn.steps) - 1:
        return None
    returning = turn.state.progress is not None and turn.state.progress.returning
    return turn.top if returning else turn.steps[index + 1]


STEPS: Final[tuple[Callable[[Turn], Turn], ...]] = (
    _begun,
    _retried,
    _timed,
    _handed_over,
    _capped,
    _aborted,
    _wanted,
    _climbing,
    _judged,
    _restored,
    _granted,
    _risen,
)


# --- what to say


def _remembering(turn: Turn) -> Turn:
    """Since when no usable measurement came, and promotions that nobody else answered."""
    progress = turn.state.progress
    if progress is not None:
        silent = turn.assessment.verdict in {Verdict.NO_DATA, Verdict.ERROR}
        since = (progress.silent_since or turn.now) if silent else None
        turn = turn.kept(progress=replace(progress, silent_since=since))
    answered = {found.name for found in turn.promotions}
    step = _next(turn) if progress is not None else None
    more = tuple(found for found in waiting.answers(turn, step) if found.name not in answered)
    return replace(turn, promotions=(*turn.promotions, *more))


def _silent_too_long(turn: Turn) -> bool:
    since = turn.state.progress.silent_since if turn.state.progress is not None else None
    return since is not None and turn.now - since > timedelta(seconds=turn.spec.no_data_timeout_s)


def _outlook(turn: Turn) -> tuple[Outlook, Problem | None]:
    """The next step, what it waits for, and what will not get well by waiting."""
    state = turn.state
    if state.handovers:
        return _handing(turn)
    if state.progress is None and state.shadow is not None:
        return Outlook(next="rollback", waits_for=turn.held), None
    if state.progress is None:
        return Outlook(), None
    assessment = turn.assessment
    step = _next(turn)
    if turn.failed and state.failure is not None:
        told = f"a new revision, or a higher spec.rollout.retry: {state.failure.reason}: {state.failure.message}"
        return Outlook(next=_title(step), waits_for=told, verdict=assessment.verdict), None
    if step is None:
        reasons = (*waiting.leaving(turn), *((turn.held,) if turn.held else ()))
        outlook = Outlook(next="end of the bake", waits_for="; ".join(reasons), verdict=assessment.verdict)
        return outlook, _person(turn)
    found = waiting.entering(turn, step)
    outlook = Outlook(
        next=step.title, waits_for="; ".join(found.reasons), approval=_approval(found), verdict=assessment.verdict
    )
    problem = found.problem if found.problem is not None and found.problem.needs_somebody else None
    return outlook, problem or _person(turn)


def _approval(found: waiting.Wait) -> Literal["Automatic", "Required", "Given"]:
    if not found.asks:
        return "Automatic"
    return "Required" if found.approval is None else "Given"


def _handing(turn: Turn) -> tuple[Outlook, Problem | None]:
    found = turn.state.handovers[0]
    said = next((h.message for h in turn.seen.handovers if h.id == found.id), "")
    told = f"{found.mode} of {found.source}'s positions: {said or 'no word from execution yet'}"
    if turn.held:
        told += f"; {turn.held}"
    outlook = Outlook(next="handover", waits_for=told)
    late = turn.now - found.since > HANDOVER_DEADLINE
    return outlook, Problem("HandoverSlow", told, needs_somebody=True) if late else None


def _person(turn: Turn) -> Problem | None:
    if turn.assessment.person:
        return Problem("AnalysisInconclusive", f"{turn.assessment.person}; fix it, or raise spec.rollout.retry", True)
    if _silent_too_long(turn):
        told = f"no usable measurement since {turn.state.progress and turn.state.progress.silent_since}"
        return Problem("NoDataTimeout", f"{told}: {turn.assessment.message}", needs_somebody=True)
    if turn.held_by_clock:
        return Problem("ClockBehind", f"{turn.held}: set the clock, or raise spec.rollout.retry", needs_somebody=True)
    return None


def _title(step: StageSpec | None) -> str:
    return step.title if step is not None else ""


def _sentence(outlook: Outlook, state: State) -> str:
    if not outlook.next and not outlook.waits_for:
        return "as far as the goal allows"
    # stable's stage is told before it: without the name it would read as if stable waited
    whose = f"candidate {state.candidate.revision}: " if state.candidate is not None else ""
    return f"{whose}next {outlook.next or 'step'} waits for {outlook.waits_for or 'the next pass'}"


def trading(track: TrackState, seen: Observation) -> str:
    """One word: what the gates of the track's stage say, the most severe of them, unless a switch says more."""
    if seen.stop.severity not in {"None", "ReduceOnly"}:
        return _STOPPED.get(seen.stop.severity, "Unknown")
    states = {gate.state for gate in seen.gates if gate.paper is (track.weight == 0)}
    if not states or not states <= set(_SEVEREST_FIRST):
        return "Unknown"
    if seen.stop.severity == "ReduceOnly":
        states.add("ReduceOnly")
    return next(word for word in _SEVEREST_FIRST if word in states)


_STOPPED: Final = {"Halt": "Halted", "Cancel": "Cancel", "Flatten": "Flatten"}
_SEVEREST_FIRST: Final = ("Flatten", "Cancel", "Halted", NOT_RUNNING, "Starting", "ReduceOnly", "Active")
