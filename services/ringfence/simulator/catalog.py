"""What the simulated venue lists, and the rules that it puts on orders. Money scaled by 1e-8. Pure."""

from typing import Final

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse
from ringfence.model.orders import Side

MAX_NUM_ORDERS: Final = 200
"""Open orders per account and instrument."""
MAX_NUM_ALGO_ORDERS: Final = 5
"""Those of them that wait for a trigger."""
ICEBERG_PARTS: Final = 10
TRAILING_BPS: Final = (10, 2_000)
MULTIPLIERS: Final = {Side.BUY: (5 * SCALE, SCALE // 5), Side.SELL: (5 * SCALE, SCALE // 5)}


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument with the rules that are not part of `Instrument`."""

    instrument: Instrument
    price_min: int
    price_max: int
    notional_max: int
    market_quantity_max: int
    """Of a market order, below that of a limit order."""
    orders_max: int = MAX_NUM_ORDERS
    algo_orders_max: int = MAX_NUM_ALGO_ORDERS
    iceberg_parts: int = ICEBERG_PARTS
    trailing_bps: tuple[int, int] = TRAILING_BPS
    position_max: int = 0
    """Most of the base asset that an account may hold and have on order; 0 = no such rule."""
    multipliers: dict[Side, tuple[int, int]] = msgspec.field(default_factory=lambda: dict(MULTIPLIERS))
    """Furthest above and below the reference price that an order may lie, as factors scaled by 1e-8."""

    def price_filter(self, price: int) -> str | None:
        """Name of the price rule that a limit price breaks."""
        inside = self.price_min <= price <= self.price_max
        return None if inside and price % self.instrument.tick == 0 else "PRICE_FILTER"

    def percent_filter(self, side: Side, price: int, reference: int) -> str | None:
        """Name of the rule against prices far from the market; no reference, no rule."""
        if not reference:
            return None
        up, down = self.multipliers[side]
        inside = reference * down <= price * SCALE <= reference * up
        return None if inside else "PERCENT_PRICE_BY_SIDE"

    def market_quantity_filter(self, quantity: int) -> str | None:
        return None if quantity <= self.market_quantity_max else "MARKET_LOT_SIZE"

    def iceberg_filter(self, quantity: int, display: int) -> str | None:
        """Name of the rule that showing the quantity in parts of this size breaks; 0 shows all of it."""
        if not display:
            return None
        if self.quantity_filter(display) is not None:
            return "LOT_SIZE"
        return None if -(-quantity // display) <= self.iceberg_parts else "ICEBERG_PARTS"

    def trailing_filter(self, bps: int) -> str | None:
        least, most = self.trailing_bps
        return None if not bps or least <= bps <= most else "TRAILING_DELTA"

    def quantity_filter(self, quantity: int) -> str | None:
        return None if self.instrument.quantity_error(quantity) is None else "LOT_SIZE"

    def notional_filter(self, amount: int) -> str | None:
        return None if self.instrument.notional_min <= amount <= self.notional_max else "NOTIONAL"


def _listing(base: str, tick: str, lot: str, quantity_max: str, market_max: str) -> Listing:
    return Listing(
        instrument=Instrument(
            symbol=f"{base}USDT",
            base=base,
            quote="USDT",
            tick=parse(tick),
            lot=parse(lot),
            quantity_min=parse(lot),
            quantity_max=parse(quantity_max),
            notional_min=parse("5"),
        ),
        price_min=parse(tick),
        price_max=parse("1000000"),
        notional_max=parse("9000000"),
        market_quantity_max=parse(market_max),
    )


LISTED: Final[dict[str, Listing]] = {
    listing.instrument.symbol: listing
    for listing in (
        _listing("BTC", "0.01", "0.00001", "9000", "120"),
        _listing("ETH", "0.01", "0.0001", "9000", "2000"),
    )
}
