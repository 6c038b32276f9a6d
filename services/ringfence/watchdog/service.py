"""Wiring: one watchdog from its configuration."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.kube.client import KubeClient
from ringfence.kube.kubeconfig import KubeconfigError
from ringfence.model.money import SCALE
from ringfence.runtime import config as configs
from ringfence.runtime import feed
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.config import WatchdogConfig
from ringfence.runtime.service import FatalError, Host
from ringfence.venues.binance.cancelling import BinanceCancelOnly
from ringfence.watchdog.app import Watchdog
from ringfence.watchdog.comparing import Comparison
from ringfence.watchdog.gate import GateLine

P = "ringfence_watchdog_"


@contextlib.asynccontextmanager
async def watchdog(host: Host) -> AsyncIterator[None]:
    """The service's main."""
    config, clock = host.config, host.clock
    if not isinstance(config, WatchdogConfig):
        raise TypeError(f"a watchdog needs a WatchdogConfig, not {type(config).__name__}")
    token = Path(os.environ.get("RINGFENCE_KILL_TOKEN", configs.KILL_TOKEN_FILE))
    venue = BinanceCancelOnly(
        config.venue, clock, Path(os.environ.get("RINGFENCE_CREDENTIALS", configs.CREDENTIALS_DIR))
    )
    gate, alerts = GateLine(config.kill_url, token, clock), Alerts(config.alerting, clock.wall_ns)
    bus = Bus(config.service, clock.wall_ns(), _keys())
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(bus.close)
        client = await stack.enter_async_context(_kube_client())
        comparison = Comparison(config, clock, venue, gate)
        dog = Watchdog(config, clock, client, venue, gate, alerts, host.health, comparison)
        events = feed.EventFeed(bus, config.gate, comparison, clock)
        host.collect(lambda: families(dog))
        host.collect(alerts.families)
        host.collect(lambda: feed.families([events]))
        await gate.open()
        stack.push_async_callback(gate.close)
        await venue.open()
        stack.push_async_callback(venue.close)
        stack.push_async_callback(host.cancel_tasks)  # before what they use is closed, however it ends
        for name, work in (
            ("beats", dog.beats()),
            ("leases", dog.leases()),
            ("switches", dog.switches()),
            ("judging", dog.judging()),
            ("acting", dog.acting()),
            ("deleting", dog.deleting()),
            ("comparing", comparison.run()),
            ("events", _following(comparison, events)),
            ("alerts", alerts.run()),
        ):
            host.spawn(work, name)
        yield


async def _following(comparison: Comparison, events: feed.EventFeed) -> None:
    """Not before they can be folded: a venue that does not answer for hours must not pile them up here."""
    await comparison.begun.wait()
    await events.run()


def _keys() -> KeyPair:
    try:
        return KeyPair.read()
    except OSError as error:
        raise FatalError(f"CurveZMQ keys cannot be read: {error.strerror}") from error


def _kube_client() -> KubeClient:
    """The pod's service account, or outside of a cluster what KUBECONFIG names."""
    kubeconfig = os.environ.get("KUBECONFIG")
    try:
        return KubeClient.from_kubeconfig(kubeconfig) if kubeconfig else KubeClient.in_cluster()
    except KubeconfigError as error:
        raise FatalError(f"no API server to watch for kill switches: {error}") from error


def families(dog: Watchdog) -> Iterable[Metric]:
    """Computed at scrape time."""
    verdict, comparison = dog.verdict, dog.comparison
    heard, now = dog.heard(), dog.clock.boot_ns()
    for name, text, value in (
        ("cancelling", "1 while everything on the account is being cancelled", float(verdict.cancel)),
        ("gate_unreachable", "1 while the gate is silent and its Lease is renewed", float(verdict.unreachable)),
        ("unacknowledged", "1 while a kill waits for the gate to close", float(not verdict.acknowledged)),
        ("heartbeat_age_seconds", "Since the gate's last answer", (now - max(heard.beat, heard.started)) / 1e9),
        ("lease_age_seconds", "Since the last renewal seen", (now - max(heard.renewed, heard.started)) / 1e9),
        ("differences", "Things in which account and events differ", float(len(comparison.differences))),
        ("differences_grave", "Those that halt", float(sum(one.grave for one in comparison.differences))),
        ("blind", "1 while the venue cannot be asked", float(bool(comparison.error))),
        ("foreign_orders", "Open orders of the account that execution knows nothing of", comparison.foreign_orders),
        ("loss_day", "Lost by the fills since this day began, quote currency", max(0, comparison.loss) / SCALE),
    ):
        yield GaugeMetricFamily(P + name, text, value=value)
    for name, text, count in (
        ("cancelled_orders", "Open orders that were cancelled in bulk", dog.cancelled),
        ("cancel_failures", "Bulk cancels that were not accepted", dog.cancel_failures),
        ("deleted_pods", "Pods of the gate that were deleted", dog.deleted_pods),
        ("halts", "Halts that were pushed to the gate", comparison.halts),
        ("looks", "Comparisons of the account with the events", comparison.looks),
    ):
        yield CounterMetricFamily(P + name, text, value=count)
