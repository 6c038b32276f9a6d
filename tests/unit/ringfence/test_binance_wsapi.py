"""Requests over the WebSocket API whose answer never comes."""

import asyncio

import pytest

from chaos.virtual import START_NS, VirtualLoop
from ringfence.runtime.clock import ManualClock
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

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(ask())
    assert written == ["request 1"]
    assert clock.now_ns - START_NS == pytest.approx(TIMEOUT_S * 1e9, rel=0.01)
