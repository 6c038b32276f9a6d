"""A small file that keeps latched stops where a full disk cannot refuse them: made at its full size beforehand.

    file   two slots of 32 KiB, written in turn, so that a torn write leaves the one before
    slot   8 bytes magic, 8 bytes time (UTC ns), 4 bytes length, 4 bytes CRC-32 of time and payload, payload
           (integers little endian, payload JSON)

It is written over in place: that needs no new block. A disk that fails altogether refuses this one too, and says so.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ringfence.runtime.guard import Latch

MAGIC: Final = b"RFLATCH1"
HEADER: Final = struct.Struct("<8sQII")
SLOT: Final = 32_768
SLOTS: Final = 2


class LatchFile:
    """One process at a time: the journal beside it is locked."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it. Never raises: without it latches are in the journal alone, and ``error`` says why."""
        self.error = ""
        self._fd = -1
        self._next = 0
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._fd).st_size < SLOT * SLOTS:
                os.posix_fallocate(self._fd, 0, SLOT * SLOTS)
                os.fsync(self._fd)
        except OSError as error:
            self.error = f"{path} cannot be made: {error.strerror}"

    def read(self) -> tuple[int, tuple[Latch, ...]] | None:
        """Time and content of the newest whole slot; None where nothing was ever written."""
        found = [slot for number in range(SLOTS) if (slot := self._slot(number)) is not None]
        if not found:
            return None
        at, number, latches = max(found, key=lambda slot: slot[0])
        self._next = (number + 1) % SLOTS
        return at, latches

    def write(self, latches: Sequence[Latch], at: int) -> bool:
        """Into the older slot; False if that failed. In the page cache afterwards, as the journal's entries are."""
        payload = msgspec.json.encode(latches)
        stamp = at.to_bytes(8, "little")
        record = HEADER.pack(MAGIC, at, len(payload), zlib.crc32(stamp + payload)) + payload
        if self._fd < 0 or len(record) > SLOT:
            self.error = self.error or f"{len(latches)} latches do not fit"
            return False
        try:
            whole = os.pwrite(self._fd, record, self._next * SLOT) == len(record)
        except OSError as error:
            self.error = f"latches cannot be written: {error.strerror}"
            return False
        if whole:
            self._next, self.error = (self._next + 1) % SLOTS, ""
        return whole

    def sync(self) -> None:
        """Down to the disk; blocks, so call it in a thread. Raises OSError."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _slot(self, number: int) -> tuple[int, int, tuple[Latch, ...]] | None:
        with contextlib.suppress(OSError, struct.error, msgspec.MsgspecError):
            data = os.pread(self._fd, SLOT, number * SLOT)
            magic, at, length, crc = HEADER.unpack_from(data)
            payload = data[HEADER.size : HEADER.size + length]
            if magic == MAGIC and zlib.crc32(at.to_bytes(8, "little") + payload) == crc:
                return at, number, msgspec.json.decode(payload, type=tuple[Latch, ...])
        return None
