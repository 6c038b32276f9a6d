"""The programs of a system: what runs, in which image, with which files, and how it is kept in check."""

from dataclasses import dataclass, field
from typing import Final, Literal

from ringfence.runtime import config as contract
from ringfence_operator.desired import config
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import (
    CONFIG_HASH,
    GATE,
    REVISION,
    TRACK,
    Manifest,
    selector,
    short_hash,
    workload_labels,
)
from ringfence_operator.desired.plan import Plan, StrategyPlan, VenuePlan

USER: Final = 65532
"""The conventional nonroot user of our image; authors' images are built FROM it."""
CONTAINER: Final = "main"
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
    """Empty = the platform's, see `_platform_image`."""
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
        mounts = (_mount("recordings", str(contract.RECORDINGS_DIR), read_only=True),)
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


def manifest(plan: Plan, found: Workload) -> Manifest:
    """The Deployment or StatefulSet of a program."""
    labels = workload_labels(plan.system, found.service, found.venue, found.slot)
    name = names.workload_name(plan.system, found.role)
    spec: Manifest = {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector(plan.system, found.service, found.venue, found.slot)},
        "template": _template(plan, found, labels),
    }
    if found.kind == "Deployment":
        # never two of them at a time: both would speak under one name on the bus
        spec |= {"strategy": {"type": "Recreate"}, "progressDeadlineSeconds": 300}
    else:
        # Parallel: OrderedReady would wait for a broken pod to become ready before it takes a repaired template
        spec |= {
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
        }
    told = {TRACK: track} if (track := _track(plan, found)) else {}
    metadata = {"name": name, "namespace": plan.namespace, "labels": labels | told}
    return {"apiVersion": "apps/v1", "kind": found.kind, "metadata": metadata, "spec": spec}


def service(plan: Plan, found: Workload) -> Manifest:
    """The address of a program. Also while it is not ready: a halted gate must be heard and reached."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.workload_name(plan.system, found.role),
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, found.service, found.venue, found.slot),
        },
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": selector(plan.system, found.service, found.venue, found.slot),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in found.ports
            ],
        },
    }


def disruption_budget(plan: Plan, found: Workload) -> Manifest:
    """Whether a node drain may take execution away.

    While its account may be trading, no: a drain waits until somebody halts the system (``restrict: Halt`` or
    engaged), because only people know whether positions may be left alone. Once halted, or on paper, it may go,
    so node upgrades never wait for an edit of this budget. A pod that is not ready never holds up a drain.
    """
    stopped = plan.stop.severity in {"Halt", "Cancel", "Flatten"}
    trading = plan.trading and not stopped
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.workload_name(plan.system, found.role),
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, found.service, found.venue, found.slot),
        },
        "spec": {
            "maxUnavailable": 0 if trading else 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(plan.system, found.service, found.venue, found.slot)},
        },
    }


_RELABELINGS: Final = [
    {"sourceLabels": [f"__meta_kubernetes_pod_label_ringfence_dev_{name}"], "targetLabel": name, "action": "replace"}
    for name in ("system", "service", "venue", "slot")
]
"""The names by which the metric library selects; podTargetLabels would make ringfence_dev_system of them."""


def pod_monitor(plan: Plan) -> Manifest:
    """All pods of the system, for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {
            "name": plan.system,
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, "monitor"),
        },
        "spec": {
            "selector": {"matchLabels": {"ringfence.dev/system": plan.system}},
            "podMetricsEndpoints": [
                {"port": "http", "path": "/metrics", "interval": "5s", "relabelings": _RELABELINGS}
            ],
        },
    }


def _track(plan: Plan, found: Workload) -> str:
    """For people who list Deployments."""
    state = plan.state
    named = (("stable", state.stable), ("candidate", state.candidate), ("shadow", state.shadow))
    return next((name for name, track in named if track is not None and track.revision == found.revision), "")


def platform_account(plan: Plan) -> str:
    """The ServiceAccount of our programs that do not speak to the API server."""
    return f"{plan.system}-platform"


def strategy_account(plan: Plan) -> str:
    """The author's pod has one of its own, so that whatever people bind to it reaches nothing else."""
    return f"{plan.system}-strategy"


# --- the pod


def _template(plan: Plan, found: Workload, labels: dict[str, str]) -> Manifest:
    annotations = {
        CONFIG_HASH: short_hash(config.text(found.document), 16),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(contract.HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
    if found.revision:
        annotations[REVISION] = found.revision
    gate = {GATE: "true"} if found.is_gate else {}
    return {"metadata": {"labels": labels | gate, "annotations": annotations}, "spec": _pod(plan, found)}


def _pod(plan: Plan, found: Workload) -> Manifest:
    name = names.workload_name(plan.system, found.role)
    spec: Manifest = {
        "serviceAccountName": found.service_account,
        "automountServiceAccountToken": found.token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": found.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, found)],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{name}-config"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(
                {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
                for volume, secret, _ in found.secrets
            ),
            *found.volumes,
        ],
    }
    if found.apart_from:
        spec["affinity"] = {"podAntiAffinity": _apart(selector(plan.system, found.apart_from, found.venue))}
    if plan.settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in plan.settings.image_pull_secrets]
    return spec


def _apart(labels: dict[str, str]) -> Manifest:
    """Preferred: on one node both are still better than execution alone."""
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


_FIRST: Final = frozenset({"paper", "portfolio"})
"""What runs a new image of the platform first: nothing of a live order depends on it."""


def _platform_image(plan: Plan, found: Workload) -> str:
    """A simulator stands for a venue: an account that it forgot would be a break. It keeps the image of its making."""
    if found.service == "simulator" and found.venue in plan.observed.simulators:
        return plan.observed.simulators[found.venue]
    return plan.platform.paper if found.service in _FIRST else plan.platform.execution


def _container(plan: Plan, found: Workload) -> Manifest:
    image = found.image or _platform_image(plan, found)
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [f"ringfence.{found.service}"],
        "env": [
            _field("POD_NAME", "metadata.name"),
            _field("POD_UID", "metadata.uid"),
            _field("POD_IP", "status.podIP"),
            {"name": "RINGFENCE_IMAGE", "value": image},
        ],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in found.ports],
        "startupProbe": _probe("/livez", period_s=1, failures=60),
        "livenessProbe": _probe("/livez", period_s=10, failures=3),
        "readinessProbe": _probe("/readyz", period_s=2, failures=2),
        "resources": {
            "requests": {"cpu": found.resources.cpu, "memory": found.resources.memory},
            "limits": {"memory": found.resources.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # a service leaves its last sentence there; one that could not is quoted from its log
        "terminationMessagePath": str(contract.TERMINATION_LOG),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            _mount("config", str(contract.CONFIG_FILE.parent), read_only=True),
            _mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of this pod alone
            *(_mount(volume, path, read_only=True) for volume, _, path in found.secrets),
            *found.mounts,
        ],
    }


def _probe(path: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _mount(name: str, path: str, *, read_only: bool = False) -> Manifest:
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
    _mount("journal", str(contract.JOURNAL_DIR)),
    _mount("kill-switch", str(contract.KILL_SWITCH_DIR), read_only=True),
)
