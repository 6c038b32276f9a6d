"""What a gate says of itself to Alertmanager: judged beside the order path, by the rules in `wire.alerts`."""

import asyncio
from typing import Final

from ringfence.execution.app import Execution
from ringfence.execution.loops import ReconcileLoop
from ringfence.runtime.guard import Guard
from ringfence.wire.alerts import GateFacts, StopFacts, holding
from ringfence.wire.kill import Severity

EVERY_S: Final = 0.25
OWNER: Final = "stop"


def asked(guard: Guard) -> Severity:
    """What people and breakers ask for. A gate that shuts down cancels too, and that is no alert."""
    sources = [source.severity for name, source in guard.sources.items() if name != "shutdown"]
    latches = [Severity.parse(latch.severity, Severity.CANCEL) for latch in guard.latches.values()]
    return max((*sources, *latches), default=Severity.NONE)


def facts(app: Execution, loop: ReconcileLoop, pod: str, since: int) -> StopFacts:
    """This gate and what stops it. It has closed by definition: its guard is what is read."""
    known = loop.own_open is not None
    gate = GateFacts(
        pod=pod,
        closed=True,
        working=max(app.working(), loop.own_open or 0) if known else None,
        flat=None,
        paper=app.config.paper,
    )
    return StopFacts(
        namespace=app.config.namespace,
        system=app.config.system,
        severity=asked(app.guard),
        reason=app.guard.reason,
        since=since,
        gates=(gate,),
    )


async def watch(app: Execution, loop: ReconcileLoop, pod: str) -> None:
    """Judge four times a second, for ever."""
    since = 0
    while True:
        now = app.clock.wall_ns()
        since = (since or now) if asked(app.guard) >= Severity.CANCEL else 0
        app.alerts.show(OWNER, holding(facts(app, loop, pod, since), now))
        await asyncio.sleep(EVERY_S)
