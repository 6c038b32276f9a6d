"""The private stream when it tells twice, late, in the wrong order or not at all; what ends it; wrong words."""

import asyncio
from typing import Any, Final

from desk import BID, STEP, Desk, at_desk
from directed import Directed, directed
from matrix import REST_ALONE, Case, Run, numbered

from chaos.process import SYMBOL
from ringfence.model.money import text
from ringfence.model.orders import Side
from ringfence.wire.kill import Severity

EVENTS: Final = 4
"""As many private events as are hit: an acknowledgement, a fill and what they do to the balances."""


def _life(kind: str, count: int = EVENTS, **more: Any) -> Run:
    """An order that rests, one that fills, and a cancel, while the stream is not as it should be."""

    async def script(at: Directed) -> str:
        at.fault(kind, count=count, **more)
        at.ask("rests")
        at.ask("fills", away=-2_000)
        await at.settled("rests", "fills")
        await at.until(lambda: at.state("fills") == "FILLED", "the fill is found")
        at.fault(kind, count=count, **more)
        at.cancel("rests")
        return await at.settled("rests", "fills")

    return directed(script)


async def _dropped(at: Directed) -> str:
    """It comes back, and what happened meanwhile is found."""
    await at.resting("a", "b")
    at.network.deaf = True
    at.fault("drop_streams")
    order = at.order("a")
    assert order is not None
    there = at.venue.find("primary", SYMBOL, int(order.venue_order_id), None)
    assert there is not None
    await at.until(lambda: at.gate.app.guard.severity >= Severity.HALT, "a halt")
    halted = str(at.gate.app.guard.severity.word)
    at.venue.cancel(there, at.clock.wall_ns(), "by-hand")
    at.network.deaf = False
    await at.until(lambda: at.gate.app.guard.severity is Severity.NONE, "an active gate")
    return f"{halted}; {await at.settled('a', 'b')}"


async def _shut_down(at: Directed) -> str:
    await at.resting("a")
    before = at.gate.trading.stream_metrics.connects
    at.fault("shutdown")
    await at.until(lambda: at.gate.trading.stream_metrics.connects > before, "a new connection")
    at.cancel("a")
    return await at.settled("a")


async def _wrong_balance(at: Directed) -> str:
    """A balance that no order explains halts until a person looks."""
    await at.resting("a")
    at.fault("balance", symbol="BTC", amount="-0.5")
    at.gate.app.wake_reconciler.set()
    await at.until(lambda: at.gate.app.guard.severity >= Severity.HALT, "a halt")
    return f"{at.gate.app.guard.severity.word}: {'BTC' in at.gate.app.guard.reason}"


async def _forgotten(at: Directed) -> str:
    """A venue that has lost its memory (our simulator after its pod's restart) is a break, and stays one."""
    await at.holding()
    await at.resting("a")
    order = at.order("a")
    assert order is not None
    before = int(order.venue_order_id)
    at.forget()
    await asyncio.sleep(30)
    await at.until(lambda: at.gate.app.guard.severity >= Severity.HALT, "a halt")
    newest = at.venue._order_id
    reason = at.gate.app.guard.reason
    named = "BTC" in reason and "USDT that no order explains" in reason
    return f"{at.gate.app.guard.severity.word}, names both assets: {named}; numbers go on: {newest > before}"


async def _position(desk: Desk) -> str:
    """Every change of the balances is told, and ends in what a query says."""
    order = desk.order(price=BID + STEP, quantity="0.8")
    await desk.submit(order)
    await desk.adapter.cancel(SYMBOL, order.client_order_id)
    await asyncio.sleep(1)
    asked = await desk.adapter.balances()
    told = desk.listener.balances
    return f"{sorted(told)} {'equal' if all(asked[asset] == told[asset] for asset in told) else (asked, told)}"


async def _unreadable(desk: Desk) -> str:
    """What it told is lost to us: the stream ends and begins anew, so that we reconcile."""
    for connection in list(desk.gateway.hub.connections):
        connection.send(b'{"subscriptionId":0,"event":{"e":"executionReport"}}')
    await asyncio.sleep(2)
    return f"{[up for up, _ in desk.listener.streams]}"


async def _terminated(desk: Desk) -> str:
    for connection in list(desk.gateway.hub.connections):
        connection.send(b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}')
    await asyncio.sleep(2)
    return f"{[up for up, _ in desk.listener.streams]}"


async def _others(desk: Desk) -> str:
    """Events that we keep nothing of, and such as do not exist yet."""
    for kind in ("balanceUpdate", "listStatus", "externalLockUpdate", "somethingNew"):
        for connection in list(desk.gateway.hub.connections):
            connection.send(b'{"subscriptionId":0,"event":{"e":"%b","E":1}}' % kind.encode())
    await asyncio.sleep(1)
    return f"{desk.adapter.stream_metrics.others} passed over, {[up for up, _ in desk.listener.streams]}"


async def _cancel_name(desk: Desk) -> str:
    """After a cancel "c" is the cancel's name and "C" is ours: the event is about ours."""
    order = desk.order(side=Side.SELL)
    await desk.submit(order)
    await desk.adapter.cancel(SYMBOL, order.client_order_id)
    await asyncio.sleep(1)
    kinds = [type(event).__name__ for event in desk.listener.of(order.client_order_id)]
    return f"{kinds}, strangers {len(desk.listener.events) - len(kinds)}"


async def _fill(desk: Desk) -> str:
    """Price, quantity, fee and its asset, maker or taker, trade id, as the trade history has them."""
    order = desk.order(price=BID + STEP, quantity="0.3")
    await desk.submit(order)
    await asyncio.sleep(1)
    trades = await desk.adapter.trades(SYMBOL, None)
    fills = [event for event in desk.listener.of(order.client_order_id) if hasattr(event, "trade_id")]
    same = [(t.trade_id, t.price, t.quantity, t.commission, t.maker) for t in trades] == [
        (f.trade_id, f.price, f.quantity, f.commission, f.maker) for f in fills
    ]
    return f"{len(fills)} fill, {'as in the history' if same else 'differs'}, fee {text(trades[0].commission)}"


USUAL: Final = "SUBMITTED > ACCEPTED > PENDING_CANCEL > CANCELED; SUBMITTED > ACCEPTED > FILLED | ledgers equal"
AT_ONCE: Final = "SUBMITTED > ACCEPTED > PENDING_CANCEL > CANCELED; SUBMITTED > FILLED | ledgers equal"
ROWS: Final = (
    ("every event twice", AT_ONCE, _life("repeat_events")),
    ("each event after its successor", AT_ONCE, _life("swap_events")),
    ("events half a second late", USUAL, _life("late_events", value=500)),
    ("events lost", USUAL, _life("lose_events")),
    ("all events lost, for good", USUAL, _life("lose_events", count=1000)),
    ("stream gone: halted; what happened meanwhile is found",
     "Halt; SUBMITTED > ACCEPTED > CANCELED; SUBMITTED > ACCEPTED | ledgers equal", directed(_dropped)),
    ("serverShutdown: a new connection",
     "SUBMITTED > ACCEPTED > PENDING_CANCEL > CANCELED | ledgers equal", directed(_shut_down)),
    ("wrong balance: halted, and says which", "Halt: True | ledgers equal", directed(_wrong_balance)),
    ("a venue that has forgotten everything is a break", "Halt, names both assets: True; numbers go on: True",
     directed(_forgotten)),
    ("account position equals the account", "['BTC', 'USDT'] equal", at_desk(_position)),
    ("an unreadable event begins the stream anew", "[True, False, True]", at_desk(_unreadable, wires=REST_ALONE)),
    ("eventStreamTerminated begins it anew", "[True, False, True]", at_desk(_terminated, wires=REST_ALONE)),
    ("other events are passed over", "4 passed over, [True]", at_desk(_others, wires=REST_ALONE)),
    ("a cancel is told under the order's own name", "['Accepted', 'Canceled'], strangers 0",
     at_desk(_cancel_name)),
    ("a fill is told as the history has it", "1 fill, as in the history, fee 0.0003", at_desk(_fill)),
)  # fmt: skip


def cases() -> list[Case]:
    return numbered("S", ROWS)
