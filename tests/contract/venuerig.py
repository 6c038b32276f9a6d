"""A venue to test against, simulated or on paper, with an account and somebody who listens to its private stream."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import parse
from ringfence.model.orders import (
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
from ringfence.simulator.server import TEST_CREDENTIAL, Simulator, serve_simulator
from ringfence.venues.api import (
    Accepted,
    SubmitOutcome,
    TradingVenue,
    VenueBalance,
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
        if symbol != SYMBOL:
            raise ValueError(symbol)
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

    def folded(self, order: Approved, anomalies: list[str] | None = None) -> Order:
        """The order as its events make it. Raises ValueError for an anomaly, unless there is a list for them."""
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
            anomaly = folded.apply(event)
            if anomaly is None:
                continue
            if anomalies is None:
                raise ValueError(anomaly)
            anomalies.append(anomaly)
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
        **more: int,
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
            **more,
        )

    def pair(self) -> tuple[Approved, Approved]:
        """A protective pair of what is held, far from the market on both sides."""
        bid, ask = self.best()
        stop = bid // 2 - bid // 2 % TICK
        first = self.order(side=Side.SELL, price=ask * 2 - ask * 2 % TICK, kind=OrderType.LIMIT_MAKER)
        return first, self.order(side=Side.SELL, price=0, kind=OrderType.STOP_LOSS, stop_price=stop)

    def through(self, side: Side) -> int:
        """A limit price that certainly takes, one percent beyond the other side."""
        bid, ask = self.best()
        price = ask + ask // 100 if side is Side.BUY else bid - bid // 100
        return price - price % TICK

    async def submit(self, order: Approved) -> SubmitOutcome:
        return await self.venue.submit(order, lambda _: None)

    async def resting(self) -> Approved:
        order = self.order()
        outcome = await self.submit(order)
        if not isinstance(outcome, Accepted):
            raise TypeError(f"{outcome} for an order that rests")
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
