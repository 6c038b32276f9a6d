"""The watchdog on a real cluster: a gate that hangs with orders at the venue, and what happens without it."""

import base64
import hashlib
import hmac
import json
import os
import signal
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from demo.cluster import ROOT, Cluster
from demo.install import Images
from demo.system import System, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.xdist_group("e2e")]
NAME: Final = "guarded"
SILENT_S: Final = 16
HEARD_S: Final = 6
"""It counts from what it heard last: on a busy machine some answers of a living gate come too late to count."""


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator: Images) -> System:
    if cluster.sort != "local":
        pytest.skip("stopping a container's process needs our own node")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trading"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    manifest = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    manifest["metadata"]["name"] = NAME
    manifest["spec"]["strategy"]["image"] = operator.strategy
    manifest["spec"]["watchdog"] = {"silentSeconds": SILENT_S}
    found = System(cluster, NAME)
    found.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    return found


def process(pod: str) -> int:
    """The pid of a pod's program, seen from the node."""
    found = processes(pod)
    assert found, f"no process of {pod} on this machine"
    return found[0]


def processes(pod: str) -> list[int]:
    there = []
    for found in Path("/proc").glob("[0-9]*"):
        try:
            environ, line = (found / "environ").read_bytes(), (found / "cmdline").read_bytes()
        except OSError:
            continue
        if f"POD_NAME={pod}".encode() in environ.split(b"\0") and b"ringfence.execution" in line:
            there.append(int(found.name))
    return there


def rest_at_venue(system: System) -> None:
    """One order far below the market, as somebody else with the account's key would send it."""
    data = system.get("secret", f"{system.name}-{system.venue}-credentials")["data"]
    key, secret = (base64.b64decode(data[name]).strip() for name in ("api-key", "api-secret"))
    base = f"http://{system.address('simulator')}:9000/api/v3"
    with urllib.request.urlopen(f"{base}/ticker/bookTicker?symbol=BTCUSDT", timeout=5) as answer:  # noqa: S310 - our own node
        bid = float(json.loads(answer.read())["bidPrice"])
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.001",
        "price": f"{bid * 0.9:.2f}",
        "timestamp": str(system.venue_now_ns() // 1_000_000),
    }
    query = urllib.parse.urlencode(order)
    signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(  # noqa: S310 - as above
        f"{base}/order?{query}&signature={signature}", method="POST", headers={"X-MBX-APIKEY": key.decode()}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        assert answer.status == 200


def cancelled_all(system: System, after_ns: int) -> dict[str, Any] | None:
    """The venue's record of the first cancel of all orders after a moment."""
    found = (r for r in system.requests() if r["kind"] == "cancel_all" and r["received_ns"] > after_ns)
    return next(found, None)


def test_the_watchdog_is_up_and_shown_like_any_service(system: System) -> None:
    """Ready, in the status, and on paper or live alike."""
    wait_for("trading Active", lambda: system.is_active() or None, 120)

    def ready() -> bool | None:
        services = {one["name"]: one for one in system.get("tsys", NAME)["status"]["services"]}
        return services["sim-watchdog"]["ready"] or None

    wait_for("the watchdog ready", ready, 60)


def test_a_gate_that_hangs_loses_its_orders_and_comes_back(system: System) -> None:
    """SIGSTOP: neither Lease nor heartbeat. All is cancelled at the venue, the pod is deleted, trading resumes."""
    rest_at_venue(system)
    pod = f"{NAME}-sim-execution-0"
    uid = system.get("pod", pod)["metadata"]["uid"]
    os.kill(process(pod), signal.SIGSTOP)
    stopped_ns = time.time_ns()  # sim-ok: measures a real cluster
    cancel = wait_for("the watchdog's cancel", lambda: cancelled_all(system, stopped_ns), 90)
    took_s = (cancel["received_ns"] - stopped_ns) / 1e9
    print(f"\nexecution stopped: everything on the account cancelled after {took_s:.1f} s")
    assert SILENT_S - HEARD_S < took_s < SILENT_S + 15

    def replaced() -> bool | None:
        return True if system.get("pod", pod)["metadata"]["uid"] != uid else None

    wait_for("another pod", replaced, 120)
    wait_for("trading Active again", lambda: system.is_active() or None, 120)


def test_a_gate_that_is_killed_again_and_again_loses_its_orders(system: System) -> None:
    """kill -9, and again whenever the kubelet has restarted it: it never comes up, and its orders do not stay."""
    rest_at_venue(system)
    pod = f"{NAME}-sim-execution-0"
    uid = system.get("pod", pod)["metadata"]["uid"]
    killed_ns = time.time_ns()  # sim-ok: measures a real cluster
    kills = 0

    def cancelled() -> dict[str, Any] | None:
        nonlocal kills
        for pid in processes(pod) if system.get("pod", pod)["metadata"]["uid"] == uid else ():
            os.kill(pid, signal.SIGKILL)
            kills += 1
        return cancelled_all(system, killed_ns)

    took_s = (wait_for("the watchdog's cancel", cancelled, 90)["received_ns"] - killed_ns) / 1e9
    print(f"\nexecution killed {kills} times: everything on the account cancelled after {took_s:.1f} s")
    assert SILENT_S - HEARD_S < took_s < SILENT_S + 20
    assert 0 == system.ledger()["open_orders"]
    wait_for("trading Active again", lambda: system.is_active() or None, 120)
