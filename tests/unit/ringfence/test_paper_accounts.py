"""Tracks on one paper gate: own money, own queue, own liquidity; to the outside one account."""

import msgspec

from gatebench import ordinary
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.handover import Handovers, fresh
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Output
from ringfence.execution.service import paper_balances
from ringfence.model.approved import Approved
from ringfence.model.money import parse as money
from ringfence.model.orders import Filled, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Track
from ringfence.sdk.testing import instrument
from ringfence.venues import api
from ringfence.venues.paper.accounts import PaperAccounts
from ringfence.venues.paper.engine import PaperEngine
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
SYMBOL = "BTCUSDT"
RULES = instrument(SYMBOL, "BTC", "USDT")
FRESH = {"USDT": money("100000")}
ONE = money("1")
LIMITS = msgspec.structs.replace(
    ordinary.LIMITS, order_value_max=money("100000"), order_collar_bps=money("500"), loss_day=money("100000")
)


class Paper:
    """A paper gate with its accounts, without host and latency."""

    def __init__(self) -> None:
        self.gate = Gate(ordinary.active_guard(WALL), (SYMBOL,))
        self.market = self.gate.markets[SYMBOL]
        self.market.isolated, self.market.instrument = True, RULES
        self.manager = Manager(self.gate, prefix("n", "s"), "USDT", 0)
        self.manager.fence = 1
        self.handovers = Handovers(self.manager)
        books, bases = self.manager.books, self.handovers.bases
        self.accounts = PaperAccounts(
            {SYMBOL: RULES},
            FRESH,
            lambda order: self.manager.orders[order].track,
            lambda track: paper_balances(FRESH, books.get(track), bases.get(track)),
            lambda balances, name: PaperEngine({SYMBOL: RULES}, balances, 0, 0, name),
        )
        bids, asks = ((money("50000"), ONE),), ((money("50001"), ONE), (money("50100"), 5 * ONE))
        book = BookTop(SYMBOL, 1, WALL, WALL, bids, asks)
        self.market.quote(Quote(SYMBOL, 1, WALL, bids[0][0], ONE, asks[0][0], ONE), MONO)
        self.market.book(book, MONO)
        self.market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
        self.accounts.book(book, WALL)
        self.fills: list[Filled] = []
        self.number = 0

    def allocate(self, epoch: int, **revisions: str) -> Allocation:
        tracks = tuple(
            Track(name=name, revision=revision, stage="Paper", weight=0, grant="g", key=name)
            for name, revision in revisions.items()
        )
        allocation = Allocation(epoch=epoch, tracks=tracks, limits=LIMITS)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=True)
        return allocation

    def order(self, track: str, side: Side, price: str, quantity: int = ONE) -> list[Output]:
        self.number += 1
        limit, order_type = money(price), OrderType.LIMIT
        intent = Intent(
            f"i{self.number}", track, SYMBOL, side, order_type, TimeInForce.GTC, quantity, limit, False, WALL
        )
        outputs = self.manager.intent(intent, track, WALL, MONO)
        for output in outputs:
            if isinstance(output, Approved):
                outcome, events = self.accounts.submit(output, WALL)
                self.manager.submitted(output.client_order_id, outcome, WALL, MONO)
                for symbol, event in events:
                    self.manager.event(symbol, event)
                    if isinstance(event, Filled):
                        self.fills.append(event)
        return outputs

    def total(self) -> dict[str, int]:
        return {asset: balance.free + balance.locked for asset, balance in self.accounts.balances().items()}


def passed(outputs: list[Output]) -> bool:
    return any(isinstance(output, Approved) for output in outputs)


def test_each_track_has_all_the_money_and_all_the_liquidity() -> None:
    paper = Paper()
    paper.allocate(1, candidate="aaaaaa", shadow="bbbbbb")
    for track in ("candidate", "shadow"):
        assert passed(paper.order(track, Side.BUY, "50001"))
    assert [fill.price for fill in paper.fills] == [money("50001")] * 2
    assert paper.accounts.of("candidate").free == paper.accounts.of("shadow").free
    assert paper.total() == {"BTC": 2 * ONE, "USDT": money("-2")}


def test_resting_orders_of_another_track_are_not_seen() -> None:
    paper = Paper()
    paper.allocate(1, candidate="aaaaaa", shadow="bbbbbb")
    assert passed(paper.order("shadow", Side.BUY, "50001"))
    assert passed(paper.order("shadow", Side.SELL, "50050"))
    assert passed(paper.order("candidate", Side.BUY, "50100", money("1.5")))
    assert not passed(paper.order("shadow", Side.BUY, "50100", money("0.1"))), "its own it would match"


def test_a_new_revision_begins_flat_and_with_fresh_balances_and_the_whole_adds_up() -> None:
    paper = Paper()
    paper.handovers.opened("candidate", "aaaaaa")
    paper.allocate(1, candidate="aaaaaa")
    paper.order("candidate", Side.BUY, "50001")
    before = paper.total()
    allocation = paper.allocate(2, candidate="cccccc")
    paper.handovers.wanted = fresh(allocation, paper.handovers.revisions)
    made = paper.handovers.step(WALL, MONO)
    assert made is not None
    assert all(isinstance(output, Entry) for output in made[1])
    paper.handovers.opened("candidate", "cccccc")
    paper.accounts.reopen("candidate")
    assert paper.gate.tracks["candidate"].slots[SYMBOL].position == 0
    assert paper.accounts.of("candidate").free == FRESH | {"BTC": 0}
    assert paper.total() == before
    assert fresh(allocation, paper.handovers.revisions) == ()


def test_a_refusal_names_no_other_tracks_order() -> None:
    paper = Paper()
    paper.allocate(1, candidate="aaaaaa", shadow="bbbbbb")
    paper.order("shadow", Side.BUY, "50001")
    outcome = paper.accounts.cancel(next(iter(paper.manager.orders)), WALL)
    assert isinstance(outcome[0], api.Refused)
