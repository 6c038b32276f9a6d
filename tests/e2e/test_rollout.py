"""Paper to live on evidence, on a real node: real pods, a real Prometheus, stages of seconds.

The tests of this file build on one another, in order: they are one story, told on one cluster. After each part both
sub-ledgers together equal the venue's ledger, to the last digit.
"""

import copy
import itertools
import json
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import pytest
import yaml

import images as builder
import localnode
from demo import install
from demo.cluster import ROOT, Cluster, ClusterError
from demo.install import Images
from demo.rollout import Staged, Status, in_stage, settled, waits_for_approval
from demo.system import wait_for
from ringfence_operator.rollout.analysis import KEPT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.xdist_group("e2e")]
SAMPLE: Final = ROOT / "manifests" / "samples" / "momentum.yaml"
PROMETHEUS: Final = "http://prometheus.monitoring:9090"
NAMESPACE: Final = "rollouts"
NAME: Final = "climber"
SCRAPE_S: Final = 2.0
RULE: Final = {"interval": "2s", "freshness": "20s"}
COUNTS: Final = ("reconciliation-breaks", "overfills", "self-matches", "unknown-orders", "restarts")
USUAL: Final = [
    *({"name": name} | RULE for name in COUNTS),
    {"name": "daily-loss", "thresholdRange": {"max": "90"}} | RULE,
]
STAGES: Final[list[dict[str, Any]]] = [
    {"stage": "Paper", "duration": "8s", "minOrders": 1, "minEpisodes": 0, "analysis": {"metrics": USUAL}},
    {
        "stage": "Canary",
        "weight": 25,
        "duration": "8s",
        "minOrders": 1,
        "minEpisodes": 0,
        "approval": "Automatic",
        "analysis": {"metrics": USUAL},
    },
    {"stage": "Live", "duration": "10s", "minOrders": 0, "minEpisodes": 0, "analysis": {"metrics": USUAL}},
]
LONGER_THAN_A_STAGE_S: Final = 12.0


def document(
    images: Images, *, slow: int, stages: Iterable[dict[str, Any]] = STAGES, **strategy: Any
) -> dict[str, Any]:
    """The sample, with stages of seconds and limits that let a quarter of them still trade. ``slow`` makes the
    revision; ``strategy`` replaces parts of spec.strategy, and adds to its parameters."""
    found: dict[str, Any] = yaml.safe_load(SAMPLE.read_text())
    spec = found["spec"]
    found["metadata"]["name"] = NAME
    parameters = (
        spec["strategy"]["parameters"]
        | {"fast": "1", "slow": str(slow), "quantity": "0.005"}
        | strategy.pop("parameters", {})
    )
    spec["strategy"] |= {"image": images.strategy, "parameters": parameters} | strategy
    spec["limits"]["order"]["valueMax"] = "4000"
    unbound = {"concentrationPercent": "100", "sectorPercent": "100"}
    spec["limits"]["position"] = {"perInstrument": "4000", "gross": "10000"} | unbound
    # an average that crosses all the time loses most of its trades, and that is not what is shown here
    spec["limits"]["breakers"] = {"consecutiveLosses": 1000, "repeatedExecutions": 100_000}
    spec["rollout"] = {"stages": copy.deepcopy(list(stages)), "handover": "Adopt"}
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
def bad(cluster: Cluster, operator_with_evidence: Images) -> str:
    """The image of strategies that must not go live."""
    built = builder.strategy("trials", ROOT / "examples" / "momentum" / "momentum", ROOT / "tests" / "e2e" / "trials")
    localnode.load(cluster.name, [built.archive])
    return built.reference


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator_with_evidence: Images) -> Staged:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    return Staged(cluster, NAME, namespace=NAMESPACE)


def holds(system: Staged, seconds: float, *facts: Callable[[Status], bool]) -> None:
    """At every look, for so long."""
    until = time.monotonic() + seconds  # sim-ok: of a real cluster
    while time.monotonic() < until:  # sim-ok: as above
        now = system.status()
        for fact in facts:
            assert fact(now), now
        time.sleep(0.5)  # sim-ok: as above


def stable_is(revision: str) -> Callable[[Status], bool]:
    return lambda now: (
        (now["stable"]["revision"], now["stable"]["stage"], now["stable"]["weight"])
        == (
            revision,
            "Live",
            100,
        )
    )


def test_the_first_revision_climbs_on_evidence_and_one_approval(system: Staged, operator_with_evidence: Images) -> None:
    """Also the first go-live is gated: Paper, Canary, and Live only once somebody has approved it."""
    revision = system.apply(document(operator_with_evidence, slow=5))
    system.follow("Live waits for an approval", waits_for_approval, 300)
    holds(system, 5, lambda now: now["stage"] == "Canary")
    assert revision in system.ringfence("status", NAME)
    promote = ("promote", NAME, "--reason", "the evidence is good", "--yes", "--output", "json")
    promotion = json.loads(system.ringfence(*promote))["metadata"]["name"]
    system.follow("Live and baked", settled(revision), 180)
    assert "Used" == system.get("promotion", promotion)["status"]["state"]
    order = system.orders()[-1]["client_order_id"]
    assert revision in system.ringfence("explain", order, "--output", "json")
    assert ["Paper", "Canary", "Live"] == [one["spec"]["stage"] for one in system.evaluations(revision)]
    system.check_ledgers()


def test_a_good_candidate_goes_to_live_on_one_approval_and_stable_never_stops(
    system: Staged, operator_with_evidence: Images
) -> None:
    """(a) Nothing that runs is restarted; the gate is Active at every scrape; the trading revision goes on trading."""
    before, old = system.pods(), system.status()["stable"]["revision"]
    began = time.monotonic()  # sim-ok: how long a real rollout takes
    new = system.apply(document(operator_with_evidence, slow=6))
    now = system.follow("Live waits for an approval", waits_for_approval, 180)
    assert stable_is(old)(now)
    assert before.items() <= system.pods().items(), "nothing that ran was restarted"
    trades_all_the_time(system, old, time.monotonic() - began)  # sim-ok: as above
    system.promote("Live")
    now = system.follow("the candidate is stable", lambda now: now["stable"]["revision"] == new, 60)
    assert old == now["shadow"]["revision"]
    filled = stable_fills(system)
    wait_for("the new stable to be filled", lambda: stable_fills(system) > filled or None, QUIET_MAX_S)
    system.follow("the bake is over", settled(new), 120)
    was_active_at_every_scrape(system, time.monotonic() - began)  # sim-ok: as above
    lost = {name for name in before if before[name] != system.pods().get(name)}
    assert all("-strategy-" in name for name in lost), f"only the old strategy went: {lost}"
    system.check_ledgers()


QUIET_MAX_S: Final = 30.0
"""The sample's averages cross every few seconds: a longer silence is no decision of the strategy."""


def trades_all_the_time(system: Staged, revision: str, seconds: float) -> None:
    """Between any two fills of a revision at execution there is no long silence."""
    labels = f'{{namespace="{NAMESPACE}",system="{NAME}",service="execution",revision="{revision}"}}'
    series = system.ask_prometheus(f"ringfence_gate_track_fills_total{labels}[{int(seconds)}s]")
    moments = {
        float(at)
        for one in series
        for (_, low), (at, high) in itertools.pairwise(one["values"])
        if float(high) > float(low)
    }
    ends = [float(at) for one in series for at, _ in (one["values"][0], one["values"][-1])]
    assert moments, f"{revision} was not filled at all in {seconds:.0f} s"
    longest = max(b - a for a, b in itertools.pairwise(sorted({*moments, min(ends), max(ends)})))
    print(
        f"{revision}: filled in {len(moments)} scrapes of {seconds:.0f} s, longest silence {longest:.0f} s", flush=True
    )
    assert longest <= QUIET_MAX_S


def was_active_at_every_scrape(system: Staged, seconds: float) -> None:
    """Of execution's gate, in the last so many seconds; scrapes that did not come prove nothing, so most must have."""
    series = f'ringfence_gate_state{{namespace="{NAMESPACE}",system="{NAME}",service="execution",state="Active"}}'
    # in one question: between two of them comes a scrape
    count = f"sum(count_over_time({series}[{int(seconds)}s]))"
    closed = system.number(f"{count} - sum(sum_over_time({series}[{int(seconds)}s]))")
    scrapes = system.number(count)
    print(f"gate Active at all but {closed:.0f} of {scrapes:.0f} scrapes in {seconds:.0f} s", flush=True)
    assert closed == 0
    assert scrapes >= 0.7 * seconds / SCRAPE_S


def test_without_prometheus_nothing_rises_and_stable_trades_on(system: Staged, operator_with_evidence: Images) -> None:
    """(c) Killed in Paper and in Canary: zero promotions, no effect on stable; with it back, it goes on."""
    before, old = system.pods(), system.status()["stable"]["revision"]
    new = system.apply(document(operator_with_evidence, slow=7))
    for stage in ("Paper", "Canary"):
        system.follow(stage, in_stage(stage, new), 120)
        without_prometheus(system, in_stage(stage, new), stable_is(old))
    system.follow("Live waits for an approval", waits_for_approval, 120)
    assert before.items() <= system.pods().items()


def without_prometheus(system: Staged, *facts: Callable[[Status], bool]) -> None:
    """Kill it, and bring it back: all that time the facts hold, and whoever is stable is filled."""
    system.follow("the gate is open, whatever was before", is_trading, 60)
    system.scale_prometheus(0)
    try:
        filled = stable_fills(system)
        holds(system, LONGER_THAN_A_STAGE_S, *facts, is_trading)
        wait_for("stable to be filled", lambda: stable_fills(system) > filled or None, QUIET_MAX_S)
        assert all(fact(system.status()) for fact in facts)
    finally:  # whatever comes after it is about evidence too
        system.scale_prometheus(1)


def is_trading(now: Status) -> bool:
    return bool(now["trading"] == "Active")


def stable_fills(system: Staged) -> int:
    """By execution's own word, which needs no Prometheus."""
    told = system.fetch(f"statefulset/{NAME}-{system.venue}-execution", "http://127.0.0.1:8080/tracks")
    return int(next(track["ordersFilled"] for track in told["tracks"] if track["name"] == "stable"))


def test_promotions_that_do_not_match_are_refused(system: Staged) -> None:
    """(h) By somebody else, by a service account, edited: refused at once. For another revision, stage, evidence or
    limits: used for nothing."""
    before = system.status()
    with pytest.raises(ClusterError, match=r"spec\.by must be you"):
        system.promote("Live", by="mallory")
    robot = f"system:serviceaccount:{NAMESPACE}:robot"
    binding = ("rolebinding", "robot", "--clusterrole=cluster-admin", f"--serviceaccount={NAMESPACE}:robot")
    system.kubectl("create", *binding)
    spec = system.get("promotion", system.promote("Live", revision="00000000"))["spec"]
    with pytest.raises(ClusterError, match="not by a service account"):
        system.create_promotion(spec | {"by": robot}, "--as", robot)
    wrong = [
        system.promote("Live", revision="00000000"),
        system.promote("Live", evaluation="00000000-0000-0000-0000-000000000000"),
        system.promote("Live", limitsRevision="0000000000"),
        system.promote("Canary"),
    ]
    for name in wrong:
        told = system.answer(name)
        print(f"{name}: {told['state']}: {told['message']}", flush=True)
        assert "Refused" == told["state"]
    with pytest.raises(ClusterError, match="a Promotion never changes"):
        system.kubectl("patch", "promotion", wrong[0], "--type=merge", "-p", '{"spec":{"reason":"edited"}}')
    now = system.status()
    assert (before["stable"], before["candidate"]) == (now["stable"], now["candidate"])


def test_a_kill_in_canary_holds_everything_and_a_release_lets_the_approval_count(system: Staged) -> None:
    """(i) Engaged, an approval moves nothing; released, the gate starts up again and the approval is used. One that
    expired meanwhile is not (h)."""
    before = system.status()
    old, new = before["stable"]["revision"], before["candidate"]["revision"]
    system.engage(engaged=True, reason="to see that nothing rises")
    system.follow("everything is stopped", lambda now: now["trading"] == "Cancel", 30)
    late = system.promote("Live", validFor="1s")
    assert "Expired" == system.answer(late)["state"]
    good = system.promote("Live")

    def same(now: Status) -> bool:
        return bool((now["stable"], now.get("candidate")) == (before["stable"], before["candidate"]))

    holds(system, LONGER_THAN_A_STAGE_S, same, lambda now: now["trading"] != "Active")
    print(system.status()["rollout"]["waitsFor"])
    system.release()
    now = system.follow("the approval is used", lambda now: now["stable"]["revision"] == new, 60)
    assert old == now["shadow"]["revision"]
    assert ("Used", "Expired") == tuple(system.answer(name)["state"] for name in (good, late))


def test_without_prometheus_no_bake_ends(system: Staged) -> None:
    """(c) Killed in Live: the revision before stays beside it, and the new one trades on."""
    now = system.status()
    new, old = now["stable"]["revision"], now["shadow"]["revision"]
    without_prometheus(system, stable_is(new), lambda now: (now.get("shadow") or {}).get("revision") == old)
    system.follow("the bake is over", settled(new), 120)
    system.check_ledgers()


BROKEN: Final = {
    "empty": {"query": "no_such_metric"},
    "nan": {"query": "sum(up) * 0 / 0"},
    "several": {"query": "up"},
    "word": {"query": '"text"'},
    "broken": {"query": "sum("},
    "renamed": {"query": 'ringfence_gate_orders_renamed_total{system="$(system)"}'},
    "stale": {"query": 'timestamp(up{pod=~"prometheus.*"} offset 1h)'},
}


def test_a_newer_revision_in_canary_starts_on_paper_and_metrics_that_are_no_numbers_hold_it_there(
    system: Staged, operator_with_evidence: Images
) -> None:
    """(f) The newer gets no weight from the one before. (d) Empty, NaN, several series, text, a wrong query, a renamed
    and a stale metric: none lets anything rise, and what is wrong with the query is told apart from what is missing."""
    stable = system.status()["stable"]["revision"]
    older = system.apply(document(operator_with_evidence, slow=8))
    system.follow("Canary", in_stage("Canary", older), 120)
    rule = RULE | {"thresholdRange": {"min": "-1000000000000"}}

    def its_time_is_over(now: Status) -> bool:
        return bool(now["rollout"].get("sessionMilliseconds", 0) > 2000)

    metrics = [{"name": name} | one | rule for name, one in BROKEN.items()]
    stages = [STAGES[0] | {"duration": "2s", "minOrders": 0, "analysis": {"metrics": metrics}}, *STAGES[1:]]
    newer = system.apply(document(operator_with_evidence, slow=9, stages=stages))
    now = system.follow("the newer one", lambda now: (now.get("candidate") or {}).get("revision") == newer, 60)
    assert ("Paper", 0) == (now["candidate"]["stage"], now["candidate"]["weight"])
    assert ["Promoted", "Superseded"] == [one["status"]["outcome"] for one in system.evaluations(older)]
    system.follow("its time on paper is over", its_time_is_over, 60)
    holds(system, LONGER_THAN_A_STAGE_S, in_stage("Paper", newer), stable_is(stable))
    found = {metric["name"]: (metric["verdict"], metric["reason"]) for metric in system.status()["rollout"]["metrics"]}
    print(json.dumps(found, indent=1), flush=True)
    verdicts = {name: verdict for name, (verdict, _) in found.items()}
    assert dict.fromkeys(BROKEN, "NoData") | dict.fromkeys(("several", "word", "broken"), "Error") == verdicts
    system.check_ledgers()


JUDGED: Final = [
    {
        "name": "lost-in-this-step",
        "query": 'max(delta(ringfence_gate_loss_day{namespace="$(namespace)",system="$(system)",service="$(gate)",'
        'owner="$(track)"}[$(window)]))',
        "thresholdRange": {"max": "6"},
    }
    | RULE,
    {"name": "tick-to-order-p99", "minSamples": 2, "failureLimit": 0, "thresholdRange": {"max": "0.8"}} | RULE,
    {"name": "gate-refusals", "minSamples": 6} | RULE,
]
"""What a bad candidate of whatever sort is judged by in Canary."""


@pytest.mark.parametrize(
    ("reason", "strategy"),
    [
        ("lost-in-this-step", {"class": "trials.bad:Loser", "parameters": {"quantity": "0.015"}}),
        ("tick-to-order-p99", {"class": "trials.bad:Slow"}),
        ("gate-refusals", {"parameters": {"quantity": "0.03"}}),
    ],
    ids=["loses money", "is slow", "is refused by the gate"],
)
def test_a_bad_candidate_goes_back_to_paper_for_what_is_wrong_with_it_and_stable_is_untouched(
    system: Staged, operator_with_evidence: Images, bad: str, reason: str, strategy: dict[str, Any]
) -> None:
    """(b) Good on paper and bad with a quarter of the limits: each is demoted by the metric that is about it."""
    stable = system.status()["stable"]["revision"]
    kept = system.pods_beside_the_candidate()
    stages = [
        STAGES[0] | {"duration": "2s", "minOrders": 0},
        STAGES[1] | {"duration": "30s", "minOrders": 0, "analysis": {"metrics": [*USUAL[:-1], *JUDGED]}},
        STAGES[2],
    ]
    found = document(operator_with_evidence, slow=10, stages=stages, **({"image": bad} | strategy))
    revision = system.apply(found)
    system.follow("Canary", in_stage("Canary", revision), 120)
    now = system.follow("demoted", lambda now: bool((now.get("rollout") or {}).get("failure")), 90)
    failure = now["rollout"]["failure"]
    print(failure, flush=True)
    assert ("AnalysisFailed", revision) == (failure["reason"], failure["revision"])
    assert failure["message"].startswith(f"{reason}: ")
    assert not failure["message"].endswith("more)"), "for that alone"
    assert ("Paper", 0) == (now["candidate"]["stage"], now["candidate"]["weight"])
    assert stable_is(stable)(now)
    assert kept.items() <= system.pods().items()
    system.check_ledgers()


KILLS: Final = 30
SEED: Final = 5


def test_an_operator_killed_thirty_times_loses_and_repeats_nothing(
    system: Staged, operator_with_evidence: Images
) -> None:
    """(e) Same end, no stage skipped; what was measured once stays measured, and nothing is measured twice."""
    print(f"seed {SEED}", flush=True)
    chosen = random.Random(SEED)  # sim-ok: when a real process is killed
    revision = system.apply(document(operator_with_evidence, slow=11))
    evidence = Evidence()
    approvals: list[str] = []
    for _ in range(KILLS):
        selector = "app.kubernetes.io/name=ringfence"
        system.cluster.kubectl("-n", install.NAMESPACE, "delete", "pod", "-l", selector, "--grace-period=0", "--force")
        time.sleep(chosen.uniform(0.2, 3.5))  # sim-ok: as above
        evidence.fold(system.evaluations(revision))
        if not approvals and waits_for_approval(system.status()):
            approvals.append(system.promote("Live"))
    install.scale_operator(system.cluster, 1)
    if not approvals:
        system.follow("Live waits for an approval", waits_for_approval, 180)
        approvals.append(system.promote("Live"))
    system.follow("Live and baked", settled(revision), 180)
    assert ["Used"] == [system.answer(name)["state"] for name in approvals]
    ended = system.evaluations(revision)
    evidence.fold(ended)
    assert ["Paper", "Canary", "Live"] == [one["spec"]["stage"] for one in ended]
    assert ["Promoted"] * 3 == [one["status"]["outcome"] for one in ended]
    print(f"measurements by stage: {[evidence.measured(one) for one in ended]}", flush=True)
    system.check_ledgers()


class Evidence:
    """Everything that was ever read of some Evaluations. Folding in what contradicts it fails."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[datetime]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def fold(self, evaluations: Iterable[dict[str, Any]]) -> None:
        for one in evaluations:
            for metric in (one.get("status") or {}).get("metrics") or ():
                key = (one["metadata"]["name"], metric["name"])
                times = [datetime.fromisoformat(measured["at"]) for measured in metric.get("measurements") or ()]
                known = [at for at in self._times.get(key, []) if times and at >= times[0]]
                assert known == times[: len(known)], f"{key}: lost or changed: {known} became {times}"
                assert metric.get("measured", 0) >= self._counts.get(key, 0), key
                assert all((b - a).total_seconds() >= 2 for a, b in itertools.pairwise(times)), f"{key}: twice: {times}"
                assert metric.get("measured", 0) == len(times) or len(times) == KEPT, key
                self._times[key], self._counts[key] = times, metric.get("measured", 0)

    def measured(self, evaluation: dict[str, Any]) -> int:
        return sum(count for (name, _), count in self._counts.items() if name == evaluation["metadata"]["name"])


def test_an_earlier_revision_comes_back_without_stages(system: Staged) -> None:
    """(g) Re-applied within the window, a revision that finished its bake needs no stage and no approval."""
    now = system.status()
    before, earlier = (one["revision"] for one in now["rollout"]["earned"][:2])
    assert stable_is(before)(now)
    assert earlier == system.apply(system.applied[earlier])
    now = system.follow("it is stable", lambda now: now["stable"]["revision"] == earlier, 150)
    assert ("Live", before) == (now["stable"]["stage"], now["shadow"]["revision"])
    system.follow("the bake is over", settled(earlier), 120)
    system.check_ledgers()
