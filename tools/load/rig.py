"""All processes of one system on this machine, each with its own memory: what `make load` loads."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from gatebench.bench import SYMBOL, Bench, free_port, limits, write_keys
from gatebench.fakeapi import MAPS, NAMESPACE, SYSTEM, serving
from ringfence.model.money import parse
from ringfence.runtime.config import (
    Allocation,
    Endpoint,
    Gate,
    Limits,
    PortfolioConfig,
    Service,
    StrategyConfig,
    Track,
    Venue,
)

ROOT: Final = Path(__file__).parents[2]
STARTED_S: Final = 30.0
REVISION: Final = "abc123def0"
GATE: Final = "ringfence.execution"
STRATEGY: Final = "ringfence.strategy"
SLOT: Final = "slot-a"
CPU_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ between runs."""

    messages_per_second: int = 5_000
    working_orders: int = 200
    lifetime_ms: int = 5_000
    """How long an order may wait for room in the venue's limits."""
    orders_per_ten_seconds: int = 100_000
    weight_per_minute: int = 1_000_000
    profile: str = ""
    """Module to run under cProfile, which writes ``profile`` into its directory; empty = none."""


class Rig:
    """One system. ``bench`` holds its keys, ports, files and its API server in memory."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.settings = settings
        self.root = root
        self.bench = Bench(root, paper=False)
        ports = ("venue", "control", "simhttp", "portfolio", "strategy")
        self.ports = self.bench.ports | {name: free_port() for name in ports}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.http: aiohttp.ClientSession

    # --- configurations

    def limits(self) -> Limits:
        return msgspec.structs.replace(
            limits(),
            order_messages_per_second=self.settings.messages_per_second,
            order_working_orders=self.settings.working_orders,
            order_approved_lifetime_ms=self.settings.lifetime_ms,
            loss_day=parse("100000"),
            breakers_reject_percent=parse("50"),
            breakers_reject_min=50,
        )

    def venue(self) -> Venue:
        here = f"127.0.0.1:{self.ports['venue']}"
        return Venue(
            name="sim",
            rest_url=f"http://{here}",
            stream_url=f"ws://{here}",
            ws_api_url=f"ws://{here}/ws-api/v3",
        )

    def gate(self) -> Gate:
        bench = self.bench
        return Gate(
            name="sim-execution",
            venue="sim",
            intents=bench.endpoint("intents", "gate"),
            events=bench.endpoint("events", "gate"),
            http=f"http://127.0.0.1:{self.ports['http']}",
        )

    def marketdata(self) -> Endpoint:
        return self.bench.endpoint("md", "marketdata")

    def allocate(self, epoch: int) -> None:
        """Live, with all the limits."""
        bench = self.bench
        track = Track(
            name="stable",
            revision=REVISION,
            stage="Live",
            weight=100,
            grant=bench.grant(self.limits()),
            key=bench.keys[SLOT].public,
        )
        document = bench.document(Allocation(epoch=epoch, tracks=(track,), limits=self.limits()))
        bench.api.put(f"{MAPS}/momentum-allocation", document)

    # --- processes

    async def start(self, module: str, config: Service, keys: str) -> None:
        """Run a service with this configuration until the rig ends."""
        place = self.root / module
        write_keys(place, self.bench.keys[keys])
        (place / "service.json").write_bytes(msgspec.json.encode(config))
        environment = os.environ | {
            "RINGFENCE_CONFIG": str(place / "service.json"),
            "RINGFENCE_CURVE": str(place),
            "RINGFENCE_CREDENTIALS": str(self.root / "credentials"),
            "RINGFENCE_JOURNAL": str(self.root / "journal"),
            "RINGFENCE_KILL_SWITCH": str(self.root / "kill-switch"),
            "RINGFENCE_KILL_TOKEN": str(self.root / "token"),
            "RINGFENCE_TERMINATION_LOG": str(place / "termination"),
            "KUBECONFIG": str(self.bench.kubeconfig),
            "POD_NAME": "momentum-sim-execution-0",
            "POD_UID": "pod-uid-1",
            "PYTHONPATH": str(ROOT / "services"),
        }
        profiled = ["-m", "cProfile", "-o", str(place / "profile")] if module == self.settings.profile else []
        with (place / "log").open("ab") as log:
            self.processes[module] = await asyncio.create_subprocess_exec(
                sys.executable, *profiled, "-m", module, env=environment, stdout=log, stderr=log, cwd=place
            )

    async def stop(self, module: str, *, hard: bool = False) -> None:
        process = self.processes.pop(module, None)
        if process is None:
            return
        if process.returncode is None:
            (process.kill if hard else process.terminate)()
        await process.wait()

    async def start_gate(self) -> None:
        config = msgspec.structs.replace(self.bench.gate_config(self.venue()), lease_duration_s=15)
        await self.start(GATE, config, "gate")

    async def start_strategy(self, strategy_class: str, parameters: dict[str, str]) -> None:
        config = StrategyConfig(
            system=SYSTEM,
            namespace=NAMESPACE,
            service="stable",
            http_port=self.ports["strategy"],
            track="stable",
            revision=REVISION,
            strategy_class=strategy_class,
            parameters=parameters,
            symbols=(SYMBOL,),
            marketdata=(self.marketdata(),),
            gate=self.gate(),
        )
        await self.start(STRATEGY, config, SLOT)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        """Everything but the strategy, up and Active."""
        bench, settings = self.bench, self.settings
        bench.furnish()
        self.allocate(2)
        async with serving(bench.api) as api_port, aiohttp.ClientSession() as self.http:
            bench.write_files(api_port, self.venue())
            simulator = msgspec.structs.replace(
                bench.simulator_config(),
                http_port=self.ports["simhttp"],
                port=self.ports["venue"],
                control_port=self.ports["control"],
                orders_per_ten_seconds=settings.orders_per_ten_seconds,
                orders_per_day=10_000_000,
                weight_per_minute=settings.weight_per_minute,
            )
            portfolio = PortfolioConfig(
                system=SYSTEM,
                namespace=NAMESPACE,
                service="portfolio",
                http_port=self.ports["portfolio"],
                currency="USDT",
                gates=(self.gate(),),
                marketdata=(self.marketdata(),),
                symbols=(SYMBOL,),
                capital=parse("100000"),
            )
            try:
                await self.start("ringfence.simulator", simulator, "reader")
                await self.until(self._venue_is_up, "the venue")
                await self.start("ringfence.marketdata", bench.marketdata_config(self.venue()), "marketdata")
                await self.start("ringfence.portfolio", portfolio, "reader")
                await self.start_gate()
                await self.active()
                yield self
            finally:
                for module in list(self.processes):
                    await self.stop(module, hard=True)

    async def _venue_is_up(self) -> bool:
        return bool(await self.control("state"))

    async def active(self) -> None:
        async def is_active() -> bool:
            return bool((await self.gate_document("state"))["state"] == "Active")

        await self.until(is_active, "an Active gate")

    async def until(self, condition: Any, what: str, timeout_s: float = STARTED_S) -> None:
        """Ask again and again; raises with the gate's log when it does not come true."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        if await condition():
                            return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            logs = "\n".join((self.root / module / "log").read_text()[-2500:] for module in self.processes)
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}\n{logs}") from None

    # --- what they tell

    async def _get(self, port: str, path: str) -> bytes:
        async with self.http.get(f"http://127.0.0.1:{self.ports[port]}/{path}") as response:
            return await response.read()

    async def control(self, path: str) -> Any:
        """A document of the simulator's own record."""
        return msgspec.json.decode(await self._get("control", path))

    async def fault(self, kind: str, **fields: Any) -> None:
        url = f"http://127.0.0.1:{self.ports['control']}/faults"
        async with self.http.post(url, json={"kind": kind} | fields) as response:
            if response.status != 200:
                raise ValueError(await response.text())

    async def gate_document(self, path: str) -> Any:
        return msgspec.json.decode(await self._get("http", path))

    async def positions(self) -> Any:
        """Of the portfolio."""
        return msgspec.json.decode(await self._get("portfolio", "positions"))

    async def metrics(self, port: str) -> str:
        return (await self._get(port, "metrics")).decode()

    def memory_mb(self) -> dict[str, float]:
        """Resident, by process."""
        found = {}
        for module, process in self.processes.items():
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                found[module.removeprefix("ringfence.")] = pages * PAGE_BYTES / 1e6
        return found

    def cpu_s(self) -> dict[str, float]:
        """Processor time used so far, by process."""
        found = {}
        for module, process in self.processes.items():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                found[module.removeprefix("ringfence.")] = (int(fields[11]) + int(fields[12])) / CPU_TICKS_PER_S
        return found
