"""The stop that needs no API server, against gates that check the signature as real ones do."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ringfence.runtime.clock import Clock, ManualClock, SystemClock
from ringfence.runtime.serving import serving
from ringfence.wire import kill
from ringfence_cli import direct

TOKEN = b"shared"


class GateEndpoint:
    """The endpoint of a gate whose orders are gone after it has been asked some times."""

    def __init__(self, clock: Clock, working: int) -> None:
        self.clock = clock
        self.working = working
        self.requests: list[kill.KillRequest] = []

    async def post(self, request: web.Request) -> web.Response:
        found = kill.opened(
            TOKEN, await request.read(), request.headers.get(kill.SIGNATURE_HEADER, ""), self.clock.wall_ns()
        )
        if isinstance(found, str):
            return web.json_response({"error": found}, status=403)
        self.requests.append(found)
        return web.json_response(self.line())

    async def state(self, _request: web.Request) -> web.Response:
        return web.json_response(self.line())

    def line(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "state": "Cancel",
            "epoch": 2,
            "closedAt": "2026-11-21T12:00:00.000000Z",
            "latencyMs": "0.4",
            "workingOrders": self.working,
            "pod": "gate-0",
        }
        self.working = max(0, self.working - 1)
        return answer


@asynccontextmanager
async def served(endpoint: GateEndpoint) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes([web.post(kill.KILL_PATH, endpoint.post), web.get(kill.STATE_PATH, endpoint.state)])
    async with serving(application, "127.0.0.1", 0) as port:
        yield f"127.0.0.1:{port}"


async def stopped(gates: list[str], token: bytes = TOKEN, timeout_s: float = 5.0) -> list[direct.Outcome]:
    return await direct.stop(
        dict.fromkeys(gates, token),
        severity="Cancel",
        reason="bad ticks",
        by="alice",
        clock=ManualClock(),
        timeout_s=timeout_s,
        seen=lambda _outcome: None,
    )


@pytest.mark.asyncio
async def test_every_gate_is_followed_until_its_orders_are_gone() -> None:
    """Closed is not yet proven: working orders are being cancelled. One push is enough, and the rest is looking."""
    one, two = GateEndpoint(ManualClock(), working=0), GateEndpoint(ManualClock(), working=2)
    async with served(one) as first, served(two) as second:
        outcomes = await stopped([first, second])

    assert [outcome.proven for outcome in outcomes] == [True, True]
    assert (len(one.requests), len(two.requests)) == (1, 1)
    assert (
        one.requests[0].severity,
        one.requests[0].reason,
        one.requests[0].by,
        one.requests[0].source,
    ) == ("Cancel", "bad ticks", "alice", "direct")


@pytest.mark.asyncio
async def test_a_wrong_token_is_refused_and_said() -> None:
    async with served(GateEndpoint(ManualClock(), working=0)) as gate:
        (outcome,) = await stopped([gate], token=b"other")

    assert not outcome.proven
    assert "does not match" in outcome.error


@pytest.mark.asyncio
async def test_one_dead_gate_does_not_keep_the_others() -> None:
    """The living ones are stopped, and the dead one is not called stopped."""
    async with served(GateEndpoint(ManualClock(), working=0)) as gate:
        alive, dead = await stopped([gate, "127.0.0.1:1"], timeout_s=0.2)

    assert alive.proven
    assert not dead.proven
    assert "cannot be reached" in dead.error


@pytest.mark.asyncio
async def test_the_command_needs_no_cluster(tmp_path: Path) -> None:
    """With an address and a token nothing else is read: no kubeconfig, no API server."""
    token = tmp_path / "token"
    token.write_bytes(TOKEN + b"\n")
    async with served(GateEndpoint(SystemClock(), working=1)) as gate:
        command = [sys.executable, "-m", "ringfence_cli.main", "kill", "momentum", "--direct", "--reason", "bad ticks"]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--gate", gate, "--token-file", str(token)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"KUBECONFIG": "/nonexistent", "COLUMNS": "200"},
        )

    assert done.returncode == 0, done.stderr
    assert "1 working" in done.stdout
    assert "all gates closed, no order working" in done.stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("10.0.0.7", "10.0.0.7:8081"),
        ("10.0.0.7:9000", "10.0.0.7:9000"),
        ("gate.trading", "gate.trading:8081"),
        ("fd00::7", "[fd00::7]:8081"),
        ("[fd00::7]", "[fd00::7]:8081"),
        ("[fd00::7]:9000", "[fd00::7]:9000"),
    ],
)
def test_addresses_as_people_type_them(typed: str, meant: str) -> None:
    assert meant == direct.address(typed)


@pytest.mark.parametrize("typed", ["", ":8081", "host:", "host:x", "host:0", "host:70000"])
def test_addresses_that_mean_nothing_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is no host:port"):
        direct.address(typed)
