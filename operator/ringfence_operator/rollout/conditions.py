"""Conditions: what is reported of a system, by the rules that kubectl wait, kstatus and Argo CD read.

Reconciling and Stalled are True when something is unusual; Ready is True only when all is well. Each has a
reason and a sentence that says what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ringfence_operator.rollout.health import Problem
from ringfence_operator.rollout.state import (
    Condition,
    ConditionStatus,
    Event,
    Failure,
    Observation,
    TrackState,
)

PROGRESS_DEADLINE: Final = timedelta(minutes=10)
"""After this long without being ready, it is no longer on its way: somebody has to look."""
NAMES_MAX: Final = 5
MESSAGE_MAX: Final = 1024


class Why(NamedTuple):
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSaid:
    """What a rollout in stages adds."""

    moving: bool = False
    problem: Problem | None = None
    """What will not get well by waiting."""
    failure: Failure | None = None
    starved: str = ""
    """Which limit the others use up."""
    looser: tuple[str, ...] = ()
    """Limits of the spec that nobody has granted."""


def judge(
    track: TrackState, why: Why, seen: Observation, now: datetime, rollout: RolloutSaid = RolloutSaid()
) -> tuple[Condition, ...]:
    """All conditions of a system, always all of them, in a fixed order."""
    stalled = _stalled(seen, now)
    if stalled is None and rollout.problem is not None:
        stalled = Why(rollout.problem.reason, rollout.problem.message)
    waiting = _awaited(seen)
    problems = [workload.problem for workload in seen.workloads if workload.problem is not None]
    found = [
        _ready(stalled, waiting),
        _reconciling(stalled, waiting),
        ("Stalled", "True", *stalled) if stalled else ("Stalled", "False", "NotStalled", "nothing needs anybody"),
        _progressing(track, why, stalled, moving=rollout.moving),
        _halted(seen),
        _exposed(seen),
        _degraded(problems, rollout.failure, seen.upgrade_failed),
        _starved(rollout),
        _pending(rollout),
    ]
    return tuple(
        settled(seen.conditions, name, status, Why(reason, message), seen.generation, now)
        for name, status, reason, message in found
    )


def settled(
    before: Iterable[Condition], name: str, status: ConditionStatus, why: Why, generation: int, now: datetime
) -> Condition:
    """A condition whose time moves only when its status does."""
    known = next((c for c in before if c.type == name), None)
    since = known.since if known is not None and known.status == status else now
    return Condition(
        type=name,
        status=status,
        reason=why.reason,
        message=_short(why.message),
        observed_generation=generation,
        since=since,
    )


def transitions(before: Iterable[Condition], after: Iterable[Condition]) -> tuple[Event, ...]:
    """Events for what changed between two passes; silence for what stayed."""
    known = {c.type: c for c in before}
    return tuple(event for c in after if (event := _transition(known.get(c.type), c)) is not None)


def after_apply(
    found: tuple[Condition, ...], changed: Iterable[str], refused: Iterable[Problem], now: datetime
) -> tuple[Condition, ...]:
    """The conditions again, now that objects were written: what was ready before the write has to be so again."""
    changed, refused = sorted(changed), list(refused)
    if refused:
        first = refused[0]
        why = Why(first.reason, first.message)
        now_true = "Stalled" if first.needs_somebody else "Reconciling"
        changes: dict[str, tuple[ConditionStatus, Why]] = {"Ready": ("False", why), now_true: ("True", why)}
        if first.needs_somebody:
            changes["Reconciling"] = ("False", why)
    elif changed and not any(c.type == "Stalled" and c.status == "True" for c in found):
        why = Why("Applying", f"applied {_names(changed)}")
        changes = {"Ready": ("False", why), "Reconciling": ("True", why)}
    else:
        return found
    return tuple(
        settled((c,), c.type, changes[c.type][0], changes[c.type][1], c.observed_generation, now)
        if c.type in changes
        else c
        for c in found
    )


def _stalled(seen: Observation, now: datetime) -> Why | None:
    """Why nothing goes on without somebody. First hit wins."""
    for problem in seen.missing:
        return Why(problem.reason, problem.message)
    for workload in seen.workloads:
        if workload.problem is not None and workload.problem.needs_somebody:
            return Why(workload.problem.reason, workload.problem.message)
    reconciling = next((c for c in seen.conditions if c.type == "Reconciling"), None)
    stalled = next((c for c in seen.conditions if c.type == "Stalled"), None)
    late = [workload for workload in seen.workloads if not workload.ready]
    if late and reconciling is not None and reconciling.observed_generation == seen.generation:
        overdue = reconciling.status == "True" and now - reconciling.since > PROGRESS_DEADLINE
        remains = stalled is not None and stalled.status == "True" and stalled.reason == "ProgressDeadlineExceeded"
        if overdue or remains:
            first = next((workload for workload in late if workload.problem is not None), late[0])
            return Why("ProgressDeadlineExceeded", _late(first.name, first.problem))
    return None


def _late(name: str, problem: Problem | None) -> str:
    minutes = int(PROGRESS_DEADLINE.total_seconds() // 60)
    detail = f": {problem.message}" if problem else "; see kubectl describe pod and its logs"
    return f"{name} is not ready after {minutes} minutes{detail}"


def _awaited(seen: Observation) -> Why | None:
    """What is not ready, with the cause where one is known."""
    late = [workload for workload in seen.workloads if not workload.ready]
    if not late:
        return None
    known = next((workload.problem for workload in late if workload.problem is not None), None)
    if known is None:
        return Why("WorkloadsNotReady", f"waiting for {_names(workload.name for workload in late)}")
    more = f" (and {len(late) - 1} more not ready)" if len(late) > 1 else ""
    return Why(known.reason, known.message + more)


def _ready(stalled: Why | None, waiting: Why | None) -> tuple[str, ConditionStatus, str, str]:
    if stalled is not None:
        return "Ready", "False", stalled.reason, stalled.message
    if waiting is not None:
        return "Ready", "False", *waiting
    return "Ready", "True", "AllReady", "all workloads are ready"


def _reconciling(stalled: Why | None, waiting: Why | None) -> tuple[str, ConditionStatus, str, str]:
    if stalled is not None:
        return "Reconciling", "False", "Stalled", "waiting for somebody, see Stalled"
    if waiting is not None:
        return "Reconciling", "True", *waiting
    return "Reconciling", "False", "AllReady", "the cluster holds what the spec asks for"


def _progressing(
    track: TrackState, why: Why, stalled: Why | None, *, moving: bool
) -> tuple[str, ConditionStatus, str, str]:
    if stalled is not None:
        return "Progressing", "False", stalled.reason, stalled.message
    return "Progressing", "True" if moving else "False", why.reason, f"{track.stage} {track.weight}%: {why.message}"


def _halted(seen: Observation) -> tuple[str, ConditionStatus, str, str]:
    severity, said = seen.stop.severity, seen.stop.reason
    if severity in {"Halt", "Cancel", "Flatten"}:
        return "TradingHalted", "True", "KillSwitch", f"{severity}: {said}"
    if severity == "ReduceOnly" and not seen.hold:
        return "TradingHalted", "False", "ReduceOnly", f"only orders that reduce a position may pass: {said}"
    if severity not in {"None", "ReduceOnly"}:
        return "TradingHalted", "Unknown", "UnknownSeverity", f"{severity}: {said}"
    if seen.hold:
        return "TradingHalted", "True", "PlatformUpgrade", seen.hold
    return "TradingHalted", "False", "NoSwitchEngaged", "no kill switch that covers this system is engaged"


def _exposed(seen: Observation) -> tuple[str, ConditionStatus, str, str]:
    """On paper nothing is real."""
    gates = [gate for gate in seen.gates if not gate.paper]
    found = [f"{told} ({gate.pod})" for gate in gates for told in gate.exposed or ()]
    if found:
        return "Exposed", "True", "StandsOpen", f"a person decides: {_names(found)}"
    silent = [gate.pod for gate in gates if gate.exposed is None]
    if silent or not gates:
        told = f"{_names(silent)} does not say" if silent else "no gate of execution has said anything yet"
        return "Exposed", "Unknown", "NotTold", told
    return "Exposed", "False", "NothingOpen", "hedges hold, and no stop leaves a position without protection"


def _starved(said: RolloutSaid) -> tuple[str, ConditionStatus, str, str]:
    if said.starved:
        return "CandidateStarved", "True", "LimitUsedUp", f"the candidate has weight and gets nothing: {said.starved}"
    return "CandidateStarved", "False", "NotStarved", "no candidate is kept from trading by the other track"


def _pending(said: RolloutSaid) -> tuple[str, ConditionStatus, str, str]:
    if said.looser:
        told = (
            f"{_names(said.looser)} of the spec are looser than what was granted: a Promotion with action Raise grants"
        )
        return "LimitsPending", "True", "NotGranted", told
    return "LimitsPending", "False", "Granted", "the limits in force are the spec's, or stricter"


def _degraded(
    problems: list[Problem], failure: Failure | None, upgrade_failed: str
) -> tuple[str, ConditionStatus, str, str]:
    if not problems and upgrade_failed:
        return "Degraded", "True", "PlatformUpgradeFailed", upgrade_failed
    if not problems and failure is not None:
        return "Degraded", "True", failure.reason, f"revision {failure.revision}: {failure.message}"
    if not problems:
        return "Degraded", "False", "NoProblem", "no workload has a problem"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return "Degraded", "True", problems[0].reason, problems[0].message + more


_TOLD: Final = {
    # condition and status: what to call it, and whether it is news for people who watch warnings
    ("Ready", "True"): ("Ready", "Normal"),
    ("Stalled", "True"): ("", "Warning"),
    ("Degraded", "True"): ("", "Warning"),
    ("Degraded", "False"): ("Recovered", "Normal"),
    ("Exposed", "True"): ("Exposed", "Warning"),
    ("CandidateStarved", "True"): ("CandidateStarved", "Warning"),
    ("LimitsPending", "True"): ("LimitsPending", "Warning"),
    ("TradingHalted", "True"): ("TradingHalted", "Warning"),
    ("TradingHalted", "False"): ("TradingReleased", "Normal"),
}


def _transition(before: Condition | None, after: Condition) -> Event | None:
    told = _TOLD.get((after.type, after.status))
    if told is None:
        return None
    name, level = told
    first = before is None or before.status == "Unknown"
    if first and after.status == "False":
        return None  # never was otherwise: no transition
    same_reason = before is not None and (name or before.reason == after.reason)
    if before is not None and before.status == after.status and same_reason:
        return None
    return Event(type="Warning" if level == "Warning" else "Normal", reason=name or after.reason, message=after.message)


def _names(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - NAMES_MAX} more" if len(found) > NAMES_MAX else ""
    return ", ".join(found[:NAMES_MAX]) + more


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"
