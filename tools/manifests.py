"""What is generated around the charts: their copy of the operator's rights, the trading-system chart's schema of
values, and manifests/install.yaml for people without Helm. Run crdgen first; `make generate` does.

    python tools/manifests.py            write them
    python tools/manifests.py --check    print what differs; exit 1 if anything does
"""

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ringfence_operator import access_rules
from ringfence_operator.api import meta

ROOT: Final = Path(__file__).resolve().parents[1]
OPERATOR_CHART: Final = Path("charts/ringfence")
SYSTEM_CHART: Final = Path("charts/trading-system")
RULES: Final = OPERATOR_CHART / "templates" / "_rules.tpl"
SYSTEM_SCHEMA: Final = SYSTEM_CHART / "values.schema.json"
INSTALL: Final = Path("manifests/install.yaml")
RELEASE: Final = "ringfence"
NAMESPACE: Final = "ringfence-system"
HEADER: Final = "do not edit: make generate"

Rule = Mapping[str, Sequence[str]]
Schema = dict[str, Any]


class HelmMissing(RuntimeError):  # noqa: N818 - a sentence for the person
    """No helm program was found."""


def helm() -> Path:
    """The helm program: $HELM, else what tools/localnode built, else the PATH. Raises HelmMissing."""
    named = os.environ.get("HELM")
    if named:
        return Path(named)
    built = _built("helm")
    if built is not None:
        return built
    found = shutil.which("helm")
    if found:
        return Path(found)
    raise HelmMissing("no helm: set HELM to its path, or run `python -m localnode build --only helm`")


def _built(program: str) -> Path | None:
    import localnode  # not at the top: $HELM must work where nothing can be built

    path = Path(localnode.binary(program))
    return path if path.is_file() else None


def rules_template(sets: Mapping[str, Sequence[Rule]]) -> str:
    """The operator's lists of rules as named Helm templates."""
    parts = [f"{{{{/* {HEADER} (from ringfence_operator.access_rules) */}}}}\n"]
    for name, rules in sets.items():
        body = yaml.safe_dump([_plain(rule) for rule in rules], sort_keys=False, default_flow_style=None, width=120)
        parts.append(f'{{{{- define "ringfence.rules.{name}" -}}}}\n{body}{{{{- end -}}}}\n')
    return "".join(parts)


def _plain(rule: Rule) -> dict[str, list[str]]:
    """A copy without shared lists, which YAML would write as anchors."""
    return {key: list(values) for key, values in rule.items()}


def json_schema(structural: Any) -> Any:
    """A CRD's structural schema as JSON Schema 2020-12: closed objects, numeric exclusive bounds, no extensions."""
    if isinstance(structural, list):
        return [json_schema(item) for item in structural]
    if not isinstance(structural, dict):
        return structural
    schema: Schema = {}
    for key, value in structural.items():
        if key == "properties":
            schema[key] = {name: json_schema(inner) for name, inner in value.items()}
        elif key in {"items", "additionalProperties"}:
            schema[key] = json_schema(value)
        elif key in {"nullable", "default", "format", "exclusiveMinimum", "exclusiveMaximum"}:
            continue  # a default would only repeat the API server's; formats and bounds follow below
        elif not key.startswith("x-kubernetes-"):
            schema[key] = value
    for bound in ("Minimum", "Maximum"):
        if structural.get(f"exclusive{bound}"):
            schema[f"exclusive{bound}"] = schema.pop(bound.lower())
    if structural.get("x-kubernetes-int-or-string"):
        schema["type"] = ["integer", "string"]
    if structural.get("nullable") and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if "properties" in schema and not structural.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


def system_schema(crd: Mapping[str, Any]) -> Schema:
    """Schema of the trading-system chart's values: ``spec`` is the kind's own."""
    version = next(entry for entry in crd["spec"]["versions"] if entry["storage"])
    spec = json_schema(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    texts: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": HEADER,
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {
                "type": "string",
                "maxLength": meta.SYSTEM_NAME_LENGTH_MAX,
                "anyOf": [{"const": ""}, {"pattern": meta.LABEL_PATTERN}],
            },
            "labels": texts,
            "annotations": texts,
            "spec": {**spec, "type": ["object", "null"]},  # null, the default, is refused by the template by name
            "global": {"type": "object", "description": "Helm's own; not used."},
        },
    }


def install_text(rendered: str) -> str:
    """install.yaml: the namespace, then what the chart renders."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {
                "app.kubernetes.io/part-of": "ringfence",
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        },
    }
    return f"# {HEADER}\n---\n{yaml.safe_dump(namespace, sort_keys=False)}{rendered.rstrip()}\n"


def render_operator(root: Path) -> str:
    """The operator's chart with default values, as text."""
    command = [str(helm()), "template", RELEASE, str(root / OPERATOR_CHART), "--namespace", NAMESPACE]
    command += ["--set", "tests.enabled=false", "--kube-version", "1.34.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"helm template failed: {done.stderr.strip()}")
    return done.stdout


def find_crd(root: Path, kind: str) -> dict[str, Any]:
    """The generated CRD of a kind."""
    for path in sorted((root / "crds").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document.get("spec", {}).get("names", {}).get("kind") == kind:
                return dict(document)
    raise RuntimeError(f"crds/ has no {kind}: run `python -m ringfence_operator.crdgen`")


def generate(root: Path = ROOT) -> dict[Path, str]:
    """All files of ours by their path in the repository. What Helm reads is written before Helm reads it."""
    rules = {
        "namespaced": access_rules.NAMESPACED,
        "cluster": access_rules.CLUSTER,
        "own": access_rules.OWN,
        "policies": access_rules.POLICIES,
        **{f"people.{name}": rules for name, rules in access_rules.PEOPLE.items()},
    }
    schema = json.dumps(system_schema(find_crd(root, "TradingSystem")), indent=2) + "\n"
    return {RULES: rules_template(rules), SYSTEM_SCHEMA: schema}


def differences(wanted: Mapping[Path, str], root: Path = ROOT) -> str:
    """A unified diff from what lies there to what should."""
    lines: list[str] = []
    for path, text in sorted(wanted.items()):
        there = (root / path).read_text() if (root / path).exists() else ""
        lines += difflib.unified_diff(
            there.splitlines(keepends=True), text.splitlines(keepends=True), f"{path} (there)", f"{path} (wanted)"
        )
    return "".join(lines)


def write(wanted: Mapping[Path, str], root: Path = ROOT) -> None:
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    options = parser.parse_args(arguments)
    try:
        wanted = generate()
        if not options.check:
            write(wanted)
        found = differences(wanted)
        # rendered last: the chart's own copy of the rules goes into it
        install = {INSTALL: install_text(render_operator(ROOT))}
    except (HelmMissing, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    if not options.check:
        write(install)
        return 0
    found += differences(install)
    sys.stdout.write(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
