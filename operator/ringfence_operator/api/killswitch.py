"""KillSwitch: stop. One patch engages it; nothing that people leave out can make the API server refuse that."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from ringfence_operator.api.meta import (
    AGE,
    LIST_TYPE,
    Column,
    Conditions,
    Count,
    Flag,
    Instant,
    Kind,
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

ATOMIC: Final[JsonDict] = {LIST_TYPE: "atomic"}


class Severity(IntEnum):
    """How hard to stop; the most severe of all sources holds."""

    NONE = 0
    REDUCE_ONLY = 1
    HALT = 2
    CANCEL = 3
    FLATTEN = 4

    @property
    def word(self) -> str:
        """As people write it: None, ReduceOnly, Halt, Cancel, Flatten."""
        return _WORDS[self]


_WORDS: Final = {
    Severity.NONE: "None",
    Severity.REDUCE_ONLY: "ReduceOnly",
    Severity.HALT: "Halt",
    Severity.CANCEL: "Cancel",
    Severity.FLATTEN: "Flatten",
}
_SEVERITIES: Final = {word: severity for severity, word in _WORDS.items()}


class Selector(Spec):
    """Systems by their labels."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.matchLabels.all(k, k.size() <= 317)",
                "names of labels have at most 317 characters",
                at=".matchLabels",
            )
        )
    )

    match_labels: Annotated[Mapping[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = {}
    """All of these labels must be on a TradingSystem; empty selects none. At most 16."""


class Scope(Spec):
    """A part of the systems. What is left out or empty means all of its kind."""

    venues: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=16, json_schema_extra=ATOMIC)
    ] = ()
    """Only at these venues, by their names in spec.venues of the system. At most 16."""
    instruments: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=32)], ...], Field(max_length=64, json_schema_extra=ATOMIC)
    ] = ()
    """Only these symbols, such as BTCUSDT. At most 64."""
    tracks: Annotated[tuple[Literal["stable", "candidate"], ...], Field(max_length=2, json_schema_extra=ATOMIC)] = ()
    """Only these tracks."""


class KillSwitchSpec(Spec):
    """What to stop, and how hard. It always stops the whole system of its own name, whatever the scope says."""

    engaged: Flag = False
    """True stops: all working orders are cancelled and no new ones leave. It stays so until it is released."""
    action: Literal["Cancel", "Flatten"] = "Cancel"
    """What engaged does: Cancel all orders, or also Flatten, which closes the positions."""
    restrict: Literal["None", "ReduceOnly", "Halt"] = "None"
    """Milder, and beside engaged; the more severe holds. ReduceOnly: only orders that shrink a position. Halt: none."""
    protective: Literal["Keep", "Cancel"] = "Keep"
    """What Cancel does to protective orders (resting, reduce-only, within the position). Flatten cancels them."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people, at most 1,024 characters. Never needed."""
    two_person: Flag = False
    """Releasing takes two: one asks by releaseRequestedBy, another releases."""
    release_requested_by: Annotated[str, Field(max_length=253)] | None = None
    """Who asks for the release: must be the one who writes it. Only with twoPerson."""
    released_by: Annotated[str, Field(max_length=253)] | None = None
    """Who released last: must be the one who writes it."""
    selector: Selector | None = None
    """Further systems of the namespace that it stops. Absent: none."""
    systems: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=64, json_schema_extra=ATOMIC)
    ] = ()
    """Further systems of the namespace that it stops, by name. At most 64."""
    every_system: Flag = False
    """True stops every system of the namespace."""
    scope: Scope | None = None
    """Stops only this part of those further systems. Absent: all. It never spares the system of its own name."""


class Position(Status):
    """What one track holds of one instrument."""

    track: Word = ""
    """Name of the track."""
    symbol: Word = ""
    """The instrument."""
    quantity: Word = ""
    """Base asset, decimal; negative is owed."""
    unprotected: Word = ""
    """How much of it no protective order would close, decimal; 0 where only what is too small for an order is left."""


class Gate(Status):
    """One gate's proof, which it writes itself: no operator is needed for it."""

    pod: Annotated[str, Field(min_length=1, max_length=253)]
    """The gate's pod."""
    pod_uid: Annotated[Word, Field(alias="podUID")] = ""
    """The pod's metadata.uid: the line of an earlier pod of this name proves nothing."""
    system: Word = ""
    """The TradingSystem that it belongs to."""
    service: Word = ""
    """Name within the system, such as sim-execution."""
    state: Word = ""
    """Active, ReduceOnly, Halted, Cancel, Flatten or Starting: what it lets through of what this switch covers."""
    generation: Count | None = None
    """The metadata.generation of this switch that it acts on."""
    uid: Word = ""
    """The metadata.uid of the switch that it acts on."""
    closed_at: Instant = ""
    """When it last closed, RFC 3339 with microseconds; empty while it is Active."""
    latency_ms: Annotated[str, Field(max_length=25)] = ""
    """From the news of the switch to the closed gate, milliseconds, decimal."""
    working_orders: Count | None = None
    """Orders that may still execute and are not left on purpose; absent where it does not know."""
    protective_orders: Count | None = None
    """Orders that protect positions and are left."""
    canceled_orders: Count | None = None
    """Orders that it has cancelled for this switch."""
    proven_at: Instant = ""
    """When two looks at the venue had proven that none of those orders works any more; empty while it is not proven."""
    positions: Annotated[tuple[Position, ...], Field(max_length=32, json_schema_extra=ATOMIC)] = ()
    """What the covered tracks hold; at most 32 are listed."""
    naked_positions: Count | None = None
    """How many of all positions no protective order covers entirely."""
    unhedged: Annotated[tuple[Text, ...], Field(max_length=16, json_schema_extra=ATOMIC)] = ()
    """Hedges of the spec whose legs do not offset each other, each in one sentence; at most 16 are listed."""
    exposed: Annotated[tuple[Text, ...] | None, Field(max_length=17, json_schema_extra=ATOMIC)] = None
    """What has stood open at this gate for 5 seconds and nobody closes, whatever this switch covers: hedges that miss
    a leg, and positions without a protective order where a stop keeps their strategy from placing one; by name."""
    flat_at: Instant = ""
    """Since when nothing is left to close under Flatten; empty while something is, and where nobody asked."""
    residue: Text = ""
    """What stays because the venue would refuse it as too small."""
    flattening: Text = ""
    """What Flatten is waiting for, in one sentence; empty while it goes on."""
    latch: Word = ""
    """Durable or NotDurable: whether a stop that is latched in the gate outlives its process. Empty: none is."""
    latches: Annotated[tuple[Text, ...], Field(max_length=8, json_schema_extra=ATOMIC)] = ()
    """Why each of its latched stops is there, such as a breaker that tripped; at most 8 are listed."""
    reason: Text = ""
    """Why it is in this state, in one sentence."""
    observed_at: Instant = ""
    """When it wrote this line, RFC 3339 with microseconds."""


class LastStop(Status):
    """The present stop, or the last one, as the operator saw it."""

    severity: Word = ""
    """How hard it stops or stopped: ReduceOnly, Halt, Cancel or Flatten."""
    reason: Text = ""
    """Why, in the words of whoever engaged it."""
    by: Word = ""
    """The program that engaged it."""
    since: Instant = ""
    """When it was engaged, RFC 3339."""
    released_by: Word = ""
    """Who released it; empty while it holds."""
    released_at: Instant = ""
    """When it was released, RFC 3339; empty while it holds."""


class KillSwitchStatus(Status):
    """What the gates did. The lines of `gates` are each gate's own; the rest is the operator's."""

    observed_generation: Count | None = None
    """The metadata.generation that the operator's part was found for."""
    conditions: Conditions = ()
    """Engaged, Acknowledged (by every gate), OrdersCanceled, Flat."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=256, json_schema_extra=list_map("pod"))] = ()
    """One line a gate."""
    gates_acknowledged: Annotated[str, Field(max_length=16)] | None = None
    """Gates that acknowledged of those that it covers, such as 1/1."""
    working_orders: Count | None = None
    """Orders of all covered systems that may still execute; absent where a gate does not know."""
    state: Word | None = None
    """Engaged, Restricted or Released."""
    reason: Text | None = None
    """Why it is in this state: what it is engaged for, or who released it when. spec.reason stays after a release."""
    last_stop: LastStop | None = None
    """What it stops for, or stopped for the last time."""
    engaged_by: Word | None = None
    """Who engaged it, as far as the object's managedFields tell: the program that wrote it."""


class KillSwitch(Whole):
    """The whole object, as read. Use `severity` on the raw spec where a spec that cannot be parsed must still stop."""

    spec: KillSwitchSpec = KillSwitchSpec()
    status: KillSwitchStatus = KillSwitchStatus()


def severity(spec: object) -> Severity:
    """What a KillSwitch's spec, raw or parsed, asks for. Fails closed.

    Engaged means at least Cancel, whatever the action says; an unknown restriction means Halt, which is its severest;
    a spec that cannot be read means Halt, because nobody knows what it said. An unknown action does not flatten:
    closing positions on a word that nobody knows could lose more than it saves. The gates' twin of this function is
    `ringfence.wire.kill.of_switch`; a test holds the two together.
    """
    if isinstance(spec, KillSwitchSpec):
        spec = spec.dump()
    if not isinstance(spec, Mapping):
        return Severity.HALT
    restrict = _parse(spec.get("restrict", "None"), Severity.HALT)
    engaged = spec.get("engaged", False)
    if engaged is False:
        return restrict
    if engaged is not True:
        return max(restrict, Severity.CANCEL)
    return max(_parse(spec.get("action", "Cancel"), Severity.CANCEL), Severity.CANCEL)


def _parse(word: object, unknown: Severity) -> Severity:
    return _SEVERITIES.get(word, unknown) if isinstance(word, str) else unknown


KIND: Final = Kind(
    kind="KillSwitch",
    plural="killswitches",
    short_names=("kill",),
    description="A kill switch: engaging it stops the trading system of its name, and others by selector.",
    spec=KillSwitchSpec,
    status=KillSwitchStatus,
    spec_required=False,
    columns=(
        Column("Engaged", ".spec.engaged", "boolean", "Whether it stops."),
        Column("Action", ".spec.action", "string", "What engaged does."),
        Column("Gates", ".status.gatesAcknowledged", "string", "Gates that acknowledged, of all that it covers."),
        Column("Orders", ".status.workingOrders", "integer", "Orders that may still execute."),
        Column("State", ".status.state", "string", "Engaged, Restricted or Released, as the operator has seen."),
        Column("Reason", ".status.reason", "string", "Why it is in that state."),
        Column("By", ".status.engagedBy", "string", "The program that engaged it."),
        AGE,
        Column("Restrict", ".spec.restrict", "string", "The milder stop beside engaged.", priority=1),
        condition_column("Canceled", "OrdersCanceled", "status", "Whether all orders are cancelled.", priority=1),
    ),
)
