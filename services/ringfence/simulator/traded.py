"""One listed instrument and all that belongs to it: its book, its market, what has traded. Pure."""

from ringfence.model.orders import Side
from ringfence.model.triggers import Trigger
from ringfence.simulator.catalog import Listing
from ringfence.simulator.history import History
from ringfence.simulator.impact import Impact
from ringfence.simulator.market import Feed, Market
from ringfence.simulator.matching import MatchingEngine
from ringfence.simulator.orders import VenueOrder
from ringfence.simulator.publisher import Publisher


class Instrument:
    __slots__ = (
        "engine",
        "feed",
        "halted",
        "history",
        "impact",
        "last_price",
        "listing",
        "prevented_id",
        "publisher",
        "trade_id",
        "waiting",
    )

    def __init__(self, listing: Listing, market: Market, first_id: int, start_ns: int) -> None:
        self.listing = listing
        self.engine = MatchingEngine()
        self.feed = Feed(market)
        self.publisher = Publisher(listing.instrument.symbol, self.engine, first_id, start_ns)
        self.trade_id = self.prevented_id = first_id
        self.history = History()
        self.last_price = 0
        self.halted = False
        self.impact = Impact()
        self.waiting: dict[int, tuple[VenueOrder, Trigger]] = {}
        """Conditional orders that are not on the book yet."""

    @property
    def reference(self) -> int:
        """Price that filters measure against: the last trade, else the middle of the book; 0 if neither."""
        bid, ask = self.engine.bids.best(), self.engine.asks.best()
        return self.last_price or ((bid + ask) // 2 if bid and ask else bid or ask)

    def given(self, side: Side) -> str:
        """The asset that an order of this side gives."""
        rules = self.listing.instrument
        return rules.quote if side is Side.BUY else rules.base
