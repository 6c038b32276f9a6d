"""What the operator knows of a stop, as facts for the alerts that gates judge by the same rules."""

from dataclasses import replace
from typing import Any

from ringfence.wire.alerts import ACKNOWLEDGE_NS, CANCEL_NS, holding
from ringfence_operator.cluster.observe import SwitchSeen
from ringfence_operator.killpath import asks, covered_systems, lines_of, open_gates, stop_facts
from ringfence_operator.rollout.health import Container, Pod

T0 = 1_700_000_000_000_000_000
ENGAGED = {"type": "Engaged", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
RUNS = Container(running=True)
PODS = (
    Pod("a-execution-0", "a-execution", "execution", container=RUNS),
    Pod("b-paper-0", "b-paper", "paper", container=RUNS),
)


def seen(spec: dict[str, Any], *lines: dict[str, Any], engaged: bool = True) -> SwitchSeen:
    switch = {
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 3},
        "spec": spec,
        "status": {"gates": list(lines), "conditions": [ENGAGED] if engaged else []},
    }
    return SwitchSeen(switch, (), PODS, {"a-execution-0": "a", "b-paper-0": "b"}, {})


def alerts(found: SwitchSeen, now: int) -> set[tuple[str, str, str, str]]:
    stops = stop_facts(found, asks(found.switch), frozenset({"a", "b"}), PODS, lines_of(found.switch, PODS), now)
    return {(a.system, a.name, a.gate, a.level) for stop in stops for a in holding(stop, now)}


LINE = {"pod": "a-execution-0", "uid": "u", "generation": 3, "state": "Cancel", "workingOrders": 0}


def test_each_system_has_its_own_alerts() -> None:
    """One switch over two systems: a's gate has closed and cancelled, b's is silent and only paper."""
    found = seen({"engaged": True, "reason": "r"}, LINE)
    assert alerts(found, T0) == {("a", "Engaged", "", "critical"), ("b", "Engaged", "", "critical")}
    assert alerts(found, T0 + ACKNOWLEDGE_NS) - alerts(found, T0) == {
        ("b", "NotAcknowledged", "b-paper-0", "warning"),
    }
    assert ("b", "NotCanceled", "b-paper-0", "warning") in alerts(found, T0 + CANCEL_NS)


def test_a_line_of_an_earlier_generation_acknowledges_nothing() -> None:
    found = seen({"engaged": True}, LINE | {"generation": 2})
    assert ("a", "NotAcknowledged", "a-execution-0", "critical") in alerts(found, T0 + ACKNOWLEDGE_NS)


def test_a_stop_that_nobody_has_seen_before_begins_now() -> None:
    """Before the first status there is no time to count from; later passes count from the condition."""
    found = seen({"engaged": True}, engaged=False)
    assert {name for _, name, _, _ in alerts(found, T0 + CANCEL_NS)} == {"Engaged"}


def test_a_released_switch_raises_nothing() -> None:
    assert alerts(seen({"engaged": False}), T0 + CANCEL_NS) == set()


def proof(pod: Pod, **line: Any) -> bool:
    """Whether a line counts for this pod."""
    found = seen({"engaged": True}, LINE | line)
    return bool(lines_of(found.switch, (pod,)))


def test_a_line_of_an_earlier_pod_or_process_is_no_proof() -> None:
    """The pods of a StatefulSet keep their name; a container that was restarted keeps even the pod's uid."""
    pod = replace(PODS[0], uid="now", container=Container(running=True, started_at="2026-11-21T10:00:00Z"))
    assert proof(pod, podUID="now", observedAt="2026-11-21T10:00:00.250000Z")
    assert not proof(pod, podUID="before", observedAt="2026-11-21T10:00:00.250000Z")
    assert not proof(pod, podUID="now", observedAt="2026-11-21T09:59:59.999999Z")
    assert not proof(replace(pod, name="other"), podUID="now")
    assert not proof(pod, uid="an earlier switch of this name")


def test_a_stop_of_another_venue_waits_for_no_gate_of_this_one() -> None:
    """Judged by the same function as in the gates; an instrument that the named system does not have covers all."""
    pod = replace(PODS[0], phase="Running", container=Container(running=True))
    spec = {
        "venues": [{"name": "sim"}, {"name": "two"}],
        "strategy": {"instruments": [{"venue": "sim", "symbol": "X"}]},
    }
    system = {"metadata": {"name": "a"}, "spec": spec}

    def gates(**spec: Any) -> int:
        switch = {"metadata": {"name": "part", "uid": "u", "generation": 1}, "spec": {"engaged": True} | spec}
        found = SwitchSeen(switch, (system,), (pod,), {pod.name: "a"}, {pod.name: "sim"})
        return len(open_gates(found, covered_systems(found)))

    assert gates(systems=["a"]) == 1
    assert gates(systems=["a"], scope={"venues": ["two"]}) == 0
    assert gates(systems=["a"], scope={"venues": ["sim"]}) == 1
    assert gates(systems=["a"], scope={"instruments": ["TYPO"]}) == 1
    assert gates(everySystem=True, scope={"instruments": ["ANOTHERS"]}) == 0
    assert gates(systems=["b"]) == 0
