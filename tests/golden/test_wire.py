"""What travels between processes, field by field, and the version that says so: one cannot change without the other.

Two builds of the platform act on one account side by side, as often as an image is upgraded, and understand each other
or halt (docs/adr/0017): that hangs on a version that is raised with every change of what it stands for.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from ringfence.wire import explain, messages, tracks

EXPECTED = Path(__file__).parent / "expected" / "wire"
CONTRACTS = {
    "bus": (messages.Envelope, messages.VERSION, "VERSION in wire/messages.py"),
    "tracks": (tracks.TracksReport, tracks.REPORT_VERSION, "REPORT_VERSION in wire/tracks.py"),
    "explain": (explain.Life, explain.LIFE_VERSION, "LIFE_VERSION in wire/explain.py"),
}


def word(kind: inspect.Type) -> str:
    """A type as it reads in a listing."""
    match kind:
        case inspect.StructType(cls=cls) | inspect.EnumType(cls=cls):
            return cls.__name__
        case inspect.UnionType(types=types):
            return " | ".join(map(word, types))
        case inspect.TupleType(item_types=types):
            return f"[{', '.join(map(word, types))}]"
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"[{word(item)}, ...]"
        case inspect.DictType(key_type=key, value_type=value):
            return f"{{{word(key)}: {word(value)}}}"
        case inspect.LiteralType(values=values):
            return " | ".join(map(repr, values))
        case inspect.IntType() | inspect.StrType() | inspect.BoolType() | inspect.FloatType() | inspect.NoneType():
            return type(kind).__name__.removesuffix("Type").lower()
    raise TypeError(f"no word for {kind}: say here how it is listed")


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """What a type is made of."""
    match kind:
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields)
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            yield from types
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            yield item
        case inspect.DictType(key_type=key, value_type=value):
            yield from (key, value)


def described(kind: inspect.StructType | inspect.EnumType) -> str:
    if isinstance(kind, inspect.EnumType):
        return f"{kind.cls.__name__}: {' '.join(str(one.value) for one in kind.cls)}\n"
    form = "array" if kind.array_like else "map"
    closed = ", nothing else" if kind.forbid_unknown_fields else ""
    tag = f" {kind.tag!r}" if kind.tag is not None else ""
    lines = [f"{kind.cls.__name__}: {form}{tag}{closed}"]
    for field in kind.fields:
        optional = "" if field.required else f" = {default(field)!r}"
        lines.append(f"  {field.encode_name}: {word(field.type)}{optional}")
    return "\n".join(lines) + "\n"


def default(field: inspect.Field) -> object:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def listing(root: type[msgspec.Struct], version: int) -> str:
    """Every struct and enumeration that is reached, in the order in which they are met."""
    waiting: list[inspect.Type] = [inspect.type_info(root)]
    found: dict[str, str] = {}
    while waiting:
        kind = waiting.pop(0)
        waiting += parts(kind) if word(kind) not in found else ()
        if isinstance(kind, inspect.StructType | inspect.EnumType):
            found.setdefault(word(kind), described(kind))
    return "\n".join([f"version {version}\n", *found.values()])


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_changes_with_its_version_only(name: str, request: pytest.FixtureRequest) -> None:
    root, version, where = CONTRACTS[name]
    path, text = EXPECTED / f"{name}.txt", listing(root, version)
    before = path.read_text() if path.exists() else ""
    if request.config.getoption("--rewrite-golden", default=False) and not before.startswith(f"version {version}\n"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        before = text
    assert before == text, (
        f"what version {version} of {name} says has changed: processes that speak it already would misread this. "
        f"Raise {where} by one, then run `make golden` and read the diff."
    )


def test_a_changed_field_changes_the_listing() -> None:
    """Its name, type, place and default, and what stands inside of it."""

    class Inner(msgspec.Struct):
        a: int

    class Wider(msgspec.Struct):
        a: int
        b: str = ""

    def of(inner: type[msgspec.Struct], **options: bool) -> str:
        fields = [("one", tuple[inner, ...]), ("two", int, 0)]  # type: ignore[valid-type]
        return listing(msgspec.defstruct("Outer", fields, **options), 1)  # type: ignore[arg-type]

    assert of(Inner) == of(Inner)
    assert len({of(Inner), of(Wider), of(Inner, array_like=True), of(Inner, forbid_unknown_fields=True)}) == 4
