"""What the watchdog concludes from what it has heard. Pure.

    gate answers   Lease is renewed   conclusion
    yes            whatever           nothing: an API server that is away stops nobody who is alive
    no             yes                an alert: execution lives and cannot be reached
    no             freed by its holder  nothing: execution has ended in order, with its orders done; but where it keeps
                                      orders for a successor (onShutdown Keep) that does not come: cancel everything
    no             no                 cancel everything on the account, and delete the pod

Beside that, a kill that the gate has not acknowledged in time: cancel everything, tell the gate again, delete the pod.
Silence counts from the last sign of life or from our own start, whichever is later: a watchdog that has just begun has
heard nothing of anybody. All times are boot nanoseconds.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from ringfence.wire.kill import Severity

STARTING_NS: Final = 30_000_000_000


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long silence is borne, nanoseconds."""

    silent: int
    """Of Lease and heartbeat, both."""
    acknowledge: int
    """From a stop to a gate that has closed."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one execution."""

    started: int
    """When this watchdog began to listen."""
    beat: int = 0
    """The gate's last answer; 0 = none yet."""
    severity: Severity = Severity.NONE
    """What that answer said."""
    renewed: int = 0
    """When the Lease was last seen with a renewal that had not been seen before; 0 = never."""
    freed: bool = False
    """The Lease was last read without a holder."""
    freed_since: int = 0
    """When it was first read so; 0 = never."""
    left: int = 0
    """Own orders that work at the venue while nobody is there on purpose: kept for a successor."""
    unused: bool = False
    """The Lease was read, and has never had a holder."""
    asked: Severity = Severity.NONE
    """The most that any kill switch over this system asks for."""
    asked_since: int = 0
    closed: int = 0
    """When the gate last said that it is as strict as was asked then; 0 = never."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now; the host acts on it, again and again while it holds."""

    cancel: bool = False
    """Everything on the account."""
    delete_pod: bool = False
    push: bool = False
    """Tell the gate directly of the kill."""
    unreachable: bool = False
    """The gate is silent and its Lease is not."""
    acknowledged: bool = True
    """The gate has closed as far as is asked."""
    reason: str = ""


def judge(heard: Heard, patience: Patience, now: int) -> Verdict:
    """Certain in what it does not do: one living source is enough to leave the orders alone, unless a kill is open."""
    mute = now - max(heard.beat, heard.started) >= patience.silent
    lapsed = now - max(heard.renewed, heard.started) >= patience.silent
    stop = _stop(heard, patience, now, mute=mute)
    if stop.cancel or not mute:
        return stop
    silent_s = patience.silent // 1_000_000_000
    if heard.unused and not heard.beat:
        return msgspec.structs.replace(stop, reason="execution has never run")
    if heard.freed:
        if heard.left and lapsed and now - heard.freed_since >= patience.silent:
            reason = f"execution ended and kept {heard.left} orders, and no successor came for them in {silent_s} s"
            return msgspec.structs.replace(stop, cancel=True, reason=reason)
        return msgspec.structs.replace(stop, reason="execution has freed its Lease: it ended in order")
    if not lapsed:
        reason = f"the gate has not answered for {silent_s} s, and its Lease is renewed"
        return msgspec.structs.replace(stop, unreachable=True, reason=reason)
    reason = f"neither the gate nor its Lease has been heard of for {silent_s} s"
    return msgspec.structs.replace(stop, cancel=True, delete_pod=True, reason=reason)


def _stop(heard: Heard, patience: Patience, now: int, *, mute: bool) -> Verdict:
    """The part that concerns a kill."""
    if heard.asked < Severity.CANCEL:
        return Verdict()
    wanted = min(heard.asked, Severity.CANCEL)
    closed = heard.severity >= wanted and heard.beat >= heard.asked_since  # nothing relaxes a guard by itself
    absent = mute and (heard.freed or (heard.unused and not heard.beat))  # nobody is there who could send
    if closed or absent:
        return Verdict()
    if now - max(heard.asked_since, heard.closed, heard.started) < patience.acknowledge:
        return Verdict(acknowledged=False)
    limit_s = patience.acknowledge / 1e9
    return Verdict(
        cancel=True,
        delete_pod=True,
        push=True,
        acknowledged=False,
        reason=f"the gate has not acknowledged {heard.asked.word} within {limit_s:g} s",
    )


def stuck(pod: Mapping[str, Any], wall: int) -> bool:
    """Whether deleting this pod could help: it runs, and has had time to come up. One that does not run sends nothing,
    and one that has just started is on its way; deleting that again and again would keep it from ever arriving."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    running = [(status.get("state") or {}).get("running") for status in statuses]
    started = [str(found.get("startedAt") or "") for found in running if found]
    return any(wall - _instant(text) >= STARTING_NS for text in started)


def _instant(text: str) -> int:
    """RFC 3339 as UTC nanoseconds; 0 for what is none: long ago."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e9)
    except ValueError:
        return 0
