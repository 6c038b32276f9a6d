"""binance-sdk-spot, the venue's own client, against the simulator: its models are the protocol's as published.

An answer that does not fit the model of its call is only a warning to this client; here it fails the scenario.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import (
    BadRequestError,
    RateLimitBanError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
)
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.websocket_streams.models import DiffBookDepthUpdateSpeedEnum
from common import OFFENCES_MAX, SYMBOL, BookCheck, Suite, Told, expect, main, refused, same, until

MISFITS_MAX = 100


class Misfits(logging.Handler):
    """Keeps the client's complaints about answers and events that do not fit its models."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        complains = any(
            words in text for words in ("did not match", "Failed to parse", "Unknown user data", "in callback")
        )
        if complains and len(self.found) < MISFITS_MAX:
            self.found.append(text)


class Book:
    """A local book kept as the venue's documentation tells it, from the client's stream and snapshots."""

    def __init__(self, snapshot: Callable[[], Any]) -> None:
        self.update_id = 0
        self.sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        self.restarts = 0
        self._snapshot = snapshot

    def load(self) -> None:
        found = self._snapshot()
        self.update_id = found.last_update_id
        self.sides = ({}, {})
        self._set(found.bids, found.asks)
        self.restarts += 1

    def apply(self, event: Any) -> bool:
        """Whether the event was the next one, or needed a new snapshot."""
        if not self.update_id or event.U > self.update_id + 1:
            self.load()
        if event.u <= self.update_id or event.U > self.update_id + 1:
            return False
        self._set(event.b, event.a)
        self.update_id = event.u
        return True

    def best(self) -> tuple[Decimal, Decimal]:
        return max(self.sides[0]), min(self.sides[1])

    def _set(self, *changes: Any) -> None:
        for side, levels in zip(self.sides, changes, strict=True):
            for price, quantity in levels:
                if Decimal(quantity):
                    side[Decimal(price)] = Decimal(quantity)
                else:
                    side.pop(Decimal(price), None)


def _kind(event: Any) -> str:
    """Name of the model that the client made of an event."""
    return type(event).__name__


class Scenarios(Suite):
    async def open(self) -> None:
        self.misfits = Misfits()
        logging.getLogger().addHandler(self.misfits)
        self.rest = self._spot(self.bench.key, self.bench.secret).rest_api

    async def after(self) -> None:
        found, self.misfits.found = self.misfits.found, []
        expect(not found, f"the client's models do not fit: {found[:3]}")

    def _spot(self, key: str, secret: str) -> Spot:
        return Spot(
            ConfigurationRestAPI(key, secret, base_path=self.bench.rest, timeout=10_000),
            ConfigurationWebSocketAPI(key, secret, stream_url=self.bench.ws_api),
            ConfigurationWebSocketStreams(stream_url=f"{self.bench.ws}/stream"),
        )

    async def _ask(self, call: Callable[..., Any], **asked: Any) -> Any:
        """The parsed answer. The REST client blocks, so it runs beside the streams."""
        return (await asyncio.to_thread(lambda: call(**asked))).data()

    # --- market data

    async def ping(self) -> None:
        answer = await asyncio.to_thread(self.rest.ping)
        same(answer.status, 200, "status")
        expect(any(one.rateLimitType == "REQUEST_WEIGHT" for one in answer.rate_limits), "no weight in the headers")

    async def clock_offset(self) -> None:
        found = (await self._ask(self.rest.time)).server_time
        expect(abs(found - time.time() * 1_000) < 1_000, f"server time {found}")

    async def markets(self) -> None:
        info = await self._ask(self.rest.exchange_info)
        same({one.symbol for one in info.symbols}, {"BTCUSDT", "ETHUSDT"}, "symbols")
        one = (await self._ask(self.rest.exchange_info, symbol=SYMBOL)).symbols[0]
        same((one.base_asset, one.quote_asset, one.status), ("BTC", "USDT", "TRADING"), "market")
        expect({"REQUEST_WEIGHT", "ORDERS"} <= {limit.rate_limit_type for limit in info.rate_limits}, "rate limits")

    async def best_quotes(self) -> None:
        quote = (await self._ask(self.rest.ticker_book_ticker, symbol=SYMBOL)).actual_instance
        expect(0 < Decimal(quote.bid_price) < Decimal(quote.ask_price), f"{quote}")
        same(len((await self._ask(self.rest.ticker_book_ticker)).actual_instance), 2, "tickers")

    async def depth_snapshot(self) -> None:
        book = await self._ask(self.rest.depth, symbol=SYMBOL, limit=50)
        same((len(book.bids), len(book.asks)), (50, 50), "levels")
        bids = [Decimal(price) for price, _ in book.bids]
        expect(bids == sorted(bids, reverse=True), "bids are not best first")
        expect(bids[0] < Decimal(book.asks[0][0]), "the book is crossed")

    async def recent_trades(self) -> None:
        await self._market("BUY")
        trades = await self._ask(self.rest.get_trades, symbol=SYMBOL, limit=5)
        expect(1 <= len(trades) <= 5, f"{len(trades)} trades")
        expect(Decimal(trades[-1].price) > 0 and trades[-1].time > 0, f"{trades[-1]}")

    async def market_history(self) -> None:
        """Candles, a day's figures, aggregates and the average tell of the same trades."""
        await self._market("BUY")
        candles = await self._ask(self.rest.klines, symbol=SYMBOL, interval="1m")
        expect(len(candles) >= 1, "no candles")
        day = (await self._ask(self.rest.ticker24hr, symbol=SYMBOL)).actual_instance
        low, high = Decimal(day.low_price), Decimal(day.high_price)
        average = Decimal((await self._ask(self.rest.avg_price, symbol=SYMBOL)).price)
        last = (await self._ask(self.rest.ticker_price, symbol=SYMBOL)).actual_instance
        expect(0 < low <= average <= high and low <= Decimal(last.price), f"{low} {average} {last} {high}")
        found = (await self._ask(self.rest.agg_trades, symbol=SYMBOL, limit=3))[0]
        first = (await self._ask(self.rest.historical_trades, symbol=SYMBOL, from_id=found.f, limit=1))[0]
        same((first.id, first.price, first.time), (found.f, found.p, found.T), "aggregate")

    @contextlib.asynccontextmanager
    async def _streams(self) -> AsyncIterator[Any]:
        connection = await self._spot(self.bench.key, self.bench.secret).websocket_streams.create_connection()
        try:
            yield connection
        finally:
            await connection.close_connection(close_session=True)

    async def trades_stream(self) -> None:
        async with self._streams() as connection:
            found: list[Any] = []
            (await connection.trade(symbol=SYMBOL.lower())).on("message", found.append)
            await until(lambda: len(found) >= 5, "five trades")
        same({(one.e, one.s) for one in found}, {("trade", SYMBOL)}, "messages")
        ids = [one.t for one in found]
        expect(ids == list(range(ids[0], ids[0] + len(ids))), f"trade ids have a gap: {ids}")

    # --- orders

    async def _order(self, side: str, kind: str, **asked: Any) -> Any:
        return await self._ask(self.rest.new_order, symbol=SYMBOL, side=side, type=kind, **asked)

    async def _limit(self, side: str, price: Decimal, quantity: str, tif: str = "GTC", **more: Any) -> Any:
        amount = Decimal(quantity)
        return await self._order(side, "LIMIT", price=price, quantity=amount, time_in_force=tif, **more)

    async def _market(self, side: str, quantity: str = "0.001") -> Any:
        return await self._order(side, "MARKET", quantity=Decimal(quantity))

    async def _cancel(self, order: Any) -> Any:
        return await self._ask(self.rest.delete_order, symbol=SYMBOL, order_id=order.order_id)

    async def limit_rests_and_is_cancelled(self) -> None:
        price = self.bench.away("BUY")
        order = await self._limit("BUY", price, "0.01")
        same((order.status, order.executed_qty, order.fills), ("NEW", "0.00000000", []), "resting order")
        same(Decimal(order.price), price, "price")
        cancelled = await self._cancel(order)
        same((cancelled.status, cancelled.orig_client_order_id), ("CANCELED", order.client_order_id), "cancel")

    async def limit_fills(self) -> None:
        order = await self._limit("BUY", self.bench.away("SELL", 1), "0.01")
        same((order.status, order.executed_qty), ("FILLED", "0.01000000"), "crossing order")
        paid = sum(Decimal(fill.price) * Decimal(fill.qty) for fill in order.fills)
        same(Decimal(order.cummulative_quote_qty), paid, "amount of the fills")
        same({fill.commission_asset for fill in order.fills}, {"BTC"}, "fee asset")

    async def ioc_rest_expires(self) -> None:
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", "IOC")
        same((order.status, order.executed_qty), ("EXPIRED", "0.00000000"), "IOC away from the market")
        order = await self._limit("SELL", self.bench.away("BUY", 1), "0.01", "IOC")
        same(order.status, "FILLED", "IOC through the market")

    async def fok_fills(self) -> None:
        order = await self._limit("SELL", self.bench.away("BUY", 1), "0.01", "FOK")
        same((order.status, order.executed_qty), ("FILLED", "0.01000000"), "FOK")

    async def fok_is_killed(self) -> None:
        order = await self._limit("BUY", self.bench.best()[1], "140", "FOK")
        same((order.status, order.executed_qty), ("EXPIRED", "0.00000000"), "FOK larger than the level")

    async def limit_maker_rests(self) -> None:
        asked = {"quantity": Decimal("0.01"), "price": self.bench.away("SELL"), "new_order_resp_type": "RESULT"}
        order = await self._order("SELL", "LIMIT_MAKER", **asked)
        same((order.status, order.type), ("NEW", "LIMIT_MAKER"), "maker order")
        await self._cancel(order)

    async def limit_maker_refused(self) -> None:
        asked = {"quantity": Decimal("0.01"), "price": self.bench.away("SELL", 1), "type": "LIMIT_MAKER"}
        words = "Order would immediately match and take."
        await self._bad(self.rest.new_order, -2010, words, symbol=SYMBOL, side="BUY", **asked)

    async def market_by_quantity(self) -> None:
        order = await self._market("BUY", "0.02")
        same((order.status, order.executed_qty, order.type), ("FILLED", "0.02000000", "MARKET"), "market buy")
        order = await self._market("SELL", "0.02")
        same((order.status, order.side), ("FILLED", "SELL"), "market sell")

    async def market_by_quote(self) -> None:
        order = await self._order("BUY", "MARKET", quote_order_qty=Decimal("1000"))
        same((order.status, order.orig_quote_order_qty), ("FILLED", "1000.00000000"), "market order by amount")
        expect(990 < Decimal(order.cummulative_quote_qty) <= 1000, f"spent {order.cummulative_quote_qty}")

    async def partial_fill(self) -> None:
        for _ in range(10):  # the price may step away between the question and the order
            order = await self._limit("BUY", self.bench.best()[1], "140")
            cancelled = await self._cancel(order)
            if order.status == "PARTIALLY_FILLED":
                filled = Decimal(order.executed_qty)
                same(filled, sum(Decimal(fill.qty) for fill in order.fills), "filled")
                expect(0 < filled < 140 and Decimal(cancelled.executed_qty) >= filled, f"filled {filled}")
                return
        expect(False, "no order was filled in part")

    async def order_over_socket(self) -> None:
        asked: dict[str, Any] = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
        asked |= {"quantity": Decimal("0.01"), "price": self.bench.away("BUY")}
        async with self._private() as (connection, _):
            order = (await connection.order_place(**asked)).data().result
            same((order.status, order.executed_qty), ("NEW", "0.00000000"), "resting order")
            one = {"symbol": SYMBOL, "order_id": order.order_id}
            same((await connection.order_status(**one)).data().result.order_id, order.order_id, "order")
            same((await connection.order_cancel(**one)).data().result.status, "CANCELED", "cancel")
            refusal = (await connection.order_cancel(**one)).data()["error"]
            same((refusal["code"], refusal["msg"]), (-2011, "Unknown order sent."), "a second cancel")

    async def place(self, side: str, price: Decimal, quantity: Decimal, tif: str, mode: str) -> Any:
        return (await self._limit(side, price, str(quantity), tif, self_trade_prevention_mode=mode)).order_id

    async def told(self, order_id: Any) -> Told:
        found = await self._ask(self.rest.get_order, symbol=SYMBOL, order_id=order_id)
        amounts = (Decimal(one or 0) for one in (found.orig_qty, found.executed_qty, found.prevented_quantity))
        return Told(found.status, *amounts)

    async def end(self, order_id: Any) -> None:
        await self._ask(self.rest.delete_order, symbol=SYMBOL, order_id=order_id)

    async def test_order(self) -> None:
        before = len(await self._ask(self.rest.all_orders, symbol=SYMBOL))
        asked: dict[str, Any] = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET"}
        await self._ask(self.rest.order_test, quantity=Decimal("0.01"), **asked)
        same(len(await self._ask(self.rest.all_orders, symbol=SYMBOL)), before, "orders")
        await self._bad(self.rest.order_test, -1013, "LOT_SIZE", quantity=Decimal("0.000001"), **asked)

    # --- what is known of orders and accounts

    async def order_by_client_id(self) -> None:
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", new_client_order_id=name)
        found = await self._ask(self.rest.get_order, symbol=SYMBOL, orig_client_order_id=name)
        same((found.order_id, found.status), (order.order_id, "NEW"), "order")
        cancelled = await self._ask(self.rest.delete_order, symbol=SYMBOL, orig_client_order_id=name)
        same((cancelled.order_id, cancelled.status), (order.order_id, "CANCELED"), "cancelled by client id")

    async def open_orders(self) -> None:
        orders = [await self._limit("SELL", self.bench.away("SELL"), "0.01") for _ in range(3)]
        wanted = {order.order_id for order in orders}
        same({one.order_id for one in await self._ask(self.rest.get_open_orders, symbol=SYMBOL)}, wanted, "of one")
        same({one.order_id for one in await self._ask(self.rest.get_open_orders)}, wanted, "of all symbols")
        for order in orders:
            await self._cancel(order)
        same(await self._ask(self.rest.get_open_orders, symbol=SYMBOL), [], "after the cancels")

    async def all_orders(self) -> None:
        order = await self._market("BUY")
        found = (await self._ask(self.rest.all_orders, symbol=SYMBOL, limit=1))[0]
        same((found.order_id, found.status), (order.order_id, "FILLED"), "latest order")

    async def cancel_all(self) -> None:
        orders = [await self._limit("BUY", self.bench.away("BUY"), "0.01") for _ in range(3)]
        answer = await self._ask(self.rest.delete_open_orders, symbol=SYMBOL)
        same({one.order_id for one in answer}, {order.order_id for order in orders}, "cancelled")
        same({one.status for one in answer}, {"CANCELED"}, "status")
        same(self.bench.ledger()["open_orders"], 0, "open orders in the ledger")

    async def my_trades(self) -> None:
        order = await self._market("BUY", "0.005")
        trades = await self._ask(self.rest.my_trades, symbol=SYMBOL, order_id=order.order_id)
        same(sum(Decimal(one.qty) for one in trades), Decimal("0.005"), "quantity")
        same({(one.is_buyer, one.is_maker) for one in trades}, {(True, False)}, "sides")
        same([one.id for one in trades], [fill.trade_id for fill in order.fills], "trade ids")

    async def balances(self) -> None:
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01")
        account = await self._ask(self.rest.get_account)
        found = {one.asset: (Decimal(one.free), Decimal(one.locked)) for one in account.balances}
        ledger = self.bench.ledger()["balances"]
        same(found, {k: (Decimal(v["free"]), Decimal(v["locked"])) for k, v in ledger.items()}, "balances")
        expect(found["USDT"][1] > 0, "nothing is locked for the open order")
        await self._cancel(order)

    # --- refusals

    async def _bad(
        self, call: Callable[..., Any], code: int, *words: str, kind: type[Exception] = BadRequestError, **asked: Any
    ) -> None:
        error = await refused(lambda: self._ask(call, **asked), kind, *words)
        same(getattr(error, "status_code", None), code, "code")

    async def _bad_order(self, code: int, *words: str, **asked: Any) -> None:
        usual = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
        usual |= {"quantity": Decimal("0.01"), "price": self.bench.away("BUY")}
        await self._bad(self.rest.new_order, code, *words, **(usual | asked))

    async def insufficient_balance(self) -> None:
        asked = {"side": "SELL", "price": self.bench.away("SELL"), "quantity": self.bench.too_much()}
        await self._bad_order(-2010, "insufficient balance", **asked)

    async def lot_size(self) -> None:
        await self._bad_order(-1013, "Filter failure: LOT_SIZE", quantity=Decimal("0.000015"))
        await self._bad_order(-1013, "Filter failure: LOT_SIZE", quantity=Decimal("9001"))

    async def price_filter(self) -> None:
        await self._bad_order(-1013, "Filter failure: PRICE_FILTER", price=Decimal("50000.001"))
        await self._bad_order(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", price=Decimal("1"))

    async def notional(self) -> None:
        await self._bad_order(-1013, "Filter failure: NOTIONAL", quantity=Decimal("0.00001"))

    async def bad_symbol(self) -> None:
        await self._bad_order(-1121, "Invalid symbol.", symbol="NOPEUSDT")
        await self._bad(self.rest.depth, -1121, "Invalid symbol.", symbol="NOPEUSDT")

    async def unknown_order(self) -> None:
        await self._bad(self.rest.get_order, -2013, "Order does not exist.", symbol=SYMBOL, order_id=1)

    async def unknown_cancel(self) -> None:
        await self._bad(self.rest.delete_order, -2011, "Unknown order sent.", symbol=SYMBOL, order_id=1)

    async def duplicate_client_id(self) -> None:
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", new_client_order_id=name)
        await self._bad_order(-2010, "Duplicate order sent.", new_client_order_id=name)
        await self._cancel(order)

    async def bad_signature(self) -> None:
        other = self._spot(self.bench.key, "not-the-secret").rest_api
        await self._bad(other.get_account, -1022, "Signature for this request is not valid.")

    async def bad_key(self) -> None:
        other = self._spot("nobody", self.bench.secret).rest_api
        await self._bad(other.get_account, -2015, "Invalid API-key", kind=UnauthorizedError)

    async def outside_receive_window(self) -> None:
        """The client signs the time of its own clock, so it is the way that is too long."""
        self.bench.fault("latency_ms", value=100)
        try:
            await self._bad(self.rest.get_account, -1021, "outside of the recvWindow", recv_window=20)
            await self._ask(self.rest.get_account, recv_window=20_000)
        finally:
            self.bench.fault("latency_ms", value=0)

    async def market_closed(self) -> None:
        self.bench.fault("halt", symbol=SYMBOL)
        same((await self._ask(self.rest.exchange_info, symbol=SYMBOL)).symbols[0].status, "HALT", "status")
        await self._bad_order(-2010, "Market is closed.")
        self.bench.fault("halt", symbol=SYMBOL, on=False)

    async def answer_lost(self) -> None:
        """The venue did it and could not say so: the client raises, and the order is found by its id."""
        name = self.bench.new_id()
        self.bench.fault("http_status", status=503, executed=True)
        await self._bad_order(503, "Server error", kind=ServerError, new_client_order_id=name)
        found = await self._ask(self.rest.get_order, symbol=SYMBOL, orig_client_order_id=name)
        same(found.status, "NEW", "the order whose answer was lost")
        await self._cancel(found)

    # --- streams over time

    @contextlib.asynccontextmanager
    async def _private(self) -> AsyncIterator[tuple[Any, list[Any]]]:
        """A connection with the account's events."""
        connection = self._spot(self.bench.key, self.bench.secret).websocket_api
        await connection.create_connection()
        events: list[Any] = []
        try:
            subscribed = await connection.user_data_stream_subscribe_signature()
            subscribed.stream.on("message", lambda event: events.append(event.actual_instance))
            yield connection, events
        finally:
            await connection.close_connection(close_session=True)

    async def _life(self, events: list[Any]) -> None:
        """A whole order's life as its account is told of it."""
        name = self.bench.new_id()
        order = await self._limit("BUY", self.bench.away("BUY"), "0.01", new_client_order_id=name)
        await self._cancel(order)
        await self._market("BUY")
        ended = [("ExecutionReport", 4), ("OutboundAccountPosition", 3)]
        await until(lambda: all(sum(_kind(one) == kind for one in events) >= n for kind, n in ended), "events", 10)
        reports = [one for one in events if _kind(one) == "ExecutionReport"]
        life = [("NEW", "NEW"), ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("TRADE", "FILLED")]
        same([(one.x, one.X) for one in reports], life, "reports")
        same((reports[0].c, reports[1].C), (name, name), "client ids")
        same(reports[3].z, "0.00100000", "filled")
        last = next(one for one in reversed(events) if _kind(one) == "OutboundAccountPosition")
        ledger = self.bench.ledger()["balances"]
        for one in last.B:
            same(Decimal(one.f), Decimal(ledger[one.a]["free"]), f"free {one.a}")

    async def user_stream(self) -> None:
        async with self._private() as (_, events):
            await self._life(events)

    async def user_stream_after_a_drop(self) -> None:
        """The client reports the end of a connection and leaves a new one to its user."""
        closed: list[str] = []
        async with self._private() as (connection, _):
            connection.on_connection("close", lambda: closed.append("close"))
            self.bench.fault("drop_streams")
            await until(lambda: closed, "the event of the drop")
        async with self._private() as (_, events):
            await self._life(events)

    async def market_stream_after_a_drop(self) -> None:
        closed: list[str] = []
        async with self._streams() as connection:
            connection.on_connection("close", lambda: closed.append("close"))
            self.bench.fault("drop_streams")
            await until(lambda: closed, "the event of the drop")
        await self.trades_stream()

    async def _watch(self, seconds: float, gap_after_s: float | None = None) -> tuple[BookCheck, Book]:
        check = BookCheck(self.bench)
        book = Book(lambda: self.rest.depth(symbol=SYMBOL, limit=1000).data())
        start = time.monotonic()
        async with self._streams() as connection:
            events: asyncio.Queue[Any] = asyncio.Queue(1_000)
            speed = DiffBookDepthUpdateSpeedEnum.UPDATE_SPEED_100ms.value
            stream = await connection.diff_book_depth(symbol=SYMBOL.lower(), update_speed=speed)
            stream.on("message", events.put_nowait)
            while time.monotonic() < start + seconds:
                if book.apply(await asyncio.wait_for(events.get(), 10)):
                    check.compare(book.update_id, *book.best())
                if gap_after_s is not None and time.monotonic() > start + gap_after_s:
                    self.bench.fault("gap", symbol=SYMBOL, count=2)
                    gap_after_s = None
        return check, book

    async def book_in_sync(self) -> None:
        check, book = await self._watch(self.bench.book_s)
        check.verdict(self.bench.book_s)
        same(book.restarts, 1, "snapshots")

    async def book_after_a_gap(self) -> None:
        check, book = await self._watch(8.0, gap_after_s=2.0)
        check.verdict(5.0)
        same(book.restarts, 2, "snapshots")

    # --- limits

    async def order_limit(self) -> None:
        price = self.bench.away("BUY")
        for _ in range(OFFENCES_MAX):
            try:
                await self._limit("BUY", price, "0.01", "IOC")
            except TooManyRequestsError as error:
                same(error.status_code, -1015, "code")
                expect(error.retry_after is not None and 1 <= error.retry_after <= 11, f"{error.retry_after}")
                return
        expect(False, "orders are not limited")

    async def _exhaust(self, kind: type[TooManyRequestsError] | type[RateLimitBanError]) -> Any:
        for _ in range(OFFENCES_MAX):
            try:
                await self._ask(self.rest.depth, symbol=SYMBOL, limit=5000)
            except (TooManyRequestsError, RateLimitBanError) as error:
                if type(error) is kind:
                    return error
        raise AssertionError(f"no {kind.__name__}")

    async def weight_limit(self) -> None:
        error = await self._exhaust(TooManyRequestsError)
        same(error.status_code, -1003, "code")
        expect(1 <= error.retry_after <= 61, f"retry after {error.retry_after}")

    async def ban(self) -> None:
        error = await self._exhaust(RateLimitBanError)
        expect("banned until" in error.error_message and error.retry_after > 60, f"{vars(error)}")
        await self._bad(self.rest.get_account, -1003, "banned until", kind=RateLimitBanError)


if __name__ == "__main__":
    main(Scenarios)
