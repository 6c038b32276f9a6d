"""Why a pod does not run: the first thing that is wrong, in words that say what to do."""

from typing import Any

import pytest

from ringfence_operator import pods
from ringfence_operator.rollout.health import Claim, Container, Pod, problem, refused

CASES = [
    ("starting", Pod("p", "w", "execution", container=Container(waiting_reason="ContainerCreating")), None, False),
    ("running", Pod("p", "w", "execution", container=Container(running=True)), None, False),
    ("ready", Pod("p", "w", "execution", unschedulable="x", container=Container(ready=True)), None, False),
    ("leaving", Pod("p", "w", "x", deleting=True, container=Container(waiting_reason="ErrImagePull")), None, False),
    ("no node", Pod("p", "w", "x", unschedulable="0/1 nodes"), "Unschedulable", False),
    ("pull", Pod("p", "w", "x", container=Container(waiting_reason="ImagePullBackOff")), "ImagePullBackOff", True),
    ("never", Pod("p", "w", "x", container=Container(waiting_reason="ErrImageNeverPull")), "ErrImageNeverPull", True),
    (
        "config",
        Pod("p", "w", "x", container=Container(waiting_reason="CreateContainerConfigError")),
        "CreateContainerConfigError",
        True,
    ),
    (
        "strategy crashes",
        Pod("p", "w", "strategy", container=Container(waiting_reason="CrashLoopBackOff", exit_code=1)),
        "StrategyCrashes",
        True,
    ),
    (
        "ours crashes",
        Pod("p", "w", "portfolio", container=Container(waiting_reason="CrashLoopBackOff", exit_code=1)),
        "ServiceCrashes",
        True,
    ),
    ("crashed once", Pod("p", "w", "x", container=Container(exit_code=1)), "ServiceCrashes", False),
    ("ended well", Pod("p", "w", "x", container=Container(exit_code=0)), None, False),
    ("crashed and runs again", Pod("p", "w", "x", container=Container(running=True, exit_code=1)), None, False),
    (
        "out of memory",
        Pod(
            "p",
            "w",
            "x",
            container=Container(waiting_reason="CrashLoopBackOff", exit_code=137, exit_reason="OOMKilled"),
        ),
        "OutOfMemory",
        True,
    ),
]


@pytest.mark.parametrize(("pod", "reason", "needs_somebody"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_problem(pod: Pod, reason: str | None, needs_somebody: bool) -> None:
    """One table: what kubelet says, what we say."""
    found = problem(pod)

    assert (found.reason if found else None) == reason
    assert found is None or found.needs_somebody is needs_somebody


def test_the_last_sentence_of_a_service_is_quoted_on_one_line() -> None:
    """Whatever a log held, a condition is one line of bounded length."""
    container = Container(
        waiting_reason="CrashLoopBackOff", exit_code=1, exit_message="line one\n  line two\n" + "x" * 900
    )
    found = problem(Pod("p", "w", "strategy", container=container))

    assert found is not None
    assert "line one line two x" in found.message
    assert "\n" not in found.message
    assert len(found.message) < 600


NONE_FREE = (
    "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind. preemption: 0/1 nodes are"
    " available: 1 Preemption is not helpful for scheduling."
)
UNBOUND = (
    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes are available: 1"
    " Preemption is not helpful for scheduling."
)
ELSEWHERE = (
    "0/2 nodes are available: 1 node(s) had untolerated taint {x: }, 1 node(s) had volume node affinity conflict."
)


@pytest.mark.parametrize(
    ("said", "claim", "reason", "needs_somebody", "told"),
    [
        (NONE_FREE, Claim("c", False, "local"), "VolumeMissing", True, "no volume of StorageClass local"),
        (UNBOUND, Claim("c", False, "fast"), "VolumeMissing", False, "make the class"),
        (UNBOUND, Claim("c", False, None), "VolumeMissing", True, "the cluster has no default one"),
        (UNBOUND, Claim("c", False, ""), "VolumeMissing", True, "volumes without a class, and none is free"),
        (
            '0/1 nodes are available: persistentvolumeclaim "c" not found.',
            None,
            "VolumeMissing",
            False,
            "describe pvc c",
        ),
        (ELSEWHERE, Claim("c", True, "local"), "VolumeOutOfReach", True, "bring the node or the volume back"),
        ("0/1 nodes are available: 1 Insufficient memory.", Claim("c", True, "x"), "Unschedulable", False, "memory"),
    ],
    ids=["none free", "absent class, or on its way", "no default class", "no class", "no claim", "elsewhere", "full"],
)
def test_a_pod_without_its_volume_names_the_claim_and_what_to_do(
    said: str, claim: Claim | None, reason: str, needs_somebody: bool, told: str
) -> None:
    """The scheduler counts nodes; a person needs the claim. A volume that is still being made stalls nothing."""
    pod = Pod("m-sim-execution-0", "m-sim-execution", "execution", unschedulable=said, claims=("c",))
    found = problem(pod, {} if claim is None else {"c": claim})

    assert found is not None
    assert (found.reason, found.needs_somebody) == (reason, needs_somebody)
    assert found.message.startswith("m-sim-execution: ")
    assert told in found.message
    assert said.split(": ", 1)[1][:30] in found.message


def test_the_claim_that_lacks_its_volume_is_named_and_not_its_neighbour() -> None:
    claims = {"a": Claim("a", True, "x"), "b": Claim("b", False, "x")}
    found = problem(Pod("p", "w", "x", unschedulable=NONE_FREE, claims=("a", "b")), claims)

    assert found is not None
    assert "claim b finds no volume" in found.message


def raw(name: str, **status: Any) -> dict[str, Any]:
    labels = {"ringfence.dev/system": "m", "ringfence.dev/service": name}
    return {"metadata": {"name": f"m-{name}", "uid": "u", "labels": labels}, "spec": {}, "status": status}


def test_an_evicted_pod_is_told_until_another_takes_its_place() -> None:
    """A Deployment leaves it to be read for hours; what it says is over then."""
    evicted = pods.pod(
        raw("portfolio", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    )
    other = pods.pod(raw("portfolio", phase="Running", containerStatuses=[{"ready": True}]))
    found = problem(evicted)

    assert found is not None
    assert (found.reason, found.needs_somebody) == ("Evicted", False)
    assert "The node was low on resource: memory." in found.message
    assert pods.standing([evicted]) == (evicted,)
    assert pods.standing([evicted, other]) == (other,)


def test_a_pod_that_finds_no_room_in_the_quota_says_so() -> None:
    """The ReplicaSet's own words, as the Deployment repeats them."""
    said = (
        'pods "m-portfolio-7d9f8b6c5-" is forbidden: exceeded quota: small, requested: limits.memory=256Mi, used:'
        " limits.memory=1Gi, limited: limits.memory=1Gi"
    )
    workload = raw("portfolio", conditions=[{"type": "ReplicaFailure", "status": "True", "message": said}])
    found = pods.refusal(workload)

    assert found is not None
    assert (found.reason, found.needs_somebody) == ("QuotaExceeded", True)
    assert "limited: limits.memory=1Gi" in found.message
    assert pods.refusal(raw("portfolio")) is None
    assert refused("w", "violates PodSecurity").reason == "PodRefused"


def test_out_of_memory_says_whose_it_is() -> None:
    dead = Container(waiting_reason="CrashLoopBackOff", exit_code=137, exit_reason="OOMKilled", restarts=3)
    told = {service: problem(Pod("p", "w", service, container=dead)) for service in ("strategy", "execution")}

    assert all(found is not None and "3 restarts" in found.message for found in told.values())
    assert told["strategy"] != told["execution"]
