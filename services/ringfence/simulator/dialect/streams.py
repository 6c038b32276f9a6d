"""Market streams and private streams: who listens to what, and the connections that carry it.

A message is encoded once, and not at all when nobody listens. A connection that does not keep up is closed: its
client resynchronises, as it would have to at the real venue.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from ringfence.simulator.dialect import encode
from ringfence.simulator.faults import Faults
from ringfence.simulator.orders import AccountChange, BestQuote, DepthUpdate, PublicTrade, Report, VenueEvent

PING_S: Final = 20.0
PONG_S: Final = 60.0
"""A client that has not answered a ping for so long is gone; only a pong with the ping's own payload counts."""
LIFE_S: Final = 24 * 3600
"""Connections end after a day, as at the real venue."""
QUEUE_MAX: Final = 10_000
STREAMS_MAX: Final = 1_024
MESSAGES_PER_S_MAX: Final = 5

_json = msgspec.json.Encoder()


class Connection:
    """One WebSocket with a bounded queue of what it is still to send."""

    def __init__(self, socket: web.WebSocketResponse, *, combined: bool = False) -> None:
        self.combined = combined
        """Messages are wrapped with the name of their stream."""
        self.streams: set[str] = set()
        self._socket = socket
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unanswered: dict[bytes, float] = {}
        """Payloads of pings, and when they were sent."""

    def send(self, message: bytes) -> None:
        if self._queue.qsize() >= QUEUE_MAX:
            self.close()
        else:
            self._queue.put_nowait(message)

    def close(self) -> None:
        """End it once what was queued before has gone out; nothing more is taken."""
        self._queue.put_nowait(None)

    async def write(self) -> None:
        """Send until closed."""
        while (message := await self._queue.get()) is not None:
            await self._socket.send_str(message.decode())
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def run(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        """Serve until either end closes it."""
        loop = asyncio.get_running_loop()
        end = loop.call_later(LIFE_S, self.close)
        tasks = [asyncio.create_task(self.write()), asyncio.create_task(self._ping())]
        try:
            async for message in self._socket:
                match message.type:
                    case WSMsgType.TEXT | WSMsgType.BINARY:
                        data = message.data
                        await receive(data.encode() if isinstance(data, str) else data)
                    case WSMsgType.PING:
                        await self._socket.pong(message.data)
                    case WSMsgType.PONG if bytes(message.data) in self._unanswered:
                        self._unanswered.clear()
                    case _:
                        pass
        finally:
            end.cancel()
            for task in tasks:
                task.cancel()
            with contextlib.suppress(ConnectionError):
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(result, Exception):
                        raise result

    async def _ping(self) -> None:
        """Ask for a sign of life, and end the connection where there is none."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_S)
                sent = self._unanswered.values()
                if sent and loop.time() - min(sent) >= PONG_S:
                    self.close()
                    return
                payload = str(int(loop.time() * 1_000)).encode()
                self._unanswered[payload] = loop.time()
                await self._socket.ping(payload)


class Hub:
    """All connections, and what each of them listens to."""

    def __init__(self, faults: Faults) -> None:
        self.connections: set[Connection] = set()
        self.sent = 0
        self._faults = faults
        self._streams: dict[str, set[Connection]] = {}
        self._private: dict[str, dict[Connection, int]] = {}
        self._held: list[tuple[str, encode.Document]] = []
        """Private events that are told after what follows them."""
        self._names: dict[tuple[type[VenueEvent], str, int], str] = {}

    def subscribe(self, connection: Connection, streams: list[str]) -> None:
        for name in streams:
            self._streams.setdefault(name, set()).add(connection)
            connection.streams.add(name)

    def unsubscribe(self, connection: Connection, streams: list[str]) -> None:
        for name in streams:
            listeners = self._streams.get(name, set())
            listeners.discard(connection)
            if not listeners:
                self._streams.pop(name, None)  # names are the clients' invention: none is kept without need
            connection.streams.discard(name)

    def subscribe_private(self, connection: Connection, account: str) -> int:
        """Send an account's events; returns the number of the subscription, which counts within the connection."""
        mine = [listeners[connection] for listeners in self._private.values() if connection in listeners]
        return self._private.setdefault(account, {}).setdefault(connection, len(mine))

    def unsubscribe_private(self, connection: Connection) -> None:
        for listeners in self._private.values():
            listeners.pop(connection, None)

    def drop(self, connection: Connection) -> None:
        """It is gone."""
        self.connections.discard(connection)
        self.unsubscribe(connection, list(connection.streams))
        self.unsubscribe_private(connection)

    def close_all(self) -> None:
        for connection in list(self.connections):
            connection.close()

    def shut_down(self, now_ns: int) -> None:
        """Announce the end to everybody, and then end."""
        event = {"e": "serverShutdown", "E": encode.ms(now_ns)}
        private = {connection for listeners in self._private.values() for connection in listeners}
        for connection in list(self.connections):
            wrapped = {"event": event} if connection in private else event
            document = {"stream": "serverShutdown", "data": event} if connection.combined else wrapped
            connection.send(_json.encode(document))
        self.close_all()

    def publish(self, event: VenueEvent) -> None:
        """Send to whoever listens."""
        if isinstance(event, Report):
            self._to_account(event.order.account, event, encode.execution_report)
        elif isinstance(event, AccountChange):
            self._to_account(
                event.account, event, lambda change: encode.account_position(change, self._faults.balances)
            )
        elif event.symbol not in self._faults.silent:
            self._to_stream(event)

    def _to_account(self, account: str, event: Any, document: Callable[[Any], encode.Document]) -> None:
        listeners = self._private.get(account)
        if not listeners or self._faults.loses_event():
            return
        body = document(event)
        if self._faults.delays_event():
            late_s = self._faults.late_ms / 1_000
            asyncio.get_running_loop().call_later(late_s, self._tell, account, body)
        elif self._faults.swaps_event():
            self._held.append((account, body))
        else:
            self._tell(account, body)
            if self._faults.repeats_event():
                self._tell(account, body)
            held, self._held = self._held, []
            for whose, earlier in held:
                self._tell(whose, earlier)

    def _tell(self, account: str, body: encode.Document) -> None:
        for connection, subscription_id in self._private.get(account, {}).items():
            self.sent += 1
            connection.send(_json.encode({"subscriptionId": subscription_id, "event": body}))

    def _to_stream(self, event: PublicTrade | BestQuote | DepthUpdate) -> None:
        period_ms = event.period_ms if isinstance(event, DepthUpdate) else 0
        key = (type(event), event.symbol, period_ms)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = _stream_name(event)
        listeners = self._streams.get(name)
        if not listeners:
            return
        if period_ms and self._faults.loses_depth(event.symbol):
            return
        if isinstance(event, DepthUpdate):
            body = _json.encode(encode.depth_message(event))
        elif isinstance(event, PublicTrade):
            body = _json.encode(encode.trade_message(event))
        else:
            body = _json.encode(encode.quote_message(event))
        for connection in listeners:
            self.sent += 1
            connection.send(b'{"stream":"%b","data":%b}' % (name.encode(), body) if connection.combined else body)


class _Command(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


class StreamServer:
    """/ws, /ws/<stream> and /stream?streams=<a>/<b>."""

    def __init__(self, hub: Hub, monotonic_ns: Callable[[], int]) -> None:
        self._hub = hub
        self._monotonic_ns = monotonic_ns

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ws", self.raw),
            web.get("/ws/{streams:.+}", self.raw),
            web.get("/stream", self.combined),
        ]

    async def raw(self, request: web.Request) -> web.WebSocketResponse:
        streams = request.match_info.get("streams", "")
        return await self._serve(request, streams, combined=False)

    async def combined(self, request: web.Request) -> web.WebSocketResponse:
        return await self._serve(request, request.query.get("streams", ""), combined=True)

    async def _serve(self, request: web.Request, streams: str, *, combined: bool) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, combined=combined)
        self._hub.connections.add(connection)
        self._hub.subscribe(connection, [name for name in streams.split("/") if name][:STREAMS_MAX])
        received: list[int] = []

        async def receive(data: bytes) -> None:
            now_ns = self._monotonic_ns()
            received[:] = [at for at in received if at > now_ns - 1_000_000_000] + [now_ns]
            if len(received) > MESSAGES_PER_S_MAX:
                connection.close()
            else:
                connection.send(_json.encode(self._command(connection, data)))

        try:
            await connection.run(receive)
        finally:
            self._hub.drop(connection)
        return socket

    def _command(self, connection: Connection, data: bytes) -> dict[str, Any]:
        """Answer to one message of the client."""
        try:
            command = msgspec.json.decode(data, type=_Command)
        except msgspec.MsgspecError as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}
        result: Any = None
        match command.method:
            case "SUBSCRIBE":
                if len(connection.streams) + len(command.params) > STREAMS_MAX:
                    return {"error": {"code": 4, "msg": "Too many streams"}, "id": command.id}
                self._hub.subscribe(connection, command.params)
            case "UNSUBSCRIBE":
                self._hub.unsubscribe(connection, command.params)
            case "LIST_SUBSCRIPTIONS":
                result = sorted(connection.streams)
            case _:
                return {"error": {"code": 2, "msg": f"Invalid request: unknown method {command.method}"}}
        return {"result": result, "id": command.id}


def _stream_name(event: PublicTrade | BestQuote | DepthUpdate) -> str:
    symbol = event.symbol.lower()
    match event:
        case PublicTrade():
            return f"{symbol}@trade"
        case BestQuote():
            return f"{symbol}@bookTicker"
        case DepthUpdate():
            return f"{symbol}@depth@100ms" if event.period_ms == 100 else f"{symbol}@depth"
