"""A whole node: it runs what a cluster runs, survives what a machine suffers, and disturbs nobody."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import images
import localnode
from localnode import cgroups, mounts, network, runtime, state, supervise
from localnode.api import dns_answers

# the first test of a machine may have to compile and to install packages
pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]

SERVE = (
    "import http.server, pathlib; pathlib.Path('/journal/written').write_text('yes');"
    "http.server.ThreadingHTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


@pytest.fixture(scope="session")
def platform_image(cluster: Any) -> str:
    """Our own image on the node."""
    found = images.build()["platform"]
    localnode.load(cluster.info.name, [found.archive])
    return found.reference


@pytest.fixture
def namespace(cluster: Any) -> Iterator[str]:
    """A namespace that enforces the strictest pod security, removed with its claims."""
    name = f"n{time.monotonic_ns()}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _claim(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "journal", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _deployment(namespace: str, image: str) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/python3", "-c", SERVE],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
        "volumeMounts": [{"name": "journal", "mountPath": "/journal"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "journal", "persistentVolumeClaim": {"claimName": "journal"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    }


def _service(namespace: str) -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of our own
            return bool(answer.status == 200)
    except OSError:
        return False


def test_up_again_changes_nothing(cluster: Any) -> None:
    """The same processes, in a fraction of a second's work."""
    assert cluster.info.pids == localnode.up(cluster.info.name).pids


def test_a_restricted_pod_writes_its_claim_and_is_reached(
    cluster: Any, namespace: str, platform_image: str, eventually: Callable[..., None]
) -> None:
    """Non-root, read-only, no capabilities: available, found by name, reached as pod and as Service from both sides."""
    cluster.apply(_claim(namespace), _deployment(namespace, platform_image), _service(namespace))
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")

    volume = cluster.get("pvc", "journal", "-n", namespace)["spec"]["volumeName"]
    written = cluster.info.state_dir / "volumes" / volume / "written"
    pod = cluster.get("pods", "-n", namespace)["items"][0]
    service = cluster.get("service", "web", "-n", namespace)["spec"]["clusterIP"]

    assert ("yes", 65532) == (written.read_text(), written.stat().st_uid)
    assert _answers(f"http://{pod['status']['podIP']}:8000/")
    eventually(lambda: _answers(f"http://{service}/"))
    assert dns_answers(cluster.info.dns, f"web.{namespace}.svc.cluster.local", limit_s=3)
    ask = f"import urllib.request as u; print(u.urlopen('http://web.{namespace}/', timeout=5).status)"
    assert "200" == cluster.kubectl("-n", namespace, "exec", "deploy/web", "--", "/usr/bin/python3", "-c", ask).strip()
    assert "GET / HTTP" in cluster.kubectl("-n", namespace, "logs", "deploy/web")


def test_a_released_volume_is_emptied_and_offered_again(
    cluster: Any, namespace: str, platform_image: str, eventually: Callable[..., None]
) -> None:
    """The next `up` recycles what a deleted claim has left."""
    cluster.apply(_claim(namespace), _deployment(namespace, platform_image))
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    volume = cluster.get("pvc", "journal", "-n", namespace)["spec"]["volumeName"]
    cluster.kubectl("-n", namespace, "delete", "deployment/web", "pvc/journal", "--timeout=60s")
    eventually(lambda: cluster.get("pv", volume)["status"]["phase"] == "Released")

    localnode.up(cluster.info.name)

    eventually(lambda: cluster.get("pv", volume)["status"].get("phase") == "Available")
    assert [] == list((cluster.info.state_dir / "volumes" / volume).iterdir())


def _pid_is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_a_second_node_comes_and_goes_unnoticed(cluster: Any, namespace: str, platform_image: str) -> None:
    """Its firewall rules, ports, pods and cgroups are its own: the first keeps its pod, unrestarted and reachable."""
    cluster.apply(_claim(namespace), _deployment(namespace, platform_image))
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    before = _host_firewall()
    other = f"{cluster.info.name}-b"
    try:
        second = localnode.up(other)
        assert second.running
        assert second.api_url != cluster.info.api_url
        assert dns_answers(second.dns, "kubernetes.default.svc.cluster.local", limit_s=3)
        assert dns_answers(cluster.info.dns, "kubernetes.default.svc.cluster.local", limit_s=3)
        where = state.known(other, "node")[0]
        traces = runtime.traces(where)
        assert traces
    finally:
        localnode.down(other, purge=True)

    assert "absent" == localnode.status(other).state
    assert [] == [path for path in traces if path.exists() or path.is_symlink()]
    assert [] == [path for path in (where.state, where.run, where.netns_path) if path.exists()]
    assert [] == [path for path in cgroups.folders(where) if path.exists()]
    assert [] == mounts.below([where.state, where.run], Path("/proc/mounts").read_text())
    assert [] == [words for _, words in supervise.every_command() if str(where.socket) in words]
    assert [] == [pid for pid in second.pids.values() if _pid_is_alive(pid)]
    pod = cluster.get("pods", "-n", namespace)["items"][0]
    assert 0 == pod["status"]["containerStatuses"][0]["restartCount"]
    assert _answers(f"http://{pod['status']['podIP']}:8000/")
    assert before == _host_firewall()


def _host_firewall() -> list[str]:
    """The host's own rules, without comments and counters."""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    return [line for line in saved.splitlines() if line.startswith("-A")]


def test_a_killed_node_comes_back_with_its_pods(cluster: Any, namespace: str, platform_image: str) -> None:
    """Every process killed at once, as by the kernel; objects, images and journals are still there."""
    cluster.apply(_claim(namespace), _deployment(namespace, platform_image))
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    for pid in cluster.info.pids.values():
        os.kill(pid, signal.SIGKILL)

    again = localnode.up(cluster.info.name)

    assert again.running
    assert not set(again.pids.values()) & set(cluster.info.pids.values())
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=90s")


def test_a_rebooted_node_comes_back(cluster: Any) -> None:
    """What a reboot takes is gone: namespace, cable, sockets, pid files; etcd's objects are not."""
    cluster.kubectl("create", "configmap", "kept", "-n", "default")
    where, _ = state.known(cluster.info.name, "node")
    for pid in localnode.status(cluster.info.name).pids.values():
        os.kill(pid, signal.SIGKILL)
    runtime.kill_shims(where)
    network.teardown(where)
    for record in where.pids.iterdir():
        record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "the one before"}))

    assert "stopped" == localnode.status(cluster.info.name).state
    assert localnode.up(cluster.info.name).running

    cluster.kubectl("delete", "configmap", "kept", "-n", "default")


def test_one_dead_part_is_noticed(cluster: Any, eventually: Callable[..., None]) -> None:
    """A node without its proxy is degraded, and `up` makes it whole."""
    os.kill(localnode.status(cluster.info.name).pids["kube-proxy"], signal.SIGKILL)
    eventually(lambda: localnode.status(cluster.info.name).state == "degraded")
    assert localnode.up(cluster.info.name).running


def test_prometheus_scrapes_annotated_pods_with_our_labels(
    cluster: Any, namespace: str, platform_image: str, eventually: Callable[..., None]
) -> None:
    """It finds a pod by its annotations, and names its series by system, track and service."""
    info = localnode.up(cluster.info.name, prometheus=True)
    assert info.prometheus
    deployment = _deployment(namespace, platform_image)
    deployment["spec"]["template"]["metadata"] |= {
        "labels": {"app": "web", "ringfence.dev/system": "momentum", "ringfence.dev/track": "stable"},
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"},
    }
    cluster.apply(_claim(namespace), deployment)
    address = cluster.get("service", "prometheus", "-n", "monitoring")["spec"]["clusterIP"]
    query = f"up%7Bnamespace%3D%22{namespace}%22%7D"

    def series() -> list[dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://{address}:9090/api/v1/query?query={query}", timeout=2) as answer:
                return list(json.load(answer)["data"]["result"])
        except OSError:
            return []

    eventually(lambda: bool(series()), 60)
    labels = series()[0]["metric"]
    assert {"system": "momentum", "track": "stable", "namespace": namespace}.items() <= labels.items()
    assert labels["pod"].startswith("web-")


def test_bound_tokens_of_pods_are_accepted(cluster: Any) -> None:
    """A token that the API server issues for a service account opens it again."""
    token = cluster.kubectl("create", "token", "default", "-n", "default").strip()
    who = cluster.kubectl(
        "create",
        "-o",
        "json",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}),
    )
    assert "system:serviceaccount:default:default" == json.loads(who)["status"]["user"]["username"]


def test_nothing_listens_on_the_host(cluster: Any) -> None:
    """The API server of a node is reached at the node's address only."""
    with socket.socket() as client:
        assert 0 == client.connect_ex((cluster.info.address, 6443))
    with socket.socket() as client:
        assert 0 != client.connect_ex(("127.0.0.1", 6443))
