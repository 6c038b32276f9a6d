"""How much of each limit is used, which soft levels are judged by. Pure; for metrics, never on the order path."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ringfence.execution.caps import UNLIMITED
from ringfence.execution.gate import Gate
from ringfence.execution.losses import LossLedger
from ringfence.execution.portfolio import worst_value_at_risk
from ringfence.execution.state import FOREIGN, Market, Slot, Track
from ringfence.execution.value_at_risk import UnknownRiskError, expected_shortfall
from ringfence.model.money import SCALE


class Usage(NamedTuple):
    """One limit of one owner."""

    limit: str
    """Field of the limits, such as position_gross."""
    owner: str
    share: float
    """Of the limit: 1.0 is all of it. Infinite where the limit is 0 and something is used."""
    soft: bool
    """The soft level is reached."""


def usages(gate: Gate, ledger: LossLedger, streaks: Mapping[str, int]) -> Iterator[Usage]:
    """Of the account and of each track of ours. ``streaks``: losses in a row by track."""
    markets = gate.markets.values()
    yield from _owner(gate.account, [(market, market) for market in markets], ledger, "", 0)
    for track in gate.tracks.values():
        if track.name != FOREIGN:
            held = [(slot.market, slot) for slot in track.slots.values()]
            yield from _owner(track, held, ledger, track.name, streaks.get(track.name, 0))


def _owner(
    track: Track, held: Sequence[tuple[Market, Market | Slot]], ledger: LossLedger, name: str, streak: int
) -> Iterator[Usage]:
    """``name``: of its page of the ledger."""
    caps, limits, equity, lost = track.caps, track.caps.limits, max(0, track.equity), ledger.owner(name)
    values = [one.worst * market.last_ask // SCALE for market, one in held]
    sectors = Counter[str]()
    for (market, _), value in zip(held, values, strict=True):
        sectors[caps.sector_of(market.symbol)] += value
    long = sum(one.long * market.last_ask // SCALE for market, one in held)
    short = sum(one.short * market.last_ask // SCALE for market, one in held)
    gross, largest = sum(values), max(values, default=0)
    at_risk = _at_risk(held) if caps.of_risk else 0
    shortfall = expected_shortfall(at_risk)
    for field, used, limit in (
        ("order_working_orders", track.working, caps.working),
        ("position_per_instrument", largest, caps.position),
        ("position_gross", gross, caps.gross),
        ("position_net", max(long, short), caps.net),
        ("position_leverage", gross * SCALE, _of(caps.leverage, equity)),
        ("position_concentration_percent", largest * 100 * SCALE, _of(caps.concentration, equity)),
        ("position_sector_percent", max(sectors.values(), default=0) * 100 * SCALE, _of(caps.sector, equity)),
        ("position_value_at_risk", at_risk, caps.value_at_risk),
        ("position_value_at_risk_percent", at_risk * 100 * SCALE, _of(caps.value_at_risk_percent, equity)),
        ("position_expected_shortfall", shortfall, caps.shortfall),
        ("position_expected_shortfall_percent", shortfall * 100 * SCALE, _of(caps.shortfall_percent, equity)),
        ("loss_day", lost.loss("day"), limits.loss_day),
        ("loss_week", lost.loss("week"), limits.loss_week),
        ("loss_month", lost.loss("month"), limits.loss_month),
        ("loss_rolling_day", lost.rolling, limits.loss_rolling_day),
        ("loss_day_percent", lost.loss_share("day") * 100, limits.loss_day_percent),
        ("loss_week_percent", lost.loss_share("week") * 100, limits.loss_week_percent),
        ("loss_month_percent", lost.loss_share("month") * 100, limits.loss_month_percent),
        ("loss_drawdown_halt_percent", lost.drawdown * 100, limits.loss_drawdown_halt_percent),
        ("breakers_consecutive_losses", streak, limits.breakers_consecutive_losses),
    ):
        if limit is not None and limit < UNLIMITED:
            share = max(0, used) / limit if limit > 0 else float("inf") if used > 0 else 0.0
            yield Usage(field, track.name, share, used > 0 and share * 100 >= limits.soft_percent)


def _at_risk(held: Sequence[tuple[Market, Market | Slot]]) -> int:
    """What is not known is no small risk."""
    try:
        return worst_value_at_risk(held)
    except UnknownRiskError:
        return UNLIMITED


def _of(ratio: int, equity: int) -> int:
    return UNLIMITED if ratio == UNLIMITED else ratio * equity
