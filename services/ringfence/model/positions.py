"""Positions and cash as a fold over fills.

Exact by construction: the cost of what is closed is taken out of the cost of the position, whatever its
rounding, so that cash + cost - realised + fees is conserved to the last 1e-8 for any sequence of fills.
"""

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, notional
from ringfence.model.orders import Side


class Position(msgspec.Struct, kw_only=True):
    """One instrument's position. Everything is an integer scaled by 1e-8."""

    quantity: int = 0
    """Signed: positive long, negative short. A fee taken in the base asset reduces it."""
    cost: int = 0
    """Signed quote amount paid for what is held now; average price = cost / quantity."""
    realised: int = 0
    """Quote amount won or lost on what has been closed, before fees."""

    @property
    def average(self) -> int:
        """Average entry price, 0 when flat."""
        return 0 if self.quantity == 0 else self.cost * SCALE // self.quantity

    def unrealised(self, mark: int) -> int:
        """Quote amount that closing all at ``mark`` would add to ``realised``."""
        return notional(mark, self.quantity) - self.cost

    def trade(self, side: Side, quantity: int, price: int) -> None:
        """Fold one execution in: reducing first, and the rest of a flip opens at the price."""
        signed = side.sign * quantity
        reducing = min(quantity, abs(self.quantity)) if signed * self.quantity < 0 else 0
        amount = notional(price, quantity)
        closed = notional(price, reducing)
        if reducing:
            removed = self.cost * reducing // abs(self.quantity)
            self.realised += -side.sign * closed - removed
            self.cost -= removed
            self.quantity += side.sign * reducing
        opening = quantity - reducing
        if opening:
            self.quantity += side.sign * opening
            # the rest of the amount, not a rounding of its own: a flip of a position off the lot (after a fee in the
            # base asset) would else lose the last digit
            self.cost += side.sign * (amount - closed)

    def take_fee(self, quantity: int) -> None:
        """A fee charged in the base asset leaves the position, at its average cost, as a loss of stock.

        The cost stays: what remains was more expensive. If nothing remains, the cost is lost.
        """
        before = self.quantity
        self.quantity -= quantity
        if before * self.quantity <= 0:
            self.realised -= self.cost
            self.cost = 0


class Book(msgspec.Struct, kw_only=True):
    """One owner's cash and positions at one venue: a sub-ledger."""

    cash: dict[str, int] = {}
    """Change of each asset since the start of the ledger."""
    positions: dict[str, Position] = {}
    fees: dict[str, int] = {}
    """Sum of commissions by asset, positive = paid."""

    def fill(
        self, instrument: Instrument, side: Side, quantity: int, price: int, commission: int, commission_asset: str
    ) -> Position:
        """Fold one execution into cash, position and fees; returns the position."""
        position = self.positions.setdefault(instrument.symbol, Position())
        position.trade(side, quantity, price)
        amount = notional(price, quantity)
        self._move(instrument.quote, -side.sign * amount)
        self._move(instrument.base, side.sign * quantity)
        if commission:
            self.fees[commission_asset] = self.fees.get(commission_asset, 0) + commission
            self._move(commission_asset, -commission)
            if commission_asset == instrument.base:
                position.take_fee(commission)
        return position

    def undo(
        self, instrument: Instrument, side: Side, quantity: int, price: int, commission: int, commission_asset: str
    ) -> Position:
        """Take one execution back (a bust): assets, fees and quantity are as if it had never been.

        What it had won or lost stays where it is now, in ``realised`` or in the cost of what is held; their sum at
        any mark is exactly that of the ledger without the execution.
        """
        position = self.positions.setdefault(instrument.symbol, Position())
        if commission:
            self.fees[commission_asset] = self.fees.get(commission_asset, 0) - commission
            self._move(commission_asset, commission)
            if commission_asset == instrument.base:
                position.take_fee(-commission)
        position.trade(side.opposite, quantity, price)
        amount = notional(price, quantity)
        self._move(instrument.quote, side.sign * amount)
        self._move(instrument.base, -side.sign * quantity)
        return position

    def _move(self, asset: str, amount: int) -> None:
        self.cash[asset] = self.cash.get(asset, 0) + amount
