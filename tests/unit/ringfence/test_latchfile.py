"""The latch file: what was written last comes back, torn writes leave the one before, and refusals are told."""

import errno
import os
from pathlib import Path

import pytest

from ringfence.runtime.guard import Latch
from ringfence.runtime.latchfile import SLOT, SLOTS, LatchFile

ONE = Latch(name="direct", severity="Cancel", reason="r")
TWO = Latch(name="deleted/x", severity="Flatten", reason="s", protective="Cancel")


def test_the_last_write_comes_back(tmp_path: Path) -> None:
    """Also an empty one: it records a release. The file never grows."""
    path = tmp_path / "latches"
    file = LatchFile(path)
    assert file.read() is None
    for at, latches in enumerate([(ONE,), (ONE, TWO), (), (TWO,)], start=5):
        assert file.write(latches, at)
        file.sync()
        assert LatchFile(path).read() == (at, latches)
    assert path.stat().st_size == SLOT * SLOTS
    file.close()


@pytest.mark.parametrize("damage", [0, 9, 20, 40])
def test_a_torn_write_leaves_the_one_before(tmp_path: Path, damage: int) -> None:
    path = tmp_path / "latches"
    file = LatchFile(path)
    file.write((ONE,), 1)
    file.write((TWO,), 2)
    with path.open("r+b") as raw:
        raw.seek(SLOT + damage)
        raw.write(b"\xff\xff\xff")
    assert LatchFile(path).read() == (1, (ONE,))


def test_a_process_goes_on_in_the_other_slot(tmp_path: Path) -> None:
    """The newest slot is never the one that is written over."""
    path = tmp_path / "latches"
    LatchFile(path).write((ONE,), 1)
    again = LatchFile(path)
    again.read()
    again.write((TWO,), 2)
    assert [LatchFile(path)._slot(number) is not None for number in range(SLOTS)] == [True, True]


def test_failing_closed_a_refused_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LatchFile(tmp_path / "latches")

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", refuse)
    assert not file.write((ONE,), 1)
    assert "Input/output error" in file.error
    missing = LatchFile(tmp_path / "no" / "latches")
    assert not missing.write((ONE,), 1)
    assert missing.error
    assert missing.read() is None
