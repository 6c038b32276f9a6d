"""Models and CRDs say the same: whatever one accepts, the other accepts, for all that is not a cross-field rule."""

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ringfence_operator import api, crdgen
from ringfence_operator.api.meta import PERCENT_PATTERN, POSITIVE, RULES, Kind

Json = Any
KINDS = {kind.kind: kind for kind in api.KINDS}
ZERO = r"^0(\.0+)?\Z"
JUNK: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 999, 10**6, 2**60, [], {}, [{}], {"a": "b"}, {"a": 1}, ["a"]),
    *("", "0", "0.0", "1", "1\n", "1.5", "-1", "1e3", "10000", "0.000000001", "9" * 16, "x" * 300, "Live"),
    *("None", "BTCUSDT", "a:B", "a.b:C", "Cancel", "1Gi", "sim"),
)  # fmt: skip


def as_json_schema(structural: Json) -> Json:
    """A structural schema as JSON Schema: closed objects, and our one rule of a single field."""
    made = {key: value for key, value in structural.items() if not key.startswith("x-")}
    made.pop("default", None)
    if POSITIVE in structural.get(RULES, ()):
        made["not"] = {"pattern": ZERO}
    if "pattern" in made:
        made["pattern"] = made["pattern"].removesuffix("$") + r"\Z"  # as Go means it: not before a last newline
    if "properties" in made:
        made["properties"] = {name: as_json_schema(inner) for name, inner in made["properties"].items()}
        made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = as_json_schema(made[key])
    if made.pop("nullable", False):
        made = {"anyOf": [made, {"type": "null"}]}
    return made


def spec_schema(kind: Kind) -> dict[str, Any]:
    root = crdgen.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = root["properties"]["spec"]
    return found


def valid(schema: dict[str, Any]) -> st.SearchStrategy[Json]:
    """Values that a structural schema allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            made: st.SearchStrategy[Json] = st.booleans()
        case "integer":
            made = st.integers(schema["minimum"], schema["maximum"])
        case "string":
            made = _text(schema)
        case "array":
            made = st.lists(
                valid(schema["items"]), min_size=schema.get("minItems", 0), max_size=min(3, schema.get("maxItems", 3))
            )
        case _ if "additionalProperties" in schema:
            made = st.dictionaries(st.text(max_size=8), valid(schema["additionalProperties"]), max_size=3)
        case _:
            required = set(schema.get("required", ()))
            fields = {name: valid(inner) for name, inner in schema["properties"].items()}
            made = st.fixed_dictionaries(
                {name: field for name, field in fields.items() if name in required},
                optional={name: field for name, field in fields.items() if name not in required},
            )
    return st.one_of(st.none(), made) if schema.get("nullable") else made


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema["maxLength"]
    if "pattern" not in schema:
        return st.text(min_size=least, max_size=min(most, 20))
    if POSITIVE in schema.get(RULES, ()):
        most = 10**10 if schema["pattern"] == PERCENT_PATTERN else 10**12
        return st.integers(1, most - 1).map(lambda scaled: f"{scaled // 10**8}.{scaled % 10**8:08d}")
    made = st.from_regex(schema["pattern"].removesuffix("$") + r"\Z", fullmatch=True)
    return made.filter(lambda text: least <= len(text) <= most)


def places(document: Json, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a document, without itself."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    found = []
    for key, value in inner:
        found += [(*way, key), *places(value, (*way, key))]
    return found


VALID = {name: valid(spec_schema(kind)) for name, kind in KINDS.items()}


@st.composite
def broken(draw: st.DrawFn, name: str) -> Json:
    """A valid spec with up to three things removed, replaced by something else, or added."""
    document = copy.deepcopy(draw(VALID[name]))
    for _ in range(draw(st.integers(1, 3))):
        there = places(document)
        if not there:
            break
        way = draw(st.sampled_from(there))
        target = document
        for step in way[:-1]:
            target = target[step]
        match draw(st.sampled_from(["remove", "replace", "add"])):
            case "remove":
                del target[way[-1]]
            case "replace":
                target[way[-1]] = draw(st.sampled_from(JUNK))
            case _ if isinstance(target, dict):
                target[draw(st.sampled_from(["extra", "value_max", "strategy_class", "engaged"]))] = draw(
                    st.sampled_from(JUNK)
                )
    return document


def model_accepts(kind: Kind, document: Json) -> str:
    """Empty, or why not."""
    try:
        kind.spec.parse(document)
    except ValidationError as error:
        return str(error)
    return ""


def schema_accepts(validator: jsonschema.Draft202012Validator, document: Json) -> str:
    return "\n".join(f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document))


VALIDATORS = {name: jsonschema.Draft202012Validator(as_json_schema(spec_schema(kind))) for name, kind in KINDS.items()}
SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", KINDS)
@SETTINGS
@given(data=st.data())
def test_what_the_schema_allows_both_accept(name: str, data: st.DataObject) -> None:
    """Nothing that the API server stored is unreadable to the operator."""
    document = data.draw(VALID[name])
    assert schema_accepts(VALIDATORS[name], document) == ""
    assert model_accepts(KINDS[name], document) == ""


@pytest.mark.parametrize("name", KINDS)
@SETTINGS
@given(data=st.data())
def test_what_is_broken_both_refuse_or_neither(name: str, data: st.DataObject) -> None:
    """Nothing that the operator would refuse can be stored, and the other way round."""
    document = data.draw(broken(name))
    by_schema = schema_accepts(VALIDATORS[name], document)
    by_model = model_accepts(KINDS[name], document)
    event("refused" if by_model else "accepted")
    assert (by_schema == "") == (by_model == ""), f"schema: {by_schema or 'accepts'}\nmodel: {by_model or 'accepts'}"
