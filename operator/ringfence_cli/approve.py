"""What people do with a rollout: approve a step, hold it, let it go on, take it back. Always by spec or objects.

Nothing here writes a status, and nothing skips a step: what is approved is exactly what the status offers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import AlreadyExists, NotFound
from ringfence_cli import facts
from ringfence_cli.stop import NoSuchSystem

_APPROVED: Final = ("action", "system", "revision", "stage", "evaluation", "limitsRevision")


class NothingToApprove(Exception):  # noqa: N818 - a sentence for the person
    """No step waits for an approval."""


@dataclass(frozen=True)
class Offer:
    """The step that an approval would be for, and the evidence for it."""

    revision: str
    step: str
    """As the status names it, such as Canary 25%."""
    stage: str
    evaluation: str
    evaluation_uid: str
    limits: str
    waits_for: str
    verdict: str
    metrics: tuple[tuple[str, str, str, str], ...]
    """Name, verdict, value and reason of each."""


def offer(status: Mapping[str, Any]) -> Offer:
    """What waits for a person's approval. Pure. Raises NothingToApprove."""
    found = status.get("rollout") or {}
    step = str(found.get("next") or "")
    stage = step.split(" ", maxsplit=1)[0]
    if not found.get("revision") or stage not in {"Canary", "Live"}:
        raise NothingToApprove("no revision is on its way to a stage that takes an approval")
    if found.get("failure"):
        raise NothingToApprove(f"revision {found['revision']} does not go on: {found['failure'].get('message', '')}")
    if found.get("approval") != "Required":
        given = "is approved already" if found.get("approval") == "Given" else "takes no approval"
        raise NothingToApprove(f"{step} {given}: it waits for {found.get('waitsFor') or 'the next pass'}")
    if not found.get("evaluationUid") and not found.get("evaluationUID"):
        raise NothingToApprove("there is no Evaluation yet: nothing was measured that could be approved")
    return Offer(
        revision=str(found["revision"]),
        step=step,
        stage=stage,
        evaluation=str(found.get("evaluation") or ""),
        evaluation_uid=str(found.get("evaluationUID") or found.get("evaluationUid")),
        limits=str(status.get("limitsRevision") or ""),
        waits_for=str(found.get("waitsFor") or ""),
        verdict=str(found.get("verdict") or "NoData"),
        metrics=tuple(
            (str(m.get("name")), str(m.get("verdict")), str(m.get("value") or ""), str(m.get("reason") or ""))
            for m in found.get("metrics") or ()
        ),
    )


def promotion(system: str, namespace: str, found: Offer, *, by: str, reason: str) -> Manifest:
    """The approval of exactly this offer. Pure."""
    return {
        "apiVersion": resources.PROMOTION.api_version,
        "kind": resources.PROMOTION.kind,
        "metadata": {
            # of what it approves: approving the same twice is one approval
            "name": f"{system}-{found.revision}-{found.stage.lower()}-{found.evaluation_uid[:8]}",
            "namespace": namespace,
        },
        "spec": {
            "action": "Promote",
            "system": system,
            "revision": found.revision,
            "stage": found.stage,
            "evaluation": found.evaluation_uid,
            "limitsRevision": found.limits,
            "by": by,
            "reason": reason,
        },
    }


async def read(client: KubeClient, system: str, namespace: str) -> Manifest:
    """Raises NoSuchSystem."""
    try:
        return await client.get(resources.TRADING_SYSTEM, system, namespace)
    except NotFound as error:
        raise NoSuchSystem(f"there is no TradingSystem {system!r} in namespace {namespace}") from error


async def approve(client: KubeClient, system: str, namespace: str, found: Offer, reason: str) -> Manifest:
    """In our own name; the API server compares it with whom it takes us for. One that was made before and may still be
    used is the answer; one that has expired or was refused gets a successor."""
    wanted = promotion(system, namespace, found, by=await facts.whoami(client), reason=reason)
    name, number = wanted["metadata"]["name"], 1
    while True:
        try:
            return await client.create(wanted)
        except AlreadyExists:
            before = await client.get(resources.PROMOTION, wanted["metadata"]["name"], namespace)
        if holds(before, wanted):
            return before
        number += 1
        wanted["metadata"]["name"] = f"{name}-{number}"


def holds(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an earlier approval is of the same, and not yet answered for good. Pure."""
    over = (before.get("status") or {}).get("state") in {"Used", "Expired", "Refused"}
    return not over and all(before["spec"].get(key) == wanted["spec"][key] for key in _APPROVED)


async def steer(client: KubeClient, system: str, namespace: str, change: str) -> str:
    """``pause``, ``resume``, ``abort`` or ``retry``; returns what was done, in a sentence."""
    manifest = await read(client, system, namespace)
    patch, told = steering(manifest, change)
    await client.patch(resources.TRADING_SYSTEM, system, namespace, {"spec": {"rollout": patch}})
    return told


def steering(manifest: Mapping[str, Any], change: str) -> tuple[dict[str, Any], str]:
    """What to change in spec.rollout, and what to say. Pure. Raises NothingToApprove where nothing can be steered."""
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    now = spec.get("rollout") or {}
    revision = str(
        (status.get("rollout") or {}).get("revision") or (status.get("candidate") or {}).get("revision") or ""
    )
    match change:
        case "pause":
            return {"paused": True}, "paused: it holds where it is; failures still demote, and the kill switch works"
        case "resume":
            return {"paused": False}, "resumed"
        case "abort":
            if not revision:
                raise NothingToApprove("no revision is on its way")
            return {"abort": revision}, f"revision {revision} goes back to Paper and stays there until it is retried"
        case "retry":
            number = int(now.get("retry") or 0) + 1
            return {"retry": number, "abort": None}, f"retry {number}: it tries again from where it is"
        case _:
            raise ValueError(change)
