"""A request that the venue has refused is no order; one that was never sent must not be there."""

from typing import Any

import pytest

from load.count import Journal, Told, differences
from ringfence.model.orders import Canceled, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.simulator.catalog import LISTED
from ringfence.wire.messages import OrderUpdate

LEDGER: dict[str, Any] = {"fills": 0, "delta": {}}


def compared(why: str, *, accepted: bool) -> list[str]:
    asked = Initialized(
        client_order_id="a",
        ts=1,
        intent_id="i",
        track="stable",
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=1,
        price=1,
    )
    events = (asked, Submitted(client_order_id="a", ts=2), Canceled(client_order_id="a", ts=3, reason=why))
    journal = Journal(LISTED["BTCUSDT"].instrument)
    journal.fold(OrderUpdate("gate", number, "stable", event) for number, event in enumerate(events, 1))
    request = {"kind": "order", "client_order_id": "a", "accepted": accepted}
    return differences(Told(asked=1, received=1), journal, [request], LEDGER, {})


def test_a_refusal_whose_answer_was_lost_is_no_difference() -> None:
    assert compared("NEVER_ARRIVED the venue does not know it", accepted=False) == []


@pytest.mark.parametrize(
    ("why", "accepted"), [("NOT_SENT rate limit", False), ("NOT_SENT rate limit", True), ("NEVER_ARRIVED", True)]
)
def test_what_was_not_sent_must_not_be_there_and_what_did_not_arrive_must_not_be_taken(
    why: str, accepted: bool
) -> None:
    assert "the venue has a, which was not sent by the journal" in compared(why, accepted=accepted)
