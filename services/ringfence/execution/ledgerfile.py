"""Saves the loss ledger beside a running gate. One that cannot be saved halts: the next process would forget losses."""

import asyncio
from typing import Final

import msgspec

from ringfence.execution.app import Execution
from ringfence.wire.stops import Severity

LEDGER: Final = "loss ledger"


async def keep_ledger(app: Execution) -> None:
    """Save the loss ledger once a second where it changed; in a thread, since it waits for the disk."""
    saved = b""
    while True:
        await asyncio.sleep(1)
        data = msgspec.json.encode(app.manager.ledger)
        if data == saved:
            continue
        try:
            await asyncio.to_thread(app.store.write_ledger, data)
        except OSError as error:
            reason = f"the loss ledger cannot be written: {error.strerror}"
            app.observe(lambda now, reason=reason: app.guard.hold(LEDGER, Severity.HALT, reason, now))  # type: ignore[misc]
            continue
        saved = data
        if LEDGER in app.guard.sources:
            app.observe(lambda now: app.guard.drop(LEDGER, now))
