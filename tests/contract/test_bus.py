"""The bus over real CurveZMQ sockets: order, authentication, and gaps that are seen."""

import asyncio

import msgspec
import pytest

from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.bus import HIGH_WATER_MARK, Bus, KeyPair
from ringfence.runtime.config import Endpoint
from ringfence.wire.codec import encode
from ringfence.wire.messages import VERSION, BookTop, Envelope, Intent, Quote
from ringfence_operator.desired.workload import Resources

SESSION = 1_700_000_000_000_000_000


def quote(update_id: int) -> Quote:
    return Quote("BTCUSDT", update_id, SESSION, 100, 1, 101, 1)


def intent(number: int) -> Intent:
    return Intent(f"i{number}", "stable", "BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1, 100, False, SESSION)


@pytest.mark.asyncio
async def test_subscriber_receives_its_topics_in_order() -> None:
    """A subscriber with an allowed key gets every message of its topics, in order, and no gap is counted."""
    server, client = KeyPair.generate(), KeyPair.generate()
    publishing, subscribing = Bus("feed", SESSION, server), Bus("reader", SESSION, client)
    publisher = publishing.publisher(0, lambda: {client.public}, host="127.0.0.1")
    seen: list[Envelope] = []
    subscribing.subscriber(
        [Endpoint(host="127.0.0.1", port=publisher.port, public_key=server.public)], ["quote."], seen.append
    )
    async with asyncio.timeout(10):
        while not seen:
            publisher.send(quote(0))
            await asyncio.sleep(0.01)
        first = seen[-1].sequence
        for number in range(1, 1001):
            publisher.send(quote(number))
        while not isinstance(seen[-1].body, Quote) or seen[-1].body.update_id != 1000:
            await asyncio.sleep(0.01)
    assert [e.sequence for e in seen if e.sequence > first][-1000:] == list(
        range(seen[-1].sequence - 999, seen[-1].sequence + 1)
    )
    assert subscribing.metrics.gaps == 0
    publishing.close()
    subscribing.close()


@pytest.mark.asyncio
async def test_puller_knows_who_sent_and_refuses_strangers() -> None:
    """An intent arrives with the public key that proved its sender; a key that is not listed never gets in."""
    server, friend, stranger = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()
    gate, known, unknown = Bus("gate", SESSION, server), Bus("a", SESSION, friend), Bus("b", SESSION, stranger)
    seen: list[tuple[Envelope, str]] = []
    port = gate.puller(0, lambda: {friend.public}, lambda envelope, key: seen.append((envelope, key)), host="127.0.0.1")
    endpoint = Endpoint(host="127.0.0.1", port=port, public_key=server.public)
    unknown.pusher(endpoint).send(intent(666))
    known.pusher(endpoint).send(intent(1))
    async with asyncio.timeout(10):
        while not seen or not gate.metrics.refused_clients:
            await asyncio.sleep(0.01)
    assert [("i1", friend.public)] == [(e.body.intent_id, key) for e, key in seen if isinstance(e.body, Intent)]
    for bus in (gate, known, unknown):
        bus.close()


@pytest.mark.asyncio
async def test_a_key_that_is_allowed_later_gets_in() -> None:
    """A client that came too early is not turned away for ever: its messages arrive once its key is listed."""
    server, friend = KeyPair.generate(), KeyPair.generate()
    gate, early = Bus("gate", SESSION, server), Bus("a", SESSION, friend)
    allowed: set[str] = set()
    seen: list[Envelope] = []
    port = gate.puller(0, lambda: allowed, lambda envelope, _key: seen.append(envelope), host="127.0.0.1")
    early.pusher(Endpoint(host="127.0.0.1", port=port, public_key=server.public)).send(intent(1))
    async with asyncio.timeout(20):
        while not gate.metrics.refused_clients:
            await asyncio.sleep(0.01)
        allowed.add(friend.public)
        while not seen:
            await asyncio.sleep(0.01)
    for bus in (gate, early):
        bus.close()


@pytest.mark.asyncio
async def test_a_sender_of_another_wire_version_is_named_and_not_obeyed() -> None:
    """Its messages may mean anything: none is handled, and the receiver learns whose they are."""
    server, client = KeyPair.generate(), KeyPair.generate()
    gate, strategy = Bus("gate", SESSION, server), Bus("a", SESSION, client)
    seen: list[Envelope] = []
    others: list[tuple[int, str]] = []
    port = gate.puller(
        0,
        lambda: {client.public},
        lambda envelope, _: seen.append(envelope),
        host="127.0.0.1",
        other_version=lambda version, key: others.append((version, key)),
    )
    pusher = strategy.pusher(Endpoint(host="127.0.0.1", port=port, public_key=server.public))
    pusher._socket.send(msgspec.msgpack.encode([VERSION + 1, "a", SESSION, 1, ["Intent", {"what": "ever"}]]))
    pusher._socket.send(msgspec.msgpack.encode(["no version"]))
    pusher.send(intent(1))
    async with asyncio.timeout(10):
        while not seen:
            await asyncio.sleep(0.01)
    assert others == [(VERSION + 1, client.public)]
    assert gate.metrics.undecodable == 2
    gate.close()
    strategy.close()


def test_peers_that_have_stopped_reading_exhaust_no_pods_memory() -> None:
    """Every peer that marketdata has, each with its queue full of whole books, beside all that a service may take."""
    levels = tuple((2**40 + price, 2**40) for price in range(20))
    book = encode("marketdata-binance", SESSION, 2**40, BookTop("BTCUSDT", 2**40, SESSION, SESSION, levels, levels))
    held = 6 * HIGH_WATER_MARK * (len(book) + 400)  # bytes of bookkeeping
    limit = Resources().memory_limit
    assert limit.endswith("Mi")
    assert held + 60 * 2**20 < int(limit[:-2]) * 2**20 * 3 // 4


@pytest.mark.asyncio
async def test_a_subscriber_that_does_not_keep_up_loses_messages_and_sees_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues are bounded on both ends: the publisher never waits nor grows, and the hole is counted afterwards."""
    monkeypatch.setattr("ringfence.runtime.bus.HIGH_WATER_MARK", 100)
    server, client = KeyPair.generate(), KeyPair.generate()
    publishing, subscribing = Bus("feed", SESSION, server), Bus("reader", SESSION, client)
    publisher = publishing.publisher(0, lambda: {client.public}, host="127.0.0.1")
    seen: list[int] = []
    subscribing.subscriber(
        [Endpoint(host="127.0.0.1", port=publisher.port, public_key=server.public)],
        ["book."],
        lambda envelope: seen.append(envelope.sequence),
    )
    levels = tuple((price, 1) for price in range(10**12, 10**12 + 200))
    book = BookTop("BTCUSDT", 1, SESSION, SESSION, levels, levels)
    async with asyncio.timeout(20):
        while not seen:
            publisher.send(book)
            await asyncio.sleep(0.01)
        for _ in range(10_000):  # the subscriber's loop does not run meanwhile
            publisher.send(book)
        sent = publishing.metrics.sent
        while not seen or seen[-1] <= sent:
            publisher.send(book)
            await asyncio.sleep(0.01)
    assert len(seen) < sent // 2
    assert subscribing.metrics.gaps == seen[-1] - seen[0] + 1 - len(seen) > 0
    publishing.close()
    subscribing.close()
