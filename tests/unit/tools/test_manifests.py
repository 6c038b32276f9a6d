"""The pure parts of what is generated around the charts."""

import pytest
import yaml
from jsonschema import Draft202012Validator

import manifests

STRUCTURAL = {
    "type": "object",
    "required": ["capital"],
    "x-kubernetes-validations": [{"rule": "true"}],
    "properties": {
        "capital": {"type": "string", "pattern": "^[0-9]+$", "default": "1"},
        "weight": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        "note": {"type": "string", "nullable": True},
        "port": {"x-kubernetes-int-or-string": True},
        "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {}},
        "default": {"type": "array", "items": {"type": "object", "properties": {"nullable": {"type": "boolean"}}}},
    },
}


@pytest.fixture
def validator() -> Draft202012Validator:
    schema = manifests.json_schema(STRUCTURAL)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize(
    "document",
    [
        {"capital": "1"},
        {"capital": "1", "weight": 1, "note": None, "port": "http", "parameters": {"a": "b"}},
        {"capital": "1", "port": 1, "anything": {"x": 1}, "default": [{"nullable": True}]},
    ],
)
def test_what_the_api_server_accepts_passes(validator: Draft202012Validator, document: dict[str, object]) -> None:
    assert validator.is_valid(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"capital": 1},
        {"capital": "x"},
        {"capital": "1", "weight": 0},
        {"capital": "1", "unknown": 1},
        {"capital": "1", "parameters": {"a": 1}},
        {"capital": "1", "default": [{"unknown": 1}]},
        {"capital": "1", "port": 1.5},
    ],
)
def test_what_it_refuses_or_would_drop_fails(validator: Draft202012Validator, document: dict[str, object]) -> None:
    """Unknown fields too: the API server prunes them in silence."""
    assert not validator.is_valid(document)


def test_rules_survive_the_template() -> None:
    """The core group is an empty string, and shared lists are written out."""
    verbs = ["get"]
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}] * 2

    text = manifests.rules_template({"own": rules})

    body = text.split("-}}\n", 1)[1].split("{{- end")[0]
    assert yaml.safe_load(body) == rules
    assert "&id" not in text
