"""Names, labels and annotations: the vocabulary by which everything of a system is found."""

import hashlib
from typing import Any, Final

import msgspec

Manifest = dict[str, Any]

SYSTEM: Final = "ringfence.dev/system"
SERVICE: Final = "ringfence.dev/service"
"""What a pod does: simulator, marketdata, execution, watchdog, paper, portfolio, strategy."""
VENUE: Final = "ringfence.dev/venue"
TRACK: Final = "ringfence.dev/track"
"""On a strategy's Deployment, never on its pods: the track of a pod changes while it runs."""
SLOT: Final = "ringfence.dev/slot"
"""Which of a system's places for strategies."""
GATE: Final = "ringfence.dev/gate"
"""On pods that hold a gate: execution and paper."""
NAME: Final = "app.kubernetes.io/name"
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
PART_OF: Final = "app.kubernetes.io/part-of"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"

APPLIED_HASH: Final = "ringfence.dev/applied-hash"
"""Hash of the manifest as we built it: equal means that there is nothing to apply."""
CONFIG_HASH: Final = "ringfence.dev/config-hash"
"""Hash of what a pod reads once at start: a change replaces the pod."""
REVISION: Final = "ringfence.dev/revision"


def system_labels(system: str) -> dict[str, str]:
    """On everything of a system."""
    return {SYSTEM: system, PART_OF: "ringfence", MANAGED_BY: "ringfence-operator"}


def selector(system: str, service: str, venue: str = "", slot: str = "") -> dict[str, str]:
    """The labels by which one workload's pods are found; never change for the life of a workload."""
    found = {SYSTEM: system, SERVICE: service}
    if venue:
        found[VENUE] = venue
    if slot:
        found[SLOT] = slot
    return found


def workload_labels(system: str, service: str, venue: str = "", slot: str = "") -> dict[str, str]:
    """On a workload and on its pods."""
    recommended = {NAME: f"ringfence-{service}", INSTANCE: system, COMPONENT: service}
    return system_labels(system) | recommended | selector(system, service, venue, slot)


def short_hash(text: str, digits: int = 10) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with the hash of itself in an annotation."""
    text = msgspec.json.encode(manifest, order="sorted").decode()
    metadata = manifest["metadata"]
    annotations = (metadata.get("annotations") or {}) | {APPLIED_HASH: short_hash(text, 16)}
    return manifest | {"metadata": metadata | {"annotations": annotations}}
