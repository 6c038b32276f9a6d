"""The bench: keys, ports, files, the process, and what it says on the bus."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from gatebench.fakeapi import GROUP, LEASES, MAPS, NAMESPACE, SYSTEM, FakeApi, serving
from ringfence.marketdata.service import marketdata
from ringfence.model.money import parse
from ringfence.model.orders import Initialized, Order, OrderType, Side, TimeInForce
from ringfence.runtime.bus import Bus, KeyPair, Pusher
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import (
    Allocation,
    Endpoint,
    GateConfig,
    GeneratedMarket,
    Limits,
    MarketdataConfig,
    SimulatorConfig,
    Track,
    Venue,
)
from ringfence.runtime.service import serve
from ringfence.simulator.server import TEST_CREDENTIAL, Simulator, serve_simulator
from ringfence.wire.kill import KillRequest, signed
from ringfence.wire.messages import AccountState, Envelope, GateState, Intent, OrderUpdate, Quote

SYMBOL: Final = "BTCUSDT"
SLOTS: Final = ("slot-a", "slot-b")
"""Strategies of their own, for those who run some beside the bench's."""
TOKEN: Final = b"contract-test-token"
WAIT_S: Final = 30.0
CLOCK: Final = SystemClock()
QUANTITY: Final = parse("0.001")
OWNERS: Final = parse("10")
"""BTC that the account holds before the gate's first start."""


def limits() -> Limits:
    return Limits(
        order_quantity_max=parse("1"),
        order_value_max=parse("50000"),
        order_collar_bps=parse("300"),
        order_messages_per_second=1000,
        order_working_orders=20,
        order_approved_lifetime_ms=5000,
        position_per_instrument=parse("200000"),
        position_gross=parse("200000"),
        loss_day=parse("10000"),
        market_quote_stale_ms=10_000,
        market_book_stale_ms=10_000,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_keys(directory: Path, keys: KeyPair) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "public").write_text(keys.public)
    (directory / "secret").write_text(keys.secret)


class Outside(Protocol):
    """An API server of the test's own, instead of the one in memory."""

    namespace: str
    kubeconfig: Path

    async def furnish(self, bench: "Bench") -> None:
        """Create what the operator would have: the objects of ``bench.api``."""


class Bench:
    """Everything around one gate, and the gate's process."""

    def __init__(self, root: Path, *, paper: bool, namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self.root = root
        self.paper = paper
        self.keys = {role: KeyPair.generate() for role in ("marketdata", "gate", "strategy", "reader", "paper", *SLOTS)}
        self.ports = {name: free_port() for name in ("http", "kill", "intents", "events", "md", "mdhttp")}
        self.api = FakeApi()
        self.updates: dict[int, OrderUpdate] = {}
        self.states: list[GateState] = []
        self.accounts: list[AccountState] = []
        self.quotes: list[Quote] = []
        self.told = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.numbers = 0
        self.simulator: Simulator
        self.bus: Bus
        self.pusher: Pusher
        self.kubeconfig = root / "kubeconfig"
        self.started_at = 0.0

    # --- setting up

    def simulator_config(self) -> SimulatorConfig:
        return SimulatorConfig(
            system=SYSTEM,
            namespace=NAMESPACE,
            service="sim-simulator",
            symbols=(SYMBOL,),
            market=GeneratedMarket(seed=3),
            maker_fee_bps=parse("7.5"),
            taker_fee_bps=parse("10"),
            latency_ms=1,
            balances={"USDT": parse("1000000"), "BTC": parse("10")},
            port=0,
            control_port=0,
        )

    def marketdata_config(self, address: Venue) -> MarketdataConfig:
        return MarketdataConfig(
            system=SYSTEM,
            namespace=NAMESPACE,
            service="sim-marketdata",
            venue=address,
            symbols=(SYMBOL,),
            book_stale_ms=5000,
            quote_stale_ms=10_000,
            subscribers={role: self.keys[role].public for role in ("gate", "reader", "paper", *SLOTS)},
            port=self.ports["md"],
            http_port=self.ports["mdhttp"],
        )

    def gate_config(self, address: Venue) -> GateConfig:
        return GateConfig(
            system=SYSTEM,
            namespace=self.namespace,
            service="sim-paper" if self.paper else "sim-execution",
            http_port=self.ports["http"],
            account="momentum-sim",
            venue=address,
            paper=self.paper,
            symbols=(SYMBOL,),
            capital=parse("100000"),
            currency="USDT",
            marketdata=self.endpoint("md", "marketdata"),
            subscribers={role: self.keys[role].public for role in ("reader", "paper")},
            lease="" if self.paper else "momentum-sim",
            kill_switch_configmap="momentum-kill-switch",
            allocation_configmap="momentum-allocation",
            labels={"desk": "crypto"},
            paper_balances={"USDT": parse("1000000"), "BTC": parse("10")},
            maker_fee_bps=parse("7.5"),
            taker_fee_bps=parse("10"),
            latency_ms=1,
            lease_duration_s=6,
            intents_port=self.ports["intents"],
            events_port=self.ports["events"],
            kill_port=self.ports["kill"],
        )

    def endpoint(self, port: str, role: str) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.ports[port], public_key=self.keys[role].public)

    def grant(self, granted: Limits | None = None) -> str:
        """Name of the limits that are granted, which exist from then on."""
        text_ = msgspec.json.encode(granted or limits()).decode()
        grant = f"momentum-limits-{hashlib.sha256(text_.encode()).hexdigest()[:10]}"
        self.api.objects.setdefault(
            f"{MAPS}/{grant}",
            {"metadata": {"name": grant, "uid": grant}, "immutable": True, "data": {"limits.json": text_}},
        )
        return grant

    def allocation(self, epoch: int = 1, **changes: int) -> dict[str, Any]:
        track = Track(
            name="stable",
            revision="abc123def0",
            stage="Paper" if self.paper else "Live",
            weight=100,
            grant=self.grant(),
            key=self.keys["strategy"].public,
        )
        current = msgspec.structs.replace(limits(), **changes)
        return self.document(Allocation(epoch=epoch, tracks=(track,), limits=current))

    @staticmethod
    def document(allocation: Allocation) -> dict[str, Any]:
        """The ConfigMap of an allocation."""
        text_ = msgspec.json.encode(allocation).decode()
        return {"metadata": {"name": "momentum-allocation"}, "data": {"allocation.json": text_}}

    def furnish(self) -> None:
        """What the operator would have created."""
        spec = {"engaged": False, "action": "Cancel", "restrict": "None"}
        self.api.put(f"{GROUP}/{SYSTEM}", {"metadata": {"name": SYSTEM}, "spec": spec})
        self.api.put(f"{MAPS}/momentum-kill-switch", {"metadata": {"name": "momentum-kill-switch"}, "data": {}})
        self.api.put(f"{MAPS}/momentum-allocation", self.allocation())
        self.api.put(f"{LEASES}/momentum-sim", {"metadata": {"name": "momentum-sim"}, "spec": {}})

    def write_files(self, api_port: int, address: Venue) -> None:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "namespace": NAMESPACE}}
        document = {"clusters": [cluster], "contexts": [context], "users": [], "current-context": "c"}
        self.kubeconfig.write_text(json.dumps(document))
        write_keys(self.root / "gate", self.keys["gate"])
        write_keys(self.root / "marketdata", self.keys["marketdata"])
        (self.root / "token").write_bytes(TOKEN + b"\n")
        (self.root / "kill-switch").mkdir()
        (self.root / "credentials").mkdir()
        (self.root / "credentials" / "api-key").write_text(TEST_CREDENTIAL.api_key)
        (self.root / "credentials" / "api-secret").write_text(TEST_CREDENTIAL.api_secret)
        (self.root / "service.json").write_bytes(msgspec.json.encode(self.gate_config(address)))

    # --- the process

    async def start(self, log: Path | None = None) -> None:
        """``log``: where it writes its log; default ``gate.log``."""
        environment = os.environ | {
            "RINGFENCE_CONFIG": str(self.root / "service.json"),
            "RINGFENCE_CURVE": str(self.root / "gate"),
            "RINGFENCE_CREDENTIALS": str(self.root / "credentials"),
            "RINGFENCE_JOURNAL": str(self.root / "journal"),
            "RINGFENCE_KILL_SWITCH": str(self.root / "kill-switch"),
            "RINGFENCE_KILL_TOKEN": str(self.root / "token"),
            "RINGFENCE_TERMINATION_LOG": str(self.root / "termination"),
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAME": "momentum-sim-execution-0",
            "POD_UID": "pod-uid-1",
            "PYTHONPATH": "services",
        }
        module = "ringfence.paper" if self.paper else "ringfence.execution"
        output = (log or self.root / "gate.log").open("ab")
        self.started_at = CLOCK.monotonic_ns() / 1e9
        self.states.clear()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, stdout=output, stderr=output
        )
        output.close()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    def on_event(self, envelope: Envelope) -> None:
        match envelope.body:
            case OrderUpdate(_, sequence):
                self.updates[sequence] = envelope.body
            case GateState():
                self.states.append(envelope.body)
            case AccountState():
                self.accounts.append(envelope.body)
            case Quote():
                self.quotes.append(envelope.body)
            case _:
                pass
        self.told.set()

    async def until(self, condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not condition():
                    self.told.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.told.wait(), 0.05)
        except TimeoutError:
            log = (self.root / "gate.log").read_text()[-3000:]
            told = "\n".join(str(update.event) for _, update in sorted(self.updates.items())[-12:])
            raise AssertionError(f"waited in vain; state {self.states[-1:]}\n{told}\n{log}") from None

    async def active(self) -> None:
        await self.until(lambda: self.states and self.states[-1].state == "Active")

    # --- trading

    def intent(self, side: Side, price: int, quantity: int = QUANTITY, *, market: bool = False) -> str:
        self.numbers += 1
        name = f"i{self.numbers}"
        self.pusher.send(
            Intent(
                name,
                "stable",
                SYMBOL,
                side,
                OrderType.MARKET if market else OrderType.LIMIT,
                TimeInForce.GTC,
                quantity,
                0 if market else price,
                False,
                CLOCK.wall_ns(),
            )
        )
        return name

    def orders(self) -> dict[str, Order]:
        """Independent fold of the published events."""
        found: dict[str, Order] = {}
        for _, update in sorted(self.updates.items()):
            event = update.event
            if isinstance(event, Initialized):
                found[event.client_order_id] = Order(event)
            elif event.client_order_id in found:
                found[event.client_order_id].apply(event)
        return found

    def order(self, intent_id: str) -> Order | None:
        return next((o for o in self.orders().values() if o.intent_id == intent_id), None)

    def state_of(self, intent_id: str) -> str:
        found = self.order(intent_id)
        return "" if found is None else str(found.state)

    def events(self, kind: type) -> list[Any]:
        return [u.event for _, u in sorted(self.updates.items()) if isinstance(u.event, kind)]

    async def resting(self, count: int) -> list[str]:
        """Working buys far below the market."""
        bid = self.quotes[-1].bid
        price = bid * 98 // 100 // 1_000_000 * 1_000_000
        names = [self.intent(Side.BUY, price - number * 1_000_000) for number in range(count)]
        await self.until(lambda: all(self.state_of(name) == "ACCEPTED" for name in names))
        return names

    async def get(self, path: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.ports['http']}{path}") as response,
        ):
            return await response.json()

    async def metrics(self) -> str:
        """The page that Prometheus scrapes."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.ports['http']}/metrics") as response,
        ):
            return await response.text()

    def line(self, name: str = SYSTEM) -> dict[str, Any]:
        """The gate's own line in the status of a KillSwitch; empty where it has not written one."""
        lines = self.api.objects[f"{GROUP}/{name}"].get("status", {}).get("gates", [])
        return lines[0] if lines else {}

    def held(self) -> int:
        """What the venue shows of BTC above the owner's own."""
        self.simulator.gateway.advance()
        balance = self.simulator.venue.ledger.balance(TEST_CREDENTIAL.account, "BTC")
        return balance.free + balance.locked - OWNERS

    def reconfigure(self, **changes: Any) -> None:
        """Change the gate's file; it holds from the next start on."""
        path = self.root / "service.json"
        path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))

    async def kill(self, severity: str = "Cancel", token: bytes = TOKEN) -> tuple[int, Any]:
        request = KillRequest(severity=severity, reason="test", by="t", ts=CLOCK.wall_ns(), source="direct")
        body, headers = signed(token, request)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{self.ports['kill']}/kill", data=body, headers=headers) as response,
        ):
            return response.status, await response.json()


@contextlib.asynccontextmanager
async def furnished(
    root: Path, monkeypatch: Any, *, paper: bool, server: "Outside | None" = None
) -> AsyncIterator[Bench]:
    bench = Bench(root, paper=paper, namespace=server.namespace if server else NAMESPACE)
    bench.furnish()
    async with serving(bench.api) as api_port, serve_simulator(bench.simulator_config()) as simulator:
        bench.simulator = simulator
        address = msgspec.structs.replace(simulator.address(), recv_window_ms=1000)
        bench.write_files(api_port, address)
        if server is not None:
            bench.kubeconfig = server.kubeconfig
            await server.furnish(bench)
        monkeypatch.setenv("RINGFENCE_CURVE_DIR", str(root / "marketdata"))
        monkeypatch.setenv("RINGFENCE_CURVE", str(root / "marketdata"))
        feed = asyncio.create_task(serve(bench.marketdata_config(address), marketdata, SystemClock()))
        bench.bus = Bus("reader", CLOCK.wall_ns(), bench.keys["reader"])
        strategy = Bus("strategy", CLOCK.wall_ns(), bench.keys["strategy"])
        bench.bus.subscriber([bench.endpoint("events", "gate")], ["orders.", "gate", "account"], bench.on_event)
        bench.bus.subscriber([bench.endpoint("md", "marketdata")], ["quote."], bench.on_event)
        bench.pusher = strategy.pusher(bench.endpoint("intents", "gate"))
        try:
            await bench.start()
            await bench.active()
            yield bench
        finally:
            await bench.stop(signal.SIGKILL)
            bench.bus.close()
            strategy.close()
            feed.cancel()
            await asyncio.gather(feed, return_exceptions=True)
