"""`pytest tests/golden --rewrite-golden` writes the expected files instead of comparing with them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden/expected anew")
