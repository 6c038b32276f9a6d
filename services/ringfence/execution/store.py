"""What a gate keeps on its volume: the journal, the loss ledger beside it, and the grants it has seen.

Everything here is small, synchronous file work at start and off the order path.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ringfence.execution import checkpoint
from ringfence.execution.breakers import Open
from ringfence.execution.changes import Changes
from ringfence.execution.checkpoint import Noted
from ringfence.execution.grants import verified
from ringfence.execution.handover import NOTE_OPENED, NOTE_TRANSFER, Handovers
from ringfence.execution.losses import LossLedger
from ringfence.execution.protection import NOTE_ACKNOWLEDGED, NOTE_BEGAN, NOTE_BREAKERS, Acknowledged, Protection
from ringfence.execution.reconcile import Reconciler
from ringfence.model.instrument import Instrument
from ringfence.model.records import Entry
from ringfence.model.transfers import Transfer
from ringfence.runtime.config import Limits
from ringfence.runtime.guard import Guard, Latch
from ringfence.runtime.journal import Journal, JournalError, Record
from ringfence.runtime.latchfile import LatchFile

NOTE_INSTRUMENT: Final = "instrument"
NOTE_LATCHES: Final = "latches"
NOTE_FENCE: Final = "fence"
JOURNAL_FILE: Final = "orders.journal"
LATCH_FILE: Final = "latches"
LEDGER_FILE: Final = "loss-ledger.json"
GRANTS_DIR: Final = "grants"
LEDGER_NOTE: Final = "delete it only if today's losses of this account may be forgotten"


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gate finds its files. Each may be moved by the environment, for machines without Kubernetes."""

    journal: Path
    kill_switch: Path
    kill_token: Path
    curve: Path
    credentials: Path


class Store:
    """One account's directory."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._directory = journal.path.parent
        self.latches = LatchFile(self._directory / LATCH_FILE)
        self.breakers: tuple[Open, ...] = ()
        """Those that were open when the journal ended."""
        self.checkpointed = 0
        """Sequence of the last entry that the checkpoint stands for; 0 = there is none."""
        self.not_used = ""
        """Why the replay could not begin at the checkpoint that there is."""

    def replay(self, manager: Changes, reconciler: Reconciler, handovers: Handovers, guard: Guard, wall: int) -> int:
        """Fold the journal, from its checkpoint on if it has one; returns the number of records that were read.

        Raises JournalError.
        """
        mark, noted, self.not_used = checkpoint.begin(
            self._directory, self.journal, manager, reconciler, handovers, wall
        )
        self.checkpointed = mark.sequence if mark is not None else 0
        before = noted.records
        fold(self.journal.replay(mark), manager, reconciler, handovers, noted)
        latches = noted.latches
        beside = self.latches.read()
        if beside is not None:
            at, kept = beside
            # written at the same moments; where the journal could not be, the file knows more, and in doubt both hold
            latches = kept if at >= noted.latched_at else (*latches, *kept)
        guard.restore(latches, wall)
        self.breakers = noted.breakers
        return noted.records - before

    # --- the loss ledger

    def read_ledger(self) -> LossLedger:
        """The persisted ledger, or a new one. Raises JournalError if there is one that cannot be read."""
        path = self._directory / LEDGER_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=LossLedger)
        except FileNotFoundError:
            return LossLedger(owners={})
        except (OSError, msgspec.MsgspecError) as error:
            raise JournalError(f"{path} cannot be read ({error}); {LEDGER_NOTE}") from error

    def write_ledger(self, data: bytes) -> None:
        """Raises OSError."""
        _replace(self._directory / LEDGER_FILE, data)

    # --- grants

    def read_grant(self, name: str) -> Limits | None:
        """A grant seen before, checked against its name again."""
        with contextlib.suppress(OSError, ValueError):
            return verified(name, (self._directory / GRANTS_DIR / f"{Path(name).name}.json").read_text())
        return None

    def write_grant(self, name: str, text: str) -> None:
        directory = self._directory / GRANTS_DIR
        directory.mkdir(exist_ok=True)
        _replace(directory / f"{Path(name).name}.json", text.encode())


def fold(
    records: Iterable[tuple[int, Record]],
    manager: Changes,
    reconciler: Reconciler,
    handovers: Handovers,
    noted: Noted,
) -> None:
    """Fold records of a journal, live ones excepted: what each of them means after a restart."""
    for _, record in records:
        noted.records += 1
        if isinstance(record, Entry):
            manager.replay(record)
            handovers.replayed(record)
        elif record.kind == NOTE_TRANSFER:
            handovers.restore(msgspec.json.decode(record.body, type=Transfer))
        elif record.kind == NOTE_OPENED:
            handovers.opened(*msgspec.json.decode(record.body, type=tuple[str, str]))
        elif record.kind == NOTE_INSTRUMENT:
            rules = msgspec.json.decode(record.body, type=Instrument)
            manager.gate.market(rules.symbol).instrument = rules
        elif record.kind == NOTE_LATCHES:
            noted.latches = msgspec.json.decode(record.body, type=tuple[Latch, ...])
            noted.latched_at = record.ts
        elif record.kind == NOTE_BREAKERS:
            noted.breakers = msgspec.json.decode(record.body, type=tuple[Open, ...])
        elif record.kind == NOTE_BEGAN:
            manager.trips.begins(*msgspec.json.decode(record.body, type=tuple[str, str]))
        elif record.kind == NOTE_ACKNOWLEDGED:
            Protection.forget(manager, msgspec.json.decode(record.body, type=Acknowledged))
        elif record.kind == NOTE_FENCE:
            manager.fence = max(manager.fence, msgspec.json.decode(record.body, type=int))
        else:
            reconciler.restore(record.kind, record.body)


def _replace(path: Path, data: bytes) -> None:
    """All of it or the old content, whatever happens. Raises OSError."""
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
