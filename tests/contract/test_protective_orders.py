"""Protective orders of the gate program across the end of its process, however it ends."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gatebench.bench import QUANTITY, SYMBOL, Bench, furnished
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.orders import VenueOrder
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.wire.messages import CancelIntent, Intent, PairIntent

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]
HELD = 10 * QUANTITY
STOP, TARGET, PLAIN = "the-stop", "the-target", "i2"
"""Intents: of the pair's legs, and of a resting order that protects nothing."""


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


def exit_(name: str, kind: OrderType, price: int, stop_price: int, quantity: int) -> Intent:
    return Intent(
        name,
        "stable",
        SYMBOL,
        Side.SELL,
        kind,
        TimeInForce.GTC,
        quantity,
        price,
        True,
        time.time_ns(),
        stop_price=stop_price,
    )


async def protected(bench: Bench, *, pair: bool) -> set[str]:
    """A position with its stop (and target, as a pair), and one plain order; intents of what protects."""
    bought = bench.intent(Side.BUY, 0, HELD, market=True)
    await bench.until(lambda: bench.state_of(bought) == "FILLED")
    assert await bench.resting(1) == [PLAIN]
    bid, whole = bench.quotes[-1].bid, HELD * 99 // 100  # the fee was taken from what was bought
    stop = exit_(STOP, OrderType.STOP_LOSS, 0, bid * 98 // 100 // 1_000_000 * 1_000_000, whole)
    target = exit_(TARGET, OrderType.LIMIT_MAKER, bid * 102 // 100 // 1_000_000 * 1_000_000, 0, whole)
    bench.pusher.send(PairIntent(target, stop) if pair else stop)
    names = {STOP, TARGET} if pair else {STOP}
    await bench.until(lambda: all(bench.state_of(name) == "ACCEPTED" for name in names))
    return names


def at_venue(bench: Bench) -> dict[str, VenueOrder]:
    bench.simulator.gateway.advance()
    return {order.client_order_id: order for order in bench.simulator.venue.open_orders(TEST_CREDENTIAL.account)}


def ids(bench: Bench, intents: set[str]) -> set[str]:
    return {order.client_order_id for name in intents if (order := bench.order(name)) is not None}


@pytest.mark.parametrize("pair", [False, True], ids=["stop", "pair"])
@pytest.mark.parametrize("end", ["Cancel", "Keep", "Flatten", "kill -9"])
async def test_stops_survive_the_end_of_the_process_as_the_system_says(live: Bench, end: str, pair: bool) -> None:
    """Cancel leaves what protects, Keep and a kill leave all, Flatten nothing. What is left is ours again after the
    restart: it can be cancelled by its intent, and it is there once."""
    await live.stop(signal.SIGKILL)
    live.reconfigure(on_shutdown="Cancel" if end == "kill -9" else end)
    await live.start()
    await live.active()
    protecting = await protected(live, pair=pair)
    plain = {PLAIN}
    await live.stop(signal.SIGKILL if end == "kill -9" else signal.SIGTERM)
    stay = {"Cancel": protecting, "Keep": protecting | plain, "Flatten": set(), "kill -9": protecting | plain}[end]
    assert set(at_venue(live)) == ids(live, stay)
    before = {name: order.order_id for name, order in at_venue(live).items()}
    placed = live.simulator.api.record.total
    await live.start()
    await live.active()
    assert {name: order.order_id for name, order in at_venue(live).items()} == before
    asked = live.simulator.api.record.since(placed, 100)
    assert [one.kind for one in asked] == [], "nothing is placed or cancelled anew"
    found = {one["intentId"]: one for one in await live.get("/orders")}
    assert set(found) == stay
    assert {one["track"] for one in found.values()} <= {"stable"}
    assert "ringfence_gate_foreign_orders 0.0" in await live.metrics()
    assert (await live.get("/state"))["breaks"] == {}
    if STOP in stay:
        assert "ringfence_gate_naked_positions 1.0" in await live.metrics(), "one percent was left without a stop"
        live.pusher.send(CancelIntent(STOP, "stable", time.time_ns()))
        await live.until(lambda: not set(at_venue(live)) & ids(live, protecting))


async def test_a_stop_that_is_cancelled_while_the_gate_is_dead_is_not_placed_again(live: Bench) -> None:
    """The venue's word counts: the position is then known to stand unprotected."""
    await protected(live, pair=False)
    await live.stop(signal.SIGKILL)
    (name,) = ids(live, {STOP})
    gateway = live.simulator.gateway
    gateway.venue.cancel(at_venue(live)[name], gateway.advance(), "web-cancel")
    await live.start()
    await live.active()
    assert [one["intentId"] for one in await live.get("/orders")] == [PLAIN]
    assert set(at_venue(live)) == ids(live, {PLAIN})
    assert "ringfence_gate_naked_positions 1.0" in await live.metrics()
