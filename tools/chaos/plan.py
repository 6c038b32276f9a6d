"""What happens in one episode, all of it from one seed. Pure."""

from random import Random  # sim-ok: the type of what is handed in
from typing import Final

import msgspec

from ringfence.model.orders import OrderType, Side, TimeInForce

FATES: Final = (
    *("request lost", "answer lost", "late request", "late answer", "silence", "lost and late"),
    *("502 unexecuted", "504 executed", "twice", "refused"),
)
"""What may become of a request and its answer."""
KINDS: Final = ("limit", "limit", "limit", "market", "ioc", "maker", "fok", "ioc")


class Want(msgspec.Struct, frozen=True):
    """An intent of the strategy."""

    at_s: float
    name: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity_lots: int
    away_ticks: int
    """From the own side's best price; negative = through the other side's."""
    again_s: float
    """When the same intent is sent a second time; 0 = never."""


class Change(msgspec.Struct, frozen=True):
    """Something is asked for that changes, ends or guards what is there."""

    at_s: float
    kind: str
    """replace, reduce, mass, stop or pair."""
    name: str
    target: str
    """Name of the intent that it is about, where nothing works."""
    side: Side
    quantity_lots: int
    away_ticks: int


class Drop(msgspec.Struct, frozen=True):
    """A cancel of an intent."""

    at_s: float
    name: str


class Trouble(msgspec.Struct, frozen=True):
    """Something goes wrong at the venue or on the wire."""

    at_s: float
    kind: str
    value: int
    until_s: float


class Restate(msgspec.Struct, frozen=True):
    """The venue takes a past trade back, or restates it. After the end of the plan: when all had settled."""

    at_s: float
    pick: int
    """Which of those that there are."""
    quantity_percent: int
    """What of the trade stays; 0 = it is busted."""
    away_ticks: int
    """The new price's distance from the old one."""


class Kill(msgspec.Struct, frozen=True):
    """kill -9: at a moment, or at the n-th step that leaves the process after it."""

    at_s: float
    fuse: int
    torn: float
    down_s: float


class Stop(msgspec.Struct, frozen=True):
    """The kill switch, directly; released later by the KillSwitch."""

    at_s: float
    severity: str
    release_s: float


class Plan(msgspec.Struct, frozen=True):
    length_s: float
    wants: tuple[Want, ...]
    drops: tuple[Drop, ...]
    troubles: tuple[Trouble, ...]
    kills: tuple[Kill, ...]
    stops: tuple[Stop, ...]
    latency_ms: int
    skew_ms: int
    fates: tuple[str, ...]
    """Few kinds at a time: some bugs need the same thing to happen again and again."""
    loss: float
    """Chance that something happens to a request."""
    order_loss: float
    """The same for orders and cancels."""
    event_loss: float
    """Chance that a private event is never told."""
    repeats: float
    """Chance that it is told twice."""
    history: int
    """Orders that the owner had traded before the gate came."""
    first_fuse: int
    cancel_at_end: bool
    kill_at_end: bool


def plan(rng: Random) -> Plan:
    length = rng.uniform(3, 10)
    moments = [rng.uniform(0.8, length) for _ in range(rng.randint(2, 15))]
    wants = tuple(_want(rng, number, rng.choice(moments)) for number in range(rng.randint(4, 40)))
    drops = [Drop(w.at_s + rng.choice((0, rng.uniform(0, 0.1), rng.uniform(0, 2))), w.name) for w in wants]
    return Plan(
        length_s=length,
        wants=wants,
        drops=tuple(d for d in drops if rng.random() < 0.4),
        troubles=tuple(_trouble(rng, length) for _ in range(rng.choice((0, 1, 2, 4)))),
        kills=tuple(_kill(rng, length, moments) for _ in range(rng.choice((0, 1, 1, 2, 3)))),
        stops=tuple(_stop(rng, length) for _ in range(rng.choice((0, 0, 1)))),
        latency_ms=rng.choice((1, 5, 40)),
        skew_ms=rng.choice((0, 0, 0, -30_000, 3_000, 30_000)),
        fates=tuple(rng.sample(FATES, rng.choice((1, 2, 2, 3, len(FATES))))),
        loss=rng.choice((0.0, 0.0, 0.02, 0.1, 0.4)),
        order_loss=rng.choice((0.0, 0.2, 0.7)),
        event_loss=rng.choice((0.0, 0.0, 0.1, 0.5)),
        repeats=rng.choice((0.0, 0.3)),
        history=rng.choice((0, 0, 3)),
        first_fuse=rng.choice((0, 0, 0, rng.randint(1, 12))),
        cancel_at_end=rng.random() < 0.5,
        kill_at_end=rng.random() < 0.3,
    )


def changes(rng: Random, made: Plan) -> tuple[Change, ...]:
    """Drawn apart from the plan, so that a seed keeps its plan."""
    found = []
    for number in range(rng.choice((0, 4, 12, 30))):
        want = rng.choice(made.wants)
        kind = rng.choice((*(3 * ("replace", "reduce", "pair")), "stop", "stop", "mass"))
        at = rng.choice((want.at_s + rng.uniform(0, 0.3), rng.uniform(0.8, made.length_s)))
        lots = want.quantity_lots // 2 if kind == "reduce" else rng.choice((20, 100, want.quantity_lots))
        away = rng.choice((1, 50, rng.randint(1, 20_000)))
        found.append(Change(at, kind, f"c{number}", want.name, rng.choice((Side.BUY, Side.SELL)), max(20, lots), away))
    return tuple(found)


def restatements(rng: Random, length: float) -> tuple[Restate, ...]:
    """Drawn apart, as changes are. Most come long after the trade, as at a venue."""
    return tuple(
        Restate(
            at_s=length + 1 if rng.random() < 0.7 else rng.uniform(0.8, length),
            pick=rng.randrange(1_000),
            quantity_percent=rng.choice((0, 0, 50, 100)),
            away_ticks=rng.choice((0, rng.randint(-5_000, 5_000))),
        )
        for _ in range(rng.choice((0, 0, 1, 1, 3)))
    )


def full_disk(rng: Random, length: float) -> Trouble:
    """The journal's volume takes nothing for a while, perhaps from the very start."""
    at = rng.choice((0.0, rng.uniform(0, length)))
    return Trouble(at, "disk_full", 0, at + rng.uniform(0.1, 3))


def _want(rng: Random, number: int, moment: float) -> Want:
    kind = rng.choice(KINDS)
    force = {"ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}.get(kind, TimeInForce.GTC)
    sort = {"market": OrderType.MARKET, "maker": OrderType.LIMIT_MAKER}.get(kind, OrderType.LIMIT)
    return Want(
        at_s=moment + rng.choice((0.0, rng.uniform(0, 0.05))),
        name=f"i{number}",
        side=rng.choice((Side.BUY, Side.SELL)),
        type=sort,
        time_in_force=force,
        quantity_lots=rng.choice((20, 100, rng.randint(20, 4000))),
        away_ticks=rng.choice((0, 0, 2, -1, -1, -200, -2000, rng.randint(0, 20_000))),
        again_s=rng.choice((0.0, 0.0, 0.0, rng.uniform(0, 3))),
    )


def _trouble(rng: Random, length: float) -> Trouble:
    at = rng.uniform(0, length)
    kind = rng.choice(("drop_streams", "http_status", "latency_ms", "halt", "lose_events", "deaf"))
    value = {
        "http_status": rng.choice((500, 502, 503, 504)) * 10 + rng.choice((0, 1)),
        "latency_ms": rng.choice((100, 600, 1500, 3000)),
        "lose_events": rng.choice((1, 2, 3, 20)),
    }.get(kind, 0)
    return Trouble(at, kind, value, at + rng.uniform(0.1, 3))


def _kill(rng: Random, length: float, moments: list[float]) -> Kill:
    fuse = rng.choice((0, rng.randint(1, 10), rng.randint(1, 60)))
    at = rng.choice((rng.uniform(0, length), rng.choice(moments) - 0.001, rng.choice(moments) + rng.uniform(0, 0.1)))
    return Kill(at, fuse, rng.choice((0.0, rng.random())), rng.choice((0.0, rng.uniform(0, 2))))


def _stop(rng: Random, length: float) -> Stop:
    at = rng.uniform(0, length)
    return Stop(at, rng.choice(("Cancel", "Halt", "ReduceOnly")), at + rng.uniform(0.1, 4))
