"""Cancel one order or close one position by hand: who and why are kept, nothing grows, and the gate has its say."""

import pytest

from gatebench.stoprig import BTC, ONE, WALL, Rig
from ringfence.execution.byhand import by_hand
from ringfence.execution.outputs import Cancel
from ringfence.model.approved import Approved
from ringfence.model.orders import Initialized, OrderType, PendingCancel, Side
from ringfence.model.records import Entry
from ringfence.wire.byhand import HandRequest, opened_hand
from ringfence.wire.kill import SIGNATURE_HEADER, signed

NOW = 1_700_000_000_000_000_000
TOKEN = b"secret"


def request(**fields: object) -> HandRequest:
    return HandRequest(**({"action": "cancel", "reason": "drill", "by": "ada", "ts": NOW, "order": "x"} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "token", "now", "sentence"),
    [
        (request(), b"other", NOW, "does not match"),
        (request(), b"", NOW, "does not match"),
        (request(), TOKEN, NOW + 31 * 10**9, "away from this gate's clock"),
        (request(reason=" "), TOKEN, NOW, "who asks and why"),
        (request(by=""), TOKEN, NOW, "who asks and why"),
    ],
)
def test_a_request_without_token_time_or_reason_is_refused(
    asked: HandRequest, token: bytes, now: int, sentence: str
) -> None:
    body, headers = signed(TOKEN, asked)
    found = opened_hand(token, body, headers[SIGNATURE_HEADER], now)
    assert isinstance(found, str)
    assert sentence in found


def test_a_good_request_is_read() -> None:
    body, headers = signed(TOKEN, request())
    assert opened_hand(TOKEN, body, headers[SIGNATURE_HEADER], NOW) == request()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_an_order_is_cancelled_by_its_client_id_or_the_venues(rig: Rig) -> None:
    """The reason says who and why, and the wish stays until the order is closed."""
    for place in (0, 1):
        name = rig.place(Side.BUY, ONE // 10)
        venue_id = rig.manager.orders[name].venue_order_id
        answer, outputs = by_hand(rig.manager, request(order=(name, venue_id)[place]), WALL, rig.mono)
        assert answer.done
        assert answer.orders == (name,)
        assert [o for o in outputs if isinstance(o, Cancel)] == [Cancel(BTC, name)]
        assert rig.manager.live[name].cancel_wanted
        again = request(order=name, by="bob", reason="it still works")
        (entry,) = [o for o in by_hand(rig.manager, again, WALL, rig.mono)[1] if isinstance(o, Entry)]
        assert isinstance(entry.event, PendingCancel)
        assert entry.event.reason == "by hand: bob: it still works", "on record, though it was asked for before"


def test_what_does_not_work_here_is_not_cancelled(rig: Rig) -> None:
    answer, outputs = by_hand(rig.manager, request(order="web_1"), WALL, rig.mono)
    assert (answer.done, outputs) == (False, [])
    assert "web_1" in answer.told


@pytest.mark.parametrize(("asked", "sent"), [(0, ONE // 2), (ONE // 4, ONE // 4), (3 * ONE, ONE // 2)])
def test_a_position_is_closed_by_an_order_that_only_reduces(rig: Rig, asked: int, sent: int) -> None:
    """All of it, a part, and never more than there is."""
    rig.hold(ONE // 2)
    close = request(action="close", symbol=BTC, quantity=asked)
    answer, outputs = by_hand(rig.manager, close, WALL, rig.mono)
    (approved,) = [o for o in outputs if isinstance(o, Approved)]
    made = [o.event.reason for o in outputs if isinstance(o, Entry) and isinstance(o.event, Initialized)]
    assert answer.done
    assert made == ["by hand: ada: drill"]
    assert (approved.side, approved.type, approved.quantity, approved.reduce_only) == (
        Side.SELL, OrderType.MARKET, sent, True,
    )  # fmt: skip
    again, repeated = by_hand(rig.manager, close, WALL, rig.mono)
    assert not again.done
    assert not [o for o in repeated if isinstance(o, Approved)], "the same request twice closes once"


def test_a_close_is_refused_where_the_gate_refuses(rig: Rig) -> None:
    """With the gate's reasons; what nobody holds, and what two tracks hold, is refused before."""
    flat, _ = by_hand(rig.manager, request(action="close", symbol=BTC), WALL, rig.mono)
    assert not flat.done
    rig.hold(ONE // 2)
    rig.hold(ONE // 2, track="candidate")
    both, _ = by_hand(rig.manager, request(action="close", symbol=BTC), WALL, rig.mono)
    assert "name the track" in both.told
    rig.switch(2, restrict="Halt")
    halted, _ = by_hand(rig.manager, request(action="close", symbol=BTC, track="stable"), WALL, rig.mono)
    assert not halted.done
    assert "TRADING_HALTED" in halted.told
