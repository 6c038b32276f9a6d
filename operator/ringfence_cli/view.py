"""What the facts about a system mean, as values: for the tree that people see, and for -o json. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ringfence.kube.client import Manifest
from ringfence.wire import kill
from ringfence_cli import facts
from ringfence_operator import pods
from ringfence_operator.desired import labels
from ringfence_operator.rollout import health

CLOSED: Final = frozenset({"Halted", "Cancel", "Canceled", "Flatten"})
"""States of a gate in which nothing that adds exposure leaves."""


@dataclass(frozen=True)
class Gate:
    """One gate's own line in a kill switch's status."""

    pod: str
    system: str
    state: str
    reason: str
    generation: int
    closed_at: str
    latency_ms: str
    working_orders: int | None
    """None = it did not say, which is not none."""
    pod_uid: str = ""
    proven_at: str = ""
    """When two looks at the venue had proven that nothing works; empty where nothing has."""
    positions: tuple[str, ...] = ()
    """What it holds, as people write it."""
    naked: int = 0
    """Positions that no protective order covers entirely."""
    unhedged: tuple[str, ...] = ()
    """Hedges whose legs do not offset each other."""
    flattening: str = ""
    """What Flatten waits for."""
    flat_at: str = ""
    latch: str = ""
    latches: tuple[str, ...] = ()
    """Why each of its latched stops is there."""
    observed_at: str = ""
    """When it wrote this, RFC 3339; empty where it does not say."""

    @property
    def canceled(self) -> bool:
        """Whether it has proven that no order works."""
        return self.working_orders == 0 and bool(self.proven_at)


@dataclass(frozen=True)
class Switch:
    """A kill switch that covers the system."""

    name: str
    severity: str
    reason: str
    generation: int
    gates: tuple[Gate, ...]
    scope: str = "everything"
    """Which part of the systems it stops."""


@dataclass(frozen=True)
class Service:
    """One workload of the system."""

    name: str
    service: str
    track: str
    ready: int
    desired: int
    waiting_for: str
    """Why it is not ready, in the words of Kubernetes or of the service's own last sentence."""


@dataclass(frozen=True)
class Track:
    name: str
    revision: str
    stage: str
    weight: int
    image: str
    since: str
    """When it entered its stage, RFC 3339; empty where it does not say."""


@dataclass(frozen=True)
class Metric:
    """Where one metric of the analysis stands."""

    name: str
    verdict: str
    value: str
    reason: str


@dataclass(frozen=True)
class Rollout:
    """How far the revision on its way is."""

    revision: str
    """Empty where none is on its way."""
    next: str
    waits_for: str
    verdict: str
    session_s: int
    baking: bool
    failure: str
    """Why it does not go on, in one sentence; empty where it does."""
    evaluation: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Condition:
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class System:
    """All that `status` shows."""

    name: str
    namespace: str
    exists: bool
    goal: str
    capital: str
    currency: str
    venues: tuple[str, ...]
    instruments: tuple[str, ...]
    trading: str
    observed: bool
    """The operator has seen the latest spec."""
    tracks: tuple[Track, ...]
    rollout: Rollout | None
    """None where nothing is staged."""
    services: tuple[Service, ...] | None
    gates: tuple[Gate, ...]
    kill_switches: tuple[Switch, ...]
    conditions: tuple[Condition, ...]

    @property
    def stopped_by(self) -> tuple[Switch, ...]:
        return tuple(switch for switch in self.kill_switches if switch.severity != kill.Severity.NONE.word)

    def condition(self, kind: str) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)


def gate(line: Mapping[str, Any]) -> Gate:
    working = line.get("workingOrders")
    return Gate(
        pod=str(line.get("pod", "")),
        system=str(line.get("system", "")),
        state=str(line.get("state") or "Unknown"),
        reason=str(line.get("reason") or ""),
        generation=int(line.get("generation") or 0),
        closed_at=str(line.get("closedAt") or ""),
        latency_ms=str(line.get("latencyMs") or ""),
        working_orders=None if working is None else int(working),
        pod_uid=str(line.get("podUID") or ""),
        proven_at=str(line.get("provenAt") or ""),
        positions=tuple(
            f"{held.get('quantity')} {held.get('symbol')} of {held.get('track')}"
            for held in line.get("positions") or ()
        ),
        naked=int(line.get("nakedPositions") or 0),
        unhedged=tuple(str(told) for told in line.get("unhedged") or ()),
        flattening=str(line.get("flattening") or ""),
        flat_at=str(line.get("flatAt") or ""),
        latch=str(line.get("latch") or ""),
        latches=tuple(str(why) for why in line.get("latches") or ()),
        observed_at=str(line.get("observedAt") or ""),
    )


def switch(manifest: Mapping[str, Any], system_name: str = "") -> Switch:
    """``system_name``: whose view it is; the switch of that name covers all of it, whatever its scope says."""
    severity, reason = kill.of_switch(manifest.get("spec", {}))
    lines = (manifest.get("status") or {}).get("gates") or ()
    return Switch(
        name=str(manifest["metadata"]["name"]),
        severity=severity.word,
        reason=reason,
        generation=int(manifest["metadata"].get("generation") or 0),
        gates=tuple(gate(line) for line in lines),
        scope=str(kill.switch_scope(manifest, system_name)),
    )


def system(found: facts.Facts) -> System:
    """The view of one system."""
    spec, status = found.spec, found.status
    switches = tuple(switch(manifest, found.name) for manifest in found.switches)
    generation = ((found.system or {}).get("metadata") or {}).get("generation")
    conditions = tuple(
        Condition(entry["type"], entry["status"], entry.get("reason", ""), entry.get("message", ""))
        for entry in status.get("conditions") or ()
    )
    gates = own_gates(found.name, switches, found.pods)
    strategy = spec.get("strategy") or {}
    return System(
        name=found.name,
        namespace=found.namespace,
        exists=found.system is not None,
        goal=str(spec.get("goal", "")),
        capital=str(spec.get("capital", "")),
        currency=str(spec.get("currency", "")),
        venues=tuple(str(venue.get("name", "")) for venue in spec.get("venues") or ()),
        instruments=tuple(str(entry.get("symbol", "")) for entry in strategy.get("instruments") or ()),
        trading=trading(status, gates),
        observed=generation is not None and status.get("observedGeneration") == generation,
        tracks=tracks(status, strategy),
        rollout=rollout(status),
        services=_told(status) if found.workloads is None else services(found.workloads, found.pods or ()),
        gates=gates,
        kill_switches=switches,
        conditions=conditions,
    )


def own_gates(name: str, switches: Sequence[Switch], found: Sequence[Manifest] | None) -> tuple[Gate, ...]:
    """The lines that the system's gates wrote into the status of its own switch. ``found``: its pods; a line whose
    process does not run any more is told as that. None: nobody may look, so every line counts."""
    own = next((entry.gates for entry in switches if entry.name == name), ())
    lines = sorted((line for line in own if line.system in {"", name}), key=lambda line: line.pod)
    if found is None:
        return tuple(lines)
    running = {pod.name: pod for pod in map(pods.pod, found)}
    return tuple(_now(line, running[line.pod]) for line in lines if line.pod in running)


def _now(line: Gate, pod: health.Pod) -> Gate:
    """The line, as far as it is of the process that runs now."""
    if health.speaks_for(pod, line.pod_uid, line.observed_at):
        return line
    state = "Unknown" if pod.container.running else health.NOT_RUNNING
    return replace(line, state=state, reason=f"an earlier process of it last said {line.state}", working_orders=None)


def trading(status: Mapping[str, Any], gates: Sequence[Gate]) -> str:
    """What the gates let through, in one word: their own, else what the operator saw last."""
    states = {entry.state for entry in gates}
    if not states:
        return str(status.get("trading") or "Unknown")
    return states.pop() if len(states) == 1 else "Mixed"


def tracks(status: Mapping[str, Any], strategy: Mapping[str, Any]) -> tuple[Track, ...]:
    wanted = status.get("revision")
    return tuple(
        Track(
            name=name,
            revision=str(status[name].get("revision", "")),
            stage=str(status[name].get("stage", "")),
            weight=int(status[name].get("weight") or 0),
            # only of the revision that the spec asks for is the image known
            image=str(strategy.get("image", "")) if status[name].get("revision") == wanted else "",
            since=str(status[name].get("since") or ""),
        )
        for name in ("stable", "candidate", "shadow")
        if status.get(name)
    )


def rollout(status: Mapping[str, Any]) -> Rollout | None:
    found = status.get("rollout")
    if not found:
        return None
    failure = found.get("failure") or {}
    return Rollout(
        revision=str(found.get("revision") or ""),
        next=str(found.get("next") or ""),
        waits_for=str(found.get("waitsFor") or ""),
        verdict=str(found.get("verdict") or ""),
        session_s=int(found.get("sessionMilliseconds") or 0) // 1000,
        baking=bool(found.get("baking")),
        failure=f"{failure.get('reason', '')}: {failure.get('message', '')}" if failure else "",
        evaluation=str(found.get("evaluation") or ""),
        metrics=tuple(
            Metric(
                str(metric.get("name", "")),
                str(metric.get("verdict") or "NoData"),
                str(metric.get("value") or ""),
                str(metric.get("reason") or ""),
            )
            for metric in found.get("metrics") or ()
        ),
    )


def _told(status: Mapping[str, Any]) -> tuple[Service, ...] | None:
    """Services as the operator reports them, for people who may not read workloads."""
    if status.get("services") is None:
        return None
    return tuple(
        Service(str(entry["name"]), "", "", int(bool(entry.get("ready"))), 1, str(entry.get("message", "")))
        for entry in status["services"]
    )


def services(workloads: Sequence[Manifest], pods: Sequence[Manifest]) -> tuple[Service, ...]:
    found = [_service(workload, pods) for workload in workloads]
    return tuple(sorted(found, key=lambda entry: entry.name))


def _service(workload: Manifest, pods: Sequence[Manifest]) -> Service:
    worn = facts.labels_of(workload)
    selector = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    mine = [pod for pod in pods if selector and selector.items() <= facts.labels_of(pod).items()]
    status = workload.get("status") or {}
    desired = int((workload.get("spec") or {}).get("replicas", 1))
    ready = int(status.get("readyReplicas") or 0)
    return Service(
        name=str(workload["metadata"]["name"]),
        service=worn.get(labels.SERVICE, ""),
        track=worn.get(labels.TRACK, ""),
        ready=ready,
        desired=desired,
        waiting_for="" if ready >= desired else _why_not_ready(workload, mine),
    )


def _why_not_ready(workload: Mapping[str, Any], mine: Sequence[Mapping[str, Any]]) -> str:
    """As the operator judges it: what is wrong with a pod, or what refuses one."""
    found = pods.standing(pods.pod(one) for one in mine)
    wrong = next((one for pod in found if (one := health.problem(pod)) is not None), None) or pods.refusal(workload)
    if wrong is not None:
        return wrong.message
    name = workload["metadata"]["name"]
    return "running, not ready yet" if found else f"no pod yet; kubectl describe deploy,sts {name} says what refuses it"
