"""The loss ledger: what each track and the account have lost, since when, and from which height. Pure.

Profit is the change of every asset that an owner has had, valued now: realised, unrealised, fees and funding in one
sum. A period (day, week, month) opens with the last value seen before it began, so that what happens to a position
overnight counts in the new day, also if no process was running. Beside the periods stands a rolling 24 hours, which
no midnight empties. A reached limit is latched until its period ends: a price that jumps back does not open the gate.

Equity is what was allocated plus profit. Allocating more or less (a change of weight, a handover, a new capital) is
a cash flow: it moves equity, the high-water mark and the openings in the same proportion, so that it is neither a
profit nor a loss and changes no drawdown. An owner without capital keeps its last equity, and with it what it lost.

Ledgers belong to the system and the account: revisions, restarts, promotions, weights, another journal and the
deletion of the system change nothing here. A clock that is set back gives no fresh allowance.
"""

from typing import Final

import msgspec

from ringfence.model.calendar import Calendar, Keys
from ringfence.model.money import SCALE

SECOND_NS: Final = 1_000_000_000
BUCKET_NS: Final = 300 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS
ROLLING_BUCKETS: Final = DAY_NS // BUCKET_NS
LATCH_AFTER: Final = 3
"""Evaluations in a row above the limit before it is latched; each of them refuses new exposure by itself."""
PERIODS: Final = ("day", "week", "month")


class Period(msgspec.Struct):
    """Since a boundary. Quote currency scaled by 1e-8."""

    key: int = 0
    opening: int = 0
    """Profit at the boundary."""
    equity: int = 0
    """Equity at the boundary, moved with every cash flow since: what percentages are of."""
    latched: bool = False
    breaches: int = 0
    """Evaluations in a row that found a limit reached."""


class Owner(msgspec.Struct):
    """One track's, or the account's, standing. Quote currency scaled by 1e-8."""

    last: int = 0
    carried: int = 0
    """Profit of earlier journals of this account, which the present journal does not contain."""
    allocated: int = 0
    equity: int = 0
    peak: int = 0
    """High-water mark of equity."""
    periods: dict[str, Period] = {}
    buckets: list[tuple[int, int]] = []
    """For the rolling loss: a bucket's number and the profit when it began, oldest first, one day of them."""

    def loss(self, period: str = "day") -> int:
        """Lost since the boundary; negative while winning."""
        found = self.periods.get(period)
        return 0 if found is None else found.opening - self.last

    def loss_share(self, period: str) -> int:
        """The same as a share of equity at the boundary, scaled; 0 while nothing was ever allocated."""
        found = self.periods.get(period)
        if found is None:
            return 0
        return share(found.equity - self.equity, found.equity)

    @property
    def rolling(self) -> int:
        """Lost in the last 24 hours (and at most one bucket more)."""
        return self.buckets[0][1] - self.last if self.buckets else 0

    @property
    def drawdown(self) -> int:
        """How far equity lies below its high-water mark, as a share of the mark, scaled (F20)."""
        return share(self.peak - self.equity, self.peak)


def share(loss: int, of: int) -> int:
    """``loss / of`` scaled by 1e-8, rounded up: a loss is never told smaller than it is."""
    if loss <= 0:
        return 0
    return -(-loss * SCALE // of) if of > 0 else 0


class LossLedger(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Saved as JSON after each change that matters. A file of another shape is refused: its losses are not zero."""

    journal: int = 0
    """Creation time of the journal that ``last`` was computed from."""
    owners: dict[str, Owner] = {}

    def open_journal(self, created: int) -> None:
        """Another journal than before starts at zero: carry over what it does not know."""
        if self.journal and created != self.journal:
            for owner in self.owners.values():
                owner.carried = owner.last
        self.journal = created

    def owner(self, name: str) -> Owner:
        found = self.owners.get(name)
        if found is None:
            found = self.owners[name] = Owner(periods={}, buckets=[])
        return found

    def update(self, name: str, profit: int, allocated: int, calendar: Calendar, wall: int) -> Owner:
        """Fold in an owner's profit since the start of the journal, and what it is allocated; returns the owner."""
        owner = self.owner(name)
        if allocated > 0 and allocated != owner.allocated:
            _flow(owner, allocated)
        _turn(owner, calendar.keys(wall), wall // BUCKET_NS)
        now = owner.carried + profit
        owner.equity += now - owner.last
        owner.last = now
        owner.peak = max(owner.peak, owner.equity)
        return owner

    def latch(self, name: str, period: str, reached: bool) -> bool:
        """Whether a loss of this period refuses new exposure: it is above a limit now, or was confirmed to be."""
        found = self.owner(name).periods[period]
        found.breaches = found.breaches + 1 if reached else 0
        if found.breaches >= LATCH_AFTER:
            found.latched = True
        return reached or found.latched


def _flow(owner: Owner, allocated: int) -> None:
    """Money comes or goes: equity becomes what is allocated, and every reference moves in the same proportion."""
    moved = allocated - owner.allocated
    if owner.equity > 0 and owner.allocated:
        before = owner.equity
        owner.equity = allocated
        owner.peak = max(allocated, -(-owner.peak * allocated // before))
        for period in owner.periods.values():
            period.equity = period.equity * allocated // before
    else:  # the first money, or more of it after all was lost: nothing to keep in proportion
        owner.equity += moved
        owner.peak = max(owner.peak + moved, 0)
        for period in owner.periods.values():
            period.equity = max(period.equity + moved, 0)
    owner.allocated = allocated


def _turn(owner: Owner, keys: Keys, bucket: int) -> None:
    """Open what has begun since the last evaluation, with what was last seen before it."""
    for name, key in zip(PERIODS, keys, strict=True):
        period = owner.periods.get(name)
        if period is None or key > period.key:  # never back: a clock that was set back gives no fresh allowance
            owner.periods[name] = Period(key, owner.last, owner.equity)
    if not owner.buckets:
        owner.buckets.append((bucket, owner.last))
    elif bucket > owner.buckets[-1][0]:
        owner.buckets.append((bucket, owner.last))
        while owner.buckets[0][0] < bucket - ROLLING_BUCKETS:
            del owner.buckets[0]


def value(cash: dict[str, int], prices: dict[str, int], currency: str, scale: int) -> int | str:
    """Worth of changes of assets in the currency, or the asset that has no price."""
    total = cash.get(currency, 0)
    for asset, amount in cash.items():
        if amount and asset != currency:
            price = prices.get(asset)
            if not price:
                return asset
            total += amount * price // scale
    return total
