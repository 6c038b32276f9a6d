"""What must hold for a position to be opened, beside all amounts: allowed instruments, types and times, a calm market,
volume to trade with, and fees that can be paid. Pure; orders that only reduce are not asked.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from ringfence.execution.caps import UNLIMITED, Caps, Span
from ringfence.execution.state import Market, Slot
from ringfence.model.money import SCALE, text
from ringfence.wire.messages import Intent

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
MINUTE_NS: Final = 60 * SECOND_NS
WEEK_MINUTES: Final = 7 * 24 * 60
MONDAY_MINUTES: Final = 4 * 24 * 60
"""1970-01-05 was the first Monday."""
_HUNDRED: Final = 100 * SCALE
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def allowed(intent: Intent, caps: Caps, wall: int, found: list[str]) -> None:
    """May this be traded at all, in this way and now?"""
    if caps.types is not None and intent.type not in caps.types:
        found.append(f"ORDER_TYPE_NOT_ALLOWED type={intent.type} allowed={','.join(sorted(caps.types))}")
    if caps.times is not None and intent.time_in_force not in caps.times:
        told = f"time_in_force={intent.time_in_force} allowed={','.join(sorted(caps.times))}"
        found.append(f"TIME_IN_FORCE_NOT_ALLOWED {told}")
    if intent.symbol in caps.restricted:
        found.append(f"INSTRUMENT_RESTRICTED symbol={intent.symbol}")
    if caps.sessions is not None:
        minute = (wall // MINUTE_NS - MONDAY_MINUTES) % WEEK_MINUTES
        if not _within(caps.sessions, minute):
            found.append(f"SESSION_CLOSED now={_moment(wall // SECOND_NS):%a_%H:%M}_UTC")
    second = wall // SECOND_NS
    if caps.blackouts and _within(caps.blackouts, second):
        until = max(end for since, end in caps.blackouts if since <= second < end)
        found.append(f"BLACKOUT until={_moment(until):%Y-%m-%dT%H:%M:%SZ}")


def _within(spans: tuple[Span, ...], moment: int) -> bool:
    for since, until in spans:  # noqa: SIM110 - a generator costs more than the rest of the check
        if since <= moment < until:
            return True
    return False


def _moment(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)


def calm(market: Market, caps: Caps, mono: int, found: list[str]) -> None:
    """Has its price behaved for the last seconds?"""
    tape = market.tape
    if caps.settle_ns and tape.crossed_mono and mono - tape.crossed_mono < caps.settle_ns:
        age, limit = (mono - tape.crossed_mono) // MILLISECOND_NS, caps.settle_ns // MILLISECOND_NS
        found.append(f"QUOTE_CROSSED_RECENTLY symbol={market.symbol} age_ms={age} limit_ms={limit}")
    if tape.range_bps > caps.volatility_bps:
        told = f"range_bps={text(tape.range_bps)} limit_bps={text(caps.volatility_bps)}"
        found.append(f"VOLATILITY_HALT symbol={market.symbol} {told}")


def participation(intent: Intent, market: Market, slot: Slot, caps: Caps, mono: int, found: list[str]) -> None:
    """Does it take little beside what the market trades? A volume that is not known yet is too small for any order."""
    if caps.participation == UNLIMITED:
        return
    volume = market.tape.volume
    if not volume.watched(mono):
        found.append(f"VOLUME_UNKNOWN symbol={market.symbol} window_s=10")
        return
    limit = volume.total(mono) * caps.participation // _HUNDRED
    taken = intent.quantity + slot.taken.total(mono)
    if taken > limit:
        told = f"quantity={text(taken)} limit={text(limit)} percent={text(caps.participation)}"
        found.append(f"PARTICIPATION_EXCEEDED {told}")


def daily(intent: Intent, market: Market, caps: Caps, mono: int, found: list[str]) -> None:
    """Is it small beside what the market traded in a day?"""
    if caps.volume_day == UNLIMITED:
        return
    volume = market.tape.day
    if not volume.watched(mono):
        found.append(f"VOLUME_UNKNOWN symbol={market.symbol} window_s=86400")
        return
    limit = volume.total(mono) * caps.volume_day // _HUNDRED
    if intent.quantity > limit:
        told = f"quantity={text(intent.quantity)} limit={text(limit)} percent={text(caps.volume_day)}"
        found.append(f"VOLUME_DAY_EXCEEDED {told}")


def fees(caps: Caps, balances: dict[str, int], found: list[str]) -> None:
    """Is there enough of what fees are paid in?"""
    if not caps.fee_token_floor:
        return
    free = balances.get(caps.fee_token)
    if free is None:
        found.append(f"BALANCE_UNKNOWN asset={caps.fee_token}")
    elif free < caps.fee_token_floor:
        found.append(
            f"FEE_TOKEN_BELOW_FLOOR asset={caps.fee_token} free={text(free)} floor={text(caps.fee_token_floor)}"
        )
