"""The pure parts of the dialect: signatures, limits, the record."""

import asyncio

import pytest

from ringfence.model.money import parse
from ringfence.runtime.clock import ManualClock
from ringfence.simulator.delay import DelayLine
from ringfence.simulator.dialect import auth, params
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.dialect.limits import OFFENCES_MAX, Limits, RateLimiter
from ringfence.simulator.impact import WINDOW_NS, Impact
from ringfence.simulator.record import Record

OWNER = Credential("key", "secret", "account")
NOW_MS = 1_700_000_000_000


def test_the_documented_signature_is_ours() -> None:
    """The venue's own example: its secret, its parameters, its digest."""
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    assert auth.sign(secret, payload) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_what_is_signed_is_query_and_body_without_the_signature() -> None:
    """No separator between them, whatever the place of the signature."""
    assert auth.rest_payload("a=1&signature=x", "b=2") == "a=1b=2"
    assert auth.rest_payload("", "b=2&signature=x&c=3") == "b=2&c=3"
    assert auth.ws_payload({"b": "2", "a": "1", "signature": "x"}) == "a=1&b=2"


def test_a_credential_does_not_show_its_secret() -> None:
    """Not in logs, not in tracebacks."""
    assert "secret" not in repr(OWNER)


@pytest.mark.parametrize(
    ("age_ms", "window", "code"),
    [
        (0, None, None),
        (5_000, None, None),
        (5_001, None, -1021),
        (-999, None, None),
        (-1_000, None, -1021),
        (60_000, "60000", None),
        (0, "60001", -1131),
        (0, "x", -1100),
    ],
)
def test_the_receive_window_is_exact(age_ms: int, window: str | None, code: int | None) -> None:
    """Not older than the window, and less than a second ahead."""
    sent = {"timestamp": str(NOW_MS - age_ms)} | ({"recvWindow": window} if window else {})
    payload = auth.ws_payload(sent)
    signed = sent | {"signature": auth.sign("secret", payload)}
    if code is None:
        auth.check(OWNER, signed, payload, NOW_MS)
        return
    with pytest.raises(ApiError) as refused:
        auth.check(OWNER, signed, payload, NOW_MS)
    assert refused.value.code == code


def test_weight_is_counted_by_the_minute_and_offenders_are_banned() -> None:
    """429 tells how long to wait; who goes on regardless is banned with 418; the next minute is free for others."""
    limiter = RateLimiter(Limits(weight_1m=10))
    assert limiter.weigh("a", 10, 6_030.0) == 10
    with pytest.raises(ApiError) as warned:
        limiter.weigh("a", 1, 6_030.0)
    assert (warned.value.status, warned.value.retry_after_s) == (429, 31)
    for _ in range(OFFENCES_MAX - 1):
        with pytest.raises(ApiError):
            limiter.weigh("a", 1, 6_030.0)
    with pytest.raises(ApiError) as banned:
        limiter.weigh("a", 1, 6_030.0)
    assert banned.value.status == 418
    with pytest.raises(ApiError):
        limiter.weigh("a", 1, 6_100.0)
    assert limiter.weigh("b", 3, 6_030.0) == 3
    assert limiter.weigh("a", 1, 6_200.0) == 1


def test_orders_are_counted_by_account_and_fills_give_back() -> None:
    """An order that traded no longer counts as unfilled."""
    limiter = RateLimiter(Limits(orders_10s=2))
    for _ in range(2):
        limiter.count_order("a", 100.0)
    with pytest.raises(ApiError) as refused:
        limiter.count_order("a", 100.0)
    assert (refused.value.code, refused.value.status) == (-1015, 429)
    limiter.give_back("a", 100.0)
    limiter.count_order("a", 100.0)
    limiter.count_order("b", 100.0)
    assert limiter.order_counts("a", 110.0) == (0, 2)


@pytest.mark.parametrize(("sent", "value"), [("1", "1"), ("0001.50", "1.5"), ("0.00000001", "0.00000001"), ("00", "0")])
def test_decimals_are_read_as_the_venue_reads_them(sent: str, value: str) -> None:
    """Leading and trailing zeros are harmless."""
    assert params.money({"price": sent}, "price") == parse(value)


@pytest.mark.parametrize("sent", ["-1", "1e3", "nan", "1,5", " 1", "1."])
def test_anything_but_a_plain_decimal_is_refused(sent: str) -> None:
    """With the code for characters that are not allowed."""
    with pytest.raises(ApiError) as refused:
        params.money({"price": sent}, "price")
    assert refused.value.code == -1100


def test_the_record_is_bounded_and_says_what_it_lost() -> None:
    """Old requests fall out; numbers go on, so a reader sees the hole."""
    record = Record(limit=3)
    for number in range(5):
        record.add("order", {"newClientOrderId": str(number)}, "a", number, number)
    assert [one.sequence for one in record.since(0, 10)] == [3, 4, 5]
    assert [one.client_order_id for one in record.since(4, 10)] == ["4"]
    assert record.total == 5


def test_own_volume_that_moves_the_market_is_on_record() -> None:
    """More than a tenth within ten seconds, once, is remembered for ever."""
    impact = Impact()
    impact.add(0, 90, own=False)
    impact.add(1, 10, own=True)
    impact.add(WINDOW_NS, 89, own=False)
    assert impact.modelled
    impact.add(WINDOW_NS + 1, 11, own=True)
    impact.add(2 * WINDOW_NS, 1_000, own=False)
    assert (impact.modelled, impact.own_percent_max) == (False, 11)


@pytest.mark.asyncio
async def test_a_shorter_way_overtakes_nothing() -> None:
    """When the latency falls, what was sent before still arrives before."""
    clock = ManualClock()
    line = DelayLine(clock, 5_000_000)
    arrived: list[str] = []
    line.put(lambda: arrived.append("first"))
    line.latency_ns = 0
    second = asyncio.ensure_future(line.through(lambda: arrived.append("second")))
    await asyncio.sleep(0)
    assert arrived == []
    clock.advance(5_000_000)
    await second
    assert arrived == ["first", "second"]
    line.put(lambda: arrived.append("third"))
    assert arrived[-1] == "third"


@pytest.mark.asyncio
async def test_what_fails_on_its_way_fails_for_whoever_waits() -> None:
    """And the line goes on."""
    clock = ManualClock()
    line = DelayLine(clock, 0)

    def fails() -> None:
        raise LookupError("of a bug")

    with pytest.raises(LookupError, match="of a bug"):
        await line.through(fails)
    assert await line.through(lambda: 7) == 7
