"""`kubectl_complete-ringfence`: what kubectl runs to complete `kubectl ringfence ...`."""

import contextlib
import os
import shlex
import sys
from typing import Final

from ringfence_cli.main import app

NO_FILES: Final = ":4"
"""cobra's word for: names of files would never be right here."""


def main() -> None:
    """Ask as the fish shell does: its answer, a word and a tab and a help text, is what kubectl reads."""
    os.environ["_RINGFENCE_COMPLETE"] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = shlex.join(["ringfence", *sys.argv[1:]])
    with contextlib.suppress(SystemExit):
        app(prog_name="ringfence", args=[])
    print(NO_FILES)


if __name__ == "__main__":
    main()
