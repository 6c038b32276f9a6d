"""`TradingVenue` for Binance spot: orders and cancels, as their events, by the WebSocket API, all else by REST."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from random import Random  # sim-ok: the type of what is handed in
from typing import Final, TypeVar

import aiohttp

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import CREDENTIALS_DIR, Venue
from ringfence.runtime.waiting import wait_at_most
from ringfence.venues.api import (
    Accepted,
    AmendOutcome,
    CancelOutcome,
    MaySend,
    NotSent,
    OrderReport,
    SubmitOutcome,
    TradeReport,
    TradingListener,
    Unknown,
    VenueBalance,
    VenueError,
)
from ringfence.venues.binance import calls, candles, codec, limits, stream
from ringfence.venues.binance.backoff import Backoff
from ringfence.venues.binance.client import Answer, Client, LostError, NotWrittenError, VetoError
from ringfence.venues.binance.credentials import CredentialFiles, CredentialsError
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.request import Request, signed_message
from ringfence.venues.binance.wsapi import WsApi

SYNC_S: Final = 10.0
"""How often the venue is asked for its time. It also keeps a connection open: an order waits for no handshake."""
SYNC_RETRY_S: Final = 0.5
PING_S: Final = 5.0
"""Half of it without a pong and the private stream counts as dead."""
REPLY_S: Final = 10.0
CREDENTIALS_CHECK_S: Final = 1.0
LAST_ANSWERS_S: Final = 1.0
"""How long a connection that is about to end is kept for the answers that it owes."""
CANCEL_PATIENCE_NS: Final = 2_000_000_000
QUERY_PATIENCE_NS: Final = 10_000_000_000
PAGES_MAX: Final = 200
SUBSCRIBE: Final = "userDataStream.subscribe.signature"
"""What turns a connection of the WebSocket API into our private stream."""
SUBSCRIBE_WEIGHT: Final = 4
"""To open a connection costs 2, to subscribe on it as much again."""
MESSAGE_BYTES_MAX: Final = 1 << 20

T = TypeVar("T")


class StreamMetrics:
    """Plain counters, read at scrape time."""

    __slots__ = ("connects", "messages", "others", "undecodable")

    def __init__(self) -> None:
        self.connects = 0
        self.messages = 0
        self.others = 0
        self.undecodable = 0


class BinanceTrading:
    """One account. Credentials are read from files and re-read when these change."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        rng: Random,
        credentials: Path = CREDENTIALS_DIR,
        symbols: tuple[str, ...] = (),
    ) -> None:
        """``symbols``: instruments whose rules it learns by itself as soon as it is connected."""
        self._venue = venue
        self._symbols = symbols
        self._preventions: dict[str, frozenset[str]] = {}
        self._clock = clock
        self._backoff = Backoff(rng)
        self._credentials = CredentialFiles(credentials)
        self._venue_clock = VenueClock()
        self._client = Client(venue, clock, self._venue_clock, self._credentials)
        self._sync_now = asyncio.Event()
        self._limits_known = False
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self.metrics = self._client.metrics
        self.stream_metrics = StreamMetrics()

    async def start(self, listener: TradingListener) -> None:
        """Begin to connect; returns at once, the listener hears when the private stream is up."""
        self._client.open()
        self._session = aiohttp.ClientSession()
        self._tasks = [
            asyncio.create_task(self._keep_clock(), name="binance clock"),
            asyncio.create_task(self._keep_stream(listener), name="binance private stream"),
        ]

    async def close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:  # each of them, also where this is cancelled
            stack.push_async_callback(self._client.close)
            if self._session is not None:
                stack.push_async_callback(self._session.close)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def venue_now_ns(self) -> int:
        return self._client.venue_now_ns()

    def used_weight(self) -> int:
        """Request weight used in this minute, as far as known; for metrics."""
        return self._client.budget.used_weight(self.venue_now_ns())

    # --- orders

    async def submit(self, order: Approved, may_send: MaySend) -> SubmitOutcome:
        answer = await self._placed(calls.new_order(order, self._allowed(order)), (order,), may_send)
        return self._outcome(answer) if isinstance(answer, Answer) else answer

    async def submit_pair(
        self, first: Approved, second: Approved, may_send: MaySend
    ) -> tuple[SubmitOutcome, SubmitOutcome]:
        answer = await self._placed(calls.new_pair(first, second, self._allowed(first)), (first, second), may_send)
        if not isinstance(answer, Answer):
            return answer, answer
        if not answer.ok:
            told = self._outcome(answer)
            return told, told
        try:
            made = codec.listed(answer.body)
            return Accepted(made[first.client_order_id]), Accepted(made[second.client_order_id])
        except (codec.ProtocolError, KeyError):
            unknown = Unknown("the answer to a pair does not name both orders")
            return unknown, unknown

    async def replace(
        self, replaced: str, order: Approved, may_send: MaySend, *, untouched: bool
    ) -> tuple[CancelOutcome, SubmitOutcome]:
        request = calls.replace_order(replaced, order, untouched=untouched, allowed=self._allowed(order))
        answer = await self._placed(request, (order,), may_send)
        if not isinstance(answer, Answer):
            return answer, answer
        try:
            return codec.replaced(answer.ok, answer.body, None if answer.ok else self._failed(answer))
        except codec.ProtocolError as error:
            return Unknown(str(error)), Unknown(str(error))

    def _allowed(self, order: Approved) -> frozenset[str]:
        """Until the venue has told, what we want is sent: a mode that it does not allow is then a proven refusal."""
        return self._preventions.get(order.symbol, calls.PREVENTIONS)

    async def _placed(
        self, request: Request, orders: tuple[Approved, ...], may_send: MaySend
    ) -> Answer | NotSent | Unknown:
        """Send a request that may place orders, once."""
        if not self._venue_clock.known:
            return NotSent("the venue's clock is not known yet")
        deadline_ns = min(order.deadline_ns for order in orders)

        def last_word() -> None:
            reason = next((why for why in map(may_send, orders) if why is not None), None)
            if reason is None and self._clock.monotonic_ns() > deadline_ns:
                reason = "deadline passed before it could be written"
            if reason is not None:
                raise VetoError(reason)

        patience_ns = deadline_ns - self._clock.monotonic_ns()
        # what reduces is not held back by its track's share: being unable to leave a position is worse
        track = "" if all(order.reduce_only for order in orders) else orders[0].track
        try:
            return await self._client.call(request, last_word=last_word, patience_ns=patience_ns, track=track)
        except NotWrittenError as error:
            return NotSent(str(error))
        except LostError as error:
            return Unknown(str(error))

    async def amend(self, symbol: str, client_order_id: str, quantity: int) -> AmendOutcome:
        request = calls.amend_order(symbol, client_order_id, quantity)
        try:
            answer = await self._client.call(request, patience_ns=CANCEL_PATIENCE_NS)
        except NotWrittenError as error:
            return NotSent(str(error))
        except LostError as error:
            return Unknown(str(error))
        return Accepted("") if answer.ok else codec.outcome(self._failed(answer), answer.retry_after_s)

    async def cancel(self, symbol: str, client_order_id: str) -> CancelOutcome:
        # by REST, aiohttp repeats a DELETE (never a POST) when a kept connection turns out to be dead; for a cancel
        # that is what we want: a second one finds the order gone, and the private stream has told of the first
        request = calls.cancel_order(symbol, client_order_id)
        try:
            answer = await self._client.call(request, patience_ns=CANCEL_PATIENCE_NS)
        except NotWrittenError as error:
            return NotSent(str(error))
        except LostError as error:
            return Unknown(str(error))
        return self._outcome(answer)

    def _outcome(self, answer: Answer) -> SubmitOutcome:
        if answer.ok:
            try:
                return Accepted(codec.acknowledged(answer.body))
            except codec.ProtocolError as error:
                return Unknown(str(error))
        return codec.outcome(self._failed(answer), answer.retry_after_s)

    def _failed(self, answer: Answer) -> codec.Failure:
        failed = self._client.failure(answer)
        if failed.code == codec.BAD_TIME:
            self._sync_now.set()
        return failed

    # --- queries

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        answer = await self._ask(calls.query_order(symbol, client_order_id))
        if not answer.ok:
            failed = self._client.failure(answer)
            if 400 <= failed.status < 500 and failed.code == codec.NO_SUCH_ORDER:
                return None
            raise VenueError(f"order {client_order_id}: {failed}")
        return _read(codec.order_report, answer.body)

    async def open_orders(self, symbols: tuple[str, ...] | None = None) -> tuple[OrderReport, ...]:
        whole = calls.query_open_orders()
        requests = [whole] if symbols is None else [calls.query_open_orders(symbol) for symbol in symbols]
        if sum(request.weight for request in requests) >= whole.weight:  # many: the whole account costs less
            found = _read(codec.order_reports, await self._told(whole))
            return tuple(order for order in found if symbols is None or order.symbol in symbols)
        told = await asyncio.gather(*(self._told(request) for request in requests))
        return tuple(order for body in told for order in _read(codec.order_reports, body))

    async def trades(self, symbol: str, after_trade_id: str | None) -> tuple[TradeReport, ...]:
        found: list[TradeReport] = []
        from_id = 0 if after_trade_id is None else _number(after_trade_id) + 1
        for _ in range(PAGES_MAX):
            page = _read(codec.trade_reports, await self._told(calls.query_trades(symbol, from_id)))
            # the venue's own pages may overlap with what was asked for: only what follows counts
            found += [trade for trade in page if int(trade.trade_id) >= from_id]
            if len(page) < calls.PAGE:
                return tuple(found)
            from_id = int(page[-1].trade_id) + 1
        raise VenueError(f"trades of {symbol}: more than {PAGES_MAX * calls.PAGE} since {after_trade_id}")

    async def balances(self) -> dict[str, VenueBalance]:
        return _read(codec.balances, await self._told(calls.query_account()))

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        body = await self._told(calls.query_instruments(symbols))
        found = _read(lambda b: codec.instruments(b, symbols), body)
        self._preventions |= _read(codec.preventions, body)
        weight, orders = _read(codec.rate_limits, body)
        with contextlib.suppress(ValueError):  # an interval that we cannot read: keep what is assumed
            self._client.budget.configure(weight, orders)
        return found

    async def closes(self, symbol: str, hours: int) -> dict[int, int]:
        return _read(candles.closes, await self._told(candles.query(symbol, "1h", limit=hours)))

    async def _ask(self, request: Request) -> Answer:
        if request.signed and not self._venue_clock.known:
            await self._sync_clock()
        try:
            answer = await self._client.call(request, patience_ns=QUERY_PATIENCE_NS)
        except (NotWrittenError, LostError) as error:
            raise VenueError(str(error)) from None
        if not answer.ok and self._client.failure(answer).code == codec.BAD_TIME:
            self._sync_now.set()
        return answer

    async def _told(self, request: Request) -> bytes:
        answer = await self._ask(request)
        if not answer.ok:
            raise VenueError(f"{request.path}: {self._client.failure(answer)}")
        return answer.body

    async def _sync_clock(self) -> None:
        try:
            await self._client.sync_clock()
        except (NotWrittenError, LostError, codec.ProtocolError) as error:
            raise VenueError(f"the venue's clock: {error}") from None

    # --- connections

    async def _keep_clock(self) -> None:
        while True:
            try:
                await self._sync_clock()
                delay_s = SYNC_S
            except VenueError:
                delay_s = SYNC_RETRY_S
            self._sync_now.clear()
            await wait_at_most(self._sync_now, delay_s)

    async def _keep_stream(self, listener: TradingListener) -> None:
        while True:
            try:
                reason = await self._follow(listener)
            except (VenueError, CredentialsError) as error:
                reason = str(error)
            except (aiohttp.ClientError, OSError, TimeoutError, codec.ProtocolError) as error:
                # the name alone: aiohttp's own texts repeat addresses and headers
                reason = f"private stream: {type(error).__name__}"
            except Exception as error:  # a listener's bug: shown, and what it has missed is reconciled
                _show(error, "private stream")
                reason = f"private stream: {type(error).__name__}"
            listener.on_stream(False, reason)
            await asyncio.sleep(self._backoff.next_s())

    async def _follow(self, listener: TradingListener) -> str:
        """One connection, from opening to its end; returns why it ended."""
        if not self._venue_clock.known:
            await self._sync_clock()
        if self._session is None:
            raise VenueError("not started")
        await self._spend(SUBSCRIBE_WEIGHT)
        async with self._session.ws_connect(
            self._venue.ws_api_url,
            heartbeat=PING_S,
            max_msg_size=MESSAGE_BYTES_MAX,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as socket:
            credentials = self._credentials.current(self._clock.monotonic_ns())
            generation = self._credentials.generation
            timestamp_ms = self.venue_now_ns() // codec.MS_NS
            window_ms = self._venue.recv_window_ms
            await socket.send_str(
                signed_message("private", SUBSCRIBE, [], credentials.key, credentials.sign, timestamp_ms, window_ms)
            )
            ws_api = WsApi(socket.send_str)
            await self._granted(socket, ws_api, listener)
            if not self._limits_known:
                await self._learn_limits()
            self._backoff.reset()
            self.stream_metrics.connects += 1
            self._client.ws_api = ws_api
            try:
                listener.on_stream(True, "")
                reason = await self._read(socket, generation, ws_api, listener)
                self._client.ws_api = None
                await self._last_answers(socket, ws_api, listener)
                return reason
            finally:
                self._client.ws_api = None
                ws_api.end()

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, generation: int, ws_api: WsApi, listener: TradingListener
    ) -> str:
        """Deliver events and answers to the end of the connection; returns why it ended."""
        while True:
            with contextlib.suppress(TimeoutError):
                # one time-out for all that comes in a second: one for each message costs more than reading it
                async with asyncio.timeout(CREDENTIALS_CHECK_S):
                    while True:
                        received = await socket.receive()
                        if received.type is not aiohttp.WSMsgType.TEXT:
                            return f"private stream closed by the venue ({socket.close_code})"
                        ended = self._deliver(received.data, ws_api, listener)
                        if ended is not None:
                            return ended
            self._credentials.current(self._clock.monotonic_ns())
            if self._credentials.generation != generation:
                return "credentials were rotated: subscribing with the new ones"

    async def _last_answers(
        self, socket: aiohttp.ClientWebSocketResponse, ws_api: WsApi, listener: TradingListener
    ) -> None:
        """Where the end was announced, or is our own doing, it need not make an outcome unknown."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS_S):
                while ws_api.waiting and (received := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    self._deliver(received.data, ws_api, listener)

    async def _learn_limits(self) -> None:
        """Ask how many orders the account may send, and how; until the venue has said so, the usual is assumed."""
        try:
            allowed = _read(codec.order_limits, await self._told(calls.query_order_limits()))
            self._client.budget.configure(None, allowed)
            if self._symbols:
                await self.instruments(self._symbols)
        except (VenueError, ValueError):
            return
        self._limits_known = True

    async def _granted(self, socket: aiohttp.ClientWebSocketResponse, ws_api: WsApi, listener: TradingListener) -> None:
        """Wait for the subscription's answer. Raises VenueError when it is refused."""
        async with asyncio.timeout(REPLY_S):
            while True:
                received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise VenueError("private stream closed before it was subscribed")
                message = stream.private_message(received.data.encode(), self._clock.wall_ns())
                if isinstance(message, stream.Reply):
                    break
                # the first event may overtake the answer: reconciliation, which follows, would find it anyway
                self._pass_on(message, ws_api, listener)
        if message.status != 200:
            failed = codec.failure(message.status, message.body)
            if failed.code in codec.BAD_CREDENTIALS:
                self._credentials.recheck()
            raise VenueError(self._credentials.hide(f"subscription refused: {failed}"))

    async def _spend(self, weight: int) -> None:
        """Room in the budget for a request of the WebSocket API, which counts with the others."""
        while True:
            now_ns = self.venue_now_ns()
            found = self._client.budget.admit(limits.Kind.QUERY, weight, now_ns)
            if isinstance(found, limits.Ticket):
                self._client.budget.settle(found, limits.NO_COUNTS, now_ns)
                return
            await asyncio.sleep(found.ns / 1e9)

    def _deliver(self, data: str, ws_api: WsApi, listener: TradingListener) -> str | None:
        """Pass one message on. Returns why the stream is over, or None."""
        self.stream_metrics.messages += 1
        try:
            message = stream.private_message(data.encode(), self._clock.wall_ns())
        except codec.ProtocolError:
            # whatever it told is lost to us: end the stream, so that reconciliation finds it
            self.stream_metrics.undecodable += 1
            return "unreadable event on the private stream: reconciling"
        return self._pass_on(message, ws_api, listener)

    def _pass_on(self, message: stream.PrivateMessage, ws_api: WsApi, listener: TradingListener) -> str | None:
        match message:
            case stream.OrderMessage():
                listener.on_order_event(message.symbol, message.event)
            case stream.Reply():
                ws_api.answered(message)
            case stream.BalancesMessage():
                listener.on_balances(message.balances)
            case stream.Ended():
                return f"private stream ended by the venue: {message.reason}"
            case _:
                self.stream_metrics.others += 1
        return None


def _show(error: Exception, what: str) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": f"{what} failed", "exception": error})


def _read(parse: Callable[[bytes], T], body: bytes) -> T:
    try:
        return parse(body)
    except codec.ProtocolError as error:
        raise VenueError(str(error)) from None


def _number(trade_id: str) -> int:
    if not trade_id.isdecimal():
        raise VenueError(f"{trade_id!r} is no trade id of this venue")
    return int(trade_id)
