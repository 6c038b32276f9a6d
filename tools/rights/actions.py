"""The objects that attempts are made on, and the commands that they are made by."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from rights.people import SPACE, Document, Done, Server
from ringfence_operator import api

SAMPLE: Final = Path(__file__).resolve().parents[2] / "manifests" / "samples" / "momentum.yaml"
AGAIN_MAX: Final = 10
SEEN_S: Final = 1.0
"""Within which a new kill switch has reached the policies that take it as a parameter, through a watch."""


def switch(name: str, **spec: Any) -> Document:
    metadata = {"name": name, "namespace": SPACE}
    return {"apiVersion": api.API_VERSION, "kind": "KillSwitch", "metadata": metadata, "spec": spec}


def system(name: str, goal: str = "Live", **labels: str) -> Document:
    found: Document = yaml.safe_load(SAMPLE.read_text())
    worn = {f"kill.ringfence.dev/{key}": value for key, value in labels.items()}
    found["metadata"] = {"name": name, "namespace": SPACE, "labels": worn}
    found["spec"]["goal"] = goal
    return found


def owned(kind: str, name: str, **rest: Any) -> Document:
    version = {"Lease": "coordination.k8s.io/v1", "Deployment": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1"}
    labels = {"ringfence.dev/system": "momentum"}
    metadata = {"name": name, "namespace": SPACE, "labels": labels}
    return {"apiVersion": version.get(kind, "v1"), "kind": kind, "metadata": metadata, **rest}


def deployment(name: str) -> Document:
    labels = {"ringfence.dev/system": "momentum", "ringfence.dev/service": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "example.com/a:1"}]}}
    return owned("Deployment", name, spec={"selector": {"matchLabels": labels}, "template": template})


def merge(**change: Any) -> tuple[str, ...]:
    return ("--type=merge", "-p", json.dumps(change))


Act = Callable[[Server, str, str], Done]


def patched(kind: str, *flags: str, **change: Any) -> Act:
    return lambda server, user, name: server.kubectl(user, "patch", f"{kind}/{name}", *merge(**change), *flags)


def run(*words: str) -> Act:
    """A command; NAME stands for the object's name."""
    return lambda server, user, name: server.kubectl(user, *(word.replace("NAME", name) for word in words))


def fed(*words: str, document: Callable[[str], Document]) -> Act:
    """A command that reads a document. Made again where somebody wrote the object between its own look and its write,
    as the operator does: that says nothing of rights."""

    def attempt(server: Server, user: str, name: str) -> Done:
        return server.kubectl(user, *words, "-f", "-", stdin=json.dumps(document(name)))

    def act(server: Server, user: str, name: str) -> Done:
        done, again = attempt(server, user, name), 0
        while "(Conflict)" in done.stderr and again < AGAIN_MAX:
            done, again = attempt(server, user, name), again + 1
        return done

    return act


def dropped(server: Server, user: str, name: str) -> Done:
    """Engage by server-side apply, which makes the field one's own, and then leave it out."""
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=mine", "-f", "-")
    taken = server.kubectl(user, *apply, stdin=json.dumps(switch(name, engaged=True)))
    assert taken.returncode == 0, taken.stderr
    return server.kubectl(user, *apply, stdin=json.dumps(switch(name)))


@dataclass(frozen=True)
class Attempt:
    what: str
    user: str
    given: Callable[[str], Document]
    act: Act
    refusal: str = ""
    """Part of what the server says; empty: it is allowed."""
    asked_by: str = ""
    """Who set releaseRequestedBy before."""

    def tried(self, server: Server, name: str, maker: str) -> Done:
        """Make what it is tried on, as ``maker``, and try it."""
        server.make(self.given(name), user=maker)
        if self.asked_by:
            asked = merge(spec={"releaseRequestedBy": self.asked_by})
            server.must("patch", f"kill/{name}", *asked, user=self.asked_by)
        return self.act(server, self.user, name)

    def ended_well(self, done: Done) -> bool:
        """Allowed, or refused with the words that say what to do: as documented."""
        return self.refusal in done.stderr and done.returncode != 0 if self.refusal else done.returncode == 0
