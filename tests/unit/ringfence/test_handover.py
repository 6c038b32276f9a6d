"""Handover: positions move once, at what closing would fetch, and nothing else moves at all."""

from collections.abc import Iterable

import msgspec
import pytest

from gatebench import ordinary
from ringfence.execution import capacity
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.handover import Handovers
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Cancel, Output
from ringfence.execution.state import FOREIGN
from ringfence.execution.state import Track as GateTrack
from ringfence.model.approved import Approved
from ringfence.model.money import parse as money
from ringfence.model.orders import Accepted, Canceled, Filled, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.model.transfers import Transfer, completes_adoption
from ringfence.runtime.config import Allocation, Handover, HandoverMode, Track
from ringfence.runtime.guard import Guard
from ringfence.wire.messages import CancelIntent, FeedStatus, Intent, Quote

WALL = 1_700_000_000_000_000_000
MONO = 5_000_000_000_000
SYMBOL = "BTCUSDT"
LOT = money("0.1")
BID, ASK = money("50000"), money("50001")
RULES = ordinary.rules(SYMBOL)
LIMITS = msgspec.structs.replace(
    ordinary.LIMITS, position_per_instrument=money("100000"), position_gross=money("100000")
)
OLD, NEW = "aaaaaa", "bbbbbb"
ADOPT = Handover(id="p-1", source="candidate", target="stable", mode=HandoverMode.ADOPT)


def track(name: str, revision: str, weight: int, stage: str = "Canary") -> Track:
    return Track(name=name, revision=revision, stage=stage, weight=weight, grant="g", key=f"key-{revision}")


BEFORE = (track("stable", OLD, 100, "Live"), track("candidate", NEW, 25))
AFTER = (track("stable", NEW, 100, "Live"), track("shadow", OLD, 0, "Paper"))


class Rig:
    """Two tracks in one active gate, with the records that their journal would have."""

    def __init__(self, records: Iterable[Entry | Transfer] = ()) -> None:
        self.guard = Guard("s", {}, [], WALL)
        self.guard.switch_seen({"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}, WALL)
        self.guard.reconciled(1, WALL)
        self.gate = Gate(self.guard, (SYMBOL,))
        self.gate.markets[SYMBOL].instrument = RULES
        self.quote(BID, ASK)
        self.manager = Manager(self.gate, prefix("n", "s"), "USDT", 0)
        self.handovers = Handovers(self.manager)
        self.records: list[Entry | Transfer] = list(records)
        for record in self.records:
            if isinstance(record, Entry):
                self.manager.replay(record)
                self.handovers.replayed(record)
            else:
                self.handovers.restore(record)
        self.manager.fence += 1
        self.keep(self.handovers.resume())
        self.number = len(self.records)

    def quote(self, bid: int, ask: int, mono: int = MONO) -> None:
        self.gate.markets[SYMBOL].quote(Quote(SYMBOL, 1, WALL, bid, LOT, ask, LOT), mono)
        self.gate.markets[SYMBOL].status(FeedStatus(SYMBOL, WALL, True, ""), mono)

    def keep(self, outputs: list[Output]) -> list[Output]:
        self.records += [output for output in outputs if isinstance(output, Entry)]
        return outputs

    def allocate(self, tracks: tuple[Track, ...], *handovers: Handover) -> list[Output]:
        """As the keeper does it: tracks, cancels, handovers, tracks."""
        allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS, handovers=handovers)
        self.handovers.wanted = handovers
        self.apply(allocation)
        outputs = self.keep(self.manager.cancel_unowned(self.handovers.leaving(), WALL, MONO))
        self.step()
        self.apply(allocation)
        return outputs

    def apply(self, allocation: Allocation) -> None:
        held = self.handovers.holds(self.gate.tracks)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False, held=held)

    def step(self) -> Transfer | None:
        made = self.handovers.step(WALL, MONO)
        if made is None:
            return None
        self.records.append(made[0])
        self.keep(made[1])
        return made[0]

    def intent(self, name: str, revision: str, side: Side, quantity: int = LOT, price: int = 0) -> list[Output]:
        self.number += 1
        limit = price or (ASK if side is Side.BUY else BID)
        order_type, tif = OrderType.LIMIT, TimeInForce.GTC
        made = Intent(f"i{self.number}", name, SYMBOL, side, order_type, tif, quantity, limit, False, WALL)
        return self.keep(self.manager.intent(made, f"key-{revision}", WALL, MONO))

    def place(self, name: str, revision: str, side: Side, quantity: int = LOT) -> str:
        approved = [o for o in self.intent(name, revision, side, quantity) if isinstance(o, Approved)]
        order = approved[0].client_order_id
        self.keep(self.manager.event(SYMBOL, Accepted(client_order_id=order, ts=WALL, venue_order_id=f"v-{order}")))
        return order

    def fill(self, order: str, quantity: int = LOT, price: int = BID) -> None:
        self.number += 1
        filled = Filled(
            client_order_id=order, ts=WALL, trade_id=f"t{self.number}", price=price, quantity=quantity,
            commission=quantity // 1000, commission_asset="BTC", maker=True, ts_venue=WALL,
        )  # fmt: skip
        self.keep(self.manager.event(SYMBOL, filled))

    def bought(self, name: str, revision: str, quantity: int = LOT) -> None:
        self.fill(self.place(name, revision, Side.BUY, quantity), quantity, ASK)

    def position(self, name: str) -> int:
        return self.gate.tracks[name].slots[SYMBOL].position

    def total(self) -> dict[str, int]:
        books = self.manager.books.values()
        return {asset: sum(book.cash.get(asset, 0) for book in books) for asset in ("BTC", "USDT")}


def trading() -> Rig:
    rig = Rig()
    rig.allocate(BEFORE)
    rig.bought("stable", OLD)
    rig.bought("candidate", NEW)
    return rig


def test_adopt_moves_the_position_at_the_closing_price_and_the_account_not_at_all() -> None:
    rig = trading()
    held, total = rig.position("candidate"), rig.total()
    rig.allocate(AFTER, ADOPT)
    assert (rig.position("candidate"), rig.position("stable")) == (0, 2 * held)
    assert rig.total() == total
    assert rig.handovers.done["p-1"].legs[0].price == BID
    assert rig.gate.tracks["stable"].ungranted == ""


def test_no_loss_jumps_at_a_handover() -> None:
    rig = trading()
    rig.manager.evaluate(WALL)
    before = {name: rig.gate.tracks[name].loss for name in ("stable", "candidate")} | {"": rig.gate.account.loss}
    rig.allocate(AFTER, ADOPT)
    rig.manager.evaluate(WALL)
    after = {name: rig.gate.tracks[name].loss for name in ("stable", "candidate")} | {"": rig.gate.account.loss}
    assert after == before


def test_a_handover_is_done_once_however_often_it_is_read() -> None:
    rig = trading()
    rig.allocate(AFTER, ADOPT)
    rig.bought("stable", NEW)
    records = len(rig.records)
    rig.allocate(AFTER, ADOPT)
    assert len(rig.records) == records
    assert rig.step() is None


def test_it_waits_for_working_orders_of_the_source_and_of_the_old_revision_and_holds_both_tracks() -> None:
    rig = trading()
    rig.quote(BID, ASK)
    ours = rig.place("candidate", NEW, Side.SELL, LOT // 2)
    theirs = rig.place("stable", OLD, Side.SELL, LOT // 2)
    canceled = {o.client_order_id for o in rig.allocate(AFTER, ADOPT) if isinstance(o, Cancel)}
    assert canceled == {ours, theirs}
    assert "p-1" not in rig.handovers.done
    assert ours in rig.handovers.waiting["p-1"]
    assert rig.gate.tracks["stable"].ungranted.startswith("HANDOVER_PENDING id=p-1")
    assert not any(isinstance(o, Approved) for o in rig.intent("stable", NEW, Side.BUY))
    rig.keep(rig.manager.event(SYMBOL, Canceled(client_order_id=ours, ts=WALL)))
    assert rig.step() is None
    assert theirs in rig.handovers.waiting["p-1"]
    rig.keep(rig.manager.event(SYMBOL, Canceled(client_order_id=theirs, ts=WALL)))
    assert rig.step() is not None


def test_an_abort_leaves_the_orders_of_a_stable_that_stays_alone() -> None:
    rig = trading()
    resting = rig.place("stable", OLD, Side.SELL, LOT // 2)
    outputs = rig.allocate((BEFORE[0],), ADOPT)
    assert [o for o in outputs if isinstance(o, Cancel)] == []
    assert "p-1" in rig.handovers.done
    assert not rig.manager.orders[resting].closed


def test_no_fresh_price_no_handover() -> None:
    rig = trading()
    rig.quote(BID, ASK, MONO - 3_000_000_000)
    rig.allocate(AFTER, ADOPT)
    assert rig.handovers.waiting == {"p-1": "BTCUSDT has no fresh price"}
    rig.quote(BID, ASK)
    assert rig.step() is not None


def test_a_strategy_without_on_adopt_is_refused_and_only_for_its_own_revision() -> None:
    rig = trading()
    rig.handovers.adopts["stable", OLD] = False
    rig.handovers.adopts["stable", NEW] = False
    rig.allocate(AFTER, ADOPT)
    assert rig.handovers.refused == {"p-1": "the strategy of stable does not declare on_adopt"}
    del rig.handovers.adopts["stable", NEW]
    assert rig.step() is not None


def test_flatten_waits_until_the_source_is_closed_and_leaves_dust_where_it_is() -> None:
    rig = trading()
    flatten = Handover(id="f-1", source="candidate", mode=HandoverMode.FLATTEN)
    rig.allocate(BEFORE, flatten)
    assert rig.handovers.flattening() == flatten
    assert "is being closed" in rig.handovers.waiting["f-1"]
    assert not any(isinstance(o, Approved) for o in rig.intent("candidate", NEW, Side.BUY))
    assert rig.handovers.step(WALL, MONO, {"stable"}) is None
    made = rig.handovers.step(WALL, MONO, {"candidate"})
    assert made is not None
    assert (made[0].legs, made[1]) == ((), [])
    assert rig.handovers.flattening() is None


def test_flatten_of_nothing_is_done_at_once() -> None:
    rig = Rig()
    rig.allocate(BEFORE, Handover(id="f-1", source="candidate", mode=HandoverMode.FLATTEN))
    assert "f-1" in rig.handovers.done


def test_handovers_are_done_in_their_order() -> None:
    """A promotion that does not adopt: the old stable's position is closed first, the candidate's then moves."""
    rig = trading()
    first = Handover(id="f-1", source="stable", mode=HandoverMode.FLATTEN)
    rig.allocate(AFTER, first, ADOPT)
    assert rig.handovers.done == {}
    assert rig.handovers.step(WALL, MONO, {"stable"}) is not None
    assert rig.step() is not None
    assert rig.position("candidate") == 0


@pytest.mark.parametrize("kept", range(7))
def test_a_crash_between_any_two_records_of_a_handover_is_made_good(kept: int) -> None:
    """The note and six entries: whatever reached the disk, the next process ends with the same books."""
    rig = trading()
    before = len(rig.records)
    rig.allocate(AFTER, ADOPT)
    assert len(rig.records) == before + 7
    again = Rig(rig.records[: before + 1 + kept])
    for name in ("stable", "candidate"):
        assert again.manager.books[name] == rig.manager.books[name]
        assert again.gate.tracks[name].slots[SYMBOL].worst == abs(rig.position(name))
    assert again.manager.live == {}
    assert [type(record) for record in again.records] == [type(record) for record in rig.records]
    assert Rig(again.records).records == again.records


def test_the_last_leg_says_so() -> None:
    rig = trading()
    rig.allocate(AFTER, ADOPT)
    legs = rig.handovers.done["p-1"].leg_ids()
    assert [completes_adoption(leg) for leg in legs] == [False, True]


def test_counts_leave_book_entries_out_and_survive_a_replay() -> None:
    rig = trading()
    rig.allocate(AFTER, ADOPT)
    for one in (rig, Rig(rig.records)):
        counts = one.manager.activities["stable"]
        assert (counts.sent, counts.executed, counts.fills) == (1, 1, 1)


def test_orders_of_a_track_that_may_no_longer_trade_here_are_canceled() -> None:
    rig = trading()
    order = rig.place("candidate", NEW, Side.SELL, LOT // 2)
    outputs = rig.allocate((BEFORE[0], track("candidate", NEW, 0, "Paper")))
    assert [o.client_order_id for o in outputs if isinstance(o, Cancel)] == [order]


# --- shares and capacity


def test_counts_are_shared_out_only_while_a_candidate_trades() -> None:
    rig = Rig()
    rig.allocate((BEFORE[0],))
    stable = rig.gate.tracks["stable"].caps
    assert (stable.working, stable.rate) == (50, 1000)
    rig.allocate(BEFORE)
    stable, candidate = rig.gate.tracks["stable"].caps, rig.gate.tracks["candidate"].caps
    assert (stable.working, stable.rate) == (40, 600)
    assert (candidate.working, candidate.rate) == (10, 200)
    assert candidate.value == LIMITS.order_value_max // 4


def test_a_candidate_that_others_leave_nothing_is_starved_with_the_limits_name() -> None:
    rig = Rig()
    rig.allocate(BEFORE)
    candidate = rig.gate.tracks["candidate"]
    assert capacity.starved(rig.gate, candidate) == ("", "")
    foreign = rig.gate.tracks[FOREIGN].slot(rig.gate.markets[SYMBOL])
    foreign.position = 2 * money("1")
    foreign.settle()
    limit, told = capacity.starved(rig.gate, candidate)
    assert limit == "Position"
    assert told == "Position in BTCUSDT: the others take up 100002 of 100000"
    foreign.position = money("1.9")
    foreign.settle()
    assert capacity.starved(rig.gate, candidate) == ("", "")


def test_what_others_hold_takes_up_room_also_while_nobody_offers() -> None:
    """At the last ask, as the gate counts it."""
    rig = Rig()
    rig.allocate(BEFORE)
    foreign = rig.gate.tracks[FOREIGN].slot(rig.gate.markets[SYMBOL])
    foreign.position = money("1")
    foreign.settle()
    before = capacity.rooms(rig.gate, rig.gate.tracks["candidate"])
    rig.quote(money("50000"), 0)
    assert capacity.rooms(rig.gate, rig.gate.tracks["candidate"]) == before


def test_what_a_track_holds_itself_does_not_starve_it() -> None:
    rig = trading()
    slot = rig.gate.tracks["candidate"].slots[SYMBOL]
    slot.position = money("0.5")
    slot.settle()
    assert capacity.starved(rig.gate, rig.gate.tracks["candidate"]) == ("", "")
    rooms = {room.limit: room for room in capacity.rooms(rig.gate, rig.gate.tracks["candidate"])}
    assert rooms["Position"].free == 0
    assert rooms["Position"].entitled == money("25000")


def test_a_share_below_the_venues_minimum_starves() -> None:
    rig = Rig()
    tight = msgspec.structs.replace(LIMITS, order_value_max=money("100"))
    allocation = Allocation(epoch=1, tracks=(BEFORE[0], track("candidate", NEW, 1)), limits=tight)
    rig.apply(allocation)
    limit, told = capacity.starved(rig.gate, rig.gate.tracks["candidate"])
    assert (limit, told) == ("OrderValue", "OrderValue in BTCUSDT: its share of 100 is 1, too small")


def test_on_paper_tracks_share_no_limits() -> None:
    rig = Rig()
    tracks = (track("candidate", NEW, 0, "Paper"), track("shadow", OLD, 0, "Paper"))
    allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS)
    allocate(rig.gate.tracks, rig.gate.account, allocation, {"g": LIMITS}, paper=True)
    for name in ("candidate", "shadow"):
        assert rig.gate.tracks[name].caps.position == LIMITS.position_per_instrument
    shadow = rig.gate.tracks["shadow"].slot(rig.gate.markets[SYMBOL])
    shadow.position = money("1.9")
    shadow.settle()
    assert any(isinstance(o, Approved) for o in rig.intent("candidate", NEW, Side.BUY, money("0.9")))


def test_two_tracks_never_match_each_other() -> None:
    rig = trading()
    rig.place("stable", OLD, Side.SELL)
    refused = rig.intent("candidate", NEW, Side.BUY, price=ASK)
    assert not any(isinstance(o, Approved) for o in refused)
    assert rig.manager.refusals == {"SELF_MATCH": 1}


def test_a_dropped_tracks_strategy_is_a_stranger() -> None:
    rig = trading()
    rig.allocate((BEFORE[0],))
    assert rig.keep(rig.manager.cancel_intent(CancelIntent("i1", "candidate", WALL), f"key-{NEW}", WALL, MONO)) == []
    assert rig.manager.refusals == {"SENDER_NOT_ALLOWED": 1}
    assert isinstance(rig.gate.tracks["candidate"], GateTrack)
