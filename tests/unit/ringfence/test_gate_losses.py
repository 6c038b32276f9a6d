"""Every limit of losses and every breaker refuses at the gate: what is lost or fails, and what an order is told."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gatebench.stoprig import BTC, LIMITS, ONE, PRICE, SECOND, WALL, Rig
from ringfence.execution.breakers import RULES
from ringfence.execution.grants import allocate
from ringfence.execution.losses import LossLedger
from ringfence.execution.protection import Protection
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.model.positions import Book
from ringfence.runtime.config import Allocation, Track
from ringfence.wire.messages import FeedStatus, Intent

BREAKERS: dict[str, Any] = {
    "breakers_consecutive_losses": 3,
    "breakers_repeated_executions": 5,
    "breakers_check_failure_percent": money("5"),
    "breakers_check_failure_min": 50,
    "breakers_reject_percent": money("5"),
    "breakers_reject_min": 50,
    "breakers_disconnected_seconds": 30,
    "breakers_position_breach_percent": money("10"),
}


class Losing(Rig):
    """Two tracks, each with the system's whole capital of 10,000, and their breakers."""

    def __init__(self, **limits: Any) -> None:
        super().__init__()
        self.manager.capital = money("10000")
        found = msgspec.structs.replace(LIMITS, **limits)
        tracks = tuple(
            Track(name=name, revision=name, stage="Live", weight=100, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        document = Allocation(epoch=2, tracks=tracks, limits=found)
        allocate(self.gate.tracks, self.gate.account, document, {"g": found}, paper=False)
        self.protection = Protection(self.gate, self.manager, lambda kind, body: None)
        self.rounds(1)

    def lose(self, amount: str) -> None:
        """Of what stable has."""
        self.manager.books["stable"] = Book(cash={"USDT": -money(amount)}, positions={}, fees={})

    def rounds(self, count: int = 3, seconds: int = 1) -> None:
        """Losses are valued and conditions read so often. A soft breaker trips by the third that holds."""
        for _ in range(count):
            self.mono += seconds * SECOND
            self.market_time()
            self.manager.evaluate(WALL)
            self.protection.round(WALL, self.mono)

    def ask(self, side: Side = Side.BUY, track: str = "stable") -> list[str]:
        """Reasons to refuse a small order at the touch."""
        price = PRICE if side is Side.BUY else PRICE + money("0.01")
        size = money("0.001")
        intent = Intent("i", track, BTC, side, OrderType.LIMIT, TimeInForce.GTC, size, price, False, WALL)
        return self.gate.check(intent, WALL, self.mono)


@pytest.mark.parametrize(
    ("limits", "code", "told"),
    [
        ({"loss_day": money("300")}, "LOSS_DAY_REACHED", "loss=300 limit=300"),
        ({"loss_day_percent": money("3")}, "LOSS_DAY_REACHED", "percent=3 limit_percent=3"),
        ({"loss_week": money("300")}, "LOSS_WEEK_REACHED", "loss=300 limit=300"),
        ({"loss_week_percent": money("3")}, "LOSS_WEEK_REACHED", "percent=3 limit_percent=3"),
        ({"loss_month": money("300")}, "LOSS_MONTH_REACHED", "loss=300 limit=300"),
        ({"loss_month_percent": money("3")}, "LOSS_MONTH_REACHED", "percent=3 limit_percent=3"),
        ({"loss_rolling_day": money("300")}, "LOSS_ROLLING_DAY_REACHED", "loss=300 limit=300"),
        ({"loss_drawdown_reduce_percent": money("3")}, "DRAWDOWN_REDUCE", "percent=3 limit_percent=3"),
    ],
)
def test_each_limit_of_losses_refuses_new_exposure_when_it_is_reached(
    limits: dict[str, Any], code: str, told: str
) -> None:
    """Of the track that lost and of the account, so the other track is told the account's alone."""
    rig = Losing(**limits)
    rig.hold(money("0.002"))
    rig.lose("299.99")
    rig.manager.evaluate(WALL)
    assert rig.ask() == rig.ask(track="candidate") == []
    rig.lose("300")
    rig.manager.evaluate(WALL)
    assert rig.ask() == [f"{code} track=stable {told}", f"{code} {told}"]
    assert rig.ask(track="candidate") == [f"{code} {told}"]
    assert rig.ask(Side.SELL) == [], "what is held may be sold"


PERIOD_LIMITS = [
    ("day", "loss_day", "300"),
    ("day", "loss_day_percent", "3"),
    ("week", "loss_week", "300"),
    ("week", "loss_week_percent", "3"),
    ("month", "loss_month", "300"),
    ("month", "loss_month_percent", "3"),
]


@pytest.mark.parametrize(("period", "field", "limit"), PERIOD_LIMITS)
def test_a_reached_limit_of_a_period_is_latched_until_the_period_ends(period: str, field: str, limit: str) -> None:
    """In currency and in percent alike; what is won back, a restart, another revision, a promotion and a new weight
    open nothing."""
    limits = {field: money(limit)}
    rig = Losing(**limits)
    rig.lose("300")
    for _ in range(2):
        rig.manager.evaluate(WALL)
    rig.lose("0")
    rig.manager.evaluate(WALL)
    assert rig.ask() == [], "one bad tick, or two, latch nothing"

    rig.lose("300")
    for _ in range(3):
        rig.manager.evaluate(WALL)
    rig.lose("0")
    rig.manager.evaluate(WALL)
    told = f"latched_until=end_of_{period} loss=0 percent=0"
    latched = [f"LOSS_{period.upper()}_REACHED {who}{told}" for who in ("track=stable ", "")]
    assert rig.ask() == latched
    assert rig.ask(track="candidate") == latched[1:], "the account's alone"

    again = Losing(**limits)
    again.manager.ledger = msgspec.json.decode(msgspec.json.encode(rig.manager.ledger), type=LossLedger)
    again.manager.evaluate(WALL)
    assert again.ask() == latched, "after a restart"

    entry = Track(name="stable", revision="promoted", stage="Live", weight=50, grant="g", key="stable")
    found = msgspec.structs.replace(LIMITS, **limits)
    document = Allocation(epoch=3, tracks=(entry,), limits=found)
    allocate(again.gate.tracks, again.gate.account, document, {"g": found}, paper=False)
    again.manager.evaluate(WALL)
    assert again.ask() == latched, "another revision, with another weight"

    days = {"day": 1, "week": 7, "month": 31}[period]
    again.manager.evaluate(WALL + days * 86_400 * SECOND)
    assert again.ask() == []


# --- breakers


def a_days_loss(rig: Losing) -> None:
    rig.lose("300")
    rig.rounds()


def a_drawdown(rig: Losing) -> None:
    rig.lose("1000")
    rig.rounds()


def refused_intents(rig: Losing) -> None:
    rig.gate.tracks["stable"].checked = rig.gate.tracks["stable"].failed = 60
    rig.rounds()


def rejects(rig: Losing) -> None:
    rig.protection.traffic.orders = rig.protection.traffic.rejected = 60
    rig.rounds()


def silence(rig: Losing) -> None:
    rig.protection.stream_up = False
    rig.rounds(7, 10)


def no_market_data(rig: Losing) -> None:
    """For half a minute, while something is held; then it is back."""
    rig.hold(money("0.002"))
    rig.gate.markets[BTC].status(FeedStatus(BTC, WALL, False, "gap"), rig.mono)
    rig.rounds(7, 10)
    rig.market()


def a_fill_too_many(rig: Losing) -> None:
    slot = rig.gate.tracks["stable"].slot(rig.gate.markets[BTC])
    slot.position = 2 * ONE
    slot.settle()
    rig.rounds(1)


def losing_trips(rig: Losing) -> None:
    rig.manager.trips.streaks["stable"] = 3
    rig.rounds(1)


def repeated_executions(rig: Losing) -> None:
    for _ in range(5):
        rig.hold(money("0.002"))
    rig.rounds(1)


CASES: list[tuple[str, Callable[[Losing], None], dict[str, Any], str, str]] = [
    ("loss-day", a_days_loss, {"loss_day": money("300")}, "TRADING_REDUCE_ONLY", "TRADING_REDUCE_ONLY"),
    ("loss-day", a_days_loss, {"loss_day_percent": money("3")}, "TRADING_REDUCE_ONLY", "TRADING_REDUCE_ONLY"),
    ("drawdown", a_drawdown, {"loss_drawdown_halt_percent": money("10")}, "TRADING_HALTED", "TRADING_HALTED"),
    ("position", a_fill_too_many, {"position_per_instrument": money("50001")}, "TRADING_HALTED", "TRADING_HALTED"),
    ("rejects", rejects, {}, "TRADING_HALTED", "TRADING_HALTED"),
    ("connectivity", silence, {}, "TRADING_HALTED", "TRADING_HALTED"),
    ("market-data", no_market_data, {}, "TRADING_REDUCE_ONLY", "TRADING_REDUCE_ONLY"),
    ("checks", refused_intents, {}, "CHECK_FAILURES", ""),
    ("consecutive-losses", losing_trips, {}, "LOSSES_CONSECUTIVE", ""),
    ("repeated-executions", repeated_executions, {}, "EXECUTIONS_REPEATED", ""),
]
"""Breaker, what trips it, limits, and what the order of each track is refused for."""


@pytest.mark.parametrize(("name", "happens", "limits", "stable", "candidate"), CASES)
def test_each_breaker_refuses_at_the_gate(
    name: str,
    happens: Callable[[Losing], None],
    limits: dict[str, Any],
    stable: str,
    candidate: str,
) -> None:
    """One of the account stops both tracks and says which it is; one of a track refuses that track alone."""
    rig = Losing(**BREAKERS, **limits)
    assert rig.ask() == rig.ask(track="candidate") == []
    happens(rig)
    assert name in {one.name for one in rig.protection.breakers.open.values()}
    for track, code in (("stable", stable), ("candidate", candidate)):
        refused = [reason for reason in rig.ask(track=track) if reason.startswith(code)]
        if code.startswith("TRADING"):
            assert f"breaker {name} tripped: " in refused[0]
        elif code:
            assert f"{code} track={track} " in refused[0]
        else:
            assert refused == []


def test_every_breaker_is_forced_above() -> None:
    assert {name for name, *_ in CASES} == set(RULES)


def test_a_tracks_drawdown_refuses_it_until_a_person_has_looked() -> None:
    """Beside the account's halt, which its own release ends."""
    rig = Losing(loss_drawdown_halt_percent=money("10"))
    rig.lose("1000")
    rig.rounds()
    told = "percent=10 limit_percent=10 equity=9000 high_water_mark=10000"
    assert f"DRAWDOWN_HALT track=stable {told}" in rig.ask()
    assert not any(reason.startswith("DRAWDOWN_HALT") for reason in rig.ask(track="candidate"))
