"""`helm test`: are the kinds served, and is the operator available? Runs in our image, where typer is not."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, NotFound
from ringfence_operator import api

KINDS: Final = frozenset(kind.kind for kind in api.KINDS)


def missing(served: Mapping[str, Any], deployment: Mapping[str, Any] | None) -> list[str]:
    """What is wrong, in sentences; nothing when all is well."""
    found = {str(entry.get("kind")) for entry in served.get("resources") or ()}
    wrong = [f"{kind} is not served: are the CRDs installed?" for kind in sorted(KINDS - found)]
    if deployment is None:
        return [*wrong, "the operator's Deployment does not exist"]
    conditions = {entry["type"]: entry for entry in (deployment.get("status") or {}).get("conditions") or ()}
    available = conditions.get("Available") or {}
    if available.get("status") != "True":
        wrong.append(f"the operator is not available: {available.get('message') or 'nothing is known of it yet'}")
    return wrong


async def look(deployment: str) -> list[str]:
    """Ask the API server as this pod."""
    async with KubeClient.in_cluster() as client:
        try:
            served = await client.raw("GET", f"/apis/{resources.VERSION}")
        except NotFound:
            served = {}
        try:
            found = await client.get(resources.DEPLOYMENT, deployment, client.namespace)
        except NotFound:
            found = None
        return missing(served, found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ringfence_cli.helmtest", description=__doc__)
    parser.add_argument("--deployment", required=True, help="name of the operator's Deployment in this namespace")
    options = parser.parse_args(arguments)
    try:
        wrong = asyncio.run(look(options.deployment))
    except ApiError as error:
        wrong = [str(error)]
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if not wrong:
        print("the kinds are served and the operator is available")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
