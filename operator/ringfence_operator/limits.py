"""From limits as people write them to limits as the gate reads them: presets filled in, exact integers. Pure.

A field of the gate's is called as the spec's is, <group>_<field>; there is no table of names that could drift.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from ringfence.runtime import config
from ringfence_operator.api.limit_table import LEAVES, Leaf, effective
from ringfence_operator.api.limits import Limits
from ringfence_operator.api.meta import Looser
from ringfence_operator.api.trading_rules import DAYS

SCALE: Final = 10**8
DAY_MINUTES: Final = 24 * 60
UNMAPPED: Final = frozenset({"preset"})
"""Known to the operator alone: the gate gets what it gives."""


def gate_limits(limits: Limits, capital: str) -> config.Limits:
    """What is granted and enforced. Raises ValueError for what the CRD would not have let in."""
    filled = effective(limits, capital)
    found: dict[str, Any] = {}
    for leaf in LEAVES:
        value = _at(filled, leaf)
        if value is not None and leaf.path not in UNMAPPED:
            found["_".join(leaf.way)] = _CONVERTED.get(leaf.path, _number)(value)
    return config.Limits(**found)


def looser(granted: config.Limits, wanted: config.Limits) -> tuple[str, ...]:
    """Fields, as people write them (limits.order.valueMax), in which ``wanted`` lets more through than was granted."""
    return tuple(
        f"limits.{leaf.path}"
        for leaf in LEAVES
        if leaf.path not in UNMAPPED
        and leaf.looser is not None
        and _looser(leaf.looser, getattr(granted, "_".join(leaf.way)), getattr(wanted, "_".join(leaf.way)))
    )


def _looser(direction: Looser, was: Any, now: Any) -> bool:
    """None is a limit that is not there: nothing is looser than it, and it is looser than any other."""
    match direction:
        case Looser.WHEN_HIGHER:
            return was is not None and (now is None or now > was)
        case Looser.WHEN_LOWER:
            return was is not None and (now is None or now < was)
        case Looser.WHEN_MORE:
            return was is not None and (now is None or not all(_within(one, was) for one in now))
        case Looser.WHEN_FEWER:
            return not all(_within(one, now) for one in was)
        case _:
            return was is not None and now != was


def _within(one: Any, of: Any) -> bool:
    """A word that is among the others, or a span of time that one of the others covers."""
    if isinstance(one, str):
        return one in of
    return any(start <= one[0] and one[1] <= end for start, end in of)


def _at(limits: Limits, leaf: Leaf) -> Any:
    found: Any = limits
    for step in leaf.way:
        found = getattr(found, step)
    return found


def scaled(text: str) -> int:
    """A decimal text in units of 1e-8, exactly. The CRD admits no more than eight decimals; more is an error here."""
    value = Decimal(text) * SCALE
    if value != value.to_integral_value():
        raise ValueError(f"{text} has more than eight decimals")
    return int(value)


def _number(value: str | int) -> int:
    return value if isinstance(value, int) else scaled(value)


def sessions(texts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Minutes of the week, from Monday 00:00 UTC, of texts such as "Mon-Fri 13:30-20:00"; sorted and not touching."""
    spans = []
    for text in texts:
        days, _, times = text.partition(" ")
        first, _, last = days.partition("-")
        start, _, end = times.partition("-")
        since, until = _minutes(start), _minutes(end)
        if since >= until:
            raise ValueError(f"session {text!r} ends before it starts")
        day = DAYS.index(first)
        while True:
            spans.append((day * DAY_MINUTES + since, day * DAY_MINUTES + until))
            if day == DAYS.index(last or first):
                break
            day = (day + 1) % len(DAYS)
    return _merged(spans)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def blackouts(texts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """UTC seconds of texts such as "2026-11-06T13:25:00Z/2026-11-06T14:00:00Z"; sorted and not touching."""
    spans = []
    for text in texts:
        since, _, until = text.partition("/")
        span = (_instant(since), _instant(until))
        if span[0] >= span[1]:
            raise ValueError(f"blackout {text!r} ends before it starts")
        spans.append(span)
    return _merged(spans)


def _instant(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def _merged(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return tuple(found)


def _words(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(value))


_CONVERTED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "account.feeToken": str,
    "position.sectors": dict,
    "rules.types": _words,
    "rules.timesInForce": _words,
    "rules.restricted": _words,
    "rules.sessions": sessions,
    "rules.blackouts": blackouts,
}
