"""A folder named operator at the root of the repository must never hide Python's own module of that name."""

import os
import subprocess
import sys

import pytest

from sources import ROOT

PROGRAM = """
import operator, collections, sys
assert operator.add(1, 2) == 3 and collections.namedtuple("A", "b")(1).b == 1
assert "ringfence" not in (operator.__file__ or ""), operator.__file__
assert not any(name.startswith("ringfence") for name in sys.modules)
print(sys.path[0] or "here")
"""


@pytest.mark.parametrize("folder", [".", "services", "tests"])
def test_python_works_in_the_repository(folder: str) -> None:
    """Without site packages, whose start-up would have imported the right one before: as in a bare image."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],
        cwd=ROOT / folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "here"
