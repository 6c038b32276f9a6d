"""Write what was decided: one status per pass, and an Event per transition."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import AlreadyExists, ApiError
from ringfence_operator.desired.labels import short_hash
from ringfence_operator.rollout.state import Event
from ringfence_operator.settings import FIELD_MANAGER

log = structlog.get_logger()

NOTE_MAX: Final = 1024
"""The API server refuses longer notes."""
CONTROLLER: Final = "ringfence.dev/operator"


async def write_status(
    client: KubeClient,
    found: Manifest,
    wanted: Mapping[str, Any],
    *,
    others: frozenset[str] = frozenset(),
    as_found: bool = False,
) -> Manifest | None:
    """Make the status what was decided; the object as it is then, or None if that took no request.

    By server-side apply: what we do not name any more disappears, what others own stays. The uid makes sure that
    it is still this very object, and not one of the same name that was created since. Fields in ``others`` are somebody
    else's. ``as_found``: raises Conflict where anybody has written the object since it was read, as an operator does
    that was replaced and does not know it; what it remembers must not take the place of what has been decided since.
    """
    current = {key: value for key, value in (found.get("status") or {}).items() if key not in others}
    if current == dict(wanted):
        return None
    metadata = found["metadata"]
    version = {"resourceVersion": metadata["resourceVersion"]} if as_found else {}
    manifest = {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"], **version},
        "status": dict(wanted),
    }
    return await client.apply(manifest, FIELD_MANAGER, subresource="status")


async def write_events(client: KubeClient, found: Manifest, events: Iterable[Event], now: datetime) -> None:
    """Tell people. An Event that cannot be written is lost: it is a courtesy, and the status is the record.

    Its name is made of its content, so that a pass that is repeated after a crash does not tell it twice.
    """
    metadata = found["metadata"]
    for event in events:
        mark = short_hash(f"{metadata['uid']} {metadata.get('resourceVersion')} {event.reason} {event.message}", 16)
        regarding = {
            "apiVersion": found["apiVersion"],
            "kind": found["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        }
        manifest: Manifest = {
            "apiVersion": resources.EVENT.api_version,
            "kind": resources.EVENT.kind,
            "metadata": {"name": f"{metadata['name']}.{mark}", "namespace": metadata["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": FIELD_MANAGER,
            "action": event.reason,
            "reason": event.reason,
            "type": event.type,
            "note": event.message[:NOTE_MAX],
            "regarding": regarding,
        }
        try:
            await client.create(manifest)
        except AlreadyExists:
            continue
        except ApiError as error:
            log.warning("event not written", reason=event.reason, error=str(error))
