"""The wire between the real adapter and the simulated venue: what it loses, delays, breaks and repeats."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random  # sim-ok: the type of what is handed in
from types import TracebackType
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import aiohttp
import msgspec

from chaos.life import Life
from chaos.plan import FATES
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Venue as Address
from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.api import Answer, Call
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.dialect.rest import PATHS
from ringfence.simulator.dialect.streams import Connection
from ringfence.simulator.dialect.wsapi import WsApiServer
from ringfence.simulator.gateway import Gateway
from ringfence.venues.api import TradingListener
from ringfence.venues.binance import client
from ringfence.venues.binance.credentials import CredentialFiles
from ringfence.venues.binance.limits import Counts
from ringfence.venues.binance.offset import VenueClock
from ringfence.venues.binance.request import Request
from ringfence.venues.binance.trading import SUBSCRIBE, BinanceTrading
from ringfence.venues.binance.wsapi import TIMEOUT_S

ADDRESS: Final = "127.0.0.1"


class Network:
    """Every fault is drawn from the episode's seed when a request leaves."""

    def __init__(self, gateway: Gateway, rng: Random) -> None:
        self.gateway = gateway
        self.trouble = 0.0
        """Chance that something happens to a request."""
        self.kinds: tuple[str, ...] = FATES
        self.order_trouble = 0.0
        """The same for orders and cancels."""
        self.event_loss = 0.0
        """Chance that a private event is never told."""
        self.repeats = 0.0
        """Chance that a private event is told twice."""
        self.deaf = False
        """New private streams are refused."""
        self.on_order: Callable[[str], None] = lambda _id: None
        """Hears of every order in the moment in which its bytes leave."""
        self.fates: dict[str, int] = {}
        self.messages = False
        """Orders and cancels go over the WebSocket API while there is a private stream, else always by REST."""
        self.messages_sent = 0
        self.directed: dict[str, str] = {}
        """What becomes of the next request to a path, whatever the dice say."""
        self._rng = rng
        self._underway: set[asyncio.Task[Any]] = set()
        self._ws_api = WsApiServer(gateway, gateway.hub)

    def fate(self, method: str, path: str) -> str:
        if path in self.directed:
            return self.directed.pop(path)
        if self._rng.random() >= (self.trouble if method == "GET" else max(self.trouble, self.order_trouble)):
            return ""
        found = self._rng.choice(self.kinds)
        if found == "twice" and method == "POST":
            return ""
        self.fates[found] = self.fates.get(found, 0) + 1
        return found

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """What has left goes on, whatever becomes of its sender."""
        task = asyncio.get_running_loop().create_task(work)
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        return task

    async def exchange(
        self, life: Life, request: Request, query: str, headers: dict[str, str], before_write: Callable[[], None]
    ) -> tuple[client.Answer, Counts]:
        """One request and what its sender learns of it."""
        fate, rng = self.fate(request.method, request.path), self._rng
        short, long = rng.uniform(0.0, 0.2), rng.uniform(0.2, 4.0)
        await asyncio.sleep(short / 10)
        if fate == "refused":
            raise aiohttp.ClientConnectionError("refused")
        before_write()
        life.step("request")
        params = dict(parse_qsl(query, keep_blank_values=True))
        if request.method == "POST":
            for name in ("newClientOrderId", "aboveClientOrderId", "belowClientOrderId"):
                if name in params:
                    self.on_order(params[name])
        call = Call(
            name=PATHS[request.method, request.path],
            params=params,
            payload=auth.rest_payload(query, ""),
            api_key=headers.get("X-MBX-APIKEY"),
            address=ADDRESS,
            arrived_ns=self.gateway.clock.wall_ns(),
        )
        arrives = {"late request": long, "lost and late": long / 3}.get(fate, 0.0)
        sent = None
        if fate not in {"request lost", "502 unexecuted"}:
            sent = self.spawn(self._arrive(call, arrives, times=2 if fate == "twice" else 1))
        life.step("request sent")
        if fate in {"request lost", "answer lost", "lost and late"}:
            await asyncio.sleep(short)
            raise aiohttp.ServerDisconnectedError
        if fate == "silence":
            await asyncio.sleep(TIMEOUT_S)
            raise TimeoutError
        if sent is None or fate == "504 executed":
            await asyncio.sleep(short)
            return client.answered(502, {}, b"<html>bad gateway</html>")
        answer = await asyncio.shield(sent)
        if answer.cut:
            raise aiohttp.ClientPayloadError
        await asyncio.sleep(long if fate == "late answer" else 0)
        life.step("answer")
        return client.answered(answer.status, _headers(answer), msgspec.json.encode(answer.document))

    def message(self, asked: dict[str, Any], line: "Line") -> None:
        """An order or a cancel as a message: what becomes of it and of the line that it came by."""
        self.messages_sent += 1
        method, path = next(key for key, name in PATHS.items() if name == asked["method"])
        fate = "request lost" if line.broken else self.fate(method, path)
        line.broken = line.broken or fate in {"refused", "request lost"}
        params = {name: str(value) for name, value in asked["params"].items()}
        if method == "POST":
            self.on_order(params["newClientOrderId"])
        self.spawn(self._answered(asked["id"], _ws_call(self.gateway, asked["method"], params), fate, line))

    async def _answered(self, number: str, call: Call, fate: str, line: "Line") -> None:
        short, long = self._rng.uniform(0.0, 0.2), self._rng.uniform(0.2, 4.0)
        if fate in {"refused", "request lost", "answer lost", "lost and late"}:
            line.close()
        if fate in {"refused", "request lost"}:
            return
        answer = Answer(status=502, document={"code": -1000, "msg": "An unknown error occurred."})
        if fate != "502 unexecuted":
            arrives = {"late request": long, "lost and late": long / 3}.get(fate, short / 10)
            found = await self._arrive(call, arrives, times=2 if fate == "twice" else 1)
            answer = answer if fate == "504 executed" else found
        if fate == "late answer":
            await asyncio.sleep(long)
        if answer.cut:
            line.close()
        elif fate != "silence":
            line.send(self._ws_api.message(number, answer))

    async def _arrive(self, call: Call, after_s: float, times: int) -> Answer:
        await asyncio.sleep(after_s)
        for _ in range(times - 1):
            await self.gateway.call(call)
        return await self.gateway.call(call)

    def copies(self) -> int:
        """How often a private event is told."""
        if self._rng.random() < self.event_loss:
            return 0
        return 2 if self._rng.random() < self.repeats else 1


def _ws_call(gateway: Gateway, method: str, params: dict[str, str]) -> Call:
    return Call(
        name=method,
        params=params,
        payload=auth.ws_payload(params),
        api_key=params["apiKey"],
        address=ADDRESS,
        arrived_ns=gateway.clock.wall_ns(),
    )


def _headers(answer: Answer) -> dict[str, str]:
    headers = {"X-MBX-USED-WEIGHT-1M": str(answer.weight_used)}
    if answer.order_counts is not None:
        headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1D"] = map(str, answer.order_counts)
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    return headers


class Line(Connection):
    """The venue's end of a private stream."""

    def __init__(self, network: Network) -> None:
        self.combined = False
        self.streams = set()
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.broken = False
        """What was written to it has been lost, and so is all that is written after it."""
        self._closed = False
        self._network = network

    def send(self, message: bytes) -> None:
        for _ in range(self._network.copies() if b'"executionReport"' in message else 1):
            if not self._closed:
                self.inbox.put_nowait(message)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.inbox.put_nowait(None)


class Socket:
    """The client's end."""

    close_code = 1001

    def __init__(self, network: Network, life: Life) -> None:
        self._network = network
        self._life = life
        self._line = Line(network)

    async def __aenter__(self) -> "Socket":
        await asyncio.sleep(0.002)
        if self._network.deaf:
            raise aiohttp.ClientConnectionError("refused")
        self._network.gateway.hub.connections.add(self._line)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._network.gateway.hub.drop(self._line)

    async def send_str(self, text: str) -> None:
        asked = msgspec.json.decode(text)
        if asked["method"] != SUBSCRIBE:
            self._life.step("request")
            self._network.message(asked, self._line)
            self._life.step("request sent")
            return
        self._life.step("subscribe")
        params = {name: str(value) for name, value in asked["params"].items()}
        gateway = self._network.gateway
        call = _ws_call(gateway, asked["method"], params)
        await asyncio.sleep(0.002)
        try:
            owner = gateway.api.authenticate(call, gateway.advance())
            number = gateway.hub.subscribe_private(self._line, owner.account)
            told: dict[str, Any] = {"status": 200, "result": {"subscriptionId": number}}
        except ApiError as error:
            told = {"status": error.status, "error": {"code": error.code, "msg": error.message}}
        self._line.send(msgspec.json.encode({"id": asked["id"]} | told))

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:
        async with asyncio.timeout(timeout):
            message = await self._line.inbox.get()
        self._life.step("event")
        if message is None:
            self._line.inbox.put_nowait(None)  # once closed it is closed, however often it is asked
            return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, message.decode(), None)


class Session:
    def __init__(self, network: Network, life: Life) -> None:
        self._network = network
        self._life = life

    def ws_connect(self, _url: str, **_options: Any) -> Socket:
        return Socket(self._network, self._life)

    async def close(self) -> None:
        pass


class WireClient(client.Client):
    """The real one, down to the bytes."""

    def __init__(
        self,
        address: Address,
        clock: Clock,
        venue_clock: VenueClock,
        credentials: CredentialFiles,
        network: Network,
        life: Life,
    ) -> None:
        super().__init__(address, clock, venue_clock, credentials)
        self._network = network
        self._life = life

    async def _exchange(self, request: Request, before_write: Callable[[], None]) -> tuple[client.Answer, Counts]:
        if self._network.messages:
            return await super()._exchange(request, before_write)
        return await self._over_http(request, before_write)

    async def _over_http(self, request: Request, before_write: Callable[[], None]) -> tuple[client.Answer, Counts]:
        url, headers = self._addressed(request)
        self.metrics.requests += 1
        async with asyncio.timeout(TIMEOUT_S):
            return await self._network.exchange(self._life, request, url.raw_query_string, headers, before_write)


class WireTrading(BinanceTrading):
    """The real adapter on such a wire."""

    def __init__(
        self, address: Address, clock: Clock, rng: Random, credentials: Path, network: Network, life: Life
    ) -> None:
        super().__init__(address, clock, rng, credentials)
        self._client = WireClient(address, clock, self._venue_clock, self._credentials, network, life)
        self.metrics = self._client.metrics
        self._wire_session = cast("aiohttp.ClientSession", Session(network, life))

    async def start(self, listener: TradingListener) -> None:
        self._session = self._wire_session
        self._tasks = [
            asyncio.create_task(self._keep_clock(), name="clock"),
            asyncio.create_task(self._keep_stream(listener), name="private stream"),
        ]

    def stop(self) -> None:
        """At once, as a kill does."""
        for task in self._tasks:
            task.cancel()
