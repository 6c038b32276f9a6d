"""The API server judges the CRDs: it takes them, fills in what the models fill in, and refuses what it should.

Messages are compared because people act on them; every rule of the models has a bad example under manifests/samples.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from localnode import NodeInfo
from ringfence_operator import api, crdgen

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"
GOOD = sorted([*SAMPLES.glob("*.yaml"), *SAMPLES.glob("cannot-run/*.yaml")])
BAD = sorted(SAMPLES.glob("invalid/*.yaml"))
NAMESPACE = "crds"
SYSTEM_COLUMNS = [
    "NAME",
    "STAGE",
    "WEIGHT",
    "GOAL",
    "TRADING",
    "READY",
    "REASON",
    "REVISION",
    "AGE",
    "VERDICT",
    "NEXT",
    "WAITS",
    "MESSAGE",
]
SWITCH_COLUMNS = ["NAME", "ENGAGED", "ACTION", "GATES", "ORDERS", "STATE", "REASON", "BY", "AGE"]

pytestmark = [pytest.mark.apiserver]


@dataclass(frozen=True)
class Server:
    """kubectl, as the server's administrator."""

    node: NodeInfo

    def attempt(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Whatever comes of it."""
        command = [str(self.node.kubectl), "--kubeconfig", str(self.node.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """It must succeed; returns what it printed."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def server(api_server: NodeInfo, await_established: Callable[[Callable[..., str], list[str]], None]) -> Server:
    """With our CRDs and a namespace."""
    made = Server(api_server)
    made.kubectl("apply", "-f", str(ROOT / crdgen.CRDS))
    names = [f"crd/{kind.plural}.{api.GROUP}" for kind in api.KINDS]
    await_established(made.kubectl, names)
    made.kubectl("create", "namespace", NAMESPACE)
    return made


def create(server: Server, document: dict[str, Any], *flags: str) -> dict[str, Any]:
    """The object as the server stored it."""
    text = server.kubectl(
        *("create", "-n", NAMESPACE, "--validate=strict", "-o", "json", "-f", "-", *flags), stdin=json.dumps(document)
    )
    stored: dict[str, Any] = json.loads(text)
    return stored


def patch(server: Server, target: str, change: dict[str, Any], *flags: str) -> str:
    """Empty, or how the server refused a merge patch."""
    done = server.attempt("patch", "-n", NAMESPACE, target, "--type=merge", "-p", json.dumps(change), *flags)
    return "" if done.returncode == 0 else done.stderr


def read(server: Server, target: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.kubectl("get", "-n", NAMESPACE, target, "-o", "json"))
    return found


def momentum(name: str) -> dict[str, Any]:
    """The sample under another name."""
    document: dict[str, Any] = yaml.safe_load((SAMPLES / "momentum.yaml").read_text())
    return document | {"metadata": {"name": name}}


def kill_switch(name: str, **spec: object) -> dict[str, Any]:
    bare = {"apiVersion": api.API_VERSION, "kind": "KillSwitch", "metadata": {"name": name}}
    return bare | ({"spec": spec} if spec else {})


@pytest.mark.parametrize("kind", api.KINDS, ids=lambda kind: kind.kind)
def test_the_schema_is_structural_and_served(server: Server, kind: api.Kind) -> None:
    """Nothing that the API server only tolerates."""
    found = json.loads(server.kubectl("get", "crd", f"{kind.plural}.{api.GROUP}", "-o", "json"))
    conditions = {entry["type"]: entry["status"] for entry in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("file", GOOD, ids=lambda file: str(file.relative_to(SAMPLES)))
def test_samples_are_taken_and_filled_in_as_the_models_do(server: Server, file: Path) -> None:
    """What the server stores is what the model says, default by default."""
    text = file.read_text()
    server.kubectl("apply", "-n", NAMESPACE, "--validate=strict", "--dry-run=server", "-f", "-", stdin=text)
    document = yaml.safe_load(text)
    document["metadata"]["name"] = f"sample-{file.stem}"[:30].rstrip("-")
    stored = create(server, document)
    assert api.TradingSystem.parse(stored).spec == api.TradingSystem.parse(document).spec
    assert stored["spec"] == api.TradingSystem.parse(document).spec.dump()


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_bad_examples_are_refused_with_their_message(server: Server, file: Path) -> None:
    """Each for its own reason, in words that say what to change."""
    first = file.read_text().splitlines()[0]
    assert first.startswith("# refused: ")
    done = server.attempt("apply", "-n", NAMESPACE, "--validate=strict", "--dry-run=server", "-f", str(file))
    assert done.returncode != 0
    assert first.removeprefix("# refused: ") in done.stderr


def test_every_message_has_a_bad_example(server: Server) -> None:
    """A rule that nobody ever broke may as well not be there. Rules about changes have tests of their own below."""
    said = "\n".join(
        server.attempt("apply", "-n", NAMESPACE, "--dry-run=server", "-f", str(file)).stderr for file in BAD
    )
    for kind in api.KINDS:
        for rule in rules_of(crdgen.crd(kind)):
            if "oldSelf" in rule["rule"] or rule["message"].startswith("names of labels"):
                continue
            end = rule["message"].split(" must ")[-1]  # the numbers stand before it
            assert end in said, rule


def rules_of(node: object) -> list[dict[str, str]]:
    """All CEL rules of a CRD."""
    found: list[dict[str, str]] = []
    if isinstance(node, dict):
        found += node.get("x-kubernetes-validations", [])
        for value in node.values():
            found += rules_of(value)
    elif isinstance(node, list):
        for value in node:
            found += rules_of(value)
    return found


class TestChanges:
    """Rules that compare the new object with the old one."""

    def test_what_an_account_is_never_changes(self, server: Server) -> None:
        """Its journal and its losses would become another account's."""
        create(server, momentum("changes"))
        assert "currency never changes" in patch(server, "tsys/changes", {"spec": {"currency": "SDT"}})
        real = {"name": "sim", "type": "Binance", "binance": {"credentialsSecret": "keys"}}
        assert "a venue's type never changes" in patch(server, "tsys/changes", {"spec": {"venues": [real]}})
        moved = {"name": "sim", "type": "Simulator", "timeZone": "America/New_York"}
        assert "a venue's time zone never changes" in patch(server, "tsys/changes", {"spec": {"venues": [moved]}})
        assert patch(server, "tsys/changes", {"spec": {"goal": "Paper"}}) == ""

    def test_testnet_never_becomes_live(self, server: Server) -> None:
        """Under the same name; credentials may change."""
        document = momentum("testnet")
        document["spec"]["venues"] = [{"name": "sim", "type": "Binance", "binance": {"credentialsSecret": "keys"}}]
        create(server, document)
        live = {"name": "sim", "type": "Binance", "binance": {"credentialsSecret": "keys", "environment": "Live"}}
        assert "environment never changes" in patch(server, "tsys/testnet", {"spec": {"venues": [live]}})
        other = {"name": "sim", "type": "Binance", "binance": {"credentialsSecret": "newer"}}
        assert patch(server, "tsys/testnet", {"spec": {"venues": [other]}}) == ""

    def test_fields_may_be_null_where_they_may_be_absent(self, server: Server) -> None:
        """Helm writes such; null counts as absent for rules too."""
        document = momentum("nulls")
        document["spec"]["venues"][0]["binance"] = None
        document["spec"]["limits"]["order"]["quantityMax"] = None
        assert api.TradingSystem.parse(create(server, document)).spec.limits.order.quantity_max is None
        document["metadata"]["name"] = "no-account"
        document["spec"]["venues"] = [{"name": "sim", "type": "Binance", "binance": None}]
        done = server.attempt("create", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(document))
        assert "binance is needed where type is Binance" in done.stderr


class TestKillSwitch:
    """Engaging is one patch that is never refused; the proof is each gate's own."""

    def test_one_patch_engages(self, server: Server) -> None:
        """The patch of the README, on a bare switch."""
        assert create(server, kill_switch("bare"))["spec"]["engaged"] is False
        assert patch(server, "killswitch/bare", {"spec": {"engaged": True}}) == ""
        stored = read(server, "kill/bare")
        assert api.severity(stored["spec"]) is api.Severity.CANCEL
        assert api.KillSwitch.parse(stored).spec.reason == ""

    @pytest.mark.parametrize("left_out", ["reason", "action", "restrict", "selector", "twoPerson", "releasedBy"])
    def test_nothing_else_is_needed(self, server: Server, left_out: str) -> None:
        """Not even where somebody nulls it."""
        name = f"without-{left_out.lower()}"
        create(server, kill_switch(name, engaged=False, reason="a test", action="Flatten", restrict="Halt"))
        assert patch(server, f"kill/{name}", {"spec": {"engaged": True, left_out: None}}) == ""
        assert api.severity(read(server, f"kill/{name}")["spec"]) >= api.Severity.CANCEL

    def test_each_gate_writes_its_own_line(self, server: Server) -> None:
        """By server-side apply: one gate's line leaves the other's and the operator's conditions alone."""
        create(server, kill_switch("gates", engaged=True))
        apply_status(server, "operator", {"conditions": [{"type": "Engaged", "status": "True"}]})
        for pod, orders in (("a-0", 3), ("b-0", 0), ("a-0", 0)):
            line = {"pod": pod, "state": "Cancel", "generation": 1, "workingOrders": orders, "closedAt": ""}
            apply_status(server, pod, {"gates": [line]})
        status = api.KillSwitch.parse(read(server, "kill/gates")).status
        assert [(gate.pod, gate.working_orders) for gate in status.gates] == [("a-0", 0), ("b-0", 0)]
        assert [condition.type for condition in status.conditions] == ["Engaged"]

    def test_status_is_not_written_with_the_spec(self, server: Server) -> None:
        """Who may engage may not forge the proof."""
        create(server, kill_switch("forged"))
        assert patch(server, "kill/forged", {"status": {"gatesAcknowledged": "9/9"}}) == ""
        assert "status" not in read(server, "kill/forged")


def apply_status(server: Server, manager: str, status: dict[str, Any]) -> None:
    document = kill_switch("gates") | {"status": status}
    server.kubectl(
        *("apply", "-n", NAMESPACE, "--server-side", "--subresource=status", "--field-manager", manager, "-f", "-"),
        stdin=json.dumps(document),
    )


class TestWhatPeopleSee:
    """kubectl without our plugin."""

    def test_columns_of_a_system(self, server: Server) -> None:
        """Its state in one line; status takes what the status model writes."""
        create(server, momentum("shown"))
        status = api.TradingSystemStatus(
            observed_generation=1,
            conditions=(api.Condition(type="Ready", status="False", reason="StrategyCrashes", message="It stops."),),
            stage="Canary",
            weight=25,
            trading="Active",
            revision="7f3a9c12",
            limits_revision="0123456789",
            stable=api.Track(
                revision="c04411aa", stage="Live", weight=75, since="2026-01-02T03:04:05Z", limits_revision="0123456789"
            ),
            services=(api.Service(name="sim-execution", ready=True, image="a:1", image_id="a@sha256:0"),),
        )
        assert patch(server, "tsys/shown", {"status": status.dump()}, "--subresource=status") == ""
        lines = server.kubectl("get", "tsys", "shown", "-n", NAMESPACE, "-o", "wide").splitlines()
        assert lines[0].split() == SYSTEM_COLUMNS
        assert lines[1].split()[:7] == ["shown", "Canary", "25", "Live", "Active", "False", "StrategyCrashes"]
        assert lines[1].endswith("It stops.")
        assert api.TradingSystem.parse(read(server, "tsys/shown")).status == status

    def test_columns_of_a_switch(self, server: Server) -> None:
        """Whether it stops, who has acknowledged, what still works."""
        create(server, kill_switch("seen", engaged=True, reason="bad ticks"))
        status = api.KillSwitchStatus(
            gates_acknowledged="1/1", working_orders=0, state="Engaged", reason="bad ticks", engaged_by="kubectl-patch"
        )
        assert patch(server, "kill/seen", {"status": status.dump()}, "--subresource=status") == ""
        head, line = server.kubectl("get", "kill", "seen", "-n", NAMESPACE).splitlines()
        assert head.split() == SWITCH_COLUMNS
        assert line.split()[:-1] == ["seen", "true", "Cancel", "1/1", "0", "Engaged", "bad", "ticks", "kubectl-patch"]

    def test_one_word_lists_every_kind(self, server: Server) -> None:
        """`kubectl get trading`."""
        listed = server.kubectl("get", "trading", "-n", NAMESPACE, "-o", "name")
        assert {line.split(".")[0] for line in listed.splitlines()} <= {kind.kind.lower() for kind in api.KINDS}

    def test_waiting_works(self, server: Server) -> None:
        """CI waits by condition, and does not take an old generation's for the new one's."""
        create(server, kill_switch("waited", engaged=True))
        held = {"type": "Acknowledged", "status": "True", "observedGeneration": 1}
        assert patch(server, "kill/waited", {"status": {"conditions": [held]}}, "--subresource=status") == ""
        wait = ("wait", "-n", NAMESPACE, "--for=condition=Acknowledged", "kill/waited")
        server.kubectl(*wait, "--timeout=5s")
        assert patch(server, "kill/waited", {"spec": {"restrict": "Halt"}}) == ""
        assert server.attempt(*wait, "--timeout=1s").returncode != 0

    def test_explain_answers(self, server: Server) -> None:
        """With units and bounds."""
        assert "milliseconds" in server.kubectl("explain", "tsys.spec.limits.order.approvedLifetimeMs")
