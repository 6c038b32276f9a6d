"""What a kill switch's status says, from the gates' own lines. Pure.

The operator only sums up. The proof is in the lines, which gates write themselves, with or without us.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ringfence_operator.rollout.conditions import Why, settled
from ringfence_operator.rollout.state import Condition, ConditionStatus

_RANK: Final = {"Active": 0, "ReduceOnly": 1, "Starting": 2, "Halted": 2, "Cancel": 3, "Flatten": 4}
"""How closed a gate says it is. Starting is as closed as Halted: nothing passes."""
NAMES_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One gate's line."""

    pod: str
    generation: int
    state: str
    working_orders: int | None
    """None = not known, which is not zero."""
    proven: bool
    """Two looks at the venue have proven that nothing covered works."""
    flat: bool = False
    naked: int = 0
    """Positions that no protective order covers entirely."""
    unhedged: int = 0
    """Hedges whose legs do not offset each other."""
    residue: str = ""
    flattening: str = ""
    """What Flatten is waiting for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the switch asks for."""

    generation: int
    severity: int
    """0 None, 1 ReduceOnly, 2 Halt, 3 Cancel, 4 Flatten."""
    word: str
    engaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    conditions: tuple[Condition, ...]
    gates_acknowledged: str
    """Such as ``2/2``."""
    working_orders: int | None
    """Sum over the gates; None where one does not know, or where nothing was asked."""
    complete: bool
    """Nothing is awaited any more."""


def line(found: Mapping[str, Any]) -> Line:
    """A line of ``status.gates``; what cannot be read proves nothing."""
    generation, working = found.get("generation"), found.get("workingOrders")
    return Line(
        pod=str(found.get("pod") or ""),
        generation=generation if isinstance(generation, int) else -1,
        state=str(found.get("state") or ""),
        working_orders=working if isinstance(working, int) and working >= 0 else None,
        proven=bool(found.get("provenAt")),
        flat=bool(found.get("flatAt")),
        naked=naked if isinstance(naked := found.get("nakedPositions"), int) else 0,
        unhedged=len(apart) if isinstance(apart := found.get("unhedged"), list) else 0,
        residue=str(found.get("residue") or ""),
        flattening=str(found.get("flattening") or ""),
    )


def acknowledged(asked: Asked, found: Line | None) -> bool:
    """Has this gate closed, for this generation or a later one, at least as far as was asked?"""
    if found is None or found.generation < asked.generation:
        return False
    return _RANK.get(found.state, -1) >= asked.severity


def summarize(
    asked: Asked, gates: frozenset[str], lines: Mapping[str, Line], before: tuple[Condition, ...], now: datetime
) -> Summary:
    """``gates``: the pods that could send orders now. Only they have to answer, and all of them have to."""
    closed = [pod for pod in sorted(gates) if acknowledged(asked, lines.get(pod))]
    waiting = sorted(gates - set(closed))
    counts = [lines[pod].working_orders if pod in lines else None for pod in sorted(gates)]
    working = None if None in counts else sum(count or 0 for count in counts)
    verdicts: list[tuple[str, ConditionStatus, Why]] = [
        ("Engaged", *_engaged(asked)),
        ("Acknowledged", *_acknowledged(asked, gates, waiting)),
        ("OrdersCanceled", *_canceled(asked, gates, waiting, working, lines)),
    ]
    if asked.engaged and asked.word == "Flatten":
        verdicts.append(("Flat", *_flat(gates, waiting, lines)))
    awaited = asked.severity > 0 and bool(gates) and any(v[1] != "True" for v in verdicts[1:])
    return Summary(
        conditions=tuple(settled(before, name, status, why, asked.generation, now) for name, status, why in verdicts),
        gates_acknowledged=f"{len(closed)}/{len(gates)}" if asked.severity else "",
        working_orders=working if asked.severity and gates else None,
        complete=not awaited or (asked.severity < 3 and not waiting),
    )


def _engaged(asked: Asked) -> tuple[ConditionStatus, Why]:
    if asked.engaged:
        return "True", Why("Engaged", f"action {asked.word}")
    if asked.severity:
        return "False", Why("Restricted", f"restrict {asked.word}")
    return "False", Why("Released", "neither engaged nor restricting")


def _acknowledged(asked: Asked, gates: frozenset[str], waiting: list[str]) -> tuple[ConditionStatus, Why]:
    if not asked.severity:
        return "False", Why("NotEngaged", "there is nothing to acknowledge")
    if not gates:
        return "Unknown", Why("NoGates", "no gate that this switch covers is running: nothing can prove it")
    if waiting:
        return "False", Why(
            "Waiting", f"{len(gates) - len(waiting)}/{len(gates)} closed; waiting for {_names(waiting)}"
        )
    return "True", Why("AllGatesClosed", f"{len(gates)}/{len(gates)} gates closed for generation {asked.generation}")


def _canceled(
    asked: Asked, gates: frozenset[str], waiting: list[str], working: int | None, lines: Mapping[str, Line]
) -> tuple[ConditionStatus, Why]:
    if asked.severity < 3:
        return "False", Why("NotAsked", "this setting leaves working orders alone")
    if not gates:
        return "Unknown", Why("NoGates", "no gate that this switch covers is running: nothing can prove it")
    if waiting:
        return "Unknown", Why("GatesOpen", f"waiting for {_names(waiting)}")
    unproven = [pod for pod in sorted(gates) if not lines[pod].proven]
    if working == 0 and not unproven:
        naked = sum(lines[pod].naked for pod in gates)
        told = f"; positions without a protective order: {naked}" if naked else ""
        apart = sum(lines[pod].unhedged for pod in gates)
        told += f"; hedges that miss a leg: {apart}" if apart else ""
        return "True", Why("NoneWorking", f"no order of ours works at any venue{told}")
    if working == 0:
        return "Unknown", Why("NotProven", f"our books show none; {_names(unproven)} has still to see so at the venue")
    if working is None:
        return "Unknown", Why("NotProven", "a gate does not know yet what works at its venue")
    return "False", Why("StillWorking", f"{working} orders may still execute")


def _flat(gates: frozenset[str], waiting: list[str], lines: Mapping[str, Line]) -> tuple[ConditionStatus, Why]:
    if not gates:
        return "Unknown", Why("NoGates", "no gate that this switch covers is running: nothing closes positions")
    if waiting:
        return "Unknown", Why("GatesOpen", f"waiting for {_names(waiting)}")
    found = [lines[pod] for pod in sorted(gates)]
    held_up = "; ".join(f"{one.pod}: {one.flattening}" for one in found if one.flattening)
    if all(one.flat for one in found):
        residue = "; ".join(one.residue for one in found if one.residue)
        return "True", Why("Flat", f"too small for the venue, left: {residue}" if residue else "nothing is held")
    return "False", Why("Waiting", held_up) if held_up else Why("Closing", "positions are being closed")


def _names(pods: list[str]) -> str:
    more = f" and {len(pods) - NAMES_MAX} more" if len(pods) > NAMES_MAX else ""
    return ", ".join(pods[:NAMES_MAX]) + more
