"""A keyed work queue: deduplicated, delayed, backed off, at most one worker per key.

`Schedule` decides what is due and is pure: time and randomness are arguments. `WorkQueue` gives it a loop.
Losing all of it costs nothing: on a restart every object is listed and its key added again.
"""

import asyncio
import contextlib
import heapq
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

K = TypeVar("K")
K_contra = TypeVar("K_contra", contravariant=True)

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 60.0
_DOUBLINGS_MAX: Final = 16
"""Enough for any sensible ratio of the two above, and no overflow after a year of failures."""


@dataclass(slots=True)
class _Entry:
    due_at: float | None = None
    """When it is to run next; None while nothing asks for it."""
    running: bool = False
    failures: int = 0


@dataclass(slots=True)
class Schedule(Generic[K]):
    """Which key may run now. A key added while it runs, runs once more afterwards."""

    concurrency: int
    backoff_first_s: float = BACKOFF_FIRST_S
    backoff_max_s: float = BACKOFF_MAX_S
    _entries: dict[K, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    """By due time, then in order of arrival. May hold outdated lines, which `_entries` tells."""
    _arrivals: int = 0
    _running: int = 0

    def add(self, key: K, due_at: float) -> None:
        """Run ``key`` at ``due_at`` or earlier: of several requests, the earliest counts."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.due_at is not None and entry.due_at <= due_at:
            return
        entry.due_at = due_at
        if not entry.running:
            self._push(key, due_at)

    def take(self, now: float) -> K | None:
        """The next key that is due and not running, now marked as running."""
        if self._running >= self.concurrency or not self._due_heap() or self._heap[0][0] > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        entry = self._entries[key]
        entry.due_at, entry.running = None, True
        self._running += 1
        return key

    def succeeded(self, key: K, now: float, again_s: float | None) -> None:
        """Forget earlier failures; run again in ``again_s``, if given."""
        self._entries[key].failures = 0
        self._finish(key, None if again_s is None else now + again_s)

    def failed(self, key: K, now: float, jitter: float, at_least_s: float = 0.0) -> float:
        """Run again after a pause that doubles with each failure in a row; ``jitter`` in [0, 1) spreads it.

        Returns the pause. A new request for the key shortens it: somebody may just have repaired the cause.
        """
        entry = self._entries[key]
        doubled_s: float = self.backoff_first_s * 2.0 ** min(entry.failures, _DOUBLINGS_MAX)
        entry.failures += 1
        pause_s = max(min(doubled_s, self.backoff_max_s) * (0.5 + 0.5 * jitter), at_least_s)
        self._finish(key, now + pause_s)
        return pause_s

    def next_at(self) -> float | None:
        """When `take` will have something; None while only `add` or a finished worker can change that."""
        if self._running >= self.concurrency or not self._due_heap():
            return None
        return self._heap[0][0]

    def waiting(self, now: float) -> int:
        """Keys that are due and have no worker yet."""
        return sum(1 for e in self._entries.values() if e.due_at is not None and e.due_at <= now and not e.running)

    @property
    def running(self) -> int:
        return self._running

    def __len__(self) -> int:
        return len(self._entries)

    def _finish(self, key: K, due_at: float | None) -> None:
        entry = self._entries[key]
        entry.running = False
        self._running -= 1
        if entry.due_at is None or (due_at is not None and due_at < entry.due_at):
            entry.due_at = due_at
        if entry.due_at is None:
            del self._entries[key]
        else:
            self._push(key, entry.due_at)

    def _push(self, key: K, due_at: float) -> None:
        self._arrivals += 1
        heapq.heappush(self._heap, (due_at, self._arrivals, key))

    def _due_heap(self) -> bool:
        """Drop outdated lines from the top; is there one left?"""
        while self._heap:
            due_at, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and not entry.running and entry.due_at == due_at:
                return True
            heapq.heappop(self._heap)
        return False


class Observer(Protocol[K_contra]):
    """Who is told of each pass; for metrics and logs."""

    def passed(self, key: K_contra, seconds: float) -> None: ...
    def failed(self, key: K_contra, seconds: float, error: Exception, pause_s: float) -> None: ...


class WorkQueue(Generic[K]):
    """Runs ``handle`` for each key that is added. An exception, or taking too long, is a failure: it backs off.

    ``handle`` returns after how many seconds it wants to run again, or None. An error may carry
    ``retry_after_s``, which is then the least that is waited.
    """

    def __init__(
        self,
        handle: Callable[[K], Awaitable[float | None]],
        *,
        concurrency: int,
        timeout_s: float,
        rng: random.Random,
        observer: Observer[K] | None = None,
        backoff_first_s: float = BACKOFF_FIRST_S,
        backoff_max_s: float = BACKOFF_MAX_S,
    ) -> None:
        self._handle = handle
        self._timeout_s = timeout_s
        self._rng = rng
        self._observer = observer
        self._wake = asyncio.Event()
        self.schedule: Schedule[K] = Schedule(concurrency, backoff_first_s, backoff_max_s)

    def add(self, key: K, delay_s: float = 0.0) -> None:
        """Ask for a pass over ``key``. Cheap, never blocks, may be called before `run`."""
        self.schedule.add(key, asyncio.get_running_loop().time() + delay_s)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as workers:
            while True:
                self._wake.clear()
                while (key := self.schedule.take(loop.time())) is not None:
                    workers.create_task(self._work(key))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self.schedule.next_at()):
                        await self._wake.wait()

    async def _work(self, key: K) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._timeout_s):
                again_s = await self._handle(key)
        except Exception as error:
            at_least_s = getattr(error, "retry_after_s", None) or 0.0
            pause_s = self.schedule.failed(key, loop.time(), self._rng.random(), at_least_s)
            if self._observer:
                self._observer.failed(key, loop.time() - began, error, pause_s)
        else:
            self.schedule.succeeded(key, loop.time(), again_s)
            if self._observer:
                self._observer.passed(key, loop.time() - began)
        self._wake.set()
