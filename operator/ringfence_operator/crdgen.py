"""Models to CustomResourceDefinitions, in `crds/` and in the chart, to the chart's admission policies, and to docs.

    python -m ringfence_operator.crdgen            write them (`make generate`)
    python -m ringfence_operator.crdgen --check    print what differs; exit 1 if anything does

Owns whole folders: a file there that no kind asks for is a difference too. A further kind is an entry in `api.KINDS`;
a further sort of generated file is a function in `GENERATORS`. Pure but for `main`, `write` and `read`.
"""

import argparse
import copy
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ringfence_operator import api, limitdocs, policies
from ringfence_operator.api.meta import RULES, Column, Kind

Schema = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[2]
CRDS: Final = Path("crds")
CHART_CRDS: Final = Path("charts/ringfence/templates/crds")
CHART_POLICIES: Final = Path("charts/ringfence/templates/policies")
HEADER: Final = "do not edit: make generate"
LINE_WIDTH: Final = 120

_KEPT: Final = frozenset(
    {
        "default", "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
        "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "nullable",
        "pattern", "required", "type",
    }
)  # fmt: skip
_RANK: Final = {"description": -2, "type": -1, RULES: 1, "required": 2, "properties": 3, "items": 3}
"""In which order people read a schema; what is not named is in between, by name."""
_DROPPED: Final = frozenset({"$defs", "examples", "title"})
_REWRITTEN: Final = frozenset({"$ref", "additionalProperties", "anyOf", "const", "items", "properties"})


class SchemaError(ValueError):
    """A model says something that a structural schema cannot; names where and what."""


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None, at: str = "") -> Schema:
    """A JSON Schema as pydantic writes it, as a structural schema of Kubernetes. Idempotent.

    References are inlined, `T | None` becomes nullable, a constant an enum of one, exclusive bounds as OpenAPI 3.0
    has them. Raises SchemaError for anything that it does not know: a bound that silently vanishes is no bound.
    """
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    found = _resolved(schema, definitions, at)
    unknown = {key for key in found if not key.startswith("x-kubernetes-")} - _KEPT - _DROPPED - _REWRITTEN
    if unknown:
        raise SchemaError(f"{at or '.'}: no structural schema has {', '.join(sorted(unknown))}")
    made: Schema = {key: copy.deepcopy(value) for key, value in found.items() if key not in _DROPPED | _REWRITTEN}
    if "const" in found:
        made["enum"] = [found["const"]]
    _bounds(made)
    if "items" in found:
        made["items"] = structural(found["items"], definitions, f"{at}[]")
    if "properties" in found:
        made["properties"] = {
            name: structural(inner, definitions, f"{at}.{name}") for name, inner in found["properties"].items()
        }
    extra = found.get("additionalProperties", False)
    if isinstance(extra, Mapping):
        made["additionalProperties"] = structural(extra, definitions, f"{at}[key]")
    elif extra:
        raise SchemaError(f"{at or '.'}: additional properties of any kind")
    _typed(made, at)
    _defaulted(made)
    return dict(sorted(made.items(), key=lambda entry: (_RANK.get(entry[0], 0), entry[0])))


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any], at: str) -> Schema:
    """The schema without `$ref` and `anyOf`; what stands beside a reference wins over what it refers to."""
    found = dict(schema)
    if "$ref" in found:
        name = found.pop("$ref").removeprefix("#/$defs/")
        if name not in definitions:
            raise SchemaError(f"{at or '.'}: refers to {name}, which is not defined")
        return _resolved({**definitions[name], **found}, definitions, at)
    if "anyOf" in found:
        arms = found.pop("anyOf")
        there = [arm for arm in arms if arm.get("type") != "null"]
        if len(there) != 1 or len(there) == len(arms):
            raise SchemaError(f"{at or '.'}: a choice between {len(there)} types")
        return {**_resolved(there[0], definitions, at), **found, "nullable": True}
    return found


def _bounds(made: Schema) -> None:
    """OpenAPI 3.0 says `minimum: 0, exclusiveMinimum: true` where JSON Schema says `exclusiveMinimum: 0`."""
    for side in ("minimum", "maximum"):
        exclusive = f"exclusive{side.capitalize()}"
        bound = made.get(exclusive)
        if bound is not None and not isinstance(bound, bool):
            made[side] = bound
            made[exclusive] = True


def _typed(made: Schema, at: str) -> None:
    if "type" not in made and not made.get("x-kubernetes-int-or-string"):
        raise SchemaError(f"{at or '.'}: any type at all")
    if made.get("type") == "array" and "items" not in made:
        raise SchemaError(f"{at or '.'}: a list of anything")
    open_ended = "properties" not in made and "additionalProperties" not in made
    if made.get("type") == "object" and open_ended and not made.get("x-kubernetes-preserve-unknown-fields"):
        raise SchemaError(f"{at or '.'}: an object without fields")


def _defaulted(made: Schema) -> None:
    """Drop a default of null, and from an object's default all that the fields' own defaults give anyway."""
    if "default" not in made:
        return
    default = made["default"]
    if default is None:
        del made["default"]
    elif isinstance(default, dict) and "properties" in made:
        fields = made["properties"]
        made["default"] = {
            name: value
            for name, value in default.items()
            if value is not None and value != fields.get(name, {}).get("default")
        }


def without_defaults(schema: Schema) -> Schema:
    """For a status: what nobody has found out must stay absent, and must not look like an empty answer."""
    made = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in made:
        made["properties"] = {name: without_defaults(inner) for name, inner in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = without_defaults(made[key])
    return made


def _column(column: Column) -> Schema:
    made: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        made["description"] = column.description
    if column.priority:
        made["priority"] = column.priority
    return made


def _object_schema(kind: Kind) -> Schema:
    spec = structural(kind.spec.model_json_schema(by_alias=True), at=".spec")
    if not kind.spec_required:
        spec["default"] = {}
    made: Schema = {
        "type": "object",
        "description": kind.description,
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of this shape: {api.API_VERSION}."},
            "kind": {"type": "string", "description": f"{kind.kind}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": without_defaults(structural(kind.status.model_json_schema(by_alias=True), at=".status")),
        },
    }
    if kind.spec_required:
        made["required"] = ["spec"]
    if kind.rules:
        made[RULES] = [dict(found) for found in kind.rules]
    return made


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{api.GROUP}"},
        "spec": {
            "group": api.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(kind.short_names),
                "categories": [api.CATEGORY],
            },
            "versions": [
                {
                    "name": api.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _object_schema(kind)},
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors: people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def to_yaml(document: Schema) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=LINE_WIDTH, allow_unicode=True)


def crd_files(kinds: Sequence[Kind]) -> dict[Path, str]:
    """One file a kind, for kubectl."""
    return {CRDS / f"{kind.plural}.yaml": f"# {HEADER}\n{to_yaml(crd(kind))}" for kind in kinds}


def chart_files(kinds: Sequence[Kind]) -> dict[Path, str]:
    """The same for Helm, which never upgrades files in a chart's own crds/ folder: hence templates.

    Kept on uninstall: deleting a CRD deletes every object of its kind, engaged kill switches too.
    """
    made = {}
    for kind in kinds:
        document = crd(kind)
        document["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
        text = to_yaml(document)
        if "{{" in text:
            raise SchemaError(f"{kind.kind}: Helm would take a text with two braces for a template")
        guarded = f"{{{{- if .Values.crds.install }}}}\n# {HEADER}\n{text}{{{{- end }}}}\n"
        made[CHART_CRDS / f"{kind.plural}.yaml"] = guarded
    return made


STAND_IN: Final = policies.Operator("NAMESPACE", "ACCOUNT")
"""In the policies that are written; the chart puts its own in its place."""
HELM_USERNAME: Final = 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "ringfence.serviceAccountName" $ }}'


class _Blocks(_Plain):
    """Expressions of several lines stay several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def policy_files(kinds: Sequence[Kind]) -> dict[Path, str]:
    """One file a policy, with its binding. Kept on uninstall, as the kinds are: switches are held without us, too."""
    del kinds
    made = {}
    for policy in policies.POLICIES:
        documents = []
        for document in (policies.manifest(policy, STAND_IN), policies.binding(policy)):
            document["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
            text = yaml.dump(document, Dumper=_Blocks, sort_keys=False, width=LINE_WIDTH, allow_unicode=True)
            if "{{" in text:
                raise SchemaError(f"{policy.full_name}: Helm would take a text with two braces for a template")
            documents.append(text.replace(STAND_IN.username, HELM_USERNAME))
        body = "---\n".join(documents)
        made[CHART_POLICIES / f"{policy.name}.yaml"] = (
            f"{{{{- if .Values.policies.install }}}}\n# {HEADER}\n{body}{{{{- end }}}}\n"
        )
    return made


LIMITS_PAGE: Final = Path("docs/limits.md")


def page_files(kinds: Sequence[Kind]) -> dict[Path, str]:
    """Pages for people."""
    del kinds
    return {LIMITS_PAGE: limitdocs.page()}


GENERATORS: Final[tuple[Callable[[Sequence[Kind]], dict[Path, str]], ...]] = (
    crd_files,
    chart_files,
    policy_files,
    page_files,
)
OWNED: Final = (CRDS, CHART_CRDS, CHART_POLICIES)
"""Folders in which no other file may lie."""


def generate(kinds: Sequence[Kind] = api.KINDS) -> dict[Path, str]:
    """Every generated file by its path in the repository."""
    made: dict[Path, str] = {}
    for generator in GENERATORS:
        made |= generator(kinds)
    return made


def read(root: Path) -> dict[Path, str]:
    """Every file that lies in an owned folder, and the generated ones among others'."""
    lying = {path for folder in OWNED for path in (root / folder).rglob("*") if path.is_file()}
    lying |= {path for path in (root / LIMITS_PAGE,) if path.is_file()}
    return {path.relative_to(root): path.read_text(encoding="utf-8") for path in lying}


def differences(wanted: Mapping[Path, str], there: Mapping[Path, str]) -> str:
    """A unified diff from what lies there to what should: missing, extra and different files; empty if none."""
    lines: list[str] = []
    for path in sorted(wanted.keys() | there.keys()):
        old, new = there.get(path), wanted.get(path)
        if old != new:
            names = (
                "/dev/null" if old is None else f"{path} (there)",
                "/dev/null" if new is None else f"{path} (wanted)",
            )
            changed = list(
                difflib.unified_diff(
                    (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True), *names
                )
            )
            # an empty file that should not be there has no line that differs, and is a difference
            lines += changed or [f"--- {names[0]}\n", f"+++ {names[1]}\n"]
    return "".join(lines)


def write(root: Path, wanted: Mapping[Path, str], there: Mapping[Path, str]) -> None:
    """Make the owned folders hold exactly the wanted files."""
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path in there.keys() - wanted.keys():
        (root / path).unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: the one of this file)")
    options = parser.parse_args(arguments)
    wanted, there = generate(), read(options.root)
    if not options.check:
        write(options.root, wanted, there)
        return 0
    found = differences(wanted, there)
    if found:
        sys.stdout.write(f"{found}\nGenerated files are not current: run `make generate` and commit what it writes.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
