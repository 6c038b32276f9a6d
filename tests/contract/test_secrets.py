"""The key and the secret are in nothing that our processes write or tell, also while everything goes wrong."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from test_watchdog_process import POD, POD_PATH, Dog

import gatebench.bench as rig
from gatebench.bench import SYMBOL, WAIT_S, Bench, free_port, furnished, write_keys
from ringfence.model.money import parse
from ringfence.model.orders import Side
from ringfence.runtime.bus import KeyPair
from ringfence.runtime.config import GeneratedMarket, MarketdataConfig, SimulatorConfig, Venue
from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import TEST_CREDENTIAL, serve_simulator

KEY: Final = "K3yOfNoOtherUse4711"
SECRET: Final = "s3cr3tOfNoOtherUse4712"
MINE: Final = Credential(KEY, SECRET, TEST_CREDENTIAL.account)


def traces(data: bytes | str) -> list[str]:
    """Which of the two are in what was written."""
    found = data.encode() if isinstance(data, str) else data
    return [name for name, value in (("key", KEY), ("secret", SECRET)) if value.encode() in found]


def written(root: Path) -> Iterator[Path]:
    """All files below, but for the mounted credentials themselves."""
    yield from (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("api-"))


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


def check(root: Path, told: dict[str, str]) -> None:
    """Nothing is found in any file or page; and the search itself would find it."""
    paths = list(written(root))
    assert {name: found for name, text in told.items() if (found := traces(text))} == {}
    assert {str(path): found for path in paths if (found := traces(path.read_bytes()))} == {}
    assert all(told.values()), "an empty page proves nothing"
    assert traces((root / "credentials" / "api-secret").read_bytes()) == ["secret"]


@pytest.mark.asyncio
async def test_gate_and_watchdog_write_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs, journal, status, ConfigMaps and metrics, through lost answers, bans, a wrong key, kill -9 and a stop."""
    monkeypatch.setattr(rig, "TEST_CREDENTIAL", MINE)
    monkeypatch.setattr(rig, "serve_simulator", partial(serve_simulator, credentials=(MINE,)))
    async with furnished(tmp_path, monkeypatch, paper=False) as bench, aiohttp.ClientSession() as http:
        running = {"running": {"startedAt": "2020-01-01T00:00:00Z"}}
        bench.api.put(POD_PATH, {"metadata": {"name": POD}, "status": {"containerStatuses": [{"state": running}]}})
        dog = Dog(bench, http)
        await dog.start()
        try:
            await trouble(bench)
            told = {
                "gate's metrics": await bench.metrics(),
                "gate's status": await page(f"http://127.0.0.1:{bench.ports['http']}/readyz"),
                "watchdog's metrics": await page(f"http://127.0.0.1:{dog.port}/metrics"),
                "objects": json.dumps(bench.api.objects),
                "bus": repr((bench.updates, bench.states, bench.accounts)),
            }
        finally:
            await dog.stop()
        await bench.stop(signal.SIGTERM)
        told["gate's log"] = (bench.root / "gate.log").read_text()
        told["watchdog's log"] = (dog.root / "log").read_text()
        assert list((bench.root / "journal").rglob("*")), "there is a journal to look at"
        check(bench.root, told)


async def trouble(bench: Bench) -> None:
    """Everything that makes processes talk about their venue."""
    gateway = bench.simulator.gateway
    names = await bench.resting(3)
    for fault in (
        Fault(kind="http_status", status=500, code=-1007, executed=True),
        Fault(kind="cut", executed=True),
        Fault(kind="http_status", status=403),
        Fault(kind="http_status", status=401, code=-2015),
    ):
        assert gateway.fault(fault) is None
        sent = bench.simulator.api.record.total
        names.append(bench.intent(Side.BUY, bench.quotes[-1].bid * 97 // 100 // 1_000_000 * 1_000_000))
        await bench.until(
            lambda sent=sent, name=names[-1]: bench.simulator.api.record.total > sent or bench.order(name)
        )
    files = bench.root / "credentials"
    (files / "api-secret").write_text(f"{SECRET}-and-wrong")
    gateway.fault(Fault(kind="drop_streams"))
    await bench.until(lambda: bench.states[-1].state != "Active")
    (files / "api-secret").write_text(SECRET)
    gateway.fault(Fault(kind="clear"))
    await bench.until(lambda: bench.states[-1].state == "Active", 60)
    await bench.stop(signal.SIGKILL)
    await bench.start()
    await bench.active()
    await bench.resting(1)
    assert (await bench.kill())[0] == 200


def furnish(root: Path, config: bytes) -> None:
    root.mkdir()
    (root / "service.json").write_bytes(config)


@asynccontextmanager
async def process(module: str, root: Path, config: Any, **places: Path) -> AsyncIterator[None]:
    """A service's program with its files; its log is `log`."""
    await asyncio.to_thread(furnish, root, msgspec.json.encode(config))
    environment = os.environ | {f"RINGFENCE_{name.upper()}": str(path) for name, path in places.items()}
    environment |= {"RINGFENCE_CONFIG": str(root / "service.json"), "PYTHONPATH": "services"}
    with (root / "log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await page(f"http://127.0.0.1:{config.http_port}/metrics")
                    break
                except aiohttp.ClientError:
                    assert running.returncode is None, (root / "log").read_text()
                    await asyncio.sleep(0.05)
        yield
    finally:
        running.terminate()
        assert await running.wait() == 0, (root / "log").read_text()


@pytest.mark.asyncio
async def test_simulator_and_marketdata_write_no_credentials(tmp_path: Path) -> None:
    """Also where somebody asks wrongly, with the right key: in the address, in the body, in what is no request."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "api-key").write_text(KEY)
    (tmp_path / "credentials" / "api-secret").write_text(SECRET)
    keys = KeyPair.generate()
    write_keys(tmp_path / "curve", keys)
    port, control = free_port(), free_port()
    named = {"system": "momentum", "namespace": "trading"}
    simulator = SimulatorConfig(
        **named, service="sim-simulator", http_port=free_port(), symbols=(SYMBOL,), market=GeneratedMarket(seed=3),
        maker_fee_bps=parse("7.5"), taker_fee_bps=parse("10"), latency_ms=1, balances={"USDT": parse("1000")},
        port=port, control_port=control,
    )  # fmt: skip
    rest, ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    marketdata = MarketdataConfig(
        **named, service="sim-marketdata", http_port=free_port(), symbols=(SYMBOL,), book_stale_ms=5000,
        venue=Venue(name="sim", rest_url=rest, stream_url=ws, ws_api_url=f"{ws}/ws-api/v3"), quote_stale_ms=10_000,
        subscribers={}, port=free_port(),
    )  # fmt: skip
    files = {"credentials": tmp_path / "credentials", "curve": tmp_path / "curve"}
    async with (
        process("ringfence.simulator", tmp_path / "simulator", simulator, **files),
        process("ringfence.marketdata", tmp_path / "marketdata", marketdata, **files),
    ):
        await ask_wrongly(rest, ws)
        async with aiohttp.ClientSession() as session:
            for kind in ("drop_streams", "shutdown"):
                async with session.post(f"http://127.0.0.1:{control}/faults", json={"kind": kind}) as answer:
                    assert answer.status == 200
        await asyncio.sleep(0.5)
        told = {
            name: await page(f"http://127.0.0.1:{where}")
            for name, where in (
                ("simulator's metrics", f"{simulator.http_port}/metrics"),
                ("marketdata's metrics", f"{marketdata.http_port}/metrics"),
                ("ledger", f"{control}/ledger"),
                ("state", f"{control}/state"),
                ("orders", f"{control}/orders"),
            )
        }
    told["simulator's log"] = (tmp_path / "simulator" / "log").read_text()
    told["marketdata's log"] = (tmp_path / "marketdata" / "log").read_text()
    check(tmp_path, told)


async def ask_wrongly(rest: str, ws: str) -> None:
    query = f"symbol={SYMBOL}&side=BUY&type=LIMIT&timestamp=1"
    signed = f"{query}&signature={auth.sign(SECRET, query)}"
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": KEY}) as session:
        for method, path in (
            ("POST", f"/api/v3/order?{signed}"),
            ("POST", f"/api/v3/order?{query}&signature={SECRET}&apiKey={KEY}"),
            ("DELETE", f"/api/v3/nothing/{KEY}"),
            ("GET", f"/api/v3/account?{'x' * 9000}{KEY}"),
        ):
            async with session.request(method, rest + path) as answer:
                assert answer.status >= 400
        async with session.ws_connect(f"{ws}/ws-api/v3") as socket:
            for text in (f"{KEY} {SECRET}", json.dumps({"id": 1, "method": "order.place", "params": {"apiKey": KEY}})):
                await socket.send_str(text)
                assert "error" in await socket.receive_json(timeout=10)
