"""One fast episode: a market, a venue, a wire, a strategy, and the lives of a gate's process, in virtual time."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random  # sim-ok: seeded by the episode, so that it can be repeated
from typing import Any, Final

import msgspec
from structlog.testing import capture_logs

from chaos.compare import OurBooks, VenueBooks, differences
from chaos.life import Killed, Life
from chaos.plan import Change, Drop, Kill, Plan, Restate, Stop, Trouble, Want, changes, full_disk, plan, restatements
from chaos.process import CONFIG, KEY, SYMBOL, SYSTEM, Process, furnish
from chaos.virtual import START_NS, Skewed, VirtualLoop
from chaos.wire import Network
from ringfence.execution.agenda import OURS
from ringfence.execution.checkpointing import make
from ringfence.model.money import parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.model.positions import Book
from ringfence.model.records import Entry
from ringfence.runtime.clock import ManualClock
from ringfence.runtime.journal import JournalError
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.dialect.api import Api
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.dialect.streams import Hub
from ringfence.simulator.faults import Fault, Faults
from ringfence.simulator.gateway import Gateway
from ringfence.simulator.generated import PROFILES, generated
from ringfence.simulator.market import Market
from ringfence.simulator.orders import Request
from ringfence.simulator.record import Record
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.simulator.venue import Fees, Venue
from ringfence.wire.kill import KillRequest, Severity
from ringfence.wire.messages import (
    BookTop,
    CancelIntent,
    FeedStatus,
    InstrumentRules,
    Intent,
    MassCancelIntent,
    PairIntent,
    Quote,
    ReduceIntent,
    ReplaceIntent,
)
from ringfence.wire.messages import Request as AskedOfGate

ACCOUNT: Final = TEST_CREDENTIAL.account
RULES: Final = LISTED[SYMBOL].instrument
SETTLE_S: Final = 240.0
STEP_S: Final = 0.05
FULL_DISK_EVERY: Final = 7
"""Rare, since a gate that cannot write does little else."""
PROFILE: Final = msgspec.structs.replace(
    PROFILES[SYMBOL], touch_median=0.02, aggressors=6.0, touches=8.0, bursts=0.7, deep_batches=0.5, deep_changes=3.0
)
"""Small at the touch, so that orders fill in parts; quiet behind it, which nobody looks at here."""


class Outcome(msgspec.Struct):
    seed: int
    wrong: list[str]
    lives: int
    orders: int
    fills: int
    seconds: float
    """Virtual ones."""
    digest: str
    """Of the journal: the same seed gives the same."""
    fates: dict[str, int]
    restated: dict[str, int]
    """Trades that the venue has busted and corrected."""
    deaths: list[str]
    anomalies: dict[str, int]
    logs: list[dict[str, Any]]


class Episode:
    def __init__(self, seed: int, directory: Path, clock: ManualClock, planned: Plan | None = None) -> None:
        """``planned``: what happens, instead of what the seed says."""
        self.seed = seed
        self.directory = directory
        self.clock = clock
        rng = Random(seed)  # sim-ok: the episode's seed
        self.plan: Plan = planned or plan(rng)
        self.machine = Skewed(clock, self.plan.skew_ms * 1_000_000)
        self.quiet = False
        market = self._market(generated(RULES, PROFILE, Random(rng.random()), START_NS))  # sim-ok: as above
        self.venue = Venue({SYMBOL: LISTED[SYMBOL]}, {SYMBOL: market}, Fees(parse("7.5"), parse("10")), START_NS)
        self.venue.open_account(ACCOUNT, {"USDT": parse("1000000"), "BTC": parse("10")})
        faults = Faults()
        api = Api(self.venue, {TEST_CREDENTIAL.api_key: TEST_CREDENTIAL}, Limits(), Record(), faults)
        self.gateway = Gateway(self.venue, api, Hub(faults), faults, clock, self.plan.latency_ms)
        self.network = Network(self.gateway, Random(rng.random()))  # sim-ok: as above
        self.network.kinds = self.plan.fates
        self.network.on_order = self._order_left
        self.network.messages = seed % 2 == 1
        self.rng = Random(rng.random())  # sim-ok: as above
        self.process: Process | None = None
        self.lives: list[Life] = []
        self.wrong: list[str] = []
        self.generation = 1
        self.closed = False
        """The kill was answered, and nobody has released it."""
        self.anomalies: dict[str, int] = {}
        self.restart_at = 0.0
        self.ended = False
        self.disk_full = False
        self.entries: list[Entry] = []
        self.restated: dict[str, int] = {}
        """Trades that the venue has busted and corrected."""
        self.restatements = restatements(Random(seed), self.plan.length_s)  # sim-ok: the episode's seed
        self.figures = (0, 0)
        self.before: dict[str, int] = {}
        """What the account had gained before the gate came."""

    # --- the world

    def _market(self, market: Market) -> Iterator[Any]:
        for event in market:
            if self.quiet:
                return
            yield event

    def _order_left(self, client_order_id: str) -> None:
        if self.closed:
            self.wrong.append(f"{client_order_id} left after the kill was answered")

    def switch(self, *, engaged: bool = False) -> dict[str, Any]:
        meta = {"name": SYSTEM, "uid": "u", "generation": self.generation}
        return {"metadata": meta, "spec": {"engaged": engaged, "action": "Cancel", "restrict": "None"}}

    def _history(self) -> None:
        """The owner's own trades, from before."""
        self.venue.advance(START_NS)
        for number in range(self.plan.history):
            request = Request(symbol=SYMBOL, client_order_id=f"web_{number}", side=Side.BUY, type=OrderType.MARKET,
                              time_in_force=TimeInForce.GTC, quantity=parse("0.01"))  # fmt: skip
            self.venue.place(ACCOUNT, request, START_NS)
        self.before = self.venue.ledger.delta(ACCOUNT)
        self.venue.take_events()

    async def _pump(self) -> None:
        """The market runs, and marketdata tells of it."""
        turn = 0
        while True:
            self.gateway.advance()
            if turn % 3 == 0:
                self._tell_market()
            turn += 1
            await asyncio.sleep(STEP_S)

    def _tell_market(self) -> None:
        process, now = self.process, self.machine.wall_ns()
        best = self.venue.instruments[SYMBOL].publisher.best
        if process is None or not process.life.alive or not best.bid or not best.ask:
            return
        _, bids, asks = self.venue.instruments[SYMBOL].publisher.snapshot(20)

        def tell() -> None:
            process.told_by_bus(InstrumentRules("sim", RULES))
            process.told_by_bus(
                Quote(SYMBOL, best.update_id, now, best.bid, best.bid_quantity, best.ask, best.ask_quantity)
            )
            process.told_by_bus(BookTop(SYMBOL, best.update_id, now, now, tuple(bids), tuple(asks)))
            process.told_by_bus(FeedStatus(SYMBOL, now, True, ""))

        self._in_process(tell)

    def _in_process(self, work: Callable[[], None]) -> bool:
        """Run something inside the process; False if it does not live, or died of it."""
        if self.process is None or not self.process.life.alive:
            return False
        try:
            work()
        except Killed:
            return False
        return True

    # --- lives

    async def _supervise(self) -> None:
        """Start it, and start it again whenever it has died."""
        fuse = self.plan.first_fuse
        while not self.ended:
            life = Life(fuse, self.rng.random())
            fuse = 0
            life.disk_full = self.disk_full
            self.lives.append(life)
            try:
                self._checkpoint()
                self.process = Process(self.directory, self.machine, self.rng, self.network, life)
                await self.process.start(self.switch())
                await life.ended.wait()
            except Killed:
                pass
            if self.process is not None:
                self.wrong += self.process.failures
                for code, count in self.process.manager.anomalies.items():
                    self.anomalies[code] = self.anomalies.get(code, 0) + count
                process, self.process = self.process, None
                await process.drop()
            await asyncio.sleep(max(self.restart_at - self._now(), 0))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _checkpoint(self) -> None:
        """Each second life begins at a checkpoint of those before it."""
        if len(self.lives) % 2 == 0:
            with contextlib.suppress(JournalError):  # the first ended before it had a journal
                make(CONFIG, self.directory, self.machine)

    async def _kill(self, kill: Kill) -> None:
        if self.process is None:
            return
        self.restart_at = self._now() + kill.down_s
        if kill.fuse:
            self.process.life.arm(kill.fuse, kill.torn)
        else:
            self.process.life.end("killed")

    # --- what the plan says

    async def _play(self) -> None:
        done: list[tuple[float, int, Any]] = []
        parts: list[Want | Drop | Change | Trouble | Kill | Stop | Restate] = [*self.plan.wants]
        parts += self.plan.drops
        parts += changes(Random(self.seed), self.plan)  # sim-ok: the episode's seed
        parts += self.plan.troubles
        if self.seed % FULL_DISK_EVERY == FULL_DISK_EVERY - 2:
            parts.append(full_disk(self.rng, self.plan.length_s))
        parts += self.plan.kills
        parts += self.plan.stops
        parts += (one for one in self.restatements if one.at_s < self.plan.length_s)
        for one in parts:
            done.append((one.at_s, len(done), one))
            if isinstance(one, Want) and one.again_s:
                done.append((one.at_s + one.again_s, len(done), one))
            if isinstance(one, Trouble | Stop):
                done.append((one.until_s if isinstance(one, Trouble) else one.release_s, len(done), ("over", one)))
        for at_s, _, what in sorted(done, key=lambda item: item[:2]):
            await asyncio.sleep(max(0.0, at_s - self._now()))
            await self._do(what)
        await asyncio.sleep(max(0.0, self.plan.length_s - self._now()))

    async def _do(self, what: Any) -> None:
        match what:
            case Want():
                self._want(what)
            case Change():
                self._in_process(lambda: self._change(what))
            case Drop(_, name):
                self._in_process(lambda: self._tell(CancelIntent(name, "stable", self.machine.wall_ns())))
            case Kill():
                await self._kill(what)
            case Stop():
                self._stop(what)
            case Restate():
                self._restate(what)
            case Trouble(_, "deaf"):
                self.network.deaf = True
                self.gateway.fault(Fault(kind="drop_streams"))
            case Trouble(_, "disk_full"):
                self._disk(full=True)
            case Trouble(_, kind, value):
                self.gateway.fault(
                    Fault(kind=kind, symbol=SYMBOL, value=value if kind == "latency_ms" else 0,
                          count=value if kind == "lose_events" else 3, executed=bool(value % 10),
                          status=value // 10 if kind == "http_status" else 503)
                )  # fmt: skip
            case ("over", Stop()):
                self._release()
            case ("over", Trouble(_, kind, _)):
                self._over(kind)

    def _restate(self, what: Restate) -> None:
        """Of a trade of ours; the venue may refuse, where what it brought is spent."""
        ours = [one for one in self.venue.executions(ACCOUNT) if not one.client_order_id.startswith("web_")]
        if not ours:
            return
        trade = ours[what.pick % len(ours)]
        quantity = trade.quantity * what.quantity_percent // 100 // RULES.lot * RULES.lot
        kind = "correct" if quantity else "bust"
        if kind == "bust" and len(ours) == 1:
            return  # it would look as if the venue had lost the account: for a person to accept
        price = text(trade.price + what.away_ticks * RULES.tick)
        refused = self.gateway.fault(
            Fault(kind=kind, symbol=SYMBOL, trade_id=trade.trade_id, price=price, quantity=text(quantity))
        )
        if refused is None:
            self.restated[kind] = self.restated.get(kind, 0) + 1

    def _disk(self, *, full: bool) -> None:
        self.disk_full = full
        for life in self.lives:
            life.disk_full = full

    def _over(self, kind: str) -> None:
        if kind == "disk_full":
            self._disk(full=False)
        self.network.deaf = self.network.deaf and kind != "deaf"
        if kind == "latency_ms":
            self.gateway.fault(Fault(kind="latency_ms", value=self.plan.latency_ms))
        elif kind == "halt":
            self.gateway.fault(Fault(kind="halt", symbol=SYMBOL, on=False))

    def _working(self, what: Change) -> tuple[str, int]:
        """An order that works now, by its intent, and a quantity that is less than it has; else what was drawn."""
        assert self.process is not None
        lives = [live.order for live in self.process.manager.live.values() if live.order.venue_order_id]
        if not lives:
            return what.target, what.quantity_lots * RULES.lot
        order = lives[what.away_ticks % len(lives)]
        return order.intent_id, order.filled + order.leaves // 2 // RULES.lot * RULES.lot

    def _change(self, what: Change) -> None:
        target, smaller = self._working(what)
        now, best = self.machine.wall_ns(), self.venue.instruments[SYMBOL].publisher.best
        lots, away = what.quantity_lots * RULES.lot, what.away_ticks * RULES.tick
        near = best.bid if what.side is Side.BUY else best.ask
        match what.kind:
            case "replace":
                self._tell(ReplaceIntent(what.name, target, "stable", lots, near - what.side.sign * away, 0, now))
            case "reduce":
                self._tell(ReduceIntent(target, "stable", smaller, now))
            case "mass":
                self._tell(MassCancelIntent("stable", "", now))
            case "stop":
                touch = best.ask if what.side is Side.BUY else best.bid
                self._tell(self._conditional(what, f"{what.name}s", OrderType.STOP_LOSS, lots, 0,
                                             touch + what.side.sign * away, reduce_only=False))  # fmt: skip
            case _:
                self._pair(what, away)

    def _pair(self, what: Change, away: int) -> None:
        """Target and stop of what is held, if anything is."""
        assert self.process is not None
        slot = self.process.app.gate.tracks["stable"].slots.get(SYMBOL)
        best = self.venue.instruments[SYMBOL].publisher.best
        held = 0 if slot is None else slot.position - slot.position % RULES.lot
        if held <= 0:
            return
        selling = Change(what.at_s, what.kind, what.name, what.target, Side.SELL, what.quantity_lots, what.away_ticks)
        target, stop = best.ask + away, best.bid - away
        first = self._conditional(selling, f"{what.name}t", OrderType.LIMIT_MAKER, held, target, 0, reduce_only=True)
        second = self._conditional(selling, f"{what.name}u", OrderType.STOP_LOSS, held, 0, stop, reduce_only=True)
        self._tell(PairIntent(first, second))

    def _conditional(
        self, what: Change, name: str, kind: OrderType, lots: int, price: int, stop: int, *, reduce_only: bool
    ) -> Intent:
        now = self.machine.wall_ns()
        force = TimeInForce.GTC
        return Intent(name, "stable", SYMBOL, what.side, kind, force, lots, price, reduce_only, now, stop)

    def _tell(self, message: AskedOfGate) -> None:
        if self.process is not None:
            self.process.told_by_bus(message, KEY)

    def _want(self, want: Want) -> None:
        best = self.venue.instruments[SYMBOL].publisher.best
        near = best.bid if want.side is Side.BUY else best.ask
        price = near - want.side.sign * want.away_ticks * RULES.tick
        self._in_process(
            lambda: self._tell(
                Intent(want.name, "stable", SYMBOL, want.side, want.type, want.time_in_force,
                       want.quantity_lots * RULES.lot, 0 if want.type is OrderType.MARKET else price, False,
                       self.machine.wall_ns())
            )
        )  # fmt: skip

    def _stop(self, stop: Stop) -> None:
        process = self.process
        now = self.machine.wall_ns()
        request = KillRequest(severity=stop.severity, reason="drill", by="chaos", ts=now, source="direct")
        if process is None:
            return
        app = process.app
        if self._in_process(lambda: app.observe(lambda at: app.guard.pushed(request, at))):
            # what a full disk did not take cannot outlive a kill -9: known, and the gate stays halted until then
            kept = not app.journal.error
            self.closed = self.closed or (kept and stop.severity != "ReduceOnly")

    def _release(self) -> None:
        """A person cycles the KillSwitch; news of it reaches whoever lives."""
        self.generation += 2
        self.closed = False
        process = self.process
        if process is None:
            return
        app, engaged, released = process.app, self.switch(engaged=True), self.switch()
        engaged["metadata"]["generation"] -= 1
        self._in_process(lambda: app.observe(lambda at: app.guard.switch_seen(engaged, at)))
        self._in_process(lambda: app.observe(lambda at: app.guard.switch_seen(released, at)))

    # --- quiescence

    async def _quiesce(self) -> None:
        self.network.trouble = self.network.order_trouble = self.network.event_loss = self.network.repeats = 0.0
        self.network.deaf = False
        self._disk(full=False)
        self.gateway.fault(Fault(kind="clear"))
        self.gateway.fault(Fault(kind="latency_ms", value=self.plan.latency_ms))
        for life in self.lives:
            life.arm(0, 0.0)
        if self.plan.kill_at_end and self.process is not None:
            self.process.life.end("killed")
        self.quiet = True
        deadline = self._now() + SETTLE_S
        late = [one for one in self.restatements if one.at_s > self.plan.length_s]
        for _ in range(2):
            began = await self._settled(deadline, 0)
            await self._settled(deadline, began)
            while late:
                self._restate(late.pop())
            if self.plan.cancel_at_end:
                for want in self.plan.wants:
                    message = CancelIntent(want.name, "stable", self.machine.wall_ns())
                    self._in_process(lambda message=message: self._tell(message))  # type: ignore[misc]
                self._in_process(lambda: self._tell(MassCancelIntent("stable", "", self.machine.wall_ns())))

    async def _settled(self, deadline: float, since: int) -> int:
        """Wait until the gate itself says that all is well, in a look that began from here on. Returns when."""
        asked = max(self.machine.wall_ns(), since)
        if self.process is not None:
            self.process.app.look(OURS)
        while self._now() < deadline:
            process = self.process
            if process is not None and process.life.alive:
                app = process.app
                if app.guard.latches:
                    self._release()
                live = process.manager.live.values()
                waiting = (
                    v.order.unknown or not v.order.venue_order_id or v.cancel_wanted or v.order.update is not None
                    for v in live
                )
                sure = not any(waiting)
                if sure and app.guard.severity is Severity.NONE and process.idle and process.loop.last_sound > asked:
                    return process.loop.last_sound
            await asyncio.sleep(STEP_S)
        process = self.process
        state = "dead" if process is None else f"{process.app.guard.state}: {process.app.guard.reason}"
        orders = [] if process is None else [v.order for v in process.manager.live.values()]
        self.wrong.append(f"never settled: {state}; {[(o.client_order_id, str(o.state)) for o in orders]}")
        return asked

    # --- the verdict

    async def run(self) -> None:
        self._history()
        loop = asyncio.get_running_loop()
        self.network.trouble, self.network.order_trouble = self.plan.loss, self.plan.order_loss
        self.network.event_loss, self.network.repeats = self.plan.event_loss, self.plan.repeats
        tasks = [loop.create_task(self._pump()), loop.create_task(self._supervise())]
        try:
            await self._play()
            await self._quiesce()
        finally:
            self.ended = True
            process = self.process
            if process is not None:
                self.wrong += self._verdict(process)
                process.life.end("end")
            tasks[0].cancel()
            await asyncio.wait(tasks)
            self.gateway.close()

    def _verdict(self, process: Process) -> list[str]:
        entries = self.entries = [entry for _, entry in process.journal.read(0, 1 << 30)]
        orders = [o for o in self.venue.orders(ACCOUNT, SYMBOL) if not o.client_order_id.startswith("web_")]
        executions = [e for e in self.venue.executions(ACCOUNT) if not e.client_order_id.startswith("web_")]
        now = self.venue.ledger.delta(ACCOUNT)
        delta = {asset: now.get(asset, 0) - self.before.get(asset, 0) for asset in now.keys() | self.before.keys()}
        asked = self.gateway.api.record.since(0, 1 << 30)
        self.figures = (len(orders), len(executions))
        ours = OurBooks(entries, RULES)
        gate = process.manager.books.get("stable", Book(cash={}, positions={}, fees={}))
        found = differences(VenueBooks(orders, executions, delta, asked), ours, gate, RULES)
        if process.journal.sequence != len(entries):
            found.append(f"the journal's sequence is {process.journal.sequence}, and it has {len(entries)} entries")
        told = [update.sequence for update in process.told.updates]
        if told != sorted(set(told)):
            found.append("events were published twice or out of order")
        return found


def run(seed: int, *, keep_logs: bool = False, afterwards: Callable[[Path], None] | None = None) -> Outcome:
    """One episode; deterministic. ``afterwards`` may look at its directory."""
    clock = ManualClock(START_NS)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, capture_logs() as logs:
        directory = Path(name)
        furnish(directory, TEST_CREDENTIAL.api_key, TEST_CREDENTIAL.api_secret)
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            episode = Episode(seed, directory, clock)
            runner.run(episode.run())
        if afterwards is not None:
            afterwards(directory)
    wrong = list(episode.wrong)
    for line in logs:
        error = line.get("exc_info")
        if line["log_level"] == "error" and not isinstance(error, Killed):
            wrong.append(f"{line['event']}: {error!r}")
    breaks = [line for line in logs if "that no order explains" in str(line.get("reason", ""))]
    wrong += [f"a break was confirmed where there is none: {line['reason']}" for line in breaks[:1]]
    return Outcome(
        seed=seed,
        wrong=wrong,
        lives=len(episode.lives),
        orders=episode.figures[0],
        fills=episode.figures[1],
        seconds=(clock.now_ns - START_NS) / 1e9,
        digest=hashlib.sha256(msgspec.msgpack.encode(episode.entries)).hexdigest()[:16],
        fates=episode.network.fates,
        restated=episode.restated,
        deaths=[life.last for life in episode.lives],
        anomalies=episode.anomalies,
        logs=list(map(dict, logs)) if keep_logs else [],
    )
