"""Are our watches alive? A beat that we write has to come back to us through the same machinery that brings events.

A process whose watches have silently died answers every other probe. What fails here is only: written, and not seen
again for too long. A beat that cannot be written says nothing of our watches, and a restart would not help it.
"""

from typing import Final

from ringfence.kube.client import KubeClient
from ringfence_operator.desired.labels import MANAGED_BY, SYSTEM
from ringfence_operator.settings import FIELD_MANAGER

NAME: Final = "ringfence-operator-heartbeat"
INTERVAL_S: Final = 10.0
LATE_S: Final = 120.0
"""Well past the 70 s after which a silent watch is reconnected by itself."""


class Heartbeat:
    """Times are loop seconds."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._count = 0
        self._unseen: dict[str, float] = {}
        """Beats that were written and have not come back, with their times; bounded by `LATE_S` / `INTERVAL_S`."""
        self.last_seen: float | None = None

    def next(self) -> str:
        """The text of the next beat."""
        self._count += 1
        return f"{self._instance}-{self._count}"

    def written(self, beat: str, now: float) -> None:
        """A beat reached the API server. It may have come back before we were told."""
        if self._number(beat) > self._seen_up_to:
            self._unseen[beat] = now
            while len(self._unseen) > LATE_S:
                self._unseen.pop(next(iter(self._unseen)))

    _seen_up_to = 0

    def seen(self, beat: str, now: float) -> None:
        """A beat came back. Later ones include earlier ones; another instance's prove nothing."""
        number = self._number(beat)
        if number == 0:
            return
        self._seen_up_to = max(self._seen_up_to, number)
        self.last_seen = now
        self._unseen = {one: at for one, at in self._unseen.items() if self._number(one) > number}

    def overdue_s(self, now: float) -> float:
        """For how long the oldest beat has been on its way."""
        return now - min(self._unseen.values(), default=now)

    def alive(self, now: float) -> bool:
        return self.overdue_s(now) <= LATE_S

    def _number(self, beat: str) -> int:
        instance, _, number = beat.rpartition("-")
        return int(number) if instance == self._instance and number.isdecimal() else 0


async def write(client: KubeClient, namespace: str, beat: str) -> None:
    """One small ConfigMap, found by the label that the watch selects by."""
    labels = {SYSTEM: "", MANAGED_BY: "ringfence-operator"}
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
        "data": {"beat": beat},
    }
    await client.apply(manifest, FIELD_MANAGER)
