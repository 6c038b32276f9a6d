"""spec.limits: what the gate enforces, and for each limit its unit, scope, presets, direction and what weight does.

One table: every field carries its direction (`Looser`) and a `Limit`. From these come the presets (limit_table.py), the
admission policies, the data plane's scaling and docs/limits.md, so that none of them can drift from the others.
"""

from typing import Annotated, Final, Literal, get_args

from pydantic import ConfigDict, Field, Strict

from ringfence_operator.api.meta import (
    Limit,
    Looser,
    PositiveAmount,
    PositiveBps,
    PositivePercent,
    Scales,
    Share,
    Spec,
    cel,
    rule,
)
from ringfence_operator.api.position_limits import PositionLimits
from ringfence_operator.api.trading_rules import TradingRules

Preset = Literal["conservative", "moderate", "full"]
PRESETS: Final[tuple[Preset, ...]] = get_args(Preset)
_HIGHER, _LOWER = Looser.WHEN_HIGHER, Looser.WHEN_LOWER
_BY_WEIGHT = Scales.BY_WEIGHT


def _same(value: str | int) -> tuple[str | int, str | int, str | int]:
    return value, value, value


class OrderLimits(Spec):
    """Limits of each order, and of how many there may be."""

    quantity_max: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit("base asset", "order", "ORDER_QUANTITY_EXCEEDED", "quantity=2 limit=1", scales=_BY_WEIGHT),
    ] = None
    """Largest quantity of one order, in the base asset, above 0; absent: only the value limits it."""
    value_max: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "order",
            "ORDER_VALUE_EXCEEDED",
            "value=1200 limit=1000",
            presets=(Share("5"), Share("10"), Share("20")),
            scales=_BY_WEIGHT,
        ),
    ] = None
    """Largest value of one order, in spec.currency, above 0 and at most position.perInstrument."""
    daily_volume_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of the market's volume in 24 h",
            "order",
            "VOLUME_DAY_EXCEEDED, VOLUME_UNKNOWN",
            "quantity=50 limit=42 percent=1",
            scales=_BY_WEIGHT,
        ),
    ] = None
    """Largest quantity of one order as percent of what the market traded in 24 hours, above 0 and at most 100. The gate
    counts the trades itself: until it has watched for a day the volume is unknown and new exposure is refused."""
    participation_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of the market's volume in 10 s",
            "order",
            "PARTICIPATION_EXCEEDED, VOLUME_UNKNOWN",
            "quantity=0.5 limit=0.31 percent=10",
            scales=_BY_WEIGHT,
        ),
    ] = None
    """Largest quantity of one taking order as percent of what the market traded in the last 10 seconds, above 0 and at
    most 100. Resting orders do not count. The gate counts the trades itself: for 10 seconds after its start the volume
    is unknown and refuses new exposure that takes, so no preset sets it."""
    collar_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit("bps", "order", "PRICE_BEYOND_COLLAR", "price=60500 limit=60300 best=60000", presets=("30", "50", "100")),
    ] = None
    """How far past the best opposite price an order may reach, basis points, above 0 and below 10,000. Three times as
    far for orders that only reduce."""
    static_collar_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit(
            "bps",
            "order",
            "PRICE_BEYOND_STATIC_COLLAR",
            "price=62000 limit=61800 reference=60000",
            presets=("200", "300", "500"),
        ),
    ] = None
    """How far past the reference price an order may reach on the aggressive side, basis points, above 0 and below
    10,000. The reference is the mid price at the beginning of the present five minutes; reducing: three times."""
    far_collar_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit("bps", "order", "PRICE_TOO_FAR", "price=50000 limit=54000 best=60000", presets=_same("1000")),
    ] = None
    """How far an order may rest on the passive side of the best price of its own side, basis points, above 0 and below
    10,000."""
    stop_distance_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit("bps", "order", "STOP_TOO_FAR", "trigger=45000 limit=48000 best=60000", presets=_same("2000")),
    ] = None
    """How far a stop's trigger may lie from the best price, basis points, above 0 and below 10,000."""
    stop_limit_offset_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit("bps", "order", "STOP_OFFSET_EXCEEDED", "price=59000 trigger=60000 limit=59400", presets=_same("100")),
    ] = None
    """How far a stop-limit order's price may lie past its trigger, basis points, above 0 and below 10,000."""
    slippage_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit(
            "bps",
            "order",
            "SLIPPAGE_EXCEEDED, BOOK_DEPTH_INSUFFICIENT",
            "bps=24.1 limit=20 filled=2",
            presets=("10", "20", "50"),
        ),
    ] = None
    """Largest average cost against the mid price that a taking order may have by the gate's own book, basis points,
    above 0 and below 10,000."""
    messages_per_second: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=1000)] | None,
        _HIGHER,
        Limit(
            "1/s",
            "track, account",
            "RATE_TRACK_EXCEEDED, RATE_ACCOUNT_EXCEEDED",
            "track=stable limit_per_s=20",
            presets=(10, 20, 50),
        ),
    ] = None
    """New orders per second, 1 to 1,000. Cancels are never held back."""
    working_orders: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=200)] | None,
        _HIGHER,
        Limit(
            "count",
            "track, account",
            "WORKING_ORDERS_EXCEEDED",
            "track=stable working=20 limit=20",
            presets=(10, 20, 50),
            soft=True,
        ),
    ] = None
    """Orders that may work at once, 1 to 200."""
    approved_lifetime_ms: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=1000)] | None,
        _HIGHER,
        Limit("ms", "order", "NOT_SENT", "the approval has expired", presets=_same(50)),
    ] = None
    """An approved order that has not left after this time is dropped, milliseconds, 1 to 1,000."""


class LossLimits(Spec):
    """Limits of losses. They are counted in a ledger that outlives revisions, restarts and the system itself. Days,
    weeks and months begin at midnight in the venue's timeZone; a limit that was reached holds until its period ends,
    whatever is won back."""

    day: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "LOSS_DAY_REACHED",
            "track=stable loss=301 limit=300",
            presets=(Share("3"), Share("3"), Share("5")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest loss since 00:00 (realised, unrealised and fees), in spec.currency, above 0, at most the capital."""
    week: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "LOSS_WEEK_REACHED",
            "loss=601 limit=600",
            presets=(Share("5"), Share("6"), Share("10")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest loss since Monday 00:00, in spec.currency, above 0."""
    month: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "LOSS_MONTH_REACHED",
            "loss=1001 limit=1000",
            presets=(Share("8"), Share("10"), Share("15")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest loss since the first of the month, 00:00, in spec.currency, above 0."""
    rolling_day: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "LOSS_ROLLING_DAY_REACHED",
            "loss=301 limit=300",
            presets=(Share("3"), Share("3"), Share("5")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest loss over the last 24 hours, whatever the date, in spec.currency, above 0."""
    day_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity at the boundary",
            "track, account",
            "LOSS_DAY_REACHED",
            "track=stable percent=3.1 limit_percent=3",
            presets=("3", "3", "5"),
            soft=True,
        ),
    ] = None
    """Largest loss since 00:00 as percent of the equity then, above 0 and at most 100."""
    week_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity at the boundary",
            "track, account",
            "LOSS_WEEK_REACHED",
            "percent=6.1 limit_percent=6",
            presets=("5", "6", "10"),
            soft=True,
        ),
    ] = None
    """Largest loss since Monday 00:00 as percent of the equity then, above 0 and at most 100."""
    month_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity at the boundary",
            "track, account",
            "LOSS_MONTH_REACHED",
            "percent=10.1 limit_percent=10",
            presets=("8", "10", "15"),
            soft=True,
        ),
    ] = None
    """Largest loss since the first of the month, 00:00 as percent of the equity then, above 0 and at most 100."""
    drawdown_reduce_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of the highest equity",
            "track, account",
            "DRAWDOWN_REDUCE",
            "track=stable percent=7.2 limit_percent=7",
            presets=("5", "7", "10"),
        ),
    ] = None
    """Fall from the highest equity at which only reducing orders pass, percent, above 0 and at most 100."""
    drawdown_halt_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of the highest equity",
            "track, account",
            "DRAWDOWN_HALT",
            "percent=10.3 limit_percent=10",
            presets=("10", "10", "15"),
            soft=True,
        ),
    ] = None
    """Fall from the highest equity at which the account halts, and a track takes no new exposure, until a person
    releases it, percent, above 0 and at most 100."""


class MarketLimits(Spec):
    """What a market must be like for new exposure."""

    quote_stale_ms: Annotated[
        Annotated[int, Strict(), Field(ge=50, le=60_000)] | None,
        _HIGHER,
        Limit(
            "ms",
            "instrument",
            "QUOTE_STALE, INTENT_STALE",
            "symbol=BTCUSDT age_ms=2100 limit_ms=2000",
            presets=_same(2000),
        ),
    ] = None
    """No order on a best price, or on a decision, that is older than this, milliseconds, 50 to 60,000."""
    book_stale_ms: Annotated[
        Annotated[int, Strict(), Field(ge=50, le=60_000)] | None,
        _HIGHER,
        Limit("ms", "instrument", "BOOK_STALE", "symbol=BTCUSDT age_ms=1100 limit_ms=1000", presets=_same(1000)),
    ] = None
    """No taking order on an order book that is older than this, milliseconds, 50 to 60,000."""
    crossed_settle_ms: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=60_000)] | None,
        _LOWER,
        Limit(
            "ms", "instrument", "QUOTE_CROSSED_RECENTLY", "symbol=BTCUSDT age_ms=120 limit_ms=500", presets=_same(500)
        ),
    ] = None
    """After a crossed or locked best price, no new exposure for this long, milliseconds, 1 to 60,000. While it is
    crossed nothing passes at all."""
    volatility_halt_bps: Annotated[
        PositiveBps | None,
        _HIGHER,
        Limit(
            "bps in 10 s",
            "instrument",
            "VOLATILITY_HALT",
            "symbol=BTCUSDT range_bps=131 limit_bps=100",
            presets=("75", "100", "150"),
        ),
    ] = None
    """No new exposure while the mid price has moved by more than this within 10 seconds, basis points, above 0 and
    below 10,000."""


class AccountLimits(Spec):
    """What has to stay in the account."""

    balance_floor: Annotated[
        PositiveAmount | None,
        _LOWER,
        Limit(
            "currency",
            "account",
            "BALANCE_BELOW_FLOOR, BALANCE_UNKNOWN",
            "asset=USDT worst=150 floor=200",
            presets=(Share("5"), Share("2"), Share("1")),
        ),
    ] = None
    """What must be left of spec.currency if all buys execute, fees counted, above 0."""
    fee_token: Annotated[
        Annotated[str, Field(pattern="^[A-Z0-9]{2,12}$", min_length=2, max_length=12)] | None,
        Looser.WHEN_CHANGED,
        Limit("asset", "account", "FEE_TOKEN_BELOW_FLOOR"),
    ] = None
    """Asset that fees are paid in, such as BNB; for feeTokenFloor."""
    fee_token_floor: Annotated[
        PositiveAmount | None,
        _LOWER,
        Limit("feeToken", "account", "FEE_TOKEN_BELOW_FLOOR", "asset=BNB free=0.01 floor=0.05"),
    ] = None
    """No new exposure with less of feeToken than this, above 0: about one day of fees."""


class BreakerLimits(Spec):
    """When the gate stops by itself. What has tripped stays so until a person releases it. An account's breaker holds
    the whole gate; a track's refuses new exposure of the revision that tripped it, and of no other."""

    window_seconds: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=3600)] | None,
        _LOWER,
        Limit("s", "track, account", "-", presets=_same(60)),
    ] = None
    """Time over which executions, refusals and rejects are counted, seconds, 1 to 3,600."""
    consecutive_losses: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=1000)] | None,
        _HIGHER,
        Limit(
            "count",
            "track",
            "LOSSES_CONSECUTIVE",
            "track=stable losses=8 limit=8",
            presets=(5, 8, 12),
            soft=True,
        ),
    ] = None
    """Closed positions in a row that lost money, 1 to 1,000."""
    repeated_executions: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=100_000)] | None,
        _HIGHER,
        Limit(
            "count in windowSeconds",
            "track",
            "EXECUTIONS_REPEATED",
            "track=stable executions=50 limit=50",
            presets=(30, 50, 100),
        ),
    ] = None
    """Orders of one instrument and side that executed within windowSeconds, 1 to 100,000."""
    check_failure_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% in windowSeconds",
            "track",
            "CHECK_FAILURES",
            "track=stable percent=6 of=120 limit_percent=5",
            presets=_same("5"),
        ),
    ] = None
    """Share of intents that the gate refused while no stop held, of at least checkFailureMin, percent, above 0 and at
    most 100."""
    check_failure_min: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=100_000)] | None,
        _HIGHER,
        Limit("count", "track", "CHECK_FAILURES", presets=_same(50)),
    ] = None
    """Fewest intents in the window that checkFailurePercent is judged on, 1 to 100,000."""
    reject_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% in windowSeconds",
            "account",
            "TRADING_HALTED",
            "state=Halted reason=breaker rejects tripped: percent=7 of=60 limit_percent=5",
            presets=_same("5"),
        ),
    ] = None
    """Share of orders that the venue rejected, of at least rejectMin, percent, above 0 and at most 100."""
    reject_min: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=100_000)] | None,
        _HIGHER,
        Limit("count", "account", "TRADING_HALTED", presets=_same(50)),
    ] = None
    """Fewest orders in the window that rejectPercent is judged on, 1 to 100,000."""
    disconnected_seconds: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=3600)] | None,
        _HIGHER,
        Limit(
            "s",
            "account",
            "TRADING_HALTED, TRADING_REDUCE_ONLY",
            "state=Halted reason=breaker connectivity tripped: seconds=31 limit=30",
            presets=(20, 30, 60),
        ),
    ] = None
    """Time without the venue (halts), or without market data for what is held or worked (only reducing passes),
    seconds, 1 to 3,600."""
    position_breach_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% above position.perInstrument",
            "account",
            "TRADING_HALTED",
            "state=Cancel reason=breaker position tripped: symbol=BTCUSDT value=2800 limit=2750",
            presets=("5", "10", "20"),
        ),
    ] = None
    """How far the value of what is held may come to lie above position.perInstrument, percent, above 0, at most 100."""


class Limits(Spec):
    """What the gate enforces on every order. What is left out is what the preset says, as percent of the capital where
    it is money. Tightening acts at once; loosening needs a grant."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.order.valueMax) || !has(self.position.perInstrument)"
                " || quantity(self.order.valueMax).compareTo(quantity(self.position.perInstrument)) <= 0",
                "order.valueMax must not exceed position.perInstrument",
                says="'order.valueMax (' + self.order.valueMax + ') must not exceed position.perInstrument ('"
                " + self.position.perInstrument + ')'",
                at=".order.valueMax",
            ),
            rule(
                "has(self.account.feeToken) == has(self.account.feeTokenFloor)",
                "account.feeToken and account.feeTokenFloor are given together",
                at=".account",
            ),
        )
    )

    preset: Annotated[Preset, Looser.WHEN_LATER, Limit("word", "account", "-", "moderate")] = "moderate"
    """What holds where a limit is left out: conservative (first weeks with real money), moderate or full."""
    soft_percent: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=100)] | None,
        _HIGHER,
        Limit("% of a limit", "track, account", "-", "ringfence_gate_limit_soft 1", presets=(70, 80, 90)),
    ] = None
    """Share of a limit from which on its use gives an alert, percent, 1 to 100. It never refuses anything."""
    order: OrderLimits = OrderLimits()
    position: PositionLimits = PositionLimits()
    loss: LossLimits = LossLimits()
    market: MarketLimits = MarketLimits()
    account: AccountLimits = AccountLimits()
    breakers: BreakerLimits = BreakerLimits()
    rules: TradingRules = TradingRules()
