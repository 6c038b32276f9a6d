"""The programs of a system: what runs, with which files, and under which account. `manifests` makes objects of it."""

from dataclasses import dataclass, field
from typing import Final, Literal

from ringfence.runtime import config as contract
from ringfence_operator.desired import config
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import (
    Manifest,
)
from ringfence_operator.desired.plan import Plan, StrategyPlan, VenuePlan

HTTP: Final = ("http", contract.HTTP_PORT)
KILL: Final = ("kill", contract.KILL_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """No CPU limit: throttling stops a process in the middle of a burst, which is when it matters."""

    cpu: str = "20m"
    memory: str = "96Mi"
    memory_limit: str = "256Mi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One program, before it is a manifest."""

    role: str
    """Name within the system: ``sim-execution``."""
    service: str
    """What it does: ``execution``. Also the module that runs."""
    document: contract.Service
    """Its configuration file."""
    ports: tuple[tuple[str, int], ...]
    kind: Literal["Deployment", "StatefulSet"] = "Deployment"
    venue: str = ""
    slot: str = ""
    revision: str = ""
    """Of a strategy."""
    image: str = ""
    """Empty = the platform's, see `manifests`."""
    service_account: str
    token: bool = False
    """Whether it speaks to the API server."""
    secrets: tuple[tuple[str, str, str], ...] = ()
    """Volume name, Secret, where it is mounted."""
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()
    grace_s: int = 10
    apart_from: str = ""
    """Service that it should not share a node with, where there is another node."""
    resources: Resources = field(default_factory=Resources)

    @property
    def is_gate(self) -> bool:
        return self.service in {"execution", "paper"}


def workloads(plan: Plan) -> tuple[Workload, ...]:
    """Every program of the system, in the order in which data flows through them."""
    found: list[Workload] = []
    for venue in plan.venues:
        if venue.simulator is not None:
            found.append(_simulator(plan, venue))
        found += [_marketdata(plan, venue), _execution(plan, venue), _watchdog(plan, venue), _paper(plan, venue)]
    strategies = (
        _strategy(plan, slot, plan.strategies[revision])
        for revision, slot in sorted(plan.slots.items(), key=lambda item: item[1])
        if revision in plan.strategies
    )
    return (*found, _portfolio(plan), *strategies)


def _simulator(plan: Plan, venue: VenuePlan) -> Workload:
    """A venue, so it holds the same credentials as execution: to check signatures."""
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()
    if venue.simulator is not None and venue.simulator.recordings_claim:
        claim = {"claimName": venue.simulator.recordings_claim, "readOnly": True}
        volumes = ({"name": "recordings", "persistentVolumeClaim": claim},)
        mounts = (mount("recordings", str(contract.RECORDINGS_DIR), read_only=True),)
    return Workload(
        role=f"{venue.name}-simulator",
        service="simulator",
        venue=venue.name,
        document=config.simulator(plan, venue),
        ports=(HTTP, ("venue", contract.SIMULATOR_PORT), ("control", contract.SIMULATOR_CONTROL_PORT)),
        service_account=platform_account(plan),
        secrets=(("credentials", venue.credentials, str(contract.CREDENTIALS_DIR)),),
        volumes=volumes,
        mounts=mounts,
    )


def _marketdata(plan: Plan, venue: VenuePlan) -> Workload:
    role = f"{venue.name}-marketdata"
    return Workload(
        role=role,
        service="marketdata",
        venue=venue.name,
        document=config.marketdata(plan, venue),
        ports=(HTTP, ("marketdata", contract.MARKETDATA_PORT)),
        service_account=platform_account(plan),
        secrets=(_curve(plan, role),),
    )


def _grace_s(plan: Plan) -> int:
    """A gate's grace period: what it may take to leave things as the system wants, and the rest."""
    return contract.DRAIN_S[plan.on_shutdown] + contract.END_MARGIN_S


def _execution(plan: Plan, venue: VenuePlan) -> Workload:
    """The one process that trades the account. Its journal outlives it, so the claim is made apart and never owned."""
    role = f"{venue.name}-execution"
    claim = {"claimName": names.journal_claim(plan.system, venue.name)}
    return Workload(
        role=role,
        service="execution",
        venue=venue.name,
        kind="StatefulSet",
        document=config.gate(plan, venue, paper=False),
        ports=_GATE_PORTS,
        service_account=names.workload_name(plan.system, role),
        token=True,
        secrets=(
            _curve(plan, role),
            ("credentials", venue.credentials, str(contract.CREDENTIALS_DIR)),
            _kill_token(plan, venue),
        ),
        volumes=({"name": "journal", "persistentVolumeClaim": claim}, _kill_switch_volume(plan)),
        mounts=_GATE_MOUNTS,
        grace_s=_grace_s(plan),
        resources=Resources(cpu="50m"),
    )


def _watchdog(plan: Plan, venue: VenuePlan) -> Workload:
    """Cancels when execution cannot. Its way to the venue shares nothing with execution's that can be kept apart:
    node, pod, connection, and key where people give it one."""
    role = f"{venue.name}-watchdog"
    return Workload(
        role=role,
        service="watchdog",
        venue=venue.name,
        document=config.watchdog(plan, venue),
        ports=(HTTP,),
        service_account=names.workload_name(plan.system, role),
        token=True,
        secrets=(
            _curve(plan, role),
            ("credentials", venue.watchdog_credentials, str(contract.CREDENTIALS_DIR)),
            _kill_token(plan, venue),
        ),
        apart_from="execution",
    )


def _paper(plan: Plan, venue: VenuePlan) -> Workload:
    """The same program without credentials, Lease or lasting journal.

    A StatefulSet as well: its pod keeps its name, so a gate has one line in a kill switch's status and not one
    for each pod that ever was.
    """
    role = f"{venue.name}-paper"
    return Workload(
        role=role,
        service="paper",
        venue=venue.name,
        kind="StatefulSet",
        document=config.gate(plan, venue, paper=True),
        ports=_GATE_PORTS,
        service_account=names.workload_name(plan.system, role),
        token=True,
        secrets=(_curve(plan, role), _kill_token(plan, venue)),
        volumes=({"name": "journal", "emptyDir": {"sizeLimit": "1Gi"}}, _kill_switch_volume(plan)),
        mounts=_GATE_MOUNTS,
        grace_s=_grace_s(plan),
    )


def _portfolio(plan: Plan) -> Workload:
    return Workload(
        role="portfolio",
        service="portfolio",
        document=config.portfolio(plan),
        ports=(HTTP,),
        service_account=platform_account(plan),
        secrets=(_curve(plan, "portfolio"),),
    )


def _strategy(plan: Plan, slot: str, found: StrategyPlan) -> Workload:
    """The only pod in the author's image. It mounts its own bus key and nothing that opens a venue or the cluster.

    Nothing in it says on which track it trades or what else runs beside it, so it never restarts for that.
    """
    role = names.strategy_role(slot)
    return Workload(
        role=role,
        service="strategy",
        slot=slot,
        revision=found.revision,
        image=found.image,
        document=config.strategy(plan, slot, found),
        ports=(HTTP,),
        service_account=strategy_account(plan),
        secrets=(_curve(plan, role),),
        resources=Resources(cpu="50m", memory="128Mi", memory_limit="512Mi"),
    )


def platform_account(plan: Plan) -> str:
    """The ServiceAccount of our programs that do not speak to the API server."""
    return f"{plan.system}-platform"


def strategy_account(plan: Plan) -> str:
    """The author's pod has one of its own, so that whatever people bind to it reaches nothing else."""
    return f"{plan.system}-strategy"


def mount(name: str, path: str, *, read_only: bool = False) -> Manifest:
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


def _curve(plan: Plan, role: str) -> tuple[str, str, str]:
    return "curve", names.curve_secret(plan.system, role), str(contract.CURVE_DIR)


def _kill_token(plan: Plan, venue: VenuePlan) -> tuple[str, str, str]:
    return "kill-token", names.kill_token_secret(plan.system, venue.name), str(contract.KILL_TOKEN_FILE.parent)


def _kill_switch_volume(plan: Plan) -> Manifest:
    """Optional: a gate starts without it, and is halted until it is there."""
    return {
        "name": "kill-switch",
        "configMap": {"name": names.kill_switch_name(plan.system), "optional": True},
    }


_GATE_PORTS: Final = (HTTP, KILL, ("intents", contract.INTENTS_PORT), ("events", contract.EVENTS_PORT))
_GATE_MOUNTS: Final = (
    mount("journal", str(contract.JOURNAL_DIR)),
    mount("kill-switch", str(contract.KILL_SWITCH_DIR), read_only=True),
)
