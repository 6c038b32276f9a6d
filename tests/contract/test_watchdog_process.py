"""The watchdog's own program beside a gate's, against a simulated venue: what it cancels, and what it leaves alone."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from gatebench.bench import CLOCK, QUANTITY, SYMBOL, WAIT_S, Bench, free_port, furnished, write_keys
from gatebench.fakeapi import NAMESPACE, SYSTEM
from ringfence.model.money import parse
from ringfence.model.orders import Side
from ringfence.runtime.config import Gate, WatchdogConfig
from ringfence.simulator.server import TEST_CREDENTIAL

POD: Final = "momentum-sim-execution-0"
POD_PATH: Final = f"/api/v1/namespaces/{NAMESPACE}/pods/{POD}"
SILENT_S: Final = 3
NEVER_S: Final = 600


class Dog:
    """One watchdog's process, and what it says."""

    def __init__(self, bench: Bench, http: aiohttp.ClientSession, **changes: Any) -> None:
        self.bench = bench
        self.http = http
        self.changes = changes
        self.port = free_port()
        self.root = bench.root / f"watchdog-{self.port}"
        self.process: asyncio.subprocess.Process

    def config(self) -> WatchdogConfig:
        bench, ports = self.bench, self.bench.ports
        gate = Gate(
            name="sim-execution",
            venue="sim",
            intents=bench.endpoint("intents", "gate"),
            events=bench.endpoint("events", "gate"),
            http=f"http://127.0.0.1:{ports['http']}",
        )
        found = WatchdogConfig(
            system=SYSTEM,
            namespace=NAMESPACE,
            service="sim-watchdog",
            http_port=self.port,
            account="momentum-sim",
            venue=msgspec.structs.replace(bench.simulator.address(), recv_window_ms=1000),
            symbols=(SYMBOL,),
            currency="USDT",
            allocation_configmap="momentum-allocation",
            gate=gate,
            gate_pod=POD,
            kill_url=f"http://127.0.0.1:{ports['kill']}",
            lease="momentum-sim",
            labels={"desk": "crypto"},
            system_venues=("sim",),
            system_instruments=(SYMBOL,),
            silent_s=SILENT_S,
            acknowledge_s=NEVER_S,
            look_s=1,
            looks=2,
        )
        return msgspec.structs.replace(found, **self.changes)

    async def start(self) -> None:
        bench, root = self.bench, self.root
        root.mkdir()
        (root / "service.json").write_bytes(msgspec.json.encode(self.config()))
        write_keys(root / "curve", bench.keys["reader"])
        environment = os.environ | {
            "RINGFENCE_CONFIG": str(root / "service.json"),
            "RINGFENCE_CURVE": str(root / "curve"),
            "RINGFENCE_CREDENTIALS": str(bench.root / "credentials"),
            "RINGFENCE_KILL_TOKEN": str(bench.root / "token"),
            "RINGFENCE_TERMINATION_LOG": str(root / "termination"),
            "KUBECONFIG": str(bench.kubeconfig),
            "PYTHONPATH": "services",
        }
        with (root / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ringfence.watchdog", env=environment, stdout=log, stderr=log
            )
        await self.until(lambda m: m.get("ringfence_watchdog_looks_total", 0) >= 1)

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()

    async def metrics(self) -> dict[str, float]:
        try:
            async with self.http.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                text = await answer.text()
        except aiohttp.ClientError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^(\w+)(?:\{\})? (\S+)$", text, re.MULTILINE)}

    async def until(self, condition: Any, wait_s: float = WAIT_S) -> dict[str, float]:
        found: dict[str, float] = {}
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    found = await self.metrics()
                    if condition(found):
                        return found
                    await asyncio.sleep(0.05)
        except TimeoutError:
            watched = {name: value for name, value in found.items() if "watchdog" in name}
            raise AssertionError(f"in vain: {watched}\n{(self.root / 'log').read_text()[-3000:]}") from None


@pytest_asyncio.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        running = {"running": {"startedAt": "2020-01-01T00:00:00Z"}}
        found.api.put(POD_PATH, {"metadata": {"name": POD}, "status": {"containerStatuses": [{"state": running}]}})
        yield found


@asynccontextmanager
async def watched(bench: Bench, **changes: Any) -> AsyncIterator[Dog]:
    async with aiohttp.ClientSession() as http:
        dog = Dog(bench, http, **changes)
        await dog.start()
        try:
            yield dog
        finally:
            assert await dog.stop() == 0, (dog.root / "log").read_text()[-2000:]


def own_open(bench: Bench) -> int:
    bench.simulator.gateway.advance()
    return len(bench.simulator.venue.open_orders(TEST_CREDENTIAL.account))


def bulk_cancels(bench: Bench) -> list[int]:
    """When each bulk cancel arrived at the venue, by its own record."""
    record = bench.simulator.gateway.api.record.since(0, 1 << 30)
    return [one.arrived_ns for one in record if one.kind == "cancel_all"]


@pytest.mark.asyncio
async def test_after_kill_minus_nine_of_execution_its_orders_are_cancelled(bench: Bench) -> None:
    """Not before both have been silent for the whole time; then all of them, and the pod is deleted once."""
    async with watched(bench) as dog:
        await bench.resting(4)
        await bench.stop(signal.SIGKILL)
        killed = CLOCK.wall_ns()
        found = await dog.until(lambda m: m.get("ringfence_watchdog_cancelled_orders_total") == 4)
        assert own_open(bench) == 0
        (arrived,) = bulk_cancels(bench)
        # a beat and a renewal are seen up to a second late, so silence may begin up to that much before the kill
        assert (SILENT_S - 1.5) * 1e9 < arrived - killed < (SILENT_S + 6 + 3) * 1e9
        assert found["ringfence_watchdog_cancelling"] == 1
        await dog.until(lambda m: m["ringfence_watchdog_deleted_pods_total"] == 1)
        assert bench.api.deleted == [POD_PATH]
        await bench.start()
        await bench.active()
        await dog.until(lambda m: m["ringfence_watchdog_cancelling"] == 0)
        await bench.resting(1)
        await asyncio.sleep(SILENT_S + 1)  # a living gate's orders stay: nothing to await, but that nothing happens
        assert (own_open(bench), len(bulk_cancels(bench))) == (1, 1)


@pytest.mark.asyncio
async def test_a_gate_that_cannot_be_reached_and_renews_its_lease_keeps_its_orders(bench: Bench) -> None:
    """It lives: perhaps only our way to it is broken. That is an alert and nothing more."""
    async with watched(bench, kill_url=f"http://127.0.0.1:{free_port()}") as dog:
        await bench.resting(2)
        await dog.until(lambda m: m.get("ringfence_watchdog_gate_unreachable") == 1)
        await asyncio.sleep(SILENT_S)  # as above
        assert (own_open(bench), bulk_cancels(bench), bench.api.deleted) == (2, [], [])


@pytest.mark.asyncio
async def test_an_api_server_that_is_away_stops_nobody_who_answers(bench: Bench) -> None:
    """No Lease can be renewed or read; the gate's own answer is enough."""
    async with watched(bench) as dog:
        await bench.resting(2)
        bench.api.outage(True)
        await dog.until(lambda m: m.get("ringfence_watchdog_lease_age_seconds", 0) > 2 * SILENT_S)
        assert (await dog.metrics())["ringfence_watchdog_cancelling"] == 0
        assert (own_open(bench), bulk_cancels(bench)) == (2, [])
        bench.api.outage(False)


@pytest.mark.asyncio
async def test_an_orderly_end_leaves_the_account_alone(bench: Bench) -> None:
    """SIGTERM: execution has cancelled its own and freed the Lease; what else is open there is its owner's."""
    async with watched(bench, silent_s=1) as dog:
        await bench.resting(2)
        assert await bench.stop() == 0
        await dog.until(lambda m: m.get("ringfence_watchdog_heartbeat_age_seconds", 0) > 3)
        assert (bulk_cancels(bench), bench.api.deleted) == ([], [])


@pytest.mark.asyncio
async def test_orders_kept_for_a_successor_that_does_not_come_are_cancelled(bench: Bench) -> None:
    """SIGTERM under Keep: they stand while a successor may still come, and not for ever."""
    await bench.stop()
    bench.reconfigure(on_shutdown="Keep")
    await bench.start()
    await bench.active()
    async with watched(bench, silent_s=4, on_shutdown="Keep") as dog:
        await bench.resting(2)
        looks = (await dog.metrics())["ringfence_watchdog_looks_total"]
        await dog.until(lambda m: m["ringfence_watchdog_looks_total"] >= looks + 2)
        assert await bench.stop() == 0
        ended = CLOCK.wall_ns()
        assert (own_open(bench), bulk_cancels(bench)) == (2, [])
        await dog.until(lambda m: m.get("ringfence_watchdog_cancelled_orders_total") == 2)
        assert own_open(bench) == 0
        assert bulk_cancels(bench)[0] - ended > 2.5e9
        assert bench.api.deleted == [], "there is no pod that hangs"


@pytest.mark.asyncio
async def test_a_kill_that_the_gate_does_not_acknowledge_is_carried_out_without_it(bench: Bench) -> None:
    """A gate that hangs (SIGSTOP) can neither close nor cancel. The switch is the watchdog's to read."""
    async with watched(bench, silent_s=NEVER_S, acknowledge_s=2) as dog:
        await bench.resting(3)
        assert bench.process is not None
        bench.process.send_signal(signal.SIGSTOP)
        begun = CLOCK.wall_ns()
        bench.api.engage(SYSTEM, engaged=True, reason="drill")
        await dog.until(lambda m: m.get("ringfence_watchdog_cancelled_orders_total") == 3)
        assert own_open(bench) == 0
        assert 1.9e9 < bulk_cancels(bench)[0] - begun < 6e9
        await dog.until(lambda m: m["ringfence_watchdog_deleted_pods_total"] == 1)
        bench.process.send_signal(signal.SIGCONT)
        await bench.until(lambda: bench.states[-1].state == "Cancel")
        await dog.until(lambda m: m["ringfence_watchdog_unacknowledged"] == 0)


@pytest.mark.asyncio
async def test_a_kill_that_is_acknowledged_is_left_to_the_gate(bench: Bench) -> None:
    """It cancels by id, and foreign orders stay."""
    async with watched(bench, silent_s=NEVER_S, acknowledge_s=2) as dog:
        await bench.resting(2)
        bench.api.engage(SYSTEM, engaged=True, reason="drill")
        await bench.until(lambda: bench.states[-1].state == "Cancel")
        await asyncio.sleep(3)  # as above: past the time in which it would have acted
        assert bulk_cancels(bench) == []
        assert (await dog.metrics())["ringfence_watchdog_unacknowledged"] == 0


@pytest.mark.asyncio
async def test_trading_that_is_told_truly_never_differs_and_money_that_moves_by_itself_halts(bench: Bench) -> None:
    """Fills under the comparison raise nothing; a withdrawal that no event explains halts the gate, in our words."""
    async with watched(bench, silent_s=NEVER_S) as dog:
        for number in range(12):
            bench.intent(Side.BUY if number % 2 else Side.SELL, 0, QUANTITY * (number + 1), market=True)
            await asyncio.sleep(0.25)
        looks = (await dog.metrics())["ringfence_watchdog_looks_total"]
        found = await dog.until(lambda m: m["ringfence_watchdog_looks_total"] >= looks + 3)
        assert (found["ringfence_watchdog_differences"], found["ringfence_watchdog_halts_total"]) == (0, 0)
        bench.simulator.venue.ledger.balance(TEST_CREDENTIAL.account, "BTC").free -= parse("0.5")
        found = await dog.until(lambda m: m["ringfence_watchdog_halts_total"] == 1)
        assert found["ringfence_watchdog_differences_grave"] == 1
        told = "the watchdog: the account holds -0.5 BTC that no event explains"
        await bench.until(lambda: bench.states[-1].state == "Halted" and told in bench.states[-1].reason)
