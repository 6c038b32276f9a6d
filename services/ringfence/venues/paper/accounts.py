"""One paper account per track behind one venue: tracks on paper have their own money and never see each other. Pure.

Each engine watches the same market and knows nothing of the others: neither the liquidity that another has taken nor
its resting orders. To the outside all of them are one account, whose balances are the sum of what each has changed.
"""

from collections.abc import Callable, Mapping

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.orders import OrderEvent
from ringfence.venues import api
from ringfence.venues.paper.engine import PaperEngine, Resting
from ringfence.wire.messages import BookTop, Quote, Trade

Events = list[tuple[str, OrderEvent]]
Outcome = api.Accepted | api.Refused


class PaperAccounts:
    """As a `PaperEngine`, for many tracks.

    ``whose``: track of a client order id. ``opening``: what a track's account holds when it is opened. ``make``: an
    engine with these balances, under a name that makes its ids unique; all engines share one ``instruments``.
    """

    def __init__(
        self,
        instruments: dict[str, Instrument],
        held: Mapping[str, int],
        whose: Callable[[str], str],
        opening: Callable[[str], dict[str, int]],
        make: Callable[[dict[str, int], str], PaperEngine],
    ) -> None:
        self.instruments = instruments
        self.trades: dict[str, list[api.TradeReport]] = {}
        self._held = dict(held)
        """What the whole account held, less what the engines of now have changed."""
        self._whose = whose
        self._opening = opening
        self._make = make
        self._engines: dict[str, tuple[PaperEngine, dict[str, int]]] = {}
        self._made = 0
        self._books: dict[str, BookTop] = {}

    def of(self, track: str) -> PaperEngine:
        """A track's account; opened when first asked for."""
        found = self._engines.get(track)
        if found is None:
            opening = self._opening(track)
            self._made += 1
            engine = self._make(opening, str(self._made))
            engine.trades = self.trades
            for book in self._books.values():
                engine.book(book, book.ts_recv)
            found = self._engines[track] = (engine, opening)
        return found[0]

    def reopen(self, track: str) -> None:
        """Begin anew with fresh balances. Nothing of the track may be open; what it did stays in the whole."""
        found = self._engines.pop(track, None)
        if found is not None:
            for asset, amount in _changed(*found).items():
                self._held[asset] = self._held.get(asset, 0) + amount

    # --- market

    def book(self, book: BookTop, now: int) -> Events:
        self._books[book.symbol] = book
        return [event for engine, _ in self._engines.values() for event in engine.book(book, now)]

    def quote(self, quote: Quote, now: int) -> Events:
        return [event for engine, _ in self._engines.values() for event in engine.quote(quote, now)]

    def trade(self, trade: Trade, now: int) -> Events:
        return [event for engine, _ in self._engines.values() for event in engine.trade(trade, now)]

    # --- orders

    def submit(self, order: Approved, now: int) -> tuple[Outcome, Events]:
        return self._by_order(order.client_order_id).submit(order, now)

    def submit_pair(self, first: Approved, second: Approved, now: int) -> tuple[Outcome, Outcome, Events]:
        return self._by_order(first.client_order_id).submit_pair(first, second, now)

    def replace(
        self, replaced: str, order: Approved, now: int, *, untouched: bool
    ) -> tuple[Outcome, api.SubmitOutcome, Events]:
        return self._by_order(replaced).replace(replaced, order, now, untouched=untouched)

    def amend(self, client_order_id: str, quantity: int, now: int) -> tuple[Outcome, Events]:
        return self._by_order(client_order_id).amend(client_order_id, quantity, now)

    def cancel(self, client_order_id: str, now: int) -> tuple[Outcome, Events]:
        return self._by_order(client_order_id).cancel(client_order_id, now)

    def report(self, resting: Resting) -> api.OrderReport:
        return self._by_order(resting.order.client_order_id).report(resting)

    @property
    def open(self) -> dict[str, Resting]:
        return {name: resting for engine, _ in self._engines.values() for name, resting in engine.open.items()}

    @property
    def closed(self) -> dict[str, Resting]:
        return {name: resting for engine, _ in self._engines.values() for name, resting in engine.closed.items()}

    def balances(self) -> dict[str, api.VenueBalance]:
        total, locked = dict(self._held), dict[str, int]()
        for engine, opening in self._engines.values():
            for asset, amount in _changed(engine, opening).items():
                total[asset] = total.get(asset, 0) + amount
            for asset, amount in engine.locked.items():
                locked[asset] = locked.get(asset, 0) + amount
        return {a: api.VenueBalance(total[a] - locked.get(a, 0), locked.get(a, 0)) for a in sorted(total)}

    def _by_order(self, client_order_id: str) -> PaperEngine:
        return self.of(self._whose(client_order_id))


def _changed(engine: PaperEngine, opening: Mapping[str, int]) -> dict[str, int]:
    assets = engine.free.keys() | engine.locked.keys() | opening.keys()
    return {a: engine.free.get(a, 0) + engine.locked.get(a, 0) - opening.get(a, 0) for a in assets}
