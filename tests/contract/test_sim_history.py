"""What the simulated venue tells of its own past, how it keeps connections, and that a fault ends when cleared."""

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest
from simrig import Client, trading

from ringfence.model.money import SCALE, parse
from ringfence.simulator.dialect import streams

BTC = {"symbol": "BTCUSDT"}


async def public(client: Client, path: str, **params: Any) -> Any:
    status, document = await client.call("GET", path, BTC | params, signed=False)
    assert status == 200, document
    return document


@pytest.mark.asyncio
async def test_candles_are_the_trades_of_their_time() -> None:
    """Open, high, low, close, quantities, amounts and counts of each minute, from the venue's own trades."""
    async with trading() as client:
        trades: list[dict[str, Any]] = []
        client.advance(100_000)
        first = 0
        while page := await public(client, "historicalTrades", fromId=first, limit=1000):
            first = page[-1]["id"] + 1
            trades += page
        candles = await public(client, "klines", interval="1m")
        assert len(candles) >= 2
        for candle in candles:
            mine = [trade for trade in trades if candle[0] <= trade["time"] <= candle[6]]
            prices, quantities = [parse(t["price"]) for t in mine], [parse(t["qty"]) for t in mine]
            assert [parse(value) for value in candle[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
            assert (parse(candle[5]), candle[8]) == (sum(quantities), len(mine))
            assert parse(candle[7]) == sum(p * q // SCALE for p, q in zip(prices, quantities, strict=True))
            assert parse(candle[9]) == sum(parse(t["qty"]) for t in mine if not t["isBuyerMaker"])
        assert await public(client, "klines", interval="1m", limit=2) == candles[-2:]
        assert await public(client, "klines", interval="1m", startTime=candles[1][0], limit=1) == [candles[1]]
        assert await public(client, "uiKlines", interval="1m") == candles
        (whole,) = await public(client, "klines", interval="1d")
        assert (whole[1], whole[4], whole[8]) == (candles[0][1], candles[-1][4], len(trades))
        seconds = await public(client, "klines", interval="1s", limit=1000)
        assert [b[0] - a[0] for a, b in itertools.pairwise(seconds)] == [1000] * (len(seconds) - 1)
        refused = await client.call("GET", "klines", BTC | {"interval": "7m"}, signed=False)
        assert (refused[0], refused[1]["code"]) == (400, -1120)


@pytest.mark.asyncio
async def test_aggregates_cover_every_trade_once_and_in_order() -> None:
    """One aggressor, one price, one moment; first and last ids follow each other without a hole."""
    async with trading() as client:
        client.advance(30_000)
        found = await public(client, "aggTrades", limit=1000)
        trades = await public(client, "historicalTrades", fromId=found[0]["f"], limit=1000)
        assert [b["f"] - a["l"] for a, b in itertools.pairwise(found)] == [1] * (len(found) - 1)
        by_id = {trade["id"]: trade for trade in trades}
        for one in found:
            mine = [by_id[number] for number in range(one["f"], one["l"] + 1) if number in by_id]
            if len(mine) == one["l"] - one["f"] + 1:
                assert {(t["price"], t["time"], t["isBuyerMaker"]) for t in mine} == {(one["p"], one["T"], one["m"])}
                assert parse(one["q"]) == sum(parse(t["qty"]) for t in mine)
        middle = found[len(found) // 2]["a"]
        assert (await public(client, "aggTrades", fromId=middle, limit=3))[0]["a"] == middle
        recent = await public(client, "trades", limit=5)
        assert recent == (await public(client, "historicalTrades", limit=5))
        assert (await public(client, "historicalTrades", fromId=recent[0]["id"], limit=5)) == recent


@pytest.mark.asyncio
async def test_tickers_agree_with_each_other() -> None:
    """A day's figures, the last price, the average and the best quotes; of one, of some and of all."""
    async with trading(symbols=("BTCUSDT", "ETHUSDT")) as client:
        empty = await public(client, "ticker/24hr")
        assert (empty["count"], empty["firstId"], empty["priceChangePercent"]) == (0, -1, "0.000")
        client.advance(20_000)
        day = await public(client, "ticker/24hr")
        (candle,) = await public(client, "klines", interval="1d")
        assert [day[n] for n in ("openPrice", "highPrice", "lowPrice", "lastPrice", "volume")] == candle[1:6]
        assert (day["quoteVolume"], day["count"]) == (candle[7], candle[8])
        assert parse(day["priceChange"]) == parse(day["lastPrice"]) - parse(day["openPrice"])
        assert (await public(client, "ticker/price"))["price"] == day["lastPrice"]
        best = await public(client, "ticker/bookTicker")
        assert (day["bidPrice"], day["askQty"]) == (best["bidPrice"], best["askQty"])
        mini = await public(client, "ticker/24hr", type="MINI")
        assert mini.keys() < day.keys()
        assert "bidPrice" not in mini
        average = await public(client, "avgPrice")
        assert parse(day["lowPrice"]) <= parse(average["price"]) <= parse(day["highPrice"])
        assert average["mins"] == 5
        for path, weight in (("ticker/24hr", 80), ("ticker/price", 4), ("ticker/bookTicker", 4)):
            _, before = await client.call("GET", "ping", signed=False), client.headers["X-MBX-USED-WEIGHT-1M"]
            status, every = await client.call("GET", path, signed=False)
            assert (status, [one["symbol"] for one in every]) == (200, ["BTCUSDT", "ETHUSDT"])
            assert int(client.headers["X-MBX-USED-WEIGHT-1M"]) - int(before) == weight
        status, some = await client.call("GET", "ticker/price", {"symbols": '["ETHUSDT"]'}, signed=False)
        assert (status, [one["symbol"] for one in some]) == (200, ["ETHUSDT"])


@pytest.mark.asyncio
async def test_clearing_faults_restores_latency_and_everything_else() -> None:
    """After it the venue is as it was configured."""
    async with trading(latency_ms=2) as client:
        faults = [{"kind": "latency_ms", "value": 900}, {"kind": "halt", "symbol": "BTCUSDT"}]
        faults += [{"kind": "http_status", "count": 5}, {"kind": "cut", "count": 5, "name": "time"}]
        faults += [
            {"kind": "slow_answers", "count": 5, "value": 900},
            {"kind": "balance", "symbol": "BTC", "amount": "1"},
        ]
        for fault in faults:
            assert (await client.control("faults", fault)) == {"done": fault["kind"]}
        assert (await client.control("state"))["latency_ms"] == 900
        await client.control("faults", {"kind": "clear"})
        assert (await client.control("state"))["latency_ms"] == 2
        assert (await client.control("state"))["instruments"]["BTCUSDT"]["halted"] is False
        assert client.sim.gateway.faults.__dict__ == type(client.sim.gateway.faults)().__dict__
        assert (await client.control("faults", {"kind": "balance", "symbol": "BTC", "amount": "x"})).keys() == {"error"}


@pytest.mark.asyncio
async def test_a_cut_answer_is_no_answer_and_the_order_may_be_there() -> None:
    """Half of the bytes, then the end, on a real socket."""
    async with trading() as client:
        await client.control("faults", {"kind": "cut", "executed": True})
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
            await client.order("BUY", await client.away("BUY"), "0.01", newClientOrderId="cut")
        status, found = await client.call("GET", "order", BTC | {"origClientOrderId": "cut"})
        assert (status, found["status"]) == (200, "NEW")


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/ws/btcusdt@trade", "/ws-api/v3"])
async def test_a_connection_lives_by_its_pongs(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinged with a payload; the same payload keeps it, none or another one ends it."""
    monkeypatch.setattr(streams, "PING_S", 0.05)
    monkeypatch.setattr(streams, "PONG_S", 0.3)
    async with trading() as client:
        for answer, lives in ((None, False), (b"another", False), (b"", True)):
            async with client.session.ws_connect(client.sim.stream_url + path, autoping=False) as socket:
                assert await kept(socket, answer, 0.8) is lives


async def kept(socket: aiohttp.ClientWebSocketResponse, answer: bytes | None, seconds: float) -> bool:
    """Whether the connection is there after so long; empty = answer with what was sent."""
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            message = await socket.receive(timeout=left)
        except TimeoutError:
            return True
        if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
            return False
        if message.type is aiohttp.WSMsgType.PING and answer is not None:
            await socket.pong(answer or message.data)
    return True


@pytest.mark.asyncio
async def test_every_connection_ends_after_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Market streams and the WebSocket API alike, however alive they are."""
    assert (streams.LIFE_S, streams.PING_S, streams.PONG_S) == (86_400, 20, 60)
    monkeypatch.setattr(streams, "LIFE_S", 0.4)
    async with trading() as client:
        for path in ("/ws/btcusdt@trade", "/stream?streams=btcusdt@depth", "/ws-api/v3"):
            async with client.session.ws_connect(client.sim.stream_url + path) as socket:
                assert not await kept(socket, b"", 5)
                assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


@pytest.mark.asyncio
async def test_a_shutdown_is_announced_before_it_happens() -> None:
    """To every connection, in the words of its kind."""
    async with trading() as client:
        for path in ("/ws/btcusdt@depth", "/stream?streams=ethusdt@trade", "/ws-api/v3"):
            async with client.session.ws_connect(client.sim.stream_url + path) as socket:
                await asyncio.sleep(0.05)
                await client.control("faults", {"kind": "shutdown"})
                assert "serverShutdown" in (await socket.receive(timeout=5)).data
                assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
