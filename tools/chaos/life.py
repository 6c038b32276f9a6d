"""One life of a process, and where it ends: at a moment, or in the middle of a write."""

import asyncio
from pathlib import Path

from ringfence.runtime.clock import Clock
from ringfence.runtime.journal import Journal, JournalError


class Killed(BaseException):
    """The process is gone; no code of it runs on."""


class Life:
    """Counts what leaves the process; the one numbered ``fuse`` is the last. 0 = no fuse."""

    def __init__(self, fuse: int = 0, torn: float = 0.0) -> None:
        self.alive = True
        self.ended = asyncio.Event()
        self.last = ""
        """What it was doing when it was killed."""
        self.disk_full = False
        self._fuse = fuse
        self._torn = torn

    def step(self, what: str) -> None:
        """Called where a kill makes a difference. Raises Killed."""
        if not self.alive:
            raise Killed(what)
        if self._fuse:
            self._fuse -= 1
            if not self._fuse:
                self.end(what)
                raise Killed(what)

    def arm(self, fuse: int, torn: float) -> None:
        self._fuse, self._torn = fuse, torn

    def end(self, what: str) -> None:
        if self.alive:
            self.alive, self.last = False, what
            self.ended.set()

    def cut(self, data: bytes | bytearray) -> bytes | bytearray:
        """What of a journal write reaches the file when the process is killed inside of it."""
        return data[: int(len(data) * self._torn)]


class MortalJournal(Journal):
    """The real journal on a real file, without the cost of syncing what a killed process cannot lose."""

    def __init__(self, path: Path, clock: Clock, life: Life) -> None:
        super().__init__(path, clock, sync=lambda _fd: None)
        self._life = life

    def _write(self, data: bytes | bytearray) -> None:
        try:
            self._life.step("journal write")
        except Killed:
            if self._life.last == "journal write" and not self._life.alive and (cut := self._life.cut(data)):
                self._life.last = "torn journal write"
                super()._write(cut)
            raise
        if self._life.disk_full:
            self.error = f"{self.path}: No space left on device"
            raise JournalError(self.error)
        super()._write(data)
        self._life.step("journal written")
