import asyncio
import contextlib
import gc
import socket

import pytest
from aiohttp import web

from ringfence.runtime.serving import serving


@pytest.mark.parametrize("before", [0, 1, 2, 3, None])
@pytest.mark.parametrize("after", [*range(6), None])
def test_no_connection_outlives_the_block_whenever_it_was_made(before: int | None, after: int | None) -> None:
    """Some turns before the end, and some into it, by processes that go on connecting: they are cut off or refused, and
    the collector finds no socket that is still open, which would fail this test."""
    clients: list[socket.socket] = []

    def connect(port: int) -> None:
        with contextlib.suppress(ConnectionError):
            clients.append(socket.create_connection(("127.0.0.1", port)))

    async def connect_later(port: int, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        connect(port)

    async def serve() -> None:
        later = None
        async with serving(web.Application(), "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
            if before is not None:
                connect(port)
                for _ in range(before):
                    await asyncio.sleep(0)
            if after is not None:
                later = asyncio.create_task(connect_later(port, after))
        if later is not None:
            await later

    with asyncio.Runner() as runner:
        runner.run(serve())
    gc.collect()
    for client in clients:
        with client:
            client.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


def test_the_bound_port_is_told_and_one_that_is_taken_is_an_error() -> None:
    async def serve() -> None:
        async with serving(web.Application(), "127.0.0.1", 0) as port:
            assert port > 0
            with pytest.raises(OSError, match="ddress already in use"):
                async with serving(web.Application(), "127.0.0.1", port):
                    pass

    asyncio.run(serve())
