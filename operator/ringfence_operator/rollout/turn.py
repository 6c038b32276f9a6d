"""One pass of `decide` on its way: what it was told, and what has come of it so far. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self

from ringfence_operator.rollout import analysis
from ringfence_operator.rollout.analysis import Assessment
from ringfence_operator.rollout.evidence import EvaluationState
from ringfence_operator.rollout.state import (
    Ended,
    Event,
    Observation,
    PromotionResult,
    RolloutSpec,
    Stage,
    StageSpec,
    State,
    TrackState,
)

_ORDER = (Stage.PAPER, Stage.CANARY, Stage.LIVE)
Outcome = Literal["Promoted", "Failed", "Aborted", "Superseded", "RolledBack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Steps take one and return one; what a step changed is in it."""

    spec: RolloutSpec
    seen: Observation
    now: datetime
    """Whole seconds, as status keeps them."""
    state: State
    events: tuple[Event, ...] = ()
    ended: tuple[Ended, ...] = ()
    promotions: tuple[PromotionResult, ...] = ()

    def kept(self, **changes: Any) -> Self:
        """With these parts of the state changed."""
        return replace(self, state=replace(self.state, **changes))

    def told(self, reason: str, message: str, *, warning: bool = False) -> Self:
        event = Event(type="Warning" if warning else "Normal", reason=reason, message=message)
        return replace(self, events=(*self.events, event))

    def closed(self, outcome: Outcome) -> Self:
        """The Evaluation of the present step is over."""
        name = evaluation_name(self.state)
        return replace(self, ended=(*self.ended, Ended(name=name, outcome=outcome))) if name else self

    @property
    def stable(self) -> TrackState:
        """Raises AssertionError before the first track was made."""
        if self.state.stable is None:
            raise AssertionError("the first step makes a stable track")
        return self.state.stable

    @property
    def rising(self) -> TrackState:
        return self.state.candidate or self.stable

    @property
    def steps(self) -> tuple[StageSpec, ...]:
        """As far as the goal allows."""
        return tuple(s for s in self.spec.stages if _ORDER.index(s.stage) <= _ORDER.index(self.spec.goal))

    @property
    def top(self) -> StageSpec:
        return self.steps[-1]

    def index(self, track: TrackState) -> int:
        """The step that a track is in: the last that gives it no more than it has, so edited stages never raise it."""
        return max(
            (i for i, s in enumerate(self.steps) if s.weight <= track.weight and not _beyond(s.stage, track.stage)),
            default=0,
        )

    @property
    def present(self) -> StageSpec:
        """The step of the rising track."""
        return self.steps[self.index(self.rising)]

    @property
    def failed(self) -> bool:
        """The rising revision waits for a retry or a new revision."""
        return self.state.failure is not None and self.state.failure.revision == self.rising.revision

    @property
    def held(self) -> str:
        """Why no weight may rise now, whatever the evidence; empty: it may."""
        if self.seen.stop.severity != "None":
            return f"a kill switch holds: {self.seen.stop.severity}: {self.seen.stop.reason}"
        if self.held_by_clock:
            return f"the clock is behind {self.state.clock:%Y-%m-%dT%H:%M:%SZ}, which was seen before"
        if self.spec.paused:
            return "spec.rollout.paused is set"
        return ""

    @property
    def stopped(self) -> bool:
        """Trading is halted, or more."""
        return self.seen.stop.severity not in {"None", "ReduceOnly"}

    @property
    def held_by_clock(self) -> bool:
        """Time ran backwards: what was waited for may not have passed."""
        return self.state.clock is not None and self.now < self.state.clock

    @property
    def evaluation(self) -> EvaluationState:
        """What was measured in the present step; nothing, where another step's was read."""
        found = self.seen.evaluation
        if found is None or found.name != evaluation_name(self.state) or found.state.started != self.rising.since:
            return EvaluationState()
        return found.state

    @property
    def assessment(self) -> Assessment:
        return analysis.assess(self.present.metrics, self.evaluation, self.now)

    @property
    def within_window(self) -> tuple[str, ...]:
        """Revisions that may come back without stages: those before the last that finished its bake, and that one."""
        return tuple(earned.revision for earned in self.state.earned[: self.spec.rollback_revisions + 1])


def evaluation_name(state: State) -> str:
    """Of the rising track's present step, without the system's name before it; empty: nothing is on its way."""
    rising = state.rising
    if rising is None or state.progress is None:
        return ""
    stage = f"canary{rising.weight}" if rising.stage is Stage.CANARY else str(rising.stage).lower()
    return f"{rising.revision}-{stage}-{state.attempt}"


def _beyond(stage: Stage, other: Stage) -> bool:
    return _ORDER.index(stage) > _ORDER.index(other)
