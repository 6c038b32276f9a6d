"""What `decide` is told, what it keeps, and what it answers. Frozen values only.

`State` is what survives in status: whoever reads it after a crash continues where the last pass ended. What was
measured survives in Evaluation objects, whose values are in `analysis`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ringfence_operator.rollout.evidence import EvaluationState, MetricSpec, Verdict
from ringfence_operator.rollout.health import Problem

ConditionStatus = Literal["True", "False", "Unknown"]


class Stage(StrEnum):
    """How close to real money a track is."""

    PAPER = "Paper"
    CANARY = "Canary"
    LIVE = "Live"


class Mode(StrEnum):
    """How positions pass from one track to another."""

    ADOPT = "Adopt"
    FLATTEN = "Flatten"


class Purpose(StrEnum):
    """What a handover is for, and so what follows it."""

    PROMOTE = "Promote"
    ROLL_BACK = "RollBack"
    DEMOTE = "Demote"
    SUPERSEDE = "Supersede"


# --- what people want


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One step. All defaults are filled in; `duration` and `metrics` are what leaving it takes."""

    stage: Stage
    weight: int
    """Percent; 0 in Paper, 100 in Live."""
    duration_s: int = 0
    """Session time. Of Live: the bake."""
    min_orders: int = 0
    min_episodes: int = 0
    approval: bool = False
    """Entering takes a Promotion."""
    metrics: tuple[MetricSpec, ...] = ()

    @property
    def title(self) -> str:
        """As people read it."""
        return f"{self.stage} {self.weight}%" if self.stage is Stage.CANARY else str(self.stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The part of a TradingSystem's spec that decides how far it may go."""

    goal: Stage
    simulated: bool
    """Every venue is a Simulator: there is no real money."""
    stages: tuple[StageSpec, ...] = ()
    """Empty only where there is no real money: at once as far as the goal."""
    handover: Mode = Mode.ADOPT
    to_paper: bool = False
    """A failed revision goes to Paper, not just one step back."""
    rollback_revisions: int = 1
    no_data_timeout_s: int = 3600
    paused: bool = False
    abort: str = ""
    """Revision to take back to Paper."""
    retry: int = 0
    order_value_max: int = 0
    """Largest value of one order at weight 100, scaled by 1e-8; 0 = not told."""


# --- what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackState:
    """One running revision."""

    revision: str
    stage: Stage
    weight: int
    """Percent of the system's capital and limits; 0 in Paper, 100 in Live."""
    grant: str
    """Hash of the limits granted to it."""
    since: datetime
    """When it entered its stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a revision does not go on until somebody retries or brings another."""

    revision: str
    reason: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What is to become of a track's positions, as the allocation names it. Until execution has done it, the tracks
    take no new exposure, whatever their weight, and nothing else rises."""

    id: str
    """Unique for ever: it is carried out once."""
    purpose: Purpose
    source: str
    """Track whose sub-ledger gives: stable or candidate."""
    target: str = ""
    """Of Adopt: stable."""
    mode: Mode
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """A revision that finished its bake: within the window, it may come back without stages."""

    revision: str
    grant: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Of the revision on its way (`State.rising`) in its present step."""

    session_ms: int = 0
    """Time with fresh data and the gate Active, not paused."""
    counting: bool = False
    """The last pass saw such time: only between two such passes does it count."""
    silent_since: datetime | None = None
    """Since when no usable measurement came; None while they come."""
    baking: bool = False
    """Live, and watched for the bake."""
    returning: bool = False
    """An earlier revision that comes back without stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the next pass needs of this one."""

    stable: TrackState | None = None
    """None only before the first pass. The first revision of all climbs as stable: there is nothing beside it."""
    candidate: TrackState | None = None
    """A newer revision on its way."""
    shadow: TrackState | None = None
    """The stable before, deciding on paper until the bake ends: what a rollback goes to."""
    progress: Progress | None = None
    """None where nothing is on its way and nothing bakes."""
    attempt: int = 0
    """Counts entries into steps, retries and demotions too, and never starts again: names Evaluations."""
    clock: datetime | None = None
    """Latest time seen while something was on its way. Nothing rises while the clock is behind it."""
    failure: Failure | None = None
    retry: int = 0
    """Last spec.rollout.retry that was honoured."""
    handovers: tuple[Handover, ...] = ()
    """Not done yet, in their order."""
    earned: tuple[Earned, ...] = ()
    """Newest first."""

    @property
    def rising(self) -> TrackState | None:
        """The track that is on its way, or bakes."""
        return self.candidate or self.stable


# --- what was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    type: str
    status: ConditionStatus
    reason: str
    message: str
    observed_generation: int
    since: datetime
    """When ``status`` last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSeen:
    """One Deployment or StatefulSet of the system, and the worst of its pods."""

    name: str
    service: str
    ready: bool
    """The current template is rolled out and its pod is ready."""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSeen:
    """A gate's own words, from its line in the system's kill switch."""

    pod: str
    paper: bool
    state: str
    """Starting, Active, ReduceOnly, Halted, Cancel, Flatten; NotRunning; empty where it has said nothing yet."""
    exposed: tuple[str, ...] | None = None
    """What stands open there and nobody closes; None = it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The most severe of all switches that cover the system."""

    severity: str = "None"
    """None, ReduceOnly, Halt, Cancel or Flatten."""
    reason: str = ""
    """Which switches, and what people wrote in them."""
    protective: str = "Keep"
    """Cancel: protective orders are cancelled too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionSeen:
    """An approval, as far as it decides."""

    name: str
    uid: str
    raises: bool
    """Only the limits (action Raise)."""
    revision: str
    stage: Stage
    evaluation: str
    """UID; empty for Raise."""
    grant: str
    """Hash of the limits that it acknowledges."""
    by: str
    expires: datetime
    """Made at (by the API server's clock) plus validFor."""
    final: bool = False
    """Its status says Used, Expired or Refused already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSeen:
    """The Evaluation of the rising track's present step."""

    name: str
    uid: str
    """Empty: not made yet."""
    state: EvaluationState = field(default_factory=EvaluationState)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverSeen:
    """What all executions say of a handover together: Done where all have done it."""

    id: str
    state: Literal["Waiting", "Done", "Refused"]
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that was read, as far as it decides anything."""

    generation: int
    revision: str
    """Of the spec as it is now."""
    grant: str
    """Hash of the spec's limits as they are now."""
    workloads: tuple[WorkloadSeen, ...] = ()
    """Those that should exist, whether they do or not."""
    missing: tuple[Problem, ...] = ()
    """What people have to provide and did not: Secrets, a readable spec."""
    gates: tuple[GateSeen, ...] = ()
    stop: Stop = Stop()
    conditions: tuple[Condition, ...] = ()
    """As reported by the last pass."""
    fresh: bool = False
    """Market data is fresh in the gate of the rising track, and it says so now. Unknown is False."""
    orders: int | None = None
    """Sent by the rising track since its step began; None = not known."""
    episodes: int | None = None
    """Traded by it since then; None = not known."""
    evaluation: EvaluationSeen | None = None
    """None: not read, or not made yet."""
    promotions: tuple[PromotionSeen, ...] = ()
    looser: tuple[str, ...] = ()
    """Fields in which the spec's limits are looser than what stable was granted, such as limits.order.valueMax."""
    adopts: bool | None = None
    """Whether the candidate's strategy has on_adopt; None = not known."""
    handovers: tuple[HandoverSeen, ...] = ()
    """Of `State.handovers`; one that is not here was not heard of yet."""
    starved: str | None = None
    """Why the candidate, which has weight, gets nothing: which limit the others use up. Empty: it gets something."""
    min_notional: int | None = None
    """Smallest order value that the venue takes, the largest over instruments, scaled by 1e-8; None = not known."""
    hold: str = ""
    """Why we ourselves halt execution: an upgrade of the platform; empty: we do not."""
    upgrade_failed: str = ""
    """Why the platform's image that is asked for does not run; empty where it does, or may yet."""


# --- what is answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A transition worth telling people who run kubectl describe."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionResult:
    """What became of an approval: for its status."""

    name: str
    state: Literal["Waiting", "Used", "Expired", "Refused"]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An Evaluation that is over: for its status."""

    name: str
    outcome: Literal["Promoted", "Failed", "Aborted", "Superseded", "RolledBack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a person wants to know of the rollout."""

    next: str = ""
    """The next step, such as Canary 25%; empty where there is none."""
    waits_for: str = ""
    """In one sentence."""
    approval: Literal["", "Automatic", "Required", "Given"] = ""
    """What the next step takes of a person; empty where there is none."""
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What holds now, and what to tell about it."""

    state: State
    conditions: tuple[Condition, ...]
    trading: str
    """One word for people: Active, ReduceOnly, Starting, NotRunning, Halted, Cancel, Flatten or Unknown."""
    events: tuple[Event, ...] = field(default=())
    requeue_s: float | None = None
    """Look again after this, even if nothing happens."""
    outlook: Outlook = Outlook()
    evaluation: str = ""
    """The Evaluation that should be there and be measured into, for `state.rising`; empty: none."""
    promotions: tuple[PromotionResult, ...] = ()
    ended: tuple[Ended, ...] = ()
