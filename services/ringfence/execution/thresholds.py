"""What losses and failures are judged by, as plain numbers. Pure."""

from typing import Final

import msgspec


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
    """Shares of failures, scaled by 1e-8, above which a breaker trips; 0 = not watched."""

    checks: int = 0
    rejects: int = 0
    connectivity: int = 0
    market_data: int = 0


NO_BREAKER_CAPS: Final = BreakerCaps()
