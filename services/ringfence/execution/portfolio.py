"""Limits of positions that come from how instruments have moved: correlation, value at risk and expected shortfall.
Pure; for orders that open something, also where they make no worst case larger: the other side is another risk.

Each is held against the track's share and against the account, which counts all tracks and foreign orders.
"""

from collections.abc import Collection, Iterable
from typing import Final

from ringfence.execution.caps import UNLIMITED, Caps
from ringfence.execution.state import Market, Slot, Track
from ringfence.execution.value_at_risk import UnknownRiskError, expected_shortfall, value_at_risk
from ringfence.model.money import SCALE, text

CORRELATION_UNKNOWN: Final = "CORRELATION_UNKNOWN"
VALUE_AT_RISK_UNKNOWN: Final = "VALUE_AT_RISK_UNKNOWN"
UNKNOWN: Final = frozenset({CORRELATION_UNKNOWN, VALUE_AT_RISK_UNKNOWN})
"""Reasons that end once the venue has told the past."""
_HUNDRED: Final = 100 * SCALE

Held = Iterable[tuple[Market, Market | Slot]]
"""What one owner holds and has ordered, by instrument."""


def portfolio(
    market: Market, track: Track, account: Track, markets: Collection[Market], signed: int, found: list[str]
) -> None:
    """``signed``: the order's quantity, negative for a sell. The track has a slot in its market."""
    who, slots = f"track={track.name} ", track.slots.values()
    _correlated(who, track.caps, slots, market, signed, found)
    _correlated("", account.caps, [one for other in markets for one in other.slots], market, signed, found)
    _at_risk(who, track, [(one.market, one) for one in slots], market, signed, found)
    _at_risk("", account, [(one, one) for one in markets], market, signed, found)


def worst_value_at_risk(held: Held, market: Market | None = None, signed: int = 0) -> int:
    """At worst case, after an order. At the last ask. Raises UnknownRiskError."""
    ranges, volatilities, correlations = {}, {}, {}
    for other, one in held:
        ordered = signed if other is market else 0
        if ordered or not _dust(other, one.worst):
            low, high = min(ordered, 0) - one.short, max(ordered, 0) + one.long
            ranges[other.symbol] = (low * other.last_ask // SCALE, high * other.last_ask // SCALE)
            volatilities[other.symbol] = other.volatility
            correlations[other.symbol] = other.correlations
    return value_at_risk(ranges, volatilities, correlations)


def _at_risk(who: str, owner: Track, held: Held, market: Market, signed: int, found: list[str]) -> None:
    caps, equity = owner.caps, owner.equity
    if not caps.of_risk:
        return
    try:
        lost = worst_value_at_risk(held, market, signed)
    except UnknownRiskError as unknown:
        found.append(f"{VALUE_AT_RISK_UNKNOWN} {who}{unknown}")
        return
    for code, worst, most, percent in (
        ("VALUE_AT_RISK_EXCEEDED", lost, caps.value_at_risk, caps.value_at_risk_percent),
        ("EXPECTED_SHORTFALL_EXCEEDED", expected_shortfall(lost), caps.shortfall, caps.shortfall_percent),
    ):
        if worst > most:
            found.append(f"{code} {who}worst={text(worst)} limit={text(most)}")
        if percent != UNLIMITED and worst * _HUNDRED > percent * equity:
            limit = text(max(0, percent * equity // _HUNDRED))
            found.append(f"{code} {who}worst={text(worst)} limit={limit} equity={text(equity)}")


def _correlated(who: str, caps: Caps, held: Iterable[Slot], market: Market, signed: int, found: list[str]) -> None:
    """Is anything held or ordered that bears the same risk (F17)? What offsets it is welcome."""
    if caps.correlation == UNLIMITED:
        return
    for one in held:
        other = one.market
        if other is market or _dust(other, one.worst):
            continue
        where = f"{who}symbol={market.symbol} with={other.symbol}"
        known = market.correlations.get(other.symbol)
        if known is None:
            found.append(f"{CORRELATION_UNKNOWN} {where}")
            continue
        alike = known if signed > 0 else -known
        worst = max(alike if one.long > 0 else 0, -alike if one.short > 0 else 0)
        if worst > caps.correlation:
            found.append(f"CORRELATION_EXCEEDED {where} correlation={text(worst)} limit={text(caps.correlation)}")


def _dust(market: Market, worst: int) -> bool:
    """What fees leave, and the venue takes no order for, is no position."""
    rules = market.instrument
    return not worst or (rules is not None and worst < max(rules.lot, rules.quantity_min))
