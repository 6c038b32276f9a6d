"""Stopping on a real cluster: by right, by part, without an operator, and without an API server for a minute.

The tests of this file build on one another, in order. Two systems trade in a namespace of their own: ``pair`` trades
two instruments all the time, and ``shelter`` holds a position whose two exits rest at the venue.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pytest
import yaml

import localnode
from demo import install
from demo.cluster import ROOT, Cluster, ClusterError
from demo.install import Images
from demo.system import System, late, nanoseconds, wait_for
from rights.attempts import engaging, letting_go, scopes, two_persons
from rights.people import PEOPLE, SPACE, Server, bound, grants
from ringfence.wire.kill import KillRequest, signed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]
NAMESPACE: Final = "stops"
BTC: Final = "BTCUSDT"
ETH: Final = "ETHUSDT"
ENGAGE: Final = '{"spec":{"engaged":true}}'
FROZEN_S: Final = 60
SMALLEST_USDT: Final = 5
"""What the simulated venue takes at least, as Binance does."""
WATCHED_NS: Final = 10_000_000_000
"""For how long the venue's record is watched: some five signals of each instrument."""


@dataclass(frozen=True)
class Systems:
    pair: System
    shelter: System


def document(name: str, image: str, strategy: dict[str, Any], *symbols: str) -> str:
    """The sample with another strategy."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    found["metadata"]["name"] = name
    instruments = [{"venue": "sim", "symbol": symbol} for symbol in symbols]
    found["spec"]["strategy"] = {"image": image, "instruments": instruments, **strategy}
    # it trades more often than fees allow, on purpose
    found["spec"]["limits"]["breakers"] = {"consecutiveLosses": 1000, "repeatedExecutions": 100_000}
    return json.dumps(found)


@pytest.fixture(scope="module")
def people(cluster: Cluster, operator: Images) -> Server:
    """Users with the chart's own roles, in the namespace of the systems and in one where nothing trades."""
    if cluster.sort != "local":
        pytest.skip("impersonating people needs a cluster of our own")
    found = Server(localnode.status(cluster.name))
    for name in (NAMESPACE, SPACE):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
        made = [bound(user, "ClusterRole", f"ringfence-{role}") for user, role in PEOPLE.items()]
        made += [one for one in grants() if one["metadata"]["name"] == "ned" and "Cluster" not in one["kind"]]
        for one in made:
            one["metadata"]["namespace"] = name
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(made))
    return found


@pytest.fixture(scope="module")
def systems(cluster: Cluster, people: Server, operator: Images) -> Iterator[Systems]:
    pair, shelter = System(cluster, "pair", NAMESPACE), System(cluster, "shelter", NAMESPACE)
    fast = {
        "class": "momentum.strategy:MovingAverageCross",
        "parameters": {"fast": "2", "slow": "5", "quantity": "0.004"},
    }
    guarded = {
        "class": "ringfence.sdk.strategies.guarded:GuardedPullback",
        "parameters": {"pullback": "0.01", "target": "3", "stop": "3"},
    }
    pair.kubectl("apply", "-f", "-", stdin=document("pair", operator.strategy, fast, BTC, ETH))
    shelter.kubectl("apply", "-f", "-", stdin=document("shelter", operator.strategy, guarded, BTC))
    for system in (pair, shelter):
        wait_active(system)
    yield Systems(pair, shelter)
    install.scale_operator(cluster, 1)
    pair.kubectl("delete", "tsys", "--all", timeout_s=120)


def wait_active(system: System) -> None:
    wait_for(f"{system.name} Active", lambda: system.is_active() or None, 120)


def ringfence(system: System, *arguments: str) -> str:
    """The command line as people use it. Prints what they see."""
    command = [sys.executable, "-m", "ringfence_cli.main", *arguments, "-n", NAMESPACE]
    command += ["--context", system.cluster.context]
    environ = os.environ | {"KUBECONFIG": str(system.cluster.kubeconfig), "NO_COLOR": "1", "COLUMNS": "160"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)
    print(f"$ ringfence {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    assert done.returncode == 0
    return done.stdout


def line(system: System, switch: str = "") -> dict[str, Any] | None:
    """What execution has written into the status of a switch, its own if none is named."""
    for gate in system.get("killswitch", switch or system.name).get("status", {}).get("gates", []):
        if gate["system"] == system.name and gate["service"] == f"{system.venue}-execution":
            return dict(gate)
    return None


def closed(system: System, generation: int, switch: str = "") -> dict[str, Any]:
    """The line, once it says of this generation that the gate is closed and nothing works any more."""

    def look() -> dict[str, Any] | None:
        found = line(system, switch)
        obeys = found and found.get("generation", 0) >= generation and found["state"] in ("Cancel", "Flatten")
        return found if obeys and found and found.get("provenAt") else None

    return wait_for(f"the proof of {system.name}", look, 30)


def patched(system: System, change: str, user: str = "") -> int:
    """Patch the system's own switch; returns its new generation."""
    who = ("--as", user) if user else ()
    answer = system.kubectl(
        *who, "patch", "killswitch", system.name, "--type=merge", "-p", change, "-o", "jsonpath={.metadata.generation}"
    )
    return int(answer)


def orders(requests: list[dict[str, Any]], after_ns: int, symbol: str = "") -> list[dict[str, Any]]:
    """Orders that were made after this time, or came later than the wire explains."""
    return [r for r in late(requests, after_ns) if r["kind"] == "order" and symbol in ("", r["symbol"])]


def watched(system: System, from_ns: int) -> list[dict[str, Any]]:
    """The venue's record, once it goes some seconds further than ``from_ns``."""
    return wait_for(
        "the venue's record", lambda: system.requests() if system.venue_now_ns() > from_ns + WATCHED_NS else None, 60
    )


def held(system: System, asset: str = "BTC") -> Decimal:
    """What the account holds more than it began with, by the venue's books."""
    return Decimal(system.ledger()["delta"].get(asset, "0"))


def exits(system: System) -> int | None:
    """The shelter's two exits, once both rest."""
    found = system.ledger()["open_orders"]
    return found if found == 2 else None


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own node
        return json.loads(answer.read())


def test_people_are_refused_and_allowed_as_documented(people: Server) -> None:
    """A table of attempts on kill switches, by impersonated people with the chart's own roles."""
    attempts = [*engaging(), *letting_go(), *scopes(), *two_persons()]
    wrong = []
    print(f"\n{'who':<10} {'attempt':<46} answer")
    for number, attempt in enumerate(attempts):
        done = attempt.tried(people, f"attempt-{number}", "root")
        said = " ".join(done.stderr.split()) if done.returncode else "allowed"
        print(
            f"{attempt.user.split(':')[-1][:10]:<10} {attempt.what:<46} {said.partition('denied request: ')[2] or said}"
        )
        if not attempt.ended_well(done):
            wrong.append((attempt.user, attempt.what, attempt.refusal or "allowed", said))
    refused = sum(bool(attempt.refusal) for attempt in attempts)
    print(f"{len(attempts)} attempts, {refused} to be refused; not as documented: {len(wrong)}")
    # those that cover others must go; root may not delete alone what takes two, and need not
    people.kubectl("root", "delete", "killswitches", "--all")
    left = json.loads(people.must("get", "killswitches", "-o", "json"))["items"]
    assert not [one for one in left if one["spec"].get("everySystem")]
    assert [] == wrong
    assert min(refused, len(attempts) - refused) >= 30


def test_a_minute_without_api_server_stops_and_resumes(systems: Systems, cluster: Cluster) -> None:
    """Halted when the Lease runs out; nothing is cancelled or closed; a direct kill cancels; then it trades again."""
    pair, shelter = systems.pair, systems.shelter
    wait_for("both exits at the venue", lambda: exits(shelter), 90)
    wait_for("orders", lambda: pair.orders() or None, 60)
    gates = {system.name: system.address("execution") for system in (pair, shelter)}
    venues = {system.name: f"http://{system.address('simulator')}:9001" for system in (pair, shelter)}
    secret = shelter.get("secret", f"{shelter.name}-{shelter.venue}-kill-token")["data"]["token"]
    pod = f"{pair.name}-{pair.venue}-execution-0"
    before = pair.get("pod", pod)
    server = localnode.status(cluster.name).pids["kube-apiserver"]
    os.kill(server, signal.SIGSTOP)
    frozen_ns = time.time_ns()  # sim-ok: measures a real cluster
    try:
        with pytest.raises(ClusterError):
            cluster.kubectl("get", "--raw", "/readyz", timeout_s=2)

        def halted() -> dict[str, Any] | None:
            found: dict[str, Any] = asked(f"http://{gates['pair']}:8080/state")
            return None if found["state"] == "Active" else found

        state = wait_for("the Lease to run out", halted, 30)
        closed_ns = nanoseconds(state["closedAt"])
        at_close = asked(f"{venues['shelter']}/ledger")["accounts"]["primary"]
        request = KillRequest(
            severity="Cancel", protective="Cancel", reason="no API server", by="e2e", ts=time.time_ns(), source="direct"
        )  # sim-ok: as above
        body, headers = signed(base64.b64decode(secret).strip(), request)
        push = urllib.request.Request(f"http://{gates['shelter']}:8081/kill", body, headers)
        with urllib.request.urlopen(push, timeout=5) as answer:  # noqa: S310 - our own node
            killed = json.loads(answer.read())
        emptied = wait_for(
            "no order at the venue",
            lambda: None if asked(f"{venues['shelter']}/ledger")["accounts"]["primary"]["open_orders"] else True,
            10,
        )
        while asked(f"{venues['pair']}/state")["now_ns"] < frozen_ns + FROZEN_S * 1_000_000_000:
            time.sleep(1)
        still = asked(f"http://{gates['pair']}:8080/state")
        record = asked(f"{venues['pair']}/orders?since=0")["requests"]
        sheltered = asked(f"{venues['shelter']}/orders?since=0")["requests"]
    finally:
        os.kill(server, signal.SIGCONT)
    resumed = time.monotonic()  # sim-ok: as above
    wait_for("the API server", lambda: cluster.kubectl("get", "--raw", "/readyz") or None, 60)
    thawed_ns = time.time_ns()  # sim-ok: as above
    wait_for("orders again", lambda: orders(pair.requests(), thawed_ns) or None, 120)
    took_s = time.monotonic() - resumed  # sim-ok: as above
    print(f"\nclosed {(closed_ns - frozen_ns) / 1e9:.1f} s after the freeze: {state['state']}, {state['reason']}")
    print(f"direct kill: {killed['state']} in {killed['latencyMs']} ms; trading again {took_s:.1f} s after the thaw")
    assert 0 < closed_ns - frozen_ns < 16_000_000_000
    assert "Halted" == still["state"]
    assert any(r["received_ns"] > frozen_ns for r in record), "it went on trading while its Lease held"
    assert [] == late(record, closed_ns), "neither orders nor cancels"
    assert 2 == at_close["open_orders"], "the Lease's end leaves what rests"
    assert emptied
    assert "Cancel" == killed["state"]
    assert [] == orders(sheltered, closed_ns), "nothing was closed"
    after = pair.get("pod", pod)
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert [0] == [status["restartCount"] for status in after["status"]["containerStatuses"]]
    # the other one is latched, and its position stands naked: its line says both
    shown = closed(shelter, patched(shelter, ENGAGE))
    assert 1 == shown["nakedPositions"]
    print(shelter.kubectl("get", "killswitch"))
    print(ringfence(shelter, "status", shelter.name))
    shelter.release()
    wait_active(shelter)


def test_flatten_needs_its_verb_and_closes_what_is_held(systems: Systems) -> None:
    """A trader may stop and not flatten. Risk may: exits cancelled, the position closed, and Flat says since when."""
    shelter = systems.shelter
    # a strategy that starts protects what it holds
    shelter.kubectl("delete", "pod", "-l", f"ringfence.dev/system={shelter.name},ringfence.dev/service=strategy")
    wait_for("both exits at the venue", lambda: exits(shelter), 90)
    assert held(shelter) > 0
    with pytest.raises(ClusterError, match="needs verb flatten"):
        patched(shelter, '{"spec":{"engaged":true,"action":"Flatten"}}', user="alice")
    assert not shelter.kill_switch()["spec"].get("engaged"), "refused as a whole"
    begun_ns = time.time_ns()  # sim-ok: measures a real cluster
    generation = patched(shelter, '{"spec":{"engaged":true,"action":"Flatten","reason":"e2e"}}', user="bob")
    shelter.kubectl("wait", "--for=condition=Flat", f"killswitch/{shelter.name}", "--timeout=120s", timeout_s=130)
    condition = shelter.condition("killswitch", shelter.name, "Flat")
    proof = closed(shelter, generation)
    record = [r for r in shelter.requests() if r["received_ns"] > begun_ns]
    closing = [r for r in record if r["kind"] == "order"]
    cancels = [r for r in record if r["kind"] in ("cancel", "cancel_all")]
    price = Decimal(closing[-1]["price"])
    left = held(shelter)
    print(f"\n{proof['state']}: flat at {proof['flatAt']}; left {left} BTC; {len(closing)} orders closed it")
    print(f"{condition['lastTransitionTime']} {condition['reason']}: {condition['message']}")
    print(shelter.kubectl("describe", "killswitch", shelter.name))
    assert cancels
    assert cancels[0]["received_ns"] < closing[0]["received_ns"]
    assert {"SELL"} == {r["side"] for r in closing}
    assert 0 <= left * price < SMALLEST_USDT
    assert 0 == shelter.ledger()["open_orders"]
    assert nanoseconds(proof["flatAt"]) >= begun_ns
    if left:
        assert BTC in proof["residue"]
    release = {"spec": {"engaged": False, "action": "Cancel", "releasedBy": "bob"}}
    patched(shelter, json.dumps(release), user="bob")
    wait_active(shelter)


def test_one_instrument_stops_while_the_other_trades_on(systems: Systems) -> None:
    """A part by a switch of its own; then all of the system, and letting that go leaves the part stopped."""
    pair = systems.pair
    wait_for("orders in both", lambda: {BTC, ETH} == {o["symbol"] for o in pair.orders()} or None, 90)
    begun_ns = time.time_ns()  # sim-ok: measures a real cluster
    ringfence(pair, "kill", pair.name, "--instrument", BTC, "--reason", "bad ticks", "--timeout", "30")
    part = f"{pair.name}.btcusdt"
    closed_ns = nanoseconds(closed(pair, 1, part)["closedAt"])
    wait_for(f"orders of {ETH}", lambda: orders(pair.requests(), closed_ns, ETH) or None, 60)
    record = watched(pair, closed_ns)
    traded = len(orders(record, closed_ns, ETH))
    print(f"{BTC} stopped: no order of it after, and {traded} of {ETH}")
    print(pair.kubectl("get", "killswitch"))
    ringfence(pair, "status", pair.name)
    assert [] == orders(record, closed_ns, BTC)
    every = [r for r in record if r["kind"] == "cancel_all" and r["received_ns"] > begun_ns]
    assert [] == every, "a part is cancelled order by order"

    all_ns = nanoseconds(closed(pair, patched(pair, ENGAGE))["closedAt"])
    assert [] == orders(watched(pair, all_ns), all_ns)
    pair.release()
    released_ns = time.time_ns()  # sim-ok: measures a real cluster
    wait_for(f"{ETH} again", lambda: orders(pair.requests(), released_ns, ETH) or None, 90)
    assert [] == orders(watched(pair, released_ns), released_ns, BTC)
    ringfence(pair, "release", part, "--reason", "good ticks again")
    wait_for(f"{BTC} again", lambda: orders(pair.requests(), released_ns, BTC) or None, 90)


def test_a_namespace_stops_as_one(systems: Systems) -> None:
    """One command, every gate of every system."""
    ringfence(systems.pair, "kill", "--namespace-wide", "--reason", "everything", "--timeout", "30")
    try:
        for system in (systems.pair, systems.shelter):
            closed_ns = nanoseconds(closed(system, 1, "every.system")["closedAt"])
            assert [] == orders(watched(system, closed_ns), closed_ns)
        print(systems.pair.kubectl("get", "killswitch"))
    finally:  # whatever comes after it in this namespace would never trade
        ringfence(systems.pair, "release", "every.system", "--reason", "that was it")
    for system in (systems.pair, systems.shelter):
        wait_active(system)


def test_gates_prove_it_themselves_with_the_operator_down(systems: Systems, cluster: Cluster) -> None:
    """Scaled to zero: no condition moves, and the line of each gate says all that is to be proven."""
    pair = systems.pair
    install.scale_operator(cluster, 0)
    conditions = pair.kill_switch()["status"]["conditions"]
    begun_ns = time.time_ns()  # sim-ok: measures a real cluster
    generation = patched(pair, ENGAGE, user="alice")
    proof = closed(pair, generation)
    pod = pair.get("pod", f"{pair.name}-{pair.venue}-execution-0")
    print(f"\nwithout an operator: {json.dumps(proof)}")
    assert conditions == pair.kill_switch()["status"]["conditions"]
    assert pod["metadata"]["uid"] == proof["podUID"]
    assert 0 == proof["workingOrders"]
    assert begun_ns < nanoseconds(proof["closedAt"]) < nanoseconds(proof["provenAt"])
    print(systems.pair.kubectl("get", "killswitch"))
    ringfence(pair, "release", pair.name, "--reason", "seen")
    install.scale_operator(cluster, 1)
    wait_active(pair)
