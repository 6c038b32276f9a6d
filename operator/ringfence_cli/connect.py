"""Which API server and namespace a command means: --context, else the current context of KUBECONFIG, as kubectl does.

A context that is named and missing is an error, never a reason to take another one.
"""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from ringfence.kube import kubeconfig
from ringfence.kube.client import KubeClient

Document = dict[str, Any]

PLUGIN_TIMEOUT_S: Final = 60
"""A credential plugin may open a browser; longer than this, nobody is there."""
_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_SECTIONS: Final = (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))


class NoCluster(Exception):  # noqa: N818 - a sentence for the person, not a program error
    """No usable way to a cluster; the text says what to name."""


@dataclass(frozen=True)
class Cluster:
    """Where a command goes."""

    access: kubeconfig.Access
    context: str
    namespace: str

    def client(self, request_timeout_s: float = 15.0) -> KubeClient:
        return KubeClient(self.access, request_timeout_s=request_timeout_s)


def find(context: str | None, namespace: str | None, environ: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that the person means. Raises NoCluster."""
    paths = config_paths(environ)
    try:
        if not paths:
            if context is None and environ.get("KUBERNETES_SERVICE_HOST"):
                access = kubeconfig.in_cluster()
                return Cluster(access, "in-cluster", namespace or access.namespace)
            raise NoCluster("no kubeconfig: set KUBECONFIG or create ~/.kube/config")
        document = narrow(merge([(path, _load(path)) for path in paths]), context)
        chosen = str(document["current-context"])
        access = _access(_with_credential(document, environ), chosen)
    except kubeconfig.KubeconfigError as error:
        raise NoCluster(str(error)) from error
    return Cluster(access, chosen, namespace or access.namespace)


def config_paths(environ: Mapping[str, str]) -> list[Path]:
    """The files that kubectl would read, those that exist."""
    named = environ.get("KUBECONFIG", "")
    paths = [Path(part) for part in named.split(os.pathsep) if part]
    if not named:
        paths = [Path(environ.get("HOME", "/nonexistent")) / ".kube" / "config"]
    return [path for path in paths if path.is_file()]


def merge(documents: Sequence[tuple[Path, Document]]) -> Document:
    """One kubeconfig out of several: of each name the first wins, and files stay relative to where they were named."""
    merged: Document = {"current-context": ""}
    for path, document in documents:
        merged["current-context"] = merged["current-context"] or document.get("current-context") or ""
        for section, key in _SECTIONS:
            entries: list[Document] = merged.setdefault(section, [])
            known = {entry["name"] for entry in entries}
            entries += (
                {"name": entry["name"], key: _absolute(entry.get(key) or {}, path.parent)}
                for entry in document.get(section) or ()
                if entry.get("name") and entry["name"] not in known
            )
    return merged


def narrow(document: Document, context: str | None) -> Document:
    """The same kubeconfig with the chosen context as the current one. Raises NoCluster."""
    names = sorted(entry["name"] for entry in document["contexts"])
    chosen = context or document["current-context"]
    if not chosen:
        raise NoCluster(f"no current context: name one with --context ({', '.join(names) or 'there is none'})")
    if chosen not in names:
        raise NoCluster(f"no context {chosen!r} in the kubeconfig; there are: {', '.join(names) or 'none'}")
    return {**document, "current-context": chosen}


def _absolute(entry: Mapping[str, Any], base: Path) -> Document:
    return {key: str((base / value).absolute()) if key in _FILES else value for key, value in entry.items()}


def _load(path: Path) -> Document:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise NoCluster(f"kubeconfig {path} cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}


def _with_credential(document: Document, environ: Mapping[str, str]) -> Document:
    """The same with what a credential plugin answers in place of the plugin."""
    context = next(entry["context"] for entry in document["contexts"] if entry["name"] == document["current-context"])
    users: list[Document] = []
    for entry in document["users"]:
        user = entry["user"]
        if entry["name"] == context.get("user") and "exec" in user:
            user = {key: value for key, value in user.items() if key != "exec"} | _run_plugin(user["exec"], environ)
        users.append({"name": entry["name"], "user": user})
    return {**document, "users": users}


def _run_plugin(plugin: Mapping[str, Any], environ: Mapping[str, str]) -> Document:
    """Ask a client-go credential plugin, such as those of the large clouds."""
    command = [str(plugin.get("command", "")), *map(str, plugin.get("args") or ())]
    version = str(plugin.get("apiVersion", "client.authentication.k8s.io/v1"))
    question = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    extra = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
    try:
        done = subprocess.run(  # noqa: S603 - the person's own kubeconfig names it
            command,
            env={**environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(question)},
            capture_output=True,
            text=True,
            timeout=PLUGIN_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCluster(f"credential plugin {command[0]}: {error}") from error
    if done.returncode:
        raise NoCluster(f"credential plugin {command[0]} failed: {done.stderr.strip()[:500]}")
    try:
        return credential(json.loads(done.stdout)["status"])
    except (ValueError, KeyError, TypeError) as error:
        raise NoCluster(f"credential plugin {command[0]} gave no credential: {type(error).__name__}") from error


def credential(status: Mapping[str, Any]) -> Document:
    """A plugin's answer in the words of a kubeconfig user."""
    user: Document = {"token": status["token"]} if status.get("token") else {}
    for answered, wanted in (("clientCertificateData", "client-certificate"), ("clientKeyData", "client-key")):
        if status.get(answered):
            user[f"{wanted}-data"] = base64.b64encode(str(status[answered]).encode()).decode()
    if not user:
        raise KeyError("token")
    return user


def _access(document: Document, context: str) -> kubeconfig.Access:
    """Through a private file: the client reads kubeconfigs, and one rule for TLS and tokens is enough."""
    with tempfile.NamedTemporaryFile("w", prefix="ringfence-", suffix=".yaml") as file:
        yaml.safe_dump(document, file)
        file.flush()
        return kubeconfig.read(Path(file.name), context)
