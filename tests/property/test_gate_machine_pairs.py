"""Pairs in the gate's machine: histories that begin with positions, so that there is something to protect."""

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from test_gate_machine import LOT, SYMBOLS, TRACKS, Trading

from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.runtime.config import Limits

ROOM = Limits(
    order_value_max=20_000 * SCALE,
    order_collar_bps=5_000 * SCALE,
    order_messages_per_second=10**6,
    order_working_orders=50,
    order_approved_lifetime_ms=50,
    position_per_instrument=5_000 * SCALE,
    position_gross=9_000 * SCALE,
    loss_day=5_000 * SCALE,
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
)


class Exits(Trading):
    """The same, beginning with positions and room for more, so that histories have pairs in them."""

    @initialize(current=st.just(ROOM), granted=st.just(ROOM))
    def start(self, current: Limits, granted: Limits) -> None:
        super().start(current, granted)
        for track, symbol, side in ((TRACKS[0], SYMBOLS[0], Side.BUY), (TRACKS[1], SYMBOLS[1], Side.SELL)):
            name = self.order(track, symbol, side, 20, 100)
            self.execute(name, 20 * LOT, 100 * SCALE, 0, fee_in_base=False)

    @rule(more=st.integers(20, 22).map(lambda n: n * 250 * SCALE))
    def change_limits(self, more: int) -> None:
        """A little, so that positions stay possible."""
        self.current = msgspec.structs.replace(ROOM, position_per_instrument=more)
        self.allocate()


Exits.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExits = Exits.TestCase
