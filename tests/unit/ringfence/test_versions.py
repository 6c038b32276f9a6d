"""Mixed versions in one account: named, refused where they cannot understand each other, and shown side by side."""

from pathlib import Path

import msgspec
import pytest

from ringfence.execution.state import FOREIGN, Track
from ringfence.execution.versions import Versions, document
from ringfence.runtime.build import PACKAGE, Build, own, source_hash
from ringfence.runtime.guard import Guard
from ringfence.wire.codec import OtherVersion, WireError, decode, encode
from ringfence.wire.kill import Severity
from ringfence.wire.messages import VERSION, Hello

OWN = Build(build="abc", image="registry.example/ringfence@sha256:1", wire=VERSION)


def test_a_build_is_its_source_and_nothing_else(tmp_path: Path) -> None:
    """The same files give the same build wherever they lie; one changed letter, or a moved file, gives another."""
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("x = 1\n")
        (tmp_path / name / "sub" / "b.py").write_text("y = 2\n")
    first = source_hash(tmp_path / "one")
    assert source_hash(tmp_path / "two") == first
    (tmp_path / "two" / "__pycache__").mkdir()
    (tmp_path / "two" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert source_hash(tmp_path / "two") == first
    (tmp_path / "two" / "a.py").write_text("x = 2\n")
    assert source_hash(tmp_path / "two") != first
    assert own().build == source_hash(PACKAGE)


def test_a_strategy_of_another_wire_version_keeps_the_gate_from_being_active() -> None:
    versions, guard, track = Versions(OWN), Guard("s", {}, [], 0), Track("stable")
    track.key, track.barred = "key", ""
    versions.other(VERSION + 1, "stranger", [track])
    assert versions.mixed({"stable"}) == ""
    versions.other(VERSION + 1, "key", [track])
    versions.judge(guard, [track], 0)
    assert guard.sources["versions"].severity is Severity.HALT
    assert f"track stable speaks wire version {VERSION + 1}, this gate {VERSION}" in versions.mixed({"stable"})
    assert versions.mixed({"candidate"}) == "", "one that may not trade here stops nobody"
    versions.heard("stable", "def")
    versions.judge(guard, [track], 0)
    assert guard.sources == {}


def test_another_build_of_the_same_wire_version_is_shown_and_trades_on() -> None:
    """A platform upgrade never waits for strategies to be built again."""
    versions = Versions(OWN)
    versions.heard("stable", "older")
    track = Track("stable")
    track.revision, track.grant, track.allocation = "5f2a90", "momentum-limits-9be31c07aa", 7
    told = document(versions, [track, Track(FOREIGN)])
    assert versions.mixed({"stable"}) == ""
    assert (told["build"], told["image"], told["wire"]) == (OWN.build, OWN.image, VERSION)
    assert told["tracks"] == {
        "stable": {
            "revision": "5f2a90",
            "limits": "momentum-limits-9be31c07aa",
            "allocation": 7,
            "strategyBuild": "older",
        }
    }


def test_a_later_version_is_told_from_noise() -> None:
    ours = encode("a", 1, 1, Hello("stable", "r", False, 1, "b"))
    assert decode(ours).version == VERSION
    for later in ([VERSION + 1, "a", 1, 1, ["Hello"]], [VERSION + 1, {"shape": "unknown"}]):
        with pytest.raises(OtherVersion) as found:
            decode(msgspec.msgpack.encode(later))
        assert found.value.version == VERSION + 1
    for noise in (b"", b"\xff", msgspec.msgpack.encode([]), msgspec.msgpack.encode("text"), ours[:-3]):
        with pytest.raises(WireError) as wrong:
            decode(noise)
        assert not isinstance(wrong.value, OtherVersion)
