"""An upgrade of the platform on a real node: one that works, and one whose execution does not come back.

The tests of this file build on one another, in order: they are one story, told on one cluster.
"""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import yaml

import images as builder
import localnode
from demo import install
from demo.cluster import ROOT, Cluster, ClusterError
from demo.install import Images
from demo.system import System, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.xdist_group("e2e")]
NAME = "upgraded"
PROOF_S = 10
GATE = """
from ringfence.execution.service import execution
from ringfence.runtime.config import GateConfig, load
from ringfence.runtime.service import run

EDITION = {edition!r}


def main() -> None:
    config = load(GateConfig)
    if {broken} and not config.paper:
        raise SystemExit("this build cannot trade")
    run(config, execution)


if __name__ == "__main__":
    main()
"""


def another(cluster: Cluster, edition: str, *, broken: bool) -> str:
    """A platform image with a gate of its own, on the node."""
    source = GATE.format(edition=edition, broken=broken)
    built = builder.variant(edition, {"ringfence/execution/__main__.py": source})
    localnode.load(cluster.name, [built.archive])
    return built.reference


@pytest.fixture(scope="module")
def system(cluster: Cluster, operator: Images) -> System:
    if cluster.sort != "local":
        pytest.skip("further images are brought onto our own node alone")
    install.install_chart(cluster, operator.platform, f"platformProofSeconds={PROOF_S}")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "upgrades"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    found = System(cluster, NAME, namespace="upgrades")
    document = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    document["metadata"]["name"] = NAME
    document["spec"]["strategy"]["image"] = operator.strategy
    found.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    wait_for("fills", lambda: found.ledger()["fills"] or None, 120)
    wait_for("Active", lambda: found.is_active() or None, 60)
    return found


def ask_for(cluster: Cluster, operator: Images, image: str) -> None:
    install.install_chart(cluster, operator.platform, f"platformProofSeconds={PROOF_S}", f"platformImage={image}")


def platform(system: System) -> dict[str, Any]:
    found: dict[str, Any] = (system.get("tsys", NAME).get("status") or {}).get("platform") or {}
    return found


def follow(system: System, what: str, there: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
    """Wait for a state of the upgrade, and print each phase on the way."""
    seen: list[str] = []

    def look() -> dict[str, Any] | None:
        now = platform(system)
        line = f"{now.get('phase')} image={now.get('image')} target={now.get('target', '')}: {now.get('message', '')}"
        if not seen or seen[-1] != line:
            seen.append(line)
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)  # sim-ok: the time of a line in the log
        return now if there(now) else None

    try:
        return wait_for(what, look, timeout_s)
    except ClusterError:
        print(json.dumps(system.get("tsys", NAME).get("status"), indent=1))
        raise


def pods(system: System) -> dict[str, tuple[str, str]]:
    """UID and image by service."""
    listed = json.loads(system.kubectl("get", "pods", "-l", f"ringfence.dev/system={NAME}", "-o", "json"))["items"]
    return {
        pod["metadata"]["name"].removeprefix(f"{NAME}-"): (
            pod["metadata"]["uid"],
            pod["spec"]["containers"][0]["image"],
        )
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def of(found: dict[str, tuple[str, str]], role: str) -> tuple[str, str]:
    return next(value for name, value in found.items() if name.startswith(role))


def ledgers_agree(system: System) -> None:
    """Our books are the venue's, to the last digit, once the gate is halted."""
    system.kubectl("patch", "killswitch", NAME, "--type=merge", "-p", '{"spec":{"restrict":"Halt"}}')

    def agreed() -> bool | None:
        report = system.fetch(f"{NAME}-sim-execution-0", "http://127.0.0.1:8080/tracks")
        ours = sum((Decimal(p["quantity"]) for t in report["tracks"] for p in t["positions"]), Decimal(0))
        venue = Decimal(system.ledger()["delta"].get("BTC", "0"))
        return True if ours == venue else None

    wait_for("books equal to the venue's", agreed, 30)
    system.release()
    wait_for("Active", lambda: system.is_active() or None, 90)


def reasons(system: System) -> list[str]:
    return [one["reason"] for one in json.loads(system.kubectl("get", "events", "-o", "json"))["items"]]


def test_a_new_operator_alone_restarts_nothing(system: System, cluster: Cluster, operator: Images) -> None:
    """The same platform image, whatever else of the operator changes."""
    before = pods(system)
    install.scale_operator(cluster, 0)
    install.scale_operator(cluster, 1)
    wait_for("its word", lambda: platform(system) or None, 60)
    time.sleep(5)  # sim-ok: of a real cluster
    assert pods(system) == before
    assert platform(system)["phase"] == "Settled"


def test_an_image_that_works_is_proven_on_paper_and_swapped_under_halt(
    system: System, cluster: Cluster, operator: Images
) -> None:
    """(j) Execution trades on while paper runs the image; strategy and venue are never restarted."""
    image = another(cluster, "edition-two", broken=False)
    before = pods(system)
    ask_for(cluster, operator, image)
    follow(system, "paper runs it", lambda now: now.get("phase") == "Proving" and now.get("provenSeconds", 0) > 0, 120)
    during = pods(system)
    assert of(during, "sim-paper")[1] == image
    assert of(during, "sim-execution") == of(before, "sim-execution"), "execution was not touched yet"
    assert system.is_active()
    follow(system, "execution runs it", lambda now: now.get("phase") == "Settled" and now.get("image") == image, 240)
    wait_for("Active", lambda: system.is_active() or None, 60)
    after = pods(system)
    assert {of(after, role)[1] for role in ("sim-execution", "sim-paper", "sim-marketdata", "portfolio")} == {image}
    for role in ("strategy", "sim-simulator"):
        assert of(after, role) == of(before, role)
    fills = len(system.orders())
    wait_for("it trades again", lambda: len(system.orders()) > fills or None, 120)
    assert {"PlatformProving", "PlatformHalting", "PlatformSwapping", "PlatformSettled"} <= set(reasons(system))
    ledgers_agree(system)


def test_an_image_whose_execution_does_not_come_back_is_put_back(
    system: System, cluster: Cluster, operator: Images
) -> None:
    """(j) It works on paper and crashes in execution: halted, put back, trading again, and not tried again."""
    good = platform(system)["image"]
    image = another(cluster, "edition-three", broken=True)
    ask_for(cluster, operator, image)
    follow(system, "it failed", lambda now: now.get("phase") == "Failed", 420)
    wait_for("Active", lambda: system.is_active() or None, 90)
    now, after = platform(system), pods(system)
    assert (now["image"], now["target"]) == (good, image)
    assert "cannot trade" in now["message"], now
    assert of(after, "sim-execution")[1] == of(after, "sim-paper")[1] == good
    assert system.condition("tsys", NAME, "Degraded")["reason"] == "PlatformUpgradeFailed"
    fills = len(system.orders())
    wait_for("it trades again", lambda: len(system.orders()) > fills or None, 120)
    assert platform(system)["phase"] == "Failed", "not tried again"
    assert pods(system) == after
    ledgers_agree(system)
