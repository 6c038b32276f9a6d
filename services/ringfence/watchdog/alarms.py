"""Which alerts the watchdog raises. Pure.

About a stop it says what execution and the operator say, in the same labels; the rest only it can know.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.runtime.config import WatchdogConfig
from ringfence.watchdog.dropcopy import Difference
from ringfence.watchdog.judge import Verdict
from ringfence.watchdog.stops import Ask
from ringfence.wire.alerts import Alert, GateFacts, StopFacts, holding
from ringfence.wire.kill import Severity

CANCELLED: Final = "WatchdogCancelled"
UNREACHABLE: Final = "GateUnreachable"
DIFFERS: Final = "AccountDiffers"
BLIND: Final = "WatchdogBlind"
TOLD_MAX: Final = 5


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there may be to tell."""

    stop: Ask
    verdict: Verdict
    open_orders: int | None
    """Own orders at the venue, as last asked; None = not known."""
    cancelled: int
    cancelled_at: int
    """UTC nanoseconds; 0 = not lately."""
    differences: tuple[Difference, ...]
    blind: str
    """Why the venue cannot be asked; empty where it can."""


def alarms(
    config: WatchdogConfig, seen: Seen, since: Mapping[str, int], now: int
) -> tuple[tuple[Alert, ...], dict[str, int]]:
    """The alerts that hold, and since when each does (UTC nanoseconds), which is handed in again the next time."""
    found: dict[str, tuple[str, str, str]] = {}
    verdict = seen.verdict
    if seen.cancelled_at:
        told = f"{seen.cancelled} orders of the account were cancelled by the watchdog"
        found[CANCELLED] = "critical", told, verdict.reason
    if verdict.unreachable:
        found[UNREACHABLE] = "critical", f"{config.gate_pod} cannot be reached, and may be trading", verdict.reason
    if seen.differences:
        grave = any(one.grave for one in seen.differences)
        told = "; ".join(one.told for one in seen.differences[:TOLD_MAX])
        found[DIFFERS] = (
            "critical" if grave else "warning",
            f"account {config.account} is not as execution tells",
            told,
        )
    if seen.blind:
        found[BLIND] = "warning", f"the watchdog of {config.account} cannot see the venue", seen.blind
    names = [*found, *(("stop",) if seen.stop.severity >= Severity.CANCEL else ())]
    since = {name: since.get(name, now) for name in names}
    own = tuple(
        Alert(
            name=name,
            namespace=config.namespace,
            system=config.system,
            gate=config.gate_pod,
            level=level,
            summary=summary,
            reason=reason,
            since=since[name],
        )
        for name, (level, summary, reason) in found.items()
    )
    return own + holding(_stop(config, seen, since.get("stop", now)), now), since


def _stop(config: WatchdogConfig, seen: Seen, since: int) -> StopFacts:
    closed = seen.verdict.acknowledged
    # a gate that has closed says itself what works, and knows which orders protect a position and stay
    gate = GateFacts(pod=config.gate_pod, closed=closed, working=0 if closed else seen.open_orders)
    return StopFacts(
        namespace=config.namespace,
        system=config.system,
        severity=min(seen.stop.severity, Severity.CANCEL),  # flatness is not ours to judge
        reason=seen.stop.reason,
        since=since,
        gates=(gate,),
    )
