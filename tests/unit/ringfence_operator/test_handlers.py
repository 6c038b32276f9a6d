"""Which events are worth a pass: all that mean something, at once; and none of the chatter of a trading day."""

import asyncio
import random
from typing import Any

import pytest

from ringfence_operator.handlers import Queues, kopf_settings, registry
from ringfence_operator.heartbeat import Heartbeat
from ringfence_operator.settings import Settings
from ringfence_operator.workqueue import WorkQueue
from ringfence_operator.world import Key

KEY = ("t", "momentum")


def queues() -> Queues:
    async def nothing(_key: Key) -> float | None:
        return None

    def queue() -> WorkQueue[Key]:
        return WorkQueue(nothing, concurrency=1, timeout_s=1, rng=random.Random(1))

    return Queues(queue(), queue(), Heartbeat("me"))


def switch(generation: int = 1, *, engaged: bool = False, **states: str) -> dict[str, Any]:
    lines = [{"pod": pod, "state": state, "workingOrders": 3} for pod, state in states.items()]
    return {"metadata": {"generation": generation}, "spec": {"engaged": engaged}, "status": {"gates": lines}}


def asked(found: Queues) -> bool:
    """Is a pass due soon? Takes it."""
    key = found.kills.schedule.take(asyncio.get_running_loop().time() + 1.0)
    if key is not None:
        found.kills.schedule.succeeded(key, 0.0, None)
    return key is not None


@pytest.mark.asyncio
async def test_what_is_worth_a_pass() -> None:
    """First sight, a new generation, a gate whose state changed, or what it leaves open; not one that counts orders."""
    found = queues()
    found.switch_heard(KEY, switch(), gone=False)
    assert asked(found)
    found.switch_heard(KEY, switch(), gone=False)
    assert not asked(found)
    found.switch_heard(KEY, switch(a="Starting"), gone=False)
    assert asked(found)
    found.switch_heard(KEY, switch(a="Active"), gone=False)
    assert asked(found)
    found.switch_heard(KEY, switch(a="Active"), gone=False)
    assert not asked(found)
    open_now = switch(a="Active")
    open_now["status"]["gates"][0]["exposed"] = ["hedge pair of stable misses a leg"]
    found.switch_heard(KEY, open_now, gone=False)
    assert asked(found)
    found.switch_heard(KEY, open_now, gone=False)
    assert not asked(found)
    found.switch_heard(KEY, switch(2, engaged=True, a="Active"), gone=False)
    assert asked(found)
    found.switch_heard(KEY, switch(2, engaged=True, a="Active"), gone=False)
    assert asked(found), "while it stops, every word of a gate counts"
    found.switch_heard(KEY, switch(3, a="Active"), gone=False)
    assert asked(found)
    found.switch_heard(KEY, switch(3, a="Active"), gone=True)
    assert asked(found)
    assert (found.stopping, KEY in found.kill_news) == (set(), True)


@pytest.mark.asyncio
async def test_a_switch_that_cannot_be_read_stops() -> None:
    """Read by the gates' own function, so both mean the same."""
    found = queues()
    found.switch_heard(KEY, {"metadata": {}, "spec": {"engaged": "yes"}}, gone=False)
    assert found.stopping == {KEY}


@pytest.mark.asyncio
async def test_kopf_is_an_event_source_and_nothing_else() -> None:
    """No handler that makes kopf write: no change handlers, timers, daemons, finalizers, webhooks."""
    found = registry(queues())
    assert [len(found._spawning._handlers), len(found._changing._handlers), len(found._webhooks._handlers)] == [0, 0, 0]
    assert {handler.selector.any_name for handler in found._watching._handlers if handler.selector} >= {
        "tradingsystems",
        "killswitches",
        "deployments",
        "statefulsets",
        "pods",
        "configmaps",
    }


def test_children_are_filtered_by_the_server() -> None:
    """An operator of a large cluster must not be sent all of its pods."""
    cluster_wide = kopf_settings(Settings(platform_image="x"))
    chosen = {selector.any_name: text for selector, text in cluster_wide.watching.label_selectors.items()}
    assert chosen == dict.fromkeys(("deployments", "statefulsets", "pods", "configmaps"), "ringfence.dev/system")
    assert not cluster_wide.scanning.disabled
    assert not cluster_wide.posting.enabled
    assert kopf_settings(Settings(platform_image="x", namespaces=("a",))).scanning.disabled
