"""What a kill switch's status says of it now, and what it keeps of its last stop. Pure.

A release leaves ``spec.reason`` as it was unless somebody writes another; read alone it would still say why to stop.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the spec says, and who wrote that when."""

    severity: str
    """As people write it; None where it stops nothing."""
    engaged: bool
    reason: str
    by: str
    """Of a release: the person whom it names; else the program that wrote it."""
    at: str
    """When, RFC 3339."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStop:
    """The present stop, or the last one."""

    severity: str
    reason: str
    by: str
    since: str
    released_by: str = ""
    released_at: str = ""
    """Empty while it holds."""


def remembered(said: Spoken, before: LastStop | None) -> LastStop | None:
    """The record after this look. A stop that was released before anybody looked is not in it."""
    held = before if before is not None and not before.released_at else None
    if said.severity != "None":
        since, by = (held.since, held.by) if held is not None else (said.at, said.by)
        return LastStop(severity=said.severity, reason=said.reason, by=by, since=since)
    return before if held is None else replace(held, released_by=said.by, released_at=said.at)


def state(said: Spoken) -> str:
    if said.severity == "None":
        return "Released"
    return "Engaged" if said.engaged else "Restricted"


def sentence(said: Spoken, last: LastStop | None) -> str:
    """Why it is in its state; empty where nobody has ever used it."""
    if said.severity != "None":
        return said.reason
    if last is None:
        return ""
    new = f": {said.reason}" if said.reason and said.reason != last.reason else ""
    return f"released by {last.released_by or 'nobody known'} at {last.released_at}{new}"
