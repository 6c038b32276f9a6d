"""Two tracks side by side: what a candidate's coming, climbing and going does to everything else, which is nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ringfence.runtime import config
from ringfence_operator import interpret
from ringfence_operator.api import TradingSystem, revision_hash
from ringfence_operator.cluster.apply import Ref, ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired import config as documents
from ringfence_operator.desired.objects import Desired, desired_objects
from ringfence_operator.desired.plan import SLOTS
from ringfence_operator.limits import gate_limits
from ringfence_operator.rollout.state import Handover, Mode, Purpose, Stage, State, Stop, TrackState
from ringfence_operator.settings import Settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SETTINGS = Settings(platform_image="registry.example/ringfence@sha256:" + "0" * 64)
SPEC = Path(__file__).parents[2] / "golden" / "inputs" / "simulated-live.yaml"
Manifest = dict[str, Any]


def system(fast: str) -> TradingSystem:
    """The same system with another parameter: another revision."""
    raw = next(iter(yaml.safe_load_all(SPEC.read_text())))
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    raw["spec"]["strategy"]["parameters"]["fast"] = fast
    return TradingSystem.parse(raw)


def revision(fast: str) -> str:
    return revision_hash(system(fast).spec.strategy)


def track(fast: str, stage: Stage, weight: int) -> TrackState:
    grant = documents.grant(gate_limits(system(fast).spec.limits, system(fast).spec.capital))
    return TrackState(revision=revision(fast), stage=stage, weight=weight, grant=grant, since=NOW)


class Cluster:
    """What passes have applied so far, as the next one sees it."""

    def __init__(self) -> None:
        self.live: dict[Ref, Manifest] = {}
        self.document: config.Allocation | None = None

    def apply(self, spec: TradingSystem, state: State) -> Desired:
        names = interpret.own_secrets(spec).items()
        seen = Seen(
            system={"metadata": {"name": "momentum"}},
            live=self.live,
            pods=(),
            switches=(),
            secrets={name: {key: f"<{name} {key}>" for key in interpret.SECRET_KEYS[kind]} for name, kind in names},
            pod_monitors=False,
        )
        found = desired_objects(interpret.plan(spec, seen, state, Stop(), SETTINGS, NOW))
        wanted = [manifest for stage in found.stages for manifest in stage]
        kept = {Ref(*one) for one in found.keep}
        self.live = {one: self.live[one] for one in kept & set(self.live)} | {ref(one): one for one in wanted}
        text = self.live[Ref("ConfigMap", "momentum-allocation")]["data"][config.ALLOCATION_KEY]
        self.document = msgspec.json.decode(text, type=config.Allocation)
        return found

    @property
    def allocation(self) -> config.Allocation:
        assert self.document is not None
        return self.document

    def tracks(self) -> dict[str, tuple[str, str, int, str]]:
        return {one.name: (one.revision, one.stage, one.weight, one.key) for one in self.allocation.tracks}

    def pods(self) -> dict[str, Manifest]:
        """What decides whether a pod is replaced, by workload; with the files that it reads."""
        found = {}
        for one, manifest in self.live.items():
            if one.kind in {"Deployment", "StatefulSet"}:
                file = self.live[Ref("ConfigMap", f"{one.name}-config")]["data"]
                found[one.name] = {"spec": manifest["spec"], "file": file}
        return found


def key(slot: str) -> str:
    return f"<momentum-strategy-{slot}-curve public>"


def handover(name: str, source: str, target: str) -> Handover:
    mode = Mode.ADOPT if target else Mode.FLATTEN
    return Handover(id=name, purpose=Purpose.PROMOTE, source=source, target=target, mode=mode, since=NOW)


STABLE = track("12", Stage.LIVE, 100)


@pytest.fixture
def cluster() -> Cluster:
    """One revision, Live."""
    found = Cluster()
    found.apply(system("12"), State(stable=STABLE))
    return found


STEPS = {
    "on paper": State(stable=STABLE, candidate=track("13", Stage.PAPER, 0)),
    "canary": State(stable=STABLE, candidate=track("13", Stage.CANARY, 5)),
    "more canary": State(stable=STABLE, candidate=track("13", Stage.CANARY, 25)),
    "handing over": State(
        stable=track("13", Stage.LIVE, 100),
        candidate=None,
        shadow=replace(STABLE, stage=Stage.PAPER, weight=0),
        handovers=(handover("1", "candidate", "stable"),),
    ),
    "baking": State(stable=track("13", Stage.LIVE, 100), shadow=replace(STABLE, stage=Stage.PAPER, weight=0)),
    "baked": State(stable=track("13", Stage.LIVE, 100)),
}


def test_no_pod_of_anything_else_changes_while_a_candidate_comes_climbs_and_becomes_stable(cluster: Cluster) -> None:
    """At every step each pod that was there is, byte for byte, what it was: execution, the old stable's strategy and
    the candidate's own never restart. Only what is over goes."""
    before = cluster.pods()
    assert "momentum-strategy-a" in before
    for step, state in STEPS.items():
        cluster.apply(system("13"), state)
        after = cluster.pods()
        assert {name: after.get(name, before[name]) for name in before} == before, step
        gone = set(before) - set(after)
        assert gone == ({"momentum-strategy-a"} if step == "baked" else set()), step
        before = after
    assert "momentum-strategy-b" in before


def test_weights_and_revisions_move_by_the_allocation_alone(cluster: Cluster) -> None:
    """Each step is a new epoch; keys stay with their revisions."""
    old, new = revision("12"), revision("13")
    wanted = {
        "on paper": {"stable": (old, "Live", 100, key("a")), "candidate": (new, "Paper", 0, key("b"))},
        "canary": {"stable": (old, "Live", 100, key("a")), "candidate": (new, "Canary", 5, key("b"))},
        "more canary": {"stable": (old, "Live", 100, key("a")), "candidate": (new, "Canary", 25, key("b"))},
        "handing over": {"stable": (new, "Live", 100, key("b")), "shadow": (old, "Paper", 0, key("a"))},
        "baking": {"stable": (new, "Live", 100, key("b")), "shadow": (old, "Paper", 0, key("a"))},
        "baked": {"stable": (new, "Live", 100, key("b"))},
    }
    epoch = cluster.allocation.epoch
    for step, state in STEPS.items():
        cluster.apply(system("13"), state)
        assert wanted[step] == cluster.tracks(), step
        cluster.apply(system("13"), state)
        assert cluster.allocation.epoch == (epoch := epoch + 1), "the same state is the same epoch"


def test_a_handover_is_named_until_it_is_done(cluster: Cluster) -> None:
    """In execution's words and order, under the ids that were decided."""
    asked = (handover("1", "stable", ""), handover("2", "candidate", "stable"))
    cluster.apply(system("13"), replace(STEPS["canary"], handovers=asked))
    found = cluster.allocation.handovers
    assert [("1", "stable", "", "Flatten"), ("2", "candidate", "stable", "Adopt")] == [
        (one.id, one.source, one.target, one.mode) for one in found
    ]
    cluster.apply(system("13"), STEPS["canary"])
    assert () == cluster.allocation.handovers


def test_a_rollback_gives_stable_back_to_the_revision_of_before(cluster: Cluster) -> None:
    """Which has gone on in its own pod, on paper, all the while."""
    for step in ("on paper", "canary", "handing over", "baking"):
        cluster.apply(system("13"), STEPS[step])
    before = cluster.pods()["momentum-strategy-a"]
    cluster.apply(system("13"), State(stable=STABLE, candidate=track("13", Stage.PAPER, 0)))
    assert (revision("12"), "Live", 100, key("a")) == cluster.tracks()["stable"]
    assert (revision("13"), "Paper", 0, key("b")) == cluster.tracks()["candidate"]
    assert before == cluster.pods()["momentum-strategy-a"]


def test_a_newer_candidate_does_not_wait_for_the_slot_of_the_one_before(cluster: Cluster) -> None:
    """Nor does it take the place, and with it the name on the bus, of one that still runs."""
    cluster.apply(system("13"), STEPS["canary"])
    cluster.apply(system("14"), State(stable=STABLE, candidate=track("14", Stage.PAPER, 0)))
    assert key("c") == cluster.tracks()["candidate"][3]
    assert {"momentum-strategy-a", "momentum-strategy-c"} <= set(cluster.pods())
    assert "momentum-strategy-b" not in cluster.pods()
    assert 3 == len(SLOTS)


def test_stable_keeps_its_own_code_whatever_the_spec_says_now(cluster: Cluster) -> None:
    """From its record; without a record that agrees with its name it stays as it is, and is neither changed nor
    ended."""
    before = cluster.pods()["momentum-strategy-a"]
    cluster.apply(system("13"), STEPS["on paper"])
    assert before == cluster.pods()["momentum-strategy-a"]
    record = cluster.live[Ref("ConfigMap", f"momentum-revision-{revision('12')}")]
    for text in ("{}", "", "[1]", documents.text(cluster.allocation)):
        record["data"] = {documents.REVISION_KEY: text}
        cluster.apply(system("13"), STEPS["on paper"])
        assert before == cluster.pods()["momentum-strategy-a"], text


def test_grants_and_records_are_kept_until_no_track_uses_them(cluster: Cluster) -> None:
    """An older grant of stable stays readable for its gate while it trades on it."""
    old = replace(STABLE, grant="0123456789")
    cluster.live[Ref("ConfigMap", "momentum-limits-0123456789")] = {"kind": "ConfigMap"}
    cluster.apply(system("13"), State(stable=old, candidate=track("13", Stage.PAPER, 0)))
    assert Ref("ConfigMap", "momentum-limits-0123456789") in cluster.live
    role = cluster.live[Ref("Role", "momentum-sim-execution")]
    assert any("momentum-limits-0123456789" in rule.get("resourceNames", ()) for rule in role["rules"])
    cluster.apply(system("13"), State(stable=track("13", Stage.LIVE, 100)))  # still named by the allocation before
    cluster.apply(system("13"), State(stable=track("13", Stage.LIVE, 100)))
    assert Ref("ConfigMap", "momentum-limits-0123456789") not in cluster.live
    assert Ref("ConfigMap", f"momentum-revision-{revision('12')}") not in cluster.live


def test_a_drain_waits_while_any_track_trades(cluster: Cluster) -> None:
    """A candidate with weight counts as trading, even beside a stable on paper."""
    paper = replace(STABLE, stage=Stage.PAPER, weight=0)
    for candidate, allowed in ((track("13", Stage.CANARY, 5), 0), (track("13", Stage.PAPER, 0), 1)):
        cluster.apply(system("13"), State(stable=paper, candidate=candidate))
        budget = cluster.live[Ref("PodDisruptionBudget", "momentum-sim-execution")]
        assert allowed == budget["spec"]["maxUnavailable"]
