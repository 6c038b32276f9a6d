"""The public view of one book: numbers its updates, and makes depth updates and best quotes. Pure."""

from typing import Final

from ringfence.simulator.matching import MatchingEngine
from ringfence.simulator.orders import BestQuote, DepthUpdate, VenueEvent

PERIODS_MS: Final = (100, 1_000)
"""A depth stream for each."""


class _Period:
    """Collects the prices that changed within one period of time."""

    __slots__ = ("asks", "bids", "due_ns", "last_id", "ms")

    def __init__(self, ms: int, first_id: int, start_ns: int) -> None:
        self.ms = ms
        self.due_ns = start_ns + ms * 1_000_000
        self.last_id = first_id
        self.bids: dict[int, None] = {}
        self.asks: dict[int, None] = {}


class Publisher:
    def __init__(self, symbol: str, engine: MatchingEngine, first_id: int, start_ns: int) -> None:
        self.update_id = first_id
        """Of the last change of the book."""
        self._symbol = symbol
        self._engine = engine
        self._periods = tuple(_Period(ms, first_id, start_ns) for ms in PERIODS_MS)
        self._best = (0, 0, 0, 0)

    def publish(self, events: list[VenueEvent]) -> None:
        """Number what has changed since the last call, and say the best quote if that is new."""
        bids, asks = self._engine.bids, self._engine.asks
        changes = len(bids.changed) + len(asks.changed)
        if not changes:
            return
        self.update_id += changes
        for period in self._periods:
            period.bids.update(bids.changed)
            period.asks.update(asks.changed)
        bids.changed.clear()
        asks.changed.clear()
        bid, ask = bids.best(), asks.best()
        best = (bid, bids.displayed(bid), ask, asks.displayed(ask))
        if best != self._best:
            self._best = best
            events.append(
                BestQuote(
                    symbol=self._symbol,
                    update_id=self.update_id,
                    bid=bid,
                    bid_quantity=best[1],
                    ask=ask,
                    ask_quantity=best[3],
                )
            )

    @property
    def best(self) -> BestQuote:
        """The best quote as last published."""
        bid, bid_quantity, ask, ask_quantity = self._best
        return BestQuote(
            symbol=self._symbol,
            update_id=self.update_id,
            bid=bid,
            bid_quantity=bid_quantity,
            ask=ask,
            ask_quantity=ask_quantity,
        )

    def snapshot(self, depth: int) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """Last update id, bids and asks, best first."""
        sides = []
        for side in (self._engine.bids, self._engine.asks):
            levels = side.levels()
            sides.append([level for _, level in zip(range(depth), levels, strict=False)])
        return self.update_id, sides[0], sides[1]

    def flush(self, now_ns: int, events: list[VenueEvent]) -> None:
        """End the periods that are over before this moment."""
        for period in self._periods:
            if period.due_ns <= now_ns:
                if self.update_id > period.last_id:
                    events.append(self._update(period))
                step = period.ms * 1_000_000
                # stamped with the end of the period in which it fell, silent periods in between are skipped
                period.due_ns += step * ((now_ns - period.due_ns) // step + 1)

    def _update(self, period: _Period) -> DepthUpdate:
        bids, asks = self._engine.bids, self._engine.asks
        update = DepthUpdate(
            symbol=self._symbol,
            period_ms=period.ms,
            first_update_id=period.last_id + 1,
            last_update_id=self.update_id,
            bids=[(price, bids.displayed(price)) for price in period.bids],
            asks=[(price, asks.displayed(price)) for price in period.asks],
            ts=period.due_ns,
        )
        period.last_id = self.update_id
        period.bids = {}
        period.asks = {}
        return update
