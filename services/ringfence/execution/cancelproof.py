"""The proof that nothing of ours works at the venue: two looks at its open orders, both empty. Pure.

The first look must begin after the last order's fate is known: answered by the venue, or proven never to have
arrived once its request had ceased to be valid. Until then a request could still turn into an order behind the look.
Kept for each scope of the stops that cancel; an order that appears in one takes its proof away.
"""

from collections.abc import Iterable
from typing import Final

from ringfence.execution.accounting import Accounting
from ringfence.execution.ids import is_closing, parse
from ringfence.execution.state import FOREIGN
from ringfence.execution.stopping import protective, stopped, stopping_scopes
from ringfence.venues.api import OrderReport
from ringfence.wire.stops import EVERYTHING, Scope, Severity

LOOKS: Final = 2


class Looks:
    """How far the proof of one scope is."""

    __slots__ = ("empty", "proven_at", "quiet_since")

    def __init__(self) -> None:
        self.quiet_since = 0
        """Monotonic time since when no order of the scope is on its way or working, by our books; 0 = one is."""
        self.empty = 0
        self.proven_at = 0
        """Wall time of the look that proved it; 0 = not proven."""


class CancelProof:
    """``tick`` follows our own books, ``looked`` the venue's."""

    def __init__(self, accounting: Accounting) -> None:
        self.looks: dict[Scope, Looks] = {}
        self._accounting = accounting

    @property
    def wanted(self) -> bool:
        """Whether a look at the venue would help now."""
        return any(looks.quiet_since and not looks.proven_at for looks in self.looks.values())

    @property
    def complete(self) -> bool:
        return all(looks.proven_at for looks in self.looks.values())

    def proven_at(self, scope: Scope) -> int:
        """Wall time of the proof for a scope, by its own looks or by those of everything; 0 = not proven."""
        found = [looks.proven_at for key in (scope, EVERYTHING) if (looks := self.looks.get(key)) is not None]
        return max(found, default=0)

    def tick(self, mono: int) -> None:
        """Follow stops and orders."""
        scopes = stopping_scopes(self._accounting.guard)
        self.looks = {scope: self.looks.get(scope) or Looks() for scope in scopes}
        for scope, looks in self.looks.items():
            if any(stopped(self._accounting.live.values(), self._accounting.guard, scope)):
                looks.quiet_since = looks.empty = looks.proven_at = 0
            elif not looks.quiet_since:
                looks.quiet_since = mono

    def looked(self, reports: Iterable[OrderReport], asked: int, wall: int) -> None:
        """The venue's open orders of the account; ``asked``: monotonic time before the question left."""
        accounting = self._accounting
        kept = protective(accounting.live.values())
        mine = [report for report in reports if self._is_ours(report)]
        for scope, looks in self.looks.items():
            if not looks.quiet_since or asked < looks.quiet_since:
                continue
            if any(self._is_stopped(report, scope, kept) for report in mine):
                looks.empty = looks.proven_at = 0
                continue
            looks.empty += 1
            if looks.empty >= LOOKS and not looks.proven_at:
                looks.proven_at = wall

    def _is_ours(self, report: OrderReport) -> bool:
        parts = parse(report.client_order_id)
        return parts is not None and parts.prefix == self._accounting.prefix

    def _is_stopped(self, report: OrderReport, scope: Scope, kept: set[str]) -> bool:
        """An order that we do not know may be any track's."""
        accounting = self._accounting
        order = accounting.orders.get(report.client_order_id)
        tracks = [order.track] if order is not None else [name for name in accounting.gate.tracks if name != FOREIGN]
        if not any(scope.covers(track, report.symbol) for track in tracks):
            return False
        severity = max((accounting.guard.severity_of(track, report.symbol) for track in tracks), default=Severity.NONE)
        if severity is Severity.FLATTEN:
            return not is_closing(report.client_order_id)
        return report.client_order_id not in kept
