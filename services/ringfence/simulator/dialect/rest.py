"""REST: paths to requests of the protocol, answers to HTTP."""

from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.api import Answer, Call
from ringfence.simulator.gateway import Gateway

PATHS: Final = {
    ("GET", "/api/v3/ping"): "ping",
    ("GET", "/api/v3/time"): "time",
    ("GET", "/api/v3/exchangeInfo"): "exchangeInfo",
    ("GET", "/api/v3/depth"): "depth",
    ("GET", "/api/v3/trades"): "trades.recent",
    ("GET", "/api/v3/historicalTrades"): "trades.historical",
    ("GET", "/api/v3/aggTrades"): "trades.aggregate",
    ("GET", "/api/v3/klines"): "klines",
    ("GET", "/api/v3/uiKlines"): "uiKlines",
    ("GET", "/api/v3/avgPrice"): "avgPrice",
    ("GET", "/api/v3/ticker/24hr"): "ticker.24hr",
    ("GET", "/api/v3/ticker/price"): "ticker.price",
    ("GET", "/api/v3/ticker/bookTicker"): "ticker.book",
    ("GET", "/api/v3/account"): "account.status",
    ("GET", "/api/v3/order"): "order.status",
    ("POST", "/api/v3/order"): "order.place",
    ("DELETE", "/api/v3/order"): "order.cancel",
    ("POST", "/api/v3/order/cancelReplace"): "order.cancelReplace",
    ("PUT", "/api/v3/order/amend/keepPriority"): "order.amend.keepPriority",
    ("POST", "/api/v3/orderList/oco"): "orderList.place.oco",
    ("POST", "/api/v3/order/test"): "order.test",
    ("GET", "/api/v3/openOrders"): "openOrders.status",
    ("DELETE", "/api/v3/openOrders"): "openOrders.cancelAll",
    ("GET", "/api/v3/allOrders"): "allOrders",
    ("GET", "/api/v3/myTrades"): "myTrades",
    ("GET", "/api/v3/rateLimit/order"): "account.rateLimits.orders",
}


class RestServer:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route(method, path, self.handle, allow_head=False)
            if method == "GET"
            else web.route(method, path, self.handle)
            for method, path in PATHS
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        arrived_ns = self._gateway.clock.wall_ns()
        # as it was sent: the signature covers the bytes, not what a parser makes of them
        query = request.raw_path.partition("?")[2]
        body = (await request.read()).decode("utf-8", "replace")
        answer = await self._gateway.call(
            Call(
                name=PATHS[request.method, request.path],
                params=dict(parse_qsl(body, keep_blank_values=True)) | dict(parse_qsl(query, keep_blank_values=True)),
                payload=auth.rest_payload(query, body),
                api_key=request.headers.get("X-MBX-APIKEY"),
                address=request.remote or "",
                arrived_ns=arrived_ns,
            )
        )
        told = msgspec.json.encode(answer.document)
        if answer.cut:
            return await _cut(request, told)
        return web.Response(
            status=answer.status,
            body=told,
            content_type="application/json",
            headers=_headers(answer),
        )


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Half of an answer, and the end of the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _headers(answer: Answer) -> dict[str, str]:
    headers = {"X-MBX-USED-WEIGHT": str(answer.weight_used), "X-MBX-USED-WEIGHT-1M": str(answer.weight_used)}
    if answer.order_counts is not None:
        ten_s, day = answer.order_counts
        headers |= {"X-MBX-ORDER-COUNT-10S": str(ten_s), "X-MBX-ORDER-COUNT-1D": str(day)}
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    return headers
