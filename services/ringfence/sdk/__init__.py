"""What a strategy author imports: a base class, typed parameters, a context to trade through, exact numbers.

    from ringfence.sdk import Quote, Strategy, amount, integer

Owns the author's side of the contract and nothing else: no sockets, no clock, no gate. What runs a strategy is
`ringfence.strategy`; the backtest and `ringfence.sdk.testing` run the same engine, so the same events lead to the
same orders. Must not import a service; `testing` is the exception because it is a host.

Prices and quantities are integers scaled by 1e-8, as on the bus: they are exact, compare and add in one machine
operation, and cost no conversion on the way in or out. `units("61842.35")` makes one, `text` and `decimal` show one.
"""

from ringfence.model.instrument import Instrument
from ringfence.model.orders import OrderState, OrderType, Side, TimeInForce
from ringfence.sdk.context import Context, Fill, OrderChange, Working
from ringfence.sdk.parameters import Parameter, ParameterError, amount, choice, flag, integer, number
from ringfence.sdk.strategy import Strategy
from ringfence.sdk.units import SCALE, ceil_to, decimal, floor_to, mid, notional, text, units
from ringfence.wire.messages import BookTop, Quote, Trade

__all__ = [
    "SCALE",
    "BookTop",
    "Context",
    "Fill",
    "Instrument",
    "OrderChange",
    "OrderState",
    "OrderType",
    "Parameter",
    "ParameterError",
    "Quote",
    "Side",
    "Strategy",
    "TimeInForce",
    "Trade",
    "Working",
    "amount",
    "ceil_to",
    "choice",
    "decimal",
    "flag",
    "floor_to",
    "integer",
    "mid",
    "notional",
    "number",
    "text",
    "units",
]
