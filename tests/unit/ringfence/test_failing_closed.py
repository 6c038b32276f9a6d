"""Failures of docs/failing-closed.md that no process can be made to show within seconds: silence, clocks."""

import asyncio
from pathlib import Path

import pytest

from gatebench.stoprig import BTC, ONE, PRICE, SECOND, WALL, Rig
from ringfence.kube.client import KubeClient
from ringfence.kube.watch import INACTIVITY_TIMEOUT_S
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.guard import Guard
from ringfence.runtime.killwatch import REQUIREMENT, Fold, KillWatch
from ringfence.runtime.lease import LeaseCore, Write
from ringfence.wire.kill import KillRequest, opened, signed
from ringfence.wire.messages import Intent
from ringfence.wire.stops import Severity


class Silent:
    """A watch whose connection is open and says nothing."""

    last_error: Exception | None = None

    def __init__(self, silent_s: float) -> None:
        self.seconds = silent_s
        self.last_heard = 1.0

    def silent_s(self) -> float:
        return self.seconds


class Owner:
    def __init__(self) -> None:
        self.guard = Guard("s", {}, [REQUIREMENT], WALL)
        self.guard.switches_listed([{"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}], WALL)
        self.guard.reconciled(1, WALL)

    def observe(self, fold: Fold) -> None:
        fold(WALL)

    def on_allocation(self, found: object) -> None:
        """Nothing to do."""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("silent_s", "state"), [(INACTIVITY_TIMEOUT_S - 1, "Active"), (INACTIVITY_TIMEOUT_S + 1, "Starting")]
)
async def test_failing_closed_watch_silent(tmp_path: Path, silent_s: float, state: str) -> None:
    """API servers send a bookmark each minute: 70 s without one are a dead connection, however open it looks."""
    owner = Owner()
    async with KubeClient("http://127.0.0.1:9") as client:
        watch = KillWatch(client, "n", "document", "allocation", owner, tmp_path)
        quiet = Silent(silent_s)
        watch._names = {"KillSwitches": quiet}  # type: ignore[dict-item]
        watch._allocation = quiet  # type: ignore[assignment]
        task = asyncio.create_task(watch.freshness())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    assert owner.guard.state == state
    assert ("nothing heard of KillSwitches for more than 70 s" in owner.guard.reason) is (state != "Active")


@pytest.mark.parametrize(("jump_s", "code"), [(3600, "INTENT_STALE"), (-3600, "INTENT_FROM_THE_FUTURE")])
def test_failing_closed_wall_clock_jump(jump_s: int, code: str) -> None:
    """Decisions made before it are refused, in either direction."""
    rig = Rig()
    intent = Intent("a", "stable", BTC, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, ONE // 2, PRICE, False, WALL)
    refused = rig.gate.check(intent, WALL + jump_s * SECOND, rig.mono)
    assert [reason.split()[0] for reason in refused] == [code]


def test_failing_closed_kill_of_another_time() -> None:
    """A push that was signed half a minute ago, by either clock, is refused: it may be a replay. Patch the switch."""
    request = KillRequest(severity="Cancel", reason="", by="", ts=WALL, source="direct")
    body, headers = signed(b"token", request)
    for jump in (31, -31):
        refused = opened(b"token", body, next(iter(headers.values())), WALL + jump * SECOND)
        assert isinstance(refused, str)
        assert "31.0 s away" in refused


def test_failing_closed_suspended_machine() -> None:
    """The boot clock goes on while a machine sleeps: when it wakes, the Lease has run out before anything is sent."""
    core = LeaseCore("me", "pod", 15, 5 * SECOND, 0)
    step = core.step({"spec": {}, "metadata": {"resourceVersion": "1"}}, 100 * SECOND, WALL)
    assert isinstance(step, Write)
    core.written(step.fence, 100 * SECOND)
    assert core.send_until > 101 * SECOND
    assert core.send_until < 400 * SECOND
    assert core.remaining_ns(400 * SECOND) == 0


def test_failing_closed_an_approval_of_before_a_stop_is_void() -> None:
    """Also where the stop is only of a part, and only because an object could not be read."""
    rig = Rig()
    epoch = rig.guard.epoch
    rig.part({"instruments": [BTC]}, engaged=True)
    assert rig.guard.epoch == epoch + 1
    rig.part({"wrong": [BTC]}, engaged=True)
    assert rig.guard.severity is Severity.CANCEL
    assert rig.guard.epoch == epoch + 2
