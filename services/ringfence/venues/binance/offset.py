"""The venue's clock, estimated from questions and answers. Pure."""

from collections import deque
from typing import Final

import msgspec

SAMPLES: Final = 8
_HALF_MS_NS: Final = 500_000
"""The venue answers in whole milliseconds, rounded down: the middle of that millisecond is the best guess."""


class Sample(msgspec.Struct, frozen=True):
    offset_ns: int
    """Venue time less our monotonic time."""
    error_ns: int
    """The true offset lies within this much of it, whatever the network did."""


class VenueClock:
    """Hangs the venue's time on our monotonic clock, so that a step of the wall clock changes nothing.

    Of the last few samples the one with the shortest round trip counts: it bounds the offset best.
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._best: Sample | None = None

    @property
    def known(self) -> bool:
        return self._best is not None

    @property
    def error_ns(self) -> int:
        """Bound on how wrong `now_ns` is at the moment of its sample; 0 while unknown."""
        return self._best.error_ns if self._best else 0

    def sample(self, sent_ns: int, received_ns: int, venue_ms: int) -> None:
        """One answered question for the time; ``sent_ns`` and ``received_ns`` are our monotonic clock."""
        middle_ns = (sent_ns + received_ns) // 2
        latest = Sample(venue_ms * 1_000_000 + _HALF_MS_NS - middle_ns, (received_ns - sent_ns + 1) // 2 + _HALF_MS_NS)
        best = self._best
        if best is not None and abs(latest.offset_ns - best.offset_ns) > latest.error_ns + best.error_ns:
            self._samples.clear()  # both cannot be true: one of the clocks has stepped, and the past says nothing
        self._samples.append(latest)
        self._best = min(self._samples, key=lambda s: s.error_ns)

    def now_ns(self, monotonic_ns: int, fallback_ns: int) -> int:
        """Venue time at this monotonic time; ``fallback_ns`` (our wall clock) until a first answer is there."""
        return monotonic_ns + self._best.offset_ns if self._best else fallback_ns
