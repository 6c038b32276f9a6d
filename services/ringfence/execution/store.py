"""What a gate keeps on its volume: the journal, the loss ledger beside it, and the grants it has seen.

Everything here is small, synchronous file work at start and off the order path.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from ringfence.execution.breakers import Open
from ringfence.execution.grants import verified
from ringfence.execution.handover import NOTE_OPENED, NOTE_TRANSFER, Handovers
from ringfence.execution.losses import LossLedger
from ringfence.execution.manager import Manager
from ringfence.execution.protection import NOTE_ACKNOWLEDGED, NOTE_BREAKERS, Acknowledged, Protection
from ringfence.execution.reconcile import Reconciler
from ringfence.model.instrument import Instrument
from ringfence.model.records import Entry
from ringfence.model.transfers import Transfer
from ringfence.runtime.config import Limits
from ringfence.runtime.guard import Guard, Latch
from ringfence.runtime.journal import Journal, JournalError
from ringfence.runtime.latchfile import LatchFile

NOTE_INSTRUMENT: Final = "instrument"
NOTE_LATCHES: Final = "latches"
NOTE_FENCE: Final = "fence"
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

    def replay(self, manager: Manager, reconciler: Reconciler, handovers: Handovers, guard: Guard, wall: int) -> int:
        """Fold the whole journal; returns the number of records. Raises JournalError."""
        count = 0
        latches: tuple[Latch, ...] = ()
        noted = 0
        breakers: tuple[Open, ...] = ()
        for _, record in self.journal.replay():
            count += 1
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
                latches, noted = msgspec.json.decode(record.body, type=tuple[Latch, ...]), record.ts
            elif record.kind == NOTE_BREAKERS:
                breakers = msgspec.json.decode(record.body, type=tuple[Open, ...])
            elif record.kind == NOTE_ACKNOWLEDGED:
                Protection.forget(manager, msgspec.json.decode(record.body, type=Acknowledged))
            elif record.kind == NOTE_FENCE:
                manager.fence = max(manager.fence, msgspec.json.decode(record.body, type=int))
            else:
                reconciler.restore(record.kind, record.body)
        beside = self.latches.read()
        if beside is not None:
            at, kept = beside
            # written at the same moments; where the journal could not be, the file knows more, and in doubt both hold
            latches = kept if at >= noted else (*latches, *kept)
        guard.restore(latches, wall)
        self.breakers = breakers
        return count

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
