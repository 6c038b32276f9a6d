"""Tightening cancels the working orders above it, whichever limit of positions it was, and no order too many."""

from typing import Any

import msgspec
import pytest

from gatebench import ordinary
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.outputs import Cancel
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Track
from ringfence.venues import api
from ringfence.wire.messages import FeedStatus, Intent, Quote, ReplaceIntent

WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
SYMBOL, OTHER = "BTCUSDT", "ETHUSDT"
LOT = money("0.1")
PRICE = money("50000")
LIMITS = msgspec.structs.replace(ordinary.LIMITS, order_collar_bps=money("500"))


class Rig:
    """A manager whose venue takes everything, and a position of 0.1 for 5,000."""

    def __init__(self) -> None:
        self.gate = Gate(ordinary.active_guard(WALL), (SYMBOL, OTHER))
        for symbol, market in self.gate.markets.items():
            market.instrument = ordinary.rules(symbol)
            market.quote(Quote(symbol, 1, WALL, PRICE, LOT, PRICE + money("0.01"), LOT), MONO)
            market.status(FeedStatus(symbol, WALL, True, ""), MONO)
        self.manager = Changes(self.gate, prefix("n", "s"), "USDT", 0)
        self.manager.fence = 1
        self.tighten()
        slot = self.gate.tracks["stable"].slot(self.gate.markets[SYMBOL])
        slot.position = LOT
        slot.settle()

    def tighten(self, **limits: Any) -> None:
        found = msgspec.structs.replace(LIMITS, **limits)
        track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
        allocation = Allocation(epoch=1, tracks=(track,), limits=found)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)

    def measure(self) -> None:
        for owner in (self.gate.account, self.gate.tracks["stable"]):
            owner.lost(equity=money("100000"), loss=0, losses=())

    def buy(self, number: int, symbol: str = SYMBOL) -> str:
        """Client id of an order for about 5,000."""
        price = PRICE - money(str(number))
        kind, lasts = OrderType.LIMIT, TimeInForce.GTC
        intent = Intent(f"i{number}", "stable", symbol, Side.BUY, kind, lasts, LOT, price, False, WALL)
        assert self.manager.intent(intent, "k", WALL, MONO)
        name = list(self.manager.orders)[-1]
        self.manager.submitted(name, api.Accepted(f"v-{name}"), WALL, MONO)
        return name

    def cancels(self) -> list[str]:
        outputs = self.manager.cancel_excess(WALL, MONO)
        return [output.client_order_id for output in outputs if isinstance(output, Cancel)]


@pytest.mark.parametrize(
    ("tighter", "kept"),
    [
        ({"position_per_instrument": money("10001")}, 1),
        ({"position_gross": money("15001")}, 2),
        ({"position_net": money("10001")}, 1),
        ({"position_leverage": money("0.16")}, 2),
        ({"position_concentration_percent": money("11")}, 1),
        ({"position_sector_percent": money("16")}, 2),
        ({"order_quantity_max": LOT - 1}, 0),
        ({"order_value_max": money("4999")}, 0),
        ({"position_open_positions": 1}, 3),
    ],
)
def test_tightening_any_limit_cancels_what_is_above_it(tighter: dict[str, Any], kept: int) -> None:
    """Three orders of 5,000 each beside a position of 5,000; the newest go first, and once."""
    rig = Rig()
    names = [rig.buy(number) for number in (1, 2, 3)]
    rig.measure()
    rig.tighten(**tighter)
    assert rig.cancels() == names[kept:][::-1]
    assert rig.cancels() == []
    slot = rig.gate.tracks["stable"].slots[SYMBOL]
    assert (slot.position, slot.buys, slot.worst) == (LOT, 3 * LOT, 4 * LOT), "looking leaves no trace"


def test_what_only_the_sum_of_instruments_breaks_cancels_the_newest_of_any() -> None:
    rig = Rig()
    first, second = rig.buy(1), rig.buy(2, OTHER)
    rig.tighten(position_open_positions=1)
    assert rig.cancels() == [second]
    rig.tighten(position_gross=money("5001"), position_per_instrument=money("5001"))
    assert rig.cancels() == [first]


def test_of_an_order_and_its_replacement_the_larger_counts() -> None:
    """Only one of them can execute: both fit where one does."""
    rig = Rig()
    rig.buy(1)
    rig.manager.replace_intent(ReplaceIntent("i2", "i1", "stable", LOT, PRICE - money("5"), 0, WALL), "k", WALL, MONO)
    assert len(rig.manager.live) == 2
    rig.tighten(position_per_instrument=money("10001"))
    assert rig.cancels() == []
    rig.tighten(position_per_instrument=money("9999"))
    assert rig.cancels() == list(rig.manager.live)[::-1]


def test_of_instruments_that_are_too_alike_the_newest_orders_go_once_that_is_known() -> None:
    rig = Rig()
    name = rig.buy(1, OTHER)
    rig.tighten(position_correlation=money("0.7"))
    assert rig.cancels() == []
    rig.gate.markets[OTHER].correlations = {SYMBOL: money("0.8")}
    assert [o.client_order_id for o in rig.manager.tick(WALL, MONO) if isinstance(o, Cancel)] == [name]


@pytest.mark.parametrize(
    "limit", [{"position_value_at_risk": money("233")}, {"position_expected_shortfall_percent": money("0.27")}]
)
def test_of_what_a_day_may_cost_the_newest_orders_go_once_that_is_known(limit: dict[str, int]) -> None:
    """5,000 are held and 10,000 ordered: of 10,000 that move by one percent a day, 233 are at risk."""
    rig = Rig()
    first, second = rig.buy(1), rig.buy(2)
    rig.measure()
    rig.tighten(**limit)
    assert rig.cancels() == []
    rig.gate.markets[SYMBOL].volatility = money("0.01")
    assert [o.client_order_id for o in rig.manager.tick(WALL, MONO) if isinstance(o, Cancel)] == [second]
    assert first in rig.manager.live


@pytest.mark.parametrize("known", [{}, {OTHER: money("0.1")}])
def test_a_past_that_nobody_knows_keeps_no_other_limit_from_cancelling(known: dict[str, int]) -> None:
    """As of an instrument that is alone, or has not been listed for long."""
    rig = Rig()
    rig.tighten(position_correlation=money("0.7"))
    rig.gate.markets[SYMBOL].correlations = known
    name = rig.buy(1)
    assert rig.cancels() == []
    rig.tighten(position_correlation=money("0.7"), position_gross=money("9999"))
    assert rig.cancels() == [name]


def test_tightening_cancels_also_while_nobody_offers() -> None:
    rig = Rig()
    name = rig.buy(1)
    rig.gate.markets[SYMBOL].quote(Quote(SYMBOL, 2, WALL, PRICE, LOT, 0, 0), MONO)
    rig.tighten(position_gross=money("9999"))
    assert rig.cancels() == [name]


def test_what_cannot_be_judged_yet_is_cancelled_once_it_can() -> None:
    """A share of an equity that is not known is no limit to cancel by; nor is a value without a price."""
    rig = Rig()
    name = rig.buy(1)
    rig.tighten(position_leverage=money("0.01"))
    assert rig.cancels() == []
    assert rig.manager.tick(WALL, MONO) == []
    rig.measure()
    assert [o.client_order_id for o in rig.manager.tick(WALL, MONO) if isinstance(o, Cancel)] == [name]
    assert rig.manager.tick(WALL, MONO) == []
