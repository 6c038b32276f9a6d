"""What leaves the Binance adapter and what it concludes, against a server that answers as each test says.

The simulator is the place for a venue that behaves; here it hangs up, redirects, lies and limits.
"""

import asyncio
import contextlib
import hmac
import logging
import random
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from wirerig import KEY, SECRET, Connected, adapter, order, write_credentials, yes

from ringfence.runtime.clock import SystemClock
from ringfence.venues.api import Accepted, NotSent, Refused, Unknown, VenueError
from ringfence.venues.binance.trading import BinanceTrading

ACK = '{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"x","transactTime":1507725176595}'


def http(status: int, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def error(status: int, code: int, message: str, *headers: str) -> bytes:
    return http(status, f'{{"code":{code},"msg":"{message}"}}', *headers)


def always(answer: bytes | None) -> Callable[[str], bytes | None]:
    return lambda _: answer


class Server:
    """Answers each request by a function of its head; None hangs up."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer: Callable[[str], bytes | None] = lambda _: http(200, ACK)
        self.server: asyncio.Server | None = None
        self.open: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.accepted = asyncio.Event()

    @property
    def orders(self) -> list[str]:
        return [head for head in self.heads if "/api/v3/order" in head.split("\r\n", 1)[0]]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        self.connections += 1
        self.accepted.set()
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    self.heads.append(head)
                    answer = self._time() if "/api/v3/time" in head else self.answer(head)
                    if answer is None:
                        break
                    writer.write(answer)
                    await writer.drain()
        finally:  # also of a connection that was accepted while it stopped: the loop's end cancels it
            self.open.discard(writer)
            writer.close()

    def _time(self) -> bytes:
        return http(200, f'{{"serverTime":{SystemClock().wall_ns() // 1_000_000}}}')

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in list(self.open):
            writer.close()


@contextlib.asynccontextmanager
async def connected(tmp_path: Path) -> AsyncIterator[Connected[Server]]:
    """A server, and an adapter that has asked it for its time."""
    server = Server()
    server.server = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = server.server.sockets[0].getsockname()[1]
    write_credentials(tmp_path / "credentials")
    venue = adapter(f"127.0.0.1:{port}", tmp_path / "credentials")
    fixture = Connected(server, venue, tmp_path / "credentials")
    try:
        server.answer = lambda _: http(200, '{"balances":[]}')
        await venue.balances()
        server.heads.clear()
        server.answer = lambda _: http(200, ACK)
        yield fixture
    finally:
        await venue.close()
        await server.stop()


async def hang_up(fixture: Connected[Server]) -> None:
    """End the connection that the adapter keeps, so that it knows."""
    fixture.server.answer = lambda _: http(200, '{"balances":[]}', "Connection: close")
    await fixture.venue.balances()
    fixture.server.accepted.clear()
    fixture.server.heads.clear()
    fixture.server.answer = lambda _: http(200, ACK)


@pytest.mark.asyncio
async def test_request_carries_its_key_and_a_signature_over_what_was_sent(tmp_path: Path) -> None:
    """The query as received, up to the signature, gives that signature; the secret itself stays here."""
    async with connected(tmp_path) as fixture:
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
    (head,) = fixture.server.orders
    method, target, _ = head.split("\r\n", 1)[0].split(" ")
    query, signature = target.removeprefix("/api/v3/order?").split("&signature=")
    assert method == "POST"
    assert signature == hmac.new(SECRET.encode(), query.encode(), "sha256").hexdigest()
    assert f"X-MBX-APIKEY: {KEY}" in head
    assert "Content-Length: 0" in head
    assert SECRET not in head


@pytest.mark.asyncio
async def test_veto_at_the_socket_leaves_nothing_on_the_wire(tmp_path: Path) -> None:
    """The gate is asked after everything else is ready, and its no means that no byte leaves."""
    async with connected(tmp_path) as fixture:
        assert await fixture.venue.submit(order(), lambda _: "epoch 2 is newer") == NotSent("epoch 2 is newer")
        late = await fixture.venue.submit(order(lifetime_s=-1), yes)
        assert isinstance(late, NotSent)
        assert fixture.server.orders == []
        assert await fixture.venue.submit(order(), yes) == Accepted("28")


@pytest.mark.asyncio
async def test_gate_is_asked_after_the_connection_is_there(tmp_path: Path) -> None:
    """Opening a connection takes time in which a switch may be engaged: the question comes after it."""
    async with connected(tmp_path) as fixture:
        await hang_up(fixture)
        before = fixture.server.connections
        assert await fixture.venue.submit(order(), lambda _: "no") == NotSent("no")
        async with asyncio.timeout(10):
            await fixture.server.accepted.wait()
        assert fixture.server.connections == before + 1
        assert fixture.server.orders == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        None,
        http(503, ""),
        http(504, "<html>"),
        error(500, -1013, "Filter failure: LOT_SIZE"),
        error(400, -1006, "An unexpected response was received from the message bus."),
        error(400, -1007, "Timeout waiting for response from backend server."),
        error(400, -2010, "Duplicate order sent."),
        http(200, "not json"),
        http(307, "", "Location: /api/v3/elsewhere"),
        b"rubbish\r\n\r\n",
    ],
)
async def test_what_is_not_proven_is_unknown_and_never_sent_again(tmp_path: Path, answer: bytes | None) -> None:
    """Hang-ups, 5xx, -1006 and -1007, unreadable answers, redirects: one POST, and its outcome unknown."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = always(answer)
        assert isinstance(await fixture.venue.submit(order(), yes), Unknown)
        assert len(fixture.server.heads) == 1


@pytest.mark.asyncio
async def test_refused_connection_is_known_not_to_have_sent(tmp_path: Path) -> None:
    """Nobody listens, so nobody heard."""
    async with connected(tmp_path) as fixture:
        await hang_up(fixture)
        await fixture.server.stop()
        assert isinstance(await fixture.venue.submit(order(), yes), NotSent)
        assert isinstance(await fixture.venue.cancel("BTCUSDT", "x"), NotSent)
        with pytest.raises(VenueError):
            await fixture.venue.open_orders()


@pytest.mark.asyncio
async def test_rate_limit_is_a_refusal_and_then_silence(tmp_path: Path) -> None:
    """After a 429 nothing is sent until the time that it named; too many orders leaves cancels alone."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: error(429, -1015, "Too many new orders", "Retry-After: 60")
        first = await fixture.venue.submit(order(), yes)
        second = await fixture.venue.submit(order(), yes)
        fixture.server.answer = lambda _: error(429, -1003, "Too much request weight used", "Retry-After: 60")
        third = await fixture.venue.cancel("BTCUSDT", "x")
        fourth = await fixture.venue.cancel("BTCUSDT", "x")
    assert isinstance(first, Refused)
    assert "retry after 60 s" in first.reason
    assert isinstance(second, NotSent)
    assert isinstance(third, Refused)
    assert isinstance(fourth, NotSent)
    assert [head.split(" ", 1)[0] for head in fixture.server.orders] == ["POST", "DELETE"]


@pytest.mark.asyncio
async def test_absence_is_only_what_the_venue_says_is_absent(tmp_path: Path) -> None:
    """-2013 is no such order; an error, an empty answer or rubbish is not."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: error(400, -2013, "Order does not exist.")
        assert await fixture.venue.order("BTCUSDT", "x") is None
        for answer in (error(500, -2013, "Order does not exist."), http(404, ""), http(200, "{}"), http(200, ""), None):
            fixture.server.answer = always(answer)
            with pytest.raises(VenueError):
                await fixture.venue.order("BTCUSDT", "x")


@pytest.mark.asyncio
async def test_trades_are_read_to_the_last_page(tmp_path: Path) -> None:
    """Pages of a thousand, each asked for from where the last one ended."""
    asked: list[int] = []

    def page(head: str) -> bytes:
        first = int(head.split("fromId=", 1)[1].split("&", 1)[0])
        asked.append(first)
        trades = [
            {"symbol": "BTCUSDT", "id": number, "orderId": 1, "price": "1.0", "qty": "1.0", "commission": "0"}
            | {"commissionAsset": "BNB", "time": 1, "isBuyer": True, "isMaker": False}
            for number in range(max(first, 10), min(first + 1000, 2500))
        ]
        return http(200, msgspec.json.encode(trades[:1000]).decode())

    async with connected(tmp_path) as fixture:
        fixture.server.answer = page
        found = await fixture.venue.trades("BTCUSDT", "9")
        assert [int(trade.trade_id) for trade in found] == list(range(10, 2500))
        assert asked == [10, 1010, 2010]
        assert await fixture.venue.trades("BTCUSDT", "2499") == ()


@pytest.mark.asyncio
async def test_rotated_credentials_are_used_without_a_restart(tmp_path: Path) -> None:
    """The venue refuses the old key; the next request carries the new one."""
    async with connected(tmp_path) as fixture:
        fixture.server.answer = lambda _: error(401, -2015, "Invalid API-key, IP, or permissions for action.")
        assert isinstance(await fixture.venue.submit(order(), yes), Refused)
        write_credentials(fixture.credentials, "NEWKEY", "NEWSECRET-1")
        fixture.server.answer = lambda _: http(200, ACK)
        assert await fixture.venue.submit(order(), yes) == Accepted("28")
    assert "X-MBX-APIKEY: NEWKEY" in fixture.server.orders[-1]


@pytest.mark.asyncio
async def test_missing_credentials_send_nothing(tmp_path: Path) -> None:
    """No key, no request; and the reason names the place."""
    async with connected(tmp_path) as fixture:
        empty = BinanceTrading(fixture.venue._venue, SystemClock(), random.Random(1), tmp_path / "absent")
        with pytest.raises(VenueError, match="absent"):
            await empty.balances()
        assert isinstance(await empty.submit(order(), yes), NotSent)
        await empty.close()
        assert fixture.server.orders == []


@pytest.mark.asyncio
async def test_credentials_appear_in_no_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, however it is shown: no key, no secret, no signature, not even when the venue repeats them."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    async with connected(tmp_path) as fixture:
        venue = fixture.venue
        for answer in (
            None,
            http(500, ""),
            http(200, "rubbish"),
            b"rubbish\r\n\r\n",
            error(400, -1100, f"bad key {KEY} and secret {SECRET}"),
            error(401, -2015, f"key {KEY}"),
        ):
            fixture.server.answer = always(answer)
            texts.append(repr(await venue.submit(order(), yes)))
            texts.append(repr(await venue.cancel("BTCUSDT", "x")))
            for query in (venue.balances, venue.open_orders, lambda: venue.order("BTCUSDT", "x")):
                with pytest.raises(VenueError) as caught:
                    await query()
                texts.append(repr(caught.value))
                texts += traceback.format_exception(caught.value)
                assert caught.value.__context__ is None or "aiohttp" not in type(caught.value.__context__).__module__
        await venue.start(fixture.listener)
        await fixture.listener.until(lambda: fixture.listener.streams)
        texts += [reason for _, reason in fixture.listener.streams]
        texts += [repr(value) for value in (venue, *vars(venue).values())]
    texts += [record.getMessage() for record in caplog.records]
    shown = "\n".join(texts)
    assert len(texts) > 30
    for secret in (KEY, SECRET, "signature="):
        assert secret not in shown
