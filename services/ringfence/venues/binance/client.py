"""Requests to the venue: signs, spends the rate budget, sends once, says what is known afterwards.

Over REST, and orders and cancels over the WebSocket API while that is connected and answers in time.

Whether bytes have left decides what a failure means, so it is recorded at the one place where they leave.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.connector import Connection
from yarl import URL

from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Venue
from ringfence.venues.binance import calls, codec, limits
from ringfence.venues.binance.credentials import CredentialFiles, Credentials, CredentialsError
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.request import Request, signed_message, signed_query
from ringfence.venues.binance.wsapi import TIMEOUT_S, WsApi

CONNECT_S: Final = 3.0


class NotWrittenError(Exception):
    """Nothing reached the wire."""


class LostError(Exception):
    """Bytes left and no answer came: the venue may or may not have done it."""


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    retry_after_s: int | None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def answered(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Answer, limits.Counts]:
    """What an HTTP response says."""
    after = headers.get("Retry-After", "")
    return Answer(status, body, int(after) if after.isdecimal() else None), limits.counts(headers)


class ClientMetrics:
    """Plain counters, read at scrape time."""

    __slots__ = ("failures", "limited", "lost", "not_written", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.limited = 0
        self.lost = 0
        self.not_written = 0


class VetoError(Exception):
    """Keeps the bytes, as a ``last_word`` does that raises it; the message says why."""


class _Request(ClientRequest):
    """Asks once more at the last moment. Our requests have no body, so they are written before anything else runs."""

    before_write: Callable[[], None] | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        if self.before_write is not None:
            self.before_write()
        return await super().send(conn)


class Client:
    """Requests to one venue on behalf of at most one account. Once closed it stays closed, and nothing is written."""

    def __init__(
        self, venue: Venue, clock: Clock, venue_clock: VenueClock, credentials: CredentialFiles | None = None
    ) -> None:
        self.budget = limits.RateBudget()
        self.metrics = ClientMetrics()
        self.ws_api: WsApi | None = None
        """While there is a connection."""
        self._venue = venue
        self._base = venue.rest_url.rstrip("/")
        self._clock = clock
        self._venue_clock = venue_clock
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def open(self) -> None:
        """Needs a running loop. Without it, requests open the session themselves. Raises VetoError once closed."""
        if self._closed:
            raise VetoError("the connection to the venue has been closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                request_class=_Request,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def venue_now_ns(self) -> int:
        return self._venue_clock.now_ns(self._clock.monotonic_ns(), self._clock.wall_ns())

    async def sync_clock(self) -> None:
        """Ask the venue for its time. Raises NotWrittenError, LostError or ProtocolError."""
        sent_ns = 0

        def mark() -> None:
            # a connection may have had to be opened first: the round trip begins when the question leaves
            nonlocal sent_ns
            sent_ns = self._clock.monotonic_ns()

        answer = await self.call(calls.query_time(), last_word=mark)
        if not answer.ok:
            raise codec.ProtocolError(f"time: {self.failure(answer)}")
        self._venue_clock.sample(sent_ns, self._clock.monotonic_ns(), codec.server_time_ms(answer.body))

    async def call(
        self,
        request: Request,
        *,
        last_word: Callable[[], None] | None = None,
        patience_ns: int = 0,
        track: str = "",
    ) -> Answer:
        """Send one request once. Raises NotWrittenError or LostError; any answer is returned, whatever its status.

        ``last_word`` runs immediately before the bytes leave, and raises VetoError to keep them. ``track``: whose share
        of the rate limit the request takes.
        """
        ticket = await self._room(request, patience_ns, track)
        told, left = limits.NO_COUNTS, False

        def before_write() -> None:
            nonlocal left
            if last_word is not None:
                last_word()
            left = True

        # raised after the handler, so that no traceback of ours carries aiohttp's exception: it knows the headers
        trouble = ""
        try:
            answer, told = await self._exchange(request, before_write)
        except (VetoError, CredentialsError) as error:
            trouble = str(error)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble = f"{request.method} {request.path}: {type(error).__name__}"
        else:
            if not answer.ok:
                self._note(answer)
            return answer
        finally:
            if left:
                self.budget.settle(ticket, told, self.venue_now_ns())
            else:
                self.budget.refund(ticket)
        if left:
            self.metrics.lost += 1
            raise LostError(trouble)
        self.metrics.not_written += 1
        raise NotWrittenError(trouble)

    def failure(self, answer: Answer) -> codec.Failure:
        """What an answer that is not 2xx says, without anything of ours that it may repeat."""
        failed = codec.failure(answer.status, answer.body)
        if self._credentials is None:
            return failed
        return msgspec.structs.replace(failed, message=self._credentials.hide(failed.message))

    async def _room(self, request: Request, patience_ns: int, track: str) -> limits.Ticket:
        until_ns = self._clock.monotonic_ns() + patience_ns
        while True:
            found = self.budget.admit(request.kind, request.weight, self.venue_now_ns(), request.orders, track)
            if isinstance(found, limits.Ticket):
                return found
            if self._clock.monotonic_ns() + found.ns > until_ns:
                self.metrics.not_written += 1
                raise NotWrittenError(f"rate limit: {found.reason}, room in {found.ns / 1e9:.1f} s")
            await asyncio.sleep(found.ns / 1e9)

    async def _exchange(self, request: Request, before_write: Callable[[], None]) -> tuple[Answer, limits.Counts]:
        if self.ws_api is None or not self.ws_api.prompt or not request.ws_method:
            return await self._over_http(request, before_write)
        self.metrics.requests += 1
        reply = await self.ws_api.ask(lambda number: self._message(number, request), before_write)
        return Answer(reply.status, reply.body, reply.retry_after_s), reply.counts

    async def _over_http(self, request: Request, before_write: Callable[[], None]) -> tuple[Answer, limits.Counts]:
        async def arm(outgoing: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            if not isinstance(outgoing, _Request):
                raise TypeError("a session that does not ask at the last moment")
            outgoing.before_write = before_write
            return await handler(outgoing)

        self.open()
        if self._session is None:
            raise TypeError("open() leaves a session")
        url, headers = self._addressed(request)
        self.metrics.requests += 1
        # no redirects: a redirected POST would be sent twice, and the key would follow it anywhere
        async with self._session.request(
            request.method, url, headers=headers, middlewares=(arm,), allow_redirects=False
        ) as response:
            return answered(response.status, response.headers, await response.read())

    def _addressed(self, request: Request) -> tuple[URL, dict[str, str]]:
        headers = {}
        if request.signed:
            credentials, timestamp_ms = self._signing()
            query = signed_query(request, credentials.sign, timestamp_ms, self._venue.recv_window_ms)
            headers["X-MBX-APIKEY"] = credentials.key
        else:
            query = request.query
        # already encoded: what was signed must be sent to the letter
        return URL(f"{self._base}{request.path}{'?' if query else ''}{query}", encoded=True), headers

    def _message(self, number: str, request: Request) -> str:
        credentials, timestamp_ms = self._signing()
        window_ms = self._venue.recv_window_ms
        return signed_message(
            number, request.ws_method, request.parameters, credentials.key, credentials.sign, timestamp_ms, window_ms
        )

    def _signing(self) -> tuple[Credentials, int]:
        """Who signs, and the venue's time, milliseconds. Raises CredentialsError."""
        if self._credentials is None:
            raise CredentialsError("no credentials configured")
        return self._credentials.current(self._clock.monotonic_ns()), self.venue_now_ns() // codec.MS_NS

    def _note(self, answer: Answer) -> None:
        failed = codec.failure(answer.status, answer.body)
        self.metrics.failures += 1
        if failed.status in {403, 418, 429} or failed.code in {-1003, -1015}:
            self.metrics.limited += 1
            self.budget.limited(
                failed.status, failed.code, answer.retry_after_s, codec.banned_until_ms(failed), self.venue_now_ns()
            )
        if failed.code in codec.BAD_CREDENTIALS and self._credentials is not None:
            self._credentials.recheck()
