"""Checkpoints: what the journal's first part leads to, so that a start reads only the rest of it.

    file    8 bytes magic, 4 bytes CRC-32 of what follows, msgpack of a `Checkpoint`

A checkpoint is the state that a replay had at a mark of the journal, and nothing else: made by a replay, in a process
of its own (`checkpointing`) so that the order path never waits for it, from the last checkpoint and what was written
since. It replaces nothing: the journal keeps all its records, for its readers and for a start that cannot use the
checkpoint (damaged, of another journal, or made by other code), which reads it all.

The state is a pickle, as it is a graph of plain objects that refer to each other. Only classes of this platform and a
few containers are ever loaded from it, and only by the very code that wrote it. One that could not be loaded again
replaces nothing, and one that cannot be loaded is read past: a gate always starts.
"""

import functools
import hashlib
import io
import os
import pickle
import zlib
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec

from ringfence.execution.breakers import Open
from ringfence.execution.changes import Changes
from ringfence.execution.handover import Handovers
from ringfence.execution.reconcile import Reconciler
from ringfence.runtime.build import PACKAGE, source_hash
from ringfence.runtime.guard import Latch, Source
from ringfence.runtime.journal import Journal, Mark

MAGIC: Final = b"RFCHKP01"
FILE: Final = "orders.checkpoint"
OVERFILL: Final = "overfill"
"""The one stop that a replay may make."""
CODE: Final = ("model", "execution", "wire")
"""Packages whose classes and folds the state consists of."""
MANAGER: Final = (
    "fence",
    "sequence",
    "orders",
    "live",
    "books",
    "trades",
    "venue_ids",
    "trips",
    "activity",
    "activities",
    "anomalies",
    "canceled_by_kill",
    "_intent_ids",
    "_closed",
)
RECONCILER: Final = ("cursors", "baseline", "_adjusted")
HANDOVERS: Final = ("done", "revisions", "bases", "_booked")
_CONTAINERS: Final = {("collections", "OrderedDict"), ("collections", "deque"), ("msgspec._utils", "rebuild")}


class Noted(msgspec.Struct):
    """What the journal's notes say for others than the engines."""

    records: int = 0
    latches: tuple[Latch, ...] = ()
    latched_at: int = 0
    breakers: tuple[Open, ...] = ()


class Checkpoint(msgspec.Struct, frozen=True):
    """A state, and the place in the journal that it belongs to."""

    code: str
    mark: Mark
    state: bytes


@functools.cache
def code() -> str:
    """Of all that a state consists of: other code may fold otherwise."""
    return hashlib.sha256("".join(source_hash(PACKAGE / name) for name in CODE).encode()).hexdigest()


def capture(manager: Changes, reconciler: Reconciler, handovers: Handovers, noted: Noted) -> bytes:
    """The state of engines that have replayed a journal, and have done nothing else."""
    gate, written = manager.gate, io.BytesIO()
    _Plain(written, protocol=5).dump(
        {
            "manager": {name: getattr(manager, name) for name in MANAGER},
            "markets": gate.markets,
            "tracks": gate.tracks,
            "account": gate.account,
            "overfill": gate.guard.sources.get(OVERFILL),
            "reconciler": {name: getattr(reconciler, name) for name in RECONCILER},
            "handovers": {name: getattr(handovers, name) for name in HANDOVERS},
            "noted": noted,
        }
    )
    return written.getvalue()


def begin(
    directory: Path, journal: Journal, manager: Changes, reconciler: Reconciler, handovers: Handovers, wall: int
) -> tuple[Mark | None, Noted, str]:
    """Put engines that have seen nothing yet where the checkpoint is, if there is one that can be used.

    Returns where the replay goes on, what the notes said until there, and why it has to begin at the beginning.
    """
    found, why = read(directory, journal)
    if found is None:
        return None, Noted(), why
    try:
        return found.mark, restore(found.state, manager, reconciler, handovers, wall), ""
    except pickle.UnpicklingError as error:  # before anything was restored
        return None, Noted(), f"{FILE} is not what this gate writes: {error}"


def restore(state: bytes, manager: Changes, reconciler: Reconciler, handovers: Handovers, wall: int) -> Noted:
    """Put engines that have seen nothing yet where the captured ones were."""
    found = _Careful(io.BytesIO(state)).load()
    gate = manager.gate
    for owner, part in ((manager, "manager"), (reconciler, "reconciler"), (handovers, "handovers")):
        for name, value in found[part].items():
            setattr(owner, name, value)
    gate.markets.update(found["markets"])  # an instrument that the configuration has since got keeps its empty one
    gate.tracks.clear()
    gate.tracks.update(found["tracks"])
    gate.account = found["account"]
    for market in gate.markets.values():
        market.account = gate.account
    overfill: Source | None = found["overfill"]
    if overfill is not None:
        gate.guard.hold(OVERFILL, overfill.severity, overfill.reason, wall)
    noted: Noted = found["noted"]
    return noted


class _Plain(pickle.Pickler):
    """Writes members of enumerations by value: some releases of Python 3.11 write a call of ``getattr`` for them."""

    def reducer_override(self, thing: object) -> Any:
        return (type(thing), (thing.value,)) if isinstance(thing, Enum) else NotImplemented


class _Careful(pickle.Unpickler):
    """Makes nothing but our own classes and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CONTAINERS:
            return super().find_class(module, name)
        found = super().find_class(module, name) if module.startswith("ringfence.") else None
        if isinstance(found, type) and found.__module__ == module:
            return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint")


def write(directory: Path, mark: Mark, state: bytes) -> None:
    """All of it or the one before. Raises OSError, and UnpicklingError for a state that could not be read again."""
    _Careful(io.BytesIO(state)).load()
    body = msgspec.msgpack.encode(Checkpoint(code(), mark, state))
    fresh = directory / f"{FILE}.new"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)
        file.flush()
        os.fsync(fd)
    fresh.replace(directory / FILE)


def read(directory: Path, journal: Journal) -> tuple[Checkpoint | None, str]:
    """The checkpoint that a replay of this journal may begin at, or why there is none."""
    try:
        data = (directory / FILE).read_bytes()
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{FILE} cannot be read: {error.strerror}"
    body = memoryview(data)[12:]
    if data[:8] != MAGIC or zlib.crc32(body).to_bytes(4, "little") != data[8:12]:
        return None, f"{FILE} is damaged"
    try:
        found = msgspec.msgpack.decode(body, type=Checkpoint)
    except msgspec.MsgspecError as error:
        return None, f"{FILE} cannot be read: {error}"
    if found.code != code():
        return None, f"{FILE} was made by other code"
    if not journal.goes_on_from(found.mark):
        return None, f"{FILE} belongs to another journal"
    return found, ""
