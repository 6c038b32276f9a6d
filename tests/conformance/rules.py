"""Every filter at the venue, and the same at our gate, which reads them from the venue; nothing is rounded."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from desk import BID, STEP, Desk, at_desk, word
from matrix import REST_ALONE, Case, Run, numbered

from chaos.process import SYMBOL
from ringfence.execution.gate import Gate
from ringfence.execution.state import Track
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.guard import Guard
from ringfence.venues.binance import codec
from ringfence.wire.messages import Intent

T, F, B, S = OrderType, TimeInForce, Side.BUY, Side.SELL
FORM: Final = ("PRICE_", "QUANTITY_", "VALUE_", "MARKET_QUANTITY", "TRIGGER_INVALID", "TRAILING_", "ICEBERG_")
LIMITS: Final = frozenset({"PRICE_BEYOND_COLLAR", "PRICE_TOO_FAR"})
"""Ours, not the venue's: no quote is given here, so they always speak."""
PERCENT: Final = {B: (SCALE * 11 // 10, SCALE * 9 // 10), S: (SCALE * 12 // 10, SCALE * 95 // 100)}


def gate_says(order: Approved, rules: Instrument) -> str:
    """The venue's rules that the gate itself sees broken."""
    gate = Gate(Guard("momentum", {}, [], 0), (SYMBOL,))
    gate.tracks["stable"] = Track("stable")
    gate.markets[SYMBOL].instrument = rules
    intent = Intent(
        "i", "stable", SYMBOL, order.side, order.type, order.time_in_force, order.quantity, order.price, False, 0,
        order.stop_price, order.trailing_bps, order.display,
    )  # fmt: skip
    codes = [line.partition(" ")[0] for line in gate.check(intent, 0, 0)]
    return " ".join(code for code in codes if code.startswith(FORM) and code not in LIMITS) or "passes"


def _one(fields: dict[str, Any]) -> Callable[[Desk], Awaitable[str]]:
    async def script(desk: Desk) -> str:
        (rules,) = await desk.adapter.instruments((SYMBOL,))
        order = desk.order(**fields)
        return f"{word(await desk.submit(order))}; gate: {gate_says(order, rules)}"

    return script


def _row(
    filter_: str, what: str, expected: str, rules: dict[str, Any] | None = None, **fields: Any
) -> tuple[str, str, Run]:
    name = f"{filter_}: {what}"
    found = expected.replace("-1013", f"-1013 {filter_}")
    return name, found, at_desk(_one(fields), **(rules or {}))


async def _third_order(desk: Desk) -> str:
    return ", ".join([word(await desk.submit(desk.order())) for _ in range(3)])


async def _second_stop(desk: Desk) -> str:
    found = [word(await desk.submit(desk.order(T.STOP_LOSS, S, price=0, stop_price=BID - STEP))) for _ in range(2)]
    return ", ".join([*found, word(await desk.submit(desk.order()))])


async def _position(desk: Desk) -> str:
    """100 are held; 100.02 are allowed, working buys counted."""
    found = [word(await desk.submit(desk.order(quantity="0.015"))) for _ in range(2)]
    return ", ".join([*found, word(await desk.submit(desk.order(side=S)))])


async def _older_name(desk: Desk) -> str:
    """An exchange that still lists MIN_NOTIONAL, with bounds that are switched off by 0."""
    body = (
        b'{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":['
        b'{"filterType":"PRICE_FILTER","minPrice":"0","maxPrice":"0","tickSize":"0.01"},'
        b'{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},'
        b'{"filterType":"MIN_NOTIONAL","minNotional":"600.5","applyToMarket":true,"avgPriceMins":5}]}]}'
    )
    (rules,) = codec.instruments(body, (SYMBOL,))
    low, enough = desk.order(price=parse("60049.99")), desk.order(price=parse("60050"))
    return f"{gate_says(low, rules)}, {gate_says(enough, rules)}"


async def _exact(desk: Desk) -> str:
    """0.3 / 0.00001 and 59999.99 / 0.01 leave rests in binary fractions."""
    order = desk.order(quantity="0.3", price=parse("59899.99"))
    (rules,) = await desk.adapter.instruments((SYMBOL,))
    outcome = word(await desk.submit(order))
    (report,) = await desk.adapter.open_orders()
    return f"{outcome}; gate: {gate_says(order, rules)}; {text(report.quantity)} at {text(report.price)}"


FAR: Final = BID - 10 * STEP
ROWS: Final = (
    _row("PRICE_FILTER", "between two ticks", "Refused -1013; gate: PRICE_PRECISION", price=FAR + 1),
    _row("PRICE_FILTER", "above the highest", "Refused -1013; gate: PRICE_OUTSIDE_VENUE_RANGE",
         {"price_max": parse("70000")}, side=S, price=parse("70000.01")),
    _row("PRICE_FILTER", "the highest", "Accepted; gate: passes", {"price_max": parse("70000")}, side=S,
         price=parse("70000")),
    _row("PRICE_FILTER", "below the lowest", "Refused -1013; gate: PRICE_OUTSIDE_VENUE_RANGE",
         {"price_min": parse("50000")}, price=parse("49999.99")),
    _row("PRICE_FILTER", "the lowest", "Accepted; gate: passes", {"price_min": parse("50000")}, price=parse("50000")),
    _row("PRICE_FILTER", "a trigger between two ticks", "Refused -1013; gate: TRIGGER_INVALID", kind=T.STOP_LOSS,
         side=S, price=0, stop_price=FAR + 1),
    _row("PERCENT_PRICE_BY_SIDE", "a bid too high", "Refused -1013; gate: passes", {"multipliers": PERCENT},
         price=parse("66006")),
    _row("PERCENT_PRICE_BY_SIDE", "a bid too low", "Refused -1013; gate: passes", {"multipliers": PERCENT},
         price=parse("54004")),
    _row("PERCENT_PRICE_BY_SIDE", "the lowest bid", "Accepted; gate: passes", {"multipliers": PERCENT},
         price=parse("54004.5")),
    _row("PERCENT_PRICE_BY_SIDE", "an ask too high", "Refused -1013; gate: passes", {"multipliers": PERCENT}, side=S,
         price=parse("72006.01")),
    _row("PERCENT_PRICE_BY_SIDE", "the highest ask", "Accepted; gate: passes", {"multipliers": PERCENT}, side=S,
         price=parse("72006")),
    _row("PERCENT_PRICE_BY_SIDE", "an ask too low", "Refused -1013; gate: passes", {"multipliers": PERCENT}, side=S,
         price=parse("57004")),
    _row("LOT_SIZE", "between two steps", "Refused -1013; gate: QUANTITY_PRECISION", quantity="0.010001"),
    _row("LOT_SIZE", "more than the most",
         "Refused -1013; gate: QUANTITY_ABOVE_VENUE_MAXIMUM VALUE_ABOVE_VENUE_MAXIMUM", quantity="9000.00001"),
    _row("LOT_SIZE", "less than a step", "Refused -1013; gate: QUANTITY_PRECISION VALUE_BELOW_VENUE_MINIMUM",
         quantity="0.000009"),
    _row("MARKET_LOT_SIZE", "a market order above it", "Refused -1013; gate: MARKET_QUANTITY_ABOVE_VENUE_MAXIMUM",
         {"market_quantity_max": parse("5")}, kind=T.MARKET, price=0, quantity="5.00001"),
    _row("MARKET_LOT_SIZE", "a market order of the most", "Accepted; gate: passes",
         {"market_quantity_max": parse("5")}, kind=T.MARKET, price=0, quantity="5"),
    _row("MARKET_LOT_SIZE", "is not for limit orders", "Accepted; gate: passes",
         {"market_quantity_max": parse("5")}, quantity="6"),
    _row("NOTIONAL", "less than the least", "Refused -1013; gate: VALUE_BELOW_VENUE_MINIMUM", quantity="0.00008"),
    _row("NOTIONAL", "a market order of less", "Refused -1013; gate: passes", kind=T.MARKET, price=0,
         quantity="0.00008"),
    _row("NOTIONAL", "more than the most", "Refused -1013; gate: VALUE_ABOVE_VENUE_MAXIMUM",
         {"notional_max": parse("598.99")}),
    _row("NOTIONAL", "the most", "Accepted; gate: passes", {"notional_max": parse("599")}),
    _row("ICEBERG_PARTS", "eleven", "Refused -1013; gate: ICEBERG_PARTS_EXCEEDED", quantity="0.11",
         display=parse("0.01")),
    _row("ICEBERG_PARTS", "ten", "Accepted; gate: passes", quantity="0.1", display=parse("0.01")),
    _row("LOT_SIZE", "a part between two steps", "Refused -1013; gate: ICEBERG_INVALID", quantity="0.11",
         display=parse("0.050001")),
    _row("iceberg", "that may not rest", "Refused -2010; gate: ICEBERG_NOT_ALLOWED", quantity="0.1", force=F.IOC,
         display=parse("0.05")),
    _row("iceberg", "that shows all", "Refused -2010; gate: ICEBERG_INVALID", quantity="0.1", display=parse("0.1")),
    _row("TRAILING_DELTA", "too near", "Refused -1013; gate: TRAILING_INVALID", kind=T.STOP_LOSS, side=S, price=0,
         trailing_bps=9),
    _row("TRAILING_DELTA", "nearest", "Accepted; gate: passes", kind=T.STOP_LOSS, side=S, price=0, trailing_bps=10),
    _row("TRAILING_DELTA", "too far", "Refused -1013; gate: TRAILING_INVALID", kind=T.STOP_LOSS, side=S, price=0,
         trailing_bps=2001),
    ("MAX_NUM_ORDERS: a third of two", "Accepted, Accepted, Refused -1013 MAX_NUM_ORDERS",
     at_desk(_third_order, orders_max=2)),
    ("MAX_NUM_ALGO_ORDERS: a second of one, a plain order passes",
     "Accepted, Refused -1013 MAX_NUM_ALGO_ORDERS, Accepted", at_desk(_second_stop, algo_orders_max=1)),
    ("MAX_POSITION: working buys count, sells pass", "Accepted, Refused -1013 MAX_POSITION, Accepted",
     at_desk(_position, position_max=parse("100.02"))),
    ("MIN_NOTIONAL (older name), bounds of 0", "VALUE_BELOW_VENUE_MINIMUM, passes",
     at_desk(_older_name, wires=REST_ALONE)),
    ("exact decimals", "Accepted; gate: passes; 0.3 at 59899.99", at_desk(_exact)),
)  # fmt: skip


def cases() -> list[Case]:
    return numbered("F", ROWS)
