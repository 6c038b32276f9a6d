"""What a pass is given: the cluster, the installation's settings, the time, and randomness."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from ringfence.kube.client import KubeClient
from ringfence.runtime.alerts import Alerts
from ringfence_operator.entropy import Entropy
from ringfence_operator.metrics import Metrics
from ringfence_operator.settings import Settings

Key = tuple[str, str]
"""Namespace and name of one object."""


@dataclass(frozen=True, slots=True)
class World:
    """One per process. Holds nothing that a pass leaves behind."""

    client: KubeClient
    settings: Settings
    entropy: Entropy
    metrics: Metrics
    now: Callable[[], datetime]
    alerts: Alerts
    http: aiohttp.ClientSession
    """To gates and to Prometheus."""


def system_now() -> datetime:
    return datetime.now(UTC)  # sim-ok: the operator's one clock
