"""Generated files are what their source generates: content, and the set of files."""

import subprocess
import sys

import pytest

from sources import ROOT


@pytest.mark.parametrize(
    "command",
    [("-m", "ringfence_operator.crdgen", "--check"), ("tools/manifests.py", "--check")],
    ids=["crds", "install"],
)
def test_generated_files_are_current(command: tuple[str, ...]) -> None:
    """After a change of a model: make generate."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'services'}:{ROOT / 'tools'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
