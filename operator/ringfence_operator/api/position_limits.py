"""spec.limits.position: what may be held at worst case. Fields are described as all limits are: api/limits.py."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import ConfigDict, Field, Strict

from ringfence_operator.api.meta import (
    LABEL_PATTERN,
    Limit,
    Looser,
    PositiveAmount,
    PositivePercent,
    PositiveRatio,
    Scales,
    Share,
    Spec,
    cel,
    rule,
)

_HIGHER: Final = Looser.WHEN_HIGHER
_BY_WEIGHT, _COUNT = Scales.BY_WEIGHT, Scales.COUNT


class PositionLimits(Spec):
    """Limits of positions at worst case: what is held, and all that is working, in flight or unknown."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.perInstrument) || !has(self.gross)"
                " || quantity(self.perInstrument).compareTo(quantity(self.gross)) <= 0",
                "perInstrument must not exceed gross",
                says="'perInstrument (' + self.perInstrument + ') must not exceed gross (' + self.gross + ')'",
                at=".perInstrument",
            ),
            rule(
                "!has(self.correlation) || quantity(self.correlation).compareTo(quantity('1')) <= 0",
                "correlation must not exceed 1",
                at=".correlation",
            ),
            rule(
                "!has(self.sectors) || self.sectors.all(k, k.matches('^[A-Z0-9]{2,20}$'))",
                "sectors are by symbol, such as BTCUSDT: 2 to 20 capital letters and digits",
                at=".sectors",
            ),
        )
    )

    per_instrument: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "POSITION_EXCEEDED",
            "track=stable worst=2600 limit=2500",
            presets=(Share("10"), Share("25"), Share("50")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest value of one instrument's position, in spec.currency, above 0 and at most gross."""
    gross: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "GROSS_EXCEEDED",
            "worst=10100 limit=10000",
            presets=(Share("50"), Share("100"), Share("200")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest value of all positions together, long and short added, in spec.currency, above 0."""
    net: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "NET_EXCEEDED",
            "track=stable worst=10100 limit=10000",
            presets=(Share("50"), Share("100"), Share("200")),
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest value of all positions together, short taken from long, on either side at worst case, in spec.currency,
    above 0."""
    open_positions: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=100)] | None,
        _HIGHER,
        Limit(
            "count",
            "track, account",
            "OPEN_POSITIONS_EXCEEDED",
            "track=stable open=5 limit=5",
            presets=(2, 5, 5),
            scales=_COUNT,
        ),
    ] = None
    """Instruments in which there may be a position or an order that opens one, 1 to 100."""
    leverage: Annotated[
        PositiveRatio | None,
        _HIGHER,
        Limit(
            "ratio",
            "track, account",
            "LEVERAGE_EXCEEDED",
            "track=stable worst=10100 limit=10000 equity=10000",
            presets=("1", "1", "2"),
            soft=True,
        ),
    ] = None
    """Gross value at worst case over the equity that is allocated, above 0 and below 10,000."""
    concentration_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity",
            "track, account",
            "CONCENTRATION_EXCEEDED",
            "symbol=BTCUSDT worst=2600 limit=2500 equity=10000",
            presets=("15", "25", "50"),
            soft=True,
        ),
    ] = None
    """Largest share of the allocated equity in one instrument, percent, above 0 and at most 100."""
    sector_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity",
            "track, account",
            "SECTOR_EXCEEDED",
            "sector=unknown worst=4100 limit=4000 equity=10000",
            presets=("25", "40", "80"),
            soft=True,
        ),
    ] = None
    """Largest share of the allocated equity in one sector, long and short added, percent, above 0 and at most 100."""
    correlation: Annotated[
        PositiveRatio | None,
        _HIGHER,
        Limit(
            "ratio",
            "track, account",
            "CORRELATION_EXCEEDED, CORRELATION_UNKNOWN",
            "track=stable symbol=BTCUSDT with=ETHUSDT correlation=0.81 limit=0.7",
        ),
    ] = None
    """Largest correlation, above 0 and at most 1, with any other instrument that is held or ordered with the same risk:
    on the same side, or on the other one where they move against each other. So hedges pass. It is that of hourly
    returns over 30 days, as the venue tells prices; with fewer than 20 in common it is unknown, and nothing may be
    opened beside another position. Paper has no account to ask by and does not judge it."""
    value_at_risk: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "VALUE_AT_RISK_EXCEEDED, VALUE_AT_RISK_UNKNOWN",
            "track=stable worst=310 limit=300",
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest value at risk of all positions together: what a day's loss stays below with a confidence of 99 %, in
    spec.currency, above 0. Returns are taken as normal, without a mean: 2.3263 standard deviations, from volatilities
    and correlations of the venue's hourly returns over 30 days, times the root of 24. So hedges that are held count as
    such, and of orders it counts what is worse, that they execute or that they do not. Of an instrument with fewer than
    20 returns, or a pair with fewer in common, it is unknown, and nothing may be opened. Paper has no account to ask by
    and does not judge it."""
    value_at_risk_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity",
            "track, account",
            "VALUE_AT_RISK_EXCEEDED, VALUE_AT_RISK_UNKNOWN",
            "worst=310 limit=300 equity=10000",
            soft=True,
        ),
    ] = None
    """The same as a share of the allocated equity, percent, above 0 and at most 100."""
    expected_shortfall: Annotated[
        PositiveAmount | None,
        _HIGHER,
        Limit(
            "currency",
            "track, account",
            "EXPECTED_SHORTFALL_EXCEEDED, VALUE_AT_RISK_UNKNOWN",
            "track=stable worst=310 limit=300",
            scales=_BY_WEIGHT,
            soft=True,
        ),
    ] = None
    """Largest expected shortfall of all positions together: the mean of the one percent of days that lose more than the
    value at risk, in spec.currency, above 0. Computed as that is, with 2.6652 standard deviations."""
    expected_shortfall_percent: Annotated[
        PositivePercent | None,
        _HIGHER,
        Limit(
            "% of allocated equity",
            "track, account",
            "EXPECTED_SHORTFALL_EXCEEDED, VALUE_AT_RISK_UNKNOWN",
            "worst=310 limit=300 equity=10000",
            soft=True,
        ),
    ] = None
    """The same as a share of the allocated equity, percent, above 0 and at most 100."""
    sectors: Annotated[
        Annotated[Mapping[str, Annotated[str, Field(pattern=LABEL_PATTERN, max_length=63)]], Field(max_length=32)],
        Looser.WHEN_CHANGED,
        Limit("words", "instrument", "-"),
    ] = {}
    """Sector by symbol, such as BTCUSDT: payments. Instruments that are not named are one sector, unknown."""
