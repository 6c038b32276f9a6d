"""What a gate keeps of a revision's orders, so that Prometheus alone can judge it."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.execution.evidence import EPISODE_GAP_NS, MARKOUT_NS, ORDERS_MAX, REVISIONS_MAX, SECOND_NS, Evidence
from ringfence.execution.state import Market, Track
from ringfence.model.money import SCALE
from ringfence.model.orders import Filled, Initialized, OrderType, Rejected, Side, Submitted, TimeInForce
from ringfence.model.records import Entry
from ringfence.wire.messages import Quote

OWNER = ("candidate", "rev1")


class Desk:
    """One instrument, one track, and what happens to its orders."""

    def __init__(self) -> None:
        self.market = Market("BTCUSDT")
        self.revisions = {"candidate": "rev1"}
        self.track = Track("candidate")
        self.evidence = Evidence({"BTCUSDT": self.market}, lambda track: self.revisions.get(track, ""))
        self.now = SECOND_NS
        self.orders = 0

    def quote(self, mid: float) -> None:
        half, at = round(0.5 * SCALE), round(mid * SCALE)
        self.market.quote(Quote("BTCUSDT", 1, 0, at - half, SCALE, at + half, SCALE), self.now)

    def order(self, side: Side = Side.BUY, track: str = "candidate") -> str:
        self.orders += 1
        name = f"o{self.orders}"
        made = Initialized(
            client_order_id=name,
            ts=0,
            intent_id=name,
            track=track,
            symbol="BTCUSDT",
            side=side,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=SCALE,
            price=SCALE,
        )
        entries = [Entry(track, made), Entry(track, Submitted(client_order_id=name, ts=0))]
        self.evidence.entries(entries, self.now)
        return name

    def fill(self, order: str, price: float, *, trade: str = "", maker: bool = False) -> None:
        found = Filled(
            client_order_id=order,
            ts=0,
            trade_id=trade or f"t-{order}-{self.now}",
            price=round(price * SCALE),
            quantity=SCALE,
            commission=0,
            commission_asset="USDT",
            maker=maker,
        )
        self.evidence.entries([Entry("candidate", found)], self.now)

    def judge(self, *, refused: bool) -> None:
        self.track.checked += 1
        self.track.failed += refused
        self.evidence.judged(self.track)

    def after(self, seconds: float) -> None:
        self.now += round(seconds * SECOND_NS)
        self.evidence.tick(self.now)


def test_slippage_is_a_cost_on_either_side() -> None:
    """Buying above and selling below the middle of the intent's arrival both cost; a burst is one episode."""
    desk = Desk()
    desk.quote(10_000)
    buy, sell = desk.order(), desk.order(Side.SELL)
    desk.fill(buy, 10_002)
    desk.fill(sell, 9_998)
    desk.after(EPISODE_GAP_NS / SECOND_NS)
    moments = desk.evidence.records[OWNER].slippage.moments
    assert 1 == moments.count
    assert moments.positive == pytest.approx(2.0)
    assert 0 == moments.negative


def test_an_order_without_a_fresh_quote_is_not_measured() -> None:
    """No arrival price is no slippage of zero."""
    desk = Desk()
    desk.fill(desk.order(), 10_002)
    desk.quote(10_000)
    desk.now += 3 * SECOND_NS
    desk.fill(desk.order(), 10_002)
    desk.after(EPISODE_GAP_NS / SECOND_NS)
    record = desk.evidence.records[OWNER]
    assert (2, 0) == (record.fills, record.slippage.moments.count)


def test_markout_looks_ten_seconds_ahead_and_only_at_passive_fills() -> None:
    """A maker's buy before a fall is adverse selection; a taker's is no markout; a price seen too late is none."""
    desk = Desk()
    desk.quote(10_000)
    desk.fill(desk.order(), 10_000, maker=True)
    desk.fill(desk.order(), 10_000, maker=False)
    desk.now += MARKOUT_NS
    desk.quote(9_990)
    desk.after(0)
    desk.quote(10_000)
    desk.fill(desk.order(), 10_000, maker=True)
    desk.after(MARKOUT_NS / SECOND_NS + 5)
    desk.after(2 * EPISODE_GAP_NS / SECOND_NS)
    record = desk.evidence.records[OWNER]
    assert (3, 2, 1) == (record.fills, record.passive_fills, record.markout.moments.count)
    assert record.markout.moments.negative == pytest.approx(10.0)


def test_one_trade_between_two_of_our_orders_is_a_self_match() -> None:
    """Told once more by the venue it is still one trade of one order."""
    desk = Desk()
    desk.quote(10_000)
    buy, sell = desk.order(), desk.order(Side.SELL)
    desk.fill(buy, 10_000, trade="77")
    desk.fill(buy, 10_000, trade="77")
    assert 0 == desk.evidence.self_matches
    desk.fill(sell, 10_000, trade="77")
    assert 1 == desk.evidence.self_matches


def test_counts_start_at_zero_and_stay_with_their_revision() -> None:
    """What a revision did is still its own after the track has gone on to the next."""
    desk = Desk()
    desk.evidence.expect(["candidate", "stable", "foreign"])
    assert [OWNER] == [*desk.evidence.records]
    assert 0 == desk.evidence.records[OWNER].orders
    order = desk.order()
    desk.judge(refused=False)
    desk.revisions["candidate"] = "rev2"
    desk.evidence.entries([Entry("candidate", Rejected(client_order_id=order, ts=0, reason="no"))], desk.now)
    desk.judge(refused=True)
    first, second = desk.evidence.records[OWNER], desk.evidence.records["candidate", "rev2"]
    assert (1, 1, 1, 0) == (first.orders, first.rejected, first.intents, first.refused)
    assert (0, 1, 1) == (second.orders, second.intents, second.refused)


def test_nothing_grows_without_bound() -> None:
    """Revisions, and orders that never close, are forgotten oldest first."""
    desk = Desk()
    desk.quote(10_000)
    for number in range(2 * REVISIONS_MAX):
        desk.revisions["candidate"] = f"rev{number}"
        desk.judge(refused=False)
    assert REVISIONS_MAX == len(desk.evidence.records)
    first = desk.order()
    for _ in range(ORDERS_MAX):
        desk.order()
    fills = desk.evidence.records[OWNER[0], desk.revisions["candidate"]].fills
    desk.fill(first, 10_000)
    assert fills == desk.evidence.records[OWNER[0], desk.revisions["candidate"]].fills


@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=5), min_size=2, max_size=30))
def test_mean_and_variance_of_episodes_follow_from_the_counters(bursts: list[list[float]]) -> None:
    """Count, signed sums and squares give what statistics gives of the episodes' means, however long the bursts."""
    desk = Desk()
    for burst in bursts:
        desk.quote(10_000)
        for slip in burst:
            desk.fill(desk.order(), 10_000 + slip)
        desk.after(EPISODE_GAP_NS / SECOND_NS)
    moments = desk.evidence.records[OWNER].slippage.moments
    prices = [[round((10_000 + slip) * SCALE) / SCALE for slip in burst] for burst in bursts]
    means = [sum((p - 10_000) * p for p in burst) / sum(burst) for burst in prices]
    n, total = moments.count, moments.positive - moments.negative
    assert len(bursts) == n
    assert total / n == pytest.approx(statistics.fmean(means), abs=1e-6)
    variance = (moments.squares - total * total / n) / (n - 1)
    assert variance == pytest.approx(statistics.variance(means), abs=1e-4)
