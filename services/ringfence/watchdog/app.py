"""The watchdog's host: listens, judges four times a second, and carries out what was judged."""

import asyncio
from collections import Counter
from typing import Final

import msgspec
import structlog

from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, Conflict, NotFound
from ringfence.kube.resources import CONFIG_MAP, KILL_SWITCH, LEASE, POD
from ringfence.kube.watch import Added, Bookmark, Deleted, Listed, Modified, watch
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import ALLOCATION_KEY, Allocation, WatchdogConfig
from ringfence.runtime.service import Health
from ringfence.venues.api import Accepted, VenueError
from ringfence.venues.cancelling import CancelOnly
from ringfence.watchdog.alarms import Seen, alarms
from ringfence.watchdog.comparing import Comparison
from ringfence.watchdog.gate import GateLine
from ringfence.watchdog.judge import Heard, Patience, Verdict, judge, stuck
from ringfence.watchdog.stops import Stops
from ringfence.wire.kill import Place, Severity

log = structlog.get_logger()

SECOND_NS: Final = 1_000_000_000
KEEP: Final = "Keep"
"""Of onShutdown: a gate that ends leaves its orders to its successor."""
BEAT_S: Final = 0.5
LEASE_S: Final = 1.0
ALLOCATION_NS: Final = 10 * SECOND_NS
JUDGE_S: Final = 0.25
CANCEL_AGAIN_S: Final = 2.0
DELETE_AGAIN_S: Final = 5.0
REMEMBER_NS: Final = 900 * SECOND_NS
"""How long a cancellation stays an alert after what caused it is over: somebody has to look."""


def place(config: WatchdogConfig) -> Place:
    """What scopes of kill switches can name of this account."""
    return Place(
        venue=config.venue.name,
        symbols=config.symbols,
        venues=config.system_venues,
        instruments=config.system_instruments,
    )


class Watchdog:
    """One account's. Each coroutine below runs as a task of its own, so that none waits for another."""

    def __init__(
        self,
        config: WatchdogConfig,
        clock: Clock,
        client: KubeClient,
        venue: CancelOnly,
        gate: GateLine,
        alerts: Alerts,
        health: Health,
        comparison: Comparison,
    ) -> None:
        self.config = config
        self.clock = clock
        self.stops = Stops(config.system, config.labels, place(config))
        self.verdict = Verdict()
        self.cancelled = 0
        """Orders that were open when they were cancelled in bulk."""
        self.cancelled_at = 0
        """UTC nanoseconds; 0 = never."""
        self.cancel_failures = 0
        self.deleted_pods = 0
        self.comparison = comparison
        self.lease_error = ""
        self._client = client
        self._venue = venue
        self._gate = gate
        self._alerts = alerts
        self._health = health
        self._patience = Patience(silent=config.silent_s * SECOND_NS, acknowledge=config.acknowledge_s * SECOND_NS)
        self._started = clock.boot_ns()
        self._beat = 0
        self._severity = Severity.NONE
        self._closed = 0
        self._renewal = ""
        self._renewed = 0
        self._freed = False
        self._freed_since = 0
        self._unused = False
        self._since: dict[str, int] = {}
        self._act = asyncio.Event()
        self._open: int | None = None
        self._deleted_uid = ""

    def heard(self) -> Heard:
        ask = self.stops.asked
        return Heard(
            started=self._started,
            beat=self._beat,
            severity=self._severity,
            renewed=self._renewed,
            freed=self._freed,
            freed_since=self._freed_since,
            left=(self.comparison.open_orders or 0) if self.config.on_shutdown == KEEP else 0,
            unused=self._unused,
            asked=ask.severity,
            asked_since=ask.since,
            closed=self._closed,
        )

    # --- listening

    async def beats(self) -> None:
        """The gate's own answer. Anything but one is silence."""
        while True:
            asked = self.clock.boot_ns()
            found = await self._gate.severity()
            if found is not None:
                self._severity, self._beat = found, asked
                ask = self.stops.asked
                if ask.severity >= Severity.CANCEL and found >= Severity.CANCEL and asked >= ask.since:
                    self._closed = asked
                    self.stops.closed()
            await asyncio.sleep(BEAT_S)

    async def leases(self) -> None:
        """A renewal is a renewTime that was not there before; its own words of the time are not believed."""
        allocation_at = 0
        while True:
            try:
                found = await self._client.get(LEASE, self.config.lease, self.config.namespace)
                self._lease(found.get("spec") or {})
                self.lease_error = ""
                if self.clock.boot_ns() >= allocation_at:
                    await self._read_limit()
                    allocation_at = self.clock.boot_ns() + ALLOCATION_NS
            except ApiError as error:
                self.lease_error = str(error)
            await asyncio.sleep(LEASE_S)

    async def _read_limit(self) -> None:
        """The loss limit in force. What cannot be read leaves the last one as it was."""
        found = await self._client.get(CONFIG_MAP, self.config.allocation_configmap, self.config.namespace)
        text = (found.get("data") or {}).get(ALLOCATION_KEY, "")
        try:
            self.comparison.loss_max = msgspec.json.decode(text, type=Allocation).limits.loss_day
        except msgspec.MsgspecError as error:
            log.warning("limits not read", reason=str(error))

    def _lease(self, spec: dict[str, object]) -> None:
        holder, renewal = str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or "")
        freed = not holder and bool(spec.get("leaseTransitions"))
        if freed and not self._freed:
            self._freed_since = self.clock.boot_ns()
        self._freed = freed
        self._unused = not holder and not spec.get("leaseTransitions")
        mark = f"{holder} {renewal} {spec.get('leaseTransitions')}"
        if holder and self._renewal and mark != self._renewal:
            self._renewed = self.clock.boot_ns()
        self._renewal = mark  # the first look proves nothing: it may be hours old

    async def switches(self) -> None:
        """The KillSwitch objects, by a watch of our own."""
        releases = 0
        async for event in watch(self._client, KILL_SWITCH.path(self.config.namespace)):
            now = self.clock.boot_ns()
            match event:
                case Listed(objects):
                    self.stops.listed(objects, now)
                case Added(found) | Modified(found):
                    self.stops.seen(found, now)
                case Deleted(found):
                    self.stops.deleted(found)
                case Bookmark():
                    pass
            if self.stops.releases != releases:
                releases = self.stops.releases
                self.comparison.accept()

    # --- judging

    async def judging(self) -> None:
        while True:
            before, self.verdict = self.verdict, judge(self.heard(), self._patience, self.clock.boot_ns())
            if self.verdict != before:
                log.warning("verdict", reason=self.verdict.reason, cancel=self.verdict.cancel)
            if self.verdict.cancel:
                self._act.set()
            self._tell()
            await asyncio.sleep(JUDGE_S)

    def _tell(self) -> None:
        now = self.clock.wall_ns()
        seen = Seen(
            stop=self.stops.asked,
            verdict=self.verdict,
            open_orders=self._open if self.verdict.cancel else self.comparison.open_orders,
            cancelled=self.cancelled,
            cancelled_at=self.cancelled_at if now - self.cancelled_at < REMEMBER_NS else 0,
            differences=self.comparison.differences,
            blind=self.comparison.error,
        )
        found, self._since = alarms(self.config, seen, self._since, now)
        self._alerts.show("watchdog", found)
        for part, wrong in (("venue", self.comparison.error), ("api server", self.lease_error)):
            if wrong:
                self._health.not_ready(part, wrong)
            else:
                self._health.ready(part)

    # --- acting

    async def acting(self) -> None:
        """Cancel for as long as the verdict says so. Only what is open is cancelled, so repeating costs one query."""
        while True:
            await self._act.wait()
            self._act.clear()
            if not self.verdict.cancel:
                continue
            if self.verdict.push:
                ask = self.stops.asked
                await self._gate.kill(Severity.CANCEL, ask.reason, ask.uid, ask.generation)
            await self._cancel_everything(self.verdict.reason)
            await asyncio.sleep(CANCEL_AGAIN_S)

    async def _cancel_everything(self, reason: str) -> None:
        known: Counter[str] | None = None
        try:
            known = Counter(report.symbol for report in await self._venue.open_orders())
        except VenueError as error:  # not knowing what is open is no reason not to cancel
            log.warning("open orders unknown, cancelling what we trade", reason=str(error))
        if not judge(self.heard(), self._patience, self.clock.boot_ns()).cancel:
            return  # whom we took for gone has answered while we asked: these are a living gate's orders
        self._open = None if known is None else known.total()
        symbols = sorted(known if known is not None else self.config.symbols)
        if not symbols:
            return
        outcomes = await asyncio.gather(*(self._venue.cancel_all(symbol) for symbol in symbols))
        done = [s for s, outcome in zip(symbols, outcomes, strict=True) if isinstance(outcome, Accepted)]
        if done:
            self.cancelled += sum(known[symbol] for symbol in done) if known is not None else len(done)
            self.cancelled_at = self.clock.wall_ns()
        self.cancel_failures += len(symbols) - len(done) if known is not None else 0
        log.error("cancelled everything on the account", reason=reason, open_orders=self._open, outcomes=str(outcomes))

    async def deleting(self) -> None:
        """A gate that nobody reaches is deleted as a pod, each pod once; Kubernetes starts another, which starts
        halted. Where its node is lost this changes nothing, and the runbook says what does."""
        while True:
            if self.verdict.delete_pod:
                try:
                    await self._delete_pod()
                except NotFound:
                    pass
                except ApiError as error:
                    log.warning("pod not deleted", pod=self.config.gate_pod, reason=str(error))
            await asyncio.sleep(DELETE_AGAIN_S if self.verdict.delete_pod else JUDGE_S)

    async def _delete_pod(self) -> None:
        name, namespace = self.config.gate_pod, self.config.namespace
        pod = await self._client.get(POD, name, namespace)
        uid = str(pod["metadata"]["uid"])
        if uid == self._deleted_uid or not stuck(pod, self.clock.wall_ns()):
            return
        try:
            await self._client.delete(POD, name, namespace, uid=uid)
        except Conflict:
            return  # another pod by now
        self._deleted_uid = uid
        self.deleted_pods += 1
        log.error("deleted the gate's pod", pod=name, reason=self.verdict.reason)
