"""Only our own processes are ended: known by id and by the moment they started."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localnode import supervise
from localnode.commands import Process
from localnode.errors import StartError
from localnode.layout import Layout, layout


@pytest.fixture
def plane(tmp_path: Path) -> Layout:
    return layout("demo", "control-plane", environment={"RINGFENCE_STATE": str(tmp_path)})


def _python(name: str, code: str) -> Process:
    return Process(name, (sys.executable, "-c", code))


def test_a_started_process_is_found_and_ended(plane: Layout) -> None:
    """Its record goes with it."""
    started = supervise.start(plane, _python("one", "import time; time.sleep(600)"))
    found = supervise.find(plane, "one")
    assert found is not None
    assert (started.pid, True) == (found.pid, found.alive)

    supervise.stop(plane, ["one"], patience_s=2)

    assert supervise.find(plane, "one") is None
    assert supervise.start_ticks(started.pid) is None


def test_a_process_that_ignores_us_is_ended_all_the_same(plane: Layout, eventually: Callable[..., None]) -> None:
    """Asking comes first, insisting second."""
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    started = supervise.start(plane, _python("deaf", code))
    eventually(lambda: "deaf" in supervise.log_tail(plane, "deaf"))

    supervise.stop(plane, ["deaf"], patience_s=0.1)

    assert supervise.start_ticks(started.pid) is None


def test_a_recycled_id_is_left_alone(plane: Layout) -> None:
    """After a crash the number in our record may be anyone's."""
    with subprocess.Popen(["sleep", "600"]) as stranger:
        started = supervise.start(plane, _python("one", "pass"))
        record = plane.pids / "one.json"
        forged = json.loads(record.read_text()) | {"pid": stranger.pid, "start_ticks": started.start_ticks - 1000}
        record.write_text(json.dumps(forged))

        supervise.stop(plane, ["one"], patience_s=0)

        assert stranger.poll() is None
        stranger.kill()


def test_records_of_another_boot_mean_nothing(plane: Layout) -> None:
    """Start times count from boot, so that both numbers could meet by chance."""
    started = supervise.start(plane, _python("one", "import time; time.sleep(600)"))
    record = plane.pids / "one.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "another"}))

    assert supervise.find(plane, "one") is None

    supervise.kill([(started.pid, started.start_ticks)], patience_s=0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_damaged_record_is_no_process(plane: Layout, text: str) -> None:
    """A full disk may leave half a file."""
    plane.pids.mkdir(parents=True)
    (plane.pids / "one.json").write_text(text)
    assert supervise.find(plane, "one") is None


def test_waiting_ends_with_the_process_and_shows_its_log(plane: Layout) -> None:
    """Nobody should wait a minute for what has already failed."""
    supervise.start(plane, _python("etcd", "raise SystemExit('bad flag')"))
    with pytest.raises(StartError, match="bad flag"):
        supervise.wait_for(plane, "etcd", lambda: False, 30, ["etcd"])
