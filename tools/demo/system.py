"""What a trading system on a cluster says of itself, asked as a person would ask: by kubectl.

Shared by the demo and the end-to-end tests, so that both look at the same evidence: the simulator's own record
of what it received, the portfolio's ledger, and the kill switch's status.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from demo.cluster import Cluster, ClusterError

POLL_S: Final = 0.2
CLOCKS_NS: Final = 50_000_000
"""How far a gate's closing time and what it takes for the venue's time may be apart."""
WIRE_NS: Final = 1_000_000_000
"""What left before a gate closed may be read this much later, by a venue that waits for a processor."""
T = TypeVar("T")

# runs inside the pod: works whatever the network policies are, and needs no tool in the image but Python
_FETCH: Final = "import sys, urllib.request as r; sys.stdout.write(r.urlopen(sys.argv[1], timeout=5).read().decode())"


class TookTooLongError(ClusterError):
    """A condition did not come about in time; the message says what was last seen."""


@dataclass(frozen=True)
class System:
    """One TradingSystem with one venue, by name."""

    cluster: Cluster
    name: str
    namespace: str = "trading"
    venue: str = "sim"

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin, timeout_s=timeout_s)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def exists(self, kind: str, name: str) -> bool:
        return self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip() != ""

    def address(self, service: str) -> str:
        """The pod IP of one of its services, such as execution: for asking it when the API server cannot."""
        selector = f"ringfence.dev/system={self.name}"
        for pod in json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]:
            if pod["metadata"]["labels"].get("ringfence.dev/service") == service and "podIP" in pod["status"]:
                return str(pod["status"]["podIP"])
        raise ClusterError(f"no pod of {self.name} runs {service} at an address")

    def fetch(self, workload: str, url: str) -> Any:
        """A document of a service, fetched from inside its own pod."""
        return json.loads(self.kubectl("exec", workload, "--", "/usr/bin/python3", "-c", _FETCH, url))

    def ledger(self) -> dict[str, Any]:
        """The simulated venue's own books of our account: balances, delta by asset, fills, commissions."""
        document: dict[str, Any] = self._simulator("ledger")["accounts"]["primary"]
        return document

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Every order and cancel request that the venue received, with its own receive time in ns."""
        document: dict[str, Any] = self._simulator(f"orders?since={since}")
        found: list[dict[str, Any]] = document["requests"]
        return found

    def orders(self) -> list[dict[str, Any]]:
        """The same record without the cancel requests."""
        return [request for request in self.requests() if request["kind"] == "order"]

    def is_active(self) -> bool:
        """Whether the system's gates let orders through."""
        return bool(self.get("tsys", self.name).get("status", {}).get("trading") == "Active")

    def positions(self) -> dict[str, Any]:
        """What our portfolio service believes."""
        document: dict[str, Any] = self.fetch(f"deploy/{self.name}-portfolio", "http://127.0.0.1:8080/positions")
        return document

    def kill_switch(self) -> dict[str, Any]:
        return self.get("killswitch", self.name)

    def me(self) -> str:
        """The user that the API server takes us for: a release has to name it."""
        return self.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").strip()

    def release(self) -> None:
        """Let go of all that the kill switch holds, in our own name."""
        spec = {"engaged": False, "restrict": "None", "releasedBy": self.me()}
        self.kubectl("patch", "killswitch", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def gate_lines(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.kill_switch().get("status", {}).get("gates", [])
        return lines

    def condition(self, kind: str, name: str, sort: str) -> dict[str, Any]:
        """A condition of an object; status Unknown where it has none."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next(
            (c for c in conditions if c["type"] == sort), {"type": sort, "status": "Unknown", "reason": "Absent"}
        )

    def venue_now_ns(self) -> int:
        """The simulated venue's clock, UTC nanoseconds."""
        now_ns: int = self._simulator("state")["now_ns"]
        return now_ns

    def _simulator(self, path: str) -> Any:
        return self.fetch(f"deploy/{self.name}-{self.venue}-simulator", f"http://127.0.0.1:9001/{path}")


def late(requests: list[dict[str, Any]], closed_ns: int) -> list[dict[str, Any]]:
    """Requests of the venue's record that were made after a gate had closed, or came later than the wire explains."""

    def is_late(request: dict[str, Any]) -> bool:
        made_ns = int(request["timestamp"] or 0) * 1_000_000
        arrived_ns: int = request["arrived_ns"]
        return made_ns > closed_ns + CLOCKS_NS or arrived_ns > closed_ns + WIRE_NS

    return [request for request in requests if is_late(request)]


def nanoseconds(rfc3339: str) -> int:
    """UTC nanoseconds of a time such as a gate writes it, exact to the microsecond."""
    stamp = datetime.fromisoformat(rfc3339.replace("Z", "+00:00"))
    return int(stamp.timestamp()) * 1_000_000_000 + stamp.microsecond * 1_000


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float) -> T:
    """Ask until ``look`` returns something other than None. A pod that is not there yet is asked again.

    Raises TookTooLongError with the last error or the fact that nothing came.
    """
    deadline = time.monotonic() + timeout_s  # sim-ok: waits for a real cluster
    last = "nothing yet"
    while time.monotonic() < deadline:  # sim-ok: as above
        try:
            found = look()
        except (ClusterError, json.JSONDecodeError) as error:
            last = str(error)
        else:
            if found is not None:
                return found
        time.sleep(POLL_S)
    raise TookTooLongError(f"{what}: not within {timeout_s:.0f} s; last: {last}")
