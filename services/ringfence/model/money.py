"""Exact money: prices, quantities and amounts are integers scaled by 1e-8.

Every venue that we speak to publishes ticks and lots with at most eight decimals, so integers of 1e-8 hold
them exactly, compare and add in one machine operation, and cannot be NaN or infinite.
"""

import re
from typing import Final

DECIMALS: Final = 8
SCALE: Final = 10**DECIMALS
BPS: Final = 10_000

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,18}))?")


class MoneyError(ValueError):
    """A text that is not an exact decimal of at most eight places."""


def parse(text: str) -> int:
    """Scaled integer of a plain decimal text such as ``"61842.35"``.

    Raises MoneyError for exponents, NaN, infinities, blanks, and for more decimals than can be kept exactly
    (trailing zeros beyond the eighth place are allowed, because venues pad with them).
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise MoneyError(f"{text!r} is not a plain decimal number")
    sign, whole, fraction = found.group(1), found.group(2), found.group(3) or ""
    if fraction[DECIMALS:].strip("0"):
        raise MoneyError(f"{text!r} has more than {DECIMALS} decimals")
    value = int(whole) * SCALE + int(fraction[:DECIMALS].ljust(DECIMALS, "0"))
    return -value if sign else value


def text(value: int) -> str:
    """Shortest exact decimal text of a scaled integer: ``6184235000000 -> "61842.35"``."""
    whole, fraction = divmod(abs(value), SCALE)
    digits = f"{fraction:0{DECIMALS}d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def notional(price: int, quantity: int) -> int:
    """Price times quantity, both scaled; exact for instruments whose tick times lot is a multiple of 1e-8."""
    return price * quantity // SCALE


def bps_of(amount: int, bps: int) -> int:
    """``amount * bps / 10,000`` with bps scaled by 1e-8 like everything else, rounded towards zero."""
    product = abs(amount) * bps // (SCALE * BPS)
    return product if amount >= 0 else -product
