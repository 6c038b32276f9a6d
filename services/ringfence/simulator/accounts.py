"""Who owns what: an exact ledger. Amounts are integers scaled by 1e-8. Pure.

Every movement has two ends, so the sum over all accounts of an asset never changes: what clients win or lose
is found in `MARKET` (all other participants, unlimited) and in `FEES`.
"""

from typing import Final

import msgspec

MARKET: Final = "@market"
FEES: Final = "@fees"


class LedgerError(Exception):
    """A movement that would break the books: a bug of the venue, never a client's doing."""


class Balance(msgspec.Struct):
    free: int = 0
    locked: int = 0
    """Reserved by open orders."""

    @property
    def total(self) -> int:
        return self.free + self.locked


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One participant's end of an execution."""

    account: str
    gives: str
    amount: int
    """Of ``gives``; out of what the order has locked."""
    gets: str
    proceeds: int
    """Of ``gets``, before the fee."""
    fee: int
    """Of ``gets``."""


class Ledger:
    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, Balance]] = {MARKET: {}, FEES: {}}
        self._opening: dict[str, dict[str, int]] = {MARKET: {}, FEES: {}}

    def open(self, account: str, balances: dict[str, int]) -> None:
        """Open an account with these free balances. Raises ValueError for a taken name or a negative amount."""
        if account in self._accounts:
            raise ValueError(f"account {account} exists")
        if any(amount < 0 for amount in balances.values()):
            raise ValueError(f"account {account} cannot open with a negative balance")
        self._accounts[account] = {asset: Balance(free=amount) for asset, amount in balances.items()}
        self._opening[account] = dict(balances)

    @property
    def clients(self) -> tuple[str, ...]:
        return tuple(name for name in self._accounts if name not in {MARKET, FEES})

    def balances(self, account: str) -> dict[str, Balance]:
        """The account's balances, by asset. A view: do not change it."""
        return self._accounts[account]

    def balance(self, account: str, asset: str) -> Balance:
        return self._accounts[account].setdefault(asset, Balance())

    def delta(self, account: str) -> dict[str, int]:
        """Change of each asset since the account was opened."""
        opening = self._opening[account]
        return {asset: b.total - opening.get(asset, 0) for asset, b in self._accounts[account].items()}

    def total(self, asset: str) -> int:
        """Sum over all accounts: a constant."""
        return sum(b.total for account in self._accounts.values() if (b := account.get(asset)) is not None)

    def reserve(self, account: str, asset: str, amount: int) -> bool:
        """Lock for an order. False, and nothing done, when there is not enough."""
        balance = self.balance(account, asset)
        if amount < 0 or balance.free < amount:
            return False
        balance.free -= amount
        balance.locked += amount
        return True

    def release(self, account: str, asset: str, amount: int) -> None:
        """Unlock what an order no longer needs."""
        balance = self.balance(account, asset)
        if not 0 <= amount <= balance.locked:
            raise LedgerError(f"{account} releases {amount} of {balance.locked} {asset}")
        balance.locked -= amount
        balance.free += amount

    def settle(self, leg: Leg) -> None:
        """Book one end of an execution. The other end is the counterparty's leg, `MARKET` without orders."""
        gives = self.balance(leg.account, leg.gives)
        if leg.account == MARKET:
            gives.free -= leg.amount
        else:
            if not 0 <= leg.amount <= gives.locked:
                raise LedgerError(f"{leg.account} gives {leg.amount} of {gives.locked} {leg.gives}")
            gives.locked -= leg.amount
        if not 0 <= leg.fee <= leg.proceeds:
            raise LedgerError(f"fee {leg.fee} of {leg.proceeds} {leg.gets}")
        self.balance(leg.account, leg.gets).free += leg.proceeds - leg.fee
        if leg.fee:
            self.balance(FEES, leg.gets).free += leg.fee

    def restate(self, moves: dict[str, dict[str, int]]) -> bool:
        """Take back what should not have moved. False, and nothing done, where a client no longer has it free."""
        for account in moves.keys() - {MARKET, FEES}:
            if any(self.balance(account, asset).free + amount < 0 for asset, amount in moves[account].items()):
                return False
        for account, changes in moves.items():
            for asset, amount in changes.items():
                self.balance(account, asset).free += amount
        return True
