"""A row of the conformance matrix: what is done, what must be seen, and how to see it."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from chaos.virtual import START_NS, VirtualLoop
from ringfence.runtime.clock import ManualClock

T = TypeVar("T")


class Case(NamedTuple):
    id: str
    what: str
    expected: str
    run: Callable[[], str]
    """Gives what was seen, in the words of ``expected``."""


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
        lines.append(f"{case.id} {case.what:<{width}}  {case.expected}")
        if seen != case.expected:
            lines.append(f"    SEEN {seen}")
    good = sum(seen == case.expected for case, seen in rows)
    return "\n".join([*lines, f"{good} of {len(rows)} cases as expected"])
