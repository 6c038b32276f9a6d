"""The documents that services read: one file each, the limits, the allocation, and the kill-switch mirror."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from ringfence.runtime import config
from ringfence.wire import kill
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import Manifest, short_hash, system_labels
from ringfence_operator.desired.plan import SLOTS, Plan, StrategyPlan, VenuePlan, strategy_role
from ringfence_operator.rollout.state import TrackState

CONFIG_KEY: Final = config.CONFIG_FILE.name
REVISION_KEY: Final = "strategy.json"
_STRATEGIES: Final = tuple(strategy_role(slot) for slot in SLOTS)
DocumentT = TypeVar("DocumentT", bound=msgspec.Struct)


def text(document: msgspec.Struct) -> str:
    """One document, always in the same letters for the same content."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"


# --- limits and allocation


def grant(limits: config.Limits) -> str:
    """Hash of a limits revision: the end of its ConfigMap's name."""
    return short_hash(text(limits))


def granted(found: str | None, name: str) -> config.Limits | None:
    """The limits revision of that hash; None where it is not there, or is not what its name says."""
    limits = _decoded(found, config.Limits)
    return limits if found is not None and short_hash(found) == name else None


def revision_maps(plan: Plan) -> tuple[Manifest, ...]:
    """What each revision is the hash of: the spec only has the newest, and the others have to go on running."""
    return tuple(
        _map(plan, names.revision_name(plan.system, one.revision), {REVISION_KEY: one.record}) | {"immutable": True}
        for _, one in sorted(plan.strategies.items())
    )


def limits_map(plan: Plan) -> Manifest:
    """The current spec's limits as an immutable revision."""
    return _map(plan, names.limits_name(plan.system, grant(plan.limits)), {config.LIMITS_KEY: text(plan.limits)}) | {
        "immutable": True
    }


def grants_in_use(plan: Plan) -> tuple[str, ...]:
    """Names of limits ConfigMaps that a gate may have to read now: what is wanted, and what is in force until the
    gates have read it."""
    wanted = {grant(plan.limits), *(track.grant for track in plan.tracks)}
    wanted = {names.limits_name(plan.system, one) for one in wanted}
    before = _decoded(plan.observed.allocation, config.Allocation)
    return tuple(sorted(wanted | {track.grant for track in (before.tracks if before else ())}))


def allocation(plan: Plan) -> config.Allocation:
    """Weights, keys and limits of the tracks. The epoch goes up whenever anything in it changes."""
    before = _decoded(plan.observed.allocation, config.Allocation)
    wanted = config.Allocation(
        epoch=before.epoch if before else 0,
        tracks=_tracks(plan),
        limits=plan.limits,
        handovers=_handovers(plan),
        hold=plan.platform.hold,
    )
    if before is None:
        return msgspec.structs.replace(wanted, epoch=max(plan.epoch_floor, 1))
    return before if before == wanted else msgspec.structs.replace(wanted, epoch=before.epoch + 1)


def _tracks(plan: Plan) -> tuple[config.Track, ...]:
    """Who trades on which sub-ledger. While positions are handed over it is already as it will be afterwards, with
    no new exposure until execution has booked it: see `ringfence.runtime.config.Handover`."""
    state = plan.state
    named = ((config.STABLE, state.stable), (config.CANDIDATE, state.candidate), (config.SHADOW, state.shadow))
    return tuple(_track(plan, name, track) for name, track in named if track is not None)


def _track(plan: Plan, name: str, found: TrackState) -> config.Track:
    return config.Track(
        name=name,
        revision=found.revision,
        stage=str(found.stage),
        weight=found.weight,
        grant=names.limits_name(plan.system, found.grant),
        key=plan.keys[strategy_role(plan.slots[found.revision])],
    )


def _handovers(plan: Plan) -> tuple[config.Handover, ...]:
    """What execution has to book, in its order."""
    return tuple(
        config.Handover(id=one.id, source=one.source, target=one.target, mode=config.HandoverMode(one.mode))
        for one in plan.state.handovers
    )


def allocation_map(plan: Plan) -> Manifest:
    return _map(plan, names.allocation_name(plan.system), {config.ALLOCATION_KEY: text(allocation(plan))})


def kill_switch_map(plan: Plan) -> Manifest:
    """Only ``data.state`` is ours: what the switches ask for, for gates that cannot reach the API server.

    ``data.engage`` is people's and is never named here, so server-side apply leaves it alone. It is not mirrored
    into ``state`` either: we would adopt our own mirror, and a release would never stick.
    """
    before = _decoded(plan.observed.mirrored, kill.MirroredState)
    wanted = kill.MirroredState(
        epoch=before.epoch if before else max(plan.epoch_floor, 1),
        severity=plan.mirror.severity,
        reason=plan.mirror.reason,
        protective=plan.mirror.protective,
        scoped=plan.scoped,
    )
    if before is not None and before != wanted:
        wanted = msgspec.structs.replace(wanted, epoch=before.epoch + 1)
    return _map(plan, names.kill_switch_name(plan.system), {kill.STATE_KEY: text(wanted)})


# --- one file per service


def simulator(plan: Plan, venue: VenuePlan) -> config.SimulatorConfig:
    if venue.simulator is None:
        raise ValueError(f"venue {venue.name} is no simulator")
    return config.SimulatorConfig(
        **_told(plan, f"{venue.name}-simulator"),
        symbols=venue.symbols,
        market=venue.simulator.market,
        maker_fee_bps=venue.maker_fee_bps,
        taker_fee_bps=venue.taker_fee_bps,
        latency_ms=venue.latency_ms,
        balances=dict(venue.simulator.balances),
        weight_per_minute=venue.simulator.weight_per_minute,
        orders_per_ten_seconds=venue.simulator.orders_per_ten_seconds,
        orders_per_day=venue.simulator.orders_per_day,
    )


def marketdata(plan: Plan, venue: VenuePlan) -> config.MarketdataConfig:
    readers = (f"{venue.name}-execution", f"{venue.name}-paper", "portfolio", *_STRATEGIES)
    return config.MarketdataConfig(
        **_told(plan, f"{venue.name}-marketdata"),
        venue=venue.endpoints,
        symbols=venue.symbols,
        book_stale_ms=plan.limits.market_book_stale_ms,
        quote_stale_ms=plan.limits.market_quote_stale_ms,
        subscribers=_keys(plan, readers),
    )


def gate(plan: Plan, venue: VenuePlan, *, paper: bool) -> config.GateConfig:
    """Execution, or the same program on paper: no credentials, no Lease, simulated fills."""
    return config.GateConfig(
        **_told(plan, _gate_role(venue.name, paper=paper)),
        account=names.account(plan.system, venue.name),
        venue=venue.endpoints,
        paper=paper,
        symbols=venue.symbols,
        capital=plan.capital,
        currency=plan.currency,
        marketdata=_marketdata_endpoint(plan, venue),
        subscribers=_keys(
            plan,
            (
                "portfolio",
                *(() if paper else (_gate_role(venue.name, paper=True), f"{venue.name}-watchdog")),
                *_STRATEGIES,
            ),
        ),
        lease="" if paper else names.account(plan.system, venue.name),
        kill_switch_configmap=names.kill_switch_name(plan.system),
        allocation_configmap=names.allocation_name(plan.system),
        labels=dict(plan.labels),
        alerting=plan.settings.alerting,
        on_shutdown=plan.on_shutdown,
        time_zone=venue.time_zone,
        hedges=venue.hedges,
        system_venues=tuple(sorted(found.name for found in plan.venues)),
        system_instruments=plan.symbols,
        paper_balances=dict(venue.paper_balances) if paper else {},
        maker_fee_bps=venue.maker_fee_bps if paper else 0,
        taker_fee_bps=venue.taker_fee_bps,
        latency_ms=venue.latency_ms if paper else 0,
        copies=_gate_as_seen(plan, venue, paper=False) if paper else None,
    )


def watchdog(plan: Plan, venue: VenuePlan) -> config.WatchdogConfig:
    """The second pair of eyes on the venue's account."""
    execution = names.workload_name(plan.system, _gate_role(venue.name, paper=False))
    return config.WatchdogConfig(
        **_told(plan, f"{venue.name}-watchdog"),
        account=names.account(plan.system, venue.name),
        venue=venue.endpoints,
        symbols=venue.symbols,
        currency=plan.currency,
        allocation_configmap=names.allocation_name(plan.system),
        gate=_gate_as_seen(plan, venue, paper=False),
        gate_pod=f"{execution}-0",
        kill_url=f"http://{execution}:{config.KILL_PORT}",
        lease=names.account(plan.system, venue.name),
        labels=dict(plan.labels),
        system_venues=tuple(sorted(found.name for found in plan.venues)),
        system_instruments=plan.symbols,
        silent_s=plan.silent_s,
        acknowledge_s=plan.acknowledge_s,
        own_key=venue.watchdog_credentials != venue.credentials,
        on_shutdown=plan.on_shutdown,
        time_zone=venue.time_zone,
        alerting=plan.settings.alerting,
    )


def portfolio(plan: Plan) -> config.PortfolioConfig:
    return config.PortfolioConfig(
        **_told(plan, "portfolio"),
        currency=plan.currency,
        gates=tuple(_gate_as_seen(plan, venue, paper=paper) for venue in plan.venues for paper in (False, True)),
        marketdata=tuple(_marketdata_endpoint(plan, venue) for venue in plan.venues),
        symbols=plan.symbols,
        capital=plan.capital,
        time_zones={venue.name: venue.time_zone for venue in plan.venues},
    )


def strategy(plan: Plan, slot: str, found: StrategyPlan) -> config.StrategyConfig:
    """Track and gate are only where it begins, and stay as they were written first: it follows the allocation from
    there, and a file that changed would restart it."""
    began = _decoded(plan.observed.strategies.get(slot), config.StrategyConfig)
    gates = tuple(_gate_as_seen(plan, plan.venues[0], paper=paper) for paper in (False, True))
    name, at = next(
        ((one.name, one) for one in _tracks(plan) if one.revision == found.revision), (config.CANDIDATE, None)
    )
    gate = gates[0] if at is not None and at.weight > 0 else gates[1]
    if began is not None and began.revision == found.revision and began.gate.name in {one.name for one in gates}:
        name, gate = began.track, next(one for one in gates if one.name == began.gate.name)
    return config.StrategyConfig(
        **_told(plan, strategy_role(slot)),
        track=name,
        revision=found.revision,
        strategy_class=found.strategy_class,
        parameters=dict(found.parameters),
        symbols=found.symbols,
        marketdata=tuple(_marketdata_endpoint(plan, venue) for venue in plan.venues),
        gate=gate,
        gates=gates,
    )


def service_map(plan: Plan, name: str, document: config.Service) -> Manifest:
    """The ConfigMap of one service's file."""
    return _map(plan, f"{name}-config", {CONFIG_KEY: text(document)})


def _told(plan: Plan, role: str) -> dict[str, Any]:
    return {"system": plan.system, "namespace": plan.namespace, "service": role}


def _keys(plan: Plan, roles: Iterable[str]) -> dict[str, str]:
    return {role: plan.keys[role] for role in roles}


def _endpoint(plan: Plan, role: str, port: int) -> config.Endpoint:
    return config.Endpoint(host=names.workload_name(plan.system, role), port=port, public_key=plan.keys[role])


def _marketdata_endpoint(plan: Plan, venue: VenuePlan) -> config.Endpoint:
    return _endpoint(plan, f"{venue.name}-marketdata", config.MARKETDATA_PORT)


def _gate_as_seen(plan: Plan, venue: VenuePlan, *, paper: bool) -> config.Gate:
    role = _gate_role(venue.name, paper=paper)
    return config.Gate(
        name=role,
        venue=venue.name,
        intents=_endpoint(plan, role, config.INTENTS_PORT),
        events=_endpoint(plan, role, config.EVENTS_PORT),
        http=f"http://{names.workload_name(plan.system, role)}:{config.HTTP_PORT}",
    )


def _gate_role(venue: str, *, paper: bool) -> str:
    return f"{venue}-paper" if paper else f"{venue}-execution"


def _map(plan: Plan, name: str, data: dict[str, str]) -> Manifest:
    metadata = {"name": name, "namespace": plan.namespace, "labels": system_labels(plan.system)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _decoded(found: str | None, kind: type[DocumentT]) -> DocumentT | None:
    """A document that we wrote earlier; None where it is not there or was damaged."""
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=kind)
    except msgspec.MsgspecError:
        return None
