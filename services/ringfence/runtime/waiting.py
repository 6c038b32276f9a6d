"""Waiting for an event for a limited time, and still being cancellable."""

import asyncio
import contextlib


async def wait_at_most(event: asyncio.Event, limit_s: float) -> None:
    """Return when the event is set or after ``limit_s``, whichever is first.

    Not ``asyncio.wait_for``: before Python 3.12 it loses a cancellation that arrives together with the event, and a
    task that lost its cancellation holds up the shutdown of a gate until Kubernetes kills it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
