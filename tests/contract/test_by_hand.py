"""`ringfence cancel` and `ringfence close` against the gate program: done at the venue, and on record."""

import io
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from rich.console import Console

from gatebench.bench import QUANTITY, SYMBOL, TOKEN, Bench, furnished
from ringfence.execution.byhand import NOTE_HAND
from ringfence.model.money import parse
from ringfence.model.orders import Side
from ringfence.model.records import Entry
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.journal import Journal
from ringfence.wire.byhand import HandRequest
from ringfence.wire.explain import decode
from ringfence_cli import byhand, life

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


@pytest_asyncio.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with furnished(tmp_path, monkeypatch, paper=False) as found:
        yield found


async def ask(bench: Bench, **more: Any) -> byhand.Told:
    request = HandRequest(by="alice", reason="fat finger", ts=time.time_ns(), **more)
    (told,) = await byhand.ask({f"127.0.0.1:{bench.ports['kill']}": TOKEN}, request)
    return told


async def explained(bench: Bench, order: str) -> str:
    """What `ringfence explain` prints."""
    console = Console(file=io.StringIO(), width=200)
    console.print(life.life(decode(msgspec.json.encode(await bench.get(f"/explain?order={order}")))))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_one_order_is_cancelled_and_its_life_says_who_and_why(live: Bench) -> None:
    wrong, other = await live.resting(2)
    order = live.order(wrong)
    assert order is not None
    told = await ask(live, action="cancel", order=order.venue_order_id)
    assert told.answer is not None, told.error
    assert (told.answer.done, told.answer.orders) == (True, (order.client_order_id,))
    await live.until(lambda: live.state_of(wrong) == "CANCELED")
    assert live.state_of(other) == "ACCEPTED"
    assert "why       cancelled by hand: alice: fat finger" in await explained(live, order.client_order_id)


async def test_one_position_is_closed_and_the_journal_says_who_and_why(live: Bench) -> None:
    """By an order of the position's own track, through the gate; the record comes before the order."""
    bought = live.intent(Side.BUY, 0, 10 * QUANTITY, market=True)
    await live.until(lambda: live.state_of(bought) == "FILLED")
    (resting,) = await live.resting(1)
    told = await ask(live, action="close", symbol=SYMBOL)
    assert told.answer is not None, told.error
    assert told.answer.done, told.answer.told
    (name,) = told.answer.orders
    await live.until(lambda: (order := live.orders().get(name)) is not None and order.state == "FILLED")
    assert live.held() < parse("0.00002"), "less than a lot is left by the fee"
    assert live.state_of(resting) == "ACCEPTED"
    assert "why       by hand: alice: fat finger" in await explained(live, name)
    await live.stop(signal.SIGTERM)
    journal = Journal(live.root / "journal" / "orders.journal", SystemClock())
    records = list(journal.replay())
    journal.close()
    noted = next(n for n, found in enumerate(records) if not isinstance(found, Entry) and NOTE_HAND in str(found))
    assert "alice" in str(records[noted])
    assert "fat finger" in str(records[noted])
    sent = next(n for n, found in enumerate(records) if name in str(found))
    assert noted < sent
