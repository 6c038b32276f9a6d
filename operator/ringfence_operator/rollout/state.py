"""What `decide` is told, what it keeps, and what it answers. Frozen values only.

`State` is what survives in status: whoever reads it after a crash continues where the last pass ended. A second
track and the objects of a staged rollout (Evaluations, Promotions) are added to `State` and `Observation`; the
shape of the loop stays.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ringfence_operator.rollout.health import Problem

ConditionStatus = Literal["True", "False", "Unknown"]


class Stage(StrEnum):
    """How close to real money a track is."""

    PAPER = "Paper"
    CANARY = "Canary"
    LIVE = "Live"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The part of a TradingSystem's spec that decides how far it may go."""

    goal: Stage
    simulated: bool
    """Every venue is a Simulator: there is no real money."""


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
class State:
    """What the next pass needs of this one."""

    stable: TrackState | None = None
    """None only before the first pass."""


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
    """Starting, Active, ReduceOnly, Halted or Cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The most severe of all switches that cover the system."""

    severity: str = "None"
    """None, ReduceOnly, Halt, Cancel or Flatten."""
    reason: str = ""
    """Which switches, and what people wrote in them."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A transition worth telling people who run kubectl describe."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What holds now, and what to tell about it."""

    state: State
    conditions: tuple[Condition, ...]
    trading: str
    """One word for people: Active, ReduceOnly, Starting, Halted, Cancel or Unknown."""
    events: tuple[Event, ...] = field(default=())
    requeue_s: float | None = None
    """Look again after this, even if nothing happens."""
