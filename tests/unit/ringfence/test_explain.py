"""Finding an order's life in a journal: by client order id and by intent id, refused or not, however far back."""

from collections.abc import Sequence

import pytest

from ringfence.execution import explain
from ringfence.model.orders import Accepted, Denied, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.model.records import Entry
from ringfence.wire.explain import ExplainError, decode

Numbered = tuple[int, Entry]


def wanted(number: int) -> Initialized:
    return Initialized(
        client_order_id=f"c{number}",
        ts=number,
        intent_id=f"i{number}",
        track="stable",
        symbol="X",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=1,
        price=1,
    )


def journal(orders: int) -> list[Numbered]:
    """Three entries an order; every third is refused."""
    found: list[Numbered] = []
    for number in range(orders):
        base = {"client_order_id": f"c{number}", "ts": number}
        if number % 3 == 0:
            events = [wanted(number), Denied(**base, reasons=("A x=1", "B"))]
        else:
            events = [
                wanted(number),
                Submitted(**base, grant="limits-1", allocation=4, epoch=9),
                Accepted(**base, venue_order_id=f"v{number}"),
            ]
        found += [(len(found) + 1 + place, Entry("stable", event)) for place, event in enumerate(events)]
    return found


def reader(entries: Sequence[Numbered], sizes: list[int]) -> explain.Iterable[Sequence[Numbered]]:
    def read(after: int, limit: int) -> Sequence[Numbered]:
        sizes.append(limit)
        return entries[after : after + limit]

    return explain.pages(read, 7)


@pytest.mark.parametrize("wish", ["c16", "i16"])
def test_an_order_is_found_by_either_id_over_many_pages(wish: str) -> None:
    sizes: list[int] = []
    found = explain.life("gate", explain.find(reader(journal(30), sizes), wish))
    assert (found.client_order_id, found.intent_id, found.venue_order_id) == ("c16", "i16", "v16")
    assert (found.decision, found.grant, found.allocation, found.epoch) == ("Passed", "limits-1", 4, 9)
    assert [step.event for step in found.steps] == ["Initialized", "Submitted", "Accepted"]
    assert set(sizes) == {7}


def test_a_refused_intent_has_all_its_reasons() -> None:
    found = explain.life("gate", explain.find(reader(journal(30), []), "i15"))
    assert (found.decision, found.reasons, found.state) == ("Refused", ("A x=1", "B"), "DENIED")


def test_what_is_not_there_is_not_made_up() -> None:
    assert explain.find(reader(journal(30), []), "c99") == []
    assert explain.find(reader(journal(30), []), "") == []


def test_a_life_is_bounded_and_says_so() -> None:
    base = {"client_order_id": "c1", "ts": 1}
    more = [(2 + n, Entry("stable", Accepted(**base, venue_order_id=f"v{n}"))) for n in range(5_000)]
    found = explain.life("gate", explain.find([[(1, Entry("stable", wanted(1))), *more]], "c1"))
    assert (len(found.steps), found.truncated) == (explain.STEPS_MAX, True)


@pytest.mark.parametrize("data", [b"", b"{}", b"not found\n", b'{"version":1}'])
def test_an_answer_that_cannot_be_read_is_an_error(data: bytes) -> None:
    with pytest.raises(ExplainError):
        decode(data)
