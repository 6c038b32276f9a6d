"""The gate's hand on its journal: writes at once, and keeps in order what the journal does not take, until it does.

What waits is never overtaken: a cursor before its fills, or rules after the orders that they are for, would be lost
to a replay. Nothing is sent meanwhile (`Execution.may_send`), and the venue can tell its part again. Where there is no
room for more, nothing that came later is written either: the journal then ends before the gap, and a restart asks the
venue from there.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ringfence.model.records import Entry
from ringfence.runtime.clock import Clock
from ringfence.runtime.journal import Journal, JournalError

WAITING_MAX: Final = 100_000


class Unwritten(NamedTuple):
    """A note that waits among the entries that do, as `Journal.note` takes it."""

    kind: str
    ts: int
    body: object


class Recording:
    """``failed`` is told why the journal did not take something; what it is waits by then."""

    def __init__(self, journal: Journal, clock: Clock, failed: Callable[[str], None]) -> None:
        self.journal = journal
        self.waiting: list[Entry | Unwritten] = []
        self.dropped = 0
        """Entries and notes for which there was no room any more; above 0 the journal takes nothing until a restart."""
        self._clock = clock
        self._failed = failed

    def entries(self, entries: list[Entry]) -> int:
        """Write them; returns the journal's number of the last, 0 if they wait."""
        if self.waiting:
            self._keep(entries)
            return 0
        try:
            return self.journal.append(entries)
        except JournalError as error:
            self._keep(entries)
            self._failed(str(error))
            return 0

    def note(self, kind: str, body: object) -> None:
        note = Unwritten(kind, self._clock.wall_ns(), body)
        if self.waiting:
            self._keep([note])
            return
        try:
            self.journal.note(*note)
        except JournalError as error:
            self._keep([note])
            self._failed(str(error))

    def catch_up(self, written: Callable[[list[Entry], int], None]) -> bool:
        """Write what waits, or find out whether a failed journal writes again; False if something still waits.

        ``written`` gets entries and the journal's number of the last, as they get there.
        """
        if self.dropped:
            self._failed(
                f"{self.journal.error}; {self.dropped} records found no room meanwhile: make room on the journal's"
                " volume and restart execution, which asks the venue for them"
            )
            return False
        if self.waiting:
            if not self._write(written):
                return False
            self.journal.recovered()
        elif self.journal.error and not self.journal.sync_failed:
            with contextlib.suppress(JournalError):
                self.journal.note("probe", self._clock.wall_ns(), None)
                self.journal.recovered()
        return True

    def _keep(self, what: Sequence[Entry | Unwritten]) -> None:
        if self.dropped or len(self.waiting) + len(what) > WAITING_MAX:
            self.dropped += len(what)
            return
        self.waiting += what

    def _write(self, written: Callable[[list[Entry], int], None]) -> bool:
        """All that waits, in its order; False if the journal still refuses."""
        while self.waiting:
            entries: list[Entry] = []
            for kept in self.waiting:
                if isinstance(kept, Unwritten):
                    break
                entries.append(kept)
            first = self.waiting[0]
            try:
                if isinstance(first, Unwritten):
                    self.journal.note(*first)
                else:
                    written(entries, self.journal.append(entries))
            except JournalError:
                return False
            del self.waiting[: max(1, len(entries))]
        return True
