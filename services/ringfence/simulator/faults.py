"""What can be made to go wrong at the venue, on demand. Plain state, read where the fault acts. Pure."""

from typing import Annotated

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to POST /faults."""

    kind: str
    """drop_streams, shutdown, http_status, cut, slow_answers, latency_ms, halt, silence, gap, lose_events,
    repeat_events, swap_events, late_events, balance, bust, correct or clear."""
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    code: Annotated[int, msgspec.Meta(ge=-9_999, le=-1)] = -1000
    """Of http_status: what the answer's body says beside it."""
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """How many requests, messages or events it hits."""
    value: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    """Of latency_ms: one way. Of slow_answers and late_events: how much later, ms."""
    symbol: str = ""
    """Of balance: the asset."""
    amount: str = "0"
    """Of balance: what the venue tells too much of the asset; a decimal, negative for too little."""
    trade_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of bust and correct: which trade of ``symbol`` (`restating` says how that shows); 0 = the latest."""
    price: str = ""
    quantity: str = ""
    """Of correct: decimals; empty = as it was. No more than was traded."""
    name: str = ""
    """Of http_status, cut and slow_answers: the one request that it hits, as the WebSocket API names it, such as
    order.place; empty = all that place or end orders."""
    on: bool = True
    executed: bool = False
    """Of http_status and cut: whether the venue does what it was asked, and only the answer is lost."""


class Broken(msgspec.Struct, frozen=True):
    """How a request's answer is to fail."""

    status: int
    """0 = the connection is cut, with nothing or half of an answer said."""
    code: int
    executed: bool


class Faults:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._answers: list[tuple[Fault, list[int]]] = []
        """With the number of requests that each is still to hit."""
        self._slow: tuple[Fault, list[int]] | None = None
        self.silent: set[str] = set()
        """Instruments whose public streams say nothing."""
        self.gaps: dict[str, int] = {}
        """Depth messages still to be lost, by instrument."""
        self.lost_events = 0
        """Private events still to be lost, told twice, told after their successor, told late."""
        self.repeated_events = 0
        self.swapped_events = 0
        self.late_events = 0
        self.late_ms = 0
        self.balances: dict[str, int] = {}
        """By asset: what is told too much."""

    def set_answers(self, fault: Fault) -> None:
        """Requests will fail: one fault at a time for each name; a count of 0 ends it."""
        self._answers = [(one, left) for one, left in self._answers if one.name != fault.name]
        self._answers.append((fault, [fault.count]))

    def set_slow(self, fault: Fault) -> None:
        self._slow = (fault, [fault.count])

    def next_answer(self, name: str, *, about_orders: bool) -> Broken | None:
        """What goes wrong with this request; None = nothing."""
        for fault, left in self._answers:
            if left[0] and _hits(fault, name, about_orders=about_orders):
                left[0] -= 1
                return Broken(fault.status if fault.kind == "http_status" else 0, fault.code, fault.executed)
        return None

    def next_slow_s(self, name: str, *, about_orders: bool) -> float:
        """How much later than it could this answer is given."""
        if self._slow is None:
            return 0.0
        fault, left = self._slow
        if not left[0] or not _hits(fault, name, about_orders=about_orders):
            return 0.0
        left[0] -= 1
        return fault.value / 1_000

    def loses_depth(self, symbol: str) -> bool:
        left = self.gaps.get(symbol, 0)
        if left:
            self.gaps[symbol] = left - 1
        return left > 0

    def loses_event(self) -> bool:
        return self._one_of("lost_events")

    def repeats_event(self) -> bool:
        return self._one_of("repeated_events")

    def swaps_event(self) -> bool:
        return self._one_of("swapped_events")

    def delays_event(self) -> bool:
        return self._one_of("late_events")

    def _one_of(self, name: str) -> bool:
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0


def _hits(fault: Fault, name: str, *, about_orders: bool) -> bool:
    return fault.name == name if fault.name else about_orders
