"""The same reports twice give no new event, and two gates that read the same reports invent the same ids."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gatebench.stoprig import BTC, PRICE, WALL, Rig
from ringfence.execution.outputs import Output
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderState, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.venues.api import OrderReport, TradeReport, VenueBalance

LOT = money("0.01")
OURS = 3
"""Orders that the gate placed itself; the venue's other orders are foreign, or forgotten ones of ours."""


@st.composite
def venues(draw: st.DrawFn) -> tuple[tuple[OrderReport, ...], tuple[TradeReport, ...], dict[str, VenueBalance]]:
    """What a venue may tell: any orders of ours, lost ones, foreign ones; trades of any of them; any balances."""
    prefix = Rig().manager.prefix
    names = [f"{prefix}sbc123-1-{n}" for n in range(1, OURS + 3)] + ["web-1", "web-2"]
    orders, trades = [], []
    for number, name in enumerate(draw(st.lists(st.sampled_from(names), unique=True)), start=1):
        filled = draw(st.integers(0, 4))
        common: dict[str, Any] = {"venue_order_id": f"v{name}", "symbol": BTC, "side": draw(st.sampled_from(Side))}
        orders.append(
            OrderReport(
                client_order_id=name,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                price=PRICE,
                quantity=5 * LOT,
                filled=filled * LOT,
                state=OrderState.PARTIALLY_FILLED if filled else OrderState.ACCEPTED,
                ts_venue=WALL,
                **common,
            )
        )
        for part in range(filled):
            trade = {"trade_id": str(100 * number + part), "price": PRICE, "quantity": LOT, "commission": 0}
            trades.append(TradeReport(**common, **trade, commission_asset="USDT", maker=True, ts_venue=WALL))
    free = st.integers(0, 20).map(lambda n: VenueBalance(n * LOT, 0))
    return tuple(orders), tuple(trades), {"BTC": draw(free), "USDT": draw(free)}


def reconciled(rig: Rig, told: tuple[Any, Any, Any], turn: int) -> list[Output]:
    """One run of everything, with answers to what it asks; the entries that it makes."""
    orders, trades, balances = told
    wall, mono = WALL + turn, rig.mono + turn * 10**10
    by_name = {report.client_order_id: report for report in orders}
    outputs = rig.reconciler.open_orders(orders, mono, wall, mono)
    for name in list(rig.manager.live):
        outputs += rig.manager.queried(name, by_name.get(name), mono, wall, mono)
    outputs += rig.reconciler.trades(BTC, trades, wall)
    for name in list(rig.manager.live):
        outputs += rig.manager.queried(name, by_name.get(name), mono, wall, mono)
    rig.reconciler.balances(balances, rig.manager.activity, rig.guard.cycle, wall)
    return [output for output in outputs if isinstance(output, Entry)]


def placed() -> Rig:
    rig = Rig()
    for _ in range(OURS):
        rig.place(Side.BUY, 5 * LOT)
    return rig


@settings(deadline=None)
@given(venues())
def test_the_same_reports_twice_give_no_new_event(told: tuple[Any, Any, Any]) -> None:
    """Orders, executions and balances; also a third time."""
    rig = placed()
    reconciled(rig, told, 1)
    assert reconciled(rig, told, 2) == []
    positions = {name: book.positions for name, book in rig.manager.books.items()}
    assert reconciled(rig, told, 3) == []
    assert {name: book.positions for name, book in rig.manager.books.items()} == positions


@settings(deadline=None)
@given(venues())
def test_what_is_made_up_is_made_up_the_same_way(told: tuple[Any, Any, Any]) -> None:
    assert reconciled(placed(), told, 1) == reconciled(placed(), told, 1)
