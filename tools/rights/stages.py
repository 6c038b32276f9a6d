"""Attempts to write stages that can never be entered, or judged: see `ringfence_operator.policies.rollout`."""

from collections.abc import Iterator
from typing import Any, Final

from rights.actions import Act, Attempt, fed, merge, patched, system
from rights.people import OPERATOR, Document, Done, Server

_ORDERS: Final[Document] = {"limits": {"order": {"valueMax": "1000"}}}
_PRESET: Final[Document] = {"capital": "10000", "limits": {"preset": "moderate", "order": {"valueMax": None}}}


def stages_that_cannot_work() -> Iterator[Attempt]:
    """Refused to everybody, whatever verb they have; but only where the stages are what is written."""
    alone = "is compared with a stable revision, and none trades: leave it out until the first revision is Live"
    compared = _canary(25, "arrival-slippage")
    yield Attempt("compare where nothing trades", "bob", system, _given({}, rollout=compared), alone)
    yield Attempt("compare from the start", "root", system,
                  fed("create", document=lambda n: _with(system(f"{n}-c"), rollout=compared)), alone)  # fmt: skip
    beginning = {"stable": _track(0)}
    yield Attempt("compare while the first climbs", "bob", system, _given(beginning, rollout=compared), alone)
    yield Attempt("compare with what trades", "bob", system, _given({"stable": _track(100)}, rollout=compared))
    shown = _canary(25, "arrival-slippage", dryRun=True)
    yield Attempt("show a comparison", "bob", system, _given({}, rollout=shown))
    least = {"minNotional": "10"}
    figure = "stage Canary 2% allows orders of 20 (limits.order.valueMax x 2%), and the venue takes none below 10:"
    yield Attempt("a canary too small", "bob", system, _given(least, rollout=_canary(2), **_ORDERS), figure)
    yield Attempt("a canary just large enough", "bob", system, _given(least, rollout=_canary(3), **_ORDERS))
    yield Attempt("a canary too small, by the preset", "bob", system, _given(least, rollout=_canary(2), **_PRESET),
                  figure)  # fmt: skip
    tight = {"limits": {"order": {"valueMax": "100"}}}
    yield Attempt(
        "tighten under a canary", "dave", lambda n: _with(system(n), rollout=_canary(3)), _given(least, **tight)
    )


def _canary(weight: int, *metrics: str, **more: Any) -> Document:
    step: Document = {"stage": "Canary", "weight": weight}
    if metrics:
        step["analysis"] = {"metrics": [{"name": name, **more} for name in metrics]}
    return {"stages": [{"stage": "Paper"}, step, {"stage": "Live"}]}


def _with(made: Document, **spec: Any) -> Document:
    made["spec"] |= spec
    return made


def _track(weight: int) -> Document:
    return {
        "revision": "7f3a9c12",
        "stage": "Live" if weight else "Paper",
        "weight": weight,
        "since": "2026-11-21T12:00:00Z",
        "limitsRevision": "0123456789",
    }


def _given(status: Document, **spec: Any) -> Act:
    """The change, on a system of which the operator has said so much."""

    def act(server: Server, user: str, name: str) -> Done:
        if status:
            words = ("patch", f"tsys/{name}", "--subresource=status", *merge(status=status))
            server.must(*words, user=OPERATOR.username)
        return patched("tsys", spec=spec)(server, user, name)

    return act
