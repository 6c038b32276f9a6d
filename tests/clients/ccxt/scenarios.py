"""ccxt and ccxt.pro (their exchange `binance`) against the simulator."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
from ccxt.pro import binance
from common import OFFENCES_MAX, SYMBOL, BookCheck, Suite, Told, expect, main, refused, same, until

MARKET = "BTC/USDT"
AMOUNT = 0.01


class Scenarios(Suite):
    async def open(self) -> None:
        self.client = self._client(self.bench.key, self.bench.secret)
        await self.client.load_markets()

    async def close(self) -> None:
        await self.client.close()

    def _client(self, key: str, secret: str, **options: Any) -> Any:
        """Addresses, and the documented options for a venue that has spot and nothing else."""
        rest = f"{self.bench.rest}/api/v3"
        # ccxt tells spot from futures streams by "/stream" in the address, as the real one's host name has it
        sockets = {"spot": f"{self.bench.ws}/ws/stream", "ws-api": {"spot": self.bench.ws_api}}
        return binance(
            {
                "apiKey": key,
                "secret": secret,
                "enableRateLimit": False,
                "urls": {"api": {"public": rest, "private": rest, "ws": sockets}},
                "options": {
                    "defaultType": "spot",
                    "fetchMarkets": {"types": ["spot"]},
                    "fetchCurrencies": False,
                    "fetchMargins": False,
                    **options,
                },
            }
        )

    @contextlib.asynccontextmanager
    async def _other(self, key: str, secret: str, **options: Any) -> AsyncIterator[Any]:
        client = self._client(key, secret, **options)
        try:
            await client.load_markets()
            yield client
        finally:
            await client.close()

    # --- market data

    async def ping(self) -> None:
        same(await self.client.public_get_ping(), {}, "answer to a ping")

    async def clock_offset(self) -> None:
        offset = await self.client.load_time_difference()
        expect(abs(offset) < 1_000, f"offset {offset} ms")

    async def markets(self) -> None:
        found = await self.client.load_markets(True)
        same(set(found), {"BTC/USDT", "ETH/USDT"}, "markets")
        one = found[MARKET]
        same((one["base"], one["quote"], one["active"], one["spot"]), ("BTC", "USDT", True, True), "market")
        same((one["precision"]["price"], one["precision"]["amount"]), (0.01, 0.00001), "precision")
        same((one["limits"]["cost"]["min"], one["limits"]["amount"]["min"]), (5.0, 0.00001), "limits")

    async def precision(self) -> None:
        same(self.client.amount_to_precision(MARKET, 0.123456789), "0.12345", "amount")
        same(self.client.price_to_precision(MARKET, 61_800.126), "61800.13", "price")
        price = self.client.price_to_precision(MARKET, float(self.bench.away("BUY")) + 0.0049)
        order = await self._limit("buy", float(price), 0.0012399)
        same(order["amount"], 0.00123, "amount as ordered")
        await self._cancel(order)

    async def best_quotes(self) -> None:
        quotes = await self.client.fetch_bids_asks([MARKET])
        expect(0 < quotes[MARKET]["bid"] < quotes[MARKET]["ask"], f"{quotes}")

    async def depth_snapshot(self) -> None:
        book = await self.client.fetch_order_book(MARKET, 50)
        same((len(book["bids"]), len(book["asks"])), (50, 50), "levels")
        bids = [price for price, _ in book["bids"]]
        expect(bids == sorted(bids, reverse=True), "bids are not best first")
        expect(bids[0] < book["asks"][0][0] and book["nonce"] > 0, "the book is crossed")

    async def recent_trades(self) -> None:
        await self._market("buy")
        trades = await self.client.fetch_trades(MARKET, limit=5, params={"fetchTradesMethod": "publicGetTrades"})
        expect(1 <= len(trades) <= 5, f"{len(trades)} trades")
        expect(trades[-1]["price"] > 0 and trades[-1]["timestamp"] > 0, f"{trades[-1]}")

    async def market_history(self) -> None:
        """Candles, a day's figures and aggregates tell of the same trades."""
        await self._market("buy")
        candles = await self.client.fetch_ohlcv(MARKET, "1m")
        expect(candles and all(low <= close <= high for _, _, high, low, close, _ in candles), f"{candles}")
        day = await self.client.fetch_ticker(MARKET)
        expect(day["low"] <= day["last"] and day["bid"] < day["ask"], f"{day}")
        expect(day["baseVolume"] >= candles[-1][5] - 1e-9, f"{day['baseVolume']} of a day")
        found = await self.client.fetch_trades(MARKET, limit=3, params={"fetchTradesMethod": "publicGetAggTrades"})
        expect(len(found) == 3 and all(trade["amount"] > 0 for trade in found), f"{found}")

    async def trades_stream(self) -> None:
        found: dict[int, Any] = {}
        async with asyncio.timeout(15):
            while len(found) < 5:
                found |= {int(one["id"]): one for one in await self.client.watch_trades(MARKET)}
        same({one["symbol"] for one in found.values()}, {MARKET}, "markets")
        expect(sorted(found) == list(range(min(found), max(found) + 1)), f"trade ids have a gap: {sorted(found)}")

    # --- orders

    async def _limit(self, side: str, price: object, amount: float = AMOUNT, **params: Any) -> Any:
        return await self.client.create_order(MARKET, "limit", side, amount, float(str(price)), params)

    async def _market(self, side: str, amount: float = 0.001) -> Any:
        return await self.client.create_order(MARKET, "market", side, amount)

    async def _cancel(self, order: Any) -> Any:
        return await self.client.cancel_order(order["id"], MARKET)

    async def limit_rests_and_is_cancelled(self) -> None:
        price = self.bench.away("BUY")
        order = await self._limit("buy", price)
        same((order["status"], order["filled"], order["trades"]), ("open", 0.0, []), "resting order")
        same(Decimal(str(order["price"])), price, "price")
        cancelled = await self._cancel(order)
        same((cancelled["status"], cancelled["id"]), ("canceled", order["id"]), "cancel")

    async def limit_fills(self) -> None:
        order = await self._limit("buy", self.bench.away("SELL", 1))
        same((order["status"], order["filled"], order["remaining"]), ("closed", AMOUNT, 0.0), "crossing order")
        paid = sum(Decimal(str(one["price"])) * Decimal(str(one["amount"])) for one in order["trades"])
        same(Decimal(str(order["cost"])), paid, "amount of the fills")
        same({one["fee"]["currency"] for one in order["trades"]}, {"BTC"}, "fee asset")

    async def ioc_rest_expires(self) -> None:
        order = await self._limit("buy", self.bench.away("BUY"), timeInForce="IOC")
        same((order["status"], order["filled"], order["timeInForce"]), ("expired", 0.0, "IOC"), "away from the market")
        order = await self._limit("sell", self.bench.away("BUY", 1), timeInForce="IOC")
        same(order["status"], "closed", "IOC through the market")

    async def fok_fills(self) -> None:
        order = await self._limit("sell", self.bench.away("BUY", 1), timeInForce="FOK")
        same((order["status"], order["filled"]), ("closed", AMOUNT), "FOK")

    async def fok_is_killed(self) -> None:
        order = await self._limit("buy", self.bench.best()[1], 140.0, timeInForce="FOK")
        same((order["status"], order["filled"]), ("expired", 0.0), "FOK larger than the level")

    async def limit_maker_rests(self) -> None:
        order = await self._limit("sell", self.bench.away("SELL"), postOnly=True, newOrderRespType="RESULT")
        same((order["status"], order["postOnly"]), ("open", True), "maker order")
        await self._cancel(order)

    async def limit_maker_refused(self) -> None:
        price = self.bench.away("SELL", 1)
        call = lambda: self._limit("buy", price, postOnly=True)  # noqa: E731 - one of many
        await refused(call, ccxt.OrderImmediatelyFillable, "would immediately match")

    async def market_by_quantity(self) -> None:
        order = await self._market("buy", 0.02)
        same((order["status"], order["filled"], order["type"]), ("closed", 0.02, "market"), "market buy")
        order = await self._market("sell", 0.02)
        same((order["status"], order["side"]), ("closed", "sell"), "market sell")

    async def market_by_quote(self) -> None:
        order = await self.client.create_market_buy_order_with_cost(MARKET, 1_000)
        same(order["status"], "closed", "market order by amount")
        expect(990 < order["cost"] <= 1_000, f"spent {order['cost']}")

    async def partial_fill(self) -> None:
        for _ in range(10):  # the price may step away between the question and the order
            order = await self._limit("buy", self.bench.best()[1], 140.0)
            cancelled = await self._cancel(order)
            if 0 < order["filled"] < 140:
                same(order["status"], "open", "status")
                expect(cancelled["filled"] >= order["filled"] and order["remaining"] > 0, f"{order}")
                return
        expect(False, "no order was filled in part")

    async def order_over_socket(self) -> None:
        async with self._other(self.bench.key, self.bench.secret) as client:
            order = await client.create_order_ws(MARKET, "limit", "buy", AMOUNT, float(self.bench.away("BUY")))
            same((order["status"], order["filled"]), ("open", 0.0), "resting order")
            same((await client.fetch_order_ws(order["id"], MARKET))["id"], order["id"], "order")
            cancelled = await client.cancel_order_ws(order["id"], MARKET)
            same((cancelled["id"], cancelled["status"]), (order["id"], "canceled"), "cancel")
            await refused(lambda: client.cancel_order_ws(order["id"], MARKET), ccxt.OrderNotFound, "-2011")

    async def place(self, side: str, price: Decimal, quantity: Decimal, tif: str, mode: str) -> Any:
        asked = {"timeInForce": tif, "selfTradePreventionMode": mode}
        return (await self._limit(side.lower(), price, float(quantity), **asked))["id"]

    async def told(self, order_id: Any) -> Told:
        found = (await self.client.fetch_order(order_id, MARKET))["info"]
        amounts = (Decimal(found.get(name, 0)) for name in ("origQty", "executedQty", "preventedQuantity"))
        return Told(found["status"], *amounts)

    async def end(self, order_id: Any) -> None:
        await self._cancel({"id": order_id})

    async def test_order(self) -> None:
        before = len(await self.client.fetch_orders(MARKET))
        await self.client.create_order(MARKET, "market", "buy", AMOUNT, None, {"test": True})
        same(len(await self.client.fetch_orders(MARKET)), before, "orders")

    # --- what is known of orders and accounts

    async def order_by_client_id(self) -> None:
        name = self.bench.new_id()
        order = await self._limit("buy", self.bench.away("BUY"), clientOrderId=name)
        found = await self.client.fetch_order(None, MARKET, {"clientOrderId": name})
        same((found["id"], found["clientOrderId"], found["status"]), (order["id"], name, "open"), "order")
        cancelled = await self.client.cancel_order(None, MARKET, {"clientOrderId": name})
        same((cancelled["id"], cancelled["status"]), (order["id"], "canceled"), "cancelled by client id")

    async def open_orders(self) -> None:
        orders = [await self._limit("sell", self.bench.away("SELL")) for _ in range(3)]
        wanted = {order["id"] for order in orders}
        same({one["id"] for one in await self.client.fetch_open_orders(MARKET)}, wanted, "of the symbol")
        for order in orders:
            await self._cancel(order)
        same(await self.client.fetch_open_orders(MARKET), [], "after the cancels")

    async def all_orders(self) -> None:
        order = await self._market("buy")
        found = (await self.client.fetch_orders(MARKET, limit=1))[0]
        same((found["id"], found["status"]), (order["id"], "closed"), "latest order")

    async def cancel_all(self) -> None:
        orders = [await self._limit("buy", self.bench.away("BUY")) for _ in range(3)]
        answer = await self.client.cancel_all_orders(MARKET)
        same({one["id"] for one in answer}, {order["id"] for order in orders}, "cancelled")
        same({one["status"] for one in answer}, {"canceled"}, "status")
        same(self.bench.ledger()["open_orders"], 0, "open orders in the ledger")

    async def my_trades(self) -> None:
        order = await self._market("buy", 0.005)
        trades = await self.client.fetch_my_trades(MARKET, params={"orderId": order["id"]})
        same(sum(Decimal(str(one["amount"])) for one in trades), Decimal("0.005"), "amount")
        same({(one["side"], one["takerOrMaker"]) for one in trades}, {("buy", "taker")}, "sides")
        same([one["id"] for one in trades], [one["id"] for one in order["trades"]], "trade ids")

    async def balances(self) -> None:
        order = await self._limit("buy", self.bench.away("BUY"))
        found = await self.client.fetch_balance()
        for asset, one in self.bench.ledger()["balances"].items():
            same(found[asset]["free"], float(one["free"]), f"free {asset}")
            same(found[asset]["used"], float(one["locked"]), f"locked {asset}")
        expect(found["USDT"]["used"] > 0, "nothing is locked for the open order")
        await self._cancel(order)

    # --- refusals

    async def _raw_order(self, **asked: Any) -> Any:
        """Past the client's own rounding and checks, with its signing and its exceptions."""
        usual = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        usual |= {"quantity": "0.01", "price": str(self.bench.away("BUY"))}
        return await self.client.private_post_order(usual | asked)

    async def insufficient_balance(self) -> None:
        call = lambda: self._limit("sell", self.bench.away("SELL"), float(self.bench.too_much()))  # noqa: E731 - one of many
        await refused(call, ccxt.InsufficientFunds, "insufficient balance")

    async def lot_size(self) -> None:
        await refused(lambda: self._raw_order(quantity="0.000015"), ccxt.InvalidOrder, "LOT_SIZE")
        await refused(lambda: self._limit("buy", self.bench.away("BUY"), 9_001.0), ccxt.InvalidOrder, "LOT_SIZE")

    async def price_filter(self) -> None:
        await refused(lambda: self._raw_order(price="50000.001"), ccxt.InvalidOrder, "PRICE_FILTER")
        await refused(lambda: self._limit("buy", 1.0, 6.0), ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE")

    async def notional(self) -> None:
        await refused(lambda: self._raw_order(quantity="0.00001"), ccxt.BadRequest, "Filter failure: NOTIONAL")

    async def bad_symbol(self) -> None:
        await refused(lambda: self._raw_order(symbol="NOPEUSDT"), ccxt.BadSymbol, "-1121")
        await refused(lambda: self.client.fetch_order_book("NOPE/USDT"), ccxt.BadSymbol)

    async def unknown_order(self) -> None:
        await refused(lambda: self.client.fetch_order("1", MARKET), ccxt.OrderNotFound, "-2013")

    async def unknown_cancel(self) -> None:
        await refused(lambda: self.client.cancel_order("1", MARKET), ccxt.OrderNotFound, "-2011")

    async def duplicate_client_id(self) -> None:
        name, price = self.bench.new_id(), self.bench.away("BUY")
        order = await self._limit("buy", price, clientOrderId=name)
        await refused(lambda: self._limit("buy", price, clientOrderId=name), ccxt.InvalidOrder, "Duplicate order sent.")
        await self._cancel(order)

    async def bad_signature(self) -> None:
        async with self._other(self.bench.key, "not-the-secret") as client:
            await refused(client.fetch_balance, ccxt.AuthenticationError, "-1022")

    async def bad_key(self) -> None:
        async with self._other("nobody", self.bench.secret) as client:
            await refused(client.fetch_balance, ccxt.AuthenticationError, "-2015")

    async def outside_receive_window(self) -> None:
        async with self._other(self.bench.key, self.bench.secret, timeDifference=20_000) as client:
            await refused(client.fetch_balance, ccxt.InvalidNonce, "outside of the recvWindow")
            await client.fetch_balance({"recvWindow": 30_000})
            client.options["timeDifference"] = -5_000
            await refused(client.fetch_balance, ccxt.InvalidNonce, "ahead of the server's time")

    async def market_closed(self) -> None:
        self.bench.fault("halt", symbol=SYMBOL)
        async with self._other(self.bench.key, self.bench.secret) as client:
            same(client.markets[MARKET]["active"], False, "active")
        await refused(lambda: self._limit("buy", self.bench.away("BUY")), ccxt.MarketClosed, "Market is closed.")
        self.bench.fault("halt", symbol=SYMBOL, on=False)

    async def answer_lost(self) -> None:
        """The venue did it and could not say so: the client raises, and the order is found by its id."""
        name, price = self.bench.new_id(), self.bench.away("BUY")
        self.bench.fault("http_status", status=503, executed=True)
        # not an ExchangeError: ccxt says with it that nothing is known of the outcome
        await refused(lambda: self._limit("buy", price, clientOrderId=name), ccxt.OperationFailed, "-1000")
        found = await self.client.fetch_order(None, MARKET, {"clientOrderId": name})
        same(found["status"], "open", "the order whose answer was lost")
        await self._cancel(found)

    # --- streams over time

    async def _life(self, client: Any) -> None:
        """A whole order's life as its account is told of it."""
        told: list[Any] = []

        async def watch() -> None:
            while True:
                told.extend(dict(one) for one in await client.watch_orders(MARKET))

        balance = asyncio.create_task(client.watch_balance())
        watching = asyncio.create_task(watch())
        try:
            await until(
                lambda: client.clients and client.clients[self.bench.ws_api].subscriptions.get("spot"), "stream"
            )
            await asyncio.sleep(0.5)  # the client has no sign of its own that the subscription is confirmed
            name = self.bench.new_id()
            order = await self._limit("buy", self.bench.away("BUY"), clientOrderId=name)
            await asyncio.sleep(0.2)  # it keeps one state per order: each must be seen before the next
            await self._cancel(order)
            bought = await self._market("buy")
            await until(lambda: any(one["id"] == bought["id"] and one["status"] == "closed" for one in told), "a fill")
            states = [one["status"] for one in told if one["id"] == order["id"]]
            same(list(dict.fromkeys(states)), ["open", "canceled"], "states of the order")
            same({one["clientOrderId"] for one in told if one["id"] == order["id"]}, {name}, "client id")
            same(next(one["filled"] for one in reversed(told) if one["id"] == bought["id"]), 0.001, "filled")
            await asyncio.wait_for(balance, 5)
            ledger = self.bench.ledger()["balances"]
            await until(lambda: client.balance["spot"]["BTC"]["free"] == float(ledger["BTC"]["free"]), "balances", 5)
        finally:
            for task in (balance, watching):
                task.cancel()
            await asyncio.gather(balance, watching, return_exceptions=True)

    async def user_stream(self) -> None:
        async with self._other(self.bench.key, self.bench.secret) as client:
            await self._life(client)

    async def user_stream_after_a_drop(self) -> None:
        """The client raises where it was watching; the next watch connects again."""
        async with self._other(self.bench.key, self.bench.secret) as client:
            watching = asyncio.create_task(client.watch_orders(MARKET))
            await until(
                lambda: client.clients and client.clients[self.bench.ws_api].subscriptions.get("spot"), "stream"
            )
            await asyncio.sleep(0.5)
            self.bench.fault("drop_streams")
            await refused(lambda: asyncio.wait_for(watching, 10), ccxt.NetworkError)
            await self._life(client)

    async def market_stream_after_a_drop(self) -> None:
        async with self._other(self.bench.key, self.bench.secret) as client:
            await client.watch_trades(MARKET)
            self.bench.fault("drop_streams")
            lost = 0
            async with asyncio.timeout(20):
                while not lost:
                    try:
                        await client.watch_trades(MARKET)
                    except ccxt.NetworkError:
                        lost += 1
                expect(await client.watch_trades(MARKET), "no trades after the drop")

    async def _watch(self, seconds: float, gap_after_s: float | None = None) -> tuple[BookCheck, int]:
        """What was compared, and how often the client said that its book had a gap."""
        check, gaps, start = BookCheck(self.bench), 0, time.monotonic()
        async with self._other(self.bench.key, self.bench.secret) as client:
            while time.monotonic() < start + seconds:
                if gap_after_s is not None and time.monotonic() > start + gap_after_s:
                    self.bench.fault("gap", symbol=SYMBOL, count=2)
                    gap_after_s = None
                try:
                    book = await asyncio.wait_for(client.watch_order_book(MARKET), 10)
                except ccxt.ChecksumError:
                    gaps += 1
                    continue
                check.compare(book["nonce"], book["bids"][0][0], book["asks"][0][0])
        return check, gaps

    async def book_in_sync(self) -> None:
        check, gaps = await self._watch(self.bench.book_s)
        check.verdict(self.bench.book_s)
        same(gaps, 0, "gaps")

    async def book_after_a_gap(self) -> None:
        check, gaps = await self._watch(8.0, gap_after_s=2.0)
        check.verdict(5.0)
        same(gaps, 1, "gaps")

    # --- limits

    async def order_limit(self) -> None:
        price = self.bench.away("BUY")
        for _ in range(OFFENCES_MAX):
            try:
                await self._limit("buy", price, timeInForce="IOC")
            except ccxt.DDoSProtection as error:
                expect("429" in str(error) and "-1015" in str(error), str(error))
                return
        expect(False, "orders are not limited")

    async def _exhaust(self, status: str) -> str:
        for _ in range(OFFENCES_MAX):
            try:
                await self.client.fetch_order_book(MARKET, 5_000)
            except ccxt.DDoSProtection as error:
                if status in str(error):
                    return str(error)
        raise AssertionError(f"no answer {status}")

    async def weight_limit(self) -> None:
        expect("-1003" in await self._exhaust("429"), "code")

    async def ban(self) -> None:
        expect("banned until" in await self._exhaust("418"), "the ban says until when")
        await refused(self.client.fetch_balance, ccxt.DDoSProtection, "418", "banned until")


if __name__ == "__main__":
    main(Scenarios)
