"""A seeded market: trades that excite more trades, a touch that thins and refills, prices that move in bursts.

Deterministic from the random numbers that it is handed, in virtual time. The figures of each `Profile` point in
the direction of the recorded market (one-tick spread nearly always, heavy tails, clustered arrivals, persistent
signs, a thick touch before thin levels); they are not fitted to it: that is a later piece of work. It does not
react to our orders. Floats are allowed here because they are statistics; prices and quantities leave as integers.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse
from ringfence.model.orders import Side
from ringfence.simulator.book import Ladder
from ringfence.simulator.market import BookChange, Market, MarketEvent, Print

if TYPE_CHECKING:
    from random import Random  # sim-ok: the type only, the numbers are handed in

LEVELS: Final = 200
"""Levels a side that the book is drawn to."""
BRANCHING: Final = ((0.40, 60.0), (0.35, 1.0))
"""Share of aggressors that an aggressor brings about, and how fast that fades, per second: at once, and later."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument's market is like. Rates per second, sizes in the base asset."""

    price: int
    """First middle price, scaled."""
    touch_median: float
    level_median: float
    level_sigma: float
    """Of the logarithm of a level's size behind the touch."""
    gap_ticks: float
    """Mean distance of the best levels."""
    jump_ticks: float
    """Mean size of one step of a burst."""
    aggressors: float
    """Mean rate."""
    aggressor_median_usd: float
    aggressor_sigma: float
    persistence: float
    """Chance that an aggressor has the sign of the one before."""
    touches: float
    """Rate of changes at the best prices."""
    bursts: float
    steps: float
    """Mean number of steps of a burst."""
    deep_batches: float
    """Rate of batches of changes behind the touch."""
    deep_changes: float
    """Mean size of a batch."""


PROFILES: Final = {
    "BTCUSDT": Profile(
        price=parse("61800"),
        touch_median=2.0,
        level_median=0.09,
        level_sigma=1.8,
        gap_ticks=4.0,
        jump_ticks=100.0,
        aggressors=9.4,
        aggressor_median_usd=215.0,
        aggressor_sigma=2.5,
        persistence=0.68,
        touches=55.0,
        bursts=0.8,
        steps=5.0,
        deep_batches=20.0,
        deep_changes=17.0,
    ),
    "ETHUSDT": Profile(
        price=parse("2680"),
        touch_median=10.0,
        level_median=1.9,
        level_sigma=1.6,
        gap_ticks=0.6,
        jump_ticks=4.0,
        aggressors=5.6,
        aggressor_median_usd=110.0,
        aggressor_sigma=2.6,
        persistence=0.75,
        touches=50.0,
        bursts=0.8,
        steps=5.0,
        deep_batches=20.0,
        deep_changes=14.0,
    ),
}

_Action = Callable[[int], None]


def generated(instrument: Instrument, profile: Profile, rng: "Random", start_ns: int) -> Market:
    """The market of one instrument from this moment on, without end."""
    return _Generator(instrument, profile, rng).run(start_ns)


class _Generator:
    def __init__(self, instrument: Instrument, profile: Profile, rng: "Random") -> None:
        self._tick = instrument.tick
        self._lot = instrument.lot
        self._profile = profile
        self._rng = rng
        self._book = {Side.BUY: Ladder(1), Side.SELL: Ladder(-1)}
        self._agenda: list[tuple[int, int, _Action]] = []
        self._planned = 0
        self._events: list[MarketEvent] = []
        self._sign = Side.BUY
        self._excitation = [0.0 for _ in BRANCHING]
        self._excited_ns = 0
        self._base = profile.aggressors * (1 - sum(share for share, _ in BRANCHING))

    def run(self, start_ns: int) -> Market:
        self._excited_ns = start_ns
        yield self._open(start_ns)
        self._aggressor_later(start_ns)
        self._repeat(start_ns, self._touch, self._profile.touches)
        self._repeat(start_ns, self._deep, self._profile.deep_batches)
        self._repeat(start_ns, self._burst, self._profile.bursts)
        while True:
            now_ns, _, action = heappop(self._agenda)
            action(now_ns)
            events, self._events = self._events, []
            yield from events

    # --- time

    def _later(self, now_ns: int, mean_s: float, action: _Action) -> None:
        self._planned += 1
        wait_ns = int(self._rng.expovariate(1.0) * mean_s * 1e9) + 1
        heappush(self._agenda, (now_ns + wait_ns, self._planned, action))

    def _repeat(self, now_ns: int, action: _Action, rate: float) -> None:
        def again(at_ns: int) -> None:
            action(at_ns)
            self._later(at_ns, 1 / rate, again)

        self._later(now_ns, 1 / rate, again)

    def _intensity(self, now_ns: int) -> float:
        """Rate of aggressors now; forgets by the time that has passed."""
        passed_s = (now_ns - self._excited_ns) / 1e9
        self._excited_ns = now_ns
        for index, (_, decay) in enumerate(BRANCHING):
            self._excitation[index] *= math.exp(-decay * passed_s)
        return self._base + sum(self._excitation)

    def _excite(self) -> None:
        for index, (share, decay) in enumerate(BRANCHING):
            self._excitation[index] += share * decay

    def _aggressor_later(self, now_ns: int) -> None:
        """Thinning: candidates at the rate of now, which can only fall until the next one."""
        bound = self._intensity(now_ns)

        def candidate(at_ns: int) -> None:
            if self._rng.random() * bound < self._intensity(at_ns):
                self._aggressor(at_ns)
            self._aggressor_later(at_ns)

        self._later(now_ns, 1 / bound, candidate)

    # --- sizes and prices

    def _quantity(self, size: float) -> int:
        lots = int(size * SCALE) // self._lot
        return max(1, lots) * self._lot

    def _touch_size(self) -> int:
        return self._quantity(self._profile.touch_median * self._rng.lognormvariate(-0.2, 0.9))

    def _level_size(self) -> int:
        return self._quantity(self._profile.level_median * self._rng.lognormvariate(0, self._profile.level_sigma))

    def _behind(self, side: Side, level: float) -> int:
        """Price of about the n-th level behind the touch: near ones lie close, far ones further apart."""
        ticks = 1 + int(self._profile.gap_ticks * (level + level * level / 12) * self._rng.uniform(0.8, 1.2))
        return max(self._tick, self._book[side].best - side.sign * ticks * self._tick)

    def _open(self, start_ns: int) -> BookChange:
        middle = self._profile.price // self._tick * self._tick
        for side, best in ((Side.BUY, middle), (Side.SELL, middle + self._tick)):
            self._book[side].set(best, self._touch_size())
            for level in range(1, LEVELS):
                self._book[side].set(self._behind(side, level), self._level_size())
        return BookChange(
            ts=start_ns,
            bids=tuple(self._book[Side.BUY].levels.items()),
            asks=tuple(self._book[Side.SELL].levels.items()),
            reset=True,
        )

    def _put(self, now_ns: int, side: Side, levels: list[tuple[int, int]]) -> None:
        changed = tuple(level for level in levels if self._book[side].set(*level))
        if changed:
            bids, asks = (changed, ()) if side is Side.BUY else ((), changed)
            self._events.append(BookChange(ts=now_ns, bids=bids, asks=asks))

    # --- what happens

    def _aggressor(self, now_ns: int) -> None:
        """A market order of someone else: prints, best price first, then what they leave of the book."""
        self._excite()
        if self._rng.random() > self._profile.persistence:
            self._sign = _other(self._sign)
        hit = _other(self._sign)
        book = self._book[hit]
        usd = min(4e5, self._profile.aggressor_median_usd * self._rng.lognormvariate(0, self._profile.aggressor_sigma))
        left = self._quantity(usd * SCALE / book.best)
        levels: list[tuple[int, int]] = []
        for price in book.prices():
            if len(book) - len(levels) <= 1:
                break
            step = min(left, book.get(price))
            self._prints(now_ns, price, step)
            levels.append((price, book.get(price) - step))
            left -= step
            if not left:
                break
        self._put(now_ns, hit, levels)
        self._mend(now_ns, hit)

    def _prints(self, now_ns: int, price: int, quantity: int) -> None:
        """One execution per resting order that it met."""
        while quantity:
            share = 1.0 if self._rng.random() < 0.4 else self._rng.random()
            step = min(quantity, self._quantity(share * quantity / SCALE))
            self._events.append(Print(ts=now_ns, price=price, quantity=step, aggressor=self._sign))
            quantity -= step

    def _touch(self, now_ns: int) -> None:
        """Someone joins or leaves the best price; the last one to leave moves it."""
        side = Side.BUY if self._rng.random() < 0.5 else Side.SELL
        book = self._book[side]
        there = book.get(book.best)
        size = self._quantity(self._rng.expovariate(1.0) * 0.25 * self._profile.touch_median)
        joins = self._rng.random() < (0.65 if there < self._quantity(self._profile.touch_median) else 0.4)
        if not joins and size >= there and len(book) <= LEVELS // 2:
            return
        self._put(now_ns, side, [(book.best, there + size if joins else max(0, there - size))])
        self._mend(now_ns, side)

    def _deep(self, now_ns: int) -> None:
        """A batch of changes behind the touch: new levels, levels that go, other sizes."""
        count = 1 + int(self._rng.lognormvariate(math.log(self._profile.deep_changes) - 0.6, 1.1))
        changes: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        for _ in range(min(count, LEVELS)):
            side = Side.BUY if self._rng.random() < 0.5 else Side.SELL
            book, draw = self._book[side], self._rng.random()
            crowded = len(book) / LEVELS
            if draw < 0.45 / crowded**2:
                changes[side][self._behind(side, self._rng.random() * LEVELS)] = self._level_size()
            elif (draw < 0.85 or crowded > 1.2) and len(book) > LEVELS // 2:
                last = len(book) - 1
                # where there are too many, prices have moved away from the furthest
                furthest = crowded > 1.2 and self._rng.random() < 0.3
                changes[side][book.at(last if furthest else self._rng.randint(1, last))] = 0
            else:
                changes[side][book.at(self._rng.randint(1, len(book) - 1))] = self._level_size()
        for side, levels in changes.items():
            self._put(now_ns, side, list(levels.items()))

    def _burst(self, now_ns: int) -> None:
        """The price moves, in steps some milliseconds apart, more likely away from the thicker side."""
        bid, ask = (self._book[side].get(self._book[side].best) for side in (Side.BUY, Side.SELL))
        up = self._rng.random() * (bid + ask) < bid
        steps = 1 + int(self._rng.expovariate(1 / self._profile.steps))
        self._step(now_ns, Side.BUY if up else Side.SELL, steps)

    def _step(self, now_ns: int, direction: Side, steps: int) -> None:
        """The side in the way is cleared up to a new best price, and the other one follows after a moment."""
        ahead = _other(direction)
        book = self._book[ahead]
        ticks = 1 + int(self._rng.expovariate(1 / self._profile.jump_ticks))
        best = book.best + direction.sign * ticks * self._tick
        if best <= self._tick * 10_000:
            return
        cleared = [(price, 0) for price in book.better_than(best)]
        self._put(now_ns, ahead, [(best, self._touch_size()), *cleared])
        self._mend(now_ns, direction, follow=True)
        if steps > 1:
            self._later(now_ns, 0.005, lambda at_ns: self._step(at_ns, direction, steps - 1))

    def _mend(self, now_ns: int, side: Side, *, follow: bool = False) -> None:
        """Where the spread has opened, someone closes it within about a millisecond.

        Either the side that lost its best price comes back, or the other one follows it.
        """
        if self._spread_ticks() == 1:
            return
        mending = side if follow or self._rng.random() < 0.6 else _other(side)

        def close(at_ns: int) -> None:
            if self._spread_ticks() > 1:
                price = self._book[_other(mending)].best - mending.sign * self._tick
                # the size is at the touch, and does not stay behind when the touch goes on
                behind = [(self._book[mending].best, self._level_size())]
                self._put(at_ns, mending, [(price, self._touch_size()), *behind])

        self._later(now_ns, 0.0012, close)

    def _spread_ticks(self) -> int:
        return (self._book[Side.SELL].best - self._book[Side.BUY].best) // self._tick


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
