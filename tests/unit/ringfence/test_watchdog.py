"""The watchdog's judgement of silence and of kills, its reading of switches, and its comparison of the account."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ringfence.model.calendar import Calendar
from ringfence.model.instrument import Instrument
from ringfence.model.money import parse
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Filled,
    Initialized,
    OrderEvent,
    OrderType,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.runtime.config import Endpoint, Gate, Venue, WatchdogConfig
from ringfence.watchdog.alarms import Seen, alarms
from ringfence.watchdog.dropcopy import Difference, DropCopy, Look
from ringfence.watchdog.judge import STARTING_NS, Heard, Patience, Verdict, judge, stuck
from ringfence.watchdog.stops import Ask, Stops
from ringfence.wire.kill import Place, Severity
from ringfence.wire.messages import OrderUpdate

S = 1_000_000_000
PATIENCE = Patience(silent=20 * S, acknowledge=5 * S)
NOW = 1_000 * S


def heard(**more: Any) -> Heard:
    """Everything well, a moment ago."""
    return Heard(**{"started": 1, "beat": NOW - S, "renewed": NOW - 3 * S, **more})


LONG_AGO = NOW - 100 * S


@pytest.mark.parametrize(
    ("case", "cancel", "unreachable"),
    [
        (heard(), False, False),
        (heard(renewed=LONG_AGO), False, False),
        (heard(beat=LONG_AGO), False, True),
        (heard(beat=LONG_AGO, renewed=LONG_AGO), True, False),
        (heard(beat=0, renewed=0), True, False),
        (heard(beat=0, renewed=0, started=NOW - 19 * S), False, False),
        (heard(beat=LONG_AGO, renewed=LONG_AGO, freed=True), False, False),
        (heard(beat=0, renewed=0, unused=True), False, False),
        (heard(beat=LONG_AGO, renewed=0, unused=True), True, False),
    ],
    ids=["well", "lease lost", "mute", "gone", "never heard", "just begun", "ended in order", "never ran", "no lease"],
)
def test_only_silence_of_both_cancels(case: Heard, cancel: bool, unreachable: bool) -> None:
    """The table of `judge`."""
    found = judge(case, PATIENCE, NOW)
    assert (found.cancel, found.delete_pod, found.unreachable) == (cancel, cancel, unreachable)
    assert bool(found.reason) or not (cancel or unreachable)


ENDED = {"beat": LONG_AGO, "renewed": LONG_AGO, "freed": True}


@pytest.mark.parametrize(
    ("case", "cancel"),
    [
        (heard(**ENDED, freed_since=NOW - 20 * S, left=2), True),
        (heard(**ENDED, freed_since=NOW - 19 * S, left=2), False),
        (heard(**ENDED, freed_since=LONG_AGO, left=0), False),
        (heard(**ENDED | {"beat": NOW - S}, freed_since=LONG_AGO, left=2), False),
        (heard(**ENDED, started=NOW - 19 * S, freed_since=LONG_AGO, left=2), False),
    ],
    ids=["nobody came", "not yet", "nothing kept", "somebody came", "just begun"],
)
def test_orders_that_were_kept_for_a_successor_go_if_none_comes(case: Heard, cancel: bool) -> None:
    """Whether it ended in order or not: nobody watches over them. There is no pod to delete."""
    found = judge(case, PATIENCE, NOW)
    assert (found.cancel, found.delete_pod, found.unreachable) == (cancel, False, False)
    assert ("no successor came" in found.reason) is cancel


@pytest.mark.parametrize(
    ("case", "cancel"),
    [
        (heard(asked=Severity.CANCEL, asked_since=NOW - 5 * S), True),
        (heard(asked=Severity.CANCEL, asked_since=NOW - 4 * S), False),
        (heard(asked=Severity.HALT, asked_since=LONG_AGO), False),
        (heard(asked=Severity.CANCEL, asked_since=LONG_AGO, severity=Severity.CANCEL), False),
        (heard(asked=Severity.FLATTEN, asked_since=LONG_AGO, severity=Severity.CANCEL), False),
        (heard(asked=Severity.CANCEL, asked_since=LONG_AGO, severity=Severity.HALT), True),
        (heard(asked=Severity.CANCEL, asked_since=NOW - 5 * S, severity=Severity.CANCEL, beat=NOW - 6 * S), True),
        (heard(asked=Severity.CANCEL, asked_since=LONG_AGO, beat=LONG_AGO, freed=True), False),
        (heard(asked=Severity.CANCEL, asked_since=LONG_AGO, severity=Severity.HALT, closed=NOW - 4 * S), False),
    ],
    ids=[
        *("late", "in time", "only halted", "closed", "closed for a flatten", "open", "closed before it was asked"),
        *("nobody there", "starting again"),
    ],
)
def test_a_kill_has_to_be_acknowledged_in_time(case: Heard, cancel: bool) -> None:
    """Acknowledged is: said after it was asked, and as strict."""
    found = judge(case, PATIENCE, NOW)
    assert (found.cancel, found.delete_pod, found.push) == (cancel, cancel, cancel)


def test_what_has_just_started_is_not_deleted_again() -> None:
    """Else a gate that needs longer than our patience would never come up."""
    wall = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * S

    def pod(state: dict[str, Any], **meta: Any) -> dict[str, Any]:
        return {"metadata": meta, "status": {"containerStatuses": [{"state": state}]}}

    old = {"running": {"startedAt": "2026-01-01T11:00:00Z"}}
    assert stuck(pod(old), wall)
    assert not stuck(pod(old, deletionTimestamp="2026-01-01T11:59:59Z"), wall)
    assert not stuck(pod({"waiting": {"reason": "ContainerCreating"}}), wall)
    young = pod({"running": {"startedAt": "2026-01-01T12:00:00Z"}})
    assert (stuck(young, wall), stuck(young, wall + STARTING_NS)) == (False, True)
    assert not stuck({"metadata": {}}, wall)


# --- switches


PLACE = Place(venue="sim", symbols=("BTCUSDT",), venues=("sim", "other"), instruments=("BTCUSDT",))


def switch(name: str = "m", uid: str = "u", generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid, "generation": generation}, "spec": spec}


def test_a_stop_counts_from_when_it_was_first_as_strict() -> None:
    """A later reason does not begin it anew; a stricter word does."""
    stops = Stops("m", {}, PLACE)
    stops.listed([switch(engaged=False)], 1)
    assert stops.asked.severity == Severity.NONE
    stops.seen(switch(generation=2, engaged=True), 2)
    stops.seen(switch(generation=3, engaged=True, reason="why"), 3)
    assert (stops.asked.severity, stops.asked.since, stops.asked.reason) == (Severity.CANCEL, 2, "KillSwitch m: why")
    stops.seen(switch(generation=4, engaged=True, action="Flatten"), 4)
    assert (stops.asked.severity, stops.asked.since) == (Severity.FLATTEN, 4)


def test_news_from_the_past_is_ignored() -> None:
    stops = Stops("m", {}, PLACE)
    stops.seen(switch(generation=5, engaged=True), 1)
    stops.seen(switch(generation=4, engaged=False), 2)
    assert stops.asked.severity is Severity.CANCEL


def test_others_stop_us_by_label_only() -> None:
    """By the same reading as the gates'."""
    stops = Stops("m", {"desk": "crypto"}, PLACE)
    stops.seen(switch("all", engaged=True, selector={"matchLabels": {"desk": "fx"}}), 1)
    before = stops.asked.severity
    stops.seen(switch("all", generation=2, engaged=True, selector={"matchLabels": {"desk": "crypto"}}), 2)
    assert (before, stops.asked.severity) == (Severity.NONE, Severity.CANCEL)


@pytest.mark.parametrize(
    ("scope", "ours"),
    [
        ({}, True),
        ({"venues": ["sim"]}, True),
        ({"venues": ["other"]}, False),
        ({"instruments": ["BTCUSDT"]}, False),
        ({"tracks": ["candidate"]}, False),
        ({"venues": ["mistyped"]}, True),
        ({"unknown": 1}, True),
    ],
)
def test_a_stop_of_a_part_is_the_gates_alone(scope: dict[str, Any], ours: bool) -> None:
    """All that the watchdog can cancel is all of the account."""
    stops = Stops("m", {}, PLACE)
    stops.seen(switch("part", engaged=True, systems=["m"], scope=scope), 1)
    assert (stops.asked.severity is Severity.CANCEL) is ours


def test_a_deletion_is_no_release() -> None:
    """It goes on counting until a gate has closed, or the system's own switch is released."""
    stops = Stops("m", {}, PLACE)
    stops.seen(switch("m", engaged=True), 1)
    stops.deleted(switch("m"))
    assert stops.asked.severity is Severity.CANCEL
    stops.closed()
    assert (stops.asked.severity, stops.releases) == (Severity.NONE, 0)
    stops.seen(switch("m", "u2", engaged=True), 2)
    stops.seen(switch("m", "u2", 2, engaged=False), 3)
    assert (stops.asked.severity, stops.releases) == (Severity.NONE, 1)


# --- the drop copy

BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=parse("0.01"),
    lot=parse("0.00001"),
    quantity_min=1,
    quantity_max=parse("9000"),
    notional_min=0,
)
PRICE = parse("50000")


class Story:
    """An account and the events about it, told as they should be."""

    def __init__(self, looks: int = 2, zone: str = "UTC") -> None:
        self.copy = DropCopy([BTC], "USDT", looks, Calendar(zone))
        self.copy.loss_max = parse("1000")
        self.held = {"USDT": parse("100000"), "BTC": parse("1")}
        self.ids: set[str] = set()
        self.price = PRICE
        self.openings: dict[str, int] = {}
        self.ts = 1
        self.told: list[OrderUpdate] = []

    def tell(self, event: OrderEvent) -> None:
        self.told.append(OrderUpdate("sim-execution", len(self.told) + 1, "stable", event))
        self.copy.update(self.told[-1])

    def order(self, name: str, side: Side = Side.BUY) -> None:
        self.tell(
            Initialized(
                client_order_id=name,
                ts=self.ts,
                intent_id=name,
                track="stable",
                symbol="BTCUSDT",
                side=side,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                quantity=parse("0.1"),
                price=PRICE,
                reduce_only=False,
            )
        )
        self.tell(Submitted(client_order_id=name, ts=self.ts))
        self.tell(Accepted(client_order_id=name, ts=self.ts, venue_order_id=name))
        self.ids.add(name)

    def at_venue(self, side: Side = Side.BUY) -> None:
        self.held["BTC"] += side.sign * parse("0.1")
        self.held["USDT"] -= side.sign * parse("5000") + parse("5")

    def fill(self, name: str) -> None:
        self.ids.discard(name)
        self.tell(
            Filled(
                client_order_id=name,
                ts=self.ts,
                trade_id=f"t{name}",
                price=PRICE,
                quantity=parse("0.1"),
                commission=parse("5"),
                commission_asset="USDT",
                maker=False,
            )
        )

    def look(self) -> list[str]:
        found = self.copy.look(
            Look(
                ts=self.ts,
                open_ids=frozenset(self.ids),
                balances=dict(self.held),
                prices={"BTCUSDT": self.price},
                openings=self.openings,
            )
        )
        return [one.what for one in found]


def test_fills_that_are_told_differ_in_nothing() -> None:
    """The owner's holdings from before are nobody's business."""
    story = Story()
    assert story.look() == []
    story.order("a")
    story.at_venue()
    story.fill("a")
    assert [story.look() for _ in range(4)] == [[]] * 4
    assert story.copy.loss == parse("5")


def test_a_fill_that_is_on_its_way_differs_for_a_moment_only() -> None:
    """Between asking and the last event that may belong to the answer, any state of the books will do."""
    story = Story(looks=1)
    story.look()
    story.order("a")
    story.copy.asked()
    story.fill("a")  # told already, and the venue's answer is from before
    assert story.look() == []
    story.at_venue()
    story.copy.asked()
    assert story.look() == []


@pytest.mark.parametrize("answered_before", [True, False])
def test_what_fills_during_the_first_look_is_no_difference_ever_after(answered_before: bool) -> None:
    """The venue's answer may be from before the fill or from after it: the looks that follow tell which it was."""
    story = Story(looks=1)
    story.order("a")
    story.copy.asked()
    story.fill("a")
    if not answered_before:
        story.at_venue()
    assert story.look() == []
    if answered_before:
        story.at_venue()
    for _ in range(2):
        story.copy.asked()
        assert story.look() == []
    story.held["USDT"] -= 1
    story.copy.asked()
    assert story.look() == ["balance USDT"]


def test_money_that_no_event_explains_is_told_after_some_looks_and_until_it_is_accepted() -> None:
    story = Story(looks=3)
    story.look()
    story.held["USDT"] -= 1
    assert [story.look() for _ in range(4)] == [[], [], ["balance USDT"], ["balance USDT"]]
    story.copy.accept()
    assert [story.look() for _ in range(4)] == [[]] * 4


def test_a_difference_that_goes_away_starts_again() -> None:
    story = Story(looks=2)
    story.look()
    story.held["USDT"] -= 1
    assert story.look() == []
    story.held["USDT"] += 1
    assert story.look() == []
    story.held["USDT"] -= 1
    assert story.look() == []


def test_orders_have_to_be_where_the_events_say() -> None:
    """Working and not in the venue's list, or in it and over; orders of others are counted and no difference."""
    story = Story(looks=1)
    story.order("a")
    story.order("b")
    story.tell(Canceled(client_order_id="b", ts=1, reason=""))
    story.ids = {"b", "somebody's"}
    assert story.look() == ["alive b", "lost a"]
    assert story.copy.foreign_orders == 1


def test_a_loss_beyond_the_limit_is_grave() -> None:
    """Valued at the venue's own prices; the next day begins anew."""
    story = Story(looks=1)
    story.look()
    story.order("a")
    story.at_venue()
    story.fill("a")
    story.price = parse("41000")
    assert story.look() == []
    story.price = parse("40000")
    assert story.look() == ["loss"]
    story.ts += 86_400 * S
    story.openings = {"BTCUSDT": story.price}
    assert story.look() == []


@pytest.mark.parametrize("looked", [True, False])
def test_a_restart_forgets_nothing_of_the_day(looked: bool) -> None:
    """What was held when the day began follows from the events' own times, what it was worth from the venue: who has
    just begun, and has the journal read to it, judges as who was there all along."""
    story = Story(looks=1)
    story.order("a")
    story.at_venue()
    story.fill("a")  # carried into the next day
    story.ts += 86_400 * S
    story.openings, story.price = {"BTCUSDT": parse("45000")}, parse("44000")
    if looked:
        assert story.look() == []
        assert story.copy.loss == parse("100")
    story.order("b")
    story.at_venue()
    story.fill("b")  # pays 50000, and 5 of fee
    story.price = parse("39000")
    if not looked:
        story.copy = DropCopy([BTC], "USDT", 1, Calendar())
        story.copy.loss_max = parse("1000")
        for update in story.told:
            story.copy.update(update)
    assert story.copy.carried(story.ts) == ("BTCUSDT",)
    assert story.look() == ["loss"]
    assert story.copy.loss == parse("600") + parse("1105")


def test_without_a_price_of_the_days_beginning_it_says_so_and_judges_this_days_fills() -> None:
    story = Story(looks=1)
    story.order("a")
    story.at_venue()
    story.fill("a")
    story.ts += 86_400 * S
    story.order("b")
    story.at_venue()
    story.fill("b")
    story.price = parse("42000")
    assert story.look() == ["opening"]
    assert story.copy.loss == parse("805")
    story.price = parse("39000")
    assert story.look() == ["loss", "opening"]


def test_another_journal_does_not_end_the_day() -> None:
    """Its fills begin again; what was lost today was lost."""
    story = Story(looks=1)
    story.order("a")
    story.at_venue()
    story.fill("a")
    story.price = parse("45000")
    assert story.look() == []
    assert story.copy.loss == parse("505")
    story.copy.restart()
    assert story.look() == []
    assert story.copy.loss == parse("505")
    story.ts += 86_400 * S
    assert story.look() == []
    assert story.copy.loss == 0


def test_its_day_begins_where_the_gates_does() -> None:
    """Else a loss of yesterday evening would count for one of them and not for the other."""
    story = Story(looks=1, zone="America/New_York")
    story.ts = 1_800_000_000 * S  # 2027-01-15 03:00 in New York, 08:00 UTC
    story.look()
    story.order("a")
    story.at_venue()
    story.fill("a")
    story.price = parse("40000")
    assert story.look() == ["loss"]
    story.ts += 20 * 3_600 * S
    assert story.look() == ["loss"], "past midnight UTC"
    story.ts += 3_600 * S
    story.openings = {"BTCUSDT": parse("40000")}
    assert story.look() == [], "midnight there"


def test_without_a_price_the_loss_is_not_guessed() -> None:
    story = Story(looks=1)
    story.order("a")
    story.at_venue()
    story.fill("a")
    found = story.copy.look(Look(ts=1, open_ids=frozenset(), balances=dict(story.held), prices={}))
    assert (found, story.copy.loss) == ((), 0)


# --- alerts

CONFIG = WatchdogConfig(
    system="m",
    namespace="n",
    service="sim-watchdog",
    account="m-sim",
    venue=Venue(name="sim", rest_url="", stream_url="", ws_api_url=""),
    symbols=("BTCUSDT",),
    currency="USDT",
    allocation_configmap="m-allocation",
    gate=Gate(
        name="sim-execution",
        venue="sim",
        intents=Endpoint(host="h", port=1, public_key=""),
        events=Endpoint(host="h", port=2, public_key=""),
        http="",
    ),
    gate_pod="m-sim-execution-0",
    kill_url="",
    lease="m-sim",
    labels={},
    system_venues=("sim",),
    system_instruments=("BTCUSDT",),
    silent_s=20,
    acknowledge_s=5,
)
NOTHING = Ask("", 0, Severity.NONE, "", 0)
QUIET = Seen(stop=NOTHING, verdict=Verdict(), open_orders=0, cancelled=0, cancelled_at=0, differences=(), blind="")


def test_quiet_is_quiet() -> None:
    assert alarms(CONFIG, QUIET, {}, NOW) == ((), {})


def test_an_alert_keeps_its_beginning_and_its_labels() -> None:
    """Counts and reasons are annotations."""
    first, since = alarms(CONFIG, msgspec.structs.replace(QUIET, cancelled=3, cancelled_at=NOW), {}, NOW)
    again, _ = alarms(CONFIG, msgspec.structs.replace(QUIET, cancelled=5, cancelled_at=NOW), since, NOW + S)
    assert [(a.name, a.since, a.level) for a in first] == [("WatchdogCancelled", NOW, "critical")]
    assert (again[0].key, again[0].since) == (first[0].key, NOW)
    assert alarms(CONFIG, QUIET, since, NOW + S) == ((), {})


@pytest.mark.parametrize(("grave", "level"), [(True, "critical"), (False, "warning")])
def test_a_grave_difference_wakes_somebody(grave: bool, level: str) -> None:
    seen = msgspec.structs.replace(QUIET, differences=(Difference("x", "told", grave),))
    (found,), _ = alarms(CONFIG, seen, {}, NOW)
    assert (found.name, found.level, found.reason) == ("AccountDiffers", level, "told")


def test_a_stop_has_the_labels_that_gate_and_operator_give_it() -> None:
    """So that Alertmanager shows one alert."""
    ask = Ask("u", 2, Severity.CANCEL, "KillSwitch m", 1)
    seen = msgspec.structs.replace(QUIET, stop=ask, verdict=Verdict(acknowledged=False), open_orders=2)
    _, since = alarms(CONFIG, seen, {}, NOW)
    found, _ = alarms(CONFIG, seen, since, NOW + 5 * S)
    assert [a.key for a in found] == [
        ("Engaged", "n", "m", ""),
        ("NotAcknowledged", "n", "m", "m-sim-execution-0"),
        ("NotCanceled", "n", "m", "m-sim-execution-0"),
    ]
