"""An order's life as people read it. Pure."""

from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ringfence.wire.explain import Life, Step

_COLOUR: Final = {"Passed": "green", "Refused": "red", "Unknown": "yellow"}
_GOOD: Final = frozenset({"Accepted", "Filled", "Updated", "Triggered"})
_BAD: Final = frozenset({"Denied", "Rejected", "OutcomeUnknown", "CancelRejected", "ModifyRejected", "FillBusted"})


def life(found: Life) -> RenderableType:
    """Who wanted what, what the gate decided and why, and every entry of the journal since."""
    lines: list[RenderableType] = [
        Text.assemble((found.client_order_id, "bold"), f"   {found.state}", (" (outcome unknown)", "red"))
        if found.unknown
        else Text.assemble((found.client_order_id, "bold"), f"   {found.state}"),
        _row("intent", f"{found.intent or 'not in this journal'}"),
        _row("from", f"track {found.track}, intent {found.intent_id or '-'}"),
        *(_row("why", sentence) for sentence in found.why),
        _row("gate", found.gate),
        _decision(found),
    ]
    lines += [Padding(Text(reason, style="red"), (0, 0, 0, 12)) for reason in found.reasons]
    if found.venue_order_id:
        lines.append(_row("venue", f"order {found.venue_order_id}"))
    if found.filled != "0":
        lines.append(_row("filled", f"{found.filled} at {found.average} on average"))
    lines.append(Text())
    lines.append(_journal(found.steps))
    if found.truncated:
        lines.append(Text(f"only the first {len(found.steps)} entries are shown", style="yellow"))
    return Group(*lines)


def _row(name: str, value: str) -> Text:
    return Text.assemble((f"  {name:<10}", "dim"), value)


def _decision(found: Life) -> Text:
    told = {
        "Passed": f"passed under {found.grant}, allocation {found.allocation}, guard epoch {found.epoch}",
        "Refused": f"refused: {len(found.reasons)} failed check{'s' if len(found.reasons) != 1 else ''}",
        "Unknown": "no decision of this gate is in its journal",
    }[found.decision]
    return Text.assemble(("  decision  ", "dim"), (told, _COLOUR[found.decision]))


def _journal(steps: tuple[Step, ...]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("journal", justify="right", style="dim")
    table.add_column("UTC")
    table.add_column("after ms", justify="right", style="dim")
    table.add_column("event")
    table.add_column("what", overflow="fold")
    before = steps[0].ts if steps else 0
    for step in steps:
        style = "green" if step.event in _GOOD else "red" if step.event in _BAD else ""
        what = Text(step.detail)
        if step.anomaly:
            what.append(f"{' ' if step.detail else ''}! {step.anomaly}", style="bold red")
        table.add_row(
            str(step.sequence), _clock(step.ts), f"{(step.ts - before) / 1e6:.3f}", Text(step.event, style=style), what
        )
    return table


def _clock(ts: int) -> str:
    moment = datetime.fromtimestamp(ts // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ts % 1_000_000_000 // 1000:06d}"
