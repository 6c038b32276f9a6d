"""How long one pre-trade check takes: our gate, NautilusTrader's RiskEngine, and a chain of rule objects, in one run.

`make bench-gate` runs it. Every limit of the preset ``full`` is on. All three get the same orders (passive limit
orders, both sides, of different sizes and prices), and all three must accept every one of them, or nothing is
printed. What is timed is the decision: the peer's ``execute`` up to its hand-over, our ``check`` up to its answer.
What follows in both (the order's own state) is not. The peer runs in an interpreter of its own (`gate_peer.py`),
since it brings 200 MB of its own; all take turns in rounds, so that a busy moment of the machine hits all of them.
The ratio of medians counts, not the figures.

Lines: ``gate ...``, ``nautilus ...``, ``chain ...`` with p50, p99 (of batches of BATCH orders, per order) and mean in
microseconds; then ``ratio N.N``, how many times faster ours is than the peer's at p50.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote
from ringfence_operator.api.limits import Limits as LimitsSpec
from ringfence_operator.limits import gate_limits

SYMBOL: Final = "BTCUSDT"
ORDERS: Final = 2_000
BATCH: Final = 10
"""Orders per reading of the clock, so that the reading does not count."""
ROUNDS: Final = 7
WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
BID, ASK = parse("61840"), parse("61840.01")
CAPITAL: Final = parse("1000000")
RULES: Final = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    tick=parse("0.01"),
    lot=parse("0.00001"),
    quantity_min=parse("0.00001"),
    quantity_max=parse("1000"),
    notional_min=parse("5"),
)


class Wanted(NamedTuple):
    """One order of the bench. Scaled integers."""

    side: Side
    quantity: int
    price: int


def orders() -> list[Wanted]:
    """The same for everybody: both sides, near the touch, never through it."""
    made = []
    for number in range(ORDERS):
        side = (Side.BUY, Side.SELL)[number % 2]
        away = (number % 37) * parse("0.01")
        price = BID - away if side is Side.BUY else ASK + away
        made.append(Wanted(side, parse("0.001") + number % 50 * RULES.lot, price))
    return made


def limits() -> Limits:
    """Every limit of the preset, for a capital of a million."""
    return gate_limits(LimitsSpec.model_validate({"preset": "full"}), text(CAPITAL))


# --- ours


def our_gate() -> Gate:
    guard = Guard("s", {}, [], WALL)
    guard.switches_listed([{"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}], WALL)
    guard.reconciled(1, WALL)
    gate = Gate(guard, (SYMBOL, "ETHUSDT"))
    market = gate.markets[SYMBOL]
    market.instrument = RULES
    market.quote(Quote(SYMBOL, 1, WALL, BID, SCALE, ASK, SCALE), MONO)
    market.book(BookTop(SYMBOL, 1, WALL, WALL, ((BID, 1000 * SCALE),), ((ASK, 1000 * SCALE),)), MONO)
    market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
    track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
    found = limits()
    allocate(gate.tracks, gate.account, Allocation(epoch=1, tracks=(track,), limits=found), {"g": found}, paper=False)
    for one in (gate.tracks["stable"], gate.account):
        one.caps.message_ns = 0  # the peer's throttle is as wide: the rate is checked, and never reached
    market.tape.trade(1000 * SCALE, MONO)
    gate.balances = {"USDT": CAPITAL, "BTC": 100 * SCALE, "BNB": 100 * SCALE}
    manager = Manager(gate, prefix("n", "s"), "USDT", 0)
    manager.capital = CAPITAL
    manager.evaluate(WALL)  # equity, losses and drawdown are known, as they are in a gate that trades
    return gate


def our_check(gate: Gate) -> Callable[[Sequence[Intent]], int]:
    """Decide on a batch; how many were refused."""
    check = gate.check

    def run(batch: Sequence[Intent]) -> int:
        refused = 0
        for intent in batch:
            if check(intent, WALL, MONO):
                refused += 1
        return refused

    return run


def intents(wanted: Sequence[Wanted]) -> list[Intent]:
    return [
        Intent(
            intent_id=f"i{number}",
            track="stable",
            symbol=SYMBOL,
            side=one.side,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=one.quantity,
            price=one.price,
            reduce_only=False,
            ts_decided=WALL,
        )
        for number, one in enumerate(wanted)
    ]


# --- the chain: a rule is an object, a verdict is an object, money is Decimal; how such gates are often written


@dataclass(frozen=True)
class Verdict:
    rule: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class ChainOrder:
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal


class Rule:
    """Compares one number with one limit."""

    def __init__(self, name: str, measure: Callable[[ChainOrder, dict[str, Any]], Decimal], limit: Decimal) -> None:
        self.name = name
        self.measure = measure
        self.limit = limit

    def check(self, order: ChainOrder, state: dict[str, Any]) -> Verdict:
        found = self.measure(order, state)
        passed = found <= self.limit
        return Verdict(self.name, passed, "" if passed else f"{self.name} {found} > {self.limit}")


def chain() -> Callable[[Sequence[ChainOrder]], int]:
    found = limits()
    state: dict[str, Any] = {
        "position": Decimal(0),
        "loss": Decimal(0),
        "bid": Decimal(text(BID)),
        "ask": Decimal(text(ASK)),
        "age_ms": Decimal(0),
        "working": Decimal(0),
        "rate": Decimal(0),
    }

    def far(order: ChainOrder, now: dict[str, Any]) -> Decimal:
        best = now["ask"] if order.side == "BUY" else now["bid"]
        away = order.price - best if order.side == "BUY" else best - order.price
        return Decimal(away / best * 10_000)

    def amount(field: str) -> Callable[[ChainOrder, dict[str, Any]], Decimal]:
        return lambda _, now: Decimal(now[field])

    def worst(order: ChainOrder, now: dict[str, Any]) -> Decimal:
        return abs(Decimal(now["position"]) + order.quantity) * Decimal(now["ask"])

    money = {name: Decimal(text(getattr(found, name))) for name in ("order_value_max", "position_gross", "loss_day")}
    rules = [
        Rule("lot", lambda order, _: order.quantity % Decimal(text(RULES.lot)), Decimal(0)),
        Rule("tick", lambda order, _: order.price % Decimal(text(RULES.tick)), Decimal(0)),
        Rule("minimum", lambda order, _: Decimal(text(RULES.notional_min)) - order.price * order.quantity, Decimal(0)),
        Rule("quantity", lambda order, _: order.quantity, Decimal(1000)),
        Rule("value", lambda order, _: order.price * order.quantity, money["order_value_max"]),
        Rule("collar", far, Decimal(text(found.order_collar_bps))),
        Rule("stale", amount("age_ms"), Decimal(found.market_quote_stale_ms)),
        Rule("position", worst, Decimal(text(found.position_per_instrument))),
        Rule("gross", worst, money["position_gross"]),
        Rule("loss", amount("loss"), money["loss_day"]),
        Rule("working", amount("working"), Decimal(found.order_working_orders)),
        Rule("rate", amount("rate"), Decimal(found.order_messages_per_second)),
    ]

    def run(batch: Sequence[ChainOrder]) -> int:
        refused = 0
        for order in batch:
            verdicts = [rule.check(order, state) for rule in rules]
            if not all(verdict.passed for verdict in verdicts):
                refused += 1
        return refused

    return run


# --- measuring


def measure(run: Callable[[Sequence[Any]], int], work: Sequence[Any]) -> list[float]:
    """Microseconds an order, one figure per batch. Raises RuntimeError if an order was refused."""
    took = []
    for start in range(0, len(work), BATCH):
        batch = work[start : start + BATCH]
        before = time.perf_counter_ns()
        refused = run(batch)
        took.append((time.perf_counter_ns() - before) / 1_000 / len(batch))
        if refused:
            raise RuntimeError(f"{refused} orders of batch {start // BATCH} were refused: the comparison is void")
    return took


class Peer:
    """NautilusTrader's engine in its own interpreter; a round on request."""

    def __init__(self, python: str, wanted: Sequence[Wanted]) -> None:
        self.process = subprocess.Popen(
            [python, str(Path(__file__).with_name("gate_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask({"orders": [(str(w.side), text(w.quantity), text(w.price)) for w in wanted], "batch": BATCH})

    def round(self) -> list[float]:
        return [float(one) for one in self._ask({"round": True})["took"]]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the peer has ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def tell(name: str, took: list[float]) -> float:
    ordered = sorted(took)
    p50 = statistics.median(ordered)
    p99 = ordered[len(ordered) * 99 // 100]
    print(f"{name:<9} p50 {p50:7.3f} us   p99 {p99:7.3f} us   mean {statistics.fmean(ordered):7.3f} us")
    return p50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="python with nautilus_trader; without it ours and the chain alone")
    peer_python = parser.parse_args().peer
    wanted = orders()
    ours, ruled = our_check(our_gate()), chain()
    mine = intents(wanted)
    theirs = [ChainOrder(SYMBOL, str(w.side), Decimal(text(w.quantity)), Decimal(text(w.price))) for w in wanted]
    peer = Peer(peer_python, wanted) if peer_python else None
    found: dict[str, list[float]] = {"gate": [], "nautilus": [], "chain": []}
    for number in range(ROUNDS + 2):
        rounds = {
            "gate": measure(ours, mine),
            "nautilus": peer.round() if peer else [],
            "chain": measure(ruled, theirs),
        }
        if number >= 2:  # the first two warm all three up
            for name, took in rounds.items():
                found[name] += took
    print(f"{ORDERS * ROUNDS} orders each, all accepted by all; every limit of the preset full is on in the gate")
    p50 = tell("gate", found["gate"])
    chained = tell("chain", found["chain"])
    print(f"ratio to the chain of rule objects {chained / p50:.1f}")
    if peer:
        other = tell("nautilus", found["nautilus"])
        peer.close()
        print(f"ratio {other / p50:.1f}")


if __name__ == "__main__":
    main()
