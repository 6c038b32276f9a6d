"""Which versions act on one account: platform, strategies, limits. Mixed ones that cannot understand each other halt.

Knight Capital lost 460 million because one server of eight ran other code. Here an account has one gate, by its Lease;
what else may differ is what a strategy's image was built from (harmless while the wire version is the same, and
shown), the wire version itself (refused, and the gate halts), and limits that are not those of their hash (refused by
`grants`). Pure.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from ringfence.execution.state import FOREIGN, Track
from ringfence.runtime.build import Build
from ringfence.runtime.guard import Guard
from ringfence.wire.kill import Severity

SOURCE: Final = "versions"


class Versions:
    """Of this gate, and of the strategies as last heard."""

    def __init__(self, own: Build) -> None:
        self.own = own
        self.builds: dict[str, str] = {}
        """Platform that a track's strategy was built from, by track."""
        self._others: dict[str, int] = {}

    def heard(self, track: str, build: str) -> None:
        """Its strategy speaks our version."""
        self.builds[track] = build
        self._others.pop(track, None)

    def other(self, version: int, sender_key: str, tracks: Iterable[Track]) -> None:
        """The strategy with this key speaks another wire version: until it speaks ours."""
        for track in tracks:
            if track.key and track.key == sender_key:
                self._others[track.name] = version

    def judge(self, guard: Guard, tracks: Iterable[Track], now: int) -> None:
        """Halt while versions are mixed, and no longer."""
        mixed = self.mixed({track.name for track in tracks if not track.barred})
        if mixed:
            guard.hold(SOURCE, Severity.HALT, mixed, now)
        else:
            guard.drop(SOURCE, now)

    def mixed(self, allowed: Collection[str]) -> str:
        """Why this gate must not be Active; empty while all that may trade here understand each other."""
        told = [
            f"the strategy of track {track} speaks wire version {version}, this gate {self.own.wire}: "
            "build its image from this platform"
            for track, version in sorted(self._others.items())
            if track in allowed
        ]
        return "; ".join(told)


def document(versions: Versions, tracks: Iterable[Track]) -> dict[str, Any]:
    """For people and for doctors of systems: every version that acts here, side by side."""
    own = versions.own
    return {
        "build": own.build,
        "image": own.image,
        "wire": own.wire,
        "tracks": {
            track.name: {
                "revision": track.revision,
                "limits": track.grant,
                "allocation": track.allocation,
                "strategyBuild": versions.builds.get(track.name, ""),
            }
            for track in tracks
            if track.name != FOREIGN
        },
    }
