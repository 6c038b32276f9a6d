"""What a cluster shows of itself when something on it did not come about: for the person who reads only the output."""

import json
from typing import Any, Final

from demo.cluster import Cluster, ClusterError

TAIL: Final = "--tail=25"
EVENTS: Final = 40
"""The newest of them: an event of an hour ago explains nothing."""


def gather(cluster: Cluster) -> str:
    """Systems, switches, pods, warnings, and the last lines of every container that is not ready.

    Each part is asked for by itself: a cluster that answers only half still shows that half.
    """
    parts = [
        _asked(cluster, "get", "tsys,killswitch,pods,pvc", "--all-namespaces", "-o", "wide"),
        _asked(
            cluster,
            "get",
            "tsys",
            "--all-namespaces",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}: {.status}{'\\n'}{end}",
        ),
        _newest(
            _asked(
                cluster,
                "get",
                "events",
                "--all-namespaces",
                "--field-selector=type!=Normal",
                "--sort-by=.lastTimestamp",
            )
        ),
        _asked(cluster, "describe", "nodes"),
    ]
    for namespace, pod, container in unready(_pods(cluster)):
        where = ("-n", namespace, "logs", pod, "-c", container, TAIL)
        parts += [_asked(cluster, *where), _asked(cluster, *where, "--previous")]
    return "\n\n".join(parts)


def unready(pods: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Namespace, pod and container of all that do not run as they should, first containers included."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            finished = one.get("state", {}).get("terminated", {}).get("exitCode") == 0
            if not finished and (not one.get("ready") or one.get("restartCount")):
                found.append((pod["metadata"]["namespace"], pod["metadata"]["name"], one["name"]))
    return found


def _pods(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "--all-namespaces", "-o", "json"))[
            "items"
        ]
    except ClusterError:
        return []  # the first part says why
    return found


def _asked(cluster: Cluster, *arguments: str) -> str:
    try:
        answer = cluster.kubectl(*arguments, timeout_s=20)
    except ClusterError as error:
        answer = str(error)
    return f"$ kubectl {' '.join(arguments)}\n{answer.strip()}"


def _newest(text: str) -> str:
    command, *lines = text.splitlines()
    return "\n".join([command, *lines[-EVENTS:]])
