"""What the venue lets in: the rules that an order is held against before it is entered, and what it locks. Pure."""

from collections.abc import Sequence

from ringfence.model.money import notional
from ringfence.model.orders import CONDITIONAL, UNPRICED, OrderType, Side, TimeInForce
from ringfence.model.triggers import Trigger
from ringfence.simulator.catalog import Listing
from ringfence.simulator.matching import counted_as
from ringfence.simulator.orders import Reason, Refusal, Request, VenueOrder
from ringfence.simulator.traded import Instrument


def ordered(instrument: Instrument, account: str, request: Request) -> int:
    """Quantity of a request: of one that says what to spend, what that buys now."""
    if not request.quote_quantity:
        return request.quantity
    rules = instrument.listing.instrument
    owner = counted_as(account, request.prevention)
    return instrument.engine.quantity_for(request.side, request.quote_quantity, rules.lot, owner)


def refusal(
    instrument: Instrument, request: Request, quantity: int, opened: Sequence[VenueOrder], holds: int
) -> Refusal | None:
    """The rules in the order in which they are tested; the first that fails is the answer.

    ``opened``: the account's orders of this instrument; ``holds``: its total of the base asset.
    """
    if instrument.halted:
        return Refusal(Reason.MARKET_CLOSED)
    listing, market = instrument.listing, request.type in UNPRICED
    reference = instrument.reference
    if request.type is OrderType.MARKET and not instrument.engine.against(request.side).best():
        return Refusal(Reason.NO_LIQUIDITY)
    if request.display and request.time_in_force is not TimeInForce.GTC:
        return Refusal(Reason.UNSUPPORTED)
    stop = request.stop_price
    if stop and request.type in CONDITIONAL and not request.trailing_bps:
        if (broken := listing.price_filter(stop)) is not None:
            return Refusal(Reason.FILTER, broken)
        if Trigger(request.side, request.type, stop, 0).reached(reference):
            return Refusal(Reason.TRIGGERED)
    broken = (
        (None if market else listing.price_filter(request.price))
        or (None if market else listing.percent_filter(request.side, request.price, reference))
        or listing.quantity_filter(quantity)
        or (listing.market_quantity_filter(quantity) if request.type is OrderType.MARKET else None)
        or listing.notional_filter(notional((stop or reference) if market else request.price, quantity))
        or listing.iceberg_filter(quantity, request.display)
        or listing.trailing_filter(request.trailing_bps)
        or _counted(listing, request, quantity, opened, holds)
    )
    if broken is not None:
        return Refusal(Reason.FILTER, broken)
    if any(order.client_order_id == request.client_order_id for order in opened):
        return Refusal(Reason.DUPLICATE_ID)
    against = instrument.engine.against(request.side)
    if request.type is OrderType.LIMIT_MAKER and against.reaches(against.best(), request.price):
        return Refusal(Reason.WOULD_TAKE)
    return None


def _counted(listing: Listing, request: Request, quantity: int, opened: Sequence[VenueOrder], holds: int) -> str | None:
    """Name of the rule on all that an account has open or holds which this order would break."""
    if len(opened) >= listing.orders_max:
        return "MAX_NUM_ORDERS"
    algos = sum(order.type in CONDITIONAL for order in opened)
    if request.type in CONDITIONAL and algos >= listing.algo_orders_max:
        return "MAX_NUM_ALGO_ORDERS"
    if listing.position_max and request.side is Side.BUY:
        bought = sum(order.left for order in opened if order.side is Side.BUY)
        if holds + bought + quantity > listing.position_max:
            return "MAX_POSITION"
    return None


def locked(instrument: Instrument, account: str, request: Request, quantity: int) -> tuple[str, int]:
    """The asset and amount that an order locks: a market buy what it will pay now, anything else its worst case."""
    rules = instrument.listing.instrument
    if request.side is Side.SELL:
        return rules.base, quantity
    if request.type is OrderType.MARKET:
        owner = counted_as(account, request.prevention)
        return rules.quote, instrument.engine.cost(request.side, quantity, 0, owner)[1]
    if request.type in UNPRICED:
        return rules.quote, notional(request.stop_price or instrument.reference, quantity)
    return rules.quote, notional(request.price, quantity)
