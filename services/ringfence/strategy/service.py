"""The host of a strategy: sockets, clock and metrics around the engine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog

from ringfence.runtime import feed
from ringfence.runtime.build import own
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.config import StrategyConfig
from ringfence.runtime.histogram import Histogram
from ringfence.runtime.service import FatalError, Host
from ringfence.sdk.parameters import ParameterError
from ringfence.strategy.engine import Outputs, StrategyEngine
from ringfence.strategy.loading import load_class
from ringfence.strategy.metrics import families
from ringfence.strategy.routing import Place, place
from ringfence.wire.messages import BookTop, Envelope, Hello, OrderUpdate, Quote, Refused, Routes, Trade, intents_of

log = structlog.get_logger()

HELLO_S: Final = 1.0


class StrategyHost:
    """Moves messages between the bus and the engine; listens to the gate's events."""

    def __init__(self, host: Host, config: StrategyConfig, bus: Bus, engine: StrategyEngine) -> None:
        self.engine = engine
        self.latency = Histogram()
        self._host = host
        self._clock = host.clock
        gates = config.gates or (config.gate,)
        self.place = Place(config.gate.name, config.track)
        self.moves = 0
        self.feeds = {gate.name: feed.EventFeed(bus, gate, self, host.clock) for gate in gates}
        self._revision = config.revision
        self._key = bus.public_key
        self._pushers = {gate.name: bus.pusher(gate.intents) for gate in gates}
        self._told: dict[str, Routes] = {}
        if config.gates:
            bus.subscriber([gate.events for gate in gates], ["routes"], self._routed)
        bus.subscriber([gate.events for gate in gates], ["refused."], self._refused)
        bus.subscriber(config.marketdata, _topics(engine, config.symbols), self._receive)

    def _routed(self, envelope: Envelope) -> None:
        """A gate has said who belongs where: follow it."""
        if not isinstance(envelope.body, Routes) or envelope.body.gate not in self.feeds:
            return
        self._told[envelope.body.gate] = envelope.body
        found = place(self._told, self._key, self._revision, self.place)
        if found == self.place:
            return
        log.warning("strategy moves", gate=found.gate, track=found.track, before=self.place)
        self.place = found
        self.moves += 1
        self.engine.move(found.track)
        self.feeds[found.gate].rewind()
        self.tell_health()

    def _refused(self, envelope: Envelope) -> None:
        if isinstance(envelope.body, Refused) and envelope.body.gate == self.place.gate:
            self._act(self.engine.handle(envelope.body, self._clock.wall_ns()), 0)

    async def hello(self) -> None:
        """Say to the gate who decides here, for ever."""
        while True:
            gate, track = self.place
            self._pushers[gate].send(
                Hello(track, self._revision, self.engine.adopts, self._clock.wall_ns(), own().build)
            )
            await asyncio.sleep(HELLO_S)

    def on_update(self, update: OrderUpdate) -> None:
        if update.gate != self.place.gate:
            return
        self._act(self.engine.handle(update, self._clock.wall_ns()), 0)

    def on_restart(self, gate: str, reason: str) -> None:
        if gate != self.place.gate:
            return
        log.warning("strategy starts anew", gate=gate, reason=reason)
        self.engine.orders_restart()

    def on_current(self, gate: str) -> None:
        if gate != self.place.gate:
            return
        self._act(self.engine.orders_current(self._clock.wall_ns()), 0)
        self.tell_health()

    def on_behind(self, gate: str, reason: str) -> None:
        if gate != self.place.gate:
            return
        self.engine.orders_behind(reason)
        self.tell_health()

    def tell_health(self) -> None:
        """Ready once the strategy has started; a pause in the data afterwards is the market's, not the pod's."""
        health = self._host.health
        if self.engine.started:
            health.ready("strategy")
        else:
            health.not_ready("strategy", self.engine.waiting_for)

    def _receive(self, envelope: Envelope) -> None:
        body = envelope.body
        received_ns = body.ts_recv if isinstance(body, Quote | BookTop | Trade) else 0
        started = self.engine.started
        self._act(self.engine.handle(body, self._clock.wall_ns()), received_ns)
        if self.engine.started != started:
            self.tell_health()

    def _act(self, outputs: Outputs, received_ns: int) -> None:
        for output in outputs:
            if not self._pushers[self.place.gate].send(output):
                for intent_id in intents_of(output):
                    self.engine.not_sent(intent_id)
        if outputs and received_ns:
            self.latency.observe(max(0, self._clock.wall_ns() - received_ns))
        if self.engine.failure and self._host.failure is None:
            self._host.fail(FatalError(self.engine.failure))


@contextlib.asynccontextmanager
async def strategy(host: Host) -> AsyncIterator[None]:
    """Load the author's class, connect, and run until told to stop."""
    config = host.config
    if not isinstance(config, StrategyConfig):
        raise TypeError(f"{type(config).__name__} is not a strategy's configuration")
    session = host.clock.wall_ns()
    engine = _engine(config, session)
    bus = Bus(config.service, session, KeyPair.read())
    try:
        serving = StrategyHost(host, config, bus, engine)
        host.collect(lambda: families(engine, serving.latency, config.revision, session / 1e9))
        host.collect(lambda: feed.families(serving.feeds.values()))
        serving.tell_health()
        for name, events in serving.feeds.items():
            host.spawn(events.run(), f"events of {name}")
        host.spawn(serving.hello(), "hello")
        log.info("strategy loaded", strategy=config.strategy_class, track=config.track, revision=config.revision)
        yield
    finally:
        bus.close()


def _engine(config: StrategyConfig, session: int) -> StrategyEngine:
    author = load_class(config.strategy_class)
    try:
        return StrategyEngine(
            author,
            config.parameters,
            track=config.track,
            revision=config.revision,
            session=session,
            symbols=config.symbols,
        )
    except ParameterError as error:
        raise FatalError(f"strategy class {config.strategy_class}: {error}") from error
    except Exception as error:
        raise FatalError(
            f"strategy class {config.strategy_class} cannot be made: {type(error).__name__}: {error}"
        ) from error


def _topics(engine: StrategyEngine, symbols: tuple[str, ...]) -> list[str]:
    """Only what somebody looks at: books are most of the traffic."""
    kinds = ["quote", "status", "instrument"]
    kinds += ["book"] if engine.wants_books else []
    kinds += ["trade"] if engine.wants_trades else []
    return [f"{kind}.{symbol}" for kind in kinds for symbol in symbols]
