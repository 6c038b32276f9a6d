"""An order that passed the gate: the only thing that a venue adapter can send.

Only `execution/gate.py` constructs it; a test in tests/arch looks for any other constructor.
"""

import msgspec

from ringfence.model.orders import OrderType, Side, TimeInForce


class Approved(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money scaled by 1e-8."""

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    price: int
    """Limit price; 0 for an order without one."""
    stop_price: int = 0
    trailing_bps: int = 0
    """Hundredths of a percent, not scaled."""
    display: int = 0
    reduce_only: bool = False
    track: str = ""
    """Whose share of the venue's rate limit it takes; empty = nobody's."""
    epoch: int
    """The guard's epoch at the check. A later epoch at the socket means that the permission is gone."""
    deadline_ns: int
    """Monotonic time after which it must not leave."""
