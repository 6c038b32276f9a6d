"""The reader of a gate's events: whatever is lost, late or doubled, each event once, in order, without holes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence.model.orders import Submitted
from ringfence.wire.codec import EventsPage
from ringfence.wire.messages import OrderUpdate
from ringfence.wire.reader import PageError, Reader, Request, Restart

GATE = "sim-execution"


class FeedMachine(RuleBasedStateMachine):
    """A gate that appends, publishes, restarts and loses its disk; a network that loses, doubles and reorders."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[OrderUpdate] = []
        self.past: list[list[OrderUpdate]] = []
        self.session = 1
        self.made = 0
        self.network: list[tuple[int, OrderUpdate]] = []
        self.asked: Request | None = None
        self.flight: tuple[Request, EventsPage] | None = None
        self.reader = Reader(GATE)
        self.got: list[OrderUpdate] = []

    def deliver(self, deliveries: list[OrderUpdate | Restart]) -> None:
        for delivery in deliveries:
            if isinstance(delivery, Restart):
                self.got = []
            else:
                self.got.append(delivery)

    def answer(self, request: Request, limit: int) -> EventsPage:
        updates = tuple(self.journal[request.after : request.after + limit])
        return EventsPage(session=self.session, last=len(self.journal), updates=updates)

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            event = Submitted(client_order_id="c", ts=self.made)
            update = OrderUpdate(GATE, len(self.journal) + 1, "stable", event)
            self.journal.append(update)
            self.network.append((self.session, update))

    @precondition(lambda self: self.network)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """Any message, the oldest most of the time, and it may come again."""
        place = data.draw(st.one_of(st.just(0), st.integers(0, len(self.network) - 1)))
        again = data.draw(st.booleans())
        session, update = self.network[place] if again else self.network.pop(place)
        self.deliver(self.reader.live(session, update))

    @precondition(lambda self: self.network)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.network.pop(data.draw(st.integers(0, len(self.network) - 1)))

    @rule()
    def ask(self) -> None:
        """A request is on its way to the gate."""
        self.asked = self.reader.request()
        self.flight = None

    @precondition(lambda self: self.asked is not None)
    @rule(limit=st.integers(2, 5))
    def gate_answers(self, limit: int) -> None:
        """The gate reads its journal; the answer is on its way until ``answered``."""
        assert self.asked is not None
        self.flight = (self.asked, self.answer(self.asked, limit))
        self.asked = None

    @precondition(lambda self: self.flight is not None)
    @rule(lost=st.booleans())
    def answered(self, lost: bool) -> None:
        assert self.flight is not None
        request, page = self.flight
        self.flight = None
        if not lost:
            fits = request.anchor is self.reader.last
            self.deliver(self.reader.page(request, page))
            assert not fits or self.reader.behind or len(self.got) >= page.last

    @rule()
    def gate_restarts(self) -> None:
        self.session += 1

    @rule(kept=st.integers(0, 10))
    def disk_loses(self, kept: int) -> None:
        """A power cut or a new volume: the journal is shorter, and goes on with other events."""
        self.past.append(list(self.journal))
        del self.journal[kept:]
        self.session += 1

    @invariant()
    def a_prefix_of_one_journal(self) -> None:
        """What was delivered since the last restart is a beginning of one journal, never a mixture of two."""
        count = len(self.got)
        assert any(self.got == journal[:count] for journal in (self.journal, *self.past))

    @invariant()
    def says_when_it_waits(self) -> None:
        """An event that is held back waits for one that is missing: whoever holds it is behind."""
        assert self.reader.behind or not self.reader._held

    def teardown(self) -> None:
        """However it went, reading pages leads to the whole journal."""
        for _ in range(len(self.journal) + 5):
            request = self.reader.request()
            self.deliver(self.reader.page(request, self.answer(request, 3)))
        assert self.got == self.journal
        assert not self.reader.behind
        assert [update.sequence for update in self.got] == list(range(1, len(self.journal) + 1))


TestFeed = FeedMachine.TestCase
TestFeed.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def update(sequence: int, ts: int = 0) -> OrderUpdate:
    return OrderUpdate(GATE, sequence, "stable", Submitted(client_order_id="c", ts=ts or sequence))


def read(reader: Reader, session: int, journal: list[OrderUpdate]) -> list[OrderUpdate | Restart]:
    request = reader.request()
    return reader.page(request, EventsPage(session=session, last=len(journal), updates=tuple(journal[request.after :])))


def test_live_events_need_no_page_once_the_journal_was_read() -> None:
    """The fast path: in order, from the session that was read, an event is delivered as it comes."""
    reader = Reader(GATE)
    assert reader.behind
    assert read(reader, 1, [update(1)]) == [update(1)]
    assert reader.live(1, update(2)) == [update(2)]
    assert not reader.behind


def test_next_number_of_another_process_is_not_believed() -> None:
    """A gate that came back with a new journal and has by chance reached the next number is not mixed in."""
    reader = Reader(GATE)
    read(reader, 1, [update(1), update(2)])
    other = [update(n, ts=100 + n) for n in (1, 2, 3)]
    assert reader.live(2, other[2]) == []
    assert reader.behind
    [restart] = read(reader, 2, other)
    assert isinstance(restart, Restart)
    assert read(reader, 2, other) == other


def test_same_journal_of_a_restarted_gate_goes_on() -> None:
    """A new process with the old journal is continued, not replayed."""
    reader = Reader(GATE)
    journal = [update(1), update(2)]
    read(reader, 1, journal)
    assert reader.live(2, update(3)) == []
    assert read(reader, 2, [*journal, update(3)]) == [update(3)]
    assert reader.restarts == 0


def test_shorter_journal_is_a_restart() -> None:
    """A sequence lower than seen means that something we were told never was: start again, visibly."""
    reader = Reader(GATE)
    read(reader, 1, [update(1), update(2)])
    [restart] = read(reader, 2, [update(1)])
    assert restart == Restart("the journal ends at 1, before event 2 that we have")
    assert read(reader, 2, [update(1)]) == [update(1)]


def test_page_with_a_hole_is_refused() -> None:
    """An answer that does not answer is an error, and nothing of it is taken."""
    reader = Reader(GATE)
    with pytest.raises(PageError, match="event 3 where 2 was due"):
        reader.page(reader.request(), EventsPage(session=1, last=3, updates=(update(1), update(3))))
    with pytest.raises(PageError, match="no events after 0, though the last is 3"):
        reader.page(reader.request(), EventsPage(session=1, last=3, updates=()))
    assert reader.sequence == 0


def test_events_of_another_gate_are_not_ours() -> None:
    """Two gates may share a bus."""
    reader = Reader("sim-paper")
    assert reader.live(1, update(1)) == []
    assert reader.sequence == 0


def test_a_page_is_judged_by_what_was_delivered_when_it_was_asked_for() -> None:
    """An event delivered meanwhile may not be in the journal that answers: nothing is taken from such a page."""
    reader = Reader(GATE)
    read(reader, 1, [update(1), update(2)])
    request = reader.request()
    reader.live(1, update(3))
    shortened = (update(2), update(3, ts=103), update(4, ts=104))
    assert reader.page(request, EventsPage(session=2, last=4, updates=shortened)) == []
    assert reader.behind
    [restart] = read(reader, 2, [update(1), *shortened])
    assert isinstance(restart, Restart)
