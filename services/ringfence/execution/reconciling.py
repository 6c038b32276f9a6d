"""Runs reconciliation beside the order path: asks the venue what the agenda says, and has the reconciler compare."""

import asyncio
import contextlib
from typing import Final

import structlog

from ringfence.execution.agenda import OURS, Look
from ringfence.execution.app import Execution
from ringfence.execution.outputs import Query
from ringfence.execution.reconcile import NOTE_BASELINE, NOTE_CURSORS, Verdict
from ringfence.runtime.guard import RECONCILED
from ringfence.runtime.waiting import wait_at_most
from ringfence.venues.api import OrderReport, TradeReport, VenueError
from ringfence.wire.stops import Severity

log = structlog.get_logger()

AGAIN_S: Final = 0.3
AGAIN_MAX_S: Final = 5.0
"""Repeated looks slow down: they come out of the request limit that orders need."""
HURRY_MAX: Final = 3
"""So many runs may follow each other at once; a storm of events then asks once a second."""
HURRY_S: Final = 1.0
CANCELING_S: Final = 1.0
FAILURES_MAX: Final = 3


class ReconcileLoop:
    """Does what the agenda says: on start, when something asks for it, while cancelling, and by the clock."""

    def __init__(self, app: Execution) -> None:
        self.app = app
        self.failures = 0
        self.unsettled = 0
        """Runs in a row that have to be repeated."""
        self.hurried = 0
        """Runs in a row that were asked for before the one before had ended."""
        self.last_sound = 0
        """Wall time of the last comparison of balances that found everything in order."""

    async def run(self) -> None:
        app = self.app
        while True:
            app.wake_reconciler.clear()
            pause_s = await self._guarded_run()
            stopping = app.cancel_proof.wanted or (app.guard.worst >= Severity.CANCEL and not app.cancel_proof.complete)
            if app.cancel_proof.wanted:
                pause_s = min(pause_s, AGAIN_S)
            elif stopping:
                pause_s = min(pause_s, max(CANCELING_S, self._again_s()))
            self.hurried = self.hurried + 1 if app.wake_reconciler.is_set() and not stopping else 0
            if self.hurried > HURRY_MAX:
                await asyncio.sleep(HURRY_S)
            await wait_at_most(app.wake_reconciler, pause_s)
            if stopping:
                app.agenda.ask(Look.ORDERS)

    async def _guarded_run(self) -> float:
        app = self.app
        if not app.stream_up or any(app.gate.markets[s].instrument is None for s in app.config.symbols):
            if app.cancel_proof.wanted:
                with contextlib.suppress(VenueError):
                    await self._look(Look.ORDERS)
            return AGAIN_S
        look = app.agenda.take(app.clock.monotonic_ns())
        if not look:
            return app.agenda.wait_s(app.clock.monotonic_ns())
        drops = app.stream_drops
        try:
            verdict = await self.once(look, drops)
        except VenueError as error:
            app.agenda.ask(look)
            self.failures += 1
            reason = str(error)
            log.warning("reconciliation failed", reason=reason, failures=self.failures)
            if RECONCILED in app.guard.missing or self.failures >= FAILURES_MAX:
                app.observe(lambda now: app.guard.missed(RECONCILED, reason, now))
            return AGAIN_S * min(self.failures, 10)
        self.failures = 0
        if verdict is not None:
            app.agenda.ask(verdict.again)
            self.unsettled = self.unsettled + 1 if verdict.again else 0
            if verdict.sound:
                self.last_sound = app.clock.wall_ns()
        return max(self._again_s(), app.agenda.wait_s(app.clock.monotonic_ns()))

    def _again_s(self) -> float:
        return float(min(AGAIN_S * 2 ** min(max(self.unsettled - 1, 0), 8), AGAIN_MAX_S))

    async def once(self, look: Look, drops: int) -> Verdict | None:
        """Orders, executions and balances, in this order, as far as asked for; None if balances were not."""
        app, reconciler, agenda = self.app, self.app.reconciler, self.app.agenda
        cycle = app.guard.cycle
        if reconciler.baseline is None and not await self._first_look():
            return Verdict(sound=False, again=look)
        if look & (Look.ORDERS | Look.ACCOUNT):
            await self._orders(look)
            look |= agenda.take(app.clock.monotonic_ns(), Look.FILLS | Look.BALANCES)  # what the orders have told
        if Look.FILLS in look:
            await self._fills()
        if Look.BALANCES not in look:
            return None
        activity = app.manager.activity
        history = await self._history() if reconciler.doubtful else {}
        asked = app.clock.monotonic_ns()
        app.balances = await app.venue.balances()
        agenda.succeeded(Look.BALANCES, asked)
        app.gate.hold(app.balances)
        app.publish_account()
        verdict = Verdict(sound=False, again=look)
        if drops != app.stream_drops or cycle != app.guard.cycle:
            return verdict  # the run began before what it was to prove
        if restatements := reconciler.restatements(history, app.balances, activity, app.clock.wall_ns()):
            app.perform(restatements)
            return Verdict(sound=False, again=Look.BALANCES)

        def compare(now: int) -> None:
            nonlocal verdict
            verdict = reconciler.balances(app.balances, activity, cycle, now)

        app.observe(compare)
        return verdict

    async def _orders(self, look: Look) -> None:
        app = self.app
        asked, symbols, reports = await self._look(look)
        wall, mono = app.clock.wall_ns(), app.clock.monotonic_ns()
        outputs = app.reconciler.open_orders(reports, asked, wall, mono, symbols)
        queries = [output for output in outputs if isinstance(output, Query)]
        app.perform([output for output in outputs if not isinstance(output, Query)])
        await asyncio.gather(*(app.requests.query(query.symbol, query.client_order_id) for query in queries))

    async def _look(self, look: Look) -> tuple[int, tuple[str, ...] | None, tuple[OrderReport, ...]]:
        """When we asked for open orders, in which instruments (None: all), and what the venue said.

        Each look counts towards the proof of a stop. One that leaves out other instruments does, since an order of
        ours there would be of an earlier configuration, and was found by the whole look with which we started.
        """
        app = self.app
        whole = Look.ACCOUNT in look or Look.ACCOUNT not in app.agenda.done
        ours = {*app.config.symbols, *(live.order.symbol for live in app.manager.live.values())}
        symbols = None if whole else tuple(sorted(ours))
        asked = app.clock.monotonic_ns()
        reports = await app.venue.open_orders(symbols)
        app.agenda.succeeded(Look.ORDERS | Look.ACCOUNT if whole else Look.ORDERS, asked)
        app.cancel_proof.looked(reports, asked, app.clock.wall_ns())
        return asked, symbols, reports

    async def _fills(self) -> None:
        app, reconciler = self.app, self.app.reconciler
        asked, deferred = app.clock.monotonic_ns(), reconciler.deferred
        for symbol in app.config.symbols:
            before = reconciler.cursors.get(symbol)
            found = await app.venue.trades(symbol, before)
            app.perform(reconciler.trades(symbol, found, app.clock.wall_ns()))
            if reconciler.cursors.get(symbol) != before:
                app.note(NOTE_CURSORS, {symbol: reconciler.cursors[symbol]})
        app.agenda.succeeded(Look.FILLS, asked)
        if reconciler.deferred != deferred:
            app.agenda.ask(OURS)

    async def _history(self) -> dict[str, tuple[TradeReport, ...]]:
        """The latest executions once more, for what the venue has since taken back or restated."""
        reconciler, venue = self.app.reconciler, self.app.venue
        return {
            symbol: await venue.trades(symbol, reconciler.history_after(symbol)) for symbol in self.app.config.symbols
        }

    async def _first_look(self) -> bool:
        """Take the account as we find it; False if it moved while we looked."""
        app = self.app
        before = await self._all_trades()
        balances = await app.venue.balances()
        if await self._all_trades() != before:
            return False
        app.note(NOTE_BASELINE, app.reconciler.first_look(balances, before))
        return True

    async def _all_trades(self) -> dict[str, tuple[TradeReport, ...]]:
        return {symbol: await self.app.venue.trades(symbol, None) for symbol in self.app.config.symbols}
