"""The protocol's documents: names and number formats exactly as clients expect them. Pure."""

from typing import Any

from ringfence.model.money import SCALE, notional
from ringfence.model.orders import OrderType, Side
from ringfence.simulator.accounts import Balance
from ringfence.simulator.catalog import Listing
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.orders import (
    AccountChange,
    BestQuote,
    DepthUpdate,
    Execution,
    PreventedMatch,
    Prevention,
    PublicTrade,
    Report,
    VenueOrder,
)

Document = dict[str, Any]
STP = Prevention.EXPIRE_MAKER.value
NO_GROUP = -1
"""The trade group of an account that is in none."""
_TYPES = [kind.value for kind in OrderType]


def decimal(value: int) -> str:
    """Eight decimals, always."""
    whole, fraction = divmod(abs(value), SCALE)
    return f"{'-' if value < 0 else ''}{whole}.{fraction:08d}"


def ms(ns: int) -> int:
    return ns // 1_000_000


def rate_limits(limits: Limits) -> list[Document]:
    return [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
        for kind, interval, number, limit in (
            ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m),
            ("ORDERS", "SECOND", 10, limits.orders_10s),
            ("ORDERS", "DAY", 1, limits.orders_1d),
        )
    ]


def symbol(listing: Listing, *, halted: bool) -> Document:
    rules = listing.instrument
    return {
        "symbol": rules.symbol,
        "status": "HALT" if halted else "TRADING",
        "baseAsset": rules.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": STP,
        "allowedSelfTradePreventionModes": [mode.value for mode in Prevention],
    }


def _filters(listing: Listing) -> list[Document]:
    rules = listing.instrument
    (bid_up, bid_down), (ask_up, ask_down) = (listing.multipliers[side] for side in (Side.BUY, Side.SELL))
    trailing_min, trailing_max = listing.trailing_bps
    lot = {"minQty": decimal(rules.quantity_min), "maxQty": decimal(rules.quantity_max), "stepSize": decimal(rules.lot)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": decimal(listing.price_min),
            "maxPrice": decimal(listing.price_max),
            "tickSize": decimal(rules.tick),
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot, "maxQty": decimal(listing.market_quantity_max)},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": decimal(bid_up),
            "bidMultiplierDown": decimal(bid_down),
            "askMultiplierUp": decimal(ask_up),
            "askMultiplierDown": decimal(ask_down),
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": decimal(rules.notional_min),
            "applyMinToMarket": True,
            "maxNotional": decimal(listing.notional_max),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        },
        {"filterType": "ICEBERG_PARTS", "limit": listing.iceberg_parts},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": trailing_min,
            "maxTrailingAboveDelta": trailing_max,
            "minTrailingBelowDelta": trailing_min,
            "maxTrailingBelowDelta": trailing_max,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": listing.orders_max},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": listing.algo_orders_max},
        *(
            [{"filterType": "MAX_POSITION", "maxPosition": decimal(listing.position_max)}]
            if listing.position_max
            else []
        ),
    ]


def levels(side: list[tuple[int, int]]) -> list[list[str]]:
    return [[decimal(price), decimal(quantity)] for price, quantity in side]


def placed(order: VenueOrder, executions: list[Execution], detail: str) -> Document:
    """Answer to a new order: ACK, RESULT or FULL."""
    document: Document = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": ms(order.updated),
    }
    if detail == "ACK":
        return document
    document |= _order(order) | {"workingTime": ms(order.created), "selfTradePreventionMode": _prevention(order)}
    if detail == "FULL":
        document["fills"] = [
            {
                "price": decimal(e.price),
                "qty": decimal(e.quantity),
                "commission": decimal(e.commission),
                "commissionAsset": e.commission_asset,
                "tradeId": e.trade_id,
            }
            for e in executions
        ]
    return document


def listed(orders: tuple[VenueOrder, VenueOrder], name: str, detail: str) -> Document:
    """Answer to a new pair."""
    first = orders[0]
    document: Document = {
        "orderListId": first.list_id,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": name,
        "transactionTime": ms(first.created),
        "symbol": first.symbol,
        "orders": [
            {"symbol": one.symbol, "orderId": one.order_id, "clientOrderId": one.client_order_id} for one in orders
        ],
    }
    if detail != "ACK":
        document["orderReports"] = [placed(one, [], "RESULT") for one in orders]
    return document


def _prevention(order: VenueOrder) -> str:
    return order.prevention.value


def canceled(order: VenueOrder, cancel_id: str) -> Document:
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_id,
        "transactTime": ms(order.updated),
        **_order(order),
        "selfTradePreventionMode": _prevention(order),
    }


def queried(order: VenueOrder) -> Document:
    """An order as GET order, openOrders and allOrders tell it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        **_order(order),
        "stopPrice": decimal(order.stop_price),
        **({"trailingDelta": order.trailing_bps} if order.trailing_bps else {}),
        "icebergQty": decimal(order.display),
        "time": ms(order.created),
        "updateTime": ms(order.updated),
        "isWorking": order.working,
        "workingTime": ms(order.created),
        "selfTradePreventionMode": _prevention(order),
    }


def amended(order: VenueOrder) -> Document:
    """Answer to a reduction: the names of its quantities are its own."""
    return {
        "transactTime": ms(order.updated),
        "executionId": order.order_id,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": order.list_id,
            "origClientOrderId": order.client_order_id,
            "clientOrderId": order.client_order_id,
            "price": decimal(order.price),
            "qty": decimal(order.quantity),
            "executedQty": decimal(order.filled),
            "preventedQty": decimal(order.prevented),
            "quoteOrderQty": decimal(order.quote_quantity),
            "cumulativeQuoteQty": decimal(order.amount),
            "status": order.status.value,
            "timeInForce": order.time_in_force.value,
            "type": order.type.value,
            "side": order.side.value,
            "workingTime": ms(order.created),
            "selfTradePreventionMode": _prevention(order),
        },
    }


def _order(order: VenueOrder) -> Document:
    return {
        "price": decimal(order.price),
        "origQty": decimal(order.quantity),
        "executedQty": decimal(order.filled),
        **(
            {"preventedQuantity": decimal(order.prevented), "preventedMatchId": order.prevented_match}
            if order.prevented
            else {}
        ),
        "origQuoteOrderQty": decimal(order.quote_quantity),
        "cummulativeQuoteQty": decimal(order.amount),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.value,
    }


def my_trade(execution: Execution) -> Document:
    return {
        "symbol": execution.symbol,
        "id": execution.trade_id,
        "orderId": execution.order_id,
        "orderListId": -1,
        "price": decimal(execution.price),
        "qty": decimal(execution.quantity),
        "quoteQty": decimal(execution.amount),
        "commission": decimal(execution.commission),
        "commissionAsset": execution.commission_asset,
        "time": ms(execution.ts),
        "isBuyer": execution.side is Side.BUY,
        "isMaker": execution.maker,
        "isBestMatch": True,
    }


def public_trade(trade: PublicTrade) -> Document:
    return {
        "id": trade.trade_id,
        "price": decimal(trade.price),
        "qty": decimal(trade.quantity),
        "quoteQty": decimal(trade.price * trade.quantity // SCALE),
        "time": ms(trade.ts),
        "isBuyerMaker": trade.aggressor is Side.SELL,
        "isBestMatch": True,
    }


def book_ticker(quote: BestQuote) -> Document:
    return {
        "symbol": quote.symbol,
        "bidPrice": decimal(quote.bid),
        "bidQty": decimal(quote.bid_quantity),
        "askPrice": decimal(quote.ask),
        "askQty": decimal(quote.ask_quantity),
    }


def account(balances: dict[str, Balance], maker: int, taker: int, updated: int, *, omit_zero: bool) -> Document:
    """``maker`` and ``taker`` in basis points, scaled; the protocol speaks of fractions."""
    rates = {"maker": decimal(maker // 10_000), "taker": decimal(taker // 10_000)}
    return {
        "makerCommission": maker // SCALE,
        "takerCommission": taker // SCALE,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {**rates, "buyer": decimal(0), "seller": decimal(0)},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": ms(updated),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": decimal(b.free), "locked": decimal(b.locked)}
            for asset, b in sorted(balances.items())
            if b.total or not omit_zero
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


# --- stream messages


def depth_message(update: DepthUpdate) -> Document:
    return {
        "e": "depthUpdate",
        "E": ms(update.ts),
        "s": update.symbol,
        "U": update.first_update_id,
        "u": update.last_update_id,
        "b": levels(update.bids),
        "a": levels(update.asks),
    }


def trade_message(trade: PublicTrade) -> Document:
    return {
        "e": "trade",
        "E": ms(trade.ts),
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": decimal(trade.price),
        "q": decimal(trade.quantity),
        "T": ms(trade.ts),
        "m": trade.aggressor is Side.SELL,
        "M": True,
    }


def quote_message(quote: BestQuote) -> Document:
    return {
        "u": quote.update_id,
        "s": quote.symbol,
        "b": decimal(quote.bid),
        "B": decimal(quote.bid_quantity),
        "a": decimal(quote.ask),
        "A": decimal(quote.ask_quantity),
    }


def execution_report(report: Report) -> Document:
    order, execution = report.order, report.execution
    return {
        "e": "executionReport",
        "E": ms(report.ts),
        "s": order.symbol,
        # after a cancel "c" is the cancel's own id, and "C" holds the order's
        "c": report.cancel_id or order.client_order_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": decimal(order.quantity),
        "p": decimal(order.price),
        "P": decimal(order.stop_price),
        "F": decimal(order.display),
        "g": order.list_id,
        "C": order.client_order_id if report.cancel_id else "",
        "x": report.kind,
        "X": order.status.value,
        "r": "NONE",
        "i": order.order_id,
        "l": decimal(execution.quantity if execution else 0),
        "z": decimal(order.filled),
        "L": decimal(execution.price if execution else 0),
        "n": decimal(execution.commission) if execution else "0",
        "N": execution.commission_asset if execution else None,
        "T": ms(report.ts),
        "t": execution.trade_id if execution else -1,
        "I": report.execution_id,
        "w": order.open and order.working,
        "m": execution.maker if execution else False,
        "M": False,
        "O": ms(order.created),
        "Z": decimal(order.amount),
        "Y": decimal(execution.amount if execution else 0),
        "Q": decimal(order.quote_quantity),
        "W": ms(order.created),
        "V": _prevention(order),
        **({"A": decimal(order.prevented)} if order.prevented else {}),
        **({} if report.prevented is None else _prevented_match(order, report.prevented)),
    }


def _prevented_match(order: VenueOrder, match: PreventedMatch) -> Document:
    """What a report says of it; ``l``, ``L`` and ``Y`` stay 0, as nothing has traded."""
    return {
        "v": match.match_id,
        "B": decimal(match.lost),
        "u": NO_GROUP,
        "U": match.counter_id,
        "Cs": order.symbol,
        "pl": decimal(match.quantity),
        "pL": decimal(match.price),
        "pY": decimal(notional(match.price, match.quantity)),
    }


def account_position(change: AccountChange, wrong: dict[str, int]) -> Document:
    told = {asset: told_wrongly(balance, wrong.get(asset, 0)) for asset, balance in change.balances.items()}
    return {
        "e": "outboundAccountPosition",
        "E": ms(change.ts),
        "u": ms(change.ts),
        "B": [{"a": a, "f": decimal(b.free), "l": decimal(b.locked)} for a, b in told.items()],
    }


def told_wrongly(balance: Balance, by: int) -> Balance:
    """The balance as a faulty venue tells it; by 0, as it is."""
    return Balance(free=balance.free + by, locked=balance.locked) if by else balance
