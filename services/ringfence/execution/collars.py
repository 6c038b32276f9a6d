"""Is a price sane beside the market's: dynamic and static collar on the aggressive side, a far side, and how far a
trigger and its price may lie. Pure; ``slack`` is how many times the collars a reducing order gets.
"""

from typing import Final

from ringfence.execution.caps import UNLIMITED, Caps
from ringfence.execution.state import Market
from ringfence.model.money import BPS, SCALE, text

_BPS_SCALE: Final = SCALE * BPS


def collars(price: int, best: int, buying: bool, market: Market, caps: Caps, slack: int, found: list[str]) -> None:
    """``best``: the best opposite price."""
    if price > best if buying else price < best:
        _aggressive(price, best, buying, caps.collar_bps * slack, found)
    reference = market.tape.reference
    past = price - reference if buying else reference - price
    if past > 0 and past * _BPS_SCALE > caps.static_bps * slack * reference > 0:
        limit = _moved(reference, caps.static_bps * slack, up=buying)
        told = f"price={text(price)} limit={text(limit)} reference={text(reference)}"
        found.append(f"PRICE_BEYOND_STATIC_COLLAR {told}")
    near = market.bid if buying else market.ask
    away = near - price if buying else price - near
    if away > 0 and away * _BPS_SCALE > caps.far_bps * slack * near:
        limit = _moved(near, caps.far_bps * slack, up=not buying)
        found.append(f"PRICE_TOO_FAR price={text(price)} limit={text(limit)} best={text(near)}")


def triggers(price: int, trigger: int, touch: int, buying: bool, caps: Caps, slack: int, found: list[str]) -> None:
    """An order that waits for its trigger meets the market there, so its price is measured from it.

    ``price`` is 0 for one that then takes any price; ``touch`` is the best opposite price now.
    """
    if abs(trigger - touch) * _BPS_SCALE > caps.stop_distance_bps * slack * touch:
        limit = _moved(touch, caps.stop_distance_bps * slack, up=trigger > touch)
        found.append(f"STOP_TOO_FAR trigger={text(trigger)} limit={text(limit)} best={text(touch)}")
    if not price:
        return
    if caps.stop_offset_bps == UNLIMITED:
        _aggressive(price, trigger, buying, caps.collar_bps * slack, found)
        return
    past = price - trigger if buying else trigger - price
    if past * _BPS_SCALE > caps.stop_offset_bps * slack * trigger:
        limit = _moved(trigger, caps.stop_offset_bps * slack, up=buying)
        found.append(f"STOP_OFFSET_EXCEEDED price={text(price)} limit={text(limit)} trigger={text(trigger)}")


def _aggressive(price: int, best: int, buying: bool, bps: int, found: list[str]) -> None:
    limit = _moved(best, bps, up=buying)
    if price > limit if buying else price < limit:
        found.append(f"PRICE_BEYOND_COLLAR price={text(price)} limit={text(limit)} best={text(best)}")


def _moved(price: int, bps: int, *, up: bool) -> int:
    band = price * bps // _BPS_SCALE
    return price + band if up else price - band
