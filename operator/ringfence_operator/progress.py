"""How far the rising revision has come, by what its gates and its Evaluation say. Pure.

Whatever is not there, not readable or not of this very revision says nothing, and nothing never lets anything rise.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ringfence.runtime import config
from ringfence.wire.tracks import TracksReport
from ringfence_operator import records
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.measure import Subject
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.limits import scaled
from ringfence_operator.rollout import queries
from ringfence_operator.rollout.state import EvaluationSeen, HandoverSeen, State, TrackState
from ringfence_operator.rollout.turn import evaluation_name


@dataclass(frozen=True, slots=True)
class Traded:
    """What the rising revision has done since its step began; None = not known."""

    orders: int | None = None
    episodes: int | None = None


NOTHING_KNOWN: Final = Traded()


def evaluation(system: TradingSystem, state: State, seen: Seen) -> EvaluationSeen | None:
    """The Evaluation of the rising track's present step."""
    name = evaluation_name(state)
    return records.evaluation_seen(system.metadata.name, name, seen.evaluations) if name else None


def report_of(seen: Seen, *, paper: bool) -> TracksReport | None:
    """What the first gate of that sort says."""
    return next((report for report in seen.reports if report.paper is paper), None)


def fresh(state: State, seen: Seen) -> bool:
    """Does the rising track's gate say now that it is Active, which takes fresh data, and that the track may trade?"""
    rising = state.rising
    if rising is None:
        return False
    report = report_of(seen, paper=rising.weight == 0)
    if report is None or report.state != "Active" or report.stale:
        return False
    return any(track.revision == rising.revision and track.allowed for track in report.tracks)


def handovers_seen(state: State, seen: Seen) -> tuple[HandoverSeen, ...]:
    """Of those that were asked for, what all executions say together: Done where all of them have done it."""
    executions = [report for report in seen.reports if not report.paper]
    wanted = sum(1 for pod in seen.pods if pod.service == "execution" and not pod.deleting)
    found = []
    for asked in state.handovers:
        said = [one for report in executions for one in report.handovers if one.id == asked.id]
        refused = next((one for one in said if one.state == "Refused"), None)
        if refused is not None:
            found.append(HandoverSeen(id=asked.id, state="Refused", message=refused.reason))
        elif said and len(said) >= max(1, wanted) and all(one.state == "Done" for one in said):
            found.append(HandoverSeen(id=asked.id, state="Done"))
        elif said:
            reason = next((one.reason for one in said if one.reason), "")
            found.append(HandoverSeen(id=asked.id, state="Waiting", message=reason))
    return tuple(found)


def adopts(state: State, seen: Seen) -> bool | None:
    """Does the candidate's strategy have on_adopt, as far as a gate has heard?"""
    candidate = state.candidate
    if candidate is None:
        return None
    said = [track for report in seen.reports for track in report.tracks if track.revision == candidate.revision]
    known = [track.adopts for track in said if track.adopts is not None]
    return known[0] if known else None


def starved(state: State, seen: Seen) -> str | None:
    """By which limit the candidate, which has weight, gets nothing; empty where it gets something."""
    candidate, report = state.candidate, report_of(seen, paper=False)
    if candidate is None or candidate.weight == 0 or report is None:
        return None
    return next((track.starved for track in report.tracks if track.name == config.CANDIDATE), "")


def min_notional(system: TradingSystem, seen: Seen) -> int | None:
    """Smallest order value that a venue takes, as its gates read its rules, the largest where they differ; where none
    answers, as they last told."""
    said = [scaled(report.min_notional) for report in seen.reports if report.min_notional]
    known = system.status.min_notional
    return max(said) if said else None if known is None else scaled(known)


def subject(system: TradingSystem, state: State, now: datetime) -> Subject | None:
    """What the queries of a measurement are filled in with; None where nothing is on its way."""
    rising, stable = state.rising, state.stable
    if rising is None:
        return None

    def filled(track: TrackState, name: str) -> dict[str, str]:
        return {
            "namespace": system.metadata.namespace,
            "system": system.metadata.name,
            "track": name,
            "revision": track.revision,
            "stage": track.stage.value,
            "gate": "paper" if track.weight == 0 else "execution",
            "window": queries.window((now - rising.since).total_seconds()),
        }

    beside = stable if state.candidate is not None and stable is not None and stable.weight > 0 else None
    return Subject(
        names=filled(rising, config.STABLE if state.candidate is None else config.CANDIDATE),
        stable=filled(beside, config.STABLE) if beside is not None else None,
    )
