"""The account as the venue shows it, against the account as execution's events tell it. Pure.

Execution compares the same things itself; this is a second pair of eyes with another connection, so that a gate that
deceives itself is found. A difference is told only when it has been there, unchanged in kind, for several looks in a
row. Between a fill and its event lies a moment in which the two differ; so the holdings are compared with every state
of the books from before the question until after the answer, and agree if they agree with one of these.

Nothing of the day's loss is kept here that a restart could forget: what was held when the day began follows from the
journal's events by their own times, and what it was worth then from the venue's own history of prices.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ringfence.model.calendar import Calendar
from ringfence.model.instrument import Instrument
from ringfence.model.money import notional, text
from ringfence.model.order_table import OrderTable
from ringfence.model.orders import OrderState
from ringfence.model.positions import Book
from ringfence.wire.messages import OrderUpdate

AT_VENUE: Final = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})
"""States in which an order must be in the venue's list."""
STATES_MAX: Final = 10_000
_Holdings = frozenset[tuple[str, int]]
"""Amounts by asset; none that is 0."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the venue."""

    ts: int
    """UTC nanoseconds."""
    open_ids: frozenset[str]
    """Client ids of all open orders, foreign ones too."""
    balances: Mapping[str, int]
    """Free and locked, by asset."""
    prices: Mapping[str, int]
    """Middle of the venue's best prices, by symbol; a symbol without a two-sided book is missing."""
    openings: Mapping[str, int] = {}
    """The venue's price when this day began, by symbol; of those that `carried` names, where it is known."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that does not agree. ``grave``: money is unexplained, or a loss limit has not held."""

    what: str
    told: str
    grave: bool


class DropCopy:
    """Fold of one gate's events, and of the looks that are held against it."""

    def __init__(self, instruments: Iterable[Instrument], currency: str, looks: int, calendar: Calendar) -> None:
        self.orders = OrderTable()
        self.book = Book(cash={}, positions={}, fees={})
        self.unknown_fills = 0
        self.foreign_orders = 0
        self._instruments = {one.symbol: one for one in instruments}
        self._currency = currency
        self.loss_max: int | None = None
        """Loss of a day at which the gate lets nothing new through; None = not known, and then not judged."""
        self._looks = looks
        self._seen: dict[str, int] = {}
        """Looks in a row in which a difference was there, by what."""
        self._baselines: tuple[_Holdings, ...] = ()
        """Holdings that the events do not explain: what the owner had before. As at the first look: what moves while no
        watchdog runs is found by execution, which keeps its own in the journal. Several are possible after a look in
        which fills came while the venue was asked; each look leaves those that it agrees with."""
        self._states: list[dict[str, int]] = []
        """Cash by asset, in each state since `asked`."""
        self._calendar = calendar
        self._day = 0
        self._opened: dict[str, int] = {}
        """Cash by asset when this day began."""
        self._earlier = 0
        """Lost on this day by the fills of a journal that is gone."""
        self.loss = 0
        """Lost since this day began, quote currency; negative = won."""

    def update(self, update: OrderUpdate) -> None:
        """Fold one event. Each once and in order: the feed sees to that."""
        self._turn(update.event.ts)
        applied = self.orders.apply(update.event)
        if applied.order is None:
            self.unknown_fills += 1
            return
        instrument = self._instruments.get(applied.order.symbol)
        for fill, change in ((applied.undone, self.book.undo), (applied.fill, self.book.fill)):
            if fill is not None and instrument is not None:
                change(
                    instrument, applied.order.side, fill.quantity, fill.price, fill.commission, fill.commission_asset
                )

        if self._states and len(self._states) < STATES_MAX:
            self._states.append(dict(self.book.cash))

    def asked(self) -> None:
        """The venue is being asked now; the next look is its answer."""
        self._states = [dict(self.book.cash)]

    def restart(self) -> None:
        """The gate has begun another journal: its fills begin again, and so does what they explain."""
        self.orders = OrderTable()
        self.book = Book(cash={}, positions={}, fees={})
        self._opened, self._earlier = {}, self.loss
        self.accept()

    def accept(self) -> None:
        """A person has accepted the account as it is."""
        self._baselines = ()
        self._seen.clear()

    def carried(self, ts: int) -> tuple[str, ...]:
        """Symbols in which something was held when the day of this moment began."""
        self._turn(ts)
        return tuple(symbol for symbol, one in self._instruments.items() if self._opened.get(one.base))

    def _turn(self, ts: int) -> None:
        """The day begins with what was held before; a clock that is set back begins none."""
        day = self._calendar.keys(ts).day
        if day > self._day:
            self._day, self._opened, self._earlier = day, dict(self.book.cash), 0

    def look(self, look: Look) -> tuple[Difference, ...]:
        """Compare, and return what has differed in as many looks in a row as it takes."""
        found = {one.what: one for one in (*self._holdings(look), *self._open(look), *self._loss(look))}
        self._seen = {what: self._seen.get(what, 0) + 1 for what in found}
        return tuple(one for what, one in sorted(found.items()) if self._seen[what] >= self._looks)

    def _holdings(self, look: Look) -> Iterable[Difference]:
        states, self._states = self._states or [dict(self.book.cash)], []
        unexplained = [frozenset(_less(look.balances, cash).items()) for cash in states]
        self._baselines = self._baselines or tuple(dict.fromkeys(unexplained))
        possible = set(unexplained)
        if agreed := tuple(one for one in self._baselines if one in possible):
            self._baselines = agreed
            return
        for asset, amount in sorted(_less(dict(unexplained[-1]), dict(self._baselines[-1])).items()):
            told = f"the account holds {text(amount)} {asset} that no event explains"
            yield Difference(f"balance {asset}", told, grave=True)

    def _open(self, look: Look) -> Iterable[Difference]:
        known = {*self.orders.open, *self.orders.closed}
        self.foreign_orders = len(look.open_ids - known)
        for name, order in self.orders.open.items():
            if order.state in AT_VENUE and name not in look.open_ids:
                yield Difference(f"lost {name}", f"order {name} works by the events, and not at the venue", grave=False)
        for name in look.open_ids & self.orders.closed.keys():
            yield Difference(f"alive {name}", f"order {name} is over by the events, and open at the venue", grave=False)

    def _loss(self, look: Look) -> Iterable[Difference]:
        """Value of what the fills have made, at the venue's own prices, since the day began. Of all fills that
        execution tells, whatever track; deposits and the owner's holdings do not move it."""
        self._turn(look.ts)
        opening = self._value(self._opened, look.openings)
        if opening is None:
            told = "the price at the day's beginning is not known: only what this day's fills have lost is judged"
            yield Difference("opening", told, grave=False)
            opening = self._value(self._opened, look.prices)
        value = self._value(self.book.cash, look.prices)
        if value is None or opening is None:
            return
        self.loss = self._earlier + opening - value
        if self.loss_max is not None and self.loss > self.loss_max:
            told = f"lost {text(self.loss)} {self._currency} since this day began, more than {text(self.loss_max)}"
            yield Difference("loss", told, grave=True)

    def _value(self, amounts: Mapping[str, int], prices: Mapping[str, int]) -> int | None:
        """In the currency; None where an asset that is held has no price. Fees in a third asset are left out."""
        total = amounts.get(self._currency, 0)
        for symbol, instrument in self._instruments.items():
            amount = amounts.get(instrument.base, 0)
            if not amount or instrument.quote != self._currency:
                continue
            if symbol not in prices:
                return None
            total += notional(prices[symbol], amount)
        return total


def _less(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """What is left of one without the other; assets without any are left out."""
    found = {asset: one.get(asset, 0) - other.get(asset, 0) for asset in {*one, *other}}
    return {asset: amount for asset, amount in found.items() if amount}
