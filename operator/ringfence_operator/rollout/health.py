"""Why a pod does not run, as one reason, one sentence and one remedy. Pure."""

from dataclasses import dataclass
from typing import Final

MESSAGE_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Container:
    """What kubelet says of a pod's one container."""

    ready: bool = False
    running: bool = False
    restarts: int = 0
    started_at: str = ""
    """RFC 3339, of the process that runs now."""
    waiting_reason: str = ""
    waiting_message: str = ""
    exit_code: int | None = None
    """Of the last life that ended, if one did."""
    exit_reason: str = ""
    exit_message: str = ""
    """The service's own last sentence: its termination message."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a workload."""

    name: str
    workload: str
    service: str
    image: str = ""
    image_id: str = ""
    """With its digest, as it runs."""
    ip: str = ""
    phase: str = "Pending"
    ready: bool = False
    deleting: bool = False
    unschedulable: str = ""
    """The scheduler's words, if it finds no node."""
    container: Container = Container()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a workload from running."""

    reason: str
    message: str
    needs_somebody: bool
    """True where it will not get well by waiting."""


_IMAGE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
)
_CREATE: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def problem(pod: Pod) -> Problem | None:
    """The first thing that is wrong with a pod; None for one that runs or is on its way."""
    found = pod.container
    if found.ready or pod.deleting:
        return None
    for check in (_unschedulable, _image, _container, _crashing):
        wrong = check(pod)
        if wrong is not None:
            return wrong
    return None


def _unschedulable(pod: Pod) -> Problem | None:
    """No node takes it: waiting may help (an autoscaler, another pod that ends)."""
    if not pod.unschedulable:
        return None
    return Problem("Unschedulable", f"{pod.workload}: no node takes its pod: {_short(pod.unschedulable)}", False)


def _image(pod: Pod) -> Problem | None:
    """The image is not to be had."""
    why = pod.container.waiting_reason
    if why not in _IMAGE:
        return None
    remedy = (
        "load it onto the node, or use a name that a registry serves"
        if why == "ErrImageNeverPull"
        else "check the name, that it was pushed, and the pull secret"
    )
    detail = f": {_short(pod.container.waiting_message)}" if pod.container.waiting_message else ""
    return Problem(why, f"{pod.workload}: image {pod.image} cannot be had; {remedy}{detail}", True)


def _container(pod: Pod) -> Problem | None:
    """The container cannot be made: most often a Secret or ConfigMap that is not there."""
    if pod.container.waiting_reason not in _CREATE:
        return None
    detail = _short(pod.container.waiting_message) or "kubelet gives no reason"
    return Problem(pod.container.waiting_reason, f"{pod.workload}: its container cannot be created: {detail}", True)


def _crashing(pod: Pod) -> Problem | None:
    """It starts and ends. Its own last sentence says why, where it left one."""
    found = pod.container
    if found.waiting_reason != "CrashLoopBackOff" and not (found.exit_code and not found.running):
        return None
    if found.exit_reason == "OOMKilled":
        return Problem("OutOfMemory", f"{pod.workload}: killed for using more memory than its limit", True)
    said = _short(found.exit_message) or f"exit code {found.exit_code}; see kubectl logs --previous {pod.name}"
    again = found.waiting_reason == "CrashLoopBackOff"
    reason = "StrategyCrashes" if pod.service == "strategy" else "ServiceCrashes"
    return Problem(reason, f"{pod.workload} stops after start ({found.restarts} restarts): {said}", again)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MESSAGE_MAX else one_line[: MESSAGE_MAX - 1] + "…"
