"""The WebSocket API: the requests of REST as messages, and the private stream of an account.

HMAC keys only: `session.logon` needs an Ed25519 key, so it is refused and every signed request carries its own
signature.
"""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from ringfence.simulator.dialect import auth, encode, errors
from ringfence.simulator.dialect.api import Answer, Call
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.dialect.streams import Connection, Hub
from ringfence.simulator.gateway import Gateway

CONNECT_WEIGHT: Final = 2
SUBSCRIBE_WEIGHT: Final = 2
IN_FLIGHT_MAX: Final = 1_000
"""Requests of one connection that wait for their answer."""


class _Request(msgspec.Struct):
    id: int | str | None = None
    method: str = ""
    params: dict[str, Any] = {}


class WsApiServer:
    """/ws-api/v3."""

    def __init__(self, gateway: Gateway, hub: Hub) -> None:
        self._gateway = gateway
        self._hub = hub

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws-api/v3", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        try:
            self._gateway.api.limiter.weigh(address, CONNECT_WEIGHT, self._gateway.advance() / 1e9)
        except ApiError as error:
            return web.json_response(error.document, status=error.status)
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        connection = Connection(socket)
        self._hub.connections.add(connection)
        waiting: set[asyncio.Task[None]] = set()

        async def receive(data: bytes) -> None:
            if len(waiting) >= IN_FLIGHT_MAX:
                connection.close()
                return
            # requests overtake each other nowhere: each enters the line of the gateway as it is received
            task = asyncio.create_task(self._answer(connection, data, address))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

        try:
            await connection.run(receive)
        finally:
            self._hub.drop(connection)
            # what was sent is done all the same; only its answer has nowhere to go
            await asyncio.gather(*waiting, return_exceptions=True)
        return socket

    async def _answer(self, connection: Connection, data: bytes, address: str) -> None:
        try:
            request = msgspec.json.decode(data, type=_Request)
        except msgspec.MsgspecError:
            error = {"code": -1135, "msg": "Invalid JSON Request"}
            connection.send(msgspec.json.encode({"id": None, "status": 400, "error": error}))
            return
        params = {name: _text(value) for name, value in request.params.items()}
        call = Call(
            name=request.method,
            params=params,
            payload=auth.ws_payload(params),
            api_key=params.get("apiKey"),
            address=address,
            arrived_ns=self._gateway.clock.wall_ns(),
        )
        if request.method.startswith(("userDataStream.", "session.")):
            answer = self._session(connection, call)
        else:
            answer = await self._gateway.call(call)
        if answer.cut:
            connection.close()
            return
        connection.send(self.message(request.id, answer))

    def _session(self, connection: Connection, call: Call) -> Answer:
        """Requests about the connection itself."""
        if call.name == "userDataStream.unsubscribe":
            self._hub.unsubscribe_private(connection)
            return Answer(status=200, document={})
        if call.name != "userDataStream.subscribe.signature":
            return _complaint(ApiError(*errors.UNKNOWN_METHOD))
        now_ns = self._gateway.advance()
        try:
            self._gateway.api.limiter.weigh(call.address, SUBSCRIBE_WEIGHT, now_ns / 1e9)
            owner = self._gateway.api.authenticate(call, now_ns)
        except ApiError as error:
            return _complaint(error)
        return Answer(status=200, document={"subscriptionId": self._hub.subscribe_private(connection, owner.account)})

    def message(self, request_id: int | str | None, answer: Answer) -> bytes:
        """The answer to the request of this number."""
        document: dict[str, Any] = {"id": request_id, "status": answer.status}
        document["result" if answer.status == 200 else "error"] = answer.document
        if answer.retry_after_s is not None:
            now_ms = encode.ms(self._gateway.clock.wall_ns())
            wait = {"serverTime": now_ms, "retryAfter": now_ms + answer.retry_after_s * 1_000}
            document["error"] = answer.document | {"data": wait}
        weight, ten_s, day = encode.rate_limits(self._gateway.api.limiter.limits)
        document["rateLimits"] = [weight | {"count": answer.weight_used}]
        if answer.order_counts is not None:
            document["rateLimits"] += [
                ten_s | {"count": answer.order_counts[0]},
                day | {"count": answer.order_counts[1]},
            ]
        return msgspec.json.encode(document)


def _complaint(error: ApiError) -> Answer:
    return Answer(status=error.status, document={"code": error.code, "msg": error.message})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
