"""What most tests of the gate have in common: an instrument, limits, and a guard that lets all pass. Pure."""

from typing import Any, Final

from ringfence.model.instrument import Instrument
from ringfence.model.money import parse
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Limits
from ringfence.runtime.guard import Guard
from ringfence.wire.messages import Intent

LIMITS: Final = Limits(
    order_value_max=parse("50000"),
    order_collar_bps=parse("50"),
    order_messages_per_second=1000,
    order_working_orders=50,
    order_approved_lifetime_ms=50,
    position_per_instrument=parse("1000000"),
    position_gross=parse("1000000"),
    loss_day=parse("1000"),
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
)
"""Those that every gate has; wide in positions and rates."""


def rules(symbol: str) -> Instrument:
    """Of an instrument that is quoted in USDT: a tick of a cent, five of the quote currency at least."""
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=parse("0.01"),
        lot=parse("0.00001"),
        quantity_min=parse("0.00001"),
        quantity_max=parse("1000"),
        notional_min=parse("5"),
    )


def coarse_rules(symbol: str) -> Instrument:
    """Of an instrument that is quoted in USD in whole units, and traded in tenths without any minimum."""
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USD"),
        quote="USD",
        tick=parse("1"),
        lot=parse("0.1"),
        quantity_min=parse("0.1"),
        quantity_max=parse("1000"),
        notional_min=0,
    )


def intent(wall: int, **changes: Any) -> Intent:
    """What the track stable has just decided: to buy 0.1 BTCUSDT at 50,000, where ``changes`` say nothing else."""
    fields: dict[str, Any] = {
        "intent_id": "i1",
        "track": "stable",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": parse("0.1"),
        "price": parse("50000"),
        "reduce_only": False,
        "ts_decided": wall,
    }
    return Intent(**(fields | changes))


def active_guard(wall: int) -> Guard:
    """Of a gate that has seen its switch released, and is reconciled."""
    guard = Guard("s", {}, [], wall)
    guard.switches_listed([{"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}], wall)
    guard.reconciled(1, wall)
    return guard
