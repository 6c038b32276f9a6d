"""What an intent becomes. Pure."""

from ringfence.model.orders import Initialized
from ringfence.wire.messages import Intent


def initialized(client_order_id: str, intent: Intent, ts: int, group: str = "", replaces: str = "") -> Initialized:
    """The first event of its order. ``ts``: UTC nanoseconds; ``group`` and ``replaces``: as in the event."""
    return Initialized(
        client_order_id=client_order_id,
        ts=ts,
        intent_id=intent.intent_id,
        track=intent.track,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        time_in_force=intent.time_in_force,
        quantity=intent.quantity,
        price=intent.price,
        reduce_only=intent.reduce_only,
        stop_price=intent.stop_price,
        trailing_bps=intent.trailing_bps,
        display=intent.display,
        group=group,
        replaces=replaces,
    )
