"""Stops of the gate program at a simulated venue: their proof, parts, Flatten, and how a gate ends."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gatebench.bench import QUANTITY, SYMBOL, Bench, furnished
from gatebench.fakeapi import GROUP, LEASES, SYSTEM
from ringfence.execution.ids import is_closing
from ringfence.model.money import parse
from ringfence.model.orders import Canceled, Initialized, Side, TimeInForce
from ringfence.simulator.server import TEST_CREDENTIAL

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]
PART = f"{SYSTEM}.part"


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


async def bought(bench: Bench, times: int = 3) -> int:
    """A position of so many market orders; what of it the account holds."""
    names = [bench.intent(Side.BUY, 0, QUANTITY * 10, market=True) for _ in range(times)]
    await bench.until(lambda: all(bench.state_of(name) == "FILLED" for name in names))
    return bench.held()


def open_orders(bench: Bench) -> int:
    bench.simulator.gateway.advance()
    return len(bench.simulator.venue.open_orders(TEST_CREDENTIAL.account))


def closing(bench: Bench) -> list[Any]:
    return [event for event in bench.events(Initialized) if is_closing(event.client_order_id)]


async def test_cancels_are_proven_by_two_looks_at_the_venue(live: Bench) -> None:
    """Books that show none are no proof yet; the line says when there was one."""
    await live.resting(4)
    live.api.engage(SYSTEM, engaged=True, reason="drill")
    await live.until(lambda: live.line().get("provenAt"))
    line = live.line()
    assert (line["state"], line["workingOrders"], line["canceledOrders"]) == ("Cancel", 0, 4)
    assert line["provenAt"] > line["closedAt"]
    closed, proven = (datetime.fromisoformat(line[name]) for name in ("closedAt", "provenAt"))
    print(f"gate closed to cancels proven at the venue: {(proven - closed) / timedelta(milliseconds=1):.0f} ms")
    assert proven - closed < timedelta(seconds=5), "else every kill would raise the alert that orders are left"
    assert line["podUID"] == "pod-uid-1"
    assert open_orders(live) == 0
    assert len(live.events(Canceled)) == 4


async def test_a_stop_of_a_part_leaves_the_rest(live: Bench) -> None:
    """Another track's stop touches nothing here; an instrument's cancels by id, and its release opens it again."""
    names = await live.resting(2)
    spec = {"engaged": True, "systems": [SYSTEM], "scope": {"tracks": ["candidate"]}}
    live.api.put(f"{GROUP}/{PART}", {"metadata": {"name": PART}, "spec": spec})
    await live.until(lambda: live.line(PART).get("provenAt"))
    assert live.line(PART)["state"] == "Cancel"
    assert live.states[-1].state == "Active"
    assert {live.state_of(name) for name in names} == {"ACCEPTED"}
    live.api.engage(PART, scope={"instruments": [SYMBOL]})
    await live.until(lambda: {live.state_of(name) for name in names} == {"CANCELED"})
    refused = live.intent(Side.BUY, live.quotes[-1].bid)
    await live.until(lambda: live.state_of(refused) == "DENIED")
    assert live.line(SYSTEM)["state"] == "Active"
    live.api.engage(PART, engaged=False)
    await live.until(lambda: live.line(PART).get("state") == "Active" and not live.states[-1].reason)
    assert await live.resting(1)


async def test_flatten_closes_to_the_owners_inventory_through_kill_minus_nine(live: Bench) -> None:
    """In the middle of it the process is killed; nothing is doubled, and what the account held before is untouched."""
    await bought(live)
    await live.resting(2)
    live.api.engage(SYSTEM, engaged=True, action="Flatten")
    await live.until(lambda: closing(live))
    await live.stop(signal.SIGKILL)
    before = closing(live)
    await live.start()
    await live.until(lambda: live.line().get("flatAt"))
    line = live.line()
    assert line["state"] == "Flatten"
    assert (open_orders(live), abs(live.held()) < parse("0.0002")) == (0, True)
    assert live.held() >= 0, "never below what the owner had"
    assert len({event.client_order_id for event in closing(live)}) >= len(before)
    assert {event.time_in_force for event in closing(live)} == {TimeInForce.IOC}
    assert (await live.get("/state"))["breaks"] == {}
    live.api.engage(SYSTEM, engaged=False, action="Cancel")
    await live.active()


async def test_a_released_flatten_sends_nothing_more(live: Bench) -> None:
    await bought(live)
    live.api.engage(SYSTEM, engaged=True, action="Flatten")
    await live.until(lambda: closing(live))
    live.api.engage(SYSTEM, engaged=False)
    await live.active()
    sent = len(closing(live))
    await asyncio.sleep(1)
    assert len(closing(live)) == sent


@pytest.mark.parametrize("how", ["Keep", "Flatten"])
async def test_on_shutdown_orders_and_positions_are_left_as_the_system_says(live: Bench, how: str) -> None:
    """Keep leaves working orders; Flatten closes what is held; both free the Lease, for no request is under way."""
    await live.stop(signal.SIGKILL)
    live.reconfigure(on_shutdown=how)
    await live.start()
    await live.active()
    await bought(live)
    await live.resting(2)
    assert await live.stop() == 0
    assert "holderIdentity" not in live.api.objects[f"{LEASES}/momentum-sim"]["spec"]
    assert open_orders(live) == (2 if how == "Keep" else 0)
    assert (live.held() < parse("0.0002")) is (how == "Flatten")
    assert live.held() >= 0


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_a_paper_gate_is_flattened_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    """Its line counts in the switch as well: one that never became flat would keep the condition False."""
    async with furnished(tmp_path, monkeypatch, paper=True) as bench:
        names = [bench.intent(side, 0, QUANTITY * 10, market=True) for _ in range(3)]
        await bench.until(lambda: all(bench.state_of(name) == "FILLED" for name in names))
        await bench.resting(2)
        bench.api.engage(SYSTEM, engaged=True, action="Flatten")
        await bench.until(lambda: bench.line().get("flatAt"))
        assert bench.line()["workingOrders"] == 0
