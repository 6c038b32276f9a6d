"""The gate's requests to its venue: each is a task beside the order path, and its answer goes back to the manager.

Nothing is decided here: whether an order may leave is asked immediately before its bytes do, and what an answer means
is the manager's to say.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from ringfence.execution.changes import Changes
from ringfence.execution.outputs import Amend, Cancel, Output, Pair, Query, Replace, Request
from ringfence.execution.protection import Traffic
from ringfence.model.approved import Approved
from ringfence.runtime.clock import Clock
from ringfence.venues import api

log = structlog.get_logger()


class Requests:
    """``perform`` carries out what an answer leads to; ``broken`` hears of a request that ended in no answer at all."""

    def __init__(
        self,
        venue: api.TradingVenue,
        clock: Clock,
        manager: Changes,
        traffic: Traffic,
        may_send: api.MaySend,
        perform: Callable[[list[Output]], None],
        broken: Callable[[], None],
    ) -> None:
        self.under_way: set[asyncio.Task[None]] = set()
        self._venue = venue
        self._clock = clock
        self._manager = manager
        self._traffic = traffic
        self._may_send = may_send
        self._perform = perform
        self._broken = broken

    def begin(self, request: Request) -> None:
        match request:
            case Approved():
                self.run(self._submit(request))
            case Cancel(symbol, client_order_id):
                self.run(self._cancel(symbol, client_order_id))
            case Replace():
                self.run(self._replace(request))
            case Pair():
                self.run(self._submit_pair(request))
            case Amend():
                self.run(self._amend(request))
            case Query(symbol, client_order_id):
                self.run(self.query(symbol, client_order_id))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """A request, or other work of which an orderly end waits for the last bit."""
        task = asyncio.get_running_loop().create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a request failed", exc_info=task.exception())
            self._broken()

    async def _submit(self, order: Approved) -> None:
        refused = self._may_send(order)
        outcome = api.NotSent(refused) if refused else await self._venue.submit(order, self._may_send)
        self._traffic.sent(outcome)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._perform(self._manager.submitted(order.client_order_id, outcome, wall, mono))

    async def _submit_pair(self, pair: Pair) -> None:
        refused = self._may_send(pair.first) or self._may_send(pair.second)
        outcomes: tuple[api.SubmitOutcome, api.SubmitOutcome] = (api.NotSent(refused or ""),) * 2
        if not refused:
            outcomes = await self._venue.submit_pair(pair.first, pair.second, self._may_send)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        for order, outcome in zip((pair.first, pair.second), outcomes, strict=True):
            self._traffic.sent(outcome)
            self._perform(self._manager.submitted(order.client_order_id, outcome, wall, mono))

    async def _replace(self, wanted: Replace) -> None:
        refused = self._may_send(wanted.order)
        outcome: tuple[api.CancelOutcome, api.SubmitOutcome] = (api.NotSent(refused or ""), api.NotSent(refused or ""))
        if not refused:
            replaced, order, untouched = wanted.replaced, wanted.order, wanted.untouched
            outcome = await self._venue.replace(replaced, order, self._may_send, untouched=untouched)
        canceled, placed = outcome
        self._traffic.changed(canceled)
        self._traffic.sent(placed)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._perform(self._manager.replaced(wanted.replaced, wanted.order.client_order_id, outcome, wall, mono))

    async def _amend(self, wanted: Amend) -> None:
        outcome = await self._venue.amend(wanted.symbol, wanted.client_order_id, wanted.quantity)
        self._traffic.changed(outcome)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._perform(self._manager.amended(wanted.client_order_id, outcome, wall, mono))

    async def _cancel(self, symbol: str, client_order_id: str) -> None:
        outcome = await self._venue.cancel(symbol, client_order_id)
        self._traffic.changed(outcome)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._perform(self._manager.canceled(client_order_id, outcome, wall, mono))

    async def query(self, symbol: str, client_order_id: str) -> None:
        asked = self._clock.monotonic_ns()
        try:
            report = await self._venue.order(symbol, client_order_id)
        except api.VenueError as error:
            self._traffic.request(failed=True)
            log.info("query failed", client_order_id=client_order_id, reason=str(error))
            self._manager.query_failed(client_order_id, self._clock.monotonic_ns())
            return
        self._traffic.request(failed=False)
        wall, mono = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._perform(self._manager.queried(client_order_id, report, asked, wall, mono))
