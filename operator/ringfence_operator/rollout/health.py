"""Why a pod does not run, as one reason, one sentence and one remedy. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MESSAGE_MAX: Final = 512
NOT_RUNNING: Final = "NotRunning"
"""State of a gate whose process does not run: it sends nothing; what rests at the venue may execute."""


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
    claims: tuple[str, ...] = ()
    """Volume claims that it mounts."""
    reason: str = ""
    message: str = ""
    """Of a pod that was ended from outside, such as by eviction: why."""

    @property
    def ended(self) -> bool:
        """It will not run again; it is only there to be read."""
        return self.phase in {"Failed", "Succeeded"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A volume claim of the system."""

    name: str
    bound: bool
    storage_class: str | None
    """None: it names none, and the cluster has no default."""


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


NO_CLAIMS: Final[Mapping[str, Claim]] = MappingProxyType({})


def problem(pod: Pod, claims: Mapping[str, Claim] = NO_CLAIMS) -> Problem | None:
    """The first thing that is wrong with a pod; None for one that runs or is on its way. ``claims``: by name, those
    that were read."""
    found = pod.container
    if found.ready or pod.deleting:
        return None
    for check in (_ended, _volume(claims), _unschedulable, _image, _container, _crashing):
        wrong = check(pod)
        if wrong is not None:
            return wrong
    return None


def speaks_for(pod: Pod, uid: str, written: str) -> bool:
    """Whether a gate's line is of the process that runs in the pod now. What an earlier pod of the same name, or the
    container before this one, had said is no proof of what this one does. ``uid``: of the pod that wrote it;
    ``written``: RFC 3339, in UTC; both may be empty."""
    if not pod.container.running or (uid and uid != pod.uid):
        return False
    return not (written and pod.container.started_at and written < pod.container.started_at.removesuffix("Z"))


def refused(workload: str, message: str) -> Problem:
    """The API server takes no pod of it, in its own words."""
    if over_quota(message):
        told = f"{workload}: a ResourceQuota leaves no room for its pod; raise it or free some: {_short(message)}"
        return Problem("QuotaExceeded", told, True)
    return Problem("PodRefused", f"{workload}: the API server refuses its pod: {_short(message)}", True)


def over_quota(message: str) -> bool:
    """Whether a refusal is for want of quota, which no right mends."""
    return "exceeded quota" in message


def _ended(pod: Pod) -> Problem | None:
    """It was ended from outside, and none has been made in its place."""
    if pod.phase != "Failed" or not pod.reason:
        return None
    told = f"{pod.workload}: its pod was ended ({pod.reason}): {_short(pod.message) or 'no reason was given'}"
    return Problem(pod.reason, f"{told}; kubectl describe nodes shows what is short", False)


_NONE_FREE: Final = "persistent volumes to bind"
"""Said of classes that nobody provisions: waiting makes no volume."""
_NO_VOLUME: Final = (_NONE_FREE, "unbound immediate PersistentVolumeClaims", "persistentvolumeclaim")
_VOLUME_ELSEWHERE: Final = ("volume node affinity conflict", "non-existent pv")


def _volume(claims: Mapping[str, Claim]) -> Callable[[Pod], Problem | None]:
    """The scheduler counts nodes and names no claim: which one it is, and what it asks for, is what people need."""

    def check(pod: Pod) -> Problem | None:
        said = f"the scheduler says: {_short(pod.unschedulable)}"
        if any(words in pod.unschedulable for words in _VOLUME_ELSEWHERE):
            told = f"{pod.workload}: no node that takes pods can reach its volume ({', '.join(pod.claims)})"
            return Problem("VolumeOutOfReach", f"{told}; bring the node or the volume back; {said}", True)
        if not any(words in pod.unschedulable for words in _NO_VOLUME):
            return None
        open_ones = [name for name in pod.claims if name not in claims or not claims[name].bound]
        name = open_ones[0] if open_ones else ", ".join(pod.claims)
        claim = claims.get(name)
        lasts = _NONE_FREE in pod.unschedulable or (claim is not None and not claim.storage_class)
        return Problem("VolumeMissing", f"{pod.workload}: {_lacks(name, claim)}; {said}", lasts)

    return check


def _lacks(name: str, claim: Claim | None) -> str:
    """Which claim has no volume, and what to do."""
    other = "name another in spec.journal.storageClassName and delete the claim, which holds nothing yet"
    if claim is None:
        return f"its claim {name} has no volume; kubectl describe pvc {name} says why"
    if claim.storage_class is None:
        told = f"claim {name} names no StorageClass and the cluster has no default one"
        return f"{told}: make one the default, or {other.replace('another', 'one')}"
    if not claim.storage_class:
        return f"claim {name} takes volumes without a class, and none is free: make one that fits it"
    told = f"claim {name} finds no volume of StorageClass {claim.storage_class}"
    return f"{told} (kubectl describe pvc {name}): make or free one, make the class, or {other}"


def _unschedulable(pod: Pod) -> Problem | None:
    """No node takes it: waiting may help (an autoscaler, another pod that ends)."""
    if not pod.unschedulable:
        return None
    told = f"{pod.workload}: no node takes its pod; kubectl describe nodes shows what is taken: "
    return Problem("Unschedulable", told + _short(pod.unschedulable), False)


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
        remedy = "hold less in the strategy" if pod.service == "strategy" else "this is for the platform to mend"
        told = f"{pod.workload}: killed for using more memory than its limit ({found.restarts} restarts); {remedy}"
        return Problem("OutOfMemory", told, True)
    said = _short(found.exit_message) or f"exit code {found.exit_code}; see kubectl logs --previous {pod.name}"
    again = found.waiting_reason == "CrashLoopBackOff"
    reason = "StrategyCrashes" if pod.service == "strategy" else "ServiceCrashes"
    return Problem(reason, f"{pod.workload} stops after start ({found.restarts} restarts): {said}", again)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MESSAGE_MAX else one_line[: MESSAGE_MAX - 1] + "…"
