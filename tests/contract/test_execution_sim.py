"""The gate program against a simulated venue, real marketdata, a real bus, and an API server that speaks the protocol.

The gate runs as a process of its own, so that it can be killed. Time is real: the tests wait for what must come.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from gatebench.bench import QUANTITY, WAIT_S, Bench, furnished
from gatebench.fakeapi import GROUP, LEASES, MAPS, SYSTEM
from ringfence.model.money import parse, text
from ringfence.model.orders import Accepted, Canceled, Filled, Side
from ringfence.model.orders import Denied as DeniedEvent
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.journal import Journal
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.wire.codec import decode_page
from ringfence.wire.kill import KillAnswer
from ringfence.wire.messages import CancelIntent


@pytest_asyncio.fixture(params=["live", "paper"])
async def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=request.param == "paper") as found:
        yield found


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


@pytest.mark.asyncio
async def test_what_taking_cost_is_exported_beside_what_the_gate_had_estimated(live: Bench) -> None:
    """Of two market orders at a venue whose book moves on: estimate, actual, and the difference on its side."""
    orders = [live.intent(side, 0, market=True) for side in (Side.BUY, Side.SELL)]
    await live.until(lambda: all(live.state_of(name) == "FILLED" for name in orders))
    page = await live.metrics()

    def total(name: str) -> float:
        line = f'ringfence_gate_slippage_{name}_total{{symbol="BTCUSDT",track="stable"}} '
        return float(page.partition(line)[2].partition("\n")[0])

    assert total("orders") == 2
    assert total("estimated") > 0, "taking is never free"
    more = total("actual_cost") - total("actual_gain") - total("estimated")
    assert more == pytest.approx(total("above") - total("below"), abs=1e-6)


@pytest.mark.asyncio
async def test_what_the_venue_counts_of_our_requests_is_exported(live: Bench) -> None:
    """How much of the rate limit is used up, and which requests failed, were lost or stayed here."""

    async def count(name: str) -> float:
        return float((await live.metrics()).partition(f"\nringfence_gate_venue_{name} ")[2].partition("\n")[0])

    before = await count("requests_total")
    live.simulator.gateway.fault(Fault(kind="http_status", status=503, name="order.place"))
    name = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(name) == "CANCELED")
    assert await count("requests_total") > before
    assert await count("failures_total") > 1, "its own, and the answers that there is no such order"
    assert await count("weight_used") > 0
    assert {await count(f"{kind}_total") for kind in ("limited", "lost", "not_written")} == {0}


@pytest.mark.asyncio
async def test_orders_flow_and_fill(bench: Bench) -> None:
    """A resting order is accepted and cancelled, a market order fills, and a bad one is refused with all reasons."""
    (name,) = await bench.resting(1)
    bench.pusher.send(CancelIntent(name, "stable", time.time_ns()))
    await bench.until(lambda: bench.state_of(name) == "CANCELED")
    bought = bench.intent(Side.BUY, 0, market=True)
    await bench.until(lambda: bench.state_of(bought) == "FILLED")
    bench.intent(Side.BUY, 12_345, parse("5000"))
    await bench.until(lambda: bench.events(DeniedEvent))
    codes = {reason.split()[0] for reason in bench.events(DeniedEvent)[-1].reasons}
    assert {"PRICE_PRECISION", "ORDER_QUANTITY_EXCEEDED"} <= codes
    assert sorted(bench.updates) == list(range(1, len(bench.updates) + 1)), "the journal's sequence has no holes"


async def ledgers_agree(bench: Bench) -> None:
    """The sub-ledger's cash is the account's change at the venue, to the last digit."""

    def venue_delta() -> dict[str, str]:
        bench.simulator.gateway.advance()
        return {a: text(c) for a, c in bench.simulator.venue.ledger.delta(TEST_CREDENTIAL.account).items() if c}

    async with asyncio.timeout(WAIT_S):
        while True:
            books = await bench.get("/positions")
            mine = {a: c for a, c in books.get("stable", {"cash": {}})["cash"].items() if c != "0"}
            if mine == venue_delta():
                return
            await asyncio.sleep(0.05)


def own_open(bench: Bench) -> int:
    bench.simulator.gateway.advance()
    return len(bench.simulator.venue.open_orders(TEST_CREDENTIAL.account))


@pytest.mark.asyncio
async def test_ledgers_equal_the_venue_exactly(live: Bench) -> None:
    """Buys and sells, taking and resting, with fees in both assets."""
    names = [
        live.intent(Side.BUY if number % 3 else Side.SELL, 0, QUANTITY * (number + 1), market=True)
        for number in range(10)
    ]
    names += await live.resting(3)
    await live.until(lambda: all(live.state_of(name) == "FILLED" for name in names[:10]))
    await ledgers_agree(live)
    fills = live.events(Filled)
    assert sum(f.quantity for f in fills) == sum(QUANTITY * (n + 1) for n in range(10))
    assert live.events(Accepted)
    assert (await live.get("/state"))["breaks"] == {}


@pytest.mark.asyncio
async def test_kill_by_the_direct_endpoint(live: Bench) -> None:
    """It closes before it answers, cancels at the venue, outlives a kill -9, and ends only by the KillSwitch."""
    await live.resting(5)
    status, refused = await live.kill(token=b"wrong")
    assert (status, live.states[-1].state) == (403, "Active"), refused
    status, body = await live.kill()
    answer = msgspec.convert(body, KillAnswer)
    assert (status, answer.state, answer.pod) == (200, "Cancel", "momentum-sim-execution-0")
    assert float(answer.latency_ms) < 100
    await live.until(lambda: len(live.events(Canceled)) == 5)
    assert own_open(live) == 0
    await live.stop(signal.SIGKILL)
    await live.start()
    await live.until(lambda: live.states and live.states[-1].state == "Cancel")
    assert "direct kill by t: test" in live.states[-1].reason
    live.api.engage(SYSTEM, engaged=True, reason="take over")
    await live.until(lambda: "take over" in live.states[-1].reason)
    live.api.engage(SYSTEM, engaged=False, reason="")
    await live.active()
    assert [s.state for s in live.states if s.state in ("Starting", "Active")][-2:][0] == "Starting"


@pytest.mark.asyncio
async def test_kill_by_the_mounted_file(live: Bench) -> None:
    """Without any word from the API server; taking the text away starts it up again."""
    await live.resting(3)
    (live.root / "kill-switch" / "engage").write_text("Cancel\n")
    await live.until(lambda: live.states[-1].state == "Cancel" and len(live.events(Canceled)) == 3)
    assert own_open(live) == 0
    (live.root / "kill-switch" / "engage").unlink()
    await live.active()


@pytest.mark.asyncio
async def test_kill_by_the_switch_is_proven_in_its_status(live: Bench) -> None:
    """The watch closes the gate, and the gate's own line says so: generation, latency, and no order left."""
    await live.resting(4)
    live.api.engage(SYSTEM, engaged=True, reason="drill")

    def line() -> dict[str, Any]:
        lines = live.api.objects[f"{GROUP}/{SYSTEM}"].get("status", {}).get("gates", [])
        return lines[0] if lines else {}

    await live.until(lambda: line().get("state") == "Cancel" and line()["workingOrders"] == 0)
    found = line()
    assert found["generation"] == live.api.objects[f"{GROUP}/{SYSTEM}"]["metadata"]["generation"]
    assert found["service"] == "sim-execution"
    assert found["canceledOrders"] == 4
    assert float(found["latencyMs"]) < 100
    assert "drill" in found["reason"]
    assert own_open(live) == 0
    refused = live.intent(Side.BUY, live.quotes[-1].bid)
    await live.until(lambda: live.state_of(refused) == "DENIED")
    assert any("TRADING_HALTED" in reason for reason in live.events(DeniedEvent)[-1].reasons)


@pytest.mark.asyncio
async def test_kill_minus_nine_recovers_the_exact_state(live: Bench) -> None:
    """Working orders, positions, sequence and ids go on where they were; the fence is one higher."""
    names = await live.resting(3)
    bought = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    before = await live.get("/orders"), await live.get("/positions"), await live.get("/state")
    in_flight = [live.intent(Side.SELL, 0, market=True) for _ in range(3)]
    await live.stop(signal.SIGKILL)
    live.updates.clear()
    await live.start()
    await live.active()
    after = await live.get("/orders"), await live.get("/positions"), await live.get("/state")
    assert after[2]["fence"] == before[2]["fence"] + 1
    assert [o["clientOrderId"] for o in after[0]] == [o["clientOrderId"] for o in before[0]]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{live.ports['http']}/events?after=0") as response,
    ):
        page = decode_page(response.headers, await response.read())
    live.updates = {update.sequence: update for update in page.updates} | live.updates
    assert sorted(live.updates) == list(range(1, page.last + 1))
    assert all(live.state_of(name) == "ACCEPTED" for name in names)
    # what was decided in the last moment either never left or has filled; both are known exactly
    assert {live.state_of(name) for name in in_flight} <= {"", "FILLED", "CANCELED"}
    await ledgers_agree(live)
    again = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(again) == "FILLED")
    ids = [o.client_order_id for o in live.orders().values()]
    assert len(ids) == len(set(ids))


@pytest.mark.asyncio
async def test_sigterm_leaves_nothing_behind(live: Bench) -> None:
    """Orders are cancelled, the journal is whole, and the Lease is free."""
    await live.resting(3)
    assert await live.stop() == 0
    assert own_open(live) == 0
    assert "holderIdentity" not in live.api.objects[f"{LEASES}/momentum-sim"]["spec"]
    journal = Journal(live.root / "journal" / "orders.journal", SystemClock())
    assert sum(1 for _ in journal.replay())
    assert journal.torn_bytes == 0
    journal.close()


@pytest.mark.asyncio
async def test_tightening_acts_at_once(live: Bench) -> None:
    """A smaller order limit in the allocation cancels what is above it, without a restart, and refuses more of it."""
    small = await live.resting(1)
    bid = live.quotes[-1].bid * 98 // 100 // 1_000_000 * 1_000_000
    large = live.intent(Side.BUY, bid, QUANTITY * 100)
    await live.until(lambda: live.state_of(large) == "ACCEPTED")
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(2, order_quantity_max=QUANTITY * 10))
    await live.until(lambda: live.state_of(large) == "CANCELED")
    assert live.state_of(small[0]) == "ACCEPTED"
    live.intent(Side.BUY, bid, QUANTITY * 100)
    await live.until(lambda: live.events(DeniedEvent))
    assert live.events(DeniedEvent)[-1].reasons[0].startswith("ORDER_QUANTITY_EXCEEDED")


@pytest.mark.asyncio
async def test_an_unexplained_balance_halts(live: Bench) -> None:
    """A deposit that no order explains is a break: seen twice, it halts, until a person cycles the switch."""
    live.simulator.venue.ledger.balance(TEST_CREDENTIAL.account, "BTC").free += parse("0.5")
    await live.stop(signal.SIGKILL)
    await live.start()
    await live.until(lambda: live.states and "0.5 BTC" in live.states[-1].reason)
    assert live.states[-1].state == "Halted"
    live.api.engage(SYSTEM, engaged=True)
    await live.until(lambda: live.states[-1].state == "Cancel")
    live.api.engage(SYSTEM, engaged=False)
    await live.active()


@pytest.mark.asyncio
async def test_another_process_cannot_share_the_account(live: Bench) -> None:
    """The journal's lock and the Lease each keep a second process out; a lost Lease halts the first."""
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from ringfence.runtime.clock import SystemClock;"
        "from ringfence.runtime.journal import Journal; Journal(Path(sys.argv[1]), SystemClock())",
        str(live.root / "journal" / "orders.journal"),
        env=os.environ | {"PYTHONPATH": "services"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await second.communicate()
    assert b"is in use by another process" in told
    lease = json.loads(json.dumps(live.api.objects[f"{LEASES}/momentum-sim"]))
    lease["spec"] |= {"holderIdentity": "intruder", "leaseTransitions": 99, "leaseDurationSeconds": 2}
    live.api.put(f"{LEASES}/momentum-sim", lease)
    await live.until(lambda: live.states[-1].state != "Active")
    await live.active()
    assert (await live.get("/state"))["fence"] == 100


@pytest.mark.asyncio
async def test_losing_the_api_server_halts_when_the_lease_runs_out(live: Bench) -> None:
    """Working orders stay: an outage by itself flattens nothing. When it is back, the gate starts up again."""
    (name,) = await live.resting(1)
    live.api.outage(True)
    await live.until(lambda: live.states[-1].state == "Halted")
    assert "Lease momentum-sim ran out" in live.states[-1].reason
    assert live.state_of(name) == "ACCEPTED"
    assert own_open(live) == 1
    status, _ = await live.kill()
    assert status == 200
    await live.until(lambda: live.state_of(name) == "CANCELED")
    live.api.outage(False)
    await live.until(lambda: "ran out" not in live.states[-1].reason)
    assert live.states[-1].state == "Cancel"
