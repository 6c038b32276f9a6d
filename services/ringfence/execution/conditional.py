"""What the gate asks of orders that are more than a price and a quantity: triggers, trailing, icebergs. Pure."""

from typing import Final

from ringfence.execution.state import Market
from ringfence.model.instrument import Instrument
from ringfence.model.money import text
from ringfence.model.orders import CONDITIONAL, UNPRICED, OrderType, Side, TimeInForce
from ringfence.model.triggers import rises
from ringfence.wire.messages import Intent

_WHOLE_BPS: Final = 10_000
_MARKET: Final = OrderType.MARKET


def form(intent: Intent, rules: Instrument, found: list[str]) -> None:
    """Do its fields go together, and do they obey the venue's steps?"""
    kind, force = intent.type, intent.time_in_force
    if force is not TimeInForce.GTC and (kind in UNPRICED or kind is OrderType.LIMIT_MAKER) and kind is not _MARKET:
        found.append(f"TIME_IN_FORCE_INVALID type={kind} time_in_force={force}")
    if kind in CONDITIONAL:
        if not intent.stop_price and not intent.trailing_bps:
            found.append(f"TRIGGER_MISSING type={kind}")
        error = rules.price_error(intent.stop_price) if intent.stop_price else None
        if error:
            found.append(f"TRIGGER_INVALID {error}")
        least, most = rules.trailing_bps_min, rules.trailing_bps_max
        if intent.trailing_bps and not least <= intent.trailing_bps <= most:
            found.append(f"TRAILING_INVALID trailing_bps={intent.trailing_bps} minimum={least} maximum={most}")
    elif intent.stop_price or intent.trailing_bps:
        found.append(f"TRIGGER_NOT_ALLOWED type={kind}")
    if intent.display:
        _iceberg(intent, rules, found)


def _iceberg(intent: Intent, rules: Instrument, found: list[str]) -> None:
    shown, whole = intent.display, intent.quantity
    if intent.type in UNPRICED or intent.time_in_force is not TimeInForce.GTC:
        found.append(f"ICEBERG_NOT_ALLOWED type={intent.type} time_in_force={intent.time_in_force}")
    error = rules.quantity_error(shown)
    if error or shown >= whole:
        found.append(f"ICEBERG_INVALID display={text(shown)} quantity={text(whole)} {error or ''}".rstrip())
    elif -(-whole // shown) > rules.iceberg_parts:
        found.append(f"ICEBERG_PARTS_EXCEEDED parts={-(-whole // shown)} limit={rules.iceberg_parts}")


def trigger(intent: Intent, market: Market, found: list[str]) -> int:
    """The price at which it would meet the market; refused where that has been reached already."""
    buying = intent.side is Side.BUY
    touch = market.ask if buying else market.bid
    from_below = rises(intent.side, intent.type)
    if intent.stop_price:
        reached = intent.stop_price <= touch if from_below else intent.stop_price >= touch
        if reached and touch:
            found.append(f"TRIGGER_REACHED stop_price={text(intent.stop_price)} touch={text(touch)}")
        return intent.stop_price
    distance = touch * intent.trailing_bps // _WHOLE_BPS
    return touch + distance if from_below else touch - distance
