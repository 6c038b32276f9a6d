"""Strategies that must not go live: what analysis is for. They run in the real pods of the end-to-end tests."""

import time

from momentum.strategy import SAMPLE_NS, MovingAverageCross, sellable
from ringfence.sdk import Instrument, Quote, Side

LATE_S = 1.2


class Slow(MovingAverageCross):
    """Decides well, and thinks for more than a second before each order."""

    def _through(self, side: Side, best: int, instrument: Instrument) -> int:
        time.sleep(LATE_S)  # sim-ok: to be slow is what it is for
        return super()._through(side, best, instrument)


class Loser(MovingAverageCross):
    """Buys and sells at every sample: each round pays the spread and two fees."""

    def on_quote(self, quote: Quote) -> None:
        averages = self.averages[quote.symbol]
        sample = self.context.now // SAMPLE_NS
        if sample == averages.sample or self.context.working(quote.symbol):
            return
        averages.sample = sample
        held = sellable(self.context.position(quote.symbol), quote, self.context.instrument(quote.symbol))
        self._follow(quote, wants_long=not held)
