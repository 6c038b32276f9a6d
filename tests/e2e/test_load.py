"""Load on a real cluster: every party's own count of the same orders, lost connections, a kill, a breaker, the limiter.

RATE orders a second, for SECONDS before anything is disturbed; RINGFENCE_LOAD_RATE and RINGFENCE_LOAD_SECONDS change
them.
"""

import json
import os
import time
import urllib.request
from typing import Any, Final

import pytest
import yaml

from demo.cluster import ROOT, Cluster
from demo.install import Images
from demo.system import System, TookTooLongError, late, nanoseconds, wait_for
from load.count import Journal, Told, counter, differences, quantile, total
from ringfence.model.money import parse, text
from ringfence.simulator.catalog import LISTED
from ringfence.wire.codec import EVENTS_LIMIT, EVENTS_PATH, decode_page

SYMBOL: Final = "BTCUSDT"
RATE: Final = int(os.environ.get("RINGFENCE_LOAD_RATE", "300"))
SECONDS: Final = float(os.environ.get("RINGFENCE_LOAD_SECONDS", "15"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400 + SECONDS), pytest.mark.xdist_group("e2e")]
GROWTH_MB: Final = 60.0
"""What a service may grow by in this time: it remembers 20,000 closed orders, and then no more."""
LAST_NS: Final = 2_000_000_000
"""Without an order for this long before it closed, a gate was not under load."""
TOO_MANY_ORDERS: Final = -1015
CPU: Final = "process_cpu_seconds_total"
CHECKPOINTING: Final = "ringfence.execution.checkpointing"
AMPLE: Final = 100_000
"""Orders in ten seconds that no load here reaches."""
SERVICES: Final = ("execution", "simulator", "portfolio", "marketdata", "strategy", "paper", "watchdog")


class Parties:
    """A system's services, asked at their pods' addresses: kubectl would take the processor that they need."""

    def __init__(self, system: System) -> None:
        self._at = {name: system.address(name) for name in SERVICES}

    def get(self, service: str, path: str, port: int = 8080, data: bytes | None = None) -> Any:
        return urllib.request.urlopen(f"http://{self._at[service]}:{port}/{path}", data, timeout=10)

    def document(self, service: str, path: str, port: int = 8080) -> Any:
        return json.loads(self.get(service, path, port).read())

    def venue(self, path: str) -> Any:
        """A document of the simulator's own record."""
        return self.document("simulator", path, 9001)

    def fault(self, kind: str, **fields: object) -> None:
        self.get("simulator", "faults", 9001, json.dumps({"kind": kind} | fields).encode()).read()

    def page(self, service: str) -> str:
        return str(self.get(service, "metrics").read().decode())

    def each(self, metric: str) -> dict[str, float]:
        """A metric that every service has."""
        found = {name: total(self.page(name), metric) for name in SERVICES}
        assert all(found.values()), found
        return found

    def memory_mb(self) -> dict[str, float]:
        return {name: held / 1e6 for name, held in self.each("process_resident_memory_bytes").items()}

    def accepted(self) -> int:
        """Orders that the venue has taken."""
        return int(self.venue("state")["counts"]["accepted"])

    def intents(self) -> int:
        return counter(self.page("execution"), "ringfence_gate_intents_total")

    def drops(self) -> int:
        return counter(self.page("execution"), "ringfence_gate_stream_drops_total")


def applied(cluster: Cluster, images: Images, name: str, orders_per_ten_seconds: int) -> System:
    """A system whose strategy asks for RATE orders a second as long as it is let."""
    if cluster.sort != "local":
        pytest.skip("asks pods at their own addresses: needs our own node")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trading"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    manifest = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    manifest["metadata"]["name"] = name
    spec = manifest["spec"]
    spec["capital"] = "100000"
    spec["strategy"] |= {
        "image": images.strategy,
        "class": "ringfence.sdk.strategies.quoter:Quoter",
        "parameters": {"rate": str(RATE), "working": str(max(1, RATE // 20))},
    }
    spec["venues"][0]["simulator"] |= {
        "balances": {"USDT": "1000000", "BTC": "10"},
        "ordersPerTenSeconds": orders_per_ten_seconds,
        "ordersPerDay": 100_000_000,
        "weightPerMinute": 1_000_000,
    }
    spec["limits"]["order"] |= {"messagesPerSecond": 1_000, "workingOrders": 200}
    spec["limits"]["position"] = {"perInstrument": "20000", "gross": "40000"}
    spec["limits"]["loss"] = {"day": "5000"}
    # a machine too slow for the rate has too many orders under way: that is told, and no breaker ends the load for it
    spec["limits"]["breakers"] = {
        "checkFailureMin": 100_000,
        "repeatedExecutions": 100_000,
        "consecutiveLosses": 1_000,
        "rejectPercent": "50",
        "windowSeconds": 10,
    }
    found = System(cluster, name)
    found.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    return found


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator: Images) -> System:
    return applied(cluster, operator, "loaded", AMPLE)


@pytest.fixture
def limited(cluster: Cluster, operator: Images) -> System:
    """One whose venue takes RATE orders in ten seconds, of which its track's share is a third; alone on the node."""
    cluster.kubectl("-n", "trading", "delete", "tsys", "--all", "--ignore-not-found", "--wait=false")
    return applied(cluster, operator, "limited", RATE)


def trading(system: System) -> Parties:
    """Released if need be, Active, and under load."""
    if system.exists("killswitch", system.name) and system.kill_switch()["spec"].get("engaged"):
        system.release()
    wait_for("trading Active", lambda: system.is_active() or None, 90)
    parties = wait_for("an address of every service", lambda: Parties(system), 60)
    goes_on(parties)
    return parties


def goes_on(parties: Parties) -> None:
    """The gate is Active, and new orders arrive at the venue."""
    wait_for("an Active gate", lambda: parties.document("execution", "state")["state"] == "Active" or None, 60)
    more = parties.accepted() + max(1, RATE // 10)
    wait_for("new orders at the venue", lambda: parties.accepted() >= more or None, 60)


def _word(system: System) -> str:
    return str(system.get("tsys", system.name)["status"]["trading"])


def engaged(system: System) -> dict[str, Any]:
    """Engage the switch; returns execution's own line once it is closed and has no order at work."""
    system.kubectl("patch", "killswitch", system.name, "--type=merge", "-p", '{"spec":{"engaged":true}}')

    def closed() -> dict[str, Any] | None:
        lines = [line for line in system.gate_lines() if line["pod"].endswith("execution-0")]
        return next((line for line in lines if line["state"] == "Cancel" and line["workingOrders"] == 0), None)

    return wait_for("a closed gate without orders", closed, 30)


def killed_under_load(system: System, parties: Parties, books: "Books") -> dict[str, Any]:
    """Engage while orders are on their way, and settle the books; returns execution's line.

    On a starved machine a gate may just be holding for a reason of its own: then the load goes on, and is killed again.
    """

    def met() -> dict[str, Any] | None:
        goes_on(parties)
        line = engaged(system)
        books.settle()
        if max(request["arrived_ns"] for request in books.orders) > nanoseconds(line["closedAt"]) - LAST_NS:
            return line
        system.release()
        return None

    return wait_for("a kill that meets orders on their way", met, 120)


def test_load_lost_connections_and_a_kill_lose_and_double_nothing(system: System) -> None:
    parties = trading(system)
    memory, cpu, accepted = [parties.memory_mb()], parties.each(CPU), parties.accepted()
    began = time.monotonic()  # sim-ok: measures a real cluster
    time.sleep(SECONDS)
    accepted = parties.accepted() - accepted
    rate = accepted / (time.monotonic() - began)  # sim-ok: as above
    cpu = {name: 1e3 * (used - cpu[name]) / max(1, accepted) for name, used in parties.each(CPU).items()}
    memory.append(parties.memory_mb())
    books = Books(parties)
    # all streams, and then the connection of an order that was executed: its answer is lost, on whichever way it went
    for fault in ({"kind": "drop_streams"}, {"kind": "cut", "name": "order.place", "executed": True}):
        books.read_journal()
        before = parties.drops() + books.journal.unknown
        parties.fault(**fault)

        def felt(before: int = before) -> bool | None:
            books.read_journal()
            return parties.drops() + books.journal.unknown > before or None

        wait_for(f"what {fault} does", felt, 30)
        goes_on(parties)
        memory.append(parties.memory_mb())
    line = killed_under_load(system, parties, books)
    closed_ns = nanoseconds(line["closedAt"])
    assert counter(parties.page("execution"), "ringfence_gate_checkpoint_failures_total") == 0
    for _ in range(2):  # by the image's own Python, from the journal and then from the first
        system.kubectl("exec", f"{system.name}-sim-execution-0", "--", "/usr/bin/python3", "-m", CHECKPOINTING)
    acks = [ns / 1e6 for ns in books.journal.acknowledged_ns]
    print(f"\nasked {RATE}/s, accepted {rate:.0f}/s, fills {len(books.journal.fills)}, refused {books.journal.denied}")
    print(f"gate to acknowledgement p50 {quantile(acks, 0.5):.1f} ms, p99 {quantile(acks, 0.99):.1f} ms")
    last_ms = (max(r["arrived_ns"] for r in books.orders) - closed_ns) / 1e6
    print(f"gate closed {line['latencyMs']} ms after its event; the last order arrived {last_ms:.1f} ms after that")
    for name in SERVICES:
        held = " ".join(f"{one[name]:6.1f}" for one in memory)
        print(f"{name:12} {held} MB; {cpu[name]:.3f} ms of a processor for each order")
    assert [] == late(books.orders, closed_ns)
    assert books.journal.fills, "books in which nothing moved prove little"
    assert books.journal.unknown, "no answer was lost"
    assert all(memory[-1][name] - memory[0][name] < GROWTH_MB for name in SERVICES)


def test_a_venue_that_rejects_trips_the_breaker_under_load_and_only_a_person_opens_again(system: System) -> None:
    parties = trading(system)
    parties.fault("halt", symbol=SYMBOL)
    latches = wait_for("the breaker", lambda: parties.document("execution", "state")["latches"] or None, 60)
    tripped = parties.document("execution", "state")
    assert latches.keys() == {"breaker/rejects"}
    assert latches["breaker/rejects"]["severity"] == "Halt"
    assert "limit_percent=50" in latches["breaker/rejects"]["reason"]
    assert "percent=" in tripped["breakers"]["open"]["rejects"]["evidence"]
    print(f"\ntripped by {latches['breaker/rejects']['reason']}")
    parties.fault("halt", symbol=SYMBOL, on=False)
    asked = parties.intents()
    wait_for("a load that goes on", lambda: parties.intents() >= asked + RATE or None, 60)
    wait_for("a system that says so", lambda: _word(system) == "Halted" or None, 30)
    books = Books(parties)
    books.read_journal()
    assert max(books.journal.submitted.values()) <= nanoseconds(tripped["closedAt"])
    assert books.journal.rejected
    engaged(system)
    books.settle()
    system.release()
    goes_on(parties)
    acknowledged = parties.document("execution", "state")["breakers"]["acknowledged"]
    assert acknowledged == {"by": system.me(), "breakers": ["rejects"]}


def test_orders_above_the_venues_limit_are_held_back_here_told_and_not_lost(limited: System) -> None:
    parties = trading(limited)
    books = Books(parties)

    def one_window_and_another() -> bool | None:
        books.read_journal()
        return (len(books.journal.unsent) >= RATE and len(books.journal.accepted) > RATE * 3 // 10) or None

    wait_for("orders held back, and others in the next window", one_window_and_another, 60)
    engaged(limited)
    books.settle()
    print(f"\nasked {RATE}/s, {len(books.journal.accepted)} accepted, {len(books.journal.unsent)} held back")
    assert any("order count of 10S used up" in reason for reason in books.journal.unsent.values())
    assert not [request for request in books.requests if request["code"] == TOO_MANY_ORDERS]
    wait_for("a strategy that has heard of each refusal", books.heard, 30)


class Books:
    """Everybody's count, read anew at each look."""

    def __init__(self, parties: Parties) -> None:
        self.journal = Journal(LISTED[SYMBOL].instrument)
        self.requests: list[dict[str, Any]] = []
        self._parties = parties
        self._sequence = 0
        self._wrong = ["not compared yet"]

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Those of the venue's record of requests that would place one."""
        return [request for request in self.requests if request["kind"] == "order"]

    def settle(self) -> None:
        """Read all books until they agree: they are read one after the other, so a difference may pass."""
        try:
            wait_for("books that agree", self._agree, 60)
        except TookTooLongError:
            assert self._wrong == []
            raise

    def _agree(self) -> bool | None:
        parties = self._parties
        strategy, gate = parties.page("strategy"), parties.page("execution")
        told = Told(
            asked=counter(strategy, "ringfence_strategy_intents_total")
            - counter(strategy, "ringfence_strategy_refused_total"),
            received=counter(gate, "ringfence_gate_intents_total"),
            unjournaled=counter(gate, "ringfence_gate_refusals_unjournaled_total"),
        )
        self._read_venue()
        ledger = parties.venue("ledger")["accounts"]["primary"]
        self.read_journal()
        cash: dict[str, int] = {}
        for row in parties.document("portfolio", "positions")["cash"]:
            if row["gate"].endswith("-execution"):
                cash[row["asset"]] = cash.get(row["asset"], 0) + parse(row["change"])
        shown = {asset: text(amount) for asset, amount in cash.items() if amount}
        self._wrong = differences(told, self.journal, self.requests, ledger, shown)
        return not self._wrong or None

    def heard(self) -> bool | None:
        """Whether the strategy has heard of every refusal that the gate has told beside its journal."""
        heard = counter(self._parties.page("strategy"), "ringfence_strategy_denied_unjournaled_total")
        return heard == counter(self._parties.page("execution"), "ringfence_gate_refusals_unjournaled_total") or None

    def _read_venue(self) -> None:
        while True:
            since = self.requests[-1]["sequence"] if self.requests else 0
            found = self._parties.venue(f"orders?since={since}")
            assert not found["lost"], "the venue keeps too few requests for this long a run"
            if not found["requests"]:
                return
            self.requests += found["requests"]

    def read_journal(self) -> None:
        while True:
            query = f"{EVENTS_PATH[1:]}?after={self._sequence}&limit={EVENTS_LIMIT}"
            answer = self._parties.get("execution", query)
            found = decode_page(dict(answer.headers), answer.read())
            self.journal.fold(found.updates)
            if not found.updates:
                return
            self._sequence = found.updates[-1].sequence
