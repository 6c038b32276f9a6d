"""The admission policies as they are built: complete, from the models, and of one mind with what runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml

from ringfence_operator import admission, policies
from ringfence_operator.api.limit_table import LEAVES
from ringfence_operator.api.meta import Looser
from ringfence_operator.desired import plan as names
from ringfence_operator.policies import configmap, limits, status

GOLDEN = Path(__file__).parents[2] / "golden" / "expected"
OPERATOR = policies.Operator("home", "somebody")


def test_every_limit_has_a_direction() -> None:
    """A limit that nobody said how to loosen could be loosened by anybody."""
    found = LEAVES
    assert len(found) > 10
    assert [leaf.path for leaf in found if leaf.looser is None] == []


def test_capital_goal_and_topology_have_one_too() -> None:
    """They decide for how much the limits count."""
    directed = {leaf.path: leaf.looser for leaf in limits.DIRECTED}
    assert directed["capital"] is Looser.WHEN_HIGHER
    assert directed["goal"] is directed["topology"] is Looser.WHEN_LATER
    assert directed["limits.account.balanceFloor"] is Looser.WHEN_LOWER
    assert directed["limits.preset"] is Looser.WHEN_LATER


def test_a_direction_fits_its_type() -> None:
    """Words have an order, numbers have a size."""
    for leaf in limits.DIRECTED:
        assert (leaf.looser is Looser.WHEN_LATER) == bool(leaf.words), leaf
        listed = leaf.looser in {Looser.WHEN_MORE, Looser.WHEN_FEWER}
        mapped = leaf.looser is Looser.WHEN_CHANGED and get_origin(leaf.type) is Mapping
        assert leaf.words or mapped or (get_origin(leaf.type) is tuple if listed else leaf.type in {int, str}), leaf


@pytest.mark.parametrize("policy", policies.POLICIES, ids=lambda policy: policy.name)
def test_every_policy_refuses_and_names_its_operator(policy: policies.Policy) -> None:
    """Fail closed; no stand-in is left in the text."""
    manifest, binding = policies.manifest(policy, OPERATOR), policies.binding(policy)
    assert manifest["spec"]["failurePolicy"] == "Fail"
    assert manifest["metadata"] == binding["metadata"] == {"name": binding["spec"]["policyName"]}
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert "OPERATOR-USERNAME" not in str(manifest)
    assert manifest["spec"]["validations"]
    assert all(check["message"] and check["reason"] == "Forbidden" for check in manifest["spec"]["validations"])


def test_the_policies_know_the_names_that_the_operator_makes() -> None:
    """Gates by their ServiceAccounts and pods, the ConfigMap by its end."""
    assert names.kill_switch_name("momentum") == f"momentum{configmap.SUFFIX}"
    gates = [
        found
        for path in GOLDEN.rglob("*.yaml")
        for found in yaml.safe_load_all(path.read_text())
        if found
        and (found.get("spec") or {})
        .get("template", {})
        .get("metadata", {})
        .get("labels", {})
        .get("ringfence.dev/gate")
    ]
    assert len(gates) > 1
    for gate in gates:
        account = gate["spec"]["template"]["spec"]["serviceAccountName"]
        assert (gate["kind"], gate["metadata"]["name"], gate["spec"]["replicas"]) == ("StatefulSet", account, 1)
        assert account.endswith(status.GATES)


def installed() -> dict[tuple[str, str], dict[str, Any] | None]:
    found: dict[tuple[str, str], dict[str, Any] | None] = {}
    for policy in policies.POLICIES:
        for made in (policies.manifest(policy, OPERATOR), policies.binding(policy)):
            found[made["kind"], made["metadata"]["name"]] = made
    return found


BINDING = ("ValidatingAdmissionPolicyBinding", "limits.ringfence.dev")
POLICY = ("ValidatingAdmissionPolicy", "limits.ringfence.dev")


class TestPresence:
    """What the operator refuses to work without."""

    def test_all_there(self) -> None:
        assert admission.judge(installed()) == ()

    @pytest.mark.parametrize("key", sorted(installed()), ids=lambda key: f"{key[0]} {key[1]}")
    def test_one_missing(self, key: tuple[str, str]) -> None:
        """Each one is needed, and named."""
        assert admission.judge({**installed(), key: None}) == (f"{key[0]} {key[1]} is missing",)

    @pytest.mark.parametrize(
        ("key", "spec", "said"),
        [
            (POLICY, {"failurePolicy": "Ignore"}, "lets through what it cannot judge"),
            (BINDING, {"policyName": "other"}, "binds another policy"),
            (BINDING, {"validationActions": ["Warn"]}, "does not refuse everywhere"),
            (BINDING, {"matchResources": {"namespaceSelector": {}}}, "does not refuse everywhere"),
        ],
    )
    def test_one_blunted(self, key: tuple[str, str], spec: dict[str, Any], said: str) -> None:
        """There, and without effect."""
        found = installed()
        blunted = found[key]
        assert blunted is not None
        (fault,) = admission.judge({**found, key: blunted | {"spec": blunted["spec"] | spec}})
        assert said in fault

    def test_until_it_was_looked_nothing_is_reconciled(self) -> None:
        """Absence is not success; what is not required is not waited for."""
        assert "not been looked for yet" in admission.Admission(required=True).problem
        assert admission.Admission(required=False).problem == ""
