"""The scenarios of the real clients, read without their environments: one shared list, and nothing left out quietly."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).parents[2] / "clients"
FOLDERS = sorted(path.parent for path in CLIENTS.glob("*/scenarios.py"))
NOT_SCENARIOS = {"open", "close", "after"}


def shared() -> tuple[str, ...]:
    """SCENARIOS of common.py."""
    for node in ast.parse((CLIENTS / "common.py").read_text()).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SCENARIOS" and node.value is not None:
            found: tuple[str, ...] = ast.literal_eval(node.value)
            return found
    raise LookupError("common.py has no SCENARIOS")


def written(folder: Path) -> set[str]:
    """Public coroutines of the client's class."""
    tree = ast.parse((folder / "scenarios.py").read_text())
    suites = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Scenarios"]
    assert len(suites) == 1
    names = [node.name for node in suites[0].body if isinstance(node, ast.AsyncFunctionDef)]
    return {name for name in names if not name.startswith("_")} - NOT_SCENARIOS


def impossible(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "impossible.json").read_text())
    return found


def test_there_are_clients() -> None:
    """The tests below judge something."""
    assert len(FOLDERS) == 3
    assert len(set(shared())) == len(shared())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_client_has_every_scenario_or_says_why_not(folder: Path) -> None:
    """A name that is not in the shared list would never run, and one that is missing would pass unseen."""
    mine, excused = written(folder), impossible(folder)
    assert mine | set(excused) == set(shared())
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
