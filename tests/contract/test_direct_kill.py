"""The command line's direct stop against the endpoint that gates really serve."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from ringfence.execution.kill_endpoint import KillEndpoint
from ringfence.execution.status import Proof
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.guard import Guard
from ringfence.wire.byhand import HandAnswer, HandRequest
from ringfence.wire.kill import Severity
from ringfence_cli import byhand, direct

pytestmark = pytest.mark.asyncio


class Owner:
    """As much of a gate as the endpoint needs: a real guard, and a count of orders."""

    def __init__(self, working: int) -> None:
        self.guard = Guard("momentum", {}, (), SystemClock().wall_ns())
        self.orders = working
        self.proof = Proof()

    def observe(self, fold: Callable[[int], object]) -> None:
        fold(SystemClock().wall_ns())

    def working(self) -> int:
        if self.guard.severity >= Severity.CANCEL and self.orders:
            self.orders -= 1
            return self.orders + 1
        return self.orders


@asynccontextmanager
async def gate(owner: Owner, token: Path, port: int) -> AsyncIterator[str]:
    async with KillEndpoint(owner, SystemClock(), token, "gate-0").serve(port):
        yield f"127.0.0.1:{port}"


async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringfence_cli.main", "kill", "momentum", "--direct", *arguments]
    environ = os.environ | {"KUBECONFIG": "/nonexistent", "COLUMNS": "200"}
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, env=environ)


async def test_a_gate_closes_and_its_orders_are_followed_to_none(tmp_path: Path, unused_tcp_port: int) -> None:
    """No API server, no operator: address and token are enough, and the stop is latched."""
    token = tmp_path / "token"
    token.write_bytes(b"shared\n")
    owner = Owner(working=2)
    async with gate(owner, token, unused_tcp_port) as address:
        done = await run("--reason", "bad ticks", "--gate", address, "--token-file", str(token))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 working" in done.stdout
    assert "all gates closed, no order working" in done.stdout
    assert owner.guard.state == "Cancel"
    assert "bad ticks" in owner.guard.reason
    assert "latched" in owner.guard.reason


async def test_a_request_by_hand_needs_the_token_and_is_asked_of_the_gates_in_turn(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Until one has done it; who and why arrive, and a stranger's request does not."""
    token = tmp_path / "token"
    token.write_bytes(b"shared\n")
    heard: list[HandRequest] = []

    def hand(name: str, *, done: bool) -> Callable[[HandRequest], HandAnswer]:
        def answer(request: HandRequest) -> HandAnswer:
            heard.append(request)
            return HandAnswer(done=done, told=name)

        return answer

    ports = [unused_tcp_port_factory() for _ in range(3)]
    asked = HandRequest(action="cancel", order="x", reason="fat finger", by="ada", ts=SystemClock().wall_ns())
    async with AsyncExitStack() as gates:
        for name, port in zip(("first", "second", "third"), ports, strict=True):
            answer = hand(name, done=name == "second")
            endpoint = KillEndpoint(Owner(0), SystemClock(), token, name, answer)
            await gates.enter_async_context(endpoint.serve(port))
        addresses = [f"127.0.0.1:{port}" for port in ports]
        told = await byhand.ask(dict.fromkeys(addresses, b"shared"), asked)
        refused = await byhand.ask({addresses[0]: b"other"}, asked)
    assert [one.answer and one.answer.told for one in told] == ["first", "second"]
    assert heard == [asked, asked]
    assert "does not match" in refused[0].error


async def test_another_systems_token_stops_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_text("shared")
    other.write_text("other")
    owner = Owner(working=0)
    async with gate(owner, mine, unused_tcp_port) as address:
        done = await run("--gate", address, "--token-file", str(other))

    assert done.returncode == 1
    assert "does not match" in done.stdout
    assert owner.guard.state != "Cancel"


async def test_a_token_that_the_gate_cannot_read_is_asked_for_again(tmp_path: Path, unused_tcp_port: int) -> None:
    """The Secret's volume may be late; a stop is worth asking twice."""
    token = tmp_path / "late"
    seen: list[direct.Outcome] = []

    def note(outcome: direct.Outcome) -> None:
        seen.append(outcome)
        token.write_text("shared")

    async with gate(Owner(working=0), token, unused_tcp_port) as address:
        (outcome,) = await direct.stop(
            {address: b"shared"},
            severity="Cancel",
            reason="",
            by="alice",
            clock=SystemClock(),
            timeout_s=10,
            seen=note,
        )

    assert "cannot be read" in seen[0].error
    assert outcome.proven
