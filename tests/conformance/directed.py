"""The real gate's host, adapter and journal at the simulated venue, with one thing going wrong at a chosen place."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final

from matrix import Run, Seen, Wire, in_virtual_time
from structlog.testing import capture_logs

from chaos.compare import STATES
from chaos.episode import ACCOUNT, PROFILE, RULES, Episode
from chaos.plan import Plan
from chaos.process import KEY, SYMBOL, Process, furnish
from ringfence.model.money import SCALE, parse
from ringfence.model.orders import CLOSED, IN_FLIGHT, Order, OrderType, Side, TimeInForce
from ringfence.runtime.clock import ManualClock
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.faults import Fault
from ringfence.simulator.generated import generated
from ringfence.simulator.orders import Request, VenueOrder
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.simulator.venue import Venue
from ringfence.wire.kill import Severity
from ringfence.wire.messages import (
    CancelIntent,
    Intent,
    MassCancelIntent,
    PairIntent,
    ReduceIntent,
    ReplaceIntent,
)
from ringfence.wire.messages import Request as AskedOfGate

WAIT_S: Final = 60.0
FUNDS: Final = {"USDT": parse("1000000"), "BTC": parse("10")}
"""What the account opens with in every episode."""
STEP_S: Final = 0.0005
QUIET: Final = Plan(
    length_s=0,
    wants=(),
    drops=(),
    troubles=(),
    kills=(),
    stops=(),
    latency_ms=5,
    skew_ms=0,
    fates=(),
    loss=0,
    order_loss=0,
    event_loss=0,
    repeats=0,
    history=0,
    first_fuse=0,
    cancel_at_end=True,
    kill_at_end=False,
)
Script = Callable[["Directed"], Awaitable[str]]


class Directed(Episode):
    """An episode in which only what the script does happens. Afterwards all ledgers are compared, to the last digit."""

    def __init__(self, directory: Path, clock: ManualClock, wire: Wire, script: Script) -> None:
        super().__init__(1, directory, clock, QUIET)
        self.network.messages = wire is Wire.MESSAGE
        self.script = script
        self.seen = ""
        self.judged = True
        """Ledgers are compared afterwards."""
        self.blocked = False
        """New exposure was refused for an outcome that was not known."""
        self.history: dict[str, list[str]] = {}
        """States of each intent's order as they were seen, ``?`` where its outcome was unknown."""

    async def _play(self) -> None:
        await self.until(lambda: self.gate.app.guard.severity is Severity.NONE and self._quoted(), "an active gate")
        watch = asyncio.get_running_loop().create_task(self._watch())
        try:
            self.seen = await self.script(self)
        finally:
            watch.cancel()

    async def _quiesce(self) -> None:
        if self.judged:
            await super()._quiesce()

    def _verdict(self, process: Process) -> list[str]:
        return super()._verdict(process) if self.judged else []

    def forget(self) -> None:
        """The venue's process is another one: the account is as it was opened, and nothing has happened since."""
        self.judged = False  # nothing is left to compare with
        now = self.clock.wall_ns()
        old, market = self.venue, self._market(generated(RULES, PROFILE, Random(2), now))
        self.venue = Venue({SYMBOL: LISTED[SYMBOL]}, {SYMBOL: market}, old.fees, now)
        self.venue.open_account(ACCOUNT, FUNDS)
        self.gateway.venue = self.gateway.api.venue = self.venue
        self.fault("drop_streams")

    @property
    def gate(self) -> Process:
        if self.process is None:
            raise RuntimeError("the gate does not live")
        return self.process

    def _quoted(self) -> bool:
        return bool(self.gate.app.gate.markets[SYMBOL].bid)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        for _ in range(int(WAIT_S / STEP_S)):
            if self.process is not None and condition():
                return
            await asyncio.sleep(STEP_S)
        raise TimeoutError(what)

    async def _watch(self) -> None:
        while True:
            if self.process is not None:
                for order in self.gate.manager.orders.values():
                    now = f"{order.state}{'?' if order.unknown else ''}"
                    past = self.history.setdefault(order.intent_id, [])
                    if not past or past[-1] != now:
                        past.append(now)
                self.blocked = self.blocked or bool(self.gate.app.gate.markets[SYMBOL].unknown)
            await asyncio.sleep(STEP_S)

    # --- what a strategy asks for

    def tell(self, message: AskedOfGate) -> None:
        self.gate.told_by_bus(message, KEY)

    def ask(self, name: str, side: Side = Side.BUY, away: int = 100_000, lots: int = 1000, **more: int) -> None:
        """A limit order so many ticks from the own side's best price."""
        best = self.venue.instruments[SYMBOL].publisher.best
        price = (best.bid if side is Side.BUY else best.ask) - side.sign * away * RULES.tick
        now = self.machine.wall_ns()
        self.tell(
            Intent(name, "stable", SYMBOL, side, OrderType.LIMIT, TimeInForce.GTC, lots * RULES.lot, price, False, now)
        )

    def cancel(self, name: str) -> None:
        self.tell(CancelIntent(name, "stable", self.machine.wall_ns()))

    def cancel_all(self) -> None:
        self.tell(MassCancelIntent("stable", "", self.machine.wall_ns()))

    def replace(self, old: str, name: str, away: int = 90_000) -> None:
        price = self.venue.instruments[SYMBOL].publisher.best.bid - away * RULES.tick
        self.tell(ReplaceIntent(name, old, "stable", 1000 * RULES.lot, price, 0, self.machine.wall_ns()))

    def amend(self, name: str, lots: int) -> None:
        self.tell(ReduceIntent(name, "stable", lots * RULES.lot, self.machine.wall_ns()))

    def pair(self, name: str) -> None:
        """Target and stop of 1,000 lots that are held."""
        best, now = self.venue.instruments[SYMBOL].publisher.best, self.machine.wall_ns()
        quantity, away = 1000 * RULES.lot, 100_000 * RULES.tick

        def leg(suffix: str, kind: OrderType, price: int, stop: int) -> Intent:
            return Intent(name + suffix, "stable", SYMBOL, Side.SELL, kind, TimeInForce.GTC, quantity, price, True, now,
                          stop)  # fmt: skip

        target = leg("t", OrderType.LIMIT_MAKER, best.ask + away, 0)
        self.tell(PairIntent(target, leg("s", OrderType.STOP_LOSS, 0, best.bid - away)))

    async def resting(self, *names: str) -> None:
        for name in names:
            self.ask(name)
        await self.until(lambda: all(self.state(name) == "ACCEPTED" for name in names), f"{names} rest")

    async def holding(self) -> None:
        """A bought position of 2,000 lots."""
        self.ask("held", away=-2_000, lots=2000)
        await self.until(lambda: self.state("held") == "FILLED", "a position")

    def spend(self) -> None:
        """Somebody else of the account orders with all that is free of the quote asset."""
        now = self.clock.wall_ns()
        free, price = self.venue.ledger.balance(ACCOUNT, "USDT").free, self.venue.instruments[SYMBOL].publisher.best.bid
        price -= 200_000 * RULES.tick
        quantity = free * SCALE // price // RULES.lot * RULES.lot
        request = Request(symbol=SYMBOL, client_order_id="web_all", side=Side.BUY, type=OrderType.LIMIT,
                          time_in_force=TimeInForce.GTC, price=price, quantity=quantity)  # fmt: skip
        placed = self.venue.place(ACCOUNT, request, now)
        if not isinstance(placed, VenueOrder):
            raise TypeError(str(placed))
        self.gateway.advance()

    # --- what can be seen

    def order(self, name: str) -> Order | None:
        return next((o for o in reversed(self.gate.manager.orders.values()) if o.intent_id == name), None)

    def state(self, name: str) -> str:
        found = self.order(name)
        return "" if found is None else f"{found.state}{'?' if found.unknown else ''}"

    async def settled(self, *names: str) -> str:
        """Each order's states, once every one is known and nothing is under way."""

        def known() -> bool:
            found = [self.order(name) for name in names]
            return self.gate.idle and all(
                order is not None
                and not order.unknown
                and (order.closed or (bool(order.venue_order_id) and order.state not in IN_FLIGHT))
                for order in found
            )

        await asyncio.sleep(0.05)
        await self.until(known, f"{names} are known: {[self.state(name) for name in names]}")
        await asyncio.sleep(1.0)  # what still comes is seen too
        await self.until(known, f"{names} stay known")
        await asyncio.sleep(STEP_S * 2)
        return self.told(*names)

    def told(self, *names: str) -> str:
        stories = [" > ".join(self.history.get(name, ["never"])) for name in names]
        return "; ".join(stories) + ("; new exposure waits" if self.blocked else "")

    def fault(self, kind: str, **more: object) -> None:
        refusal = self.gateway.fault(Fault(kind=kind, **more))  # type: ignore[arg-type]
        if refusal:
            raise ValueError(refusal)

    def believed(self) -> list[str]:
        """Orders of which gate and venue do not tell the same, now."""
        wrong = []
        for order in self.venue.orders(ACCOUNT, SYMBOL):
            mine = self.gate.manager.orders.get(order.client_order_id)
            if mine is None or (mine.state not in CLOSED and STATES[order.status] is not mine.state):
                wrong.append(order.client_order_id)
        return wrong


def directed(script: Script, wires: tuple[Wire, ...] = tuple(Wire)) -> Run:
    """What the script saw, and that all ledgers agree afterwards, or where they do not."""

    def over(wire: Wire) -> Seen:
        async def run(directory: Path, clock: ManualClock) -> Seen:
            furnish(directory, TEST_CREDENTIAL.api_key, TEST_CREDENTIAL.api_secret)
            episode = Directed(directory, clock, wire, script)
            await episode.run()
            wrong = "; ".join(episode.wrong)
            seen = f"{episode.seen} | {wrong or 'ledgers equal'}" if episode.judged or wrong else episode.seen
            return Seen(seen, episode.network.messages_sent)

        with capture_logs():
            return in_virtual_time(run)

    return Run(over, wires)
