"""What many commands take, and the names that a shell completes for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError
from ringfence_cli import connect, facts, render

COMPLETION_TIMEOUT_S: Final = 2.0


def instruments(context: typer.Context, incomplete: str) -> list[str]:
    """Of the system that the command line names."""
    return _parts(context, incomplete, "instruments")


def venues(context: typer.Context, incomplete: str) -> list[str]:
    """Of the system that the command line names."""
    return _parts(context, incomplete, "venues")


def _parts(context: typer.Context, incomplete: str, which: str) -> list[str]:
    system = str(context.params.get("system") or "")
    return _complete(context, incomplete, lambda client, namespace: facts.parts(client, system, namespace, which))


def _systems(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, facts.names)


def _complete(
    context: typer.Context, incomplete: str, names: Callable[[KubeClient, str], Awaitable[list[str]]]
) -> list[str]:
    """Names for the shell. Whatever goes wrong here must not be printed into a command line."""
    try:
        cluster = connect.find(context.params.get("context"), context.params.get("namespace"))

        async def ask() -> list[str]:
            async with cluster.client(COMPLETION_TIMEOUT_S) as client:
                return await names(client, cluster.namespace)

        return [name for name in asyncio.run(ask()) if name.startswith(incomplete)]
    except (connect.NoCluster, ApiError):
        return []


System = Annotated[str, typer.Argument(help="Name of the TradingSystem.", autocompletion=_systems)]
MaybeSystem = Annotated[
    str, typer.Argument(help="Name of the TradingSystem; none with --namespace-wide.", autocompletion=_systems)
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; default: the context's.")]
Format = Annotated[render.Output | None, typer.Option("--output", "-o", help="A document instead of text.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="Seconds to wait for the gates.")]
