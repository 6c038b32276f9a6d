"""What each track and the account have lost, at prices that closing now would fetch, and what that refuses. Pure."""

from collections.abc import Iterator

from ringfence.execution import losses
from ringfence.execution.gate import Gate
from ringfence.execution.losses import LossLedger, Owner
from ringfence.execution.state import FOREIGN, Track
from ringfence.model.calendar import Calendar
from ringfence.model.money import SCALE, text
from ringfence.model.positions import Book


def evaluate(
    gate: Gate,
    books: dict[str, Book],
    ledger: LossLedger,
    calendar: Calendar,
    currency: str,
    capital: int,
    wall: int,
) -> None:
    """Value every sub-ledger and bring the gate's losses up to date. ``capital``: of the system, in its currency."""
    account = gate.account
    total = 0
    worths: dict[str, int] = {}
    gate.loss_unknown = ""
    for name, book in books.items():
        worth = losses.value(book.cash, prices(gate, book, currency), currency, SCALE)
        if isinstance(worth, str):
            # what was lost before stays lost: nothing is refreshed, and new exposure waits for a price
            gate.loss_unknown = f"{worth} has no price in {currency}"
            return
        total += worth
        worths[name] = worth
    for track in gate.tracks.values():
        if track.name != FOREIGN:
            allocated = capital * track.weight // 100
            owner = ledger.update(track.name, worths.get(track.name, 0), allocated, calendar, wall)
            _tell(track, f"track={track.name} ", owner, ledger)
    owner = ledger.update("", total, capital, calendar, wall)
    _tell(account, "", owner, ledger)


def _tell(track: Track, who: str, owner: Owner, ledger: LossLedger) -> None:
    refusals = tuple(_refusals(who, track, owner, ledger))
    track.lost(owner.equity, owner.loss("day"), refusals)


def _refusals(who: str, track: Track, owner: Owner, ledger: LossLedger) -> Iterator[str]:
    """Of new exposure. A limit of 0 (no weight) refuses by itself and latches nothing."""
    name, caps = track.name if who else "", track.loss_caps
    for period, most, most_share in (
        ("day", track.caps.loss, caps.day_share),
        ("week", caps.week, caps.week_share),
        ("month", caps.month, caps.month_share),
    ):
        loss, lost_share = owner.loss(period), owner.loss_share(period)
        by_amount, by_share = 0 < most <= loss, 0 < most_share <= lost_share
        held = ledger.latch(name, period, by_amount or by_share)
        code = f"LOSS_{period.upper()}_REACHED {who}"
        if by_share:
            yield f"{code}percent={percent(lost_share)} limit_percent={percent(most_share)}"
        if by_amount and period != "day":  # the day's amount is compared by the gate itself
            yield f"{code}loss={text(loss)} limit={text(most)}"
        if held and not (by_amount or by_share):
            yield f"{code}latched_until=end_of_{period} loss={text(loss)} percent={percent(lost_share)}"
    if 0 < caps.rolling <= owner.rolling:
        yield f"LOSS_ROLLING_DAY_REACHED {who}loss={text(owner.rolling)} limit={text(caps.rolling)}"
    drawdown = owner.drawdown
    if 0 < caps.drawdown_reduce <= drawdown:
        limit = percent(caps.drawdown_reduce)
        yield f"DRAWDOWN_REDUCE {who}percent={percent(drawdown)} limit_percent={limit}"


def percent(part: int) -> str:
    """A share as people read it: 0.035 (scaled) is ``3.5``."""
    return text(part * 100)


def prices(gate: Gate, book: Book, currency: str) -> dict[str, int]:
    """By base asset: the bid for what is held, the ask for what is owed."""
    found = {}
    for market in gate.markets.values():
        rules = market.instrument
        if rules is not None and rules.quote == currency:
            found[rules.base] = market.bid if book.cash.get(rules.base, 0) >= 0 else market.ask
    return found
