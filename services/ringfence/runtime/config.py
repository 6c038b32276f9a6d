"""The files that the operator renders and the services read: the contract between control and data plane.

Each service reads one JSON file once at start (`load`), refuses unknown fields, and never changes its mind.
What may change while it runs (weights, tightened limits, the kill switch) is not here but in the allocation
document and the kill switch. Pure but for `load`.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ringfence.model.calendar import Calendar

CONFIG_FILE: Final = Path("/etc/ringfence/config/service.json")
CURVE_DIR: Final = Path(os.environ.get("RINGFENCE_CURVE", "/etc/ringfence/curve"))
"""Files ``public`` and ``secret``: this role's CurveZMQ key pair, Z85. RINGFENCE_CURVE moves it."""
CREDENTIALS_DIR: Final = Path("/etc/ringfence/credentials")
"""Files ``api-key`` and ``api-secret``; only in execution (and the simulator that stands for the venue)."""
KILL_TOKEN_FILE: Final = Path("/etc/ringfence/kill-token/token")
"""Shared key of the direct kill endpoint: HMAC-SHA256 over the request body."""
KILL_SWITCH_DIR: Final = Path("/etc/ringfence/kill-switch")
"""The ``<system>-kill-switch`` ConfigMap as a volume: the slow path."""
JOURNAL_DIR: Final = Path("/var/lib/ringfence/journal")
RECORDINGS_DIR: Final = Path("/var/lib/ringfence/recordings")
TERMINATION_LOG: Final = Path(os.environ.get("RINGFENCE_TERMINATION_LOG", "/dev/termination-log"))
"""Why a service gave up, in one sentence; the operator reads it from the pod's status. For tests and machines
without Kubernetes, RINGFENCE_TERMINATION_LOG moves it."""

HTTP_PORT: Final = 8080
"""/livez /readyz /metrics, and read-only documents such as /events and /positions."""
KILL_PORT: Final = 8081
"""POST /kill on gates."""
MARKETDATA_PORT: Final = 5555
"""PUB socket of marketdata."""
INTENTS_PORT: Final = 5556
"""PULL socket of a gate: intents in."""
EVENTS_PORT: Final = 5557
"""PUB socket of a gate: order events, account and gate state out."""
SIMULATOR_PORT: Final = 9000
"""REST, streams and WebSocket API of the simulated venue."""
SIMULATOR_CONTROL_PORT: Final = 9001
"""The simulator's own record and fault controls."""


DRAIN_S: Final = {"Cancel": 10, "Flatten": 60, "Keep": 10}
"""How long a gate that is told to end may take to leave things as ``on_shutdown`` says."""
END_MARGIN_S: Final = 20
"""On top of it for the rest: the journal, the Lease, connections. Together the pod's grace period."""


class ConfigError(ValueError):
    """A configuration that a service refuses to run with."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CurveZMQ server socket: where it is, and the public key that proves it."""

    host: str
    port: int
    public_key: str
    """Z85, 40 characters."""


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every service is told. Defaults are not written: an operator that knows one field more writes the same
    file as before it, so nothing restarts for it, and an earlier image goes on reading it."""

    system: str
    namespace: str
    service: str
    """Name within the system: ``sim-execution``, ``portfolio``; also the publisher name on the bus."""
    http_port: int = HTTP_PORT
    log_level: str = "info"


class Alerting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go."""

    alertmanagers: tuple[str, ...] = ()
    """Base URLs of Alertmanagers, such as ``http://alertmanager.monitoring:9093``; each is told. Empty = none."""
    runbooks: str = ""
    """URL under which people find docs/runbooks; empty = alerts name the file alone."""


class Venue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a venue that speaks the Binance spot protocol (a real one or the simulator)."""

    name: str
    rest_url: str
    """Such as ``https://api.binance.com`` or ``http://momentum-sim-simulator:9000``."""
    stream_url: str
    """Such as ``wss://stream.binance.com:9443``; /ws and /stream are appended."""
    ws_api_url: str
    """Such as ``wss://ws-api.binance.com:443/ws-api/v3``."""
    recv_window_ms: int = 5000


class GeneratedMarket(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="market", tag="Generated"
):
    seed: int
    price: dict[str, int] = {}
    """First mid price by symbol, scaled; absent = the generator's own."""


class RecordedMarket(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="market", tag="Recorded"
):
    directory: str = str(RECORDINGS_DIR)
    loop: bool = True
    """Start again at the end of the recording (with a new session of update ids)."""


class SimulatorConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    symbols: tuple[str, ...]
    """What it lists; the rules of each (tick, lot, minimums) are the simulator's own, as a venue's are."""
    market: GeneratedMarket | RecordedMarket
    maker_fee_bps: int
    """Scaled by 1e-8: 7.5 bps is 750_000_000."""
    taker_fee_bps: int
    latency_ms: int
    """One way, order entry and response alike."""
    balances: dict[str, int]
    weight_per_minute: int = 6_000
    """Request weight that one address may use; beyond it the venue refuses, and then bans."""
    orders_per_ten_seconds: int = 100
    """New orders that the account may send."""
    orders_per_day: int = 200_000
    port: int = SIMULATOR_PORT
    control_port: int = SIMULATOR_CONTROL_PORT


class MarketdataConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    venue: Venue
    symbols: tuple[str, ...]
    book_stale_ms: int
    quote_stale_ms: int
    subscribers: dict[str, str]
    """Role to Z85 public key: who may connect."""
    port: int = MARKETDATA_PORT


class Hedge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two positions of one track that offset each other."""

    name: str
    leg: str
    against: str
    ratio: int
    """Units of ``against`` for one unit of ``leg``, scaled."""
    tolerance: int
    """How far they may be apart, percent of the larger, scaled."""


class GateConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Execution (venue given) and paper (``paper`` true: same program, simulated fills, no credentials)."""

    account: str
    """``<system>-<venue>``; also the name of its Lease and of the journal claim's owner."""
    venue: Venue
    paper: bool
    symbols: tuple[str, ...]
    capital: int
    currency: str
    marketdata: Endpoint
    subscribers: dict[str, str]
    """Role to public key: who may read events. Who may send intents is in the allocation (`Track.key`)."""
    lease: str
    """Name of the Lease that fences this account; empty for paper."""
    kill_switch_configmap: str
    allocation_configmap: str
    labels: dict[str, str]
    """Labels of the TradingSystem that kill switches may select by."""
    time_zone: str = "UTC"
    """Where days, weeks and months of losses begin: UTC for crypto, an exchange's own (IANA name) elsewhere."""
    hedges: tuple[Hedge, ...] = ()
    on_shutdown: str = "Cancel"
    """What becomes of orders and positions when it is told to end: Cancel, Flatten or Keep; unknown is Cancel."""
    system_venues: tuple[str, ...] = ()
    """All venues of the system, so that a stop of a part that it does not have is known to be a mistake."""
    system_instruments: tuple[str, ...] = ()
    """All instruments of the system, at any venue."""
    paper_balances: dict[str, int] = {}
    maker_fee_bps: int = 0
    taker_fee_bps: int = 0
    latency_ms: int = 0
    copies: "Gate | None" = None
    """Of paper: the execution whose live orders it simulates as twin. That execution must list us as subscriber."""
    lease_duration_s: int = 15
    alerting: Alerting = Alerting()
    intents_port: int = INTENTS_PORT
    events_port: int = EVENTS_PORT
    kill_port: int = KILL_PORT

    def __post_init__(self) -> None:
        Calendar(self.time_zone)


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate as its readers see it."""

    name: str
    """Service name: ``sim-execution`` or ``sim-paper``."""
    venue: str
    intents: Endpoint
    events: Endpoint
    http: str
    """Base URL of its read-only documents, for gap filling: ``http://host:8080``."""


class WatchdogConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The watchdog of one account."""

    account: str
    venue: Venue
    symbols: tuple[str, ...]
    currency: str
    allocation_configmap: str
    """Its limits change while the watchdog runs."""
    gate: Gate
    """Execution: its events, for the comparison."""
    gate_pod: str
    """Name of execution's pod; a StatefulSet of one keeps it."""
    kill_url: str
    """Base URL of execution's kill endpoint: its state is the heartbeat, and kills are pushed there."""
    lease: str
    labels: dict[str, str]
    """Labels of the TradingSystem that kill switches may select by."""
    system_venues: tuple[str, ...]
    """As for gates."""
    system_instruments: tuple[str, ...]
    silent_s: int
    """Everything is cancelled once Lease and heartbeat have both been silent for so long."""
    acknowledge_s: int
    """... and once a kill has not been acknowledged for so long."""
    look_s: int = 10
    """Between comparisons of the account with the events."""
    looks: int = 3
    """Comparisons in a row that have to show a difference before it counts."""
    own_key: bool = False
    """The venue knows it by another key than execution."""
    on_shutdown: str = "Cancel"
    """As for gates: Keep leaves orders that a successor has to come for."""
    time_zone: str = "UTC"
    """As for gates."""
    alerting: Alerting = Alerting()

    def __post_init__(self) -> None:
        Calendar(self.time_zone)


class StrategyConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    track: str
    revision: str
    strategy_class: str
    """``module:Class``."""
    parameters: dict[str, str]
    symbols: tuple[str, ...]
    marketdata: tuple[Endpoint, ...]
    gate: Gate
    """Where this track's intents go: execution, or paper while its stage is Paper."""
    gates: tuple[Gate, ...] = ()
    """All gates that the allocation may move it to, ``gate`` among them: then track and gate follow the allocation
    without a restart, and ``track`` and ``gate`` are only where it begins. Empty = it stays where it is."""


class PortfolioConfig(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    currency: str
    gates: tuple[Gate, ...]
    marketdata: tuple[Endpoint, ...]
    symbols: tuple[str, ...]
    capital: int
    time_zones: dict[str, str] = {}
    """By venue, as for gates; UTC where a venue is not named."""

    def __post_init__(self) -> None:
        for zone in self.time_zones.values():
            Calendar(zone)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limits revision as the gate enforces it: one field for each of the spec's, named <group>_<field>.

    Money, percent, basis points and ratios are scaled by 1e-8; None = not limited. What each means is said once, in
    the operator's api/limits.py and in docs/limits.md; a test compares names, scaling and directions.
    """

    soft_percent: int = 100
    order_quantity_max: int | None = None
    order_value_max: int
    order_daily_volume_percent: int | None = None
    order_participation_percent: int | None = None
    order_collar_bps: int
    order_static_collar_bps: int | None = None
    order_far_collar_bps: int | None = None
    order_stop_distance_bps: int | None = None
    order_stop_limit_offset_bps: int | None = None
    order_slippage_bps: int | None = None
    order_messages_per_second: int
    order_working_orders: int
    order_approved_lifetime_ms: int
    position_per_instrument: int
    """Quote value of one instrument's position at worst case."""
    position_gross: int
    """Quote value of all positions at worst case."""
    position_net: int | None = None
    position_open_positions: int | None = None
    position_leverage: int | None = None
    position_concentration_percent: int | None = None
    position_sector_percent: int | None = None
    position_correlation: int | None = None
    position_value_at_risk: int | None = None
    position_value_at_risk_percent: int | None = None
    position_expected_shortfall: int | None = None
    position_expected_shortfall_percent: int | None = None
    position_sectors: dict[str, str] = {}
    """By symbol; what is not named is in the sector "unknown"."""
    loss_day: int
    """Quote currency lost since midnight, realised and unrealised and fees."""
    loss_week: int | None = None
    loss_month: int | None = None
    loss_rolling_day: int | None = None
    loss_day_percent: int | None = None
    loss_week_percent: int | None = None
    loss_month_percent: int | None = None
    loss_drawdown_reduce_percent: int | None = None
    loss_drawdown_halt_percent: int | None = None
    market_quote_stale_ms: int
    market_book_stale_ms: int
    market_crossed_settle_ms: int | None = None
    market_volatility_halt_bps: int | None = None
    account_balance_floor: int | None = None
    account_fee_token: str | None = None
    account_fee_token_floor: int | None = None
    breakers_window_seconds: int = 60
    breakers_consecutive_losses: int | None = None
    breakers_repeated_executions: int | None = None
    breakers_check_failure_percent: int | None = None
    breakers_check_failure_min: int | None = None
    breakers_reject_percent: int | None = None
    breakers_reject_min: int | None = None
    breakers_disconnected_seconds: int | None = None
    breakers_position_breach_percent: int | None = None
    rules_types: tuple[str, ...] | None = None
    """Permitted; None = all."""
    rules_times_in_force: tuple[str, ...] | None = None
    rules_restricted: tuple[str, ...] = ()
    rules_sessions: tuple[tuple[int, int], ...] | None = None
    """From and to, minutes since Monday 00:00 UTC; None = always open."""
    rules_blackouts: tuple[tuple[int, int], ...] = ()
    """From and to, UTC seconds."""


SCALED_LIMITS: Final = frozenset(
    {
        "order_quantity_max",
        "order_value_max",
        "order_daily_volume_percent",
        "order_participation_percent",
        "position_per_instrument",
        "position_gross",
        "position_net",
        "position_value_at_risk",
        "position_expected_shortfall",
        "loss_day",
        "loss_week",
        "loss_month",
        "loss_rolling_day",
    }
)
"""A track may use its weight's share of these; of the others all."""
COUNTED_LIMITS: Final = frozenset({"position_open_positions"})
"""A track may have its weight's share of these, and at least one."""
FLOORS: Final = frozenset(
    {"market_crossed_settle_ms", "account_balance_floor", "account_fee_token_floor", "breakers_window_seconds"}
)
"""The stricter of two is the greater; of all other numbers it is the smaller."""


STABLE: Final = "stable"
CANDIDATE: Final = "candidate"
SHADOW: Final = "shadow"
"""The stable of before a promotion, deciding on paper until the bake ends. Always in stage Paper."""


class Track(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A track is a sub-ledger; the revision that trades on it may change (docs/adr/0014)."""

    name: str
    """stable, candidate or shadow."""
    revision: str
    stage: str
    """Paper, Canary or Live."""
    weight: int
    """Percent of the limits that the track may use."""
    grant: str
    """Name of the immutable ConfigMap that holds the limits granted to it."""
    key: str
    """Z85 public key of its strategy: the only client whose intents count as this track's, and one that may read
    the gate's events. A running strategy follows its key to the track and the gate that the allocation gives it."""


class HandoverMode(StrEnum):
    ADOPT = "Adopt"
    """The source's positions become the target's by a book entry at the mark; the target's strategy is told."""
    FLATTEN = "Flatten"
    """The source's positions are closed at the venue, within bounds."""


class Handover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of one track's positions. Carried out once per id, however often it is read.

    Until it is done its tracks take no new exposure; working orders of the source, and of a target whose revision
    has changed, are canceled first. Promotion: candidate to stable, in the allocation that gives stable the new
    revision. Abort: candidate to stable, in the allocation that no longer names the candidate. A promotion that does
    not adopt the old stable's positions names two: Flatten of stable, then Adopt from candidate to stable.
    """

    id: str
    """Unique for ever within the account, 1 to 40 characters of ``[a-z0-9-]``."""
    source: str
    target: str = ""
    """Of Adopt."""
    mode: HandoverMode


class Allocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The small mutable document of a system: ConfigMap ``<system>-allocation``, key ``allocation.json``.

    A gate applies the stricter of each track's grant and ``limits``, and refuses an older epoch. Defaults are not
    written: see `Service`.
    """

    epoch: int
    tracks: tuple[Track, ...]
    """At most one each of stable, candidate and shadow."""
    limits: Limits
    """The current spec's limits: tightening them acts at once, without a new grant."""
    handovers: tuple[Handover, ...] = ()
    """Carried out in this order. Leave one in until every execution reports it as Done."""
    hold: str = ""
    """Why execution (not paper) halts, by the operator and whatever people ask; empty: it does not. A kill switch
    is stronger, and lifting the one never lifts the other."""


ALLOCATION_KEY: Final = "allocation.json"
LIMITS_KEY: Final = "limits.json"
"""Key of a limits ConfigMap. Its name ends in the first ten hex digits of the SHA-256 of this text."""


ServiceT = TypeVar("ServiceT", bound=Service)


def load(kind: type[ServiceT], path: Path | None = None) -> ServiceT:
    """Read this process's configuration file.

    The path is the argument, else RINGFENCE_CONFIG, else where the operator mounts it. Raises ConfigError with
    the file, the field and the rule.
    """
    path = path or Path(os.environ.get("RINGFENCE_CONFIG", CONFIG_FILE))
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"configuration {path}: {error}") from error
