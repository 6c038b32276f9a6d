"""Which alerts hold, and how an Alertmanager that is slow, away or back is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ringfence.runtime import alerts as posting
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.config import Alerting
from ringfence.runtime.serving import serving
from ringfence.wire.alerts import (
    ACKNOWLEDGE_NS,
    CANCEL_NS,
    FLAT_NS,
    Alert,
    GateFacts,
    StopFacts,
    body,
    bounded,
    holding,
    rfc3339,
)
from ringfence.wire.kill import Severity

T0 = 1_700_000_000_000_000_000


def gate(pod: str = "m-sim-execution-0", **more: Any) -> GateFacts:
    return GateFacts(**{"pod": pod, "closed": True, "working": 0, "flat": True, **more})


def stop(*gates: GateFacts, severity: Severity = Severity.CANCEL) -> StopFacts:
    return StopFacts(namespace="trading", system="m", severity=severity, reason="bad ticks", since=T0, gates=gates)


def names(found: tuple[Alert, ...]) -> list[str]:
    return [alert.name for alert in found]


def test_a_proven_stop_is_engaged_and_nothing_else() -> None:
    """Closed, nothing working: one line, for as long as it lasts."""
    assert names(holding(stop(gate()), T0 + 10 * FLAT_NS)) == ["Engaged"]


@pytest.mark.parametrize("severity", [Severity.NONE, Severity.REDUCE_ONLY, Severity.HALT])
def test_what_does_not_engage_raises_nothing(severity: Severity) -> None:
    """A restriction is a setting, not an emergency."""
    assert holding(stop(gate(closed=False, working=3), severity=severity), T0 + FLAT_NS) == ()


def test_a_silent_gate_is_told_of_after_one_second() -> None:
    """Not before: a healthy gate needs milliseconds, and a busy node more."""
    one = stop(gate(closed=False))
    assert names(holding(one, T0 + ACKNOWLEDGE_NS - 1)) == ["Engaged"]
    assert names(holding(one, T0 + ACKNOWLEDGE_NS)) == ["Engaged", "NotAcknowledged"]


@pytest.mark.parametrize("working", [1, None])
def test_orders_left_after_five_seconds_are_told_of(working: int | None) -> None:
    """Not knowing what works is as bad as knowing that something does."""
    one = stop(gate(working=working))
    assert names(holding(one, T0 + CANCEL_NS - 1)) == ["Engaged"]
    assert names(holding(one, T0 + CANCEL_NS)) == ["Engaged", "NotCanceled"]


@pytest.mark.parametrize("flat", [False, None])
def test_a_flatten_that_does_not_end_flat_is_told_of(flat: bool | None) -> None:
    """Only a flatten promises to close positions; a cancel does not."""
    assert "NotFlat" not in names(holding(stop(gate(flat=flat)), T0 + FLAT_NS))
    assert "NotFlat" in names(holding(stop(gate(flat=flat), severity=Severity.FLATTEN), T0 + FLAT_NS))


def test_an_unprotected_position_is_told_of_at_any_severity() -> None:
    """Its stop order is gone: that does not wait for a kill."""
    found = holding(stop(gate(naked=("BTCUSDT 0.5",), naked_since=T0 + 7), severity=Severity.NONE), T0)
    assert [(a.name, a.gate, a.since) for a in found] == [("PositionUnprotected", "m-sim-execution-0", T0 + 7)]
    assert "BTCUSDT 0.5" in found[0].summary


def test_paper_does_not_wake_anybody() -> None:
    """No money moves there."""
    found = holding(stop(gate(closed=False, paper=True)), T0 + ACKNOWLEDGE_NS)
    assert {a.name: a.level for a in found} == {"Engaged": "critical", "NotAcknowledged": "warning"}


def test_two_judges_give_the_same_labels() -> None:
    """The gate knows more words than the operator; Alertmanager must still see one alert."""
    one = stop(gate(working=3))
    other = StopFacts(
        namespace="trading", system="m", severity=Severity.CANCEL, reason="x", since=T0 + 5, gates=(gate(working=None),)
    )
    late = T0 + 2 * CANCEL_NS
    sets = [
        sorted(str(sorted(told["labels"].items())) for told in json.loads(body(holding(found, late), (), late)))
        for found in (one, other)
    ]
    assert sets[0] == sets[1]


@given(
    severity=st.sampled_from(list(Severity)),
    gates=st.lists(
        st.builds(GateFacts, pod=st.sampled_from("ab"), closed=st.booleans(), working=st.none()), max_size=2
    ),
    ages=st.tuples(st.integers(0, 10**11), st.integers(0, 10**11)),
)
def test_an_alert_never_ends_by_waiting(severity: Severity, gates: list[GateFacts], ages: tuple[int, int]) -> None:
    """With nothing else changed, what holds now holds later."""
    one = stop(*gates, severity=severity)
    early, late = ({a.key for a in holding(one, T0 + age)} for age in sorted(ages))
    assert early <= late


def test_too_many_alerts_keep_the_critical_ones() -> None:
    """Bounded, and the loss is counted."""
    many = [
        Alert(name="X", namespace="n", system=str(i), level="warning" if i else "critical", summary="", since=T0 - i)
        for i in range(5)
    ]
    kept, dropped = bounded(many, 2)
    assert (kept[0].level, len(kept), dropped) == ("critical", 2, 3)


def test_times_are_what_alertmanager_reads() -> None:
    assert rfc3339(T0 + 7_000_000) == "2023-11-14T22:13:20.007Z"


# --- posting


class Receiver:
    """An Alertmanager's endpoint that answers as it is told to."""

    def __init__(self) -> None:
        self.posts: list[list[dict[str, Any]]] = []
        self.status = 200
        self.hang = False
        self.came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append(await request.json())
        self.came.set()
        if self.hang:
            await asyncio.sleep(60)
        return web.Response(status=self.status, text="said")

    async def until(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while len(self.posts) < count:
                self.came.clear()
                await self.came.wait()
        return self.posts[count - 1]


@asynccontextmanager
async def told() -> AsyncIterator[tuple[Alerts, Receiver, list[int]]]:
    receiver, now = Receiver(), [T0]
    application = web.Application()
    application.router.add_post("/base/api/v2/alerts", receiver.take)
    async with serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
        to = Alerting(alertmanagers=(f"http://127.0.0.1:{port}/base",), runbooks="https://x.example/")
        alerts = Alerts(to, lambda: now[0])
        task = asyncio.create_task(alerts.run())
        try:
            yield alerts, receiver, now
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def taken(alerts: Alerts) -> bool:
    return any(m.name == "ringfence_alert_posts" and m.samples[0].value > 0 for m in alerts.families())


ENGAGED = holding(stop(gate()), T0)


@pytest.mark.asyncio
async def test_news_is_posted_at_once_and_ends_with_its_end() -> None:
    """Labels, runbook and times as Alertmanager wants them."""
    async with told() as (alerts, receiver, now):
        alerts.show("stop", ENGAGED)
        (first,) = await receiver.until(1)
        now[0] += 9_000_000_000
        alerts.show("stop", ())
        (last,) = await receiver.until(2)
    assert first["labels"] == {
        "alertname": "RingfenceEngaged",
        "severity": "critical",
        "namespace": "trading",
        "system": "m",
    }
    assert first["annotations"]["runbook_url"] == "https://x.example/Engaged.md"
    assert first["annotations"]["reason"] == "bad ticks"
    assert (first["startsAt"], first["endsAt"]) == (rfc3339(T0), rfc3339(T0 + posting.HOLD_NS))
    assert (last["labels"], last["endsAt"]) == (first["labels"], rfc3339(T0 + 9_000_000_000))


@pytest.mark.asyncio
async def test_what_lasts_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Alertmanager would take it for resolved."""
    monkeypatch.setattr(posting, "REPEAT_S", 0.05)
    async with told() as (alerts, receiver, now):
        alerts.show("stop", ENGAGED)
        await receiver.until(1)
        now[0] += 1_000_000_000
        (again,) = await receiver.until(len(receiver.posts) + 1)
    assert again["endsAt"] == rfc3339(now[0] + posting.HOLD_NS)


@pytest.mark.asyncio
async def test_an_absent_receiver_hears_all_of_it_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused posts are counted and repeated; what ended meanwhile is told as ended."""
    monkeypatch.setattr(posting, "RETRY_S", 0.02)
    async with told() as (alerts, receiver, _):
        receiver.status = 503
        alerts.show("stop", ENGAGED)
        await receiver.until(2)
        alerts.show("stop", ())
        receiver.status = 200
        while (await receiver.until(len(receiver.posts)))[0]["endsAt"] != rfc3339(T0) or not taken(alerts):
            await asyncio.sleep(0.01)
        metrics = {m.name: m.samples[0].value for m in alerts.families()}
    assert metrics["ringfence_alert_post_failures"] >= 2
    assert metrics["ringfence_alerts_holding"] == 0


@pytest.mark.asyncio
async def test_showing_never_waits_for_a_receiver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand changes while it hangs take no time and keep no queue."""
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.5)
    async with told() as (alerts, receiver, _):
        receiver.hang = True
        alerts.show("stop", ENGAGED)
        await receiver.until(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(1000):
            alerts.show("stop", holding(stop(gate(working=number)), T0 + CANCEL_NS))
        took = loop.time() - began
        assert len(receiver.posts) == 1
        assert len(alerts.holding) == 2
    assert took < 0.5


@pytest.mark.asyncio
async def test_an_alert_of_two_owners_holds_until_both_are_done() -> None:
    """Two kill switches over one system."""
    async with told() as (alerts, receiver, _):
        alerts.show("a", ENGAGED)
        await receiver.until(1)
        alerts.show("b", ENGAGED)
        alerts.show("a", ())
        (still,) = await receiver.until(2)
        assert still["endsAt"] == rfc3339(T0 + posting.HOLD_NS)
        alerts.show("b", ())
        while (await receiver.until(len(receiver.posts)))[0]["endsAt"] != rfc3339(T0):
            await receiver.until(len(receiver.posts) + 1)


@pytest.mark.asyncio
async def test_nobody_to_tell_is_nothing_to_do() -> None:
    alerts = Alerts(Alerting(), lambda: T0)
    alerts.show("stop", ENGAGED)
    await alerts.run()
    assert alerts.holding == ()
