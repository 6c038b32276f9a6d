"""Every request of the protocol as a function from parameters to a document. Pure.

REST and the WebSocket API are two ways to the same table: a request has a name, a weight, and says whether it
must be signed. `Api.answer` never raises for what a client did wrong: the complaint is the answer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ringfence.model.orders import CONDITIONAL
from ringfence.simulator.dialect import auth, encode, errors, params, public
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.dialect.limits import Limits, RateLimiter
from ringfence.simulator.dialect.params import Params
from ringfence.simulator.faults import Faults
from ringfence.simulator.orders import Reason, Refusal, VenueOrder
from ringfence.simulator.record import Record
from ringfence.simulator.traded import Instrument
from ringfence.simulator.venue import Venue

LIST_MAX: Final = 1_000
DEPTH_MAX: Final = 5_000
RAW_ORDER_KINDS: Final = {
    "order.place": "order",
    "order.cancelReplace": "replace",
    "order.amend.keepPriority": "amend",
    "orderList.place.oco": "pair",
    "order.cancel": "cancel",
    "openOrders.cancelAll": "cancel_all",
}
"""Requests that the venue keeps a record of."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived."""

    name: str
    params: dict[str, str]
    payload: str
    """What its signature covers."""
    api_key: str | None
    address: str
    arrived_ns: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    document: Any
    weight_used: int = 0
    order_counts: tuple[int, int] | None = None
    """Orders in 10 seconds and in the day, where the request was one."""
    retry_after_s: int | None = None
    cut: bool = False
    """The connection breaks before all of it is said."""


class Api:
    def __init__(
        self,
        venue: Venue,
        credentials: Mapping[str, Credential],
        limits: Limits,
        record: Record,
        faults: Faults | None = None,
    ) -> None:
        self.venue = venue
        self.faults = faults or Faults()
        self.limiter = RateLimiter(limits)
        self.record = record
        self._credentials = credentials
        self._made_ids = 0

    def answer(self, call: Call, now_ns: int) -> Answer:
        """Do what was asked at this moment of the venue, and record it if it was about orders."""
        owner: Credential | None = None
        used = 0
        try:
            method = _method(call.name)
            used = self.limiter.weigh(call.address, method.weight(call.params), now_ns / 1e9)
            if method.signed:
                owner = self.authenticate(call, now_ns)
            document = method.run(self, owner.account if owner else "", call.params, now_ns)
        except ApiError as error:
            self._keep(call, owner, now_ns, error)
            return Answer(
                status=error.status,
                document=error.document,
                weight_used=used,
                retry_after_s=error.retry_after_s,
            )
        self._keep(call, owner, now_ns, None)
        if call.name in RAW_ORDER_KINDS:
            used = self.limiter.refund(call.address, method.weight(call.params), now_ns / 1e9)
        counts = self.limiter.order_counts(owner.account, now_ns / 1e9) if owner and call.name in _COUNTED else None
        return Answer(status=200, document=document, weight_used=used, order_counts=counts)

    def authenticate(self, call: Call, now_ns: int) -> Credential:
        """Whose request this is, proven. Raises ApiError."""
        owner = auth.credential(self._credentials, call.api_key)
        auth.check(owner, call.params, call.payload, encode.ms(now_ns))
        return owner

    def _keep(self, call: Call, owner: Credential | None, now_ns: int, error: ApiError | None) -> None:
        kind = RAW_ORDER_KINDS.get(call.name)
        if kind is None:
            return
        account = owner.account if owner else ""
        code, reason = (error.code, error.message) if error else (0, "")
        asked = [(kind, call.params)]
        if kind == "replace":
            asked = [
                ("order", call.params),
                ("cancel", {"origClientOrderId": call.params.get("cancelOrigClientOrderId", "")}),
            ]
        elif kind == "pair":
            legs = [call.params.get(f"{place}ClientOrderId", "") for place in ("above", "below")]
            asked = [("order", call.params | {"newClientOrderId": leg}) for leg in legs]
        for what, told in asked:
            self.record.add(what, told, account, call.arrived_ns, now_ns, code, reason)

    def made_id(self) -> str:
        """A client id for who gave none."""
        self._made_ids += 1
        return f"auto-{encode.ms(self.venue.start_ns)}-{self._made_ids}"

    def instrument(self, query: Params) -> Instrument:
        found = self.venue.instruments.get(params.required(query, "symbol"))
        if found is None:
            raise ApiError(-1121, "Invalid symbol.")
        return found

    def named(self, query: Params) -> list[Instrument]:
        """The instruments of the list in ``symbols``; all, where there is none."""
        if "symbols" not in query:
            return list(self.venue.instruments.values())
        try:
            wanted = msgspec.json.decode(query["symbols"], type=list[str])
        except msgspec.MsgspecError as error:
            raise errors.illegal("symbols", "a JSON array of symbols") from error
        if any(symbol not in self.venue.instruments for symbol in wanted):
            raise ApiError(-1121, "Invalid symbol.")
        return [self.venue.instruments[symbol] for symbol in wanted]

    def known_order(self, account: str, query: Params, complaint: tuple[int, str]) -> VenueOrder:
        symbol = self.instrument(query).listing.instrument.symbol
        order_id = params.optional_integer(query, "orderId")
        client_id = query.get("origClientOrderId")
        if order_id is None and not client_id:
            raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        order = self.venue.find(account, symbol, order_id, client_id)
        if order is None:
            raise ApiError(*complaint)
        return order


Run = Callable[[Api, str, Params, int], Any]


class Method(msgspec.Struct, frozen=True):
    run: Run
    weight: Callable[[Params], int]
    signed: bool = False


def _ping(_api: Api, _account: str, _query: Params, _now_ns: int) -> Any:
    return {}


def _time(_api: Api, _account: str, _query: Params, now_ns: int) -> Any:
    return {"serverTime": encode.ms(now_ns)}


def _exchange_info(api: Api, _account: str, query: Params, now_ns: int) -> Any:
    listed = [api.instrument(query)] if "symbol" in query else api.named(query)
    return {
        "timezone": "UTC",
        "serverTime": encode.ms(now_ns),
        "rateLimits": encode.rate_limits(api.limiter.limits),
        "exchangeFilters": [],
        "symbols": [encode.symbol(one.listing, halted=one.halted) for one in listed],
    }


def _depth(api: Api, _account: str, query: Params, _now_ns: int) -> Any:
    limit = max(1, params.integer(query, "limit", 100, DEPTH_MAX))
    update_id, bids, asks = api.instrument(query).publisher.snapshot(limit)
    return {"lastUpdateId": update_id, "bids": encode.levels(bids), "asks": encode.levels(asks)}


def _of_one(document: Callable[[Instrument, Params], Any]) -> Run:
    """A request about one instrument."""
    return lambda api, _account, query, _now_ns: document(api.instrument(query), query)


def _of_some(document: Callable[[Instrument, Params, int], Any]) -> Run:
    """A request about one instrument, about those that are listed, or about all: then a list is the answer."""

    def run(api: Api, _account: str, query: Params, now_ns: int) -> Any:
        if "symbol" in query:
            return document(api.instrument(query), query, encode.ms(now_ns))
        return [document(one, query, encode.ms(now_ns)) for one in api.named(query)]

    return run


def _average_price(api: Api, _account: str, query: Params, now_ns: int) -> Any:
    return public.average_price(api.instrument(query), encode.ms(now_ns))


def _place(api: Api, account: str, query: Params, now_ns: int) -> Any:
    request = params.order(query, query.get("newClientOrderId") or api.made_id())
    api.limiter.count_order(account, now_ns / 1e9)
    order = api.venue.place(account, request, now_ns)
    if isinstance(order, Refusal):
        raise errors.of(order)
    if order.filled:
        api.limiter.give_back(account, now_ns / 1e9)
    detail = query.get("newOrderRespType") or ("FULL" if request.type in {"LIMIT", "MARKET"} else "ACK")
    return encode.placed(order, api.venue.executions_of(order), detail)


def _test(api: Api, account: str, query: Params, now_ns: int) -> Any:
    refusal = api.venue.check(account, params.order(query, "test"), now_ns)
    if refusal is not None:
        raise errors.of(refusal)
    return {}


def _cancel(api: Api, account: str, query: Params, now_ns: int) -> Any:
    order = api.known_order(account, query, errors.NOTHING_TO_CANCEL)
    cancel_id = params.client_id(query, "newClientOrderId", api.made_id())
    return _canceled(api, order, now_ns, cancel_id)


def _cancel_all(api: Api, account: str, query: Params, now_ns: int) -> Any:
    orders = api.venue.open_orders(account, api.instrument(query).listing.instrument.symbol)
    if not orders:
        raise ApiError(*errors.NOTHING_TO_CANCEL)
    return [_canceled(api, order, now_ns, api.made_id()) for order in orders]


def _canceled(api: Api, order: VenueOrder, now_ns: int, cancel_id: str) -> Any:
    result = api.venue.cancel(order, now_ns, cancel_id)
    if isinstance(result, Refusal):
        raise errors.of(result)
    return encode.canceled(result, cancel_id)


def _replace(api: Api, account: str, query: Params, now_ns: int) -> Any:
    """Cancel one order and place another; how far it came is told for each half."""
    go_on = query.get("cancelReplaceMode") == "ALLOW_FAILURE"
    request = params.order(query, query.get("newClientOrderId") or api.made_id())
    named = {"symbol": request.symbol, "origClientOrderId": query.get("cancelOrigClientOrderId", "")}
    if "cancelOrderId" in query:
        named["orderId"] = query["cancelOrderId"]
    # filters are looked at before anything is done; counts and holdings only when the old order is gone
    refusal = api.venue.check(account, request, now_ns)
    if refusal is not None and refusal.reason is Reason.FILTER and not refusal.detail.startswith("MAX_"):
        raise errors.of(refusal)
    halves: dict[str, Any] = {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
    try:
        old = api.known_order(account, named, errors.NOTHING_TO_CANCEL)
        if query.get("cancelRestrictions") == "ONLY_NEW" and old.filled:
            raise errors.of(Refusal(Reason.RESTRICTED))
        halves |= {"cancelResult": "SUCCESS", "cancelResponse": _canceled(api, old, now_ns, api.made_id())}
    except ApiError as error:
        halves |= {"cancelResult": "FAILURE", "cancelResponse": error.document}
        if not go_on:
            api.limiter.count_order(account, now_ns / 1e9)  # counted also where it was not attempted
            raise ApiError(*errors.REPLACE_FAILED, data=halves) from error
    try:
        halves |= {"newOrderResponse": _place(api, account, query, now_ns), "newOrderResult": "SUCCESS"}
    except ApiError as error:
        halves |= {"newOrderResponse": error.document, "newOrderResult": "FAILURE"}
    failures = [name for name in ("cancelResult", "newOrderResult") if halves[name] == "FAILURE"]
    if failures:
        partly = errors.REPLACE_PARTLY if len(failures) == 1 else errors.REPLACE_FAILED
        raise ApiError(*partly, status=409 if len(failures) == 1 else 400, data=halves)
    return halves


def _amend(api: Api, account: str, query: Params, now_ns: int) -> Any:
    order = api.known_order(account, query, errors.NO_SUCH_ORDER)
    result = api.venue.amend(order, params.money(query, "newQty"), now_ns)
    if isinstance(result, Refusal):
        raise errors.of(result)
    return encode.amended(result)


def _pair(api: Api, account: str, query: Params, now_ns: int) -> Any:
    legs = {place: params.leg(query, place, api.made_id()) for place in ("above", "below")}
    # what rests on the book comes first: what it locks is enough for both
    first, second = sorted(legs.values(), key=lambda leg: leg.type in CONDITIONAL)
    name = params.client_id(query, "listClientOrderId", api.made_id())
    for _ in legs:
        api.limiter.count_order(account, now_ns / 1e9)
    made = api.venue.place_pair(account, first, second, now_ns)
    if isinstance(made, Refusal):
        raise errors.of(made)
    return encode.listed(made, name, query.get("newOrderRespType") or "FULL")


def _order(api: Api, account: str, query: Params, _now_ns: int) -> Any:
    return encode.queried(api.known_order(account, query, errors.NO_SUCH_ORDER))


def _open_orders(api: Api, account: str, query: Params, _now_ns: int) -> Any:
    symbol = api.instrument(query).listing.instrument.symbol if "symbol" in query else None
    return [encode.queried(order) for order in api.venue.open_orders(account, symbol)]


def _all_orders(api: Api, account: str, query: Params, _now_ns: int) -> Any:
    symbol = api.instrument(query).listing.instrument.symbol
    first = params.integer(query, "orderId", 0)
    limit = max(1, params.integer(query, "limit", 500, LIST_MAX))
    start, end = params.integer(query, "startTime", 0), params.integer(query, "endTime", 2**62)
    found = [
        order
        for order in api.venue.orders(account, symbol)
        if order.order_id >= first and start <= encode.ms(order.created) <= end
    ]
    page = found[:limit] if first or start else found[-limit:]
    return [encode.queried(order) for order in page]


def _my_trades(api: Api, account: str, query: Params, _now_ns: int) -> Any:
    symbol = api.instrument(query).listing.instrument.symbol
    limit = max(1, params.integer(query, "limit", 500, LIST_MAX))
    first = params.integer(query, "fromId", 0)
    order_id = params.optional_integer(query, "orderId")
    start, end = params.integer(query, "startTime", 0), params.integer(query, "endTime", 2**62)
    found = [
        e
        for e in api.venue.executions(account)
        if e.symbol == symbol
        and e.trade_id >= first
        and order_id in {None, e.order_id}
        and start <= encode.ms(e.ts) <= end
    ]
    page = found[:limit] if "fromId" in query or start else found[-limit:]
    return [encode.my_trade(execution) for execution in page]


def _account(api: Api, account: str, query: Params, _now_ns: int) -> Any:
    fees = api.venue.fees
    wrong = api.faults.balances
    return encode.account(
        {asset: encode.told_wrongly(b, wrong.get(asset, 0)) for asset, b in api.venue.ledger.balances(account).items()},
        fees.maker_bps,
        fees.taker_bps,
        api.venue.updated[account],
        omit_zero=query.get("omitZeroBalances") == "true",
    )


def _rate_limits(api: Api, account: str, _query: Params, now_ns: int) -> Any:
    ten_s, day = api.limiter.order_counts(account, now_ns / 1e9)
    limits = [one for one in encode.rate_limits(api.limiter.limits) if one["rateLimitType"] == "ORDERS"]
    return [one | {"count": count} for one, count in zip(limits, (ten_s, day), strict=True)]


def _method(name: str) -> Method:
    found = _METHODS.get(name)
    if found is None:
        raise ApiError(*errors.UNKNOWN_METHOD)
    return found


def _fixed(weight: int) -> Callable[[Params], int]:
    return lambda _query: weight


def _depth_weight(query: Params) -> int:
    limit = params.integer(query, "limit", 100, DEPTH_MAX)
    return next((weight for upto, weight in ((100, 5), (500, 25), (1_000, 50)) if limit <= upto), 250)


def _one_or_all(query: Params) -> int:
    return 2 if "symbol" in query else 4


_COUNTED: Final = frozenset({"order.place", "order.cancelReplace", "orderList.place.oco"})
_METHODS: Final[dict[str, Method]] = {
    "ping": Method(_ping, _fixed(1)),
    "time": Method(_time, _fixed(1)),
    "exchangeInfo": Method(_exchange_info, _fixed(20)),
    "depth": Method(_depth, _depth_weight),
    "trades.recent": Method(_of_one(public.trades), _fixed(25)),
    "trades.historical": Method(_of_one(public.historical_trades), _fixed(25)),
    "trades.aggregate": Method(_of_one(public.aggregates), _fixed(4)),
    "klines": Method(_of_one(public.candles), _fixed(2)),
    "uiKlines": Method(_of_one(public.candles), _fixed(2)),
    "avgPrice": Method(_average_price, _fixed(2)),
    "ticker.24hr": Method(_of_some(public.day), lambda query: 2 if "symbol" in query or "symbols" in query else 80),
    "ticker.price": Method(_of_some(lambda one, _query, _now: public.price(one)), _one_or_all),
    "ticker.book": Method(_of_some(lambda one, _query, _now: encode.book_ticker(one.publisher.best)), _one_or_all),
    "order.place": Method(_place, _fixed(1), signed=True),
    "order.cancelReplace": Method(_replace, _fixed(1), signed=True),
    "order.amend.keepPriority": Method(_amend, _fixed(4), signed=True),
    "orderList.place.oco": Method(_pair, _fixed(1), signed=True),
    "order.test": Method(_test, _fixed(1), signed=True),
    "order.cancel": Method(_cancel, _fixed(1), signed=True),
    "openOrders.cancelAll": Method(_cancel_all, _fixed(1), signed=True),
    "order.status": Method(_order, _fixed(4), signed=True),
    "openOrders.status": Method(_open_orders, lambda query: 6 if "symbol" in query else 80, signed=True),
    "allOrders": Method(_all_orders, _fixed(20), signed=True),
    "myTrades": Method(_my_trades, lambda query: 5 if "orderId" in query else 20, signed=True),
    "account.status": Method(_account, _fixed(20), signed=True),
    "account.rateLimits.orders": Method(_rate_limits, _fixed(40), signed=True),
}
