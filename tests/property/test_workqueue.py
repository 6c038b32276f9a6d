"""Whatever is added, taken, finished or failed in whatever order: no key is lost, doubled or starved."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence_operator.workqueue import Schedule

KEYS = st.sampled_from(["a", "b", "c", "d"])
DELAYS = st.sampled_from([0.0, 0.5, 1.0, 7.0])


class Machine(RuleBasedStateMachine):
    """`Schedule` beside the simplest model of it: when each key is due, and which keys run."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule: Schedule[str] = Schedule(concurrency=2, backoff_first_s=1.0, backoff_max_s=8.0)
        self.due: dict[str, float] = {}
        self.running: set[str] = set()
        self.failures: dict[str, int] = {}

    @rule(key=KEYS, delay=DELAYS)
    def add(self, key: str, delay: float) -> None:
        self.schedule.add(key, self.now + delay)
        self._due(key, self.now + delay)

    @rule(seconds=DELAYS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        ready = {k: at for k, at in self.due.items() if at <= self.now and k not in self.running}
        key = self.schedule.take(self.now)
        if len(self.running) == 2 or not ready:
            assert key is None
            return
        assert key is not None
        assert ready[key] == min(ready.values()), "the one that waits longest comes first"
        del self.due[key]
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), again=st.none() | DELAYS)
    def succeed(self, data: st.DataObject, again: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.schedule.succeeded(key, self.now, again)
        self.running.remove(key)
        self.failures.pop(key, None)
        if again is not None:
            self._due(key, self.now + again)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), jitter=st.floats(0, 1, exclude_max=True), at_least=DELAYS)
    def fail(self, data: st.DataObject, jitter: float, at_least: float) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        pause = self.schedule.failed(key, self.now, jitter, at_least)
        doubled = min(2.0 ** self.failures.get(key, 0), 8.0)
        assert max(doubled / 2, at_least) <= pause <= max(doubled, at_least)
        self.failures[key] = self.failures.get(key, 0) + 1
        self.running.remove(key)
        self._due(key, self.now + pause)

    @invariant()
    def agree(self) -> None:
        waiting = {k: at for k, at in self.due.items() if k not in self.running}
        assert self.schedule.running == len(self.running) <= 2
        assert self.schedule.waiting(self.now) == sum(at <= self.now for at in waiting.values())
        assert len(self.schedule) == len(self.running | set(self.due)), "nothing is remembered of a key at rest"
        expected = min(waiting.values()) if waiting and len(self.running) < 2 else None
        assert self.schedule.next_at() == expected

    def _due(self, key: str, at: float) -> None:
        self.due[key] = min(at, self.due.get(key, at))


TestSchedule = Machine.TestCase
TestSchedule.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
