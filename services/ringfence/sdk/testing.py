"""Test a strategy with literal events: no sockets, no sleeping, the same engine as live.

    driver = Driver(MovingAverageCross, {"fast": "2"}, [instrument("BTCUSDT", "BTC", "USDT")])
    driver.quote("BTCUSDT", bid="100.00", ask="100.01")
    driver.advance(1.0)
    [order] = driver.quote("BTCUSDT", bid="101.00", ask="101.01")
    driver.fill(order)
    assert driver.context.position("BTCUSDT") == units("0.01")

Numbers are given as texts (exact) or as scaled integers. An exception in a hook is raised here as it was.
"""

from collections.abc import Iterable, Mapping
from itertools import count

from ringfence.model.instrument import Instrument
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    Filled,
    OrderEvent,
    Rejected,
    Side,
    Submitted,
)
from ringfence.sdk.context import Context
from ringfence.sdk.strategy import Strategy
from ringfence.sdk.units import units
from ringfence.strategy.engine import Outputs, StrategyEngine
from ringfence.wire.intents import initialized
from ringfence.wire.messages import (
    AnyMessage,
    BookTop,
    CancelIntent,
    FeedStatus,
    InstrumentRules,
    Intent,
    MassCancelIntent,
    OrderUpdate,
    PairIntent,
    Quote,
    ReduceIntent,
    ReplaceIntent,
    Trade,
)

START_NS = 1_700_000_000_000_000_000
GATE = "test-gate"
Number = str | int
"""A text is exact; an integer is scaled already."""


def instrument(
    symbol: str,
    base: str,
    quote: str,
    *,
    tick: Number = "0.01",
    lot: Number = "0.00001",
    quantity_min: Number = "0.00001",
    quantity_max: Number = "9000",
    notional_min: Number = "5",
) -> Instrument:
    """An instrument with a venue's rules; the defaults are those of BTCUSDT at a large venue."""
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=_scaled(tick),
        lot=_scaled(lot),
        quantity_min=_scaled(quantity_min),
        quantity_max=_scaled(quantity_max),
        notional_min=_scaled(notional_min),
    )


class Driver:
    """A strategy, a market and a gate that do what the test says. Returns what the strategy asked for, each time."""

    def __init__(
        self, strategy: type[Strategy], parameters: Mapping[str, str], instruments: Iterable[Instrument]
    ) -> None:
        """Starts the strategy flat, with usable data. Raises ParameterError."""
        self.now_ns = START_NS
        self.intents: list[Intent] = []
        """Everything asked for so far."""
        self.cancels: list[CancelIntent] = []
        self.changes: list[ReplaceIntent | ReduceIntent | MassCancelIntent] = []
        self._sequence = count(1)
        self._known = {one.symbol: one for one in instruments}
        self._unusable: dict[str, str] = {}
        self._orders: dict[str, str] = {}
        self._trade_ids = count(1)
        self.engine = StrategyEngine(
            strategy,
            parameters,
            track="stable",
            revision="test",
            session=START_NS,
            symbols=tuple(self._known),
        )
        for one in self._known.values():
            self._handle(InstrumentRules("test", one))
        self._collect(self.engine.orders_current(self.now_ns))

    @property
    def context(self) -> Context:
        """What the strategy sees."""
        return self.engine.desk

    def advance(self, seconds: float) -> None:
        """Move time on; the next event happens then."""
        self.now_ns += round(seconds * 1_000_000_000)

    # --- the market

    def quote(
        self, symbol: str, *, bid: Number, ask: Number, bid_quantity: Number = "1", ask_quantity: Number = "1"
    ) -> list[Intent]:
        """A new best bid and ask."""
        return self._market(
            symbol,
            Quote(
                symbol,
                next(self._sequence),
                self.now_ns,
                _scaled(bid),
                _scaled(bid_quantity),
                _scaled(ask),
                _scaled(ask_quantity),
            ),
        )

    def book(
        self, symbol: str, *, bids: Iterable[tuple[Number, Number]], asks: Iterable[tuple[Number, Number]]
    ) -> list[Intent]:
        """New best levels, best first, each price and quantity."""
        levels = [tuple((_scaled(price), _scaled(quantity)) for price, quantity in side) for side in (bids, asks)]
        return self._market(
            symbol, BookTop(symbol, next(self._sequence), self.now_ns, self.now_ns, levels[0], levels[1])
        )

    def trade(self, symbol: str, *, price: Number, quantity: Number, aggressor: Side = Side.BUY) -> list[Intent]:
        """Somebody traded."""
        return self._market(
            symbol,
            Trade(
                symbol,
                next(self._sequence),
                self.now_ns,
                self.now_ns,
                _scaled(price),
                _scaled(quantity),
                aggressor,
            ),
        )

    def data_lost(self, symbol: str, reason: str = "gap: resyncing") -> None:
        """The instrument's data may not be traded on, until ``data_back``."""
        self._unusable[symbol] = reason
        self._handle(FeedStatus(symbol, self.now_ns, usable=False, reason=reason))

    def data_back(self, symbol: str) -> None:
        del self._unusable[symbol]

    # --- the gate and the venue

    def accept(self, intent: Intent) -> list[Intent]:
        """The order works at the venue."""
        return self._update(Accepted(client_order_id=self._order(intent), ts=self.now_ns, venue_order_id="1"))

    def deny(self, intent: Intent, *reasons: str) -> list[Intent]:
        """The gate refuses."""
        client_id = self._initialized(intent)
        return self._update(Denied(client_order_id=client_id, ts=self.now_ns, reasons=reasons))

    def reject(self, intent: Intent, reason: str) -> list[Intent]:
        """The venue refuses."""
        return self._update(Rejected(client_order_id=self._order(intent), ts=self.now_ns, reason=reason))

    def fill(
        self,
        intent: Intent,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        commission: Number = 0,
        commission_asset: str = "",
    ) -> list[Intent]:
        """The order executes, all of it at its limit price unless told otherwise."""
        filled = Filled(
            client_order_id=self._order(intent),
            ts=self.now_ns,
            trade_id=str(next(self._trade_ids)),
            price=intent.price if price is None else _scaled(price),
            quantity=intent.quantity if quantity is None else _scaled(quantity),
            commission=_scaled(commission),
            commission_asset=commission_asset,
            maker=False,
        )
        return self._update(filled)

    def expire(self, intent: Intent, reason: str = "") -> list[Intent]:
        """What is left of the order is gone, as the rest of an IOC is."""
        return self._update(Expired(client_order_id=self._order(intent), ts=self.now_ns, reason=reason))

    def canceled(self, intent: Intent, reason: str = "") -> list[Intent]:
        """The order is cancelled."""
        return self._update(Canceled(client_order_id=self._order(intent), ts=self.now_ns, reason=reason))

    # --- inside

    def _order(self, intent: Intent) -> str:
        """Client order id of what an intent became; sends it if the test has not yet."""
        if intent.intent_id not in self._orders:
            client_id = self._initialized(intent)
            self._update(Submitted(client_order_id=client_id, ts=self.now_ns))
        return self._orders[intent.intent_id]

    def _initialized(self, intent: Intent) -> str:
        client_id = self._orders[intent.intent_id] = f"c{len(self._orders) + 1}"
        self._update(initialized(client_id, intent, self.now_ns))
        return client_id

    def _update(self, event: OrderEvent) -> list[Intent]:
        return self._handle(OrderUpdate(GATE, next(self._sequence), "stable", event))

    def _market(self, symbol: str, message: Quote | BookTop | Trade) -> list[Intent]:
        reason = self._unusable.get(symbol, "")
        self._handle(FeedStatus(symbol, self.now_ns, usable=not reason, reason=reason))
        return self._handle(message)

    def _handle(self, message: AnyMessage) -> list[Intent]:
        return self._collect(self.engine.handle(message, self.now_ns))

    def _collect(self, outputs: Outputs) -> list[Intent]:
        if self.engine.error is not None:
            raise self.engine.error
        intents: list[Intent] = []
        for output in outputs:
            if isinstance(output, PairIntent):
                intents += [output.first, output.second]
            elif isinstance(output, Intent):
                intents.append(output)
        self.changes += [o for o in outputs if isinstance(o, ReplaceIntent | ReduceIntent | MassCancelIntent)]
        self.intents += intents
        self.cancels += [output for output in outputs if isinstance(output, CancelIntent)]
        return intents


def _scaled(number: Number) -> int:
    return units(number) if isinstance(number, str) else number
