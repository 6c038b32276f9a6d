"""The order manager and reconciliation: outcomes, unknowns, fills, stops, recovery; old news makes no entry."""

from typing import Any

import msgspec
import pytest

from gatebench.ordinary import LIMITS, rules
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import parse as parse_id
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outcomes import CLOCK_ERROR_NS
from ringfence.execution.outputs import Cancel, Output, Query, Reconcile, Refuse
from ringfence.execution.reconcile import Reconciler, entries
from ringfence.execution.state import FOREIGN
from ringfence.model.approved import Approved
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    Filled,
    Initialized,
    OrderState,
    OrderType,
    OutcomeUnknown,
    PendingCancel,
    Rejected,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.venues import api
from ringfence.wire.kill import Severity
from ringfence.wire.messages import CancelIntent, FeedStatus, Intent, Quote

WALL = 1_700_000_000_000_000_000
MONO = 5_000_000_000_000
SECOND = 1_000_000_000
VALIDITY = 5 * SECOND
SYMBOL = "BTCUSDT"
LOT = money("0.1")
PRICE = money("50000")
RULES = rules(SYMBOL)


class Rig:
    """A manager in an active gate, with time and a journal."""

    def __init__(self, journal: list[Entry] | None = None) -> None:
        self.guard = Guard("s", {}, [], WALL)
        self.switch(1)
        self.guard.reconciled(1, WALL)
        self.gate = Gate(self.guard, (SYMBOL,))
        market = self.gate.markets[SYMBOL]
        market.instrument = RULES
        market.quote(Quote(SYMBOL, 1, WALL, PRICE, LOT, PRICE + money("0.01"), LOT), MONO)
        market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
        self.manager = Manager(self.gate, prefix("n", "s"), "USDT", VALIDITY)
        for entry in journal or []:
            self.manager.replay(entry)
        self.manager.fence += 1
        self.allocate(LIMITS)
        self.reconciler = Reconciler(self.manager, self.guard)
        self.journal: list[Entry] = list(journal or [])
        self.numbers = len(self.journal)

    def switch(self, generation: int, **spec: Any) -> None:
        meta = {"name": "s", "uid": "u", "generation": generation}
        self.guard.switch_seen({"metadata": meta, "spec": spec}, WALL)

    def allocate(self, limits: Limits) -> None:
        track = Track(name="stable", revision="abc123", stage="Live", weight=100, grant="g", key="k")
        allocation = Allocation(epoch=1, tracks=(track,), limits=limits)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)

    def keep(self, outputs: list[Output]) -> list[Output]:
        self.journal += entries(outputs)
        return outputs

    def place(self, side: Side = Side.BUY, quantity: int = LOT, price: int = PRICE, **more: Any) -> str:
        """A sent order's client id."""
        self.numbers += 1
        fields: dict[str, Any] = {"track": "stable", "symbol": SYMBOL, "type": OrderType.LIMIT} | more
        intent = Intent(
            intent_id=f"i{self.numbers}",
            side=side,
            time_in_force=TimeInForce.GTC,
            quantity=quantity,
            price=price,
            reduce_only=False,
            ts_decided=WALL,
            **fields,
        )
        outputs = self.keep(self.manager.intent(intent, "k", WALL, MONO))
        assert [type(o) for o in outputs] == [Entry, Entry, Approved], outputs
        approved = outputs[-1]
        assert isinstance(approved, Approved)
        return approved.client_order_id

    def accept(self, name: str, venue_order_id: str = "") -> str:
        outcome = api.Accepted(venue_order_id or f"v-{name}")
        self.keep(self.manager.submitted(name, outcome, WALL, MONO))
        return name

    def fill(
        self, name: str, quantity: int = LOT, trade_id: str = "1", price: int = PRICE, **more: Any
    ) -> list[Output]:
        return self.keep(self.manager.event(SYMBOL, filled(name, quantity, trade_id, price, **more)))

    def state(self, name: str) -> str:
        return str(self.manager.orders[name].state)

    def slot(self, track: str = "stable") -> tuple[int, int, int]:
        slot = self.gate.tracks[track].slots[SYMBOL]
        return slot.position, slot.buys, slot.sells


def filled(name: str, quantity: int, trade_id: str, price: int = PRICE, commission: int = 0) -> Filled:
    return Filled(
        client_order_id=name,
        ts=WALL,
        trade_id=trade_id,
        price=price,
        quantity=quantity,
        commission=commission,
        commission_asset="USDT",
        maker=False,
    )


def report(name: str, **more: Any) -> api.OrderReport:
    fields: dict[str, Any] = {
        "client_order_id": name,
        "venue_order_id": f"v-{name}",
        "symbol": SYMBOL,
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": PRICE,
        "quantity": LOT,
        "filled": 0,
        "state": OrderState.ACCEPTED,
        "ts_venue": WALL,
    }
    return api.OrderReport(**(fields | more))


def trade(venue_order_id: str, trade_id: str, side: Side = Side.BUY, quantity: int = LOT) -> api.TradeReport:
    return api.TradeReport(
        trade_id=trade_id,
        venue_order_id=venue_order_id,
        symbol=SYMBOL,
        side=side,
        price=PRICE,
        quantity=quantity,
        commission=0,
        commission_asset="USDT",
        maker=True,
        ts_venue=WALL,
    )


def balances(**amounts: str) -> dict[str, api.VenueBalance]:
    return {asset: api.VenueBalance(money(amount), 0) for asset, amount in amounts.items()}


def kinds(outputs: list[Output]) -> list[type]:
    return [type(o.event) if isinstance(o, Entry) else type(o) for o in outputs]


def test_an_order_is_journaled_before_it_is_sent_and_counts_at_once() -> None:
    """Two entries, then the send; the exposure is there before any answer."""
    rig = Rig()
    name = rig.place()
    assert [type(entry.event) for entry in rig.journal] == [Initialized, Submitted]
    assert rig.slot() == (0, LOT, 0)
    assert (rig.gate.account.working, rig.state(name)) == (1, "SUBMITTED")
    parts = parse_id(name)
    assert parts is not None
    assert (parts.revision, parts.fence, parts.sequence) == ("abc123", 1, 1)


def test_a_refused_intent_is_told_and_never_becomes_an_order() -> None:
    rig = Rig()
    intent = Intent("x", "stable", SYMBOL, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0, PRICE, False, WALL)
    assert kinds(rig.manager.intent(intent, "k", WALL, MONO)) == [Initialized, Denied]
    assert rig.manager.live == {}
    assert rig.manager.intent(intent, "k", WALL, MONO) == [], "the same intent again has had its answer"
    assert rig.manager.refusals["QUANTITY_NOT_POSITIVE"] == 2


def test_a_stranger_gets_no_answer_and_fills_no_disk() -> None:
    rig = Rig()
    intent = Intent("x", "stable", SYMBOL, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, LOT, PRICE, False, WALL)
    for key in ("", "other"):
        assert rig.manager.intent(intent, key, WALL, MONO) == []
    assert rig.manager.cancel_intent(CancelIntent("x", "stable", WALL), "other", WALL, MONO) == []
    assert rig.manager.refusals == {"SENDER_NOT_ALLOWED": 3}


def test_a_storm_of_refusals_is_told_but_not_journaled() -> None:
    rig = Rig()
    outputs = []
    for number in range(200):
        name, gtc = f"s{number}", TimeInForce.GTC
        intent = Intent(name, "stable", SYMBOL, Side.BUY, OrderType.LIMIT, gtc, 0, PRICE, False, WALL)
        outputs += rig.manager.intent(intent, "k", WALL, MONO)
    told = [output.intent_id for output in outputs if isinstance(output, Refuse)]
    assert told == [f"s{number}" for number in range(50, 200)]
    assert (len(outputs), rig.manager.unjournaled) == (100 + 150, 150)


@pytest.mark.parametrize(
    ("outcome", "kind", "state"),
    [
        (api.Accepted("v1"), Accepted, "ACCEPTED"),
        (api.Refused(-2010, "no money"), Rejected, "REJECTED"),
        (api.NotSent("the guard closed"), Canceled, "CANCELED"),
        (api.Unknown("timed out"), OutcomeUnknown, "SUBMITTED"),
    ],
)
def test_each_outcome_of_a_send(outcome: api.SubmitOutcome, kind: type, state: str) -> None:
    """Only what the venue has proven is final."""
    rig = Rig()
    name = rig.place()
    assert kinds(rig.manager.submitted(name, outcome, WALL, MONO)) == [kind]
    assert rig.state(name) == state
    assert rig.slot()[1] == (LOT if state in ("ACCEPTED", "SUBMITTED") else 0)


def test_the_stream_may_be_faster_than_the_answer() -> None:
    """A fill before the acknowledgement; then the answer adds only the venue's id."""
    rig = Rig()
    name = rig.place()
    rig.fill(name)
    assert rig.state(name) == "FILLED"
    assert kinds(rig.manager.submitted(name, api.Accepted("v1"), WALL, MONO)) == [Accepted]
    assert (rig.state(name), rig.slot()) == ("FILLED", (LOT, 0, 0))
    assert rig.manager.submitted(name, api.Refused(-1, "late"), WALL, MONO) == []


def test_known_events_make_no_entry() -> None:
    rig = Rig()
    name = rig.accept(rig.place(), "v1")
    assert rig.manager.event(SYMBOL, Accepted(client_order_id=name, ts=WALL, venue_order_id="v1")) == []
    rig.fill(name, LOT // 2, "7")
    assert rig.fill(name, LOT // 2, "7") == []
    canceled = Canceled(client_order_id=name, ts=WALL)
    assert kinds(rig.manager.event(SYMBOL, canceled)) == [Canceled]
    assert rig.manager.event(SYMBOL, canceled) == []
    assert rig.slot() == (LOT // 2, 0, 0)


def test_an_unknown_outcome_blocks_until_a_query_settles_it() -> None:
    """The query is due soon; a report accepts it, and new exposure may go on."""
    rig = Rig()
    name = rig.place()
    rig.manager.submitted(name, api.Unknown("timed out"), WALL, MONO)
    assert rig.gate.markets[SYMBOL].unknown == {name}
    assert rig.manager.tick(WALL, MONO) == []
    assert rig.manager.tick(WALL, MONO + SECOND) == [Query(SYMBOL, name)]
    assert kinds(rig.manager.queried(name, report(name), WALL, WALL, MONO)) == [Accepted]
    assert not rig.gate.markets[SYMBOL].unknown
    rig.place()


def test_absence_is_proof_only_after_the_requests_validity() -> None:
    """From when the question left, whatever the wall clock says, and with the error of clocks on top."""
    rig = Rig()
    name = rig.place()
    rig.manager.submitted(name, api.Unknown("timed out"), WALL, MONO)
    early = MONO + VALIDITY + CLOCK_ERROR_NS - 1
    assert rig.manager.queried(name, None, early, WALL + 100 * SECOND, MONO + 100 * SECOND) == []
    assert rig.manager.tick(WALL, MONO + 101 * SECOND) == [Query(SYMBOL, name)]
    assert len(rig.manager.queried(name, None, early + 1, WALL, MONO)) == 2
    assert (rig.state(name), rig.slot()) == ("CANCELED", (0, 0, 0))
    assert not rig.gate.markets[SYMBOL].unknown


def test_absence_proves_nothing_while_the_order_may_still_leave() -> None:
    """An approved order may wait for room in the rate limit, up to its deadline: it counts from there."""
    rig = Rig()
    name = rig.place()
    deadline = MONO + LIMITS.order_approved_lifetime_ms * 1_000_000
    sure = deadline + VALIDITY + CLOCK_ERROR_NS
    assert rig.manager.queried(name, None, sure - 1, WALL, MONO) == []
    assert len(rig.manager.queried(name, None, sure, WALL, MONO)) == 1


def test_absence_proves_nothing_right_after_a_restart() -> None:
    """The journal says when the order was decided, not when its bytes left the process that is gone."""
    first = Rig()
    name = first.place()
    rig = Rig(first.journal)
    later = MONO + 100 * SECOND
    rig.keep(rig.manager.recovered(WALL, later))
    assert rig.manager.queried(name, None, later, WALL, later) == []
    assert len(rig.manager.queried(name, None, later + VALIDITY + CLOCK_ERROR_NS, WALL, later)) == 2


def test_a_refused_cancel_of_an_order_on_its_way_leads_back_to_submitted() -> None:
    """And once the order is acknowledged, back to accepted."""
    rig, name = (found := Rig()), found.place()
    rig.switch(2, engaged=True)
    for again in (1, 2):
        rig.manager.tick(WALL, MONO + again * SECOND)
        rig.manager.canceled(name, api.Refused(-2011, "Unknown order sent."), WALL, MONO)
        assert (rig.state(name), rig.manager.anomalies) == ("SUBMITTED", {})
    rig.manager.tick(WALL, MONO + 3 * SECOND)
    rig.accept(name)
    rig.manager.canceled(name, api.Refused(-2011, "Unknown order sent."), WALL, MONO)
    assert (rig.state(name), rig.manager.anomalies) == ("ACCEPTED", {})


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [(api.NotSent("closed"), Canceled), (api.Refused(-2010, "no"), Rejected), (api.Unknown("?"), OutcomeUnknown)],
)
def test_a_send_that_ends_after_its_cancel_was_asked_for_is_still_heard(outcome: Any, kind: type) -> None:
    """A stop cancels an order before its task has even begun to send it: what became of the send is no old news."""
    rig = Rig()
    name = rig.place()
    rig.switch(2, engaged=True)
    rig.manager.tick(WALL, MONO)
    assert kinds(rig.manager.submitted(name, outcome, WALL, MONO)) == [kind]
    assert (rig.gate.markets[SYMBOL].unknown == {name}) is (kind is OutcomeUnknown)


def test_a_close_that_overtakes_the_acknowledgement_does_not_orphan_its_fills() -> None:
    """Answer, NEW and TRADE were lost, EXPIRED came: without the venue's id its fill would be booked as foreign."""
    rig = Rig()
    name = rig.place()
    assert rig.manager.event(SYMBOL, Expired(client_order_id=name, ts=WALL)) == [Query(SYMBOL, name)]
    rig.manager.submitted(name, api.Unknown("disconnected"), WALL, MONO)
    told = report(name, filled=LOT // 2, state=OrderState.EXPIRED)
    assert kinds(rig.manager.queried(name, told, MONO, WALL, MONO)) == [Accepted, Reconcile]
    outputs = rig.reconciler.trades(SYMBOL, (trade(f"v-{name}", "5", quantity=LOT // 2),), WALL)
    assert [entry.track for entry in entries(outputs)] == ["stable"]
    assert kinds(rig.manager.queried(name, told, MONO, WALL, MONO)) == [Expired]


def test_a_report_with_more_fills_waits_for_the_trades() -> None:
    """Closing first would close with the wrong quantity."""
    rig = Rig()
    name = rig.accept(rig.place())
    told = report(name, filled=LOT // 2, state=OrderState.CANCELED)
    assert kinds(rig.manager.queried(name, told, WALL, WALL, MONO)) == [Reconcile]
    assert rig.state(name) == "ACCEPTED"
    rig.reconciler.trades(SYMBOL, (trade(f"v-{name}", "5", quantity=LOT // 2),), WALL)
    assert kinds(rig.manager.queried(name, told, WALL, WALL, MONO)) == [Canceled]
    assert rig.slot() == (LOT // 2, 0, 0)


@pytest.mark.parametrize(
    ("state", "kind"),
    [(OrderState.CANCELED, Canceled), (OrderState.EXPIRED, Expired), (OrderState.REJECTED, Rejected)],
)
def test_a_report_of_a_closed_order_closes_it(state: OrderState, kind: type) -> None:
    name = (rig := Rig()).accept(rig.place())
    assert kinds(rig.manager.queried(name, report(name, state=state), WALL, WALL, MONO)) == [kind]


def test_cancels_are_repeated_until_the_order_is_closed() -> None:
    """Refused, not sent, unanswered: the wish stays."""
    rig = Rig()
    name = rig.accept(rig.place())
    wish = CancelIntent("i1", "stable", WALL)
    assert kinds(rig.manager.cancel_intent(wish, "k", WALL, MONO)) == [PendingCancel, Cancel]
    rig.manager.canceled(name, api.NotSent("no room"), WALL, MONO)
    assert rig.state(name) == "ACCEPTED"
    again = rig.manager.tick(WALL, MONO + SECOND)
    assert Cancel(SYMBOL, name) in again
    assert Query(SYMBOL, name) in again
    rig.manager.canceled(name, api.Accepted("v"), WALL, MONO)
    rig.manager.event(SYMBOL, Canceled(client_order_id=name, ts=WALL))
    assert rig.manager.tick(WALL, MONO + 9 * SECOND) == []
    assert rig.manager.cancel_intent(wish, "k", WALL, MONO) == []


def test_a_stop_cancels_all_and_keeps_at_it() -> None:
    """At once by the host, and by every tick for what was placed or refused meanwhile; foreign orders are left."""
    rig = Rig()
    first, second = rig.accept(rig.place()), rig.place()
    rig.switch(2, engaged=True)
    outputs = rig.manager.cancel_stopped(WALL, MONO)
    assert [o.client_order_id for o in outputs if isinstance(o, Cancel)] == [first, second]
    assert rig.manager.tick(WALL, MONO + 1) == []
    assert len([o for o in rig.manager.tick(WALL, MONO + SECOND) if isinstance(o, Cancel)]) == 2
    for name in (first, rig.accept(second)):
        rig.manager.event(SYMBOL, Canceled(client_order_id=name, ts=WALL))
    assert rig.manager.canceled_by_kill == 2
    assert rig.slot() == (0, 0, 0)


def test_tightening_cancels_only_what_is_above_and_never_what_reduces() -> None:
    """Newest first, until the worst case fits."""
    rig = Rig()
    old = rig.accept(rig.place())
    rig.fill(old)
    protective = rig.accept(rig.place(Side.SELL, LOT, PRICE + money("10")))
    names = [rig.accept(rig.place(price=PRICE - money(str(n + 1)))) for n in range(4)]
    rig.allocate(msgspec.structs.replace(LIMITS, position_per_instrument=money("15001")))
    outputs = rig.manager.cancel_excess(WALL, MONO)
    assert [o.client_order_id for o in outputs if isinstance(o, Cancel)] == [names[3], names[2]]
    assert not rig.manager.orders[protective].closed
    assert rig.manager.cancel_excess(WALL, MONO) == []
    rig.allocate(msgspec.structs.replace(LIMITS, order_value_max=money("10")))
    outputs = rig.manager.cancel_excess(WALL, MONO)
    assert {o.client_order_id for o in outputs if isinstance(o, Cancel)} == set(names[:2])


def test_an_overfill_is_kept_counted_and_restricts() -> None:
    rig = Rig()
    name = rig.accept(rig.place())
    rig.fill(name, LOT, "1")
    rig.fill(name, LOT, "2")
    assert rig.manager.anomalies == {"OVERFILL": 1}
    assert rig.guard.severity is Severity.REDUCE_ONLY
    assert rig.slot() == (2 * LOT, 0, 0)


def test_a_late_fill_is_booked_and_looked_into() -> None:
    """The venue's matching had already happened when we thought it cancelled."""
    rig = Rig()
    name = rig.accept(rig.place())
    rig.manager.event(SYMBOL, Canceled(client_order_id=name, ts=WALL))
    outputs = rig.fill(name)
    assert kinds(outputs) == [Filled, Reconcile]
    assert (rig.state(name), rig.slot()) == ("FILLED", (LOT, 0, 0))


def test_replaying_the_journal_leads_to_the_same_state() -> None:
    """Orders, exposure, ledgers, refusals remembered; the fence grows and ids go on."""
    rig = Rig()
    done = rig.accept(rig.place())
    rig.fill(done, LOT, "1", price=PRICE + money("1"))
    part = rig.accept(rig.place(Side.SELL, 3 * LOT, PRICE + money("1")))
    rig.fill(part, LOT, "2")
    gone = rig.place()
    rig.keep(rig.manager.submitted(gone, api.Refused(-1, "x"), WALL, MONO))
    flying = rig.place()
    pulled = rig.accept(rig.place())
    rig.keep(
        rig.manager.cancel_intent(CancelIntent(rig.manager.orders[pulled].intent_id, "stable", WALL), "k", WALL, MONO)
    )
    bad = Intent("bad", "stable", SYMBOL, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0, PRICE, False, WALL)
    rig.keep(rig.manager.intent(bad, "k", WALL, MONO))
    again = Rig(rig.journal)
    assert again.slot() == rig.slot()
    assert again.manager.books == rig.manager.books
    assert {k: v.order.state for k, v in again.manager.live.items()} == {
        k: v.order.state for k, v in rig.manager.live.items()
    }
    assert again.manager.venue_ids == rig.manager.venue_ids
    assert again.gate.account.working == rig.gate.account.working
    assert (again.manager.fence, again.manager.sequence) == (2, rig.manager.sequence)
    assert "bad" in again.gate.tracks["stable"].seen
    outputs = again.manager.recovered(WALL, MONO)
    assert kinds(outputs) == [OutcomeUnknown]
    assert again.gate.markets[SYMBOL].unknown == {flying}
    asked = {o.client_order_id for o in again.manager.tick(WALL, MONO) if isinstance(o, Query)}
    assert asked == {part, flying, pulled}


def test_an_intent_that_was_journaled_but_never_sent_is_closed_on_recovery() -> None:
    """A crash between the two entries: nothing was sent."""
    rig = Rig()
    rig.place()
    again = Rig(rig.journal[:1])
    assert kinds(again.manager.recovered(WALL, MONO)) == [Submitted, Canceled]
    assert again.slot() == (0, 0, 0)


def test_reconciliation_is_idempotent_and_deterministic() -> None:
    """Foreign executions become orders of the foreign ledger with ids of the venue's own; twice is no news."""
    rig = Rig()
    name = rig.accept(rig.place(), "77")
    found = (trade("77", "10"), trade("99", "11", Side.SELL, 2 * LOT))
    first = rig.reconciler.trades(SYMBOL, found, WALL)
    assert kinds(first) == [Filled, Initialized, Submitted, Filled]
    assert (rig.state(name), rig.slot(), rig.slot(FOREIGN)[0]) == ("FILLED", (LOT, 0, 0), -2 * LOT)
    assert rig.reconciler.trades(SYMBOL, found, WALL + 1) == []
    assert rig.reconciler.cursors == {SYMBOL: "11"}
    made = [o.event.client_order_id for o in first if isinstance(o, Entry)]
    assert made[1] == "ext-BTCUSDT-99-11"
    assert rig.gate.account.working == 0


def test_a_trade_of_an_order_without_a_venue_id_waits() -> None:
    """It may be ours: first the order is settled, then its trade."""
    rig = Rig()
    name = rig.place()
    rig.manager.submitted(name, api.Unknown("x"), WALL, MONO)
    assert rig.reconciler.trades(SYMBOL, (trade("55", "10"),), WALL) == []
    assert rig.reconciler.cursors == {}
    rig.manager.queried(name, report(name, venue_order_id="55", filled=LOT), WALL, WALL, MONO)
    assert kinds(rig.reconciler.trades(SYMBOL, (trade("55", "10"),), WALL)) == [Filled]
    assert rig.slot() == (LOT, 0, 0)


def test_open_orders_are_compared_with_ours() -> None:
    """Missing ones are asked for, foreign ones count at worst case and are left alone."""
    rig = Rig()
    here, away = rig.accept(rig.place()), rig.accept(rig.place())
    outputs = rig.reconciler.open_orders((report(here), report("web_1", quantity=5 * LOT)), WALL, WALL, MONO)
    assert outputs == [Query(SYMBOL, away)]
    assert rig.slot(FOREIGN) == (0, 5 * LOT, 0)
    assert rig.reconciler.foreign_orders == 1
    rig.reconciler.open_orders((report(here), report(away)), WALL, WALL, MONO)
    assert rig.slot(FOREIGN) == (0, 0, 0)


def test_an_order_that_the_journal_lost_comes_back_by_its_prefix() -> None:
    """To the track of its revision, and its number is never used again."""
    rig = Rig()
    lost = f"{rig.manager.prefix}abc123-1-2s"
    outputs = rig.reconciler.open_orders((report(lost),), WALL, WALL, MONO)
    assert kinds(outputs) == [Initialized, Submitted, Accepted]
    assert rig.slot() == (0, LOT, 0)
    assert rig.manager.sequence == 100
    assert rig.reconciler.open_orders((report(lost),), WALL, WALL, MONO) == []


def test_an_order_of_a_higher_fence_halts() -> None:
    """Somebody else trades this account."""
    rig = Rig()
    rig.reconciler.open_orders((report(f"{rig.manager.prefix}abc123-9-1"),), WALL, WALL, MONO)
    assert "another process trades this account" in rig.guard.reason
    assert rig.guard.severity is Severity.HALT


def test_balances_are_explained_by_baseline_and_ledgers() -> None:
    """A difference is confirmed by a second look, halts, and a person's release books it."""
    rig = Rig()
    rig.reconciler.first_look(balances(USDT="100000", BTC="1", DOGE="5"), {})
    name = rig.accept(rig.place())
    rig.fill(name)
    activity = rig.manager.activity
    good = balances(USDT="95000", BTC="1.1", DOGE="9")
    assert rig.reconciler.balances(good, activity, 1, WALL).sound
    assert rig.reconciler.balances(good, activity - 1, 1, WALL).again, "a fill came meanwhile: look again"
    bad = balances(USDT="95000", BTC="1.4", DOGE="9")
    assert rig.reconciler.balances(bad, activity, 1, WALL).again
    assert rig.guard.severity is Severity.NONE
    assert not rig.reconciler.balances(bad, activity, 1, WALL).again
    assert rig.guard.severity is Severity.HALT
    assert "0.3 BTC" in rig.guard.reason
    assert rig.reconciler.accept(WALL) == {"BTC": money("0.3")}
    assert rig.reconciler.balances(bad, activity, rig.guard.cycle, WALL).sound
    assert rig.guard.severity is Severity.NONE


def test_nothing_is_sound_while_an_outcome_is_unknown() -> None:
    rig = Rig()
    rig.reconciler.first_look(balances(USDT="1"), {})
    rig.manager.submitted(name := rig.place(), api.Unknown("x"), WALL, MONO)
    assert not rig.reconciler.balances(balances(USDT="1"), 0, 1, WALL).sound
    assert name in rig.guard.reason


def test_todays_loss_is_valued_at_what_closing_would_fetch() -> None:
    """Held at the bid, owed at the ask, fees included; an asset without a price is unknown, not zero."""
    rig = Rig()
    rig.accept(name := rig.place(quantity=10 * LOT))
    rig.manager.evaluate(WALL)
    rig.manager.event(SYMBOL, filled(name, 10 * LOT, "1", PRICE, commission=money("50")))
    rig.gate.markets[SYMBOL].bid = PRICE - money("400")
    rig.manager.evaluate(WALL)
    assert rig.gate.account.loss == rig.gate.tracks["stable"].loss == money("450")
    rig.manager.books["stable"].cash["BNB"] = -1
    rig.manager.evaluate(WALL)
    assert "BNB" in rig.gate.loss_unknown
