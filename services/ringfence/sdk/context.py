"""What a strategy trades through, and what it is told about its orders."""

from typing import Protocol

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.orders import CLOSED, OrderState, Side, TimeInForce
from ringfence.wire.messages import Quote


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution of one of this track's orders. Money scaled by 1e-8."""

    intent_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    commission: int
    commission_asset: str
    maker: bool
    ts: int


class OrderChange(msgspec.Struct, frozen=True, gc=False):
    """An order of this track is in another state now."""

    intent_id: str
    symbol: str
    side: Side
    state: OrderState
    reason: str
    """Why it was denied, rejected, canceled or expired; empty where there is nothing to explain."""
    filled: int
    """Quantity executed so far, scaled."""

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing of it can execute any more."""
        return self.state in CLOSED


class Working(msgspec.Struct, frozen=True, gc=False):
    """An order that may still execute, or an intent that the gate has not answered yet."""

    intent_id: str
    symbol: str
    side: Side
    price: int
    """0 for a market order."""
    quantity: int
    leaves: int
    """Quantity that may still execute."""
    state: OrderState
    """INITIALIZED also while the gate's answer is on its way."""


class Context(Protocol):
    """Everything that a strategy may know and do besides the events that it is handed.

    Prices and quantities are integers scaled by 1e-8. Nothing here waits, and nothing reads a clock.
    """

    @property
    def now(self) -> int:
        """Time of the newest event, UTC nanoseconds. The only clock that a strategy has: it makes replays equal."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments of the system."""

    def instrument(self, symbol: str) -> Instrument:
        """The venue's rules: tick, lot, smallest and largest quantity, smallest value."""

    def quote(self, symbol: str) -> Quote | None:
        """The newest best bid and ask; None while the instrument's data may not be traded on."""

    def position(self, symbol: str) -> int:
        """Signed quantity that this track holds: positive long, 0 flat. Fees in the base asset are taken off."""

    def average(self, symbol: str) -> int:
        """Average entry price of the position, 0 when flat."""

    def working(self, symbol: str | None = None) -> tuple[Working, ...]:
        """Orders and unanswered intents of this track, oldest first."""

    def buy(
        self,
        symbol: str,
        quantity: int,
        price: int | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        display: int = 0,
    ) -> str:
        """Ask to buy: at a limit price, or at the market without one. Returns the intent's id.

        The answer comes as ``on_order``: the gate may deny, the venue may reject. Raises ValueError or TypeError
        for what can only be a mistake in the strategy: an instrument that is not the system's, a quantity or price
        that is no positive scaled integer. ``display``: what an iceberg shows of its quantity; 0 = all of it.
        """

    def sell(
        self,
        symbol: str,
        quantity: int,
        price: int | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        display: int = 0,
    ) -> str:
        """Ask to sell; otherwise as ``buy``."""

    def stop_loss(
        self,
        symbol: str,
        trigger: int | None = None,
        *,
        trailing_bps: int = 0,
        limit: int | None = None,
        quantity: int | None = None,
    ) -> str:
        """Close the position (or ``quantity`` of it) once the market has fallen to ``trigger``; risen, when short.

        It rests at the venue: it outlives this process and the gate's. With ``trailing_bps`` (hundredths of a
        percent) the trigger follows the market at that distance; ``trigger`` is then where it begins to. Without
        ``limit`` it closes at the market. It only reduces: of several exits, what together would close more than
        the position is refused. Raises ValueError when there is no position.
        """

    def take_profit(self, symbol: str, trigger: int, *, limit: int | None = None, quantity: int | None = None) -> str:
        """Close the position once the market has risen to ``trigger``; fallen, when short. Else as ``stop_loss``."""

    def protect(
        self, symbol: str, *, target: int, stop: int, stop_limit: int | None = None, quantity: int | None = None
    ) -> tuple[str, str]:
        """A resting exit at ``target`` and a stop at ``stop``, of which the venue cancels one when the other executes.

        Both are placed, or neither. Returns the ids of the exit's and the stop's intents; cancelling one cancels both.
        """

    def replace(self, intent_id: str, *, quantity: int, price: int | None = None, trigger: int | None = None) -> str:
        """Put an order with this quantity still to execute in the place of a working one, in one step.

        Returns the new order's intent id; empty if nothing of the old one is working. The old order ends CANCELED;
        if it cannot be cancelled (it has just filled, for one), it stays as it is and the new one is REJECTED.
        """

    def reduce(self, intent_id: str, quantity: int) -> bool:
        """Lower an order's total quantity, filled included; it keeps its place. False if it is not working."""

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask to cancel every order of this track, in one instrument or in all; repeated until they are closed."""

    def cancel(self, intent_id: str) -> bool:
        """Ask to cancel what an intent became; False if nothing of it is working any more."""
