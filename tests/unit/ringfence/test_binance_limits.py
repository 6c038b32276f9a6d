"""The rate budget, the venue's clock and the waits between attempts."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.venues.binance.backoff import MOST_S, Backoff
from ringfence.venues.binance.limits import (
    NO_COUNTS,
    SECOND_NS,
    Counts,
    Kind,
    Limit,
    RateBudget,
    Ticket,
    Wait,
    counts,
    interval_ns,
)
from ringfence.venues.binance.offset import VenueClock

MINUTE_NS = 60 * SECOND_NS
START_NS = 1_700_000_000 * SECOND_NS // MINUTE_NS * MINUTE_NS


def budget() -> RateBudget:
    return RateBudget(Limit("1M", 100), (Limit("10S", 5), Limit("1D", 1000)))


def take(of: RateBudget, kind: Kind, weight: int, now_ns: int = START_NS) -> Ticket:
    found = of.admit(kind, weight, now_ns)
    assert isinstance(found, Ticket)
    return found


def refuse(of: RateBudget, kind: Kind, weight: int = 1, now_ns: int = START_NS) -> Wait:
    found = of.admit(kind, weight, now_ns)
    assert isinstance(found, Wait)
    return found


def test_cancels_have_room_when_queries_and_orders_have_none() -> None:
    """Queries stop at 70 %, orders at 80 %, and cancels may use the rest."""
    limited = budget()
    take(limited, Kind.QUERY, 70)
    assert refuse(limited, Kind.QUERY).ns == MINUTE_NS
    take(limited, Kind.ORDER, 10)
    assert "80 %" in refuse(limited, Kind.ORDER).reason
    take(limited, Kind.CANCEL, 20)
    assert "100 %" in refuse(limited, Kind.CANCEL).reason


def test_new_window_gives_new_room() -> None:
    """Windows are the venue's: aligned to its clock; what is still on its way keeps its place."""
    limited = budget()
    ticket = take(limited, Kind.QUERY, 70)
    limited.settle(ticket, NO_COUNTS, START_NS)
    refuse(limited, Kind.QUERY, 1, START_NS + MINUTE_NS - 1)
    take(limited, Kind.QUERY, 70, START_NS + MINUTE_NS)


def test_the_venues_count_replaces_ours() -> None:
    """Its counter knows what others behind the same address use, and that successful orders are free."""
    limited = budget()
    limited.settle(take(limited, Kind.QUERY, 10), Counts({"1M": 95}, {}), START_NS)
    refuse(limited, Kind.ORDER)
    take(limited, Kind.CANCEL, 5)
    limited.settle(take(budget(), Kind.QUERY, 1), Counts({"1M": 0}, {}), START_NS)
    take(limited, Kind.ORDER, 1)


def test_count_of_a_window_that_has_ended_is_not_believed() -> None:
    """An answer that was on its way over the turn of the minute says nothing of the new one."""
    limited = budget()
    ticket = take(limited, Kind.QUERY, 10, START_NS - 1)
    limited.settle(ticket, Counts({"1M": 99}, {}), START_NS + 1)
    assert limited.used_weight(START_NS + 1) == 10


def test_orders_are_counted_and_given_back() -> None:
    """Five orders in ten seconds; fills give back, and only the venue knows that."""
    limited = budget()
    tickets = [take(limited, Kind.ORDER, 1) for _ in range(5)]
    assert "order count of 10S" in refuse(limited, Kind.ORDER).reason
    take(limited, Kind.CANCEL, 1)
    limited.refund(tickets.pop())
    take(limited, Kind.ORDER, 1)
    for ticket in tickets:
        limited.settle(ticket, Counts({}, {"10S": 1, "1D": 1}), START_NS)
    take(limited, Kind.ORDER, 1)


def test_429_stops_everything_for_as_long_as_it_says() -> None:
    """Going on after a 429 would earn a ban, and a ban takes the cancels with it."""
    limited = budget()
    limited.limited(429, -1003, 7, None, START_NS)
    assert refuse(limited, Kind.CANCEL).ns == 7 * SECOND_NS
    take(limited, Kind.CANCEL, 1, START_NS + 7 * SECOND_NS)


def test_ban_lasts_until_the_time_in_its_sentence() -> None:
    """Without a header the sentence counts, and without either the shortest ban is assumed."""
    told, untold = budget(), budget()
    told.limited(418, -1003, None, START_NS // 1_000_000 + 300_000, START_NS)
    untold.limited(418, 0, None, None, START_NS)
    assert refuse(told, Kind.CANCEL).ns == 300 * SECOND_NS
    assert refuse(untold, Kind.CANCEL).ns == 120 * SECOND_NS


def test_too_many_orders_stops_orders_only() -> None:
    """-1015 comes with a 429 too, but cancels are not counted there."""
    limited = budget()
    limited.limited(429, -1015, None, None, START_NS)
    assert "-1015" in refuse(limited, Kind.ORDER).reason
    take(limited, Kind.CANCEL, 1)
    take(limited, Kind.QUERY, 1)


def test_firewall_leaves_cancels_alone() -> None:
    """After a 403 we go quiet, but a cancel is still tried."""
    limited = budget()
    limited.limited(403, 0, None, None, START_NS)
    refuse(limited, Kind.ORDER)
    refuse(limited, Kind.QUERY)
    take(limited, Kind.CANCEL, 1)


def test_published_limits_replace_the_assumed_ones() -> None:
    """What has been counted stays where the interval does."""
    limited = budget()
    limited.settle(take(limited, Kind.ORDER, 50), NO_COUNTS, START_NS)
    limited.configure(Limit("1M", 50), (Limit("10S", 1),))
    refuse(limited, Kind.CANCEL)
    limited.configure(Limit("1M", 6000), ())
    assert "order count of 10S" in refuse(limited, Kind.ORDER).reason


def test_headers_are_read_whatever_their_case() -> None:
    """Proxies change the case of header names; rubbish counts as absent."""
    headers = {"x-mbx-used-weight-1m": "12", "X-MBX-ORDER-COUNT-10S": "3", "X-MBX-ORDER-COUNT-1D": "x", "Date": "1"}
    assert counts(headers) == Counts({"1M": 12}, {"10S": 3})


def test_intervals() -> None:
    """Ten seconds are ten seconds, and nonsense is an error."""
    assert interval_ns("10S") == 10 * SECOND_NS
    for text in ("", "S", "10X", "0M", "-1M"):
        with pytest.raises(ValueError, match="interval"):
            interval_ns(text)


def test_clock_believes_the_shortest_round_trip() -> None:
    """The sample with the least room for error decides."""
    clock = VenueClock()
    assert clock.now_ns(5, 77) == 77
    clock.sample(0, 200_000_000, 1_000)
    clock.sample(1_000_000_000, 1_002_000_000, 1_901)
    assert clock.error_ns == 1_500_000
    assert clock.now_ns(1_001_000_000, 0) == 1_901_500_000


def test_clock_forgets_when_one_of_the_clocks_has_stepped() -> None:
    """Two samples that cannot both be true: only the latest speaks of now."""
    clock = VenueClock()
    clock.sample(0, 1_000_000, 1_000)
    clock.sample(10_000_000_000, 10_400_000_000, 99_000)
    assert clock.now_ns(10_200_000_000, 0) == 99_000_500_000


def test_waits_grow_with_jitter_to_a_bound_and_start_again() -> None:
    """Never zero, never above the most, never the same for two clients."""
    backoff, other = Backoff(random.Random(1)), Backoff(random.Random(2))
    waits = [backoff.next_s() for _ in range(20)]
    assert all(0 < wait <= MOST_S for wait in waits)
    assert max(waits[-5:]) > 3
    assert waits != [other.next_s() for _ in range(20)]
    backoff.reset()
    assert backoff.next_s() <= 0.1


STEPS = st.tuples(st.sampled_from(("stable", "candidate", "")), st.integers(0, 12), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=150))
def test_no_track_takes_more_than_its_share_and_none_takes_the_others(steps: list[tuple[str, int, bool]]) -> None:
    """Stable 60 %, candidate 20 % of half of the count; refunds give back, windows begin anew, the whole holds."""
    limited = RateBudget(Limit("1M", 1_000_000), (Limit("10S", 100),))
    now, sent = START_NS, dict.fromkeys(("stable", "candidate", ""), 0)
    for track, seconds, leaves in steps:
        later = now + seconds * SECOND_NS
        if later // (10 * SECOND_NS) != now // (10 * SECOND_NS):
            sent = dict.fromkeys(sent, 0)
        now = later
        found = limited.admit(Kind.ORDER, 1, now, track=track)
        share = {"stable": 30, "candidate": 10, "": 100}[track]
        room = sent[track] < share and sum(sent.values()) < 100
        assert isinstance(found, Ticket) == room
        if isinstance(found, Ticket) and leaves:
            limited.settle(found, NO_COUNTS, now)
            sent[track] += 1
        elif isinstance(found, Ticket):
            limited.refund(found)
        assert isinstance(limited.admit(Kind.CANCEL, 1, now), Ticket), "a cancel is never counted as an order"


def test_a_pair_is_two_orders() -> None:
    """Of a share as of the whole."""
    limited = RateBudget(Limit("1M", 1000), (Limit("10S", 10),))
    assert isinstance(limited.admit(Kind.ORDER, 1, START_NS, orders=2, track="stable"), Ticket)
    assert "share of stable" in refuse_pair(limited).reason
    take(limited, Kind.ORDER, 1)


def refuse_pair(of: RateBudget) -> Wait:
    found = of.admit(Kind.ORDER, 1, START_NS, orders=2, track="stable")
    assert isinstance(found, Wait)
    return found
