"""An upgrade of the platform: proven on paper, swapped under halt, back reconciled or put back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator.rollout.platform import (
    BACK_DEADLINE,
    PROOF_S,
    Phase,
    PlatformSeen,
    PlatformState,
    decide,
)

T0 = datetime(2026, 11, 21, tzinfo=UTC)
TICK = timedelta(seconds=30)
OLD, NEW = "ringfence:1", "ringfence:2"
SETTLED = PlatformState(image=OLD, since=T0)


def walked(state: PlatformState, seen: PlatformSeen, passes: int, now: datetime = T0) -> tuple[PlatformState, datetime]:
    for _ in range(passes):
        now += TICK
        state = decide(state, seen, now).state
    return state, now


def swapping() -> tuple[PlatformState, datetime]:
    state, now = walked(SETTLED, PlatformSeen(wanted=NEW, paper_works=True), PROOF_S // 30 + 3)
    assert state.phase is Phase.HALTING
    return walked(state, PlatformSeen(wanted=NEW, halted=True), 1, now)


def test_the_same_image_changes_nothing() -> None:
    """Whatever else is new: an operator that was upgraded restarts nothing."""
    found = decide(SETTLED, PlatformSeen(wanted=OLD), T0 + TICK)
    assert found.state == SETTLED
    assert (found.paper_image, found.execution_image, found.halt, found.events) == (OLD, OLD, False, ())


def test_paper_runs_it_first_and_execution_keeps_trading() -> None:
    found = decide(SETTLED, PlatformSeen(wanted=NEW), T0 + TICK)
    assert (found.paper_image, found.execution_image, found.halt) == (NEW, OLD, False)


def test_an_image_that_works_takes_over_under_halt() -> None:
    state, now = swapping()
    during = decide(state, PlatformSeen(wanted=NEW), now + TICK)
    assert (during.execution_image, during.halt) == (NEW, True)
    after = decide(during.state, PlatformSeen(wanted=NEW, back=NEW), now + 2 * TICK)
    assert (after.state.phase, after.state.image, after.halt) == (Phase.SETTLED, NEW, False)


def test_an_image_that_does_not_come_back_is_put_back_and_not_tried_again() -> None:
    state, now = swapping()
    late = decide(state, PlatformSeen(wanted=NEW), now + BACK_DEADLINE + TICK)
    assert (late.state.phase, late.execution_image, late.halt) == (Phase.PUTTING_BACK, OLD, True)
    back = decide(late.state, PlatformSeen(wanted=NEW, back=OLD), now + BACK_DEADLINE + 2 * TICK)
    assert (back.state.phase, back.execution_image, back.halt) == (Phase.FAILED, OLD, False)
    assert "did not come back" in back.state.message
    again, _ = walked(back.state, PlatformSeen(wanted=NEW, paper_works=True, back=OLD), 50, now + timedelta(hours=1))
    assert again.phase is Phase.FAILED
    assert decide(back.state, PlatformSeen(wanted="ringfence:3"), now).state.phase is Phase.PROVING


def test_an_image_that_fails_on_paper_never_reaches_execution() -> None:
    state, now = walked(SETTLED, PlatformSeen(wanted=NEW), 1)
    found = decide(state, PlatformSeen(wanted=NEW, paper_broken="CrashLoopBackOff"), now + TICK)
    assert (found.state.phase, found.execution_image, found.halt) == (Phase.FAILED, OLD, False)


def test_time_that_nobody_saw_proves_nothing() -> None:
    """The operator was away, or the clock jumped, forward or back."""
    state, now = walked(SETTLED, PlatformSeen(wanted=NEW, paper_works=True), 3)
    proven = state.proven_s
    for jump in (timedelta(hours=1), -timedelta(minutes=5)):
        assert decide(state, PlatformSeen(wanted=NEW, paper_works=True), now + jump).state.proven_s == proven


SEEN = st.builds(
    PlatformSeen,
    wanted=st.sampled_from([OLD, NEW, "ringfence:3"]),
    paper_works=st.booleans(),
    paper_broken=st.sampled_from(["", "", "", "crash"]),
    halted=st.booleans(),
    back=st.sampled_from(["", OLD, NEW, "ringfence:3"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SEEN, st.integers(-60, 400)), max_size=60))
def test_execution_changes_image_only_while_it_is_halted(walk: list[tuple[PlatformSeen, int]]) -> None:
    """Whatever is seen in whatever order; and a halt ends only with an image that is back, or one never swapped."""
    state, now, runs = SETTLED, T0, OLD
    for seen, seconds in walk:
        now += timedelta(seconds=seconds)
        halted = decide(state, replace(seen), now)
        if halted.execution_image != runs:
            assert halted.halt
            runs = halted.execution_image
        if not halted.halt and state.phase in {Phase.SWAPPING, Phase.PUTTING_BACK}:
            assert seen.back == runs
        state = halted.state
