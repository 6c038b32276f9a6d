"""Two connections told as one: nothing twice, nothing missed, whatever order they deliver in."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.orders import Side
from ringfence.venues.api import BookDiff, MarketEvent
from ringfence.venues.binance.splice import Splice
from ringfence.wire.messages import Quote, Trade


def diff(first: int, last: int) -> BookDiff:
    return BookDiff("X", first, last, 0, 0, (), ())


def trade(number: int) -> Trade:
    return Trade("X", number, 0, 0, 1, 1, Side.BUY)


def test_a_successor_counts_only_once_it_reaches_back() -> None:
    splice = Splice(("X",))
    assert not splice.passes(diff(5, 6), successor=True), "nobody knows yet what came before"
    assert splice.passes(diff(1, 4), successor=False)
    assert not splice.passes(diff(7, 8), successor=True), "5 and 6 were not told"
    assert not splice.joined
    assert splice.passes(diff(5, 6), successor=False)
    assert splice.passes(diff(7, 8), successor=False)
    assert splice.passes(diff(9, 9), successor=True)
    assert splice.joined
    assert not splice.passes(diff(9, 9), successor=False)


def test_an_older_quote_is_not_told_after_a_newer_one() -> None:
    splice = Splice(("X",))
    quotes = [Quote("X", number, 0, 1, 1, 2, 1) for number in (3, 2, 3, 4)]
    assert [splice.passes(quote, successor=bool(n % 2)) for n, quote in enumerate(quotes)] == [True, False, False, True]


@given(st.integers(0, 10_000), st.integers(3, 40))
def test_any_interleaving_gives_every_update_once_and_in_order(seed: int, count: int) -> None:
    """The successor is subscribed somewhere in the middle, and either may run ahead of the other."""
    rng = random.Random(seed)
    events: list[MarketEvent] = []
    number = 1
    for index in range(count):
        width = rng.randint(1, 3)
        events += [diff(number, number + width - 1), trade(index)]
        number += width
    begun = 2 * rng.randint(0, count // 2)
    old, new = list(events), list(events[begun:])
    splice = Splice(("X",))
    told: list[MarketEvent] = []
    while old or new:
        successor = bool(new) and (not old or rng.random() < 0.5)
        event = (new if successor else old).pop(0)
        if splice.passes(event, successor=successor):
            told.append(event)
    assert [event for event in told if isinstance(event, BookDiff)] == [e for e in events if isinstance(e, BookDiff)]
    assert sorted(event.trade_id for event in told if isinstance(event, Trade)) == list(range(count))
