"""A rollout on a cluster, as those who run it see it: follow its status, approve its steps, read its evidence."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from demo.cluster import ClusterError, run
from demo.system import System, wait_for

TRACKS: Final = ("stable", "candidate", "shadow")
PROMETHEUS: Final = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
Status = Mapping[str, Any]


@dataclass(frozen=True)
class Staged(System):
    """A trading system whose revisions go through stages."""

    applied: dict[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)
    """What was applied, by revision: to go back is to apply it again."""

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("tsys", self.name).get("status") or {}
        return found

    def follow(self, what: str, there: Callable[[Status], bool], timeout_s: float = 180) -> dict[str, Any]:
        """Wait for a status, and print every step on the way with what it waits for."""
        last = ""

        def look() -> dict[str, Any] | None:
            nonlocal last
            now = self.status()
            if (line := sentence(now)) != last:
                last = line
                waits = (now.get("rollout") or {}).get("waitsFor", "")
                print(f"{time.strftime('%H:%M:%S')} {line}: {waits}"[:300], flush=True)  # sim-ok: as above
            return now if there(now) else None

        try:
            return wait_for(what, look, timeout_s)
        except ClusterError:
            print(json.dumps(self.status(), indent=1))
            raise

    def ringfence(self, *arguments: str) -> str:
        """What people type: the command line, on this system's namespace."""
        where = ("--namespace", self.namespace, "--context", self.cluster.context)
        program = Path(sys.executable).with_name("ringfence")
        return run(["env", f"KUBECONFIG={self.cluster.kubeconfig}", str(program), *arguments, *where])

    def apply(self, document: Mapping[str, Any]) -> str:
        """Returns the revision of the spec, once the operator has taken it up."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document))
        generation = self.get("tsys", self.name)["metadata"]["generation"]

        def taken_up(now: Status) -> bool:
            """And what the one before held is passed on: until then the new one has no track."""
            handing = (now.get("rollout") or {}).get("next") == "handover"
            return bool(now.get("observedGeneration") == generation and not handing)

        now = self.follow("the operator's word", taken_up, 60)
        revision = str((now.get("candidate") or now["stable"])["revision"])
        self.applied[revision] = document
        return revision

    def promote(self, stage: str, **changes: Any) -> str:
        """Approve what the status offers, as the person that we are, or something else; returns its name."""
        now = self.status()
        spec = {
            "system": self.name,
            "revision": now["revision"],
            "stage": stage,
            "evaluation": now["rollout"]["evaluationUID"],
            "limitsRevision": now["limitsRevision"],
            "by": self.me(),
            "reason": "the evidence is good",
        } | changes
        return self.create_promotion(spec)

    def create_promotion(self, spec: Mapping[str, Any], *flags: str) -> str:
        manifest = {
            "apiVersion": "ringfence.dev/v1alpha1",
            "kind": "Promotion",
            "metadata": {"generateName": f"{self.name}-"},
            "spec": spec,
        }
        made = json.loads(self.kubectl("create", "-f", "-", "-o", "json", *flags, stdin=json.dumps(manifest)))
        return str(made["metadata"]["name"])

    def answer(self, promotion: str, timeout_s: float = 60) -> dict[str, Any]:
        """What became of it, once that is final."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get("promotion", promotion).get("status") or {}
            return found if found.get("state") not in {None, "Waiting"} else None

        return wait_for(f"{promotion} answered", look, timeout_s)

    def evaluations(self, revision: str) -> list[dict[str, Any]]:
        """In the order of the revision's stages."""
        listed = json.loads(self.kubectl("get", "evaluations", "-o", "json"))["items"]
        ours = [one for one in listed if (one["spec"]["system"], one["spec"]["revision"]) == (self.name, revision)]
        return sorted(ours, key=lambda one: int(one["spec"]["attempt"]))

    def pods(self) -> dict[str, str]:
        """UID and restarts by pod."""
        selector = f"ringfence.dev/system={self.name}"
        listed = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return {
            pod["metadata"]["name"]: f"{pod['metadata']['uid']} {_restarts(pod)}"
            for pod in listed
            if "deletionTimestamp" not in pod["metadata"]
        }

    def pods_beside_the_candidate(self) -> dict[str, str]:
        """The same without the strategy that does not trade as stable; its slot takes the next revision."""
        stable = json.loads(self.kubectl("get", "deployments", "-l", "ringfence.dev/track=stable", "-o", "json"))[
            "items"
        ]
        slots = {one["metadata"]["name"] for one in stable if f"{self.name}-strategy" in one["metadata"]["name"]}
        pods = self.pods()
        return {
            name: told
            for name, told in pods.items()
            if "-strategy-" not in name or any(name.startswith(f"{slot}-") for slot in slots)
        }

    def ask_prometheus(self, query: str) -> list[dict[str, Any]]:
        """Series of an instant query. The API server forwards it: nothing of ours has to be reachable from here."""
        told = json.loads(self.cluster.kubectl("get", "--raw", f"{PROMETHEUS}/query?{urlencode({'query': query})}"))
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    def number(self, query: str) -> float:
        """Of an instant query with one series; 0 where there is none."""
        found = self.ask_prometheus(query)
        return float(found[0]["value"][1]) if found else 0.0

    def scale_prometheus(self, replicas: int) -> None:
        """Away, or back with nothing of what it knew; returns once it is so."""
        kubectl = self.cluster.kubectl
        kubectl("-n", "monitoring", "scale", "deployment/prometheus", f"--replicas={replicas}")
        if replicas:
            kubectl("-n", "monitoring", "rollout", "status", "deployment/prometheus", "--timeout=90s")
            return
        pods = ("pod", "-n", "monitoring", "-l", "app.kubernetes.io/name=prometheus")
        kubectl("delete", *pods, "--grace-period=0", "--force", "--ignore-not-found")
        kubectl("wait", "--for=delete", *pods, "--timeout=60s")

    def engage(self, **spec: Any) -> None:
        self.kubectl("patch", "killswitch", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def wait_until_active(self) -> None:
        wait_for("Active", lambda: self.is_active() or None, 60)

    def check_ledgers(self) -> int:
        """Stop, and hold both sub-ledgers together against the venue's ledger, to the last digit; then go on. The
        release acknowledges what breakers have tripped.

        Returns the number of assets compared. Raises TookTooLongError where they differ.
        """
        self.engage(engaged=True, reason="to compare ledgers")

        def agreed() -> int | None:
            ours: dict[str, Decimal] = {}
            for row in self.positions()["cash"]:
                if row["gate"] == f"{self.venue}-execution":
                    ours[row["asset"]] = ours.get(row["asset"], Decimal(0)) + Decimal(row["change"])
            venue = {asset: Decimal(change) for asset, change in self.ledger()["delta"].items()}
            mine = {asset: change for asset, change in ours.items() if change}
            theirs = {asset: change for asset, change in venue.items() if change}
            if theirs and mine == theirs:
                print(f"ledgers agree: {theirs}", flush=True)
                return len(theirs)
            if mine != theirs:
                raise ClusterError(f"ours {mine}, the venue's {theirs}")
            return None

        found = wait_for("sub-ledgers equal to the venue's", agreed, 30)
        self.release()
        self.wait_until_active()
        return found


def sentence(now: Status) -> str:
    """Tracks and the next step, in one line."""
    tracks = [
        f"{name}={now[name]['revision']}@{now[name]['stage']}{now[name]['weight']}" for name in TRACKS if now.get(name)
    ]
    return f"{' '.join(tracks)} next={(now.get('rollout') or {}).get('next', '')!r}"


def waits_for_approval(now: Status) -> bool:
    """For nothing else any more."""
    rollout = now.get("rollout") or {}
    return bool(rollout.get("next", "").startswith("Live") and rollout.get("waitsFor", "").startswith("a Promotion"))


def in_stage(stage: str, revision: str = "") -> Callable[[Status], bool]:
    """The candidate is, of that revision where one is named."""

    def there(now: Status) -> bool:
        candidate = now.get("candidate") or {}
        return candidate.get("stage") == stage and revision in {"", candidate.get("revision")}

    return there


def settled(revision: str) -> Callable[[Status], bool]:
    """It is Live and has finished its bake."""

    def there(now: Status) -> bool:
        stable, rollout = now.get("stable") or {}, now.get("rollout") or {}
        live = (stable.get("revision"), stable.get("stage")) == (revision, "Live")
        return bool(live and not now.get("shadow") and not rollout.get("baking"))

    return there


def _restarts(pod: Mapping[str, Any]) -> int:
    return sum(int(one["restartCount"]) for one in pod["status"].get("containerStatuses") or ())
