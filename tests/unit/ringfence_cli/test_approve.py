"""What people do with a rollout from the command line, and what they see of it."""

from typing import Any

import pytest
from rich.console import Console

from ringfence_cli import approve, facts, render, view

STATUS: dict[str, Any] = {
    "observedGeneration": 2,
    "limitsRevision": "67e2d55d93",
    "revision": "7f3a9c00",
    "stable": {"revision": "c0441100", "stage": "Live", "weight": 100, "since": "2026-11-19T09:50:00Z"},
    "candidate": {"revision": "7f3a9c00", "stage": "Canary", "weight": 25, "since": "2026-11-21T12:00:00Z"},
    "rollout": {
        "revision": "7f3a9c00",
        "next": "Live",
        "waitsFor": "a good verdict: NoData: drawdown: the query found nothing",
        "approval": "Required",
        "verdict": "NoData",
        "evaluation": "7f3a9c00-canary25-3",
        "evaluationUID": "9d61a322-8359-4832-9bb8-5c217b1d5d8b",
        "sessionMilliseconds": 66_120_000,
        "metrics": [
            {"name": "venue-rejects", "verdict": "Successful", "value": "0.002", "reason": "look 3 of 3: good"},
            {"name": "arrival-slippage", "verdict": "Inconclusive", "value": "1.9", "reason": "38 of 60 samples"},
            {"name": "drawdown", "verdict": "NoData", "reason": "the query found nothing"},
        ],
    },
}
SPEC = {"goal": "Live", "capital": "10000", "currency": "USDT", "venues": [{"name": "sim"}], "strategy": {}}
TREE = """\
momentum   Live goal · 10000 USDT · sim   trading: Active
├── stable     c0441100   100%  Live    since 2026-11-19T09:50:00Z
├── candidate  7f3a9c00    25%  Canary  since 2026-11-21T12:00:00Z
│   ├── 18:22:00 in session; next: Live waits for a good verdict: NoData: drawdown: the query found nothing
│   ├── ○ drawdown                                the query found nothing
│   ├── ● arrival-slippage                  1.9   38 of 60 samples
│   └── ✔ venue-rejects                   0.002   look 3 of 3: good
├── services: none
├── gates
│   └── momentum-sim-execution-0  Active  3 working
└── kill switch momentum: not engaged
"""
OFFER = """\
momentum   revision 7f3a9c00 into Live
├── limits 67e2d55d93
├── evidence 7f3a9c00-canary25-3: NoData
│   ├── ✔ venue-rejects                   0.002   look 3 of 3: good
│   ├── ● arrival-slippage                  1.9   38 of 60 samples
│   └── ○ drawdown                                the query found nothing
└── waits for a good verdict: NoData: drawdown: the query found nothing
"""


def shown(tree: Any) -> str:
    console = Console(width=140, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(tree)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def seen(status: dict[str, Any]) -> view.System:
    line = {"pod": "momentum-sim-execution-0", "state": "Active", "generation": 1, "workingOrders": 3}
    switch = {
        "metadata": {"name": "momentum", "generation": 1},
        "spec": {"engaged": False},
        "status": {"gates": [line]},
    }
    system = {"metadata": {"name": "momentum", "generation": 2}, "spec": SPEC, "status": status}
    return view.system(facts.Facts("momentum", "trading", system, (switch,), (), None))


def test_the_status_tree_says_where_both_revisions_are_and_what_the_next_step_waits_for() -> None:
    """To the letter: stage, weight, since, the next gate in one sentence, and each metric, the worst first."""
    assert TREE == shown(render.status_tree(seen(STATUS)))


def test_a_failed_revision_is_shown_as_stopped() -> None:
    failure = {"reason": "AnalysisFailed", "message": "restarts: 2 is above 0", "revision": "7f3a9c00"}
    text = shown(render.status_tree(seen(STATUS | {"rollout": STATUS["rollout"] | {"failure": failure}})))
    assert "stopped AnalysisFailed: restarts: 2 is above 0" in text
    assert "next:" not in text


def test_promote_shows_the_evidence_and_approves_exactly_that() -> None:
    """All hashes are those of the status; approving the same evidence twice is one object."""
    found = approve.offer(STATUS)
    assert OFFER == shown(render.offer("momentum", found))
    made = approve.promotion("momentum", "trading", found, by="alice", reason="good")
    assert made["spec"] == {
        "action": "Promote",
        "system": "momentum",
        "revision": "7f3a9c00",
        "stage": "Live",
        "evaluation": "9d61a322-8359-4832-9bb8-5c217b1d5d8b",
        "limitsRevision": "67e2d55d93",
        "by": "alice",
        "reason": "good",
    }
    assert made == approve.promotion("momentum", "trading", approve.offer(STATUS), by="alice", reason="good")


@pytest.mark.parametrize(
    "rollout",
    [
        None,
        {},
        STATUS["rollout"] | {"next": ""},
        STATUS["rollout"] | {"next": "handover"},
        STATUS["rollout"] | {"next": "end of the bake"},
        STATUS["rollout"] | {"evaluationUID": ""},
        STATUS["rollout"] | {"failure": {"message": "restarts"}},
        STATUS["rollout"] | {"approval": "Automatic"},
        STATUS["rollout"] | {"approval": "Given"},
    ],
)
def test_without_a_step_and_evidence_there_is_nothing_to_approve(rollout: dict[str, Any] | None) -> None:
    with pytest.raises(approve.NothingToApprove):
        approve.offer(STATUS | {"rollout": rollout})


@pytest.mark.parametrize(
    ("change", "patch"),
    [
        ("pause", {"paused": True}),
        ("resume", {"paused": False}),
        ("abort", {"abort": "7f3a9c00"}),
        ("retry", {"retry": 5, "abort": None}),
    ],
)
def test_steering_writes_the_spec_and_never_the_status(change: str, patch: dict[str, Any]) -> None:
    """Abort names the revision, so it cannot hit the next one; retry only counts up, and lifts the abort."""
    found, told = approve.steering({"spec": {"rollout": {"retry": 4}}, "status": STATUS}, change)
    assert patch == found
    assert told
