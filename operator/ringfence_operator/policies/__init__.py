"""Admission policies: what the API server refuses, whatever RBAC allows. Built from the kinds, purely.

| policy | what it holds |
|---|---|
| killswitch | engaging needs patch only; letting go and softening need the verb release, Flatten flatten |
| kill-configmap | of `<system>-kill-switch`, people own data.engage; clearing it needs the verb release |
| limits | loosening limits, capital, goal, venues, topology, changing stages: raise-limits; kill labels: release |
| rollout | stages that compare with a stable that does not trade, or are too small for the venue, are not written |
| covered | a system does not leave the reach of an active switch that selects it, by relabelling or deletion |
| status | the operator writes status, a gate its own line of a kill switch |
| promotions | a Promotion is made by a person with the verb promote on that system, in the own name |
| evidence | the operator writes Evaluations, and what became of a Promotion |
| owned | nobody edits what the operator made; deleting it needs the verb raise-limits |
| scale | nobody scales it either: a Scale has no labels, so it needs a policy of its own |
| crds | a CRD of ours is not deleted by accident, and every switch with it |

Must not do I/O. `POLICIES` is the table of contents; the operator refuses to reconcile where one of them is missing.
"""

from typing import Final

from ringfence_operator.policies import configmap, covered, crds, killswitch, limits, owned, promotion, rollout, status
from ringfence_operator.policies.model import Manifest, Operator, Policy, binding, manifest

POLICIES: Final[tuple[Policy, ...]] = (
    killswitch.POLICY,
    configmap.POLICY,
    limits.POLICY,
    rollout.POLICY,
    covered.POLICY,
    status.POLICY,
    promotion.POLICY,
    promotion.EVIDENCE,
    owned.POLICY,
    owned.SCALE,
    crds.POLICY,
)
NAMES: Final = tuple(policy.full_name for policy in POLICIES)
"""Of the policies and, equally, of their bindings."""

__all__ = ["NAMES", "POLICIES", "Manifest", "Operator", "Policy", "binding", "manifest"]
