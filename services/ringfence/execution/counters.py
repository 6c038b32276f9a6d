"""What the gate counts of itself on the order path: plain integers, read at scrape time."""

from typing import Final

from ringfence.runtime.histogram import Histogram

CHECK_US: Final = (1, 2, 3, 5, 10, 20, 50, 100, 1_000)
"""Upper bounds of the gate check's histogram, microseconds."""


class Counters:
    """Plain integers, read at scrape time."""

    __slots__ = ("checks", "kill_ns_last", "kill_ns_max", "kills")

    def __init__(self) -> None:
        self.checks = Histogram(CHECK_US)
        self.kills = 0
        self.kill_ns_last = 0
        self.kill_ns_max = 0
