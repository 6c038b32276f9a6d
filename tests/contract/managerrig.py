"""A gate and its order manager with no host: what they put out is kept, as a journal keeps it."""

from typing import Any

import msgspec

from gatebench import ordinary
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.outputs import Output
from ringfence.execution.reconcile import entries
from ringfence.model.money import parse as money
from ringfence.model.orders import Denied, Filled, OrderState, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Track
from ringfence.venues import api
from ringfence.wire.messages import FeedStatus, Intent, PairIntent, Quote, ReplaceIntent

WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
SECOND = 1_000_000_000
VALIDITY = 5 * SECOND
SYMBOL = "BTCUSDT"
LOT = money("0.1")
PRICE = money("50000")
STOP = money("49000")
TARGET = money("51000")
RULES = ordinary.rules(SYMBOL)
LIMITS = msgspec.structs.replace(ordinary.LIMITS, order_collar_bps=money("500"))


class Rig:
    def __init__(self, journal: list[Entry] | None = None) -> None:
        self.gate = Gate(ordinary.active_guard(WALL), (SYMBOL,))
        market = self.gate.markets[SYMBOL]
        market.instrument = RULES
        market.quote(Quote(SYMBOL, 1, WALL, PRICE, LOT, PRICE + money("0.01"), LOT), MONO)
        market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
        self.manager = Changes(self.gate, prefix("n", "s"), "USDT", VALIDITY)
        self.journal: list[Entry] = []
        for entry in journal or []:
            self.manager.replay(entry)
        self.manager.fence += 1
        track = Track(name="stable", revision="abc123", stage="Live", weight=100, grant="g", key="k")
        allocation = Allocation(epoch=1, tracks=(track,), limits=LIMITS)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)
        self.numbers = 0

    def keep(self, outputs: list[Output]) -> list[Output]:
        self.journal += entries(outputs)
        return outputs

    def intent(self, side: Side, kind: OrderType = OrderType.LIMIT, price: int = PRICE, **more: Any) -> Intent:
        self.numbers += 1
        fields: dict[str, Any] = {
            "track": "stable",
            "symbol": SYMBOL,
            "time_in_force": TimeInForce.GTC,
            "quantity": LOT,
            "reduce_only": False,
            "ts_decided": WALL,
        } | more
        return Intent(intent_id=f"i{self.numbers}", side=side, type=kind, price=price, **fields)

    def place(self, intent: Intent) -> str:
        """Client id of an order that the venue has."""
        outputs = self.keep(self.manager.intent(intent, "k", WALL, MONO))
        assert not denials(outputs), outputs
        return self.accept(list(self.manager.orders)[-1])

    def accept(self, name: str) -> str:
        self.keep(self.manager.submitted(name, api.Accepted(f"v-{name}"), WALL, MONO))
        return name

    def hold(self, quantity: int = LOT) -> None:
        """A position, bought."""
        name = self.place(self.intent(Side.BUY, quantity=quantity))
        self.fill(name, quantity, "buy")

    def fill(self, name: str, quantity: int, trade_id: str) -> None:
        event = Filled(client_order_id=name, ts=WALL, trade_id=trade_id, price=PRICE, quantity=quantity,
                       commission=0, commission_asset="USDT", maker=True)  # fmt: skip
        self.keep(self.manager.event(SYMBOL, event))

    def pair(self) -> tuple[list[Output], list[str]]:
        first = self.intent(Side.SELL, OrderType.LIMIT_MAKER, TARGET, reduce_only=True)
        second = self.intent(Side.SELL, OrderType.STOP_LOSS, 0, stop_price=STOP, reduce_only=True)
        outputs = self.keep(self.manager.pair_intent(PairIntent(first, second), "k", WALL, MONO))
        return outputs, list(self.manager.orders)[-2:]

    def replace(self, target: str, quantity: int = LOT, price: int = PRICE - money("10")) -> list[Output]:
        self.numbers += 1
        wanted = ReplaceIntent(f"i{self.numbers}", target, "stable", quantity, price, 0, WALL)
        return self.keep(self.manager.replace_intent(wanted, "k", WALL, MONO))

    def slot(self) -> tuple[int, int, int]:
        slot = self.gate.tracks["stable"].slots[SYMBOL]
        return slot.position, slot.buys, slot.sells

    def state(self, name: str) -> str:
        return str(self.manager.orders[name].state)

    def same_after_replay(self) -> None:
        """The journal alone gives the same orders, exposure and books."""
        other = Rig(self.journal)
        for name, order in self.manager.orders.items():
            if order.state is not OrderState.DENIED:
                found = other.manager.orders[name]
                assert all(getattr(order, field) == getattr(found, field) for field in type(order).__slots__)
        assert other.manager.live.keys() == self.manager.live.keys()
        assert other.manager.books == self.manager.books
        if "stable" in other.gate.tracks and SYMBOL in other.gate.tracks["stable"].slots:
            assert other.slot() == self.slot()


def denials(outputs: list[Output]) -> list[str]:
    return [reason for o in entries(outputs) if isinstance(o.event, Denied) for reason in o.event.reasons]


def report(rig: Rig, name: str, state: OrderState, quantity: int = LOT, filled: int = 0) -> api.OrderReport:
    order = rig.manager.orders[name]
    return api.OrderReport(
        client_order_id=name,
        venue_order_id=f"v-{name}",
        symbol=SYMBOL,
        side=order.side,
        type=order.type,
        time_in_force=TimeInForce.GTC,
        price=order.price,
        quantity=quantity,
        filled=filled,
        state=state,
        ts_venue=WALL,
    )
