"""What a kill switch says of itself once it is released, and what it keeps of the stop."""

from typing import Any

from ringfence_operator.api.killswitch import KillSwitchStatus
from ringfence_operator.killpath import asks, last_stop, spoken
from ringfence_operator.rollout import stopped
from ringfence_operator.rollout.stopped import LastStop

NOW = "2026-11-21T12:00:00Z"


def looked(spec: dict[str, Any], status: dict[str, Any], manager: str, at: str) -> dict[str, Any]:
    """The status after the operator has looked at a switch whose spec this program wrote."""
    written = {"manager": manager, "time": at, "fieldsV1": {"f:spec": {f"f:{name}": {} for name in spec}}}
    switch = {"metadata": {"generation": 1, "managedFields": [written]}, "spec": spec}
    said = spoken(switch, asks(switch), NOW)
    last = stopped.remembered(said, last_stop(status))
    found = KillSwitchStatus(state=stopped.state(said), reason=stopped.sentence(said, last))
    return found.dump() | (
        {} if last is None else {"lastStop": KillSwitchStatus(last_stop=vars_of(last)).dump()["lastStop"]}
    )


def vars_of(last: LastStop) -> Any:
    return {name: getattr(last, name) for name in LastStop.__slots__}


def test_a_released_switch_says_who_released_it_when_and_not_why_it_was_engaged() -> None:
    """By hand the old reason stays in the spec; with the command the reason of the release takes its place."""
    engaged = looked({"engaged": True, "reason": "tick storm"}, {}, "kubectl-patch", "2026-11-21T10:00:00Z")
    assert (engaged["state"], engaged["reason"]) == ("Engaged", "tick storm")
    by_hand = {"engaged": False, "reason": "tick storm", "releasedBy": "alice"}
    released = looked(by_hand, engaged, "kubectl-patch", "2026-11-21T11:00:00Z")
    assert (released["state"], released["reason"]) == ("Released", "released by alice at 2026-11-21T11:00:00Z")
    by_command = by_hand | {"reason": "ticks are good again"}
    released = looked(by_command, engaged, "ringfence", "2026-11-21T11:00:00Z")
    assert released["reason"] == "released by alice at 2026-11-21T11:00:00Z: ticks are good again"


def test_the_last_stop_is_kept_until_the_next_one() -> None:
    status = looked({"engaged": True, "reason": "tick storm"}, {}, "kubectl-patch", "2026-11-21T10:00:00Z")
    status = looked({"engaged": True, "reason": "tick storm, both venues"}, status, "edit", "2026-11-21T10:05:00Z")
    assert status["lastStop"] == {
        "severity": "Cancel",
        "reason": "tick storm, both venues",
        "by": "kubectl-patch",
        "since": "2026-11-21T10:00:00Z",
        "releasedBy": "",
        "releasedAt": "",
    }
    spec = {"engaged": False, "reason": "tick storm, both venues", "releasedBy": "alice"}
    for at in ("2026-11-21T11:00:00Z", "2026-11-21T11:30:00Z"):
        status = looked(spec, status, "kubectl-patch", at)
        assert (status["lastStop"]["releasedBy"], status["lastStop"]["releasedAt"]) == ("alice", "2026-11-21T11:00:00Z")
        assert status["lastStop"]["reason"] == "tick storm, both venues"
    status = looked({"restrict": "Halt", "reason": "news"}, status, "kubectl-edit", NOW)
    assert (status["state"], status["reason"]) == ("Restricted", "news")
    assert (status["lastStop"]["severity"], status["lastStop"]["since"], status["lastStop"]["releasedAt"]) == (
        "Halt",
        NOW,
        "",
    )


def test_a_switch_that_nobody_has_used_says_nothing() -> None:
    assert looked({"engaged": False}, {}, "ringfence", NOW) == {
        "conditions": [],
        "gates": [],
        "state": "Released",
        "reason": "",
    }


def test_a_record_that_cannot_be_read_is_none() -> None:
    assert last_stop({"lastStop": {"severity": 3}}) is None
