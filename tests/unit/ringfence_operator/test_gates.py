"""Pushing a kill to gates over real HTTP: signed, all at once, and never an exception."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from ringfence.runtime.serving import serving
from ringfence.wire import kill
from ringfence_operator.cluster.gates import Target, push_all

TOKEN = b"0123456789abcdef"
REQUEST = kill.KillRequest(
    severity="Cancel", reason="r", by="KillSwitch x", ts=1_000, source="operator", uid="u", generation=2
)
ANSWER = {"state": "Cancel", "epoch": 2, "closedAt": "t", "latencyMs": "0.1", "workingOrders": 1, "pod": "p"}


@asynccontextmanager
async def gate(handler: object) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_post(kill.KILL_PATH, handler)  # type: ignore[arg-type]
    async with serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
        yield port


async def verify(request: web.Request) -> web.Response:
    opened = kill.opened(TOKEN, await request.read(), request.headers[kill.SIGNATURE_HEADER], REQUEST.ts)
    if isinstance(opened, str):
        return web.Response(status=403, text=opened)
    assert opened == REQUEST
    return web.json_response(ANSWER)


@pytest.mark.asyncio
async def test_each_gate_gets_its_own_answer() -> None:
    """A right token, a wrong one, and a gate that is not there: one answer each, in order."""
    async with gate(verify) as port, aiohttp.ClientSession() as session:
        targets = [
            Target("good", "127.0.0.1", TOKEN, port),
            Target("wrong", "127.0.0.1", b"another", port),
            Target("away", "127.0.0.1", TOKEN, 1),
        ]
        good, wrong, away = await push_all(session, targets, REQUEST)

    assert good.answer is not None
    assert (good.answer.state, good.answer.working_orders) == ("Cancel", 1)
    assert (wrong.answer, "403" in wrong.error) == (None, True)
    assert (away.answer, away.error != "") == (None, True)
    assert "0123456789abcdef" not in repr(targets)


@pytest.mark.asyncio
async def test_a_gate_that_hangs_holds_up_nobody() -> None:
    """Its own deadline, and the other gate is told at once."""
    told = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def quick(request: web.Request) -> web.Response:
        told.set()
        return await verify(request)

    async with gate(hang) as slow_port, gate(quick) as port, aiohttp.ClientSession() as session:
        pushing = asyncio.create_task(
            push_all(
                session, [Target("slow", "127.0.0.1", TOKEN, slow_port), Target("b", "127.0.0.1", TOKEN, port)], REQUEST
            )
        )
        await asyncio.wait_for(told.wait(), 0.9)
        slow, b = await pushing

    assert "no answer" in slow.error
    assert b.answer is not None


@pytest.mark.asyncio
async def test_nonsense_is_no_acknowledgement() -> None:
    """Only an answer that can be read counts."""

    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async with gate(nonsense) as port, aiohttp.ClientSession() as session:
        (push,) = await push_all(session, [Target("a", "127.0.0.1", TOKEN, port)], REQUEST)
    assert (push.answer, push.error != "") == (None, True)
