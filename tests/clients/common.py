"""What the scenarios of all clients share: their names, the simulator's control port, and the loop that runs them.

Runs in the environment of each client, so it needs nothing but Python's own library. A client's `scenarios.py`
is a class with one coroutine per scenario; what its client cannot express is in its `impossible.json`, with why.
"""

import asyncio
import json
import os
import sys
import time
import traceback
import urllib.request
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

SYMBOL: Final = "BTCUSDT"
SECOND: Final = "ETHUSDT"
TICK: Final = Decimal("0.01")


class Prevented(NamedTuple):
    """What self-trade prevention does to an order: whether it ends it, and what it takes off."""

    ended: bool
    quantity: Decimal


BID, SOLD, NOTHING = Decimal(30), Decimal("0.004"), Decimal(0)
REST: Final = Decimal(-1)
"""All that has not executed."""
SELF_TRADES: Final = {
    "NONE": (Prevented(False, NOTHING), Prevented(False, NOTHING)),
    "EXPIRE_TAKER": (Prevented(False, NOTHING), Prevented(True, SOLD)),
    "EXPIRE_MAKER": (Prevented(True, REST), Prevented(False, NOTHING)),
    "EXPIRE_BOTH": (Prevented(True, REST), Prevented(True, SOLD)),
    "DECREMENT": (Prevented(False, SOLD), Prevented(True, SOLD)),
    "TRANSFER": (Prevented(False, SOLD), Prevented(True, SOLD)),
}
"""By mode: the bid that is sold into, and what is sold."""
SCENARIOS: Final = (
    "ping",
    "clock_offset",
    "markets",
    "precision",
    "best_quotes",
    "depth_snapshot",
    "recent_trades",
    "market_history",
    "trades_stream",
    "limit_rests_and_is_cancelled",
    "limit_fills",
    "ioc_rest_expires",
    "fok_fills",
    "fok_is_killed",
    "limit_maker_rests",
    "limit_maker_refused",
    "market_by_quantity",
    "market_by_quote",
    "partial_fill",
    "order_over_socket",
    *(f"self_trade {mode}" for mode in SELF_TRADES),
    "test_order",
    "order_by_client_id",
    "open_orders",
    "all_orders",
    "cancel_all",
    "my_trades",
    "balances",
    "insufficient_balance",
    "lot_size",
    "price_filter",
    "notional",
    "bad_symbol",
    "unknown_order",
    "unknown_cancel",
    "duplicate_client_id",
    "bad_signature",
    "bad_key",
    "outside_receive_window",
    "market_closed",
    "answer_lost",
    "user_stream",
    "user_stream_after_a_drop",
    "market_stream_after_a_drop",
    "book_after_a_gap",
    "book_in_sync",
    "order_limit",
    "weight_limit",
    "ban",
)
"""The rows of the matrix, in the order in which they run."""
LANES: Final = {
    "trade": tuple(n for n in SCENARIOS if n not in {"book_in_sync", "order_limit", "weight_limit", "ban"}),
    "book": ("book_in_sync",),
    "limits": ("order_limit", "weight_limit", "ban"),
}
"""Scenarios that share a simulator. A banned address, or a long watch, must not disturb the others."""
MARK: Final = "@result "
"""Begins each line that is meant for the runner; clients may print what they like."""
SCENARIO_S: Final = 45.0
OFFENCES_MAX: Final = 400
"""Requests after which a limit that does not bite is a failure."""


class ScenarioError(AssertionError):
    """The scenario did not go as it must."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise ScenarioError(what)


def same(found: object, wanted: object, what: str) -> None:
    expect(found == wanted, f"{what}: {found!r}, wanted {wanted!r}")


async def refused(call: Callable[[], Awaitable[Any]], kind: type[BaseException], *words: str) -> BaseException:
    """The exception of exactly this class that the call ends with; each word must be found in its text."""
    try:
        answer = await call()
    except Exception as error:
        expect(type(error) is kind, f"raised {type(error).__name__}, not {kind.__name__}: {error}")
        text = f"{error} {vars(error)}"
        missing = [word for word in words if word not in text]
        expect(not missing, f"{missing} not in {text}")
        return error
    raise ScenarioError(f"accepted: {str(answer)[:200]}")


async def until(condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """What the condition gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        expect(time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(0.02)
    return found


class Bench:
    """The simulator under the client: where it is, and what it knows."""

    def __init__(self, address: dict[str, Any]) -> None:
        self.rest = f"http://127.0.0.1:{address['port']}"
        self.ws = f"ws://127.0.0.1:{address['port']}"
        self.ws_api = f"{self.ws}/ws-api/v3"
        self.control = f"http://127.0.0.1:{address['control_port']}"
        self.key: str = address["key"]
        self.secret: str = address["secret"]
        self.book_s: float = address["book_s"]
        self._ids = 0

    def state(self, symbol: str = SYMBOL) -> dict[str, Any]:
        """What the venue says of one instrument at this moment."""
        found: dict[str, Any] = self._ask("state")["instruments"][symbol]
        return found

    def best(self) -> tuple[Decimal, Decimal]:
        one = self.state()
        return Decimal(one["bid"]), Decimal(one["ask"])

    async def another_ask(self, price: Decimal) -> None:
        """Until the best offer is no longer at this price."""
        await until(lambda: self.best()[1] != price, "another best price")

    def away(self, side: str, percent: int = 5) -> Decimal:
        """A price that will not trade while a scenario lasts."""
        bid, ask = self.best()
        price = bid * (100 - percent) / 100 if side == "BUY" else ask * (100 + percent) / 100
        return price.quantize(TICK)

    def ledger(self) -> dict[str, Any]:
        accounts = self._ask("ledger")["accounts"]
        found: dict[str, Any] = accounts["primary"]
        return found

    def too_much(self) -> Decimal:
        """More of the base asset than the account has."""
        return (Decimal(self.ledger()["balances"]["BTC"]["free"]) + 1).quantize(TICK)

    def requests(self) -> list[dict[str, Any]]:
        """What the venue recorded of orders and cancels."""
        found: list[dict[str, Any]] = self._ask("orders")["requests"]
        return found

    def fault(self, kind: str, **more: object) -> None:
        self._ask("faults", {"kind": kind, **more})

    def new_id(self) -> str:
        self._ids += 1
        return f"scenario-{os.getpid()}-{self._ids}"

    def _ask(self, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.control}/{path}", data, timeout=10) as answer:  # noqa: S310 - loopback
            found: dict[str, Any] = json.load(answer)
            return found


class BookCheck:
    """Compares a client's book with the venue's own best prices wherever both stand at the same update."""

    def __init__(self, bench: Bench) -> None:
        self.equal = 0
        self.seen = 0
        self._bench = bench

    def compare(self, update_id: int, bid: object, ask: object) -> None:
        self.seen += 1
        venue = self._bench.state()
        if venue["update_id"] == update_id:  # else the market has moved on between the message and the question
            ours, theirs = (Decimal(str(bid)), Decimal(str(ask))), (Decimal(venue["bid"]), Decimal(venue["ask"]))
            same(ours, theirs, f"best prices at update {update_id}")
            self.equal += 1

    def verdict(self, seconds: float) -> None:
        """Ten messages a second are sent; that hardly any was compared is not success."""
        expect(self.seen >= 5 * seconds, f"only {self.seen} updates in {seconds:.0f} s")
        expect(self.equal >= seconds / 2, f"only {self.equal} of {self.seen} updates could be compared")


class Told(NamedTuple):
    """An order as the venue tells it when asked."""

    status: str
    quantity: Decimal
    executed: Decimal
    prevented: Decimal

    @property
    def loss(self) -> Prevented:
        rest = self.prevented and self.prevented == self.quantity - self.executed and self.quantity == BID
        return Prevented(self.status == "EXPIRED_IN_MATCH", REST if rest else self.prevented)


class Suite:
    """Scenarios of one client: a coroutine for each name; what follows a space in the name is its argument."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def open(self) -> None:
        """Make the client."""

    async def close(self) -> None:
        """Leave nothing behind."""

    async def after(self) -> None:
        """Runs after each scenario; raises for what the scenario itself cannot see."""

    async def place(self, side: str, price: Decimal, quantity: Decimal, tif: str, mode: str) -> Any:
        """A limit order with this mode of self-trade prevention; its id."""
        raise NotImplementedError

    async def told(self, order_id: Any) -> Told:
        raise NotImplementedError

    async def end(self, order_id: Any) -> None:
        """Cancel it."""
        raise NotImplementedError

    async def self_trade(self, mode: str) -> None:
        """We take all that is offered at the best price, and sell into what is left of our own bid there."""
        for _ in range(10):  # the price may step away between the question and the orders
            price = self.bench.best()[1]
            bid = await self.place("BUY", price, BID, "GTC", mode)
            before = await self.told(bid)
            sold = await self.place("SELL", price, SOLD, "IOC", mode)
            maker, taker = await self.told(bid), await self.told(sold)
            try:
                await self.end(bid)
            except Exception as error:  # it has ended: by prevention, or taken by the market
                expect("Unknown order" in str(error), f"cancel: {error}")
            ours = maker.executed - before.executed == taker.executed == (SOLD if mode == "NONE" else NOTHING)
            if before.status == "PARTIALLY_FILLED" and ours:
                same((maker.loss, taker.loss), SELF_TRADES[mode], f"what is prevented of {maker} and {taker}")
                return
            # more was offered there than we bid for, or others came between: the same price would go the same way
            await self.bench.another_ask(price)
        expect(False, "our two orders never met")


async def _one(suite: Suite, name: str) -> str:
    """Why the scenario failed; empty when it passed."""
    limit_s = SCENARIO_S + (suite.bench.book_s if name == "book_in_sync" else 0)
    try:
        async with asyncio.timeout(limit_s):
            work, *arguments = name.split()
            await getattr(suite, work)(*arguments)
            await suite.after()
    except ScenarioError as error:
        return str(error)
    except TimeoutError:
        return f"not done within {limit_s:.0f} s"
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


async def _run(make: Callable[[Bench], Suite], wanted: list[str], address: dict[str, Any]) -> None:
    suite = make(Bench(address))
    await suite.open()
    try:
        for name in wanted:
            start = time.monotonic()
            reason = await _one(suite, name)
            result = {"name": name, "reason": reason, "seconds": time.monotonic() - start}
            print(MARK + json.dumps(result), flush=True)
            suite.bench.fault("clear")
    finally:
        await suite.close()


def main(make: Callable[[Bench], Suite]) -> None:
    """Run the scenarios that the environment names, against the simulator that it names."""
    task = json.loads(os.environ["RINGFENCE_CLIENT_TASK"])
    asyncio.run(_run(make, task["wanted"], task["address"]))
    sys.stdout.flush()
    os._exit(0)  # some clients leave threads behind that would wait for ever
