"""Who may speak to whom. Everything else of a system is shut."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from ringfence.runtime import config as contract
from ringfence_operator.desired.labels import SERVICE, SYSTEM, VENUE, Manifest, selector, system_labels
from ringfence_operator.desired.plan import Plan, VenuePlan, workload_name
from ringfence_operator.desired.workload import Workload

DNS_PORT: Final = 53
API_SERVER_PORTS: Final = (443, 6443)
"""The API server is seldom a pod, so it cannot be told by labels; nor can a real venue."""


def policies(plan: Plan, found: tuple[Workload, ...]) -> tuple[Manifest, ...]:
    """Deny all, then what each program needs."""
    venues = {venue.name: venue for venue in plan.venues}
    return (_deny_all(plan), *(_policy(plan, one, venues.get(one.venue)) for one in found))


def _deny_all(plan: Plan) -> Manifest:
    return _manifest(plan, f"{plan.system}-deny", {SYSTEM: plan.system}, ingress=(), egress=())


def _policy(plan: Plan, one: Workload, venue: VenuePlan | None) -> Manifest:
    ingress, egress = _RULES[one.service](plan, venue)
    pods = selector(plan.system, one.service, one.venue, one.slot)
    both = (_from_monitoring(plan), *ingress), (_dns(), *egress)
    return _manifest(plan, workload_name(plan.system, one.role), pods, ingress=both[0], egress=both[1])


Rules = tuple[tuple[Manifest, ...], tuple[Manifest, ...]]
"""Ingress, egress."""


def _simulator(plan: Plan, venue: VenuePlan | None) -> Rules:
    # the control port is opened to nobody: faults are injected through kubectl, by those who may
    clients = [_of(plan, service, venue) for service in ("marketdata", "execution", "watchdog")]
    return (_ingress(clients, contract.SIMULATOR_PORT),), ()


def _marketdata(plan: Plan, venue: VenuePlan | None) -> Rules:
    readers = [_of(plan, service, venue) for service in ("execution", "paper")]
    readers += [_of(plan, "portfolio"), _of(plan, "strategy")]
    return (_ingress(readers, contract.MARKETDATA_PORT),), (_to_venue(plan, venue),)


def _execution(plan: Plan, venue: VenuePlan | None) -> Rules:
    inwards, outwards = _gate(plan, venue)
    twin = _ingress([_of(plan, "paper", venue)], contract.EVENTS_PORT, contract.HTTP_PORT)
    watchdog = _ingress([_of(plan, "watchdog", venue)], contract.EVENTS_PORT, contract.HTTP_PORT)
    return (*inwards, twin, watchdog), (*outwards, _to_venue(plan, venue))


def _paper(plan: Plan, venue: VenuePlan | None) -> Rules:
    """As twin it hears what execution does."""
    inwards, outwards = _gate(plan, venue)
    return inwards, (*outwards, _egress([_of(plan, "execution", venue)], contract.EVENTS_PORT, contract.HTTP_PORT))


def _watchdog(plan: Plan, venue: VenuePlan | None) -> Rules:
    """The gate, the venue by a connection of its own, the API server, and nobody comes in but for its metrics."""
    return (), (
        _egress([_of(plan, "execution", venue)], contract.KILL_PORT, contract.EVENTS_PORT, contract.HTTP_PORT),
        {"ports": [_port(number) for number in API_SERVER_PORTS]},
        *_to_alertmanagers(plan),
        _to_venue(plan, venue),
    )


def _gate(plan: Plan, venue: VenuePlan | None) -> Rules:
    strategy, portfolio = _of(plan, "strategy"), _of(plan, "portfolio")
    return (
        _ingress([strategy], contract.INTENTS_PORT),
        _ingress([strategy, portfolio], contract.EVENTS_PORT, contract.HTTP_PORT),
        # from anywhere: it is authenticated, it can only stop, and in an emergency labels may be wrong
        {"ports": [_port(contract.KILL_PORT)]},
    ), (
        _egress([_of(plan, "marketdata", venue)], contract.MARKETDATA_PORT),
        {"ports": [_port(number) for number in API_SERVER_PORTS]},
        *_to_alertmanagers(plan),
    )


def _portfolio(plan: Plan, _venue: VenuePlan | None) -> Rules:
    gates = [_of(plan, "execution"), _of(plan, "paper")]
    return (), (
        _egress(gates, contract.EVENTS_PORT, contract.HTTP_PORT),
        _egress([_of(plan, "marketdata")], contract.MARKETDATA_PORT),
    )


def _strategy(plan: Plan, _venue: VenuePlan | None) -> Rules:
    """The author's code reaches the bus and nothing else: no venue, no API server, no internet."""
    gates = [_of(plan, "execution"), _of(plan, "paper")]
    return (), (
        _egress(gates, contract.INTENTS_PORT, contract.EVENTS_PORT, contract.HTTP_PORT),
        _egress([_of(plan, "marketdata")], contract.MARKETDATA_PORT),
    )


_RULES: Final = {
    "simulator": _simulator,
    "marketdata": _marketdata,
    "execution": _execution,
    "paper": _paper,
    "watchdog": _watchdog,
    "portfolio": _portfolio,
    "strategy": _strategy,
}


def _to_venue(plan: Plan, venue: VenuePlan | None) -> Manifest:
    if venue is not None and venue.simulator is not None:
        return _egress([_of(plan, "simulator", venue)], contract.SIMULATOR_PORT)
    return {"ports": [_port(443), _port(9443)]}


def _to_alertmanagers(plan: Plan) -> tuple[Manifest, ...]:
    """By their ports: they may run in any cluster."""
    found = {urlsplit(url) for url in plan.settings.alerting.alertmanagers}
    ports = sorted({url.port or (443 if url.scheme == "https" else 80) for url in found})
    return ({"ports": [_port(port) for port in ports]},) if ports else ()


def _dns() -> Manifest:
    """To any resolver: where it runs differs (a pod, the node, a cache on the node)."""
    return {"ports": [_port(DNS_PORT, "UDP"), _port(DNS_PORT)]}


def _from_monitoring(plan: Plan) -> Manifest:
    """Metrics and read-only documents, for Prometheus and the operator. Positions are no public matter."""
    spaces = sorted({*plan.settings.monitoring_namespaces, plan.settings.operator_namespace})
    chosen = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": spaces}]}
    return {"from": [{"namespaceSelector": chosen}], "ports": [_port(contract.HTTP_PORT)]}


def _of(plan: Plan, service: str, venue: VenuePlan | None = None) -> Manifest:
    """Pods of this system by what they do, and for one venue where given."""
    labels = {SYSTEM: plan.system, SERVICE: service} | ({VENUE: venue.name} if venue is not None else {})
    return {"podSelector": {"matchLabels": labels}}


def _ingress(peers: Iterable[Manifest], *ports: int) -> Manifest:
    return {"from": list(peers), "ports": [_port(number) for number in ports]}


def _egress(peers: Iterable[Manifest], *ports: int) -> Manifest:
    return {"to": list(peers), "ports": [_port(number) for number in ports]}


def _port(number: int, protocol: str = "TCP") -> Manifest:
    return {"port": number, "protocol": protocol}


def _manifest(
    plan: Plan, name: str, pods: dict[str, str], *, ingress: tuple[Manifest, ...], egress: tuple[Manifest, ...]
) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": plan.namespace, "labels": system_labels(plan.system)},
        "spec": {
            "podSelector": {"matchLabels": pods},
            "policyTypes": ["Ingress", "Egress"],
            # no empty lists: the API server drops them, and then every pass would find something to apply
            **({"ingress": list(ingress)} if ingress else {}),
            **({"egress": list(egress)} if egress else {}),
        },
    }
