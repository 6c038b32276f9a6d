"""TradingSystem: what to run, on which venues, within which limits, and how far it may go."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, Strict

from ringfence_operator.api.limits import Limits
from ringfence_operator.api.meta import (
    AGE,
    LABEL_PATTERN,
    SYSTEM_NAME_LENGTH_MAX,
    VENUE_NAME_LENGTH_MAX,
    Amount,
    Bps,
    Column,
    Conditions,
    Count,
    Flag,
    Instant,
    Kind,
    Looser,
    ObjectName,
    Percent,
    PositiveAmount,
    PositivePercent,
    PositiveRatio,
    Spec,
    Status,
    Text,
    Whole,
    Word,
    cel,
    condition_column,
    list_map,
    rule,
)
from ringfence_operator.api.rollout import PlatformStatus, Rollout, RolloutStatus, Stage

Trading = Literal["Active", "ReduceOnly", "Halted", "Cancel", "Flatten", "Starting", "NotRunning", "Unknown"]
Symbol = Annotated[str, Field(pattern="^[A-Z0-9]{2,20}$", min_length=2, max_length=20)]
VenueName = Annotated[str, Field(pattern=LABEL_PATTERN, min_length=1, max_length=VENUE_NAME_LENGTH_MAX)]

_CLASS_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
_ZONE_PATTERN: Final = r"^[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}$"
_IMAGE_PATTERN: Final = r"^[A-Za-z0-9][-A-Za-z0-9._/:@+]*$"


class Instrument(Spec):
    """One instrument at one venue."""

    venue: VenueName
    """Name of a venue in spec.venues."""
    symbol: Symbol
    """The venue's own symbol, such as BTCUSDT. It must be quoted in spec.currency."""


class Strategy(Spec):
    """The author's code and what it trades. A change of any field is a new revision, which has to earn its capital."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.parameters.all(k, k.matches('^[a-z_][A-Za-z0-9_]{0,62}$'))",
                "names of parameters are Python names of at most 63 characters that start with a small letter",
                at=".parameters",
            )
        )
    )

    image: Annotated[str, Field(pattern=_IMAGE_PATTERN, min_length=1, max_length=512)]
    """Container image that holds the strategy, built FROM ours. A digest (name@sha256:...) makes the revision exact."""
    strategy_class: Annotated[str, Field(alias="class", pattern=_CLASS_PATTERN, min_length=3, max_length=253)]
    """The strategy class as module:Class, such as momentum.strategy:MovingAverageCross."""
    parameters: Annotated[Mapping[str, Annotated[str, Field(max_length=1024)]], Field(max_length=64)] = {}
    """Handed to the strategy as text, by name. The strategy says which it knows; an unknown one stops it at start."""
    instruments: Annotated[
        tuple[Instrument, ...], Field(min_length=1, max_length=32, json_schema_extra=list_map("venue", "symbol"))
    ]
    """What it trades and reads, 1 to 32."""


class Simulator(Spec):
    """A simulated venue, run beside the system. It speaks a real venue's protocol; there is no real money."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.market != 'Recorded' || has(self.recordingClaim)",
                "recordingClaim is needed where market is Recorded: the PersistentVolumeClaim with the recordings",
                at=".recordingClaim",
            ),
            rule(
                "self.market == 'Recorded' || !has(self.recordingClaim)",
                "recordingClaim is only for market Recorded",
                at=".recordingClaim",
            ),
            rule(
                "self.balances.all(k, k.matches('^[A-Z0-9]{2,12}$'))",
                "balances are by asset, such as USDT: 2 to 12 capital letters and digits",
                at=".balances",
            ),
        )
    )

    market: Literal["Generated", "Recorded"] = "Generated"
    """Where prices come from: Generated from the seed, or Recorded streams played back."""
    seed: Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)] = 7
    """Of the generated market: the same seed gives the same market, 0 to 2,147,483,647."""
    recording_claim: ObjectName | None = None
    """PersistentVolumeClaim in the system's namespace that holds <symbol in small letters>-*.gz; for Recorded."""
    maker_fee_bps: Bps = "7.5"
    """Fee on resting orders, basis points of the value, below 10,000."""
    taker_fee_bps: Bps = "7.5"
    """Fee on taking orders, basis points of the value, below 10,000."""
    latency_ms: Annotated[int, Strict(), Field(ge=0, le=10_000)] = 5
    """One way between gate and venue, milliseconds, 0 to 10,000."""
    balances: Annotated[Mapping[str, Amount], Field(max_length=16)] = {}
    """Starting balances by asset, in units of that asset. Empty: the system's capital in its currency."""
    weight_per_minute: Annotated[int, Strict(), Field(ge=1_000, le=1_000_000)] = 6_000
    """Request weight that an address may use in a minute, 1,000 to 1,000,000; more is refused, and then banned."""
    orders_per_ten_seconds: Annotated[int, Strict(), Field(ge=10, le=100_000)] = 100
    """New orders that the account may send in ten seconds, 10 to 100,000."""
    orders_per_day: Annotated[int, Strict(), Field(ge=1_000, le=100_000_000)] = 200_000
    """New orders that the account may send in a day, 1,000 to 100,000,000."""


class Binance(Spec):
    """A spot account at Binance."""

    environment: Annotated[
        Literal["Testnet", "Live"],
        Field(
            json_schema_extra=cel(
                rule(
                    "self == oldSelf",
                    "a venue's environment never changes: its journal and its losses belong to one account; "
                    "add a venue of another name",
                )
            )
        ),
    ] = "Testnet"
    """Testnet has no real money; Live has."""
    credentials_secret: ObjectName
    """Secret in the system's namespace with the keys api-key and api-secret. One Secret is one account."""
    watchdog_credentials_secret: ObjectName | None = None
    """Secret with another key of the same account, for the watchdog; enough is the right to read, and to cancel where
    the venue tells it from trading. Absent: the watchdog uses execution's key, and revoking that blinds both."""


class Venue(Spec):
    """One account at one venue. The type says which of the members below is used."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.type != 'Simulator' || !has(self.binance)",
                "binance is only for type Binance",
                at=".binance",
            ),
            rule(
                "self.type != 'Binance' || has(self.binance)",
                "binance is needed where type is Binance",
                at=".binance",
            ),
            rule(
                "self.type != 'Binance' || !has(self.simulator)",
                "simulator is only for type Simulator",
                at=".simulator",
            ),
        )
    )

    name: VenueName
    """A DNS label of at most 12 characters, that instruments refer to; names pods and journal."""
    type: Annotated[
        Literal["Simulator", "Binance"],
        Field(
            json_schema_extra=cel(
                rule(
                    "self == oldSelf",
                    "a venue's type never changes: its journal and its losses belong to one account; "
                    "add a venue of another name",
                )
            )
        ),
    ]
    """Simulator (no real money) or Binance."""
    time_zone: Annotated[
        str,
        Field(
            pattern=_ZONE_PATTERN,
            min_length=2,
            max_length=64,
            json_schema_extra=cel(
                rule(
                    "self != 'Local' && timestamp('2026-01-01T00:00:00Z').getFullYear(self) > 0",
                    "timeZone must be a name of the IANA time zone database, such as America/New_York",
                ),
                rule(
                    "self == oldSelf",
                    "a venue's time zone never changes: another midnight would begin a day of losses anew; "
                    "add a venue of another name",
                ),
            ),
        ),
    ] = "UTC"
    """Where days, weeks and months of losses begin, as an IANA name: UTC for crypto, the exchange's own elsewhere."""
    simulator: Simulator | None = None
    """For type Simulator; left out: its defaults. A new pod of it has lost all accounts: gates halt with a break."""
    binance: Binance | None = None
    """For type Binance, and needed there."""

    @property
    def simulated(self) -> Simulator:
        """The simulator's settings, of which all are defaults where none is given. Only for type Simulator."""
        if self.type != "Simulator":
            raise ValueError(f"venue {self.name} is no simulator")
        return self.simulator or Simulator()


class Hedge(Spec):
    """Two positions of one account that belong together, so that a stop which leaves one without the other says so."""

    model_config = ConfigDict(
        json_schema_extra=cel(rule("self.leg != self.against", "leg and against must be different", at=".against"))
    )

    name: VenueName
    """A DNS label of at most 12 characters; people read it in the status."""
    venue: VenueName
    """Name of the venue in spec.venues at which both are held."""
    leg: Symbol
    """One instrument, such as BTCUSDT."""
    against: Symbol
    """The other, which is held the other way round."""
    ratio: PositiveRatio = "1"
    """Units of against that offset one unit of leg, above 0 and below 10,000."""
    tolerance_percent: PositivePercent = "1"
    """How far the two may be apart, percent of the larger, above 0 and at most 100."""


class Journal(Spec):
    """The volume that every decision is written to before it leaves. It is kept when the system is deleted."""

    storage_class_name: Annotated[str, Field(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$", max_length=253)] = ""
    """Storage class; empty: the installation's, and else the cluster's default."""
    size: Annotated[str, Field(pattern="^[1-9][0-9]{0,3}(Mi|Gi|Ti)$", max_length=6)] | None = None
    """Size, such as 1Gi; absent: the installation's, which is 1Gi. It cannot shrink."""


class Watchdog(Spec):
    """When the second pair of eyes on each account steps in. It can cancel, and never order."""

    silent_seconds: Annotated[int, Strict(), Field(ge=16, le=600), Looser.WHEN_HIGHER] = 20
    """Everything on an account is cancelled once execution's Lease and its heartbeat have both been silent for so
    long, seconds, 16 (longer than the Lease lasts) to 600."""
    acknowledge_seconds: Annotated[int, Strict(), Field(ge=2, le=60), Looser.WHEN_HIGHER] = 5
    """... and once a kill has not been acknowledged by the gate for so long, seconds, 2 to 60."""


class TradingSystemSpec(Spec):
    """What to run, on which venues, within which limits, and how far it may go."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.strategy.instruments.all(i, self.venues.exists(v, v.name == i.venue))",
                "every instrument's venue must be named in spec.venues",
                at=".strategy.instruments",
            ),
            rule(
                "self.venues.all(v, self.strategy.instruments.exists(i, i.venue == v.name))",
                "every venue must have an instrument in spec.strategy.instruments",
                at=".venues",
            ),
            rule(
                "self.strategy.instruments.all(i, i.symbol.endsWith(self.currency))",
                "every instrument must be quoted in spec.currency (its symbol ends with it): capital and limits are",
                at=".strategy.instruments",
            ),
            rule(
                "self.venues.all(v, !has(v.binance) || self.venues.exists_one(o, has(o.binance)"
                " && o.binance.credentialsSecret == v.binance.credentialsSecret))",
                "an account has one writer: every venue needs a credentialsSecret of its own",
                at=".venues",
            ),
            rule(
                "!has(self.hedges) || self.hedges.all(h, [h.leg, h.against].all(s,"
                " self.strategy.instruments.exists(i, i.venue == h.venue && i.symbol == s)))",
                "both instruments of a hedge must be in spec.strategy.instruments, at its venue",
                at=".hedges",
            ),
            rule(
                "!has(self.limits.loss.day) || quantity(self.limits.loss.day).compareTo(quantity(self.capital)) <= 0",
                "limits.loss.day must not exceed capital",
                says="'limits.loss.day (' + self.limits.loss.day + ') must not exceed capital (' + self.capital + ')'",
                at=".limits.loss.day",
            ),
        )
    )

    goal: Annotated[Stage, Looser.WHEN_LATER] = "Paper"
    """How far it may go: Paper trades no money, Canary a part of the capital, Live all of it."""
    capital: Annotated[PositiveAmount, Looser.WHEN_HIGHER]
    """What it may use, in spec.currency, above 0."""
    currency: Annotated[
        str,
        Field(
            pattern="^[A-Z0-9]{2,12}$",
            min_length=2,
            max_length=12,
            json_schema_extra=cel(
                rule("self == oldSelf", "currency never changes: losses are counted in it; make another system")
            ),
        ),
    ]
    """Asset that capital and limits are counted in and that every instrument is quoted in, such as USDT."""
    topology: Annotated[Literal["Distributed"], Looser.WHEN_LATER] = "Distributed"
    """How the services are laid out. Distributed: a pod each."""
    strategy: Strategy
    venues: Annotated[tuple[Venue, ...], Field(min_length=1, max_length=4, json_schema_extra=list_map("name"))]
    """Where it trades, 1 to 4; each is one account."""
    limits: Limits
    hedges: Annotated[tuple[Hedge, ...], Field(max_length=8, json_schema_extra=list_map("name"))] = ()
    """Positions that belong together, at most 8 pairs. Nothing is traded for them: a status that lists what a stop left
    tells which of them stand without the other."""
    rollout: Rollout = Rollout()
    on_shutdown: Annotated[Literal["Cancel", "Flatten", "Keep"], Looser.WHEN_LATER] = "Cancel"
    """What a gate does when its pod is told to end. Cancel: working orders go, protective ones stay. Flatten: all
    positions are closed too, within a minute. Keep: nothing. The pod's grace period follows from it."""
    journal: Journal = Journal()
    watchdog: Watchdog = Watchdog()

    def venue(self, name: str) -> Venue:
        """The venue of that name. Raises KeyError."""
        for venue in self.venues:
            if venue.name == name:
                return venue
        raise KeyError(name)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """What is traded at a venue, sorted: the order in which people write them means nothing."""
        return tuple(sorted(found.symbol for found in self.strategy.instruments if found.venue == venue))

    def starting_balances(self, venue: Venue) -> dict[str, str]:
        """Balances of a simulated venue by asset; where none are given, the capital in the system's currency."""
        return dict(venue.simulated.balances) or {self.currency: self.capital}


class Track(Status):
    """One strategy revision that runs."""

    revision: Word
    """Hash of the strategy's image, class, parameters and instruments."""
    stage: Stage
    """How far it has come."""
    weight: Percent
    """Percent of the capital and of the limits that it may use, 0 to 100."""
    since: Instant
    """When it came to this stage, RFC 3339."""
    limits_revision: Word
    """Hash of the limits granted to it."""


class Service(Status):
    """One workload of the system."""

    name: Word
    """Name within the system, such as sim-execution or strategy-stable."""
    ready: Flag
    """Whether its pod says that it works."""
    image: Annotated[str, Field(max_length=512)] = ""
    """Image as it was asked for."""
    image_id: Annotated[str, Field(alias="imageID", max_length=512)] = ""
    """Image as it runs, with its digest."""
    message: Text = ""
    """Why it is not ready, in one sentence; of one that is ready, what people should know of it, or empty."""


class TradingSystemStatus(Status):
    """What is so, as the operator last saw it."""

    observed_generation: Count | None = None
    """The metadata.generation that all of this was found for."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, Progressing, TradingHalted, Exposed, Degraded, CandidateStarved, LimitsPending."""
    stage: Stage | None = None
    """Stage of the revision that the spec asks for."""
    weight: Percent | None = None
    """Percent of the capital that the revision which the spec asks for may use, 0 to 100."""
    trading: Trading | None = None
    """What its gates let through now; the most severe of them. NotRunning: none sends anything, and orders that rest at
    the venue may execute."""
    revision: Word | None = None
    """The strategy revision that the spec asks for."""
    limits_revision: Word | None = None
    """The limits revision that the spec asks for."""
    stable: Track | None = None
    """The revision that trades."""
    candidate: Track | None = None
    """The revision on its way, beside stable."""
    shadow: Track | None = None
    """The revision before stable, which goes on deciding on paper until the bake ends: what a rollback goes to."""
    rollout: RolloutStatus | None = None
    """How far the revision on its way is, and what it waits for."""
    min_notional: Amount | None = None
    """Smallest order value that its venue takes, in spec.currency, as a gate last told: stages whose orders would be
    too small for it are refused when they are written."""
    platform: PlatformStatus | None = None
    """Which image of the platform runs."""
    services: Annotated[tuple[Service, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = ()
    """Its workloads."""


class TradingSystem(Whole):
    """The whole object, as read."""

    spec: TradingSystemSpec
    status: TradingSystemStatus = TradingSystemStatus()


KIND: Final = Kind(
    kind="TradingSystem",
    plural="tradingsystems",
    short_names=("tsys",),
    description="A trading system: a strategy, its venues, the limits that hold it, and how far it may go.",
    spec=TradingSystemSpec,
    status=TradingSystemStatus,
    columns=(
        Column("Stage", ".status.stage", "string", "How far the spec's revision has come."),
        Column("Weight", ".status.weight", "integer", "Percent of the capital that it may use."),
        Column("Goal", ".spec.goal", "string", "How far it may go."),
        Column("Trading", ".status.trading", "string", "What its gates let through now."),
        condition_column("Ready", "Ready", "status", "Whether all that the spec asks for is so."),
        condition_column("Reason", "Ready", "reason", "Why it is or is not ready."),
        Column("Revision", ".status.revision", "string", "The strategy revision that the spec asks for."),
        AGE,
        Column("Verdict", ".status.rollout.verdict", "string", "What its measurements say.", priority=1),
        Column("Next", ".status.rollout.next", "string", "The next step.", priority=1),
        Column("Waits", ".status.rollout.waitsFor", "string", "What the next step waits for.", priority=1),
        condition_column("Message", "Ready", "message", "What to do about it.", priority=1),
    ),
    rules=(
        rule(
            f"self.metadata.name.size() <= {SYSTEM_NAME_LENGTH_MAX} && self.metadata.name.matches('{LABEL_PATTERN}')",
            f"metadata.name must be a DNS label of at most {SYSTEM_NAME_LENGTH_MAX} characters that starts with a"
            " letter: pods and Services are named after it",
        ),
    ),
)
