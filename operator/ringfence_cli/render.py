"""Values to what people read, and to documents for programs. Pure but for `document`, which prints."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import yaml
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ringfence_cli import direct, doctor, stop, view


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
        tree.add(
            f"{track.name:<10} {track.revision:<10} {track.weight:>3}%  {track.stage:<7} [dim]{escape(track.image)}[/]"
        )
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
    return tree


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
            tree.add(f"[red]kill switch {switch.name}: {switch.severity}[/]{why}")


def _gate(line: view.Gate) -> str:
    colour = "green" if line.state == "Active" else "red"
    working = "orders unknown" if line.working_orders is None else f"{line.working_orders} working"
    why = f"   {escape(line.reason)}" if line.reason else ""
    return f"{line.pod}  [{colour}]{line.state}[/]  {working}{why}"


def gate_line(line: view.Gate) -> Text:
    """One gate's answer to a kill, as `kill` prints it."""
    latency = f"{line.latency_ms} ms" if line.latency_ms else ""
    working = "orders unknown" if line.working_orders is None else f"{line.working_orders} working"
    return Text(f"  {line.pod:<44} {line.state:<10} {latency:>10}   {working}")


def direct_line(outcome: direct.Outcome) -> Text:
    answer = outcome.answer
    if answer is None:
        return Text(f"  {outcome.gate:<44} {outcome.error}", style="red")
    name = f"{outcome.gate} {answer.pod}".strip()
    return Text(f"  {name:<44} {answer.state:<10} {answer.latency_ms + ' ms':>10}   {answer.working_orders} working")


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


def findings(found: Sequence[doctor.Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for number, finding in enumerate(found, 1):
        table.add_row(f"{number}.", Text(finding.reason, style="bold"), Text(f"{finding.message}\n→ {finding.remedy}"))
    return table
