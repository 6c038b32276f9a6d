"""A moving-average cross: long while the fast average is above the slow one, flat otherwise."""

from collections.abc import Mapping

from ringfence.sdk import (
    Instrument,
    Quote,
    Side,
    Strategy,
    TimeInForce,
    amount,
    ceil_to,
    floor_to,
    integer,
    mid,
    notional,
    number,
)

SAMPLE_NS = 500_000_000
BPS = 10_000


class Averages:
    """Two exponential averages of one instrument's middle price, sampled twice a second."""

    def __init__(self) -> None:
        self.samples = 0
        self.fast = 0
        self.slow = 0
        self.sample = -1

    def add(self, price: int, fast: int, slow: int) -> None:
        """Fold one sample in. The first one is where both averages start."""
        self.samples += 1
        if self.samples == 1:
            self.fast = self.slow = price
        else:
            self.fast += (price - self.fast) * 2 // (fast + 1)
            self.slow += (price - self.slow) * 2 // (slow + 1)


class MovingAverageCross(Strategy):
    """Buys ``quantity`` while the fast average is above the slow one, and sells all of it below.

    It looks at where the averages are, not at the moment when they cross, so a fill that did not come, a denial or
    a restart needs no special case: at the next sample it looks again. A spot account cannot be short: below is flat.
    """

    fast = integer(default=5, minimum=1, maximum=3600, doc="Length of the fast average, in samples of half a second.")
    slow = integer(default=20, minimum=2, maximum=3600, doc="Length of the slow average; nothing is done before.")
    quantity = amount(default="0.01", minimum="0.00000001", doc="Base asset to hold while long.")
    offset_bps = number(default=2, minimum=0, maximum=50, doc="How far through the best price an order may execute.")

    def check_parameters(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"parameter 'fast' is {self.fast}: must be below 'slow', which is {self.slow}")

    def on_start(self) -> None:
        self.averages = {symbol: Averages() for symbol in self.context.symbols}

    def on_adopt(self, positions: Mapping[str, int]) -> None:
        """Nothing to do: the next sample looks at what is held and at where the averages are."""

    def on_quote(self, quote: Quote) -> None:
        averages = self.averages[quote.symbol]
        sample = self.context.now // SAMPLE_NS
        if sample == averages.sample:
            return
        averages.sample = sample
        averages.add(mid(quote), self.fast, self.slow)
        if averages.samples >= self.slow and not self.context.working(quote.symbol):
            self._follow(quote, wants_long=averages.fast > averages.slow)

    def _follow(self, quote: Quote, *, wants_long: bool) -> None:
        instrument = self.context.instrument(quote.symbol)
        held = sellable(self.context.position(quote.symbol), quote, instrument)
        if wants_long and not held:
            price = self._through(Side.BUY, quote.ask, instrument)
            self.context.buy(quote.symbol, self.quantity, price, time_in_force=TimeInForce.IOC)
        elif held and not wants_long:
            price = self._through(Side.SELL, quote.bid, instrument)
            self.context.sell(quote.symbol, held, price, time_in_force=TimeInForce.IOC, reduce_only=True)

    def _through(self, side: Side, best: int, instrument: Instrument) -> int:
        """A limit that executes at once: the opposite best price and a little more, on the price grid."""
        offset = int(best * self.offset_bps / BPS)
        if side is Side.BUY:
            return ceil_to(best + offset, instrument.tick)
        return max(instrument.tick, floor_to(best - offset, instrument.tick))


def sellable(position: int, quote: Quote, instrument: Instrument) -> int:
    """What of a position the venue lets us sell: whole lots, worth its minimum. Fees leave dust behind."""
    quantity = floor_to(position, instrument.lot)
    enough = quantity >= instrument.quantity_min and notional(quote.bid, quantity) >= instrument.notional_min
    return quantity if enough else 0
