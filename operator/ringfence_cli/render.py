"""Values to what people read, and to documents for programs. Pure but for `document`, which prints."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import yaml
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ringfence_cli import approve, direct, doctor, stop, view, wanted


class Output(StrEnum):
    JSON = "json"
    YAML = "yaml"


def plain(value: Any) -> Any:
    """Dataclasses as documents with camel-case keys, as Kubernetes writes them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_camel(field.name): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    return value


def document(value: Any, output: Output) -> None:
    if output is Output.JSON:
        print(json.dumps(plain(value), indent=2))
    else:
        print(yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True), end="")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def status_tree(seen: view.System) -> Tree:
    """The system at a glance: what it is, its tracks, services, gates, and what stops it."""
    if not seen.exists:
        tree = Tree(f"[bold]{escape(seen.name)}[/]   [red]no such TradingSystem in {escape(seen.namespace)}[/]")
        _add_switches(tree, seen)
        return tree
    goal = f"{seen.goal or 'no'} goal · {seen.capital} {seen.currency}".strip()
    where = " ".join((*seen.venues, *seen.instruments))
    colour = "green" if seen.trading == "Active" else "red"
    tree = Tree(f"[bold]{escape(seen.name)}[/]   {escape(f'{goal} · {where}')}   trading: [{colour}]{seen.trading}[/]")
    for track in seen.tracks:
        since = f"since {escape(track.since)}" if track.since else ""
        told = f"{track.name:<10} {track.revision:<10} {track.weight:>3}%  {track.stage:<7} {since}"
        node = tree.add(f"{told.rstrip()} [dim]{escape(track.image)}[/]".rstrip())
        if seen.rollout is not None and track.revision == seen.rollout.revision and track.name != "shadow":
            _add_rollout(node, seen.rollout)
    _add_services(tree, seen)
    gates = tree.add("gates" if seen.gates else "gates: [red]none has said anything[/]")
    for line in seen.gates:
        gates.add(_gate(line))
    _add_switches(tree, seen)
    for condition in seen.conditions:
        if condition.type == "Ready":
            good = condition.status == "True"
            mark = (
                "[green]Ready[/]"
                if good
                else f"[red]not ready[/] {escape(condition.reason)}: {escape(condition.message)}"
            )
            tree.add(mark)
        elif condition.type == "Exposed" and condition.status == "True":
            tree.add(f"[red]exposed[/] {escape(condition.message)}")
    return tree


_MARKS = {
    "Successful": "[green]✔[/]",
    "Inconclusive": "[yellow]●[/]",
    "NoData": "[yellow]○[/]",
    "Error": "[yellow]![/]",
    "Failed": "[red]✘[/]",
}


def _add_rollout(node: Tree, found: view.Rollout) -> None:
    """What the revision waits for, and each metric: one line of it, the worst first."""
    if found.failure:
        node.add(f"[red]stopped[/] {escape(found.failure)}")
    elif found.next:
        doing = "bakes, " if found.baking else ""
        waits = f" waits for {escape(found.waits_for)}" if found.waits_for else ""
        node.add(f"{doing}{timedelta(seconds=found.session_s)} in session; next: [bold]{escape(found.next)}[/]{waits}")
    order = list(_MARKS)
    for metric in sorted(found.metrics, key=lambda one: -order.index(one.verdict) if one.verdict in order else 0):
        mark = _MARKS.get(metric.verdict, "?")
        node.add(f"{mark} {escape(metric.name):<26} {escape(metric.value):>10}   {escape(metric.reason)}")


def _add_services(tree: Tree, seen: view.System) -> None:
    if seen.services is None:
        tree.add("services: [dim]you may not read workloads here[/]")
        return
    node = tree.add("services" if seen.services else "services: [red]none[/]")
    for service in seen.services:
        well = service.ready >= service.desired
        why = f"   {escape(service.waiting_for)}" if service.waiting_for else ""
        node.add(f"{'[green]✔[/]' if well else '[red]○[/]'} {service.name}  {service.ready}/{service.desired}{why}")


def _add_switches(tree: Tree, seen: view.System) -> None:
    for switch in seen.kill_switches:
        if switch.severity == "None":
            tree.add(f"kill switch {switch.name}: not engaged")
        else:
            why = f"  {escape(switch.reason)}" if switch.reason else ""
            part = "" if switch.scope == "everything" else f" of {escape(switch.scope)}"
            tree.add(f"[red]kill switch {switch.name}: {switch.severity}{part}[/]{why}")


def _gate(line: view.Gate) -> str:
    colour = "green" if line.state == "Active" else "red"
    working = "orders unknown" if line.working_orders is None else f"{line.working_orders} working"
    why = f"   {escape(line.reason)}" if line.reason else ""
    held = "" if line.state == "Active" else escape(_held(line))
    return f"{line.pod}  [{colour}]{line.state}[/]  {working}{held}{why}"


def _held(line: view.Gate) -> str:
    """Positions, how many of them stand naked, and which miss their hedge: what a stop leaves open."""
    bare = f", {line.naked} without protection" if line.naked else ""
    bare += f"; unhedged: {'; '.join(line.unhedged)}" if line.unhedged else ""
    return f"   holds {', '.join(line.positions)}{bare}" if line.positions else ""


def gate_line(line: view.Gate) -> Text:
    """One gate's answer to a kill, as `kill` prints it."""
    latency = f"{line.latency_ms} ms" if line.latency_ms else ""
    working = "orders unknown" if line.working_orders is None else f"{line.working_orders} working"
    lost = "   NOT DURABLE: a restart forgets its latch" if line.latch == "NotDurable" else ""
    closing = f"   {line.flattening}" if line.flattening else "   flat" if line.flat_at else ""
    return Text(f"  {line.pod:<44} {line.state:<10} {latency:>10}   {working}{_held(line)}{closing}{lost}")


def released(switch: str, held: Sequence[stop.Latch]) -> Text:
    """What a release has ended, and where to look next."""
    then = f"released; its gates start up again: kubectl ringfence doctor {wanted.system_of(switch) or 'SYSTEM'}"
    return Text("\n").join([*map(latch_line, held), Text(then)])


def latch_line(latch: stop.Latch) -> Text:
    """What became of one latched stop."""
    if latch.released_by:
        return Text(f"  {latch.pod:<44} released by {latch.released_by}: {latch.reason}")
    return Text(f"  {latch.pod:<44} STILL LATCHED, or latched again: {latch.reason}", style="red")


def direct_line(outcome: direct.Outcome) -> Text:
    answer = outcome.answer
    if answer is None:
        return Text(f"  {outcome.gate:<44} {outcome.error}", style="red")
    name = f"{outcome.gate} {answer.pod}".strip()
    lost = "" if answer.durable else "   NOT DURABLE: a restart of the gate forgets it; engage the kill switch too"
    took = f"{answer.latency_ms} ms"
    return Text(f"  {name:<44} {answer.state:<10} {took:>10}   {answer.working_orders} working{lost}")


def kill_verdict(found: stop.Progress, generation: int) -> str:
    """The last line of `kill`: what is proven, and what is not."""
    total = [line for line in found.switch.gates if line.pod not in found.waiting and line.generation >= generation]
    latencies = [float(line.latency_ms) for line in total if line.latency_ms]
    if found.waiting:
        return f"NOT acknowledged by {', '.join(found.waiting)}; it stays engaged. Without the API server: --direct"
    slowest = f" in {max(latencies):g} ms" if latencies else ""
    if found.working:
        return f"all gates closed{slowest}; orders may still work at {', '.join(found.working)}"
    return f"all gates acknowledged{slowest}, no order working" if total else "no gate of it runs: nothing can trade"


def offer(system: str, found: approve.Offer) -> Tree:
    """What an approval would be for, and on what evidence."""
    tree = Tree(f"[bold]{escape(system)}[/]   revision {found.revision} into [bold]{escape(found.step)}[/]")
    tree.add(f"limits {found.limits}")
    node = tree.add(f"evidence {escape(found.evaluation)}: {found.verdict}")
    for name, verdict, value, reason in found.metrics:
        node.add(f"{_MARKS.get(verdict, '?')} {escape(name):<26} {escape(value):>10}   {escape(reason)}")
    if found.waits_for:
        tree.add(f"waits for {escape(found.waits_for)}")
    return tree


def findings(found: Sequence[doctor.Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for number, finding in enumerate(found, 1):
        table.add_row(f"{number}.", Text(finding.reason, style="bold"), Text(f"{finding.message}\n→ {finding.remedy}"))
    return table
