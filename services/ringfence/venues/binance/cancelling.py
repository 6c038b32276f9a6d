"""`CancelOnly` for Binance spot: REST alone, with a rate budget and a clock offset of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import CREDENTIALS_DIR, Venue
from ringfence.venues.api import Accepted, CancelOutcome, NotSent, OrderReport, Unknown, VenueBalance, VenueError
from ringfence.venues.binance import calls, candles, codec
from ringfence.venues.binance.client import Client, LostError, NotWrittenError
from ringfence.venues.binance.credentials import CredentialFiles
from ringfence.venues.binance.limits import Kind
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.request import Request
from ringfence.venues.cancelling import AT_MOST_S, Price

PATIENCE_NS: Final = 3_000_000_000
SYNC_NS: Final = 30_000_000_000
"""How old the clock offset may become; a signed request asks for the time first."""

T = TypeVar("T")


class _Ticker(msgspec.Struct, rename="camel"):
    bid_price: str
    ask_price: str


_TICKER: Final = msgspec.json.Decoder(_Ticker)


class BinanceCancelOnly:
    """One account, seen by somebody who can end orders and not begin them."""

    def __init__(self, venue: Venue, clock: Clock, credentials: Path = CREDENTIALS_DIR) -> None:
        self._clock = clock
        self._venue_clock = VenueClock()
        self._synced_ns = 0
        self._client = Client(venue, clock, self._venue_clock, CredentialFiles(credentials))

    async def open(self) -> None:
        self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def cancel_all(self, symbol: str) -> CancelOutcome:
        request = Request("DELETE", "/api/v3/openOrders", [("symbol", symbol)], Kind.CANCEL, 1)
        try:
            await self._sync()
            answer = await self._client.call(request, patience_ns=PATIENCE_NS)
        except (NotWrittenError, VenueError) as error:
            return NotSent(str(error))
        except LostError as error:
            return Unknown(str(error))
        if answer.ok:
            return Accepted("")
        return codec.outcome(self._client.failure(answer), answer.retry_after_s)

    async def open_orders(self) -> tuple[OrderReport, ...]:
        return _read(codec.order_reports, await self._told(calls.query_open_orders()))

    async def balances(self) -> dict[str, VenueBalance]:
        return _read(codec.balances, await self._told(calls.query_account()))

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        return _read(lambda body: codec.instruments(body, symbols), await self._told(calls.query_instruments(symbols)))

    async def price(self, symbol: str) -> Price:
        request = Request("GET", "/api/v3/ticker/bookTicker", [("symbol", symbol)], Kind.QUERY, 2, signed=False)
        return _read(_price, await self._told(request))

    async def price_at(self, symbol: str, ts: int) -> int:
        start = ts // 1_000_000
        request = candles.query(symbol, "1m", 1, (start, start + AT_MOST_S * 1000))
        found = _read(candles.opening, await self._told(request))
        if found is None:
            raise VenueError(f"{symbol}: no price of that time")
        return found

    async def _told(self, request: Request) -> bytes:
        try:
            if request.signed:
                await self._sync()
            answer = await self._client.call(request, patience_ns=PATIENCE_NS)
        except (NotWrittenError, LostError) as error:
            raise VenueError(str(error)) from None
        if not answer.ok:
            failed = self._client.failure(answer)
            if failed.code == codec.BAD_TIME:
                self._synced_ns = 0
            raise VenueError(f"{request.path}: {failed}")
        return answer.body

    async def _sync(self) -> None:
        if self._synced_ns and self._clock.monotonic_ns() - self._synced_ns < SYNC_NS:
            return
        try:
            await self._client.sync_clock()
        except (NotWrittenError, LostError, codec.ProtocolError) as error:
            raise VenueError(f"the venue's clock: {error}") from None
        self._synced_ns = self._clock.monotonic_ns()


def _price(body: bytes) -> Price:
    found = codec.decoded(_TICKER, body)
    return Price(codec.scaled(found.bid_price), codec.scaled(found.ask_price))


def _read(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except ValueError as error:  # a ProtocolError, or a number that is none
        raise VenueError(str(error)) from None
