"""Waiting that can be cancelled at any moment."""

import asyncio

import pytest

from ringfence.runtime.waiting import wait_at_most


@pytest.mark.asyncio
async def test_a_cancellation_that_comes_with_the_event_is_not_lost() -> None:
    """Both at once is what a shutdown does: it wakes the loop and ends the task in one turn of the event loop."""
    event = asyncio.Event()

    async def loop_for_ever() -> None:
        while True:
            event.clear()
            await wait_at_most(event, 60)

    task = asyncio.ensure_future(loop_for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)
    task.cancel()
    _, pending = await asyncio.wait({task}, timeout=5)
    assert not pending
    assert task.cancelled()


@pytest.mark.asyncio
async def test_time_runs_out_quietly() -> None:
    """No event within the limit is an ordinary outcome, not an error."""
    await wait_at_most(asyncio.Event(), 0.01)
