"""The simulated venue on real sockets, driven by a raw client that knows only the protocol."""

import asyncio
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from simrig import BALANCES, SECOND, Client, is_position, is_report, trading, user_stream

from ringfence.model.money import SCALE, parse, text
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import RecordedMarket
from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.server import ACCOUNT

# --- public


@pytest.mark.asyncio
async def test_what_a_client_asks_first_is_answered_in_the_protocols_words() -> None:
    """ping, time, exchangeInfo, depth, trades and bookTicker have the documented shapes."""
    async with trading() as client:
        assert await client.call("GET", "ping", signed=False) == (200, {})
        _, clock = await client.call("GET", "time", signed=False)
        assert clock["serverTime"] == client.now_ms()
        _, info = await client.call("GET", "exchangeInfo", signed=False)
        filters = {one["filterType"]: one for one in info["symbols"][0]["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
        assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
        assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
        _, depth = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5}, signed=False)
        assert len(depth["bids"]) == len(depth["asks"]) == 5
        assert parse(depth["bids"][0][0]) < parse(depth["asks"][0][0])
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "27"
        status, error = await client.call("GET", "depth", {"symbol": "DOGEUSDT"}, signed=False)
        assert (status, error) == (400, {"code": -1121, "msg": "Invalid symbol."})


# --- who is asking


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("signing", "expected"),
    [
        ({"signature": "0" * 64}, (400, -1022)),
        ({"signature": ""}, (400, -1102)),
        ({"timestamp": 1}, (400, -1021)),
        ({"timestamp": 9_999_999_999_999}, (400, -1021)),
        ({"key": "unknown"}, (401, -2015)),
        ({"key": "bad key"}, (401, -2014)),
    ],
)
async def test_a_request_that_is_not_proven_is_refused(signing: dict[str, Any], expected: tuple[int, int]) -> None:
    """Signature, time and key are checked, and the refusal is the documented one."""
    async with trading() as client:
        status, document = await client.call("GET", "account", **signing)
        assert (status, document["code"]) == expected


@pytest.mark.asyncio
async def test_a_signature_over_query_and_body_without_separator_is_right() -> None:
    """Parameters may be split between query and body; they are signed as they were sent."""
    async with trading() as client:
        query = urlencode({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"})
        price = await client.away("BUY")
        body = urlencode({"quantity": "0.001", "price": price, "timestamp": client.now_ms()})
        signature = auth.sign(client.credential.api_secret, query + body)
        async with client.session.post(
            f"{client.sim.rest_url}/api/v3/order?{query}",
            data=f"{body}&signature={signature}",
            headers={
                "X-MBX-APIKEY": client.credential.api_key,
                "Content-Type": "application/x-www-form-urlencoded",
            },
        ) as response:
            assert (await response.json())["status"] == "NEW"


# --- orders


@pytest.mark.asyncio
async def test_an_order_rests_is_found_and_is_cancelled() -> None:
    """POST, GET, openOrders, DELETE and allOrders agree on one order, and the money is locked meanwhile."""
    async with trading() as client:
        price = await client.away("BUY")
        status, placed = await client.order("BUY", price, "0.01", newClientOrderId="mine")
        assert (status, placed["status"], placed["fills"]) == (200, "NEW", [])
        assert client.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        _, found = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
        _, listed = await client.call("GET", "openOrders")
        assert listed == [found]
        assert found["orderId"] == placed["orderId"]
        _, account = await client.call("GET", "account")
        usdt = next(b for b in account["balances"] if b["asset"] == "USDT")
        assert parse(usdt["locked"]) == parse(price) // 100
        status, error = await client.order("BUY", price, "0.01", newClientOrderId="mine")
        assert (status, error["code"], error["msg"]) == (400, -2010, "Duplicate order sent.")
        _, gone = await client.call("DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
        assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "mine")
        status, error = await client.call("DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
        assert (status, error) == (400, {"code": -2011, "msg": "Unknown order sent."})
        status, error = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "other"})
        assert (status, error["code"]) == (400, -2013)
        _, history = await client.call("GET", "allOrders", {"symbol": "BTCUSDT"})
        assert [order["status"] for order in history] == ["CANCELED"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"price": "60000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00002"}, -1013, "Filter failure: NOTIONAL"),
        ({"price": "1000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": "100"}, -2010, "Account has insufficient balance for requested action."),
        ({"symbol": "DOGEUSDT"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"timeInForce": "EVER"}, -1115, "Invalid timeInForce."),
        ({"price": ""}, -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
        ({"newClientOrderId": "a b"}, -1100, None),
    ],
)
async def test_an_order_against_the_rules_is_refused_by_name(
    changes: dict[str, str], code: int, message: str | None
) -> None:
    """Each rule has its code and sentence; nothing is locked and the refusal is on record."""
    async with trading() as client:
        status, error = await client.order(**({"side": "BUY", "price": "60000", "quantity": "0.001"} | changes))
        assert (status, error["code"]) == (400, code)
        assert message is None or error["msg"] == message
        record = (await client.control("orders"))["requests"]
        assert [(one["accepted"], one["code"]) for one in record] == [(False, code)]
        ledger = (await client.control("ledger"))["accounts"][ACCOUNT]
        assert {b["locked"] for b in ledger["balances"].values()} == {"0"}


@pytest.mark.asyncio
async def test_orders_that_may_not_rest_end_as_expired() -> None:
    """An IOC away from the market, a FOK that is too big, and a maker that would take."""
    async with trading() as client:
        _, ioc = await client.order("BUY", await client.away("BUY"), "0.01", timeInForce="IOC")
        assert (ioc["status"], ioc["executedQty"]) == ("EXPIRED", "0.00000000")
        _, ask = await client.best()
        _, fok = await client.order("BUY", text(ask - SCALE), "1", timeInForce="FOK")
        assert (fok["status"], fok["fills"]) == ("EXPIRED", [])
        fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01"}
        status, error = await client.call("POST", "order", fields | {"price": text(ask + 100 * SCALE)})
        assert (status, error["msg"]) == (400, "Order would immediately match and take.")


@pytest.mark.asyncio
async def test_the_user_stream_tells_exactly_what_the_ledger_holds() -> None:
    """Takes, makes, partial fills, cancels and expiries between two accounts: every event adds up to the cent."""
    async with trading() as client, user_stream(client) as mine, user_stream(client, SECOND) as theirs:
        other = Client(client.sim, client.session, SECOND)
        _, taken = await client.order("BUY", None, "0.5", newClientOrderId="taken")
        assert taken["status"] == "FILLED"
        assert sum(parse(fill["qty"]) for fill in taken["fills"]) == parse("0.5")
        # a bid inside the spread of a halted moment would be luck: theirs stands alone far away, and I come to it
        price = await client.away("SELL")
        await other.order("SELL", price, "0.3", newClientOrderId="theirs")
        _, swept = await client.order("BUY", None, "0.002", newClientOrderId="swept")
        assert swept["status"] == "FILLED"
        await client.order("SELL", await client.away("SELL"), "0.1", newClientOrderId="resting")
        await client.call(
            "DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "resting", "newClientOrderId": "stop"}
        )
        gone = await mine.until(is_report("CANCELED", "stop"))
        assert (gone["C"], gone["X"], gone["z"]) == ("resting", "CANCELED", "0.00000000")
        await mine.until(is_position)
        await theirs.until(is_report("NEW", "theirs"))
        await theirs.until(is_position)
        ledger = (await client.control("ledger"))["accounts"]
        for stream, account in ((mine, ACCOUNT), (theirs, "second")):
            held = {a: (parse(b["free"]), parse(b["locked"])) for a, b in ledger[account]["balances"].items()}
            assert held | stream.balances() == held
        trades = [event for event in mine.events if event.get("x") == "TRADE"]
        _, history = await client.call("GET", "myTrades", {"symbol": "BTCUSDT"})
        assert [(t["t"], t["l"], t["L"], t["n"], t["N"], t["m"]) for t in trades] == [
            (h["id"], h["qty"], h["price"], h["commission"], h["commissionAsset"], h["isMaker"]) for h in history
        ]
        bought = sum(parse(t["l"]) - parse(t["n"]) for t in trades)
        assert ledger[ACCOUNT]["delta"]["BTC"] == text(bought)


@pytest.mark.asyncio
async def test_two_accounts_trade_with_each_other() -> None:
    """An order that stands behind the market's at its price is met when that is gone: one trade, two ends."""
    async with trading() as client, user_stream(client, SECOND) as theirs:
        other = Client(client.sim, client.session, SECOND)
        _, depth = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5}, signed=False)
        price, shown = depth["asks"][0]
        await other.order("SELL", price, "0.2", newClientOrderId="theirs")
        mine = text(parse(shown) + parse("0.05"))
        _, taken = await client.order("BUY", price, mine, timeInForce="IOC")
        assert (taken["status"], [f["qty"] for f in taken["fills"]]) == ("FILLED", [shown, "0.05000000"])
        fill = await theirs.until(is_report("TRADE", "theirs"))
        assert (fill["m"], fill["L"], fill["l"], fill["X"]) == (True, price, "0.05000000", "PARTIALLY_FILLED")
        assert fill["t"] == taken["fills"][1]["tradeId"]
        _, depth = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5}, signed=False)
        assert depth["asks"][0] == [price, "0.15000000"]


@pytest.mark.asyncio
async def test_a_resting_order_is_filled_by_the_market_in_time() -> None:
    """Orders at the touch wait for their turn and are then made, with the maker's fee."""
    async with trading() as client, user_stream(client) as mine:
        bid, ask = await client.best()
        await client.order("BUY", text(bid), "0.01", newClientOrderId="bid")
        await client.order("SELL", text(ask), "0.01", newClientOrderId="ask")
        for _ in range(600):
            client.advance(100)
            if client.sim.venue.counts.fills:
                break
        fill = await mine.until(lambda event: event.get("x") == "TRADE" and event["X"] == "FILLED")
        assert fill["m"] is True
        assert fill["n"] == f"{parse(fill['l'] if fill['S'] == 'BUY' else fill['Y']) * 75 // 100_000 / SCALE:.8f}"
        await mine.until(is_position)
        ledger = (await client.control("ledger"))["accounts"][ACCOUNT]
        held = {a: (parse(b["free"]), parse(b["locked"])) for a, b in ledger["balances"].items()}
        assert held | mine.balances() == held


# --- streams


@pytest.mark.asyncio
async def test_the_documented_sync_rule_gives_a_book_without_gaps() -> None:
    """Buffered depth over a snapshot, each update following the last, ends at what the venue shows."""
    async with trading() as client, client.session.ws_connect(f"{client.sim.stream_url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 9})
        assert await socket.receive_json(timeout=10) == {"result": None, "id": 9}
        client.advance(100)
        first = await socket.receive_json(timeout=10)
        client.advance(250)
        await client.order("BUY", await client.away("BUY"), "0.01")
        _, snapshot = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5000}, signed=False)
        assert snapshot["lastUpdateId"] >= first["U"]
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        local = snapshot["lastUpdateId"]
        published = client.sim.venue.instruments["BTCUSDT"].publisher
        client.advance(50)  # to the end of a period: the snapshot came in the middle of one
        for _ in range(100):
            client.advance(100)
            while local < published.update_id:
                update = await socket.receive_json(timeout=10)
                if update["u"] <= local:
                    continue
                assert update["U"] <= local + 1
                local = update["u"]
                for side, key in (("bids", "b"), ("asks", "a")):
                    book[side] |= dict(update[key])
        shown = {side: {p: q for p, q in levels.items() if parse(q)} for side, levels in book.items()}
        _, final = await client.call("GET", "depth", {"symbol": "BTCUSDT", "limit": 5000}, signed=False)
        assert shown == {side: dict(final[side]) for side in ("bids", "asks")}
        assert local == final["lastUpdateId"]


@pytest.mark.asyncio
async def test_combined_streams_carry_their_names() -> None:
    """/stream wraps trades, quotes and depth of all that was asked for."""
    async with trading(symbols=("BTCUSDT", "ETHUSDT")) as client:
        names = {f"{s}@{kind}" for s in ("btcusdt", "ethusdt") for kind in ("trade", "bookTicker", "depth@100ms")}
        url = f"{client.sim.stream_url}/stream?streams={'/'.join(sorted(names))}"
        seen: set[str] = set()
        async with client.session.ws_connect(url) as socket:
            while seen != names:
                client.advance(20)
                message = await socket.receive_json(timeout=10)
                seen.add(message["stream"])
                assert message["data"]["s"].lower() == message["stream"].partition("@")[0]


# --- limits, latency, faults


@pytest.mark.asyncio
async def test_too_many_orders_are_told_to_wait() -> None:
    """429 with Retry-After and the code, beyond the order count and beyond the weight."""
    async with trading(limits=Limits(orders_10s=2, weight_1m=60)) as client:
        price = await client.away("BUY")
        statuses = [(await client.order("BUY", price, "0.001"))[0] for _ in range(4)]
        assert statuses.count(429) >= 1
        status, error = await client.order("BUY", price, "0.001")
        assert (status, error["code"]) in {(429, -1015), (200, None)}
        assert int(client.headers["Retry-After"]) >= 1
        answers = [await client.call("GET", "exchangeInfo", signed=False) for _ in range(4)]
        assert answers[-1][0] == 429
        assert answers[-1][1]["code"] == -1003


@pytest.mark.asyncio
async def test_latency_is_paid_both_ways_and_keeps_order() -> None:
    """An answer takes two ways, and requests sent together are done in the order in which they came."""
    async with trading(SystemClock(), latency_ms=20) as client:
        price = await client.away("BUY")
        began = time.monotonic()
        await client.order("BUY", price, "0.001")
        assert time.monotonic() - began >= 0.040
        record = (await client.control("orders"))["requests"][-1]
        assert record["received_ns"] - record["arrived_ns"] >= 20_000_000


@pytest.mark.asyncio
async def test_an_answer_can_be_lost_while_the_order_is_done() -> None:
    """http_status with executed: the client learns nothing, and the venue holds the order."""
    async with trading() as client:
        price = await client.away("BUY")
        await client.control("faults", {"kind": "http_status", "status": 503, "count": 1, "executed": True})
        status, _ = await client.order("BUY", price, "0.001", newClientOrderId="lost")
        assert status == 503
        _, found = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "lost"})
        assert found["status"] == "NEW"
        await client.control("faults", {"kind": "http_status", "status": 503, "count": 1})
        status, _ = await client.order("BUY", price, "0.001", newClientOrderId="never")
        assert status == 503
        status, _ = await client.call("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "never"})
        assert status == 400


@pytest.mark.asyncio
async def test_trades_are_restated_and_busted_on_demand_and_only_lists_and_balances_show_it() -> None:
    """The history has new figures under the old id, then nothing; the stream tells balances and no report."""
    async with trading() as client, user_stream(client) as stream:
        _, sold = await client.order("SELL", None, "1", newClientOrderId="sold")
        await stream.until(is_report("TRADE", "sold"))
        asked = {"symbol": "BTCUSDT", "orderId": sold["orderId"]}
        _, (first, *others) = await client.call("GET", "myTrades", asked)
        price = text(parse(first["price"]) - parse("1"))
        fault = {"kind": "correct", "symbol": "BTCUSDT", "trade_id": first["id"], "price": price}
        assert await client.control("faults", fault) == {"done": "correct"}
        _, restated = await client.call("GET", "myTrades", asked)
        assert restated[1:] == others
        assert restated[0] | {name: first[name] for name in ("price", "quoteQty", "commission")} == first
        assert parse(restated[0]["price"]) == parse(price)
        for trade in restated:
            fault = {"kind": "bust", "symbol": "BTCUSDT", "trade_id": trade["id"]}
            assert await client.control("faults", fault) == {"done": "bust"}
        assert await client.call("GET", "myTrades", asked) == (200, [])
        _, found = await client.call("GET", "order", asked)
        assert (found["status"], parse(found["executedQty"])) == ("CANCELED", 0)
        assert "error" in await client.control("faults", fault)
        since = len(stream.events)
        await stream.until(lambda event: stream.balances()["BTC"][0] == BALANCES["BTC"])
        assert {event["e"] for event in stream.events[since:]} == {"outboundAccountPosition"}
        assert stream.balances()["USDT"][0] == BALANCES["USDT"]


@pytest.mark.asyncio
async def test_streams_drop_halts_halt_and_depth_gets_gaps_on_demand() -> None:
    """Each fault does what its name says."""
    async with trading() as client:
        await client.control("faults", {"kind": "halt", "symbol": "BTCUSDT"})
        status, error = await client.order("BUY", "60000", "0.001")
        assert (status, error["msg"]) == (400, "Market is closed.")
        async with client.session.ws_connect(f"{client.sim.stream_url}/ws/btcusdt@depth@100ms") as socket:
            client.advance(200)
            last = (await socket.receive_json(timeout=10))["u"]
            await client.control("faults", {"kind": "gap", "symbol": "BTCUSDT", "count": 2})
            gaps = 0
            client.advance(1000)
            for _ in range(5):
                update = await socket.receive_json(timeout=10)
                gaps += update["U"] > last + 1
                last = update["u"]
            assert gaps == 1
            await client.control("faults", {"kind": "drop_streams"})
            while (message := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}
        assert "error" in await client.control("faults", {"kind": "halt", "symbol": "DOGEUSDT"})


@pytest.mark.asyncio
async def test_the_record_proves_when_the_last_order_came() -> None:
    """Orders and cancels are numbered with the time of their arrival, and can be read from any number on."""
    async with trading() as client:
        price = await client.away("BUY")
        await client.order("BUY", price, "0.001", newClientOrderId="a")
        client.advance(50)
        kill_ns = client.sim.venue.now_ns
        await client.order("BUY", price, "0.001", newClientOrderId="b")
        await client.call("DELETE", "openOrders", {"symbol": "BTCUSDT"})
        document = await client.control("orders?since=1")
        assert (document["total"], document["lost"]) == (3, 0)
        assert [(one["sequence"], one["kind"]) for one in document["requests"]] == [(2, "order"), (3, "cancel_all")]
        assert all(one["arrived_ns"] >= kill_ns and one["accepted"] for one in document["requests"])


# --- WebSocket API


@pytest.mark.asyncio
async def test_orders_over_the_websocket_api_are_the_same_orders() -> None:
    """order.place and order.cancel, signed in alphabetical order, answer like REST."""
    async with trading() as client, client.session.ws_connect(client.sim.ws_api_url) as socket:

        async def ask(method: str, **params: Any) -> dict[str, Any]:
            params |= {"apiKey": client.credential.api_key, "timestamp": client.now_ms()}
            payload = auth.ws_payload({name: str(value) for name, value in params.items()})
            params["signature"] = auth.sign(client.credential.api_secret, payload)
            await socket.send_json({"id": method, "method": method, "params": params})
            answer: dict[str, Any] = await socket.receive_json(timeout=10)
            return answer

        price = await client.away("SELL")
        order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        placed = await ask("order.place", **order, price=price, newClientOrderId="ws")
        assert (placed["id"], placed["status"], placed["result"]["status"]) == ("order.place", 200, "NEW")
        _, listed = await client.call("GET", "openOrders", {"symbol": "BTCUSDT"})
        assert [one["clientOrderId"] for one in listed] == ["ws"]
        gone = await ask("order.cancel", symbol="BTCUSDT", origClientOrderId="ws")
        assert gone["result"]["status"] == "CANCELED"
        refused = await ask("order.cancel", symbol="BTCUSDT", origClientOrderId="ws")
        assert (refused["status"], refused["error"]["code"]) == (400, -2011)
        unknown = await ask("session.logon")
        assert unknown["error"]["code"] == -1020


# --- the recording


def recordings() -> Path:
    """Where the recorded market is, or a skip that says where it was looked for."""
    import os

    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "binance-spot"
    directory = Path(os.environ.get("RINGFENCE_DATA", beside))
    if not list(directory.glob("btcusdt*.gz")):
        pytest.skip(f"no recorded market in {directory}; set RINGFENCE_DATA")
    return directory


@pytest.mark.asyncio
@pytest.mark.recording
async def test_a_recorded_market_trades_over_the_same_sockets() -> None:
    """The book of the recording is served, and a market order walks it."""
    async with trading(market=RecordedMarket(directory=str(recordings()))) as client:
        bid, ask = await client.best()
        assert 0 < bid < ask
        _, taken = await client.order("SELL", None, "0.2")
        assert taken["status"] == "FILLED"
        assert parse(taken["fills"][0]["price"]) <= ask


async def _gather(*work: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*work))


@pytest.mark.asyncio
async def test_a_burst_of_orders_loses_none_and_doubles_none() -> None:
    """Hundreds of orders at once over one session: every client id is there exactly once."""
    generous = Limits(orders_10s=10_000, weight_1m=100_000)
    async with trading(limits=generous) as client:
        price = await client.away("BUY")
        answers = await _gather(*(client.order("BUY", price, "0.001") for _ in range(150)))
        assert {status for status, _ in answers} == {200}
        _, listed = await client.call("GET", "openOrders", {"symbol": "BTCUSDT"})
        assert len({one["clientOrderId"] for one in listed}) == len(listed) == 150
        assert json.loads(json.dumps(listed)) == listed
