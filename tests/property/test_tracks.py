"""Two tracks and foreign orders on one account, through weights, handovers, crashes and replays.

Whatever happens: all sub-ledgers together equal what the venue did, to the last digit, and no approved order could
take the account past its limits.
"""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from gatebench import ordinary
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.handover import Handovers
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Cancel, Output
from ringfence.execution.state import FOREIGN
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, notional
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Filled,
    Initialized,
    OrderType,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.model.transfers import Transfer
from ringfence.runtime.config import Allocation, Handover, HandoverMode, Limits, Track
from ringfence.wire.messages import FeedStatus, Intent, Quote

WALL: Final = 1_700_000_000_000_000_000
MONO: Final = 5_000_000_000_000
SYMBOLS: Final = ("AUSD", "BUSD")
LOT: Final = SCALE // 100
TICK: Final = SCALE // 10
LIMITS: Final = Limits(
    order_value_max=5_000 * SCALE,
    order_collar_bps=1_000 * SCALE,
    order_messages_per_second=1_000_000,
    order_working_orders=50,
    order_approved_lifetime_ms=50,
    position_per_instrument=3_000 * SCALE,
    position_gross=4_000 * SCALE,
    loss_day=1_000_000 * SCALE,
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
)
Step = tuple[str, str, str, Side, int, int]
NAMES: Final = ("stable", "candidate")

steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "order", "order", "fill", "fill", "foreign", "weight", "promote", "abort", "crash"]),
        st.sampled_from(NAMES),
        st.sampled_from(SYMBOLS),
        st.sampled_from(list(Side)),
        st.integers(1, 2_000),
        st.integers(0, 7),
    ),
    max_size=60,
)


class Account:
    """The gate's whole state, its journal, and what the venue did, kept apart from it."""

    def __init__(self) -> None:
        self.records: list[Entry | Transfer] = []
        self.venue: dict[str, int] = {}
        self.weight, self.revision, self.number = 25, 0, 0
        self.handovers_wanted: tuple[Handover, ...] = ()
        self.start()

    def start(self) -> None:
        self.gate = Gate(ordinary.active_guard(WALL), SYMBOLS)
        self.manager = Manager(self.gate, prefix("n", "s"), "USD", 0)
        self.handovers = Handovers(self.manager)
        for symbol in SYMBOLS:
            market = self.gate.markets[symbol]
            market.instrument = Instrument(
                symbol=symbol, base=symbol[0], quote="USD", tick=TICK, lot=LOT, quantity_min=LOT,
                quantity_max=1000 * SCALE, notional_min=0,
            )  # fmt: skip
            market.quote(Quote(symbol, 1, WALL, 100 * SCALE, SCALE, 101 * SCALE, SCALE), MONO)
            market.status(FeedStatus(symbol, WALL, True, ""), MONO)
        for record in self.records:
            if isinstance(record, Entry):
                self.manager.replay(record)
                self.handovers.replayed(record)
            else:
                self.handovers.restore(record)
        self.manager.fence += 1
        self.keep(self.handovers.resume())
        self.keep(self.manager.recovered(WALL, MONO))
        self.allocate()

    def keep(self, outputs: list[Output]) -> None:
        self.records += [output for output in outputs if isinstance(output, Entry)]
        for output in outputs:
            if isinstance(output, Cancel) and output.client_order_id in self.manager.live:
                event = Canceled(client_order_id=output.client_order_id, ts=WALL)
                if self.manager.orders[output.client_order_id].venue_order_id:
                    self.keep(self.manager.event(output.symbol, event))

    def allocate(self) -> None:
        tracks = (
            Track(name="stable", revision=f"{self.revision:06}", stage="Live", weight=100, grant="g", key="stable"),
            Track(
                name="candidate", revision=f"{self.revision + 1:06}", stage="Canary", weight=self.weight, grant="g",
                key="candidate",
            ),
        )  # fmt: skip
        allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS, handovers=self.handovers_wanted)
        self.handovers.wanted = self.handovers_wanted
        for _ in range(2):
            held = self.handovers.holds(self.gate.tracks)
            allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False, held=held)
            self.keep(self.manager.cancel_unowned(self.handovers.leaving(), WALL, MONO))
            self.keep(self.manager.cancel_excess(WALL, MONO))
            self.step()

    def step(self) -> None:
        while (made := self.handovers.step(WALL, MONO)) is not None:
            self.records.append(made[0])
            self.keep(made[1])

    def traded(self, symbol: str, side: Side, quantity: int, price: int, fee: int) -> None:
        """What a venue's own books do."""
        amount = notional(price, quantity) * side.sign
        self.venue["USD"] = self.venue.get("USD", 0) - amount
        self.venue[symbol[0]] = self.venue.get(symbol[0], 0) + side.sign * quantity - fee

    def order(self, name: str, symbol: str, side: Side, lots: int) -> None:
        self.number += 1
        price = (101 if side is Side.BUY else 100) * SCALE
        intent = Intent(
            f"i{self.number}", name, symbol, side, OrderType.LIMIT, TimeInForce.GTC, lots * LOT, price, False, WALL
        )
        outputs = self.manager.intent(intent, name, WALL, MONO)
        self.keep(outputs)
        for output in outputs:
            if isinstance(output, Approved):
                self.within_limits(intent)
                key = output.client_order_id
                self.keep(self.manager.event(symbol, Accepted(client_order_id=key, ts=WALL, venue_order_id=f"v{key}")))

    def within_limits(self, intent: Intent) -> None:
        """Not merely not larger, or reducing: such orders may pass above a limit, and lower the worst case."""
        slot = self.gate.tracks[intent.track].slots[intent.symbol]
        leaves = slot.buys if intent.side is Side.BUY else slot.sells
        if leaves <= max(0, -intent.side.sign * slot.position):
            return
        worst = max(slot.position + slot.buys, slot.sells - slot.position)
        if worst > (slot.position + slot.buys if intent.side is Side.BUY else slot.sells - slot.position):
            return
        market = self.gate.markets[intent.symbol]
        assert notional(market.ask, market.worst) <= LIMITS.position_per_instrument
        assert sum(notional(m.ask, m.worst) for m in self.gate.markets.values()) <= LIMITS.position_gross

    def fill(self, lots: int) -> None:
        live = next((v for v in self.manager.live.values() if v.order.venue_order_id), None)
        if live is None:
            return
        self.number += 1
        quantity, price = min(lots * LOT, live.order.leaves), live.order.price
        fee = quantity // 1_000
        event = Filled(
            client_order_id=live.order.client_order_id, ts=WALL, trade_id=f"t{self.number}", price=price,
            quantity=quantity, commission=fee, commission_asset=live.order.symbol[0], maker=True, ts_venue=WALL,
        )  # fmt: skip
        self.traded(live.order.symbol, live.order.side, quantity, price, fee)
        self.keep(self.manager.event(live.order.symbol, event))

    def foreign(self, symbol: str, side: Side, lots: int) -> None:
        self.number += 1
        made, price, quantity = f"ext-{self.number}", 100 * SCALE + TICK, lots * LOT
        initialized = Initialized(
            client_order_id=made, ts=WALL, intent_id=made, track=FOREIGN, symbol=symbol, side=side,
            type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity=quantity, price=price,
        )  # fmt: skip
        filled = Filled(
            client_order_id=made, ts=WALL, trade_id=made, price=price, quantity=quantity, commission=0,
            commission_asset="", maker=False, ts_venue=WALL,
        )  # fmt: skip
        self.traded(symbol, side, quantity, price, 0)
        submitted = Submitted(client_order_id=made, ts=WALL)
        self.keep([self.manager.adopt(initialized), *self.manager.fold(submitted), *self.manager.fold(filled)])

    def handover(self, source: str, target: str) -> None:
        self.number += 1
        self.handovers_wanted = (Handover(id=f"h{self.number}", source=source, target=target, mode=HandoverMode.ADOPT),)
        self.allocate()

    def crash(self, torn: int) -> None:
        """Up to ``torn`` records of a booking in hand never reached the disk; nothing else was lost."""
        last = max((n for n, record in enumerate(self.records) if isinstance(record, Transfer)), default=None)
        if last is not None and len(self.records) - last - 1 <= 6 * len(SYMBOLS):
            keep = max(last + 1, len(self.records) - torn)
            tail = self.records[keep:]
            if all(isinstance(r, Entry) and r.event.client_order_id.startswith("book-") for r in tail):
                del self.records[keep:]
        self.start()

    def check(self) -> None:
        books = self.manager.books.values()
        for asset in ("A", "B", "USD"):
            assert sum(book.cash.get(asset, 0) for book in books) == self.venue.get(asset, 0), asset
        for symbol in SYMBOLS:
            held = sum(b.positions[symbol].quantity for b in books if symbol in b.positions)
            assert held == self.venue.get(symbol[0], 0)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_all_ledgers_together_are_the_venues_through_handovers_and_crashes(history: list[Step]) -> None:
    account = Account()
    for kind, name, symbol, side, lots, torn in history:
        match kind:
            case "order":
                account.order(name, symbol, side, lots)
            case "fill":
                account.fill(lots)
            case "foreign":
                account.foreign(symbol, side, lots % 100 + 1)
            case "weight":
                account.weight = lots % 101
                account.allocate()
            case "promote":
                account.revision += 1
                account.handover("candidate", "stable")
            case "abort":
                account.handover("candidate", "stable")
            case _:
                account.crash(torn)
        account.check()


@settings(max_examples=100, deadline=None)
@given(steps)
def test_a_finished_handover_leaves_its_source_flat(history: list[Step]) -> None:
    account = Account()
    for kind, name, symbol, side, lots, _ in history:
        if kind == "order":
            account.order(name, symbol, side, lots)
        elif kind == "fill":
            account.fill(lots)
    account.handover("candidate", "stable")
    assert account.handovers.done.keys() == {account.handovers_wanted[0].id}
    assert all(slot.position == 0 for slot in account.gate.tracks["candidate"].slots.values())
    account.check()
