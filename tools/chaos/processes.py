"""The slow kind of episode: the real program, real sockets, kill -9, and the venue's own record for a witness."""

import asyncio
import signal
from random import Random  # sim-ok: seeded by the episode; the real world around it is not repeatable
from typing import Final

from chaos.compare import OurBooks, VenueBooks, differences
from gatebench.bench import CLOCK, QUANTITY, SYMBOL, WAIT_S, Bench
from ringfence.model.money import text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.journal import Journal
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.wire.messages import CancelIntent, Intent

RULES: Final = LISTED[SYMBOL].instrument
FAULTS: Final = (
    Fault(kind="http_status", status=504, count=2, executed=True),
    Fault(kind="http_status", status=503, count=2),
    Fault(kind="lose_events", count=3),
    Fault(kind="drop_streams"),
    Fault(kind="latency_ms", value=60),
    Fault(kind="clear"),
)


class ProcessEpisode:
    """``play``, then ``verdict``."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.rng = Random(seed)  # sim-ok: as above
        self.names: list[str] = []
        self.figures: dict[str, int] = {}
        self.restated = 0
        """Trades of ours that the venue has taken back or restated."""
        self.closed_ns = 0
        """When the kill had been answered."""

    def want(self) -> None:
        """One intent, and perhaps the cancel of an earlier one."""
        bench, rng = self.bench, self.rng
        name = f"x{len(self.names)}"
        self.names.append(name)
        side = rng.choice((Side.BUY, Side.SELL))
        quote = bench.quotes[-1]
        kind = rng.choice(("market", "ioc", "near", "far", "far"))
        away = {"far": 2_000, "near": 0}.get(kind, -50) * RULES.tick
        price = (quote.bid if side is Side.BUY else quote.ask) - side.sign * away
        force = TimeInForce.IOC if kind == "ioc" else TimeInForce.GTC
        sort = OrderType.MARKET if kind == "market" else OrderType.LIMIT
        limit = 0 if kind == "market" else price
        quantity = QUANTITY * rng.randint(1, 40)
        bench.pusher.send(Intent(name, "stable", SYMBOL, side, sort, force, quantity, limit, False, CLOCK.wall_ns()))
        if rng.random() < 0.4:
            bench.pusher.send(CancelIntent(rng.choice(self.names), "stable", CLOCK.wall_ns()))

    def restate(self) -> None:
        """The venue takes a trade of ours back, or says something else of it; never of the only one, as that would look
        as if it had lost the account. It may refuse, where what the trade brought is spent."""
        gateway, rng = self.bench.simulator.gateway, self.rng
        gateway.advance()
        trades = list(gateway.venue.executions(TEST_CREDENTIAL.account))
        trade = rng.choice(trades)
        quantity = trade.quantity * rng.choice((0, 50, 100)) // 100 // RULES.lot * RULES.lot
        if not quantity and len(trades) == 1:
            return
        price = trade.price + rng.choice((-1, 1)) * rng.randint(1, 5_000) * RULES.tick
        fault = Fault(
            kind="correct" if quantity else "bust",
            symbol=SYMBOL,
            trade_id=trade.trade_id,
            price=text(price),
            quantity=text(quantity),
        )
        self.restated += gateway.fault(fault) is None

    async def play(self, kills: int) -> None:
        """Trade through faults, and be killed in the middle of it: the last time with a restatement not yet found."""
        bench, rng = self.bench, self.rng
        first = bench.intent(Side.BUY, 0, market=True)  # so that there is always something to lose
        await bench.until(lambda: bench.state_of(first) == "FILLED")
        for number in range(1, kills + 1):
            for _ in range(rng.randint(1, 4)):
                bench.simulator.gateway.fault(rng.choice(FAULTS))
                for _ in range(rng.randint(1, 4)):
                    self.want()
                await asyncio.sleep(rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.4))))
            if number == kills:
                self.restate()
            await bench.stop(signal.SIGKILL)
            await bench.start()
            await bench.active()
        for _ in range(6):
            self.want()
        await asyncio.sleep(rng.uniform(0, 0.05))
        self.restate()

    async def close(self) -> None:
        """The kill by the direct endpoint, intents against it, and the end of all that works."""
        bench, gateway = self.bench, self.bench.simulator.gateway
        status, body = await bench.kill()
        assert status == 200, body
        self.closed_ns = CLOCK.wall_ns()
        for _ in range(4):
            self.want()
        gateway.fault(Fault(kind="clear"))
        gateway.fault(Fault(kind="latency_ms", value=1))
        gateway.fault(Fault(kind="drop_streams"))
        async with asyncio.timeout(WAIT_S):
            while True:
                await asyncio.sleep(0.1)
                state, orders = await bench.get("/state"), await bench.get("/orders")
                ago = state["reconciledSecondsAgo"]
                fresh = ago is not None and CLOCK.wall_ns() - ago * 1e9 > self.closed_ns
                if fresh and not orders and not state["workingOrders"] and "reconciled" not in state["missing"]:
                    break
        await bench.stop(signal.SIGKILL)

    def verdict(self) -> list[str]:
        """After the last kill: the journal's bytes against the venue's books."""
        gateway = self.bench.simulator.gateway
        gateway.advance()
        venue, account = gateway.venue, TEST_CREDENTIAL.account
        journal = Journal(self.bench.root / "journal" / "orders.journal", CLOCK)
        entries = [record for _, record in journal.replay() if isinstance(record, Entry)]
        journal.close()
        asked = gateway.api.record.since(0, 1 << 30)
        books = VenueBooks(
            venue.orders(account, SYMBOL), list(venue.executions(account)), venue.ledger.delta(account), asked
        )
        late = [
            f"{one.client_order_id} arrived {(one.arrived_ns - self.closed_ns) / 1e6:.1f} ms after the kill"
            for one in asked
            if one.kind == "order" and one.arrived_ns > self.closed_ns
        ]
        self.figures = {
            "orders": len(books.orders),
            "fills": len(books.executions),
            "requests": len(asked),
            "restated": self.restated,
        }
        return differences(books, OurBooks(entries, RULES), None, RULES) + late
