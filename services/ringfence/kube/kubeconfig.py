"""Where the API server is and how we prove who we are: a pod's service account, or a kubeconfig."""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(ValueError):
    """No usable way to reach an API server; the text says what is missing and where."""


class TokenFile:
    """A token that somebody else renews: read again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._token = ""

    def __call__(self) -> str:
        found = self._path.stat()
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._token = self._path.read_text().strip()
            self._stamp = stamp
        return self._token


class Access:
    """Server, TLS and identity of one client. Its repr never shows a secret."""

    def __init__(
        self,
        server: str,
        *,
        tls: ssl.SSLContext | None = None,
        token: str = "",
        token_file: Path | None = None,
        namespace: str = "default",
    ) -> None:
        self.server = server.rstrip("/")
        self.tls = tls
        self.namespace = namespace
        self._token = token
        self._token_file = TokenFile(token_file) if token_file else None

    def headers(self) -> dict[str, str]:
        token = self._token_file() if self._token_file else self._token
        return {"Authorization": f"Bearer {token}"} if token else {}

    def __repr__(self) -> str:
        return f"Access(server={self.server!r}, namespace={self.namespace!r})"


def in_cluster(directory: Path = SERVICE_ACCOUNT_DIR, environ: Mapping[str, str] = os.environ) -> Access:
    """The service account that kubelet mounted into this pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeconfigError("KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod")
    if not (directory / "token").exists():
        raise KubeconfigError(f"{directory}/token does not exist: does the pod mount its service account's token?")
    namespace = directory / "namespace"
    return Access(
        f"https://{f'[{host}]' if ':' in host else host}:{port}",
        tls=_trusting(cafile=directory / "ca.crt"),
        token_file=directory / "token",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def read(path: Path, context: str | None = None) -> Access:
    """One context of a kubeconfig, by default the current one."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"kubeconfig {path} is empty")
    chosen = _named(document, "contexts", "context", context or document.get("current-context") or "", path)
    cluster = _named(document, "clusters", "cluster", chosen.get("cluster", ""), path)
    user = _named(document, "users", "user", chosen["user"], path) if chosen.get("user") else {}
    if "exec" in user or "auth-provider" in user:
        raise KubeconfigError(f"kubeconfig {path}: user {chosen['user']!r} needs a plugin, which is not supported here")
    token_file = user.get("tokenFile")
    server = str(cluster.get("server", ""))
    return Access(
        server,
        tls=_tls(cluster, user, path.parent) if server.startswith("https") else None,
        token=str(user.get("token", "")),
        token_file=path.parent / token_file if token_file else None,
        namespace=str(chosen.get("namespace") or "default"),
    )


def _named(document: Mapping[str, Any], section: str, key: str, name: str, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    raise KubeconfigError(f"kubeconfig {path} has no entry {name!r} in {section}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", base)
    tls = _trusting(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate", base), _content(user, "client-key", base)
    if certificate and key:
        # the ssl module takes client certificates from files only
        with tempfile.NamedTemporaryFile(prefix="kube-", suffix=".pem") as both:
            both.write(certificate + b"\n" + key)
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


def _trusting(*, cafile: Path | None = None, cadata: str | None = None) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=str(cafile) if cafile else None, cadata=cadata)
    # Python 3.13 refuses authorities without a key identifier by default, and cluster authorities often have none
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls


def _content(section: Mapping[str, Any], key: str, base: Path) -> bytes:
    """A credential given in place (``key-data``) or as a file (``key``), relative to the kubeconfig."""
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"])
    return (base / section[key]).read_bytes() if section.get(key) else b""
