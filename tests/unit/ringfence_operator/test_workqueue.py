"""The queue on a loop whose clock jumps: what runs when, and never twice at a time for one key."""

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ringfence_operator.workqueue import WorkQueue


class _Jump(selectors.DefaultSelector):
    """Instead of waiting for time to pass, lets it have passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "the loop waits for ever: nothing is scheduled"
        self.now += max(timeout, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


def play(scene: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(scene())  # type: ignore[arg-type]


class Recorder:
    """A handler that notes when it ran; what it does is scripted per key."""

    def __init__(self, script: dict[str, list[float | Exception | None]] | None = None, takes_s: float = 1.0) -> None:
        self.script = script or {}
        self.takes_s = takes_s
        self.ran: list[tuple[float, str]] = []
        self.at_once: set[str] = set()
        self.at_once_max = 0
        self.pauses: list[float] = []

    async def __call__(self, key: str) -> float | None:
        assert key not in self.at_once, "two workers on one key"
        self.at_once.add(key)
        self.at_once_max = max(self.at_once_max, len(self.at_once))
        self.ran.append((round(asyncio.get_running_loop().time(), 6), key))
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.at_once.remove(key)
        outcome = self.script[key].pop(0) if self.script.get(key) else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def passed(self, key: str, seconds: float) -> None: ...

    def failed(self, key: str, seconds: float, error: Exception, pause_s: float) -> None:
        self.pauses.append(pause_s)


def queue_of(recorder: Recorder, concurrency: int = 4, timeout_s: float = 60.0) -> WorkQueue[str]:
    return WorkQueue(recorder, concurrency=concurrency, timeout_s=timeout_s, rng=random.Random(7), observer=recorder)


async def run_for(queue: WorkQueue[str], seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.run(), seconds)


def test_many_requests_are_one_pass_and_a_late_one_is_another() -> None:
    """What arrives before the worker starts is one pass; what arrives while it runs is one more."""

    async def scene() -> None:
        recorder = Recorder()
        queue = queue_of(recorder)
        for _ in range(5):
            queue.add("a")
        for at in (0.2, 0.4, 0.6):
            asyncio.get_running_loop().call_at(at, queue.add, "a")
        await run_for(queue, 10)
        assert recorder.ran == [(0.0, "a"), (1.0, "a")]

    play(scene)


def test_the_earliest_request_counts() -> None:
    """A delayed key that is asked for now, runs now, and then not again."""

    async def scene() -> None:
        recorder = Recorder()
        queue = queue_of(recorder)
        queue.add("a", 5.0)
        asyncio.get_running_loop().call_at(2.0, queue.add, "a")
        await run_for(queue, 20)
        assert recorder.ran == [(2.0, "a")]

    play(scene)


def test_concurrency_is_bounded_and_order_is_kept() -> None:
    """Twenty keys, three at a time, first come first served."""

    async def scene() -> None:
        recorder = Recorder()
        queue = queue_of(recorder, concurrency=3)
        names = [f"k{n:02}" for n in range(20)]
        for name in names:
            queue.add(name)
        await run_for(queue, 30)
        assert [key for _, key in recorder.ran] == names
        assert recorder.at_once_max == 3
        assert len(queue.schedule) == 0

    play(scene)


def test_a_failing_key_backs_off_alone() -> None:
    """Each failure doubles the pause, a success forgets them, and other keys do not wait."""

    async def scene() -> None:
        busy = RuntimeError("busy")
        recorder = Recorder({"bad": [busy, busy, busy, None]}, takes_s=0.0)
        queue = queue_of(recorder, concurrency=1)
        queue.add("bad")
        queue.add("good")
        await run_for(queue, 30)
        assert recorder.ran[1][1] == "good"
        assert [key for _, key in recorder.ran].count("bad") == 4
        assert len(recorder.pauses) == 3
        for pause, doubled in zip(recorder.pauses, (0.25, 0.5, 1.0), strict=True):
            assert doubled / 2 <= pause <= doubled

    play(scene)


def test_what_the_server_asks_for_is_the_least_that_is_waited() -> None:
    """An error that carries retry_after_s."""

    async def scene() -> None:
        throttled = RuntimeError("429")
        throttled.retry_after_s = 9.0  # type: ignore[attr-defined]
        recorder = Recorder({"a": [throttled]}, takes_s=0.0)
        queue = queue_of(recorder)
        queue.add("a")
        await run_for(queue, 30)
        assert recorder.ran == [(0.0, "a"), (9.0, "a")]

    play(scene)


def test_a_pass_that_hangs_is_a_failure() -> None:
    """It is cut off, and the key is tried again."""

    async def scene() -> None:
        recorder = Recorder(takes_s=100.0)
        queue = queue_of(recorder, timeout_s=2.0)
        queue.add("a")
        await run_for(queue, 5)
        assert len(recorder.ran) >= 2
        assert recorder.pauses

    play(scene)


def test_a_pass_may_ask_for_the_next() -> None:
    """The returned seconds count from the end of the pass."""

    async def scene() -> None:
        recorder = Recorder({"a": [3.0, 3.0]})
        queue = queue_of(recorder)
        queue.add("a")
        await run_for(queue, 30)
        assert recorder.ran == [(0.0, "a"), (4.0, "a"), (8.0, "a")]

    play(scene)
