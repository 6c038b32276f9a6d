"""`MarketVenue` for Binance spot: depth, trades and best quotes of some symbols over one combined stream."""

import asyncio
from contextlib import AsyncExitStack
from random import Random  # sim-ok: the type of what is handed in
from typing import Any, Final

import aiohttp

from ringfence.model.instrument import Instrument
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Venue
from ringfence.venues.api import BookSnapshot, MarketEvent, MarketListener, VenueError
from ringfence.venues.binance import calls, codec, stream
from ringfence.venues.binance.backoff import Backoff
from ringfence.venues.binance.client import Client, LostError, NotWrittenError
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.request import Request
from ringfence.venues.binance.splice import Splice

PING_S: Final = 10.0
PATIENCE_NS: Final = 10_000_000_000
MESSAGE_BYTES_MAX: Final = 4 << 20
ROTATE_S: Final = 23.5 * 3600
"""Age at which a connection gets a successor: the venue ends each after a day."""
ROTATE_AGAIN_S: Final = 60.0
JOIN_S: Final = 30.0
"""For a successor to reach back to what has been told."""
OVERLAP_S: Final = 2.0
UNREADABLE_MAX: Final = 100
"""Unreadable messages on one connection before it is given up: a venue that speaks another language."""


class MarketMetrics:
    """Plain counters, read at scrape time."""

    __slots__ = ("connects", "messages", "others", "rotations", "undecodable")

    def __init__(self) -> None:
        self.connects = 0
        self.messages = 0
        self.others = 0
        self.rotations = 0
        self.undecodable = 0


class _Relay:
    """Tells the listener what the connections bring; while there are two of them, each thing once."""

    def __init__(self, symbols: tuple[str, ...], listener: MarketListener) -> None:
        self.symbols = symbols
        self.opened = 0
        """Number of the newest connection."""
        self.current = 1
        """Number of the connection that counts."""
        self.joined = asyncio.Event()
        self.connections: set[asyncio.Task[str]] = set()
        """Those that are open, or about to be."""
        self._listener = listener
        self._splice: Splice | None = None

    def begin(self) -> None:
        self._splice = Splice(self.symbols)
        self.joined.clear()

    def end(self, *, takes_over: bool) -> None:
        self._splice = None
        if takes_over:
            self.current = self.opened

    def up(self, number: int) -> None:
        if number == self.current:
            self._listener.on_stream(True, "")

    def event(self, number: int, event: MarketEvent) -> None:
        if self._splice is None:
            if number == self.current:
                self._listener.on_market(event)
            return
        news = self._splice.passes(event, successor=number != self.current)
        if self._splice.joined:
            self.joined.set()
        if news:
            self._listener.on_market(event)


class BinanceMarket:
    """Needs no credentials. Gaps are not its business: the engine sees them by the update ids."""

    def __init__(self, venue: Venue, clock: Clock, rng: Random, rotate_s: float = ROTATE_S) -> None:
        self._venue = venue
        self._clock = clock
        self._backoff = Backoff(rng)
        self._rotate_s = rotate_s
        self._client = Client(venue, clock, VenueClock())
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self.metrics = MarketMetrics()

    async def start(self, symbols: tuple[str, ...], listener: MarketListener) -> None:
        """Begin to connect; returns at once, the listener hears when the stream is up."""
        self._session = aiohttp.ClientSession()
        self._task = asyncio.create_task(self._keep(symbols, listener), name="binance market stream")

    async def close(self) -> None:
        async with AsyncExitStack() as stack:  # each of them, also where this is cancelled
            stack.push_async_callback(self._client.close)
            if self._session is not None:
                stack.push_async_callback(self._session.close)
            if self._task is not None:
                await _cancelled(self._task)

    async def snapshot(self, symbol: str) -> BookSnapshot:
        body = await self._told(calls.query_depth(symbol))
        try:
            return codec.book_snapshot(body)
        except codec.ProtocolError as error:
            raise VenueError(f"snapshot of {symbol}: {error}") from None

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        body = await self._told(calls.query_instruments(symbols))
        try:
            found = codec.instruments(body, symbols)
            self._client.budget.configure(codec.rate_limits(body)[0], ())
        except ValueError as error:
            raise VenueError(str(error)) from None
        return found

    async def _told(self, request: Request) -> bytes:
        try:
            answer = await self._client.call(request, patience_ns=PATIENCE_NS)
        except (NotWrittenError, LostError) as error:
            raise VenueError(str(error)) from None
        if not answer.ok:
            raise VenueError(f"{request.path}: {self._client.failure(answer)}")
        return answer.body

    async def _keep(self, symbols: tuple[str, ...], listener: MarketListener) -> None:
        while True:
            reason = await self._generations(symbols, listener)
            listener.on_stream(False, reason)
            await asyncio.sleep(self._backoff.next_s())

    async def _generations(self, symbols: tuple[str, ...], listener: MarketListener) -> str:
        """One connection after the other, without a gap between them; returns why the last one ended."""
        relay = _Relay(symbols, listener)
        current = self._connection(relay)
        wait_s = self._rotate_s
        try:
            while True:
                await asyncio.wait({current}, timeout=wait_s)
                if current.done():
                    return current.result()
                successor = await self._successor(relay, current)
                if successor is None:
                    wait_s = ROTATE_AGAIN_S
                    continue
                await _cancelled(current)
                current, wait_s = successor, self._rotate_s
                self.metrics.rotations += 1
        finally:
            await _cancelled(*relay.connections)

    async def _successor(self, relay: "_Relay", current: asyncio.Task[str]) -> asyncio.Task[str] | None:
        """A second connection that has caught up with this one; None if it did not come to that."""
        relay.begin()
        successor = self._connection(relay)
        joined = asyncio.create_task(relay.joined.wait())
        both = {current, successor}
        try:
            await asyncio.wait({*both, joined}, timeout=JOIN_S, return_when=asyncio.FIRST_COMPLETED)
            if relay.joined.is_set():  # what the old one has still on its way is read too
                await asyncio.wait(both, timeout=OVERLAP_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            relay.end(takes_over=relay.joined.is_set() and not successor.done())
            await _cancelled(joined)
            if relay.current != relay.opened:
                await _cancelled(successor)
        return successor if relay.current == relay.opened else None

    def _connection(self, relay: "_Relay") -> asyncio.Task[str]:
        relay.opened += 1
        task = asyncio.create_task(self._connected(relay, relay.opened), name=f"binance market {relay.opened}")
        relay.connections.add(task)
        task.add_done_callback(relay.connections.discard)
        return task

    async def _connected(self, relay: "_Relay", number: int) -> str:
        try:
            return await self._follow(relay, number)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"market stream: {type(error).__name__}"
        except Exception as error:  # a listener's bug: shown, and the stream begins anew
            asyncio.get_running_loop().call_exception_handler({"message": "market stream failed", "exception": error})
            return f"market stream: {type(error).__name__}"

    async def _follow(self, relay: "_Relay", number: int) -> str:
        """One connection, from opening to its end; returns why it ended."""
        decoder = stream.MarketDecoder(relay.symbols)
        url = self._venue.stream_url.rstrip("/") + stream.stream_path(relay.symbols)
        if self._session is None:
            return "not started"
        unreadable = 0
        async with self._session.ws_connect(
            url,
            heartbeat=PING_S,
            max_msg_size=MESSAGE_BYTES_MAX,
            decode_text=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as socket:
            self.metrics.connects += 1
            relay.up(number)
            async for received in socket:
                if received.type is not aiohttp.WSMsgType.TEXT:
                    break
                self.metrics.messages += 1
                try:
                    event = decoder.decode(received.data, self._clock.wall_ns())
                except codec.ProtocolError:
                    # a lost depth message shows as a gap, a lost quote is overtaken by the next
                    self.metrics.undecodable += 1
                    unreadable += 1
                    if unreadable >= UNREADABLE_MAX:
                        return f"market stream: {unreadable} unreadable messages"
                    continue
                if event is None:
                    self.metrics.others += 1
                elif isinstance(event, stream.Shutdown):
                    return "market stream: the venue announced a shutdown"
                else:
                    self._backoff.reset()
                    relay.event(number, event)
            return f"market stream closed by the venue ({socket.close_code})"


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """End tasks that nobody needs any more, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
