"""Requests over the WebSocket API whose answer never comes."""

import asyncio
import gc
from typing import Any

import aiohttp
import pytest

from chaos.virtual import START_NS, VirtualLoop
from ringfence.runtime.clock import ManualClock
from ringfence.venues.binance.limits import NO_COUNTS
from ringfence.venues.binance.stream import Reply
from ringfence.venues.binance.wsapi import TIMEOUT_S, WsApi


def test_a_request_without_an_answer_ends_after_the_time_that_the_venue_itself_gives_up() -> None:
    """It is told as a time-out, and nothing is kept of it."""
    clock = ManualClock(START_NS)
    written: list[str] = []

    async def write(message: str) -> None:
        written.append(message)

    async def ask() -> None:
        ws_api = WsApi(write)
        with pytest.raises(TimeoutError):
            await ws_api.ask(lambda number: f"request {number}", lambda: None)
        assert ws_api.waiting == 0
        assert not ws_api.prompt, "a connection that let one wait in vain is not trusted with the next"
        ws_api.answered(Reply("1", 200, b"{}", NO_COUNTS))
        assert ws_api.prompt

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(ask())
    assert written == ["request 1"]
    assert clock.now_ns - START_NS == pytest.approx(TIMEOUT_S * 1e9, rel=0.01)


@pytest.mark.asyncio
async def test_a_write_that_fails_when_the_connection_has_ended_is_told_once() -> None:
    """To who asked, and not to the log as well."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def write(_message: str) -> None:
        ws_api.end()
        raise aiohttp.ClientConnectionResetError

    ws_api = WsApi(write)
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await ws_api.ask(lambda number: number, lambda: None)
    gc.collect()
    assert told == []
