import asyncio
import gc
import socket

import pytest
from aiohttp import web

from ringfence.runtime.serving import serving


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_made_any_turns_before_the_end_is_closed(turns: int) -> None:
    """Its client is told, and the collector finds no socket that is still open: that would fail this test."""

    async def serve() -> socket.socket:
        async with serving(web.Application(), "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
            client = socket.create_connection(("127.0.0.1", port))
            for _ in range(turns):
                await asyncio.sleep(0)
        return client

    with asyncio.Runner() as runner:
        client = runner.run(serve())
    gc.collect()
    with client:
        client.settimeout(5)
        assert client.recv(1) == b""


def test_the_bound_port_is_told_and_one_that_is_taken_is_an_error() -> None:
    async def serve() -> None:
        async with serving(web.Application(), "127.0.0.1", 0) as port:
            assert port > 0
            with pytest.raises(OSError, match="address already in use"):
                async with serving(web.Application(), "127.0.0.1", port):
                    pass

    asyncio.run(serve())
