"""Says on standard error what is done, which of how many, for how long: lines in a log, a spinner on a terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_REMINDER_S: Final = 60.0


def say(message: str, stream: TextIO | None = None) -> None:
    print(message, file=stream or sys.stderr, flush=True)


@contextmanager
def step(what: str, number: int = 0, total: int = 0, stream: TextIO | None = None) -> Iterator[None]:
    """One piece of work. In a log it says that it began, every minute that it still runs, and how long it took."""
    out = stream or sys.stderr
    label = f"[{number}/{total}] {what}" if total else what
    begun = time.monotonic()  # sim-ok: shows elapsed time
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(label, begun, done, out), daemon=True)
    if not out.isatty():
        say(f"{label} ...", out)
    watcher.start()
    verdict = "failed"
    try:
        yield
        verdict = "done"
    finally:
        done.set()
        watcher.join()
        say(f"{_clear(out)}{label}: {verdict} in {time.monotonic() - begun:.1f} s", out)  # sim-ok: shows elapsed time


def _watch(label: str, begun: float, done: threading.Event, out: TextIO) -> None:
    terminal = out.isatty()
    frame = 0
    while not done.wait(0.1 if terminal else _REMINDER_S):
        elapsed_s = time.monotonic() - begun  # sim-ok: shows elapsed time
        if terminal:
            out.write(f"\r{_FRAMES[frame % len(_FRAMES)]} {label} {elapsed_s:.0f} s")
            out.flush()
            frame += 1
        else:
            say(f"{label} ... {elapsed_s:.0f} s", out)


def _clear(out: TextIO) -> str:
    return "\r\x1b[K" if out.isatty() else ""
