"""What the journal does not take waits in its order, and nothing overtakes it."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.execution import recording
from ringfence.execution.recording import Recording
from ringfence.model.orders import Canceled
from ringfence.model.records import Entry, Note
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.journal import Journal


def entry(name: str) -> Entry:
    return Entry("stable", Canceled(client_order_id=name, ts=1, reason=""))


class Disk:
    """Fills up when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self._write: Callable[..., int] = os.pwrite
        monkeypatch.setattr(os, "pwrite", self.write)

    def write(self, descriptor: int, data: Any, at: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(descriptor, data, at)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "orders.journal", SystemClock())
    list(found.replay())
    yield found
    found.close()


def names(journal: Journal) -> list[str]:
    """Entries by their order, notes by their kind, as a replay reads them."""
    journal.close()
    again = Journal(journal.path, SystemClock(), follow=True)
    return [r.kind if isinstance(r, Note) else r.event.client_order_id for _, r in again.replay()]


def test_a_full_disk_keeps_entries_and_notes_in_order_and_later_ones_behind_them(disk: Disk, journal: Journal) -> None:
    told: list[str] = []
    kept = Recording(journal, SystemClock(), told.append)
    assert kept.entries([entry("a")]) == 1
    disk.full = True
    assert kept.entries([entry("b"), entry("c")]) == 0
    disk.full = False
    kept.note("cursors", None)
    assert kept.entries([entry("d")]) == 0
    assert (len(kept.waiting), len(told)) == (4, 1)
    written: list[tuple[list[Entry], int]] = []
    assert kept.catch_up(lambda entries, last: written.append((entries, last)))
    assert written == [([entry("b"), entry("c")], 3), ([entry("d")], 4)]
    assert (kept.waiting, journal.error) == ([], "")
    assert names(journal) == ["a", "b", "c", "cursors", "d"]


def test_a_disk_that_stays_full_keeps_what_waits(disk: Disk, journal: Journal) -> None:
    kept = Recording(journal, SystemClock(), lambda _reason: None)
    disk.full = True
    kept.note("fence", 1)
    kept.entries([entry("a")])
    assert not kept.catch_up(lambda _entries, _last: pytest.fail("nothing was written"))
    assert len(kept.waiting) == 2
    assert "No space left" in journal.error


def test_nothing_is_written_behind_a_gap_and_a_person_reads_that_a_restart_is_needed(
    disk: Disk, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor behind dropped fills would hide them from the replay, and nobody would ask the venue for them again."""
    monkeypatch.setattr(recording, "WAITING_MAX", 2)
    told: list[str] = []
    kept = Recording(journal, SystemClock(), told.append)
    disk.full = True
    kept.entries([entry("a")])
    kept.entries([entry("b"), entry("c")])
    kept.note("cursors", None)
    assert (len(kept.waiting), kept.dropped) == (1, 3)
    disk.full = False
    assert not kept.catch_up(lambda _entries, _last: pytest.fail("something was written"))
    assert "No space left" in told[-1]
    assert "3 records found no room meanwhile" in told[-1]
    assert "restart execution" in told[-1]
    assert names(journal) == []
