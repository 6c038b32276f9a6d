"""The venue's edge: every request goes in, and everything comes out, through lines that delay and keep order."""

import asyncio

import msgspec

from ringfence.model.money import MoneyError, parse
from ringfence.runtime.clock import Clock
from ringfence.simulator.delay import DelayLine
from ringfence.simulator.dialect import errors
from ringfence.simulator.dialect.api import RAW_ORDER_KINDS, Answer, Api, Call
from ringfence.simulator.dialect.streams import Hub
from ringfence.simulator.faults import Broken, Fault, Faults
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
        self._configured_ns = latency_ms * 1_000_000
        self._in = DelayLine(clock, latency_ms * 1_000_000)
        self._out = DelayLine(clock, latency_ms * 1_000_000)

    @property
    def latency_ms(self) -> int:
        """One way."""
        return self._in.latency_ns // 1_000_000

    async def call(self, call: Call) -> Answer:
        """A request's way in, its execution, and its answer's way out. Goes on when the caller hangs up."""
        answer = await self._in.through(lambda: self._execute(call))
        slow_s = self.faults.next_slow_s(call.name, about_orders=call.name in RAW_ORDER_KINDS)
        await self._out.through(lambda: None)
        if slow_s:
            await asyncio.sleep(slow_s)
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
        if fault.kind in {"halt", "silence", "gap", "bust", "correct"} and fault.symbol not in self.venue.instruments:
            return f"{fault.kind} needs a listed symbol, not {fault.symbol!r}"
        match fault.kind:
            case "http_status" | "cut":
                self.faults.set_answers(fault)
            case "slow_answers":
                self.faults.set_slow(fault)
            case "latency_ms":
                self._in.latency_ns = self._out.latency_ns = fault.value * 1_000_000
            case "halt":
                self.venue.instruments[fault.symbol].halted = fault.on
            case "balance":
                return self._tell_wrongly(fault)
            case "bust" | "correct":
                return self._restate(fault)
            case "clear":
                self.faults.clear()
                self._in.latency_ns = self._out.latency_ns = self._configured_ns
                for instrument in self.venue.instruments.values():
                    instrument.halted = False
            case _:
                return self._fault_of_streams(fault)
        return None

    def _fault_of_streams(self, fault: Fault) -> str | None:
        faults = self.faults
        match fault.kind:
            case "drop_streams":
                self.hub.close_all()
            case "shutdown":
                self.hub.shut_down(self.venue.now_ns)
            case "silence":
                (faults.silent.add if fault.on else faults.silent.discard)(fault.symbol)
            case "gap":
                faults.gaps[fault.symbol] = fault.count
            case "lose_events":
                faults.lost_events = fault.count
            case "repeat_events":
                faults.repeated_events = fault.count
            case "swap_events":
                faults.swapped_events = fault.count
            case "late_events":
                faults.late_events, faults.late_ms = fault.count, fault.value
            case _:
                return f"unknown kind of fault {fault.kind!r}"
        return None

    def _tell_wrongly(self, fault: Fault) -> str | None:
        try:
            self.faults.balances[fault.symbol] = parse(fault.amount)
        except MoneyError as error:
            return str(error)
        return None

    def _restate(self, fault: Fault) -> str | None:
        try:
            price = parse(fault.price) if fault.price else None
            quantity = parse(fault.quantity) if fault.quantity else None
        except MoneyError as error:
            return str(error)
        self.advance()
        refusal = self.venue.restate(fault.symbol, fault.trade_id, price, 0 if fault.kind == "bust" else quantity)
        self._publish()
        return refusal

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def _execute(self, call: Call) -> Answer:
        now_ns = self.advance()
        kind = RAW_ORDER_KINDS.get(call.name)
        fault = self.faults.next_answer(call.name, about_orders=kind is not None)
        if fault is not None and not fault.executed:
            if kind is not None:
                code, why = fault.status or fault.code, "fault: not executed"
                self.api.record.add(kind, call.params, "", call.arrived_ns, now_ns, code, why)
            return _broken(fault)
        answer = self.api.answer(call, now_ns)
        self._publish()
        if fault is None:
            return answer
        return _broken(fault) if fault.status else msgspec.structs.replace(answer, cut=True)

    def _publish(self) -> None:
        events = self.venue.take_events()
        if events:
            self._out.put(lambda: self._send(events))

    def _send(self, events: list[VenueEvent]) -> None:
        for event in events:
            self.hub.publish(event)


def _broken(fault: Broken) -> Answer:
    """An answer that says nothing about what was done."""
    document = {"code": fault.code, "msg": errors.TROUBLE.get(fault.code, "An unknown error occurred.")}
    return Answer(status=fault.status or 200, document=document, cut=not fault.status)
