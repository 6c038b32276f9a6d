"""A gate's engines under a stop, without a host: a manager with two tracks and a market; the venue is the test."""

from typing import Any

import msgspec

from gatebench import ordinary
from ringfence.execution.cancelproof import CancelProof
from ringfence.execution.changes import Changes
from ringfence.execution.flatten import SLICE_GAP_NS, Flatten
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.outputs import Cancel, Output
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.state import Slot
from ringfence.model.approved import Approved
from ringfence.model.money import notional
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Canceled,
    Denied,
    Expired,
    Filled,
    Order,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Track
from ringfence.runtime.guard import Guard
from ringfence.venues import api
from ringfence.venues.api import OrderReport, VenueBalance
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote
from ringfence.wire.stops import Place

WALL = 1_700_000_000_000_000_000
MONO = 5_000_000_000_000
SECOND = 1_000_000_000
BTC, ETH = "BTCUSDT", "ETHUSDT"
ONE = money("1")
PRICE = money("50000")
OWNERS = money("10")
LIMITS = msgspec.structs.replace(ordinary.LIMITS, loss_day=money("1000000"))


class Rig:
    """A manager in an active gate with two tracks and a market; the venue is the test."""

    def __init__(self) -> None:
        self.mono = MONO
        self.guard = Guard("s", {}, [], WALL, Place(venue="sim", symbols=(BTC, ETH)))
        self.switch(1)
        self.guard.reconciled(1, WALL)
        self.gate = Gate(self.guard, (BTC, ETH))
        self.manager = Changes(self.gate, prefix("n", "s"), "USDT", SECOND)
        self.manager.fence = 1
        tracks = tuple(
            Track(name=name, revision=f"{name[:1]}bc123de", stage="Live", weight=100, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)
        self.reconciler = Reconciler(self.manager, self.guard)
        self.balances = {
            "BTC": VenueBalance(OWNERS, 0),
            "ETH": VenueBalance(0, 0),
            "USDT": VenueBalance(money("1000000"), 0),
        }
        self.reconciler.first_look(self.balances, {})
        self.proof = CancelProof(self.manager)
        self.flatten = Flatten(self.manager, self.reconciler, self.proof)
        self.sent: list[Approved] = []
        self.numbers = 0
        self.market()

    def market(self, depth: int = money("100"), bid: int = PRICE) -> None:
        for symbol in (BTC, ETH):
            market, ask = self.gate.markets[symbol], bid + money("0.01")
            market.instrument = ordinary.rules(symbol)
            market.quote(Quote(symbol, 1, WALL, bid, depth, ask, depth), self.mono)
            market.book(BookTop(symbol, 1, WALL, WALL, ((bid, depth),), ((ask, depth),)), self.mono)
            market.status(FeedStatus(symbol, WALL, True, ""), self.mono)

    def switch(self, generation: int, **spec: Any) -> None:
        meta = {"name": "s", "uid": "u", "generation": generation}
        self.guard.switch_seen({"metadata": meta, "spec": spec}, WALL)

    def part(self, scope: dict[str, list[str]], **spec: Any) -> None:
        meta = {"name": "part", "uid": "p", "generation": 1}
        body = {"systems": ["s"], "scope": scope} | spec
        self.guard.switch_seen({"metadata": meta, "spec": body}, WALL)

    def place(
        self, side: Side, quantity: int, *, symbol: str = BTC, track: str = "stable", away: int = 99, **more: Any
    ) -> str:
        """A working limit order's client id, well away from the market."""
        self.numbers += 1
        price = PRICE * away // 100
        fields: dict[str, Any] = {
            "type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "reduce_only": False,
        } | more
        intent = Intent(
            f"i{self.numbers}",
            track,
            symbol,
            side,
            fields["type"],
            fields["time_in_force"],
            quantity,
            price,
            fields["reduce_only"],
            WALL,
        )
        outputs = self.manager.intent(intent, track, WALL, self.mono)
        (approved,) = ([o for o in outputs if isinstance(o, Approved)],)
        name = approved[0].client_order_id
        self.manager.submitted(name, api.Accepted(f"v{self.numbers}"), WALL, self.mono)
        return name

    def fill(self, name: str, quantity: int, price: int = PRICE) -> None:
        self.numbers += 1
        order = self.manager.orders[name]
        event = Filled(
            client_order_id=name, ts=WALL, trade_id=f"t{self.numbers}", price=price, quantity=quantity, commission=0,
            commission_asset="USDT", maker=False,
        )  # fmt: skip
        self.manager.event(order.symbol, event)
        signed = order.side.sign
        base, quote = order.symbol.removesuffix("USDT"), notional(price, quantity)
        for asset, change in ((base, signed * quantity), ("USDT", -signed * quote)):
            self.balances[asset] = VenueBalance(self.balances[asset].free + change, self.balances[asset].locked)

    def hold(self, quantity: int, *, symbol: str = BTC, track: str = "stable") -> None:
        """Make a track hold something."""
        side = Side.BUY if quantity > 0 else Side.SELL
        left = abs(quantity)
        while left:
            part = min(left, money("0.9"))
            self.fill(self.place(side, part, symbol=symbol, track=track, away=100), part)
            left -= part

    def slot(self, track: str = "stable", symbol: str = BTC) -> Slot:
        return self.gate.tracks[track].slots[symbol]

    def canceled(self) -> list[str]:
        outputs = self.manager.cancel_stopped(WALL, self.mono)
        return [o.client_order_id for o in outputs if isinstance(o, Cancel)]

    def gone(self) -> None:
        """The venue confirms every cancel."""
        for live in list(self.manager.live.values()):
            if live.cancel_wanted:
                self.manager.event(live.order.symbol, Canceled(client_order_id=live.order.client_order_id, ts=WALL))

    def prove(self) -> None:
        for _ in range(2):
            self.proof.tick(self.mono)
            self.mono += SECOND
            self.proof.looked(self.reports(), self.mono, WALL)
        self.market()

    def reports(self) -> tuple[OrderReport, ...]:
        return tuple(report(live.order) for live in self.manager.live.values())

    def step(self) -> list[Approved]:
        """One tick of Flatten; what it sent."""
        self.mono += SLICE_GAP_NS
        self.market_time()
        self.proof.tick(self.mono)
        sent: list[Approved] = []
        for intent in self.flatten.step(self.balances, WALL + self.mono, self.mono):
            outputs: list[Output] = self.manager.close(intent, WALL + self.mono, self.mono)
            denied = [o.event for o in outputs if isinstance(o, Entry) and isinstance(o.event, Denied)]
            assert not denied, denied
            passed = [o for o in outputs if isinstance(o, Approved)]
            self.flatten.sent(intent, "" if passed else "refused", self.mono)
            sent += passed
        self.sent += sent
        return sent

    def market_time(self) -> None:
        for market in self.gate.markets.values():
            if market.quote_mono:
                market.quote(Quote(market.symbol, 1, WALL, market.bid, ONE, market.ask, ONE), self.mono)
                market.book_mono = self.mono
                if not market.unusable:
                    market.status(FeedStatus(market.symbol, WALL, True, ""), self.mono)

    def ended(self, order: Approved, filled: int) -> None:
        """The venue fills a part of an immediate-or-cancel order and expires the rest."""
        name = order.client_order_id
        self.manager.submitted(name, api.Accepted(f"c-{name}"), WALL, self.mono)
        if filled:
            self.fill(name, filled, order.price)
        if filled < order.quantity:
            self.manager.event(order.symbol, Expired(client_order_id=name, ts=WALL))


def report(order: Order) -> OrderReport:
    return OrderReport(
        client_order_id=order.client_order_id, venue_order_id=order.venue_order_id or "v", symbol=order.symbol,
        side=order.side, type=order.type, time_in_force=order.time_in_force, price=order.price,
        quantity=order.quantity, filled=order.filled, state=OrderState.ACCEPTED, ts_venue=WALL,
    )  # fmt: skip
