"""What every venue promises, run on the Binance adapter (against a simulated venue on real sockets) and on paper.

The first half is the contract of `TradingVenue`; a new venue is one more entry of VENUES. The second half is what
only a venue behind a network can do: lose answers, drop streams, limit, skip updates.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from venuerig import (
    BALANCES,
    LOT,
    SYMBOL,
    TICK,
    VENUES,
    Harness,
    config,
    trading,
)

from ringfence.model.money import notional
from ringfence.model.orders import Accepted as AcceptedEvent
from ringfence.model.orders import (
    Canceled,
    Expired,
    Filled,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.runtime.clock import SystemClock
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import Simulator, serve_simulator
from ringfence.venues.api import (
    Accepted,
    NotSent,
    Refused,
    Unknown,
    VenueError,
)
from ringfence.venues.binance.cancelling import BinanceCancelOnly

MINUTE_NS = 60_000_000_000


@pytest_asyncio.fixture(params=sorted(VENUES))
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    async with VENUES[request.param](tmp_path) as harness:
        yield harness


# --- the contract of TradingVenue


@pytest.mark.asyncio
async def test_resting_order_is_accepted_and_found_everywhere(at: Harness) -> None:
    """Outcome, event, query and list of open orders tell one story, and its money is locked."""
    order = at.order()
    outcome = await at.submit(order)
    assert isinstance(outcome, Accepted)
    await at.listener.until(lambda: at.listener.of(order.client_order_id))
    (event,) = at.listener.of(order.client_order_id)
    assert isinstance(event, AcceptedEvent)
    assert event.venue_order_id == outcome.venue_order_id
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert report is not None
    assert (await at.venue.open_orders()) == (report,)
    assert (report.client_order_id, report.venue_order_id) == (order.client_order_id, outcome.venue_order_id)
    assert (report.side, report.type, report.time_in_force) == (order.side, order.type, order.time_in_force)
    assert (report.price, report.quantity, report.filled) == (order.price, order.quantity, 0)
    assert report.state is OrderState.ACCEPTED
    balance = (await at.venue.balances())["USDT"]
    value = notional(order.price, order.quantity)
    assert (balance.free, balance.locked) == (BALANCES["USDT"] - value, value)
    await at.listener.until(lambda: at.listener.balances.get("USDT") == balance)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.MARKET])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_taking_order_fills_and_every_account_of_it_agrees(at: Harness, kind: OrderType, side: Side) -> None:
    """Events, order, trade history and balances agree to the last unit, fees included."""
    price = at.through(side) if kind is OrderType.LIMIT else 0
    order = at.order(side=side, price=price, kind=kind)
    outcome = await at.submit(order)
    assert isinstance(outcome, Accepted)
    folded = await at.listener.closed(order)
    assert (folded.state, folded.filled) == (OrderState.FILLED, order.quantity)
    fills = [event for event in at.listener.of(order.client_order_id) if isinstance(event, Filled)]
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, order.quantity)
    trades = await at.venue.trades(SYMBOL, None)
    told = [(t.trade_id, t.price, t.quantity, t.commission, t.commission_asset, t.maker) for t in trades]
    assert told == [(f.trade_id, f.price, f.quantity, f.commission, f.commission_asset, f.maker) for f in fills]
    assert {(t.side, t.symbol, t.venue_order_id, t.maker) for t in trades} == {
        (side, SYMBOL, outcome.venue_order_id, False)
    }
    expected = dict(BALANCES)
    for fill in fills:
        expected["BTC"] += side.sign * fill.quantity
        expected["USDT"] -= side.sign * notional(fill.price, fill.quantity)
        expected[fill.commission_asset] -= fill.commission
        assert fill.commission > 0
    assert {asset: b.free for asset, b in (await at.venue.balances()).items()} == expected


@pytest.mark.asyncio
async def test_trades_are_those_after_the_one_named(at: Harness) -> None:
    """Nothing twice, nothing missing, oldest first."""
    for _ in range(3):
        order = at.order(price=at.through(Side.BUY))
        await at.submit(order)
        await at.listener.closed(order)
    trades = await at.venue.trades(SYMBOL, None)
    assert len(trades) >= 3
    for place, trade in enumerate(trades):
        assert await at.venue.trades(SYMBOL, trade.trade_id) == trades[place + 1 :]


@pytest.mark.asyncio
async def test_cancel_closes_the_order_under_its_own_id(at: Harness) -> None:
    """The event carries our id, nothing stays open, and what was locked is free."""
    order = await at.resting()
    assert isinstance(await at.venue.cancel(SYMBOL, order.client_order_id), Accepted)
    folded = await at.listener.closed(order)
    assert folded.state is OrderState.CANCELED
    assert isinstance(at.listener.of(order.client_order_id)[-1], Canceled)
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert report is not None
    assert (report.client_order_id, report.state) == (order.client_order_id, OrderState.CANCELED)
    assert await at.venue.open_orders() == ()
    assert {asset: b.free for asset, b in (await at.venue.balances()).items()} == BALANCES


@pytest.mark.asyncio
async def test_cancel_of_what_is_not_open_is_refused(at: Harness) -> None:
    """Unknown and closed orders alike: nothing was done, and that is proven."""
    assert isinstance(await at.venue.cancel(SYMBOL, "never-sent"), Refused)
    order = await at.resting()
    await at.venue.cancel(SYMBOL, order.client_order_id)
    assert isinstance(await at.venue.cancel(SYMBOL, order.client_order_id), Refused)


@pytest.mark.asyncio
async def test_second_order_of_an_id_is_not_accepted_and_harms_nothing(at: Harness) -> None:
    """Refused or unknown, as the venue can prove; the first order stands, alone."""
    order = await at.resting()
    assert not isinstance(await at.submit(order), Accepted)
    (report,) = await at.venue.open_orders()
    assert report.client_order_id == order.client_order_id
    assert len(at.listener.of(order.client_order_id)) == 1


@pytest.mark.asyncio
async def test_order_that_was_never_sent_is_absent(at: Harness) -> None:
    """None is the venue's word, not ours."""
    assert await at.venue.order(SYMBOL, "never-sent") is None


@pytest.mark.asyncio
async def test_order_that_may_not_be_sent_never_arrives(at: Harness) -> None:
    """The last word counts, and so does the deadline; the venue hears of neither."""
    order, late = at.order(), at.order(lifetime_s=-1)
    assert await at.venue.submit(order, lambda _: "switch engaged") == NotSent("switch engaged")
    assert isinstance(await at.submit(late), NotSent)
    assert at.sent() == 0
    assert await at.venue.order(SYMBOL, order.client_order_id) is None


@pytest.mark.asyncio
async def test_refusals_are_proven_and_leave_nothing(at: Harness) -> None:
    """Too much, too fine, or a maker order that would take."""
    refused = [
        at.order(quantity="100"),
        at.order(quantity="0.000001"),
        at.order(kind=OrderType.LIMIT_MAKER, price=at.through(Side.BUY)),
    ]
    for order in refused:
        outcome = await at.submit(order)
        assert isinstance(outcome, Refused)
        assert outcome.code < 0
        assert outcome.reason
    assert await at.venue.open_orders() == ()
    assert at.listener.events == []
    assert {asset: b.free for asset, b in (await at.venue.balances()).items()} == BALANCES


@pytest.mark.asyncio
async def test_all_or_nothing_order_that_cannot_fill_expires_whole(at: Harness) -> None:
    """FOK: expired, and not one unit filled."""
    bid, _ = at.best()
    order = at.order(price=bid - 1_000 * TICK, in_force=TimeInForce.FOK)
    assert isinstance(await at.submit(order), Accepted)
    folded = await at.listener.closed(order)
    assert (folded.state, folded.filled) == (OrderState.EXPIRED, 0)
    assert isinstance(at.listener.of(order.client_order_id)[-1], Expired)


@pytest.mark.asyncio
async def test_rest_of_an_immediate_order_expires(at: Harness) -> None:
    """IOC at a price that only the first levels reach: what filled stays, the rest is gone."""
    _, ask = at.best()
    order = at.order(quantity="16", price=ask, in_force=TimeInForce.IOC)
    outcome = await at.submit(order)
    assert isinstance(outcome, Accepted)
    folded = await at.listener.closed(order)
    assert folded.state in {OrderState.EXPIRED, OrderState.FILLED}
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert report is not None
    assert (report.state, report.filled) == (folded.state, folded.filled)
    assert await at.venue.open_orders() == ()


@pytest.mark.asyncio
async def test_rules_of_what_is_listed_and_an_error_for_what_is_not(at: Harness) -> None:
    """Absence is not success."""
    (rules,) = await at.venue.instruments((SYMBOL,))
    assert (rules.symbol, rules.base, rules.quote, rules.tick, rules.lot) == (SYMBOL, "BTC", "USDT", TICK, LOT)
    with pytest.raises(VenueError):
        await at.venue.instruments((SYMBOL, "NOSUCH"))


@pytest.mark.asyncio
async def test_venues_clock_is_near_ours_on_one_machine(at: Harness) -> None:
    """Estimated to within a tenth of a second, where both clocks are the same."""
    await at.venue.balances()
    assert abs(at.venue.venue_now_ns() - SystemClock().wall_ns()) < 100_000_000


# --- a venue behind a network


@pytest_asyncio.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[tuple[Simulator, Harness]]:
    async with serve_simulator(config()) as simulator, trading(simulator, tmp_path) as harness:
        yield simulator, harness


@pytest.mark.asyncio
@pytest.mark.parametrize("executed", [True, False])
async def test_lost_answer_is_unknown_and_a_query_settles_it(
    simulated: tuple[Simulator, Harness], executed: bool
) -> None:
    """The same 503 with and without the order done: one request each, and the query knows which it was."""
    simulator, at = simulated
    simulator.gateway.fault(Fault(kind="http_status", status=503, executed=executed))
    order = at.order()
    assert isinstance(await at.submit(order), Unknown)
    assert at.sent() == 1
    report = await at.venue.order(SYMBOL, order.client_order_id)
    assert (report is not None) == executed


@pytest.mark.asyncio
async def test_lost_answer_to_a_cancel_is_unknown(simulated: tuple[Simulator, Harness]) -> None:
    """A cancel may have been done; its event, or a query, tells."""
    simulator, at = simulated
    order = await at.resting()
    simulator.gateway.fault(Fault(kind="http_status", status=504, executed=True))
    assert isinstance(await at.venue.cancel(SYMBOL, order.client_order_id), Unknown)
    assert (await at.listener.closed(order)).state is OrderState.CANCELED


@pytest.mark.asyncio
async def test_dropped_stream_is_told_and_comes_back(simulated: tuple[Simulator, Harness]) -> None:
    """Down, then up, each said; what happens afterwards is heard again."""
    simulator, at = simulated
    simulator.gateway.fault(Fault(kind="drop_streams"))
    await at.listener.until(lambda: len(at.listener.streams) >= 3)
    assert [up for up, _ in at.listener.streams[:3]] == [True, False, True]
    assert at.listener.streams[1][1]
    await at.resting()


@pytest.mark.asyncio
async def test_rotated_credentials_open_a_new_stream(simulated: tuple[Simulator, Harness], tmp_path: Path) -> None:
    """New files, no restart: a key that the venue does not know is refused, and the right one is let in."""
    _, at = simulated
    right = (tmp_path / "api-secret").read_text()
    (tmp_path / "api-secret").write_text("a-wrong-secret")
    await at.listener.until(lambda: any("refused" in reason for _, reason in at.listener.streams))
    assert not any("a-wrong-secret" in reason for _, reason in at.listener.streams)
    (tmp_path / "api-secret").write_text(right)
    await at.listener.until(lambda: at.listener.streams[-1] == (True, ""))
    await at.resting()


@pytest.mark.asyncio
async def test_order_limit_of_the_venue_is_kept_without_asking_it(tmp_path: Path) -> None:
    """The account's limit is asked for at the start; the order beyond it stays here, and cancels still pass."""
    limits = Limits(orders_10s=2)
    async with serve_simulator(config(), limits=limits) as simulator, trading(simulator, tmp_path) as at:
        outcomes = [(await at.submit(order), order) for order in [at.order(lifetime_s=0.2) for _ in range(9)]]
        accepted = [order for outcome, order in outcomes if isinstance(outcome, Accepted)]
        kept = [outcome for outcome, _ in outcomes if isinstance(outcome, NotSent)]
        assert 2 <= len(accepted) <= 4  # two a window, and the window may turn meanwhile
        assert len(accepted) + len(kept) == 9
        assert at.sent() == len(accepted)
        for order in accepted:
            assert isinstance(await at.venue.cancel(SYMBOL, order.client_order_id), Accepted)


@pytest.mark.asyncio
async def test_every_order_of_a_burst_arrives_once(simulated: tuple[Simulator, Harness]) -> None:
    """Many at once over several connections: each accepted, each heard of, none twice."""
    _, at = simulated
    orders = [at.order(quantity="0.001") for _ in range(60)]
    outcomes = await asyncio.gather(*(at.submit(order) for order in orders))
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    await at.listener.until(lambda: len(at.listener.events) == 60)
    assert len({event.client_order_id for event in at.listener.events}) == 60
    assert at.sent() == 60
    assert len(await at.venue.open_orders()) == 60


@pytest.mark.asyncio
async def test_what_a_price_was_is_the_venues_own_history(tmp_path: Path) -> None:
    """The first that was paid from that moment on; of a time that the venue knows nothing of, nothing is said."""
    clock = SystemClock()
    async with serve_simulator(config()) as simulator:
        (tmp_path / "api-key").write_text(simulator.credential.api_key)
        (tmp_path / "api-secret").write_text(simulator.credential.api_secret)
        venue = BinanceCancelOnly(simulator.address(), clock, tmp_path)
        await venue.open()
        try:
            history = simulator.venue.instruments[SYMBOL].history
            minute = clock.wall_ns() // MINUTE_NS * MINUTE_NS
            async with asyncio.timeout(20):
                while not (paid := [t.price for t in history.trades if t.ts >= minute]):
                    await asyncio.sleep(0.05)
                    simulator.gateway.advance()
            assert await venue.price_at(SYMBOL, minute) == paid[0]
            with pytest.raises(VenueError, match="no price of that time"):
                await venue.price_at(SYMBOL, minute - 60 * MINUTE_NS)
        finally:
            await venue.close()


@pytest.mark.asyncio
async def test_closes_are_the_last_prices_of_their_hours(simulated: tuple[Simulator, Harness]) -> None:
    """By the beginning of the hour; of a venue that has just begun there is the present one alone."""
    simulator, at = simulated
    history = simulator.venue.instruments[SYMBOL].history
    async with asyncio.timeout(20):
        while not history.trades:
            await asyncio.sleep(0.05)
            simulator.gateway.advance()
    found = await at.venue.closes(SYMBOL, 720)
    (hour, price), *_ = found.items()
    assert hour % 3_600_000 == 0
    assert 0 <= at.venue.venue_now_ns() // 1_000_000 - hour < 3_700_000
    assert price in {trade.price for trade in history.trades}
    with pytest.raises(VenueError):
        await at.venue.closes("NOSUCHTHING", 720)
