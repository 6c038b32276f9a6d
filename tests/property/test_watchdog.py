"""The watchdog's judgement over everything that it may hear."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.calendar import Calendar
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE
from ringfence.model.orders import Filled, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.watchdog.dropcopy import DropCopy, Look
from ringfence.watchdog.judge import Heard, Patience, judge
from ringfence.wire.kill import Severity
from ringfence.wire.messages import OrderUpdate

S = 1_000_000_000
DAY_NS = 86_400 * S
TIMES = st.integers(0, 200).map(lambda seconds: seconds * S)
HEARD = st.builds(
    Heard,
    started=TIMES,
    beat=TIMES,
    severity=st.sampled_from(list(Severity)),
    renewed=TIMES,
    freed=st.booleans(),
    freed_since=TIMES,
    left=st.integers(0, 3),
    unused=st.booleans(),
    asked=st.sampled_from(list(Severity)),
    asked_since=TIMES,
    closed=TIMES,
)
PATIENCE = st.builds(
    Patience, silent=st.integers(16, 60).map(lambda s: s * S), acknowledge=st.integers(2, 30).map(lambda s: s * S)
)
NOWS = st.integers(200, 300).map(lambda seconds: seconds * S)


@given(HEARD, PATIENCE, NOWS)
def test_one_living_source_without_an_open_kill_leaves_the_orders_alone(h: Heard, p: Patience, now: int) -> None:
    """Whatever else is silent, unreadable or strange."""
    alive = now - h.beat < p.silent or now - h.renewed < p.silent or now - h.started < p.silent
    if alive and h.asked < Severity.CANCEL:
        assert not judge(h, p, now).cancel
        assert not judge(h, p, now).delete_pod


@given(HEARD, PATIENCE, NOWS)
def test_silence_of_both_always_cancels_where_somebody_may_have_traded(h: Heard, p: Patience, now: int) -> None:
    """Unless execution has itself said that it is done, or has never been there."""
    silent = all(now - at >= p.silent for at in (h.beat, h.renewed, h.started))
    if silent and not h.freed and not (h.unused and not h.beat):
        assert judge(h, p, now).cancel


@given(HEARD, PATIENCE, NOWS)
def test_a_kill_that_nobody_has_closed_for_always_cancels_in_the_end(h: Heard, p: Patience, now: int) -> None:
    """No answer, an answer from before, or one that is too loose: none of these is an acknowledgement."""
    overdue = now - max(h.asked_since, h.closed, h.started) >= p.acknowledge
    closed = h.severity >= Severity.CANCEL and h.beat >= h.asked_since
    if h.asked >= Severity.CANCEL and overdue and not closed and not (h.freed or h.unused):
        assert judge(h, p, now).cancel


@given(HEARD, PATIENCE, NOWS, st.integers(0, 100).map(lambda seconds: seconds * S))
def test_nothing_gets_better_by_waiting(h: Heard, p: Patience, now: int, more: int) -> None:
    """With no further news a verdict to cancel stands, unless execution has said that it ended in order."""
    if judge(h, p, now).cancel and not (h.freed or h.unused):
        assert judge(h, p, now + more).cancel


@given(HEARD, PATIENCE, NOWS)
def test_every_act_has_a_reason_that_people_can_read(h: Heard, p: Patience, now: int) -> None:
    found = judge(h, p, now)
    if found.cancel or found.delete_pod or found.unreachable or found.push:
        assert len(found.reason) > 20


BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=SCALE,
    lot=SCALE,
    quantity_min=SCALE,
    quantity_max=100 * SCALE,
    notional_min=0,
)
PRICES = st.integers(1, 1_000).map(lambda whole: whole * SCALE)
TRADES = st.tuples(st.integers(0, DAY_NS), st.sampled_from(Side), st.integers(1, 9), PRICES, PRICES)
"""How long after the one before, side, quantity, price, and the market's price then."""


def executed(number: int, ts: int, side: Side, quantity: int, price: int) -> list[OrderUpdate]:
    """An order that fills at once."""
    name = f"o{number}"
    events = (
        Initialized(
            client_order_id=name,
            ts=ts,
            intent_id=name,
            track="stable",
            symbol="BTCUSDT",
            side=side,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            quantity=quantity,
            price=price,
        ),
        Submitted(client_order_id=name, ts=ts),
        Filled(
            client_order_id=name,
            ts=ts,
            trade_id=name,
            price=price,
            quantity=quantity,
            commission=SCALE // 100,
            commission_asset="USDT",
            maker=False,
        ),
    )
    return [OrderUpdate("g", 3 * number + place, "stable", event) for place, event in enumerate(events, 1)]


@given(st.lists(TRADES, max_size=12), st.lists(PRICES, min_size=13, max_size=13))
def test_whoever_begins_late_knows_the_same_loss(
    trades: list[tuple[int, Side, int, int, int]], days: list[int]
) -> None:
    """One looked after every trade of many days; another has just begun, and was only read the journal."""
    there, journal, ts = DropCopy([BTC], "USDT", 1, Calendar()), [], 0
    for number, (after, side, quantity, price, market) in enumerate(trades):
        ts += after
        told = executed(number, ts, side, quantity * SCALE, price)
        journal += told
        for update in told:
            there.update(update)
        late = DropCopy([BTC], "USDT", 1, Calendar())
        for update in journal:
            late.update(update)
        day = {"BTCUSDT": days[ts // DAY_NS]}
        look = Look(ts=ts, open_ids=frozenset(), balances={}, prices={"BTCUSDT": market}, openings=day)
        there.look(look)
        late.look(look)
        assert late.loss == there.loss
        assert late.carried(ts) == there.carried(ts)
