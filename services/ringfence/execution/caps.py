"""Limits as the gate's numbers: the stricter of two revisions, a weight's share of them, and all that can be computed
before an order comes. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ringfence.model.money import SCALE
from ringfence.runtime.config import COUNTED_LIMITS, FLOORS, SCALED_LIMITS, Limits

UNLIMITED: Final = 1 << 120
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
UNKNOWN_SECTOR: Final = "unknown"
Span = tuple[int, int]


def stricter(one: Limits, other: Limits) -> Limits:
    """What passes it would pass both."""
    found = {name: _stricter(name, getattr(one, name), getattr(other, name)) for name in Limits.__struct_fields__}
    return Limits(**found)


def _stricter(name: str, one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    match name:
        case "rules_types" | "rules_times_in_force":
            return tuple(word for word in one if word in other)
        case "rules_sessions":
            return _common(one, other)
        case "rules_restricted" | "rules_blackouts":
            return tuple(sorted({*one, *other}))
        case "account_fee_token":
            return other
        case "position_sectors":
            return _together(one, other)
        case _:
            return max(one, other) if name in FLOORS else min(one, other)


def _common(one: Iterable[Span], other: tuple[Span, ...]) -> tuple[Span, ...]:
    both = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple(sorted((since, until) for since, until in both if since < until))


def _together(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Instruments that either puts into one sector are in one; what either does not know is known by neither. A name
    means the same to both."""
    names = {
        symbol: {one.get(symbol, UNKNOWN_SECTOR), other.get(symbol, UNKNOWN_SECTOR)} for symbol in {**one, **other}
    }
    groups: list[set[str]] = [{UNKNOWN_SECTOR}]
    for found in names.values():
        touching = [group for group in groups if group & found]
        groups = [group for group in groups if not group & found] + [found.union(*touching)]
    sectors = {name: UNKNOWN_SECTOR if UNKNOWN_SECTOR in group else min(group) for group in groups for name in group}
    joined = {symbol: sectors[min(found)] for symbol, found in names.items()}
    return {symbol: sector for symbol, sector in joined.items() if sector != UNKNOWN_SECTOR}


def weighted(limits: Limits, weight: int) -> Limits:
    """A track's share, for a weight in percent. Rounded down; what is counted is at least one."""
    found = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    for name in SCALED_LIMITS:
        if found[name] is not None:
            found[name] = found[name] * weight // 100
    for name in COUNTED_LIMITS:
        if found[name] is not None:
            found[name] = max(1, found[name] * weight // 100)
    return Limits(**found)


def caps(limits: Limits, granted: Limits | None, weight: int) -> "Caps":
    """The stricter of both, the scaled ones times weight percent."""
    return Caps(weighted(limits if granted is None else stricter(limits, granted), weight))


NOTHING: Final = Limits(
    order_value_max=0,
    order_collar_bps=0,
    order_messages_per_second=0,
    order_working_orders=0,
    order_approved_lifetime_ms=0,
    position_per_instrument=0,
    position_gross=0,
    loss_day=0,
    market_quote_stale_ms=0,
    market_book_stale_ms=0,
)
"""Before any limits are known."""


class Caps:
    """Limits as plain numbers for the order path; what is not limited is UNLIMITED, a floor that is not there is 0."""

    __slots__ = (
        "balance_floor",
        "blackouts",
        "book_stale_ns",
        "collar_bps",
        "concentration",
        "correlation",
        "far_bps",
        "fee_token",
        "fee_token_floor",
        "gross",
        "leverage",
        "lifetime_ns",
        "limits",
        "loss",
        "measured",
        "message_ns",
        "net",
        "open_positions",
        "participation",
        "position",
        "quantity",
        "quote_stale_ns",
        "rate",
        "restricted",
        "ruled",
        "sector",
        "sectors",
        "sessions",
        "settle_ns",
        "shortfall",
        "shortfall_percent",
        "slippage_bps",
        "static_bps",
        "stop_distance_bps",
        "stop_offset_bps",
        "times",
        "types",
        "value",
        "value_at_risk",
        "value_at_risk_percent",
        "volatility_bps",
        "volume_day",
        "working",
    )

    def __init__(self, limits: Limits = NOTHING) -> None:
        self.limits = limits
        """All of them, as granted and scaled; the rest is computed from it."""
        self.quantity = _or_unlimited(limits.order_quantity_max)
        self.value = limits.order_value_max
        self.volume_day = _or_unlimited(limits.order_daily_volume_percent)
        self.participation = _or_unlimited(limits.order_participation_percent)
        self.collar_bps = limits.order_collar_bps
        self.static_bps = _or_unlimited(limits.order_static_collar_bps)
        self.far_bps = _or_unlimited(limits.order_far_collar_bps)
        self.stop_distance_bps = _or_unlimited(limits.order_stop_distance_bps)
        self.stop_offset_bps = _or_unlimited(limits.order_stop_limit_offset_bps)
        self.slippage_bps = _or_unlimited(limits.order_slippage_bps)
        self.rate = limits.order_messages_per_second
        self.message_ns = SECOND_NS // self.rate if self.rate > 0 else UNLIMITED
        """What one message takes from a bucket that fills by a nanosecond each nanosecond: 1 s / rate."""
        self.working = limits.order_working_orders
        self.lifetime_ns = limits.order_approved_lifetime_ms * MILLISECOND_NS
        self.position = limits.position_per_instrument
        self.gross = limits.position_gross
        self.net = _or_unlimited(limits.position_net)
        self.open_positions = _or_unlimited(limits.position_open_positions)
        self.leverage = _or_unlimited(limits.position_leverage)
        """Scaled by 1e-8."""
        self.concentration = _or_unlimited(limits.position_concentration_percent)
        self.correlation = _or_unlimited(limits.position_correlation)
        """Scaled by 1e-8."""
        self.value_at_risk = _or_unlimited(limits.position_value_at_risk)
        self.value_at_risk_percent = _or_unlimited(limits.position_value_at_risk_percent)
        self.shortfall = _or_unlimited(limits.position_expected_shortfall)
        self.shortfall_percent = _or_unlimited(limits.position_expected_shortfall_percent)
        self.sector = _or_unlimited(limits.position_sector_percent)
        self.sectors = limits.position_sectors
        """By symbol."""
        self.loss = limits.loss_day
        self.quote_stale_ns = limits.market_quote_stale_ms * MILLISECOND_NS
        self.book_stale_ns = limits.market_book_stale_ms * MILLISECOND_NS
        self.settle_ns = (limits.market_crossed_settle_ms or 0) * MILLISECOND_NS
        self.volatility_bps = _or_unlimited(limits.market_volatility_halt_bps)
        self.balance_floor = limits.account_balance_floor or 0
        self.fee_token = limits.account_fee_token or ""
        self.fee_token_floor = limits.account_fee_token_floor or 0
        self.types = None if limits.rules_types is None else frozenset(limits.rules_types)
        self.times = None if limits.rules_times_in_force is None else frozenset(limits.rules_times_in_force)
        self.restricted = frozenset(limits.rules_restricted)
        self.sessions = limits.rules_sessions
        self.blackouts = limits.rules_blackouts
        self.measured = min(self.participation, self.volume_day) != UNLIMITED
        self.ruled = bool(
            self.restricted
            or self.blackouts
            or (self.types, self.times, self.sessions) != (None, None, None)
            or self.volume_day != UNLIMITED
            or self.fee_token_floor
            or self.of_past
        )
        """There is something to look at that most systems do not have."""

    def tightest(self, equity: int) -> int:
        """The smallest of the limits on the value of positions, for an owner of that equity."""
        found = min(self.position, self.gross, self.net)
        if self.leverage != UNLIMITED:
            found = min(found, self.leverage * equity // SCALE)
        share = min(self.concentration, self.sector)
        if share != UNLIMITED:
            found = min(found, share * equity // (100 * SCALE))
        return found

    @property
    def of_equity(self) -> bool:
        """Is one of the limits a part of the equity?"""
        shares = (self.leverage, self.concentration, self.sector, self.value_at_risk_percent, self.shortfall_percent)
        return min(shares) != UNLIMITED

    @property
    def of_risk(self) -> bool:
        """Is one of the limits a value at risk or an expected shortfall?"""
        risks = (self.value_at_risk, self.value_at_risk_percent, self.shortfall, self.shortfall_percent)
        return min(risks) != UNLIMITED

    @property
    def of_past(self) -> bool:
        """Does one of the limits need to know how instruments have moved?"""
        return self.correlation != UNLIMITED or self.of_risk

    def forget_past(self) -> None:
        """Where nobody tells of it."""
        self.correlation = UNLIMITED
        self.value_at_risk = self.value_at_risk_percent = self.shortfall = self.shortfall_percent = UNLIMITED

    def sector_of(self, symbol: str) -> str:
        """Instruments that nobody has put into a sector are one: what is not known is no diversification."""
        return self.sectors.get(symbol, UNKNOWN_SECTOR)


def _or_unlimited(limit: int | None) -> int:
    return UNLIMITED if limit is None else limit
