"""The venue's rate limits, kept from our side, so that a cancel always finds room. Pure.

The venue counts in fixed windows of its own clock and tells its counts in the headers of each answer. We count
what is on its way on top of what it told last. Queries may use up to 70 % of the weight, orders 80 %, cancels
all of it: losing sight of an account is bad, being unable to leave a position is worse.

Tracks share half of the order count, so that none starves another, and so that the other half is there for what
closes positions and for whoever else trades the account.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
_UNITS_NS: Final = {"S": SECOND_NS, "M": 60 * SECOND_NS, "H": 3600 * SECOND_NS, "D": 86_400 * SECOND_NS}
_WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-"
_ORDERS_HEADER: Final = "X-MBX-ORDER-COUNT-"
BAN_S: Final = 120
"""The shortest ban that the venue imposes (418); assumed where it does not say until when."""
BAN_MOST_S: Final = 3 * 86_400
WAF_S: Final = 30


class Kind(Enum):
    """What a request is for. The value is the share of the weight, in percent, that this kind may fill up to."""

    CANCEL = 100
    ORDER = 80
    QUERY = 70


SHARED: Final = 50
"""Percent of the venue's order count that tracks have between them."""
SHARES: Final = {"stable": 60, "candidate": 20}
"""Percent of that; what is left over is for cancels. An order that is nobody's, or reduces, is bound by the whole."""


class Limit(msgspec.Struct, frozen=True):
    """At most ``most`` in each window of ``interval`` (``10S``, ``1M``, ``1D``)."""

    interval: str
    most: int


DEFAULT_WEIGHT: Final = Limit("1M", 6000)
DEFAULT_ORDERS: Final = (Limit("10S", 100), Limit("1D", 200_000))


class Wait(msgspec.Struct, frozen=True):
    """No room now."""

    ns: int
    reason: str


class Ticket(msgspec.Struct, frozen=True):
    """Room taken for one request; given back to `RateBudget.settle` when its fate is known."""

    kind: Kind
    weight: int
    taken_ns: int
    orders: int = 0
    track: str = ""


class Counts(msgspec.Struct, frozen=True):
    """What the venue said that it has counted, by interval; empty when there was no answer."""

    weight: dict[str, int]
    orders: dict[str, int]


NO_COUNTS: Final = Counts({}, {})


def counts(headers: Mapping[str, str]) -> Counts:
    """The counters of an answer. Headers that we cannot read count as absent."""
    weight: dict[str, int] = {}
    orders: dict[str, int] = {}
    for name, value in headers.items():
        upper = name.upper()
        if not value.isdecimal():
            continue
        if upper.startswith(_WEIGHT_HEADER):
            weight[upper.removeprefix(_WEIGHT_HEADER)] = int(value)
        elif upper.startswith(_ORDERS_HEADER):
            orders[upper.removeprefix(_ORDERS_HEADER)] = int(value)
    return Counts(weight, orders)


def interval_ns(interval: str) -> int:
    """``10S -> 10,000,000,000``. Raises ValueError for what is no interval."""
    number, unit = interval[:-1], interval[-1:]
    if not number.isdecimal() or unit not in _UNITS_NS or int(number) == 0:
        raise ValueError(f"{interval!r} is not an interval such as 10S or 1M")
    return int(number) * _UNITS_NS[unit]


class Window:
    """One counter of the venue, as we believe it to be."""

    __slots__ = ("index", "interval", "most", "ns", "pending", "tracks", "used")

    def __init__(self, limit: Limit) -> None:
        self.interval = limit.interval
        self.ns = interval_ns(limit.interval)
        self.most = limit.most
        self.index = -1
        self.used = 0
        """As the venue told last, or counted by us where it has told nothing."""
        self.pending = 0
        """On its way: may or may not be in what the venue told."""
        self.tracks: dict[str, int] = {}
        """What each track has sent in this window. Fills give nothing back here: it is a rate of messages."""

    def roll(self, now_ns: int) -> None:
        index = now_ns // self.ns
        if index != self.index:
            self.index = index
            self.used = 0
            self.tracks.clear()

    def wait_ns(self, amount: int, percent: int, now_ns: int) -> int:
        """0 when ``amount`` fits below ``percent`` of the limit, else the time until the window ends."""
        self.roll(now_ns)
        if self.used + self.pending + amount <= self.most * percent // 100:
            return 0
        return (self.index + 1) * self.ns - now_ns

    def share_wait_ns(self, track: str, amount: int, now_ns: int) -> int:
        """0 when the track's share has room, else the time until the window ends."""
        share = SHARES.get(track)
        self.roll(now_ns)
        if share is None or self.tracks.get(track, 0) + amount <= max(1, self.most * SHARED * share // 10_000):
            return 0
        return (self.index + 1) * self.ns - now_ns

    def send(self, track: str, amount: int) -> None:
        self.pending += amount
        self.tracks[track] = self.tracks.get(track, 0) + amount

    def unsend(self, track: str, amount: int) -> None:
        self.pending = max(0, self.pending - amount)
        self.tracks[track] = max(0, self.tracks.get(track, 0) - amount)

    def settle(self, amount: int, told: int | None, taken_ns: int, now_ns: int) -> None:
        self.roll(now_ns)
        self.pending = max(0, self.pending - amount)
        if told is None or taken_ns // self.ns != self.index:
            # no word from the venue, or a word that may be about the window before: count it ourselves
            self.used += amount
        else:
            self.used = told


class RateBudget:
    """All requests of one process to one venue. Times are the venue's clock, estimated."""

    def __init__(self, weight: Limit = DEFAULT_WEIGHT, orders: Iterable[Limit] = DEFAULT_ORDERS) -> None:
        self._weight = Window(weight)
        self._orders = tuple(Window(limit) for limit in orders)
        self._blocked_ns = 0
        self._blocked_why = ""
        self._orders_blocked_ns = 0
        self._waf_ns = 0

    def configure(self, weight: Limit | None, orders: Iterable[Limit]) -> None:
        """Take over the limits that the venue publishes; what has been counted stays where the interval does."""
        if weight is not None:
            self._weight = _renewed(weight, (self._weight,))
        renewed = tuple(_renewed(limit, self._orders) for limit in orders)
        self._orders = renewed or self._orders

    def admit(self, kind: Kind, weight: int, now_ns: int, orders: int = 1, track: str = "") -> Ticket | Wait:
        """Take room for a request, or say how long there will be none.

        ``orders``: how many it places, if it is about that; ``track``: whose share they take.
        """
        orders = orders if kind is Kind.ORDER else 0
        wait = self._closed(kind, weight, now_ns) or self._counted(orders, track, now_ns)
        if wait is not None:
            return wait
        self._weight.pending += weight
        if orders:
            for window in self._orders:
                window.send(track, orders)
        return Ticket(kind, weight, now_ns, orders, track)

    def settle(self, ticket: Ticket, told: Counts, now_ns: int) -> None:
        """The request was answered (with its counters), lost, or never left (both: NO_COUNTS)."""
        self._weight.settle(ticket.weight, told.weight.get(self._weight.interval), ticket.taken_ns, now_ns)
        if ticket.orders:
            for window in self._orders:
                window.settle(ticket.orders, told.orders.get(window.interval), ticket.taken_ns, now_ns)

    def refund(self, ticket: Ticket) -> None:
        """The request never left: nothing was counted anywhere."""
        self._weight.pending = max(0, self._weight.pending - ticket.weight)
        if ticket.orders:
            for window in self._orders:
                window.unsend(ticket.track, ticket.orders)

    def limited(
        self, status: int, code: int, retry_after_s: int | None, banned_until_ms: int | None, now_ns: int
    ) -> None:
        """The venue has refused a request for its rate, or behind its firewall.

        Whoever goes on after a 429 is banned (418) for minutes to days, and a ban takes the cancels with it; so a
        429 stops everything for as long as it says. Too many orders (-1015) stops orders only: cancels are not
        counted there. A firewall's 403 stops all but cancels.
        """
        if code == -1015:
            until_ns = now_ns + (retry_after_s or 10) * SECOND_NS
            self._orders_blocked_ns = max(self._orders_blocked_ns, until_ns)
        elif status in {418, 429} or code == -1003:
            assumed_s = BAN_S if status == 418 else self._weight.ns // SECOND_NS
            until_ns = 0 if banned_until_ms is None else banned_until_ms * 1_000_000
            if retry_after_s is not None or not until_ns:
                until_ns = max(until_ns, now_ns + (retry_after_s or assumed_s) * SECOND_NS)
            until_ns = min(until_ns, now_ns + BAN_MOST_S * SECOND_NS)
            if until_ns > self._blocked_ns:
                self._blocked_ns = until_ns
                self._blocked_why = "banned by the venue (418)" if status == 418 else "told to back off (429)"
        elif status == 403:
            self._waf_ns = max(self._waf_ns, now_ns + WAF_S * SECOND_NS)

    def used_weight(self, now_ns: int) -> int:
        """For metrics."""
        self._weight.roll(now_ns)
        return self._weight.used + self._weight.pending

    def _closed(self, kind: Kind, weight: int, now_ns: int) -> Wait | None:
        if now_ns < self._blocked_ns:
            return Wait(self._blocked_ns - now_ns, self._blocked_why)
        if kind is not Kind.CANCEL and now_ns < self._waf_ns:
            return Wait(self._waf_ns - now_ns, "refused by the venue's firewall (403)")
        wait_ns = self._weight.wait_ns(weight, kind.value, now_ns)
        if wait_ns:
            return Wait(wait_ns, f"request weight of {self._weight.interval} used up to {kind.value} %")
        return None

    def _counted(self, orders: int, track: str, now_ns: int) -> Wait | None:
        if not orders:
            return None
        if now_ns < self._orders_blocked_ns:
            return Wait(self._orders_blocked_ns - now_ns, "too many orders (-1015)")
        for window in self._orders:
            wait_ns = window.wait_ns(orders, 100, now_ns)
            if wait_ns:
                return Wait(wait_ns, f"order count of {window.interval} used up")
            wait_ns = window.share_wait_ns(track, orders, now_ns)
            if wait_ns:
                return Wait(wait_ns, f"share of {track} in the order count of {window.interval} used up")
        return None


def _renewed(limit: Limit, windows: Iterable[Window]) -> Window:
    for window in windows:
        if window.interval == limit.interval:
            window.most = limit.most
            return window
    return Window(limit)
