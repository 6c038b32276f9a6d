"""The CLI uses the context that was named, and no other."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence_cli import connect


def config(name: str, *, server: str = "http://127.0.0.1:1", user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"{name}-ns"}}],
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": user or {"token": f"{name}-token"}}],
    }


def written(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_named_context_is_used(tmp_path: Path) -> None:
    """--context wins over the current context, its namespace is the default, and --namespace wins over that."""
    both = f"{written(tmp_path / 'a', config('a'))}:{written(tmp_path / 'b', config('b'))}"

    assert connect.find("b", None, {"KUBECONFIG": both}).namespace == "b-ns"
    assert connect.find("b", "other", {"KUBECONFIG": both}).namespace == "other"
    assert connect.find("b", None, {"KUBECONFIG": both}).access.headers() == {"Authorization": "Bearer b-token"}


def test_a_missing_context_is_an_error_and_never_another_one(tmp_path: Path) -> None:
    """A typo in an emergency must not stop somebody else's system."""
    path = written(tmp_path / "a", config("a"))

    with pytest.raises(connect.NoCluster, match=r"no context 'prod'.*there are: a"):
        connect.find("prod", None, {"KUBECONFIG": str(path)})


def test_without_a_current_context_one_has_to_be_named(tmp_path: Path) -> None:
    """A single context is not taken because it happens to be the only one."""
    path = written(tmp_path / "a", config("a") | {"current-context": ""})

    with pytest.raises(connect.NoCluster, match="name one with --context"):
        connect.find(None, None, {"KUBECONFIG": str(path)})


def test_no_kubeconfig_says_what_to_set() -> None:
    with pytest.raises(connect.NoCluster, match="set KUBECONFIG"):
        connect.find(None, None, {"HOME": "/nonexistent"})


def test_files_merge_as_kubectl_merges_them(tmp_path: Path) -> None:
    """The first file wins per name and for the current context; paths stay relative to their own file."""
    first = (tmp_path / "one" / "config", config("a", user={"tokenFile": "token"}))
    second = (tmp_path / "two" / "config", config("a", server="http://evil") | {"current-context": "z"})

    merged = connect.merge([first, second])

    assert merged["current-context"] == "a"
    assert [entry["cluster"]["server"] for entry in merged["clusters"]] == ["http://127.0.0.1:1"]
    assert merged["users"][0]["user"]["tokenFile"] == str(tmp_path / "one" / "token")


def test_a_credential_plugin_is_asked(tmp_path: Path) -> None:
    """The clouds' kubeconfigs name a program that prints a token."""
    plugin = tmp_path / "plugin"
    answer = {"kind": "ExecCredential", "status": {"token": "fresh"}}
    plugin.write_text(f"#!/bin/sh\n[ \"$CLOUD\" = yes ] && echo '{json.dumps(answer)}'\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"command": str(plugin), "env": [{"name": "CLOUD", "value": "yes"}]}}
    path = written(tmp_path / "c", config("c", user=user))

    assert connect.find(None, None, {"KUBECONFIG": str(path)}).access.headers() == {"Authorization": "Bearer fresh"}


def test_a_failing_plugin_says_why(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text("#!/bin/sh\necho 'log in first' >&2\nexit 1\n")
    plugin.chmod(0o700)
    path = written(tmp_path / "c", config("c", user={"exec": {"command": str(plugin)}}))

    with pytest.raises(connect.NoCluster, match="log in first"):
        connect.find(None, None, {"KUBECONFIG": str(path)})


def test_a_plugin_may_answer_with_a_certificate() -> None:
    user = connect.credential({"clientCertificateData": "PEM", "clientKeyData": "KEY"})

    assert base64.b64decode(user["client-certificate-data"]) == b"PEM"
    assert base64.b64decode(user["client-key-data"]) == b"KEY"
    with pytest.raises(KeyError):
        connect.credential({})
