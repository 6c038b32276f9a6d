"""The simulated venue as its container runs it: one process, files for configuration and keys, signals to stop."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from ringfence.runtime.config import GeneratedMarket, SimulatorConfig

SERVICES = Path(__file__).resolve().parents[2] / "services"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def process(config: SimulatorConfig, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    (directory / "service.json").write_bytes(msgspec.json.encode(config))
    (directory / "api-key").write_text("key\n")
    (directory / "api-secret").write_text("secret\n")
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringfence.simulator",
        env=os.environ
        | {
            "RINGFENCE_CONFIG": str(directory / "service.json"),
            "RINGFENCE_CREDENTIALS": str(directory),
            "PYTHONPATH": str(SERVICES),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


def config(symbols: tuple[str, ...]) -> SimulatorConfig:
    return SimulatorConfig(
        system="test",
        namespace="test",
        service="simulator",
        http_port=free_port(),
        symbols=symbols,
        market=GeneratedMarket(seed=1),
        maker_fee_bps=0,
        taker_fee_bps=0,
        latency_ms=0,
        balances={},
        port=free_port(),
        control_port=free_port(),
    )


@pytest.mark.asyncio
async def test_it_starts_serves_counts_and_stops_on_request(tmp_path: Path) -> None:
    """Ready when it serves, its metrics in the exposition format, and exit 0 on SIGTERM."""
    asked = config(("BTCUSDT",))
    async with process(asked, tmp_path) as running, aiohttp.ClientSession() as session:
        assert running.stdout is not None
        async with asyncio.timeout(20):
            while b'"started"' not in await running.stdout.readline():
                pass
            async with session.get(f"http://127.0.0.1:{asked.http_port}/readyz") as response:
                assert response.status == 200
            async with session.get(f"http://127.0.0.1:{asked.port}/api/v3/ticker/bookTicker") as response:
                assert (await response.json())[0]["symbol"] == "BTCUSDT"
            async with session.get(f"http://127.0.0.1:{asked.http_port}/metrics") as response:
                assert "ringfence_simulator_market_events_total" in await response.text()
            running.terminate()
            assert await running.wait() == 0


@pytest.mark.asyncio
async def test_it_refuses_to_list_what_it_does_not_know(tmp_path: Path) -> None:
    """Exit 1 with one sentence that names what is wrong and what is possible."""
    async with process(config(("DOGEUSDT",)), tmp_path) as running, asyncio.timeout(20):
        output, _ = await running.communicate()
        assert running.returncode == 1
        assert b"the simulator lists BTCUSDT, ETHUSDT; configured: DOGEUSDT" in output
