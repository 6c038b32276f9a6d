"""How long a gate's start takes on the journal of an hour at 100 orders a second. Prints, never fails.

Run `python tests/bench/recovery.py` (ORDERS=360000). Each order is placed, acknowledged and cancelled, and each tenth
one fills: about the entries that `make load` makes. The journal is read whole, and then from the checkpoint that a
gate has made by then, with as much behind it as is ever left to read.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "services"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from chaos.process import CONFIG, SYMBOL
from ringfence.execution import checkpoint, ids
from ringfence.execution.checkpointing import ENTRIES, make
from ringfence.execution.engines import engines
from ringfence.execution.store import JOURNAL_FILE, NOTE_INSTRUMENT, Store
from ringfence.model.money import parse
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Filled,
    Initialized,
    OrderEvent,
    OrderType,
    PendingCancel,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.journal import Journal
from ringfence.simulator.catalog import LISTED

ORDERS = int(os.environ.get("ORDERS", "360000"))
CLOCK = SystemClock()
START = CLOCK.wall_ns()
PREFIX = ids.prefix(CONFIG.namespace, CONFIG.system)


def life(number: int) -> Iterator[OrderEvent]:
    """Of one order."""
    name, ts = ids.make(PREFIX, "abc123", 1, number), START + number * 10_000_000
    side = Side.BUY if number % 2 else Side.SELL
    price, quantity = parse("60000"), parse("0.0002")
    yield Initialized(
        client_order_id=name,
        ts=ts,
        intent_id=f"stable-abc123-{number}",
        track="stable",
        symbol=SYMBOL,
        side=side,
        type=OrderType.LIMIT_MAKER,
        time_in_force=TimeInForce.GTC,
        quantity=quantity,
        price=price,
        reduce_only=False,
    )
    yield Submitted(client_order_id=name, ts=ts, grant="momentum-limits-0123456789", allocation=1, epoch=1)
    yield Accepted(client_order_id=name, ts=ts, venue_order_id=str(10**12 + number))
    if number % 10 < 2:
        yield Filled(
            client_order_id=name,
            ts=ts,
            trade_id=str(10**12 + number),
            price=price,
            quantity=quantity,
            commission=parse("0.00000015"),
            commission_asset="BTC",
            maker=True,
        )
        return
    yield PendingCancel(client_order_id=name, ts=ts, reason="asked for by the strategy")
    yield Canceled(client_order_id=name, ts=ts, reason="")


def opened(directory: Path) -> Journal:
    return Journal(directory / JOURNAL_FILE, CLOCK)


def write(directory: Path, first: int, last: int) -> int:
    """Append the lives of these orders; returns the last entry."""
    journal = opened(directory)
    found, _ = checkpoint.read(directory, journal)
    for _ in journal.replay(found.mark if found is not None else None):
        pass
    if not journal.sequence:
        journal.note(NOTE_INSTRUMENT, START, LISTED[SYMBOL].instrument)
    for number in range(first, last):
        journal.append([Entry("stable", event) for event in life(number)])
    journal.close()
    return journal.sequence


def start(directory: Path, what: str) -> None:
    """What a gate does before it opens its sockets."""
    began = time.perf_counter()  # sim-ok: a measurement
    journal = opened(directory)
    store, made = Store(journal), engines(CONFIG, [], START)
    records = store.replay(made.manager, made.reconciler, made.handovers, made.guard, START)
    took = time.perf_counter() - began  # sim-ok: as above
    store.latches.close()
    journal.close()
    rate = records / took
    print(
        f"{what}: {records:,} records read in {took:.2f} s ({rate:,.0f}/s), {len(made.manager.orders):,} orders known"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        directory = Path(name)
        tail = ENTRIES // 5
        entries = write(directory, 1, ORDERS - tail)
        began, cpu = time.perf_counter(), time.process_time()  # sim-ok: as above
        make(CONFIG, directory, CLOCK)
        took, used = time.perf_counter() - began, time.process_time() - cpu  # sim-ok: as above
        print(f"a checkpoint of all of them: {took:.1f} s, {used:.1f} s of processor")
        entries = write(directory, ORDERS - tail, ORDERS)
        sizes = [(directory / file).stat().st_size / 1e6 for file in (JOURNAL_FILE, checkpoint.FILE)]
        print(f"{ORDERS:,} orders, {entries:,} entries: journal {sizes[0]:.0f} MB, checkpoint {sizes[1]:.1f} MB")
        start(directory, "from the checkpoint")
        began, cpu = time.perf_counter(), time.process_time()  # sim-ok: as above
        make(CONFIG, directory, CLOCK)
        took, used = time.perf_counter() - began, time.process_time() - cpu  # sim-ok: as above
        print(f"the next checkpoint: {took:.1f} s, {used:.1f} s of processor")
        (directory / checkpoint.FILE).unlink()
        start(directory, "the whole journal")
        print(f"memory of all this at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
