"""Alertmanager's own API takes our alerts, merges those of two posters into one, and sees them end."""

import asyncio
import hashlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from localnode import LocalNodeError, builder
from localnode.layout import cache_root
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.config import Alerting
from ringfence.wire.alerts import CANCEL_NS, Alert, GateFacts, StopFacts, holding
from ringfence.wire.kill import Severity

SOURCE = Path(__file__).parent / "alertmanager"
pytestmark = pytest.mark.timeout(420)


def built() -> Path:
    """Built once for each set of pinned modules: about half a minute. Raises LocalNodeError."""
    content = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    program = cache_root() / "alertmanager" / hashlib.sha256(content).hexdigest()[:12]
    program.parent.mkdir(parents=True, exist_ok=True)
    with builder.locked(program.with_suffix(".lock"), "another build of Alertmanager"):
        if not program.exists():
            go = builder.find_go()
            environment = builder.build_environment("auto")
            words = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{program}.new", "."]
            done = subprocess.run(words, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LocalNodeError(done.stderr[-500:])
            Path(f"{program}.new").replace(program)
    return program


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a cluster is required, not being able to build it is a failure."""
    try:
        program = built()
    except LocalNodeError as error:
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(f"NO ALERTMANAGER, nothing was judged: {error}")
    process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://{process.stdout.readline().strip()}"
    process.stdout.close()
    process.kill()
    process.wait()


@asynccontextmanager
async def poster(address: str) -> AsyncIterator[Alerts]:
    alerts = Alerts(Alerting(alertmanagers=(address,)), time.time_ns)
    task = asyncio.create_task(alerts.run())
    try:
        yield alerts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def listed(http: aiohttp.ClientSession, address: str, system: str) -> list[dict[str, Any]]:
    """What Alertmanager would notify of: resolved alerts are not in it."""
    async with http.get(f"{address}/api/v2/alerts", params={"filter": f"system={system}"}) as answer:
        assert answer.status == 200, await answer.text()
        found: list[dict[str, Any]] = await answer.json()
        return found


async def until(http: aiohttp.ClientSession, address: str, system: str, names: set[str]) -> list[dict[str, Any]]:
    async with asyncio.timeout(5):
        while True:
            found = await listed(http, address, system)
            if {alert["labels"]["alertname"] for alert in found} == names:
                return found
            await asyncio.sleep(0.05)


def stopped(system: str, since: int, working: int | None, reason: str) -> StopFacts:
    gate = GateFacts(pod=f"{system}-sim-execution-0", closed=True, working=working)
    return StopFacts(
        namespace="trading", system=system, severity=Severity.CANCEL, reason=reason, since=since, gates=(gate,)
    )


@pytest.mark.asyncio
async def test_gate_and_operator_raise_one_alert_and_see_it_end(address: str) -> None:
    """Each within 5 s; the words differ and the labels do not, so people are called once."""
    now = time.time_ns()
    since = now - CANCEL_NS
    both = {"RingfenceEngaged", "RingfenceNotCanceled"}
    async with aiohttp.ClientSession() as http, poster(address) as gate, poster(address) as operator:
        gate.show("stop", holding(stopped("two", since, 3, "the gate's words"), now))
        operator.show("trading/two", holding(stopped("two", since, None, "the operator's words"), now))
        found = await until(http, address, "two", both)
        assert len(found) == 2
        assert {alert["annotations"]["runbook"] for alert in found} == {
            "docs/runbooks/Engaged.md",
            "docs/runbooks/NotCanceled.md",
        }
        gate.show("stop", holding(stopped("two", since, 0, ""), now))
        operator.show("trading/two", holding(stopped("two", since, 0, ""), now))
        await until(http, address, "two", {"RingfenceEngaged"})
        gate.show("stop", ())
        operator.show("trading/two", ())
        await until(http, address, "two", set())


@pytest.mark.asyncio
async def test_a_gate_that_halts_over_its_account_is_told_where_nothing_is_engaged(address: str) -> None:
    """Another find is the same alert with other words; it ends when a person has accepted the account."""
    since = time.time_ns()
    pod = "odd-sim-execution-0"

    def found(unexplained: str) -> tuple[Alert, ...]:
        gate = GateFacts(pod=pod, closed=True, working=2, unexplained=unexplained, unexplained_since=since)
        stop = StopFacts(namespace="trading", system="odd", severity=Severity.NONE, reason="", since=0, gates=(gate,))
        return holding(stop, time.time_ns())

    async with aiohttp.ClientSession() as http, poster(address) as gate:
        for told in ("the account holds 1 BTC that nothing explains", "another process trades this account"):
            gate.show("stop", found(told))
            async with asyncio.timeout(5):
                while True:
                    (alert,) = await until(http, address, "odd", {"RingfenceAccountUnexplained"})
                    if alert["annotations"]["summary"] == f"{pod} has halted: {told}":
                        break
                    await asyncio.sleep(0.05)
            assert (alert["labels"]["severity"], alert["labels"]["gate"]) == ("critical", pod)
            assert alert["annotations"]["runbook"] == "docs/runbooks/AccountUnexplained.md"
        gate.show("stop", found(""))
        await until(http, address, "odd", set())


@pytest.mark.asyncio
async def test_an_alert_of_a_poster_that_died_ends_by_itself(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every post carries its own end."""
    monkeypatch.setattr("ringfence.runtime.alerts.HOLD_NS", 1_500_000_000)
    now = time.time_ns()
    async with aiohttp.ClientSession() as http:
        async with poster(address) as gate:
            gate.show("stop", holding(stopped("dead", now, 0, ""), now))
            await until(http, address, "dead", {"RingfenceEngaged"})
        await until(http, address, "dead", set())
