"""ZeroMQ sockets with CurveZMQ, driven by the event loop without zmq.asyncio.

A loop reader on the socket's descriptor plus a bounded, non-blocking drain costs a fraction of what
zmq.asyncio does per hop. Every socket is encrypted and both ends are authenticated: servers by the key in the
client's configuration, clients by an allow-list that may change while the server runs.
"""

import asyncio
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Final

import msgspec
import zmq
from zmq.utils import z85

from ringfence.runtime.config import CURVE_DIR, Endpoint
from ringfence.wire.codec import OtherVersion, WireError, decode, encode, topic
from ringfence.wire.messages import AnyMessage, Envelope

DRAIN_MAX: Final = 32
"""Messages handled before other tasks of the loop get their turn: a stop that arrives in a burst of intents waits for
no more of them than that."""
HIGH_WATER_MARK: Final = 10_000
"""Messages that wait for one peer, at each end. Whole books are the largest: 845 bytes on the wire, about 1.2 KB in a
queue, so 12 MB for a peer that has stopped reading. Marketdata has at most six (two strategies, execution, twin, paper,
portfolio): 72 MB, and with the 60 MB of a service about half of the pod's limit of 256 MiB. All of them stalled at once
is the worst there is. What overflows is lost and seen as a gap: data is replaced by the next, order events are read
again from the journal, and an intent that finds no room is refused at once (`Pusher.send`)."""
_ZAP_ADDRESS: Final = "inproc://zeromq.zap.01"


class KeyPair(msgspec.Struct, frozen=True):
    """CurveZMQ keys, Z85 text."""

    public: str
    secret: str

    @classmethod
    def read(cls, directory: Path = CURVE_DIR) -> "KeyPair":
        """The key pair that the operator mounted for this role."""
        return cls(
            public=(directory / "public").read_text().strip(),
            secret=(directory / "secret").read_text().strip(),
        )

    @classmethod
    def generate(cls) -> "KeyPair":
        public, secret = zmq.curve_keypair()
        return cls(public=public.decode(), secret=secret.decode())

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


class BusMetrics:
    """Plain counters, read at scrape time."""

    __slots__ = ("gaps", "received", "refused_clients", "sent", "undecodable")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.undecodable = 0
        self.gaps = 0
        self.refused_clients = 0


class Bus:
    """All bus sockets of one process."""

    def __init__(self, name: str, session: int, keys: KeyPair) -> None:
        self.name = name
        self.session = session
        """Start time of this process, UTC nanoseconds: tells subscribers that sequences start again."""
        self.metrics = BusMetrics()
        self._keys = keys
        self._context = zmq.Context()
        self._readers: list[_Reader] = []
        self._writers: list[zmq.Socket[bytes]] = []
        self._allowed: dict[bytes, Callable[[], Container[str]]] = {}
        self._zap = self._context.socket(zmq.ROUTER)
        self._zap.bind(_ZAP_ADDRESS)
        self._read(self._zap, self._authenticate)

    @property
    def public_key(self) -> str:
        """What proves this process to others, Z85."""
        return self._keys.public

    def publisher(self, port: int, subscribers: Callable[[], Container[str]], host: str = "*") -> "Publisher":
        """A PUB socket that only the listed public keys may subscribe to. Port 0 picks a free one."""
        socket = self._server(zmq.PUB, f"events.{port}".encode(), subscribers)
        self._writers.append(socket)
        return Publisher(self, socket, _bind(socket, host, port))

    def puller(
        self,
        port: int,
        senders: Callable[[], Container[str]],
        handle: Callable[[Envelope, str], None],
        host: str = "*",
        other_version: Callable[[int, str], None] | None = None,
    ) -> int:
        """A PULL socket; ``handle`` gets each message with the public key that proved its sender.

        ``other_version`` is told of messages of another wire version, and by whom: they are not handled.
        """
        socket = self._server(zmq.PULL, f"intents.{port}".encode(), senders)
        bound = _bind(socket, host, port)

        def receive(frames: list[zmq.Frame]) -> None:
            sender = str(frames[-1].get("User-Id"))
            envelope = self._decoded(frames[-1].bytes, lambda version: other_version and other_version(version, sender))
            if envelope is not None:
                handle(envelope, sender)

        self._read(socket, receive)
        return bound

    def subscriber(
        self, endpoints: Iterable[Endpoint], topics: Iterable[str], handle: Callable[[Envelope], None]
    ) -> "Subscription":
        """Subscribe to topics at several publishers; reconnects by itself, for ever."""
        subscription = Subscription(self.metrics, handle)
        for endpoint in endpoints:
            socket = self._client(zmq.SUB, endpoint)
            for name in topics:
                socket.setsockopt(zmq.SUBSCRIBE, name.encode())
            socket.connect(f"tcp://{endpoint.host}:{endpoint.port}")
            self._read(socket, lambda frames: self._deliver(subscription, frames))
        return subscription

    def pusher(self, endpoint: Endpoint) -> "Pusher":
        """A PUSH socket to one server. What is queued while the server is away goes stale and is refused there."""
        socket = self._client(zmq.PUSH, endpoint)
        socket.connect(f"tcp://{endpoint.host}:{endpoint.port}")
        self._writers.append(socket)
        return Pusher(self, socket)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        for socket in self._writers:
            socket.close(linger=200)
        self._context.destroy(linger=200)

    def _server(self, kind: int, domain: bytes, allowed: Callable[[], Container[str]]) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
        self._allowed[domain] = allowed
        _tune(socket)
        return socket

    def _client(self, kind: int, endpoint: Endpoint) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.CURVE_SERVERKEY, endpoint.public_key.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        _tune(socket)
        return socket

    def _deliver(self, subscription: "Subscription", frames: list[zmq.Frame]) -> None:
        envelope = self._decoded(frames[-1].bytes)
        if envelope is not None:
            subscription.deliver(envelope)

    def _decoded(self, data: bytes, other_version: Callable[[int], object] | None = None) -> Envelope | None:
        try:
            envelope = decode(data)
        except WireError as error:
            if other_version is not None and isinstance(error, OtherVersion):
                other_version(error.version)
            self.metrics.undecodable += 1
            return None
        self.metrics.received += 1
        return envelope

    def _authenticate(self, frames: list[zmq.Frame]) -> None:
        """Answer one ZAP request (RFC 27): is this client's public key on the list of that socket?"""
        peer, empty, version, request_id, domain, _address, _identity, mechanism, *credentials = (
            f.bytes for f in frames
        )
        key = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and credentials else ""
        allowed = self._allowed.get(domain)
        if allowed is not None and key and key in allowed():
            verdict = [b"200", b"OK", key.encode(), b""]
        else:
            self.metrics.refused_clients += 1
            # 300 and not 400: a client that is told 400 gives up for ever, and this key may be allowed in a moment (a
            # strategy that is up before its gate has read the allocation)
            verdict = [b"300", b"key not allowed", b"", b""]
        self._zap.send_multipart([peer, empty, version, request_id, *verdict])

    def _read(self, socket: zmq.Socket[bytes], handle: Callable[[list[zmq.Frame]], None]) -> None:
        self._readers.append(_Reader(socket, handle))


class _Reader:
    """Drains one socket from the event loop. ZeroMQ's descriptor is edge-triggered: read until empty."""

    def __init__(self, socket: zmq.Socket[bytes], handle: Callable[[list[zmq.Frame]], None]) -> None:
        self._socket = socket
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._loop.call_soon(self._drain)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._socket.close(linger=200)

    def _drain(self) -> None:
        if self._socket.closed:
            return
        for _ in range(DRAIN_MAX):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._handle(frames)
        self._loop.call_soon(self._drain)


class Publisher:
    """Numbers and sends messages to all subscribers."""

    def __init__(self, bus: Bus, socket: zmq.Socket[bytes], port: int) -> None:
        self._bus = bus
        self._socket = socket
        self._sequences: dict[bytes, int] = {}
        self.port = port

    def send(self, body: AnyMessage) -> None:
        """Never blocks: a subscriber that does not keep up loses messages, sees the gap and fetches them.

        Sequences count per topic, so that a subscriber of some topics sees no false gaps.
        """
        key = topic(body)
        sequence = self._sequences.get(key, 0) + 1
        self._sequences[key] = sequence
        self._socket.send_multipart([key, encode(self._bus.name, self._bus.session, sequence, body)], zmq.NOBLOCK)
        self._bus.metrics.sent += 1


class Pusher:
    def __init__(self, bus: Bus, socket: zmq.Socket[bytes]) -> None:
        self._bus = bus
        self._socket = socket
        self._sequence = 0

    def send(self, body: AnyMessage) -> bool:
        """False when the server has been away for so long that the queue is full."""
        self._sequence += 1
        try:
            self._socket.send(encode(self._bus.name, self._bus.session, self._sequence, body), zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._bus.metrics.sent += 1
        return True


class Subscription:
    """Delivers in order and counts holes per publisher and topic."""

    def __init__(self, metrics: BusMetrics, handle: Callable[[Envelope], None]) -> None:
        self._metrics = metrics
        self._handle = handle
        self._seen: dict[tuple[str, bytes], tuple[int, int]] = {}

    def deliver(self, envelope: Envelope) -> None:
        key = (envelope.publisher, topic(envelope.body))
        session, sequence = self._seen.get(key, (envelope.session, envelope.sequence - 1))
        if session == envelope.session and envelope.sequence > sequence + 1:
            self._metrics.gaps += envelope.sequence - sequence - 1
        self._seen[key] = (envelope.session, envelope.sequence)
        self._handle(envelope)


def _tune(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.LINGER, 200)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    # a peer that vanished without a FIN is noticed by heartbeats; names are resolved anew on each reconnect
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6_000)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 2_000)
    # a refused client hears nothing (see _authenticate) and tries again after this; the default is 30 s
    socket.setsockopt(zmq.HANDSHAKE_IVL, 2_000)


def _bind(socket: zmq.Socket[bytes], host: str, port: int) -> int:
    if port:
        socket.bind(f"tcp://{host}:{port}")
        return port
    return socket.bind_to_random_port(f"tcp://{host}")
