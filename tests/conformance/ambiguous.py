"""Outcomes that are not known: each request of an order's life, and each way in which its answer can fail to come."""

from collections.abc import Callable
from typing import Final

from directed import Directed, directed
from matrix import Case, Run, Wire, numbered

from chaos.episode import RULES

ORDER: Final = "/api/v3/order"


async def submit(at: Directed) -> tuple[str, ...]:
    at.ask("a")
    return ("a",)


async def cancel(at: Directed) -> tuple[str, ...]:
    at.cancel("a")
    return ("a",)


async def replace(at: Directed) -> tuple[str, ...]:
    at.replace("a", "b")
    return ("a", "b")


async def amend(at: Directed) -> tuple[str, ...]:
    at.amend("a", 400)
    return ("a",)


async def pair(at: Directed) -> tuple[str, ...]:
    at.pair("p")
    return ("pt", "ps")


async def cancel_all(at: Directed) -> tuple[str, ...]:
    at.cancel_all()
    return ("a", "b", "c")


async def nothing(_at: Directed) -> None:
    pass


OPERATIONS: Final = {
    "submit": (submit, nothing, ORDER, "order.place"),
    "cancel": (cancel, lambda at: at.resting("a"), ORDER, "order.cancel"),
    "replace": (replace, lambda at: at.resting("a"), "/api/v3/order/cancelReplace", "order.cancelReplace"),
    "amend": (amend, lambda at: at.resting("a"), "/api/v3/order/amend/keepPriority", "order.amend.keepPriority"),
    "pair": (pair, lambda at: at.holding(), "/api/v3/orderList/oco", "orderList.place.oco"),
    "cancel all": (cancel_all, lambda at: at.resting("a", "b", "c"), ORDER, "order.cancel"),
}
Spoil = Callable[[Directed, str, str], None]


def fate(name: str) -> Spoil:
    """On the wire."""

    def spoil(at: Directed, path: str, _method: str) -> None:
        at.network.directed[path] = name

    return spoil


def trouble(kind: str, **more: object) -> Spoil:
    """At the venue."""

    def spoil(at: Directed, _path: str, method: str) -> None:
        at.fault(kind, name=method, **more)

    return spoil


def deaf(at: Directed, path: str, _method: str) -> None:
    """The answer is lost, and so is all that the private stream would tell: only questions settle it."""
    at.network.directed[path] = "answer lost"
    at.fault("lose_events", count=1_000)


def untroubled(_at: Directed, _path: str, _method: str) -> None:
    pass


SPOILED: Final[dict[str, Spoil]] = {
    "lost before it arrived": fate("request lost"),
    "lost acknowledgement": fate("answer lost"),
    "arrives after we gave up": fate("late request"),
    "time-out, done": fate("silence"),
    "502 before acceptance": fate("502 unexecuted"),
    "504 after acceptance": fate("504 executed"),
    "503/-1008 not accepted": trouble("http_status", status=503, code=-1008),
    "500/-1007 accepted": trouble("http_status", status=500, code=-1007, executed=True),
    "400/-1006 accepted": trouble("http_status", status=400, code=-1006, executed=True),
    "cut in the middle of the answer": trouble("cut", executed=True),
    "answer after the stream told": trouble("slow_answers", value=900),
    "answer and events lost": deaf,
    "connection refused": fate("refused"),
}


def row(operation: str, how: str) -> tuple[str, Callable[[Wire], str], Run]:
    act, prepare, path, method = OPERATIONS[operation]

    async def script(at: Directed) -> str:
        await prepare(at)
        at.history.clear()
        at.blocked = False
        SPOILED[how](at, path, method)
        seen = await at.settled(*await act(at))
        if operation == "amend":
            order = at.order("a")
            assert order is not None
            seen += f", {order.quantity // RULES.lot} lots"
        return seen

    return f"{operation}: {how}", lambda wire: expected(operation, how, wire), directed(script)


NOT_DONE: Final = frozenset({"lost before it arrived", "502 before acceptance", "503/-1008 not accepted"})
"""The venue never had it, and nothing but its word and the request's validity proves that."""
NEVER_LEFT: Final = "connection refused"
BY_REST: Final = frozenset({"replace", "amend", "pair"})
"""These have one way only."""
DEAF: Final = "answer and events lost"
WAITS: Final = "; new exposure waits"


def expected(operation: str, how: str, wire: Wire) -> str:
    """What must be seen. ``?`` is an outcome that is not known, and then nothing new is opened in the instrument."""
    by_message = wire is Wire.MESSAGE and operation not in BY_REST
    # a message has left when it is handed to its connection; a request by REST has its connection opened first
    never_left = how == NEVER_LEFT and not by_message
    not_done = how in NOT_DONE or (how == NEVER_LEFT and by_message)
    # a connection takes with it what it would have told of
    untold = how == DEAF or (how == "lost acknowledgement" and by_message)
    placed = "SUBMITTED > ACCEPTED"
    if not_done:
        placed = "SUBMITTED > SUBMITTED? > CANCELED"
    elif never_left:
        placed = "SUBMITTED > CANCELED"
    elif untold:
        placed = "SUBMITTED > SUBMITTED? > ACCEPTED"
    waits = WAITS if not_done or untold else ""
    gone = not not_done and not never_left
    # a cancel may be repeated, so one that did not arrive only takes longer
    canceled = "PENDING_CANCEL > CANCELED"
    at_once = f"PENDING_CANCEL > ACCEPTED > {canceled}" if never_left else canceled
    found = {
        "submit": placed + waits,
        "cancel": at_once,
        "replace": f"PENDING_UPDATE > {'CANCELED' if gone else 'ACCEPTED'}; {placed}{waits}",
        "amend": "PENDING_UPDATE > ACCEPTED",
        "pair": f"{placed}; {placed}{waits}",
        "cancel all": f"{at_once}; {canceled}; {canceled}",
    }[operation]
    if operation == "amend":
        found += f", {'400' if gone else '1000'} lots"
    return f"{found} | ledgers equal"


def partly(how: str, spoil: Spoil, found: str) -> tuple[str, str, Run]:
    """A replacement of which the cancel is done, and then the new order cannot be paid."""

    async def script(at: Directed) -> str:
        await at.resting("a")
        at.history.clear()
        at.spend()
        spoil(at, *OPERATIONS["replace"][2:])
        return await at.settled(*await replace(at))

    return (
        f"replace in part: {how}",
        f"PENDING_UPDATE > CANCELED; SUBMITTED > {found} | ledgers equal",
        directed(script),
    )


UNSETTLED: Final = f"SUBMITTED? > CANCELED{WAITS}"
PARTLY: Final = (
    partly("answered", untroubled, "REJECTED"),
    *(partly(how, SPOILED[how], UNSETTLED) for how in ("lost acknowledgement", "504 after acceptance", DEAF)),
)


def cases() -> list[Case]:
    return numbered("U", [*(row(operation, how) for operation in OPERATIONS for how in SPOILED), *PARTLY])
