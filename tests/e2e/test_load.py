"""Load on a real cluster: every party's own count of the same orders, a stream that drops, a kill, memory that stays.

RATE orders a second for SECONDS; RINGFENCE_LOAD_RATE and RINGFENCE_LOAD_SECONDS change them.
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
from demo.system import System, late, nanoseconds, wait_for
from load.count import Journal, Told, counter, differences, quantile
from ringfence.model.money import parse, text
from ringfence.simulator.catalog import LISTED
from ringfence.wire.codec import EVENTS_LIMIT, EVENTS_PATH, decode_page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420), pytest.mark.xdist_group("e2e")]
NAME: Final = "loaded"
RATE: Final = int(os.environ.get("RINGFENCE_LOAD_RATE", "300"))
SECONDS: Final = float(os.environ.get("RINGFENCE_LOAD_SECONDS", "30"))
GROWTH_MB: Final = 60.0
"""What a service may grow by in this time: it remembers 20,000 closed orders, and then no more."""
LAST_MS: Final = 2_000
SERVICES: Final = ("execution", "simulator", "portfolio", "marketdata", "strategy")


class Loaded(System):
    """A system whose services are asked at their pods' addresses: kubectl would take the processor that they need."""

    def services(self) -> dict[str, str]:
        return {name: self.address(name) for name in SERVICES}


def get(address: str, path: str, port: int = 8080) -> Any:
    return urllib.request.urlopen(f"http://{address}:{port}/{path}", timeout=10)


def page(address: str) -> str:
    return str(get(address, "metrics").read().decode())


def memory_mb(addresses: dict[str, str]) -> dict[str, float]:
    found = {name: counter(page(address), "process_resident_memory_bytes") / 1e6 for name, address in addresses.items()}
    assert all(found.values()), found
    return found


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator: Images) -> Loaded:
    if cluster.sort != "local":
        pytest.skip("asks pods at their own addresses: needs our own node")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trading"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    manifest = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    manifest["metadata"]["name"] = NAME
    spec = manifest["spec"]
    spec["capital"] = "100000"
    spec["strategy"] |= {
        "image": operator.strategy,
        "class": "ringfence.sdk.strategies.quoter:Quoter",
        "parameters": {"rate": str(RATE), "working": str(max(1, RATE // 20))},
    }
    spec["venues"][0]["simulator"] |= {
        "balances": {"USDT": "1000000", "BTC": "10"},
        "ordersPerTenSeconds": 100_000,
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
    }
    found = Loaded(cluster, NAME)
    found.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    return found


def test_load_a_dropped_stream_and_a_kill_lose_and_double_nothing(system: Loaded) -> None:
    wait_for("trading Active", lambda: system.is_active() or None, 90)
    wait_for("orders at the venue", lambda: system.ledger() or None, 60)
    at = system.services()
    memory = [memory_mb(at)]
    began = time.monotonic()  # sim-ok: measures a real cluster
    time.sleep(SECONDS / 2)
    fault = urllib.request.Request(f"http://{at['simulator']}:9001/faults", b'{"kind":"drop_streams"}')
    urllib.request.urlopen(fault, timeout=5).read()  # noqa: S310 - as above
    memory.append(memory_mb(at))
    time.sleep(max(0.0, began + SECONDS - time.monotonic()))  # sim-ok: as above
    memory.append(memory_mb(at))
    system.kubectl("patch", "killswitch", NAME, "--type=merge", "-p", '{"spec":{"engaged":true}}')

    def closed() -> dict[str, Any] | None:
        lines = [line for line in system.gate_lines() if line["pod"].endswith("execution-0")]
        return next((line for line in lines if line["state"] == "Cancel" and line["workingOrders"] == 0), None)

    line = wait_for("a closed gate without orders", closed, 30)
    closed_ns = nanoseconds(line["closedAt"])
    books = Books(at)
    wrong = wait_for("books that agree, or a minute", books.agree, 60)
    orders = [r for r in books.requests if r["kind"] == "order"]
    assert counter(page(at["execution"]), "ringfence_gate_checkpoint_failures_total") == 0
    sent = sorted(books.journal.submitted.values())
    acks = [ns / 1e6 for ns in books.journal.acknowledged_ns]
    rate = len(books.journal.accepted) / ((sent[-1] - sent[0]) / 1e9)
    print(f"\nasked {RATE}/s, accepted {rate:.0f}/s, fills {len(books.journal.fills)}, refused {books.journal.denied}")
    print(f"gate to acknowledgement p50 {quantile(acks, 0.5):.1f} ms, p99 {quantile(acks, 0.99):.1f} ms")
    last_ms = (max(r["arrived_ns"] for r in orders) - closed_ns) / 1e6
    print(f"gate closed {line['latencyMs']} ms after its event; the last order arrived {last_ms:.1f} ms after that")
    for name in SERVICES:
        print(f"{name:12} " + " ".join(f"{one[name]:6.1f}" for one in memory) + " MB")
    assert wrong == "none"
    assert [] == late(orders, closed_ns)
    assert last_ms > -LAST_MS, "nothing was on its way when the gate closed"
    assert books.journal.fills, "books in which nothing moved prove little"
    assert all(memory[2][name] - memory[0][name] < GROWTH_MB for name in SERVICES)


class Books:
    """Everybody's count, read anew at each look."""

    def __init__(self, at: dict[str, str]) -> None:
        self.at = at
        self.journal = Journal(LISTED["BTCUSDT"].instrument)
        self.requests: list[dict[str, Any]] = []
        self._sequence = 0

    def agree(self) -> str | None:
        """ "none" once there is no difference; the last differences are shown by the caller's time-out."""
        strategy, gate = page(self.at["strategy"]), page(self.at["execution"])
        told = Told(
            asked=counter(strategy, "ringfence_strategy_intents_total")
            - counter(strategy, "ringfence_strategy_refused_total"),
            received=counter(gate, "ringfence_gate_intents_total"),
            unjournaled=counter(gate, "ringfence_gate_refusals_unjournaled_total"),
        )
        self._read_venue()
        ledger = json.loads(get(self.at["simulator"], "ledger", 9001).read())["accounts"]["primary"]
        self._read_journal()
        cash: dict[str, int] = {}
        for row in json.loads(get(self.at["portfolio"], "positions").read())["cash"]:
            if row["gate"].endswith("-execution"):
                cash[row["asset"]] = cash.get(row["asset"], 0) + parse(row["change"])
        shown = {asset: text(amount) for asset, amount in cash.items() if amount}
        wrong = differences(told, self.journal, self.requests, ledger, shown)
        if wrong:
            print(wrong)
            return None
        return "none"

    def _read_venue(self) -> None:
        while True:
            since = self.requests[-1]["sequence"] if self.requests else 0
            found = json.loads(get(self.at["simulator"], f"orders?since={since}", 9001).read())
            assert not found["lost"], "the venue keeps too few requests for this long a run"
            if not found["requests"]:
                return
            self.requests += found["requests"]

    def _read_journal(self) -> None:
        while True:
            answer = get(self.at["execution"], f"{EVENTS_PATH[1:]}?after={self._sequence}&limit={EVENTS_LIMIT}")
            found = decode_page(dict(answer.headers), answer.read())
            self.journal.fold(found.updates)
            if not found.updates:
                return
            self._sequence = found.updates[-1].sequence
