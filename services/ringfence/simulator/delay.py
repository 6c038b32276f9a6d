"""A line of fixed delay that keeps order: what the network does to a message on its way."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from ringfence.runtime.clock import Clock

T = TypeVar("T")


class DelayLine:
    """Runs actions ``latency_ns`` after they are put in, always in that order, even when the latency falls."""

    def __init__(self, clock: Clock, latency_ns: int) -> None:
        self.latency_ns = latency_ns
        self._clock = clock
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, action: Callable[[], None]) -> None:
        if not self.latency_ns and not self._waiting:
            action()
            return
        due_ns = self._clock.monotonic_ns() + self.latency_ns
        if self._waiting:
            due_ns = max(due_ns, self._waiting[-1][0])
        self._waiting.append((due_ns, action))
        self._plan()

    async def through(self, action: Callable[[], T]) -> T:
        """The action's result, when its turn has come."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def run() -> None:
            # whoever asked may have hung up: what was sent is done all the same
            try:
                result = action()
            except Exception as error:  # handed to whoever waits
                if not done.done():
                    done.set_exception(error)
                return
            if not done.done():
                done.set_result(result)

        self.put(run)
        return await done

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _plan(self) -> None:
        if self._timer is None and self._waiting:
            wait_s = max(0, self._waiting[0][0] - self._clock.monotonic_ns()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._drain)

    def _drain(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= self._clock.monotonic_ns():
            _, action = self._waiting.popleft()
            action()
        self._plan()
