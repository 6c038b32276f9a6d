"""The base class of every strategy."""

from collections.abc import Mapping

from ringfence.sdk.context import Context, Fill, OrderChange
from ringfence.sdk.parameters import ParameterError, read_all
from ringfence.wire.messages import BookTop, Quote, Trade


class Strategy:
    """Override the hooks that you need; trade through ``self.context``; keep state in ``self``.

    One strategy object lives from the start of its process (or from a new journal of its gate, or from its move to
    another gate or track) to its end, and is called by one thread, one event at a time. Hooks are called only while
    decisions are possible: the position is known from the gate's own record, the venue's rules are known, and the
    instrument's data may be traded on. So there is no "not ready yet" to check for, but there may be a gap in time
    between two quotes.

    Decide from events alone: the same events must lead to the same orders in a backtest, in a replay and live. For
    the time use ``self.context.now``. An exception that leaves a hook stops the strategy; what that hook had asked
    for is dropped, and its working orders are cancelled.
    """

    def __init__(self, context: Context, parameters: Mapping[str, str]) -> None:
        """Called by the host. Set your own state up in ``on_start``."""
        self.context = context
        self.__dict__.update(read_all(type(self), parameters))
        try:
            self.check_parameters()
        except ParameterError:
            raise
        except ValueError as error:
            raise ParameterError(str(error)) from error

    def check_parameters(self) -> None:
        """Rules over several parameters: raise ValueError with a sentence. The single rules already hold."""

    def on_start(self) -> None:
        """Position and rules are known. After a restart, position and working orders may not be empty.

        There is no market data yet: decide on what follows.
        """

    def on_adopt(self, positions: Mapping[str, int]) -> None:
        """Positions that another revision has opened are this strategy's now: all that the track holds, by symbol.

        Signed quantities scaled by 1e-8; ``context.position`` already says so. Comes when a promotion, or the end of a
        candidate, hands positions over, and after ``on_start`` where they were there before: so perhaps twice, each
        time with everything. Only a class that
        declares this hook is given positions of others: without it they have to be closed first.
        """

    def on_quote(self, quote: Quote) -> None:
        """The best bid or ask, or their quantities, changed."""

    def on_book(self, book: BookTop) -> None:
        """One of the best 20 levels changed. Costs more than quotes: books are sent only to who overrides this."""

    def on_trade(self, trade: Trade) -> None:
        """Someone traded. Sent only to who overrides this."""

    def on_fill(self, fill: Fill) -> None:
        """One of this track's orders executed; position and working orders already say so."""

    def on_order(self, change: OrderChange) -> None:
        """One of this track's orders changed state; comes after ``on_fill`` where a fill did it."""
