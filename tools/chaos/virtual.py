"""An event loop whose time is a number: waiting costs nothing, and the same seed gives the same run."""

import asyncio
import math
import selectors
from collections.abc import Callable
from typing import Any, Final

from ringfence.runtime.clock import ManualClock

START_NS: Final = 1_700_000_000_000_000_000


class _Idle(selectors.SelectSelector):
    """There is nothing to wait for but time, so time jumps to when something happens."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the episode waits for something that will never happen")
        if timeout > 0:
            self._clock.advance(math.ceil(timeout * 1e9))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        self._virtual = clock
        super().__init__(_Idle(clock))

    def time(self) -> float:
        return (self._virtual.now_ns - START_NS) / 1e9

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, work: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once and in this thread: what waits for a disk takes no virtual time, and always ends in one order."""
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class Skewed:
    """A machine's clocks: they run like the venue's, but do not show the same."""

    def __init__(self, base: ManualClock, skew_ns: int) -> None:
        self._base = base
        self._skew_ns = skew_ns

    def wall_ns(self) -> int:
        return self._base.now_ns + self._skew_ns

    def monotonic_ns(self) -> int:
        return self._base.now_ns - START_NS + 1_000_000_000

    def boot_ns(self) -> int:
        return self.monotonic_ns()
