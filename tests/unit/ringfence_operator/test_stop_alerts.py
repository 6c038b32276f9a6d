"""What the operator knows of a stop, as facts for the alerts that gates judge by the same rules."""

from typing import Any

from ringfence.wire.alerts import ACKNOWLEDGE_NS, CANCEL_NS, holding
from ringfence_operator.cluster.observe import SwitchSeen
from ringfence_operator.killpath import asks, lines_of, stop_facts
from ringfence_operator.rollout.health import Pod

T0 = 1_700_000_000_000_000_000
ENGAGED = {"type": "Engaged", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
PODS = (Pod("a-execution-0", "a-execution", "execution"), Pod("b-paper-0", "b-paper", "paper"))


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
