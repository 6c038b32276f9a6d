"""Hosts one strategy object: messages in, intents out. Pure: the same messages give the same intents."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from ringfence.model.orders import Filled, Initialized, OrderEvent
from ringfence.model.transfers import completes_adoption, is_transfer
from ringfence.sdk.strategy import Strategy
from ringfence.strategy.desk import Desk, id_prefix
from ringfence.wire.messages import (
    AnyMessage,
    BookTop,
    FeedStatus,
    InstrumentRules,
    OrderUpdate,
    Quote,
    Refused,
    Request,
    Trade,
)

Outputs = list[Request]


class StrategyEngine:
    """One strategy of one track.

    Feed it everything: market data and rules through ``handle``, and the gate's order events from the first of its
    journal, then ``orders_current``. The author's code runs only once rules and position are known.
    """

    def __init__(
        self,
        strategy: type[Strategy],
        parameters: Mapping[str, str],
        *,
        track: str,
        revision: str,
        session: int,
        symbols: tuple[str, ...],
    ) -> None:
        """Raises ParameterError, and whatever the author's own constructor raises."""
        self.desk = Desk(track, symbols, id_prefix(track, revision, session))
        self._revision = revision
        self._session = session
        self._own = f"{track}-{revision}-"
        """How intents of this revision on this track begin."""
        self._inherited = False
        """Whether what the track holds was last touched by another revision, or by a book entry."""
        self.adoptions = 0
        self.failure = ""
        """Why the strategy was stopped; nothing is decided any more."""
        self.error: BaseException | None = None
        """What left the author's code, for those who debug it."""
        self.started = False
        self.decisions = 0
        """Market events that the author's code was asked about."""
        self.withheld = 0
        """Market events that nothing could be decided on."""
        self._name = f"{strategy.__module__}:{strategy.__qualname__}"
        self._class = strategy
        self._parameters = dict(parameters)
        self._strategy = strategy(self.desk, self._parameters)
        self.wants_books = strategy.on_book is not Strategy.on_book
        self.adopts = strategy.on_adopt is not Strategy.on_adopt
        self.wants_trades = strategy.on_trade is not Strategy.on_trade

    @property
    def waiting_for(self) -> str:
        """What is missing before anything can be decided; empty when nothing is."""
        if self.failure or self.desk.behind:
            return self.failure or self.desk.behind
        reasons = {symbol: self.desk.refusal(symbol) for symbol in self.desk.symbols}
        return "; ".join(f"{symbol}: {reason}" for symbol, reason in reasons.items() if reason)

    def handle(self, message: AnyMessage, now_ns: int) -> Outputs:
        """Fold one message in and return what the strategy wants; ``now_ns`` is only stamped on it."""
        if self.failure:
            return []
        desk = self.desk
        desk.decided_ns = now_ns
        match message:
            case Quote():
                self._at(message.ts_recv)
                desk.saw_quote(message)
                self._decide(message.symbol, self._strategy.on_quote, message)
            case BookTop():
                self._at(message.ts_recv)
                if self.wants_books:
                    self._decide(message.symbol, self._strategy.on_book, message)
            case Trade():
                self._at(message.ts_recv)
                if self.wants_trades:
                    self._decide(message.symbol, self._strategy.on_trade, message)
            case OrderUpdate():
                self._order(message)
            case Refused(track=track, intent_id=intent_id, reasons=reasons):
                self._at(message.ts)
                if track == desk.track:
                    desk.refused_by(intent_id, reasons)
            case FeedStatus():
                self._at(message.ts)
                desk.saw_status(message)
            case InstrumentRules():
                desk.saw_rules(message)
                self._start()
            case _:
                pass
        return self._outputs()

    def orders_current(self, now_ns: int) -> Outputs:
        """All events of the gate's journal so far have been handled: position and orders are known."""
        if self.failure:
            return []
        self.desk.decided_ns = now_ns
        self.desk.behind = ""
        self._start()
        return self._outputs()

    def orders_behind(self, reason: str) -> None:
        """Events of the gate are missing: nothing is decided until they have been fetched."""
        self.desk.behind = reason

    def orders_restart(self) -> None:
        """The gate has begun a new journal. For the strategy that is a new life: a new object, started anew."""
        self.desk.restart()
        self.started = False
        if not self.failure:
            self._strategy = self._class(self.desk, self._parameters)

    def move(self, track: str) -> None:
        """Another track, or another gate, is its own now: a new life, like that of a restarted process."""
        self._own = f"{track}-{self._revision}-"
        self._inherited = False
        self.desk.move(track, id_prefix(track, self._revision, self._session))
        self.started = False
        if not self.failure:
            self._strategy = self._class(self.desk, self._parameters)

    def not_sent(self, intent_id: str) -> None:
        """The host could not hand this over to the gate."""
        self.desk.not_sent(intent_id)

    # --- inside

    def _at(self, ts: int) -> None:
        self.desk.now = max(self.desk.now, ts)

    def _start(self) -> None:
        if not self.started and not self.desk.behind and not self.desk.unknown_rules:
            self.started = True
            self._call(self._strategy.on_start)
            if self._inherited:
                self._adopt()

    def _decide(self, symbol: str, hook: Callable[[Any], None], message: Quote | BookTop | Trade) -> None:
        if not self.started or symbol not in self.desk.symbols or self.desk.refusal(symbol):
            self.withheld += 1
            return
        self._tell_notices()
        self.decisions += 1
        self._call(hook, message)

    def _order(self, update: OrderUpdate) -> None:
        if update.track != self.desk.track:
            return
        event = update.event
        self._at(event.ts)
        fill, change = self.desk.saw_event(event)
        if is_transfer(event.client_order_id):
            self._transferred(event)
            return
        if isinstance(event, Initialized):
            self._inherited = not event.intent_id.startswith(self._own)
        if not self.started:
            return
        self._tell_notices()
        if fill is not None:
            self._call(self._strategy.on_fill, fill)
        if change is not None:
            self._call(self._strategy.on_order, change)

    def _transferred(self, event: OrderEvent) -> None:
        """One event of a book entry: none of our orders. The hook is told once, of all positions."""
        if isinstance(event, Filled) and completes_adoption(event.client_order_id):
            self._inherited = True
            if self.started:
                self._tell_notices()
                self._adopt()

    def _adopt(self) -> None:
        held = self.desk.held()
        if held:
            self.adoptions += 1
            self._call(self._strategy.on_adopt, held)

    def _tell_notices(self) -> None:
        self.desk.expire_unanswered()
        notices, self.desk.notices = self.desk.notices, []
        for notice in notices:
            self._call(self._strategy.on_order, notice)

    def _call(self, hook: Callable[..., None], *arguments: object) -> None:
        """The boundary to the author's code: whatever leaves a hook stops the strategy, and nothing else."""
        if self.failure:
            return
        try:
            hook(*arguments)
        except (Exception, SystemExit) as error:
            self.failure = (
                f"strategy class {self._name} failed in {hook.__name__}: {type(error).__name__}: {error}"
                f"{_place(error.__traceback__)}; it is stopped and its working orders are being cancelled"
            )
            self.error = error
            # What the hook had asked for before it failed is half a decision.
            self.desk.give_up()

    def _outputs(self) -> Outputs:
        if not self.desk.outbox:
            return []
        outputs, self.desk.outbox = self.desk.outbox, []
        return outputs


def _place(traceback: TracebackType | None) -> str:
    """Where in the author's code: the last frame that is not ours would need paths, so simply the last."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    file = "/".join(traceback.tb_frame.f_code.co_filename.split("/")[-2:])
    return f" ({file} line {traceback.tb_lineno})"
