"""Paper to live on evidence, on a real node: real pods, a real Prometheus, stages of seconds.

The tests of this file build on one another, in order: they are one story, told on one cluster.
"""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import yaml

import localnode
from demo import install
from demo.cluster import ROOT, Cluster, ClusterError
from demo.install import Images
from demo.system import System, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.xdist_group("e2e")]
SAMPLE = ROOT / "manifests" / "samples" / "momentum.yaml"
PROMETHEUS = "http://prometheus.monitoring:9090"
NAME = "climber"
COUNTS = ("reconciliation-breaks", "overfills", "self-matches", "unknown-orders", "restarts")
ANALYSIS = {
    "metrics": [
        *({"name": name, "interval": "2s", "freshness": "20s"} for name in COUNTS),
        {"name": "daily-loss", "interval": "2s", "freshness": "20s", "thresholdRange": {"max": "90"}},
    ]
}
STAGES = [
    {"stage": "Paper", "duration": "10s", "minOrders": 1, "minEpisodes": 0, "analysis": ANALYSIS},
    {
        "stage": "Canary",
        "weight": 25,
        "duration": "10s",
        "minOrders": 1,
        "minEpisodes": 0,
        "approval": "Automatic",
        "analysis": ANALYSIS,
    },
    {"stage": "Live", "duration": "15s", "minOrders": 0, "minEpisodes": 0, "analysis": ANALYSIS},
]


def document(images: Images, *, slow: int) -> dict[str, Any]:
    """The sample, with stages of seconds and limits that let a quarter of them still trade."""
    found: dict[str, Any] = yaml.safe_load(SAMPLE.read_text())
    spec = found["spec"]
    found["metadata"]["name"] = NAME
    spec["strategy"]["image"] = images.strategy
    spec["strategy"]["parameters"] |= {"fast": "2", "slow": str(slow)}
    spec["limits"]["order"]["valueMax"] = "4000"
    spec["limits"]["position"] = {"perInstrument": "4000", "gross": "10000"}
    spec["rollout"] = {"stages": STAGES, "handover": "Adopt"}
    return found


@pytest.fixture(scope="module")
def operator_with_evidence(cluster: Cluster, operator: Images) -> Images:
    """Prometheus in the cluster, and the operator told where it is."""
    if cluster.sort != "local":
        pytest.skip("Prometheus is brought by our own node")
    localnode.up(cluster.name, prometheus=True)
    install.install_chart(cluster, operator.platform, f"prometheus.url={PROMETHEUS}")
    return operator


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator_with_evidence: Images) -> System:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rollouts"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    return System(cluster, NAME, namespace="rollouts")


def status(system: System) -> dict[str, Any]:
    found: dict[str, Any] = system.get("tsys", NAME).get("status") or {}
    return found


def follow(
    system: System, what: str, there: Callable[[dict[str, Any]], bool], timeout_s: float = 180
) -> dict[str, Any]:
    """Wait for a status, and print every step on the way with what it waits for."""
    seen: list[str] = []

    def look() -> dict[str, Any] | None:
        now = status(system)
        rollout = now.get("rollout") or {}
        tracks = " ".join(
            f"{name}={now[name]['revision']}@{now[name]['stage']}{now[name]['weight']}"
            for name in ("stable", "candidate", "shadow")
            if now.get(name)
        )
        line = f"{tracks} next={rollout.get('next', '')!r}"
        if not seen or seen[-1] != line:
            seen.append(line)
            print(
                f"{time.strftime('%H:%M:%S')} {line}: {rollout.get('waitsFor', '')}"[:400], flush=True
            )  # sim-ok: the time of a line in the log
        return now if there(now) else None

    try:
        return wait_for(what, look, timeout_s)
    except ClusterError:
        print(json.dumps(status(system), indent=1))
        raise


def promote(system: System, stage: str, **changes: Any) -> str:
    """Approve what the status offers, as the person that we are."""
    now = status(system)
    spec = {
        "system": NAME,
        "revision": now["revision"],
        "stage": stage,
        "evaluation": now["rollout"]["evaluationUID"],
        "limitsRevision": now["limitsRevision"],
        "by": system.me(),
        "reason": "the evidence is good",
    } | changes
    manifest = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Promotion",
        "metadata": {"generateName": f"{NAME}-"},
        "spec": spec,
    }
    made: str = json.loads(system.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(manifest)))["metadata"][
        "name"
    ]
    return made


def waits_for_approval(now: dict[str, Any]) -> bool:
    """For nothing else any more."""
    rollout = now.get("rollout") or {}
    return rollout.get("next", "").startswith("Live") and rollout.get("waitsFor", "").startswith("a Promotion")


def ledgers_agree(system: System) -> None:
    """Both sub-ledgers together are the venue's ledger, to the last digit, once the gate is halted."""
    system.kubectl("patch", "killswitch", NAME, "--type=merge", "-p", '{"spec":{"restrict":"Halt"}}')

    def agreed() -> bool | None:
        changes: dict[str, Decimal] = {}
        for row in system.positions()["cash"]:
            if row["gate"] == f"{system.venue}-execution":
                changes[row["asset"]] = changes.get(row["asset"], Decimal(0)) + Decimal(row["change"])
        ours = {asset: change for asset, change in changes.items() if change}
        venue = {a: Decimal(change) for a, change in system.ledger()["delta"].items() if Decimal(change)}
        return True if venue and ours == venue else None

    wait_for("sub-ledgers equal to the venue's", agreed, 30)
    system.release()
    wait_for("Active", lambda: system.is_active() or None, 60)


def pods(system: System) -> dict[str, str]:
    """UID and restarts by pod."""
    listed = json.loads(system.kubectl("get", "pods", "-l", f"ringfence.dev/system={NAME}", "-o", "json"))["items"]
    return {
        pod["metadata"][
            "name"
        ]: f"{pod['metadata']['uid']} {sum(c['restartCount'] for c in pod['status']['containerStatuses'])}"
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_the_first_revision_climbs_on_evidence_and_one_approval(system: System, operator_with_evidence: Images) -> None:
    """Also the first go-live is gated: Paper, Canary, and Live only once somebody has approved it."""
    system.kubectl("apply", "-f", "-", stdin=json.dumps(document(operator_with_evidence, slow=5)))
    follow(system, "Live waits for an approval", waits_for_approval, 300)
    time.sleep(5)  # sim-ok: long enough that it would have gone on by itself
    assert "Canary" == status(system)["stage"]
    promotion = promote(system, "Live")
    follow(system, "Live", lambda now: now.get("stage") == "Live" and not now["rollout"].get("baking"), 180)
    assert "Used" == system.get("promotion", promotion)["status"]["state"]


def test_a_good_candidate_goes_to_live_by_itself_and_one_approval_while_stable_never_stops(
    system: System, operator_with_evidence: Images
) -> None:
    """(a) No pod of stable, and not execution, restarts; the gate is Active at every scrape; the ledgers agree."""
    before = pods(system)
    old = status(system)["stable"]["revision"]
    system.kubectl("apply", "-f", "-", stdin=json.dumps(document(operator_with_evidence, slow=6)))
    follow(system, "a candidate", lambda now: bool(now.get("candidate")), 60)
    now = follow(system, "Live waits for an approval", waits_for_approval, 300)
    assert old == now["stable"]["revision"]
    assert 100 == now["stable"]["weight"]
    assert before.items() <= pods(system).items(), "nothing that ran was restarted"
    promote(system, "Live")
    now = follow(system, "the candidate is stable", lambda now: now["stable"]["revision"] != old, 120)
    assert old == now["shadow"]["revision"]
    follow(system, "the bake is over", lambda now: not now.get("shadow") and now["stage"] == "Live", 180)
    after = pods(system)
    lost = {name for name in before if before[name] != after.get(name)}
    assert all("-strategy-" in name for name in lost), f"only the old strategy went: {lost}"
    ledgers_agree(system)
