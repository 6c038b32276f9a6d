"""Limits of any size: the quick answer agrees with the exact one, stricter is stricter, a bigger order costs more."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.execution.caps import Caps, stricter, weighted
from ringfence.execution.exposure import exposure, fits
from ringfence.execution.slippage import slippage, walk
from ringfence.execution.state import Market, Track
from ringfence.execution.tape import Tape, Volume
from ringfence.model.money import BPS, SCALE
from ringfence.runtime.config import Limits

maybe = st.one_of(st.none(), st.integers(0, 200).map(lambda n: n * SCALE))
limits = st.builds(
    Limits,
    order_value_max=st.just(SCALE),
    order_collar_bps=st.just(SCALE),
    order_messages_per_second=st.just(1),
    order_working_orders=st.just(1),
    order_approved_lifetime_ms=st.just(1),
    position_per_instrument=st.integers(0, 200).map(lambda n: n * SCALE),
    position_gross=st.integers(0, 300).map(lambda n: n * SCALE),
    position_net=maybe,
    position_open_positions=st.one_of(st.none(), st.integers(1, 3)),
    position_leverage=st.one_of(st.none(), st.integers(1, 30).map(lambda n: n * SCALE // 10)),
    position_concentration_percent=st.one_of(st.none(), st.integers(1, 100).map(lambda n: n * SCALE)),
    position_sector_percent=st.one_of(st.none(), st.integers(1, 100).map(lambda n: n * SCALE)),
    position_sectors=st.sampled_from(({}, {"A": "one", "B": "one"}, {"A": "one"})),
    loss_day=st.just(SCALE),
    market_quote_stale_ms=st.just(1),
    market_book_stale_ms=st.just(1),
    account_balance_floor=maybe,
)
amounts = st.integers(0, 60).map(lambda n: n * SCALE // 10)
slots = st.lists(
    st.tuples(st.integers(-60, 60).map(lambda n: n * SCALE // 10), amounts, amounts), min_size=3, max_size=3
)


def books(caps: Caps, equity: int, held: list[Any], foreign: list[Any]) -> tuple[list[Market], Track, Track]:
    markets, track, account, other = [Market(s) for s in "ABC"], Track("stable"), Track("account"), Track("foreign")
    for owner, rows in ((track, held), (other, foreign)):
        for market, (position, buys, sells) in zip(markets, rows, strict=True):
            market.last_ask = 7 * SCALE
            slot = owner.slot(market)
            slot.position, slot.buys, slot.sells = position, buys, sells
            slot.settle()
    for owner in (track, account):
        owner.caps, owner.equity = caps, equity
    return markets, track, account


@settings(max_examples=400, deadline=None)
@given(limits, st.integers(-10, 300), slots, slots, st.integers(1, 40), st.booleans())
def test_what_obviously_fits_breaches_nothing(
    found: Limits, equity: int, held: list[Any], foreign: list[Any], lots: int, buying: bool
) -> None:
    """The order path asks the quick question first; a yes must never hide a refusal."""
    markets, track, account = books(Caps(found), equity * SCALE, held, foreign)
    signed = lots * SCALE // 10 * (1 if buying else -1)
    slot = track.slots["A"]
    refused: list[str] = []
    exposure(markets[0], track, account, markets, slot, signed, refused)
    if fits(markets[0], track, account, markets, slot, signed) >= 0:
        assert refused == []


@settings(max_examples=200, deadline=None)
@given(slots, slots)
def test_sums_of_a_market_are_those_of_its_slots(held: list[Any], foreign: list[Any]) -> None:
    """However often they changed."""
    markets, track, _ = books(Caps(), 0, held, foreign)
    for market, (position, buys, sells) in zip(markets, foreign, strict=True):
        slot = track.slots[market.symbol]
        slot.position, slot.buys, slot.sells = position, buys, sells
        slot.settle()
        assert market.buys == sum(one.buys for one in market.slots)
        assert market.worst == sum(max(one.position + one.buys, one.sells - one.position) for one in market.slots)
        assert market.long == sum(one.position + one.buys for one in market.slots)
        assert market.short == sum(one.sells - one.position for one in market.slots)


@settings(max_examples=200, deadline=None)
@given(limits, limits, st.integers(0, 100))
def test_the_stricter_of_two_never_lets_more_through(one: Limits, other: Limits, weight: int) -> None:
    """In either order, at any weight, and it is idempotent."""
    both = weighted(stricter(one, other), weight)
    assert both == weighted(stricter(other, one), weight)
    assert stricter(one, one) == one
    for limits_ in (one, other):
        alone = Caps(weighted(limits_, weight))
        assert Caps(both).tightest(50 * SCALE) <= alone.tightest(50 * SCALE)
        assert Caps(both).open_positions <= alone.open_positions
        assert Caps(both).balance_floor >= alone.balance_floor


levels = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 100)), min_size=1, max_size=20)


@settings(max_examples=300, deadline=None)
@given(levels, st.integers(1, 500), st.integers(1, 500), st.booleans())
def test_a_larger_order_never_costs_less(gaps: list[tuple[int, int]], small: int, more: int, buying: bool) -> None:
    """Slippage grows with size, is at least half the spread, and no quantity gets lost."""
    price, book = 10_000, []
    for gap, quantity in gaps:
        price += gap if buying else -gap
        if price > 0:
            book.append((price * SCALE, quantity * SCALE))
    if not book:
        return
    best = book[0][0]
    bid, ask = (2 * 10_000 * SCALE - best, best) if buying else (best, 2 * 10_000 * SCALE - best)
    costs = []
    for quantity in (small, small + more):
        found = walk(tuple(book), quantity * SCALE, buying=buying)
        assert found.filled + found.unfilled == quantity * SCALE
        assert found.filled == min(quantity * SCALE, sum(available for _, available in book))
        costs.append(slippage(found, bid, ask, buying=buying))
    assert 0 < costs[0] <= costs[1]
    assert costs[0] >= abs(best - 10_000 * SCALE) * BPS * SCALE // (10_000 * SCALE)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 100), st.integers(90, 110)), min_size=1, max_size=60))
def test_a_window_is_what_happened_in_it(history: list[tuple[int, int, int]]) -> None:
    """Volume and range of ten buckets of a second, against all of history."""
    tenth = 100_000_000
    volume, tape, mono = Volume(10 * tenth, 100 * tenth), Tape(), 1_000_000_000_000
    seen: list[tuple[int, int, int]] = []
    for step, quantity, mid in history:
        mono += step * tenth
        volume.add(mono, quantity)
        tape.quote((mid - 1) * SCALE, (mid + 1) * SCALE, mono)
        seen.append((mono // (10 * tenth), quantity, mid))
        inside = [one for one in seen if one[0] > mono // (10 * tenth) - 10]
        assert volume.total(mono) == sum(one[1] for one in inside)
        low, high = min(one[2] for one in inside), max(one[2] for one in inside)
        assert tape.range_bps == (high - low) * BPS * SCALE // low


def test_every_limit_of_the_data_plane_has_a_default_or_is_required() -> None:
    """A document that lacks one of the required limits is no limits."""
    required = {field.name for field in msgspec.structs.fields(Limits) if field.required}
    assert {"order_value_max", "position_per_instrument", "position_gross", "loss_day"} <= required
