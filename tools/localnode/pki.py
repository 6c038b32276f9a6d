"""The node's certificates, made with openssl and kept until they no longer fit.

They stay valid over restarts, so that a kubeconfig in a person's hands keeps working; a server's certificate is made
anew when its addresses change, and everything is when the authority nears its end.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnode.errors import LocalNodeError
from localnode.layout import Layout

_DAYS: Final = 365
_AUTHORITY_DAYS: Final = 3650
_RENEW_WITHIN_S: Final = 30 * 24 * 3600
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """One certificate: who it says it is, and under which names and addresses it may be reached."""

    name: str
    common_name: str
    organisation: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return f"/O={self.organisation}/CN={self.common_name}" if self.organisation else f"/CN={self.common_name}"

    @property
    def alternative_names(self) -> str:
        sorts = [f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in self.hosts]
        return ",".join(sorts or [f"DNS:{self.name}"])


def certificates(layout: Layout) -> list[Certificate]:
    """Every certificate that a node of this layout needs."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    api_hosts = ("localhost", *service, "127.0.0.1", layout.service_address, layout.address)
    needed = [
        Certificate("apiserver", "kube-apiserver", hosts=tuple(dict.fromkeys(api_hosts))),
        Certificate("admin", "admin", "system:masters"),
    ]
    if layout.sort == "node":
        needed += [
            Certificate("controller-manager", "system:kube-controller-manager"),
            Certificate("scheduler", "system:kube-scheduler"),
            Certificate("proxy", "system:kube-proxy"),
            Certificate(
                "kubelet", f"system:node:{layout.node}", "system:nodes", (layout.node, layout.address, "127.0.0.1")
            ),
        ]
    return needed


def ensure(layout: Layout) -> None:
    """Make what is missing, expired or made for other addresses."""
    if shutil.which("openssl") is None:
        raise LocalNodeError("openssl is needed for the node's certificates", "apt-get install openssl")
    folder = layout.pki
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _fresh(folder / "ca.crt"):
        for path in folder.iterdir():
            path.unlink()
        _authority(folder)
    made = _recorded(folder)
    for certificate in certificates(layout):
        wanted = f"{certificate.subject} {certificate.alternative_names}"
        if made.get(certificate.name) != wanted or not _fresh(folder / f"{certificate.name}.crt"):
            _issue(folder, certificate)
            made[certificate.name] = wanted
    (folder / "made.json").write_text(json.dumps(made, indent=1, sort_keys=True))


def _recorded(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "made.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fresh(certificate: Path) -> bool:
    if not certificate.is_file() or not certificate.with_suffix(".key").is_file():
        return False
    words = ["openssl", "x509", "-checkend", str(_RENEW_WITHIN_S), "-noout", "-in", str(certificate)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalNodeError(f"openssl {' '.join(words[:4])} failed: {done.stderr.strip()}")


def _authority(folder: Path) -> None:
    days = str(_AUTHORITY_DAYS)
    _openssl(
        folder,
        "req",
        "-x509",
        *_KEY,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        days,
        "-subj",
        "/CN=ringfence-node-ca",
    )
    # the key pair that signs the tokens of service accounts
    _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    _openssl(folder, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def _issue(folder: Path, certificate: Certificate) -> None:
    name = certificate.name
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as extensions:
        extensions.write(f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={certificate.alternative_names}\n")
        extensions.flush()
        request = f"{name}.csr"
        _openssl(folder, "req", *_KEY, "-keyout", f"{name}.key", "-out", request, "-subj", certificate.subject)
        signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(_DAYS)]
        _openssl(folder, "x509", "-req", "-in", request, *signing, "-out", f"{name}.crt", "-extfile", extensions.name)
        (folder / request).unlink()
