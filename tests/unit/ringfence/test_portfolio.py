"""The books: what is held, won, lost and worth, and what is said when something is not known."""

import pytest

from ringfence.model.calendar import Calendar
from ringfence.model.money import parse
from ringfence.model.orders import Filled, Initialized, OrderEvent, OrderType, Side, Submitted, TimeInForce
from ringfence.portfolio.documents import Accounts, fills_document, pnl_document, positions_document
from ringfence.portfolio.ledger import Ledger
from ringfence.portfolio.marks import Marks
from ringfence.portfolio.metrics import families
from ringfence.sdk.testing import instrument
from ringfence.wire.messages import FeedStatus, OrderUpdate, Quote

GATE = "sim-execution"
CURRENT = {GATE: True}
BTC = instrument("BTCUSDT", "BTC", "USDT")
DAY_NS = 86_400_000_000_000
DAY = 19_675
T0 = DAY * DAY_NS + 3_600_000_000_000
SECOND = 1_000_000_000


class Books:
    """Accounts with one gate, and a journal that is written as it is told."""

    def __init__(self, zone: str = "UTC") -> None:
        self.accounts = Accounts(Ledger({GATE: Calendar(zone)}), Marks([Calendar(zone)]), "USDT", parse("10000"))
        self.sequence = 0
        self.orders = 0

    def event(self, event: OrderEvent, track: str = "stable") -> None:
        self.sequence += 1
        self.accounts.ledger.update(OrderUpdate(GATE, self.sequence, track, event))

    def trade(
        self,
        side: Side,
        quantity: str,
        price: str,
        *,
        fee: str = "0",
        asset: str = "USDT",
        track: str = "stable",
        ts: int = T0,
        symbol: str = "BTCUSDT",
    ) -> None:
        """One order that fills at once."""
        self.orders += 1
        client_id = f"c{self.orders}"
        self.event(
            Initialized(
                client_order_id=client_id,
                ts=ts,
                intent_id=f"i{self.orders}",
                track=track,
                symbol=symbol,
                side=side,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.IOC,
                quantity=parse(quantity),
                price=parse(price),
            ),
            track,
        )
        self.event(Submitted(client_order_id=client_id, ts=ts), track)
        self.event(fill(client_id, f"t{self.orders}", quantity, price, fee, asset, ts), track)

    def mark(self, price: str, ts: int = T0) -> None:
        self.accounts.marks.quote(Quote("BTCUSDT", 1, ts, parse(price), 1, parse(price), 1))
        self.accounts.marks.status(FeedStatus("BTCUSDT", ts, True, ""))


def fill(client_id: str, trade_id: str, quantity: str, price: str, fee: str, asset: str, ts: int) -> Filled:
    return Filled(
        client_order_id=client_id,
        ts=ts,
        trade_id=trade_id,
        price=parse(price),
        quantity=parse(quantity),
        commission=parse(fee),
        commission_asset=asset,
        maker=False,
    )


def books(zone: str = "UTC") -> Books:
    one = Books(zone)
    one.accounts.ledger.rules(BTC)
    return one


def test_position_average_realised_and_unrealised() -> None:
    """Two buys average, a sale realises against the average, the rest is valued at the middle price."""
    one = books()
    one.trade(Side.BUY, "1", "100", fee="0.1")
    one.trade(Side.BUY, "1", "110", fee="0.1")
    one.trade(Side.SELL, "0.5", "120", fee="0.05")
    one.mark("130")
    [row] = positions_document(one.accounts, CURRENT, T0).positions
    assert (row.quantity, row.average, row.realised) == ("1.5", "105", "7.5")
    assert (row.mark, row.value, row.unrealised, row.stale) == ("130", "195", "37.5", False)
    [gate] = pnl_document(one.accounts, {GATE: "sim"}, CURRENT, T0).gates
    [track] = gate.tracks
    assert (track.realised, track.unrealised, track.fees) == ("7.5", "37.5", {"USDT": "0.25"})
    assert (track.profit, gate.profit, gate.equity, gate.complete) == ("44.75", "44.75", "10044.75", True)
    assert (gate.day.profit, gate.day.exact, gate.stale) == ("44.75", True, False)


def test_a_missing_mark_is_unknown_and_never_zero() -> None:
    """Without a price there is no value, no equity and no day, and each says so."""
    one = books()
    one.trade(Side.BUY, "1", "100")
    [row] = positions_document(one.accounts, CURRENT, T0).positions
    assert (row.mark, row.value, row.unrealised, row.stale) == (None, None, None, True)
    [gate] = pnl_document(one.accounts, {}, CURRENT, T0).gates
    assert (gate.equity, gate.profit, gate.day.profit, gate.stale) == (None, None, None, True)
    assert gate.tracks[0].unvalued == ["BTC"]
    exported = {sample.name for family in families(one.accounts, T0) for sample in family.samples}
    assert "ringfence_portfolio_position_long" in exported
    assert not exported & {"ringfence_portfolio_equity", "ringfence_portfolio_unrealised"}


def test_an_old_mark_is_used_and_flagged() -> None:
    """The last price is still the best guess, but it is called stale: six seconds without a word, or unusable."""
    one = books()
    one.trade(Side.BUY, "1", "100")
    one.mark("110")
    later = pnl_document(one.accounts, {}, CURRENT, T0 + 6 * SECOND).gates[0]
    assert (later.profit, later.stale) == ("10", True)
    one.accounts.marks.status(FeedStatus("BTCUSDT", T0, False, "gap: resyncing"))
    assert pnl_document(one.accounts, {}, CURRENT, T0).gates[0].stale


def test_a_fee_in_the_base_asset_is_stock_that_is_gone() -> None:
    """Binance takes its fee out of what was bought: the position shrinks, and profit shows it once."""
    one = books()
    one.trade(Side.BUY, "1", "100", fee="0.001", asset="BTC")
    one.mark("100")
    [row] = positions_document(one.accounts, CURRENT, T0).positions
    [gate] = pnl_document(one.accounts, {}, CURRENT, T0).gates
    assert (row.quantity, row.unrealised, gate.profit, gate.tracks[0].fees) == (
        "0.999",
        "-0.1",
        "-0.1",
        {"BTC": "0.001"},
    )


def test_a_fee_in_an_asset_without_a_price_makes_profit_unknown() -> None:
    """A discount token that nobody quotes to us cannot be valued, and is not ignored."""
    one = books()
    one.trade(Side.BUY, "1", "100", fee="0.001", asset="BNB")
    one.mark("100")
    [gate] = pnl_document(one.accounts, {}, CURRENT, T0).gates
    assert (gate.profit, gate.tracks[0].unvalued, gate.tracks[0].unrealised) == (None, ["BNB"], "0")


def test_cash_is_what_a_venues_ledger_must_agree_with() -> None:
    """The change of every asset, fees taken off: compared with the venue's own balances."""
    one = books()
    one.trade(Side.BUY, "1", "100", fee="0.001", asset="BTC")
    one.trade(Side.SELL, "0.5", "110", fee="0.1")
    rows = positions_document(one.accounts, CURRENT, T0).cash
    assert {(row.gate, row.track, row.asset): row.change for row in rows} == {
        (GATE, "stable", "BTC"): "0.499",
        (GATE, "stable", "USDT"): "-45.1",
    }


def test_foreign_trades_have_their_own_ledger_and_no_part_in_equity() -> None:
    """What the account's owner does by hand is shown, and is not the system's result."""
    one = books()
    one.mark("100")
    one.trade(Side.BUY, "1", "90", track="foreign")
    one.trade(Side.BUY, "1", "99")
    [gate] = pnl_document(one.accounts, {}, CURRENT, T0).gates
    assert [(track.track, track.profit) for track in gate.tracks] == [("foreign", "10"), ("stable", "1")]
    assert (gate.profit, gate.equity) == ("1", "10001")


def test_fills_wait_for_the_rules_of_their_instrument() -> None:
    """Replay may come before marketdata: nothing is lost, and the books say that they are not complete."""
    one = Books()
    one.mark("100")
    one.trade(Side.BUY, "1", "99")
    assert not positions_document(one.accounts, CURRENT, T0).complete
    one.accounts.ledger.rules(BTC)
    document = positions_document(one.accounts, CURRENT, T0)
    assert document.complete
    assert [row.quantity for row in document.positions] == ["1"]


def test_unknown_orders_duplicates_and_holes_are_seen() -> None:
    """A doubled trade counts once; a fill of nobody's order, or a feed that misses events, makes books incomplete."""
    one = books()
    one.trade(Side.BUY, "1", "100")
    one.event(fill("c1", "t1", "1", "100", "0", "USDT", T0))
    assert positions_document(one.accounts, CURRENT, T0).positions[0].quantity == "1"
    assert positions_document(one.accounts, CURRENT, T0).complete
    assert not positions_document(one.accounts, {GATE: False}, T0).complete
    one.event(fill("nobody", "t9", "1", "100", "0", "USDT", T0))
    assert not positions_document(one.accounts, CURRENT, T0).complete
    assert one.accounts.ledger.gates[GATE].unknown_fills == 1


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("America/New_York", 5), ("Asia/Tokyo", -9)])
def test_the_day_begins_at_midnight_where_the_venue_is(zone: str, hours: int) -> None:
    """As execution counts it. Yesterday's result is not today's: a position is counted from its price at 00:00."""
    midnight = (DAY + 1) * DAY_NS + hours * 3_600 * SECOND
    one = books(zone)
    one.trade(Side.BUY, "1", "100", ts=midnight - 7_200 * SECOND)
    one.mark("120", ts=midnight - SECOND)
    one.mark("121", ts=midnight + SECOND)
    one.trade(Side.SELL, "0.5", "130", ts=midnight + 2 * SECOND)
    one.mark("125", ts=midnight + 3 * SECOND)
    [gate] = pnl_document(one.accounts, {}, CURRENT, midnight + 3 * SECOND).gates
    assert (gate.profit, gate.day.profit, gate.day.exact) == ("27.5", "7.5", True)


def test_two_venues_have_their_own_days() -> None:
    """At 00:00 UTC the day of one turns, and that of the other goes on."""
    zones = {"a": Calendar(), "b": Calendar("America/New_York")}
    one = books()
    one.accounts = Accounts(Ledger(zones), Marks(zones.values()), "USDT", parse("10000"))
    midnight = (DAY + 1) * DAY_NS
    one.mark("100", ts=midnight - SECOND)
    one.mark("110", ts=midnight + SECOND)
    days = [one.accounts.marks.opening("BTCUSDT", zones[name], midnight + SECOND) for name in zones]
    assert [(found.price, found.exact) for found in days if found] == [(parse("100"), True), (parse("100"), False)]
    one.mark("120", ts=midnight + 5 * 3_600 * SECOND - SECOND)
    one.mark("130", ts=midnight + 5 * 3_600 * SECOND)
    days = [one.accounts.marks.opening("BTCUSDT", zones[name], midnight + 5 * 3_600 * SECOND) for name in zones]
    assert [(found.price, found.exact) for found in days if found] == [(parse("100"), True), (parse("120"), True)]


def test_a_day_whose_opening_price_we_did_not_see_is_not_exact() -> None:
    """After a restart in the middle of the day the first price seen stands for the opening, and it says so."""
    midnight = (DAY + 1) * DAY_NS
    one = books()
    one.trade(Side.BUY, "1", "100", ts=midnight - SECOND)
    one.mark("121", ts=midnight + 3_600 * SECOND)
    one.mark("122", ts=midnight + 3_601 * SECOND)
    [gate] = pnl_document(one.accounts, {}, CURRENT, midnight + 3_601 * SECOND).gates
    assert (gate.day.profit, gate.day.exact) == ("1", False)


def test_a_new_journal_starts_the_books_anew() -> None:
    """What the old journal said is gone, never mixed with the new one."""
    one = books()
    one.trade(Side.BUY, "1", "100")
    one.accounts.ledger.restart(GATE)
    assert positions_document(one.accounts, CURRENT, T0).positions == []


def test_fills_are_listed_after_a_sequence() -> None:
    """A reader asks for what it has not seen."""
    one = books()
    one.trade(Side.BUY, "1", "100")
    one.trade(Side.SELL, "1", "101")
    rows = fills_document(one.accounts.ledger.fills(3)).fills
    assert [(row.sequence, row.side, row.price, row.intent_id) for row in rows] == [(6, "SELL", "101", "i2")]
    assert len(one.accounts.ledger.fills(0, GATE)) == 2
    assert one.accounts.ledger.fills(6) == []


def test_realised_is_exported_as_two_growing_sums() -> None:
    """A sum that goes up and down cannot be a counter; what was won and what was lost can."""
    one = books()
    one.trade(Side.BUY, "2", "100")
    one.trade(Side.SELL, "1", "110")
    one.trade(Side.SELL, "1", "97")
    samples = {s.name: s.value for family in families(one.accounts, T0) for s in family.samples}
    assert samples["ringfence_portfolio_realised_gains_total"] == 10
    assert samples["ringfence_portfolio_realised_losses_total"] == 3
    assert samples["ringfence_portfolio_position_long"] == 0
