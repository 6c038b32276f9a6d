"""The order state machine under any sequence of events: it never raises, never leaves the table, never loses a fill."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.money import SCALE
from ringfence.model.orders import (
    CLOSED,
    IN_FLIGHT,
    OPEN,
    TRANSITIONS,
    Accepted,
    Canceled,
    CancelRejected,
    Denied,
    Expired,
    Filled,
    Initialized,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    OutcomeKnown,
    OutcomeUnknown,
    PendingCancel,
    Rejected,
    Side,
    Submitted,
    TimeInForce,
)

QUANTITY = 100
BASE: dict[str, Any] = {"client_order_id": "o", "ts": 1}
FIRST = Initialized(
    **BASE,
    intent_id="i",
    track="stable",
    symbol="BTCUSDT",
    side=Side.BUY,
    type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    quantity=QUANTITY,
    price=SCALE,
)
fills = st.builds(
    lambda trade, quantity: Filled(
        **BASE,
        trade_id=str(trade),
        price=SCALE,
        quantity=quantity,
        commission=0,
        commission_asset="BTC",
        maker=True,
    ),
    st.integers(0, 6),
    st.integers(1, 60),
)
others: st.SearchStrategy[OrderEvent] = st.sampled_from(
    [
        FIRST,
        Denied(**BASE, reasons=("X",)),
        Submitted(**BASE),
        Accepted(**BASE, venue_order_id="v"),
        Rejected(**BASE, reason="r"),
        PendingCancel(**BASE),
        CancelRejected(**BASE, reason="r"),
        Canceled(**BASE),
        Expired(**BASE),
        OutcomeUnknown(**BASE, reason="r"),
        OutcomeKnown(**BASE),
    ]
)
events = st.lists(st.one_of(fills, others), max_size=30)
venue_events = st.lists(
    st.one_of(fills, st.sampled_from([Accepted(**BASE, venue_order_id="v"), PendingCancel(**BASE)])), max_size=15
)


@given(events)
def test_every_step_is_in_the_table_or_an_anomaly(sequence: list[OrderEvent]) -> None:
    """What a venue does against the table is kept as an anomaly and changes no state."""
    order = Order(FIRST)
    for event in sequence:
        before, known = order.state, len(order.anomalies)
        anomaly = order.apply(event)
        assert order.state is before or order.state in TRANSITIONS[before] or _acknowledged(before, order.state)
        assert (anomaly is None) == (len(order.anomalies) == known)
        if anomaly is not None and anomaly.startswith("ILLEGAL"):
            assert order.state is before


def _acknowledged(before: OrderState, after: OrderState) -> bool:
    """A cancel that was refused goes back to where it came from."""
    return before is OrderState.PENDING_CANCEL and after in {
        OrderState.ACCEPTED,
        OrderState.SUBMITTED,
        OrderState.PARTIALLY_FILLED,
        OrderState.TRIGGERED,
    }


@given(events)
def test_fills_are_counted_once_each_and_never_lost(sequence: list[OrderEvent]) -> None:
    """In whatever state they come; the same trade twice counts once."""
    order = Order(FIRST)
    seen: dict[str, int] = {}
    for event in sequence:
        order.apply(event)
        if isinstance(event, Filled):
            seen.setdefault(event.trade_id, event.quantity)
        assert order.filled == sum(seen.values())
        assert order.value == order.filled
        assert order.leaves == (0 if order.state in CLOSED else max(0, QUANTITY - order.filled))
        assert (order.filled > QUANTITY) == any(a.startswith("OVERFILL") for a in order.anomalies)


@given(events)
def test_a_full_order_is_filled_and_stays_so(sequence: list[OrderEvent]) -> None:
    """Whatever came before or comes after, unless it was refused by our own gate."""
    order = Order(FIRST)
    order.apply(Submitted(**BASE))
    for event in sequence:
        order.apply(event)
        if order.filled >= QUANTITY:
            assert order.state is OrderState.FILLED


@given(venue_events, st.randoms())
def test_the_order_of_fills_and_acknowledgements_does_not_matter(sequence: list[OrderEvent], rng: Any) -> None:
    """Quantities end the same, however the private stream and the answers overtake each other."""
    first, second = Order(FIRST), Order(FIRST)
    one_per_trade = list({(e.trade_id if isinstance(e, Filled) else id(e)): e for e in sequence}.values())
    shuffled = list(one_per_trade)
    rng.shuffle(shuffled)
    for order, mixed in ((first, one_per_trade), (second, shuffled)):
        order.apply(Submitted(**BASE))
        for event in mixed:
            order.apply(event)
    assert (first.filled, first.value, first.closed) == (second.filled, second.value, second.closed)


@given(events)
def test_replaying_events_gives_the_same_order(sequence: list[OrderEvent]) -> None:
    """A journal is enough."""
    first, second = Order(FIRST), Order(FIRST)
    for event in sequence:
        first.apply(event)
    for event in sequence:
        second.apply(event)
    assert all(getattr(first, name) == getattr(second, name) for name in Order.__slots__)


def test_the_classes_of_states_are_complete() -> None:
    """Every state is in the table; closed ones lead only to fills; open and closed do not meet."""
    assert set(TRANSITIONS) == set(OrderState)
    assert not (OPEN & CLOSED)
    assert not (IN_FLIGHT & CLOSED)
    for state in CLOSED:
        assert TRANSITIONS[state] <= {OrderState.PARTIALLY_FILLED, OrderState.FILLED}
