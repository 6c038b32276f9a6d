"""One life of the gate's real host on one journal, built as the service builds it, without Kubernetes and the bus."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from random import Random  # sim-ok: the type of what is handed in
from typing import Any, Final, cast

from chaos.life import Killed, Life, MortalJournal
from chaos.wire import Network, WireTrading
from ringfence.execution import ids
from ringfence.execution.app import JOURNAL, MARKET, STREAM, Execution
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.handover import Handovers
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.reconciling import ReconcileLoop
from ringfence.execution.status import StatusWriter
from ringfence.execution.store import NOTE_FENCE, Store
from ringfence.model.money import parse
from ringfence.runtime.bus import Publisher
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Allocation, Endpoint, GateConfig, Limits, Track, Venue
from ringfence.runtime.guard import Guard
from ringfence.runtime.lease import LeaseCore
from ringfence.wire.messages import VERSION, AnyMessage, Envelope, OrderUpdate

SYMBOL: Final = "BTCUSDT"
SYSTEM: Final = "momentum"
NAMESPACE: Final = "trading"
KEY: Final = "strategy-key"
MS_NS: Final = 1_000_000
WINDOW_MS: Final = 1000
ADDRESS: Final = Venue(
    name="sim", rest_url="http://sim", stream_url="ws://sim", ws_api_url="ws://sim/ws-api", recv_window_ms=WINDOW_MS
)
LIMITS: Final = Limits(
    order_quantity_max=parse("1"),
    order_value_max=parse("50000"),
    order_collar_bps=parse("300"),
    order_messages_per_second=1000,
    order_working_orders=40,
    order_approved_lifetime_ms=5000,
    position_per_instrument=parse("500000"),
    position_gross=parse("500000"),
    loss_day=parse("1000000"),
    market_quote_stale_ms=10_000,
    market_book_stale_ms=10_000,
)
CONFIG: Final = GateConfig(
    system=SYSTEM,
    namespace=NAMESPACE,
    service="sim-execution",
    account="momentum-sim",
    venue=ADDRESS,
    paper=False,
    symbols=(SYMBOL,),
    capital=parse("100000"),
    currency="USDT",
    marketdata=Endpoint(host="127.0.0.1", port=1, public_key=""),
    subscribers={},
    lease="momentum-sim",
    kill_switch_configmap="momentum-kill-switch",
    allocation_configmap="momentum-allocation",
    labels={},
    paper_balances={},
    maker_fee_bps=0,
    taker_fee_bps=0,
    latency_ms=1,
    lease_duration_s=15,
)


class Told:
    """Where the bus would be: keeps what is published, and takes what nobody reads here."""

    def __init__(self) -> None:
        self.updates: list[OrderUpdate] = []

    def send(self, message: AnyMessage) -> None:
        if isinstance(message, OrderUpdate):
            self.updates.append(message)

    def touch(self) -> None:
        pass


class Process:
    """Raises Killed from any method when the fuse ends it there."""

    def __init__(self, directory: Path, clock: Clock, rng: Random, network: Network, life: Life) -> None:
        self.life = life
        self.failures: list[str] = []
        self.told = Told()
        self._spawned: list[asyncio.Task[None]] = []
        wall = clock.wall_ns()
        guard = Guard(SYSTEM, {}, [MARKET, JOURNAL, STREAM], wall)
        gate = Gate(guard, (SYMBOL,))
        self.manager = Changes(gate, ids.prefix(NAMESPACE, SYSTEM), "USDT", WINDOW_MS * MS_NS)
        self.reconciler = Reconciler(self.manager, guard)
        self.journal = MortalJournal(directory / "orders.journal", clock, life)
        store = Store(self.journal)
        handovers = Handovers(self.manager)
        store.replay(self.manager, self.reconciler, handovers, guard, wall)
        self.trading = WireTrading(ADDRESS, clock, rng, directory, network, life)
        self.app = Execution(
            CONFIG, clock, self.trading, store, guard, gate, self.manager, self.reconciler, handovers, self._on_market
        )
        self.app.publisher = cast("Publisher", self.told)
        self.app.status = cast("StatusWriter", self.told)
        self.app.lease = LeaseCore("me", "", 15, WINDOW_MS * MS_NS, self.manager.fence, fenced=False)
        self.loop = ReconcileLoop(self.app)
        self.clock = clock

    def _on_market(self, _message: AnyMessage) -> None:
        pass

    async def start(self, switch: dict[str, Any]) -> None:
        app, now = self.app, self.clock.wall_ns()
        track = Track(name="stable", revision="abc123", stage="Live", weight=100, grant="g", key=KEY)
        allocate(app.gate.tracks, app.gate.account, Allocation(epoch=1, tracks=(track,), limits=LIMITS), {"g": LIMITS},
                 paper=False)  # fmt: skip
        app.observe(lambda now: app.guard.switch_seen(switch, now))
        app.perform(self.manager.recovered(now, self.clock.monotonic_ns()))
        self.manager.fence += 1
        app.note(NOTE_FENCE, self.manager.fence)
        await app.venue.start(app)
        self._spawn(self.loop.run(), "reconcile")
        self._spawn(app.ticks(lambda: None), "ticks")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._spawned.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not isinstance(task.exception(), Killed):
            self.failures.append(f"{task.get_name()} ended: {task.exception()!r}")

    def told_by_bus(self, message: AnyMessage, key: str = "") -> None:
        """A message of the strategy or of marketdata."""
        envelope = Envelope(VERSION, "chaos", 1, 1, message)
        (self.app.on_intent(envelope, key) if key else self.app.on_market(envelope))

    async def drop(self) -> None:
        """Nothing of it runs any more; what it wrote stays."""
        self.life.end("killed")
        self.trading.stop()
        tasks = [*self._spawned, *self.app.requests.under_way, *self.trading._tasks]  # noqa: SLF001 - a kill asks nobody
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.journal.close()

    @property
    def idle(self) -> bool:
        """No request is under way."""
        return not self.app.requests.under_way


def furnish(directory: Path, key: str, secret: str) -> None:
    """What is mounted."""
    for name, text in (("api-key", key), ("api-secret", secret)):
        fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, text.encode())
        os.close(fd)
