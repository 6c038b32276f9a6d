"""What people see: progress, and errors that say what to do."""

import io

import pytest

from localnode import deps, progress
from localnode.__main__ import main
from localnode.errors import LocalNodeError


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines() -> None:
    """What began, which of how many, how long it took; no control characters."""
    log = io.StringIO()
    with progress.step("building etcd", 1, 3, log):
        pass
    begun, ended = log.getvalue().splitlines()
    assert "[1/3] building etcd ..." == begun
    assert ended.startswith("[1/3] building etcd: done in ")
    assert "\x1b" not in log.getvalue()


def test_a_terminal_gets_one_line() -> None:
    """The spinner is wiped away by the result."""
    terminal = _Terminal()
    with progress.step("building etcd", stream=terminal):
        pass
    assert "\r\x1b[Kbuilding etcd: done in " in terminal.getvalue()


def test_a_failure_is_called_one() -> None:
    """And passes on."""
    log = io.StringIO()
    with pytest.raises(ValueError, match="no"), progress.step("building etcd", stream=log):
        raise ValueError("no")
    assert "building etcd: failed in" in log.getvalue()


def test_missing_packages_come_as_one_command() -> None:
    """Two programs of one package name it once."""
    with pytest.raises(LocalNodeError, match=r"remedy: apt-get install containerd runc$"):
        deps.check("node", lambda need: need.what not in {"containerd", "ctr", "runc"})


def test_a_control_plane_needs_no_container_runtime() -> None:
    """It must run on a laptop without root and without packages of ours."""
    assert ["openssl"] == deps.packages(deps.needs_of("control-plane"), lambda _: False)
    deps.check_rights("control-plane", user=1000)


def test_a_node_without_root_points_to_what_needs_none() -> None:
    """The remedy is a command that works."""
    with pytest.raises(LocalNodeError, match="up --control-plane"):
        deps.check_rights("node", user=1000)


def test_a_bad_name_is_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, no traceback."""
    assert 2 == main(["status", "--name", "No/Name"])
    assert "is no name for a node" in capsys.readouterr().err
