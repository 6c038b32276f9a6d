"""The order state machine under any sequence of events: it never raises, never leaves the table, never loses a fill."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.money import SCALE
from ringfence.model.orders import (
    BUSTS,
    CLOSED,
    IN_FLIGHT,
    OPEN,
    TRANSITIONS,
    Accepted,
    Canceled,
    CancelRejected,
    Denied,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    Initialized,
    ModifyRejected,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    OutcomeKnown,
    OutcomeUnknown,
    PendingCancel,
    PendingUpdate,
    Rejected,
    Side,
    Submitted,
    TimeInForce,
    Triggered,
    Updated,
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
        Triggered(**BASE),
        PendingUpdate(**BASE, quantity=QUANTITY // 2, price=SCALE),
        ModifyRejected(**BASE, reason="r"),
    ]
)
corrections: st.SearchStrategy[OrderEvent] = st.one_of(
    st.builds(lambda trade: FillBusted(**BASE, trade_id=str(trade)), st.integers(0, 6)),
    st.builds(
        lambda trade, quantity: FillCorrected(
            **BASE, trade_id=str(trade), price=2 * SCALE, quantity=quantity, commission=0, commission_asset="BTC"
        ),
        st.integers(0, 6),
        st.integers(1, 60),
    ),
)
updates = st.builds(
    lambda quantity, prevented: Updated(**BASE, quantity=quantity, price=SCALE, prevented=prevented),
    st.integers(1, QUANTITY),
    st.integers(0, QUANTITY // 2),
)
events = st.lists(st.one_of(fills, others), max_size=30)
all_events = st.lists(st.one_of(fills, others, corrections, updates), max_size=30)
venue_events = st.lists(
    st.one_of(fills, st.sampled_from([Accepted(**BASE, venue_order_id="v"), PendingCancel(**BASE)])), max_size=15
)


@given(all_events)
def test_every_step_is_in_the_table_or_an_anomaly(sequence: list[OrderEvent]) -> None:
    """What a venue does against the table is told as an anomaly and changes no state."""
    order = Order(FIRST)
    for event in sequence:
        before = order.state
        undone = BUSTS.get(before, frozenset()) if isinstance(event, FillBusted | FillCorrected) else frozenset()
        anomaly = order.apply(event)
        assert order.state is before or order.state in TRANSITIONS[before] | undone
        if anomaly is not None and anomaly.startswith("ILLEGAL"):
            assert order.state is before


@given(events)
def test_fills_are_counted_once_each_and_never_lost(sequence: list[OrderEvent]) -> None:
    """In whatever state they come; the same trade twice counts once."""
    order = Order(FIRST)
    seen: dict[str, int] = {}
    told: list[str | None] = []
    for event in sequence:
        told.append(order.apply(event))
        if isinstance(event, Filled):
            seen.setdefault(event.trade_id, event.quantity)
        assert order.filled == sum(seen.values())
        assert order.value == order.filled
        assert order.leaves == (0 if order.state in CLOSED else max(0, QUANTITY - order.filled))
        assert (order.filled > QUANTITY) == any(one is not None and one.startswith("OVERFILL") for one in told)


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


@given(all_events)
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
        assert TRANSITIONS[state] <= {OrderState.FILLED}


@given(st.lists(st.one_of(fills, corrections), max_size=15), st.randoms())
def test_busts_and_corrections_count_the_same_whatever_is_heard_first(sequence: list[OrderEvent], rng: Any) -> None:
    """A bust before its fill, a correction twice: what stands in the end is the same, exactly."""
    once: dict[tuple[type, str], OrderEvent] = {}
    for event in sequence:
        assert isinstance(event, Filled | FillBusted | FillCorrected)
        once.setdefault((type(event), event.trade_id), event)
    shuffled = list(once.values()) * 2
    rng.shuffle(shuffled)
    first, second = Order(FIRST), Order(FIRST)
    for order, mixed in ((first, list(once.values())), (second, shuffled)):
        order.apply(Submitted(**BASE))
        for event in mixed:
            order.apply(event)
    assert (first.filled, first.value, first.fills, first.busted) == (
        second.filled,
        second.value,
        second.fills,
        second.busted,
    )
    assert first.filled == sum(fill.quantity for fill in first.fills.values())
    assert first.value == sum(fill.price * fill.quantity // SCALE for fill in first.fills.values())
    assert not first.fills.keys() & first.busted


@given(all_events)
def test_what_may_still_execute_is_never_more_than_was_ordered(sequence: list[OrderEvent]) -> None:
    """Neither an update nor a bust gives back more; a closed order executes nothing."""
    order = Order(FIRST)
    for event in sequence:
        order.apply(event)
        assert 0 <= order.leaves <= QUANTITY
        if order.closed:
            assert order.leaves == 0


@given(all_events)
def test_what_has_closed_stays_closed(sequence: list[OrderEvent]) -> None:
    """Late fills, busts and corrections are counted; none of them puts an order back on a book."""
    order = Order(FIRST)
    closed = False
    for event in sequence:
        order.apply(event)
        assert order.closed or not closed
        closed = order.closed


def test_a_modification_and_a_cancel_may_both_be_on_their_way() -> None:
    """Each refusal leads back to what is still asked for, and at last to what the order was."""
    order = Order(FIRST)
    for event in (Submitted(**BASE), Accepted(**BASE, venue_order_id="v")):
        order.apply(event)
    states = []
    for event in (
        PendingUpdate(**BASE, quantity=50, price=SCALE),
        PendingCancel(**BASE),
        CancelRejected(**BASE, reason="r"),
        ModifyRejected(**BASE, reason="r"),
        PendingUpdate(**BASE, quantity=50, price=SCALE),
        Updated(**BASE, quantity=50, price=SCALE),
    ):
        assert order.apply(event) is None
        states.append(str(order.state))
    assert states == ["PENDING_UPDATE", "PENDING_CANCEL", "PENDING_UPDATE", "ACCEPTED", "PENDING_UPDATE", "ACCEPTED"]
    assert order.leaves == 50


def test_a_bust_of_what_was_full_does_not_bring_it_back_to_the_book() -> None:
    """The venue has matched it and is done with it."""
    order = Order(FIRST)
    order.apply(Submitted(**BASE))
    fill: dict[str, Any] = {"price": SCALE, "commission": 0, "commission_asset": "BTC", "maker": True}
    order.apply(Filled(**BASE, trade_id="1", quantity=60, **fill))
    order.apply(Filled(**BASE, trade_id="2", quantity=40, **fill))
    order.apply(FillBusted(**BASE, trade_id="2"))
    assert (order.state, order.filled, order.leaves) == (OrderState.CANCELED, 60, 0)
