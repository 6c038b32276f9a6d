"""Time as an argument: engines are handed a number, hosts are handed a clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds, three ways. ``boot_ns`` also runs while a machine sleeps: Leases are judged by it."""

    def wall_ns(self) -> int: ...
    def monotonic_ns(self) -> int: ...
    def boot_ns(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        return time.time_ns()  # sim-ok: the one place that reads the clock

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()  # sim-ok: as above

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)  # sim-ok: as above


class ManualClock:
    """A clock that moves when it is told to; for simulation, replay and tests."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self.now_ns = start_ns

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def boot_ns(self) -> int:
        return self.now_ns

    def advance(self, ns: int) -> None:
        self.now_ns += ns
