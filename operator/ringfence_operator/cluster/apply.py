"""Make the cluster hold what was built: server-side apply, create once, prune.

Every step may be repeated and may be cut off anywhere; the next pass does the rest.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from ringfence_operator.desired.labels import APPLIED_HASH
from ringfence_operator.settings import FIELD_MANAGER

CONCURRENCY: Final = 8
"""Requests of one pass in flight at once."""


class Ref(NamedTuple):
    """One object within a namespace."""

    kind: str
    name: str


@dataclass(slots=True)
class Outcome:
    """What a pass changed, and what the API server refused."""

    changed: list[Ref] = field(default_factory=list)
    errors: list[tuple[Ref, ApiError]] = field(default_factory=list)


def ref(manifest: Mapping[str, Any]) -> Ref:
    return Ref(manifest["kind"], manifest["metadata"]["name"])


async def apply_all(
    client: KubeClient, stages: Iterable[Sequence[Manifest]], live: Mapping[Ref, Manifest], outcome: Outcome
) -> None:
    """Apply stage after stage. A refused object does not keep its neighbours from being applied, but it ends the pass:
    what comes later may rely on it."""
    for stage in stages:
        due = [manifest for manifest in stage if not is_current(manifest, live.get(ref(manifest)))]
        await _each(due, outcome, lambda manifest: client.apply(manifest, FIELD_MANAGER))
        if outcome.errors:
            return


async def create_missing(
    client: KubeClient, manifests: Sequence[Manifest], live: Mapping[Ref, Manifest], outcome: Outcome
) -> None:
    """Create what is not there, and never touch what is."""

    async def create(manifest: Manifest) -> None:
        try:
            await client.create(manifest, field_manager=FIELD_MANAGER)
        except AlreadyExists:
            return  # made by another pass, or by a person, since we looked

    await _each([m for m in manifests if ref(m) not in live], outcome, create)


async def prune(
    client: KubeClient, found: Iterable[Manifest], keep: frozenset[Ref], owner_uid: str, outcome: Outcome
) -> None:
    """Delete what we own for this system and no longer want. Whatever lacks our controller reference is not ours."""
    due = [m for m in found if ref(m) not in keep and _controlled_by(m, owner_uid)]

    async def delete(manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        try:
            await client.delete(resources.of(manifest), metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except (NotFound, Conflict):
            return  # gone, or already another object of that name

    await _each([m for m in due if not m["metadata"].get("deletionTimestamp")], outcome, delete)


def is_current(wanted: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Is there nothing to apply? Then the request is saved.

    The hash tells that we applied this very manifest (and so that no field of an older one is left behind); the
    comparison tells that nobody changed it since.
    """
    if live is None or live["metadata"].get("deletionTimestamp"):
        return False
    mark = (wanted["metadata"].get("annotations") or {}).get(APPLIED_HASH)
    if mark is None or (live["metadata"].get("annotations") or {}).get(APPLIED_HASH) != mark:
        return False
    return _contains(live, wanted)


def _contains(live: Any, wanted: Any) -> bool:
    """Does ``live`` say all that ``wanted`` says? More is fine in objects: defaults and other managers' fields."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(k in live and _contains(live[k], v) for k, v in wanted.items())
    if isinstance(wanted, list | tuple):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_contains(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)


def _controlled_by(manifest: Mapping[str, Any], uid: str) -> bool:
    owners = manifest["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


async def _each(manifests: Sequence[Manifest], outcome: Outcome, act: Any) -> None:
    """Do it for each, a bounded number at once, and note what came of it."""
    free = asyncio.Semaphore(CONCURRENCY)

    async def one(manifest: Manifest) -> None:
        async with free:
            try:
                await act(manifest)
            except ApiError as error:
                outcome.errors.append((ref(manifest), error))
            else:
                outcome.changed.append(ref(manifest))

    async with asyncio.TaskGroup() as group:
        for manifest in manifests:
            group.create_task(one(manifest))
