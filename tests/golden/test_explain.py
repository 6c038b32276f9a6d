"""What `kubectl ringfence explain` prints, word for word: `make golden` writes it anew, read the diff."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ringfence.execution import explain
from ringfence.model.money import parse
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Filled,
    Initialized,
    OrderEvent,
    OrderType,
    OutcomeUnknown,
    PendingCancel,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.wire.explain import Life, decode, encode
from ringfence_cli import life

EXPECTED = Path(__file__).parent / "expected" / "explain"
START = 1_795_262_400_000_000_000
MILLISECOND = 1_000_000
CLIENT_ID = "rf0a1b2c3d5f2a90-2-1k"
INTENT = "5f2a90-1795262400-17"


def at(ms: float) -> dict[str, Any]:
    return {"client_order_id": CLIENT_ID, "ts": START + int(ms * MILLISECOND)}


def wanted(**more: Any) -> Initialized:
    fields: dict[str, Any] = {
        "intent_id": INTENT,
        "track": "stable",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": parse("0.25"),
        "price": parse("61842.35"),
    }
    return Initialized(**at(0), **(fields | more))


def filled(ms: float, trade: str, quantity: str, price: str) -> Filled:
    return Filled(
        **at(ms),
        trade_id=trade,
        price=parse(price),
        quantity=parse(quantity),
        commission=parse("0.01"),
        commission_asset="USDT",
        maker=True,
    )


PASSED = Submitted(**at(0), grant="momentum-limits-9be31c07aa", allocation=7, epoch=3)
LIVES: dict[str, list[OrderEvent]] = {
    "filled": [
        wanted(),
        PASSED,
        Accepted(**at(1.91), venue_order_id="4711", ts_venue=START + MILLISECOND),
        filled(250.5, "90001", "0.1", "61842.35"),
        filled(251.125, "90002", "0.15", "61842.35"),
    ],
    "refused": [
        wanted(reduce_only=True),
        Denied(
            **at(0),
            reasons=(
                "PRICE_BEYOND_COLLAR price=61842.35 limit=61203.5 best=60899",
                "POSITION_EXCEEDED track=stable worst=15460.5 limit=15000",
                "LOSSES_CONSECUTIVE track=stable losses=8 limit=8",
            ),
        ),
    ],
    "unknown-then-late": [
        wanted(),
        PASSED,
        OutcomeUnknown(**at(5000), reason="timed out"),
        PendingCancel(**at(5001), reason="KillSwitch momentum: bad ticks"),
        Canceled(**at(5007.2), reason="NEVER_ARRIVED the venue does not know it"),
        filled(5009, "90003", "0.05", "61842.35"),
        filled(5009, "90003", "0.05", "61842.35"),
    ],
    "closed-by-hand-and-cancelled": [
        wanted(intent_id="hand-5f2a90", side=Side.SELL, reduce_only=True, reason="by hand: alice: runaway position"),
        PASSED,
        Accepted(**at(1.91), venue_order_id="4711", ts_venue=START + MILLISECOND),
        PendingCancel(**at(700), reason="asked for by the strategy"),
        PendingCancel(**at(800), reason="by hand: bob: priced too low"),
        Canceled(**at(803)),
    ],
    "only-the-end": [Canceled(**at(3), reason="told when asked")],
}


def told(events: list[OrderEvent]) -> Life:
    pages = [[(40 + 3 * number, Entry("stable", event)) for number, event in enumerate(events)]]
    found = explain.life("sim-execution", explain.find(pages, CLIENT_ID))
    return decode(encode(found))


@pytest.mark.parametrize("name", sorted(LIVES))
def test_the_life_of_an_order(name: str, request: pytest.FixtureRequest) -> None:
    """Intent, decision with every failed check or the limits it passed under, journal numbers, answers, anomalies."""
    console = Console(file=io.StringIO(), width=150, no_color=True, highlight=False)
    console.print(life.life(told(LIVES[name])))
    assert isinstance(console.file, io.StringIO)
    text = "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())
    path = EXPECTED / f"{name}.txt"
    if request.config.getoption("--rewrite-golden", default=False):
        EXPECTED.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text
