"""Which alerts hold while a system is stopped, and how Alertmanager is told. Pure.

Execution, the operator and the watchdog judge by this one file, so that the same trouble has the same labels from each
of them, and Alertmanager shows it once. An alert's labels say which trouble and where; everything that changes while
it lasts (reasons, counts) is in its annotations, because a changed label would be another alert.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ringfence.wire.kill import Severity

ACKNOWLEDGE_NS: Final = 1_000_000_000
"""A gate that has not closed this long after the stop was seen is silent."""
CANCEL_NS: Final = 5_000_000_000
"""Orders that may still execute this long after a stop that cancels were not cancelled."""
FLAT_NS: Final = 60_000_000_000
"""Positions that are left this long after a stop that flattens will not close by themselves."""
RUNBOOKS: Final = "docs/runbooks"
"""Where they lie in this repository; one per name."""
PREFIX: Final = "Ringfence"
TEXT_MAX: Final = 1_000

ENGAGED: Final = "Engaged"
NOT_ACKNOWLEDGED: Final = "NotAcknowledged"
NOT_CANCELED: Final = "NotCanceled"
NOT_FLAT: Final = "NotFlat"
POSITION_UNPROTECTED: Final = "PositionUnprotected"
ACCOUNT_UNEXPLAINED: Final = "AccountUnexplained"

Key = tuple[str, str, str, str]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One trouble that holds now."""

    name: str
    """Such as ``NotCanceled``: also the name of its runbook."""
    namespace: str
    system: str
    gate: str = ""
    """Pod of the gate; empty where it is about the whole system."""
    level: str = "critical"
    """Value of the label severity: critical wakes somebody, warning does not."""
    summary: str
    """One sentence."""
    reason: str = ""
    """Why the system is stopped, or what was seen."""
    since: int
    """UTC nanoseconds."""

    @property
    def key(self) -> Key:
        """What tells alerts apart: exactly the labels."""
        return (self.name, self.namespace, self.system, self.gate)


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One gate under a stop, as far as the judge knows."""

    pod: str
    closed: bool
    """It has acknowledged the stop."""
    working: int | None
    """Orders that may still execute; None = not known, which is not zero."""
    flat: bool | None = None
    """No position is left to close; None = not known."""
    paper: bool = False
    """It trades no money: worth a look, not a call at night."""
    naked: tuple[str, ...] = ()
    """Positions whose protective orders are gone, as people write them."""
    naked_since: int = 0
    """Since when there are any, UTC nanoseconds."""
    unexplained: str = ""
    """What reconciliation found at the venue that the gate's own books do not explain, and halts for."""
    unexplained_since: int = 0


class StopFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A system and what stops it."""

    namespace: str
    system: str
    severity: Severity
    reason: str
    since: int
    """When the judge first saw this stop, UTC nanoseconds."""
    gates: tuple[GateFacts, ...]


def holding(stop: StopFacts, now: int) -> tuple[Alert, ...]:
    """The alerts that hold. None while nothing engages; restrictions (ReduceOnly, Halt) are no alert by themselves,
    but for the one that a gate puts on itself because its account is not as it should be."""
    found: list[Alert] = []

    def add(name: str, since: int, summary: str, gate: GateFacts | None = None) -> None:
        found.append(
            Alert(
                name=name,
                namespace=stop.namespace,
                system=stop.system,
                gate=gate.pod if gate else "",
                level="warning" if gate and gate.paper else "critical",
                summary=summary,
                reason=stop.reason,
                since=since,
            )
        )

    engaged = stop.severity >= Severity.CANCEL
    if engaged:
        add(ENGAGED, stop.since, f"{stop.system} is stopped: {stop.severity.word}")
    for gate in stop.gates:
        age = now - stop.since
        if engaged and not gate.closed and age >= ACKNOWLEDGE_NS:
            add(NOT_ACKNOWLEDGED, stop.since + ACKNOWLEDGE_NS, f"{gate.pod} has not closed", gate)
        if engaged and gate.working != 0 and age >= CANCEL_NS:
            count = "an unknown number of" if gate.working is None else gate.working
            add(NOT_CANCELED, stop.since + CANCEL_NS, f"{gate.pod}: {count} orders may still execute", gate)
        if stop.severity is Severity.FLATTEN and gate.flat is not True and age >= FLAT_NS:
            add(NOT_FLAT, stop.since + FLAT_NS, f"{gate.pod}: positions are not closed", gate)
        if gate.naked:
            told = ", ".join(gate.naked)
            add(POSITION_UNPROTECTED, gate.naked_since, f"{gate.pod}: without protective orders: {told}", gate)
        if gate.unexplained:
            add(ACCOUNT_UNEXPLAINED, gate.unexplained_since, f"{gate.pod} has halted: {gate.unexplained}", gate)
    return tuple(found)


def body(holds: Iterable[Alert], resolved: Iterable[tuple[Alert, int]], hold_until: int, runbooks: str = "") -> bytes:
    """Body of ``POST /api/v2/alerts``. An alert that holds ends at ``hold_until`` unless it is told again: a poster
    that died must not leave it for ever. A resolved one comes with the time of its end.

    ``runbooks``: URL of a copy of our runbooks that people can open; empty where there is none.
    """
    told = [_postable(alert, max(hold_until, alert.since), runbooks) for alert in holds]
    told += [_postable(alert, max(end, alert.since), runbooks) for alert, end in resolved]
    return msgspec.json.encode(told)


def _postable(alert: Alert, ends: int, runbooks: str) -> dict[str, Any]:
    labels = {
        "alertname": PREFIX + alert.name,
        "severity": alert.level,
        "namespace": alert.namespace,
        "system": alert.system,
        "gate": alert.gate,
    }
    annotations = {
        "summary": alert.summary[:TEXT_MAX],
        "reason": alert.reason[:TEXT_MAX],
        "runbook": f"{RUNBOOKS}/{alert.name}.md",
        "runbook_url": f"{runbooks.rstrip('/')}/{alert.name}.md" if runbooks else "",
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": rfc3339(alert.since),
        "endsAt": rfc3339(ends),
    }


def rfc3339(wall: int) -> str:
    """UTC nanoseconds as Alertmanager reads them, to the millisecond."""
    moment = datetime.fromtimestamp(wall // 1_000_000 / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bounded(alerts: Iterable[Alert], most: int) -> tuple[Sequence[Alert], int]:
    """At most so many, the critical ones first, and how many were left out."""
    found = sorted(alerts, key=lambda alert: (alert.level != "critical", alert.since, alert.key))
    return found[:most], max(0, len(found) - most)
