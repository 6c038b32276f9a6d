"""What status shows and what doctor concludes from the same objects."""

from typing import Any

import pytest

from ringfence_cli import doctor, facts, render, stop, view

NAMESPACE = "trading"


def system_object(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "momentum", "generation": 2},
        "spec": {
            "goal": "Live",
            "capital": "10000",
            "currency": "USDT",
            "venues": [{"name": "sim", "type": "Simulator"}],
            "strategy": {"image": "quant/momentum:3", "instruments": [{"venue": "sim", "symbol": "BTCUSDT"}]},
        },
        "status": {
            "observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}],
        }
        | status,
    }


def switch_object(
    *gates: dict[str, Any], engaged: bool = False, name: str = "momentum", generation: int = 4
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"engaged": engaged, "reason": "bad ticks"},
        "status": {"gates": list(gates)},
    }


def gate_line(pod: str = "gate-0", state: str = "Active", generation: int = 4, **more: Any) -> dict[str, Any]:
    return {
        "pod": pod,
        "state": state,
        "generation": generation,
        "workingOrders": 0,
        "latencyMs": "5.8",
        "provenAt": "t",
    } | more


def workload(name: str, ready: int, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}},
        "status": {"readyReplicas": ready},
    }


def pod(app: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"{app}-0", "labels": {"app": app}}, "status": status}


def looked_at(
    system: dict[str, Any] | None,
    *switches: dict[str, Any],
    workloads: tuple[dict[str, Any], ...] | None = (),
    pods: tuple[dict[str, Any], ...] | None = None,
) -> view.System:
    return view.system(facts.Facts("momentum", NAMESPACE, system, switches, workloads, pods))


def healthy() -> view.System:
    return looked_at(system_object(), switch_object(gate_line()), workloads=(workload("execution", 1),))


def reasons(seen: view.System) -> list[str]:
    return [finding.reason for finding in doctor.diagnose(seen)]


def test_nothing_is_found_where_all_is_well() -> None:
    assert doctor.diagnose(healthy()) == []


def test_a_missing_system_is_said_first_and_alone() -> None:
    assert reasons(looked_at(None)) == ["NoSuchSystem"]


def test_a_switch_outlives_its_system_and_is_named() -> None:
    """The switch of a deleted system still stops the next one of that name."""
    assert reasons(looked_at(None, switch_object(engaged=True))) == ["NoSuchSystem", "KillSwitch"]


def test_causes_come_in_order_of_likelihood() -> None:
    """A person stopped it; the operator is away; a pod is ill; a gate waits."""
    seen = looked_at(
        system_object(observedGeneration=1),
        switch_object(gate_line(state="Cancel"), engaged=True),
        workloads=(workload("execution", 0),),
    )

    assert reasons(seen) == ["KillSwitch", "OperatorSilent", "ServiceNotReady", "GateClosed"]


def test_no_gate_line_is_a_finding_and_not_a_pass() -> None:
    """Absence is not success."""
    assert "NoGate" in reasons(looked_at(system_object(), switch_object(), workloads=(workload("execution", 1),)))


def test_a_latched_gate_is_released_by_engaging_first() -> None:
    """A direct kill is latched; a plain release does nothing to it, so the remedy says --latched."""
    line = gate_line(state="Cancel", reason="direct kill by alice; latched until KillSwitch momentum is released")
    found = doctor.diagnose(looked_at(system_object(), switch_object(line), workloads=(workload("execution", 1),)))

    assert [finding.reason for finding in found] == ["GateClosed"]
    assert "--latched" in found[0].remedy


def test_a_pod_that_does_not_start_says_why_in_the_tree() -> None:
    """In the operator's own words: there is one judge of pods."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_VOLUME}
    mounts = {"volumes": [{"name": "journal", "persistentVolumeClaim": {"claimName": "momentum-sim-journal"}}]}
    stuck = pod("execution", phase="Pending", conditions=[condition]) | {"spec": mounts}
    seen = looked_at(
        system_object(trading="NotRunning"), switch_object(), workloads=(workload("execution", 0),), pods=(stuck,)
    )

    assert seen.trading == "NotRunning"
    assert "momentum-sim-journal has no volume; kubectl describe pvc momentum-sim-journal" in " ".join(
        text(seen).split()
    )


NO_VOLUME = (
    "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind. preemption: 0/1 nodes are"
    " available: 1 Preemption is not helpful for scheduling."
)


@pytest.mark.parametrize(
    ("state", "uid", "shown"),
    [
        ({"running": {"startedAt": "2026-11-01T10:00:00Z"}}, "u1", "Active"),
        ({"running": {"startedAt": "2026-11-01T10:00:02Z"}}, "u1", "Unknown"),
        ({"running": {"startedAt": "2026-11-01T10:00:00Z"}}, "u2", "Unknown"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "u1", "NotRunning"),
    ],
    ids=["its own", "of the process before", "of the pod before", "does not run"],
)
def test_what_an_earlier_process_said_is_not_what_trades(state: dict[str, Any], uid: str, shown: str) -> None:
    """A gate that was killed leaves a line that says Active."""
    line = gate_line(podUID="u1", observedAt="2026-11-01T10:00:01.000000Z")
    found = {"metadata": {"name": "gate-0", "uid": uid}, "status": {"containerStatuses": [{"state": state}]}}

    assert looked_at(system_object(), switch_object(line), pods=(found,)).trading == shown


def test_what_may_not_be_read_is_not_shown_as_empty() -> None:
    """Somebody without the right to list workloads is told so."""
    seen = looked_at(system_object(), switch_object(gate_line()), workloads=None)

    assert seen.services is None
    assert "may not read" in text(seen)
    assert doctor.diagnose(seen) == []


def test_a_switch_that_cannot_be_read_counts_as_engaged() -> None:
    broken = switch_object(gate_line()) | {"spec": {"engaged": "maybe"}}

    assert tuple(entry.severity for entry in looked_at(system_object(), broken).stopped_by) == ("Cancel",)


def test_the_tree_says_all_of_it() -> None:
    tree = text(
        looked_at(
            system_object(stable={"revision": "c04411", "weight": 100, "stage": "Live"}), switch_object(gate_line())
        )
    )

    for word in ("momentum", "Live goal", "10000 USDT", "BTCUSDT", "c04411", "100%", "gate-0", "Active", "not engaged"):
        assert word in tree


def test_what_stands_open_is_shown_and_found() -> None:
    """Only while it does: most systems have nothing of the kind, and people read what is there."""
    told = {"type": "Exposed", "reason": "StandsOpen", "message": "hedge pair of stable misses a leg (gate-0)"}
    open_one = looked_at(system_object(conditions=[told | {"status": "True"}]), switch_object(gate_line()))
    closed = looked_at(system_object(conditions=[told | {"status": "False"}]), switch_object(gate_line()))

    assert "exposed hedge pair of stable misses a leg (gate-0)" in text(open_one)
    assert reasons(open_one)[0] == "StandsOpen"
    assert "exposed" not in text(closed)
    assert "StandsOpen" not in reasons(closed)


def test_markup_in_reasons_is_text() -> None:
    """What people write into a reason cannot colour or break the tree."""
    switch = switch_object(gate_line(), engaged=True) | {"spec": {"engaged": True, "reason": "[/red] oops [bold]"}}

    assert "[/red] oops [bold]" in text(looked_at(system_object(), switch))


def test_documents_have_the_names_that_kubernetes_would_use() -> None:
    document = render.plain(healthy())

    assert document["killSwitches"][0]["gates"][0]["latencyMs"] == "5.8"
    assert document["gates"][0]["workingOrders"] == 0


def pods(*names: str) -> dict[str, str]:
    """Name and uid."""
    return {name: f"uid-{name}" for name in names}


def judged(*gates: dict[str, Any], expected: dict[str, str] | None) -> stop.Progress:
    return stop.progress(view.switch(switch_object(*gates, engaged=True)), 4, expected)


def test_a_kill_is_proven_by_every_gate_itself() -> None:
    gates = (gate_line("a", "Cancel"), gate_line("b", "Cancel"))

    assert judged(*gates, expected=pods("a", "b")).proven


@pytest.mark.parametrize(
    "line",
    [
        gate_line("b", "Cancel", generation=3),
        gate_line("b", "Active"),
        gate_line("b", "Halted"),
        gate_line("b", "Unknown"),
    ],
    ids=["older generation", "still active", "only halted", "unknown"],
)
def test_a_gate_that_has_not_closed_for_this_generation_is_waited_for(line: dict[str, Any]) -> None:
    found = judged(gate_line("a", "Cancel"), line, expected=pods("a", "b"))

    assert found.waiting == ("b",)
    assert not found.proven


def test_a_gate_without_a_line_is_waited_for() -> None:
    assert judged(gate_line("a", "Cancel"), expected=pods("a", "b")).waiting == ("b",)


def test_working_orders_that_nobody_counted_are_not_none() -> None:
    """A line without the number proves nothing about orders."""
    found = judged(gate_line("a", "Cancel", workingOrders=None), expected=pods("a"))

    assert found.closed
    assert found.working == ("a",)


def test_the_line_of_a_pod_that_is_gone_does_not_hold_up_the_proof() -> None:
    assert judged(gate_line("a", "Cancel"), gate_line("old", "Active"), expected=pods("a")).proven


def test_where_pods_may_not_be_listed_every_line_counts() -> None:
    assert judged(gate_line("a", "Cancel"), gate_line("old", "Active"), expected=None).waiting == ("old",)


def test_the_verdict_names_who_has_not_answered() -> None:
    assert "NOT acknowledged by b" in render.kill_verdict(judged(gate_line("a", "Cancel"), expected=pods("a", "b")), 4)
    assert (
        render.kill_verdict(judged(gate_line("a", "Cancel"), expected=pods("a")), 4)
        == "all gates acknowledged in 5.8 ms, no order working"
    )


def text(seen: view.System) -> str:
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(render.status_tree(seen))
    return captured.get()


def test_books_without_a_look_at_the_venue_prove_nothing() -> None:
    """Zero working orders is the gate's claim; two looks are the proof."""
    assert judged(gate_line("a", "Cancel", provenAt=""), expected=pods("a")).working == ("a",)


def test_a_line_of_an_earlier_pod_proves_nothing() -> None:
    """A pod of a StatefulSet keeps its name, not its uid."""
    assert judged(gate_line("a", "Cancel", podUID="uid-before"), expected=pods("a")).waiting == ("a",)
    assert judged(gate_line("a", "Cancel", podUID="uid-a"), expected=pods("a")).proven
