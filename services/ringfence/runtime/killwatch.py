"""Watches everything that may stop a gate, and its allocation, in parallel; each event goes to the guard at once.

KillSwitches of the namespace by list and watch, the two ConfigMaps by name. API servers send a bookmark every
60 s, so 70 s of silence mean a dead connection: the gate halts until it hears again. The mounted copy of the
kill-switch ConfigMap is polled each second; it works without any API server, and is up to two minutes late.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.resources import CONFIG_MAP, KILL_SWITCH
from ringfence.kube.watch import INACTIVITY_TIMEOUT_S, Added, Bookmark, Deleted, Listed, Modified, Watch, watch
from ringfence.runtime.guard import Guard
from ringfence.wire.kill import ENGAGE_KEY, STATE_KEY

REQUIREMENT: Final = "kill watch"
ALLOCATION: Final = "allocation"
CHECK_S: Final = 0.5
FILE_POLL_S: Final = 1.0
FILE_MAX: Final = 65_536

Fold = Callable[[int], None]
"""A change of the guard at a wall time."""


class Owner(Protocol):
    """What the watch belongs to."""

    guard: Guard

    def observe(self, fold: Fold) -> None:
        """Fold now, and act on what the guard has become."""

    @property
    def on_allocation(self) -> Callable[[Manifest | None], object]: ...


class KillWatch:
    """Run each coroutine as a task of its own: a slow one must not delay a kill."""

    def __init__(
        self, client: KubeClient, namespace: str, document: str, allocation: str, owner: Owner, mount: Path
    ) -> None:
        maps = CONFIG_MAP.path(namespace)
        self._switches = watch(client, KILL_SWITCH.path(namespace))
        self._document = watch(client, maps, name=document)
        self._allocation = watch(client, maps, name=allocation)
        self._names = {"KillSwitches": self._switches, f"ConfigMap {document}": self._document}
        self._owner = owner
        self._guard = owner.guard
        self._mount = mount
        self._last_allocation: Manifest | None = None
        self._allocation_lost = False

    async def switches(self) -> None:
        guard, observe = self._guard, self._owner.observe
        async for event in self._switches:
            match event:
                case Listed(objects):
                    observe(lambda now, found=objects: guard.switches_listed(found, now))  # type: ignore[misc]
                case Added(found) | Modified(found):
                    observe(lambda now, found=found: guard.switch_seen(found, now))  # type: ignore[misc]
                case Deleted(found):
                    observe(lambda now, found=found: guard.switch_deleted(found, now))  # type: ignore[misc]
                case Bookmark():
                    pass

    async def document(self) -> None:
        guard, observe = self._guard, self._owner.observe
        await _follow(self._document, lambda found: observe(lambda now: guard.document_seen(found, now)))

    async def allocation(self) -> None:
        await _follow(self._allocation, self._tell_allocation)

    def _tell_allocation(self, found: Manifest | None) -> None:
        self._last_allocation = found
        self._owner.on_allocation(found)

    async def freshness(self) -> None:
        """Silence is not consent: what has not been heard from for too long stops new orders."""
        guard = self._guard
        while True:
            silent = [f"{name}{_why(found)}" for name, found in self._names.items() if _is_stale(found)]
            if silent:
                reason = f"nothing heard of {' and '.join(silent)}"
                self._owner.observe(lambda now, reason=reason: guard.missed(REQUIREMENT, reason, now))  # type: ignore[misc]
            else:
                self._owner.observe(lambda now: guard.met(REQUIREMENT, now))
            if not _is_stale(self._allocation):
                if self._allocation_lost:  # it is heard of again, and had nothing new to say
                    self._allocation_lost = False
                    self._owner.on_allocation(self._last_allocation)
            else:
                self._allocation_lost = self._allocation.last_heard > 0
                reason = f"nothing heard of the allocation{_why(self._allocation)}"
                self._owner.observe(lambda now, reason=reason: guard.missed(ALLOCATION, reason, now))  # type: ignore[misc]
            await asyncio.sleep(CHECK_S)

    async def file(self) -> None:
        guard = self._guard
        while True:
            engage, state, error = read_mount(self._mount)
            self._owner.observe(
                lambda now, e=engage, s=state, x=error: guard.file_seen(e, s, now, x)  # type: ignore[misc]
            )
            await asyncio.sleep(FILE_POLL_S)


def read_mount(directory: Path) -> tuple[str, str, str]:
    """Contents of both files ("" where there is none), and why they cannot be read."""
    if not directory.is_dir():
        return "", "", f"{directory} is not mounted"
    texts = []
    for key in (ENGAGE_KEY, STATE_KEY):
        try:
            with (directory / key).open(encoding="utf-8", errors="replace") as file:
                texts.append(file.read(FILE_MAX))
        except FileNotFoundError:
            texts.append("")
        except OSError as error:
            return "", "", f"{directory / key} cannot be read: {error.strerror}"
    return texts[0], texts[1], ""


async def _follow(source: Watch, tell: Callable[[Manifest | None], None]) -> None:
    """One object by name."""
    async for event in source:
        match event:
            case Listed(objects):
                tell(objects[0] if objects else None)
            case Added(found) | Modified(found):
                tell(found)
            case Deleted():
                tell(None)
            case Bookmark():
                pass


def _is_stale(source: Watch) -> bool:
    return source.silent_s() > INACTIVITY_TIMEOUT_S


def _why(source: Watch) -> str:
    silent_s = source.silent_s()
    # in steps: each change of a reason is a line in the log and in the status
    heard = "yet" if silent_s == float("inf") else f"for more than {silent_s // 10 * 10:.0f} s"
    return f" {heard}" + (f" ({source.last_error})" if source.last_error is not None else "")
