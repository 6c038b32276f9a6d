"""Orders that change or exclude each other: worst case, outcomes, recovery. A replayed journal gives the same."""

from typing import Any

import pytest
from managerrig import LOT, MONO, PRICE, SECOND, STOP, SYMBOL, TARGET, VALIDITY, WALL, Rig, denials, report

from ringfence.execution.outcomes import CLOCK_ERROR_NS
from ringfence.execution.outputs import Cancel, Pair, Query, Refuse, Replace
from ringfence.execution.reconcile import entries
from ringfence.execution.stopping import protective
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
    Triggered,
)
from ringfence.venues import api
from ringfence.wire.messages import CancelIntent, MassCancelIntent, PairIntent, ReduceIntent, ReplaceIntent

# --- conditional orders at the gate


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (OrderType.STOP_LOSS, {}, "TRIGGER_MISSING"),
        (OrderType.STOP_LOSS, {"stop_price": PRICE + money("5")}, "TRIGGER_REACHED"),
        (OrderType.TAKE_PROFIT, {"stop_price": STOP}, "TRIGGER_REACHED"),
        (OrderType.STOP_LOSS, {"stop_price": STOP + 1}, "TRIGGER_INVALID"),
        (OrderType.STOP_LOSS, {"trailing_bps": 10_000}, "TRAILING_INVALID"),
        (OrderType.STOP_LOSS, {"stop_price": STOP, "price": STOP}, "PRICE_ON_MARKET_ORDER"),
        (OrderType.STOP_LOSS_LIMIT, {"stop_price": STOP, "price": money("40000")}, "PRICE_BEYOND_COLLAR"),
        (OrderType.LIMIT, {"stop_price": STOP, "price": TARGET}, "TRIGGER_NOT_ALLOWED"),
        (OrderType.LIMIT, {"price": TARGET, "display": LOT}, "ICEBERG_INVALID"),
        (OrderType.LIMIT, {"price": TARGET, "display": LOT // 20}, "ICEBERG_PARTS_EXCEEDED"),
        (OrderType.LIMIT, {"price": TARGET, "display": LOT // 2, "time_in_force": TimeInForce.IOC}, "ICEBERG_NOT_"),
        (OrderType.LIMIT_MAKER, {"price": TARGET, "time_in_force": TimeInForce.IOC}, "TIME_IN_FORCE_INVALID"),
    ],
)
def test_fields_that_do_not_go_together_are_refused_with_their_reason(
    kind: OrderType, fields: dict[str, Any], code: str
) -> None:
    rig = Rig()
    rig.hold()
    intent = rig.intent(Side.SELL, kind, **({"price": 0} | fields))
    assert any(reason.startswith(code) for reason in denials(rig.manager.intent(intent, "k", WALL, MONO)))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (OrderType.STOP_LOSS, {"stop_price": STOP}),
        (OrderType.STOP_LOSS, {"trailing_bps": 100}),
        (OrderType.STOP_LOSS_LIMIT, {"stop_price": STOP, "price": STOP - money("10")}),
        (OrderType.TAKE_PROFIT, {"stop_price": TARGET}),
        (OrderType.TAKE_PROFIT_LIMIT, {"stop_price": TARGET, "price": TARGET}),
        (OrderType.LIMIT, {"price": TARGET, "display": LOT // 5}),
    ],
)
def test_every_kind_of_exit_passes_and_counts_as_what_it_may_sell(kind: OrderType, fields: dict[str, Any]) -> None:
    """A trigger does not make the exposure smaller, and a stop far from the market is no breach of the collar."""
    rig = Rig()
    rig.hold()
    name = rig.place(rig.intent(Side.SELL, kind, reduce_only=True, **({"price": 0} | fields)))
    assert rig.slot() == (LOT, 0, LOT)
    assert protective(rig.manager.live.values()) == {name}, "a kill leaves it, a target that rests too"
    rig.same_after_replay()


def test_independent_exits_are_summed() -> None:
    """Two stops over one position could sell it twice: the second would open, so it is refused."""
    rig = Rig()
    rig.hold()
    rig.place(rig.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=STOP, reduce_only=True))
    again = rig.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=STOP - money("1"), reduce_only=True)
    assert any(r.startswith("REDUCE_ONLY_WOULD_OPEN") for r in denials(rig.manager.intent(again, "k", WALL, MONO)))


def test_a_waiting_stop_meets_no_order_of_ours_until_it_is_triggered() -> None:
    rig = Rig()
    rig.hold()
    limit = {"stop_price": STOP, "price": STOP, "reduce_only": True}
    name = rig.place(rig.intent(Side.SELL, OrderType.STOP_LOSS_LIMIT, **limit))
    market = rig.gate.markets[SYMBOL]
    assert market.resting_sells == {}
    rig.keep(rig.manager.event(SYMBOL, Triggered(client_order_id=name, ts=WALL)))
    assert (rig.state(name), market.resting_sells) == ("TRIGGERED", {name: STOP})
    assert rig.manager.event(SYMBOL, Triggered(client_order_id=name, ts=WALL)) == [], "told twice, noted once"


# --- pairs


def test_the_legs_of_a_pair_count_as_the_larger_until_one_is_left() -> None:
    rig = Rig()
    rig.hold()
    outputs, (first, second) = rig.pair()
    assert isinstance(outputs[-1], Pair)
    assert rig.slot() == (LOT, 0, LOT)
    assert protective(rig.manager.live.values()) == {first, second}
    for name in (first, second):
        rig.accept(name)
    rig.fill(first, LOT // 2, "1")
    assert rig.slot() == (LOT // 2, 0, LOT), "the other leg may still sell all until the venue says that it is gone"
    rig.keep(rig.manager.event(SYMBOL, Expired(client_order_id=second, ts=WALL)))
    assert rig.slot() == (LOT // 2, 0, LOT // 2)
    rig.fill(first, LOT // 2, "2")
    assert rig.slot() == (0, 0, 0)
    rig.same_after_replay()


def test_a_pair_of_which_one_leg_is_refused_is_not_sent() -> None:
    rig = Rig()
    rig.hold()
    first = rig.intent(Side.SELL, OrderType.LIMIT_MAKER, TARGET, reduce_only=True)
    second = rig.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=TARGET, reduce_only=True)
    outputs = rig.manager.pair_intent(PairIntent(first, second), "k", WALL, MONO)
    assert [type(e.event).__name__ for e in entries(outputs)] == ["Initialized", "Denied"] * 2
    assert rig.slot() == (LOT, 0, 0)
    third = rig.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=STOP, reduce_only=True, quantity=LOT // 2)
    told = denials(rig.manager.pair_intent(PairIntent(first, third), "k", WALL, MONO))
    assert any(reason.startswith("PAIR_INVALID") for reason in told)


def test_an_unknown_pair_is_settled_leg_by_leg() -> None:
    """Both are there, or neither: each is asked for, and absence counts only after the request's validity."""
    rig = Rig()
    rig.hold()
    _, names = rig.pair()
    for name in names:
        rig.keep(rig.manager.submitted(name, api.Unknown("timeout"), WALL, MONO))
    assert rig.gate.markets[SYMBOL].unknown == set(names)
    later = MONO + VALIDITY + CLOCK_ERROR_NS + SECOND
    asked = rig.manager.tick(WALL, later)
    assert [o.client_order_id for o in asked if isinstance(o, Query)] == names
    for name in names:
        rig.keep(rig.manager.queried(name, None, later, WALL, later))
    assert {rig.state(name) for name in names} == {"CANCELED"}
    assert rig.slot() == (LOT, 0, 0)
    rig.same_after_replay()


# --- replacements


def test_a_replacement_counts_as_the_larger_of_old_and_new() -> None:
    """Whichever of the two it is, and what is left counts alone once the other is gone."""
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY, quantity=3 * LOT))
    outputs = rig.replace("i1", 2 * LOT)
    assert isinstance(outputs[-1], Replace)
    assert outputs[-1].untouched
    new = outputs[-1].order.client_order_id
    assert (rig.state(old), rig.slot()) == ("PENDING_UPDATE", (0, 3 * LOT, 0))
    rig.keep(rig.manager.replaced(old, new, (api.Accepted("v"), api.Accepted(f"v-{new}")), WALL, MONO))
    rig.keep(rig.manager.event(SYMBOL, Canceled(client_order_id=old, ts=WALL)))
    assert (rig.state(old), rig.state(new), rig.slot()) == ("CANCELED", "ACCEPTED", (0, 2 * LOT, 0))
    rig.replace(f"i{rig.numbers}", 4 * LOT)
    assert rig.slot() == (0, 4 * LOT, 0)
    rig.same_after_replay()


def test_a_replacement_of_what_has_filled_in_part_counts_both() -> None:
    """The venue cannot be told to refuse only further fills, so both might execute."""
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY, quantity=3 * LOT))
    rig.fill(old, LOT, "1")
    outputs = rig.replace("i1", 2 * LOT)
    assert isinstance(outputs[-1], Replace)
    assert not outputs[-1].untouched
    assert rig.slot() == (LOT, 4 * LOT, 0)
    rig.same_after_replay()


def test_a_replacement_is_checked_as_if_the_old_order_were_gone() -> None:
    """At the limit, the same size again passes, a larger one does not, and the refusal leaves the old one alone."""
    rig = Rig()
    rig.gate.tracks["stable"].caps.position = money("15001")
    rig.place(rig.intent(Side.BUY, quantity=3 * LOT))
    refused = denials(rig.replace("i1", 4 * LOT))
    assert any(reason.startswith("POSITION_EXCEEDED") for reason in refused)
    assert rig.slot() == (0, 3 * LOT, 0)
    assert isinstance(rig.replace("i1", 3 * LOT)[-1], Replace)


@pytest.mark.parametrize("refusal", [api.Refused(-2011, "Unknown order sent."), api.NotSent("closed")])
def test_a_replacement_whose_cancel_failed_leaves_the_old_order_as_it_was(refusal: Any) -> None:
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY))
    new = rig.replace("i1")[-1].order.client_order_id  # type: ignore[union-attr]
    rig.keep(rig.manager.replaced(old, new, (refusal, api.NotSent("not attempted")), WALL, MONO))
    assert rig.state(old) == "ACCEPTED"
    assert rig.manager.orders[new].closed
    assert rig.slot() == (0, LOT, 0)
    rig.same_after_replay()


@pytest.mark.parametrize(
    ("state", "quantity", "ends"),
    [
        (OrderState.EXPIRED, LOT, "EXPIRED"),  # prevented to the last of it
        (OrderState.EXPIRED, 2 * LOT, "EXPIRED"),
        (OrderState.CANCELED, 2 * LOT, "CANCELED"),
        (OrderState.FILLED, LOT, "FILLED"),
    ],
)
def test_an_order_that_was_prevented_in_part_ends_as_the_venue_says(
    state: OrderState, quantity: int, ends: str
) -> None:
    """Nobody told of the part: the order is smaller when it is asked for."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY, quantity=3 * LOT))
    rig.fill(name, LOT, "some")
    answer = report(rig, name, state, quantity=quantity, filled=LOT)
    rig.keep(rig.manager.queried(name, answer, MONO, WALL, MONO))
    assert (rig.state(name), rig.slot()) == (ends, (LOT, 0, 0))
    rig.same_after_replay()


def test_a_replacement_of_what_does_not_work_any_more_is_refused_at_once() -> None:
    """On record, where an order is known that it is of; and told in any case."""
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY))
    rig.fill(old, LOT, "all")
    (refused,) = denials(rig.replace("i1"))
    assert refused == "REPLACE_NOTHING_WORKING replaces=i1 state=FILLED"
    assert rig.replace("gone") == [Refuse("stable", f"i{rig.numbers}", ("REPLACE_NOTHING_WORKING replaces=gone",))]
    assert rig.manager.refusals == {"REPLACE_NOTHING_WORKING": 2}
    assert rig.slot() == (LOT, 0, 0)
    rig.same_after_replay()


def test_the_gates_refusals_of_pairs_and_replacements_are_counted_like_any_and_races_are_not() -> None:
    rig = Rig()
    rig.hold()
    track = rig.gate.tracks["stable"]
    counted = track.checked
    rig.pair()
    assert (track.checked - counted, track.failed) == (2, 0)
    rig.pair()
    assert (track.checked - counted, track.failed) == (4, 2), "what is held is being sold already"
    rig.place(rig.intent(Side.BUY))
    target = f"i{rig.numbers}"
    rig.replace(target, quantity=LOT // 2 + 1)
    assert (track.checked - counted, track.failed) == (6, 3)
    assert isinstance(rig.replace(target)[-1], Replace)
    assert (track.checked - counted, track.failed) == (7, 3)
    assert denials(rig.replace(target))[0].startswith("REPLACE_TOO_EARLY")
    assert isinstance(rig.replace("gone")[0], Refuse)
    assert (track.checked - counted, track.failed) == (7, 3)


@pytest.mark.parametrize("done", [True, False])
def test_an_unknown_replacement_is_settled_by_asking_for_both(done: bool) -> None:
    """Either the new one is there and the old one gone, or the new one never comes and the old one is as it was."""
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY))
    new = rig.replace("i1")[-1].order.client_order_id  # type: ignore[union-attr]
    rig.keep(rig.manager.replaced(old, new, (api.Unknown("?"), api.Unknown("?")), WALL, MONO))
    later = MONO + VALIDITY + CLOCK_ERROR_NS + SECOND
    wanted = {o.client_order_id for o in rig.manager.tick(WALL, later) if isinstance(o, Query)}
    assert wanted == {old, new}
    state = OrderState.CANCELED if done else OrderState.ACCEPTED
    rig.keep(rig.manager.queried(old, report(rig, old, state), later, WALL, later))
    assert rig.state(old) == ("CANCELED" if done else "PENDING_UPDATE"), "open proves nothing while the new may come"
    told = report(rig, new, OrderState.ACCEPTED) if done else None
    rig.keep(rig.manager.queried(new, told, later, WALL, later))
    if not done:
        rig.keep(rig.manager.queried(old, report(rig, old, state), later, WALL, later))
    assert (rig.state(old), rig.state(new)) == (("CANCELED", "ACCEPTED") if done else ("ACCEPTED", "CANCELED"))
    assert rig.slot() == (0, LOT, 0)
    rig.same_after_replay()


@pytest.mark.parametrize("answer", [None, api.NotSent("no room"), api.Refused(-1015, "Too many")])
def test_a_cancel_that_was_asked_for_is_repeated_by_the_next_process_too(answer: api.CancelOutcome | None) -> None:
    """Also where the venue has not taken it: by whomever it was asked, nobody has taken it back."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.cancel_one(rig.manager.live[name], "by hand", WALL, MONO))
    if answer is not None:
        rig.keep(rig.manager.canceled(name, answer, WALL, MONO))
        assert rig.state(name) == "ACCEPTED"
    other = Rig(rig.journal)
    other.keep(other.manager.recovered(WALL, MONO))
    assert Cancel(SYMBOL, name) in other.keep(other.manager.tick(WALL, MONO))


def test_a_process_that_died_in_a_replacement_asks_for_both() -> None:
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY))
    new = rig.replace("i1")[-1].order.client_order_id  # type: ignore[union-attr]
    other = Rig(rig.journal)
    other.keep(other.manager.recovered(WALL, MONO))
    assert {o.client_order_id for o in other.manager.tick(WALL, MONO) if isinstance(o, Query)} == {old, new}
    assert other.slot() == rig.slot()


# --- many, and strangers


def test_a_mass_cancel_asks_for_every_order_of_the_track_and_keeps_at_it() -> None:
    rig = Rig()
    names = [rig.place(rig.intent(Side.BUY, price=PRICE - n * money("1"))) for n in range(3)]
    outputs = rig.keep(rig.manager.mass_cancel(MassCancelIntent("stable", "", WALL), "k", WALL, MONO))
    assert [o.client_order_id for o in outputs if isinstance(o, Cancel)] == names
    assert rig.manager.mass_cancel(MassCancelIntent("stable", "ETHUSDT", WALL), "k", WALL, MONO) == []
    again = rig.manager.tick(WALL, MONO + SECOND)
    assert [o.client_order_id for o in again if isinstance(o, Cancel)] == names
    rig.same_after_replay()


def test_a_stranger_changes_nothing() -> None:
    rig = Rig()
    rig.place(rig.intent(Side.BUY))
    wanted = ReplaceIntent("i9", "i1", "stable", LOT, PRICE, 0, WALL)
    leg = rig.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=STOP)
    for outputs in (
        rig.manager.replace_intent(wanted, "other", WALL, MONO),
        rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "other", WALL, MONO),
        rig.manager.mass_cancel(MassCancelIntent("stable", "", WALL), "other", WALL, MONO),
        rig.manager.pair_intent(PairIntent(leg, leg), "other", WALL, MONO),
        rig.manager.cancel_intent(CancelIntent("i1", "stable", WALL), "other", WALL, MONO),
    ):
        assert outputs == []


# --- busts and corrections


@pytest.mark.parametrize("first", [True, False])
def test_a_bust_takes_position_cash_and_fees_back_exactly(first: bool) -> None:
    """Also one that is heard before its fill, and one that is heard twice."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY, quantity=2 * LOT))
    fill = Filled(client_order_id=name, ts=WALL, trade_id="1", price=PRICE, quantity=LOT,
                  commission=money("0.001"), commission_asset="BTC", maker=True)  # fmt: skip
    bust = FillBusted(client_order_id=name, ts=WALL, trade_id="1")
    for event in (bust, fill, bust) if first else (fill, bust, fill, bust):
        rig.keep(rig.manager.event(SYMBOL, event))
    book = rig.manager.books.get("stable")
    assert rig.slot() == (0, 2 * LOT, 0)
    assert book is None or (not any(book.cash.values()) and not any(book.fees.values()))
    assert rig.manager.anomalies
    rig.same_after_replay()


def test_a_correction_replaces_what_was_told() -> None:
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY, quantity=2 * LOT))
    rig.fill(name, LOT, "1")
    correction = FillCorrected(client_order_id=name, ts=WALL, trade_id="1", price=PRICE + money("1"),
                               quantity=2 * LOT, commission=money("2"), commission_asset="USDT")  # fmt: skip
    for _ in range(2):
        rig.keep(rig.manager.event(SYMBOL, correction))
    book = rig.manager.books["stable"]
    assert (rig.state(name), rig.slot()) == ("FILLED", (2 * LOT, 0, 0))
    assert book.cash == {"USDT": -money("10000.2") - money("2"), "BTC": 2 * LOT}
    rig.same_after_replay()


def test_the_acceptance_of_an_order_that_changes_is_no_news() -> None:
    """The venue's events may come in any order."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.replace("i1")
    assert rig.manager.event(SYMBOL, Accepted(client_order_id=name, ts=WALL, venue_order_id=f"v-{name}")) == []
