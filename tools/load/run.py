"""The phases of a run, and what each of them measured."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, Final

import msgspec

from demo.system import nanoseconds
from gatebench.bench import SYMBOL
from gatebench.fakeapi import SYSTEM
from load.count import Journal, Told, counter, differences, histogram_quantile, quantile
from load.memory import Memory, Sample
from load.rig import GATE, STRATEGY, Rig
from ringfence.model.money import parse, text
from ringfence.simulator.catalog import LISTED
from ringfence.wire.codec import EVENTS_LIMIT, EVENTS_PATH, decode_page

QUOTER: Final = "ringfence.sdk.strategies.quoter:Quoter"
SETTLED_S: Final = 60.0
SAMPLE_S: Final = 1.0
REST_S: Final = 30.0
TRIPPED_S: Final = 90.0
"""Rejected orders are a share of those of the last minute: what was accepted in a phase before counts that long."""
QUOTES_PER_S: Final = 20
"""So often each working quote is renewed: 1,000/s need 50. The limit of working orders also has to hold what is on
its way to the venue or waits for its cancel, which is the gate's latency twice."""
MS_NS: Final = 1_000_000


Disturbance = Callable[[float], Coroutine[Any, Any, None]]
"""Run beside a phase, with its duration in seconds."""


class Phase(msgspec.Struct, kw_only=True):
    """What one phase showed."""

    name: str
    asked: int
    """Orders a second."""
    seconds: float
    intents: int
    accepted: int
    executed: int
    denied: dict[str, int]
    rejected: dict[str, int]
    unsent: int
    unknown: int
    denied_unjournaled: int
    """Refusals beside the journal."""
    tick_to_intent_ms: tuple[float, float]
    check_us: tuple[float, float]
    gate_to_ack_ms: tuple[float, float]
    memory: dict[str, list[Sample]]
    """By process."""
    cpu_percent: dict[str, float]
    cpu_ms: dict[str, float]
    """Processor time for each accepted order, which most often is a cancel as well."""

    @property
    def accepted_per_s(self) -> float:
        return self.accepted / self.seconds


class Load:
    """Loads a rig; keeps the gate's events, the venue's record and everybody's counts."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.journal = Journal(LISTED[SYMBOL].instrument)
        self.requests: list[dict[str, Any]] = []
        self.told = Told()
        self.phases: list[Phase] = []
        self.memory = Memory()
        self._sequence = 0
        self._total = 0
        """Of the strategy that runs: its end is known by it."""
        self._gate_counts = (0, 0)

    # --- reading

    async def read_journal(self) -> None:
        """All events that are new, as any reader gets them."""
        url = f"http://127.0.0.1:{self.rig.ports['http']}{EVENTS_PATH}"
        while True:
            query = {"after": str(self._sequence), "limit": str(EVENTS_LIMIT)}
            async with self.rig.http.get(url, params=query) as response:
                page = decode_page(response.headers, await response.read())
            self.journal.fold(page.updates)
            if not page.updates:
                return
            self._sequence = page.updates[-1].sequence

    async def read_venue(self) -> None:
        """All requests that are new. Raises when the venue has forgotten some: then nothing can be proven."""
        while True:
            since = self.requests[-1]["sequence"] if self.requests else 0
            page = await self.rig.control(f"orders?since={since}")
            if page["lost"]:
                raise AssertionError(f"the venue keeps too few requests: {page['lost']} are not kept any more")
            if not page["requests"]:
                return
            self.requests += page["requests"]

    async def read_gate(self) -> None:
        """The gate's own counts, which begin again with each of its processes."""
        page = await self.rig.metrics("http")
        counts = (
            counter(page, "ringfence_gate_intents_total"),
            counter(page, "ringfence_gate_refusals_unjournaled_total"),
        )
        self.told.received += counts[0] - self._gate_counts[0]
        self.told.unjournaled += counts[1] - self._gate_counts[1]
        self._gate_counts = counts

    # --- phases

    @contextlib.asynccontextmanager
    async def quoting(self, rate: int, total: int = 0, **parameters: str) -> AsyncIterator[None]:
        """A strategy that places so many orders a second meanwhile."""
        rig, self._total = self.rig, total
        working = str(max(10, rate // QUOTES_PER_S))
        given = {"rate": str(rate), "total": str(total), "working": working} | parameters
        await rig.start_strategy(QUOTER, given)
        ready = "ringfence_strategy_ready"

        async def is_ready() -> bool:
            return counter(await rig.metrics("strategy"), ready) == 1

        await rig.until(is_ready, "a strategy that decides", 120)
        try:
            yield
        finally:
            await self.count_strategy()
            await rig.stop(STRATEGY)

    async def count_strategy(self) -> None:
        """Once it has come to rest: all that it asked for has been checked, and it has heard of each refusal."""
        deadline = time.monotonic() + REST_S  # sim-ok: measures real processes
        while True:
            page = await self.rig.metrics("strategy")
            await self.read_gate()
            count = partial(counter, page)
            asked = count("ringfence_strategy_intents_total") - count("ringfence_strategy_refused_total")
            heard = count("ringfence_strategy_denied_unjournaled_total")
            ended = not self._total or asked >= self._total
            rested = (
                ended
                and self.told.asked + asked == self.told.received
                and self.told.heard + heard == self.told.unjournaled
            )
            if rested or time.monotonic() > deadline:  # sim-ok: as above
                break
            await asyncio.sleep(0.1)
        self.told.asked += asked
        self.told.heard += heard

    async def phase(
        self,
        name: str,
        rate: int,
        seconds: float,
        meanwhile: Disturbance | None = None,
    ) -> Phase:
        """Quote at this rate for so long. ``meanwhile`` is run with the duration, once the load is on."""
        rig, journal, total = self.rig, self.journal, round(rate * seconds)
        await self.read_journal()
        before = (len(journal.accepted), len(journal.fills), journal.denied.copy(), journal.rejected.copy())
        before_other = (len(journal.unsent), journal.unknown, len(journal.acknowledged_ns))
        told = msgspec.structs.replace(self.told)
        first = len(journal.submitted)
        async with self.quoting(rate, total):
            cpu, began = rig.cpu_s(), time.monotonic()  # sim-ok: measures real processes
            other = asyncio.create_task(meanwhile(seconds)) if meanwhile is not None else None
            deadline = began + 4 * seconds + 30
            self.memory.began("strategy", self.told.asked)
            seen = {process: len(samples) for process, samples in self.memory.samples.items()}
            placed = 0
            while True:
                self.memory.sample(self.told.asked + placed, rig.memory_mb())
                if placed >= total or time.monotonic() > deadline:  # sim-ok: as above
                    break
                await asyncio.sleep(SAMPLE_S)
                placed = counter(await rig.metrics("strategy"), "ringfence_strategy_intents_total")
            took = time.monotonic() - began  # sim-ok: as above
            if other is not None:
                await other
            used_s = {process: now - cpu.get(process, 0) for process, now in rig.cpu_s().items()}
            pages = await rig.metrics("strategy"), await rig.metrics("http")
        await self.settle()
        sent = list(journal.submitted.values())[first:]
        tick = "ringfence_strategy_tick_to_intent_seconds"
        check = "ringfence_gate_check_seconds"
        accepted = len(journal.accepted) - before[0]
        acks = [ns / MS_NS for ns in journal.acknowledged_ns[before_other[2] :]]
        found = Phase(
            name=name,
            asked=rate,
            seconds=(sent[-1] - sent[0]) / 1e9 if len(sent) > 1 else took,
            intents=self.told.asked - told.asked,
            accepted=accepted,
            executed=len(journal.fills) - before[1],
            denied=dict(journal.denied - before[2]),
            rejected=dict(journal.rejected - before[3]),
            unsent=len(journal.unsent) - before_other[0],
            unknown=journal.unknown - before_other[1],
            denied_unjournaled=self.told.unjournaled - told.unjournaled,
            tick_to_intent_ms=_pair(lambda share: 1e3 * histogram_quantile(pages[0], tick, share)),
            check_us=_pair(lambda share: 1e6 * histogram_quantile(pages[1], check, share)),
            gate_to_ack_ms=_pair(lambda share: quantile(acks, share)),
            memory={process: samples[seen.get(process, 0) :] for process, samples in self.memory.samples.items()},
            cpu_percent={process: 100 * busy / took for process, busy in used_s.items()},
            cpu_ms={process: 1e3 * busy / max(1, accepted) for process, busy in used_s.items()},
        )
        self.phases.append(found)
        return found

    # --- stops

    def engage(self) -> None:
        self.rig.bench.api.engage(SYSTEM, engaged=True)

    async def release(self) -> None:
        """As a person would: the switch is released, and the gate starts up again."""
        self.rig.bench.api.engage(SYSTEM, engaged=False)
        await self.rig.active()

    async def kill(self, rate: int, seconds: float = 2.0) -> dict[str, float]:
        """Engage under load: how fast the gate closed by its own line, and what the venue saw afterwards."""
        await self.read_venue()
        async with self.quoting(rate, round(2 * seconds * rate)):
            await asyncio.sleep(seconds)
            seen = len(self.requests)
            engaged_ns = time.time_ns()  # sim-ok: measures real processes
            self.engage()

            async def closed() -> bool:
                state = await self.rig.gate_document("state")
                return bool(state["severity"] == "Cancel" and state["workingOrders"] == 0)

            await self.rig.until(closed, "a closed gate without orders")
            gone_ns = time.time_ns()  # sim-ok: as above
            await asyncio.sleep(seconds)
            line = self.rig.bench.line()
        await self.settle()
        closed_ns = nanoseconds(line["closedAt"])
        orders = [r for r in self.requests[seen:] if r["kind"] == "order"]
        late = [r for r in orders if r["arrived_ns"] > closed_ns]
        # what had left is read later by a venue that waits for a processor; what was decided later must not exist
        decided = self.journal.submitted
        after = [r for r in late if decided.get(r["client_order_id"], closed_ns + 1) > closed_ns]
        return {
            "patch to closed, ms": (closed_ns - engaged_ns) / MS_NS,
            "patch to no working order, ms": (gone_ns - engaged_ns) / MS_NS,
            "orders at the venue before": sum(r["arrived_ns"] > engaged_ns - 10**9 for r in orders) - len(late),
            "decided after the gate closed": len(after),
            "on the wire when it closed": len(late),
            "latest after closing, ms": max(((r["arrived_ns"] - closed_ns) / MS_NS for r in late), default=0.0),
        }

    async def trip(self, rate: int) -> dict[str, float]:
        """The venue refuses everything under load: the breaker halts the gate, and a person opens it again."""
        await self.read_venue()
        async with self.quoting(rate, round(8 * rate)):
            await asyncio.sleep(1)
            await self.rig.fault("halt", symbol=SYMBOL, on=True)
            began = time.monotonic()  # sim-ok: measures real processes

            async def tripped() -> bool:
                state = await self.rig.gate_document("state")
                return state["severity"] == "Halt" and "breaker/rejects" in state["latches"]

            await self.rig.until(tripped, "the breaker of rejected orders", TRIPPED_S)
            took = time.monotonic() - began  # sim-ok: as above
            await asyncio.sleep(0.5)  # what had left before is answered by then
            await self.read_venue()
            seen = len(self.requests)
            await asyncio.sleep(1)
            await self.read_venue()
            after = sum(request["kind"] == "order" for request in self.requests[seen:])
        await self.rig.fault("halt", symbol=SYMBOL, on=False)
        self.engage()

        async def stopped() -> bool:
            return bool((await self.rig.gate_document("state"))["severity"] == "Cancel")

        await self.rig.until(stopped, "the engaged switch")
        await self.release()
        return {"tripped after, s": took, "orders at the venue while open": after}

    # --- the end

    async def settle(self) -> list[str]:
        """Read everybody until they agree; what they still disagree in after a while."""
        deadline = time.monotonic() + SETTLED_S  # sim-ok: measures real processes
        while True:
            wrong = await self.compare()
            if not wrong or time.monotonic() > deadline:  # sim-ok: as above
                return wrong
            await asyncio.sleep(0.5)

    async def compare(self) -> list[str]:
        """One look at all the books. They are read one after the other: agreement counts, a difference may pass."""
        await self.read_gate()
        await self.read_venue()
        ledger = (await self.rig.control("ledger"))["accounts"]["primary"]
        await self.read_journal()
        portfolio: dict[str, int] = {}
        document = await self.rig.positions()
        for row in document["cash"]:
            portfolio[row["asset"]] = portfolio.get(row["asset"], 0) + parse(row["change"])
        cash = {asset: text(amount) for asset, amount in portfolio.items() if amount}
        return differences(self.told, self.journal, self.requests, ledger, cash)

    async def recover(self) -> dict[str, float]:
        """Kill the gate's process and start it on its journal: until it answers, and until it is Active."""
        await self.read_gate()
        size = (self.rig.root / "journal" / "orders.journal").stat().st_size
        await self.rig.stop(GATE, hard=True)
        began = time.monotonic()  # sim-ok: measures real processes
        self._gate_counts = (0, 0)
        await self.rig.start_gate()

        async def answers() -> bool:
            return bool(await self.rig.gate_document("state"))

        await self.rig.until(answers, "the gate again", 120)
        up = time.monotonic() - began  # sim-ok: as above
        memory = self.rig.memory_mb()["execution"]
        return {
            "entries": float(self._sequence),
            "megabytes": size / 1e6,
            "answers after, s": up,
            "memory, MB": memory,
        }


def _pair(quantile_of: Callable[[float], float]) -> tuple[float, float]:
    return quantile_of(0.5), quantile_of(0.99)
