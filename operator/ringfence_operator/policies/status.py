"""Status is evidence. The operator writes it; a gate writes its own line of a kill switch, with a token that is bound
to its pod, so that the proof is there with the operator down and nobody can give it for somebody else."""

from typing import Final

from ringfence_operator.api import KillSwitchStatus
from ringfence_operator.policies.model import NOT_THE_OPERATOR, Check, Match, Policy

LINES: Final = "gates"
GATES: Final = ("-execution", "-paper")
"""Ends of the names of gates' ServiceAccounts; `desired.workload` makes them, and a test holds the two together."""
POD_NAME: Final = "authentication.kubernetes.io/pod-name"
ACCOUNT: Final = """\
request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')
? request.userInfo.username.split(':')[3] : ''"""
"""CEL: name of the requesting ServiceAccount of this namespace; empty for anybody else."""
POD: Final = f"request.userInfo.?extra[?'{POD_NAME}'].orValue([''])[0]"
"""CEL: the pod that the token is bound to."""

_REST: Final = ", ".join(
    f"'{info.alias}'" for name, info in KillSwitchStatus.model_fields.items() if LINES not in {info.alias, name}
)
_GATE: Final = (
    "request.resource.resource == 'killswitches' && variables.pod == variables.account + '-0'\n"
    "&& variables.account != '' && (" + " || ".join(f"variables.account.endsWith('{end}')" for end in GATES) + ")"
)

POLICY: Final = Policy(
    name="status",
    match=(
        Match(
            group="ringfence.dev",
            resources=("tradingsystems/status", "killswitches/status"),
            operations=("CREATE", "UPDATE", "DELETE"),
        ),
    ),
    conditions=(NOT_THE_OPERATOR,),
    variables=(
        ("account", ACCOUNT),
        ("pod", POD),
        ("gate", _GATE),
        ("was", "oldObject == null ? {} : oldObject.?status.orValue({})"),
        ("now", "object == null ? {} : object.?status.orValue({})"),
    ),
    checks=(
        Check(
            "variables.gate",
            "only the Ringfence operator writes status, and a gate its own line of a kill switch",
        ),
        Check(
            f"!variables.gate || ([{_REST}].all(k, variables.now[?k] == variables.was[?k])\n"
            f"&& variables.now.?{LINES}.orValue([]).all(g, g.pod == variables.pod\n"
            "  ? g.?system.orValue('') + '-' + g.?service.orValue('') == variables.account\n"
            f"  : g in variables.was.?{LINES}.orValue([]))\n"
            f"&& variables.was.?{LINES}.orValue([]).all(g,\n"
            f"  g.pod == variables.pod || g in variables.now.?{LINES}.orValue([])))",
            "a gate writes its own line of a kill switch and nothing else",
            "'gate ' + variables.pod + ' writes its own line of a kill switch and nothing else'",
        ),
    ),
)
