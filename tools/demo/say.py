"""What a person sees while something happens: one line per step, with how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

console = Console(stderr=False, highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show that ``what`` is going on, and how long it took once it is done."""
    start = time.monotonic()  # sim-ok: a person's progress line
    if console.is_terminal:
        with console.status(f"{escape(what)} ..."):
            yield
    else:
        yield
    took_s = time.monotonic() - start  # sim-ok: as above
    console.print(f"[green]✔[/green] {escape(what)} [dim]{took_s:.1f} s[/dim]")


def line(text: str = "") -> None:
    console.print(escape(text), soft_wrap=True)


def command(text: str) -> None:
    """A command as one would type it."""
    console.print(f"[bold]$ {escape(text)}[/bold]", soft_wrap=True)


def failure(what: str, why: str, remedy: str) -> None:
    console.file = sys.stderr
    console.print(f"[red]✘ {escape(what)}[/red]\n{escape(why)}\n[bold]{escape(remedy)}[/bold]", soft_wrap=True)
