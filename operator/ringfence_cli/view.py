"""What the facts about a system mean, as values: for the tree that people see, and for -o json. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringfence.wire import kill
from ringfence_cli import facts

CLOSED: Final = frozenset({"Halted", "Cancel", "Canceled", "Flatten"})
"""States of a gate in which nothing that adds exposure leaves."""
WAITING_REASON_MAX: Final = 200


@dataclass(frozen=True)
class Gate:
    """One gate's own line in a kill switch's status."""

    pod: str
    state: str
    reason: str
    generation: int
    closed_at: str
    latency_ms: str
    working_orders: int | None
    """None = it did not say, which is not none."""


@dataclass(frozen=True)
class Switch:
    """A kill switch that covers the system."""

    name: str
    severity: str
    reason: str
    generation: int
    gates: tuple[Gate, ...]


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
        state=str(line.get("state") or "Unknown"),
        reason=str(line.get("reason") or line.get("message") or ""),
        generation=int(line.get("generation") or 0),
        closed_at=str(line.get("closedAt") or ""),
        latency_ms=str(line.get("latencyMs") or ""),
        working_orders=None if working is None else int(working),
    )


def switch(manifest: Mapping[str, Any]) -> Switch:
    severity, reason = kill.of_switch(manifest.get("spec", {}))
    lines = (manifest.get("status") or {}).get("gates") or ()
    return Switch(
        name=str(manifest["metadata"]["name"]),
        severity=severity.word,
        reason=reason,
        generation=int(manifest["metadata"].get("generation") or 0),
        gates=tuple(gate(line) for line in lines),
    )


def system(found: facts.Facts) -> System:
    """The view of one system."""
    spec, status = found.spec, found.status
    switches = tuple(switch(manifest) for manifest in found.switches)
    generation = ((found.system or {}).get("metadata") or {}).get("generation")
    conditions = tuple(
        Condition(entry["type"], entry["status"], entry.get("reason", ""), entry.get("message", ""))
        for entry in status.get("conditions") or ()
    )
    gates = merged_gates(status.get("gates") or (), found.name, switches)
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
        services=None if found.workloads is None else services(found.workloads, found.pods or ()),
        gates=gates,
        kill_switches=switches,
        conditions=conditions,
    )


def merged_gates(lines: Sequence[Mapping[str, Any]], name: str, switches: Sequence[Switch]) -> tuple[Gate, ...]:
    """Each gate once: its line in the system's status, else in its own switch's, as the gate wrote it itself."""
    own = next((entry.gates for entry in switches if entry.name == name), ())
    by_pod = {entry.pod: entry for entry in own} | {entry.pod: entry for entry in map(gate, lines)}
    return tuple(by_pod[pod] for pod in sorted(by_pod))


def trading(status: Mapping[str, Any], gates: Sequence[Gate]) -> str:
    """Whether it trades, in one word: the operator's, else that of the gates."""
    if status.get("trading"):
        return str(status["trading"])
    states = {entry.state for entry in gates}
    return states.pop() if len(states) == 1 else ("Unknown" if not states else "Mixed")


def tracks(status: Mapping[str, Any], strategy: Mapping[str, Any]) -> tuple[Track, ...]:
    listed = status.get("tracks")
    if not listed:
        listed = [{"name": name, **status[name]} for name in ("stable", "candidate") if status.get(name)]
    return tuple(
        Track(
            name=str(entry.get("name", "")),
            revision=str(entry.get("revision", "")),
            stage=str(entry.get("stage") or status.get("stage") or ""),
            weight=int(entry.get("weight") or 0),
            image=str(entry.get("image") or strategy.get("image") or ""),
        )
        for entry in listed
    )


def services(workloads: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]) -> tuple[Service, ...]:
    found = [_service(workload, pods) for workload in workloads]
    return tuple(sorted(found, key=lambda entry: entry.name))


def _service(workload: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Service:
    labels = workload["metadata"].get("labels") or {}
    selector = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    mine = [pod for pod in pods if selector and selector.items() <= (pod["metadata"].get("labels") or {}).items()]
    status = workload.get("status") or {}
    desired = int((workload.get("spec") or {}).get("replicas", 1))
    ready = int(status.get("readyReplicas") or 0)
    return Service(
        name=str(workload["metadata"]["name"]),
        service=str(labels.get(facts.SERVICE_LABEL, "")),
        track=str(labels.get(facts.TRACK_LABEL, "")),
        ready=ready,
        desired=desired,
        waiting_for="" if ready >= desired else _why_not_ready(workload, mine),
    )


def _why_not_ready(workload: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> str:
    """The nearest cause first: what a container said, what keeps it, what keeps its pod, what keeps the workload."""
    for pod in pods:
        reason = pod_trouble(pod)
        if reason:
            return reason[:WAITING_REASON_MAX]
    for condition in (workload.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message", ""))[:WAITING_REASON_MAX]
    return "no pod yet" if not pods else "running, not ready yet"


def pod_trouble(pod: Mapping[str, Any]) -> str:
    """Why this pod does not serve; empty where it does, or is merely starting."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        for state in ("state", "lastState"):
            ended = (container.get(state) or {}).get("terminated") or {}
            if ended.get("message") and not container.get("ready"):
                return f"{container['name']} stopped: {str(ended['message']).strip()}"
            if ended.get("reason") == "OOMKilled":
                return f"{container['name']} was killed: out of memory"
        if waiting.get("reason") and waiting["reason"] != "ContainerCreating":
            return f"{container['name']}: {waiting['reason']} {waiting.get('message', '')}".strip()
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes it: {condition.get('message', '')}"
    return ""
