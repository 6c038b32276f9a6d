"""A passive quoter: small bids and asks at a distance from the market, placed and cancelled at a set pace.

It earns where the market comes to it and goes away again. It also loads a system with as many orders a second as it
is told to, which is what `make load` uses it for.
"""

from ringfence.sdk import OrderChange, Quote, Side, Strategy, amount, ceil_to, floor_to, integer, number

__all__ = ["Quoter"]

SECOND_NS = 1_000_000_000
AT_ONCE = 40
"""Quotes placed on one event at most: what a pause in the market has saved up is not caught up with in one burst."""


class Quoter(Strategy):
    """Places ``rate`` quotes a second, bids and asks in turn, and cancels the oldest above ``working`` of them."""

    rate = integer(default=2, minimum=1, maximum=5_000, doc="Quotes placed a second.")
    size = amount(default="0.0002", minimum="0.00001", doc="Quantity of a quote, base asset.")
    distance = number(default=2.0, minimum=0.0, maximum=500, doc="Basis points from the best price on its own side.")
    working = integer(default=10, minimum=2, maximum=200, doc="Quotes that work at a time.")
    inventory = amount(default="0.01", minimum="0.00001", doc="Position beyond which only the closing side is quoted.")
    total = integer(default=0, minimum=0, maximum=10_000_000, doc="Quotes placed in all; 0 = without end.")

    def on_start(self) -> None:
        self.placed = 0
        self.due_ns = 0
        """Time that has passed since what it paid for was placed."""
        self.last_ns = 0
        self.side = Side.BUY
        self.ours: dict[str, None] = dict.fromkeys(one.intent_id for one in self.context.working())

    def on_quote(self, quote: Quote) -> None:
        now, gap_ns = self.context.now, SECOND_NS // self.rate
        self.due_ns += now - self.last_ns if self.last_ns else 0
        self.last_ns = now
        for _ in range(AT_ONCE):
            if self.due_ns < gap_ns or (self.total and self.placed >= self.total):
                break
            self.due_ns -= gap_ns
            self._place(quote)
        self.due_ns = min(self.due_ns, SECOND_NS)
        while len(self.ours) > self.working:
            oldest = next(iter(self.ours))
            del self.ours[oldest]
            self.context.cancel(oldest)

    def on_order(self, change: OrderChange) -> None:
        if change.closed:
            self.ours.pop(change.intent_id, None)

    def _place(self, quote: Quote) -> None:
        held = self.context.position(quote.symbol)
        self.side = self.side.opposite
        if abs(held) >= self.inventory:
            self.side = Side.SELL if held > 0 else Side.BUY
        tick = self.context.instrument(quote.symbol).tick
        if self.side is Side.BUY:
            price = floor_to(quote.bid - round(quote.bid * self.distance / 10_000), tick)
            name = self.context.buy(quote.symbol, self.size, price, post_only=True)
        else:
            price = ceil_to(quote.ask + round(quote.ask * self.distance / 10_000), tick)
            name = self.context.sell(quote.symbol, self.size, price, post_only=True)
        self.placed += 1
        self.ours[name] = None
