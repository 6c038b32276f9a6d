"""The venue's edge: every request goes in, and everything comes out, through lines that delay and keep order."""

import asyncio

from ringfence.runtime.clock import Clock
from ringfence.simulator.delay import DelayLine
from ringfence.simulator.dialect.api import RAW_ORDER_KINDS, Answer, Api, Call
from ringfence.simulator.dialect.streams import Hub
from ringfence.simulator.faults import Fault, Faults
from ringfence.simulator.orders import VenueEvent
from ringfence.simulator.venue import Venue

PUMP_S = 0.005
"""The market runs at least this often; each request runs it up to its own moment as well."""


class Gateway:
    def __init__(self, venue: Venue, api: Api, hub: Hub, faults: Faults, clock: Clock, latency_ms: int) -> None:
        self.venue = venue
        self.api = api
        self.hub = hub
        self.faults = faults
        self.clock = clock
        self._in = DelayLine(clock, latency_ms * 1_000_000)
        self._out = DelayLine(clock, latency_ms * 1_000_000)

    @property
    def latency_ms(self) -> int:
        """One way."""
        return self._in.latency_ns // 1_000_000

    async def call(self, call: Call) -> Answer:
        """A request's way in, its execution, and its answer's way out. Goes on when the caller hangs up."""
        answer = await self._in.through(lambda: self._execute(call))
        await self._out.through(lambda: None)
        return answer

    def advance(self) -> int:
        """Run the market up to now; returns now, UTC nanoseconds."""
        self.venue.advance(self.clock.wall_ns())
        self._publish()
        return self.venue.now_ns

    async def pump(self) -> None:
        """Keep the market running, for ever."""
        while True:
            self.advance()
            await asyncio.sleep(PUMP_S)

    def fault(self, fault: Fault) -> str | None:
        """Make something go wrong; returns why the request makes no sense, or None."""
        if fault.kind in {"halt", "silence", "gap"} and fault.symbol not in self.venue.instruments:
            return f"{fault.kind} needs a listed symbol, not {fault.symbol!r}"
        match fault.kind:
            case "drop_streams":
                self.hub.close_all()
            case "http_status":
                self.faults.http_status = fault.status
                self.faults.http_count = fault.count
                self.faults.http_executed = fault.executed
            case "latency_ms":
                self._in.latency_ns = self._out.latency_ns = fault.value * 1_000_000
            case "halt":
                self.venue.instruments[fault.symbol].halted = fault.on
            case "silence":
                (self.faults.silent.add if fault.on else self.faults.silent.discard)(fault.symbol)
            case "gap":
                self.faults.gaps[fault.symbol] = fault.count
            case "lose_events":
                self.faults.lost_events = fault.count
            case "clear":
                self.faults.clear()
                for instrument in self.venue.instruments.values():
                    instrument.halted = False
            case _:
                return f"unknown kind of fault {fault.kind!r}"
        return None

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def _execute(self, call: Call) -> Answer:
        now_ns = self.advance()
        kind = RAW_ORDER_KINDS.get(call.name)
        fault = self.faults.next_http() if kind is not None else None
        if fault is not None and not fault[1]:
            self.api.record.add(kind or "", call.params, "", call.arrived_ns, now_ns, fault[0], "fault: not executed")
            return _broken(fault[0])
        answer = self.api.answer(call, now_ns)
        self._publish()
        return answer if fault is None else _broken(fault[0])

    def _publish(self) -> None:
        events = self.venue.take_events()
        if events:
            self._out.put(lambda: self._send(events))

    def _send(self, events: list[VenueEvent]) -> None:
        for event in events:
            self.hub.publish(event)


def _broken(status: int) -> Answer:
    """An answer that says nothing about what was done."""
    return Answer(status=status, document={"code": -1000, "msg": "An unknown error occurred."})
