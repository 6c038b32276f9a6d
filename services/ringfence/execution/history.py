"""Asks the venue for the prices of the last 30 days where a limit needs them, and tells the gate what follows."""

import asyncio
from typing import Final

import structlog

from ringfence.execution.correlation import HOUR_MS, correlations, volatilities
from ringfence.execution.gate import Gate
from ringfence.runtime.clock import Clock
from ringfence.venues.api import TradingVenue, VenueError

log = structlog.get_logger()

HOURS: Final = 30 * 24
EVERY_S: Final = 60
"""Between rounds: what the venue did not tell is asked for again."""
REFRESH_NS: Final = 3_600_000_000_000
KEPT_NS: Final = 24 * REFRESH_NS
"""What is older is not known any more."""


class History:
    """Of one account's instruments."""

    def __init__(self, venue: TradingVenue, gate: Gate, symbols: tuple[str, ...], clock: Clock) -> None:
        self._venue = venue
        self._gate = gate
        self._symbols = symbols
        self._clock = clock
        self._closes: dict[str, dict[int, int]] = {}
        """By symbol and hour, of hours that are over."""
        self._told: dict[str, int] = {}
        """When the venue told them, monotonic."""

    async def run(self) -> None:
        """For ever. Nothing is asked for while no limit needs it."""
        while True:
            if self.needed():
                await self.round()
                await asyncio.sleep(EVERY_S)
            else:
                await asyncio.sleep(1)

    def needed(self) -> bool:
        """A track may have the limit from its grant, where the account has it no more."""
        owners = (self._gate.account, *self._gate.tracks.values())
        return any(owner.caps.of_past for owner in owners)

    async def round(self) -> None:
        """Ask for what is old, and compute what follows from what is known; in a thread, since that takes a while."""
        for symbol in self._symbols:
            told = self._told.get(symbol)
            if told is None or self._clock.monotonic_ns() - told >= REFRESH_NS:
                await self._ask(symbol)
        mono = self._clock.monotonic_ns()
        known = {symbol: self._closes[symbol] for symbol, told in self._told.items() if mono - told < KEPT_NS}
        moved = await asyncio.to_thread(volatilities, known)
        alike = await asyncio.to_thread(correlations, known)
        for symbol, market in self._gate.markets.items():
            market.volatility = moved.get(symbol, 0)
            market.correlations = alike.get(symbol, {})

    async def _ask(self, symbol: str) -> None:
        try:
            closes = await self._venue.closes(symbol, HOURS)
        except VenueError as error:
            log.warning("the past is not known", symbol=symbol, reason=str(error))
            return
        now_ms = self._venue.venue_now_ns() // 1_000_000
        self._closes[symbol] = {at: price for at, price in closes.items() if at + HOUR_MS <= now_ms}
        self._told[symbol] = self._clock.monotonic_ns()
