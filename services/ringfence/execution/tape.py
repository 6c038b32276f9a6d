"""What the gate remembers of an instrument's last seconds: how much was traded, and how far the price went. Pure.

Kept in buckets, so that a busy second costs no more memory than a quiet one. ``mono`` is monotonic nanoseconds.
"""

from collections import deque
from typing import Final

from ringfence.model.money import BPS, SCALE

SECOND_NS: Final = 1_000_000_000
WINDOW_NS: Final = 10 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS
HOUR_NS: Final = 3_600 * SECOND_NS
REFERENCE_NS: Final = 300 * SECOND_NS
"""How long a reference price for the static collar holds."""
_BPS_SCALE: Final = SCALE * BPS


class Volume:
    """A sum over a moving window, in a number of buckets."""

    __slots__ = ("_bucket_ns", "_buckets", "_total", "_window", "since")

    def __init__(self, bucket_ns: int, window_ns: int) -> None:
        self._bucket_ns = bucket_ns
        self._window = window_ns // bucket_ns
        self._buckets: deque[list[int]] = deque()
        self._total = 0
        self.since = 0
        """When the first amount came; 0 = none has."""

    def add(self, mono: int, amount: int) -> None:
        if not self.since:
            self.since = mono
        bucket = mono // self._bucket_ns
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1][1] += amount
        else:
            self._buckets.append([bucket, amount])
        self._total += amount

    def total(self, mono: int) -> int:
        """Of the window that ends now."""
        oldest = mono // self._bucket_ns - self._window
        while self._buckets and self._buckets[0][0] <= oldest:
            self._total -= self._buckets.popleft()[1]
        return self._total

    def watched(self, mono: int) -> bool:
        """Has it seen the whole window? Before that, what it has counted is not what there was."""
        return 0 < self.since <= mono - self._window * self._bucket_ns


class Tape:
    """One instrument's recent past."""

    __slots__ = (
        "_extremes",
        "_high",
        "_low",
        "_reference_mono",
        "crossed_mono",
        "day",
        "range_bps",
        "reference",
        "volume",
    )

    def __init__(self) -> None:
        self.volume = Volume(SECOND_NS, WINDOW_NS)
        """Base asset traded in 10 s."""
        self.day = Volume(HOUR_NS, DAY_NS)
        self.reference = 0
        """Mid price of up to five minutes ago; 0 = never seen."""
        self.range_bps = 0
        """From the lowest to the highest mid price of the last 10 s; scaled."""
        self.crossed_mono = 0
        """When the best prices were last crossed or locked; 0 = never."""
        self._reference_mono = 0
        self._extremes: deque[list[int]] = deque()
        self._low = self._high = 0

    def trade(self, quantity: int, mono: int) -> None:
        self.volume.add(mono, quantity)
        self.day.add(mono, quantity)

    def quote(self, bid: int, ask: int, mono: int) -> None:
        """Fold the best prices in. Empty or crossed ones have no mid."""
        if not 0 < bid < ask:
            self.crossed_mono = mono
            return
        mid = bid + ask >> 1
        if not self.reference or mono - self._reference_mono > REFERENCE_NS:
            self.reference, self._reference_mono = mid, mono
        second = mono // SECOND_NS
        extremes = self._extremes
        if extremes and extremes[-1][0] == second:
            newest = extremes[-1]
            if newest[1] <= mid <= newest[2]:
                return
            newest[1] = min(newest[1], mid)
            newest[2] = max(newest[2], mid)
            low, high = min(self._low, mid), max(self._high, mid)
        else:
            extremes.append([second, mid, mid])
            while extremes[0][0] <= second - WINDOW_NS // SECOND_NS:
                extremes.popleft()
            low, high = min(one[1] for one in extremes), max(one[2] for one in extremes)
        if low != self._low or high != self._high:
            self._low, self._high = low, high
            self.range_bps = (high - low) * _BPS_SCALE // low
