"""Fixtures of the architecture tests."""

import pytest

from sources import Code


@pytest.fixture(scope="session")
def code() -> Code:
    return Code()
