"""Two strategies on one account, as processes: real gate, real strategies, real bus, a simulated venue.

Weights move and positions are handed over while both trade, the gate is killed, and in the end the sub-ledgers
together are what the venue has in its books, to the last digit.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gatebench.bench import SYMBOL, WAIT_S, Bench, free_port, furnished, limits, write_keys
from gatebench.fakeapi import MAPS, SYSTEM
from ringfence.model.money import parse, text
from ringfence.model.orders import Filled, Initialized
from ringfence.runtime.config import Allocation, Endpoint, Gate, Handover, HandoverMode, StrategyConfig, Track
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.wire import tracks as wire
from ringfence.wire.messages import Envelope, Routes

ROOT = Path(__file__).parents[2]
OLD, NEW = "aaaaaa0001", "bbbbbb0002"
AUTHOR = """
from ringfence.sdk import Strategy, units

class Busy(Strategy):
    '''Trades all the time, and never closes everything: there is always a position to hand over.'''

    def on_start(self):
        self.seen = 0
        self.buying = True

    def on_adopt(self, positions):
        self.seen = 0

    def on_quote(self, quote):
        self.seen += 1
        if self.seen % 3:
            return
        working = self.context.working()
        for order in working:
            self.context.cancel(order.intent_id)
        if working:
            return
        held = self.context.position(quote.symbol)
        if self.seen % 5 == 0:
            self.context.buy(quote.symbol, units("0.001"), quote.bid)
            return
        self.buying = held < units("0.004") or (self.buying and held < units("0.008"))
        trade = self.context.buy if self.buying else self.context.sell
        trade(quote.symbol, units("0.001"))
"""


def execution(bench: Bench) -> Gate:
    return Gate(
        name="sim-execution",
        venue="sim",
        intents=bench.endpoint("intents", "gate"),
        events=bench.endpoint("events", "gate"),
        http=f"http://127.0.0.1:{bench.ports['http']}",
    )


class PaperGate:
    """The paper gate beside the bench's execution: its own process, copies of live orders included."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ports = {name: free_port() for name in ("http", "kill", "intents", "events")}

    def gate(self) -> Gate:
        key = self.bench.keys["paper"].public
        return Gate(
            name="sim-paper",
            venue="sim",
            intents=Endpoint(host="127.0.0.1", port=self.ports["intents"], public_key=key),
            events=Endpoint(host="127.0.0.1", port=self.ports["events"], public_key=key),
            http=f"http://127.0.0.1:{self.ports['http']}",
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["PaperGate"]:
        bench, place = self.bench, self.bench.root / "paper"
        write_keys(place, bench.keys["paper"])
        config = msgspec.structs.replace(
            bench.gate_config(bench.simulator.address()),
            service="sim-paper",
            paper=True,
            lease="",
            copies=execution(bench),
            http_port=self.ports["http"],
            kill_port=self.ports["kill"],
            intents_port=self.ports["intents"],
            events_port=self.ports["events"],
        )
        (place / "service.json").write_bytes(msgspec.json.encode(config))
        environment = os.environ | {
            "RINGFENCE_CONFIG": str(place / "service.json"),
            "RINGFENCE_CURVE": str(place),
            "RINGFENCE_JOURNAL": str(place / "journal"),
            "RINGFENCE_KILL_SWITCH": str(bench.root / "kill-switch"),
            "RINGFENCE_KILL_TOKEN": str(bench.root / "token"),
            "RINGFENCE_TERMINATION_LOG": str(place / "termination"),
            "KUBECONFIG": str(bench.kubeconfig),
            "POD_NAME": "momentum-sim-paper-0",
            "PYTHONPATH": str(ROOT / "services"),
        }
        with (place / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ringfence.paper", env=environment, stdout=log, stderr=log, cwd=place
            )
        try:
            yield self
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def report(self) -> wire.TracksReport | None:
        """None while it does not answer yet."""
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{self.ports['http']}{wire.TRACKS_PATH}") as response,
            ):
                return wire.decode(await response.read())
        return None

    async def until(self, name: str, condition: Callable[[wire.Track], bool]) -> wire.Track:
        """Until this can be said of a track."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.report()
                for track in found.tracks if found is not None else ():
                    if track.name == name and condition(track):
                        return track
                await asyncio.sleep(0.05)

    async def compared(self, track: str) -> float:
        """Live orders of a track that the twin has compared."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.ports['http']}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
        wanted = f'ringfence_twin_orders_total{{revision="{OLD}",track="{track}"}}'
        other = f'ringfence_twin_orders_total{{track="{track}",revision="{OLD}"}}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith((wanted, other)))


class Runner:
    """One strategy's process."""

    def __init__(self, bench: Bench, slot: str, revision: str, track: str, *gates: Gate) -> None:
        """Begins at the last of the gates; the bench's is the first."""
        self.bench, self.slot, self.revision, self.track = bench, slot, revision, track
        self.gates = (execution(bench), *gates)
        self.port = free_port()

    def config(self) -> StrategyConfig:
        bench = self.bench
        return StrategyConfig(
            system=SYSTEM,
            namespace=bench.namespace,
            service=self.slot,
            http_port=self.port,
            track=self.track,
            revision=self.revision,
            strategy_class="author:Busy",
            parameters={},
            symbols=(SYMBOL,),
            marketdata=(bench.endpoint("md", "marketdata"),),
            gate=self.gates[-1],
            gates=self.gates,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Runner"]:
        place = self.bench.root / self.slot
        write_keys(place, self.bench.keys[self.slot])
        (place / "service.json").write_bytes(msgspec.json.encode(self.config()))
        (place / "author.py").write_text(AUTHOR)
        environment = os.environ | {
            "RINGFENCE_CONFIG": str(place / "service.json"),
            "RINGFENCE_CURVE": str(place),
            "RINGFENCE_TERMINATION_LOG": str(place / "termination"),
            "PYTHONPATH": f"{ROOT / 'services'}:{place}",
        }
        with (place / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ringfence.strategy", env=environment, stdout=log, stderr=log, cwd=place
            )
        try:
            yield self
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self.port}/metrics") as response:
            for line in (await response.text()).splitlines():
                if line.startswith(f"ringfence_strategy_{name}_total"):
                    return float(line.split()[-1])
        raise AssertionError(f"no metric {name}")


class Stage:
    """The bench, its allocation, and what the gate says of it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.epoch = 1
        self.routes: dict[int, float] = {}
        bench.bus.subscriber([bench.endpoint("events", "gate")], ["routes"], self._routes)

    def _routes(self, envelope: Envelope) -> None:
        if isinstance(envelope.body, Routes):
            self.routes.setdefault(envelope.body.epoch, time.monotonic())

    def track(self, name: str, slot: str, revision: str, stage: str, weight: int) -> Track:
        key = self.bench.keys[slot].public
        return Track(name=name, revision=revision, stage=stage, weight=weight, grant=self.bench.grant(), key=key)

    async def allocate(self, *tracks: Track, handovers: tuple[Handover, ...] = ()) -> float:
        """Put it, wait until the gate says that it has it; milliseconds in between."""
        self.epoch += 1
        allocation = Allocation(epoch=self.epoch, tracks=tracks, limits=limits(), handovers=handovers)
        put = time.monotonic()
        self.bench.api.put(f"{MAPS}/momentum-allocation", self.bench.document(allocation))
        await self.bench.until(lambda: self.epoch in self.routes)
        return 1000 * (self.routes[self.epoch] - put)

    async def report(self) -> wire.TracksReport:
        address = f"http://127.0.0.1:{self.bench.ports['http']}{wire.TRACKS_PATH}"
        async with aiohttp.ClientSession() as http, http.get(address) as response:
            return wire.decode(await response.read())

    async def told(self, name: str) -> wire.Track:
        return next(track for track in (await self.report()).tracks if track.name == name)

    def fills(self, track: str, revision: str) -> int:
        """Executions of what this revision asked for on this track; book entries are none."""
        ours = {
            update.event.client_order_id
            for update in self.bench.updates.values()
            if update.track == track
            and isinstance(update.event, Initialized)
            and update.event.intent_id.startswith(f"{track}-{revision}-")
        }
        return sum(
            isinstance(update.event, Filled) and update.event.client_order_id in ours
            for update in self.bench.updates.values()
        )

    async def more_fills(self, track: str, revision: str, count: int = 3) -> None:
        before = self.fills(track, revision)
        await self.bench.until(lambda: self.fills(track, revision) >= before + count)

    async def handed_over(self, name: str) -> wire.TracksReport:
        """What the gate reports, once this one handover is done: it waits until nothing of its source is under way."""
        async with asyncio.timeout(30):
            while True:
                found = await self.report()
                if [(one.id, one.state) for one in found.handovers] == [(name, "Done")]:
                    return found
                await asyncio.sleep(0.05)

    async def same_books(self) -> None:
        """All sub-ledgers together against the venue's own ledger."""
        bench = self.bench
        deadline = time.monotonic() + 20
        while True:
            bench.simulator.gateway.advance()
            delta = bench.simulator.venue.ledger.delta(TEST_CREDENTIAL.account)
            venue = {asset: text(amount) for asset, amount in delta.items() if amount}
            books: dict[str, Any] = await bench.get("/positions")
            ours: dict[str, int] = {}
            for book in books.values():
                for asset, amount in book["cash"].items():
                    ours[asset] = ours.get(asset, 0) + parse(amount)
            if {asset: text(amount) for asset, amount in ours.items() if amount} == venue:
                return
            assert time.monotonic() < deadline, (ours, venue)
            await asyncio.sleep(0.2)


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_weights_move_and_positions_are_handed_over_while_two_strategies_trade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with furnished(tmp_path, monkeypatch, paper=False) as bench, contextlib.AsyncExitStack() as stack:
        stage = Stage(bench)
        stable = stage.track("stable", "slot-a", OLD, "Live", 100)
        await stage.allocate(stable, stage.track("candidate", "slot-b", NEW, "Canary", 5))
        old = await stack.enter_async_context(Runner(bench, "slot-a", OLD, "stable").running())
        new = await stack.enter_async_context(Runner(bench, "slot-b", NEW, "candidate").running())
        await stage.more_fills("stable", OLD)
        await stage.more_fills("candidate", NEW)

        # the weight moves under a running candidate, and it goes on
        took = []
        for weight in (10, 25, 50):
            took.append(await stage.allocate(stable, stage.track("candidate", "slot-b", NEW, "Canary", weight)))
            assert (await stage.told("candidate")).weight == weight
        print(f"allocation written to applied and told: {', '.join(f'{ms:.1f}' for ms in took)} ms")
        await stage.more_fills("candidate", NEW)
        candidate = await stage.told("candidate")
        assert candidate.adopts is True
        assert candidate.starved == ""
        share = next(row for row in candidate.capacity if row.limit == "OrderValue").share
        assert share == text(limits().order_value_max // 2)

        # promotion: the candidate takes over as stable, in the same process
        after = (
            stage.track("stable", "slot-b", NEW, "Live", 100),
            stage.track("shadow", "slot-a", OLD, "Paper", 0),
        )
        adopt = Handover(id="promote-1", source="candidate", target="stable", mode=HandoverMode.ADOPT)
        await stage.allocate(*after, handovers=(adopt,))
        await stage.more_fills("stable", NEW)
        found = await stage.handed_over("promote-1")
        (handover,) = found.handovers
        assert handover.entries, "both traded: there was something to hand over"
        assert [track.name for track in found.tracks] == ["shadow", "stable"], "the candidate's book is empty"
        # once of what the old stable had left, and, if that was before the booking, once more of everything
        assert await new.metric("adoptions") in {1, 2}
        stood = stage.fills("stable", OLD)

        # the gate dies: what is booked stays booked, once
        await bench.stop(signal.SIGKILL)
        await bench.start()
        await bench.active()
        await stage.more_fills("stable", NEW)
        assert stage.fills("stable", OLD) == stood, "the old stable is a shadow, and has no place here"
        assert (await stage.report()).handovers[0].entries == handover.entries
        legs = [u for u in bench.updates.values() if u.event.client_order_id.startswith("book-promote-1")]
        assert len(legs) == 6 * len(handover.entries)
        assert await old.metric("exceptions") == await new.metric("exceptions") == 0
        await stack.aclose()
        await stage.allocate(stage.track("stable", "slot-b", NEW, "Paper", 0))
        await stage.same_books()


@pytest.mark.asyncio
@pytest.mark.timeout(240)
async def test_a_candidate_goes_from_paper_to_live_and_the_old_stable_to_paper_and_back_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with furnished(tmp_path, monkeypatch, paper=False) as bench, contextlib.AsyncExitStack() as stack:
        stage, paper = Stage(bench), PaperGate(bench)
        old_live = stage.track("stable", "slot-a", OLD, "Live", 100)
        await stage.allocate(old_live, stage.track("candidate", "slot-b", NEW, "Paper", 0))
        await stack.enter_async_context(paper.running())
        old = Runner(bench, "slot-a", OLD, "stable", paper.gate())
        new = Runner(bench, "slot-b", NEW, "candidate", paper.gate())
        async with old.running(), new.running():
            # both begin at the paper gate by their files; stable belongs to execution, and goes there by itself
            await stage.more_fills("stable", OLD)
            simulated = await paper.until("candidate", lambda track: track.fills >= 3)
            assert simulated.adopts is True
            assert not (await stage.told("candidate")).allowed
            assert stage.fills("candidate", NEW) == 0, "a candidate on paper has no live order"

            # the twin follows what stable does
            async with asyncio.timeout(WAIT_S):
                while await paper.compared("stable") < 3:
                    await asyncio.sleep(0.2)

            began = time.monotonic()
            await stage.allocate(old_live, stage.track("candidate", "slot-b", NEW, "Canary", 25))
            await stage.more_fills("candidate", NEW, 1)
            print(f"Canary allocated to first live fill of the candidate: {time.monotonic() - began:.2f} s")
            await stage.more_fills("stable", OLD)

            adopt = Handover(id="promote-1", source="candidate", target="stable", mode=HandoverMode.ADOPT)
            shadow = stage.track("shadow", "slot-a", OLD, "Paper", 0)
            await stage.allocate(stage.track("stable", "slot-b", NEW, "Live", 100), shadow, handovers=(adopt,))
            await stage.more_fills("stable", NEW)
            await paper.until("shadow", lambda track: track.fills >= 3)

            # rolled back: the old one takes its track again, and what is on it
            await stage.allocate(old_live)
            await stage.more_fills("stable", OLD)
            assert await old.metric("exceptions") == await new.metric("exceptions") == 0
        await stage.allocate(stage.track("stable", "slot-a", OLD, "Paper", 0))
        await stage.same_books()


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_an_aborted_candidate_is_closed_at_the_venue_while_stable_trades_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with furnished(tmp_path, monkeypatch, paper=False) as bench, contextlib.AsyncExitStack() as stack:
        stage = Stage(bench)
        stable = stage.track("stable", "slot-a", OLD, "Live", 100)
        candidate = stage.track("candidate", "slot-b", NEW, "Canary", 50)
        await stage.allocate(stable, candidate)
        await stack.enter_async_context(Runner(bench, "slot-a", OLD, "stable").running())
        await stack.enter_async_context(Runner(bench, "slot-b", NEW, "candidate").running())
        await stage.more_fills("stable", OLD)
        await stage.more_fills("candidate", NEW)
        closing = Handover(id="demote-1", source="candidate", mode=HandoverMode.FLATTEN)
        away = stage.track("candidate", "slot-b", NEW, "Paper", 0)
        await stage.allocate(stable, away, handovers=(closing,))
        before = stage.fills("stable", OLD)
        async with asyncio.timeout(WAIT_S):
            while (found := (await stage.report()).handovers[0]).state != "Done":
                await asyncio.sleep(0.1)
        assert found.entries == ()
        left = [parse(one.quantity) for one in (await stage.told("candidate")).positions]
        assert all(abs(quantity) < parse("0.0001") for quantity in left), left
        await stage.more_fills("stable", OLD)
        assert stage.fills("stable", OLD) > before
        await stack.aclose()
        await stage.allocate(stage.track("stable", "slot-a", OLD, "Paper", 0))
        await stage.same_books()
