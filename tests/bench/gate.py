"""How long one pre-trade check takes: our gate, NautilusTrader's RiskEngine, and a chain of rule objects, in one run.

`make bench-gate` runs it. All get the same orders (passive limit orders, both sides, of different sizes and prices),
and must accept every one of them, or nothing is printed. What is inside each figure:

- ``gate``: `Gate.check` of an Intent that is decoded already, every limit of the preset ``full`` on: the answer.
- ``gate, sent``: that, and `Gate.approve`: the messages are taken from the track's and the account's buckets, and the
  Approved for the adapter is made.
- ``nautilus``: `RiskEngine.execute` of a SubmitOrder that is made already, with its instrument, quote, a cash account
  that can pay, and a maximum notional set: looks up instrument and account, checks precision, price, quantity,
  notional and free balance, the trading state, its throttler's rate, and hands the command over by its message bus to
  an endpoint that counts. It runs in an interpreter of its own (`gate_peer.py`). Its live node puts a queue before it
  and its strategies a message bus; both are left out.
- ``nautilus, handing over``: the same with the engine bypassed, so without any check or throttle: the part of the
  figure above that is no decision. Subtract it to compare decisions, or compare ``gate, sent`` with the whole.
- ``gate, from the wire``: the Intent's decoding from its bytes, and ``gate, sent``. ``nautilus, from its factory``:
  `OrderFactory.limit`, SubmitOrder and ``nautilus``. That is what an order costs a strategy in each, construction
  included for both.
- ``gate, taking``: `Gate.check` of the same orders at the other side's best price, immediate or cancelled.
- ``gate, each check``: `Gate.judge`, the way of all orders that the bounds do not clear: those near a limit, those that
  take more than the best level, and conditional, iceberg and reduce-only ones.
- ``gate, new terms``: ``gate`` where the bounds have to be computed anew, as once after an evaluation of losses or an
  allocation, or when the price has moved by a percent and a half.
- ``chain``: a rule is an object, a verdict is an object, money is Decimal.

What the two engines look at differs: ours adds collars, staleness, self-match, positions and gross at worst case,
leverage, concentration, losses, drawdown, counts and stops; theirs holds no position limit at all, and a margin account
would pass unlooked at, so it is given a cash account. What happens after both (the order's own state) is not timed.

All take turns in rounds, so that a busy moment of the machine hits all of them; garbage collection is on. The ratios of
medians count, not the figures. Lines: p50, p99 (of batches of BATCH orders, per order) and mean in microseconds; then
``ratio N.N``, how many times faster ``gate`` is than ``nautilus`` at p50, and the stricter ones beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from gatebench.ordinary import active_guard, rules
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.model.money import SCALE, parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote
from ringfence_operator.api.limits import Limits as LimitsSpec
from ringfence_operator.limits import gate_limits

SYMBOL: Final = "BTCUSDT"
ORDERS: Final = 2_000
BATCH: Final = 10
"""Orders per reading of the clock, so that the reading does not count."""
ROUNDS: Final = 7
WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
SECOND: Final = 1_000_000_000
BID, ASK = parse("61840"), parse("61840.01")
RATE: Final = 1_000_000
CAPITAL: Final = parse("1000000")
RULES: Final = rules(SYMBOL)


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
    """Every limit of the preset, for a capital of a million; a rate as wide as the peer's: checked, not reached."""
    found = gate_limits(LimitsSpec.model_validate({"preset": "full"}), text(CAPITAL))
    return msgspec.structs.replace(found, order_messages_per_second=RATE)


# --- ours


def our_gate() -> Gate:
    gate = Gate(active_guard(WALL), (SYMBOL, "ETHUSDT"))
    market = gate.markets[SYMBOL]
    market.instrument = RULES
    market.quote(Quote(SYMBOL, 1, WALL, BID, SCALE, ASK, SCALE), MONO)
    market.book(BookTop(SYMBOL, 1, WALL, WALL, ((BID, 1000 * SCALE),), ((ASK, 1000 * SCALE),)), MONO)
    market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
    track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
    found = limits()
    allocate(gate.tracks, gate.account, Allocation(epoch=1, tracks=(track,), limits=found), {"g": found}, paper=False)
    for ago in range(11):
        market.tape.trade(1000 * SCALE, MONO - (10 - ago) * SECOND)
    gate.hold({asset: VenueBalance(free, 0) for asset, free in (("USDT", CAPITAL), ("BTC", 100 * SCALE))})
    manager = Manager(gate, prefix("n", "s"), "USDT", 0)
    manager.capital = CAPITAL
    manager.evaluate(WALL)  # equity, losses and drawdown are known, as they are in a gate that trades
    return gate


def our_check(check: Callable[[Intent, int, int], list[str]]) -> Callable[[Sequence[Intent]], int]:
    """Decide on a batch; how many were refused."""

    def run(batch: Sequence[Intent]) -> int:
        refused = 0
        for intent in batch:
            if check(intent, WALL, MONO):
                refused += 1
        return refused

    return run


def our_sending(gate: Gate) -> Callable[[Sequence[Intent]], int]:
    """Decide on a batch and make what passes sendable."""
    check, approve = gate.check, gate.approve

    def run(batch: Sequence[Intent]) -> int:
        refused = 0
        for intent in batch:
            if check(intent, WALL, MONO):
                refused += 1
            else:
                approve("c", intent, MONO)
        return refused

    return run


def from_the_wire(gate: Gate) -> Callable[[Sequence[bytes]], int]:
    """The same of encoded messages."""
    check, approve = gate.check, gate.approve
    decode_one = msgspec.msgpack.Decoder(Intent).decode

    def run(batch: Sequence[bytes]) -> int:
        refused = 0
        for data in batch:
            intent = decode_one(data)
            if check(intent, WALL, MONO):
                refused += 1
            else:
                approve("c", intent, MONO)
        return refused

    return run


def with_new_terms(gate: Gate) -> Callable[[Sequence[Intent]], int]:
    check, account = gate.check, gate.account

    def run(batch: Sequence[Intent]) -> int:
        refused = 0
        for intent in batch:
            account.changed()
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


def taking(resting: Intent) -> Intent:
    price = ASK if resting.side is Side.BUY else BID
    return msgspec.structs.replace(resting, price=price, time_in_force=TimeInForce.IOC)


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

    def round(self, kind: str) -> list[float]:
        return [float(one) for one in self._ask({"round": kind})["took"]]

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
    print(f"{name:<28} p50 {p50:7.3f} us   p99 {p99:7.3f} us   mean {statistics.fmean(ordered):7.3f} us")
    return p50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="python with nautilus_trader; without it ours and the chain alone")
    peer_python = parser.parse_args().peer
    wanted = orders()
    mine = intents(wanted)
    takers = [taking(intent) for intent in mine]
    encoded = [msgspec.msgpack.encode(intent) for intent in mine]
    theirs = [ChainOrder(SYMBOL, str(w.side), Decimal(text(w.quantity)), Decimal(text(w.price))) for w in wanted]
    peer = Peer(peer_python, wanted) if peer_python else None
    gate = our_gate()
    ours, ruled, judged = our_check(gate.check), chain(), our_check(gate.judge)
    found: dict[str, list[float]] = {}
    for number in range(ROUNDS + 2):
        rounds = {"gate": measure(ours, mine)}
        if peer:
            rounds["nautilus"] = peer.round("execute")
        rounds["gate, sent"] = measure(our_sending(our_gate()), mine)
        rounds["gate, from the wire"] = measure(from_the_wire(our_gate()), encoded)
        if peer:
            rounds["nautilus, from its factory"] = peer.round("factory")
            rounds["nautilus, handing over"] = peer.round("bypassed")
        rounds["gate, taking"] = measure(ours, takers)
        rounds["gate, each check"] = measure(judged, mine)
        rounds["gate, new terms"] = measure(with_new_terms(gate), mine)
        rounds["chain"] = measure(ruled, theirs)
        if number >= 2:  # the first two warm all up
            for name, took in rounds.items():
                found.setdefault(name, []).extend(took)
    print(f"{ORDERS * ROUNDS} orders each, all accepted by all; every limit of the preset full is on in the gate")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    p50 = {name: tell(name, took) for name, took in found.items()}
    print(f"ratio to the chain of rule objects {p50['chain'] / p50['gate']:.1f}")
    if peer:
        peer.close()
        theirs_p50 = p50["nautilus"]
        print(f"ratio with what follows in both    {theirs_p50 / p50['gate, sent']:.1f}")
        print(f"ratio without what follows in both {(theirs_p50 - p50['nautilus, handing over']) / p50['gate']:.1f}")
        print(
            f"ratio with construction            {p50['nautilus, from its factory'] / p50['gate, from the wire']:.1f}"
        )
        print(f"ratio {theirs_p50 / p50['gate']:.1f}")


if __name__ == "__main__":
    main()
