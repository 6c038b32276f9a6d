"""What all kinds share: the base models, exact decimals, names, conditions, and how a kind is described.

Bounds live here, so that equal things have equal bounds. Every list, map and text has one: the API server's CEL cost
estimator refuses rules over anything unbounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP: Final = "ringfence.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "trading"

RULES: Final = "x-kubernetes-validations"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_MAP_KEYS: Final = "x-kubernetes-list-map-keys"

DECIMAL_PATTERN: Final = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?$"
"""Eight decimals, as the data plane keeps money in units of 1e-8: a ninth could only be refused there, and limits are
never rounded. `quantity()` in CEL compares this range exactly."""
BPS_PATTERN: Final = r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,8})?$"
"""Basis points below 10,000."""
PERCENT_PATTERN: Final = r"^([1-9]?[0-9](\.[0-9]{1,8})?|100)$"
"""Percent up to 100."""
DECIMAL_LENGTH_MAX: Final = 25
LABEL_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS label that starts with a letter: Services and host names are made of it."""
OBJECT_NAME_PATTERN: Final = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
SYSTEM_NAME_LENGTH_MAX: Final = 30
"""`<system>-<venue>-<service>-<ordinal>` must stay a DNS label of at most 63 characters."""
VENUE_NAME_LENGTH_MAX: Final = 12
TEXT_LENGTH_MAX: Final = 2048
"""Bytes of a sentence in a status; longer ones are cut by `sentence`, so that a status is never refused for a text."""


def rule(expression: str, message: str, *, says: str = "", at: str = "") -> JsonDict:
    """One CEL rule. ``message`` is fixed; ``says`` is a CEL expression that builds a better one where it can.

    ``at`` is the field that the API server names, relative to where the rule stands, such as ``.order.valueMax``.
    """
    found: JsonDict = {"rule": expression, "message": message}
    if says:
        found["messageExpression"] = says
    if at:
        found["fieldPath"] = at
    return found


def list_map(*keys: str) -> JsonDict:
    """Extension of a list whose items are told apart by these fields, so that server-side apply can merge it."""
    return {LIST_TYPE: "map", LIST_MAP_KEYS: list(keys)}


def atomic_list() -> JsonDict:
    """Extension of a list that is written as a whole: its order means something."""
    return {LIST_TYPE: "atomic"}


def cel(*rules: JsonDict) -> JsonDict:
    """The rules as an extension of a schema."""
    return {RULES: [*rules]}


class Looser(Enum):
    """In which direction a field lets more through. Stands in the field's annotation and is no part of its schema:
    the admission policies are generated from it, and a limit without a direction fails a test.
    """

    WHEN_HIGHER = "higher"
    WHEN_LOWER = "lower"
    WHEN_LATER = "later"
    """One of a few words, which the type lists from the strictest to the loosest."""
    WHEN_MORE = "more"
    """A list of what is permitted: an item that was not there lets more through; absent = everything."""
    WHEN_FEWER = "fewer"
    """A list of what is forbidden: an item that is gone lets more through; absent = nothing."""
    WHEN_CHANGED = "changed"
    """Text whose every change lets something else through."""


class Scales(Enum):
    """What a track's weight w does to a limit. The data plane's own list is compared with it by a test."""

    NEVER = "no"
    """Ratios, prices and times: a share of the capital does not change what is sane."""
    BY_WEIGHT = "w x limit"
    COUNT = "max(1, floor(w x limit))"


@dataclass(frozen=True, slots=True)
class Share:
    """Percent of spec.capital: what a preset gives for an amount of money."""

    percent: str


@dataclass(frozen=True, slots=True)
class Limit:
    """All that is known of a limit beside its type, bounds, direction and description. Stands in the field's
    annotation; presets, the admission policies, the weight's scaling and docs/limits.md all come from it.
    """

    unit: str
    scope: str
    """What is held against it: an order, an instrument, a track's total, the account's."""
    refused: str
    """Codes of the refusals, or of the breaker."""
    example: str = ""
    """What the refusal says after its code."""
    presets: tuple[str | int | Share, str | int | Share, str | int | Share] | None = None
    """Conservative, moderate, full: what holds where the field is left out. None: not limited then."""
    scales: Scales = Scales.NEVER
    soft: bool = False
    """It is used up, so softPercent of it gives an alert."""


POSITIVE: Final = rule(
    "quantity(self).isGreaterThan(quantity('0'))",
    "must be greater than 0",
    says="'\"' + self + '\" must be greater than 0'",
)


def _positive(text: str) -> str:
    if not Decimal(text):
        raise ValueError("must be greater than 0")
    return text


_decimal = Field(pattern=DECIMAL_PATTERN, max_length=DECIMAL_LENGTH_MAX)
_bps = Field(pattern=BPS_PATTERN, max_length=DECIMAL_LENGTH_MAX)
_above_zero = Field(json_schema_extra=cel(POSITIVE))

Amount = Annotated[str, _decimal]
"""Money or a quantity as exact decimal text; may be 0."""
PositiveAmount = Annotated[str, _decimal, _above_zero, AfterValidator(_positive)]
"""Money or a quantity as exact decimal text, above 0."""
Bps = Annotated[str, _bps]
"""Basis points (1/100 of a percent) as exact decimal text; may be 0."""
PositiveBps = Annotated[str, _bps, _above_zero, AfterValidator(_positive)]
PositivePercent = Annotated[
    str, Field(pattern=PERCENT_PATTERN, max_length=DECIMAL_LENGTH_MAX), _above_zero, AfterValidator(_positive)
]
"""Percent as exact decimal text, above 0 and at most 100."""
PositiveRatio = PositiveBps
"""A ratio as exact decimal text, above 0 and below 10,000."""

ObjectName = Annotated[str, Field(pattern=OBJECT_NAME_PATTERN, min_length=1, max_length=253)]
"""Name of a Kubernetes object."""
Text = Annotated[str, Field(max_length=TEXT_LENGTH_MAX)]
Word = Annotated[str, Field(max_length=253)]
"""A name, reason or identifier in a status."""
Instant = Annotated[str, Field(max_length=40)]
"""RFC 3339 in UTC, with microseconds where they matter. Not checked: evidence is never refused for its format."""
Count = Annotated[int, Strict(), Field(ge=0, le=2**53)]
Flag = Annotated[bool, Strict()]
Percent = Annotated[int, Strict(), Field(ge=0, le=100)]


def sentence(text: str) -> str:
    """A text that fits into a status: one line, cut to `TEXT_LENGTH_MAX` characters."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_LENGTH_MAX else line[: TEXT_LENGTH_MAX - 1] + "…"


class Model(BaseModel):
    """Base of everything: frozen, camel case on the wire, snake case in Python, descriptions from docstrings."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def parse(cls, document: object) -> Self:
        """From the wire: camel-case names only. Raises pydantic.ValidationError, whose text names field and rule."""
        return cls.model_validate(document, by_alias=True, by_name=False)

    def dump(self) -> dict[str, Any]:
        """For the wire: camel case, JSON types, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Spec(Model):
    """What people write: an unknown field is an error, because a limit with a typing mistake would be no limit."""

    model_config = ConfigDict(extra="forbid")


class Status(Model):
    """What we write: unknown fields are left alone, because another version of us may have written them."""

    model_config = ConfigDict(extra="ignore")


class Condition(Status):
    """One aspect of the object's state."""

    type: Annotated[str, Field(min_length=1, max_length=253)]
    """Which aspect, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds; Unknown where it cannot be told."""
    reason: Annotated[str, Field(max_length=253)] = ""
    """Why, as one CamelCase word that programs may compare."""
    message: Text = ""
    """Why, as a sentence for people."""
    last_transition_time: Instant | None = None
    """When the status last changed, RFC 3339."""
    observed_generation: Count | None = None
    """The metadata.generation that this was found for."""


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]


class Metadata(Model):
    """What we read of an object's metadata."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    creation_timestamp: str = ""
    deletion_timestamp: str = ""


class Whole(Model):
    """A whole object, as read; its kind adds spec and status."""

    model_config = ConfigDict(extra="ignore")

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows only with -o wide."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    description: str = ""
    priority: int = 0


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")


def condition_column(name: str, condition: str, field: str, description: str, priority: int = 0) -> Column:
    """A column that shows one field of one condition."""
    path = f'.status.conditions[?(@.type=="{condition}")].{field}'
    return Column(name, path, "string", description, priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """All that a CustomResourceDefinition needs to know of a kind."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    description: str
    spec: type[Spec]
    status: type[Status]
    columns: tuple[Column, ...]
    rules: tuple[JsonDict, ...] = ()
    """CEL rules over the whole object, for what the spec alone does not show (its name)."""
    spec_required: bool = True
    """False: an object without a spec has the defaults of all fields."""
