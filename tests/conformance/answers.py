"""What the venue says when it will not or cannot: error codes, rate limits, bans, order counts, clocks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from desk import Desk, at_desk, word
from matrix import REST_ALONE, Case, Run, numbered

from chaos.process import SYMBOL
from ringfence.model.money import parse
from ringfence.model.orders import OrderType, Side
from ringfence.simulator.dialect.limits import Limits
from ringfence.venues.api import VenueError

Script = Callable[[Desk], Awaitable[str]]
ORDER: Final = "/api/v3/order"
GOOD: Final = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
               "price": "59000"}  # fmt: skip


async def _new_window(desk: Desk) -> None:
    """Well inside of the next ten seconds in which orders are counted."""
    await asyncio.sleep(10.1 - desk.clock.wall_ns() / 1e9 % 10)


def _raw(**changes: str | None) -> Script:
    async def script(desk: Desk) -> str:
        params = {name: value for name, value in (GOOD | changes).items() if value is not None}
        return await desk.raw("POST", ORDER, params) or "200"

    return script


def _told(status: int, code: int, *, executed: bool = False) -> Script:
    """The venue answers so; then whether it has the order."""

    async def script(desk: Desk) -> str:
        desk.fault("http_status", status=status, code=code, executed=executed)
        order = desk.order()
        outcome = word(await desk.submit(order))
        there = desk.venue.find("primary", SYMBOL, None, order.client_order_id)
        return f"{outcome}; {'there' if there else 'not there'}"

    return script


def _stamped(offset_ms: int) -> Script:
    async def script(desk: Desk) -> str:
        return await desk.stamped(offset_ms) or "200"

    return script


async def _signature(desk: Desk) -> str:
    return await desk.raw("POST", ORDER, GOOD, signature="0" * 64)


async def _key(desk: Desk) -> str:
    return await desk.raw("POST", ORDER, GOOD, key="nobody")


async def _key_format(desk: Desk) -> str:
    return await desk.raw("POST", ORDER, GOOD, key="not a key")


async def _wrong_credentials(desk: Desk) -> str:
    desk.rotate("nobody", "nothing")
    first = word(await desk.submit(desk.order()))
    desk.rotate(*desk.credentials)
    return f"{first}; rotated back: {word(await desk.submit(desk.order()))}"


async def _poor(desk: Desk) -> str:
    return word(await desk.submit(desk.order(side=Side.SELL, quantity="101")))


async def _closed(desk: Desk) -> str:
    desk.fault("halt", symbol=SYMBOL)
    first = word(await desk.submit(desk.order()))
    desk.fault("clear")
    return f"{first}; open again: {word(await desk.submit(desk.order()))}"


async def _nobody_there(desk: Desk) -> str:
    desk.other(Side.BUY, OrderType.MARKET, parse("12"))
    return word(await desk.submit(desk.order(OrderType.MARKET, price=0)))


async def _no_such_order(desk: Desk) -> str:
    return str(await desk.adapter.order(SYMBOL, "nobody"))


async def _query_in_trouble(desk: Desk) -> str:
    """Not being told is not being told that there is nothing."""
    desk.fault("http_status", status=503, name="order.status")
    try:
        return str(await desk.adapter.order(SYMBOL, "nobody"))
    except VenueError:
        return "VenueError"


async def _backs_off(desk: Desk) -> str:
    """429 stops all for as long as it says, also cancels: whoever goes on is banned."""
    resting = desk.order()
    await desk.submit(resting)
    while not await desk.raw("GET", "/api/v3/depth", {"symbol": SYMBOL, "limit": "5000"}):
        pass
    while not await desk.raw("GET", "/api/v3/ping", {}):
        pass
    found = [word(await desk.submit(desk.order(patience_s=0.05)))]
    found.append(word(await desk.submit(desk.order(patience_s=0.05))))
    found.append(word(await desk.adapter.cancel(SYMBOL, resting.client_order_id)))
    await asyncio.sleep(61)
    found.append(word(await desk.adapter.cancel(SYMBOL, resting.client_order_id)))
    return ", ".join(found)


async def _weight(desk: Desk) -> str:
    """Raw: until it is too much, with Retry-After to the end of the minute; the adapter is not involved."""
    for _ in range(100):
        answer = await desk.asked("GET", "/api/v3/depth", {"symbol": SYMBOL, "limit": "5000"})
        if answer.status != 200:
            ok = answer.retry_after_s is not None and 1 <= answer.retry_after_s <= 61
            return f"{answer.status} {answer.document['code']}, Retry-After {'in the minute' if ok else 'wrong'}"
    return "never"


async def _banned(desk: Desk) -> str:
    found = []
    for _ in range(200):
        answer = await desk.asked("GET", "/api/v3/depth", {"symbol": SYMBOL, "limit": "5000"})
        if not found or found[-1] != str(answer.status):
            found.append(str(answer.status))
        if answer.status == 418:
            break
    await asyncio.sleep(119)
    found.append(str((await desk.asked("GET", "/api/v3/ping", {})).status))
    await asyncio.sleep(2)
    found.append(str((await desk.asked("GET", "/api/v3/ping", {})).status))
    return " > ".join(found)


async def _adapter_is_banned(desk: Desk) -> str:
    desk.fault("http_status", status=418, code=-1003)
    found = [word(await desk.submit(desk.order())), word(await desk.submit(desk.order(patience_s=0.05)))]
    await asyncio.sleep(121)
    return ", ".join([*found, word(await desk.submit(desk.order()))])


async def _own_count(desk: Desk) -> str:
    """Five in ten seconds: the adapter knows by itself that there is no room."""
    await desk.adapter.instruments((SYMBOL,))
    await _new_window(desk)
    found = [word(await desk.submit(desk.order(patience_s=0.05))) for _ in range(6)]
    refused = sum(not asked.accepted for asked in desk.api.record.since(0, 100))
    await asyncio.sleep(10)
    return f"{', '.join(found)}; venue refused {refused}; later {word(await desk.submit(desk.order()))}"


async def _others_count(desk: Desk) -> str:
    """Somebody else of the account has sent the rest: told by the venue, orders wait and cancels pass."""
    await desk.adapter.instruments((SYMBOL,))
    await _new_window(desk)
    mine = desk.order()
    found = [word(await desk.submit(mine))]
    for _ in range(4):
        await desk.raw("POST", ORDER, GOOD)
    found.append(word(await desk.submit(desk.order(patience_s=0.05))))
    found.append(word(await desk.submit(desk.order(patience_s=0.05))))
    found.append(word(await desk.adapter.cancel(SYMBOL, mine.client_order_id)))
    return ", ".join(found)


async def _fills_give_back(desk: Desk) -> str:
    await _new_window(desk)
    answers = [await desk.asked("POST", ORDER, GOOD | {"price": "60500"}) for _ in range(8)]
    return f"{ {answer.status for answer in answers} }, count {answers[-1].order_counts}"


async def _headers(desk: Desk) -> str:
    """A successful order weighs nothing, a failed one does; a snapshot of 5,000 levels weighs 250."""
    before = (await desk.asked("GET", "/api/v3/ping", {})).weight_used
    weights = [
        (await desk.asked("POST", ORDER, GOOD)).weight_used - before,
        (await desk.asked("POST", ORDER, GOOD | {"price": "1"})).weight_used - before,
        (await desk.asked("GET", "/api/v3/depth", {"symbol": SYMBOL, "limit": "5000"})).weight_used - before,
    ]
    return ", ".join(map(str, weights))


async def _weighs(desk: Desk) -> str:
    """The weights of venues.md, as counted."""
    found = []
    for path, params in (
        ("ping", {}), ("time", {}), ("exchangeInfo", {}), ("depth", {"limit": "100"}), ("depth", {"limit": "500"}),
        ("depth", {"limit": "1000"}), ("trades", {}), ("historicalTrades", {}), ("aggTrades", {}),
        ("klines", {"interval": "1m"}), ("avgPrice", {}), ("ticker/24hr", {}), ("ticker/price", {}),
        ("ticker/bookTicker", {}), ("account", {}), ("openOrders", {}), ("allOrders", {}), ("myTrades", {}),
        ("rateLimit/order", {}),
    ):  # fmt: skip
        before = (await desk.asked("GET", "/api/v3/ping", {})).weight_used
        answer = await desk.asked("GET", f"/api/v3/{path}", {"symbol": SYMBOL} | params)
        found.append(f"{path} {answer.weight_used - before}" if answer.status == 200 else f"{path} {answer.document}")
    return ", ".join(found)


WEIGHS: Final = (
    "ping 1, time 1, exchangeInfo 20, depth 5, depth 25, depth 50, trades 25, historicalTrades 25, aggTrades 4, "
    "klines 2, avgPrice 2, ticker/24hr 2, ticker/price 2, ticker/bookTicker 2, account 20, openOrders 6, allOrders 20, "
    "myTrades 20, rateLimit/order 40"
)


async def _shares(desk: Desk) -> str:
    """A burst of two tracks: each stops at its share, what reduces and all cancels pass."""
    await desk.adapter.instruments((SYMBOL,))
    await _new_window(desk)
    made = [desk.order(track=track, patience_s=0.05) for _ in range(60) for track in ("stable", "candidate")]
    outcomes = await asyncio.gather(*(desk.submit(order) for order in made))
    sent = [order for order, outcome in zip(made, outcomes, strict=True) if word(outcome) == "Accepted"]
    kept = sum(word(outcome) == "NotSent" for outcome in outcomes)
    counts = {track: sum(order.track == track for order in sent) for track in ("stable", "candidate")}
    reducing = word(await desk.submit(desk.order(side=Side.SELL, track="stable", reduce_only=True)))
    ended = await asyncio.gather(*(desk.adapter.cancel(SYMBOL, order.client_order_id) for order in sent))
    canceled = sum(word(outcome) == "Accepted" for outcome in ended)
    return f"{counts}, kept back {kept}; reducing {reducing}; cancelled {canceled} of {len(sent)}"


async def _offset(desk: Desk) -> str:
    """Signed with the venue's time, not ours."""
    return word(await desk.submit(desk.order()))


RAW: Final[tuple[tuple[str, str, Script], ...]] = (
    ("-1021 older than the window", "400 -1021", _stamped(-5_001)),
    ("-1021 as old as the window", "200", _stamped(-5_000)),
    ("-1021 a second ahead", "400 -1021", _stamped(1_000)),
    ("-1021 less than a second ahead", "200", _stamped(999)),
    ("-1022 bad signature", "400 -1022", _signature),
    ("-2015 unknown key", "401 -2015", _key),
    ("-2014 no key", "401 -2014", _key_format),
    ("-1111 nine decimals", "400 -1111", _raw(price="59000.000000001")),
    ("-1100 not a number", "400 -1100", _raw(price="5e4")),
    ("-1102 no quantity", "400 -1102", _raw(quantity=None)),
    ("-1102 LIMIT without a price", "400 -1102", _raw(price=None)),
    ("-1106 MARKET with a price", "400 -1106", _raw(type="MARKET", timeInForce=None)),
    ("-1106 MARKET with a time in force", "400 -1106", _raw(type="MARKET", price=None)),
    ("-1106 LIMIT_MAKER with a time in force", "400 -1106", _raw(type="LIMIT_MAKER")),
    ("-1106 LIMIT with a trigger", "400 -1106", _raw(stopPrice="58000")),
    ("-1115 unknown time in force", "400 -1115", _raw(timeInForce="GTD")),
    ("-1116 unknown type", "400 -1116", _raw(type="PEGGED")),
    ("-1117 unknown side", "400 -1117", _raw(side="HOLD")),
    ("-1121 unknown symbol", "400 -1121", _raw(symbol="NOPEUSDT")),
    ("-1100 client id of 37 characters", "400 -1100", _raw(newClientOrderId="x" * 37)),
    ("client id of 36 characters", "200", _raw(newClientOrderId="x" * 36)),
)
"""Single requests that our adapter would not make: they go over a real socket as well (`test_over_sockets`)."""

ROWS: Final[tuple[tuple[str, str, Run], ...]] = (
    ("-1003 with 429", "Refused -1003; not there", at_desk(_told(429, -1003))),
    ("-1003 with 418", "Refused -1003; not there", at_desk(_told(418, -1003))),
    ("-1006, not done", "Unknown; not there", at_desk(_told(400, -1006))),
    ("-1006, done", "Unknown; there", at_desk(_told(500, -1006, executed=True))),
    ("-1007, not done", "Unknown; not there", at_desk(_told(408, -1007))),
    ("-1007, done", "Unknown; there", at_desk(_told(500, -1007, executed=True))),
    ("-1008", "Unknown; not there", at_desk(_told(503, -1008))),
    ("-1000 with 400, done", "Unknown; there", at_desk(_told(400, -1000, executed=True))),
    ("403 of the firewall", "Unknown; not there", at_desk(_told(403, -1000))),
    *((what, expected, at_desk(script, wires=REST_ALONE)) for what, expected, script in RAW),
    ("-2015 at the adapter, and after rotation", "Refused -2015; rotated back: Accepted", at_desk(_wrong_credentials)),
    ("-2010 insufficient balance", "Refused -2010", at_desk(_poor)),
    ("-2010 market closed, then open", "Refused -2010; open again: Accepted", at_desk(_closed)),
    ("-2010 no liquidity", "Refused -2010", at_desk(_nobody_there)),
    ("-2013 no such order is absence", "None", at_desk(_no_such_order, wires=REST_ALONE)),
    ("503 to a query is not absence", "VenueError", at_desk(_query_in_trouble, wires=REST_ALONE)),
    ("weight used up: 429", "429 -1003, Retry-After in the minute", at_desk(_weight, wires=REST_ALONE)),
    ("going on after 429: 418, until it ends", "200 > 429 > 418 > 418 > 200", at_desk(_banned, wires=REST_ALONE)),
    ("429: all wait, cancels too, then go on", "Refused -1003, NotSent, NotSent, Accepted", at_desk(_backs_off)),
    ("418: nothing is sent until it ends", "Refused -1003, NotSent, Accepted", at_desk(_adapter_is_banned)),
    ("order count: kept by ourselves", f"{', '.join(['Accepted'] * 5)}, NotSent; venue refused 0; later Accepted",
     at_desk(_own_count, limits=Limits(orders_10s=5))),
    ("-1015 order count used by others", "Accepted, Refused -1015, NotSent, Accepted",
     at_desk(_others_count, limits=Limits(orders_10s=5))),
    ("a burst of tracks: shares, and cancels pass",
     "{'stable': 30, 'candidate': 10}, kept back 80; reducing Accepted; cancelled 40 of 40", at_desk(_shares)),
    ("fills give order counts back", "{200}, count (0, 0)",
     at_desk(_fills_give_back, limits=Limits(orders_10s=5), wires=REST_ALONE)),
    ("weight headers: order, refused order, snapshot", "0, 1, 251", at_desk(_headers, wires=REST_ALONE)),
    ("weights of queries", WEIGHS, at_desk(_weighs, wires=REST_ALONE)),
    ("our clock is 30 s behind", "Accepted", at_desk(_offset, skew_ms=-30_000)),
    ("our clock is 30 s ahead", "Accepted", at_desk(_offset, skew_ms=30_000)),
)  # fmt: skip


def cases() -> list[Case]:
    return numbered("A", ROWS)
