"""Which path serves which kind. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

GROUP: Final = "ringfence.dev"
VERSION: Final = f"{GROUP}/v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """API group as RBAC writes it: empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection, of an object or of a subresource. Without namespace: all of them."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            if self.namespaced and namespace is None:
                raise ValueError(f"{self.kind} {name}: a namespace is needed")
            parts.append(name)
            if subresource is not None:
                parts.append(subresource)
        return "/".join(parts)


CONFIG_MAP: Final = Resource("v1", "ConfigMap", "configmaps")
SECRET: Final = Resource("v1", "Secret", "secrets")
SERVICE: Final = Resource("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Resource("v1", "ServiceAccount", "serviceaccounts")
PERSISTENT_VOLUME_CLAIM: Final = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD: Final = Resource("v1", "Pod", "pods")
NODE: Final = Resource("v1", "Node", "nodes", namespaced=False)
NAMESPACE: Final = Resource("v1", "Namespace", "namespaces", namespaced=False)
EVENT: Final = Resource("events.k8s.io/v1", "Event", "events")
DEPLOYMENT: Final = Resource("apps/v1", "Deployment", "deployments")
STATEFUL_SET: Final = Resource("apps/v1", "StatefulSet", "statefulsets")
LEASE: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
NETWORK_POLICY: Final = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_DISRUPTION_BUDGET: Final = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
ROLE: Final = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING: Final = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE: Final = Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING: Final = Resource(
    "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
CUSTOM_RESOURCE_DEFINITION: Final = Resource(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
VALIDATING_ADMISSION_POLICY: Final = Resource(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDING: Final = Resource(
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
POD_MONITOR: Final = Resource("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
TRADING_SYSTEM: Final = Resource(VERSION, "TradingSystem", "tradingsystems")
KILL_SWITCH: Final = Resource(VERSION, "KillSwitch", "killswitches")
EVALUATION: Final = Resource(VERSION, "Evaluation", "evaluations")
PROMOTION: Final = Resource(VERSION, "Promotion", "promotions")

KNOWN: Final = {
    (resource.api_version, resource.kind): resource
    for resource in tuple(globals().values())
    if isinstance(resource, Resource)
}


def lookup(api_version: str, kind: str) -> Resource:
    """The resource of a kind that we use. A kind that is not in the table is a bug."""
    try:
        return KNOWN[api_version, kind]
    except KeyError:
        raise ValueError(f"{api_version} {kind} is not in the table of resources") from None


def of(manifest: Mapping[str, Any]) -> Resource:
    """The resource of a manifest."""
    return lookup(str(manifest["apiVersion"]), str(manifest["kind"]))
