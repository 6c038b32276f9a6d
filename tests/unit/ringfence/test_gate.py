"""The gate: each check by itself, all failures at once, and what reducing orders are spared."""

import msgspec
import pytest

from gatebench import ordinary
from ringfence.execution.caps import UNLIMITED, caps
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate, allocation_of, limits_text, verified
from ringfence.execution.ids import LENGTH_MAX, make, parse, prefix, revision_mark
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import ALLOCATION_KEY, LIMITS_KEY, Allocation, Handover, HandoverMode, Limits, Track
from ringfence.wire.kill import Severity
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

WALL = 1_700_000_000_000_000_000
MONO = 5_000_000_000_000
SYMBOL = "BTCUSDT"
RULES = ordinary.rules(SYMBOL)
LIMITS = msgspec.structs.replace(
    ordinary.LIMITS,
    order_quantity_max=money("1"),
    order_messages_per_second=10,
    order_working_orders=5,
    position_per_instrument=money("100000"),
    position_gross=money("120000"),
)
BID, ASK = money("50000"), money("50000.01")


def track(name: str = "stable", stage: str = "Live", weight: int = 100, key: str = "k1") -> Track:
    return Track(name=name, revision="abc123", stage=stage, weight=weight, grant="g", key=key)


def ready(*tracks: Track, limits: Limits = LIMITS, granted: Limits | str = LIMITS) -> Gate:
    gate = Gate(ordinary.active_guard(WALL), (SYMBOL, "ETHUSDT"))
    market = gate.markets[SYMBOL]
    market.instrument = RULES
    market.quote(Quote(SYMBOL, 1, WALL, BID, money("1"), ASK, money("1")), MONO)
    bids = ((BID, money("2")), (money("49990"), money("3")))
    asks = ((ASK, money("2")), (money("50010"), money("3")), (money("51000"), money("9")))
    market.book(BookTop(SYMBOL, 1, WALL, WALL, bids, asks), MONO)
    market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
    allocation = Allocation(epoch=1, tracks=tracks or (track(),), limits=limits)
    allocate(gate.tracks, gate.account, allocation, {"g": granted}, paper=False)
    for one in gate.tracks.values():
        one.slot(market)  # as after its first order, from which on bounds may clear what is asked
    return gate


def intent(**changes: object) -> Intent:
    return ordinary.intent(WALL, **changes)


def codes(gate: Gate, wall: int = WALL, mono: int = MONO, **changes: object) -> list[str]:
    return [reason.partition(" ")[0] for reason in gate.check(intent(**changes), wall, mono)]


def holding(gate: Gate, position: int, buys: int = 0, sells: int = 0, name: str = "stable") -> None:
    slot = gate.tracks[name].slot(gate.markets[SYMBOL])
    slot.position, slot.buys, slot.sells = position, buys, sells
    slot.settle()


def test_a_good_order_passes_and_is_approved_with_epoch_and_deadline() -> None:
    gate = ready()
    assert codes(gate) == []
    approved = gate.approve("id", intent(), MONO)
    assert (approved.client_order_id, approved.epoch) == ("id", gate.guard.epoch)
    assert approved.deadline_ns == MONO + 50_000_000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": 0}, "QUANTITY_NOT_POSITIVE"),
        ({"quantity": money("0.000001")}, "QUANTITY_PRECISION"),
        ({"quantity": money("2000")}, "QUANTITY_ABOVE_VENUE_MAXIMUM"),
        ({"price": 0}, "PRICE_NOT_POSITIVE"),
        ({"price": -1}, "PRICE_NOT_POSITIVE"),
        ({"price": BID + 1}, "PRICE_PRECISION"),
        ({"quantity": money("0.00001")}, "VALUE_BELOW_VENUE_MINIMUM"),
        ({"type": OrderType.MARKET}, "PRICE_ON_MARKET_ORDER"),
        ({"type": OrderType.LIMIT_MAKER, "time_in_force": TimeInForce.IOC}, "TIME_IN_FORCE_INVALID"),
        ({"symbol": "DOGEUSDT"}, "INSTRUMENT_UNKNOWN"),
        ({"symbol": "ETHUSDT"}, "INSTRUMENT_NO_RULES"),
        ({"track": "nobody"}, "TRACK_UNKNOWN"),
        ({"ts_decided": WALL - 2_000_000_001}, "INTENT_STALE"),
        ({"ts_decided": WALL + 1_000_000_001}, "INTENT_FROM_THE_FUTURE"),
        ({"price": money("50250.02")}, "PRICE_BEYOND_COLLAR"),
        ({"side": Side.SELL, "price": money("49749.99")}, "PRICE_BEYOND_COLLAR"),
        ({"quantity": money("1.00001")}, "ORDER_QUANTITY_EXCEEDED"),
        ({"quantity": money("1"), "price": money("50000.01")}, "ORDER_VALUE_EXCEEDED"),
        ({"reduce_only": True}, "REDUCE_ONLY_WOULD_OPEN"),
        ({"type": OrderType.MARKET, "price": 0, "quantity": money("15")}, "BOOK_DEPTH_INSUFFICIENT"),
        ({"type": OrderType.MARKET, "price": 0, "quantity": money("6")}, "PRICE_BEYOND_COLLAR"),
    ],
)
def test_each_check_of_an_order(changes: dict[str, object], code: str) -> None:
    """Each is refused by its code; only the last ones fail further limits too."""
    assert code in codes(ready(), **changes)


def test_prices_inside_the_collar_pass() -> None:
    """To the last tick, and the passive side is free."""
    assert codes(ready(), price=money("50250.01"), quantity=money("0.01")) == []
    assert codes(ready(), price=money("100"), quantity=money("0.1")) == []


def test_all_failures_come_together_with_their_values() -> None:
    gate = ready()
    gate.guard.hold("x", Severity.HALT, "drill", WALL)
    found = gate.check(intent(quantity=money("1.5"), price=money("60000")), WALL, MONO)
    assert [reason.partition(" ")[0] for reason in found] == [
        "TRADING_HALTED",
        "PRICE_BEYOND_COLLAR",
        "ORDER_QUANTITY_EXCEEDED",
        "ORDER_VALUE_EXCEEDED",
    ]
    assert "reason=drill" in found[0]
    assert "value=90000 limit=50000" in found[-1]


def test_data_that_must_not_be_traded_on() -> None:
    """Stale, crossed, never seen, marked unusable, or nobody says that it is usable."""
    gate = ready()
    market = gate.markets[SYMBOL]
    assert codes(gate, mono=MONO + 2_000_000_001) == ["QUOTE_STALE"]
    assert "MARKET_UNUSABLE" in codes(gate, mono=MONO + 3_000_000_001)
    market.status(FeedStatus(SYMBOL, WALL, False, "gap: resyncing"), MONO)
    assert codes(gate) == ["MARKET_UNUSABLE"]
    market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
    market.quote(Quote(SYMBOL, 1, WALL, ASK, 1, ASK, 1), MONO)
    assert codes(gate) == ["QUOTE_CROSSED"]
    market.quote_mono = 0
    assert codes(gate) == ["QUOTE_STALE"]


def test_states_of_the_guard() -> None:
    """ReduceOnly lets reducing orders pass, HALT and above none."""
    gate = ready()
    holding(gate, money("0.5"))
    gate.guard.hold("x", Severity.REDUCE_ONLY, "r", WALL)
    assert codes(gate) == ["TRADING_REDUCE_ONLY"]
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.5")) == []
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.50001")) == ["TRADING_REDUCE_ONLY"]
    gate.guard.hold("x", Severity.HALT, "r", WALL)
    assert codes(gate, side=Side.SELL, price=ASK) == ["TRADING_HALTED"]


def test_who_may_trade() -> None:
    """A candidate in Paper is not allowed here, a track without a grant may only reduce."""
    assert codes(ready(track(stage="Paper"))) == ["TRACK_NOT_ALLOWED"]
    assert codes(ready(track(stage="Moon"))) == ["TRACK_NOT_ALLOWED"]
    gate = ready(granted="its content hashes to 123")
    assert codes(gate) == ["GRANT_INVALID"]
    holding(gate, money("0.5"))
    assert codes(gate, side=Side.SELL, price=ASK) == []
    assert "TRACK_NOT_ALLOWED" in codes(gate, track="foreign") or "TRACK_UNKNOWN" in codes(gate, track="foreign")


def test_a_track_that_is_no_longer_named_is_barred() -> None:
    gate = ready(track(), track("candidate", key="k2"))
    allocate(gate.tracks, gate.account, Allocation(epoch=2, tracks=(track(),), limits=LIMITS), {"g": LIMITS}, False)
    assert codes(gate, track="candidate") == ["TRACK_NOT_ALLOWED"]


def test_an_intent_is_taken_once() -> None:
    gate = ready()
    gate.tracks["stable"].remember("i1")
    assert codes(gate) == ["INTENT_DUPLICATE"]
    assert codes(gate, intent_id="i2") == []


def test_the_message_rate_is_a_bucket_of_one_second() -> None:
    """Ten at once, then one each 100 ms; refused intents cost nothing."""
    gate = ready()
    for number in range(10):
        assert codes(gate, intent_id=f"a{number}") == []
        assert "ORDER_QUANTITY_EXCEEDED" in codes(gate, quantity=money("2"))
        gate.approve(f"c{number}", intent(), MONO)
    assert codes(gate) == ["RATE_TRACK_EXCEEDED", "RATE_ACCOUNT_EXCEEDED"]
    later = MONO + 100_000_000
    assert codes(gate, mono=later) == []
    gate.approve("c", intent(), later)
    assert codes(gate, mono=later) != []


def test_positions_count_what_may_still_execute() -> None:
    """Buys on top of a long, sells beside it, in flight and unknown ones alike; at the ask."""
    gate = ready()
    holding(gate, money("1"), buys=money("0.9"))
    assert codes(gate, quantity=money("0.1")) == ["POSITION_EXCEEDED", "POSITION_EXCEEDED"]
    assert codes(gate, quantity=money("0.09")) == []
    holding(gate, money("1"), buys=money("0.9"), sells=money("2.8"))
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.1")) == []
    assert "POSITION_EXCEEDED" in codes(gate, side=Side.SELL, price=ASK, quantity=money("0.3"))


def test_gross_counts_all_instruments() -> None:
    gate = ready()
    other = gate.markets["ETHUSDT"]
    other.quote(Quote("ETHUSDT", 1, WALL, money("1999"), money("1"), money("2000"), money("1")), MONO)
    slot = gate.tracks["stable"].slot(other)
    slot.position = money("-55")
    slot.settle()
    assert codes(gate, quantity=money("0.2")) == ["GROSS_EXCEEDED", "GROSS_EXCEEDED"]
    assert codes(gate, quantity=money("0.19")) == []


def test_the_account_counts_other_tracks_and_foreign_orders() -> None:
    """Not netted: what others hold at worst case is not there for this one."""
    gate = ready(track(), track("candidate", key="k2"))
    holding(gate, money("-1.5"), name="candidate")
    assert codes(gate, quantity=money("0.5")) == ["POSITION_EXCEEDED"]
    assert codes(gate, quantity=money("0.4")) == []


def test_weight_scales_quantity_value_position_gross_and_loss() -> None:
    gate = ready(track(stage="Canary", weight=5))
    assert codes(gate, quantity=money("0.05")) == []
    assert codes(gate, quantity=money("0.05001")) == ["ORDER_QUANTITY_EXCEEDED", "ORDER_VALUE_EXCEEDED"]
    holding(gate, money("0.09"))
    assert codes(gate, quantity=money("0.02")) == ["POSITION_EXCEEDED"]
    gate.tracks["stable"].lost(0, money("50"), losses=())
    assert codes(gate, quantity=money("0.005")) == ["LOSS_DAY_REACHED"]
    # what it holds it may sell in one order, however small its weight has become
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.09")) == []


def test_a_reached_loss_lets_only_reducing_orders_pass() -> None:
    """Not even one that turns the position around without making it larger."""
    gate = ready()
    holding(gate, money("0.5"))
    gate.account.loss = money("1000")
    assert codes(gate) == ["LOSS_DAY_REACHED"]
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.5")) == []
    assert codes(gate, side=Side.SELL, price=ASK, quantity=money("0.6")) == ["LOSS_DAY_REACHED"]
    gate.account.loss = 0
    gate.loss_unknown = "BNB has no price in USDT"
    assert codes(gate) == ["LOSS_UNKNOWN"]


def test_an_unknown_outcome_blocks_new_exposure_in_its_instrument() -> None:
    gate = ready()
    gate.markets[SYMBOL].unknown.add("rf1")
    assert codes(gate) == ["OUTCOME_UNKNOWN"]
    holding(gate, money("0.5"))
    assert codes(gate, side=Side.SELL, price=ASK) == []


def test_reducing_orders_get_three_times_the_collar_and_the_account_limits() -> None:
    gate = ready()
    holding(gate, money("0.5"))
    assert codes(gate, side=Side.SELL, price=money("49250.00"), quantity=money("0.1")) == []
    assert codes(gate, side=Side.SELL, price=money("49249.99"), quantity=money("0.1")) == ["PRICE_BEYOND_COLLAR"]


def test_working_orders_are_counted() -> None:
    gate = ready()
    gate.tracks["stable"].working = 5
    assert codes(gate) == ["WORKING_ORDERS_EXCEEDED"]
    gate.tracks["stable"].working = 0
    gate.account.working = 5
    assert codes(gate) == ["WORKING_ORDERS_EXCEEDED"]


def test_own_orders_never_meet_each_other() -> None:
    """Across tracks too; a maker order cannot take, so it may rest."""
    gate = ready()
    gate.markets[SYMBOL].resting_sells["x"] = ASK
    assert codes(gate, price=ASK) == ["SELF_MATCH"]
    assert codes(gate, price=BID) == []
    assert codes(gate, type=OrderType.LIMIT_MAKER, price=ASK) == []
    gate.markets[SYMBOL].resting_buys["y"] = BID
    assert codes(gate, side=Side.SELL, price=BID) == ["SELF_MATCH"]
    assert codes(gate, side=Side.SELL, type=OrderType.MARKET, price=0, quantity=money("0.1")) == ["SELF_MATCH"]


def test_the_stricter_of_grant_and_limits_holds() -> None:
    tighter = msgspec.structs.replace(
        LIMITS, order_value_max=money("10"), order_working_orders=2, order_quantity_max=None
    )
    for both in ((LIMITS, tighter), (tighter, LIMITS)):
        found = caps(*both, weight=50)
        assert (found.value, found.working, found.quantity) == (money("5"), 2, money("0.5"))
    assert caps(tighter, None, 100).quantity == UNLIMITED


def test_a_grant_is_what_its_name_says() -> None:
    """Text that hashes to something else, a mutable ConfigMap, unknown fields: no limits."""
    text = msgspec.json.encode(LIMITS).decode()
    with pytest.raises(ValueError, match="content hashes to"):
        verified("s-limits-0123456789", text)
    with pytest.raises(ValueError, match="not immutable"):
        limits_text({"data": {LIMITS_KEY: text}})
    with pytest.raises(ValueError, match=r"no limits\.json"):
        limits_text({"immutable": True, "data": {}})
    assert limits_text({"immutable": True, "data": {LIMITS_KEY: text}}) == text


def test_an_allocation_must_be_unambiguous() -> None:
    """Twice the same track, twice the same key, or none at all."""
    for tracks, told in (
        ((track(), track()), "twice"),
        ((track(), track("candidate")), "twice"),
        ((track("foreign"),), "'foreign' must be one of stable, candidate, shadow"),
    ):
        text = msgspec.json.encode(Allocation(epoch=1, tracks=tracks, limits=LIMITS)).decode()
        with pytest.raises(ValueError, match=told):
            allocation_of({"data": {ALLOCATION_KEY: text}})
    with pytest.raises(ValueError, match="no allocation"):
        allocation_of({"data": None})


@pytest.mark.parametrize(
    ("handovers", "told"),
    [
        ((Handover(id="a", source="x", target="stable", mode=HandoverMode.ADOPT),), "source 'x' must be one of"),
        ((Handover(id="a", source="stable", target="stable", mode=HandoverMode.ADOPT),), "another track"),
        ((Handover(id="a", source="stable", mode=HandoverMode.ADOPT),), "target '' must be another track"),
        ((Handover(id="a", source="stable", target="candidate", mode=HandoverMode.FLATTEN),), "must be empty"),
        ((Handover(id="A b", source="stable", mode=HandoverMode.FLATTEN),), "1 to 40 characters"),
        ((Handover(id="a", source="stable", mode=HandoverMode.FLATTEN),) * 2, "appears twice"),
    ],
)
def test_an_impossible_handover_is_refused_with_its_field(handovers: tuple[Handover, ...], told: str) -> None:
    allocation = Allocation(epoch=1, tracks=(track(),), limits=LIMITS, handovers=handovers)
    with pytest.raises(ValueError, match=told):
        allocation_of({"data": {ALLOCATION_KEY: msgspec.json.encode(allocation).decode()}})


def test_client_order_ids() -> None:
    """Short, plain, and readable back; a revision that is no plain text is hashed."""
    made = make(prefix("ns", "system"), revision_mark("abc123def"), 36**4, 36**8)
    assert len(made) <= LENGTH_MAX
    found = parse(made)
    assert found is not None
    assert (found.prefix, found.revision, found.fence, found.sequence) == (
        prefix("ns", "system"),
        "abc123",
        36**4,
        36**8,
    )
    assert len(revision_mark("V1")) == 6
    assert parse("x-web-123") is None
    with pytest.raises(ValueError, match="longer than"):
        make(prefix("ns", "system"), "abc123", 36**6, 36**9)
