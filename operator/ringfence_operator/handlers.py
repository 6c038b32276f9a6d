"""kopf as the event source, and as nothing else: every handler puts a key into a queue and returns.

Only on.event: no change handlers, timers, daemons or finalizers, so kopf writes nothing, and deleting a system never
waits for us.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import kopf

from ringfence.wire import kill
from ringfence_operator.api import GROUP, VERSION
from ringfence_operator.desired.labels import GATE, SYSTEM
from ringfence_operator.heartbeat import NAME as HEARTBEAT
from ringfence_operator.heartbeat import Heartbeat
from ringfence_operator.settings import Settings
from ringfence_operator.workqueue import WorkQueue
from ringfence_operator.world import Key

CHILD_DELAY_S: Final = 0.2
"""Children change in bursts, as pods start: one pass for a burst. What people write is never delayed."""

LINE_DELAY_S: Final = 0.05
"""Gates report within milliseconds of each other: one pass for all of them."""


class Queues:
    """Where events go."""

    def __init__(self, systems: WorkQueue[Key], kills: WorkQueue[Key], heartbeat: Heartbeat) -> None:
        self.systems = systems
        self.kills = kills
        self.heartbeat = heartbeat
        self.kill_news: dict[Key, float] = {}
        """Loop time of the news that a pass has not yet begun to serve; for the latency metric only."""
        self.stopping: set[Key] = set()
        """Switches that stop something now, as last heard: a gate that starts has to be asked about them."""
        self._heard: dict[Key, tuple[int, frozenset[tuple[str, str]]]] = {}
        """Generation and gates' states by switch: what a pass is worth. Lost on restart, which only costs a pass."""

    def switch_heard(self, key: Key, switch: Mapping[str, Any], *, gone: bool) -> None:
        """News of a kill switch. Gates write their lines as orders come and go; while nothing is stopped, a line
        whose state is the same, with the same left open, is no reason to read the cluster."""
        severity, _reason = kill.of_switch(switch.get("spec"))
        lines = (switch.get("status") or {}).get("gates") or ()
        states = frozenset((str(line.get("pod")), f"{line.get('state')} {line.get('exposed')}") for line in lines)
        now_heard = (int(switch["metadata"].get("generation", 0)), states)
        before = self._heard.get(key)
        if gone:
            self._heard.pop(key, None)
        else:
            self._heard[key] = now_heard
        if gone or severity is kill.Severity.NONE:
            self.stopping.discard(key)
        else:
            self.stopping.add(key)
        if gone or before is None or before[0] != now_heard[0]:
            self.kill_news.setdefault(key, asyncio.get_running_loop().time())
            self.kills.add(key)
        elif before != now_heard or key in self.stopping:
            self.kills.add(key, LINE_DELAY_S)


def registry(queues: Queues) -> kopf.OperatorRegistry:
    """All handlers."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login)

    @kopf.on.event(GROUP, VERSION, "tradingsystems", registry=found)
    async def system_changed(name: str | None, namespace: str | None, **_: Any) -> None:
        queues.systems.add((namespace or "", name or ""))

    @kopf.on.event(GROUP, VERSION, "killswitches", registry=found)
    async def switch_changed(
        name: str | None, namespace: str | None, event: Mapping[str, Any], body: kopf.Body, **_: Any
    ) -> None:
        queues.switch_heard((namespace or "", name or ""), body, gone=event["type"] == "DELETED")

    @kopf.on.event(GROUP, VERSION, "promotions", registry=found)
    async def promotion_changed(namespace: str | None, body: kopf.Body, **_: Any) -> None:
        if system := str((body.get("spec") or {}).get("system", "")):
            queues.systems.add((namespace or "", system))

    async def child_changed(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        if labels.get(SYSTEM):
            queues.systems.add((namespace or "", labels[SYSTEM]), CHILD_DELAY_S)
        if labels.get(GATE):
            for key in [key for key in queues.stopping if key[0] == namespace]:
                queues.kills.add(key, CHILD_DELAY_S)

    for group, version, plural in (("apps", "v1", "deployments"), ("apps", "v1", "statefulsets"), ("", "v1", "pods")):
        kopf.on.event(group, version, plural, registry=found)(child_changed)

    @kopf.on.event("", "v1", "configmaps", registry=found)
    async def config_map_changed(
        name: str | None, namespace: str | None, labels: Mapping[str, str], body: kopf.Body, **_: Any
    ) -> None:
        if name == HEARTBEAT:
            beat = str((body.get("data") or {}).get("beat", ""))
            queues.heartbeat.seen(beat, asyncio.get_running_loop().time())
        else:
            await child_changed(namespace=namespace, labels=labels)

    return found


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """What kopf's defaults get wrong for us: watches that may hang, waits, Events, peering."""
    found = kopf.OperatorSettings()
    found.watching.server_timeout = 240
    found.watching.client_timeout = 270
    found.watching.connect_timeout = 10
    found.watching.inactivity_timeout = 70
    found.watching.chunk_size = 50  # kopf keeps the last chunk of each list for as long as it watches
    for plural in ("deployments.apps", "statefulsets.apps", "pods", "configmaps"):
        found.watching.label_selectors[plural] = SYSTEM
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 10
    found.networking.error_backoffs = [0.1, 0.2, 0.5, 1, 2, 5]
    # a worker stays with its object while idle: with a limit, a long idle time would let news wait behind silence
    found.queueing.worker_limit = 50
    found.queueing.idle_timeout = 0.1
    found.posting.enabled = False
    found.peering.standalone = True
    found.scanning.disabled = bool(settings.namespaces)
    return found


async def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """In a pod by its service account, elsewhere by KUBECONFIG."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
