"""What can be made to go wrong at the venue, on demand. Plain state, read where the fault acts. Pure."""

from typing import Annotated

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to POST /faults."""

    kind: str
    """drop_streams, http_status, latency_ms, halt, silence, gap, lose_events or clear."""
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """How many requests, messages or events it hits."""
    value: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    """Of latency_ms: one way."""
    symbol: str = ""
    on: bool = True
    executed: bool = False
    """Of http_status: whether the venue does what it was asked, and only the answer is lost."""


class Faults:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.http_status = 0
        self.http_count = 0
        self.http_executed = False
        self.silent: set[str] = set()
        """Instruments whose public streams say nothing."""
        self.gaps: dict[str, int] = {}
        """Depth messages still to be lost, by instrument."""
        self.lost_events = 0
        """Private events still to be lost."""

    def next_http(self) -> tuple[int, bool] | None:
        """Status for this order request and whether it is executed nevertheless; None = no fault."""
        if not self.http_count:
            return None
        self.http_count -= 1
        return self.http_status, self.http_executed

    def loses_depth(self, symbol: str) -> bool:
        left = self.gaps.get(symbol, 0)
        if left:
            self.gaps[symbol] = left - 1
        return left > 0

    def loses_event(self) -> bool:
        if not self.lost_events:
            return False
        self.lost_events -= 1
        return True
