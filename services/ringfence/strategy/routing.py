"""Where a strategy belongs: which gate takes its intents, and as which track. Pure.

Each gate tells once a second, and on change, which track every strategy's key is and whether it takes that track's
intents. A strategy finds itself by its own key, so it needs no new configuration, and no restart, when its stage
changes (paper to execution, and back) or when it is promoted (candidate to stable, stable to shadow).
"""

from collections.abc import Mapping
from typing import NamedTuple

from ringfence.wire.messages import Routes


class Place(NamedTuple):
    gate: str
    track: str


def place(told: Mapping[str, Routes], key: str, revision: str, now: Place) -> Place:
    """The place that the newest allocation gives to ``key``; ``told``: the last word of each gate, by gate.

    No gate open to it, or none that has said so: it stays where it is, and is refused there if it may not trade. A key
    that stands for another revision than ours is not ours.
    """
    found = [
        (message.epoch, Place(gate, route.track))
        for gate, message in told.items()
        for route in message.routes
        if route.key == key and route.revision == revision and route.open
    ]
    if not found:
        return now
    newest = max(epoch for epoch, _ in found)
    places = sorted(place for epoch, place in found if epoch == newest)
    return now if now in places else places[0]
