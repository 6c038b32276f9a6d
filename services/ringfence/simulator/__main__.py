"""`python -m ringfence.simulator`: the venue as a service."""

import contextlib
from collections.abc import AsyncIterator, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ringfence.runtime.config import SimulatorConfig, load
from ringfence.runtime.service import Host, Main, give_up, run
from ringfence.simulator.server import Simulator, read_credentials, serve_simulator


def metrics(simulator: Simulator) -> Iterable[Metric]:
    """Plain counters of the venue, read at scrape time."""
    counts = simulator.venue.counts
    for name, what, value in (
        ("orders_accepted", "Orders entered.", counts.accepted),
        ("orders_refused", "Orders refused by the venue's rules.", counts.refused),
        ("orders_canceled", "Orders cancelled on request.", counts.canceled),
        ("fills", "Executions of clients' orders.", counts.fills),
        ("market_events", "Events of the market around the clients.", counts.market_events),
        ("order_requests", "Requests about orders, whatever became of them.", simulator.api.record.total),
        ("stream_messages", "Messages sent to streams.", simulator.gateway.hub.sent),
    ):
        yield CounterMetricFamily(f"ringfence_simulator_{name}", what, value=value)
    started = simulator.venue.start_ns / 1e9
    yield GaugeMetricFamily(
        "ringfence_simulator_start_time_seconds",
        "When this venue began: it keeps nothing over a restart, so accounts and orders are as of then.",
        value=started,
    )
    streams = len(simulator.gateway.hub.connections)
    yield GaugeMetricFamily("ringfence_simulator_connections", "Open WebSocket connections.", value=streams)


def hosted(config: SimulatorConfig) -> Main:
    """The venue as `runtime.service` runs it."""

    @contextlib.asynccontextmanager
    async def main(host: Host) -> AsyncIterator[None]:
        everywhere = "0.0.0.0"  # noqa: S104 - a pod's address is not known
        async with serve_simulator(
            config, clock=host.clock, credentials=read_credentials(), host=everywhere, failed=host.fail
        ) as simulator:
            host.collect(lambda: metrics(simulator))
            yield

    return main


if __name__ == "__main__":
    try:
        configured = load(SimulatorConfig)
    except ValueError as error:
        give_up(error)
    run(configured, hosted(configured))
