"""When the others trade, and on which side: arrivals that excite more of themselves, and signs with a long memory.

Arrivals are a Hawkes process with two exponential kernels. Signs are a discrete autoregression: each copies that of
an earlier order, near ones more often than far ones, or is drawn afresh. Pure: random numbers are handed in.
"""

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from ringfence.model.orders import Side

if TYPE_CHECKING:
    from random import Random  # sim-ok: the type only, the numbers are handed in

KERNELS: Final = ((0.42, 120.0), (0.33, 1.2))
"""Share of orders that an order brings about, and how fast that fades, per second: at once, and later."""
MEMORY: Final = 60
"""Orders back that a sign can be copied from."""


class Arrivals:
    """Rate of aggressor orders. ``rate`` is the mean per second; others' orders may be told to excite it too."""

    def __init__(self, rate: float, start_ns: int) -> None:
        self._base = rate * (1 - sum(share for share, _ in KERNELS))
        self._excitation = [0.0 for _ in KERNELS]
        self._at_ns = start_ns

    def intensity(self, now_ns: int) -> float:
        """Per second, now; falls until the next excitation."""
        passed_s = (now_ns - self._at_ns) / 1e9
        self._at_ns = now_ns
        for index, (_, decay) in enumerate(KERNELS):
            self._excitation[index] *= math.exp(-decay * passed_s)
        return self._base + sum(self._excitation)

    def excite(self, now_ns: int) -> None:
        self.intensity(now_ns)
        for index, (share, decay) in enumerate(KERNELS):
            self._excitation[index] += share * decay


class Signs:
    """Sides of aggressor orders. ``persistence`` is the chance to copy an earlier one."""

    def __init__(self, persistence: float, steepness: float, rng: "Random") -> None:
        self._persistence = persistence
        self._rng = rng
        self._past: deque[Side] = deque([Side.BUY, Side.SELL] * (MEMORY // 2), maxlen=MEMORY)
        weights = [(lag + 1) ** -steepness for lag in range(MEMORY)]
        self._lags = range(MEMORY)
        self._cumulative = [sum(weights[: lag + 1]) for lag in self._lags]

    @property
    def last(self) -> Side:
        return self._past[-1]

    def next(self) -> Side:
        if self._rng.random() < self._persistence:
            (lag,) = self._rng.choices(self._lags, cum_weights=self._cumulative)
            side = self._past[-1 - lag]
        else:
            side = Side.BUY if self._rng.random() < 0.5 else Side.SELL
        return self.remember(side)

    def remember(self, side: Side) -> Side:
        """An order that came by another way: later ones may copy it too."""
        self._past.append(side)
        return side
