"""What the simulated venue lists, and the rules that it puts on orders. Money scaled by 1e-8. Pure."""

from typing import Final

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse

MAX_NUM_ORDERS: Final = 200
"""Open orders per account and instrument."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument with the rules that are not part of `Instrument`."""

    instrument: Instrument
    price_min: int
    price_max: int
    notional_max: int
    orders_max: int = MAX_NUM_ORDERS
    multiplier_up: int = 5 * SCALE
    """Furthest above the reference price that an order may lie, as a factor scaled by 1e-8."""
    multiplier_down: int = SCALE // 5

    def price_filter(self, price: int) -> str | None:
        """Name of the price rule that a limit price breaks."""
        inside = self.price_min <= price <= self.price_max
        return None if inside and price % self.instrument.tick == 0 else "PRICE_FILTER"

    def percent_filter(self, price: int, reference: int) -> str | None:
        """Name of the rule against prices far from the market; no reference, no rule."""
        if not reference:
            return None
        inside = reference * self.multiplier_down <= price * SCALE <= reference * self.multiplier_up
        return None if inside else "PERCENT_PRICE_BY_SIDE"

    def quantity_filter(self, quantity: int) -> str | None:
        return None if self.instrument.quantity_error(quantity) is None else "LOT_SIZE"

    def notional_filter(self, amount: int) -> str | None:
        return None if self.instrument.notional_min <= amount <= self.notional_max else "NOTIONAL"


def _listing(base: str, tick: str, lot: str, quantity_max: str) -> Listing:
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
    )


LISTED: Final[dict[str, Listing]] = {
    listing.instrument.symbol: listing
    for listing in (_listing("BTC", "0.01", "0.00001", "9000"), _listing("ETH", "0.01", "0.0001", "9000"))
}
