"""Everything that builders build from, resolved and frozen: spec, state, settings, and what was seen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ringfence.runtime import config
from ringfence.wire import kill
from ringfence_operator.rollout.state import State, Stop, TrackState
from ringfence_operator.settings import Settings

API_VERSION: Final = "ringfence.dev/v1alpha1"
SLOTS: Final = ("a", "b", "c")
"""Places for a strategy to run in: stable, candidate and, while a promotion bakes, the stable of before. A revision
keeps its slot from its first day on paper to its last, whatever track it trades on: its pod, keys and configuration
stay, and only the allocation moves. The slots' keys are known to all from the start, so nobody restarts for a new one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyPlan:
    """One revision of the author's code."""

    revision: str
    image: str
    strategy_class: str
    parameters: Mapping[str, str]
    symbols: tuple[str, ...]
    record: str
    """The text that the revision is the hash of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorPlan:
    """The simulated venue, where the venue is one."""

    market: config.GeneratedMarket | config.RecordedMarket
    balances: Mapping[str, int]
    weight_per_minute: int = 6_000
    orders_per_ten_seconds: int = 100
    orders_per_day: int = 200_000
    recordings_claim: str = ""
    """Volume claim with recordings, for a recorded market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePlan:
    """One venue, and the one account that is traded there."""

    name: str
    symbols: tuple[str, ...]
    endpoints: config.Venue
    credentials: str
    """Secret with ``api-key`` and ``api-secret``."""
    watchdog_credentials: str
    """The same for the watchdog; equal to ``credentials`` where it has none of its own."""
    maker_fee_bps: int
    taker_fee_bps: int
    latency_ms: int
    paper_balances: Mapping[str, int]
    time_zone: str = "UTC"
    """Where its days of losses begin."""
    hedges: tuple[config.Hedge, ...] = ()
    simulator: SimulatorPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Which image of ours each program runs, as an upgrade has come."""

    paper: str
    """Of paper, the twin, and portfolio, which run a new one first."""
    execution: str
    """Of all others, which change under halt."""
    hold: str = ""
    """Why execution is halted by us; empty: it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Documents of ours as they are in the cluster; None = not there."""

    allocation: str | None = None
    mirrored: str | None = None
    """``data.state`` of the kill-switch ConfigMap."""
    pod_monitors: bool = False
    """The PodMonitor kind exists."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Revision by slot, of the strategies that are deployed."""
    strategies: Mapping[str, str] = field(default_factory=dict)
    """Configuration file by slot."""
    simulators: Mapping[str, str] = field(default_factory=dict)
    """Image by venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One system, ready to be built."""

    system: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    """Of the TradingSystem: kill switches may select by them."""
    strategies: Mapping[str, StrategyPlan]
    """By revision: those that run, as far as their records are there."""
    capital: int
    currency: str
    venues: tuple[VenuePlan, ...]
    limits: config.Limits
    state: State
    stop: Stop
    """What holds, by whatever way it was asked for."""
    mirror: Stop
    """What the KillSwitch objects alone ask for: the part that is mirrored for gates without API server."""
    silent_s: int
    """See `WatchdogConfig`, like the next."""
    acknowledge_s: int
    journal_class: str
    journal_size: str
    settings: Settings
    platform: Platform
    keys: Mapping[str, str]
    """CurveZMQ public key by role."""
    observed: Observed = field(default_factory=Observed)
    on_shutdown: str = "Cancel"
    scoped: tuple[kill.MirroredStop, ...] = ()
    """What the KillSwitch objects ask of a part of the system."""
    epoch_floor: int = 0
    """A document that is not there any more starts again from here: UTC seconds, so it is never an older epoch."""

    @property
    def tracks(self) -> tuple[TrackState, ...]:
        """Those that run: stable, candidate, shadow."""
        found = (self.state.stable, self.state.candidate, self.state.shadow)
        return tuple(track for track in found if track is not None)

    @property
    def trading(self) -> bool:
        """May anything be sent to a venue?"""
        return any(track.weight > 0 for track in self.tracks)

    @property
    def slots(self) -> Mapping[str, str]:
        """Slot by revision: where it runs already; else a free one, rather one in which nothing has to end first."""
        taken = {rev: slot for slot, rev in sorted(self.observed.slots.items(), reverse=True)}
        wanted = dict.fromkeys(track.revision for track in self.tracks)
        found = {revision: taken[revision] for revision in wanted if revision in taken}
        for revision in wanted:
            if revision not in found:
                free = [slot for slot in SLOTS if slot not in found.values()]
                found[revision] = min(free, key=lambda slot: (slot in self.observed.slots, slot))
        return found

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({symbol for venue in self.venues for symbol in venue.symbols}))


# Names. One place, because RBAC, network policies, configuration files and people all use them.


def programs(venues: Iterable[tuple[str, bool]], slots: Iterable[str] = SLOTS) -> tuple[tuple[str, str], ...]:
    """Role and service of every program, for venues given as name and whether it is simulated. ``slots``: those in
    which a strategy runs."""
    found: list[tuple[str, str]] = []
    for venue, simulated in venues:
        services = (*(("simulator",) if simulated else ()), "marketdata", "execution", "watchdog", "paper")
        found += [(f"{venue}-{service}", service) for service in services]
    return (*found, ("portfolio", "portfolio"), *((strategy_role(slot), "strategy") for slot in slots))


def bus_roles(venues: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    """Every role that speaks on the bus, and so has a key pair. A venue does not."""
    return tuple(role for role, service in programs(venues) if service != "simulator")


def strategy_role(slot: str) -> str:
    return f"strategy-{slot}"


def workload_name(system: str, role: str) -> str:
    """Also of its Service, ServiceAccount and ConfigMap prefix."""
    return f"{system}-{role}"


def account(system: str, venue: str) -> str:
    """The account; its Lease has the same name."""
    return f"{system}-{venue}"


def journal_claim(system: str, venue: str) -> str:
    return f"{system}-{venue}-journal"


def curve_secret(system: str, role: str) -> str:
    return f"{system}-{role}-curve"


def credentials_secret(system: str, venue: str) -> str:
    """Made by us for Simulator venues; for others, people name their own."""
    return f"{system}-{venue}-credentials"


def kill_token_secret(system: str, venue: str) -> str:
    return f"{system}-{venue}-kill-token"


def allocation_name(system: str) -> str:
    return f"{system}-allocation"


def kill_switch_name(system: str) -> str:
    """The ConfigMap. The KillSwitch object has the system's own name."""
    return f"{system}-kill-switch"


def revision_name(system: str, revision: str) -> str:
    """Of the record of a revision: what it is the hash of."""
    return f"{system}-revision-{revision}"


def limits_name(system: str, grant: str) -> str:
    return f"{system}-limits-{grant}"
