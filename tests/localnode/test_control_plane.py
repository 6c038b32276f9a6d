"""An API server without nodes, for everybody: no root, a few seconds, any number at once."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import localnode
from localnode.__main__ import main

# the first test of a machine may have to compile
pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(1500)]


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    localnode.build(["control-plane"])


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("RINGFENCE_STATE", str(tmp_path))
    yield "plane"
    localnode.down("plane")


def _kubectl(info: localnode.NodeInfo, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(info.kubectl), "--kubeconfig", str(info.kubeconfig), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_it_is_up_in_seconds_and_gone_without_a_trace(name: str, tmp_path: Path) -> None:
    """Within 5 s where nothing else runs; the tests allow for neighbours."""
    begun = time.monotonic()
    info = localnode.up(name, control_plane=True)
    took_s = time.monotonic() - begun
    pids = list(info.pids.values())
    assert info.running
    assert took_s < 15, took_s

    assert localnode.down(name)

    assert [] == [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _state(pid) != "Z"]
    assert [] == [path for path in (tmp_path / "control-plane").iterdir() if path.is_dir()]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_up_again_changes_nothing(name: str) -> None:
    """The same processes at the same address."""
    first = localnode.up(name, control_plane=True)
    second = localnode.up(name, control_plane=True)
    assert (first.pids, first.api_url) == (second.pids, second.api_url)


def test_what_was_stored_survives_a_kill(name: str) -> None:
    """Killed without warning, `up` brings it back with its objects."""
    info = localnode.up(name, control_plane=True)
    assert 0 == _kubectl(info, "create", "namespace", "kept").returncode
    for pid in info.pids.values():
        os.kill(pid, 9)

    again = localnode.up(name, control_plane=True)

    assert again.running
    assert 0 == _kubectl(again, "get", "namespace", "kept").returncode


def test_a_ruined_store_is_given_up(name: str) -> None:
    """A crash can leave etcd's files beyond repair; a cluster for trying things starts afresh then."""
    info = localnode.up(name, control_plane=True)
    for pid in info.pids.values():
        os.kill(pid, 9)
    (info.state_dir / "etcd" / "member" / "snap" / "db").write_bytes(b"ruined" * 4096)

    assert localnode.up(name, control_plane=True).running


def test_admission_policies_ask_who_is_asking(name: str) -> None:
    """ValidatingAdmissionPolicy, CEL and the authorizer work as on a full cluster."""
    info = localnode.up(name, control_plane=True)
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "needs-the-verb"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
                ]
            },
            "validations": [
                {
                    "expression": "authorizer.group('').resource('configmaps').check('release').allowed()",
                    "message": "the verb release is needed",
                }
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "needs-the-verb"},
        "spec": {"policyName": "needs-the-verb", "validationActions": ["Deny"]},
    }
    both = {"apiVersion": "v1", "kind": "List", "items": [policy, binding]}
    assert 0 == _kubectl(info, "apply", "-f", "-", stdin=json.dumps(both)).returncode
    _kubectl(info, "create", "clusterrole", "maker", "--verb=create", "--resource=configmaps")
    _kubectl(info, "create", "clusterrolebinding", "maker", "--clusterrole=maker", "--user=somebody")

    until = time.monotonic() + 20
    while True:  # a policy holds a moment after it was stored
        refused = _kubectl(info, "create", "configmap", f"a{time.monotonic_ns()}", "--as=somebody")
        if refused.returncode or time.monotonic() > until:
            break
    assert "the verb release is needed" in refused.stderr

    assert 0 == _kubectl(info, "create", "configmap", "mine").returncode


def test_status_is_json_for_programs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code says whether it runs."""
    assert 1 == main(["status", "--name", name, "-o", "json"])
    assert "absent" == json.loads(capsys.readouterr().out)["state"]
    info = localnode.up(name, control_plane=True)
    capsys.readouterr()

    assert 0 == main(["status", "--name", name, "-o", "json"])

    found = json.loads(capsys.readouterr().out)
    assert {"state": "running", "kubeconfig": str(info.kubeconfig), "pids": info.pids}.items() <= found.items()
    assert 0 == main(["kubeconfig", "--name", name])
    assert str(info.kubeconfig) == capsys.readouterr().out.strip()


def test_kubeconfig_of_no_node_says_how_to_get_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the command."""
    assert 2 == main(["kubeconfig", "--name", name])
    assert f"localnode up --name {name}" in capsys.readouterr().err
