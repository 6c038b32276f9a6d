"""The loss ledger: what each track and the account have lost since 00:00 UTC. Pure; the host keeps it on disk.

Profit is the change of every asset a track has had, valued now: realised, unrealised and fees in one sum. The
opening value of a day is the last value seen before it began, so that what happens to a position overnight counts
in the new day, also if no process was running. A reached limit is latched until the day ends: a price that jumps
back does not open the gate again. Revisions, restarts, weights and the deletion of the system change nothing here.
"""

from typing import Final

import msgspec

DAY_NS: Final = 86_400_000_000_000
LATCH_AFTER: Final = 3
"""Evaluations in a row above the limit before it is latched; each of them refuses new exposure by itself."""


class Account(msgspec.Struct):
    """One owner's day. Quote currency scaled by 1e-8."""

    opening: int = 0
    last: int = 0
    carried: int = 0
    """Profit of earlier journals of this account, which the present journal does not contain."""
    latched: bool = False
    breaches: int = 0


class LossLedger(msgspec.Struct, kw_only=True):
    """Saved as JSON after each change that matters."""

    journal: int = 0
    """Creation time of the journal that ``last`` was computed from."""
    day: int = 0
    """Days since 1970-01-01 UTC."""
    accounts: dict[str, Account] = {}

    def open_journal(self, created: int) -> None:
        """Another journal than before starts at zero: carry over what it does not know."""
        if self.journal and created != self.journal:
            for account in self.accounts.values():
                account.carried = account.last
        self.journal = created

    def update(self, name: str, profit: int, limit: int, now: int) -> Account:
        """Fold in an owner's profit since the start of the journal; returns the owner's day."""
        self._turn(now // DAY_NS)
        account = self.accounts.setdefault(name, Account())
        account.last = account.carried + profit
        breached = 0 < limit <= self.loss(name)  # a limit of 0 (no weight) refuses by itself and latches nothing
        account.breaches = account.breaches + 1 if breached else 0
        if account.breaches >= LATCH_AFTER:
            account.latched = True
        return account

    def loss(self, name: str) -> int:
        account = self.accounts.get(name)
        return 0 if account is None else account.opening - account.last

    def _turn(self, day: int) -> None:
        if day <= self.day:
            return  # a clock that was set back does not give a fresh allowance
        self.day = day
        for account in self.accounts.values():
            account.opening = account.last
            account.latched = False
            account.breaches = 0


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
