"""An upgrade of the platform between what was read, what `rollout.platform` decides, and status. Pure.

What is not known is False: a gate that says nothing neither works, nor is at rest, nor is back.
"""

from datetime import datetime
from typing import Final

from ringfence.wire.alerts import Alert
from ringfence.wire.tracks import TracksReport
from ringfence_operator import records
from ringfence_operator.api import TradingSystem, sentence
from ringfence_operator.api.rollout import PlatformStatus
from ringfence_operator.cluster.apply import Ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired import plan as names
from ringfence_operator.rollout.health import Pod, Problem, problem
from ringfence_operator.rollout.platform import BACK_DEADLINE, Phase, PlatformSeen, PlatformState

FAILED: Final = "PlatformUpgradeFailed"
NOT_BACK: Final = "PlatformNotBack"
"""Names of alerts, and of their runbooks."""
_STOPPED: Final = frozenset({"Halt", "Cancel", "Flatten"})


def state_of(system: TradingSystem) -> PlatformState | None:
    """Where the last pass ended; None before the first."""
    found = system.status.platform
    if found is None:
        return None
    return PlatformState(
        image=found.image,
        phase=Phase(found.phase),
        target=found.target,
        since=records.instant(found.since),
        proven_s=found.proven_seconds,
        clock=records.instant(found.clock) if found.clock else None,
        message=found.message,
    )


def status(state: PlatformState) -> PlatformStatus:
    return PlatformStatus(
        phase=state.phase.value,
        image=state.image,
        target=state.target,
        since=records.written(state.since),
        proven_seconds=state.proven_s,
        clock=records.written(state.clock) if state.clock else None,
        message=sentence(state.message),
    )


def alerts(system: TradingSystem, state: PlatformState, now: datetime) -> tuple[Alert, ...]:
    """Those that hold: that an image was refused, and that trading is still halted for one that was to be put back."""
    if state.phase is Phase.FAILED:
        summary = f"the upgrade to {state.target} has failed; {state.image} runs on"
        return (_alert(FAILED, "warning", system, state, summary),)
    if state.phase is Phase.PUTTING_BACK and now - state.since > BACK_DEADLINE:
        summary = f"execution is halted: {state.image} does not come back after the upgrade to {state.target}"
        return (_alert(NOT_BACK, "critical", system, state, summary),)
    return ()


def _alert(name: str, level: str, system: TradingSystem, state: PlatformState, summary: str) -> Alert:
    return Alert(
        name=name,
        namespace=system.metadata.namespace,
        system=system.metadata.name,
        level=level,
        summary=summary,
        reason=state.message,
        since=int(state.since.timestamp()) * 1_000_000_000,
    )


def seen_of(system: TradingSystem, seen: Seen, wanted: str, severity: str) -> PlatformSeen:
    """``wanted``: the image that the installation asks for. ``severity``: of the switches that cover the system."""
    state = state_of(system)
    target = state.target if state is not None else ""
    venues = [venue.name for venue in system.spec.venues]
    first = [*(f"{venue}-paper" for venue in venues), "portfolio"]
    executions = [f"{venue}-execution" for venue in venues]
    return PlatformSeen(
        wanted=wanted,
        running=deployed(system, seen, executions[0]),
        paper_works=all(_runs(system, seen, role, target) for role in first)
        and all(_active(_report(system, seen, f"{venue}-paper"), target) for venue in venues),
        paper_broken=_broken(system, seen, first, target),
        halted=all(_at_rest(system, seen, role) for role in executions),
        back=_back(system, seen, executions),
        back_broken=_broken(system, seen, executions, target),
        stopped=severity in _STOPPED,
    )


def deployed(system: TradingSystem, seen: Seen, role: str) -> str:
    """The image of a program's template; empty where it is not deployed."""
    name = names.workload_name(system.metadata.name, role)
    live = seen.live.get(Ref("StatefulSet", name)) or seen.live.get(Ref("Deployment", name))
    if live is None:
        return ""
    containers = live.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))


def _pods(system: TradingSystem, seen: Seen, role: str) -> list[Pod]:
    name = names.workload_name(system.metadata.name, role)
    return [pod for pod in seen.pods if pod.workload == name]


def _runs(system: TradingSystem, seen: Seen, role: str, image: str) -> bool:
    """It is one pod, of that image, and ready."""
    found = _pods(system, seen, role)
    return bool(image) and len(found) == 1 and found[0].image == image and found[0].ready and not found[0].deleting


def _report(system: TradingSystem, seen: Seen, role: str) -> TracksReport | None:
    pods = {pod.name for pod in _pods(system, seen, role)}
    return next((report for report in seen.reports if report.pod in pods), None)


def _active(report: TracksReport | None, image: str) -> bool:
    return report is not None and report.build == image and report.reconciled and report.state == "Active"


def _broken(system: TradingSystem, seen: Seen, roles: list[str], image: str) -> str:
    """Why the pods of that image never will run."""
    pods = [pod for role in roles for pod in _pods(system, seen, role) if pod.image == image]
    found: list[Problem] = [wrong for pod in pods if (wrong := problem(pod)) is not None and wrong.needs_somebody]
    return found[0].message if found else ""


def _at_rest(system: TradingSystem, seen: Seen, role: str) -> bool:
    """It is held by us with nothing in flight; or it does not run, and sends nothing."""
    report = _report(system, seen, role)
    if report is not None:
        return bool(report.held) and report.in_flight == 0
    return not any(pod.container.running for pod in _pods(system, seen, role))


def _back(system: TradingSystem, seen: Seen, roles: list[str]) -> str:
    """The image that all of them run, reconciled; empty: not all do."""
    images = set()
    for role in roles:
        report, image = _report(system, seen, role), deployed(system, seen, role)
        works = _runs(system, seen, role, image) and report is not None and report.build == image and report.reconciled
        images.add(image if works else "")
    return images.pop() if len(images) == 1 else ""
