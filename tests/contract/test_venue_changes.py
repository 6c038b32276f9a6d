"""Orders that change or exclude each other, on the Binance adapter (against a simulated venue) and on paper."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from venuerig import SYMBOL, TICK, VENUES, Harness, config, trading

from ringfence.model.money import notional
from ringfence.model.orders import (
    OrderState,
    OrderType,
    Side,
    Updated,
)
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import Simulator, serve_simulator
from ringfence.venues.api import (
    Accepted,
    NotSent,
    Refused,
    Unknown,
)


@pytest_asyncio.fixture(params=sorted(VENUES))
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    async with VENUES[request.param](tmp_path) as harness:
        yield harness


@pytest_asyncio.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[tuple[Simulator, Harness]]:
    async with serve_simulator(config()) as simulator, trading(simulator, tmp_path) as harness:
        yield simulator, harness


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT])
async def test_stop_waits_and_is_listed_with_its_trigger(at: Harness, kind: OrderType) -> None:
    """It is open, takes nothing, and what it may sell is locked once."""
    stop = at.best()[0] // 2
    stop -= stop % TICK
    order = at.order(side=Side.SELL, price=stop if kind is OrderType.STOP_LOSS_LIMIT else 0, kind=kind, stop_price=stop)
    assert isinstance(await at.submit(order), Accepted)
    (told,) = await at.venue.open_orders()
    assert (told.type, told.stop_price, told.state) == (kind, stop, OrderState.ACCEPTED)
    assert (await at.venue.balances())["BTC"].locked == order.quantity
    at_once = at.order(side=Side.SELL, price=0, kind=OrderType.STOP_LOSS, stop_price=at.through(Side.BUY))
    assert isinstance(await at.submit(at_once), Refused), "its trigger has been reached"


@pytest.mark.asyncio
async def test_both_legs_of_a_pair_are_there_and_go_together(at: Harness) -> None:
    """One request, one lock of the position; cancelling one cancels the other."""
    first, second = at.pair()
    assert {type(o) for o in await at.venue.submit_pair(first, second, lambda _: None)} == {Accepted}
    assert (await at.venue.balances())["BTC"].locked == first.quantity
    await at.venue.cancel(SYMBOL, second.client_order_id)
    assert {(await at.listener.closed(o)).state for o in (first, second)} == {OrderState.CANCELED}
    assert (await at.venue.balances())["BTC"].locked == 0


@pytest.mark.asyncio
async def test_replacement_leaves_exactly_one_order(at: Harness) -> None:
    """The old one is cancelled under its own id; a second replacement of it places nothing."""
    old, new, late = await at.resting(), at.order(quantity="0.02"), at.order()
    canceled, placed = await at.venue.replace(old.client_order_id, new, lambda _: None, untouched=True)
    assert (type(canceled), type(placed)) == (Accepted, Accepted)
    assert (await at.listener.closed(old)).state is OrderState.CANCELED
    assert [report.client_order_id for report in await at.venue.open_orders()] == [new.client_order_id]
    refused = await at.venue.replace(old.client_order_id, late, lambda _: None, untouched=True)
    assert [type(outcome) for outcome in refused] == [Refused, NotSent], (
        "an order that was not tried is no rejected one"
    )
    assert await at.venue.order(SYMBOL, late.client_order_id) is None


@pytest.mark.asyncio
async def test_reduction_keeps_the_order_and_frees_its_money(at: Harness) -> None:
    half = (order := await at.resting()).quantity // 2
    assert isinstance(await at.venue.amend(SYMBOL, order.client_order_id, half), Accepted)
    await at.listener.until(lambda: any(isinstance(e, Updated) for e in at.listener.of(order.client_order_id)))
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert report is not None
    assert (report.quantity, report.client_order_id) == (half, order.client_order_id)
    assert (await at.venue.balances())["USDT"].locked == notional(order.price, half)
    assert isinstance(await at.venue.amend(SYMBOL, order.client_order_id, order.quantity), Refused)


@pytest.mark.asyncio
@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("what", ["pair", "replace", "amend"])
async def test_lost_answer_to_a_change_is_unknown_and_queries_settle_it(
    simulated: tuple[Simulator, Harness], executed: bool, what: str
) -> None:
    """Each order by its own id, whether it was one of two, took another's place, or was only made smaller."""
    simulator, at = simulated
    old, new, (first, second) = await at.resting(), at.order(), at.pair()
    simulator.gateway.fault(Fault(kind="http_status", status=503, executed=executed))
    if what == "pair":
        outcomes = await at.venue.submit_pair(first, second, lambda _: None)
        wanted = {first.client_order_id: executed, second.client_order_id: executed}
    elif what == "replace":
        outcomes = await at.venue.replace(old.client_order_id, new, lambda _: None, untouched=True)
        wanted = {old.client_order_id: not executed, new.client_order_id: executed}
    else:
        amended = await at.venue.amend(SYMBOL, old.client_order_id, old.quantity // 2)
        outcomes, wanted = (amended, amended), {old.client_order_id: True}
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]
    for name, expected in wanted.items():
        report = await at.venue.order(SYMBOL, name)
        assert (report is not None and report.state is OrderState.ACCEPTED) == expected
        if what == "amend" and report is not None:
            assert report.quantity == (old.quantity // 2 if executed else old.quantity)
