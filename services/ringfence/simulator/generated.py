"""A seeded market: trades that excite more trades, a touch that thins and refills, prices that move in bursts.

Deterministic from the random numbers that it is handed, in virtual time. Most orders are small and meet a thick
touch. Now and then the side that is thinner gives way: its makers withdraw, an order sweeps the crumbs that they
leave, others follow it, and both sides close the gap within a few milliseconds. Each `Profile` is fitted to the
recorded market; `make market-stats` prints how near it comes, row by row. It does not react to our orders. Floats
are allowed here because they are statistics; prices and quantities leave as integers.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse
from ringfence.model.orders import Side
from ringfence.simulator.arrivals import Arrivals, Signs
from ringfence.simulator.book import Ladder
from ringfence.simulator.market import BookChange, Market, MarketEvent, Print

if TYPE_CHECKING:
    from random import Random  # sim-ok: the type only, the numbers are handed in

NEAR_BPS: Final = 1.0
"""What changes most often lies within this distance of the best price."""


FOLLOWERS: Final = 1
"""Small orders between two sweeps of a burst, on the same side."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument's market is like. Rates per second, sizes in the base asset, sigmas of logarithms."""

    price: int
    """First middle price, scaled."""
    touch_median: float
    touch_sigma: float
    level_median: float
    """Size of a level behind the touch."""
    level_sigma: float
    gap_ticks: float
    """Mean distance of neighbouring levels."""
    reach_bps: float
    """How far the book is drawn."""
    aggressors: float
    """Mean rate of orders that take."""
    aggressor_median_usd: float
    aggressor_sigma: float
    persistence: float
    """Chance that an aggressor copies the side of an earlier one."""
    steepness: float
    """How much rather of a recent one: power of the lag."""
    touches: float
    """Rate of changes at the best prices."""
    touch_step: float
    """Mean size of such a change, as a share of the median touch."""
    bursts: float
    """Rate of bursts, in which the price moves."""
    sweeps: float
    """Mean number of sweeps of a burst."""
    jump_bps: float
    """Mean distance that a sweep clears."""
    kept: float
    """Chance of each step that closes the gap that it follows the sweep, and does not undo it."""
    requotes: float
    """Mean number of further changes of the touch that a sweep brings about."""
    deep_batches: float
    """Rate of batches of changes behind the touch."""
    deep_changes: float
    """Median size of a batch."""
    near_share: float
    """Share of those changes within NEAR_BPS."""
    churn: float
    """Chance that a level which a change meets is deleted; else it gets another size."""


PROFILES: Final = {
    "BTCUSDT": Profile(
        price=parse("61800"),
        touch_median=2.4,
        touch_sigma=1.6,
        level_median=0.07,
        level_sigma=1.4,
        gap_ticks=32.0,
        reach_bps=32.0,
        aggressors=4.4,
        aggressor_median_usd=180.0,
        aggressor_sigma=2.4,
        persistence=0.85,
        steepness=1.1,
        touches=38.0,
        touch_step=0.04,
        bursts=0.5,
        sweeps=2.5,
        jump_bps=1.15,
        kept=0.38,
        requotes=16.0,
        deep_batches=20.0,
        deep_changes=8.0,
        near_share=0.12,
        churn=0.95,
    ),
    "ETHUSDT": Profile(
        price=parse("2680"),
        touch_median=9.0,
        touch_sigma=1.5,
        level_median=1.35,
        level_sigma=1.75,
        gap_ticks=2.9,
        reach_bps=60.0,
        aggressors=2.6,
        aggressor_median_usd=70.0,
        aggressor_sigma=2.6,
        persistence=0.8,
        steepness=1.4,
        touches=34.0,
        touch_step=0.065,
        bursts=0.47,
        sweeps=2.5,
        jump_bps=0.9,
        kept=0.38,
        requotes=16.0,
        deep_batches=20.0,
        deep_changes=7.0,
        near_share=0.12,
        churn=0.4,
    ),
}

_Action = Callable[[int], None]


def generated(instrument: Instrument, profile: Profile, rng: "Random", start_ns: int) -> Market:
    """The market of one instrument from this moment on, without end."""
    return _Generator(instrument, profile, rng, start_ns).run(start_ns)


class _Generator:
    def __init__(self, instrument: Instrument, profile: Profile, rng: "Random", start_ns: int) -> None:
        self._tick = instrument.tick
        self._lot = instrument.lot
        self._profile = profile
        self._rng = rng
        self._book = {Side.BUY: Ladder(1), Side.SELL: Ladder(-1)}
        self._target = dict.fromkeys(Side, profile.touch_median)
        """Size that each touch is growing or shrinking to."""
        self._agenda: list[tuple[int, int, _Action]] = []
        self._planned = 0
        self._events: list[MarketEvent] = []
        # levels come and go equally often where this many ticks around a place are empty as often as churn says
        empty = profile.gap_ticks * math.log(1 + 1 / profile.churn)
        self._within = round((empty - 1) / 2) * self._tick
        self._arrivals = Arrivals(profile.aggressors, start_ns)
        self._signs = Signs(profile.persistence, profile.steepness, rng)

    def run(self, start_ns: int) -> Market:
        profile = self._profile
        yield self._open(start_ns)
        self._aggressor_later(start_ns)
        self._repeat(start_ns, self._touch, profile.touches)
        self._repeat(start_ns, self._deep, profile.deep_batches)
        self._repeat(start_ns, self._burst, profile.bursts)
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

    def _aggressor_later(self, now_ns: int) -> None:
        """Thinning: candidates at the rate of now, which can only fall until the next one."""
        bound = self._arrivals.intensity(now_ns)

        def candidate(at_ns: int) -> None:
            if self._rng.random() * bound < self._arrivals.intensity(at_ns):
                self._aggressor(at_ns)
            self._aggressor_later(at_ns)

        self._later(now_ns, 1 / bound, candidate)

    # --- sizes and prices

    def _quantity(self, size: float) -> int:
        lots = int(size * SCALE) // self._lot
        return max(1, lots) * self._lot

    def _level_size(self, ticks: float = 0.0) -> int:
        """Size of a level so far behind the touch: the nearest are thin."""
        scale = 0.4 + 0.6 * min(1.0, ticks / self._ticks(NEAR_BPS))
        return self._quantity(
            scale * self._profile.level_median * self._rng.lognormvariate(0, self._profile.level_sigma)
        )

    def _ticks(self, bps: float) -> float:
        """A distance at today's price."""
        return bps * 1e-4 * self._book[Side.BUY].best / self._tick

    def _open(self, start_ns: int) -> BookChange:
        middle = self._profile.price // self._tick * self._tick
        for side, best in ((Side.BUY, middle), (Side.SELL, middle + self._tick)):
            ladder = self._book[side]
            ladder.set(best, self._quantity(self._profile.touch_median))
            price, last = best, best - side.sign * int(self._profile.reach_bps * 1e-4 * middle)
            while (price - last) * side.sign > 0:
                price -= side.sign * self._tick * (1 + int(self._rng.expovariate(1 / self._profile.gap_ticks)))
                ladder.set(price, self._level_size(abs(price - best) / self._tick))
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

    def _aggressor(self, now_ns: int, sign: Side | None = None) -> None:
        """A small order meets the touch, and takes at most what is there."""
        self._arrivals.excite(now_ns)
        sign = self._signs.next() if sign is None else self._signs.remember(sign)
        book = self._book[_other(sign)]
        best = book.best
        usd = self._profile.aggressor_median_usd * self._rng.lognormvariate(0, self._profile.aggressor_sigma)
        size = min(self._quantity(usd * SCALE / best), max(self._lot, book.get(best) - self._lot))
        if size >= book.get(best) and len(book) <= 1:
            return
        self._prints(now_ns, best, size, sign)
        self._put(now_ns, _other(sign), [(best, book.get(best) - size)])
        self._close(now_ns, _other(sign))

    def _prints(self, now_ns: int, price: int, quantity: int, aggressor: Side) -> None:
        """One execution per resting order that it met."""
        while quantity:
            share = 1.0 if self._rng.random() < 0.4 else self._rng.random()
            step = min(quantity, self._quantity(share * quantity / SCALE))
            self._events.append(Print(ts=now_ns, price=price, quantity=step, aggressor=aggressor))
            quantity -= step

    def _touch(self, now_ns: int) -> None:
        """Someone joins or leaves the best price, so that it comes nearer to the size that it is bound for."""
        side = Side.BUY if self._rng.random() < 0.5 else Side.SELL
        book = self._book[side]
        there, target = book.get(book.best) / SCALE, self._target[side]
        step = self._rng.expovariate(1.0) * self._profile.touch_step * self._profile.touch_median
        joins = self._rng.random() < (0.85 if there < 0.7 * target else 0.5 if there < 1.3 * target else 0.2)
        size = there + step if joins else max(there - step, 0.5 * there)
        self._put(now_ns, side, [(book.best, self._quantity(size))])

    def _deep(self, now_ns: int) -> None:
        """A batch of changes behind the touch: where there is nothing a level comes, where there is one it may go."""
        profile, random = self._profile, self._rng.random
        changes: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        reach, near = self._ticks(profile.reach_bps), self._ticks(NEAR_BPS)
        for _ in range(1 + int(self._rng.lognormvariate(math.log(profile.deep_changes), 1.2))):
            side = Side.BUY if random() < 0.5 else Side.SELL
            book = self._book[side]
            ticks = 1 + int(random() * near if random() < profile.near_share else random() ** 2.5 * reach)
            price = book.best - side.sign * ticks * self._tick
            found = book.nearest(price, self._within)
            if found is None:
                changes[side][price] = self._level_size(ticks)
            elif found != book.best:
                changes[side][found] = 0 if random() < profile.churn else self._level_size(ticks)
            far = book.worst
            if abs(far - book.best) > 1.1 * reach * self._tick and random() < 0.2:
                changes[side][far] = 0
        for side, levels in changes.items():
            self._put(now_ns, side, list(levels.items()))

    def _burst(self, now_ns: int) -> None:
        """The price moves, more likely away from the thicker side, and those who follow move it again."""
        bid, ask = (self._book[side].get(self._book[side].best) for side in (Side.BUY, Side.SELL))
        share = bid / (bid + ask)
        # and where others have just been buying, up rather than down
        buys, sells = (2.0, 1.0) if self._signs.last is Side.BUY else (1.0, 2.0)
        up = self._rng.random() < buys * share**2 / (buys * share**2 + sells * (1 - share) ** 2)
        count = 1 + int(self._rng.expovariate(1 / max(1e-9, self._profile.sweeps - 0.5)))
        self._sweep(now_ns, Side.BUY if up else Side.SELL, count)

    def _sweep(self, now_ns: int, sign: Side, count: int) -> None:
        """Makers withdraw ahead of it, and one order takes the crumbs that are left, price by price."""
        hit = _other(sign)
        book = self._book[hit]
        far = self._rng.lognormvariate(-0.5, 1.0)
        ticks = 1 + int(self._ticks(self._profile.jump_bps) * far)
        beyond = book.best + sign.sign * ticks * self._tick
        crossed = book.better_than(beyond)
        if len(crossed) >= len(book) - 1 or beyond <= self._tick * 10_000:
            return
        crumbs = [price for price in crossed[1:] if self._rng.random() < 4 / len(crossed)]
        left = [(crossed[0], min(book.get(crossed[0]), self._crumb(0.3)))]
        left += [(price, self._crumb(far * (price - book.best) / (beyond - book.best))) for price in crumbs]
        kept = dict(left)
        self._put(now_ns, hit, [(price, kept.get(price, 0)) for price in crossed])
        self._signs.remember(sign)
        self._arrivals.excite(now_ns)
        self._target[hit] = self._profile.touch_median * self._rng.lognormvariate(0, self._profile.touch_sigma)
        at_ns = now_ns + 200_000

        def take(then_ns: int) -> None:
            for price, _ in left:
                size = book.get(price)
                if size:
                    self._prints(then_ns, price, size, sign)
            self._put(then_ns, hit, [(price, 0) for price, _ in left])
            self._close(then_ns, hit)
            for _ in range(int(self._rng.expovariate(1 / self._profile.requotes))):
                self._later(then_ns, 0.15, self._touch)
            if count > 1:
                for _ in range(FOLLOWERS):
                    self._later(then_ns, 0.01, lambda small_ns: self._aggressor(small_ns, sign))
                self._later(then_ns, 0.03, lambda again_ns: self._sweep(again_ns, sign, count - 1))

        self._planned += 1
        heappush(self._agenda, (at_ns, self._planned, take))

    def _crumb(self, scale: float) -> int:
        usd = 12 * scale * self._profile.aggressor_median_usd * self._rng.lognormvariate(0, 1.8)
        return self._quantity(usd * SCALE / self._book[Side.BUY].best)

    def _close(self, now_ns: int, gone: Side) -> None:
        """Where the spread has opened, the side that went comes back or the other follows it, in a few steps."""
        if self._spread_ticks() <= 1:
            return

        def step(at_ns: int) -> None:
            gap = self._spread_ticks()
            if gap <= 1:
                return
            side = _other(gone) if self._rng.random() < self._profile.kept else gone
            ticks = gap - 1 if self._rng.random() < 0.2 else 1 + int(self._rng.random() * (gap - 1))
            self._target[side] = self._profile.touch_median * self._rng.lognormvariate(0, self._profile.touch_sigma)
            fresh = self._quantity(0.15 * self._target[side] * self._rng.lognormvariate(0, 1.0))
            best = self._book[side].best
            # a thick touch goes with the price; what stays behind is a level like others
            stays = [(best, min(self._book[side].get(best), self._level_size()))]
            self._put(at_ns, side, [(best + side.sign * ticks * self._tick, fresh), *stays])
            self._close(at_ns, gone)

        self._later(now_ns, 0.0012, step)

    def _spread_ticks(self) -> int:
        return (self._book[Side.SELL].best - self._book[Side.BUY].best) // self._tick


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
