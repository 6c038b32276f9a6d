"""Every order type with every time in force, and what is done to orders afterwards, through the adapter."""

from collections.abc import Awaitable, Callable
from typing import Final

from desk import ASK, BID, LEVEL, STEP, Desk, at_desk, word
from matrix import REST_ALONE, Case, Run, numbered

from chaos.process import SYMBOL
from ringfence.model.approved import Approved
from ringfence.model.money import parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.orders import Request, VenueOrder

T, F, B, S = OrderType, TimeInForce, Side.BUY, Side.SELL
FILL_ALL: Final = "0.01"
OVER: Final = "0.8"
"""More than the best level has, whose price is the limit."""
DEPTH: Final = "12"
"""More than the whole side of the book."""


def _plain(
    kind: OrderType, force: TimeInForce, side: Side, where: str, quantity: str, expected: str
) -> tuple[str, str, Run]:
    async def script(desk: Desk) -> str:
        touch = ASK if side is B else BID
        price = {"rests": None, "takes": touch, "at any price": 0}[where]
        return await desk.tried(desk.order(kind, side, quantity, price, force))

    name = f"{kind}{'' if kind in {T.MARKET, T.LIMIT_MAKER} else f' {force}'} {side} {quantity} {where}"
    return name, expected, at_desk(script)


PLAIN: Final = (
    (T.LIMIT, F.GTC, "rests", FILL_ALL, "Accepted: ACCEPTED 0"),
    (T.LIMIT, F.GTC, "takes", FILL_ALL, "Accepted: FILLED 0.01"),
    (T.LIMIT, F.GTC, "takes", OVER, "Accepted: PARTIALLY_FILLED 0.5"),
    (T.LIMIT, F.IOC, "rests", FILL_ALL, "Accepted: EXPIRED 0"),
    (T.LIMIT, F.IOC, "takes", FILL_ALL, "Accepted: FILLED 0.01"),
    (T.LIMIT, F.IOC, "takes", OVER, "Accepted: EXPIRED 0.5"),
    (T.LIMIT, F.FOK, "rests", FILL_ALL, "Accepted: EXPIRED 0"),
    (T.LIMIT, F.FOK, "takes", FILL_ALL, "Accepted: FILLED 0.01"),
    (T.LIMIT, F.FOK, "takes", OVER, "Accepted: EXPIRED 0"),
    (T.LIMIT_MAKER, F.GTC, "rests", FILL_ALL, "Accepted: ACCEPTED 0"),
    (T.LIMIT_MAKER, F.GTC, "takes", FILL_ALL, "Refused -2010"),
    (T.MARKET, F.GTC, "at any price", FILL_ALL, "Accepted: FILLED 0.01"),
    (T.MARKET, F.GTC, "at any price", DEPTH, "Accepted: EXPIRED 10"),
)


def _waiting(kind: OrderType, force: TimeInForce, side: Side, limit: str, expected: str) -> tuple[str, str, Run]:
    """Waits, is set off by somebody else's trades, and then meets the book; sells below, buys above for a stop."""
    up = (side is B) == (kind in {T.STOP_LOSS, T.STOP_LOSS_LIMIT})
    stop = ASK + 3 * STEP if up else BID - 3 * STEP

    async def script(desk: Desk) -> str:
        # far beyond the stop a limit takes, short of it it does not
        away = 8 * STEP if limit == "takes" else -2 * STEP
        price = stop + side.sign * away if limit else 0
        order = desk.order(kind, side, "0.01", price, force, stop_price=stop)
        first = await desk.tried(order)
        desk.trade(stop)
        return f"{first}; set off: {await desk.stands(order)}"

    name = f"{kind}{f' {force}' if limit else ''} {side}{', its limit ' if limit else ''}{limit}"
    return name, expected, at_desk(script)


WAITS: Final = "Accepted: ACCEPTED 0; set off: "
WAITING: Final = (
    (T.STOP_LOSS, F.GTC, "", "FILLED 0.01"),
    (T.TAKE_PROFIT, F.GTC, "", "FILLED 0.01"),
    *(
        (kind, force, limit, found)
        for kind in (T.STOP_LOSS_LIMIT, T.TAKE_PROFIT_LIMIT)
        for force, limit, found in (
            (F.GTC, "takes", "FILLED 0.01"),
            (F.GTC, "rests", "TRIGGERED 0"),
            (F.IOC, "takes", "FILLED 0.01"),
            (F.IOC, "rests", "EXPIRED 0"),
            (F.FOK, "takes", "FILLED 0.01"),
            (F.FOK, "rests", "EXPIRED 0"),
        )
    ),
)


async def _reached(desk: Desk) -> str:
    return await desk.tried(desk.order(T.STOP_LOSS, S, price=0, stop_price=ASK + STEP))


async def _trailing(desk: Desk) -> str:
    """Follows the price up and sells when it has fallen by its distance."""
    order = desk.order(T.STOP_LOSS, S, price=0, trailing_bps=20)
    first = await desk.tried(order)
    desk.trade(ASK + 2 * STEP)
    second = await desk.stands(order)
    desk.trade(BID - 15 * STEP)
    return f"{first}; price up: {second}; price down: {await desk.stands(order)}"


async def _iceberg(desk: Desk) -> str:
    """Shows one part at a time, goes behind with each, and fills in parts."""
    order = desk.order(T.LIMIT, S, "0.05", ASK, display=parse("0.02"))
    first = await desk.tried(order)
    shown = desk.shown(ASK)
    desk.other(B, T.LIMIT, LEVEL + parse("0.03"), ASK)
    return f"{first}, shown {shown}; 0.53 taken: {await desk.stands(order)}, shown {desk.shown(ASK)}"


async def _quote_amount(desk: Desk) -> str:
    """A market order by amount: not sent by our adapter, so placed as any client may."""
    request = Request(symbol=SYMBOL, client_order_id="q", side=B, type=T.MARKET, time_in_force=F.GTC,
                      quote_quantity=parse("1000"))  # fmt: skip
    order = desk.venue.place("other", request, desk.clock.wall_ns())
    assert isinstance(order, VenueOrder)
    return f"{order.status} {text(order.filled)} for {text(order.amount)}"


async def _cancel(desk: Desk) -> str:
    order = desk.order()
    first = await desk.tried(order)
    outcome = word(await desk.adapter.cancel(SYMBOL, order.client_order_id))
    again = word(await desk.adapter.cancel(SYMBOL, order.client_order_id))
    return f"{first}; {outcome}: {await desk.stands(order)}; again: {again}"


async def _cancel_partly(desk: Desk) -> str:
    order = desk.order(quantity=OVER, price=ASK)
    first = await desk.tried(order)
    outcome = word(await desk.adapter.cancel(SYMBOL, order.client_order_id))
    return f"{first}; {outcome}: {await desk.stands(order)}"


def _replace(*, fill: bool, untouched: bool, bad: bool = False) -> Callable[[Desk], Awaitable[str]]:
    async def script(desk: Desk) -> str:
        old = desk.order(quantity=OVER, price=ASK) if fill else desk.order()
        await desk.submit(old)
        new = desk.order(price=BID - 9 * STEP + (1 if bad else 0))
        halves = await desk.adapter.replace(old.client_order_id, new, lambda _: None, untouched=untouched)
        found = [old] if word(halves[1]) != "Accepted" else [old, new]
        return f"{', '.join(map(word, halves))}: {await desk.stands(*found)}"

    return script


async def _replace_partly(desk: Desk) -> str:
    """The old order is gone when the venue finds that the new one cannot be paid."""
    old, new = desk.order(), desk.order(quantity="140")
    for order in (old, desk.order(quantity="140")):
        await desk.submit(order)
    halves = await desk.adapter.replace(old.client_order_id, new, lambda _: None, untouched=False)
    return f"{', '.join(map(word, halves))}: {await desk.stands(old)}"


async def _replace_missing(desk: Desk) -> str:
    halves = await desk.adapter.replace("nobody", desk.order(), lambda _: None, untouched=False)
    return ", ".join(map(word, halves))


def _amend(quantity: str) -> Callable[[Desk], Awaitable[str]]:
    async def script(desk: Desk) -> str:
        order = desk.order(quantity="0.05")
        await desk.submit(order)
        outcome = word(await desk.adapter.amend(SYMBOL, order.client_order_id, parse(quantity)))
        (report,) = await desk.adapter.open_orders()
        return f"{outcome}: {report.state} of {text(report.quantity)}"

    return script


async def _amend_keeps_place(desk: Desk) -> str:
    order = desk.order(quantity="0.05", price=BID)
    await desk.submit(order)
    desk.other(B, T.LIMIT, parse("0.05"), BID)
    await desk.adapter.amend(SYMBOL, order.client_order_id, parse("0.03"))
    desk.other(S, T.LIMIT, LEVEL + parse("0.03"), BID, "taker")
    report = await desk.adapter.order(SYMBOL, order.client_order_id)
    assert report is not None
    return f"{report.state} {text(report.filled)}"


def _pair(fate: str) -> Callable[[Desk], Awaitable[str]]:
    async def script(desk: Desk) -> str:
        target = desk.order(T.LIMIT_MAKER, S, price=ASK + 4 * STEP)
        stop = desk.order(T.STOP_LOSS, S, price=0, stop_price=BID - 4 * STEP)
        halves = await desk.adapter.submit_pair(target, stop, lambda _: None)
        match fate:
            case "target":
                desk.other(B, T.LIMIT, parse("5"), ASK + 4 * STEP)
            case "stop":
                desk.trade(BID - 4 * STEP)
            case "cancel":
                await desk.adapter.cancel(SYMBOL, target.client_order_id)
        return f"{', '.join(map(word, halves))}: {await desk.stands(target, stop)}"

    return script


async def _pair_wrong(desk: Desk) -> str:
    """The maker would take: neither is placed."""
    target = desk.order(T.LIMIT_MAKER, S, price=BID - STEP)
    stop = desk.order(T.STOP_LOSS, S, price=0, stop_price=BID - 4 * STEP)
    halves = await desk.adapter.submit_pair(target, stop, lambda _: None)
    return f"{', '.join(map(word, halves))}; open {len(await desk.adapter.open_orders())}"


async def _duplicate_open(desk: Desk) -> str:
    order = desk.order()
    first, second = await desk.submit(order), await desk.submit(order)
    return f"{word(first)}, {word(second)}; open {len(await desk.adapter.open_orders())}"


async def _duplicate_closed(desk: Desk) -> str:
    """The venue takes a name again once its order is closed: why ours are never used twice."""
    order = desk.order(price=ASK)
    return f"{word(await desk.submit(order))}, {word(await desk.submit(order))}"


async def _sell(desk: Desk, ask: Approved, mode: str) -> str:
    """An order with a mode that our adapter does not use; what the venue complains of."""
    params = {"symbol": SYMBOL, "side": "SELL", "type": "LIMIT", "timeInForce": "IOC", "quantity": text(ask.quantity),
              "price": text(ask.price), "newClientOrderId": ask.client_order_id,
              "selfTradePreventionMode": mode}  # fmt: skip
    return await desk.raw("POST", "/api/v3/order", params)


def _prevention(mode: str, *, reduce_only: bool = False, taking: str = "0.01") -> Callable[[Desk], Awaitable[str]]:
    """Our own bid lies at 59,995 in front of the market's; we sell into it."""

    async def script(desk: Desk) -> str:
        bid = desk.order(price=BID + STEP // 2)
        await desk.submit(bid)
        ask = desk.order(side=S, price=BID, force=F.IOC, quantity=taking, reduce_only=reduce_only)
        if mode:
            if outcome := await _sell(desk, ask, mode):
                return f"{outcome}; {await desk.stands(bid)}"
        else:
            await desk.submit(ask)
        return await desk.stands(bid, ask)

    return script


async def _decremented(desk: Desk) -> str:
    """The rest that goes on is smaller from the venue's message on, so that its last fill closes ours too."""
    bid = desk.order(price=BID + STEP // 2, quantity="0.03")
    await desk.submit(bid)
    ask = desk.order(side=S, price=BID, force=F.IOC)
    await _sell(desk, ask, "DECREMENT")
    met = await desk.stands(bid, ask)
    desk.other(S, T.MARKET, parse("0.02"))
    then = await desk.stands(bid)
    report = await desk.adapter.order(SYMBOL, bid.client_order_id)
    return f"{met}; then {then}, and the venue says {report.state if report else report}"


async def _decremented_then_amended(desk: Desk) -> str:
    """The venue counts in an order's quantity what it has prevented: a new total has it in it too."""
    bid = desk.order(price=BID + STEP // 2, quantity="0.05")
    await desk.submit(bid)
    await _sell(desk, desk.order(side=S, price=BID, force=F.IOC), "DECREMENT")
    outcome = word(await desk.adapter.amend(SYMBOL, bid.client_order_id, parse("0.03")))
    (report,) = await desk.adapter.open_orders()
    return f"{outcome}: {text(report.quantity)} and {text(report.prevented)} prevented; {await desk.stands(bid)}"


CHANGES: Final[tuple[tuple[str, str, Run], ...]] = (
    ("a stop whose trigger is reached already", "Refused -2010", at_desk(_reached)),
    ("trailing stop", "Accepted: ACCEPTED 0; price up: ACCEPTED 0; price down: FILLED 0.01", at_desk(_trailing)),
    ("iceberg", "Accepted: ACCEPTED 0, shown 0.52; 0.53 taken: PARTIALLY_FILLED 0.03, shown 0.01", at_desk(_iceberg)),
    ("MARKET by quote amount buys whole lots", "FILLED 0.01666 for 999.7666", at_desk(_quote_amount, wires=REST_ALONE)),
    ("cancel, and again", "Accepted: ACCEPTED 0; Accepted: CANCELED 0; again: Refused -2011", at_desk(_cancel)),
    ("cancel of the rest", "Accepted: PARTIALLY_FILLED 0.5; Accepted: CANCELED 0.5", at_desk(_cancel_partly)),
    ("replace", "Accepted, Accepted: CANCELED 0, ACCEPTED 0", at_desk(_replace(fill=False, untouched=False))),
    ("replace what has filled in part", "Accepted, Accepted: CANCELED 0.5, ACCEPTED 0",
     at_desk(_replace(fill=True, untouched=False))),
    ("replace only if untouched, and it is not", "Refused -2011, NotSent: PARTIALLY_FILLED 0.5",
     at_desk(_replace(fill=True, untouched=True))),
    ("replace by what breaks a filter", "Refused -1013 PRICE_FILTER, Refused -1013 PRICE_FILTER: ACCEPTED 0",
     at_desk(_replace(fill=False, untouched=False, bad=True))),
    ("replace by what cannot be paid", "Accepted, Refused -2010: CANCELED 0", at_desk(_replace_partly)),
    ("replace what is not there", "Refused -2011, NotSent", at_desk(_replace_missing, wires=REST_ALONE)),
    ("amend to less", "Accepted: ACCEPTED of 0.03", at_desk(_amend("0.03"))),
    ("amend to more", "Refused -2038: ACCEPTED of 0.05", at_desk(_amend("0.06"))),
    ("amend to the same", "Refused -2038: ACCEPTED of 0.05", at_desk(_amend("0.05"))),
    ("amend to what breaks a filter", "Refused -1013 LOT_SIZE: ACCEPTED of 0.05", at_desk(_amend("0.030001"))),
    ("an amended order keeps its place", "FILLED 0.03", at_desk(_amend_keeps_place)),
    ("pair (OCO), nothing happens", "Accepted, Accepted: ACCEPTED 0, ACCEPTED 0",
     at_desk(_pair(""), wires=REST_ALONE)),
    ("pair, its target fills", "Accepted, Accepted: FILLED 0.01, EXPIRED 0",
     at_desk(_pair("target"), wires=REST_ALONE)),
    ("pair, its stop is set off", "Accepted, Accepted: EXPIRED 0, FILLED 0.01",
     at_desk(_pair("stop"), wires=REST_ALONE)),
    ("pair, one is cancelled", "Accepted, Accepted: CANCELED 0, CANCELED 0", at_desk(_pair("cancel"))),
    ("pair that cannot be", "Refused -2010, Refused -2010; open 0", at_desk(_pair_wrong, wires=REST_ALONE)),
    ("duplicate client id, still open", "Accepted, Unknown; open 1", at_desk(_duplicate_open)),
    ("duplicate client id, closed", "Accepted, Accepted", at_desk(_duplicate_closed)),
    ("self-trade, ours by default: the taker ends", "ACCEPTED 0, EXPIRED 0", at_desk(_prevention(""))),
    ("self-trade, reducing: the maker ends", "EXPIRED 0, FILLED 0.01", at_desk(_prevention("", reduce_only=True))),
    ("self-trade EXPIRE_TAKER", "ACCEPTED 0, EXPIRED 0", at_desk(_prevention("EXPIRE_TAKER"))),
    ("self-trade EXPIRE_MAKER", "EXPIRED 0, FILLED 0.01", at_desk(_prevention("EXPIRE_MAKER"))),
    ("self-trade EXPIRE_BOTH", "EXPIRED 0, EXPIRED 0", at_desk(_prevention("EXPIRE_BOTH"))),
    ("self-trade DECREMENT, as large: both end", "EXPIRED 0, EXPIRED 0", at_desk(_prevention("DECREMENT"))),
    ("self-trade DECREMENT, the taker is larger", "EXPIRED 0, FILLED 0.02 UNASKED_UPDATE quantity=2000000",
     at_desk(_prevention("DECREMENT", taking="0.03"))),
    ("self-trade DECREMENT, the maker is larger: what is left of it fills",
     ("ACCEPTED 0 UNASKED_UPDATE quantity=2000000, EXPIRED 0; "
      "then FILLED 0.02 UNASKED_UPDATE quantity=2000000, and the venue says FILLED"), at_desk(_decremented)),
    ("self-trade DECREMENT, then amended",
     ("Accepted: 0.02 and 0.01 prevented; ACCEPTED 0 UNASKED_UPDATE quantity=4000000 "
      "UNASKED_UPDATE quantity=2000000"), at_desk(_decremented_then_amended)),
    ("self-trade NONE", "FILLED 0.01, FILLED 0.01", at_desk(_prevention("NONE"))),
    ("self-trade TRANSFER, as large: both end", "EXPIRED 0, EXPIRED 0", at_desk(_prevention("TRANSFER"))),
    ("self-trade, a mode that there is not", "400 -1013; ACCEPTED 0", at_desk(_prevention("EXPIRE_NOBODY"))),
)  # fmt: skip


def cases() -> list[Case]:
    rows = [_plain(kind, force, side, *more) for kind, force, *more in PLAIN for side in (B, S)]
    rows += [
        _waiting(kind, force, side, limit, WAITS + found) for kind, force, limit, found in WAITING for side in (B, S)
    ]
    rows += CHANGES
    return numbered("O", rows)
