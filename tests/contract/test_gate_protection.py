"""The gate program trips a breaker, keeps it over a kill -9, and ends it by the KillSwitch alone; orders explain
themselves through the command line."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gatebench.bench import SYMBOL, WAIT_S, Bench, furnished
from gatebench.fakeapi import MAPS, SYSTEM
from ringfence.model.money import parse
from ringfence.model.orders import Denied, Side


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


async def state_until(bench: Bench, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the gate says of itself, as soon as it is so. A process that has just been started does not answer yet."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(aiohttp.ClientConnectorError):
                found: dict[str, Any] = await bench.get("/state")
                if wanted(found):
                    return found
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_a_breaker_outlives_a_kill_minus_nine_and_ends_by_a_person(live: Bench) -> None:
    """A day's loss: fees of one trade above a limit that is tightened to nearly nothing."""
    bought = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(2, loss_day=1))
    found = await state_until(live, lambda state: "loss-day" in state["breakers"]["open"])
    assert found["latches"]["breaker/loss-day"]["severity"] == "ReduceOnly"
    assert "limit=0.00000001" in found["breakers"]["open"]["loss-day"]["evidence"]
    await live.stop(signal.SIGKILL)
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(3))
    await live.start()
    found = await state_until(live, lambda state: state["state"] == "ReduceOnly")
    assert "breaker loss-day tripped" in found["reason"], "the loss is within the limit again, and nobody has looked"
    live.api.engage(SYSTEM, engaged=True, reason="looking")
    await state_until(live, lambda state: state["state"] == "Cancel")
    live.api.engage(SYSTEM, engaged=False, releasedBy="alice")
    found = await state_until(live, lambda state: state["state"] == "Active")
    assert found["breakers"]["open"] == {}
    assert found["breakers"]["acknowledged"] == {"by": "alice", "breakers": ["loss-day"]}


@pytest.mark.asyncio
async def test_orders_and_refused_intents_explain_themselves(live: Bench) -> None:
    bought = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    refused = live.intent(Side.BUY, 12_345, parse("5000"))
    await live.until(lambda: live.events(Denied))

    async def explain(order: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "ringfence_cli.main", "explain", order]
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--gate", f"127.0.0.1:{live.ports['http']}"),
            env=os.environ | {"PYTHONPATH": "services:operator", "COLUMNS": "200", "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    code, told = await explain(bought)
    assert code == 0
    assert f"passed under {live.grant()}, allocation 1, guard epoch" in told
    assert f"BUY 0.001 {SYMBOL} MARKET" in told
    assert "Filled" in told
    code, told = await explain(refused)
    assert code == 0
    assert "refused: " in told
    assert "PRICE_PRECISION" in told
    code, told = await explain("nothing")
    assert (code, "no order 'nothing'" in told) == (1, True)
