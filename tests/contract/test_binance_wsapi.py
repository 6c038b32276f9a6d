"""Orders and cancels over the WebSocket API, against a server that answers as each test says.

What REST does with the same answers is in test_binance_wire.py.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType, web
from wirerig import KEY, SECRET, Connected, adapter, order, write_credentials, yes

from ringfence.runtime.clock import SystemClock
from ringfence.runtime.serving import serving
from ringfence.venues.api import Accepted, NotSent, Refused, Unknown

WAIT_S = 10.0
Asked = dict[str, Any]


def done(asked: Asked) -> Asked | None:
    return {"id": asked["id"], "status": 200, "result": {"orderId": 28}}


def error(status: int, code: int, message: str, **more: Any) -> Callable[[Asked], Asked | None]:
    return lambda asked: {"id": asked["id"], "status": status, "error": {"code": code, "msg": message} | more}


class Server:
    """``answer`` says what a request on the WebSocket is told; None: nothing."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.heads: list[str] = []
        """Orders and cancels by REST."""
        self.sockets: list[web.WebSocketResponse] = []
        self.answer: Callable[[Asked], Asked | None] = done
        self.refuses = False
        """New connections of the WebSocket API."""
        self.came = asyncio.Event()

    async def socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = msgspec.json.decode(message.data)
            if asked["method"].startswith("userDataStream."):
                await self.say({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}})
                continue
            self.asked.append(asked)
            self.came.set()
            answer = self.answer(asked)
            if answer is not None:
                await self.say(answer)
        return socket

    async def say(self, message: Asked) -> None:
        await self.sockets[-1].send_str(msgspec.json.encode(message).decode())

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.asked) < count:
                self.came.clear()
                await self.came.wait()

    async def rest(self, request: web.Request) -> web.Response:
        if request.path.startswith("/api/v3/order"):
            self.heads.append(f"{request.method} {request.path}")
        now_ms = SystemClock().wall_ns() // 1_000_000
        return web.json_response({"serverTime": now_ms, "orderId": 29})


@contextlib.asynccontextmanager
async def connected(tmp_path: Path) -> AsyncIterator[Connected[Server]]:
    """An adapter whose connection to the WebSocket API is up."""
    server = Server()
    application = web.Application()
    application.add_routes([web.get("/ws-api/v3", server.socket), web.route("*", "/{path:.*}", server.rest)])
    write_credentials(tmp_path)
    async with serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
        fixture = Connected(server, adapter(f"127.0.0.1:{port}", tmp_path), tmp_path)
        try:
            await fixture.venue.start(fixture.listener)
            await fixture.listener.until_it_is(connected=True)
            yield fixture
        finally:
            await fixture.venue.close()


@pytest.mark.asyncio
async def test_an_order_and_its_cancel_are_one_signed_message_each(tmp_path: Path) -> None:
    """In the order in which they were asked for, on one connection, and nothing of them by REST."""
    async with connected(tmp_path) as fixture:
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
        assert await fixture.venue.cancel("BTCUSDT", "rf-1-a") == Accepted("28")
    placed, canceled = fixture.server.asked
    assert (placed["method"], placed["params"]["newClientOrderId"]) == ("order.place", "rf-1-a")
    assert (canceled["method"], canceled["params"]["origClientOrderId"]) == ("order.cancel", "rf-1-a")
    for message in (placed, canceled):
        params = message["params"]
        signature = params.pop("signature")
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        assert params["apiKey"] == KEY
        assert signature == hmac.new(SECRET.encode(), payload.encode(), "sha256").hexdigest()
        assert SECRET not in str(message)
    assert fixture.server.heads == []


@pytest.mark.asyncio
async def test_veto_at_the_socket_leaves_nothing_on_the_wire(tmp_path: Path) -> None:
    """The gate is asked after everything else is ready, and its no means that no byte leaves."""
    async with connected(tmp_path) as fixture:
        assert await fixture.venue.submit(order(), lambda _: "epoch 2 is newer") == NotSent("epoch 2 is newer")
        assert isinstance(await fixture.venue.submit(order(lifetime_s=-1), yes), NotSent)
        assert fixture.server.asked == []
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
    assert len(fixture.server.asked) == 1
    assert fixture.server.heads == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        error(503, -1008, "Server is currently overloaded."),
        error(500, -1013, "Filter failure: LOT_SIZE"),
        error(400, -1006, "An unexpected response was received from the message bus."),
        error(400, -1007, "Timeout waiting for response from backend server."),
        error(400, -2010, "Duplicate order sent."),
        lambda asked: {"id": asked["id"], "status": 200, "result": "rubbish"},
        lambda asked: {"id": asked["id"], "status": 200},
        lambda asked: {"id": asked["id"], "status": 400, "error": "rubbish"},
        lambda _: {"what": "is this"},
    ],
)
async def test_what_is_not_proven_is_unknown_and_never_sent_again(
    tmp_path: Path, answer: Callable[[Asked], Asked]
) -> None:
    """5xx, -1006 and -1007, unreadable answers: one message, and its outcome unknown."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = answer
        assert isinstance(await fixture.venue.submit(order(), yes), Unknown)
        assert len(fixture.server.asked) == 1
        assert fixture.server.heads == []


@pytest.mark.asyncio
async def test_what_was_under_way_when_the_connection_broke_is_unknown(tmp_path: Path) -> None:
    """All of it, at once, and none of it is sent again; REST takes what comes until there is a new connection."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: None
        requests = [asyncio.create_task(fixture.venue.submit(order(f"rf-1-{n}"), yes)) for n in range(5)]
        requests.append(asyncio.create_task(fixture.venue.cancel("BTCUSDT", "rf-1-x")))
        await fixture.server.until(6)
        fixture.server.refuses = True
        await fixture.server.sockets[-1].close()
        assert [type(found) for found in await asyncio.gather(*requests)] == [Unknown] * 6
        await fixture.listener.until_it_is(connected=False)
        assert await fixture.venue.submit(order("rf-1-b"), yes) == Accepted("29")
        assert await fixture.venue.cancel("BTCUSDT", "rf-1-b") == Accepted("29")
        assert fixture.server.heads == ["POST /api/v3/order", "DELETE /api/v3/order"]
        fixture.server.refuses, fixture.server.answer = False, done
        await fixture.listener.until_it_is(connected=True)
        assert await fixture.venue.submit(order("rf-1-c"), yes) == Accepted("28")
    assert len(fixture.server.asked) == 7
    assert len(fixture.server.heads) == 2


@pytest.mark.asyncio
async def test_a_connection_that_owes_an_answer_for_long_holds_up_no_cancel(tmp_path: Path) -> None:
    """It may be dead before anybody notices: what comes goes by REST until it has answered."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: None
        stuck = asyncio.create_task(fixture.venue.cancel("BTCUSDT", "rf-1-x"))
        await fixture.server.until(1)
        api = fixture.venue._client.ws_api
        assert api is not None
        async with asyncio.timeout(WAIT_S):
            while api.prompt:
                await asyncio.sleep(0.05)
        assert await fixture.venue.cancel("BTCUSDT", "rf-1-x") == Accepted("29")
        assert fixture.server.heads == ["DELETE /api/v3/order"]
        fixture.server.answer = done
        await fixture.server.say(fixture.server.asked[0] | {"status": 200, "result": {"orderId": 28}})
        assert await stuck == Accepted("28")
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
    assert len(fixture.server.heads) == 1


@pytest.mark.asyncio
async def test_answers_find_their_requests_in_any_order(tmp_path: Path) -> None:
    """An answer is known by its number; one that nobody asked for is nobody's."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: None
        requests = [asyncio.create_task(fixture.venue.submit(order(f"rf-1-{n}"), yes)) for n in range(20)]
        await fixture.server.until(20)
        await fixture.server.say({"id": "4711", "status": 200, "result": {"orderId": 1}})
        for asked in reversed(fixture.server.asked):
            number = int(asked["params"]["newClientOrderId"].removeprefix("rf-1-"))
            await fixture.server.say({"id": asked["id"], "status": 200, "result": {"orderId": 100 + number}})
        assert await asyncio.gather(*requests) == [Accepted(str(100 + number)) for number in range(20)]


@pytest.mark.asyncio
async def test_rate_limit_is_a_refusal_and_then_silence(tmp_path: Path) -> None:
    """After a 429 nothing is sent until the moment that it named; too many orders leaves cancels alone."""
    wait = {"serverTime": 1_000, "retryAfter": 61_000}
    async with connected(tmp_path) as fixture:
        fixture.server.answer = error(429, -1015, "Too many new orders", data=wait)
        first = await fixture.venue.submit(order(), yes)
        second = await fixture.venue.submit(order(), yes)
        fixture.server.answer = error(429, -1003, "Too much request weight used", data=wait)
        third = await fixture.venue.cancel("BTCUSDT", "x")
        fourth = await fixture.venue.cancel("BTCUSDT", "x")
    assert isinstance(first, Refused)
    assert "retry after 60 s" in first.reason
    assert isinstance(second, NotSent)
    assert isinstance(third, Refused)
    assert isinstance(fourth, NotSent)
    assert [asked["method"] for asked in fixture.server.asked] == ["order.place", "order.cancel"]
    assert fixture.server.heads == []


@pytest.mark.asyncio
async def test_the_counts_of_an_answer_bind_the_next_request(tmp_path: Path) -> None:
    """What the venue has counted, whoever sent it, is used up: the order after it stays here."""

    def used_up(asked: Asked) -> Asked:
        line = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000, "count": 200_000}
        return {"id": asked["id"], "status": 200, "result": {"orderId": 28}, "rateLimits": [line]}

    async with connected(tmp_path) as fixture:
        fixture.server.answer = used_up
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
        late = await fixture.venue.submit(order("rf-1-b", lifetime_s=1), yes)
    assert isinstance(late, NotSent)
    assert "order count of 1D" in late.reason
    assert len(fixture.server.asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["serverShutdown", "rotated"])
async def test_an_announced_end_makes_nothing_unknown(tmp_path: Path, why: str) -> None:
    """Nothing new goes that way any more, and the connection first brings the answers that it owes."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: None
        request = asyncio.create_task(fixture.venue.submit(order(), yes))
        await fixture.server.until(1)
        if why == "rotated":
            (fixture.credentials / "api-key").write_text("NEWKEY")
        else:
            await fixture.server.say({"event": {"e": "serverShutdown", "E": 1}})
        async with asyncio.timeout(WAIT_S):
            while fixture.venue._client.ws_api is not None:
                await asyncio.sleep(0.01)
        assert await fixture.venue.cancel("BTCUSDT", "x") == Accepted("29")
        assert fixture.server.heads == ["DELETE /api/v3/order"]
        await fixture.server.say({"id": fixture.server.asked[0]["id"], "status": 200, "result": {"orderId": 7}})
        assert await request == Accepted("7")
        await fixture.listener.until_it_is(connected=False)
        assert why in fixture.listener.streams[-1][1]
        fixture.server.answer = done
        await fixture.listener.until_it_is(connected=True)
        assert await fixture.venue.submit(order("rf-1-b"), yes) == Accepted("28")
    assert fixture.server.asked[-1]["params"]["apiKey"] == ("NEWKEY" if why == "rotated" else KEY)


@pytest.mark.asyncio
async def test_rotated_credentials_are_noticed_on_a_stream_that_is_never_silent(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:

        async def talk() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await fixture.server.say({"event": {"e": "externalLockUpdate", "E": 1}})
                    await asyncio.sleep(0.05)

        talking = asyncio.create_task(talk())
        (fixture.credentials / "api-key").write_text("NEWKEY")
        await fixture.listener.until_it_is(connected=False)
        talking.cancel()
        assert "rotated" in fixture.listener.streams[-1][1]


@pytest.mark.asyncio
async def test_a_rate_limit_whose_end_has_passed_on_the_way_binds_all_the_same(tmp_path: Path) -> None:
    """Whoever goes on at once is banned: as long as where the venue names no end."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = error(429, -1003, "Too much", data={"serverTime": 3_000, "retryAfter": 1_000})
        assert isinstance(await fixture.venue.cancel("BTCUSDT", "x"), Refused)
        assert isinstance(await fixture.venue.cancel("BTCUSDT", "x"), NotSent)
    assert len(fixture.server.asked) == 1


@pytest.mark.asyncio
async def test_an_announced_end_waits_for_no_answer_for_long(tmp_path: Path) -> None:
    """A venue that says no more leaves the outcome unknown, and a new connection is opened."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: None
        request = asyncio.create_task(fixture.venue.submit(order(), yes))
        await fixture.server.until(1)
        await fixture.server.say({"event": {"e": "serverShutdown", "E": 1}})
        assert isinstance(await request, Unknown)
        await fixture.listener.until_it_is(connected=False)
        await fixture.listener.until_it_is(connected=True)


@pytest.mark.asyncio
async def test_credentials_appear_in_no_outcome(tmp_path: Path) -> None:
    """Not even when the venue repeats them."""
    texts: list[str] = []
    async with connected(tmp_path) as fixture:
        for answer in (
            error(400, -1100, f"bad key {KEY} and secret {SECRET}"),
            error(401, -2015, f"key {KEY}"),
            error(500, -1000, SECRET),
        ):
            fixture.server.answer = answer
            texts.append(repr(await fixture.venue.submit(order(), yes)))
            texts.append(repr(await fixture.venue.cancel("BTCUSDT", "x")))
    assert len(texts) == 6
    for secret in (KEY, SECRET, "signature="):
        assert secret not in "\n".join(texts)
