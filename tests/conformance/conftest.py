"""Prints the matrix after its run."""

import pytest
from matrix import Case, table

SEEN: pytest.StashKey[list[tuple[Case, str]]] = pytest.StashKey()


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest) -> list[tuple[Case, str]]:
    return request.config.stash.setdefault(SEEN, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(SEEN, [])
    if rows and config.get_verbosity() >= 0:
        terminalreporter.section("conformance")
        terminalreporter.write_line(table(rows))
