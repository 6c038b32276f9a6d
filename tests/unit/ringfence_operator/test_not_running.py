"""A gate that cannot start, as people see it: trading, reason and what to do in the status, and in the columns."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ringfence_operator import interpret, records
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.apply import Ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.rollout.health import Container, Pod
from ringfence_operator.rollout.machine import decide

SPEC: Final = Path(__file__).parents[3] / "manifests" / "samples" / "momentum.yaml"
NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
NONE_FREE: Final = (
    "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind. preemption: 0/1 nodes are"
    " available: 1 Preemption is not helpful for scheduling."
)
STUCK: Final = Pod(
    "momentum-sim-execution-0",
    "momentum-sim-execution",
    "execution",
    unschedulable=NONE_FREE,
    uid="new",
    claims=("momentum-sim-journal",),
)


def system() -> TradingSystem:
    raw = next(iter(yaml.safe_load_all(SPEC.read_text())))
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    return TradingSystem.parse(raw)


def seen(gate: Pod, **line: Any) -> Seen:
    """The pod, its claim, and what the gate of that name wrote last."""
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "momentum-sim-journal"},
        "spec": {"storageClassName": "local"},
        "status": {"phase": "Pending"},
    }
    own = {
        "kind": "KillSwitch",
        "metadata": {"name": "momentum"},
        "spec": {"engaged": False},
        "status": {"gates": [{"pod": gate.name, "state": "Active", **line}]},
    }
    return Seen(
        system={"metadata": {"name": "momentum"}},
        live={Ref("PersistentVolumeClaim", "momentum-sim-journal"): claim},
        pods=(gate,),
        switches=(own,),
        secrets={},
        pod_monitors=False,
    )


def told(found: Seen) -> dict[str, Any]:
    decided = decide(
        interpret.rollout_spec(system()), records.state_of(system()), interpret.observation(system(), found), NOW
    )
    return interpret.status(system(), found, decided)


def test_no_volume_is_told_where_people_look_first() -> None:
    """`kubectl get tsys` has trading and the reason; the condition names the claim, its class and what to do."""
    status = told(seen(STUCK, podUID="old"))
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    execution = next(one for one in status["services"] if one["name"] == "sim-execution")

    assert status["trading"] == "NotRunning"
    assert (ready["status"], ready["reason"]) == ("False", "VolumeMissing")
    assert "claim momentum-sim-journal finds no volume of StorageClass local" in ready["message"]
    assert "kubectl describe pvc momentum-sim-journal" in execution["message"]
    assert {one["type"] for one in status["conditions"] if one["status"] == "True"} >= {"Stalled", "Degraded"}


RUNS: Final = replace(STUCK, unschedulable="", container=Container(running=True, started_at="2026-11-01T10:00:00Z"))


@pytest.mark.parametrize(
    ("pod", "line", "trading"),
    [
        (RUNS, {"podUID": "new", "observedAt": "2026-11-01T10:00:01.5"}, "Active"),
        (RUNS, {"podUID": "new", "observedAt": "2026-11-01T09:59:59.5"}, "Unknown"),
        (RUNS, {"podUID": "old", "observedAt": "2026-11-01T10:00:01.5"}, "Unknown"),
        (replace(RUNS, container=Container(waiting_reason="CrashLoopBackOff", exit_code=1)), {}, "NotRunning"),
        (replace(RUNS, name="momentum-sim-execution-1"), {"pod": "another"}, "Unknown"),
    ],
    ids=["its own word", "of the process before", "of the pod before", "crashed", "no word yet"],
)
def test_only_the_process_that_runs_says_that_it_trades(pod: Pod, line: dict[str, Any], trading: str) -> None:
    """A gate that was killed leaves a line that says Active, and session time must not count on it."""
    assert told(seen(pod, **line))["trading"] == trading


def test_a_word_of_another_version_does_not_send_a_live_system_back_to_paper() -> None:
    """What status only tells people is left out where it cannot be read; a state that cannot be read is none."""
    track = {"revision": "7f3a9c12", "stage": "Live", "weight": 100, "since": "2026-11-01T10:00:00Z"}
    raw = next(iter(yaml.safe_load_all(SPEC.read_text())))
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    status = {"trading": "Dreaming", "stable": track | {"limitsRevision": "g"}}
    known, broken = (
        records.parsed(raw | {"status": status}),
        records.parsed(raw | {"status": status | {"stable": track}}),
    )
    assert isinstance(known, TradingSystem)
    assert isinstance(broken, TradingSystem)
    stable = records.state_of(known).stable
    assert (stable and stable.weight, known.status.trading) == (100, None)
    assert records.state_of(broken).stable is None
    assert not isinstance(records.parsed({**raw, "spec": {}}), TradingSystem)
