"""Generation of CRDs: nothing is lost on the way from a model to a structural schema, and drift is seen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from ringfence_operator import api, crdgen
from ringfence_operator.api.meta import Kind, Spec

KINDS = pytest.mark.parametrize("kind", api.KINDS, ids=lambda kind: kind.kind)


def root_schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = crdgen.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    yield at, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{at}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "[key]")):
        if key in schema:
            yield from nodes(schema[key], at + suffix)


class Inner(Spec):
    """Something inside."""

    number: Annotated[int, Field(gt=0, lt=9)] = 3
    """A number."""


class Outer(Spec):
    """Something outside."""

    fixed: Literal["only"] = "only"
    """Always the same."""
    perhaps: Inner | None = None
    """May be absent."""
    inner: Inner = Inner()
    """Defaults all the way down."""
    changed: Inner = Inner(number=4)
    """Defaults that differ."""


class TestStructural:
    """The rewriting."""

    def test_references_are_inlined_and_every_form_rewritten(self) -> None:
        """What pydantic says, as Kubernetes says it."""
        number = {
            "type": "integer",
            "description": "A number.",
            "default": 3,
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 9,
            "exclusiveMaximum": True,
        }
        assert crdgen.structural(Outer.model_json_schema(by_alias=True)) == {
            "type": "object",
            "description": "Something outside.",
            "properties": {
                "fixed": {"type": "string", "description": "Always the same.", "default": "only", "enum": ["only"]},
                "perhaps": {
                    "type": "object",
                    "description": "May be absent.",
                    "nullable": True,
                    "properties": {"number": number},
                },
                "inner": {
                    "type": "object",
                    "description": "Defaults all the way down.",
                    "default": {},
                    "properties": {"number": number},
                },
                "changed": {
                    "type": "object",
                    "description": "Defaults that differ.",
                    "default": {"number": 4},
                    "properties": {"number": number},
                },
            },
        }

    @KINDS
    def test_twice_is_once(self, kind: Kind) -> None:
        """A first draft that transformed merged arms twice wrote `minimum: true`."""
        for model in (kind.spec, kind.status):
            once = crdgen.structural(model.model_json_schema(by_alias=True))
            assert crdgen.structural(once) == once

    @pytest.mark.parametrize(
        ("schema", "says"),
        [
            ({"type": "array", "prefixItems": [{"type": "string"}]}, "prefixItems"),
            ({"type": "object", "properties": {"a": {"type": "string", "oneOf": []}}}, r"\.a: .*oneOf"),
            ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
            ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
            ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "a choice between 2 types"),
            ({"anyOf": [{"type": "string"}]}, "a choice between 1 types"),
            ({"$ref": "#/$defs/Gone"}, "Gone, which is not defined"),
            ({}, "any type at all"),
            ({"type": "array"}, "a list of anything"),
            ({"type": "object"}, "an object without fields"),
            ({"type": "object", "additionalProperties": True}, "additional properties of any kind"),
        ],
    )
    def test_what_it_does_not_know_it_refuses(self, schema: dict[str, Any], says: str) -> None:
        """A bound that silently vanishes is no bound."""
        with pytest.raises(crdgen.SchemaError, match=says):
            crdgen.structural(schema)


class TestKinds:
    """What the CRDs say."""

    @KINDS
    def test_everything_is_described(self, kind: Kind) -> None:
        """`kubectl explain` answers for every field, in a sentence."""
        for at, node in nodes(root_schema(kind)):
            if at in {".metadata"} or at.endswith(("[]", "[key]")):
                continue
            assert re.search(r"\w.*\.$", node.get("description", ""), re.DOTALL), at

    @KINDS
    def test_everything_is_bounded(self, kind: Kind) -> None:
        """Texts, lists, maps and numbers: the CEL cost estimator and etcd both ask for it."""
        for at, node in nodes(root_schema(kind)):
            if at in {".apiVersion", ".kind", ".metadata"}:
                continue
            match node["type"]:
                case "string":
                    assert "maxLength" in node or "enum" in node, at
                case "array":
                    assert "maxItems" in node, at
                    assert "x-kubernetes-list-type" in node, at
                case "integer":
                    assert {"minimum", "maximum"} <= node.keys(), at
                case "object" if "additionalProperties" in node:
                    assert "maxProperties" in node, at
                case kind_of_type:
                    assert kind_of_type in {"object", "boolean"}, at

    @KINDS
    def test_list_maps_have_their_keys(self, kind: Kind) -> None:
        """A key that may be absent would make items collide."""
        for at, node in nodes(root_schema(kind)):
            for key in node.get("x-kubernetes-list-map-keys", ()):
                assert key in node["items"]["required"], at

    @KINDS
    def test_a_status_has_no_defaults(self, kind: Kind) -> None:
        """What nobody has found out is absent; an empty answer would be an answer."""
        for at, node in nodes(root_schema(kind)["properties"]["status"]):
            assert "default" not in node, at

    @KINDS
    def test_rules_have_messages(self, kind: Kind) -> None:
        """Every refusal says what to change."""
        for at, node in nodes(root_schema(kind)):
            for rule in node.get("x-kubernetes-validations", ()):
                assert len(rule["message"]) > 10, at

    def test_kill_switches_may_have_no_spec(self) -> None:
        """`kubectl create` of a bare one must work, and so must a patch of one."""
        schema = root_schema(api.killswitch.KIND)
        assert "required" not in schema
        assert schema["properties"]["spec"]["default"] == {}

    def test_names(self) -> None:
        """The words that people type."""
        found = {kind.kind: crdgen.crd(kind)["spec"] for kind in api.KINDS}
        assert found["TradingSystem"]["names"]["shortNames"] == ["tsys"]
        assert found["KillSwitch"]["names"]["shortNames"] == ["kill"]
        for spec in found.values():
            assert spec["names"]["categories"] == ["trading"]
            assert spec["versions"][0]["subresources"] == {"status": {}}

    def test_columns(self) -> None:
        """What `kubectl get` shows, in this order."""
        shown = {
            kind.kind: [column.name.upper() for column in kind.columns if not column.priority] for kind in api.KINDS
        }
        assert shown == {
            "TradingSystem": ["STAGE", "WEIGHT", "GOAL", "TRADING", "READY", "REASON", "REVISION", "AGE"],
            "Evaluation": ["SYSTEM", "REVISION", "STAGE", "WEIGHT", "VERDICT", "OUTCOME", "AGE"],
            "Promotion": ["SYSTEM", "REVISION", "STAGE", "BY", "STATE", "AGE"],
            "KillSwitch": ["ENGAGED", "ACTION", "GATES", "ORDERS", "STATE", "REASON", "BY", "AGE"],
        }


class TestFiles:
    """What lies in the repository."""

    def test_the_repository_is_current(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nobody edits generated files, and nobody forgets to generate."""
        assert crdgen.main(["--check"]) == 0, capsys.readouterr().out

    def test_what_is_written_is_current(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Writing leaves nothing to do."""
        assert crdgen.main(["--root", str(tmp_path)]) == 0
        assert crdgen.main(["--check", "--root", str(tmp_path)]) == 0
        assert capsys.readouterr().out == ""
        names = {f"{kind.plural}.yaml" for kind in api.KINDS}
        assert {path.name for path in (tmp_path / "crds").iterdir()} == names

    @pytest.mark.parametrize("folder", crdgen.OWNED, ids=str)
    @pytest.mark.parametrize("drift", ["missing", "extra", "empty", "different"])
    def test_drift_is_seen(self, folder: Path, drift: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A changed file, a file too few, and a file too many that git alone would not call changed."""
        crdgen.main(["--root", str(tmp_path)])
        file = next((tmp_path / folder).glob("killswitch*.yaml"))
        match drift:
            case "missing":
                file.unlink()
            case "extra" | "empty":
                file.with_name("old.yaml").write_text("kind: Old\n" if drift == "extra" else "")
            case _:
                file.write_text(file.read_text().replace("ringfence.dev", "ringfence.example"))
        assert crdgen.main(["--check", "--root", str(tmp_path)]) == 1
        said = capsys.readouterr().out
        assert "run `make generate`" in said
        assert str(folder / ("old.yaml" if drift in {"extra", "empty"} else file.name)) in said
        assert crdgen.main(["--root", str(tmp_path)]) == 0
        assert crdgen.main(["--check", "--root", str(tmp_path)]) == 0

    @KINDS
    def test_the_charts_copy_is_the_same_but_kept(self, kind: Kind) -> None:
        """Helm can leave it out, and never deletes it."""
        file = f"{kind.plural}.yaml"
        files = crdgen.generate()
        plain = files[crdgen.CRDS / file]
        assert plain.startswith("# do not edit: make generate\n")
        first, *lines, last = files[crdgen.CHART_CRDS / file].splitlines()
        assert (first, last) == ("{{- if .Values.crds.install }}", "{{- end }}")
        copy = yaml.safe_load("\n".join(lines))
        assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert copy == yaml.safe_load(plain)
