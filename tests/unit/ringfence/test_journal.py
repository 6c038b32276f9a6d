"""The journal: what was appended comes back, torn tails are cut at every byte, and damage is never guessed away."""

import errno
import os
import struct
from pathlib import Path

import pytest

from ringfence.model.orders import Denied, Filled, Submitted
from ringfence.model.records import Entry, Note
from ringfence.runtime.clock import ManualClock
from ringfence.runtime.journal import HEADER, INDEX_EVERY, RECORD, Journal, JournalError

NOW = 1_700_000_000_000_000_000


def entry(number: int) -> Entry:
    if number % 3 == 0:
        return Entry("stable", Denied(client_order_id=f"o{number}", ts=NOW, reasons=("A b=1", "C")))
    if number % 3 == 1:
        return Entry("candidate", Submitted(client_order_id=f"o{number}", ts=NOW + number))
    fill = Filled(
        client_order_id=f"o{number}",
        ts=NOW,
        trade_id=str(number),
        price=number,
        quantity=1,
        commission=0,
        commission_asset="BTC",
        maker=True,
    )
    return Entry("stable", fill)


def opened(path: Path, **more: object) -> tuple[Journal, list[tuple[int, Entry | Note]]]:
    journal = Journal(path, ManualClock(), **more)  # type: ignore[arg-type]
    return journal, list(journal.replay())


def written(path: Path, count: int) -> list[int]:
    """A journal of ``count`` entries; returns where each record begins, and the end."""
    journal, _ = opened(path)
    places = []
    for number in range(1, count + 1):
        places.append(path.stat().st_size)
        journal.append([entry(number)])
    journal.close()
    return [*places, path.stat().st_size]


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    """Entries in groups, notes between them, in order, with hole-less numbers."""
    path = tmp_path / "j"
    journal, records = opened(path)
    assert records == []
    assert journal.append([entry(1), entry(2)]) == 2
    journal.note("fence", NOW, {"fence": 7})
    assert journal.append([entry(3)]) == 3
    created = journal.created
    journal.close()
    again, records = opened(path)
    assert records == [(1, entry(1)), (2, entry(2)), (2, Note("fence", NOW, '{"fence":7}')), (3, entry(3))]
    assert (again.sequence, again.created, again.torn_bytes) == (3, created, 0)
    assert again.append([entry(4)]) == 4
    again.close()


def test_a_tail_torn_at_any_byte_is_cut_off(tmp_path: Path) -> None:
    """Every whole record stays, the torn one goes and is reported, and appending goes on."""
    path = tmp_path / "j"
    places = written(path, 3)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        journal, records = opened(path)
        whole = sum(1 for place in places[1:] if place <= cut)
        assert len(records) == whole
        kept = places[whole] if cut >= HEADER.size else 0
        assert journal.torn_bytes == cut - kept
        assert journal.append([entry(99)]) == whole + 1
        journal.close()
        journal, records = opened(path)
        assert records[-1] == (whole + 1, entry(99))
        journal.close()


def test_a_tail_of_garbage_is_cut_off(tmp_path: Path) -> None:
    """Zeroes or noise after a power cut, and a flipped bit in the very last record."""
    path = tmp_path / "j"
    places = written(path, 3)
    data = path.read_bytes()
    for tail in (b"\0" * 100, bytes(range(256)), data[places[2] : -1] + bytes([data[-1] ^ 1])):
        path.write_bytes(data[: places[2]] + tail)
        journal, records = opened(path)
        assert len(records) == 2
        assert journal.torn_bytes == len(tail)
        journal.close()


def test_any_flipped_bit_in_the_middle_refuses_to_start(tmp_path: Path) -> None:
    """With the place and a remedy, and without changing anything."""
    path = tmp_path / "j"
    places = written(path, 4)
    data = bytearray(path.read_bytes())
    for position in range(places[1], places[2]):
        damaged = bytes(data[:position]) + bytes([data[position] ^ 0x10]) + bytes(data[position + 1 :])
        path.write_bytes(damaged)
        with pytest.raises(JournalError, match=rf"at byte {places[1]}\b.*truncate -s {places[1]} "):
            opened(path)
        assert path.read_bytes() == damaged
    os.truncate(path, places[1])
    journal, records = opened(path)
    assert len(records) == 1
    journal.close()


def test_a_missing_record_refuses_to_start(tmp_path: Path) -> None:
    """A hole in the numbers cannot come from a crash."""
    path = tmp_path / "j"
    places = written(path, 4)
    data = path.read_bytes()
    path.write_bytes(data[: places[1]] + data[places[2] :])
    with pytest.raises(JournalError, match="entry 3 follows entry 1"):
        opened(path)


def test_a_file_that_is_no_journal_refuses_to_start(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"something else entirely")
    with pytest.raises(JournalError, match="does not begin like a journal"):
        opened(path)


def test_only_one_process_may_have_it(tmp_path: Path) -> None:
    """A lock of the file, freed with its descriptor."""
    path = tmp_path / "j"
    journal, _ = opened(path)
    with pytest.raises(JournalError, match="in use by another process"):
        opened(path)
    journal.close()
    opened(path)[0].close()


def test_a_directory_that_is_not_there_is_made_and_one_that_cannot_be_says_so(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "a" / "b" / "j")
    journal.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="is the journal volume mounted"):
        opened(tmp_path / "file" / "j")


def test_a_full_disk_leaves_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that stops half-way is undone; after room has come back, numbers go on without a hole."""
    path = tmp_path / "j"
    journal, _ = opened(path)
    journal.append([entry(1)])
    real = os.pwrite

    def full(fd: int, data: memoryview, position: int) -> int:
        if len(data) > 10:
            return real(fd, data[:10], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.append([entry(2), entry(3)])
    assert "No space left" in journal.error
    monkeypatch.undo()
    assert journal.append([entry(2)]) == 2
    journal.recovered()
    assert journal.error == ""
    journal.close()
    again, records = opened(path)
    assert [sequence for sequence, _ in records] == [1, 2]
    assert again.torn_bytes == 0
    again.close()


def test_a_failed_sync_is_never_forgiven(tmp_path: Path) -> None:
    """What the kernel failed to write is gone from its cache; only a restart knows what is on disk."""

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal, _ = opened(tmp_path / "j", sync=broken)
    journal.append([entry(1)])
    journal.close()
    assert journal.sync_failed
    journal.recovered()
    assert "fdatasync: Input/output error" in journal.error


def test_reading_pages_through_the_index(tmp_path: Path) -> None:
    """Any window, also one that starts between remembered positions, with notes skipped."""
    journal, _ = opened(tmp_path / "j")
    count = 3 * INDEX_EVERY + 17
    for number in range(1, count + 1):
        if number % 50 == 0:
            journal.note("n", NOW, number)
        journal.append([entry(number)])
    for again in range(2):
        for after in (0, 1, INDEX_EVERY - 1, INDEX_EVERY, INDEX_EVERY + 1, count - 3, count - 1):
            found = journal.read(after, 5)
            assert found == [(n, entry(n)) for n in range(after + 1, min(after + 5, count) + 1)]
        assert journal.read(count, 5) == []
        assert len(journal.read(0, count)) == count
        journal.close()
        if not again:
            journal, _ = opened(tmp_path / "j")


def test_remembered_positions_are_bounded_and_every_window_is_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.runtime.journal.INDEX_MAX", 4)
    journal, _ = opened(tmp_path / "j")
    count = 20 * INDEX_EVERY
    for number in range(1, count + 1):
        journal.append([entry(number)])
    mark = journal.mark()
    assert len(mark.index) <= 4
    journal.close()
    again = Journal(tmp_path / "j", ManualClock())
    assert list(again.replay(mark)) == []
    again.append([entry(count + 1)])
    for after in (0, INDEX_EVERY, count // 2 + 3, count - 1):
        assert again.read(after, 2) == [(n, entry(n)) for n in (after + 1, after + 2)]
    assert again.mark().index == mark.index
    again.close()


def test_a_length_that_lies_is_no_record(tmp_path: Path) -> None:
    """A length beyond the file, or of a gigabyte, does not make us read or allocate that much."""
    path = tmp_path / "j"
    places = written(path, 2)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, places[1], 1 << 30)
    path.write_bytes(bytes(data))
    journal, records = opened(path)
    assert len(records) == 1
    assert journal.torn_bytes >= RECORD.size
    journal.close()
