"""Busts and corrections that no message tells of: believed where history and balances agree, else a break."""

import msgspec
import pytest

from gatebench.stoprig import BTC, PRICE, WALL, Rig
from ringfence.execution.reconcile import BREAK
from ringfence.execution.restated import SETTLED_NS
from ringfence.model.money import notional
from ringfence.model.money import parse as money
from ringfence.model.orders import Filled, OrderState, Side
from ringfence.venues.api import TradeReport, VenueBalance
from ringfence.wire.stops import Severity

LOT = money("0.01")
LATER = WALL + SETTLED_NS


def report(fill: Filled, price: int = PRICE, quantity: int = LOT) -> TradeReport:
    return TradeReport(
        trade_id=fill.trade_id, venue_order_id="v1", symbol=BTC, side=Side.BUY, price=price, quantity=quantity,
        commission=0, commission_asset="USDT", maker=False, ts_venue=WALL,
    )  # fmt: skip


class Account(Rig):
    """Two lots were bought in two executions, long ago; the venue says what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.opening = dict(self.balances)
        self.name = self.place(Side.BUY, 2 * LOT)
        self.fill(self.name, LOT)
        self.fill(self.name, LOT)
        self.order = self.manager.orders[self.name]
        self.fills = list(self.order.fills.values())

    def told(self, lots: int, paid: int) -> dict[str, VenueBalance]:
        """Balances of an account that has bought so much for so much."""
        changes = {"BTC": lots * LOT, "USDT": -paid}
        return {asset: VenueBalance(held.free + changes.get(asset, 0), 0) for asset, held in self.opening.items()}

    def look(self, history: list[TradeReport], told: dict[str, VenueBalance], wall: int = LATER) -> list[str]:
        """One look at history and balances; what it books, by kind. As the host does it."""
        activity = self.manager.activity
        outputs = self.reconciler.restatements({BTC: tuple(history)}, told, activity, wall)
        if not outputs:
            self.reconciler.balances(told, activity, self.guard.cycle, wall)
        kinds = [type(getattr(output, "event", output)).__name__ for output in outputs]
        return [kind for kind in kinds if kind.startswith("Fill")]


@pytest.fixture
def account() -> Account:
    return Account()


def test_a_bust_is_taken_back_where_history_and_balances_agree(account: Account) -> None:
    kept = [report(account.fills[0])]
    told = account.told(1, notional(PRICE, LOT))
    assert account.look(kept, told) == ["FillBusted"]
    assert (account.order.filled, account.order.state) == (LOT, OrderState.CANCELED)
    assert account.manager.books["stable"].positions[BTC].quantity == LOT
    assert account.reconciler.differences(told) == {}
    assert account.look(kept, told) == [], "the same reports twice give no new event"


def test_a_correction_takes_the_place_of_what_was_told(account: Account) -> None:
    cheaper = PRICE - money("100")
    history = [report(account.fills[0]), report(account.fills[1], cheaper)]
    told = account.told(2, notional(PRICE, LOT) + notional(cheaper, LOT))
    assert account.look(history, told) == ["FillCorrected"]
    assert account.order.state is OrderState.FILLED
    assert account.reconciler.differences(told) == {}
    assert account.look(history, told) == []


def test_absence_from_a_list_alone_is_no_bust(account: Account) -> None:
    """The venue's history has lost both executions, and the account still holds what they brought."""
    told = account.told(2, 2 * notional(PRICE, LOT))
    assert account.look([report(account.fills[0])], told) == []
    assert account.order.filled == 2 * LOT
    assert account.reconciler.restatements({BTC: ()}, told, account.manager.activity - 1, LATER) == []


def test_a_venue_that_has_lost_the_account_has_not_busted_all_of_it(account: Account) -> None:
    """No execution is listed, and the balances are those of the first day: a person decides."""
    for _ in range(2):
        assert account.look([], account.opening) == []
    assert account.guard.severity is Severity.HALT
    assert "that no order explains" in account.guard.reason


def test_what_explains_a_part_of_the_difference_explains_nothing(account: Account) -> None:
    """One execution is gone, and so is money: a person decides."""
    told = account.told(1, notional(PRICE, LOT) + 1)
    for _ in range(2):
        assert account.look([report(account.fills[0])], told) == []
    assert account.guard.severity is Severity.HALT
    assert "that no order explains" in account.guard.reason
    assert account.reconciler.breaks == {"BTC": -LOT, "USDT": notional(PRICE, LOT) - 1}


def test_a_young_execution_that_is_missing_halts_until_it_is_old_enough(account: Account) -> None:
    """A venue's lists may lag behind its stream together: until then nothing is booked, by nobody."""
    history, told = [report(account.fills[0])], account.told(1, notional(PRICE, LOT))
    for _ in range(2):
        assert account.look(history, told, LATER - 1) == []
    assert account.guard.severity is Severity.HALT
    assert account.fills[1].trade_id in account.guard.reason
    assert account.reconciler.breaks == {}, "a release must not accept it"
    assert account.look(history, told) == ["FillBusted"]
    account.reconciler.balances(told, account.manager.activity, account.guard.cycle, LATER)
    assert BREAK not in account.guard.sources


def test_fills_that_came_while_the_history_was_read_are_not_missing_from_it(account: Account) -> None:
    told = account.told(1, notional(PRICE, LOT))
    before = account.manager.activity - 1
    assert account.reconciler.restatements({BTC: (report(account.fills[0]),)}, told, before, LATER) == []


def test_history_is_read_again_only_while_balances_are_not_explained(account: Account) -> None:
    assert not account.reconciler.doubtful
    account.look([report(fill) for fill in account.fills], account.told(1, 0))
    assert account.reconciler.doubtful
    right = account.told(2, 2 * notional(PRICE, LOT))
    account.reconciler.balances(right, account.manager.activity, account.guard.cycle, LATER)
    assert not account.reconciler.doubtful


def test_only_so_much_of_a_long_history_is_asked_for(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a little before what is compared, and never from before the account was taken over."""
    assert account.reconciler.history_after(BTC) is None
    assert account.reconciler.baseline is not None
    account.reconciler.baseline = msgspec.structs.replace(account.reconciler.baseline, cursors={BTC: "17"})
    assert account.reconciler.history_after(BTC) == "17"
    monkeypatch.setattr("ringfence.execution.restated.AUDITED", 1)
    monkeypatch.setattr("ringfence.execution.restated.OVERLAP", 0)
    assert account.reconciler.history_after(BTC) == account.fills[0].trade_id
