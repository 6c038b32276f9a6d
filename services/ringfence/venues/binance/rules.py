"""The venue's filters to the rules that the gate keeps: exact decimals, nothing rounded. Pure.

What the gate cannot know (percent of an average price, counts and holdings over all that trade the account) is the
venue's to refuse.
"""

import msgspec

from ringfence.model.instrument import NO_LIMIT, Instrument
from ringfence.model.money import parse


class Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str = "0"
    step_size: str = "0"
    min_qty: str = "0"
    max_qty: str = "0"
    min_notional: str = "0"
    max_notional: str = "0"
    min_price: str = "0"
    max_price: str = "0"
    limit: int = 0
    min_trailing_above_delta: int = 0
    max_trailing_above_delta: int = 0
    min_trailing_below_delta: int = 0
    max_trailing_below_delta: int = 0


class Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[Filter]
    allowed_self_trade_prevention_modes: list[str] | None = None
    """None where the venue's rules do not say."""


def instrument(symbol: Symbol) -> Instrument:
    """Raises ValueError for rules that make no sense."""
    filters = {found.filter_type: found for found in symbol.filters}
    absent = Filter("")
    price, lot = filters.get("PRICE_FILTER", absent), filters.get("LOT_SIZE", absent)
    smallest = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", absent))
    market, icebergs = filters.get("MARKET_LOT_SIZE", absent), filters.get("ICEBERG_PARTS", absent)
    trailing = filters.get("TRAILING_DELTA", absent)
    return Instrument(
        symbol=symbol.symbol,
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        tick=parse(price.tick_size),
        lot=parse(lot.step_size),
        quantity_min=parse(lot.min_qty),
        quantity_max=parse(lot.max_qty),
        notional_min=parse(smallest.min_notional),
        notional_max=parse(smallest.max_notional) or NO_LIMIT,
        # 0 switches a bound off
        price_min=parse(price.min_price) or 1,
        price_max=parse(price.max_price) or NO_LIMIT,
        market_quantity_max=parse(market.max_qty) or NO_LIMIT,
        iceberg_parts=icebergs.limit or 1,
        # the stricter of both directions: what passes is never refused for the other
        trailing_bps_min=max(trailing.min_trailing_above_delta, trailing.min_trailing_below_delta, 1),
        trailing_bps_max=min(trailing.max_trailing_above_delta, trailing.max_trailing_below_delta) or 9_999,
    )
