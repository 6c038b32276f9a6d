"""Paper to live on evidence, on a real node: real pods, a real Prometheus, stages of seconds.

The tests of this file build on one another, in order: they are one story, told on one cluster.
"""

import itertools
import json
import random
import time
from collections.abc import Callable
from datetime import datetime
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


def apply(system: System, images: Images, *, slow: int, quantity: str = "0.01", paper: Any = None) -> str:
    """A new revision; returns its name once the operator has taken it up as the candidate."""
    found = document(images, slow=slow)
    found["spec"]["strategy"]["parameters"]["quantity"] = quantity
    if paper is not None:
        stages = json.loads(json.dumps(STAGES))
        stages[0]["analysis"] = {"metrics": paper}
        found["spec"]["rollout"]["stages"] = stages
    system.kubectl("apply", "-f", "-", stdin=json.dumps(found))
    generation = system.get("tsys", NAME)["metadata"]["generation"]
    now = follow(system, "the operator's word", lambda now: now.get("observedGeneration") == generation, 60)
    return str((now.get("candidate") or now["stable"])["revision"])


def holds(system: System, stage: str, seconds: float) -> None:
    """For so long, which is longer than the stage takes, nothing rises, and stable goes on trading."""
    until = time.monotonic() + seconds  # sim-ok: of a real cluster
    while time.monotonic() < until:  # sim-ok: as above
        now = status(system)
        assert stage == (now.get("candidate") or {}).get("stage"), now.get("rollout")
        assert 100 == now["stable"]["weight"]
        time.sleep(1)  # sim-ok: as above


def in_stage(stage: str) -> Callable[[dict[str, Any]], bool]:
    return lambda now: (now.get("candidate") or {}).get("stage") == stage


def scale_prometheus(system: System, replicas: int) -> None:
    system.cluster.kubectl("-n", "monitoring", "scale", "deployment/prometheus", f"--replicas={replicas}")
    if replicas:
        system.cluster.kubectl("-n", "monitoring", "rollout", "status", "deployment/prometheus", "--timeout=90s")
    else:
        args = ("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=prometheus", "--timeout=60s")
        system.cluster.kubectl("-n", "monitoring", *args)


def test_without_prometheus_nothing_rises_and_stable_trades_on(system: System, operator_with_evidence: Images) -> None:
    """(c) Killed in Paper and in Canary: zero promotions, no effect on stable; with it back, it goes on."""
    before = pods(system)
    apply(system, operator_with_evidence, slow=7)
    for stage in ("Paper", "Canary"):
        follow(system, stage, in_stage(stage), 180)
        scale_prometheus(system, 0)
        holds(system, stage, 25)
        assert system.is_active()
        scale_prometheus(system, 1)
    follow(system, "Live waits for an approval", waits_for_approval, 180)
    assert before.items() <= pods(system).items()


def test_promotions_that_do_not_match_are_refused(system: System) -> None:
    """(h) By somebody else, edited: refused at once. For another revision, evidence or limits: used for nothing."""
    now = status(system)
    with pytest.raises(ClusterError):
        promote(system, "Live", by="mallory")
    wrong = [
        promote(system, "Live", revision="00000000"),
        promote(system, "Live", evaluation="00000000-0000-0000-0000-000000000000"),
        promote(system, "Live", limitsRevision="0000000000"),
        promote(system, "Canary"),
    ]
    for name in wrong:
        told = wait_for(f"{name} answered", lambda name=name: system.get("promotion", name).get("status"), 60)  # type: ignore[misc]
        assert "Refused" == told["state"], told
    with pytest.raises(ClusterError):
        system.kubectl("patch", "promotion", wrong[0], "--type=merge", "-p", '{"spec":{"reason":"edited"}}')
    assert now["stable"]["revision"] == status(system)["stable"]["revision"]
    assert "Canary" == status(system)["candidate"]["stage"]


def test_a_kill_in_canary_holds_everything_and_a_newer_revision_starts_on_paper(
    system: System, operator_with_evidence: Images
) -> None:
    """(i) and (f): engaged, an approval moves nothing; the newer revision gets no weight from the one before."""
    system.kubectl("patch", "killswitch", NAME, "--type=merge", "-p", '{"spec":{"engaged":true}}')
    promote(system, "Live")
    holds(system, "Canary", 15)
    old = status(system)["candidate"]["revision"]
    system.kubectl("apply", "-f", "-", stdin=json.dumps(document(operator_with_evidence, slow=8)))
    now = follow(system, "the newer on paper", lambda now: (now.get("candidate") or {}).get("revision", old) != old, 60)
    assert ("Paper", 0) == (now["candidate"]["stage"], now["candidate"]["weight"])
    system.release()
    wait_for("Active", lambda: system.is_active() or None, 60)


BAD = {
    "empty": {"query": "no_such_metric"},
    "nan": {"query": "sum(up) * 0 / 0"},
    "several": {"query": "up"},
    "word": {"query": '"text"'},
    "broken": {"query": "sum("},
    "stale": {"query": 'timestamp(up{pod=~"prometheus.*"} offset 1h)'},
}


def test_metrics_that_are_no_numbers_hold(system: System, operator_with_evidence: Images) -> None:
    """(d) Empty, NaN, several series, another type, a wrong query: each is told apart, and none lets anything rise."""
    rule = {"interval": "2s", "freshness": "20s", "thresholdRange": {"min": "-1000000000000"}}
    apply(system, operator_with_evidence, slow=9, paper=[{"name": name} | bad | rule for name, bad in BAD.items()])
    follow(system, "Paper", in_stage("Paper"), 60)
    holds(system, "Paper", 25)
    found = {metric["name"]: metric["verdict"] for metric in status(system)["rollout"]["metrics"]}
    print(found)
    assert set(BAD) == set(found)
    assert set(found.values()) <= {"NoData", "Error"}
    assert {"several", "word", "broken"} == {name for name, verdict in found.items() if verdict == "Error"}


def test_a_candidate_whose_orders_are_refused_in_canary_goes_back_and_stable_is_untouched(
    system: System, operator_with_evidence: Images
) -> None:
    """(b) Good on paper, too large for a quarter of the limits: demoted, with the metric and its value as reason."""
    before = pods(system)
    rule = {"interval": "2s", "freshness": "20s"}
    refusals = {
        "name": "refused-intents",
        "query": 'sum(increase(ringfence_gate_track_refused_total{system="$(system)",namespace="$(namespace)",'
        'service="execution",revision="$(revision)"}[$(window)]))',
        "thresholdRange": {"max": "0"},
    }
    found = document(operator_with_evidence, slow=10)
    found["spec"]["strategy"]["parameters"]["quantity"] = "0.03"
    stages = json.loads(json.dumps(STAGES))
    stages[1]["analysis"]["metrics"].append(refusals | rule)
    stages[1]["duration"] = "120s"
    found["spec"]["rollout"]["stages"] = stages
    system.kubectl("apply", "-f", "-", stdin=json.dumps(found))
    now = follow(system, "demoted", lambda now: bool((now.get("rollout") or {}).get("failure")), 240)
    failure = now["rollout"]["failure"]
    print(failure)
    assert "AnalysisFailed" == failure["reason"]
    assert "refused-intents" in failure["message"]
    assert ("Paper", 0) == (now["candidate"]["stage"], now["candidate"]["weight"])
    strategies = {name for name in before if "-strategy-" in name}
    kept = {name: told for name, told in before.items() if name not in strategies}
    assert kept.items() <= pods(system).items()
    ledgers_agree(system)


def test_an_earlier_revision_comes_back_without_stages(system: System, operator_with_evidence: Images) -> None:
    """(g) Re-applied within the window, a revision that finished its bake needs no stage and no approval."""
    earlier = document(operator_with_evidence, slow=5)
    before = status(system)["stable"]["revision"]
    earned = [one["revision"] for one in status(system)["rollout"]["earned"]]
    print(f"stable {before}, earned {earned}")
    system.kubectl("apply", "-f", "-", stdin=json.dumps(earlier))
    now = follow(system, "stable changes", lambda now: now["stable"]["revision"] != before, 120)
    assert now["stable"]["revision"] in earned
    assert "Live" == now["stable"]["stage"]
    follow(system, "the bake is over", lambda now: not now.get("shadow") and not now["rollout"].get("baking"), 180)
    ledgers_agree(system)


KILLS = 30


def test_an_operator_killed_thirty_times_loses_and_repeats_nothing(
    system: System, operator_with_evidence: Images
) -> None:
    """(e) Same end, no stage skipped, and in every Evaluation each metric's measurements are apart by its interval."""
    revision = apply(system, operator_with_evidence, slow=11)
    chosen = random.Random(5)  # sim-ok: when a real process is killed
    seen: list[str] = []
    for _ in range(KILLS):
        now = status(system)
        rising = now.get("candidate") or now["stable"]
        if rising["revision"] == revision and (not seen or seen[-1] != rising["stage"]):
            seen.append(rising["stage"])
        selector = "app.kubernetes.io/name=ringfence"
        system.cluster.kubectl("-n", install.NAMESPACE, "delete", "pod", "-l", selector, "--grace-period=0", "--force")
        time.sleep(chosen.uniform(0.5, 6.0))  # sim-ok: as above
        if waits_for_approval(status(system)):
            promote(system, "Live")
    install.scale_operator(system.cluster, 1)
    now = status(system)
    if now["stable"]["revision"] != revision:
        follow(system, "Live waits for an approval", waits_for_approval, 240)
        promote(system, "Live")
    now = follow(
        system,
        "Live and baked",
        lambda now: now["stable"]["revision"] == revision and not now.get("shadow") and now["stage"] == "Live",
        240,
    )
    listed = json.loads(system.kubectl("get", "evaluations", "-o", "json"))["items"]
    ours = [one for one in listed if one["spec"]["revision"] == revision]
    assert ["Paper", "Canary", "Live"] == [
        one["spec"]["stage"] for one in sorted(ours, key=lambda one: one["spec"]["attempt"])
    ]
    for one in ours:
        assert "Promoted" == one["status"]["outcome"], one["metadata"]["name"]
        for metric in one["status"]["metrics"]:
            times = [datetime.fromisoformat(measured["at"]) for measured in metric["measurements"]]
            assert all((b - a).total_seconds() >= 2 for a, b in itertools.pairwise(times)), metric["name"]
    ledgers_agree(system)
