"""The story: a system that trades, one patch, and the proof that nothing left afterwards."""

import json
from decimal import Decimal
from typing import Any, Final

from demo.cluster import ROOT, Cluster
from demo.say import command, line, step
from demo.system import System, late, nanoseconds, wait_for

NAMESPACE: Final = "trading"
SAMPLE: Final = ROOT / "manifests" / "samples" / "momentum.yaml"
ENGAGE: Final = '{"spec":{"engaged":true}}'
TRADING_TIMEOUT_S: Final = 120
QUIET_S: Final = 3
"""How long the venue's record is watched for a late order after the kill."""


def clear(cluster: Cluster) -> System:
    """Remove what an earlier telling left: the system, and what outlives it on purpose."""
    system = System(cluster, "momentum", NAMESPACE)
    manifest = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    system.kubectl("delete", "tradingsystem", system.name, "--ignore-not-found", "--wait=true", timeout_s=120)
    wait_for("pods of the earlier run gone", lambda: _gone(system), 90)
    system.kubectl("delete", "killswitch", system.name, "--ignore-not-found")
    system.kubectl(
        "delete", "lease,pvc", "-l", f"ringfence.dev/system={system.name}", "--ignore-not-found", timeout_s=60
    )
    return system


def trade(system: System, strategy_image: str) -> None:
    """Apply the sample and wait until orders fill at the venue."""
    manifest = SAMPLE.read_text().replace("ringfence.local/momentum:dev", strategy_image)
    command(f"kubectl apply -n {NAMESPACE} -f {SAMPLE.relative_to(ROOT)}")
    system.kubectl("apply", "-f", "-", stdin=manifest)
    with step("the operator makes its services, and the gate opens"):
        wait_for("trading Active", lambda: system.is_active() or None, TRADING_TIMEOUT_S)
    with step("orders go through the gate and fill at the simulated venue"):
        ledger = wait_for("fills at the venue", lambda: _filled(system), TRADING_TIMEOUT_S)
    command(f"kubectl get tsys -n {NAMESPACE}")
    line(system.kubectl("get", "tsys").rstrip())
    line(f"  fills: {ledger['fills']}; balances {_balances(ledger)}")
    line(f"  portfolio: {_positions(system.positions())}")


def kill(system: System) -> None:
    """One patch; then the acknowledgements, and the venue's own record of what came afterwards."""
    command(f"kubectl patch killswitch {system.name} -n {NAMESPACE} --type=merge -p '{ENGAGE}'")
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", ENGAGE)
    command(f"kubectl wait -n {NAMESPACE} --for=condition=Acknowledged killswitch/{system.name} --timeout=10s")
    line(system.kubectl("wait", "--for=condition=Acknowledged", f"killswitch/{system.name}", "--timeout=10s").rstrip())
    for gate in system.gate_lines():
        line(
            f"  {gate['pod']:<26} {gate['state']:<7} {gate.get('latencyMs', '?')} ms"
            f" after its event, at {gate.get('closedAt', '?')[11:]}, {gate.get('workingOrders', '?')} orders working"
        )
    closed_ns = max(nanoseconds(gate["closedAt"]) for gate in system.gate_lines())
    with step(f"the venue's record, watched for {QUIET_S} s more"):
        orders = wait_for("the venue's clock", lambda: _orders_by(system, closed_ns + QUIET_S * 1_000_000_000), 60)
    if after := late(orders, closed_ns):
        raise AssertionError(f"{len(after)} orders were made after the gates had closed: {after}")
    line(f"  orders received in all: {len(orders)}; made after the gates had closed: none")


def next_commands(cluster: Cluster) -> None:
    line()
    line("The system is still there, stopped. To look at it:")
    command(cluster.shell_hint())
    command(f"kubectl get trading -n {NAMESPACE}")
    command(f"kubectl describe tsys momentum -n {NAMESPACE}")
    release = (
        '{"spec":{"engaged":false,"releasedBy":"\'$(kubectl auth whoami -o jsonpath={.status.userInfo.username})\'"}}'
    )
    command(f"kubectl patch killswitch momentum -n {NAMESPACE} --type=merge -p '{release}'")
    command("make demo-down")


def _gone(system: System) -> bool | None:
    selector = f"ringfence.dev/system={system.name}"
    return True if not system.kubectl("get", "pods", "-l", selector, "-o", "name").strip() else None


def _filled(system: System) -> dict[str, Any] | None:
    ledger = system.ledger()
    return ledger if ledger["fills"] else None


def _orders_by(system: System, ns: int) -> list[dict[str, Any]] | None:
    """Every order that the venue has received, once its own clock is past ``ns``."""
    if system.venue_now_ns() <= ns:
        return None
    return system.orders()


def _balances(ledger: dict[str, Any]) -> str:
    return ", ".join(
        f"{Decimal(b['free']) + Decimal(b['locked']):f} {asset}" for asset, b in ledger["balances"].items()
    )


def _positions(document: dict[str, Any]) -> str:
    rows = document["positions"]
    return ", ".join(f"{row['symbol']} {row['quantity']} at {row['average']}" for row in rows) or "flat"
