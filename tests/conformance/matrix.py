"""A row of the conformance matrix: what is done, what must be seen, and how to see it; over each wire that it has."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from chaos.virtual import START_NS, VirtualLoop
from ringfence.runtime.clock import ManualClock

T = TypeVar("T")


class Wire(StrEnum):
    """How orders and their cancels go. What knows only the one way goes that way over either."""

    MESSAGE = "message"
    REST = "REST"


class Seen(NamedTuple):
    text: str
    """In the words of ``Case.expected``."""
    messages: int
    """Orders and cancels that went as a message."""


class Run(NamedTuple):
    over: Callable[[Wire], Seen]
    wires: tuple[Wire, ...]


REST_ALONE: Final = (Wire.REST,)
"""The wires of a row in which the adapter sends nothing that could go as a message."""

Expected = str | Callable[[Wire], str]
"""The same over each wire, or not."""


class Case(NamedTuple):
    id: str
    what: str
    wire: Wire
    expected: str
    over: Callable[[Wire], Seen]


def numbered(letter: str, rows: Iterable[tuple[str, Expected, Run]]) -> list[Case]:
    """A case for each row and wire; those of one row share its number."""
    return [
        Case(f"{letter}{number:02}", what, wire, expected if isinstance(expected, str) else expected(wire), run.over)
        for number, (what, expected, run) in enumerate(rows, start=1)
        for wire in run.wires
    ]


def in_virtual_time(work: Callable[[Path, ManualClock], Coroutine[Any, Any, T]]) -> T:
    """Run to the end in a loop in which waiting costs nothing."""
    clock = ManualClock(START_NS)
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as name,
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
    ):
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        return runner.run(work(Path(name), clock))


def table(rows: list[tuple[Case, str]]) -> str:
    """All rows as they went; ``seen`` is only told where it is not what was expected."""
    width = max((len(case.what) for case, _ in rows), default=0)
    lines = []
    for case, seen in rows:
        lines.append(f"{case.id} {case.wire:<7} {case.what:<{width}}  {case.expected}")
        if seen != case.expected:
            lines.append(f"    SEEN {seen}")
    good = sum(seen == case.expected for case, seen in rows)
    return "\n".join([*lines, f"{good} of {len(rows)} cases as expected"])
