"""What becomes of a track's positions when another strategy takes over. Pure.

Adopt is a book entry (`model.transfers`) at what closing would fetch: the bid for what is held, the ask for what is
owed. So neither side's loss moves, as losses are judged at those prices, and the account's books do not move at all.
It waits until nothing of the source may execute any more, nor anything of a revision that the target no longer has.

Durable: the transfer is noted in the journal first, then its legs are written. ``resume`` writes what a crash left
out, and an id that is noted is never booked again.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Final

from ringfence.execution import ids
from ringfence.execution.accounting import Accounting, Live
from ringfence.execution.outputs import Output
from ringfence.execution.state import FOREIGN, Market, Track
from ringfence.model.money import text
from ringfence.model.orders import Filled, OrderState
from ringfence.model.records import Entry
from ringfence.model.transfers import Leg, Transfer, events, is_transfer
from ringfence.runtime.config import Allocation, Handover, HandoverMode

NOTE_TRANSFER: Final = "transfer"
PAPER: Final = "Paper"
NOTE_OPENED: Final = "paper account opened"


class Handovers:
    """All transfers of one account, and what those wait for that the allocation names."""

    def __init__(self, books: Accounting) -> None:
        self.wanted: tuple[Handover, ...] = ()
        self.done: dict[str, Transfer] = {}
        """By id, oldest first. A few in the life of an account, so all are kept."""
        self.waiting: dict[str, str] = {}
        """Why a wanted one is not done yet, by id."""
        self.refused: dict[str, str] = {}
        self.revisions: dict[str, str] = {}
        """On paper: which revision each track's account was opened for."""
        self.bases: dict[str, dict[str, int]] = {}
        """On paper: the cash of each track's sub-ledger when its account was opened."""
        self.adopts: dict[tuple[str, str], bool] = {}
        """By track and mark of the revision, what its strategy has said of ``on_adopt``."""
        self._books = books
        self._booked: set[str] = set()

    # --- recovery

    def restore(self, transfer: Transfer) -> None:
        """A noted transfer, from the journal."""
        self.done[transfer.id] = transfer

    def opened(self, track: str, revision: str) -> None:
        """A paper account was opened for this revision, now or at this place of the journal."""
        book = self._books.books.get(track)
        first = track not in self.revisions  # then all that the journal has of it belongs to this account
        self.revisions[track] = revision
        self.bases[track] = {} if first or book is None else dict(book.cash)

    def replayed(self, entry: Entry) -> None:
        """An entry of the journal, after it was folded."""
        event = entry.event
        if isinstance(event, Filled) and is_transfer(event.client_order_id):
            self._booked.add(event.client_order_id)

    def resume(self) -> list[Output]:
        """What noted transfers still lack. Before anything else touches the books."""
        return [output for transfer in self.done.values() for output in self._book(transfer)]

    # --- running

    def holds(self, names: Iterable[str]) -> dict[str, str]:
        """By track, why it may not take new exposure: a handover that concerns it is not done."""
        found: dict[str, str] = {}
        for handover in self.wanted:
            if handover.id not in self.done:
                reason = self.waiting.get(handover.id) or self.refused.get(handover.id) or "not begun"
                for name in names:
                    if name in (handover.source, handover.target):
                        found.setdefault(name, f"HANDOVER_PENDING id={handover.id} reason={reason}")
        return found

    def leaving(self) -> set[str]:
        """Tracks whose working orders must go: sources of what is not done."""
        return {handover.source for handover in self.wanted if handover.id not in self.done}

    def flattening(self) -> Handover | None:
        """The one whose source is to be closed now: the host sees to it by a stop of that track alone."""
        due = next((handover for handover in self.wanted if handover.id not in self.done), None)
        return due if due is not None and due.mode is HandoverMode.FLATTEN else None

    def step(self, wall: int, mono: int, flat: Container[str] = ()) -> tuple[Transfer, list[Output]] | None:
        """The next transfer that can be done now: to be noted, and then its outputs carried out.

        ``flat``: tracks that `flatten` has closed, but for what the venue would refuse as too small.
        """
        self.waiting, self.refused = {}, {}
        for handover in self.wanted:
            if handover.id in self.done:
                continue
            transfer = self._transfer(handover, wall, mono, flat)
            if transfer is None:
                return None  # the order of the list holds
            self.done[handover.id] = transfer
            return transfer, self._book(transfer)
        return None

    def _transfer(self, handover: Handover, wall: int, mono: int, flat: Container[str]) -> Transfer | None:
        gate = self._books.gate
        source = gate.tracks.get(handover.source)
        target = gate.tracks.get(handover.target)
        blocked = self._working(source) or self._working(target, other_than=target.mark if target else "")
        if blocked:
            self.waiting[handover.id] = blocked
            return None
        held = [slot for slot in source.slots.values() if slot.position] if source is not None else []
        legs: list[Leg] = []
        if handover.mode is HandoverMode.FLATTEN:
            if held and handover.source not in flat:
                told = ", ".join(f"{text(slot.position)} {slot.market.symbol}" for slot in held)
                self.waiting[handover.id] = f"{told} of {handover.source} is being closed"
                return None
            held = []
        if held and target is not None and self.adopts.get((target.name, target.mark)) is False:
            self.refused[handover.id] = f"the strategy of {handover.target} does not declare on_adopt"
            return None
        for slot in sorted(held, key=lambda one: one.market.symbol):
            price = _mark(slot.market, slot.position, mono, gate.account.caps.quote_stale_ns)
            if not price:
                self.waiting[handover.id] = f"{slot.market.symbol} has no fresh price"
                return None
            legs.append(Leg(slot.market.symbol, slot.position, price))
        return Transfer(id=handover.id, source=handover.source, target=handover.target, ts=wall, legs=tuple(legs))

    def _working(self, track: Track | None, other_than: str = "") -> str:
        """Which order of the track may still execute; of its present revision it may, if ``other_than`` says so."""
        if track is None:
            return ""
        for live in self._books.live.values():
            if live.order.track == track.name and not (other_than and _mark_of(live) == other_than):
                return f"order {live.order.client_order_id} of {track.name} may still execute ({live.order.state})"
        return ""

    def _book(self, transfer: Transfer) -> list[Output]:
        """The legs that are not booked yet, or not wholly."""
        books = self._books
        outputs: list[Output] = []
        for leg_id in transfer.leg_ids():
            if leg_id in self._booked:
                continue
            initialized, submitted, filled = events(transfer, leg_id)
            if leg_id not in books.orders:
                outputs.append(books.adopt(initialized))
            if books.orders[leg_id].state is OrderState.INITIALIZED:
                outputs += books.fold(submitted)
            outputs += books.fold(filled)
            self._booked.add(leg_id)
        return outputs


def fresh(allocation: Allocation, opened: Mapping[str, str]) -> tuple[Handover, ...]:
    """On paper nothing is inherited: what the former revision of a track held is booked out of it.

    ``opened``: the revision that each track's paper account was opened for.
    """
    return tuple(
        Handover(id=fresh_id(track.name, allocation), source=track.name, target=FOREIGN, mode=HandoverMode.ADOPT)
        for track in allocation.tracks
        if track.stage == PAPER and opened.get(track.name, track.revision) != track.revision
    )


def fresh_id(name: str, allocation: Allocation) -> str:
    return f"fresh-{name}-{allocation.epoch}"


def unowned(live: Live, tracks: dict[str, Track], leaving: Container[str]) -> str:
    """Why a working order belongs to nobody any more; empty if its strategy is the track's present one.

    ``leaving``: tracks that hand their positions over now.
    """
    order = live.order
    track = tracks.get(order.track)
    if track is None or track.name == FOREIGN or is_transfer(order.client_order_id):
        return ""
    if track.name in leaving:
        return "its track hands over"
    if track.barred:
        return f"its track may not trade here any more: {track.barred}"
    if _mark_of(live) != track.mark:
        return "its track has another revision now"
    return ""


def _mark_of(live: Live) -> str:
    parts = ids.parse(live.order.client_order_id)
    return parts.revision if parts is not None else ""


def _mark(market: Market, position: int, mono: int, stale_ns: int) -> int:
    """What closing would fetch; 0 = nobody knows now."""
    if market.unusable or not market.quote_mono or mono - market.quote_mono > stale_ns:
        return 0
    return market.bid if position > 0 else market.ask
