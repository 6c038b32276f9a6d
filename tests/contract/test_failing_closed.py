"""Each failure of docs/failing-closed.md, forced on the gate program: what it does is what the table says."""

import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from gatebench.bench import Bench, furnished
from gatebench.fakeapi import GROUP, LEASES, MAPS, SYSTEM
from ringfence.model.orders import Side
from ringfence.simulator.server import TEST_CREDENTIAL

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]
KILL_MAP = f"{MAPS}/momentum-kill-switch"


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


async def halted(bench: Bench, because: str) -> None:
    """No new order passes, and the reason says why."""
    await bench.until(lambda: bench.states[-1].state in {"Halted", "Starting"} and because in bench.states[-1].reason)
    refused = bench.intent(Side.BUY, bench.quotes[-1].bid)
    await bench.until(lambda: bench.state_of(refused) in {"DENIED", ""})


def open_orders(bench: Bench) -> int:
    bench.simulator.gateway.advance()
    return len(bench.simulator.venue.open_orders(TEST_CREDENTIAL.account))


async def logless(bench: Bench) -> None:
    """Start it anew with a log that is no file, as in a pod: what limits files must not end its log."""
    await bench.stop(signal.SIGKILL)
    await bench.start(Path(os.devnull))
    await bench.active()
    await bench.resting(2)


def writable(bench: Bench, size: int) -> None:
    """No file of the gate can be written beyond this: a full disk, for one process alone."""
    assert bench.process is not None
    resource.prlimit(bench.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_failing_closed_api_server_gone(live: Bench) -> None:
    """Halted when the Lease runs out; orders stay; a direct kill still cancels."""
    await live.resting(1)
    live.api.outage(True)
    await halted(live, "ran out")
    assert open_orders(live) == 1
    assert (await live.kill())[0] == 200
    await live.until(lambda: open_orders(live) == 0)


async def test_failing_closed_token_expired(live: Bench) -> None:
    """Every request is refused: no renewal, and so no Lease; a new token goes on by itself."""
    await live.resting(1)
    live.api.expired = True
    await halted(live, "ran out")
    assert open_orders(live) == 1
    live.api.expired = False
    await live.active()


async def test_failing_closed_lease_lost(live: Bench) -> None:
    """Somebody else holds it: nothing is sent until it is ours again, with a higher fence."""
    lease = msgspec.json.decode(msgspec.json.encode(live.api.objects[f"{LEASES}/momentum-sim"]))
    lease["spec"] |= {"holderIdentity": "intruder", "leaseTransitions": 41, "leaseDurationSeconds": 3}
    live.api.put(f"{LEASES}/momentum-sim", lease)
    await halted(live, "ease")
    await live.active()
    assert (await live.get("/state"))["fence"] == 42


async def test_failing_closed_operator_dead(live: Bench) -> None:
    """There is none here at all: the gate sees the patch itself, cancels, and proves it."""
    await live.resting(2)
    live.api.engage(SYSTEM, engaged=True)
    await live.until(lambda: live.line().get("provenAt"))
    assert open_orders(live) == 0


async def test_failing_closed_config_map_deleted(live: Bench) -> None:
    live.api.remove(KILL_MAP)
    await halted(live, "ConfigMap does not exist")
    live.api.put(KILL_MAP, {"metadata": {"name": "momentum-kill-switch", "uid": "new"}, "data": {}})
    await live.active()


async def test_failing_closed_config_map_unreadable(live: Bench) -> None:
    """What the operator wrote cannot be read: Halt. Any text of people's engages."""
    live.api.put(KILL_MAP, {"metadata": {"name": "momentum-kill-switch"}, "data": {"state": "{"}})
    await halted(live, "cannot be read")
    await live.resting(0)
    live.api.put(KILL_MAP, {"metadata": {"name": "momentum-kill-switch"}, "data": {"engage": "???"}})
    await live.until(lambda: live.states[-1].state == "Cancel")


@pytest.mark.parametrize(
    ("spec", "state"),
    [({"engaged": "yes"}, "Cancel"), ({"engaged": True, "action": "Explode"}, "Cancel"), ({"restrict": "x"}, "Halted")],
)
async def test_failing_closed_switch_unreadable(live: Bench, spec: dict[str, object], state: str) -> None:
    """An engaged switch means at least Cancel whatever else it says; an unknown restriction means Halt."""
    live.api.engage(SYSTEM, **spec)
    await live.until(lambda: live.states[-1].state == state)


async def test_failing_closed_own_switch_deleted(live: Bench) -> None:
    """Without it nobody could stop the system."""
    live.api.remove(f"{GROUP}/{SYSTEM}")
    await halted(live, "KillSwitch momentum does not exist")


async def test_failing_closed_disk_full(live: Bench) -> None:
    """Halted, since nothing can be journaled. A kill is answered, kept where it needs no room, and outlives kill -9."""
    await logless(live)
    journal = live.root / "journal" / "orders.journal"
    writable(live, journal.stat().st_size)
    refused = live.intent(Side.BUY, live.quotes[-1].bid)
    await live.until(lambda: live.states[-1].state == "Halted")
    assert live.state_of(refused) == ""
    status, answer = await live.kill()
    assert (status, answer["state"], answer["durable"]) == (200, "Cancel", True)
    await live.until(lambda: open_orders(live) == 0)
    await live.until(lambda: live.line().get("latch") == "Durable")
    await live.stop(signal.SIGKILL)
    await live.start()
    await live.until(lambda: live.states and live.states[-1].state == "Cancel")
    assert "direct kill by t: test" in live.states[-1].reason


async def test_failing_closed_disk_gone(live: Bench) -> None:
    """Nothing can be written: the kill holds, and its answer and the status say that a restart would forget it."""
    await logless(live)
    writable(live, 0)
    status, answer = await live.kill()
    assert (status, answer["state"], answer["durable"]) == (200, "Cancel", False)
    await live.until(lambda: open_orders(live) == 0)
    await live.until(lambda: live.line().get("latch") == "NotDurable")
