"""A position that is never without its exits: buy a pullback, and let the venue hold target and stop.

What protects it rests at the venue as one pair, so it works while this process restarts, and while a kill switch is
engaged that keeps protective orders.
"""

from ringfence.sdk import OrderChange, Quote, Strategy, amount, ceil_to, floor_to, notional, number

__all__ = ["GuardedPullback"]


class GuardedPullback(Strategy):
    """Buys once the bid is ``pullback`` percent below the highest bid seen, and protects what it holds."""

    size = amount(default="0.001", minimum="0.00001", doc="Quantity of the entry, base asset.")
    pullback = number(default=0.5, minimum=0.01, maximum=20, doc="Percent below the highest bid at which it buys.")
    target = number(default=1.0, minimum=0.05, maximum=50, doc="Percent above the entry of the resting exit.")
    stop = number(default=0.5, minimum=0.05, maximum=50, doc="Percent below the entry of the stop.")

    def on_start(self) -> None:
        self.highest = 0
        for symbol in self.context.symbols:
            if self._holds(symbol) and not self.context.working(symbol):
                self._protect(symbol)  # a restart between the fill and its exits

    def on_quote(self, quote: Quote) -> None:
        self.highest = max(self.highest, quote.bid)
        busy = self._holds(quote.symbol) or self.context.working(quote.symbol)
        if not busy and quote.bid <= _percent(self.highest, -self.pullback):
            self.context.buy(quote.symbol, self.size, quote.ask)
            self.highest = quote.bid

    def on_order(self, change: OrderChange) -> None:
        """Once nothing works any more and something is held, it needs its exits: after the entry, and should the
        exits themselves be refused."""
        if change.closed and self._holds(change.symbol) and not self.context.working(change.symbol):
            self._protect(change.symbol)

    def _holds(self, symbol: str) -> bool:
        """Whether the venue would take the exits of what is held. A smaller rest, such as a fee leaves, is as good as
        flat: it cannot be sold, and goes with the next entry's exits."""
        rules, held = self.context.instrument(symbol), self.context.position(symbol)
        if held <= 0:
            return False
        quantity = floor_to(held, rules.lot)
        worth = notional(self.context.average(symbol), quantity)
        return 0 < quantity >= rules.quantity_min and worth >= rules.notional_min

    def _protect(self, symbol: str) -> None:
        tick, entry = self.context.instrument(symbol).tick, self.context.average(symbol)
        target, stop = _percent(entry, self.target), _percent(entry, -self.stop)
        self.context.protect(symbol, target=ceil_to(target, tick), stop=floor_to(stop, tick))


def _percent(price: int, percent: float) -> int:
    """The price moved by so many percent."""
    return price + round(price * percent / 100)
