"""A checkpoint and the rest of the journal lead to what the whole journal leads to, wherever the checkpoint is."""

import random
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import msgspec
import pytest

from chaos.episode import run
from chaos.process import CONFIG, SYMBOL
from ringfence.execution import checkpoint
from ringfence.execution.checkpoint import Noted
from ringfence.execution.checkpointing import make
from ringfence.execution.engines import Engines, engines
from ringfence.execution.store import JOURNAL_FILE, Store, fold
from ringfence.model.orders import Canceled, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.clock import ManualClock
from ringfence.runtime.journal import Journal, Mark, Record

WALL = 1_800_000_000_000_000_000
FOREIGN = b"cos\nsystem\n(S'true'\ntR."
PLAIN = int | str | bytes | float | None | Enum
Records = list[tuple[int, Record]]


def facts(thing: Any, seen: set[int] | None = None) -> Any:
    """All that an object graph holds, as plain values: every attribute of every object, in the order of its dicts."""
    seen = set() if seen is None else seen
    if isinstance(thing, PLAIN):
        return thing
    # values: whether two are one object means nothing; nor does it of what is empty, such as a constant's
    if thing and not isinstance(thing, tuple | msgspec.Struct):
        if id(thing) in seen:
            return "again"
        seen.add(id(thing))
    match thing:
        case dict():
            return [(facts(key, seen), facts(value, seen)) for key, value in thing.items()]
        case list() | tuple() | deque():
            return [facts(one, seen) for one in thing]
        case set() | frozenset():
            return sorted(map(repr, thing))
        case msgspec.Struct():
            return [facts(getattr(thing, name), seen) for name in thing.__struct_fields__]
        case _:
            names = sorted({*getattr(thing, "__dict__", ()), *getattr(type(thing), "__slots__", ())})
            return [type(thing).__name__, *((name, facts(getattr(thing, name, None), seen)) for name in names)]


def replayed(records: Records, made: Engines, noted: Noted) -> None:
    fold(iter(records), made.manager, made.reconciler, made.handovers, noted)


def known(made: Engines, noted: Noted) -> Any:
    """Everything that a replay may have changed, and whatever hangs on it."""
    found = facts((made.manager, made.gate, made.reconciler, made.handovers, noted))
    assert len(repr(found)) > 1_000
    return found


def fresh() -> Engines:
    return engines(CONFIG, [], WALL)


def whole(records: Records) -> Any:
    made, noted = fresh(), Noted()
    replayed(records, made, noted)
    return known(made, noted)


def through(records: Records, cut: int) -> Any:
    """With a checkpoint after so many records."""
    made, noted = fresh(), Noted()
    replayed(records[:cut], made, noted)
    state = checkpoint.capture(made.manager, made.reconciler, made.handovers, noted)
    made = fresh()
    noted = checkpoint.restore(state, made.manager, made.reconciler, made.handovers, WALL)
    replayed(records[cut:], made, noted)
    return known(made, noted)


def recorded(seed: int, look: Callable[[Path], None]) -> None:
    def alone(directory: Path) -> None:
        (directory / checkpoint.FILE).unlink(missing_ok=True)  # the episode's own
        look(directory)

    assert run(seed, afterwards=alone).wrong == []


@pytest.mark.parametrize("seed", range(1, 25))
def test_a_checkpoint_anywhere_leads_to_what_the_whole_journal_leads_to(seed: int) -> None:
    """Episodes of faults and kills wrote these journals: fills, unknown outcomes, breaks, stops and their notes."""
    rng = random.Random(seed)

    def look(directory: Path) -> None:
        journal = Journal(directory / JOURNAL_FILE, ManualClock(), follow=True)
        records = list(journal.replay())
        expected = whole(records)
        cuts = [0, len(records), *(rng.randrange(len(records)) for _ in range(6))]
        for cut in cuts:
            assert through(records, cut) == expected, f"checkpoint after record {cut} of {len(records)}"

    recorded(seed, look)


def test_a_start_reads_the_rest_alone_and_the_journal_keeps_the_whole() -> None:
    def look(directory: Path) -> None:
        expected = started(directory)
        count = expected[1]
        reached = make(CONFIG, directory, ManualClock())
        assert started(directory)[:2] == (expected[0], 0)
        journal, _ = opened(directory)
        pages = journal.read(0, 10_000)
        assert [sequence for sequence, _ in pages] == list(range(1, reached + 1))
        journal.append([Entry("stable", one) for one in life("rfffffffffabc123-1-zzz")])
        journal.close()
        state, records, used = started(directory)
        assert (records, used) == (3, reached)
        (directory / checkpoint.FILE).unlink()
        assert started(directory)[:2] == (state, count + 3)

    recorded(4, look)


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def of_other_code(path: Path) -> None:
    found = msgspec.msgpack.decode(path.read_bytes()[12:], type=checkpoint.Checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "code", lambda: "other")
        checkpoint.write(path.parent, found.mark, found.state)


def of_another_journal(path: Path) -> None:
    found = msgspec.msgpack.decode(path.read_bytes()[12:], type=checkpoint.Checkpoint)
    checkpoint.write(path.parent, msgspec.structs.replace(found.mark, created=1), found.state)


def from_the_future(path: Path) -> None:
    """A power cut took records that the checkpoint had seen."""
    found = msgspec.msgpack.decode(path.read_bytes()[12:], type=checkpoint.Checkpoint)
    mark: Mark = msgspec.structs.replace(found.mark, position=found.mark.position + 100)
    checkpoint.write(path.parent, mark, found.state)


def of_other_classes(path: Path) -> None:
    found = msgspec.msgpack.decode(path.read_bytes()[12:], type=checkpoint.Checkpoint)
    body = msgspec.msgpack.encode(msgspec.structs.replace(found, state=FOREIGN))
    path.write_bytes(checkpoint.MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)


@pytest.mark.parametrize("spoil", [damaged, of_other_code, of_another_journal, from_the_future, of_other_classes])
def test_a_checkpoint_that_cannot_be_trusted_is_told_and_not_used(spoil: Callable[[Path], None]) -> None:
    def look(directory: Path) -> None:
        expected = started(directory)
        make(CONFIG, directory, ManualClock())
        spoil(directory / checkpoint.FILE)
        assert started(directory) == (*expected[:2], 0)
        _, why = opened(directory)
        assert why

    recorded(5, look)


def test_nothing_but_our_own_classes_is_made_from_a_checkpoint() -> None:
    made = fresh()
    with pytest.raises(Exception, match="has no place in a checkpoint"):
        checkpoint.restore(FOREIGN, made.manager, made.reconciler, made.handovers, WALL)


def enumerations(sort: type[Enum]) -> Iterator[type[Enum]]:
    for one in sort.__subclasses__():
        yield from enumerations(one)
        if one.__module__.startswith("ringfence."):
            yield one


def test_members_of_enumerations_are_kept_whatever_python_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python 3.11.2 pickles them, nothing would read them again, and a gate would not start a second time."""
    for sort in enumerations(Enum):
        monkeypatch.setattr(sort, "__reduce_ex__", lambda member, _protocol: (getattr, (type(member), member.name)))

    def look(directory: Path) -> None:
        expected = started(directory)
        reached = make(CONFIG, directory, ManualClock())
        assert make(CONFIG, directory, ManualClock()) == reached
        assert started(directory) == (expected[0], 0, reached)
        assert opened(directory)[1] == ""

    recorded(4, look)


def test_what_could_not_be_read_again_replaces_nothing(tmp_path: Path) -> None:
    before = b"the one before"
    (tmp_path / checkpoint.FILE).write_bytes(before)
    mark = Mark(created=1, position=1, sequence=1, before=b"", index=[], index_every=1, since_index=0)
    with pytest.raises(UnpicklingError, match="has no place in a checkpoint"):
        checkpoint.write(tmp_path, mark, FOREIGN)
    assert (tmp_path / checkpoint.FILE).read_bytes() == before


def opened(directory: Path) -> tuple[Journal, str]:
    journal = Journal(directory / JOURNAL_FILE, ManualClock())
    store = Store(journal)
    made = fresh()
    store.replay(made.manager, made.reconciler, made.handovers, made.guard, WALL)
    store.latches.close()
    return journal, store.not_used


def started(directory: Path) -> tuple[Any, int, int]:
    """State, records read, and the entry that the checkpoint reached, of a start as the service makes it."""
    journal = Journal(directory / JOURNAL_FILE, ManualClock())
    store, made = Store(journal), fresh()
    count = store.replay(made.manager, made.reconciler, made.handovers, made.guard, WALL)
    store.latches.close()
    journal.close()
    return known(made, Noted()), count, store.checkpointed


def life(name: str) -> tuple[Initialized, Submitted, Canceled]:
    """Of an order that came to nothing."""
    return (
        Initialized(
            client_order_id=name,
            ts=WALL,
            intent_id="late",
            track="stable",
            symbol=SYMBOL,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=100_000,
            price=60_000_00000000,
            reduce_only=False,
        ),
        Submitted(client_order_id=name, ts=WALL),
        Canceled(client_order_id=name, ts=WALL, reason="NOT_SENT"),
    )
