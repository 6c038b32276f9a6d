"""What can be traded, and the exact rules that its venue puts on an order."""

import msgspec

from ringfence.model.money import SCALE, text


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
