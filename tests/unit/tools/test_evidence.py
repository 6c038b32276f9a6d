"""What a failed end-to-end test shows of the cluster."""

from pathlib import Path
from typing import Any

from demo import evidence
from demo.cluster import Cluster


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "trading", "name": name}, "status": status}


def test_logs_are_asked_of_every_container_that_does_not_run_as_it_should() -> None:
    ready = {"name": "gate", "ready": True, "restartCount": 0, "state": {"running": {}}}
    crashed = {"name": "gate", "ready": True, "restartCount": 2, "state": {"running": {}}}
    waiting = {"name": "gate", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull"}}}
    done = {"name": "wait", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
    stuck = {"name": "wait", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}
    pods = [
        pod("well", initContainerStatuses=[done], containerStatuses=[ready]),
        pod("back-again", containerStatuses=[crashed]),
        pod("no-image", containerStatuses=[waiting]),
        pod("not-begun", initContainerStatuses=[stuck], containerStatuses=[waiting]),
        pod("pending"),
    ]

    assert [
        ("trading", "back-again", "gate"),
        ("trading", "no-image", "gate"),
        ("trading", "not-begun", "wait"),
        ("trading", "not-begun", "gate"),
    ] == evidence.unready(pods)


def test_a_cluster_that_does_not_answer_is_itself_the_evidence(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'connection refused' >&2\nexit 1\n")
    kubectl.chmod(0o755)

    shown = evidence.gather(Cluster("named", "gone", tmp_path / "config", "gone", kubectl, kubectl))

    assert "connection refused" in shown
    assert "$ kubectl get tsys" in shown
