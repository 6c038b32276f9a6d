"""spec.limits.rules: what may be traded at all, how and when. Fields are described as all limits are: api/limits.py."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from ringfence_operator.api.meta import LIST_TYPE, Limit, Looser, Spec, cel, rule

_SET: Final = Field(min_length=1, max_length=64, json_schema_extra={LIST_TYPE: "set"})
_Symbol = Annotated[str, Field(pattern="^[A-Z0-9]{2,20}$", min_length=2, max_length=20)]

OrderType = Literal[
    "LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"
]
TimeInForce = Literal["GTC", "IOC", "FOK"]

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = f"({'|'.join(DAYS)})"
SESSION_PATTERN: Final = rf"^{_DAY}(-{_DAY})? ([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_TIME: Final = r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]|29|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
BLACKOUT_PATTERN: Final = rf"^{_TIME}/{_TIME}$"


class TradingRules(Spec):
    """What may be traded at all, how and when. A list that is left out permits everything, or forbids nothing. Orders
    that only reduce a position are not asked."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.sessions) || self.sessions.all(s,"
                " s.split(' ')[1].split('-')[0] < s.split(' ')[1].split('-')[1])",
                "a session ends after it starts, on the same day: Mon-Fri 22:00-24:00 and Tue-Sat 00:00-04:00 are two",
                at=".sessions",
            ),
            rule(
                "!has(self.blackouts) || self.blackouts.all(b,"
                " timestamp(b.split('/')[0]) < timestamp(b.split('/')[1]))",
                "a blackout is from one time to a later one, and both exist",
                at=".blackouts",
            ),
        )
    )

    types: Annotated[
        Annotated[tuple[OrderType, ...], _SET] | None,
        Looser.WHEN_MORE,
        Limit("words", "order", "ORDER_TYPE_NOT_ALLOWED", "type=MARKET allowed=LIMIT,LIMIT_MAKER"),
    ] = None
    """Types of orders that are allowed; absent: all."""
    times_in_force: Annotated[
        Annotated[tuple[TimeInForce, ...], _SET] | None,
        Looser.WHEN_MORE,
        Limit("words", "order", "TIME_IN_FORCE_NOT_ALLOWED", "time_in_force=FOK allowed=GTC,IOC"),
    ] = None
    """Times in force that are allowed; absent: all."""
    restricted: Annotated[
        Annotated[tuple[_Symbol, ...], _SET] | None,
        Looser.WHEN_FEWER,
        Limit("symbols", "instrument", "INSTRUMENT_RESTRICTED", "symbol=BTCUSDT"),
    ] = None
    """Instruments in which positions may only be reduced."""
    sessions: Annotated[
        Annotated[tuple[Annotated[str, Field(pattern=SESSION_PATTERN, max_length=20)], ...], _SET] | None,
        Looser.WHEN_MORE,
        Limit("UTC", "account", "SESSION_CLOSED", "now=Sat 03:10 UTC"),
    ] = None
    """When positions may be opened, in UTC, such as "Mon-Fri 13:30-20:00"; absent: always."""
    blackouts: Annotated[
        Annotated[tuple[Annotated[str, Field(pattern=BLACKOUT_PATTERN, max_length=41)], ...], _SET] | None,
        Looser.WHEN_FEWER,
        Limit("UTC", "account", "BLACKOUT", "until=2026-11-06T14:00:00Z"),
    ] = None
    """When positions may not be opened, such as "2026-11-06T13:25:00Z/2026-11-06T14:00:00Z"."""
