"""Why a pod does not run: the first thing that is wrong, in words that say what to do."""

import pytest

from ringfence_operator.rollout.health import Container, Pod, problem

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
