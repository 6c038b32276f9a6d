"""What the matrix asks without our adapter, over real HTTP and a real private stream, by a client that knows only the
protocol: the words on the wire are those that the rows were given in virtual time.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from answers import RAW
from desk import Desk
from simrig import SECOND, Client, UserStream, is_report, trading, user_stream

from ringfence.model.money import notional, parse, text
from ringfence.model.orders import Updated
from ringfence.simulator.orders import Prevention
from ringfence.venues.binance.codec import order_report
from ringfence.venues.binance.stream import OrderMessage, private_message
from ringfence.venues.binance.trading import SUBSCRIBE_WEIGHT

pytestmark = pytest.mark.asyncio


class Wire:
    """As much of a `Desk` as a raw row needs."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def raw(self, method: str, path: str, params: dict[str, str], **signing: str) -> str:
        """What the venue complains of; empty if it does not."""
        status, document = await self.client.call(method, path.removeprefix("/api/v3/"), params, **signing)
        return "" if status == 200 else f"{status} {document['code']}"

    async def stamped(self, offset_ms: int) -> str:
        return await self.raw("GET", "/api/v3/account", {}, timestamp=str(self.client.now_ms() + offset_ms))


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    async with trading() as found:
        yield found


async def test_every_raw_row_is_answered_so_over_a_socket(client: Client) -> None:
    desk = cast("Desk", Wire(client))
    assert {what: await script(desk) for what, _, script in RAW} == {what: expected for what, expected, _ in RAW}


async def weight(client: Client) -> int:
    await client.call("GET", "ping", signed=False)
    return int(client.headers["X-MBX-USED-WEIGHT-1M"])


async def test_a_private_stream_weighs_its_connection_and_its_subscription(client: Client) -> None:
    """As our adapter counts it."""
    before = await weight(client)
    async with user_stream(client):
        assert await weight(client) - before == SUBSCRIBE_WEIGHT + 1  # and the question itself


async def test_who_has_used_up_the_weight_gets_no_connection(client: Client) -> None:
    while (await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5000}, signed=False))[0] == 200:
        pass
    while (await client.call("GET", "ping", signed=False))[0] == 200:
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
        async with user_stream(client):
            pass


MODES = (
    ("EXPIRE_TAKER", "0.01", "NEW 0", "EXPIRED_IN_MATCH 0, prevented 0.01"),
    ("EXPIRE_MAKER", "0.01", "EXPIRED_IN_MATCH 0, prevented 0.01", "FILLED 0.01"),
    ("EXPIRE_BOTH", "0.01", "EXPIRED_IN_MATCH 0, prevented 0.01", "EXPIRED_IN_MATCH 0, prevented 0.01"),
    ("DECREMENT", "0.01", "EXPIRED_IN_MATCH 0, prevented 0.01", "EXPIRED_IN_MATCH 0, prevented 0.01"),
    ("DECREMENT", "0.004", "NEW 0, prevented 0.004", "EXPIRED_IN_MATCH 0, prevented 0.004"),
    ("DECREMENT", "0.03", "EXPIRED_IN_MATCH 0, prevented 0.01", "FILLED 0.02, prevented 0.01"),
    ("TRANSFER", "0.004", "NEW 0, prevented 0.004", "EXPIRED_IN_MATCH 0, prevented 0.004"),
    ("NONE", "0.01", "FILLED 0.01", "FILLED 0.01"),
)


async def test_every_mode_has_its_row() -> None:
    assert {mode for mode, *_ in MODES} == set(Prevention)


def stands(document: dict[str, Any], status: str, executed: str, prevented: str) -> str:
    """An order or a report of it, in one line."""
    taken_off = f", prevented {text(parse(document[prevented]))}" if prevented in document else ""
    return f"{document[status]} {text(parse(document[executed]))}{taken_off}"


async def meeting(client: Client, mode: str, quantity: str) -> tuple[dict[str, Any], UserStream]:
    """We sell into our own best bid of 0.01. What the answer says, and what the stream told."""
    bid, ask = await client.best()
    _, book = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5}, signed=False)
    await Client(client.sim, client.session, SECOND).order("BUY", None, book["asks"][0][1])
    async with user_stream(client) as stream:
        _, placed = await client.order("BUY", text(ask), "0.01", newClientOrderId="maker")
        assert placed["status"] == "NEW"
        chosen = {"newClientOrderId": "taker", "timeInForce": "IOC", "selfTradePreventionMode": mode}
        _, answer = await client.order("SELL", text(bid), quantity, **chosen)
        await client.order("BUY", await client.away("BUY"), "0.01", newClientOrderId="last")
        await stream.until(is_report("NEW", "last"))
    return answer, stream


async def test_the_adapter_reads_what_prevention_leaves_of_an_open_order(client: Client) -> None:
    """The same by the stream and when it asks."""
    _, stream = await meeting(client, "DECREMENT", "0.004")
    told = [event for event in stream.events if event["e"] == "executionReport" and event["c"] == "maker"]
    message = private_message(msgspec.json.encode({"event": told[-1]}), ts_recv=0)
    assert isinstance(message, OrderMessage)
    assert isinstance(message.event, Updated)
    _, found = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "maker"})
    asked = order_report(msgspec.json.encode(found))
    assert message.event.quantity == asked.quantity == parse("0.006")


async def test_a_prevented_match_says_what_would_have_traded_and_with_whom(client: Client) -> None:
    """Nothing has traded, so what tells of executions is 0; both orders name the match by the same number."""
    _, stream = await meeting(client, "EXPIRE_BOTH", "0.03")
    numbers = {event["c"]: event["i"] for event in stream.events if event["e"] == "executionReport"}
    told = {event["c"]: event for event in stream.events if event.get("x") == "TRADE_PREVENTION"}
    assert {name: event["U"] for name, event in told.items()} == {"maker": numbers["taker"], "taker": numbers["maker"]}
    assert {name: text(parse(event["B"])) for name, event in told.items()} == {"maker": "0.01", "taker": "0.03"}
    assert len({event["v"] for event in told.values()}) == 1
    for event in told.values():
        assert {parse(event[key]) for key in ("l", "L", "Y")} == {0}
        assert parse(event["pY"]) == notional(parse(event["pL"]), parse(event["pl"]))
        assert (text(parse(event["pl"])), event["Cs"], event["u"]) == ("0.01", "BTCUSDT", -1)
        _, found = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": event["c"]})
        assert found["preventedMatchId"] == event["v"]


@pytest.mark.parametrize(("mode", "quantity", "maker", "taker"), MODES)
async def test_self_trade_prevention_by_mode(client: Client, mode: str, quantity: str, maker: str, taker: str) -> None:
    """Our bid of 0.01 is the best one, and we sell into it: what answer, query and last report say of both."""
    answer, stream = await meeting(client, mode, quantity)
    assert stands(answer, "status", "executedQty", "preventedQuantity") == taker
    for name, expected in (("maker", maker), ("taker", taker)):
        _, found = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": name})
        assert stands(found, "status", "executedQty", "preventedQuantity") == expected
        told = [event for event in stream.events if event["e"] == "executionReport" and event["c"] == name]
        assert stands(told[-1], "X", "z", "A") == expected
        kinds = {event["x"] for event in told} - {"NEW"}
        assert kinds == ({"TRADE_PREVENTION"} if "prevented" in expected else set()) | (
            {"TRADE"} if "FILLED" in expected else set()
        )
