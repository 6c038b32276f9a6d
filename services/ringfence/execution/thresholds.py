"""What losses and failures are judged by, as plain numbers out of the limits. Pure."""

from typing import Final

import msgspec

from ringfence.runtime.config import Limits

SECOND_NS: Final = 1_000_000_000


class LossCaps(msgspec.Struct, frozen=True):
    """What an owner may lose. Currency scaled by 1e-8, shares of its equity scaled alike; 0 = not limited."""

    week: int = 0
    month: int = 0
    rolling: int = 0
    """In any 24 hours."""
    day_share: int = 0
    week_share: int = 0
    month_share: int = 0
    drawdown_reduce: int = 0
    drawdown_halt: int = 0
    streak: int = 0
    """Losing round trips in a row."""
    repeated: int = 0
    """Executions on one side of one instrument within ``repeated_ns``, without a person's word between them."""
    repeated_ns: int = 0


NO_LOSS_CAPS: Final = LossCaps()


class BreakerCaps(msgspec.Struct, frozen=True):
    """When failures trip a breaker; 0 = not watched. Shares scaled by 1e-8."""

    window_s: int = 60
    checks: int = 0
    checks_least: int = 1
    rejects: int = 0
    rejects_least: int = 1
    disconnected_ns: int = 0
    """Without the venue, or without usable data of what is held or working."""
    breach: int = 0
    """How far beyond its limit fills may carry a position, as a share of the limit."""


NO_BREAKER_CAPS: Final = BreakerCaps()


def loss_caps(limits: Limits) -> LossCaps:
    return LossCaps(
        week=limits.loss_week or 0,
        month=limits.loss_month or 0,
        rolling=limits.loss_rolling_day or 0,
        day_share=_share(limits.loss_day_percent),
        week_share=_share(limits.loss_week_percent),
        month_share=_share(limits.loss_month_percent),
        drawdown_reduce=_share(limits.loss_drawdown_reduce_percent),
        drawdown_halt=_share(limits.loss_drawdown_halt_percent),
        streak=limits.breakers_consecutive_losses or 0,
        repeated=limits.breakers_repeated_executions or 0,
        repeated_ns=limits.breakers_window_seconds * SECOND_NS,
    )


def breaker_caps(limits: Limits) -> BreakerCaps:
    return BreakerCaps(
        window_s=limits.breakers_window_seconds,
        checks=_share(limits.breakers_check_failure_percent),
        checks_least=limits.breakers_check_failure_min or 1,
        rejects=_share(limits.breakers_reject_percent),
        rejects_least=limits.breakers_reject_min or 1,
        disconnected_ns=(limits.breakers_disconnected_seconds or 0) * SECOND_NS,
        breach=_share(limits.breakers_position_breach_percent),
    )


def _share(percent: int | None) -> int:
    """Of a percentage scaled by 1e-8; rounded down, and what is limited stays limited."""
    return 0 if percent is None else max(1, percent // 100)
