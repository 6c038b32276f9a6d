"""The operator's part of a kill: push to every gate, then sum up what the gates say of themselves.

Runs in a queue of its own, so that it never waits behind a slow reconcile. It is neither the first way of a kill nor
the proof: gates watch the switches themselves and write their own lines. A pass may be cut off anywhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import aiohttp
import structlog
from pydantic import ValidationError

from ringfence.kube import resources
from ringfence.kube.client import Manifest
from ringfence.wire import kill, stops
from ringfence.wire.alerts import GateFacts, StopFacts, holding
from ringfence_operator import interpret
from ringfence_operator.api import Condition as ConditionModel
from ringfence_operator.api import KillSwitchStatus, sentence
from ringfence_operator.api.killswitch import LastStop
from ringfence_operator.cluster.gates import Push, Target, push_all
from ringfence_operator.cluster.observe import SwitchSeen, observe_switch, read_secret
from ringfence_operator.cluster.report import write_events, write_status
from ringfence_operator.desired import plan as names
from ringfence_operator.records import written
from ringfence_operator.rollout import stopped
from ringfence_operator.rollout.health import Pod, speaks_for
from ringfence_operator.rollout.state import Event
from ringfence_operator.rollout.switch import Asked, Line, Summary, acknowledged, line, summarize
from ringfence_operator.world import Key, World

log = structlog.get_logger()

AGAIN_S: Final = 1.0
"""Until every gate has closed: push and look again after this, whether or not an event came."""
LOOK_AGAIN_S: Final = 30.0
"""While it stops anything: gates come and go, and an event of theirs may be lost."""
GATES_OWN: Final = frozenset({"gates"})


async def kill_pass(
    world: World, session: aiohttp.ClientSession, key: Key, wake: Callable[[Key], None], arrived: float | None
) -> float | None:
    """Handle one kill switch. ``arrived``: loop time of the news that led to this, for the latency metric."""
    namespace, name = key
    seen = await observe_switch(world.client, namespace, name)
    if seen is None:  # deleted: the systems that it covered have to be looked at without it
        world.alerts.show(f"{namespace}/{name}", ())  # gates that it leaves latched tell that themselves
        for left in (await world.client.list(resources.TRADING_SYSTEM, namespace)).items:
            wake((namespace, str(left["metadata"]["name"])))
        return None
    asked, covered = asks(seen.switch), covered_systems(seen)
    gates = open_gates(seen, covered)
    lines = lines_of(seen.switch, gates)
    if asked.severity:
        late = [pod for pod in gates if not acknowledged(asked, lines.get(pod.name))]
        await _push(world, session, seen, asked, late, arrived)
    for system in sorted(covered):
        wake((namespace, system))
    now = int(world.now().timestamp() * 1e9)
    facts = stop_facts(seen, asked, covered, gates, lines, now)
    world.alerts.show(f"{namespace}/{name}", (alert for stop in facts for alert in holding(stop, now)))
    summary = await _report(world, seen, asked, frozenset(pod.name for pod in gates), lines)
    if not summary.complete:
        return AGAIN_S
    return LOOK_AGAIN_S if asked.severity else None


def asks(switch: Manifest) -> Asked:
    """What the switch asks for now, read by the same function as the gates read it."""
    spec = switch.get("spec")
    severity, _ = kill.of_switch(spec)
    engaged = isinstance(spec, Mapping) and spec.get("engaged", False) is not False
    generation = int(switch["metadata"].get("generation", 0))
    return Asked(generation=generation, severity=int(severity), word=severity.word, engaged=engaged)


def covered_systems(seen: SwitchSeen) -> frozenset[str]:
    """Names of all systems that it stops; its own name also where that system is deleted and only pods are left."""
    found = {
        system["metadata"]["name"]
        for system in seen.systems
        if kill.covers(seen.switch, system["metadata"]["name"], system["metadata"].get("labels") or {})
    }
    return frozenset(found | {seen.switch["metadata"]["name"]})


def open_gates(seen: SwitchSeen, covered: frozenset[str]) -> tuple[Pod, ...]:
    """Gates that could send an order now. One that never started cannot, and starts halted; one on a node that is
    lost may still run, so its last known state counts."""
    return tuple(
        pod
        for pod in seen.gates
        if seen.owners.get(pod.name) in covered
        and pod.container.running
        and pod.phase not in {"Succeeded", "Failed"}
        and reaches(seen, pod)
    )


def reaches(seen: SwitchSeen, pod: Pod) -> bool:
    """Whether the switch's scope covers anything at this gate, judged as the gate itself judges it."""
    owner = seen.owners[pod.name]
    scope = stops.switch_scope(seen.switch, owner)
    return stops.scope_at(scope, _place(seen, pod), named=stops.names(seen.switch, owner)) is not None


def _place(seen: SwitchSeen, pod: Pod) -> stops.Place:
    venue, owner = seen.venues.get(pod.name, ""), seen.owners[pod.name]
    system = next((found for found in seen.systems if found["metadata"]["name"] == owner), None)
    spec = (system or {}).get("spec") or {}
    traded = (spec.get("strategy") or {}).get("instruments") or ()
    return stops.Place(
        venue=venue,
        symbols=tuple(sorted(str(one.get("symbol")) for one in traded if one.get("venue") == venue)),
        venues=tuple(sorted(str(one.get("name")) for one in spec.get("venues") or ())),
        instruments=tuple(sorted({str(one.get("symbol")) for one in traded})),
    )


def lines_of(switch: Manifest, gates: Iterable[Pod]) -> dict[str, Line]:
    """Each gate's own line: of this very switch, and of the pod and the process that runs now."""
    running = {pod.name: pod for pod in gates}
    found = {}
    for raw in (switch.get("status") or {}).get("gates") or ():
        pod = running.get(str(raw.get("pod")))
        if pod is None or raw.get("uid") not in (None, "", switch["metadata"].get("uid")):
            continue
        if speaks_for(pod, str(raw.get("podUID") or ""), str(raw.get("observedAt") or "")):
            found[pod.name] = line(raw)
    return found


def stop_facts(
    seen: SwitchSeen,
    asked: Asked,
    covered: frozenset[str],
    gates: tuple[Pod, ...],
    lines: Mapping[str, Line],
    now: int,
) -> tuple[StopFacts, ...]:
    """Each system that the switch stops, for the alerts. It began when an earlier pass saw it engaged, or now."""
    _, reason = kill.of_switch(seen.switch.get("spec"))
    before = interpret.conditions_of(_models((seen.switch.get("status") or {}).get("conditions") or ()))
    began = (int(c.since.timestamp() * 1e9) for c in before if (c.type, c.status) == ("Engaged", "True"))
    since = min(now, next(began, now))
    found = []
    for system in sorted(covered):
        own = [pod for pod in gates if seen.owners[pod.name] == system]
        found.append(
            StopFacts(
                namespace=seen.switch["metadata"]["namespace"],
                system=system,
                severity=kill.Severity(asked.severity),
                reason=f"KillSwitch {seen.switch['metadata']['name']}" + (f": {reason}" if reason else ""),
                since=since,
                gates=tuple(
                    GateFacts(
                        pod=pod.name,
                        closed=acknowledged(asked, lines.get(pod.name)),
                        working=lines[pod.name].working_orders if pod.name in lines else None,
                        paper=pod.service == "paper",
                    )
                    for pod in own
                ),
            )
        )
    return tuple(found)


async def _push(
    world: World,
    session: aiohttp.ClientSession,
    seen: SwitchSeen,
    asked: Asked,
    late: Iterable[Pod],
    arrived: float | None,
) -> None:
    """Tell every gate that has not closed yet. Those of the switch's own system are stopped whole."""
    metadata = seen.switch["metadata"]
    _, reason = kill.of_switch(seen.switch.get("spec"))
    late = list(late)
    for scope in dict.fromkeys(stops.switch_scope(seen.switch, seen.owners[pod.name]) for pod in late):
        request = kill.KillRequest(
            severity=asked.word,
            reason=reason,
            by=f"KillSwitch {metadata['name']}",
            ts=int(world.now().timestamp() * 1e9),
            source="operator",
            uid=str(metadata.get("uid", "")),
            generation=asked.generation,
            scope=scope,
            protective="Keep" if stops.keeps_protective(seen.switch.get("spec")) else "Cancel",
        )
        theirs = [pod for pod in late if stops.switch_scope(seen.switch, seen.owners[pod.name]) == scope]
        targets = await _targets(world, seen, theirs)
        for push in await push_all(session, targets, request):
            _note(world, push, arrived, name=str(metadata["name"]))


async def _targets(world: World, seen: SwitchSeen, late: Iterable[Pod]) -> tuple[Target, ...]:
    """Addresses and tokens. A gate without an address or token cannot be pushed to; it has its own watch."""
    namespace = seen.switch["metadata"]["namespace"]
    tokens: dict[str, bytes] = {}
    found = []
    for pod in late:
        name = names.kill_token_secret(seen.owners[pod.name], seen.venues[pod.name])
        if name not in tokens:
            content = await read_secret(world.client, namespace, name)
            tokens[name] = content.get("token", "").strip().encode()
        if pod.ip and tokens[name]:
            found.append(Target(pod.name, pod.ip, tokens[name]))
    return tuple(found)


def _note(world: World, push: Push, arrived: float | None, *, name: str) -> None:
    if push.answer is None:
        world.metrics.kill_push_failures.inc()
        log.warning("gate not reached by push", switch=name, pod=push.pod, error=push.error)
        return
    if arrived is not None:
        world.metrics.kill_push_seconds.observe(push.at - arrived)
    log.info("gate answered push", switch=name, pod=push.pod, state=push.answer.state, gate_ms=push.answer.latency_ms)


async def _report(
    world: World, seen: SwitchSeen, asked: Asked, gates: frozenset[str], lines: Mapping[str, Line]
) -> Summary:
    """The operator's part of the status: conditions and sums. The lines are the gates' own and are never named."""
    now = world.now()
    status = seen.switch.get("status") or {}
    before = interpret.conditions_of(_models(status.get("conditions") or ()))
    summary = summarize(asked, gates, lines, before, now)
    said = spoken(seen.switch, asked, written(now))
    last = stopped.remembered(said, last_stop(status))
    wanted = KillSwitchStatus(
        observed_generation=asked.generation,
        conditions=interpret.condition_models(summary.conditions),
        gates_acknowledged=summary.gates_acknowledged or None,
        working_orders=summary.working_orders,
        state=stopped.state(said),
        reason=sentence(stopped.sentence(said, last)),
        last_stop=None if last is None else LastStop.model_validate(asdict(last)),
        engaged_by=said.by if asked.engaged else None,
    ).dump()
    wanted.pop("gates", None)
    if await write_status(world.client, seen.switch, wanted, others=GATES_OWN):
        await write_events(world.client, seen.switch, _events(before, summary, stopped.sentence(said, last)), now)
    return summary


def _events(before: Iterable[Any], summary: Summary, released: str) -> Iterable[Event]:
    """A line in kubectl describe for each thing that became true, and for the release."""
    known = {c.type: c.status for c in before}
    for condition in summary.conditions:
        if condition.status == "True" and known.get(condition.type) != "True":
            level = "Warning" if condition.type == "Engaged" else "Normal"
            yield Event(type=level, reason=condition.type, message=condition.message)  # type: ignore[arg-type]
        if condition.type == "Engaged" and condition.status == "False" and known.get("Engaged") == "True":
            yield Event(type="Normal", reason="Released", message=released)


def spoken(switch: Manifest, asked: Asked, now: str) -> stopped.Spoken:
    """The spec, with the program that wrote ``spec.engaged`` last, as managedFields tell, and when; who was behind
    that program is in the audit log, but for a release, which names a person."""
    spec = switch.get("spec")
    known: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
    field = "f:engaged" if asked.engaged or not asked.severity else "f:restrict"
    by, at = "", now
    for entry in switch["metadata"].get("managedFields") or ():
        wrote = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if field in wrote and entry.get("subresource", "") == "":
            by, at = str(entry.get("manager") or ""), str(entry.get("time") or now)
    person = str(known.get("releasedBy") or "") if not asked.severity else ""
    return stopped.Spoken(
        severity=asked.word,
        engaged=asked.engaged,
        reason=sentence(str(known.get("reason") or "")),
        by=person or by,
        at=at,
    )


def last_stop(status: Mapping[str, Any]) -> stopped.LastStop | None:
    """As it was written; None where that cannot be read."""
    try:
        found = LastStop.parse(status["lastStop"])
    except (KeyError, ValidationError):
        return None
    return stopped.LastStop(**found.model_dump())


def _models(found: Iterable[Mapping[str, Any]]) -> Iterable[ConditionModel]:
    for item in found:
        try:
            yield ConditionModel.parse(item)
        except ValidationError:
            continue
