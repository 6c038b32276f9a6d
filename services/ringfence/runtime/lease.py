"""One writer per account: a Lease with a fence, judged by our own boot clock.

Pure core; the I/O around it is in `execution/leader.py`. Remote timestamps are never trusted: another holder is
alive for the full duration since we first saw its Lease in the present form, and we are alive for the duration
since *before* we sent the renewal that succeeded. An order may leave only while even a request that the venue
accepts at the last moment of its validity arrives before the Lease can pass on.

The fence is ``spec.leaseTransitions``: it goes up by one with each acquisition by a new process, and is never
lower than the highest fence in the journal. It is part of every client order id.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

SECOND_NS: Final = 1_000_000_000
CLOCK_ERROR_NS: Final = 250_000_000
"""Largest error of a boot clock against another's over one Lease, and of our scheduling between check and send."""


class Wait(msgspec.Struct, frozen=True):
    """Somebody else holds it; look again at this boot time."""

    until: int
    holder: str


class Write(msgspec.Struct, frozen=True):
    """Patch the Lease with this spec, on the condition that nobody wrote since (resourceVersion)."""

    spec: dict[str, Any]
    resource_version: str
    fence: int


class LeaseCore:
    """What we know of the Lease. Times are boot nanoseconds unless they say wall."""

    def __init__(
        self,
        identity: str,
        pod: str,
        duration_s: int,
        request_validity_ns: int,
        fence_floor: int,
        *,
        fenced: bool = True,
    ) -> None:
        """``pod``: the part of the identity that a restarted container of the same pod shares; empty = unknown."""
        self.identity = identity
        self.fence = 0
        """Ours, once acquired."""
        self.holder = ""
        self.renewed = 0
        self.acquisitions = 0
        self._pod = pod
        self._duration = duration_s * SECOND_NS
        self._duration_s = duration_s
        self._margin = request_validity_ns + CLOCK_ERROR_NS
        self._fence_floor = fence_floor
        self._fenced = fenced
        self._held = False
        self._observed: tuple[str, str, int] | None = None
        self._observed_at = 0
        if fenced and self._duration - self._margin <= self._duration // 3:
            raise ValueError(
                f"a Lease of {duration_s} s leaves no time between renewals, each after a third of it: with the clock "
                f"error a request is valid for {self._margin / SECOND_NS:.2f} s, and orders must not outlive the Lease"
            )

    @property
    def send_until(self) -> int:
        """Boot time up to which an order may leave; 0 = not at all."""
        if not self._fenced:
            return 1 << 62
        return self.renewed + self._duration - self._margin if self._held else 0

    @property
    def held(self) -> bool:
        return self._held or not self._fenced

    def remaining_ns(self, now: int) -> int:
        return max(0, self.send_until - now)

    def step(self, lease: Mapping[str, Any], now: int, wall: int) -> Wait | Write:
        """What to do about the Lease as it was just read."""
        spec = lease.get("spec") or {}
        version = str((lease.get("metadata") or {}).get("resourceVersion") or "")
        holder = str(spec.get("holderIdentity") or "")
        transitions = int(spec.get("leaseTransitions") or 0)
        self.holder = holder
        if holder == self.identity and self.fence and transitions == self.fence:
            return Write(self._spec(self.fence, wall, spec.get("acquireTime")), version, self.fence)
        # whatever we held is gone: somebody else wrote, or this is our first look
        self._held = False
        seen = (holder, str(spec.get("renewTime") or ""), transitions)
        if seen != self._observed:
            self._observed, self._observed_at = seen, now
        theirs = int(spec.get("leaseDurationSeconds") or self._duration_s) * SECOND_NS
        until = self._observed_at + max(theirs, SECOND_NS)
        if holder and not self._predecessor(holder) and now < until:
            return Wait(until, holder)
        fence = max(transitions, self._fence_floor, self.fence) + 1
        return Write(self._spec(fence, wall, None), version, fence)

    def written(self, fence: int, began: int) -> None:
        """The patch that was sent at boot time ``began`` has succeeded."""
        if fence != self.fence:
            self.acquisitions += 1
        self.fence = fence
        self.renewed = began
        self._held = True
        self.holder = self.identity

    def lost(self) -> None:
        """Another writer was there first: nothing may be sent until the Lease has been read again."""
        self._held = False

    def released(self) -> dict[str, Any]:
        """The spec that lets the next process in at once. Only after the last request has been answered."""
        self._held = False
        return {"holderIdentity": None, "leaseDurationSeconds": 1, "leaseTransitions": self.fence}

    def _predecessor(self, holder: str) -> bool:
        """An earlier process of this very pod: it is dead, since we hold the lock of the journal on its volume."""
        return bool(self._pod) and holder.startswith(f"{self._pod}/")

    def _spec(self, fence: int, wall: int, acquired: object) -> dict[str, Any]:
        now = micro_time(wall)
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._duration_s,
            "leaseTransitions": fence,
            "acquireTime": acquired if isinstance(acquired, str) else now,
            "renewTime": now,
        }


def micro_time(wall: int) -> str:
    """UTC nanoseconds as Kubernetes writes a MicroTime."""
    seconds, rest = divmod(wall, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
