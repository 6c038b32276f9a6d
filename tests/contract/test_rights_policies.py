"""Who may do what, tried on a real API server by impersonated people and by gates with tokens bound to their pods.

The table of attempts is in tools/rights. The server is these tests' own: the policies hold for a whole cluster, and
other tests write status as its administrator.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import localnode
from rights.actions import Attempt, merge, owned, switch, system
from rights.attempts import ATTEMPTS
from rights.people import GATE, OPERATOR, SPACE, Document, Server, gate_account, grants
from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence_operator import api, crdgen, policies

ROOT = Path(__file__).resolve().parents[2]
PATCHES = 150

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(await_established: Callable[[Callable[..., str], list[str]], None]) -> Iterator[Server]:
    """With our kinds, roles, people, one gate, and, once their cost was measured, the policies."""
    name = f"rights-{os.getpid()}"
    try:
        node = localnode.up(name, control_plane=True)
    except localnode.LocalNodeError as error:
        localnode.down(name, purge=True)
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(f"NO API SERVER, nothing was judged: {error}")
    made = Server(node)
    try:
        made.must("apply", "-f", str(ROOT / crdgen.CRDS))
        await_established(made.must, [f"crd/{kind.plural}.{api.GROUP}" for kind in api.KINDS])
        _prepare(made)
        made.before_ms = asyncio.run(_kill_patch_ms(node))
        for policy in policies.POLICIES:
            made.make(policies.manifest(policy, OPERATOR), policies.binding(policy))
        _in_force(made)
        yield made
    finally:
        localnode.down(name, purge=True)


def _prepare(server: Server) -> None:
    for namespace in (SPACE, OPERATOR.namespace):
        server.must("create", "namespace", namespace)
    server.make(*grants(), *gate_account(GATE), *gate_account("momentum-sim-paper"))
    for gate in (GATE, "momentum-sim-paper"):
        bound_to = ("--bound-object-kind", "Pod", "--bound-object-name", f"{gate}-0")
        server.tokens[gate] = server.must("create", "token", gate, *bound_to).strip()
    server.tokens["unbound"] = server.must("create", "token", GATE).strip()
    server.make(switch("measured"))


def _in_force(server: Server) -> None:
    """Policies are compiled and watched: it takes the server a moment."""
    deadline = time.monotonic() + 30  # sim-ok: waits for a real server
    while time.monotonic() < deadline:  # sim-ok: as above
        asked = [
            server.kubectl("ned", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(system("probe"))),
            server.kubectl("ned", "patch", "kill/measured", "--dry-run=server", *merge(spec={"action": "Flatten"})),
            server.kubectl("ned", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(owned("ConfigMap", "x"))),
            server.kubectl("ned", "delete", "crd", "killswitches.ringfence.dev", "--dry-run=server"),
            server.kubectl("ned", "patch", "kill/measured", "--dry-run=server", "--subresource=status",
                           *merge(status={"gatesAcknowledged": "1/1"})),
        ]  # fmt: skip
        if all("Ringfence" in done.stderr or "ringfence.dev" in done.stderr for done in asked):
            return
        time.sleep(0.2)
    raise AssertionError([done.stderr or done.stdout for done in asked])


async def _kill_patch_ms(node: localnode.NodeInfo) -> float:
    """Median of a patch that engages or asks again, from sent to answered."""
    path = resources.KILL_SWITCH.path(SPACE, "measured")
    took = []
    async with KubeClient.from_kubeconfig(node.kubeconfig, node.context) as client:
        for number in range(PATCHES):
            body = {"spec": {"engaged": True, "reason": f"bad ticks {number}"}}
            start = time.perf_counter()  # sim-ok: measures a real server
            await client.raw("PATCH", path, body=body, content_type="application/merge-patch+json")
            took.append((time.perf_counter() - start) * 1e3)  # sim-ok: as above
    return statistics.median(took)


@pytest.mark.parametrize(
    ("number", "attempt"),
    list(enumerate(ATTEMPTS)),
    ids=[f"{attempt.user.split(':')[-1]}: {attempt.what}" for attempt in ATTEMPTS],
)
def test_attempts_end_as_documented(server: Server, number: int, attempt: Attempt) -> None:
    """Refused with the words that say what to do, or allowed."""
    done = attempt.tried(server, f"o{number}", OPERATOR.username)
    assert attempt.ended_well(done), done.stderr or done.stdout


def test_there_are_enough_attempts() -> None:
    """Both ways: a policy that refuses everything would be no use, and one that is never asked is none."""
    refused = [attempt for attempt in ATTEMPTS if attempt.refusal]
    assert len(ATTEMPTS) >= 100
    assert min(len(refused), len(ATTEMPTS) - len(refused)) > 30
    assert len({attempt.what for attempt in ATTEMPTS}) == len(ATTEMPTS)


def line(pod: str = f"{GATE}-0", **rest: Any) -> Document:
    return {"pod": pod, "system": "momentum", "service": "sim-execution", "state": "Cancel", "workingOrders": 0} | rest


GATES = [
    ("its own line", GATE, {"gates": [line()]}, ""),
    ("its own line again", GATE, {"gates": [line(workingOrders=3)]}, ""),
    ("another gate's line", GATE, {"gates": [line("momentum-sim-paper-0", service="sim-paper")]}, "its own line"),
    ("its line for another system", GATE, {"gates": [line(system="other")]}, "its own line"),
    ("a condition", GATE, {"conditions": [{"type": "Flat", "status": "True"}]}, "its own line"),
    ("the summary", GATE, {"gates": [line()], "gatesAcknowledged": "9/9"}, "its own line"),
    ("its line with a token of no pod", "unbound", {"gates": [line()]}, "only the Ringfence operator"),
    ("paper's line", "momentum-sim-paper", {"gates": [line("momentum-sim-paper-0", service="sim-paper")]}, ""),
    ("a person's line", "ned", {"gates": [line("ned-0")]}, "only the Ringfence operator"),
]


@pytest.mark.parametrize(("what", "user", "status", "refusal"), GATES, ids=[entry[0] for entry in GATES])
def test_a_gate_writes_its_own_line(server: Server, what: str, user: str, status: Document, refusal: str) -> None:
    """By server-side apply, as gates do, with a token that is bound to its pod; other lines stay."""
    name = f"line-{abs(hash(what)) % 100_000}"
    server.make(switch(name, engaged=True))
    operators = switch(name) | {"status": {"gates": [line("other-0", system="other", service="x")]}}
    apply = ("apply", "--server-side", "--subresource=status", "-f", "-")
    server.must(*apply, "--field-manager=operator", stdin=json.dumps(operators), user=OPERATOR.username)
    document = switch(name) | {"status": status}
    del document["spec"]
    done = server.kubectl(user, *apply, "--field-manager=gate", "--force-conflicts", stdin=json.dumps(document))
    assert (done.returncode == 0) is not bool(refusal), done.stderr
    assert refusal in done.stderr
    pods = {entry["pod"] for entry in server.get(f"kill/{name}")["status"]["gates"]}
    assert pods == {"other-0"} | (set() if refusal else {entry["pod"] for entry in status["gates"]})


def test_a_gate_renews_its_own_lease_and_no_other(server: Server) -> None:
    """Whatever RBAC says: here its Role names no Lease, so it could write all."""
    for name in ("momentum-sim", "momentum-two"):
        server.make(owned("Lease", name, spec={}), user=OPERATOR.username)
    renew = merge(spec={"holderIdentity": f"{GATE}-0"})
    assert server.kubectl(GATE, "patch", "lease/momentum-sim", *renew).returncode == 0
    assert "owned by the Ringfence" in server.kubectl(GATE, "patch", "lease/momentum-two", *renew).stderr
    steal = merge(spec={"holderIdentity": "me"})
    assert "owned by the Ringfence" in server.kubectl("unbound", "patch", "lease/momentum-sim", *steal).stderr


def test_a_namespace_that_goes_takes_its_switches_along(server: Server) -> None:
    """Its pods and credentials go too; refusing would leave it Terminating for ever."""
    server.must("create", "namespace", "going")
    document = switch("last", engaged=True)
    document["metadata"]["namespace"] = "going"
    server.must("create", "-n", "going", "-f", "-", stdin=json.dumps(document))
    controller = "system:serviceaccount:kube-system:namespace-controller"
    delete = ("delete", "-n", "going", "kill", "last")
    assert "deleting kill switch" in server.kubectl(controller, *delete).stderr
    server.must("delete", "namespace", "going", "--wait=false")
    done = server.kubectl(controller, *delete)
    assert done.returncode == 0, done.stderr


def test_an_annotated_kind_may_go(server: Server) -> None:
    """Who has read the message may delete it. Tried without doing it."""
    crd = "tradingsystems.ringfence.dev"
    server.must("annotate", "crd", crd, "ringfence.dev/allow-deletion=yes")
    server.must("delete", "crd", crd, "--dry-run=server")
    server.must("annotate", "crd", crd, "ringfence.dev/allow-deletion-")


@contextmanager
def operating(server: Server, directory: Path, port: int) -> Iterator[Path]:
    """The operator as it ships, under the name that the policies know; yields its log."""
    token = server.must("-n", OPERATOR.namespace, "create", "token", OPERATOR.service_account).strip()
    document = yaml.safe_load(server.node.kubeconfig.read_text())
    document["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in document["users"]]
    config, log = directory / "kubeconfig", directory / "log"
    config.write_text(yaml.safe_dump(document))
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("KUBERNETES_", "RINGFENCE_"))}
    environ |= {"KUBECONFIG": str(config), "RINGFENCE_PLATFORM_IMAGE": "example.com/none:1"}
    environ |= {"RINGFENCE_HTTP_PORT": str(port), "RINGFENCE_OPERATOR_NAMESPACE": OPERATOR.namespace}
    with log.open("wb") as output:
        command = [sys.executable, "-m", "ringfence_operator", "run"]
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
        try:
            yield log
        finally:
            process.terminate()
            process.wait(10)


def readiness(port: int, wanted: int) -> str:
    """What /readyz says, once it says it with this status."""
    last = ""
    for _ in range(150):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                code, last = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            code, last = error.code, error.read().decode()
        except OSError as error:
            code, last = 0, str(error)
        if code == wanted and "not been looked for" not in last:
            return last
        time.sleep(0.1)
    raise AssertionError(last)


def switch_made(server: Server, name: str, within_s: float) -> bool:
    """The first thing that a pass makes of a system."""
    for _ in range(round(within_s / 0.2)):
        if server.kubectl("root", "get", "kill", name).returncode == 0:
            return True
        time.sleep(0.2)
    return False


def told(server: Server, system: str, condition: str, limit_s: float) -> bool:
    """Whether a system's condition became True; `kubectl wait` fails on an object that has no condition yet."""
    until = time.monotonic() + limit_s
    path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].status}}'
    while time.monotonic() < until:
        if server.must("get", f"tsys/{system}", "-o", path) == "True":
            return True
        time.sleep(0.1)
    return False


def test_the_operator_works_under_the_policies_and_not_without(
    server: Server, tmp_path: Path, unused_tcp_port: int
) -> None:
    """It is refused nothing; with a binding missing it reconciles nothing and says which; then it goes on by itself."""
    server.must("-n", OPERATOR.namespace, "create", "serviceaccount", OPERATOR.service_account)
    missing = policies.POLICIES[-2]
    with operating(server, tmp_path, unused_tcp_port) as log:
        readiness(unused_tcp_port, 200)
        server.make(system("held"))
        assert switch_made(server, "held", 30)
        assert told(server, "held", "Reconciling", 20)
        assert "denied request" not in log.read_text()
    server.must("delete", "validatingadmissionpolicybinding", missing.full_name)
    with operating(server, tmp_path, unused_tcp_port) as log:
        said = readiness(unused_tcp_port, 503)
        assert f"ValidatingAdmissionPolicyBinding {missing.full_name} is missing" in said
        server.make(system("waiting"))
        assert not switch_made(server, "waiting", 4)
        assert missing.full_name in log.read_text()
        server.make(policies.binding(missing))
        readiness(unused_tcp_port, 200)
        assert switch_made(server, "waiting", 10)


def test_what_the_policies_add_to_a_kill_patch(server: Server) -> None:
    """Printed, as all figures are; medians of one server, with and without them."""
    with_policies = asyncio.run(_kill_patch_ms(server.node))
    print(f"\nkill patch: {server.before_ms:.2f} ms without policies, {with_policies:.2f} ms with, median of {PATCHES}")
    assert with_policies > 0


def test_the_server_finds_no_type_errors(server: Server) -> None:
    """The API server checks expressions against the schemas of the kinds and warns in the policy's status."""
    for name in policies.NAMES:
        found = server.get(f"validatingadmissionpolicy/{name}")
        assert not (found.get("status") or {}).get("typeChecking", {}).get("expressionWarnings"), found["status"]
