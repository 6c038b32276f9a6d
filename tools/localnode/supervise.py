"""Starts and ends the node's own processes, and never any other.

A process is remembered by its id *and* the moment it started, so a recycled id is not taken for ours.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnode.commands import Process
from localnode.errors import StartError
from localnode.layout import Layout

_LOG_LINES: Final = 12
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Running:
    """One process as it was started, and whether it still lives."""

    name: str
    pid: int
    start_ticks: int
    alive: bool


def _stat(pid: int) -> tuple[str, int] | None:
    """A process' state and when it started, in clock ticks since boot; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold spaces and brackets
    return fields[0], int(fields[19])


def start_ticks(pid: int) -> int | None:
    """When a process started; None once it is gone or only waits to be reaped."""
    found = _stat(pid)
    return None if found is None or found[0] in "ZX" else found[1]


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that was started then still lives."""
    found = _stat(pid)
    if found is None or found[1] != ticks:
        return False
    if found[0] not in "ZX":
        return True
    # a long-lived caller is its parent, and would keep it as a zombie; only ours may be reaped, never a namesake
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return False


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start(layout: Layout, process: Process) -> Running:
    """Start one process in a session of its own, with its log in the node's folder."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    layout.pids.mkdir(parents=True, exist_ok=True)
    log = layout.logs / f"{process.name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    words = process.command(layout)
    environment = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG"}}
    # the programs of iptables and CNI lie in sbin, which a plain user's PATH leaves out
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawnp(
            words[0], words, environment, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE], setsigmask=[]
        )
    except FileNotFoundError as error:
        raise StartError(f"{words[0]} is not there", "python -m localnode deps") from error
    ticks = (_stat(pid) or ("X", 0))[1]
    record = {"pid": pid, "start_ticks": ticks, "boot_id": _boot_id()}
    (layout.pids / f"{process.name}.json").write_text(json.dumps(record))
    return Running(process.name, pid, ticks, alive=True)


def find(layout: Layout, name: str) -> Running | None:
    """The process of that name, if one was ever started in this boot."""
    try:
        record = json.loads((layout.pids / f"{name}.json").read_text())
        pid, ticks, boot_id = int(record["pid"]), int(record["start_ticks"]), record["boot_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if boot_id != _boot_id():
        return None
    return Running(name, pid, ticks, is_alive(pid, ticks))


def stop(layout: Layout, names: Iterable[str], patience_s: float) -> None:
    """Ask, wait, then insist. The records go with the processes."""
    found = [running for name in names if (running := find(layout, name)) is not None]
    kill(((running.pid, running.start_ticks) for running in found if running.alive), patience_s)
    for running in found:
        (layout.pids / f"{running.name}.json").unlink(missing_ok=True)


def kill(processes: Iterable[tuple[int, int]], patience_s: float) -> None:
    """End processes that are named by id and start; SIGTERM first where there is patience."""
    left = list(processes)
    steps = [(signal.SIGTERM, patience_s)] if patience_s > 0 else []
    for number, wait_s in [*steps, (signal.SIGKILL, 10.0)]:
        for pid, ticks in left:
            if is_alive(pid, ticks):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        until = time.monotonic() + wait_s  # sim-ok: waits for real processes
        while left := [(pid, ticks) for pid, ticks in left if is_alive(pid, ticks)]:
            if time.monotonic() > until:  # sim-ok: waits for real processes
                break
            time.sleep(_POLL_S)


def every_command() -> Iterator[tuple[int, list[str]]]:
    """Each process of the machine with the words that started it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield int(entry.name), words[:-1]


def wait_for(
    layout: Layout, what: str, condition: Callable[[], bool], limit_s: float, watched: Iterable[str] = ()
) -> None:
    """Wait for a condition; fails at once when a process that it depends on has ended."""
    until = time.monotonic() + limit_s  # sim-ok: waits for real processes
    names = list(watched)
    while not condition():
        for name in names:
            running = find(layout, name)
            if running is None or not running.alive:
                raise StartError(f"{name} ended while waiting for {what}:\n{log_tail(layout, name)}", _look(layout))
        if time.monotonic() > until:  # sim-ok: waits for real processes
            tails = "\n".join(f"{name}: {log_tail(layout, name, 4)}" for name in names)
            raise StartError(f"{what}: not within {limit_s:.0f} s\n{tails}", _look(layout))
        time.sleep(_POLL_S)


def _look(layout: Layout) -> str:
    return f"look into {layout.logs}, then `python -m localnode down --name {layout.name}` and up again"


def log_tail(layout: Layout, name: str, lines: int = _LOG_LINES) -> str:
    try:
        text = (layout.logs / f"{name}.log").read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])
