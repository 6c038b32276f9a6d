"""What every venue promises, run on the Binance adapter (against a simulated venue on real sockets) and on paper.

The first half is the contract of `TradingVenue`; a new venue is one more entry of VENUES. The second half is what
only a venue behind a network can do: lose answers, drop streams, limit, skip updates.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import notional, parse
from ringfence.model.orders import Accepted as AcceptedEvent
from ringfence.model.orders import (
    Canceled,
    Expired,
    Filled,
    Initialized,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import GeneratedMarket, SimulatorConfig
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import TEST_CREDENTIAL, Simulator, serve_simulator
from ringfence.venues.api import (
    Accepted,
    NotSent,
    Refused,
    SubmitOutcome,
    TradingVenue,
    Unknown,
    VenueBalance,
    VenueError,
)
from ringfence.venues.binance.trading import BinanceTrading
from ringfence.venues.paper.engine import PaperEngine
from ringfence.venues.paper.venue import PaperVenue
from ringfence.wire.messages import BookTop

SYMBOL = "BTCUSDT"
BALANCES = {"BTC": parse("10"), "USDT": parse("1000000")}
TAKER_BPS = parse("10")
LOT = parse("0.00001")
TICK = parse("0.01")
WAIT_S = 20.0


class Listener:
    """Keeps everything it is told, and lets a test wait for what it needs."""

    def __init__(self) -> None:
        self.events: list[OrderEvent] = []
        self.balances: dict[str, VenueBalance] = {}
        self.streams: list[tuple[bool, str]] = []
        self._told = asyncio.Event()

    def on_order_event(self, symbol: str, event: OrderEvent) -> None:
        assert symbol == SYMBOL
        self.events.append(event)
        self._told.set()

    def on_balances(self, balances: dict[str, VenueBalance]) -> None:
        self.balances |= balances
        self._told.set()

    def on_stream(self, connected: bool, reason: str) -> None:
        self.streams.append((connected, reason))
        self._told.set()

    def of(self, client_order_id: str) -> list[OrderEvent]:
        return [event for event in self.events if event.client_order_id == client_order_id]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def closed(self, order: Approved) -> Order:
        """The order as its events make it, once they have closed it."""
        await self.until(lambda: self.folded(order).closed)
        return self.folded(order)

    def folded(self, order: Approved) -> Order:
        folded = Order(
            Initialized(
                client_order_id=order.client_order_id,
                ts=0,
                intent_id="i",
                track="stable",
                symbol=order.symbol,
                side=order.side,
                type=order.type,
                time_in_force=order.time_in_force,
                quantity=order.quantity,
                price=order.price,
            )
        )
        folded.apply(Submitted(client_order_id=order.client_order_id, ts=0))
        for event in self.of(order.client_order_id):
            assert folded.apply(event) is None
        return folded


class Harness:
    """A venue with an account that holds BALANCES, and a market for SYMBOL."""

    def __init__(self, venue: TradingVenue, best: Callable[[], tuple[int, int]], sent: Callable[[], int]) -> None:
        self.venue = venue
        self.listener = Listener()
        self.best = best
        """Best bid and ask now."""
        self.sent = sent
        """Orders that have reached the venue, whatever became of them."""
        self._number = 0

    def order(
        self,
        side: Side = Side.BUY,
        quantity: str = "0.01",
        price: int | None = None,
        kind: OrderType = OrderType.LIMIT,
        in_force: TimeInForce = TimeInForce.GTC,
        lifetime_s: float = 10.0,
    ) -> Approved:
        """By default a bid far below the market, which rests."""
        self._number += 1
        bid, ask = self.best()
        far = bid // 2 if side is Side.BUY else ask * 2
        return Approved(
            client_order_id=f"rf-t-{self._number}",
            symbol=SYMBOL,
            side=side,
            type=kind,
            time_in_force=in_force,
            quantity=parse(quantity),
            price=far - far % TICK if price is None else price,
            epoch=1,
            deadline_ns=SystemClock().monotonic_ns() + int(lifetime_s * 1e9),
        )

    def through(self, side: Side) -> int:
        """A limit price that certainly takes, one percent beyond the other side."""
        bid, ask = self.best()
        price = ask + ask // 100 if side is Side.BUY else bid - bid // 100
        return price - price % TICK

    async def submit(self, order: Approved) -> SubmitOutcome:
        return await self.venue.submit(order, lambda _: None)

    async def resting(self) -> Approved:
        order = self.order()
        assert isinstance(await self.submit(order), Accepted)
        await self.listener.until(lambda: self.listener.of(order.client_order_id))
        return order


def config() -> SimulatorConfig:
    return SimulatorConfig(
        system="s",
        namespace="n",
        service="sim",
        symbols=(SYMBOL,),
        market=GeneratedMarket(seed=7),
        maker_fee_bps=TAKER_BPS,
        taker_fee_bps=TAKER_BPS,
        latency_ms=1,
        balances=BALANCES,
        port=0,
        control_port=0,
    )


@contextlib.asynccontextmanager
async def trading(simulator: Simulator, tmp_path: Path, secret: str = "") -> AsyncIterator[Harness]:
    """The adapter connected to a simulated venue."""
    (tmp_path / "api-key").write_text(simulator.credential.api_key)
    (tmp_path / "api-secret").write_text(secret or simulator.credential.api_secret)
    venue = BinanceTrading(simulator.address(), SystemClock(), random.Random(3), tmp_path)

    def best() -> tuple[int, int]:
        simulator.gateway.advance()
        quote = simulator.venue.instruments[SYMBOL].publisher.best
        return quote.bid, quote.ask

    harness = Harness(venue, best, lambda: simulator.api.record.total)
    await venue.start(harness.listener)
    try:
        await harness.listener.until(lambda: (True, "") in harness.listener.streams)
        yield harness
    finally:
        await venue.close()


@contextlib.asynccontextmanager
async def binance(tmp_path: Path) -> AsyncIterator[Harness]:
    async with serve_simulator(config()) as simulator, trading(simulator, tmp_path) as harness:
        yield harness


@contextlib.asynccontextmanager
async def paper(_tmp_path: Path) -> AsyncIterator[Harness]:
    clock = SystemClock()
    rules = Instrument(
        symbol=SYMBOL,
        base="BTC",
        quote="USDT",
        tick=TICK,
        lot=LOT,
        quantity_min=LOT,
        quantity_max=parse("9000"),
        notional_min=parse("5"),
    )
    engine = PaperEngine({SYMBOL: rules}, BALANCES, TAKER_BPS, TAKER_BPS, "1")
    venue = PaperVenue(engine, clock, latency_ms=1)
    bid = parse("60000")
    bids = tuple((bid - level * TICK, parse("0.5")) for level in range(20))
    asks = tuple((bid + (level + 1) * TICK, parse("0.5")) for level in range(20))
    harness = Harness(venue, lambda: (bids[0][0], asks[0][0]), lambda: len(engine.open) + len(engine.closed))
    await venue.start(harness.listener)
    venue.on_market(BookTop(SYMBOL, 1, clock.wall_ns(), clock.wall_ns(), bids, asks))
    try:
        yield harness
    finally:
        await venue.close()


VENUES = {"binance": binance, "paper": paper}


@pytest.mark.asyncio
async def test_an_ed25519_key_trades_and_opens_the_private_stream(tmp_path: Path) -> None:
    """The venue holds the public half only."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    account = Credential("key-of-a-pair", public, TEST_CREDENTIAL.account)
    async with (
        serve_simulator(config(), credentials=(account,)) as simulator,
        trading(simulator, tmp_path, pem) as harness,
    ):
        order = await harness.resting()
        assert isinstance(await harness.venue.cancel(SYMBOL, order.client_order_id), Accepted)
        assert (await harness.listener.closed(order)).state is OrderState.CANCELED


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
