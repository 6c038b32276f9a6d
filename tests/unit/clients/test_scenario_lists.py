"""The scenarios of the real clients, read without their environments: one shared list, and nothing left out quietly."""

import ast
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).parents[2] / "clients"
FOLDERS = sorted(path.parent for path in CLIENTS.glob("*/scenarios.py"))
NOT_SCENARIOS = {"open", "close", "after", "place", "told", "end"}


def shared() -> set[str]:
    """SCENARIOS of common.py, without their arguments."""
    found: tuple[str, ...] = runpy.run_path(str(CLIENTS / "common.py"))["SCENARIOS"]
    assert len(set(found)) == len(found)
    return {name.split()[0] for name in found}


def coroutines(path: Path, suite: str) -> set[str]:
    """Public ones of a class, but for those that scenarios are made of."""
    (found,) = (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef) and n.name == suite)
    names = [node.name for node in found.body if isinstance(node, ast.AsyncFunctionDef)]
    return {name for name in names if not name.startswith("_")} - NOT_SCENARIOS


def written(folder: Path) -> set[str]:
    """The client's own, and those that all clients have alike."""
    return coroutines(folder / "scenarios.py", "Scenarios") | coroutines(CLIENTS / "common.py", "Suite")


def impossible(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "impossible.json").read_text())
    return found


def test_there_are_clients() -> None:
    """The tests below judge something."""
    assert len(FOLDERS) == 3


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_client_has_every_scenario_or_says_why_not(folder: Path) -> None:
    """A name that is not in the shared list would never run, and one that is missing would pass unseen."""
    mine, excused = written(folder), impossible(folder)
    assert mine | set(excused) == shared()
    assert not mine & set(excused)
    assert all(len(why) > 10 for why in excused.values())
    assert len(mine) >= 20


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_installed_is_pinned_and_hashed(folder: Path) -> None:
    """Every requirement names one version and at least one hash, and no place to fetch it from."""
    lines = (folder / "requirements.txt").read_text().splitlines()
    pinned = [number for number, line in enumerate(lines) if line and line[0] not in " #"]
    assert pinned
    for number in pinned:
        assert "==" in lines[number]
        assert "--hash=sha256:" in lines[number + 1]
    assert not [line for line in lines if "index" in line or "find-links" in line or "://" in line]
