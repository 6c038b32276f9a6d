"""What a gate says of itself to Alertmanager: judged beside the order path, by the rules in `wire.alerts`."""

import asyncio
from typing import Final

from ringfence.execution import stopping
from ringfence.execution.allocating import FLATTENING
from ringfence.execution.app import Execution
from ringfence.execution.reconcile import BREAK, WRITER
from ringfence.model.money import text
from ringfence.runtime.guard import Guard
from ringfence.wire.alerts import GateFacts, StopFacts, holding
from ringfence.wire.kill import Severity

EVERY_S: Final = 0.25
OWNER: Final = "stop"


def asked(guard: Guard) -> Severity:
    """What people and breakers ask for. A gate that shuts down stops too, and so does a handover: that is no alert."""
    planned = ("shutdown", FLATTENING)
    sources = [source.severity for name, source in guard.sources.items() if not name.startswith(planned)]
    latches = [Severity.parse(latch.severity, Severity.CANCEL) for latch in guard.latches.values()]
    return max((*sources, *latches), default=Severity.NONE)


def unexplained(guard: Guard) -> str:
    """What reconciliation halts for."""
    return "; ".join(guard.sources[name].reason for name in (BREAK, WRITER) if name in guard.sources)


def facts(app: Execution, pod: str, since: int, naked_since: int, break_since: int) -> StopFacts:
    """This gate and what stops it. It has closed by definition: its guard is what is read."""
    working = app.working()
    gate = GateFacts(
        pod=pod,
        closed=True,
        working=working if working or app.cancel_proof.complete else None,
        flat=all(app.flatten.flat_at(scope) for scope in app.flatten.scopes()),
        paper=app.config.paper,
        naked=naked(app) if naked_since else (),
        naked_since=naked_since,
        unexplained=unexplained(app.guard) if break_since else "",
        unexplained_since=break_since,
    )
    return StopFacts(
        namespace=app.config.namespace,
        system=app.config.system,
        severity=asked(app.guard),
        reason=app.guard.reason,
        since=since,
        gates=(gate,),
    )


def naked(app: Execution) -> tuple[str, ...]:
    """Positions that stand without all of their protection, where a stop keeps strategies from protecting them."""
    held = stopping.holdings(app.gate.tracks.values(), app.manager.live.values())
    return tuple(
        f"{text(one.unprotected)} of {text(one.quantity)} {one.symbol} of {one.track}"
        for one in held
        if one.unprotected and app.guard.severity_of(one.track, one.symbol) >= Severity.CANCEL
    )


async def watch(app: Execution, pod: str) -> None:
    """Judge four times a second, for ever."""
    since = naked_since = break_since = 0
    while True:
        now = app.clock.wall_ns()
        since = (since or now) if asked(app.guard) >= Severity.CANCEL else 0
        naked_since = (naked_since or now) if since and naked(app) else 0
        break_since = (break_since or now) if unexplained(app.guard) else 0
        app.alerts.show(OWNER, holding(facts(app, pod, since, naked_since, break_since), now))
        await asyncio.sleep(EVERY_S)
