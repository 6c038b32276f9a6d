"""What the gate's bounds are computed from is written in one module, by methods that void them.

A writer that goes around them would leave bounds in force that no longer hold.
"""

import ast
from pathlib import Path

EXECUTION = Path(__file__).parents[2] / "services" / "ringfence" / "execution"
COUNTED = {
    "barred", "buying", "caps", "ceiling", "equity", "full_mono", "loss", "losses", "ready_mono", "ungranted",
    "valued",
}  # fmt: skip
"""Of `state.Track` and `state.Market`."""
PRICES = {"ask", "bid", "crossed_mono", "last_ask", "sound_mono", "usable_until", "worst"}
OTHERS = {
    ("grants.py", "found"): "numbers of `Caps`, before they are a track's",
    ("losses.py", "owner"): "of the loss ledger",
    ("losses.py", "period"): "of the loss ledger",
}
"""Attributes of these names that are something else."""


def writes(source: str, name: str = "") -> list[str]:
    """Assignments to such an attribute of something else than ``self``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in COUNTED | PRICES:
            owner = ast.unparse(node.value)
            if owner != "self" and (name, owner) not in OTHERS:
                found.append(f"{name}:{node.lineno} {owner}.{node.attr}")
    return found


def test_only_the_state_writes_what_bounds_are_computed_from() -> None:
    paths = [path for path in EXECUTION.rglob("*.py") if path.name != "state.py"]
    assert len(paths) > 30
    assert [one for path in paths for one in writes(path.read_text(), path.name)] == []


def test_such_a_write_would_be_seen() -> None:
    assert writes("track.losses = ()\nself.gate.account.caps = found\nmarket.ask += 1\nself.loss = 0", "x.py") == [
        "x.py:1 track.losses",
        "x.py:2 self.gate.account.caps",
        "x.py:3 market.ask",
    ]
