"""The commands: what is asked, what is printed, and the exit code. 0 done and proven, 1 not, 2 could not ask."""

import asyncio
import base64
import getpass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from rich.live import Live

from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import KILL_TOKEN_FILE
from ringfence.wire.byhand import HandRequest
from ringfence.wire.stops import TRACKS, Scope
from ringfence_cli import approve, byhand, connect, direct, explain, facts, life, render, stop, view
from ringfence_cli import doctor as diagnosis
from ringfence_cli import wanted as wanted_stop
from ringfence_cli.parameters import Context, Format, MaybeSystem, Namespace, System, Timeout, instruments, venues
from ringfence_cli.terminal import CANNOT_ASK, NOT_PROVEN, err, fail, out, quietly, run, say
from ringfence_operator.desired import labels, plan
from ringfence_operator.limits import scaled

REFRESH_S: Final = 1.0

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run, look at and stop trading systems. Uses --context, else the current context of KUBECONFIG.",
)


@app.callback()
def _group() -> None:
    """Keeps subcommands subcommands, however few there are."""


@app.command()
def status(
    system: System,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and refresh each second.")] = False,
    context: Context = None,
    namespace: Namespace = None,
    output: Format = None,
) -> None:
    """What runs, in which stage, and whether it trades. Exits 1 where there is no such system."""

    async def ask(client: KubeClient, cluster: connect.Cluster) -> view.System:
        seen = view.system(await facts.gather(client, system, cluster.namespace))
        if not watch or output is not None:
            return seen
        with Live(render.status_tree(seen), console=out, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(REFRESH_S)
                seen = view.system(await facts.gather(client, system, cluster.namespace))
                live.update(render.status_tree(seen), refresh=True)

    seen = run(context, namespace, ask)
    if output is not None:
        render.document(seen, output)
    else:
        out.print(render.status_tree(seen))
    raise typer.Exit(0 if seen.exists else NOT_PROVEN)


@app.command()
def doctor(system: System, context: Context = None, namespace: Namespace = None, output: Format = None) -> None:
    """Why is it not trading? The likeliest cause first. Exits 1 where something stands in the way."""

    async def ask(client: KubeClient, cluster: connect.Cluster) -> view.System:
        return view.system(await facts.gather(client, system, cluster.namespace))

    found = diagnosis.diagnose(run(context, namespace, ask))
    if output is not None:
        render.document(found, output)
    elif found:
        out.print(render.findings(found))
    else:
        say(f"nothing stands in the way of {system}: gates are Active; what it does now is its strategy's decision")
    raise typer.Exit(NOT_PROVEN if found else 0)


@app.command("explain")
def explain_(
    order: Annotated[str, typer.Argument(help="Client order id, or the intent id of a refused intent.")],
    system: Annotated[str, typer.Option("--system", help="Only gates of this TradingSystem.")] = "",
    gate: Annotated[list[str] | None, typer.Option("--gate", help="host:port of a gate's documents.")] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Format = None,
) -> None:
    """An order's whole life: the intent, the gate's decision and why, the venue's answers, fills, anomalies.

    Exits 1 where no gate knows it, 2 where one that might could not be asked.
    """
    if gate:
        found = asyncio.run(explain.straight(gate, order))
    else:
        found = run(
            context,
            namespace,
            lambda client, cluster: explain.through_api(client, cluster.namespace, order, system),
        )
    if output is not None:
        render.document([msgspec.to_builtins(one) for one in found.lives], output)
    for one in found.lives if output is None else ():
        out.print(life.life(one))
    for name, why in found.failed:
        err.print(f"{name} could not be asked: {why}", style="red", markup=False, soft_wrap=True)
    if not found.lives:
        asked = ", ".join(found.asked) or "no gate runs here"
        err.print(f"no order {order!r} in the journals of: {asked}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(0 if found.lives else CANNOT_ASK if found.failed else NOT_PROVEN)


@app.command()
def kill(
    system: MaybeSystem = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; shown to everybody. Never needed.")] = "",
    action: Annotated[
        str,
        typer.Option(
            "--action",
            help="Cancel or Flatten; default: what the switch says.",
            autocompletion=lambda: ["Cancel", "Flatten"],
        ),
    ] = "",
    flatten: Annotated[bool, typer.Option("--flatten", help="Close positions too: --action Flatten.")] = False,
    protective: Annotated[
        str,
        typer.Option(
            "--protective",
            help="Keep or Cancel orders that protect positions; default: what the switch says.",
            autocompletion=lambda: ["Keep", "Cancel"],
        ),
    ] = "",
    instrument: Annotated[
        list[str] | None,
        typer.Option("--instrument", help="Only this symbol. Repeatable.", autocompletion=instruments),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", help="Only this track. Repeatable.", autocompletion=lambda: [*TRACKS]),
    ] = None,
    venue: Annotated[
        list[str] | None,
        typer.Option("--venue", help="Only at this venue. Repeatable.", autocompletion=venues),
    ] = None,
    namespace_wide: Annotated[bool, typer.Option("--namespace-wide", help="Every system of the namespace.")] = False,
    direct_: Annotated[bool, typer.Option("--direct", help="Straight to the gates, without the API server.")] = False,
    gate: Annotated[list[str] | None, typer.Option("--gate", help="With --direct: host:port of a gate.")] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="With --direct: the kill token.")] = None,
    timeout: Timeout = 10.0,
    context: Context = None,
    namespace: Namespace = None,
    output: Format = None,
) -> None:
    """Stop it: every gate closes and working orders are cancelled. Exits 0 only when each gate has proven it."""
    wanted = _wanted(
        system if not namespace_wide else "",
        Scope(venues=tuple(venue or ()), instruments=tuple(instrument or ()), tracks=tuple(track or ())),
        "Flatten" if flatten else action,
        protective,
        reason,
        everywhere=namespace_wide,
    )
    if direct_:
        _kill_direct(wanted, gate or [], token_file, timeout, context, namespace, output)

    async def act(client: KubeClient, cluster: connect.Cluster) -> tuple[stop.Progress, int]:
        return await _kill(client, cluster, wanted, timeout, quiet=output is not None)

    found, generation = run(context, namespace, act)
    if output is not None:
        render.document({"engaged": True, "generation": generation, "proven": found.proven, "progress": found}, output)
    else:
        say(render.kill_verdict(found, generation), style="green" if found.proven else "red")
    raise typer.Exit(0 if found.proven else NOT_PROVEN)


def _wanted(
    system: str, scope: Scope, action: str, protective: str, reason: str, *, everywhere: bool
) -> wanted_stop.Wanted:
    """From options; what nobody could mean is refused before anything is sent."""
    if not system and not everywhere:
        raise typer.BadParameter("name a system, or say --namespace-wide", param_hint="SYSTEM")
    if action not in {"", "Cancel", "Flatten"}:
        raise typer.BadParameter(f"{action!r}: Cancel or Flatten", param_hint="--action")
    if protective not in {"", "Keep", "Cancel"}:
        raise typer.BadParameter(f"{protective!r}: Keep or Cancel", param_hint="--protective")
    try:
        part = wanted_stop.scope(scope.venues, scope.instruments, scope.tracks)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--track") from error
    return wanted_stop.Wanted(system, part, action, protective, reason)


async def _kill(
    client: KubeClient,
    cluster: connect.Cluster,
    wanted: wanted_stop.Wanted,
    timeout_s: float,
    *,
    quiet: bool,
) -> tuple[stop.Progress, int]:
    """Patch first; whatever else one would like to know comes after."""
    engaged = await stop.engage(client, wanted, cluster.namespace)
    generation = int(engaged["metadata"]["generation"])
    if not quiet:
        who = await quietly(facts.whoami(client))
        say(f"engaged{f' by {who}' if who else ''} in {cluster.context}, namespace {cluster.namespace}")
    expected = await stop.gate_pods(client, engaged, cluster.namespace)
    latest = stop.progress(view.switch(engaged), generation, expected)
    shown: set[str] = set()

    def judge(switch: view.Switch) -> bool:
        nonlocal latest
        latest = stop.progress(switch, generation, expected)
        # where pods may not be listed, no line at all proves nothing
        return latest.proven and not (expected is None and not switch.gates)

    def show(switch: view.Switch) -> None:
        for line in switch.gates:
            told = render.gate_line(line)
            if line.generation >= generation and told.plain not in shown and not quiet:
                shown.add(told.plain)
                say(told)

    done = await stop.until(client, wanted.name, cluster.namespace, judge, show, timeout_s)
    if not done and latest.proven:
        latest = stop.Progress(latest.switch, ("its gates: they cannot be listed, and none has answered",), ())
    return latest, generation


def _kill_direct(
    wanted: wanted_stop.Wanted,
    gates: list[str],
    token_file: Path | None,
    timeout_s: float,
    context: str | None,
    namespace: str | None,
    output: render.Output | None,
) -> NoReturn:
    """Each gate's own endpoint. The API server is asked only for what was not given."""
    try:
        addresses = [direct.address(text) for text in gates]
        token = token_file.read_bytes().strip() if token_file else b""
    except (OSError, ValueError) as error:
        fail(str(error))
    if token and addresses:
        gates_and_tokens = dict.fromkeys(addresses, token)
    elif addresses:
        fail("with --gate, give its token too: --token-file")
    else:
        gates_and_tokens = run(
            context, namespace, lambda client, cluster: _direct_access(client, wanted.system, cluster.namespace, token)
        )
    if not gates_and_tokens:
        fail(f"no gate of {wanted.system or 'any system'} runs; name one with --gate host:port if you know better")

    def seen(outcome: direct.Outcome) -> None:
        if output is None:
            say(render.direct_line(outcome))

    outcomes = asyncio.run(
        direct.stop(
            gates_and_tokens,
            severity=wanted.action or "Cancel",
            scope=wanted.scope,
            protective=wanted.protective or "Keep",
            reason=wanted.reason,
            by=getpass.getuser(),
            clock=SystemClock(),
            timeout_s=timeout_s,
            seen=seen,
        )
    )
    proven = all(outcome.proven for outcome in outcomes)
    if output is not None:
        render.document({"proven": proven, "gates": [_outcome(outcome) for outcome in outcomes]}, output)
    elif proven:
        say("all gates closed, no order working; latched until the kill switch is engaged and released", style="green")
    else:
        failed = ", ".join(outcome.gate for outcome in outcomes if not outcome.proven)
        say(f"NOT proven at {failed}", style="red")
    raise typer.Exit(0 if proven else NOT_PROVEN)


@app.command()
def cancel(
    system: System,
    order: Annotated[str, typer.Argument(help="Client or venue order id.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the gate's journal.")],
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Cancel one working order by hand, at the gate that has it."""
    _by_hand(system, context, namespace, {"action": "cancel", "order": order, "reason": reason})


@app.command()
def close(
    system: System,
    symbol: Annotated[str, typer.Argument(help="Instrument whose position to close.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the gate's journal.")],
    quantity: Annotated[str, typer.Option("--quantity", help="How much, base asset; default: all of it.")] = "0",
    track: Annotated[str, typer.Option("--track", help="Whose, where several tracks hold it.")] = "",
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Close one position at the market by hand. It passes the gate like any order, and can only reduce."""
    try:
        size = scaled(quantity)
    except (ValueError, ArithmeticError):
        raise typer.BadParameter(f"{quantity!r} is no quantity", param_hint="--quantity") from None
    wanted = {"action": "close", "symbol": symbol, "quantity": size, "track": track, "reason": reason}
    _by_hand(system, context, namespace, wanted)


def _by_hand(system: str, context: str | None, namespace: str | None, fields: dict[str, Any]) -> NoReturn:
    async def find(client: KubeClient, cluster: connect.Cluster) -> dict[str, bytes]:
        # a position on paper has the same name: what trades for real comes first
        live = await _direct_access(client, system, cluster.namespace, b"", "execution")
        return (
            live
            if live and fields["action"] == "close"
            else await _direct_access(client, system, cluster.namespace, b"")
        )

    gates = run(context, namespace, find)
    if not gates:
        fail(f"no gate of {system} runs")
    request = HandRequest(by=getpass.getuser(), ts=SystemClock().wall_ns(), **fields)
    told = asyncio.run(byhand.ask(gates, request))
    done = any(one.answer is not None and one.answer.done for one in told)
    for one in told:
        say(one.line, style="" if one.answer is not None else "red")
    raise typer.Exit(0 if done else NOT_PROVEN)


def _outcome(outcome: direct.Outcome) -> dict[str, object]:
    answer = outcome.answer
    if answer is None:
        return {"gate": outcome.gate, "error": outcome.error}
    return {
        "gate": outcome.gate,
        "pod": answer.pod,
        "state": answer.state,
        "closedAt": answer.closed_at,
        "latencyMs": answer.latency_ms,
        "workingOrders": answer.working_orders,
    }


async def _direct_access(
    client: KubeClient, system: str, namespace: str, token: bytes, component: str = ""
) -> dict[str, bytes]:
    """Addresses of the gates (of one component only) and the token of each, while the API server still answers."""
    selector = f"{labels.SYSTEM}={system},{facts.GATES}" if system else facts.GATES
    selector += f",{labels.COMPONENT}={component}" if component else ""
    pods = await client.list(resources.POD, namespace, label_selector=selector)
    tokens: dict[str, bytes] = {}
    found: dict[str, bytes] = {}
    for pod in pods.items:
        address, venue = (pod.get("status") or {}).get("podIP"), facts.labels_of(pod).get(labels.VENUE, "")
        if not address:
            continue
        secret = plan.kill_token_secret(facts.labels_of(pod).get(labels.SYSTEM, system), venue)
        if secret not in tokens:
            tokens[secret] = token or await _token(client, secret, namespace)
        found[direct.address(str(address))] = tokens[secret]
    return found


async def _token(client: KubeClient, secret: str, namespace: str) -> bytes:
    data = (await client.get(resources.SECRET, secret, namespace)).get("data") or {}
    return base64.b64decode(data.get(KILL_TOKEN_FILE.name, "")).strip()


@app.command()
def release(
    system: System,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why it is safe to go on.")],
    latched: Annotated[
        bool,
        typer.Option("--latched", help="A direct kill or a breaker is latched: engage once, then release."),
    ] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Only ask, where the switch takes two persons.")] = False,
    timeout: Timeout = 10.0,
    context: Context = None,
    namespace: Namespace = None,
    output: Format = None,
) -> None:
    """Release the kill switch. Gates then start up again (reconciled, fresh data, Lease) before they trade."""
    if not reason.strip():
        raise typer.BadParameter("say why it is safe to go on", param_hint="--reason")
    if ask:
        _ask(system, reason, context, namespace, output)

    async def act(client: KubeClient, cluster: connect.Cluster) -> tuple[bool, int, tuple[stop.Latch, ...]]:
        held: tuple[stop.Latch, ...] = ()
        if latched:
            again = wanted_stop.Wanted(system, reason=reason)
            found, engaged = await _kill(client, cluster, again, timeout, quiet=output is not None)
            held = stop.latches(found.switch, engaged)
            if not found.closed:
                return False, found.switch.generation, held
        released = await stop.release(client, system, cluster.namespace, reason=reason)
        return True, int(released["metadata"]["generation"]), await stop.let_go(client, released, held, timeout)

    done, generation, held = run(context, namespace, act)
    if output is not None:
        render.document({"released": done, "generation": generation, "latches": held}, output)
    elif done:
        say(render.released(system, held))
    else:
        say("NOT released: a gate has not seen the engaged switch, so its latch would hold", style="red")
    raise typer.Exit(0 if done else NOT_PROVEN)


def _ask(
    system: str, reason: str, context: str | None, namespace: str | None, output: render.Output | None
) -> NoReturn:
    """The first of two persons. Nothing is released."""
    asked = run(context, namespace, lambda client, cluster: stop.ask(client, system, cluster.namespace, reason=reason))
    who = str(asked["spec"].get("releaseRequestedBy") or "")
    if output is not None:
        render.document({"released": False, "requestedBy": who}, output)
    else:
        say(f"asked by {who}; somebody else releases: ringfence release {system} --reason WHY")
    raise typer.Exit(0 if who else NOT_PROVEN)


@app.command()
def promote(
    system: System,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the approval.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after showing the evidence.")] = False,
    context: Context = None,
    namespace: Namespace = None,
    output: Format = None,
) -> None:
    """Approve the next step on the evidence shown. Exits 1 where there is nothing to approve, or nobody said yes."""
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")

    async def ask(client: KubeClient, cluster: connect.Cluster) -> approve.Offer:
        return approve.offer((await approve.read(client, system, cluster.namespace)).get("status") or {})

    found = run(context, namespace, ask)
    if output is None:
        out.print(render.offer(system, found))
    if not yes and not typer.confirm(f"Approve {found.step} for revision {found.revision} with limits {found.limits}?"):
        raise typer.Exit(NOT_PROVEN)
    made = run(
        context,
        namespace,
        lambda client, cluster: approve.approve(client, system, cluster.namespace, found, reason),
    )
    if output is not None:
        render.document(made, output)
    else:
        say(f"approved by {made['spec']['by']}: {made['metadata']['name']}; it is used once all else is there")


def _steer(system: str, change: str, context: str | None, namespace: str | None) -> None:
    say(run(context, namespace, lambda client, cluster: approve.steer(client, system, cluster.namespace, change)))


@app.command()
def pause(system: System, context: Context = None, namespace: Namespace = None) -> None:
    """Hold the rollout where it is. Failures still demote; trading goes on."""
    _steer(system, "pause", context, namespace)


@app.command()
def resume(system: System, context: Context = None, namespace: Namespace = None) -> None:
    """Let a paused rollout go on."""
    _steer(system, "resume", context, namespace)


@app.command()
def abort(system: System, context: Context = None, namespace: Namespace = None) -> None:
    """Take the revision on its way back to Paper, where it stays until it is retried. Stable is not affected."""
    _steer(system, "abort", context, namespace)


@app.command()
def retry(system: System, context: Context = None, namespace: Namespace = None) -> None:
    """Let a failed or aborted revision try again, from where it is. It skips nothing."""
    _steer(system, "retry", context, namespace)


if __name__ == "__main__":
    app()
