"""`MarketVenue` for Binance spot: depth, trades and best quotes of some symbols over one combined stream."""

import asyncio
from random import Random  # sim-ok: the type of what is handed in
from typing import Final

import aiohttp

from ringfence.model.instrument import Instrument
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Venue
from ringfence.venues.api import BookSnapshot, MarketListener, VenueError
from ringfence.venues.binance import codec, stream
from ringfence.venues.binance.backoff import Backoff
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.rest import LostError, NotWrittenError, Rest

PING_S: Final = 10.0
PATIENCE_NS: Final = 10_000_000_000
MESSAGE_BYTES_MAX: Final = 4 << 20
UNREADABLE_MAX: Final = 100
"""Unreadable messages on one connection before it is given up: a venue that speaks another language."""


class MarketMetrics:
    """Plain counters, read at scrape time."""

    __slots__ = ("connects", "messages", "others", "undecodable")

    def __init__(self) -> None:
        self.connects = 0
        self.messages = 0
        self.others = 0
        self.undecodable = 0


class BinanceMarket:
    """Needs no credentials. Gaps are not its business: the engine sees them by the update ids."""

    def __init__(self, venue: Venue, clock: Clock, rng: Random) -> None:
        self._venue = venue
        self._clock = clock
        self._backoff = Backoff(rng)
        self._rest = Rest(venue, clock, VenueClock())
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self.metrics = MarketMetrics()
        self.rest_metrics = self._rest.metrics

    async def start(self, symbols: tuple[str, ...], listener: MarketListener) -> None:
        """Begin to connect; returns at once, the listener hears when the stream is up."""
        self._session = aiohttp.ClientSession()
        self._task = asyncio.create_task(self._keep(symbols, listener), name="binance market stream")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._rest.close()

    async def snapshot(self, symbol: str) -> BookSnapshot:
        body = await self._told(codec.query_depth(symbol))
        try:
            return codec.book_snapshot(body)
        except codec.ProtocolError as error:
            raise VenueError(f"snapshot of {symbol}: {error}") from None

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        body = await self._told(codec.query_instruments(symbols))
        try:
            found = codec.instruments(body, symbols)
            self._rest.budget.configure(codec.rate_limits(body)[0], ())
        except ValueError as error:
            raise VenueError(str(error)) from None
        return found

    async def _told(self, request: codec.Request) -> bytes:
        try:
            answer = await self._rest.call(request, patience_ns=PATIENCE_NS)
        except (NotWrittenError, LostError) as error:
            raise VenueError(str(error)) from None
        if not answer.ok:
            raise VenueError(f"{request.path}: {self._rest.failure(answer)}")
        return answer.body

    async def _keep(self, symbols: tuple[str, ...], listener: MarketListener) -> None:
        decoder = stream.MarketDecoder(symbols)
        url = self._venue.stream_url.rstrip("/") + stream.stream_path(symbols)
        while True:
            try:
                reason = await self._follow(url, decoder, listener)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = f"market stream: {type(error).__name__}"
            except Exception as error:  # a listener's bug: shown, and the stream begins anew
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "market stream failed", "exception": error}
                )
                reason = f"market stream: {type(error).__name__}"
            listener.on_stream(False, reason)
            await asyncio.sleep(self._backoff.next_s())

    async def _follow(self, url: str, decoder: stream.MarketDecoder, listener: MarketListener) -> str:
        """One connection, from opening to its end; returns why it ended."""
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
            listener.on_stream(True, "")
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
                    listener.on_market(event)
            return f"market stream closed by the venue ({socket.close_code})"
