"""The matrix as tests: one per row. `make conformance` prints it as a table."""

import ambiguous
import answers
import pytest
import rules
import streams
import trading
from matrix import Case

CASES = [*trading.cases(), *rules.cases(), *answers.cases(), *streams.cases(), *ambiguous.cases()]


def test_there_are_enough_rows_and_each_is_its_own() -> None:
    """At least 60, and no two share a name or a number."""
    assert len(CASES) >= 60
    assert len({case.id for case in CASES}) == len(CASES)
    assert len({case.what for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.id} {case.what}") for case in CASES])
def test_row(case: Case, seen: list[tuple[Case, str]]) -> None:
    """What is seen is what is expected, word for word."""
    found = case.run()
    seen.append((case, found))
    assert found == case.expected
