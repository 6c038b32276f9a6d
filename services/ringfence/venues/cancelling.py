"""What a venue is to somebody who may only cancel and look: the watchdog. There is no way to an order in here."""

from typing import Final, Protocol

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.venues.api import CancelOutcome, OrderReport, VenueBalance

AT_MOST_S: Final = 300
"""How much later than a moment a price may be that is called the price at it."""


class Price(msgspec.Struct, frozen=True):
    """Best prices, scaled; 0 where that side of the book is empty."""

    bid: int
    ask: int


class CancelOnly(Protocol):
    """An account at a venue: its open orders, what it holds, and the end of its orders."""

    async def open(self) -> None:
        """Ready to be asked. Nothing is kept connected that has not been used."""

    async def close(self) -> None: ...

    async def cancel_all(self, symbol: str) -> CancelOutcome:
        """Every open order of the account in this symbol, whoever sent it. Refused also where there is none."""

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """All open orders of the account. Raises VenueError."""

    async def balances(self) -> dict[str, VenueBalance]:
        """Raises VenueError."""

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        """Raises VenueError."""

    async def price(self, symbol: str) -> Price:
        """Raises VenueError."""

    async def price_at(self, symbol: str, ts: int) -> int:
        """What was first paid at or after this moment (UTC nanoseconds), scaled. Raises VenueError, also where the
        venue's history has nothing within `AT_MOST_S`."""
