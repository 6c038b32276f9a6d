"""Between raw objects and values: what a TradingSystem and its surroundings mean, and what its status shall say.

Pure. Everything that knows both the wire form of our kinds and the values of `rollout` and `desired` is here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from ringfence.runtime import config
from ringfence.wire import kill
from ringfence_operator import progress, records, upgrading
from ringfence_operator.api import (
    Strategy,
    TradingSystem,
    TradingSystemStatus,
    Venue,
    revision_hash,
    revision_json,
    sentence,
)
from ringfence_operator.api import tradingsystem as kinds
from ringfence_operator.api.meta import Condition as ConditionModel
from ringfence_operator.cluster.apply import Ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired import config as documents
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import REVISION
from ringfence_operator.desired.plan import Observed, Plan, SimulatorPlan, VenuePlan
from ringfence_operator.limits import gate_limits, looser, scaled
from ringfence_operator.pods import claim, refusal
from ringfence_operator.progress import NOTHING_KNOWN, Traded
from ringfence_operator.records import instant, state_of, written
from ringfence_operator.rollout import staging
from ringfence_operator.rollout.evidence import MetricState
from ringfence_operator.rollout.health import NOT_RUNNING, Pod, Problem, problem, speaks_for
from ringfence_operator.rollout.platform import PlatformDecision
from ringfence_operator.rollout.state import (
    Condition,
    Decision,
    GateSeen,
    Observation,
    RolloutSpec,
    State,
    Stop,
    WorkloadSeen,
)
from ringfence_operator.rollout.waiting import amount
from ringfence_operator.settings import Settings

BINANCE_FEE_BPS: Final = "10"
"""Standard spot fee, for fills that paper simulates; real fees come with real fills."""
BINANCE_LATENCY_MS: Final = 20
_BINANCE: Final = {
    "Testnet": (
        "https://testnet.binance.vision",
        "wss://stream.testnet.binance.vision:9443",
        "wss://ws-api.testnet.binance.vision/ws-api/v3",
    ),
    "Live": (
        "https://api.binance.com",
        "wss://stream.binance.com:9443",
        "wss://ws-api.binance.com:443/ws-api/v3",
    ),
}


def venues_of(system: TradingSystem) -> tuple[tuple[str, bool], ...]:
    """Name, and whether it is simulated, of each venue."""
    return tuple((venue.name, venue.type == "Simulator") for venue in system.spec.venues)


def own_secrets(system: TradingSystem) -> dict[str, str]:
    """Secrets that we make, by name: ``curve``, ``kill-token`` or ``credentials``."""
    name, venues = system.metadata.name, venues_of(system)
    found = {names.curve_secret(name, role): "curve" for role in names.bus_roles(venues)}
    for venue, simulated in venues:
        found[names.kill_token_secret(name, venue)] = "kill-token"
        if simulated:
            found[names.credentials_secret(name, venue)] = "credentials"
    return found


def given_secrets(system: TradingSystem) -> tuple[str, ...]:
    """Secrets that people have to make: keys of real accounts."""
    accounts = [venue.binance for venue in system.spec.venues if venue.binance is not None]
    second = [one.watchdog_credentials_secret for one in accounts]
    return (*(one.credentials_secret for one in accounts), *(name for name in second if name))


def recordings(system: TradingSystem) -> tuple[str, ...]:
    """Volume claims with recorded markets, which people have to make."""
    simulators = (venue.simulator for venue in system.spec.venues if venue.simulator is not None)
    return tuple(simulator.recording_claim for simulator in simulators if simulator.recording_claim)


_GATES: Final = frozenset({"execution", "paper"})
"""Services with a gate."""
SECRET_KEYS: Final = {
    "curve": ("public", "secret"),
    "kill-token": ("token",),
    "credentials": ("api-key", "api-secret"),
}


# --- what decides


def rollout_spec(system: TradingSystem) -> RolloutSpec:
    """What people want of a rollout, with all defaults filled in."""
    state = state_of(system)
    compared = state.candidate is not None and state.stable is not None and state.stable.weight > 0
    return staging.rollout_spec(system.spec, compared=compared)


def observation(
    system: TradingSystem, seen: Seen, done: Traded = NOTHING_KNOWN, upgrade: PlatformDecision | None = None
) -> Observation:
    """Everything that decides anything."""
    name, state = system.metadata.name, state_of(system)
    own = next((s for s in seen.switches if s["metadata"]["name"] == name), {})
    return Observation(
        generation=system.metadata.generation,
        revision=revision_hash(system.spec.strategy),
        grant=documents.grant(gate_limits(system.spec.limits, system.spec.capital)),
        workloads=workloads_seen(system, seen),
        missing=missing(system, seen),
        gates=tuple(gates(own, seen.pods)),
        stop=strongest((mirrored_stop(system, seen), _document_stop(system, seen))),
        conditions=conditions_of(system.status.conditions),
        fresh=progress.fresh(state, seen),
        orders=done.orders,
        episodes=done.episodes,
        evaluation=progress.evaluation(system, state, seen),
        promotions=records.promotions_seen(seen.promotions),
        adopts=progress.adopts(state, seen),
        handovers=progress.handovers_seen(state, seen),
        starved=progress.starved(state, seen),
        looser=_looser(system, seen, state),
        min_notional=progress.min_notional(system, seen),
        hold=upgrade.hold if upgrade is not None else "",
        upgrade_failed=upgrade.failure if upgrade is not None else "",
    )


def _looser(system: TradingSystem, seen: Seen, state: State) -> tuple[str, ...]:
    """Limits of the spec that stable was not granted. A grant that cannot be read granted nothing."""
    stable, now = state.stable, gate_limits(system.spec.limits, system.spec.capital)
    if stable is None or stable.grant == documents.grant(now):
        return ()
    text = seen.data(names.limits_name(system.metadata.name, stable.grant), config.LIMITS_KEY)
    granted = documents.granted(text, stable.grant)
    return ("limits",) if granted is None else looser(granted, now)


def observed_after(system: TradingSystem, seen: Seen, before: Observation, decided: Decision) -> Observation:
    """The same, with the Evaluation of the step that was decided on."""
    return replace(before, evaluation=progress.evaluation(system, decided.state, seen))


def workloads_seen(system: TradingSystem, seen: Seen) -> tuple[WorkloadSeen, ...]:
    """All programs that there should be."""
    found = []
    claims = {name: claim(live) for (kind, name), live in seen.live.items() if kind == "PersistentVolumeClaim"}
    for role, service in names.programs(venues_of(system), slots_expected(system, seen)):
        name = names.workload_name(system.metadata.name, role)
        live = seen.live.get(Ref("Deployment", name)) or seen.live.get(Ref("StatefulSet", name))
        pods = [pod for pod in seen.pods if pod.workload == name]
        wrong = next((p for pod in pods if (p := problem(pod, claims)) is not None), None) or refusal(live)
        ready = live is not None and rolled_out(live) and wrong is None
        found.append(WorkloadSeen(name=name, service=service, ready=ready, problem=wrong))
    return tuple(found)


def slots_expected(system: TradingSystem, seen: Seen) -> tuple[str, ...]:
    """In which slots a strategy runs, as far as it was decided."""
    state = state_of(system)
    revisions = {track.revision for track in (state.stable, state.candidate, state.shadow) if track is not None}
    found = {slot for slot, revision in slots(system, seen).items() if revision in revisions}
    return tuple(slot for slot in names.SLOTS if slot in found) or names.SLOTS[:1]


def slots(system: TradingSystem, seen: Seen) -> dict[str, str]:
    """Revision by slot, of the strategies that are deployed."""
    found = {}
    for slot in names.SLOTS:
        live = seen.live.get(Ref("Deployment", names.workload_name(system.metadata.name, names.strategy_role(slot))))
        annotations = _under(live, "spec", "template", "metadata", "annotations")
        if REVISION in annotations:
            found[slot] = str(annotations[REVISION])
    return found


def strategies(system: TradingSystem, seen: Seen, state: State) -> dict[str, names.StrategyPlan]:
    """By revision: that of the spec, and those that run, from their records. A record that is not what its name
    says was tampered with, and is as good as none."""
    found = {}
    for track in (state.stable, state.candidate, state.shadow):
        if track is None or track.revision in found:
            continue
        spec = system.spec.strategy
        if track.revision != revision_hash(spec):
            record = seen.data(names.revision_name(system.metadata.name, track.revision), documents.REVISION_KEY)
            recorded = _recorded(record, track.revision)
            if recorded is None:
                continue
            spec = recorded
        found[track.revision] = names.StrategyPlan(
            revision=track.revision,
            image=spec.image,
            strategy_class=spec.strategy_class,
            parameters=dict(spec.parameters),
            symbols=tuple(sorted({instrument.symbol for instrument in spec.instruments})),
            record=revision_json(spec),
        )
    return found


def _recorded(record: str | None, revision: str) -> Strategy | None:
    try:
        spec = Strategy.parse(json.loads(record or ""))
    except ValueError:
        return None
    return spec if revision_hash(spec) == revision else None


def _under(found: Mapping[str, Any] | None, *path: str) -> Mapping[str, Any]:
    for key in path:
        found = (found or {}).get(key)
    return found or {}


def rolled_out(live: Mapping[str, Any]) -> bool:
    """Is the current template what runs, and is its pod ready?"""
    status = live.get("status") or {}
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return False
    if live["kind"] == "StatefulSet" and status.get("currentRevision") != status.get("updateRevision"):
        return False
    counts = (status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("readyReplicas", 0))
    return counts == (1, 1, 1)


def missing(system: TradingSystem, seen: Seen) -> tuple[Problem, ...]:
    """What people have to provide or to change before this can run. First things first."""
    found = []
    for name in given_secrets(system):
        absent = [key for key in SECRET_KEYS["credentials"] if not seen.secrets.get(name, {}).get(key)]
        if absent:
            told = (
                f"Secret {name} with the keys api-key and api-secret is needed (absent: {', '.join(absent)}): "
                f"kubectl create secret generic {name} --from-file=api-key --from-file=api-secret"
            )
            found.append(Problem("CredentialsMissing", told, needs_somebody=True))
    for name in recordings(system):
        if Ref("PersistentVolumeClaim", name) not in seen.live:
            told = f"PersistentVolumeClaim {name}, which holds the recorded market, does not exist"
            found.append(Problem("RecordingMissing", told, needs_somebody=True))
    for name, kind in own_secrets(system).items():
        if name in seen.secrets and not all(seen.secrets[name].get(key) for key in SECRET_KEYS[kind]):
            told = f"Secret {name} lacks {' or '.join(SECRET_KEYS[kind])}: delete it, and a new one is made"
            found.append(Problem("SecretBroken", told, needs_somebody=True))
    if len(system.spec.venues) > 1:
        first = system.spec.venues[0].name
        told = f"this version sends a strategy's orders to one venue ({first}): make one system for each venue"
        found.append(Problem("SeveralVenues", told, needs_somebody=True))
    state = state_of(system)
    first_of_all = state.progress is not None and state.candidate is None and state.shadow is None
    compared = staging.uncomparable(system.spec) if first_of_all else None
    return (*found, compared) if compared is not None else tuple(found)


def gates(switch: Mapping[str, Any], pods: Iterable[Pod]) -> Iterable[GateSeen]:
    """What each gate that is there says of itself. One whose process does not run says nothing, whatever it said last;
    one that runs and has not said anything yet is in no state that we know."""
    lines = {str(line.get("pod")): line for line in (switch.get("status") or {}).get("gates") or ()}
    for pod in pods:
        if pod.service not in _GATES:
            continue
        line = lines.get(pod.name, {})
        said = speaks_for(pod, str(line.get("podUID") or ""), str(line.get("observedAt") or ""))
        state = str(line.get("state", "")) if said else "" if pod.container.running else NOT_RUNNING
        told = line.get("exposed") if said else None
        exposed = tuple(str(one) for one in told) if isinstance(told, list) else None
        yield GateSeen(pod=pod.name, paper=pod.service == "paper", state=state, exposed=exposed)


def mirrored_stop(system: TradingSystem, seen: Seen) -> Stop:
    """The most severe of the KillSwitch objects that cover all of the system."""
    whole = [stop for stop in switch_stops(system, seen) if stop.scope == kill.EVERYTHING]
    protective = "Cancel" if any(stop.protective == "Cancel" for stop in whole) else "Keep"
    found = strongest(Stop(severity=stop.severity, reason=stop.reason) for stop in whole)
    return replace(found, protective=protective)


def scoped_stops(system: TradingSystem, seen: Seen) -> tuple[kill.MirroredStop, ...]:
    """What the KillSwitch objects ask of a part of the system."""
    return tuple(stop for stop in switch_stops(system, seen) if stop.scope != kill.EVERYTHING)


def switch_stops(system: TradingSystem, seen: Seen) -> Iterator[kill.MirroredStop]:
    """What each KillSwitch object that covers the system asks, read by the same functions as the gates read it."""
    for switch in sorted(seen.switches, key=lambda found: str(found["metadata"]["name"])):
        if kill.covers(switch, system.metadata.name, system.metadata.labels):
            severity, reason = kill.of_switch(switch.get("spec"))
            told = f"KillSwitch {switch['metadata']['name']}" + (f": {reason}" if reason else "")
            if severity is kill.Severity.NONE:
                continue
            yield kill.MirroredStop(
                severity=severity.word,
                scope=kill.switch_scope(switch, system.metadata.name),
                reason=told,
                protective="Keep" if kill.keeps_protective(switch.get("spec")) else "Cancel",
            )


def strongest(stops: Iterable[Stop]) -> Stop:
    """The most severe, with the reasons of all that are as severe."""
    found = list(stops)
    severest = max((_severity(stop) for stop in found), default=kill.Severity.NONE)
    if severest is kill.Severity.NONE:
        return Stop()
    reasons = [stop.reason for stop in found if _severity(stop) is severest]
    return Stop(severity=severest.word, reason=sentence("; ".join(reasons)))


def _severity(stop: Stop) -> kill.Severity:
    return kill.Severity.parse(stop.severity, kill.Severity.CANCEL)


def _document_stop(system: TradingSystem, seen: Seen) -> Stop:
    """What people asked for through the ConfigMap."""
    engage = (seen.data(names.kill_switch_name(system.metadata.name), kill.ENGAGE_KEY) or "").strip()
    if not engage:
        return Stop()
    severity = max(kill.Severity.parse(engage, kill.Severity.CANCEL), kill.Severity.CANCEL)
    return Stop(severity=severity.word, reason=f"ConfigMap {names.kill_switch_name(system.metadata.name)}: {engage}")


# --- what is built


def plan(
    system: TradingSystem,
    seen: Seen,
    state: State,
    stop: Stop,
    settings: Settings,
    now: datetime,
    upgrade: PlatformDecision | None = None,
) -> Plan:
    """Everything that builders build from. Raises KeyError where a key pair is not there. ``upgrade``: None is a new
    system, which runs what the installation asks for."""
    found = strategies(system, seen, state)
    spec, name = system.spec, system.metadata.name
    roles = names.bus_roles(venues_of(system))
    return Plan(
        system=name,
        namespace=system.metadata.namespace,
        uid=system.metadata.uid,
        labels=dict(system.metadata.labels),
        strategies=found,
        capital=scaled(spec.capital),
        currency=spec.currency,
        venues=tuple(_venue(system, venue, traded(system, seen, state, venue.name)) for venue in spec.venues),
        limits=gate_limits(spec.limits, spec.capital),
        state=state,
        stop=stop,
        mirror=mirrored_stop(system, seen),
        scoped=scoped_stops(system, seen),
        silent_s=spec.watchdog.silent_seconds,
        acknowledge_s=spec.watchdog.acknowledge_seconds,
        on_shutdown=spec.on_shutdown,
        journal_class=spec.journal.storage_class_name or settings.journal_storage_class,
        journal_size=spec.journal.size or settings.journal_size,
        settings=settings,
        platform=names.Platform(paper=settings.platform_image, execution=settings.platform_image)
        if upgrade is None
        else names.Platform(paper=upgrade.paper_image, execution=upgrade.execution_image, hold=upgrade.hold),
        keys={role: seen.secrets[names.curve_secret(name, role)]["public"] for role in roles},
        observed=Observed(
            allocation=seen.data(names.allocation_name(name), config.ALLOCATION_KEY),
            mirrored=seen.data(names.kill_switch_name(name), kill.STATE_KEY),
            pod_monitors=seen.pod_monitors,
            slots=slots(system, seen),
            strategies={slot: text for slot in names.SLOTS if (text := _strategy_file(system, seen, slot)) is not None},
            simulators={
                venue: image
                for venue, simulated in venues_of(system)
                if simulated and (image := upgrading.deployed(system, seen, f"{venue}-simulator"))
            },
        ),
        epoch_floor=int(now.timestamp()),
    )


def traded(system: TradingSystem, seen: Seen, state: State, venue: str) -> tuple[str, ...]:
    """Instruments at a venue, of the spec and of all revisions that still run: stable's market stays while a
    candidate trades others."""
    found = set(system.spec.symbols(venue))
    for track in (state.stable, state.candidate, state.shadow):
        if track is not None:
            record = seen.data(names.revision_name(system.metadata.name, track.revision), documents.REVISION_KEY)
            spec = _recorded(record, track.revision)
            found |= {one.symbol for one in spec.instruments if one.venue == venue} if spec is not None else set()
    return tuple(sorted(found))


def _strategy_file(system: TradingSystem, seen: Seen, slot: str) -> str | None:
    name = names.workload_name(system.metadata.name, names.strategy_role(slot))
    return seen.data(f"{name}-config", documents.CONFIG_KEY)


def _hedges(system: TradingSystem, venue: Venue) -> tuple[config.Hedge, ...]:
    return tuple(
        config.Hedge(
            name=one.name,
            leg=one.leg,
            against=one.against,
            ratio=scaled(one.ratio),
            tolerance=scaled(one.tolerance_percent),
        )
        for one in sorted(system.spec.hedges, key=lambda one: one.name)
        if one.venue == venue.name
    )


def _venue(system: TradingSystem, venue: Venue, symbols: tuple[str, ...]) -> VenuePlan:
    spec, name = system.spec, system.metadata.name
    if venue.binance is not None:
        rest, stream, ws_api = _BINANCE[venue.binance.environment]
        return VenuePlan(
            name=venue.name,
            symbols=symbols,
            endpoints=config.Venue(name=venue.name, rest_url=rest, stream_url=stream, ws_api_url=ws_api),
            credentials=venue.binance.credentials_secret,
            watchdog_credentials=venue.binance.watchdog_credentials_secret or venue.binance.credentials_secret,
            maker_fee_bps=scaled(BINANCE_FEE_BPS),
            taker_fee_bps=scaled(BINANCE_FEE_BPS),
            latency_ms=BINANCE_LATENCY_MS,
            paper_balances={spec.currency: scaled(spec.capital)},
            time_zone=venue.time_zone,
            hedges=_hedges(system, venue),
        )
    simulator = venue.simulated
    address = f"{names.workload_name(name, f'{venue.name}-simulator')}:{config.SIMULATOR_PORT}"
    balances = {asset: scaled(amount) for asset, amount in spec.starting_balances(venue).items()}
    market = config.RecordedMarket() if simulator.market == "Recorded" else config.GeneratedMarket(seed=simulator.seed)
    return VenuePlan(
        name=venue.name,
        symbols=symbols,
        endpoints=config.Venue(
            name=venue.name,
            rest_url=f"http://{address}",
            stream_url=f"ws://{address}",
            ws_api_url=f"ws://{address}/ws-api/v3",
        ),
        credentials=names.credentials_secret(name, venue.name),
        watchdog_credentials=names.credentials_secret(name, venue.name),
        maker_fee_bps=scaled(simulator.maker_fee_bps),
        taker_fee_bps=scaled(simulator.taker_fee_bps),
        latency_ms=simulator.latency_ms,
        paper_balances=balances,
        time_zone=venue.time_zone,
        hedges=_hedges(system, venue),
        simulator=SimulatorPlan(
            market=market,
            balances=balances,
            weight_per_minute=simulator.weight_per_minute,
            orders_per_ten_seconds=simulator.orders_per_ten_seconds,
            orders_per_day=simulator.orders_per_day,
            recordings_claim=simulator.recording_claim or "",
        ),
    )


# --- what is reported


def status(
    system: TradingSystem,
    seen: Seen,
    decided: Decision,
    metrics: Iterable[MetricState] = (),
    upgrade: PlatformDecision | None = None,
) -> dict[str, Any]:
    """The whole status, for the wire. The columns show the rising track: what people want to know of a rollout."""
    state = decided.state
    stable, shown = state.stable, state.rising
    staged = state != State(stable=stable)
    return TradingSystemStatus(
        observed_generation=system.metadata.generation,
        conditions=condition_models(decided.conditions),
        stage=shown.stage.value if shown else None,
        weight=shown.weight if shown else None,
        trading=decided.trading,
        revision=shown.revision if shown else None,
        limits_revision=documents.grant(gate_limits(system.spec.limits, system.spec.capital)),
        stable=records.track_status(stable),
        candidate=records.track_status(state.candidate),
        shadow=records.track_status(state.shadow),
        rollout=records.rollout_status(state, decided.outlook, metrics, progress.evaluation(system, state, seen))
        if staged
        else None,
        min_notional=None if (least := progress.min_notional(system, seen)) is None else amount(least),
        platform=upgrading.status(upgrade.state) if upgrade is not None else system.status.platform,
        services=tuple(_service(system, seen, workload) for workload in workloads_seen(system, seen)),
    ).dump()


def _service(system: TradingSystem, seen: Seen, found: WorkloadSeen) -> kinds.Service:
    pod = next((p for p in seen.pods if p.workload == found.name and not p.deleting), None)
    no_pod = f"no pod yet; if that lasts, kubectl describe deploy,sts {found.name} says what refuses it"
    waiting = _known(system, found) if found.ready else "not ready yet" if pod else no_pod
    return kinds.Service(
        name=found.name.removeprefix(f"{system.metadata.name}-"),
        ready=found.ready,
        image=pod.image if pod else "",
        image_id=pod.image_id if pod else "",
        message=sentence(found.problem.message) if found.problem else waiting,
    )


def _known(system: TradingSystem, found: WorkloadSeen) -> str:
    """What people should know of a program that works."""
    shared = any(
        found.name == names.workload_name(system.metadata.name, f"{venue.name}-watchdog")
        for venue in system.spec.venues
        if venue.binance is not None and venue.binance.watchdog_credentials_secret is None
    )
    return "uses execution's key: name a second one in binance.watchdogCredentialsSecret" if shared else ""


def conditions_of(found: Iterable[ConditionModel]) -> tuple[Condition, ...]:
    """Conditions as reported by an earlier pass."""
    return tuple(
        Condition(
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=c.message,
            observed_generation=c.observed_generation or 0,
            since=instant(c.last_transition_time or ""),
        )
        for c in found
    )


def condition_models(found: Iterable[Condition]) -> tuple[ConditionModel, ...]:
    return tuple(
        ConditionModel(
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=sentence(c.message),
            last_transition_time=written(c.since),
            observed_generation=c.observed_generation,
        )
        for c in found
    )
