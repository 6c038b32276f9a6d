"""What can be traded, and the exact rules that its venue puts on an order."""

from typing import Final

import msgspec

from ringfence.model.money import SCALE, text

NO_LIMIT: Final = 1 << 62
"""Where the venue sets none: above any price, quantity or value."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument at one venue. Money fields are integers scaled by 1e-8."""

    symbol: str
    """The venue's own name, upper case: ``BTCUSDT``."""
    base: str
    quote: str
    tick: int
    """Smallest price step."""
    lot: int
    """Smallest quantity step."""
    quantity_min: int
    quantity_max: int
    notional_min: int
    notional_max: int = NO_LIMIT
    price_min: int = 1
    price_max: int = NO_LIMIT
    market_quantity_max: int = NO_LIMIT
    """Of an order without a price, where that is less than the other."""
    iceberg_parts: int = 10
    """Most parts that an order may be shown in."""
    trailing_bps_min: int = 1
    trailing_bps_max: int = 9_999

    def __post_init__(self) -> None:
        if self.tick <= 0 or self.lot <= 0:
            raise ValueError(f"{self.symbol}: tick {text(self.tick)} and lot {text(self.lot)} must be positive")
        if self.tick * self.lot % SCALE:
            raise ValueError(f"{self.symbol}: tick times lot is finer than 1e-8, so amounts would not be exact")

    def price_error(self, price: int) -> str | None:
        """Why the venue would refuse this price, or None."""
        if price <= 0:
            return f"PRICE_NOT_POSITIVE price={text(price)}"
        if price % self.tick:
            return f"PRICE_PRECISION price={text(price)} tick={text(self.tick)}"
        if not self.price_min <= price <= self.price_max:
            lowest, highest = text(self.price_min), text(self.price_max)
            return f"PRICE_OUTSIDE_VENUE_RANGE price={text(price)} minimum={lowest} maximum={highest}"
        return None

    def quantity_error(self, quantity: int) -> str | None:
        """Why the venue would refuse this quantity, or None."""
        if quantity <= 0:
            return f"QUANTITY_NOT_POSITIVE quantity={text(quantity)}"
        if quantity % self.lot:
            return f"QUANTITY_PRECISION quantity={text(quantity)} lot={text(self.lot)}"
        if quantity < self.quantity_min:
            return f"QUANTITY_BELOW_VENUE_MINIMUM quantity={text(quantity)} minimum={text(self.quantity_min)}"
        if quantity > self.quantity_max:
            return f"QUANTITY_ABOVE_VENUE_MAXIMUM quantity={text(quantity)} maximum={text(self.quantity_max)}"
        return None
