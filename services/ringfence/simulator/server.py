"""Hosts the venue: sockets, clock and files around the engines.

`serve_simulator` is what tests and the service use alike: a real server on real ports, with the venue in reach.
"""

import asyncio
import contextlib
import gzip
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from aiohttp import web

from ringfence.runtime.clock import Clock, SystemClock
from ringfence.runtime.config import CREDENTIALS_DIR, ConfigError, RecordedMarket, SimulatorConfig
from ringfence.runtime.config import Venue as VenueAddress
from ringfence.runtime.serving import serving
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.control import ControlServer
from ringfence.simulator.dialect.api import Api
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.dialect.rest import RestServer
from ringfence.simulator.dialect.streams import Hub, StreamServer
from ringfence.simulator.dialect.wsapi import WsApiServer
from ringfence.simulator.faults import Faults
from ringfence.simulator.gateway import Gateway
from ringfence.simulator.generated import PROFILES, generated
from ringfence.simulator.market import Market
from ringfence.simulator.record import Record
from ringfence.simulator.recorded import RecordingError, clock_offset_ns, replay
from ringfence.simulator.venue import Fees, Venue

ACCOUNT: Final = "primary"
"""The account that the configuration gives its balances to."""
TEST_CREDENTIAL: Final = Credential("simulated-key", "simulated-secret", ACCOUNT)
"""Opens a simulator that was given no credentials; there is nothing behind it that is worth protecting."""


class Simulator:
    """A running venue."""

    def __init__(self, gateway: Gateway, credentials: tuple[Credential, ...], port: int, control_port: int) -> None:
        self.gateway = gateway
        self.venue = gateway.venue
        self.api = gateway.api
        self.credentials = credentials
        self.port = port
        self.control_port = control_port

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        """/ws and /stream are appended."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def ws_api_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws-api/v3"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    @property
    def credential(self) -> Credential:
        return self.credentials[0]

    def address(self, name: str = "sim") -> VenueAddress:
        """How an adapter's configuration names this venue."""
        return VenueAddress(name=name, rest_url=self.rest_url, stream_url=self.stream_url, ws_api_url=self.ws_api_url)


@contextlib.asynccontextmanager
async def serve_simulator(
    config: SimulatorConfig,
    *,
    clock: Clock | None = None,
    credentials: tuple[Credential, ...] = (TEST_CREDENTIAL,),
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    failed: Callable[[BaseException], None] | None = None,
) -> AsyncIterator[Simulator]:
    """Run a venue in this event loop. Port 0 picks a free one; every account opens with the configured balances.

    ``failed`` hears of a market that broke (a damaged recording): without it, leaving the context raises.
    """
    clock = clock or SystemClock()
    venue = build_venue(config, clock.wall_ns())
    for account in dict.fromkeys(credential.account for credential in credentials):
        venue.open_account(account, config.balances)
    faults = Faults()
    hub = Hub(faults)
    by_key: Mapping[str, Credential] = {credential.api_key: credential for credential in credentials}
    limits = limits or Limits(
        weight_1m=config.weight_per_minute, orders_10s=config.orders_per_ten_seconds, orders_1d=config.orders_per_day
    )
    api = Api(venue, by_key, limits, Record(), faults)
    gateway = Gateway(venue, api, hub, faults, clock, config.latency_ms)
    streams = StreamServer(hub, clock.monotonic_ns)
    public = [*RestServer(gateway).routes(), *streams.routes(), *WsApiServer(gateway, hub).routes()]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(gateway.close)
        port = await stack.enter_async_context(serving(_application(public), host, config.port))
        controls = _application(ControlServer(gateway).routes())
        control = await stack.enter_async_context(serving(controls, host, config.control_port))
        stack.callback(hub.close_all)  # first of all on the way out: a server waits for its connections
        await stack.enter_async_context(_pumping(gateway, failed))
        yield Simulator(gateway, credentials, port, control)


def build_venue(config: SimulatorConfig, now_ns: int) -> Venue:
    """The venue with its instruments and their markets, without accounts. Raises ConfigError."""
    unknown = [symbol for symbol in config.symbols if symbol not in LISTED]
    if unknown or not config.symbols:
        raise ConfigError(f"the simulator lists {', '.join(LISTED)}; configured: {', '.join(config.symbols) or 'none'}")
    listings = {symbol: LISTED[symbol] for symbol in config.symbols}
    fees = Fees(config.maker_fee_bps, config.taker_fee_bps)
    try:
        markets = {symbol: _market(config, symbol, now_ns) for symbol in config.symbols}
        return Venue(listings, markets, fees, now_ns)
    except (OSError, EOFError, zlib.error, RecordingError) as error:
        raise ConfigError(f"the recordings cannot be replayed: {error}") from error


def read_credentials(directory: Path | None = None) -> tuple[Credential, ...]:
    """The key that this venue accepts, from where the operator mounts it. Raises ConfigError."""
    directory = directory or Path(os.environ.get("RINGFENCE_CREDENTIALS", CREDENTIALS_DIR))
    try:
        key, secret = ((directory / name).read_text().strip() for name in ("api-key", "api-secret"))
    except OSError as error:
        raise ConfigError(f"credentials in {directory} cannot be read: {error.strerror}") from error
    if not key or not secret:
        raise ConfigError(f"credentials in {directory} are empty")
    return (Credential(key, secret, ACCOUNT),)


def _market(config: SimulatorConfig, symbol: str, now_ns: int) -> Market:
    instrument = LISTED[symbol].instrument
    if isinstance(config.market, RecordedMarket):
        return _recorded(Path(config.market.directory), symbol, now_ns, loop=config.market.loop)
    price = config.market.price.get(symbol)
    profile = PROFILES[symbol]
    if price is not None:
        profile = msgspec.structs.replace(profile, price=price)
    rng = Random(f"{config.market.seed}/{symbol}")  # sim-ok: the seed is configured, so a run can be repeated
    return generated(instrument, profile, rng, now_ns)


def _recorded(directory: Path, symbol: str, now_ns: int, *, loop: bool) -> Market:
    """The instrument's recordings one after the other, then again from the first."""
    files = sorted(directory.glob(f"{symbol.lower()}*.gz"))
    if not files:
        raise ConfigError(f"no recording {symbol.lower()}*.gz in {directory}")
    offsets = [clock_offset_ns(_lines(path)) for path in files]
    return _sessions(files, offsets, now_ns, loop=loop)


def _sessions(files: list[Path], offsets: list[int], now_ns: int, *, loop: bool) -> Market:
    at_ns = now_ns
    while True:
        for path, offset_ns in zip(files, offsets, strict=True):
            for event in replay(_lines(path), offset_ns, at_ns):
                yield event
                at_ns = event.ts
        if not loop:
            return


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from file


@contextlib.asynccontextmanager
async def _pumping(gateway: Gateway, failed: Callable[[BaseException], None] | None) -> AsyncIterator[None]:
    """Run the market meanwhile. A market that breaks is reported at once, or raised at the end."""

    def finished(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and failed is not None:
            failed(error)

    gateway.advance()
    task = asyncio.create_task(gateway.pump())
    task.add_done_callback(finished)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _application(routes: list[web.RouteDef]) -> web.Application:
    application = web.Application()
    application.add_routes(routes)
    return application
