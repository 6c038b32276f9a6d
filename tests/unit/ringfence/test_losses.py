"""The loss ledger: boundaries, the rolling day, high-water marks, cash flows, and all that must not reset it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ringfence.execution.losses import BUCKET_NS, DAY_NS, ROLLING_BUCKETS, LossLedger, Owner, share
from ringfence.model.calendar import Calendar
from ringfence.model.money import SCALE

UTC_DAYS = Calendar()
CAPITAL = 10_000 * SCALE


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return int(moment.timestamp()) * 10**9


MONDAY = at("2026-11-16T00:00:00")
HOUR = 3_600 * 10**9


class Book:
    """A ledger of one owner, told its profit in whole units."""

    def __init__(self, calendar: Calendar = UTC_DAYS) -> None:
        self.ledger = LossLedger(owners={})
        self.ledger.open_journal(1)
        self.calendar = calendar

    def seen(self, profit: int, wall: int, allocated: int = CAPITAL) -> Owner:
        return self.ledger.update("", profit * SCALE, allocated, self.calendar, wall)


def test_a_day_opens_with_the_last_value_before_it_so_that_the_night_counts() -> None:
    book = Book()
    book.seen(0, MONDAY)
    assert book.seen(-60, MONDAY + HOUR).loss("day") == 60 * SCALE
    owner = book.seen(-90, MONDAY + DAY_NS)
    assert owner.loss("day") == 30 * SCALE, "lost overnight"
    assert owner.loss("week") == owner.loss("month") == 90 * SCALE


def test_weeks_turn_on_monday_and_months_on_the_first() -> None:
    book = Book()
    book.seen(0, at("2026-11-27T12:00:00"))
    owner = book.seen(-10, at("2026-11-29T23:59:59"))
    assert owner.loss("week") == 10 * SCALE
    owner = book.seen(-15, at("2026-11-30T00:00:00"))
    assert (owner.loss("week"), owner.loss("month")) == (5 * SCALE, 15 * SCALE)
    owner = book.seen(-16, at("2026-12-01T00:00:00"))
    assert (owner.loss("day"), owner.loss("week"), owner.loss("month")) == (SCALE, 6 * SCALE, SCALE)


def test_an_exchange_has_midnight_where_it_is_also_across_a_change_of_clocks() -> None:
    zone = "America/New_York"
    calendar = Calendar(zone)
    before = calendar.keys(at("2026-10-31T23:59:59", zone))
    after = calendar.keys(at("2026-11-01T00:00:00", zone))
    assert (after.day - before.day, after.month - before.month) == (1, 1)
    assert calendar.keys(at("2026-11-01T23:59:59", zone)).day == after.day, "a day of 25 hours is one day"
    assert calendar.keys(at("2026-11-02T04:59:59")).day == after.day
    assert calendar.keys(at("2026-11-02T05:00:00")) == (after.day + 1, after.week + 1, after.month)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Africa/Cairo", "2026-04-24", 23),
        ("Asia/Kolkata", "2026-11-21", 24),
    ],
)
def test_a_day_opens_once_however_long_it_is(zone: str, day: str, hours: int) -> None:
    """Clocks go forward and back; in Cairo they do so at midnight, so that the day begins at one."""
    begins = at(f"{day}T00:00:00", zone) if zone != "Africa/Cairo" else at(f"{day}T01:00:00", zone)
    book = Book(Calendar(zone))
    book.seen(-1, begins - 10**9)
    for hour in range(hours):
        owner = book.seen(-2 - hour, begins + hour * HOUR)
        assert owner.loss("day") == (1 + hour) * SCALE
        assert book.calendar.began(begins + hour * HOUR) == begins
    assert owner.loss("day") == hours * SCALE
    assert book.seen(-100, begins + hours * HOUR).loss("day") == (100 - 1 - hours) * SCALE


def test_an_unknown_zone_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'Mars/Olympus' is not known"):
        Calendar("Mars/Olympus")


def test_midnight_empties_the_day_and_not_the_rolling_day() -> None:
    book = Book()
    book.seen(0, MONDAY)
    book.seen(-100, MONDAY + 23 * HOUR)
    owner = book.seen(-110, MONDAY + 25 * HOUR)
    assert owner.loss("day") == 10 * SCALE
    assert owner.rolling == 110 * SCALE
    owner = book.seen(-110, MONDAY + 48 * HOUR)
    assert owner.rolling == 10 * SCALE, "what was lost 25 hours ago is out, what was lost 23 hours ago is in"


def test_the_rolling_day_needs_bounded_memory() -> None:
    book = Book()
    for step in range(3 * ROLLING_BUCKETS):
        owner = book.seen(-step, MONDAY + step * BUCKET_NS)
    assert len(owner.buckets) == ROLLING_BUCKETS + 1
    assert owner.rolling == (ROLLING_BUCKETS + 1) * SCALE


def test_a_clock_that_was_set_back_gives_no_fresh_allowance() -> None:
    book = Book()
    book.seen(0, MONDAY)
    book.seen(-60, MONDAY + 2 * DAY_NS)
    for wall in (MONDAY + DAY_NS, MONDAY, MONDAY - 40 * DAY_NS, MONDAY + 2 * DAY_NS + 1):
        owner = book.seen(-70, wall)
        assert owner.loss("day") == owner.loss("week") == owner.rolling == 70 * SCALE


def test_a_reached_limit_is_latched_until_its_period_ends() -> None:
    book = Book()
    book.seen(-80, MONDAY)
    for _ in range(2):
        assert book.ledger.latch("", "day", reached=True)
    assert not book.ledger.latch("", "day", reached=False), "one bad tick, or two, latch nothing"
    for _ in range(3):
        book.ledger.latch("", "day", reached=True)
    book.seen(500, MONDAY + HOUR)
    assert book.ledger.latch("", "day", reached=False), "a price that jumps back does not open the gate"
    book.seen(500, MONDAY - DAY_NS)
    assert book.ledger.latch("", "day", reached=False), "nor does a clock that was set back"
    book.seen(500, MONDAY + DAY_NS)
    assert not book.ledger.latch("", "day", reached=False)


def test_losses_survive_a_restart_and_another_journal() -> None:
    book = Book()
    book.seen(0, MONDAY)
    book.seen(-60, MONDAY + HOUR)
    book.ledger = msgspec.json.decode(msgspec.json.encode(book.ledger), type=LossLedger)
    assert book.seen(-60, MONDAY + HOUR).loss("day") == 60 * SCALE
    book.ledger.open_journal(2)
    owner = book.seen(0, MONDAY + 2 * HOUR)
    assert owner.loss("day") == 60 * SCALE, "the new journal knows of nothing, the ledger does"
    assert owner.drawdown == share(60, 10_000)
    assert book.seen(-5, MONDAY + 3 * HOUR).loss("month") == 65 * SCALE


def test_a_ledger_of_another_shape_is_refused_and_not_read_as_no_loss() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"journal":1,"day":3,"accounts":{"":{"opening":0,"last":-60}}}', type=LossLedger)


def test_drawdown_is_from_the_high_water_mark_of_equity() -> None:
    book = Book()
    book.seen(0, MONDAY)
    assert book.seen(1_000, MONDAY).drawdown == 0
    owner = book.seen(-100, MONDAY)
    assert (owner.peak, owner.equity) == (11_000 * SCALE, 9_900 * SCALE)
    assert owner.drawdown == SCALE // 10
    assert book.seen(-20_000, MONDAY).drawdown >= SCALE, "all gone is a drawdown of at least one"


@pytest.mark.parametrize("weights", [(5, 25, 100), (100, 5), (100, 0, 100), (50, 51, 50)])
def test_a_change_of_weight_is_a_cash_flow_and_neither_profit_nor_loss(weights: tuple[int, ...]) -> None:
    """What was lost before it is lost after it, in currency and in percent; midnights between them included."""
    book = Book()
    book.seen(0, MONDAY, CAPITAL * weights[0] // 100)
    book.seen(10, MONDAY, CAPITAL * weights[0] // 100)
    before = book.seen(-20, MONDAY, CAPITAL * weights[0] // 100)
    held = (before.loss("day"), before.rolling, before.drawdown, before.loss_share("week"))
    for weight in weights[1:]:
        owner = book.seen(-20, MONDAY + HOUR, CAPITAL * weight // 100)
        assert (owner.loss("day"), owner.rolling) == held[:2]
        assert owner.drawdown == pytest.approx(held[2], abs=weight + 10)
        assert owner.loss_share("week") == pytest.approx(held[3], abs=weight + 10)
        if weight and 0 not in weights:
            assert owner.equity == CAPITAL * weight // 100


def test_more_money_after_all_was_lost_is_no_forgiveness() -> None:
    book = Book()
    book.seen(0, MONDAY)
    book.seen(-10_500, MONDAY)
    owner = book.seen(-10_500, MONDAY, 2 * CAPITAL)
    assert owner.equity == 9_500 * SCALE
    assert owner.drawdown == share(10_500, 20_000)
