"""The table: who tries what on which object, and what the API server says. No refusal means that it is allowed."""

import time
from collections.abc import Iterator
from typing import Any, Final

from rights.actions import (
    SEEN_S,
    Act,
    Attempt,
    deployment,
    dropped,
    fed,
    merge,
    owned,
    patched,
    run,
    switch,
    system,
)
from rights.people import GATE, OPERATOR, SPACE, Document, Done, Server
from rights.stages import stages_that_cannot_work
from ringfence_operator import api

GARBAGE: Final = "system:serviceaccount:kube-system:generic-garbage-collector"


def off(name: str) -> Document:
    return switch(name)


def on(name: str) -> Document:
    return switch(name, engaged=True, reason="bad ticks")


def halted(name: str) -> Document:
    return switch(name, restrict="Halt")


def flattening(name: str) -> Document:
    return switch(name, action="Flatten")


def flat_on(name: str) -> Document:
    return switch(name, action="Flatten", engaged=True)


def wide(name: str) -> Document:
    return switch(name, engaged=True, selector={"matchLabels": {"kill.ringfence.dev/desk": "nobody"}})


def two(name: str) -> Document:
    return switch(name, engaged=True, twoPerson=True)


def scoped(name: str) -> Document:
    """A stop of one instrument in some systems."""
    return switch(name, engaged=True, systems=["a", "b"], scope={"instruments": ["BTCUSDT", "ETHUSDT"]})


def every(name: str) -> Document:
    return switch(name, engaged=True, everySystem=True)


def bare(name: str) -> Document:
    return switch(name, engaged=True, protective="Cancel")


def act(**spec: Any) -> Act:
    return patched("kill", spec=spec)


NEED: Final = "needs verb release on killswitches.ringfence.dev"
MINE: Final = "owned by the Ringfence operator: change TradingSystem momentum instead"


def engaging() -> Iterator[Attempt]:
    """Never refused for anything but Flatten."""
    yield Attempt("engage without a reason", "alice", off, act(engaged=True))
    yield Attempt("engage, nulling the reason", "alice", off, act(engaged=True, reason=None))
    yield Attempt("engage what is set to Flatten", "alice", flattening, act(engaged=True))
    yield Attempt("engage with a milder action", "alice", flattening, act(engaged=True, action="Cancel"))
    yield Attempt("engage, with an old releasedBy in the manifest", "alice", off, act(engaged=True, releasedBy="bob"))
    yield Attempt("engage a second time", "alice", on, act(engaged=True))
    yield Attempt("restrict", "alice", off, act(restrict="ReduceOnly"))
    yield Attempt("make a switch that is engaged", "alice", off, fed("create", document=lambda n: on(f"{n}-new")))
    yield Attempt("engage as a viewer", "vic", off, act(engaged=True), "cannot patch resource")
    yield Attempt("set Flatten without the verb", "alice", on, act(action="Flatten"), "needs verb flatten")
    yield Attempt("set Flatten with the verb", "bob", on, act(action="Flatten"))
    yield Attempt("engage, lifting the restriction", "alice", halted, act(engaged=True, restrict="None"))


def letting_go() -> Iterator[Attempt]:
    """Every path around a switch that is engaged."""
    yield Attempt("release as a trader", "alice", on, act(engaged=False, releasedBy="alice"), NEED)
    yield Attempt("release as the namespace's administrator", "ned", on, act(engaged=False, releasedBy="ned"), NEED)
    yield Attempt("release without a name", "bob", on, act(engaged=False), 'set spec.releasedBy to "bob"')
    yield Attempt(
        "release in another's name", "bob", on, act(engaged=False, releasedBy="carol"), 'set spec.releasedBy to "bob"'
    )
    yield Attempt("release", "bob", on, act(engaged=False, releasedBy="bob"))
    yield Attempt("release as the cluster's administrator", "root", on, act(engaged=False), "a release names who")
    yield Attempt("claim a release that is none", "alice", on, act(releasedBy="alice"), "set by the release itself")
    yield Attempt("null engaged", "ned", on, act(engaged=None), NEED)
    yield Attempt("remove the spec", "ned", on, run("patch", "kill/NAME", "--type=json", "-p",
                  '[{"op":"remove","path":"/spec"}]'), NEED)  # fmt: skip
    yield Attempt("replace", "ned", on, fed("replace", document=off), NEED)
    yield Attempt("replace --force", "ned", on, fed("replace", "--force", document=off), "deleting kill switch")
    yield Attempt("server-side apply over it", "ned", on, fed("apply", "--server-side", "--force-conflicts",
                  document=lambda n: switch(n, engaged=False)), NEED)  # fmt: skip
    yield Attempt("server-side apply, then drop the field", "ned", off, dropped, NEED)
    yield Attempt("delete", "ned", on, run("delete", "kill", "NAME"), "deleting kill switch")
    yield Attempt("delete one that is not engaged", "ned", off, run("delete", "kill", "NAME"), "deleting kill switch")
    yield Attempt("delete with the verb", "bob", on, run("delete", "kill", "NAME"))
    yield Attempt("delete all", "ned", on, run("delete", "kill", "--all"), "deleting kill switch")
    yield Attempt("delete the collection", "ned", on, run("delete", "--raw",
                  f"/apis/ringfence.dev/v1alpha1/namespaces/{SPACE}/killswitches"), "deleting kill switch")  # fmt: skip
    yield Attempt("collect it as garbage", GARBAGE, on, run("delete", "kill", "NAME"), "deleting kill switch")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}
    yield Attempt("give it an owner", "ned", on, patched("kill", metadata={"ownerReferences": [owner]}), "has no owner")
    yield Attempt("soften the restriction", "alice", halted, act(restrict="ReduceOnly", releasedBy="alice"), NEED)
    yield Attempt("lift the restriction", "bob", halted, act(restrict="None", releasedBy="bob"))
    yield Attempt("harden the restriction", "alice", halted, act(engaged=True))
    yield Attempt("Flatten to Cancel while engaged", "alice", flat_on, act(action="Cancel"), "softening kill switch")
    yield Attempt("change the selector", "alice", wide, act(selector={"matchLabels": {"a": "b"}}), "softening")
    yield Attempt("drop the selector", "alice", wide, act(selector=None), "softening kill switch")
    yield Attempt("add a selector where there was none", "alice", on, act(selector={"matchLabels": {"a": "nobody"}}))


def scopes() -> Iterator[Attempt]:
    """Covering less is letting go; covering more never is. An empty list of a scope is everything."""
    soft = "softening kill switch"
    one, three = ["BTCUSDT"], ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    yield Attempt("take an instrument out of a stop", "alice", scoped, act(scope={"instruments": one}), soft)
    yield Attempt("take it out with the verb", "bob", scoped, act(scope={"instruments": one}))
    yield Attempt("add an instrument to a stop", "alice", scoped, act(scope={"instruments": three}))
    yield Attempt("swap the instruments of a stop", "alice", scoped, act(scope={"instruments": ["BNBUSDT"]}), soft)
    yield Attempt("drop the scope of a stop", "alice", scoped, act(scope=None))
    yield Attempt("empty the scope of a stop", "alice", scoped, act(scope={"instruments": []}))
    yield Attempt("add a track to a stop of instruments", "alice", scoped, act(scope={"tracks": ["stable"]}), soft)
    yield Attempt("give a whole stop a scope", "alice", on, act(scope={"venues": ["sim"]}), soft)
    yield Attempt("give a whole stop an empty scope", "alice", on, act(scope={"venues": []}))
    yield Attempt("take a system out of a stop", "alice", scoped, act(systems=["a"]), soft)
    yield Attempt("add a system to a stop", "alice", scoped, act(systems=["a", "b", "c"]))
    yield Attempt("drop the systems of a stop", "alice", scoped, act(systems=None), soft)
    yield Attempt("take every system out of a stop", "alice", every, act(everySystem=False), soft)
    yield Attempt("null every system of a stop", "alice", every, act(everySystem=None), soft)
    yield Attempt("take every system out with the verb", "bob", every, act(everySystem=False))
    yield Attempt("stop every system", "alice", off, act(engaged=True, everySystem=True))
    yield Attempt("engage with a scope", "alice", off, act(engaged=True, systems=["a"], scope={"tracks": ["stable"]}))
    yield Attempt("make a stop of one instrument", "alice", off, fed("create", document=lambda n: scoped(f"{n}-new")))
    yield Attempt("keep protective orders after all", "alice", bare, act(protective="Keep"), soft)
    yield Attempt("null the cancel of protective orders", "alice", bare, act(protective=None), soft)
    yield Attempt("keep protective orders with the verb", "bob", bare, act(protective="Keep"))
    yield Attempt("cancel protective orders too", "alice", on, act(protective="Cancel"))
    yield Attempt("flatten a scope without the verb", "alice", scoped, act(action="Flatten"), "needs verb flatten")
    yield Attempt("flatten a scope with the verb", "bob", scoped, act(action="Flatten"))
    yield Attempt("make a switch that flattens", "alice", off,
                  fed("create", document=lambda n: flat_on(f"{n}-new")), "needs verb flatten")  # fmt: skip


def two_persons() -> Iterator[Attempt]:
    """One asks and another releases."""
    yield Attempt("ask as a trader", "alice", two, act(releaseRequestedBy="alice"), "releaseRequestedBy must be")
    yield Attempt("ask in another's name", "bob", two, act(releaseRequestedBy="carol"), "releaseRequestedBy must be")
    yield Attempt("ask", "bob", two, act(releaseRequestedBy="bob"))
    yield Attempt("ask before it is engaged", "bob", off, act(releaseRequestedBy="bob"), "only while it stops")
    both = {"engaged": False, "releaseRequestedBy": None}
    yield Attempt("release alone what takes two", "bob", two, act(**both, releasedBy="bob"), "twoPerson: somebody else")
    yield Attempt(
        "release what one asked for oneself", "bob", two, act(**both, releasedBy="bob"), "twoPerson: somebody else",
        asked_by="bob",
    )  # fmt: skip
    yield Attempt("release what another asked for", "carol", two, act(**both, releasedBy="carol"), asked_by="bob")
    yield Attempt(
        "release and keep the question", "carol", two, act(engaged=False, releasedBy="carol"), "set it to null",
        asked_by="bob",
    )  # fmt: skip
    yield Attempt("delete alone what takes two", "bob", two, run("delete", "kill", "NAME"), "twoPerson: somebody else")
    yield Attempt("switch two persons off", "bob", two, act(twoPerson=False), "twoPerson is not switched off")
    yield Attempt("withdraw the question", "alice", two, act(releaseRequestedBy=None), asked_by="bob")


def live(name: str) -> Document:
    return system(name, desk=name)


def paper(name: str) -> Document:
    return system(name, "Paper")


def tight(name: str) -> Document:
    found = system(name)
    found["spec"]["limits"]["order"] |= {"collarBps": "10", "quantityMax": "1"}
    found["spec"]["limits"]["account"] = {"balanceFloor": "500"}
    found["spec"]["limits"]["rules"] = {
        "types": ["LIMIT", "LIMIT_MAKER"],
        "restricted": ["AUSDT", "BUSDT"],
        "sessions": ["Mon-Fri 08:00-20:00"],
    }
    return found


def worn(name: str) -> Document:
    found = system(name)
    found["metadata"]["labels"] = {"desk": name}
    return found


def second_venue(name: str) -> Document:
    found = system(name, desk=name)
    found["spec"]["venues"].append({"name": "two", "type": "Binance", "binance": {"credentialsSecret": "keys"}})
    found["spec"]["strategy"]["instruments"].append({"venue": "two", "symbol": "BTCUSDT"})
    return found


def engaged_then(act: Act) -> Act:
    def both(server: Server, user: str, name: str) -> Done:
        server.make(switch(name, engaged=True))
        return act(server, user, name)

    return both


def selected_then(act: Act, key: str = "kill.ringfence.dev/desk", **spec: Any) -> Act:
    """Under an engaged switch of another name that selects it; parameters reach the policy through a watch."""

    def both(server: Server, user: str, name: str) -> Done:
        server.make(switch(f"all-{name}", engaged=True, selector={"matchLabels": {key: name}}, **spec))
        time.sleep(SEEN_S)
        return act(server, user, name)

    return both


def loosening() -> Iterator[Attempt]:
    """Limits and what makes them count for more."""
    raising = "needs verb raise-limits on tradingsystems.ringfence.dev"

    def limited(group: str, **limits: Any) -> Act:
        return patched("tsys", spec={"limits": {group: limits}})

    def order(**limits: Any) -> Act:
        return limited("order", **limits)

    yield Attempt("tighten an amount", "dave", live, order(valueMax="999.99999999"))
    yield Attempt("write the same amount otherwise", "dave", live, order(valueMax="1000.0"))
    yield Attempt("loosen an amount", "dave", live, order(valueMax="1000.00000001"), "loosening limits.order.valueMax")
    yield Attempt("loosen an amount with the verb", "bob", live, order(valueMax="1200"))
    yield Attempt("loosen a count", "dave", live, order(workingOrders=21), "loosening limits.order.workingOrders")
    yield Attempt("lower a floor", "dave", tight, limited("account", balanceFloor="499"), "limits.account.balanceFloor")
    yield Attempt("raise a floor", "dave", tight, limited("account", balanceFloor="501"))
    yield Attempt("write less than the preset says", "dave", live, limited("market", quoteStaleMs=1999))
    yield Attempt("write more than the preset says", "dave", live, limited("market", quoteStaleMs=2001),
                  "loosening limits.market.quoteStaleMs")  # fmt: skip
    yield Attempt("write less than the preset's part of the capital", "dave", live, limited("loss", week="599.9"))
    yield Attempt("write more than the preset's part of the capital", "dave", live, limited("loss", week="600.1"),
                  "loosening limits.loss.week")  # fmt: skip
    yield Attempt("write a lower floor than the preset's", "dave", live, limited("account", balanceFloor="199"),
                  "loosening limits.account.balanceFloor")  # fmt: skip
    yield Attempt("a stricter preset", "dave", live, patched("tsys", spec={"limits": {"preset": "conservative"}}))
    yield Attempt("a looser preset", "dave", live, patched("tsys", spec={"limits": {"preset": "full"}}),
                  "loosening limits.preset")  # fmt: skip
    sectors = limited("position", sectors={"BTCUSDT": "payments"})
    yield Attempt("divide instruments into sectors", "dave", live, sectors, "loosening limits.position.sectors")
    yield Attempt("divide instruments into sectors with the verb", "bob", live, sectors)
    yield Attempt("limit correlation", "dave", live, limited("position", correlation="0.7"))
    yield Attempt("limit value at risk", "dave", live, limited("position", valueAtRisk="300"))
    yield Attempt("restrict an instrument", "dave", live, limited("rules", restricted=["BTCUSDT"]))
    yield Attempt("take an instrument off the restricted list", "dave", tight, limited("rules", restricted=["AUSDT"]),
                  "loosening limits.rules.restricted")  # fmt: skip
    yield Attempt("allow fewer types of orders", "dave", tight, limited("rules", types=["LIMIT"]))
    yield Attempt("allow more types of orders", "dave", tight, limited("rules", types=["LIMIT", "MARKET"]),
                  "loosening limits.rules.types")  # fmt: skip
    yield Attempt("trade at any time", "dave", tight, limited("rules", sessions=None),
                  "loosening limits.rules.sessions")  # fmt: skip
    yield Attempt("null a limit, back to a looser default", "dave", tight, order(collarBps=None),
                  "loosening limits.order.collarBps")  # fmt: skip
    yield Attempt("drop a limit that has no default", "dave", tight, order(quantityMax=None),
                  "loosening limits.order.quantityMax")  # fmt: skip
    yield Attempt("raise the capital", "dave", live, patched("tsys", spec={"capital": "10001"}), "loosening capital")
    yield Attempt("lower the goal", "dave", live, patched("tsys", spec={"goal": "Paper"}))
    yield Attempt("raise the goal", "dave", paper, patched("tsys", spec={"goal": "Canary"}), "loosening goal")
    yield Attempt("raise the goal as a trader", "alice", paper, patched("tsys", spec={"goal": "Live"}), "cannot patch")
    yield Attempt("make one that goes live", "dave", paper, fed("create", document=lambda n: live(f"{n}-b")), raising)
    yield Attempt("make one on paper", "dave", paper, fed("create", document=lambda n: paper(f"{n}-b")))
    yield Attempt("replace --force by looser limits", "dave", live, fed("replace", "--force", document=live), raising)
    yield Attempt("several at once are all named", "dave", live, patched("tsys", spec={"capital": "20000",
                  "limits": {"loss": {"day": "301"}}}), "loosening capital, limits.loss.day of")  # fmt: skip
    yield Attempt("add an account to a live system", "dave", live, fed("apply", "--server-side", "--force-conflicts",
                  document=second_venue), "loosening venues")  # fmt: skip


def leaving() -> Iterator[Attempt]:
    """Out of a switch's reach, and status."""
    unlabelled = patched("tsys", metadata={"labels": {"kill.ringfence.dev/desk": None}})
    yield Attempt("take the kill label off", "dave", live, unlabelled, "changing or removing a label kill.ringfence")
    yield Attempt("take the kill label off with the verb", "bob", live, unlabelled)
    yield Attempt("write another label", "dave", live, patched("tsys", metadata={"labels": {"team": "a"}}))
    yield Attempt("delete while its own switch is engaged", "dave", live, engaged_then(run("delete", "tsys", "NAME")))
    yield Attempt("delete from under a selector", "dave", live, selected_then(run("delete", "tsys", "NAME")),
                  "by its labels; deleting it needs verb release")  # fmt: skip
    yield Attempt("relabel from under a selector", "dave", worn, selected_then(
                  patched("tsys", metadata={"labels": {"desk": "other"}}), "desk"), "relabelling it needs")  # fmt: skip
    relabelled = patched("tsys", metadata={"labels": {"kill.ringfence.dev/desk": "x"}})
    yield Attempt("relabel from under a selector with the verb", "bob", live, selected_then(relabelled))
    yield Attempt("relabel from under two persons", "bob", live, selected_then(relabelled, twoPerson=True),
                  "takes two persons; release the switch first")  # fmt: skip
    status = {"conditions": [{"type": "Ready", "status": "True"}], "trading": "Active"}
    only = "only the Ringfence operator writes status"
    yield Attempt("write a system's status", "ned", live, patched("tsys", "--subresource=status", status=status), only)
    yield Attempt("write it as root", "root", live, patched("tsys", "--subresource=status", status=status), only)
    yield Attempt(
        "write it as the operator", OPERATOR.username, live, patched("tsys", "--subresource=status", status=status)
    )


def promotion(name: str, **spec: Any) -> Document:
    return {
        "apiVersion": api.API_VERSION,
        "kind": "Promotion",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "system": "momentum",
            "revision": "7f3a9c12",
            "stage": "Canary",
            "evaluation": "0c8f2a4e-1111-4222-8333-944445555666",
            "limitsRevision": "ab12cd34ef",
            "by": "bob",
            "reason": "a week on paper, read by two",
        }
        | spec,
    }


def evaluation(name: str) -> Document:
    spec = {"system": "momentum", "revision": "7f3a9c12", "stage": "Paper", "weight": 0}
    return {
        "apiVersion": api.API_VERSION,
        "kind": "Evaluation",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": spec,
    }


def promoting(**spec: Any) -> Act:
    return fed("create", document=lambda n: promotion(f"{n}-p", **spec))


def promoted_then(act: Act) -> Act:
    """On a Promotion that bob has made."""

    def both(server: Server, user: str, name: str) -> Done:
        server.make(promotion(name), user="bob")
        return act(server, user, name)

    return both


def approving() -> Iterator[Attempt]:
    """A person's approval, in the own name, of one step; and evidence, which is the operator's."""
    need = "promoting momentum needs verb promote on tradingsystems.ringfence.dev"
    yield Attempt("promote", "bob", evaluation, promoting())
    yield Attempt("promote without the verb", "ned", evaluation, promoting(by="ned"), need)
    yield Attempt("promote as a deployer", "dave", evaluation, promoting(by="dave"), "cannot create resource")
    yield Attempt("promote in another's name", "bob", evaluation, promoting(by="carol"), 'spec.by must be you: "bob"')
    yield Attempt("promote as a service account", OPERATOR.username, evaluation, promoting(by=OPERATOR.username),
                  "made by a person, not by a service account")  # fmt: skip
    yield Attempt("promote for longer than a week", "bob", evaluation, promoting(validFor="169h"), "at most 168h")
    yield Attempt("promote without evidence", "bob", evaluation, promoting(evaluation=None), "names the evidence")
    yield Attempt("raise limits without evidence", "bob", evaluation, promoting(evaluation=None, action="Raise"))
    never = "a Promotion never changes"
    yield Attempt("edit a Promotion", "ned", off, promoted_then(patched("promo", spec={"stage": "Live"})), never)
    yield Attempt(
        "edit a Promotion as root", "root", off, promoted_then(patched("promo", spec={"validFor": "48h"})), never
    )
    gone = run("patch", "promo/NAME", "--type=json", "-p", '[{"op":"remove","path":"/spec"}]')
    yield Attempt("remove a Promotion's spec", "ned", off, promoted_then(gone), "spec: Required value")
    yield Attempt("withdraw a Promotion", "bob", off, promoted_then(run("delete", "promo", "NAME")))
    ours = "only the Ringfence operator writes Evaluations"
    used = patched("promo", "--subresource=status", status={"state": "Waiting"})
    yield Attempt("answer a Promotion", "ned", off, promoted_then(used), ours)
    yield Attempt("answer it as the operator", OPERATOR.username, off, promoted_then(used))
    yield Attempt("forge an Evaluation", "ned", off, fed("create", document=lambda n: evaluation(f"{n}-e")), ours)
    good = patched("eval", "--subresource=status", status={"verdict": "Successful"})
    yield Attempt("write a verdict", "ned", evaluation, good, ours)
    yield Attempt("write a verdict as root", "root", evaluation, good, ours)
    yield Attempt("write a verdict as the operator", OPERATOR.username, evaluation, good)
    yield Attempt("change what an Evaluation is of", OPERATOR.username, evaluation,
                  patched("eval", spec={"stage": "Live"}), "what an Evaluation is of never changes")  # fmt: skip
    yield Attempt("delete evidence", "ned", evaluation, run("delete", "eval", "NAME"), ours)
    yield Attempt("collect evidence", GARBAGE, evaluation, run("delete", "eval", "NAME"))
    stages = [{"stage": "Paper", "duration": "1s"}, {"stage": "Live", "approval": "Automatic"}]
    yield Attempt("shorten the stages", "dave", live, patched("tsys", spec={"rollout": {"stages": stages}}),
                  "loosening rollout of")  # fmt: skip
    yield Attempt(
        "shorten the stages with the verb", "bob", live, patched("tsys", spec={"rollout": {"stages": stages}})
    )
    yield Attempt("drop the handover", "dave", live, patched("tsys", spec={"rollout": {"handover": "Flatten"}}),
                  "loosening rollout of")  # fmt: skip
    control = {"paused": True, "abort": "7f3a9c12", "retry": 3}
    yield Attempt("pause, abort, retry", "dave", live, patched("tsys", spec={"rollout": control}))


def config(name: str) -> Document:
    return owned("ConfigMap", name, data={"allocation": "1"})


def kill_map(name: str) -> Document:
    return owned("ConfigMap", f"{name}-kill-switch", data={"state": "1", "engage": "stop"})


def calm_map(name: str) -> Document:
    return owned("ConfigMap", f"{name}-kill-switch", data={"state": "1"})


def secret(name: str) -> Document:
    return owned("Secret", name, stringData={"token": "a"})


def lease(name: str) -> Document:
    return owned("Lease", name, spec={})


def network(name: str) -> Document:
    return owned("NetworkPolicy", name, spec={"podSelector": {}})


def owned_objects() -> Iterator[Attempt]:
    """What the operator made."""
    deleting = "deleting what the Ringfence operator made needs verb raise-limits"
    yield Attempt("edit a ConfigMap", "ned", config, patched("cm", data={"allocation": "2"}), MINE)
    yield Attempt("edit it as root", "root", config, patched("cm", data={"allocation": "2"}), MINE)
    yield Attempt("edit it as the operator", OPERATOR.username, config, patched("cm", data={"allocation": "2"}))
    yield Attempt("annotate it", "ned", config, patched("cm", metadata={"annotations": {"a": "b"}}))
    relabel = patched("cm", metadata={"labels": {"ringfence.dev/system": None}}, data={"allocation": "2"})
    yield Attempt("take its label off", "ned", config, relabel, MINE)
    yield Attempt("delete it", "ned", config, run("delete", "cm", "NAME"), deleting)
    yield Attempt("delete it as root", "root", config, run("delete", "cm", "NAME"))
    yield Attempt("collect it", GARBAGE, config, run("delete", "cm", "NAME"))
    yield Attempt("forge one", "ned", config, fed("create", document=lambda n: config(f"{n}-b")), MINE)
    yield Attempt("edit a Secret", "ned", secret, patched("secret", stringData={"token": "b"}), MINE)
    yield Attempt("edit a Lease", "ned", lease, patched("lease", spec={"holderIdentity": "me"}), MINE)
    yield Attempt("delete a Lease", "ned", lease, run("delete", "lease", "NAME"), deleting)
    yield Attempt("open the network", "ned", network, patched("netpol", spec={"ingress": [{}]}), MINE)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.com/b:1"}]}}}}
    yield Attempt("edit a Deployment", "ned", deployment, patched("deploy", **image), MINE)
    yield Attempt("scale it", "ned", deployment, run("scale", "deploy/NAME", "--replicas=2"), "an account has one")
    yield Attempt("scale it as root", "root", deployment, run("scale", "deploy/NAME", "--replicas=0"), "one of each")
    pod = patched("pod", metadata={"labels": {"ringfence.dev/gate": None}})
    yield Attempt("hide a gate's pod", "ned", config, lambda s, u, n: pod(s, u, f"{GATE}-0"), MINE)


def kill_maps_and_kinds() -> Iterator[Attempt]:
    """The ConfigMap that engages, and the kinds themselves."""
    only = "of this ConfigMap only data.engage is yours"
    engage = run("patch", "cm/NAME-kill-switch", *merge(data={"engage": "stop"}))
    clear = run("patch", "cm/NAME-kill-switch", *merge(data={"engage": None}))
    blank = run("patch", "cm/NAME-kill-switch", *merge(data={"engage": " "}))
    state = run("patch", "cm/NAME-kill-switch", *merge(data={"state": "2"}))
    yield Attempt("engage by ConfigMap", "ned", calm_map, engage)
    yield Attempt("clear what engages", "ned", kill_map, clear, "clearing data.engage needs verb release")
    yield Attempt("blank what engages", "ned", kill_map, blank, "clearing data.engage needs verb release")
    yield Attempt("clear it as root", "root", kill_map, clear)
    yield Attempt("write the mirrored state", "ned", kill_map, state, only)
    frozen = run("patch", "cm/NAME-kill-switch", *merge(immutable=True))
    yield Attempt("freeze it, so that nobody can engage", "ned", calm_map, frozen, only)
    yield Attempt("delete it while it engages", "ned", kill_map, run("delete", "cm", "NAME-kill-switch"), "deleting")
    yield Attempt("delete a kind", "ned", config, run("delete", "crd", "killswitches.ringfence.dev"),
                  "this deletes every object of the kind, engaged kill switches too")  # fmt: skip
    yield Attempt("delete a kind as root", "root", config, run("delete", "crd", "tradingsystems.ringfence.dev"),
                  "first annotate the CRD ringfence.dev/allow-deletion=yes")  # fmt: skip


ATTEMPTS: Final = (
    *engaging(),
    *letting_go(),
    *scopes(),
    *two_persons(),
    *loosening(),
    *leaving(),
    *approving(),
    *stages_that_cannot_work(),
    *owned_objects(),
    *kill_maps_and_kinds(),
)
