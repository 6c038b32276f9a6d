"""The journal: what a gate decided and learnt, appended before anything is sent. The truth after a restart.

    file    header, records
    header  8 bytes magic, 8 bytes creation time (UTC ns, little endian): the journal's identity
    record  4 bytes payload length, 4 bytes CRC-32, 8 bytes sequence, payload (all little endian)
            the CRC covers sequence and payload; the payload is msgpack of an `Entry` or a `Note`

Entries are numbered 1, 2, 3 ... without holes; a note carries the number of the entry before it. ``append``
returns after write(2): a killed process loses nothing. A thread follows with fdatasync every 10 ms: a power cut
may lose the last 10 ms, and what was sent in them comes back from the venue.

One process at a time: the file is locked. A torn tail (a write that a crash cut short) is cut off and reported.
Damage with intact records behind it is not repaired by guessing: the journal refuses to open and says what to do.
"""

import errno
import fcntl
import os
import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ringfence.model.records import Entry, Note
from ringfence.runtime.clock import Clock

MAGIC: Final = b"RFJRNL01"
HEADER: Final = struct.Struct("<8sQ")
RECORD: Final = struct.Struct("<IIQ")
PAYLOAD_MAX: Final = 1 << 20
SYNC_EVERY_S: Final = 0.010
INDEX_EVERY: Final = 256
"""One remembered file position for so many entries: a reader scans at most that many."""
INDEX_MAX: Final = 65_536
"""Remembered positions, some 8 MB. With more, every second one goes, and a reader scans twice as far from then on."""
READ_CHUNK: Final = 1 << 20
MARK_BYTES: Final = 256
SCAN_MAX: Final = 64 << 20
"""How far behind damage we look for intact records."""


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""


Record = Entry | Note
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A place between two records of one journal, from which a replay may go on."""

    created: int
    """The journal's identity."""
    position: int
    sequence: int
    before: bytes
    """The bytes before the place: a file that has others there is not the one that was marked."""
    index: list[tuple[int, int]]
    index_every: int
    since_index: int


class Journal:
    """Opened once, appended by one thread, read by anyone in the process."""

    def __init__(
        self, path: Path, clock: Clock, *, sync: Callable[[int], None] = os.fdatasync, follow: bool = False
    ) -> None:
        """Opens or creates; raises JournalError. ``replay`` before the first ``append``.

        ``follow``: only read what another process writes. Nothing is locked, cut off or appended, and what is not
        whole at the end is still being written.
        """
        self.path = path
        self.sequence = 0
        """Of the last entry."""
        self.torn_bytes = 0
        """Cut off at opening."""
        self.error = ""
        """Why the last write or sync failed; empty while the journal is sound."""
        self.sync_failed = False
        """What the kernel failed to write is gone from its cache: only a restart can tell what is on disk."""
        self.syncs = 0
        self.sync_ns_last = 0
        self.sync_ns_max = 0
        self._clock = clock
        self._sync = sync
        self._index: list[tuple[int, int]] = []
        self._index_every = INDEX_EVERY
        self._entries_since_index = INDEX_EVERY
        self._follow = follow
        self._fd = _reading(path) if follow else _locked(path)
        try:
            self.created = self._header()
            self._end = HEADER.size
        except BaseException:
            os.close(self._fd)
            raise
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # --- opening

    def _header(self) -> int:
        size = os.fstat(self._fd).st_size
        if size < HEADER.size and self._follow:
            raise JournalError(f"{self.path} is not a journal yet")
        if size < HEADER.size:  # new, or the very first write was cut short
            created = self._clock.wall_ns()
            os.ftruncate(self._fd, 0)
            _write(self._fd, HEADER.pack(MAGIC, created), 0)
            os.fsync(self._fd)
            _sync_directory(self.path.parent)
            self.torn_bytes = size
            return created
        magic, created = HEADER.unpack(os.pread(self._fd, HEADER.size, 0))
        if magic != MAGIC:
            raise JournalError(
                f"{self.path} does not begin like a journal of this version; move it away to start with an empty one: "
                "open orders then come back from the venue, but their tracks and today's positions do not"
            )
        return int(created)

    def mark(self) -> Mark:
        """The end of what has been replayed. It is on disk before this returns; raises OSError if it cannot be."""
        self._sync(self._fd)
        return Mark(
            created=self.created,
            position=self._end,
            sequence=self.sequence,
            before=self._before(self._end),
            index=list(self._index),
            index_every=self._index_every,
            since_index=self._entries_since_index,
        )

    def goes_on_from(self, mark: Mark) -> bool:
        """Whether this is the journal that was marked, and still holds what was before the mark."""
        return mark.created == self.created and self._before(mark.position) == mark.before

    def _before(self, position: int) -> bytes:
        start = max(0, position - MARK_BYTES)
        return os.pread(self._fd, position - start, start)

    def replay(self, since: Mark | None = None) -> Iterator[tuple[int, Record]]:
        """All records in order (or those behind a mark of this journal), with their sequence; then the journal is
        ready to be appended to."""
        start = HEADER.size
        if since is not None:
            start, self.sequence = since.position, since.sequence
            self._index, self._index_every = list(since.index), since.index_every
            self._entries_since_index = since.since_index
        try:
            for position, sequence, record in self._records(start):
                if isinstance(record, Entry):
                    if sequence != self.sequence + 1:
                        raise self._corrupt(position, f"entry {sequence} follows entry {self.sequence}")
                    self.sequence = sequence
                    self._indexed(sequence, position)
                yield sequence, record
            if self._follow:
                return
            self._end = self._cut(self._end)
        except JournalError:
            os.close(self._fd)  # and with it the lock: the person who repairs it needs the file
            raise
        self._thread = threading.Thread(target=self._sync_for_ever, name="journal-sync", daemon=True)
        self._thread.start()

    def _records(self, start: int) -> Iterator[tuple[int, int, Record]]:
        """Position, sequence and record of all whole records; leaves ``_end`` behind the last of them."""
        self._end = start
        buffer = memoryview(b"")
        base = start
        while True:
            offset = self._end - base
            found = _parse(buffer, offset)
            if found is None:
                fresh = os.pread(self._fd, READ_CHUNK + PAYLOAD_MAX, self._end)
                if len(fresh) == len(buffer) - offset:
                    return
                base, buffer = self._end, memoryview(fresh)
                found = _parse(buffer, 0)
                if found is None:
                    return
            size, sequence, payload = found
            position = self._end
            try:
                record = _decoder.decode(payload)
            except msgspec.MsgspecError as error:
                raise self._corrupt(position, f"a record that this version cannot read ({error})") from error
            self._end += size
            yield position, sequence, record

    def _cut(self, end: int) -> int:
        """Cut a torn tail off, after looking whether it really is the tail."""
        size = os.fstat(self._fd).st_size
        if size > end:
            if self._intact_behind(end):
                raise self._corrupt(end, "damaged bytes with intact records behind them")
            self.torn_bytes = size - end
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
        return end

    def _intact_behind(self, position: int) -> bool:
        tail = memoryview(os.pread(self._fd, SCAN_MAX, position))
        expected = range(self.sequence, self.sequence + (1 << 24))
        for offset in range(1, len(tail) - RECORD.size + 1):
            length, _, sequence = RECORD.unpack_from(tail, offset)
            if 0 < length <= PAYLOAD_MAX and sequence in expected and _parse(tail, offset) is not None:
                return True
        return False

    def _corrupt(self, position: int, what: str) -> JournalError:
        return JournalError(
            f"{self.path} has {what} at byte {position}. Nothing was changed. Copy the file away, then either restore "
            f"it or run 'truncate -s {position} {self.path}' to keep what is before the damage; orders that were sent "
            "after it come back from the venue at the next start, and positions must be compared by a person"
        )

    # --- appending

    def append(self, entries: Sequence[Entry]) -> int:
        """Write entries with one write(2); returns the last sequence. Raises JournalError, having written none."""
        sequence = self.sequence
        data = bytearray()
        positions = []
        for entry in entries:
            sequence += 1
            positions.append((sequence, self._end + len(data)))
            data += _packed(sequence, entry)
        self._write(data)
        self.sequence = sequence
        for number, position in positions:
            self._indexed(number, position)
        return sequence

    def note(self, kind: str, ts: int, body: object) -> None:
        """Write a note; it does not count as an entry. Raises JournalError."""
        self._write(_packed(self.sequence, Note(kind, ts, msgspec.json.encode(body).decode())))

    def _write(self, data: bytes | bytearray) -> None:
        try:
            _write(self._fd, data, self._end)
        except OSError as error:
            self.error = f"{self.path}: {error.strerror or error}"
            try:
                os.ftruncate(self._fd, self._end)  # a half-written record must not stay between whole ones
            except OSError as worse:
                self.error += f", and the half-written record cannot be removed: {worse.strerror}"
            raise JournalError(self.error) from error
        self._end += len(data)
        self._dirty.set()

    def recovered(self) -> None:
        """A write has succeeded again after an error."""
        if not self.sync_failed:
            self.error = ""

    def _indexed(self, sequence: int, position: int) -> None:
        if self._entries_since_index >= self._index_every:
            if len(self._index) >= INDEX_MAX:
                self._index = self._index[::2]  # a new list: a reader in another thread goes on with the one it has
                self._index_every *= 2
            self._index.append((sequence, position))
            self._entries_since_index = 0
        self._entries_since_index += 1

    # --- syncing and reading

    def _sync_for_ever(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._sync_once()
            self._closing.wait(SYNC_EVERY_S)  # the group: what is written meanwhile shares the next sync

    def _sync_once(self) -> None:
        before = self._clock.monotonic_ns()
        try:
            self._sync(self._fd)
        except OSError as error:
            self.sync_failed = True
            self.error = f"{self.path}: fdatasync: {error.strerror or error}"
            return
        self.syncs += 1
        self.sync_ns_last = self._clock.monotonic_ns() - before
        self.sync_ns_max = max(self.sync_ns_max, self.sync_ns_last)

    def read(self, after: int, limit: int) -> list[tuple[int, Entry]]:
        """Entries with a sequence above ``after``, at most ``limit``."""
        index = self._index
        place = bisect_right(index, after + 1, key=lambda pair: pair[0]) - 1
        if place < 0 or after >= self.sequence:
            return []
        found: list[tuple[int, Entry]] = []
        position, end = index[place][1], self._end
        while position < end and len(found) < limit:
            chunk = memoryview(os.pread(self._fd, min(READ_CHUNK + PAYLOAD_MAX, end - position), position))
            offset = 0
            while len(found) < limit and (record := _parse(chunk, offset)) is not None:
                size, sequence, payload = record
                offset += size
                entry = _decoder.decode(payload) if sequence > after else None
                if isinstance(entry, Entry):
                    found.append((sequence, entry))
            if offset == 0:
                break
            position += offset
        return found

    def close(self) -> None:
        """Make everything durable and let the next process in."""
        self._closing.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._sync_once()
        os.close(self._fd)


def _locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"{path} cannot be opened: {error.strerror}; is the journal volume mounted?") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise JournalError(f"{path} is in use by another process; only one may trade this account") from error
        raise JournalError(f"{path} cannot be locked: {error.strerror}") from error
    return fd


def _reading(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error


def _packed(sequence: int, record: Record) -> bytes:
    payload = _encoder.encode(record)
    numbered = sequence.to_bytes(8, "little") + payload
    return struct.pack("<II", len(payload), zlib.crc32(numbered)) + numbered


def _parse(data: memoryview, offset: int) -> tuple[int, int, memoryview] | None:
    """Size, sequence and payload of the record at an offset, or None if it is not whole."""
    if len(data) - offset < RECORD.size:
        return None
    length, checksum, sequence = RECORD.unpack_from(data, offset)
    end = offset + RECORD.size + length
    if length == 0 or length > PAYLOAD_MAX or end > len(data) or zlib.crc32(data[offset + 8 : end]) != checksum:
        return None
    return end - offset, sequence, data[offset + RECORD.size : end]


def _write(fd: int, data: bytes | bytearray, position: int) -> None:
    """All of it or an error: write(2) may stop short, most of all on a full disk."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view = view[written:]
        position += written


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
