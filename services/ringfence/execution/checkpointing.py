"""Makes checkpoints beside a running gate: ``python -m ringfence.execution.checkpointing``, started by it.

The process reads the gate's own configuration and follows its journal without touching it. That costs a core for a
second or two and the memory of a second set of books, but never a moment of the order path.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import structlog

from ringfence.execution import checkpoint
from ringfence.execution.engines import engines
from ringfence.execution.store import JOURNAL_FILE, Store, fold
from ringfence.runtime.clock import Clock, SystemClock
from ringfence.runtime.config import JOURNAL_DIR, GateConfig, load
from ringfence.runtime.journal import Journal

log = structlog.get_logger()

ENTRIES: Final = 30_000
"""Entries between two checkpoints: a start reads about so many, which takes it two seconds or three."""
LOOK_S: Final = 5.0
NICENESS: Final = 10


class Checkpoints:
    """Starts the process whenever enough has been written."""

    def __init__(self, store: Store, entries: int = ENTRIES) -> None:
        self.made = 0
        self.failures = 0
        self._store = store
        self._entries = entries

    async def run(self) -> None:
        """For ever. A checkpoint that fails is tried again; without one a start takes longer, and that is all."""
        store = self._store
        while True:
            await asyncio.sleep(LOOK_S)
            reached = store.journal.sequence
            if reached - store.checkpointed < self._entries:
                continue
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "ringfence.execution.checkpointing")
            try:
                status = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            if status:
                self.failures += 1
                log.warning("no checkpoint was made", status=status)
            else:
                self.made += 1
                store.checkpointed = reached


def make(config: GateConfig, directory: Path, clock: Clock) -> int:
    """Replay from the last checkpoint on and write the next one; returns the entry that it reaches.

    Raises JournalError, OSError, UnpicklingError.
    """
    journal = Journal(directory / JOURNAL_FILE, clock, follow=True)
    wall = clock.wall_ns()
    made = engines(config, [], wall)
    begun, noted, _ = checkpoint.begin(directory, journal, made.manager, made.reconciler, made.handovers, wall)
    fold(journal.replay(begun), made.manager, made.reconciler, made.handovers, noted)
    mark = journal.mark()
    state = checkpoint.capture(made.manager, made.reconciler, made.handovers, noted)
    checkpoint.write(directory, mark, state)
    return mark.sequence


if __name__ == "__main__":
    os.nice(NICENESS)  # the gate comes first
    make(load(GateConfig), Path(os.environ.get("RINGFENCE_JOURNAL", JOURNAL_DIR)), SystemClock())
