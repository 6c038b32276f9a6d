"""Ask the gates of a namespace for the life of an order, through the API server or straight."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, Forbidden, NotFound
from ringfence.runtime.config import HTTP_PORT
from ringfence.wire.explain import EXPLAIN_PATH, ExplainError, Life, decode
from ringfence_cli import facts
from ringfence_operator.desired import labels

TIMEOUT_S: Final = 20.0
"""A gate reads its whole journal for an old order."""


@dataclass(frozen=True)
class Answers:
    """Who knew it, who did not, and who could not be asked."""

    lives: tuple[Life, ...]
    asked: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    """Gate and why."""


async def through_api(client: KubeClient, namespace: str, order: str, system: str) -> Answers:
    """All gate pods of the namespace, by the API server's proxy: needs ``get`` of pods/proxy."""
    selector = f"{facts.GATES},{labels.SYSTEM}={system}" if system else facts.GATES
    pods = await client.list(resources.POD, namespace, label_selector=selector)
    names = [str(pod["metadata"]["name"]) for pod in pods.items if (pod.get("status") or {}).get("podIP")]

    async def one(pod: str) -> Life | str | None:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}:{HTTP_PORT}/proxy{EXPLAIN_PATH}"
        try:
            # asked for as bytes: what comes back is the gate's own document, with its own version
            found = await client.content("GET", path, query={"order": order}, timeout_s=TIMEOUT_S)
            return decode(found)
        except NotFound:
            return None
        except Forbidden as error:
            return f"{error}; kubectl port-forward {pod} {HTTP_PORT} and --gate 127.0.0.1:{HTTP_PORT} need no proxy"
        except (ApiError, ExplainError) as error:
            return str(error)

    return _sorted(names, await asyncio.gather(*map(one, names)))


async def straight(gates: Sequence[str], order: str) -> Answers:
    """Gates by ``host:port`` of their documents."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:

        async def one(gate: str) -> Life | str | None:
            try:
                async with session.get(f"http://{gate}{EXPLAIN_PATH}", params={"order": order}) as response:
                    body = await response.read()
                    if response.status == 404:
                        return None
                    return decode(body) if response.status == 200 else body.decode(errors="replace").strip()
            except (aiohttp.ClientError, TimeoutError, OSError, ExplainError) as error:
                return str(error) or type(error).__name__

        return _sorted(gates, await asyncio.gather(*map(one, gates)))


def _sorted(names: Sequence[str], answers: Sequence[Life | str | None]) -> Answers:
    pairs = list(zip(names, answers, strict=True))
    return Answers(
        lives=tuple(answer for _, answer in pairs if isinstance(answer, Life)),
        asked=tuple(names),
        failed=tuple((name, answer) for name, answer in pairs if isinstance(answer, str)),
    )
