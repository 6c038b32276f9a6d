"""What an upgrade of the platform is told, which images programs run, and what people are told of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from operatorbench.reports import report
from ringfence.runtime import config
from ringfence_operator import interpret, upgrading
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.apply import Ref, ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired.objects import desired_objects
from ringfence_operator.rollout import platform
from ringfence_operator.rollout.health import Container, Pod
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.platform import Phase, PlatformDecision, PlatformState
from ringfence_operator.rollout.state import State, Stop
from ringfence_operator.settings import Settings

NO_STOP = Stop()
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD, NEW = "ringfence:1", "ringfence:2"
SPEC = Path(__file__).parents[2] / "golden" / "inputs" / "simulated-live.yaml"
ROLES = ("sim-simulator", "sim-marketdata", "sim-execution", "sim-watchdog", "sim-paper", "portfolio")


def system(state: PlatformState | None = None) -> TradingSystem:
    raw = next(iter(yaml.safe_load_all(SPEC.read_text())))
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    if state is not None:
        raw["status"] = {"platform": upgrading.status(state).dump()}
    return TradingSystem.parse(raw)


def pod(role: str, image: str, **container: Any) -> Pod:
    name = f"momentum-{role}"
    found = Container(**({"ready": True, "running": True} | container))
    service = role.rpartition("-")[2]
    return Pod(
        name=f"{name}-0", workload=name, service=service, image=image, ip="1", ready=found.ready, container=found
    )


def template(role: str, image: str) -> dict[str, Any]:
    kind = "StatefulSet" if role in {"sim-execution", "sim-paper"} else "Deployment"
    spec = {"template": {"spec": {"containers": [{"image": image}]}}}
    return {"kind": kind, "metadata": {"name": f"momentum-{role}"}, "spec": spec}


def seen(paper: str = OLD, execution: str = OLD, **changes: Any) -> Seen:
    """All of it well: paper and portfolio on one image, the rest on another."""
    images = {role: paper if role in {"sim-paper", "portfolio"} else execution for role in ROLES}
    names = interpret.own_secrets(system()).items()
    found = Seen(
        system={"metadata": {"name": "momentum"}},
        live={ref(one): one for one in (template(role, image) for role, image in images.items())},
        pods=tuple(pod(role, image) for role, image in images.items()),
        switches=(),
        secrets={name: {key: f"<{name} {key}>" for key in interpret.SECRET_KEYS[kind]} for name, kind in names},
        pod_monitors=False,
        reports=(report("sim-execution", execution), report("sim-paper", paper)),
    )
    return replace(found, **changes)


def in_phase(phase: Phase) -> TradingSystem:
    return system(PlatformState(image=OLD, phase=phase, target=NEW, since=NOW, clock=NOW, message="why"))


def told(found: TradingSystem, what: Seen, severity: str = "None") -> platform.PlatformSeen:
    return upgrading.seen_of(found, what, NEW, severity)


def swapped(what: Seen, role: str, new: Pod) -> Seen:
    return replace(what, pods=tuple(new if one.workload == f"momentum-{role}" else one for one in what.pods))


def reported(what: Seen, role: str, **changes: Any) -> Seen:
    return replace(
        what,
        reports=tuple(msgspec.structs.replace(one, **changes) if one.gate == role else one for one in what.reports),
    )


@pytest.mark.parametrize("phase", Phase)
def test_status_keeps_what_the_next_pass_needs(phase: Phase) -> None:
    state = PlatformState(
        image=OLD, phase=phase, target=NEW, since=NOW, proven_s=7, clock=NOW + timedelta(seconds=1), message="why"
    )
    assert upgrading.state_of(system(state)) == state
    assert upgrading.state_of(system(replace(state, clock=None))) == replace(state, clock=None)


def test_a_system_whose_status_was_lost_goes_on_with_the_image_that_runs() -> None:
    """A new operator that asks for another image upgrades it, and never swaps it at once."""
    found = platform.decide(upgrading.state_of(system()), told(system(), seen()), NOW)
    assert (found.state.phase, found.execution_image, found.paper_image) == (Phase.PROVING, OLD, NEW)


def test_a_new_system_runs_what_is_asked_for() -> None:
    nothing = seen(live={}, pods=(), reports=())
    found = platform.decide(upgrading.state_of(system()), told(system(), nothing), NOW)
    assert (found.state.phase, found.execution_image) == (Phase.SETTLED, NEW)


def test_paper_works_when_all_that_runs_the_image_first_is_ready_active_and_reconciled() -> None:
    found, what = in_phase(Phase.PROVING), seen(paper=NEW)
    assert told(found, what).paper_works
    assert not told(found, seen(paper=OLD)).paper_works, "another image"
    assert not told(found, swapped(what, "portfolio", pod("portfolio", NEW, ready=False))).paper_works
    assert not told(found, reported(what, "sim-paper", state="Halted")).paper_works
    assert not told(found, reported(what, "sim-paper", reconciled=False)).paper_works
    assert not told(found, reported(what, "sim-paper", build=OLD)).paper_works, "its own word counts"
    assert not told(found, replace(what, reports=what.reports[:1])).paper_works, "a gate that says nothing"
    assert not told(found, replace(what, pods=(*what.pods, pod("sim-paper", OLD)))).paper_works, "two of them"


def test_a_crash_loop_on_the_new_image_is_quoted() -> None:
    crash = {"ready": False, "running": False, "waiting_reason": "CrashLoopBackOff", "exit_code": 1}
    broken = swapped(seen(paper=NEW), "sim-paper", pod("sim-paper", NEW, exit_message="no", **crash))
    assert "momentum-sim-paper stops after start" in told(in_phase(Phase.PROVING), broken).paper_broken
    back = swapped(seen(NEW, NEW), "sim-execution", pod("sim-execution", NEW, exit_message="no", **crash))
    assert "momentum-sim-execution stops after start" in told(in_phase(Phase.SWAPPING), back).back_broken
    old = swapped(seen(NEW, OLD), "sim-execution", pod("sim-execution", OLD, exit_message="no", **crash))
    assert told(in_phase(Phase.SWAPPING), old).back_broken == "", "of the image before it says nothing of the new one"


def test_execution_is_at_rest_when_it_says_that_it_is_held_with_nothing_in_flight() -> None:
    found, what = in_phase(Phase.HALTING), seen(paper=NEW)
    assert not told(found, what).halted, "not held yet"
    held = reported(what, "sim-execution", state="Halted", held="an upgrade")
    assert told(found, held).halted
    assert not told(found, reported(held, "sim-execution", in_flight=1)).halted
    assert not told(found, reported(held, "sim-execution", in_flight=None)).halted, "an older gate does not say"
    assert not told(found, reported(held, "sim-execution", held="", state="Cancel")).halted, "by somebody else's stop"
    silent = replace(what, reports=what.reports[1:])
    assert not told(found, silent).halted, "it runs, and says nothing"
    assert told(found, swapped(silent, "sim-execution", pod("sim-execution", OLD, ready=False, running=False))).halted


def test_execution_is_back_when_it_runs_the_image_of_its_template_reconciled() -> None:
    found, what = in_phase(Phase.SWAPPING), seen(NEW, NEW)
    assert told(found, what).back == NEW
    assert told(found, reported(what, "sim-execution", reconciled=False)).back == ""
    assert told(found, reported(what, "sim-execution", build=OLD)).back == ""
    assert told(found, replace(what, reports=what.reports[1:])).back == ""
    live = dict(what.live) | {Ref("StatefulSet", "momentum-sim-execution"): template("sim-execution", NEW)}
    late = replace(swapped(what, "sim-execution", pod("sim-execution", OLD)), live=live)
    assert told(found, late).back == "", "the pod of before is still there"


@pytest.mark.parametrize(("severity", "stopped"), [("None", False), ("ReduceOnly", False), ("Halt", True)])
def test_under_a_stop_nothing_is_proven_and_no_deadline_runs(severity: str, stopped: bool) -> None:
    found = told(in_phase(Phase.PROVING), seen(paper=NEW), severity)
    assert found.stopped is stopped
    later = NOW + platform.PROOF_DEADLINE * 2
    after = platform.decide(upgrading.state_of(in_phase(Phase.PROVING)), found, later).state
    assert after.phase is (Phase.PROVING if stopped else Phase.FAILED)


def built(upgrade: PlatformDecision, what: Seen) -> dict[str, Any]:
    """Image by program, and the allocation."""
    spec = system()
    state = decide(interpret.rollout_spec(spec), State(), interpret.observation(spec, what, upgrade=upgrade), NOW).state
    settings = Settings(platform_image=NEW)
    found = desired_objects(interpret.plan(spec, what, state, Stop(), settings, NOW, upgrade))
    manifests = [manifest for stage in found.stages for manifest in stage]
    images = {
        one["metadata"]["name"].removeprefix("momentum-"): one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in manifests
        if one["kind"] in {"Deployment", "StatefulSet"}
    }
    text = next(one for one in manifests if one["metadata"]["name"] == "momentum-allocation")["data"]
    return images | {"allocation": msgspec.json.decode(text[config.ALLOCATION_KEY], type=config.Allocation)}


def decided(phase: Phase) -> PlatformDecision:
    state = upgrading.state_of(in_phase(phase))
    return platform.decide(state, platform.PlatformSeen(wanted=NEW), NOW)


@pytest.mark.parametrize(
    ("phase", "first", "rest", "held"),
    [
        (Phase.PROVING, NEW, OLD, False),
        (Phase.HALTING, NEW, OLD, True),
        (Phase.SWAPPING, NEW, NEW, True),
        (Phase.PUTTING_BACK, OLD, OLD, True),
        (Phase.FAILED, OLD, OLD, False),
    ],
)
def test_programs_run_the_image_of_their_phase(phase: Phase, first: str, rest: str, held: bool) -> None:
    """Paper and portfolio first, all else with execution, the author's image and the venue never."""
    found = built(decided(phase), seen())
    assert (found["sim-paper"], found["portfolio"]) == (first, first)
    assert {found[role] for role in ("sim-marketdata", "sim-execution", "sim-watchdog")} == {rest}
    assert found["sim-simulator"] == OLD, "a venue that forgot the account would be a break"
    assert found["strategy-a"] not in {OLD, NEW}
    assert bool(found["allocation"].hold) is held


def test_people_see_why_trading_is_halted_and_why_an_upgrade_failed() -> None:
    spec = system()

    def conditions(phase: Phase, stop: Stop = NO_STOP) -> dict[str, tuple[str, str]]:
        observation = interpret.observation(spec, seen(), upgrade=decided(phase))
        found = decide(interpret.rollout_spec(spec), State(), replace(observation, stop=stop), NOW).conditions
        return {one.type: (one.status, one.reason) for one in found}

    assert conditions(Phase.SWAPPING)["TradingHalted"] == ("True", "PlatformUpgrade")
    assert conditions(Phase.SWAPPING, Stop(severity="ReduceOnly"))["TradingHalted"] == ("True", "PlatformUpgrade")
    assert conditions(Phase.SWAPPING, Stop(severity="Cancel"))["TradingHalted"] == ("True", "KillSwitch")
    assert conditions(Phase.PROVING)["TradingHalted"] == ("False", "NoSwitchEngaged")
    assert conditions(Phase.FAILED)["Degraded"] == ("True", "PlatformUpgradeFailed")
    assert conditions(Phase.SETTLED)["Degraded"] == ("False", "NoProblem")


def test_an_upgrade_that_failed_is_told_to_alertmanager_until_another_image_is_asked_for() -> None:
    """It wakes nobody, as the image before trades on."""
    failed = PlatformState(image=OLD, phase=Phase.FAILED, target=NEW, since=NOW, message="put back: it crashed")
    (found,) = upgrading.alerts(system(failed), failed, NOW)
    assert (found.name, found.level, found.namespace, found.system) == (
        *("PlatformUpgradeFailed", "warning"),
        *("trading", "momentum"),
    )
    assert (found.summary, found.reason) == (
        "the upgrade to ringfence:2 has failed; ringfence:1 runs on",
        "put back: it crashed",
    )
    for phase in (Phase.SETTLED, Phase.PROVING, Phase.HALTING, Phase.SWAPPING, Phase.PUTTING_BACK):
        assert upgrading.alerts(system(), replace(failed, phase=phase), NOW) == ()


def test_somebody_is_woken_where_trading_stays_halted_because_the_image_before_does_not_come_back() -> None:
    back = PlatformState(image=OLD, phase=Phase.PUTTING_BACK, target=NEW, since=NOW, message="it crashed")
    assert upgrading.alerts(system(), back, NOW + platform.BACK_DEADLINE) == ()
    (found,) = upgrading.alerts(system(), back, NOW + platform.BACK_DEADLINE + timedelta(seconds=5))
    assert (found.name, found.level, found.since) == ("PlatformNotBack", "critical", int(NOW.timestamp() * 1e9))
