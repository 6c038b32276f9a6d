"""One system's life on a real cluster: applied, trading, tightened, repaired, stopped, deleted.

The tests of this file build on one another, in order: they are one story, told on one cluster.
"""

import base64
import json
import os
import signal
import time
import urllib.request
from decimal import Decimal
from typing import Any

import pytest
import yaml

import localnode
from demo import install
from demo.cluster import ROOT, Cluster, ClusterError
from demo.install import NAMESPACE, Images
from demo.latency import measure
from demo.system import System, late, nanoseconds, wait_for
from ringfence.wire.kill import KillRequest, signed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.xdist_group("e2e")]
SAMPLES = ROOT / "manifests" / "samples"
ENGAGE = '{"spec":{"engaged":true}}'
PATCHES = 20
"""The venue's rate limit lets a gate start up again some thirty times a minute; `make bench-kill` takes hundreds."""


def sample(name: str, images: Images) -> str:
    return (SAMPLES / name).read_text().replace("ringfence.local/momentum:dev", images.strategy)


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator: Images) -> System:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trading"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    found = System(cluster, "momentum")
    manifest = yaml.safe_load(sample("momentum.yaml", operator))
    # hundreds of releases, each with a reconciliation, would mostly wait for the venue's budget of the minute
    manifest["spec"]["venues"][0]["simulator"]["weightPerMinute"] = 1_000_000
    found.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    return found


def cash_of(portfolio: dict[str, Any], gate: str) -> dict[str, Decimal]:
    """Change of each asset that the portfolio has folded from one gate's fills, all tracks together."""
    changes: dict[str, Decimal] = {}
    for row in portfolio["cash"]:
        if row["gate"] == gate:
            changes[row["asset"]] = changes.get(row["asset"], Decimal(0)) + Decimal(row["change"])
    return {asset: change for asset, change in changes.items() if change}


def pods(system: System) -> dict[str, Any]:
    listed = json.loads(system.kubectl("get", "pods", "-l", f"ringfence.dev/system={system.name}", "-o", "json"))
    return {pod["metadata"]["name"]: pod for pod in listed["items"]}


def wait_active(system: System, timeout_s: float = 90) -> None:
    wait_for("trading Active", lambda: system.is_active() or None, timeout_s)


def test_orders_fill_within_sixty_seconds_of_apply(system: System) -> None:
    """Applied, its services come up, the gate opens, and orders fill at the simulated venue."""
    start = time.monotonic()  # sim-ok: measures a real cluster
    wait_for("fills", lambda: system.ledger()["fills"] or None, 60)
    print(f"\napply to first fill: {time.monotonic() - start:.1f} s")  # sim-ok: as above
    wait_active(system)
    assert "True" == system.condition("tsys", system.name, "Ready")["status"]


def test_portfolio_equals_the_venue_ledger_exactly(system: System) -> None:
    """With the gate halted so that nothing moves, every position and every asset's cash agree to the last digit."""
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", '{"spec":{"restrict":"Halt"}}')
    wait_for("halted", lambda: any(g["state"] == "Halted" for g in system.gate_lines()) or None, 20)

    def agreed() -> tuple[dict[str, Decimal], dict[str, Decimal]] | None:
        ledger, portfolio = system.ledger(), system.positions()
        venue = {a: Decimal(change) for a, change in ledger["delta"].items() if Decimal(change)}
        ours = cash_of(portfolio, f"{system.venue}-execution")
        return (venue, ours) if venue == ours and venue else None

    venue, ours = wait_for("portfolio equal to the venue", agreed, 20)
    print(f"\nvenue {venue} = portfolio {ours}")
    system.release()
    wait_active(system)


def test_a_tightened_limit_acts_without_a_restart(system: System) -> None:
    """Tightening spec.limits refuses the next order in the running gate: same pod, no restart, no new order."""
    before = pods(system)[f"{system.name}-{system.venue}-execution-0"]["metadata"]["uid"]
    spec = system.get("tsys", system.name)["spec"]
    was = spec["limits"]["order"]["valueMax"]
    system.kubectl("patch", "tsys", system.name, "--type=merge", "-p", '{"spec":{"limits":{"order":{"valueMax":"6"}}}}')
    refused = wait_for("a refusal by the tightened limit", lambda: _refusals(system, "ORDER_VALUE"), 90)
    print(f"\nrefused by the tightened limit: {refused}")
    after = pods(system)[f"{system.name}-{system.venue}-execution-0"]
    assert before == after["metadata"]["uid"]
    assert 0 == after["status"]["containerStatuses"][0]["restartCount"]
    patch = {"spec": {"limits": {"order": {"valueMax": was}}}}
    system.kubectl("patch", "tsys", system.name, "--type=merge", "-p", json.dumps(patch))


def _refusals(system: System, code: str) -> int | None:
    metrics = system.kubectl(
        "exec",
        f"{system.name}-{system.venue}-execution-0",
        "--",
        "/usr/bin/python3",
        "-c",
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/metrics', timeout=5).read().decode())",
    )
    found = [line for line in metrics.splitlines() if "refus" in line and code in line and not line.startswith("#")]
    count = sum(int(float(line.rpartition(" ")[2])) for line in found)
    return count or None


def test_a_deleted_deployment_comes_back(system: System) -> None:
    """Drift is corrected: what a person deletes of ours is there again, with a new identity."""
    name = f"{system.name}-portfolio"
    uid = system.get("deployment", name)["metadata"]["uid"]
    system.kubectl("delete", "deployment", name, "--wait=false")
    wait_for(
        "the deployment again",
        lambda: (
            True
            if system.exists("deployment", name) and system.get("deployment", name)["metadata"]["uid"] != uid
            else None
        ),
        30,
    )


@pytest.mark.parametrize("operator_up", [True, False], ids=["operator up", "operator down"])
def test_kill_patch_stops_every_order(system: System, cluster: Cluster, operator_up: bool) -> None:
    """By the venue's own record: orders before the gate's closing time, none after it; all cancelled, all proven."""
    wait_active(system)
    wait_for("trading again", lambda: system.orders() or None, 60)
    if not operator_up:
        install.scale_operator(cluster, 0)
    generation = system.kill_switch()["metadata"]["generation"] + 1
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", ENGAGE)
    if operator_up:
        system.kubectl("wait", "--for=condition=Acknowledged", f"killswitch/{system.name}", "--timeout=10s")
    line = wait_for("the gate's own line", lambda: _closed(system, generation), 10)
    closed_ns = nanoseconds(line["closedAt"])
    wait_for("five more seconds at the venue", lambda: _venue_past(system, closed_ns + 5_000_000_000), 30)
    print(f"\n{line['pod']}: {line['state']} {line['latencyMs']} ms after its event, {line['workingOrders']} working")
    assert [] == late(system.orders(), closed_ns)
    assert 0 == line["workingOrders"]
    system.release()
    if not operator_up:
        install.scale_operator(cluster, 1)
    wait_active(system)


def test_kill_latency(system: System, cluster: Cluster) -> None:
    """Some patches each way; printed, and every one of them acknowledged by the gate within its time-out."""
    print(f"\noperator up:   {measure(cluster, system, PATCHES).describe()}")
    install.scale_operator(cluster, 0)
    print(f"operator down: {measure(cluster, system, PATCHES).describe()}")
    install.scale_operator(cluster, 1)
    wait_active(system)


def test_direct_kill_with_the_api_server_stopped(system: System, cluster: Cluster) -> None:
    """Way 3: with the API server frozen, a signed call closes the gate and cancels; no order follows."""
    if cluster.sort != "local":
        pytest.skip("freezing the API server needs our own node")
    wait_active(system)
    wait_for("trading again", lambda: system.orders() or None, 60)
    token = base64.b64decode(system.get("secret", f"{system.name}-{system.venue}-kill-token")["data"]["token"]).strip()
    address = {name: pod["status"]["podIP"] for name, pod in pods(system).items()}
    gate = address[f"{system.name}-{system.venue}-execution-0"]
    simulator = next(ip for name, ip in address.items() if "-simulator-" in name)
    server = localnode.status(cluster.name).pids["kube-apiserver"]
    os.kill(server, signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError):
            cluster.kubectl("get", "--raw", "/readyz", timeout_s=2)
        sent_ns = time.time_ns()  # sim-ok: measures a real cluster
        request = KillRequest(severity="Cancel", reason="no API server", by="e2e", ts=sent_ns, source="direct")
        body, headers = signed(token, request)
        push = urllib.request.Request(f"http://{gate}:8081/kill", body, headers)
        answer = json.loads(urllib.request.urlopen(push, timeout=5).read())  # noqa: S310 - as above
        took_ms = (time.time_ns() - sent_ns) / 1e6  # sim-ok: as above
        print(f"\nAPI server frozen: gate {answer['state']} {took_ms:.1f} ms after the call was sent")
        closed_ns = nanoseconds(answer["closedAt"])

        def record() -> list[dict[str, Any]] | None:
            base = f"http://{simulator}:9001"
            now_ns = json.loads(urllib.request.urlopen(f"{base}/state", timeout=5).read())["now_ns"]  # noqa: S310 - as above
            found = json.loads(urllib.request.urlopen(f"{base}/orders?since=0", timeout=5).read())["requests"]  # noqa: S310
            return found if now_ns > closed_ns + 5_000_000_000 else None

        requests = wait_for("five more seconds at the venue", record, 30)
    finally:
        os.kill(server, signal.SIGCONT)
    assert answer["state"] == "Cancel"
    assert [] == late([r for r in requests if r["kind"] == "order"], closed_ns)
    # latched: only engaging and then releasing the system's own switch opens the gate again
    wait_for("the API server again", lambda: cluster.kubectl("get", "--raw", "/readyz") or None, 60)
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", ENGAGE)
    wait_for("the gate's own line", lambda: _closed(system, 1), 60)
    system.release()
    wait_active(system, 120)


def _closed(system: System, generation: int) -> dict[str, Any] | None:
    lines = [g for g in system.gate_lines() if g["pod"].endswith("execution-0")]
    found = [
        g for g in lines if g.get("generation", 0) >= generation and g["state"] == "Cancel" and g["workingOrders"] == 0
    ]
    return found[0] if found else None


def _venue_past(system: System, ns: int) -> bool | None:
    return True if system.venue_now_ns() > ns else None


def test_deleting_the_system_leaves_what_must_outlive_it(system: System) -> None:
    """Everything owned goes; the kill switch (still engaged), the journal volume and its losses stay."""
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", ENGAGE)
    system.kubectl("delete", "tsys", system.name, "--wait=true", timeout_s=90)
    selector = f"ringfence.dev/system={system.name}"
    wait_for("all pods gone", lambda: None if pods(system) else True, 90)

    def gone() -> bool | None:
        kinds = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,roles,networkpolicies"
        return True if not system.kubectl("get", kinds, "-l", selector, "-o", "name").strip() else None

    wait_for("all that it owned gone", gone, 60)
    assert system.kill_switch()["spec"]["engaged"] is True
    assert system.exists("pvc", f"{system.name}-{system.venue}-journal")


def test_a_recreated_system_finds_its_switch_still_engaged(system: System, operator: Images) -> None:
    """Deleting and creating again is no way around a kill switch, nor around what the journal knows.

    The kept journal meets a simulated venue that has forgotten its account: a break, which the line names beneath the
    switch. Nothing trades until somebody releases the switch, who thereby accepts the break (ADR 9).
    """
    before_ns = max(nanoseconds(gate["observedAt"]) for gate in system.gate_lines())
    system.kubectl("apply", "-f", "-", stdin=sample("momentum.yaml", operator))
    line = wait_for(
        "the break in the new line", lambda: _line(system, "Cancel", "that no order explains", before_ns), 120
    )
    print(f"\nbefore the release: {line['reason']}")
    assert [] == wait_for("the venue's record", system.orders, 30)
    system.release()
    wait_active(system)


def _line(system: System, state: str, reason: str, after_ns: int) -> dict[str, Any] | None:
    """The execution gate's line, if it was written after ``after_ns`` and says so."""
    for gate in system.gate_lines():
        fresh = gate["pod"].endswith("execution-0") and nanoseconds(gate["observedAt"]) > after_ns
        if fresh and gate["state"] == state and reason in gate["reason"]:
            return gate
    return None


def test_a_paper_system_trades_through_paper(cluster: Cluster, system: System, operator: Images) -> None:
    """The second sample's goal is Paper: it decides and fills on paper, and no order of it reaches the venue."""
    paper = System(cluster, "trend-paper")
    paper.kubectl("apply", "-f", "-", stdin=sample("meanrev-paper.yaml", operator))
    document = wait_for("fills on paper", lambda: _paper_fills(paper), 120)
    print(f"\non paper: {cash_of(document, f'{paper.venue}-paper')}")
    assert [] == paper.orders()
    paper.kubectl("delete", "tsys", paper.name, timeout_s=90)


def _paper_fills(paper: System) -> dict[str, Any] | None:
    document = paper.positions()
    return document if cash_of(document, f"{paper.venue}-paper") else None


@pytest.mark.parametrize("path", sorted((SAMPLES / "cannot-run").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_cannot_run_says_why_and_trades_nothing(cluster: Cluster, operator: Images, path: Any) -> None:
    """A system that passes admission but cannot run shows its reason, with what to do, and trades nothing."""
    expected = path.read_text().splitlines()[0].removeprefix("# shows:").strip()
    text = path.read_text().replace("ringfence.local/momentum:dev", operator.strategy)
    cluster.kubectl("-n", "trading", "apply", "-f", "-", stdin=text)
    name = json.loads(
        cluster.kubectl("-n", "trading", "create", "--dry-run=client", "-o", "json", "-f", "-", stdin=text)
    )
    broken = System(cluster, name["metadata"]["name"])

    def shown() -> dict[str, Any] | None:
        conditions = broken.get("tsys", broken.name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["reason"] == expected and c["status"] == "True"), None)

    condition = wait_for(f"reason {expected}", shown, 120)
    print(f"\n{broken.name}: {condition['type']} {condition['reason']}: {condition['message']}")
    if broken.is_active():
        # its gate is open: there is just nobody to send an order, and the venue's record shows it
        assert [] == wait_for("the venue's record", broken.orders, 60)
    broken.kubectl("delete", "tsys", broken.name, timeout_s=90)
    broken.kubectl("delete", "killswitch", broken.name, "--ignore-not-found")


def test_upgrade_test_and_uninstall_by_helm(cluster: Cluster, system: System, operator: Images) -> None:
    """`helm upgrade` leaves trading pods alone, `helm test` passes, `helm uninstall` leaves systems running."""
    before = {name: pod["metadata"]["uid"] for name, pod in pods(system).items()}
    install.install_chart(cluster, operator.platform, "logLevel=debug")
    cluster.helm("test", "ringfence", "--namespace", NAMESPACE, "--timeout", "120s")
    assert before == {name: pod["metadata"]["uid"] for name, pod in pods(system).items()}
    cluster.helm("uninstall", "ringfence", "--namespace", NAMESPACE, "--wait")
    assert before == {name: pod["metadata"]["uid"] for name, pod in pods(system).items()}
    assert system.get("tsys", system.name)["spec"]["goal"] == "Live"
