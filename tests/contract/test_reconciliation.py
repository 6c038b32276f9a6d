"""Reconciliation of the gate program with a simulated venue, row by row: on start, on reconnect, continuously.

What happens at the venue is done there directly, as a person with the venue's own web page would.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gatebench.bench import QUANTITY, SYMBOL, WAIT_S, Bench, furnished
from gatebench.fakeapi import SYSTEM
from ringfence.execution.agenda import EVERY_S, Look
from ringfence.model.money import parse
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.dialect.api import Answer, Call
from ringfence.simulator.faults import Fault
from ringfence.simulator.orders import Request, VenueOrder
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.wire.messages import CancelIntent

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]
WEIGHTS = {"openOrders": 80, "openOrders of one": 6, "myTrades": 20, "account": 20, "order": 4}


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


def by_hand(bench: Bench, name: str, side: Side, quantity: int = QUANTITY, price: int = 0) -> None:
    """A person's own order on the same account; a market order where it has no price."""
    gateway = bench.simulator.gateway
    made = gateway.venue.place(
        TEST_CREDENTIAL.account,
        Request(
            symbol=SYMBOL,
            client_order_id=name,
            side=side,
            type=OrderType.LIMIT if price else OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            price=price,
            quantity=quantity,
        ),
        gateway.advance(),
    )
    assert isinstance(made, VenueOrder), made
    gateway.advance()


def open_at_venue(bench: Bench) -> dict[str, VenueOrder]:
    bench.simulator.gateway.advance()
    return {order.client_order_id: order for order in bench.simulator.venue.open_orders(TEST_CREDENTIAL.account)}


async def until_told(bench: Bench, condition: Any, wait_s: float = WAIT_S) -> Any:
    """Ask the gate's documents until they say so."""
    async with asyncio.timeout(wait_s):
        while True:
            if found := condition(await bench.get("/state"), await bench.get("/positions")):
                return found
            await asyncio.sleep(0.05)


def foreign(_state: Any, positions: Any) -> str:
    return str(positions.get("foreign", {"positions": {}})["positions"].get(SYMBOL, {}).get("quantity", ""))


async def test_on_start_orders_fills_and_balances_are_taken_as_the_venue_has_them(live: Bench) -> None:
    """While the gate was dead one order of ours was cancelled by hand, and somebody traded."""
    gone, stays = await live.resting(2)
    await live.stop(signal.SIGKILL)
    order = live.order(gone)
    assert order is not None
    at_venue = open_at_venue(live)[order.client_order_id]
    live.simulator.venue.cancel(at_venue, live.simulator.gateway.advance(), "web-cancel")
    by_hand(live, "web-buy", Side.BUY, 3 * QUANTITY)
    await live.start()
    await live.active()
    (left,) = await live.get("/orders")
    assert (left["intentId"], left["state"]) == (stays, "ACCEPTED")
    # the owner's own fee is in the base asset, so a little less than 3 lots is left of it
    assert parse(await until_told(live, foreign)) == 3 * QUANTITY - 3 * QUANTITY // 1000
    state = await live.get("/state")
    assert state["breaks"] == {}


async def test_on_reconnect_what_the_stream_did_not_tell_is_found(live: Bench) -> None:
    """The stream breaks, a market order by hand fills meanwhile."""
    live.simulator.gateway.fault(Fault(kind="lose_events", count=1_000_000))
    by_hand(live, "web-buy", Side.BUY)
    live.simulator.gateway.fault(Fault(kind="lose_events", count=0))
    live.simulator.gateway.fault(Fault(kind="drop_streams"))
    assert await until_told(live, foreign)
    await live.active()


async def test_continuously_fills_are_found_though_the_stream_looks_healthy(live: Bench) -> None:
    """Every private event is lost from here on; the venue's list of open orders tells within its interval."""
    await live.resting(1)
    live.simulator.gateway.fault(Fault(kind="lose_events", count=1_000_000))
    bought = live.intent(Side.BUY, 0, market=True)
    began = time.monotonic()
    await live.until(lambda: live.state_of(bought) == "FILLED")
    print(f"a fill that no stream told of was found after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < EVERY_S[Look.ORDERS] + 5
    assert (await live.get("/state"))["state"] == "Active"


async def test_a_manual_trade_goes_to_the_foreign_ledger_and_is_no_break(live: Bench) -> None:
    """Its ids are made from the venue's, so that a restart finds nothing new."""
    by_hand(live, "web-sell", Side.SELL, 2 * QUANTITY)
    assert await until_told(live, foreign) == "-0.002"
    before = await live.get("/positions")

    await live.stop(signal.SIGKILL)
    await live.start()
    await live.active()
    assert await live.get("/positions") == before
    made = [u.event.client_order_id for u in live.updates.values() if u.track == "foreign"]
    assert {name.startswith(f"ext-{SYMBOL}-") for name in made} == {True}
    assert len(made) == 3, "one execution: initialized, submitted, filled"


async def test_a_foreign_order_counts_and_is_left_alone(live: Bench) -> None:
    """At worst case, under a kill too; it is not ours to cancel."""
    price = live.quotes[-1].bid * 98 // 100 // 1_000_000 * 1_000_000
    by_hand(live, "web-bid", Side.BUY, 5 * QUANTITY, price)
    async with asyncio.timeout(WAIT_S):
        while "ringfence_gate_foreign_orders 1.0" not in await live.metrics():
            await asyncio.sleep(0.05)
    assert f'ringfence_gate_position_worst{{symbol="{SYMBOL}",track="foreign"}} 0.005' in await live.metrics()
    await live.resting(2)
    live.api.engage(SYSTEM, engaged=True)
    await live.until(lambda: live.line().get("provenAt"))
    assert list(open_at_venue(live)) == ["web-bid"]


async def test_a_break_halts_the_account_and_is_seen_everywhere(live: Bench) -> None:
    """While it runs, with a stream that says nothing of it: status line, /state, metrics, and who may be called."""
    (name,) = await live.resting(1)
    live.simulator.venue.ledger.balance(TEST_CREDENTIAL.account, "BTC").free += parse("0.5")
    await live.until(lambda: live.states[-1].state == "Halted", EVERY_S[Look.BALANCES] + 10)
    assert "0.5 BTC" in live.states[-1].reason
    assert live.state_of(name) == "ACCEPTED", "a halt leaves working orders"
    await live.until(lambda: "0.5 BTC" in live.line().get("reason", ""))
    state, metrics = await live.get("/state"), await live.metrics()
    assert state["breaks"] == {"BTC": "0.5"}
    assert state["sources"]["reconciliation"]["severity"] == "Halt"
    assert "ringfence_gate_breaks 1.0" in metrics
    assert 'ringfence_gate_break{asset="BTC"} 0.5' in metrics
    refused = live.intent(Side.BUY, live.quotes[-1].bid)
    await live.until(lambda: live.state_of(refused) == "DENIED")
    live.pusher.send(CancelIntent(name, "stable", time.time_ns()))
    await live.until(lambda: live.state_of(name) == "CANCELED")


async def test_a_trade_that_the_venue_busts_halts_while_in_doubt_and_is_then_taken_back(live: Bench) -> None:
    """The venue says nothing of it: balances and its history do. Afterwards the books agree, and trading goes on."""
    kept, bought = live.intent(Side.BUY, 0, market=True), live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(kept) == live.state_of(bought) == "FILLED")
    order = live.order(bought)
    assert order is not None
    (trade_id,) = order.fills
    before = live.held()
    assert live.simulator.gateway.fault(Fault(kind="bust", symbol=SYMBOL, trade_id=int(trade_id))) is None
    live.simulator.gateway.fault(Fault(kind="drop_streams"))
    await live.until(lambda: live.states[-1].state == "Halted" and "too young" in live.states[-1].reason)
    await live.until(lambda: live.state_of(bought) == "CANCELED")
    await live.active()
    state, positions = await live.get("/state"), await live.get("/positions")
    assert state["breaks"] == {}
    held = parse(positions["stable"]["positions"][SYMBOL]["quantity"])
    assert 0 < held == live.simulator.venue.ledger.delta(TEST_CREDENTIAL.account)["BTC"] < before


async def test_a_kill_and_release_cost_the_request_limit_little(live: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 6,000 a minute; everything asked for each time cost many hundreds."""
    api = live.simulator.api
    asked: list[str] = []
    answer = api.answer

    def counted(call: Call, now_ns: int) -> Answer:
        name = call.name.removesuffix(".status")
        asked.append(f"{name} of one" if name == "openOrders" and "symbol" in call.params else name)
        return answer(call, now_ns)

    monkeypatch.setattr(api, "answer", counted)
    await live.resting(3)
    asked.clear()
    live.api.engage(SYSTEM, engaged=True)
    await live.until(lambda: live.line().get("provenAt"))
    live.api.engage(SYSTEM, engaged=False)
    await live.active()
    found = {name: asked.count(name) for name in sorted(set(asked))}
    weight = sum(WEIGHTS.get(name, 0) * count for name, count in found.items())
    print(f"request weight of a kill, its proof and its release: {weight} ({found})")
    assert weight <= 200
