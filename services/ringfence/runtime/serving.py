"""HTTP served for as long as a block lasts; no connection outlives it, whoever is just connecting."""

import asyncio
import contextlib
import socket
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

    ``host`` is an IPv4 address. Handlers at work at the end have ``shutdown_timeout_s``; ``cancel_handlers`` ends them
    when their client goes away. Raises OSError where the port is taken.
    """
    listener = socket.create_server((host, port))
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=shutdown_timeout_s, handler_cancellation=cancel_handlers
    )
    with listener:
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield int(listener.getsockname()[1])
        finally:
            # A server that closes leaves open what has been accepted and not been made known to it. So nothing more is
            # accepted first, then what was accepted becomes known, and then it closes.
            asyncio.get_running_loop().remove_reader(listener)
            for _ in range(_ACCEPTING_TURNS):
                await asyncio.sleep(0)
            await runner.cleanup()
