"""What `helm test` accepts as ready."""

from typing import Any

import pytest

from ringfence_cli import helmtest

SERVED = {"resources": [{"kind": kind} for kind in helmtest.KINDS]}


def deployment(status: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Available", "status": status, "message": "no pod"}]}}


def test_all_kinds_and_an_available_operator() -> None:
    assert helmtest.missing(SERVED, deployment("True")) == []


@pytest.mark.parametrize(
    ("served", "found", "word"),
    [
        ({}, deployment("True"), "KillSwitch is not served"),
        (SERVED, None, "does not exist"),
        (SERVED, deployment("False"), "no pod"),
        (SERVED, {}, "nothing is known"),
    ],
)
def test_what_is_missing_is_said(served: dict[str, Any], found: dict[str, Any] | None, word: str) -> None:
    assert word in "\n".join(helmtest.missing(served, found))
