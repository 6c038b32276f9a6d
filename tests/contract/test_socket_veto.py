"""A stop between the gate's check and the socket: on both wires, whatever places orders, and whatever it waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import test_binance_wire
import test_binance_wsapi
from wirerig import order

from ringfence.model.approved import Approved
from ringfence.venues.api import NotSent
from ringfence.venues.binance.limits import Limit
from ringfence.venues.binance.trading import BinanceTrading

STOPPED = "the guard became tighter since the check"
Place = Callable[[BinanceTrading, Callable[[Approved], str | None]], Awaitable[Any]]
WAYS: dict[str, Place] = {
    "alone": lambda venue, may: venue.submit(order("rf-1-a"), may),
    "pair": lambda venue, may: venue.submit_pair(order("rf-1-a"), order("rf-1-b"), may),
    "replacement": lambda venue, may: venue.replace("rf-1-0", order("rf-1-a"), may, untouched=True),
}
WIRES: dict[str, Any] = {"rest": test_binance_wire, "websocket": test_binance_wsapi}


def arrived(server: Any) -> int:
    """How many requests that may place orders."""
    heads = sum(head.startswith("POST /api/v3/order") for head in server.heads)
    return heads + len(getattr(server, "asked", ()))


@pytest.mark.asyncio
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", WAYS)
async def test_a_stop_holds_for_all_that_places_orders(wire: str, way: str, tmp_path: Path) -> None:
    """Each order is asked about, so the stop of the part that the last one is in keeps all of the request."""
    asked: list[str] = []

    def may(approved: Approved) -> str | None:
        asked.append(approved.client_order_id)
        return STOPPED if len(asked) == (2 if way == "pair" else 1) else None

    async with WIRES[wire].connected(tmp_path) as fixture:
        outcome = await WAYS[way](fixture.venue, may)
        assert outcome in (NotSent(STOPPED), (NotSent(STOPPED),) * 2)
        assert asked == (["rf-1-a", "rf-1-b"] if way == "pair" else ["rf-1-a"])
        assert arrived(fixture.server) == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_that_waits_for_the_rate_limit_leaves_after_a_stop(wire: str, way: str, tmp_path: Path) -> None:
    """It has an approval that would last for 30 seconds, and room comes within two."""
    stopped = False
    async with WIRES[wire].connected(tmp_path) as fixture:
        fixture.venue._client.budget.configure(None, [Limit("2S", 10)])
        waiting = [
            asyncio.create_task(WAYS[way](fixture.venue, lambda _: STOPPED if stopped else None)) for _ in range(12)
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        stopped = True
        outcomes = await asyncio.gather(*waiting)
        left = [outcome for outcome in outcomes if outcome not in (NotSent(STOPPED), (NotSent(STOPPED),) * 2)]
        assert 0 < len(left) < len(outcomes)
        assert arrived(fixture.server) == len(left)
