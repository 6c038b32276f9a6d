"""`make clients`: real trading clients, unmodified, against the simulator. Prints a matrix; fails if a scenario does.

Each client has an environment of its own (pinned and hashed; kept in the cache) and runs as a process of its own,
against simulator processes of its own. `--lock` rewrites the requirements, `--client` and `--only` choose.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from common import LANES, MARK, SCENARIOS, SECOND, SYMBOL

from ringfence.model.money import parse
from ringfence.runtime.config import GeneratedMarket, SimulatorConfig

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CLIENTS: Final = ("python-binance", "binance-sdk-spot", "ccxt")
UV: Final = ROOT / ".venv" / "bin" / "uv"
CACHE: Final = Path(os.environ.get("RINGFENCE_CACHE", Path.home() / ".cache" / "ringfence")) / "clients"
BOOK_S: Final = 65.0
"""How long a client keeps a book in sync; RINGFENCE_CLIENTS_BOOK_S for longer."""
START_S: Final = 30.0
LANE_S: Final = 300.0
LOG_LINES: Final = 25
KEY: Final = "scenario-key"
SECRET: Final = "scenario-secret"
BALANCES: Final = {"BTC": parse("20"), "ETH": parse("1000"), "USDT": parse("100000000")}


class Result(NamedTuple):
    client: str
    name: str
    reason: str
    """Why it failed; empty when it passed."""
    seconds: float


def lock(client: str) -> None:
    """Pin all that the client needs, with hashes."""
    folder = (HERE / client).relative_to(ROOT)
    command: list[str | Path] = [
        UV,
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--generate-hashes",
        "--universal",
        "--upgrade",
    ]
    out = ["--python-version", "3.11", str(folder / "requirements.in"), "-o", str(folder / "requirements.txt")]
    subprocess.run([*command, *out], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def environment(client: str) -> Path:
    """Python of the client's environment, made if the requirements are new."""
    requirements = HERE / client / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / f"{client}-{key}"
    python, done = folder / "bin" / "python", folder / ".complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        install: list[str | Path] = [
            UV,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--python",
            python,
        ]
        subprocess.run([*install, requirements], check=True)
        done.touch()
    return python


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(seed: int) -> SimulatorConfig:
    return SimulatorConfig(
        system="clients",
        namespace="clients",
        service="simulator",
        http_port=free_port(),
        symbols=(SYMBOL, SECOND),
        market=GeneratedMarket(seed=seed),
        maker_fee_bps=parse("7.5"),
        taker_fee_bps=parse("10"),
        latency_ms=0,
        balances=BALANCES,
        port=free_port(),
        control_port=free_port(),
    )


@contextlib.asynccontextmanager
async def simulator(folder: Path, seed: int) -> AsyncIterator[dict[str, Any]]:
    """A venue in a process of its own, as its container runs it; gives its address."""
    config = configuration(seed)
    (folder / "service.json").write_bytes(msgspec.json.encode(config))
    (folder / "api-key").write_text(KEY)
    (folder / "api-secret").write_text(SECRET)
    places = {"RINGFENCE_CONFIG": str(folder / "service.json"), "RINGFENCE_CREDENTIALS": str(folder)}
    with (folder / "simulator.log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence.simulator", env=os.environ | places, stdout=log, stderr=log
        )
    try:
        await ready(f"http://127.0.0.1:{config.http_port}/readyz", running)
        yield {"port": config.port, "control_port": config.control_port, "key": KEY, "secret": SECRET}
    finally:
        if running.returncode is None:
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), 10)
            except TimeoutError:
                running.kill()


async def ready(url: str, running: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=2).close())  # noqa: S310 - loopback
            return
        if running.returncode is not None or time.monotonic() > deadline:
            raise RuntimeError("the simulator did not start")
        await asyncio.sleep(0.1)


async def lane(client: str, python: Path, name: str, only: list[str], seed: int) -> list[Result]:
    """One client's scenarios of one lane, in its own process."""
    wanted = [n for n in LANES[name] if n not in impossible(client) and (not only or n in only)]
    if not wanted:
        return []
    with tempfile.TemporaryDirectory(prefix=f"ringfence-{client}-") as made:
        folder = Path(made)
        try:
            async with simulator(folder, seed) as address:
                results = await drive(client, python, folder, wanted, address)
        except RuntimeError as error:
            results = [Result(client, one, str(error), 0.0) for one in wanted]
        reported = {result.name for result in results}
        results += [
            Result(client, one, "the client's process did not report it", 0.0) for one in wanted if one not in reported
        ]
        if any(result.reason for result in results):
            for log in ("client.log", "simulator.log"):
                tail = (
                    (folder / log).read_text(errors="replace").splitlines()[-LOG_LINES:]
                    if (folder / log).exists()
                    else []
                )
                print(f"--- {client}, {name}: end of {log}", *tail, sep="\n", file=sys.stderr)
        return results


async def drive(client: str, python: Path, folder: Path, wanted: list[str], address: dict[str, Any]) -> list[Result]:
    """Run the client's process and print its results as they come."""
    book_s = float(os.environ.get("RINGFENCE_CLIENTS_BOOK_S", BOOK_S))
    task = {"wanted": wanted, "address": address | {"book_s": book_s}}
    given = {"RINGFENCE_CLIENT_TASK": json.dumps(task), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {one: os.environ[one] for one in ("PATH", "HOME", "LANG") if one in os.environ}
    results: list[Result] = []
    with (folder / "client.log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            python, HERE / client / "scenarios.py", env=kept | given, stdout=asyncio.subprocess.PIPE, stderr=log
        )
        try:
            async with asyncio.timeout(LANE_S + book_s):
                assert running.stdout is not None
                async for line in running.stdout:
                    if line.startswith(MARK.encode()):
                        results.append(Result(client=client, **json.loads(line[len(MARK) :])))
                        print(told(results[-1]), flush=True)
                    else:
                        log.write(line)
                await running.wait()
        except TimeoutError:
            print(f"{client}: stopped after {LANE_S:.0f} s", file=sys.stderr)
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
    return results


def told(result: Result) -> str:
    verdict = f"FAILED: {result.reason}" if result.reason else "passed"
    return f"{result.client:17} {result.name:30} {result.seconds:6.1f} s  {verdict}"


def impossible(client: str) -> dict[str, str]:
    """What the client has no words for, with the reasons, from its own file."""
    found: dict[str, str] = json.loads((HERE / client / "impossible.json").read_text())
    return found


def matrix(clients: list[str], results: list[Result]) -> Iterator[str]:
    """Scenarios down, clients across."""
    verdict = {(one.client, one.name): "FAILED" if one.reason else "passed" for one in results}
    yield f"{'':30} " + " ".join(f"{client:17}" for client in clients)
    for name in SCENARIOS:
        cells = (verdict.get((client, name), "-") for client in clients)
        yield f"{name:30} " + " ".join(f"{cell:17}" for cell in cells)
    for client in clients:
        for name, why in impossible(client).items():
            yield f"- {client} cannot {name}: {why}"


async def run(clients: list[str], only: list[str]) -> list[Result]:
    """All lanes; the long watches beside the others, and no more than a small machine carries."""
    pythons = {client: environment(client) for client in clients}
    room = asyncio.Semaphore(max(2, os.cpu_count() or 2))

    async def short(number: int, client: str) -> list[Result]:
        async with room:
            traded = await lane(client, pythons[client], "trade", only, 10 + number)
            return traded + await lane(client, pythons[client], "limits", only, 20 + number)

    long = [lane(client, pythons[client], "book", only, 30 + number) for number, client in enumerate(clients)]
    groups = await asyncio.gather(*long, *(short(number, client) for number, client in enumerate(clients)))
    return [result for group in groups for result in group]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="pin the newest versions instead of running")
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only this one; may be repeated")
    parser.add_argument("--only", action="append", choices=SCENARIOS, default=[], help="only this scenario")
    asked = parser.parse_args()
    clients = asked.client or list(CLIENTS)
    if asked.lock:
        for client in clients:
            lock(client)
        return 0
    start = time.monotonic()
    results = asyncio.run(run(clients, asked.only))
    print("", *matrix(clients, results), "", sep="\n")
    for client in clients:
        mine = [result for result in results if result.client == client]
        failed = sum(bool(result.reason) for result in mine)
        print(f"{client}: {len(mine) - failed} passed, {failed} failed")
    print(f"in {time.monotonic() - start:.0f} s")
    return 1 if any(result.reason for result in results) or not results else 0


if __name__ == "__main__":
    raise SystemExit(main())
