"""The gate program trips a breaker, keeps it over a kill -9, and ends it by the KillSwitch alone; orders explain
themselves through the command line."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gatebench.bench import QUANTITY, SYMBOL, WAIT_S, Bench, furnished
from gatebench.fakeapi import MAPS, SYSTEM
from ringfence.model.money import parse
from ringfence.model.orders import Denied, ModifyRejected, OrderType, Rejected, Side, TimeInForce
from ringfence.simulator.faults import Fault
from ringfence.wire.messages import Intent, PairIntent, ReplaceIntent

REJECTS = {"breakers_reject_percent": parse("5"), "breakers_reject_min": 6}
REJECTED = {"kind": "http_status", "status": 400, "code": -2010, "count": 1_000}


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


def leg(name: str, kind: OrderType, price: int, stop_price: int) -> Intent:
    now = time.time_ns()
    return Intent(name, "stable", SYMBOL, Side.SELL, kind, TimeInForce.GTC, QUANTITY, price, True, now, stop_price)


async def rejected_until_it_trips(bench: Bench) -> str:
    """The breaker's evidence, once it has halted the gate; and what the revision's own evidence says of its orders."""
    found = await state_until(bench, lambda state: "rejects" in state["breakers"]["open"])
    assert found["latches"]["breaker/rejects"]["severity"] == "Halt"
    told: str = found["breakers"]["open"]["rejects"]["evidence"]
    return told


@pytest.mark.asyncio
async def test_a_venue_that_rejects_pairs_trips_the_breaker_and_each_leg_counts(live: Bench) -> None:
    bought = live.intent(Side.BUY, 0, 10 * QUANTITY, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(2, **REJECTS))
    live.simulator.gateway.fault(Fault(**REJECTED, name="orderList.place.oco"))
    whole, bid = 1_000_000, live.quotes[-1].bid
    for number in range(3):
        target = leg(f"target-{number}", OrderType.LIMIT_MAKER, bid * 102 // 100 // whole * whole, 0)
        live.pusher.send(
            PairIntent(target, leg(f"stop-{number}", OrderType.STOP_LOSS, 0, bid * 98 // 100 // whole * whole))
        )
    await live.until(lambda: len(live.events(Rejected)) == 6)
    assert "of=" in await rejected_until_it_trips(live)
    assert 'track_intents_total{revision="abc123def0",track="stable"} 7.0' in await live.metrics()


@pytest.mark.asyncio
async def test_a_venue_that_rejects_replacements_trips_the_breaker(live: Bench) -> None:
    """The order that was to give way works on; what was to take its place is a rejected order like any other."""
    (name,) = await live.resting(1)
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(2, **REJECTS))
    live.simulator.gateway.fault(Fault(**REJECTED, name="order.cancelReplace"))
    price = live.quotes[-1].bid * 97 // 100 // 1_000_000 * 1_000_000
    for number in range(6):
        live.pusher.send(ReplaceIntent(f"new-{number}", name, "stable", QUANTITY, price, 0, time.time_ns()))
        await live.until(lambda number=number: len(live.events(ModifyRejected)) == number + 1)
    assert len(live.events(Rejected)) == 6
    assert "percent=" in await rejected_until_it_trips(live)
    assert live.state_of(name) == "ACCEPTED"
    assert 'track_intents_total{revision="abc123def0",track="stable"} 7.0' in await live.metrics()
