"""Are the admission policies there? Without them whoever may patch a kill switch may release it, and a binding
without its policy enforces nothing, silently. So nothing is reconciled until all of them are.

What trades goes on and can be stopped: only the queue of systems waits. Kill switches are pushed and summed up as ever.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import ApiError, Forbidden, NotFound
from ringfence.kube.resources import Resource
from ringfence_operator import policies
from ringfence_operator.metrics import Metrics

log = structlog.get_logger()

EVERY_S: Final = 30.0
AGAIN_S: Final = 1.0
"""While one is missing: an installation may be in the middle of bringing them."""
HOLD_S: Final = 1.0
"""A system that waits for the policies asks again after this."""
KINDS: Final = (resources.VALIDATING_ADMISSION_POLICY, resources.VALIDATING_ADMISSION_POLICY_BINDING)
Found = Mapping[tuple[str, str], Manifest | None]
"""Policies and bindings by kind and name; None where there is none."""


class Admission:
    """The last verdict."""

    def __init__(self, *, required: bool) -> None:
        self.required = required
        self.faults: tuple[str, ...] = ("the admission policies have not been looked for yet",) if required else ()

    @property
    def problem(self) -> str:
        """Why nothing is reconciled, for people; empty where nothing is wrong."""
        if not self.faults:
            return ""
        return f"not reconciling: {'; '.join(self.faults)}. Install them with the chart, or set policies.required=false"


def judge(found: Found) -> tuple[str, ...]:
    """What is wrong with the policies that were found, one sentence each."""
    wrong = []
    for name in policies.NAMES:
        policy = found.get((KINDS[0].kind, name))
        binding = found.get((KINDS[1].kind, name))
        if policy is None:
            wrong.append(f"{KINDS[0].kind} {name} is missing")
        elif policy["spec"].get("failurePolicy", "Fail") != "Fail":
            wrong.append(f"{KINDS[0].kind} {name} lets through what it cannot judge: failurePolicy must be Fail")
        if binding is None:
            wrong.append(f"{KINDS[1].kind} {name} is missing")
        elif binding["spec"].get("policyName") != name:
            wrong.append(f"{KINDS[1].kind} {name} binds another policy")
        elif "Deny" not in binding["spec"].get("validationActions", ()) or binding["spec"].get("matchResources"):
            wrong.append(f"{KINDS[1].kind} {name} does not refuse everywhere: it needs Deny and no matchResources")
    return tuple(wrong)


async def look(client: KubeClient) -> tuple[str, ...]:
    """Read them all and judge. Raises RetryLater and the like where the API server does not say."""

    async def read(kind: Resource, name: str) -> Manifest | None:
        try:
            return await client.get(kind, name)
        except NotFound:
            return None

    wanted = [(kind, name) for kind in KINDS for name in policies.NAMES]
    try:
        found = await asyncio.gather(*(read(kind, name) for kind, name in wanted))
    except Forbidden as error:
        return (f"the operator may not see whether its admission policies are there: {error.message}",)
    return judge({(kind.kind, name): one for (kind, name), one in zip(wanted, found, strict=True)})


async def watch_over(client: KubeClient, admission: Admission, metrics: Metrics) -> None:
    """For ever. An API server that does not answer changes no verdict: it has not answered anybody else either."""
    while True:
        if admission.required:
            try:
                found = await look(client)
            except ApiError as error:
                log.warning("policies not read", error=str(error))
            else:
                if found != admission.faults:
                    admission.faults = found
                    log.error(admission.problem) if found else log.info("all admission policies are there")
                metrics.policies_wrong.set(len(found))
        await asyncio.sleep(AGAIN_S if admission.faults else EVERY_S)
