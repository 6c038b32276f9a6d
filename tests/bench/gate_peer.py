"""NautilusTrader's RiskEngine for `gate.py`: same orders, a cash account that can pay for them, all its checks on.

Speaks JSON lines on standard input and output. Runs in an environment of its own (`make bench-gate`); nothing of
ours is imported here.
"""

import json
import sys
import time
from decimal import Decimal
from typing import Any

from nautilus_trader.accounting.factory import AccountFactory
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OrderSide, TimeInForce
from nautilus_trader.model.events import AccountState
from nautilus_trader.model.identifiers import AccountId, StrategyId, TraderId
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.config import RiskEngineConfig
from nautilus_trader.risk.engine import RiskEngine
from nautilus_trader.test_kit.providers import TestInstrumentProvider

RATE = "1000000/00:00:01"


class Bench:
    def __init__(self, orders: list[tuple[str, str, str]], batch: int) -> None:
        self.batch = batch
        self.accepted = 0
        self.denied = 0
        clock = LiveClock()
        trader = TraderId("BENCH-001")
        bus = MessageBus(trader_id=trader, clock=clock)
        cache = Cache(database=None)
        instrument = TestInstrumentProvider.btcusdt_binance()
        config = RiskEngineConfig(
            max_order_submit_rate=RATE,
            max_order_modify_rate=RATE,
            max_notional_per_order={str(instrument.id): 1_000_000},
        )
        portfolio = Portfolio(msgbus=bus, cache=cache, clock=clock)
        self.engine = RiskEngine(portfolio=portfolio, msgbus=bus, cache=cache, clock=clock, config=config)
        other = MessageBus(trader_id=trader, clock=clock)  # an endpoint is registered once
        other.register("ExecEngine.execute", self._accept)
        bypass = RiskEngineConfig(bypass=True)
        self.bypassed = RiskEngine(portfolio=portfolio, msgbus=other, cache=cache, clock=clock, config=bypass)
        self.bypassed.start()
        bus.register("ExecEngine.execute", self._accept)
        bus.register("ExecEngine.process", self._deny)
        cache.add_instrument(instrument)
        cache.add_quote_tick(
            QuoteTick(
                instrument_id=instrument.id,
                bid_price=Price.from_str("61840.00"),
                ask_price=Price.from_str("61840.01"),
                bid_size=Quantity.from_str("1.000000"),
                ask_size=Quantity.from_str("1.000000"),
                ts_event=0,
                ts_init=0,
            )
        )
        cache.add_account(AccountFactory.create(_rich(instrument.id.venue.value)))
        self.engine.start()
        strategy = StrategyId("S-001")
        factory = OrderFactory(trader_id=trader, strategy_id=strategy, clock=clock)
        self.factory, self.instrument, self.trader, self.strategy = factory, instrument, trader, strategy
        self.clock = clock
        self.wanted = [
            (
                OrderSide.BUY if side == "BUY" else OrderSide.SELL,
                instrument.make_qty(Decimal(quantity)),
                instrument.make_price(Decimal(price)),
            )
            for side, quantity, price in orders
        ]
        self.commands = [self._command(*one) for one in self.wanted]

    def _command(self, side: Any, quantity: Any, price: Any) -> Any:
        order = self.factory.limit(
            instrument_id=self.instrument.id,
            order_side=side,
            quantity=quantity,
            price=price,
            time_in_force=TimeInForce.GTC,
        )
        return SubmitOrder(
            trader_id=self.trader,
            strategy_id=self.strategy,
            order=order,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
        )

    def _accept(self, _command: Any) -> None:
        self.accepted += 1

    def _deny(self, event: Any) -> None:
        self.denied += 1
        print(event, file=sys.stderr)

    def round(self, kind: str) -> list[float]:
        """Microseconds an order, one figure per batch. ``factory``: the command is made, and executed; ``execute``: it
        is executed; ``bypassed``: it is handed over only."""
        took = []
        engine = self.engine if kind != "bypassed" else self.bypassed
        execute, command_of = engine.execute, self._command
        self.accepted = self.denied = 0
        for start in range(0, len(self.commands), self.batch):
            if kind == "factory":
                wanted = self.wanted[start : start + self.batch]
                before = time.perf_counter_ns()
                for side, quantity, price in wanted:
                    execute(command_of(side, quantity, price))
            else:
                some = self.commands[start : start + self.batch]
                before = time.perf_counter_ns()
                for command in some:
                    execute(command)
            took.append((time.perf_counter_ns() - before) / 1_000 / min(self.batch, len(self.commands) - start))
        if self.denied or self.accepted != len(self.commands):
            raise SystemExit(f"it accepted {self.accepted} and denied {self.denied}: the comparison is void")
        return took


def _rich(venue: str) -> AccountState:
    def balance(amount: int, currency: Any) -> AccountBalance:
        money = Money(amount, currency)
        return AccountBalance(total=money, locked=Money(0, currency), free=money)

    return AccountState(
        account_id=AccountId(f"{venue}-001"),
        account_type=AccountType.CASH,
        base_currency=None,
        reported=True,
        balances=[balance(1_000_000, USDT), balance(100, BTC)],
        margins=[],
        info={},
        event_id=UUID4(),
        ts_event=0,
        ts_init=0,
    )


def main() -> None:
    bench: Bench | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if bench is None:
            bench = Bench([tuple(one) for one in request["orders"]], request["batch"])
            print(json.dumps({"ready": True}), flush=True)
        else:
            print(json.dumps({"took": bench.round(request["round"])}), flush=True)


if __name__ == "__main__":
    main()
