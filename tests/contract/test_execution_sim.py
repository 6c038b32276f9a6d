"""The gate program against a simulated venue, real marketdata, a real bus, and an API server that speaks the protocol.

The gate runs as a process of its own, so that it can be killed. Time is real: the tests wait for what must come.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from ringfence.marketdata.service import marketdata
from ringfence.model.money import parse, text
from ringfence.model.orders import Accepted, Canceled, Filled, Order, OrderType, Side, TimeInForce
from ringfence.model.orders import Denied as DeniedEvent
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
from ringfence.runtime.journal import Journal
from ringfence.runtime.service import serve
from ringfence.simulator.server import TEST_CREDENTIAL, Simulator, serve_simulator
from ringfence.wire.codec import decode_page
from ringfence.wire.kill import KillAnswer, KillRequest, signed
from ringfence.wire.messages import AccountState, CancelIntent, Envelope, GateState, Intent, OrderUpdate, Quote

NAMESPACE, SYSTEM, SYMBOL = "trading", "momentum", "BTCUSDT"
GROUP = "/apis/ringfence.dev/v1alpha1/namespaces/trading/killswitches"
MAPS = "/api/v1/namespaces/trading/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/trading/leases"
TOKEN = b"contract-test-token"
WAIT_S = 30.0
QUANTITY = parse("0.001")


def limits() -> Limits:
    return Limits(
        order_quantity_max=parse("1"),
        order_value_max=parse("50000"),
        collar_bps=parse("300"),
        messages_per_second=1000,
        working_orders=20,
        duplicate_window_ms=500,
        approved_lifetime_ms=500,
        position_max=parse("200000"),
        gross_max=parse("200000"),
        loss_day_max=parse("10000"),
        quote_stale_ms=10_000,
        book_stale_ms=10_000,
    )


class FakeApi:
    """Lists, watches with bookmarks and initial events, merge patches with optimistic locking, and apply to status."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.watchers: list[tuple[str, str, asyncio.Queue[dict[str, Any]]]] = []
        self.closing = asyncio.Event()

    def put(self, path: str, manifest: dict[str, Any], *, spec_changed: bool = True) -> None:
        known = self.objects.get(path)
        self.version += 1
        meta = manifest["metadata"]
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", hashlib.sha256(path.encode()).hexdigest()[:12])
        if spec_changed and "spec" in manifest:
            meta["generation"] = (known or manifest)["metadata"].get("generation", 0) + 1
        self.objects[path] = manifest
        kind = "ADDED" if known is None else "MODIFIED"
        for collection, name, queue in self.watchers:
            if path.startswith(collection + "/") and name in ("", meta["name"]):
                queue.put_nowait({"type": kind, "object": json.loads(json.dumps(manifest))})

    def engage(self, name: str, **spec: Any) -> None:
        path = f"{GROUP}/{name}"
        known = json.loads(json.dumps(self.objects[path]))
        known["spec"] |= spec
        self.put(path, known)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if request.method == "PATCH":
            return await self._patch(request, path)
        if request.query.get("watch") == "true":
            return await self._watch(request, path)
        if path in self.objects:
            return web.json_response(self.objects[path])
        if path in (GROUP, MAPS, LEASES):
            items = [o for p, o in self.objects.items() if p.startswith(path + "/")]
            meta = {"resourceVersion": str(self.version)}
            return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items})
        return web.json_response({"kind": "Status", "message": "not found"}, status=404)

    async def _patch(self, request: web.Request, path: str) -> web.StreamResponse:
        body = await request.json()
        if path.endswith("/status"):
            path = path.removesuffix("/status")
            known = json.loads(json.dumps(self.objects[path]))
            lines = {line["pod"]: line for line in known.get("status", {}).get("gates", [])}
            lines |= {line["pod"]: line for line in body["status"]["gates"]}
            known["status"] = {"gates": list(lines.values())}
            self.put(path, known, spec_changed=False)
            return web.json_response(known)
        known = json.loads(json.dumps(self.objects[path]))
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != known["metadata"]["resourceVersion"]:
            return web.json_response({"kind": "Status", "message": "conflict"}, status=409)
        known["spec"] = {k: v for k, v in (known.get("spec", {}) | body["spec"]).items() if v is not None}
        self.put(path, known)
        return web.json_response(known)

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        response = web.StreamResponse()
        await response.prepare(request)
        entry = (path, name, queue)
        self.watchers.append(entry)
        try:
            if request.query.get("sendInitialEvents"):
                for known, found in list(self.objects.items()):
                    if known.startswith(path + "/") and found["metadata"]["name"] == name:
                        queue.put_nowait({"type": "ADDED", "object": found})
                marks = {"k8s.io/initial-events-end": "true"}
                meta = {"resourceVersion": str(self.version), "annotations": marks}
                queue.put_nowait({"type": "BOOKMARK", "object": {"metadata": meta}})
            while True:
                await response.write(json.dumps(await queue.get()).encode() + b"\n")
        finally:
            self.watchers.remove(entry)


@contextlib.asynccontextmanager
async def serving(api: FakeApi) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_keys(directory: Path, keys: KeyPair) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "public").write_text(keys.public)
    (directory / "secret").write_text(keys.secret)


class Bench:
    """Everything around one gate, and the gate's process."""

    def __init__(self, root: Path, *, paper: bool) -> None:
        self.root = root
        self.paper = paper
        self.keys = {role: KeyPair.generate() for role in ("marketdata", "gate", "strategy", "reader")}
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
            subscribers={"gate": self.keys["gate"].public, "reader": self.keys["reader"].public},
            port=self.ports["md"],
            http_port=self.ports["mdhttp"],
        )

    def gate_config(self, address: Venue) -> GateConfig:
        return GateConfig(
            system=SYSTEM,
            namespace=NAMESPACE,
            service="sim-paper" if self.paper else "sim-execution",
            http_port=self.ports["http"],
            account="momentum-sim",
            venue=address,
            paper=self.paper,
            symbols=(SYMBOL,),
            capital=parse("100000"),
            currency="USDT",
            marketdata=self.endpoint("md", "marketdata"),
            subscribers={"reader": self.keys["reader"].public},
            lease="" if self.paper else "momentum-sim",
            kill_switch_configmap="momentum-kill-switch",
            allocation_configmap="momentum-allocation",
            labels={"desk": "crypto"},
            paper_balances={"USDT": parse("1000000"), "BTC": parse("10")},
            maker_fee_bps=parse("7.5"),
            taker_fee_bps=parse("10"),
            latency_ms=1,
            intents_port=self.ports["intents"],
            events_port=self.ports["events"],
            kill_port=self.ports["kill"],
        )

    def endpoint(self, port: str, role: str) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.ports[port], public_key=self.keys[role].public)

    def allocation(self, epoch: int = 1, **changes: int) -> dict[str, Any]:
        text_ = msgspec.json.encode(limits()).decode()
        grant = f"momentum-limits-{hashlib.sha256(text_.encode()).hexdigest()[:10]}"
        self.api.objects.setdefault(
            f"{MAPS}/{grant}",
            {"metadata": {"name": grant, "uid": grant}, "immutable": True, "data": {"limits.json": text_}},
        )
        track = Track(
            name="stable",
            revision="abc123def0",
            stage="Paper" if self.paper else "Live",
            weight=100,
            grant=grant,
            key=self.keys["strategy"].public,
        )
        current = msgspec.structs.replace(limits(), **changes)
        document = msgspec.json.encode(Allocation(epoch=epoch, tracks=(track,), limits=current)).decode()
        return {"metadata": {"name": "momentum-allocation"}, "data": {"allocation.json": document}}

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

    async def start(self) -> None:
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
        log = (self.root / "gate.log").open("ab")
        self.started_at = time.monotonic()
        self.states.clear()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, stdout=log, stderr=log
        )
        log.close()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
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
            raise AssertionError(f"waited in vain; state {self.states[-1:]}\n{log}") from None

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
                time.time_ns(),
            )
        )
        return name

    def orders(self) -> dict[str, Order]:
        """Independent fold of the published events."""
        found: dict[str, Order] = {}
        for _, update in sorted(self.updates.items()):
            event = update.event
            if event.client_order_id not in found:
                found[event.client_order_id] = Order(event)  # type: ignore[arg-type]
            else:
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

    async def kill(self, severity: str = "Cancel", token: bytes = TOKEN) -> tuple[int, Any]:
        request = KillRequest(severity=severity, reason="test", by="t", ts=time.time_ns(), source="direct")
        body, headers = signed(token, request)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{self.ports['kill']}/kill", data=body, headers=headers) as response,
        ):
            return response.status, await response.json()


@contextlib.asynccontextmanager
async def furnished(root: Path, monkeypatch: pytest.MonkeyPatch, *, paper: bool) -> AsyncIterator[Bench]:
    bench = Bench(root, paper=paper)
    bench.furnish()
    async with serving(bench.api) as api_port, serve_simulator(bench.simulator_config()) as simulator:
        bench.simulator = simulator
        address = simulator.address()
        bench.write_files(api_port, address)
        monkeypatch.setenv("RINGFENCE_CURVE_DIR", str(root / "marketdata"))
        monkeypatch.setenv("RINGFENCE_CURVE", str(root / "marketdata"))
        feed = asyncio.create_task(serve(bench.marketdata_config(address), marketdata, SystemClock()))
        bench.bus = Bus("reader", time.time_ns(), bench.keys["reader"])
        strategy = Bus("strategy", time.time_ns(), bench.keys["strategy"])
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


@pytest_asyncio.fixture(params=["live", "paper"])
async def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=request.param == "paper") as found:
        yield found


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


@pytest.mark.asyncio
async def test_orders_flow_and_fill(bench: Bench) -> None:
    """A resting order is accepted and cancelled, a market order fills, and a bad one is refused with all reasons."""
    (name,) = await bench.resting(1)
    bench.pusher.send(CancelIntent(name, "stable", time.time_ns()))
    await bench.until(lambda: bench.state_of(name) == "CANCELED")
    bought = bench.intent(Side.BUY, 0, market=True)
    await bench.until(lambda: bench.state_of(bought) == "FILLED")
    bench.intent(Side.BUY, 12_345, parse("5000"))
    await bench.until(lambda: bench.events(DeniedEvent))
    codes = {reason.split()[0] for reason in bench.events(DeniedEvent)[-1].reasons}
    assert {"PRICE_PRECISION", "ORDER_QUANTITY_EXCEEDED"} <= codes
    assert sorted(bench.updates) == list(range(1, len(bench.updates) + 1)), "the journal's sequence has no holes"


async def ledgers_agree(bench: Bench) -> None:
    """The sub-ledger's cash is the account's change at the venue, to the last digit."""

    def venue_delta() -> dict[str, str]:
        bench.simulator.gateway.advance()
        return {a: text(c) for a, c in bench.simulator.venue.ledger.delta(TEST_CREDENTIAL.account).items() if c}

    async with asyncio.timeout(WAIT_S):
        while True:
            books = await bench.get("/positions")
            mine = {a: c for a, c in books.get("stable", {"cash": {}})["cash"].items() if c != "0"}
            if mine == venue_delta():
                return
            await asyncio.sleep(0.05)


def own_open(bench: Bench) -> int:
    bench.simulator.gateway.advance()
    return len(bench.simulator.venue.open_orders(TEST_CREDENTIAL.account))


@pytest.mark.asyncio
async def test_ledgers_equal_the_venue_exactly(live: Bench) -> None:
    """Buys and sells, taking and resting, with fees in both assets."""
    names = [
        live.intent(Side.BUY if number % 3 else Side.SELL, 0, QUANTITY * (number + 1), market=True)
        for number in range(10)
    ]
    names += await live.resting(3)
    await live.until(lambda: all(live.state_of(name) == "FILLED" for name in names[:10]))
    await ledgers_agree(live)
    fills = live.events(Filled)
    assert sum(f.quantity for f in fills) == sum(QUANTITY * (n + 1) for n in range(10))
    assert live.events(Accepted)
    assert (await live.get("/state"))["breaks"] == {}


@pytest.mark.asyncio
async def test_kill_by_the_direct_endpoint(live: Bench) -> None:
    """It closes before it answers, cancels at the venue, outlives a kill -9, and ends only by the KillSwitch."""
    await live.resting(5)
    status, refused = await live.kill(token=b"wrong")
    assert (status, live.states[-1].state) == (403, "Active"), refused
    status, body = await live.kill()
    answer = msgspec.convert(body, KillAnswer)
    assert (status, answer.state, answer.pod) == (200, "Cancel", "momentum-sim-execution-0")
    assert float(answer.latency_ms) < 100
    await live.until(lambda: len(live.events(Canceled)) == 5)
    assert own_open(live) == 0
    await live.stop(signal.SIGKILL)
    await live.start()
    await live.until(lambda: live.states and live.states[-1].state == "Cancel")
    assert "direct kill by t: test" in live.states[-1].reason
    live.api.engage(SYSTEM, engaged=True, reason="take over")
    await live.until(lambda: "take over" in live.states[-1].reason)
    live.api.engage(SYSTEM, engaged=False, reason="")
    await live.active()
    assert [s.state for s in live.states if s.state in ("Starting", "Active")][-2:][0] == "Starting"


@pytest.mark.asyncio
async def test_kill_by_the_mounted_file(live: Bench) -> None:
    """Without any word from the API server; taking the text away starts it up again."""
    await live.resting(3)
    (live.root / "kill-switch" / "engage").write_text("Cancel\n")
    await live.until(lambda: live.states[-1].state == "Cancel" and len(live.events(Canceled)) == 3)
    assert own_open(live) == 0
    (live.root / "kill-switch" / "engage").unlink()
    await live.active()


@pytest.mark.asyncio
async def test_kill_by_the_switch_is_proven_in_its_status(live: Bench) -> None:
    """The watch closes the gate, and the gate's own line says so: generation, latency, and no order left."""
    await live.resting(4)
    live.api.engage(SYSTEM, engaged=True, reason="drill")

    def line() -> dict[str, Any]:
        lines = live.api.objects[f"{GROUP}/{SYSTEM}"].get("status", {}).get("gates", [])
        return lines[0] if lines else {}

    await live.until(lambda: line().get("state") == "Cancel" and line()["workingOrders"] == 0)
    found = line()
    assert found["generation"] == live.api.objects[f"{GROUP}/{SYSTEM}"]["metadata"]["generation"]
    assert found["service"] == "sim-execution"
    assert found["canceledOrders"] == 4
    assert float(found["latencyMs"]) < 100
    assert "drill" in found["reason"]
    assert own_open(live) == 0
    refused = live.intent(Side.BUY, live.quotes[-1].bid)
    await live.until(lambda: live.state_of(refused) == "DENIED")
    assert any("TRADING_HALTED" in reason for reason in live.events(DeniedEvent)[-1].reasons)


@pytest.mark.asyncio
async def test_kill_minus_nine_recovers_the_exact_state(live: Bench) -> None:
    """Working orders, positions, sequence and ids go on where they were; the fence is one higher."""
    names = await live.resting(3)
    bought = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    before = await live.get("/orders"), await live.get("/positions"), await live.get("/state")
    in_flight = [live.intent(Side.SELL, 0, market=True) for _ in range(3)]
    await live.stop(signal.SIGKILL)
    live.updates.clear()
    await live.start()
    await live.active()
    after = await live.get("/orders"), await live.get("/positions"), await live.get("/state")
    assert after[2]["fence"] == before[2]["fence"] + 1
    assert [o["clientOrderId"] for o in after[0]] == [o["clientOrderId"] for o in before[0]]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{live.ports['http']}/events?after=0") as response,
    ):
        page = decode_page(response.headers, await response.read())
    live.updates = {update.sequence: update for update in page.updates} | live.updates
    assert sorted(live.updates) == list(range(1, page.last + 1))
    assert all(live.state_of(name) == "ACCEPTED" for name in names)
    # what was decided in the last moment either never left or has filled; both are known exactly
    assert {live.state_of(name) for name in in_flight} <= {"", "FILLED", "CANCELED"}
    await ledgers_agree(live)
    again = live.intent(Side.BUY, 0, market=True)
    await live.until(lambda: live.state_of(again) == "FILLED")
    ids = [o.client_order_id for o in live.orders().values()]
    assert len(ids) == len(set(ids))


@pytest.mark.asyncio
async def test_sigterm_leaves_nothing_behind(live: Bench) -> None:
    """Orders are cancelled, the journal is whole, and the Lease is free."""
    await live.resting(3)
    assert await live.stop() == 0
    assert own_open(live) == 0
    assert "holderIdentity" not in live.api.objects[f"{LEASES}/momentum-sim"]["spec"]
    journal = Journal(live.root / "journal" / "orders.journal", SystemClock())
    assert sum(1 for _ in journal.replay())
    assert journal.torn_bytes == 0
    journal.close()


@pytest.mark.asyncio
async def test_tightening_acts_at_once(live: Bench) -> None:
    """A smaller order limit in the allocation cancels what is above it, without a restart, and refuses more of it."""
    small = await live.resting(1)
    bid = live.quotes[-1].bid * 98 // 100 // 1_000_000 * 1_000_000
    large = live.intent(Side.BUY, bid, QUANTITY * 100)
    await live.until(lambda: live.state_of(large) == "ACCEPTED")
    live.api.put(f"{MAPS}/momentum-allocation", live.allocation(2, order_quantity_max=QUANTITY * 10))
    await live.until(lambda: live.state_of(large) == "CANCELED")
    assert live.state_of(small[0]) == "ACCEPTED"
    live.intent(Side.BUY, bid, QUANTITY * 100)
    await live.until(lambda: live.events(DeniedEvent))
    assert live.events(DeniedEvent)[-1].reasons[0].startswith("ORDER_QUANTITY_EXCEEDED")


@pytest.mark.asyncio
async def test_an_unexplained_balance_halts(live: Bench) -> None:
    """A deposit that no order explains is a break: seen twice, it halts, until a person cycles the switch."""
    live.simulator.venue.ledger.balance(TEST_CREDENTIAL.account, "BTC").free += parse("0.5")
    await live.stop(signal.SIGKILL)
    await live.start()
    await live.until(lambda: live.states and "0.5 BTC" in live.states[-1].reason)
    assert live.states[-1].state == "Halted"
    live.api.engage(SYSTEM, engaged=True)
    await live.until(lambda: live.states[-1].state == "Cancel")
    live.api.engage(SYSTEM, engaged=False)
    await live.active()


@pytest.mark.asyncio
async def test_another_process_cannot_share_the_account(live: Bench) -> None:
    """The journal's lock and the Lease each keep a second process out; a lost Lease halts the first."""
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from ringfence.runtime.clock import SystemClock;"
        "from ringfence.runtime.journal import Journal; Journal(Path(sys.argv[1]), SystemClock())",
        str(live.root / "journal" / "orders.journal"),
        env=os.environ | {"PYTHONPATH": "services"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await second.communicate()
    assert b"is in use by another process" in told
    lease = json.loads(json.dumps(live.api.objects[f"{LEASES}/momentum-sim"]))
    lease["spec"] |= {"holderIdentity": "intruder", "leaseTransitions": 99, "leaseDurationSeconds": 2}
    live.api.put(f"{LEASES}/momentum-sim", lease)
    await live.until(lambda: live.states[-1].state != "Active")
    await live.active()
    assert (await live.get("/state"))["fence"] == 100
