"""A warm gate: it has just cleared plain orders without judging them, so its bounds are computed.

The venue is the test; far from every limit until the test says otherwise.
"""

from typing import Any

import msgspec

from gatebench import ordinary
from gatebench.stoprig import BTC, LIMITS, ONE, PRICE, SECOND, WALL, Rig
from ringfence.execution.grants import allocate
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Track
from ringfence.wire.messages import BookTop, Intent, Quote

TICK = money("0.01")
BID, ASK = PRICE, PRICE + TICK
SELL: dict[str, Any] = {"side": Side.SELL, "price": ASK}
TAKE: dict[str, Any] = {"price": ASK, "time_in_force": TimeInForce.IOC}
HIT: dict[str, Any] = {"side": Side.SELL, "price": BID, "time_in_force": TimeInForce.IOC}
MARKET: dict[str, Any] = {"type": OrderType.MARKET, "price": 0}


class Warm(Rig):
    """Two tracks and two instruments, far from every limit; counts what is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = WALL
        self.manager.capital = money("1000000")
        self.gate.hold(self.balances)
        self.manager.evaluate(WALL)
        for track in ("stable", "candidate"):
            self.gate.tracks[track].slot(self.gate.markets[BTC])
        self.judge = self.gate.judge
        self.gate.judge = self._judge  # type: ignore[method-assign]
        self.judged = 0
        for order in ({}, SELL, TAKE, HIT, MARKET, {"track": "candidate"}):
            self.ask(**order)
            assert self.cleared(**order), order

    def _judge(self, intent: Intent, wall: int, mono: int, *, closing: bool = False) -> list[str]:
        self.judged += 1
        return self.judge(intent, wall, mono, closing=closing)

    def ask(self, **changes: Any) -> list[str]:
        """The codes of a small order's refusals. What is cleared must pass each check."""
        intent = ordinary.intent(self.wall, **{"quantity": money("0.02")} | changes)
        found = self.gate.check(intent, self.wall, self.mono)
        assert found == self.judge(intent, self.wall, self.mono)
        return [reason.partition(" ")[0] for reason in found]

    def cleared(self, **changes: Any) -> bool:
        """Does it pass, and without a closer look?"""
        before = self.judged
        return self.ask(**changes) == [] and self.judged == before

    def limit(self, *, whole: bool = True, **limits: Any) -> None:
        """A new allocation and grants; where not ``whole``, the grants are the tighter ones and the account is wide."""
        found = msgspec.structs.replace(LIMITS, **limits)
        current = found if whole else LIMITS
        tracks = tuple(
            Track(name=name, revision=f"{name[:1]}bc123de", stage="Live", weight=100, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        document = Allocation(epoch=2, tracks=tracks, limits=current)
        allocate(self.gate.tracks, self.gate.account, document, {"g": found}, paper=False)

    def obey(self, **changes: Any) -> None:
        """New rules of the venue."""
        self.gate.markets[BTC].instrument = msgspec.structs.replace(ordinary.rules(BTC), **changes)

    def quote(self, bid: int, ask: int, symbol: str = BTC) -> None:
        self.gate.markets[symbol].quote(Quote(symbol, 1, WALL, bid, ONE, ask, ONE), self.mono)

    def book(self, level_bid: int = BID, level_ask: int = ASK, visible: int = ONE) -> None:
        book = BookTop(BTC, 1, WALL, WALL, ((level_bid, visible),), ((level_ask, visible),))
        self.gate.markets[BTC].book(book, self.mono)

    def later(self, nanoseconds: int) -> None:
        """Time goes by, and quotes and books go on."""
        self.mono += nanoseconds
        self.wall += nanoseconds
        for market in self.gate.markets.values():
            self.quote(market.bid, market.ask, market.symbol)
            market.book_mono = self.mono

    def holding(self, position: int, *, buys: int = 0, symbol: str = BTC, track: str = "stable") -> None:
        slot = self.gate.tracks[track].slot(self.gate.markets[symbol])
        slot.position, slot.buys = position, buys
        slot.settle()

    def trade(self, quantity: int) -> None:
        """In each of the last seconds."""
        tape = self.gate.markets[BTC].tape
        for second in range(11):
            tape.trade(quantity, self.mono - (10 - second) * SECOND)
