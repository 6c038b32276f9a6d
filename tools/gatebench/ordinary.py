"""The instrument that most tests of the gate trade: a tick of a cent, five of the quote currency at least. Pure."""

from ringfence.model.instrument import Instrument
from ringfence.model.money import parse


def rules(symbol: str) -> Instrument:
    """Rules of an instrument that is quoted in USDT."""
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=parse("0.01"),
        lot=parse("0.00001"),
        quantity_min=parse("0.00001"),
        quantity_max=parse("1000"),
        notional_min=parse("5"),
    )
