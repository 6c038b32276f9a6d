"""Under load nothing is lost and nothing doubled: real processes, and every party's own count of the same orders."""

from pathlib import Path

import pytest

from load.rig import Rig, Settings
from load.run import Load

WIRE_MS = 1_000
"""For bytes that had left to be read by a venue that shares two busy cores with everybody else."""
RATE = 300
SECONDS = 5.0


@pytest.mark.asyncio
@pytest.mark.timeout(240)
async def test_a_burst_a_dropped_stream_a_breaker_and_a_kill_lose_and_double_nothing(tmp_path: Path) -> None:
    """Whatever rate this machine reaches: the books of strategy, gate, journal, portfolio and venue are one."""
    async with Rig(tmp_path, Settings()).running() as rig:
        load = Load(rig)

        async def disturb(_seconds: float) -> None:
            await rig.fault("drop_streams")

        found = await load.phase("burst", RATE, SECONDS, disturb)
        assert found.intents == RATE * SECONDS
        assert found.accepted > 0
        assert await load.settle() == []
        await rig.active()
        broken = await load.trip(RATE)
        assert broken["orders at the venue while open"] == 0
        killed = await load.kill(RATE)
        assert killed["orders at the venue before"] > 0
        assert killed["decided after the gate closed"] == 0
        assert killed["latest after closing, ms"] < WIRE_MS
        assert await load.settle() == []
        assert (await load.recover())["answers after, s"] < 10
        assert await load.compare() == []
        assert load.memory.grown() == []


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_what_exceeds_the_gates_rate_is_refused_and_told_and_never_sent(tmp_path: Path) -> None:
    async with Rig(tmp_path, Settings(messages_per_second=100)).running() as rig:
        load = Load(rig)
        found = await load.phase("overload", RATE, SECONDS)
        assert found.accepted <= 100 * (SECONDS + 3)
        assert found.denied["RATE_TRACK_EXCEEDED"] > 0
        assert load.told.heard == load.told.unjournaled > 0, "the strategy has heard of every one"
        assert await load.settle() == []


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_the_venues_order_limit_holds_orders_back_here_and_is_never_run_into_there(tmp_path: Path) -> None:
    settings = Settings(orders_per_ten_seconds=300, lifetime_ms=500)
    async with Rig(tmp_path, settings).running() as rig:
        load = Load(rig)
        found = await load.phase("limited", RATE, SECONDS)
        assert found.unsent > 0
        assert not [request for request in load.requests if request["code"] == -1015]
        assert await load.settle() == []
