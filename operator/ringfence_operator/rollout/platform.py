"""An upgrade of the platform (our image), beside every rollout of a strategy and never behind one. Pure.

Paper and the twin run the new image first. When they have worked for long enough, execution is halted, swapped, and
must come back reconciled; only then is the halt lifted. What does not come back is put back, and is not tried again
until another image is asked for. Nothing moves unless the image that is asked for changes: a new operator alone
restarts nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ringfence_operator.rollout.state import Event

PROOF_S: Final = 600
"""Time that paper and the twin have to work on the new image, unless the installation says otherwise."""
UNSEEN: Final = timedelta(seconds=60)
"""A longer time between two passes was not seen, and proves nothing."""
PROOF_DEADLINE: Final = timedelta(hours=2)
"""An image that has not proved itself by then has failed."""
HALT_DEADLINE: Final = timedelta(minutes=5)
"""Orders that are in flight settle well within this; else the upgrade waits for another day."""
BACK_DEADLINE: Final = timedelta(minutes=5)
"""Within this execution has to be back, reconciled."""
WATCHFUL_S: Final = 5.0
"""While an upgrade is under way: look again soon."""


class Phase(StrEnum):
    """How far an upgrade is."""

    SETTLED = "Settled"
    PROVING = "Proving"
    HALTING = "Halting"
    SWAPPING = "Swapping"
    PUTTING_BACK = "PuttingBack"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformState:
    """What survives in status."""

    image: str
    """What execution runs."""
    phase: Phase = Phase.SETTLED
    target: str = ""
    """What it is on the way to; of Failed, what failed."""
    since: datetime
    """When the phase began."""
    proven_s: int = 0
    clock: datetime | None = None
    """Last pass that saw the target work; None: the last pass did not."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSeen:
    """What was read. Unknown is False."""

    wanted: str
    """The image that the installation asks for now."""
    running: str = ""
    """What execution is deployed with; empty: it is not deployed."""
    paper_works: bool = False
    """Paper and the twin run the target, are ready and Active."""
    paper_broken: str = ""
    """Why they never will: crashes, an image that is not to be had."""
    halted: bool = False
    """Every execution says Halted, and has nothing in flight or unknown."""
    back: str = ""
    """The image with which every execution is ready and reconciled; empty: not all are."""
    back_broken: str = ""
    """Why execution never will be: crashes, an image that is not to be had."""
    stopped: bool = False
    """A kill switch halts trading, paper too: nothing is proven meanwhile, and no deadline runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDecision:
    """What runs what."""

    state: PlatformState
    paper_image: str
    execution_image: str
    halt: bool
    """Execution is asked to halt, by us, whatever people ask."""
    events: tuple[Event, ...] = ()
    requeue_s: float | None = None
    """Look again after this, even if nothing happens."""

    @property
    def hold(self) -> str:
        """Why we halt trading; empty: we do not."""
        return f"the platform is upgraded to {self.state.target}" if self.halt else ""

    @property
    def failure(self) -> str:
        """Why the image that is asked for does not run; empty where it does, or may yet."""
        state = self.state
        return f"{state.target}: {state.message}" if state.phase in {Phase.FAILED, Phase.PUTTING_BACK} else ""


def decide(state: PlatformState | None, seen: PlatformSeen, now: datetime, proof_s: int = PROOF_S) -> PlatformDecision:
    """One step. Total: every state and observation has an answer."""
    now = now.replace(microsecond=0)
    if state is None:  # nothing to upgrade from, or nothing known of it: then what runs, runs on
        state = PlatformState(image=seen.running or seen.wanted, since=now)
    after = _after(state, seen, now, proof_s)
    events: tuple[Event, ...] = ()
    if after.phase is not state.phase or after.target != state.target:
        warning = after.phase in {Phase.PUTTING_BACK, Phase.FAILED}
        said = f"{after.target or after.image}: {after.message}"
        events = (Event(type="Warning" if warning else "Normal", reason=f"Platform{after.phase}", message=said),)
    swapped = after.phase is Phase.SWAPPING
    trying = after.phase in {Phase.PROVING, Phase.HALTING, Phase.SWAPPING}
    return PlatformDecision(
        state=after,
        paper_image=after.target if trying else after.image,
        execution_image=after.target if swapped else after.image,
        halt=after.phase in {Phase.HALTING, Phase.SWAPPING, Phase.PUTTING_BACK},
        events=events,
        requeue_s=None if after.phase in {Phase.SETTLED, Phase.FAILED} else WATCHFUL_S,
    )


def _after(state: PlatformState, seen: PlatformSeen, now: datetime, proof_s: int) -> PlatformState:
    match state.phase:
        case Phase.SETTLED | Phase.FAILED:
            return _idle(state, seen, now)
        case Phase.PROVING:
            return _proving(state, seen, now, proof_s)
        case Phase.HALTING:
            return _halting(state, seen, now)
        case Phase.SWAPPING:
            return _swapping(state, seen, now)
        case Phase.PUTTING_BACK:
            return _putting_back(state, seen, now)


def _idle(state: PlatformState, seen: PlatformSeen, now: datetime) -> PlatformState:
    if seen.wanted == state.image:
        if state.phase is Phase.SETTLED:
            return state
        return _to(state, Phase.SETTLED, now, "", "the image that runs is asked for again")
    if state.phase is Phase.FAILED and seen.wanted == state.target:
        return state
    return _to(state, Phase.PROVING, now, seen.wanted, "paper and the twin run it first")


def _proving(state: PlatformState, seen: PlatformSeen, now: datetime, proof_s: int) -> PlatformState:
    """Execution is untouched: whatever goes wrong here costs nothing."""
    if seen.wanted != state.target:
        return _idle(replace(state, phase=Phase.SETTLED, target=""), seen, now)
    if seen.paper_broken:
        return _to(state, Phase.FAILED, now, state.target, f"it does not work on paper: {seen.paper_broken}")
    if seen.stopped:
        return replace(state, since=now, clock=None)
    if now - state.since > PROOF_DEADLINE:
        return _to(state, Phase.FAILED, now, state.target, "it did not prove itself on paper in time")
    if not seen.paper_works:
        return replace(state, clock=None)
    passed = now - state.clock if state.clock is not None else timedelta(0)
    counted = int(passed.total_seconds()) if timedelta(0) <= passed <= UNSEEN else 0
    state = replace(state, proven_s=state.proven_s + counted, clock=now)
    if state.proven_s < proof_s:
        return state
    return _to(state, Phase.HALTING, now, state.target, f"it worked for {state.proven_s} s on paper")


def _halting(state: PlatformState, seen: PlatformSeen, now: datetime) -> PlatformState:
    if seen.wanted != state.target:
        return _to(state, Phase.PUTTING_BACK, now, state.target, "another image is asked for")
    if seen.halted:
        return _to(state, Phase.SWAPPING, now, state.target, "execution is halted with nothing in flight")
    if now - state.since > HALT_DEADLINE:
        return _to(state, Phase.PUTTING_BACK, now, state.target, "execution did not come to rest")
    return state


def _swapping(state: PlatformState, seen: PlatformSeen, now: datetime) -> PlatformState:
    """No turning round for a newer wish: first it is known what runs."""
    if seen.back == state.target:
        settled = _to(state, Phase.SETTLED, now, "", "execution is back, reconciled")
        return replace(settled, image=state.target)
    if seen.back_broken:
        return _to(state, Phase.PUTTING_BACK, now, state.target, f"execution did not come back: {seen.back_broken}")
    if now - state.since > BACK_DEADLINE:
        return _to(state, Phase.PUTTING_BACK, now, state.target, "execution did not come back reconciled")
    return state


def _putting_back(state: PlatformState, seen: PlatformSeen, now: datetime) -> PlatformState:
    """Halted until the image of before is back, reconciled: however long that takes."""
    if seen.back == state.image:
        return _to(state, Phase.FAILED, now, state.target, f"put back: {state.message}")
    return state


def _to(state: PlatformState, phase: Phase, now: datetime, target: str, message: str) -> PlatformState:
    return PlatformState(image=state.image, phase=phase, target=target, since=now, message=message)
