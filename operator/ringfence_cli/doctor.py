"""Why is this not trading? The likeliest cause first, each with what to do about it. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ringfence_cli import view


@dataclass(frozen=True)
class Finding:
    """One cause."""

    reason: str
    message: str
    remedy: str


def diagnose(seen: view.System) -> list[Finding]:
    """Everything that stands in the way, in order of likelihood; empty when nothing does."""
    if not seen.exists:
        return [_absent(seen), *_stopped(seen)]
    found: list[Finding] = []
    for check in _CHECKS:
        found += check(seen)
    return found


def _absent(seen: view.System) -> Finding:
    return Finding(
        "NoSuchSystem",
        f"there is no TradingSystem {seen.name} in namespace {seen.namespace}",
        "kubectl get tradingsystems --all-namespaces",
    )


def _stopped(seen: view.System) -> Iterator[Finding]:
    for switch in seen.stopped_by:
        why = f": {switch.reason}" if switch.reason else ""
        part = "" if switch.scope == "everything" else f" of {switch.scope}"
        yield Finding(
            "KillSwitch",
            f"kill switch {switch.name} asks for {switch.severity}{part}{why}",
            f"kubectl ringfence release {switch.name} -n {seen.namespace} --reason WHY",
        )


def _unseen(seen: view.System) -> Iterator[Finding]:
    if not seen.observed:
        yield Finding(
            "OperatorSilent",
            "the operator has not looked at the latest spec",
            "does it run, and watch this namespace? kubectl get deploy -A -l app.kubernetes.io/part-of=ringfence",
        )


def _conditions(seen: view.System) -> Iterator[Finding]:
    """What the operator says. Ready comes after the conditions that it sums up."""
    for kind, remedy in (
        ("Exposed", f"amounts: kubectl describe killswitch {seen.name} -n {seen.namespace}; then close or hedge it"),
        ("Stalled", f"kubectl describe tsys {seen.name}"),
        ("Degraded", f"kubectl describe tsys {seen.name}"),
    ):
        condition = seen.condition(kind)
        if condition is not None and condition.status == "True":
            yield Finding(condition.reason or kind, condition.message, remedy)
    ready = seen.condition("Ready")
    if ready is not None and ready.status != "True":
        yield Finding(ready.reason or "NotReady", ready.message, f"kubectl describe tsys {seen.name}")


def _services(seen: view.System) -> Iterator[Finding]:
    if seen.services is None:
        return
    if not seen.services and seen.observed:
        yield Finding("NoWorkloads", "it has no workloads", f"kubectl describe tsys {seen.name}")
    for service in seen.services:
        if service.ready < service.desired:
            which = f"ringfence.dev/system={seen.name}"
            which += f",ringfence.dev/service={service.service}" if service.service else ""
            yield Finding(
                "ServiceNotReady",
                f"{service.name} {service.ready}/{service.desired}: {service.waiting_for}",
                f"kubectl logs -n {seen.namespace} -l {which} --tail=20",
            )


def _gates(seen: view.System) -> Iterator[Finding]:
    if not seen.gates:
        yield Finding("NoGate", "no gate has written its line: nothing could send an order", "see the services above")
    for gate in seen.gates:
        if gate.state != "Active":
            why = gate.reason.removeprefix(f"{gate.state}: ")  # some reasons begin with the state
            said = f"gate {gate.pod} is {gate.state}: {why}" if why else f"gate {gate.pod} is {gate.state}"
            yield Finding("GateClosed", said, _gate_remedy(seen, gate))


def _gate_remedy(seen: view.System, gate: view.Gate) -> str:
    if gate.latches or "latched" in gate.reason:
        return f"kubectl ringfence release {seen.name} -n {seen.namespace} --latched --reason WHY"
    return f"kubectl logs -n {seen.namespace} {gate.pod} --tail=20"


_CHECKS: Final[tuple[Callable[[view.System], Iterator[Finding]], ...]] = (
    _stopped,
    _unseen,
    _conditions,
    _services,
    _gates,
)
"""In order of likelihood: a person stopped it, the operator is away, the spec is wrong, a pod is ill, a gate waits."""
