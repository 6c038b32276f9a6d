"""Messages of the market streams and of the WebSocket API, with its private stream, to our values. Pure."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ringfence.model import orders
from ringfence.model.orders import OrderEvent, Side
from ringfence.venues.api import BookDiff, MarketEvent, VenueBalance
from ringfence.venues.binance.codec import MS_NS, ProtocolError, decoded, levels, scaled
from ringfence.venues.binance.limits import Counts
from ringfence.wire.messages import Quote, Trade

# --- market streams


class _Diff(msgspec.Struct):
    ts_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class _Trade(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    ts_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class _Ticker(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    update_id: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


class _DiffMessage(msgspec.Struct):
    data: _Diff


class _TradeMessage(msgspec.Struct):
    data: _Trade


class _TickerMessage(msgspec.Struct):
    data: _Ticker


class _Named(msgspec.Struct):
    stream: str = ""
    event: str = msgspec.field(name="e", default="")


_DIFF: Final = msgspec.json.Decoder(_DiffMessage)
_TRADE: Final = msgspec.json.Decoder(_TradeMessage)
_TICKER: Final = msgspec.json.Decoder(_TickerMessage)
_NAMED: Final = msgspec.json.Decoder(_Named)
_LEAD: Final = b'{"stream":"'


class Shutdown(msgspec.Struct, frozen=True):
    """The venue is about to close this connection: open another."""


def stream_path(symbols: Iterable[str]) -> str:
    """Path and query of one combined stream with the depth, trades and best quote of each symbol."""
    names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in ("depth@100ms", "trade", "bookTicker")]
    return "/stream?streams=" + "/".join(names)


def _diff(body: bytes, ts_recv: int) -> BookDiff:
    data = decoded(_DIFF, body).data
    return BookDiff(
        data.symbol, data.first_id, data.last_id, data.ts_ms * MS_NS, ts_recv, levels(data.bids), levels(data.asks)
    )


def _trade(body: bytes, ts_recv: int) -> Trade:
    data = decoded(_TRADE, body).data
    # the buyer rested, so it was the seller who came to trade
    aggressor = Side.SELL if data.buyer_is_maker else Side.BUY
    return Trade(
        data.symbol, data.trade_id, data.ts_ms * MS_NS, ts_recv, scaled(data.price), scaled(data.quantity), aggressor
    )


def _quote(body: bytes, ts_recv: int) -> Quote:
    data = decoded(_TICKER, body).data
    return Quote(
        data.symbol,
        data.update_id,
        ts_recv,
        scaled(data.bid),
        scaled(data.bid_quantity),
        scaled(data.ask),
        scaled(data.ask_quantity),
    )


class MarketDecoder:
    """Decodes what a combined stream of these symbols sends: one typed pass, chosen by the stream's name."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._decoders: dict[bytes, Callable[[bytes, int], MarketEvent]] = {}
        for symbol in symbols:
            lower = symbol.lower().encode()
            self._decoders[lower + b"@depth@100ms"] = _diff
            self._decoders[lower + b"@trade"] = _trade
            self._decoders[lower + b"@bookTicker"] = _quote

    def decode(self, body: bytes, ts_recv: int) -> MarketEvent | Shutdown | None:
        """The event, or None for what is no market data of ours. Raises ProtocolError."""
        # the name is at a fixed place: read there, it costs less than a look at the whole message
        name = body[len(_LEAD) : body.find(b'"', len(_LEAD))] if body.startswith(_LEAD) else b""
        decoder = self._decoders.get(name)
        if decoder is None:
            named = decoded(_NAMED, body)
            if "serverShutdown" in (named.event, named.stream) or b'"serverShutdown"' in body:
                return Shutdown()
            decoder = self._decoders.get(named.stream.encode())
            if decoder is None:
                return None
        try:
            return decoder(body, ts_recv)
        except ProtocolError:
            raise
        except ValueError as error:
            raise ProtocolError(str(error)) from None


# --- the WebSocket API: answers, and the private stream


class _RateLimit(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    count: int = 0


class _Message(msgspec.Struct, rename="camel"):
    id: str | int | None = None
    status: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")
    rate_limits: list[_RateLimit] = []


class _Wait(msgspec.Struct, rename="camel"):
    server_time: int
    retry_after: int


class _Limited(msgspec.Struct):
    """An error that says when to come back, milliseconds of the venue's clock."""

    data: _Wait


class _Head(msgspec.Struct):
    kind: str = msgspec.field(name="e")


class _Report(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    client_order_id: str = msgspec.field(name="c")
    execution: str = msgspec.field(name="x")
    status: str = msgspec.field(name="X")
    order_id: int = msgspec.field(name="i")
    ts_ms: int = msgspec.field(name="T")
    original_id: str = msgspec.field(name="C", default="")
    reason: str = msgspec.field(name="r", default="NONE")
    price: str = msgspec.field(name="L", default="0")
    quantity: str = msgspec.field(name="l", default="0")
    commission: str = msgspec.field(name="n", default="0")
    commission_asset: str | None = msgspec.field(name="N", default=None)
    trade_id: int = msgspec.field(name="t", default=-1)
    maker: bool = msgspec.field(name="m", default=False)
    kind: str = msgspec.field(name="o", default="")
    working: bool = msgspec.field(name="w", default=False)
    order_quantity: str = msgspec.field(name="q", default="0")
    order_price: str = msgspec.field(name="p", default="0")
    prevented: str | None = msgspec.field(name="A", default=None)
    """Of the order's quantity, what self-trade prevention has taken off so far."""


class _Line(msgspec.Struct):
    asset: str = msgspec.field(name="a")
    free: str = msgspec.field(name="f")
    locked: str = msgspec.field(name="l")


class _Position(msgspec.Struct):
    lines: list[_Line] = msgspec.field(name="B")


_MESSAGE: Final = msgspec.json.Decoder(_Message)
_LIMITED: Final = msgspec.json.Decoder(_Limited)
_HEAD: Final = msgspec.json.Decoder(_Head)
_REPORT: Final = msgspec.json.Decoder(_Report)
_POSITION: Final = msgspec.json.Decoder(_Position)
_CLOSED: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request of ours."""

    id: str
    status: int
    """As REST's."""
    body: bytes
    """The result, or the error where the status is not 2xx: as REST's body."""
    counts: Counts
    retry_after_s: int | None = None


class OrderMessage(msgspec.Struct, frozen=True):
    symbol: str
    event: OrderEvent


class BalancesMessage(msgspec.Struct, frozen=True):
    """The balances that have just changed; all others are as they were."""

    balances: dict[str, VenueBalance]


class Ended(msgspec.Struct, frozen=True):
    """The venue will send nothing more on this subscription."""

    reason: str


class Other(msgspec.Struct, frozen=True):
    """An event that tells us nothing that we keep."""

    kind: str


PrivateMessage = Reply | OrderMessage | BalancesMessage | Ended | Other


def private_message(body: bytes, ts_recv: int) -> PrivateMessage:
    """Raises ProtocolError; what the message would have told is then unknown, so reconcile."""
    message = decoded(_MESSAGE, body)
    event = bytes(message.event)
    if not event:
        return _reply(message, body)
    kind = decoded(_HEAD, event).kind
    match kind:
        case "executionReport":
            return _order_message(decoded(_REPORT, event), ts_recv)
        case "outboundAccountPosition":
            return _balances(decoded(_POSITION, event))
        case "eventStreamTerminated" | "serverShutdown":
            return Ended(kind)
        case _:
            return Other(kind)


def _reply(message: _Message, body: bytes) -> PrivateMessage:
    if message.status is None:
        if b'"serverShutdown"' in body:
            return Ended("serverShutdown")
        raise ProtocolError("a message that is neither an answer nor an event")
    weight: dict[str, int] = {}
    orders: dict[str, int] = {}
    for line in message.rate_limits:
        counts = {"REQUEST_WEIGHT": weight, "ORDERS": orders}.get(line.rate_limit_type)
        if counts is not None:
            counts[f"{line.interval_num}{line.interval[:1]}"] = line.count
    error = bytes(message.error)
    told = Counts(weight, orders)
    return Reply(str(message.id), message.status, error or bytes(message.result), told, _retry_after_s(error))


def _retry_after_s(error: bytes) -> int | None:
    try:
        wait = decoded(_LIMITED, error).data
    except ProtocolError:
        return None
    return max(0, -((wait.server_time - wait.retry_after) // 1000))


def _order_message(report: _Report, ts: int) -> PrivateMessage:
    event = _order_event(report, ts)
    return Other(report.execution) if event is None else OrderMessage(report.symbol, event)


def _order_event(report: _Report, ts: int) -> OrderEvent | None:
    # on a cancel "c" is the name of the cancel request and "C" is the order's own
    ours = report.original_id or report.client_order_id
    ts_venue = report.ts_ms * MS_NS
    reason = "" if report.reason == "NONE" else report.reason
    match report.execution:
        case "NEW" if report.working and report.kind in orders.CONDITIONAL:
            # told a second time, now that it is on the book (the first time it only waits)
            return orders.Triggered(client_order_id=ours, ts=ts, ts_venue=ts_venue)
        case "REPLACED":
            return _update(report, ours, ts, ts_venue)
        case "NEW":
            return orders.Accepted(client_order_id=ours, ts=ts, venue_order_id=str(report.order_id), ts_venue=ts_venue)
        case "TRADE":
            return _fill(report, ours, ts, ts_venue)
        case "CANCELED":
            return orders.Canceled(client_order_id=ours, ts=ts, reason=reason, ts_venue=ts_venue)
        case "REJECTED":
            return orders.Rejected(client_order_id=ours, ts=ts, reason=reason or "rejected by the venue")
        case "EXPIRED":
            return orders.Expired(client_order_id=ours, ts=ts, reason=reason or report.status, ts_venue=ts_venue)
        case "TRADE_PREVENTION" if report.status in _CLOSED:
            return orders.Expired(client_order_id=ours, ts=ts, reason="self-trade prevention", ts_venue=ts_venue)
        case "TRADE_PREVENTION":
            if report.prevented is None:
                raise ProtocolError(f"part of order {report.order_id} was prevented, and not how much")
            return _update(report, ours, ts, ts_venue)
        case _:
            return None


def _update(report: _Report, ours: str, ts: int, ts_venue: int) -> OrderEvent:
    try:
        total, prevented = scaled(report.order_quantity), scaled(report.prevented or "0")
        price = scaled(report.order_price)
    except ValueError as error:
        raise ProtocolError(f"change of order {report.order_id}: {error}") from None
    return orders.Updated(
        client_order_id=ours, ts=ts, quantity=total - prevented, price=price, ts_venue=ts_venue, prevented=prevented
    )


def _fill(report: _Report, ours: str, ts: int, ts_venue: int) -> OrderEvent:
    if report.trade_id < 0:
        raise ProtocolError(f"execution of order {report.order_id} without a trade id")
    try:
        return orders.Filled(
            client_order_id=ours,
            ts=ts,
            trade_id=str(report.trade_id),
            price=scaled(report.price),
            quantity=scaled(report.quantity),
            commission=scaled(report.commission),
            commission_asset=report.commission_asset or "",
            maker=report.maker,
            ts_venue=ts_venue,
        )
    except ValueError as error:
        raise ProtocolError(f"execution of order {report.order_id}: {error}") from None


def _balances(position: _Position) -> BalancesMessage:
    try:
        return BalancesMessage(
            {line.asset: VenueBalance(scaled(line.free), scaled(line.locked)) for line in position.lines}
        )
    except ValueError as error:
        raise ProtocolError(f"account position: {error}") from None
