"""As much of a Kubernetes client as a start needs; a kubectl for each question would cost a tenth of a second."""

import http.client
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from localnode.errors import LocalNodeError
from localnode.layout import Layout

Json = dict[str, Any]

_PLURALS: Final = {
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Service": "services",
    "Namespace": "namespaces",
    "PersistentVolume": "persistentvolumes",
    "Deployment": "deployments",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "StorageClass": "storageclasses",
}


def path_of(manifest: Json) -> str:
    """The address of an object on the server. Pure."""
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{base}{space}/{_PLURALS[kind]}/{metadata['name']}"


class Refused(LocalNodeError):  # noqa: N818 - it is the server's answer, not a fault of ours
    """The server answered with a status that is no success."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"the API server answered {status}: {said}")
        self.status = status


@dataclass(frozen=True)
class Api:
    """The API server of one node, as its administrator."""

    layout: Layout
    limit_s: float = 10

    def _connection(self) -> http.client.HTTPSConnection:
        pki = self.layout.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return http.client.HTTPSConnection(
            self.layout.address, self.layout.ports.api, timeout=self.limit_s, context=context
        )

    def call(self, method: str, path: str, body: Json | None = None, media: str = "application/json") -> bytes:
        """One request; returns the answer's body. Raises Refused, or OSError where nobody answers."""
        connection = self._connection()
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": media, "Accept": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, said.decode(errors="replace")[:500])
        return said

    def get(self, path: str) -> Json | None:
        """An object or a list; None where there is none."""
        try:
            found: Json = json.loads(self.call("GET", path))
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise
        return found

    def apply(self, manifest: Json) -> Json:
        """Server-side apply."""
        query = urlencode({"fieldManager": "localnode", "force": "true"})
        said = self.call("PATCH", f"{path_of(manifest)}?{query}", manifest, "application/apply-patch+yaml")
        applied: Json = json.loads(said)
        return applied

    def delete(self, path: str) -> None:
        try:
            self.call("DELETE", path)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def is_ready(self) -> bool:
        """Whether the server answers and has created what others need from it."""
        try:
            return self.call("GET", "/readyz") == b"ok"
        except (OSError, Refused):
            return False


def dns_answers(server: str, name: str, limit_s: float = 0.5) -> bool:
    """Whether a name server has an address for a name: the one proof that DNS, Service and pod network work."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    question = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(limit_s)
        try:
            client.sendto(question, (server, 53))
            answer = client.recv(512)
        except OSError:
            return False
    identity, flags, _, answers = struct.unpack("!HHHH", answer[:8])
    return bool(identity == 7 and flags & 0x000F == 0 and answers > 0)
