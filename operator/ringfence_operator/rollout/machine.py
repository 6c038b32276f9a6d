"""`decide`: the whole policy of a system, as one total function.

This version knows one track, `stable`, and one step: where there is no real money and the goal is beyond Paper,
the track is Live with all of the weight; everywhere else it stays on paper. A kill switch is reported and never
raises anything.
"""

from datetime import datetime
from typing import Final

from ringfence_operator.rollout import conditions
from ringfence_operator.rollout.state import (
    Decision,
    Event,
    Observation,
    RolloutSpec,
    Stage,
    State,
    TrackState,
)

WATCHFUL_S: Final = 15.0
"""While something is on its way: look again soon, in case an event was lost."""


def decide(spec: RolloutSpec, state: State, seen: Observation, now: datetime) -> Decision:
    """What the system may do now. Total: every spec, state and observation has an answer."""
    stable, why = _stable(spec, state.stable, seen, now)
    found = conditions.judge(spec, stable, why, seen, now)
    settled = all(c.status == "False" for c in found if c.type == "Reconciling")
    return Decision(
        state=State(stable=stable),
        conditions=found,
        trading=trading(stable, seen),
        events=_moves(state.stable, stable, why),
        requeue_s=None if settled else WATCHFUL_S,
    )


def target(spec: RolloutSpec) -> tuple[Stage, int, conditions.Why]:
    """How far a revision may go in this version, and why not further. First hit wins."""
    if spec.goal is Stage.PAPER:
        return Stage.PAPER, 0, conditions.Why("GoalReached", "the goal is Paper; no order reaches a venue")
    if not spec.simulated:
        sentence = "a venue with real money is reached in stages, which this version does not have: staying on paper"
        return Stage.PAPER, 0, conditions.Why("StagedRolloutUnavailable", sentence)
    return Stage.LIVE, 100, conditions.Why("GoalReached", "every venue is a Simulator: live without stages")


def _stable(
    spec: RolloutSpec, track: TrackState | None, seen: Observation, now: datetime
) -> tuple[TrackState, conditions.Why]:
    stage, weight, why = target(spec)
    moved = track is None or (track.revision, track.stage) != (seen.revision, stage)
    since = now if moved or track is None else track.since
    # without real money a change of limits needs nobody's consent, so the grant is always the current spec
    return TrackState(revision=seen.revision, stage=stage, weight=weight, grant=seen.grant, since=since), why


def _moves(before: TrackState | None, after: TrackState, why: conditions.Why) -> tuple[Event, ...]:
    found = []
    if before is None or before.revision != after.revision:
        found.append(Event(type="Normal", reason="NewRevision", message=f"revision {after.revision}"))
    if before is None or before.stage is not after.stage:
        message = f"{after.stage} {after.weight}%: {why.message}"
        found.append(Event(type="Normal", reason="EnteredStage", message=message))
    return tuple(found)


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


_STOPPED: Final = {"Halt": "Halted", "Cancel": "Cancel", "Flatten": "Cancel"}
_SEVEREST_FIRST: Final = ("Cancel", "Halted", "Starting", "ReduceOnly", "Active")
