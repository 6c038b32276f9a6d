"""What all commands have in common: one connection to the cluster, sentences for people, and exit codes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, Forbidden, RetryLater
from ringfence_cli import approve, connect, stop

NOT_PROVEN: Final = 1
CANNOT_ASK: Final = 2
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
Answer = TypeVar("Answer")


async def quietly(request: Awaitable[str]) -> str:
    """A nicety that must not get in the way."""
    try:
        return await request
    except ApiError:
        return ""


def say(text: str | Text, style: str = "") -> None:
    """One line, whatever is in it and however narrow the terminal: people paste these into chats."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def run(
    context: str | None,
    namespace: str | None,
    work: Callable[[KubeClient, connect.Cluster], Awaitable[Answer]],
) -> Answer:
    """Connect, work, and turn what may go wrong into a sentence and an exit code."""

    async def connected() -> Answer:
        cluster = connect.find(context, namespace)
        async with cluster.client() as client:
            return await work(client, cluster)

    try:
        return asyncio.run(connected())
    except (stop.NoSuchSystem, approve.NothingToApprove) as error:
        fail(str(error), NOT_PROVEN)
    except (connect.NoCluster, Forbidden) as error:
        fail(str(error))
    except RetryLater as error:
        fail(f"{error}\nthe API server does not answer; gates can be stopped without it: kill --direct")
    except ApiError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(sentence: str, code: int = CANNOT_ASK) -> NoReturn:
    err.print(f"error: {sentence}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)
