"""The matrix as tests: one per row. `make conformance` prints it as a table."""

import ambiguous
import answers
import pytest
import rules
import streams
import trading
from matrix import Case, Wire

CASES = [*trading.cases(), *rules.cases(), *answers.cases(), *streams.cases(), *ambiguous.cases()]


def test_there_are_enough_rows_and_each_is_its_own() -> None:
    """At least 60, and no two share a name or a number."""
    rows = {(case.id, case.what) for case in CASES}
    assert len(rows) >= 60
    assert len({id_ for id_, _ in rows}) == len({what for _, what in rows}) == len(rows)
    assert len({(case.id, case.wire) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.id} {case.what} by {case.wire}") for case in CASES])
def test_row(case: Case, seen: list[tuple[Case, str]]) -> None:
    """What is seen is what is expected, word for word, and orders went over the wire that the row is about."""
    found = case.over(case.wire)
    seen.append((case, found.text))
    assert found.text == case.expected
    assert bool(found.messages) == (case.wire is Wire.MESSAGE)
