"""python-binance (AsyncClient, BinanceSocketManager, DepthCacheManager) against the simulator."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.exceptions import BinanceAPIException
from binance.helpers import round_step_size
from common import OFFENCES_MAX, SYMBOL, BookCheck, Suite, Told, expect, main, refused, same


class Scenarios(Suite):
    async def open(self) -> None:
        AsyncClient.API_URL = f"{self.bench.rest}/api"
        AsyncClient.WS_API_URL = self.bench.ws_api
        BinanceSocketManager.STREAM_URL = f"{self.bench.ws}/"
        self.client = await AsyncClient.create(self.bench.key, self.bench.secret)
        self.sockets = BinanceSocketManager(self.client)

    async def close(self) -> None:
        await self.client.close_connection()

    # --- market data

    async def ping(self) -> None:
        same(await self.client.ping(), {}, "answer to a ping")

    async def clock_offset(self) -> None:
        """`create` measured it; both run on one machine."""
        expect(abs(self.client.timestamp_offset) < 1_000, f"offset {self.client.timestamp_offset} ms")
        found = (await self.client.get_server_time())["serverTime"]
        expect(abs(found - time.time() * 1_000) < 1_000, f"server time {found}")

    async def markets(self) -> None:
        info = await self.client.get_exchange_info()
        same({one["symbol"] for one in info["symbols"]}, {"BTCUSDT", "ETHUSDT"}, "symbols")
        one = await self.client.get_symbol_info(SYMBOL)
        same((one["baseAsset"], one["quoteAsset"], one["status"]), ("BTC", "USDT", "TRADING"), "market")
        same(await self.client.get_symbol_info("NOPE"), None, "an unknown symbol")

    async def precision(self) -> None:
        one = await self.client.get_symbol_info(SYMBOL)
        rules = {rule["filterType"]: rule for rule in one["filters"]}
        step, tick = Decimal(rules["LOT_SIZE"]["stepSize"]), Decimal(rules["PRICE_FILTER"]["tickSize"])
        same(str(round_step_size("0.123456789", step)), "0.12345", "quantity rounded by the client")
        price = round_step_size(self.bench.away("BUY") + Decimal("0.0049"), tick)
        order = await self._limit("BUY", price, round_step_size(0.0012399, float(step)))
        same(order["origQty"], "0.00123000", "quantity as ordered")
        await self._cancel(order)

    async def best_quotes(self) -> None:
        quote = await self.client.get_orderbook_ticker(symbol=SYMBOL)
        expect(0 < Decimal(quote["bidPrice"]) < Decimal(quote["askPrice"]), f"{quote}")
        same(len(await self.client.get_orderbook_tickers()), 2, "tickers")

    async def depth_snapshot(self) -> None:
        book = await self.client.get_order_book(symbol=SYMBOL, limit=50)
        same((len(book["bids"]), len(book["asks"])), (50, 50), "levels")
        bids = [Decimal(price) for price, _ in book["bids"]]
        expect(bids == sorted(bids, reverse=True), "bids are not best first")
        expect(bids[0] < Decimal(book["asks"][0][0]), "the book is crossed")

    async def recent_trades(self) -> None:
        await self._trade()
        trades = await self.client.get_recent_trades(symbol=SYMBOL, limit=5)
        expect(1 <= len(trades) <= 5, f"{len(trades)} trades")
        expect(Decimal(trades[-1]["price"]) > 0 and trades[-1]["time"] > 0, f"{trades[-1]}")

    async def market_history(self) -> None:
        """Candles, a day's figures, aggregates and the average tell of the same trades."""
        await self._trade()
        candles = await self.client.get_klines(symbol=SYMBOL, interval="1m")
        day = await self.client.get_ticker(symbol=SYMBOL)
        expect(sum(candle[8] for candle in candles) <= day["count"], f"{day['count']} trades")
        low, high = Decimal(day["lowPrice"]), Decimal(day["highPrice"])
        average = Decimal((await self.client.get_avg_price(symbol=SYMBOL))["price"])
        last = Decimal((await self.client.get_symbol_ticker(symbol=SYMBOL))["price"])
        expect(0 < low <= average <= high and low <= last, f"{low} {average} {last} {high}")
        found = await self.client.get_aggregate_trades(symbol=SYMBOL, limit=3)
        first = (await self.client.get_historical_trades(symbol=SYMBOL, fromId=found[0]["f"], limit=1))[0]
        same((first["id"], first["price"], first["time"]), (found[0]["f"], found[0]["p"], found[0]["T"]), "aggregate")

    async def trades_stream(self) -> None:
        async with self.sockets.trade_socket(SYMBOL) as stream:
            messages = [await asyncio.wait_for(stream.recv(), 10) for _ in range(5)]
        same({(one["e"], one["s"]) for one in messages}, {("trade", SYMBOL)}, "messages")
        ids = [one["t"] for one in messages]
        expect(ids == list(range(ids[0], ids[0] + 5)), f"trade ids have a gap: {ids}")

    # --- orders

    async def _limit(self, side: str, price: Decimal, quantity: object, tif: str = "GTC", **more: Any) -> Any:
        return await self.client.order_limit(
            symbol=SYMBOL, side=side, price=str(price), quantity=str(quantity), timeInForce=tif, **more
        )

    async def _cancel(self, order: Any) -> Any:
        return await self.client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])

    async def _trade(self, quantity: str = "0.001") -> Any:
        return await self.client.order_market_buy(symbol=SYMBOL, quantity=quantity)

    async def limit_rests_and_is_cancelled(self) -> None:
        price = self.bench.away("BUY")
        order = await self._limit("BUY", price, "0.01")
        same((order["status"], order["executedQty"], order["fills"]), ("NEW", "0.00000000", []), "resting order")
        same(Decimal(order["price"]), price, "price")
        cancelled = await self._cancel(order)
        same((cancelled["status"], cancelled["origClientOrderId"]), ("CANCELED", order["clientOrderId"]), "cancel")

    async def limit_fills(self) -> None:
        order = await self._limit("BUY", self.bench.away("SELL", 1), "0.01")
        same((order["status"], order["executedQty"]), ("FILLED", "0.01000000"), "crossing order")
        paid = sum(Decimal(fill["price"]) * Decimal(fill["qty"]) for fill in order["fills"])
        same(Decimal(order["cummulativeQuoteQty"]), paid, "amount of the fills")
        same({fill["commissionAsset"] for fill in order["fills"]}, {"BTC"}, "fee asset")

    async def ioc_rest_expires(self) -> None:
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", "IOC")
        same((order["status"], order["executedQty"]), ("EXPIRED", "0.00000000"), "IOC away from the market")
        order = await self._limit("SELL", self.bench.away("BUY", 1), "0.01", "IOC")
        same(order["status"], "FILLED", "IOC through the market")

    async def fok_fills(self) -> None:
        order = await self._limit("SELL", self.bench.away("BUY", 1), "0.01", "FOK")
        same((order["status"], order["executedQty"]), ("FILLED", "0.01000000"), "FOK")

    async def fok_is_killed(self) -> None:
        order = await self._limit("BUY", self.bench.best()[1], "140", "FOK")
        same((order["status"], order["executedQty"]), ("EXPIRED", "0.00000000"), "FOK larger than the level")

    async def limit_maker_rests(self) -> None:
        price = self.bench.away("SELL")
        asked = {"symbol": SYMBOL, "side": "SELL", "type": "LIMIT_MAKER", "quantity": "0.01", "price": str(price)}
        order = await self.client.create_order(**asked, newOrderRespType="RESULT")
        same((order["status"], order["type"]), ("NEW", "LIMIT_MAKER"), "maker order")
        await self._cancel(order)

    async def limit_maker_refused(self) -> None:
        price = str(self.bench.away("SELL", 1))
        asked = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": price}
        await self._refused(self.client.create_order, -2010, "Order would immediately match and take.", **asked)

    async def market_by_quantity(self) -> None:
        order = await self._trade("0.02")
        same((order["status"], order["executedQty"], order["type"]), ("FILLED", "0.02000000", "MARKET"), "market buy")
        order = await self.client.order_market_sell(symbol=SYMBOL, quantity="0.02")
        same((order["status"], order["side"]), ("FILLED", "SELL"), "market sell")

    async def market_by_quote(self) -> None:
        order = await self.client.order_market_buy(symbol=SYMBOL, quoteOrderQty="1000")
        same((order["status"], order["origQuoteOrderQty"]), ("FILLED", "1000.00000000"), "market order by amount")
        expect(990 < Decimal(order["cummulativeQuoteQty"]) <= 1000, f"spent {order['cummulativeQuoteQty']}")

    async def partial_fill(self) -> None:
        for _ in range(10):  # the price may step away between the question and the order
            order = await self._limit("BUY", self.bench.best()[1], "140")
            cancelled = await self._cancel(order)
            if order["status"] == "PARTIALLY_FILLED":
                filled = Decimal(order["executedQty"])
                same(filled, sum(Decimal(fill["qty"]) for fill in order["fills"]), "filled")
                expect(0 < filled < 140 and Decimal(cancelled["executedQty"]) >= filled, f"filled {filled}")
                return
        expect(False, "no order was filled in part")

    async def order_over_socket(self) -> None:
        price = str(self.bench.away("BUY"))
        order = await self.client.ws_create_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price=price
        )
        same((order["status"], order["executedQty"]), ("NEW", "0.00000000"), "resting order")
        asked = {"symbol": SYMBOL, "orderId": order["orderId"]}
        same((await self.client.ws_get_order(**asked))["orderId"], order["orderId"], "order")
        same((await self.client.ws_cancel_order(**asked))["status"], "CANCELED", "cancel")
        await self._refused(self.client.ws_cancel_order, -2011, "Unknown order sent.", **asked)

    async def place(self, side: str, price: Decimal, quantity: Decimal, tif: str, mode: str) -> Any:
        return (await self._limit(side, price, quantity, tif, selfTradePreventionMode=mode))["orderId"]

    async def told(self, order_id: Any) -> Told:
        found = await self.client.get_order(symbol=SYMBOL, orderId=order_id)
        amounts = (Decimal(found.get(name, 0)) for name in ("origQty", "executedQty", "preventedQuantity"))
        return Told(found["status"], *amounts)

    async def end(self, order_id: Any) -> None:
        await self._cancel({"orderId": order_id})

    async def test_order(self) -> None:
        before = len(await self.client.get_all_orders(symbol=SYMBOL))
        asked = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET"}
        same(await self.client.create_test_order(**asked, quantity="0.01"), {}, "answer")
        same(len(await self.client.get_all_orders(symbol=SYMBOL)), before, "orders")
        await self._refused(self.client.create_test_order, -1013, "LOT_SIZE", **asked, quantity="0.000001")

    # --- what is known of orders and accounts

    async def order_by_client_id(self) -> None:
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", newClientOrderId=name)
        found = await self.client.get_order(symbol=SYMBOL, origClientOrderId=name)
        same((found["orderId"], found["status"]), (order["orderId"], "NEW"), "order")
        cancelled = await self.client.cancel_order(symbol=SYMBOL, origClientOrderId=name)
        same((cancelled["orderId"], cancelled["status"]), (order["orderId"], "CANCELED"), "cancelled by client id")

    async def open_orders(self) -> None:
        orders = [await self._limit("SELL", self.bench.away("SELL"), "0.01") for _ in range(3)]
        wanted = {order["orderId"] for order in orders}
        same({one["orderId"] for one in await self.client.get_open_orders(symbol=SYMBOL)}, wanted, "of the symbol")
        same({one["orderId"] for one in await self.client.get_open_orders()}, wanted, "of all symbols")
        for order in orders:
            await self._cancel(order)
        same(await self.client.get_open_orders(symbol=SYMBOL), [], "after the cancels")

    async def all_orders(self) -> None:
        order = await self._trade()
        found = (await self.client.get_all_orders(symbol=SYMBOL, limit=1))[0]
        same((found["orderId"], found["status"]), (order["orderId"], "FILLED"), "latest order")

    async def cancel_all(self) -> None:
        orders = [await self._limit("BUY", self.bench.away("BUY"), "0.01") for _ in range(3)]
        answer = await self.client.cancel_all_open_orders(symbol=SYMBOL)
        same({one["orderId"] for one in answer}, {order["orderId"] for order in orders}, "cancelled")
        same({one["status"] for one in answer}, {"CANCELED"}, "status")
        same(self.bench.ledger()["open_orders"], 0, "open orders in the ledger")

    async def my_trades(self) -> None:
        order = await self._trade("0.005")
        trades = await self.client.get_my_trades(symbol=SYMBOL, orderId=order["orderId"])
        same(sum(Decimal(one["qty"]) for one in trades), Decimal("0.005"), "quantity")
        same({(one["isBuyer"], one["isMaker"]) for one in trades}, {(True, False)}, "sides")
        same([one["id"] for one in trades], [fill["tradeId"] for fill in order["fills"]], "trade ids")

    async def balances(self) -> None:
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01")
        account = await self.client.get_account()
        found = {one["asset"]: (Decimal(one["free"]), Decimal(one["locked"])) for one in account["balances"]}
        ledger = self.bench.ledger()["balances"]
        same(found, {k: (Decimal(v["free"]), Decimal(v["locked"])) for k, v in ledger.items()}, "balances")
        expect(found["USDT"][1] > 0, "nothing is locked for the open order")
        one = await self.client.get_asset_balance(asset="BTC")
        same(Decimal(one["free"]), found["BTC"][0], "one asset")
        await self._cancel(order)

    # --- refusals

    async def _refused(self, call: Any, code: int, *words: str, status: int = 400, **asked: Any) -> None:
        error = await refused(lambda: call(**asked), BinanceAPIException, *words)
        same((error.code, error.status_code), (code, status), "code and status")

    async def _bad_order(self, code: int, *words: str, **asked: Any) -> None:
        usual = {"symbol": SYMBOL, "side": "BUY", "quantity": "0.01", "price": str(self.bench.away("BUY"))}
        await self._refused(self.client.order_limit, code, *words, **(usual | asked))

    async def insufficient_balance(self) -> None:
        asked = {"side": "SELL", "price": str(self.bench.away("SELL")), "quantity": str(self.bench.too_much())}
        await self._bad_order(-2010, "insufficient balance", **asked)

    async def lot_size(self) -> None:
        await self._bad_order(-1013, "Filter failure: LOT_SIZE", quantity="0.000015")
        await self._bad_order(-1013, "Filter failure: LOT_SIZE", quantity="9001")

    async def price_filter(self) -> None:
        await self._bad_order(-1013, "Filter failure: PRICE_FILTER", price="50000.001")
        await self._bad_order(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", price="1")

    async def notional(self) -> None:
        await self._bad_order(-1013, "Filter failure: NOTIONAL", quantity="0.00001")

    async def bad_symbol(self) -> None:
        await self._bad_order(-1121, "Invalid symbol.", symbol="NOPEUSDT")
        await self._refused(self.client.get_order_book, -1121, "Invalid symbol.", symbol="NOPEUSDT")

    async def unknown_order(self) -> None:
        await self._refused(self.client.get_order, -2013, "Order does not exist.", symbol=SYMBOL, orderId=1)

    async def unknown_cancel(self) -> None:
        await self._refused(self.client.cancel_order, -2011, "Unknown order sent.", symbol=SYMBOL, orderId=1)

    async def duplicate_client_id(self) -> None:
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", newClientOrderId=name)
        await self._bad_order(-2010, "Duplicate order sent.", newClientOrderId=name)
        await self._cancel(order)

    @contextlib.asynccontextmanager
    async def _other(self, key: str, secret: str) -> AsyncIterator[AsyncClient]:
        client = await AsyncClient.create(key, secret)
        try:
            yield client
        finally:
            await client.close_connection()

    async def bad_signature(self) -> None:
        async with self._other(self.bench.key, "not-the-secret") as client:
            await self._refused(client.get_account, -1022, "Signature for this request is not valid.")

    async def bad_key(self) -> None:
        async with self._other("nobody", self.bench.secret) as client:
            await self._refused(client.get_account, -2015, "Invalid API-key", status=401)

    async def outside_receive_window(self) -> None:
        async with self._other(self.bench.key, self.bench.secret) as client:
            client.timestamp_offset = -20_000  # the client's own window is 10 s
            await self._refused(client.get_account, -1021, "outside of the recvWindow")
            client.REQUEST_RECVWINDOW = 30_000
            await client.get_account()
            client.timestamp_offset = 5_000
            await self._refused(client.get_account, -1021, "ahead of the server's time")

    async def market_closed(self) -> None:
        self.bench.fault("halt", symbol=SYMBOL)
        same((await self.client.get_symbol_info(SYMBOL))["status"], "HALT", "status")
        await self._bad_order(-2010, "Market is closed.")
        self.bench.fault("halt", symbol=SYMBOL, on=False)

    async def answer_lost(self) -> None:
        """The venue did it and could not say so: the client raises, and the order is found by its id."""
        name = self.bench.new_id()
        self.bench.fault("http_status", status=503, executed=True)
        await self._bad_order_lost(name)
        found = await self.client.get_order(symbol=SYMBOL, origClientOrderId=name)
        same(found["status"], "NEW", "the order whose answer was lost")
        await self._cancel(found)

    async def _bad_order_lost(self, name: str) -> None:
        asked = {"symbol": SYMBOL, "side": "BUY", "quantity": "0.01", "price": str(self.bench.away("BUY"))}
        await self._refused(self.client.order_limit, -1000, status=503, newClientOrderId=name, **asked)

    # --- streams over time

    async def _life(self, stream: Any) -> None:
        """A whole order's life as its account is told of it."""
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", newClientOrderId=name)
        await self._cancel(order)
        await self._trade()
        events: list[Any] = []
        async with asyncio.timeout(10):
            while sum(one["e"] == "executionReport" for one in events) < 4 or events[-1]["e"] == "executionReport":
                events.append(await stream.recv())
        reports = [one for one in events if one["e"] == "executionReport"]
        kinds = [(one["x"], one["X"]) for one in reports]
        life = [("NEW", "NEW"), ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("TRADE", "FILLED")]
        same(kinds, life, "reports")
        same((reports[0]["c"], reports[1]["C"]), (name, name), "client ids")
        same(reports[3]["z"], "0.00100000", "filled")
        last = next(one for one in reversed(events) if one["e"] == "outboundAccountPosition")
        ledger = self.bench.ledger()["balances"]
        for one in last["B"]:
            same(Decimal(one["f"]), Decimal(ledger[one["a"]]["free"]), f"free {one['a']}")

    async def user_stream(self) -> None:
        async with self.sockets.user_socket() as stream:
            await self._life(stream)

    async def user_stream_after_a_drop(self) -> None:
        """The client says that the connection is gone; a new socket takes up from there."""
        async with self.sockets.user_socket() as stream:
            self.bench.fault("drop_streams")
            event = await asyncio.wait_for(stream.recv(), 15)
            same(event["e"], "error", "the first event")
            await asyncio.sleep(3)  # it connects again after a second, and loses answers while it does
        async with self.sockets.user_socket() as stream:
            await self._life(stream)

    async def market_stream_after_a_drop(self) -> None:
        async with self.sockets.trade_socket(SYMBOL) as stream:
            await asyncio.wait_for(stream.recv(), 10)
            self.bench.fault("drop_streams")
            kinds: list[str] = []
            async with asyncio.timeout(20):
                while "error" not in kinds or kinds[-1] != "trade":
                    kinds.append((await stream.recv())["e"])

    async def _watch(self, seconds: float, gap_after_s: float | None = None) -> BookCheck:
        check = BookCheck(self.bench)
        start = time.monotonic()
        async with DepthCacheManager(self.client, SYMBOL, bm=self.sockets, ws_interval=100) as manager:
            while time.monotonic() < start + seconds:
                cache = await asyncio.wait_for(manager.recv(), 10)
                if gap_after_s is not None and time.monotonic() > start + gap_after_s:
                    self.bench.fault("gap", symbol=SYMBOL, count=2)
                    gap_after_s, check = None, BookCheck(self.bench)
                    await asyncio.wait_for(manager.recv(), 10)
                    await asyncio.sleep(1.0)  # what was in the way belongs to the book before the gap
                    continue
                bids, asks = cache.get_bids(), cache.get_asks()
                check.compare(manager._last_update_id, Decimal(str(bids[0][0])), Decimal(str(asks[0][0])))
        return check

    async def book_in_sync(self) -> None:
        (await self._watch(self.bench.book_s)).verdict(self.bench.book_s)

    async def book_after_a_gap(self) -> None:
        (await self._watch(12.0, gap_after_s=3.0)).verdict(5.0)

    # --- limits

    async def order_limit(self) -> None:
        asked = {"symbol": SYMBOL, "side": "BUY", "price": str(self.bench.away("BUY")), "quantity": "0.01"}
        for _ in range(OFFENCES_MAX):
            try:
                await self.client.order_limit(timeInForce="IOC", **asked)
            except BinanceAPIException as error:
                same((error.code, error.status_code), (-1015, 429), "code and status")
                return
        expect(False, "orders are not limited")

    async def _exhaust(self, status: int) -> BinanceAPIException:
        for _ in range(OFFENCES_MAX):
            try:
                await self.client.get_order_book(symbol=SYMBOL, limit=5000)
            except BinanceAPIException as error:
                if error.status_code == status:
                    return error
        raise AssertionError(f"no answer {status}")

    async def weight_limit(self) -> None:
        error = await self._exhaust(429)
        same(error.code, -1003, "code")
        expect(1 <= int(error.response.headers["Retry-After"]) <= 61, "Retry-After")

    async def ban(self) -> None:
        error = await self._exhaust(418)
        expect("banned until" in error.message, error.message)
        await self._refused(self.client.get_account, -1003, "banned until", status=418)


if __name__ == "__main__":
    main(Scenarios)
