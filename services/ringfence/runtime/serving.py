"""HTTP served for as long as a block lasts; a connection that was made in the block is closed with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

_ACCEPTING_TURNS: Final = 3
"""asyncio takes a connection from the listener, makes its transport, and tells the server of it, in a turn each."""


@contextlib.asynccontextmanager
async def serving(
    application: web.Application,
    host: str,
    port: int,
    *,
    shutdown_timeout_s: float = 1.0,
    cancel_handlers: bool = False,
) -> AsyncIterator[int]:
    """Serve until the block is left; gives the bound port, which is ``port`` unless that is 0.

    Handlers at work at the end have ``shutdown_timeout_s``; ``cancel_handlers`` ends them when their client goes away.
    Raises OSError where the port is taken.
    """
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=shutdown_timeout_s, handler_cancellation=cancel_handlers
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        # the end closes only the connections that the server has been told of
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        await runner.cleanup()
