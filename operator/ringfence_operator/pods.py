"""Pods, claims and workloads as the API server gives them, as the values that `rollout.health` judges. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ringfence_operator.desired.labels import SERVICE, SLOT, SYSTEM, VENUE
from ringfence_operator.rollout.health import Claim, Container, Pod, Problem, refused

LAST_WORDS_MAX: Final = 2_048
"""Of a container's termination message: the end of it says why."""


def pod(found: Mapping[str, Any]) -> Pod:
    """A pod as far as we judge it."""
    metadata, status = found["metadata"], found.get("status") or {}
    labels = metadata.get("labels") or {}
    containers = found.get("spec", {}).get("containers") or [{}]
    volumes = [one for one in found.get("spec", {}).get("volumes") or () if "persistentVolumeClaim" in one]
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    return Pod(
        name=metadata["name"],
        workload=_workload(labels),
        service=labels.get(SERVICE, ""),
        image=containers[0].get("image", ""),
        image_id=str(((status.get("containerStatuses") or [{}])[0]).get("imageID", "")),
        ip=status.get("podIP", ""),
        phase=status.get("phase", ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        unschedulable=str(scheduled.get("message", "")) if scheduled.get("reason") == "Unschedulable" else "",
        container=_container((status.get("containerStatuses") or [{}])[0]),
        uid=str(metadata.get("uid", "")),
        claims=tuple(mounted["persistentVolumeClaim"]["claimName"] for mounted in volumes),
        reason=str(status.get("reason", "")),
        message=str(status.get("message", "")),
    )


def claim(found: Mapping[str, Any]) -> Claim:
    """A volume claim."""
    return Claim(
        name=found["metadata"]["name"],
        bound=(found.get("status") or {}).get("phase") == "Bound",
        storage_class=(found.get("spec") or {}).get("storageClassName"),
    )


def standing(found: Iterable[Pod]) -> tuple[Pod, ...]:
    """Those that count: an evicted pod stays to be read for hours, and is over once its workload has another."""
    pods = tuple(found)
    replaced = {one.workload for one in pods if not one.ended}
    return tuple(one for one in pods if not one.ended or one.workload not in replaced)


def refusal(workload: Mapping[str, Any] | None) -> Problem | None:
    """Why a Deployment gets no pod. A StatefulSet does not tell."""
    for condition in ((workload or {}).get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return refused(str((workload or {})["metadata"]["name"]), str(condition.get("message", "")))
    return None


def _workload(labels: Mapping[str, str]) -> str:
    """Name of the workload that a pod belongs to, by our own labels."""
    parts = (labels.get(SYSTEM), labels.get(VENUE), labels.get(SERVICE), labels.get(SLOT))
    return "-".join(part for part in parts if part)


def _container(status: Mapping[str, Any]) -> Container:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return Container(
        ready=bool(status.get("ready")),
        running="running" in state,
        restarts=int(status.get("restartCount", 0)),
        started_at=str((state.get("running") or {}).get("startedAt", "")),
        waiting_reason=str(waiting.get("reason", "")),
        waiting_message=str(waiting.get("message", "")),
        exit_code=ended.get("exitCode"),
        exit_reason=str(ended.get("reason", "")),
        exit_message=str(ended.get("message", ""))[-LAST_WORDS_MAX:],
    )
