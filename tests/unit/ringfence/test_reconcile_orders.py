"""The venue's list of open orders against ours, where the two contradict each other."""

from gatebench.stoprig import BTC, ONE, PRICE, WALL, Rig
from ringfence.execution.outputs import Cancel
from ringfence.execution.state import FOREIGN
from ringfence.model.orders import Canceled, OrderState, OrderType, Side, TimeInForce
from ringfence.venues.api import OrderReport


def test_an_order_that_is_closed_here_and_open_at_the_venue_counts_and_is_cancelled() -> None:
    """At the second look: the first may have been under way when it closed. Each look again, until it is gone."""
    rig = Rig()
    name = rig.place(Side.BUY, ONE // 10)
    rig.manager.event(BTC, Canceled(client_order_id=name, ts=WALL))
    open_there = (
        OrderReport(
            client_order_id=name, venue_order_id="v1", symbol=BTC, side=Side.BUY, type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC, price=PRICE, quantity=ONE // 10, filled=0, state=OrderState.ACCEPTED,
            ts_venue=WALL,
        ),
    )  # fmt: skip
    foreign = rig.gate.tracks[FOREIGN].slot(rig.gate.markets[BTC])

    def look(*reports: OrderReport) -> list[object]:
        return list(rig.reconciler.open_orders(reports, rig.mono, WALL, rig.mono, (BTC,)))

    assert look(*open_there) == []
    for times in (1, 2):
        assert look(*open_there) == [Cancel(BTC, name)]
        assert rig.manager.anomalies["OPEN_AT_VENUE"] == times
        assert foreign.buys == ONE // 10
    assert look() == []
    assert foreign.buys == 0
    assert look(*open_there) == [], "what was gone is an old list again"
