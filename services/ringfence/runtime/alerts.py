"""Tells Alertmanager which alerts hold, in the background: never in the way of what raised them.

Whoever judges hands over all alerts of its own that hold now (`Alerts.show`), as often as it likes; this compares, and
posts what is new at once, what lasts every `REPEAT_S`, and what is over with its end. Nothing is queued but that set,
so a slow or absent Alertmanager costs a counter and a log line, and finds everything when it is back. Each of several
Alertmanagers is told by itself, as their documentation asks for. Which alerts hold is judged in `wire.alerts`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from yarl import URL

from ringfence.runtime.config import Alerting
from ringfence.runtime.waiting import wait_at_most
from ringfence.wire.alerts import Alert, Key, body, bounded

log = structlog.get_logger()

PATH: Final = "/api/v2/alerts"
REPEAT_S: Final = 15.0
HOLD_NS: Final = 180_000_000_000
"""How long an alert stands without being told again: twelve posts may fail, and a dead poster leaves none for ever."""
RETRY_S: Final = 1.0
TIMEOUT_S: Final = 3.0
ALERTS_MAX: Final = 200


class Alerts:
    """Holds what holds. Without addresses it does nothing."""

    def __init__(self, to: Alerting, wall_ns: Callable[[], int]) -> None:
        self.dropped = 0
        self._shown: dict[str, tuple[Alert, ...]] = {}
        self._receivers = [_Receiver(URL(address), to.runbooks, wall_ns) for address in to.alertmanagers]

    def show(self, owner: str, alerts: Iterable[Alert]) -> None:
        """All alerts of this owner that hold now; those that it no longer names are over. Never waits or raises."""
        if not self._receivers:
            return
        found = tuple(alerts)
        if found == self._shown.get(owner, ()):
            return
        if found:
            self._shown[owner] = found
        else:
            self._shown.pop(owner, None)
        # an alert of two owners holds until both are done with it; the first one's words are told
        by_key = {alert.key: alert for owner in reversed(self._shown) for alert in self._shown[owner]}
        holds, dropped = bounded(by_key.values(), ALERTS_MAX)
        self.dropped += dropped
        for receiver in self._receivers:
            receiver.show(holds)

    @property
    def holding(self) -> tuple[Alert, ...]:
        """What is shown now, for status and tests."""
        return tuple(alert for found in self._shown.values() for alert in found)

    async def run(self) -> None:
        """Post for ever; a task of the service's life. At its end nothing is taken back: whoever still judges, or the
        end that every post carries, closes what we opened."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as http:
            await asyncio.gather(*(receiver.run(http) for receiver in self._receivers))

    def families(self) -> Iterable[Metric]:
        """Metrics, by receiver."""
        posts = CounterMetricFamily("ringfence_alert_posts", "Posts that Alertmanager took", labels=["receiver"])
        failures = CounterMetricFamily("ringfence_alert_post_failures", "Posts that failed", labels=["receiver"])
        for receiver in self._receivers:
            posts.add_metric([receiver.name], receiver.posts)
            failures.add_metric([receiver.name], receiver.failures)
        yield from (posts, failures)
        yield GaugeMetricFamily("ringfence_alerts_holding", "Alerts that hold now", value=len(self.holding))
        yield CounterMetricFamily("ringfence_alerts_dropped", "Alerts beyond what is told at once", value=self.dropped)


class _Receiver:
    """One Alertmanager, and what it has been told."""

    def __init__(self, address: URL, runbooks: str, wall_ns: Callable[[], int]) -> None:
        self.name = address.authority
        self.posts = 0
        self.failures = 0
        self._url = address.with_path(address.path.rstrip("/") + PATH)
        self._runbooks = runbooks
        self._wall_ns = wall_ns
        self._holds: dict[Key, Alert] = {}
        self._told: dict[Key, Alert] = {}
        """Alerts that it may believe to hold."""
        self._over: dict[Key, tuple[Alert, int]] = {}
        """Alerts of these that have ended, with the time, until it has taken that."""
        self._news = asyncio.Event()
        self._trouble = ""

    def show(self, holds: Iterable[Alert]) -> None:
        self._holds = {alert.key: alert for alert in holds}
        now = self._wall_ns()
        for key, alert in self._told.items():
            if key not in self._holds:
                self._over.setdefault(key, (alert, now))
        for key in self._holds:
            self._over.pop(key, None)
        for key in list(self._over)[:-ALERTS_MAX]:  # it has been away for long: these end by themselves
            del self._over[key], self._told[key]
        self._news.set()

    async def run(self, http: aiohttp.ClientSession) -> None:
        while True:
            await wait_at_most(self._news, REPEAT_S)
            self._news.clear()
            while self._holds or self._over:
                if await self._post(http):
                    break
                await asyncio.sleep(RETRY_S)

    async def _post(self, http: aiohttp.ClientSession) -> bool:
        holds, over = dict(self._holds), dict(self._over)
        self._told |= holds  # it may have heard even where we do not hear its answer
        text = body(holds.values(), over.values(), self._wall_ns() + HOLD_NS, self._runbooks)
        headers = {"Content-Type": "application/json"}
        try:
            async with http.post(self._url, data=text, headers=headers, allow_redirects=False) as answer:
                said = (await answer.content.read(500)).decode("utf-8", "replace").strip()
                trouble = "" if answer.status == 200 else f"HTTP {answer.status} {said}"
        except TimeoutError:
            trouble = f"no answer within {TIMEOUT_S:.0f} s"
        except (aiohttp.ClientError, OSError) as error:
            trouble = str(error) or type(error).__name__
        if trouble:
            self.failures += 1
            if trouble != self._trouble:
                log.warning("alerts not posted", alertmanager=self.name, reason=trouble, alerts=len(holds))
            self._trouble = trouble
            return False
        if self._trouble:
            log.info("alerts are posted again", alertmanager=self.name)
        self._trouble = ""
        self.posts += 1
        for key, ended in over.items():
            if self._over.get(key) == ended:
                del self._over[key], self._told[key]
        return True
