"""How a gate ends when its pod is told to: orders and positions are left as ``onShutdown`` says."""

import asyncio
from collections.abc import Callable

import structlog

from ringfence.execution.app import TICK_S, Execution
from ringfence.runtime.config import DRAIN_S
from ringfence.wire.stops import EVERYTHING, Severity

log = structlog.get_logger()


async def drained(app: Execution) -> bool:
    """Take no intents, and leave things as the system wants; False if that took too long.

    No request is under way afterwards. Cancel leaves protective orders, as a kill switch does; Keep leaves every
    order that the venue has acknowledged; Flatten ends when nothing but what is too small for the venue is held.
    """
    app.draining = True
    severity, reason, done = _ending(app)
    app.observe(lambda now: app.guard.hold("shutdown", severity, reason, now))
    try:
        async with asyncio.timeout(DRAIN_S.get(app.config.on_shutdown, DRAIN_S["Cancel"])):
            while not done() or app.requests.under_way:  # noqa: ASYNC110 - many events, one condition
                await asyncio.sleep(TICK_S)
    except TimeoutError:
        log.warning("the end took too long", wanted=app.config.on_shutdown, working=app.working())
        return False
    return True


def _ending(app: Execution) -> tuple[Severity, str, Callable[[], bool]]:
    """What to hold at the end, why, and when it is reached. A word that nobody knows cancels."""
    match app.config.on_shutdown:
        case "Keep":
            lives = app.manager.live
            reason = "the gate is shutting down and leaves working orders"
            return Severity.HALT, reason, lambda: all(live.order.venue_order_id for live in lives.values())
        case "Flatten":
            reason = "the gate is shutting down and closes positions"
            return Severity.FLATTEN, reason, lambda: bool(app.flatten.flat_at(EVERYTHING))
        case _:
            return Severity.CANCEL, "the gate is shutting down", lambda: not app.working()
