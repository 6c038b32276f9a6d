"""The kill contract: words, coverage and signatures all fail closed."""

import msgspec
import pytest

from ringfence.wire.kill import (
    CLOCK_TOLERANCE_NS,
    SIGNATURE_HEADER,
    KillAnswer,
    KillRequest,
    Severity,
    covers,
    of_switch,
    opened,
    sign,
    signed,
    verify,
)

NOW = 1_700_000_000_000_000_000
TOKEN = b"a shared secret"
REQUEST = KillRequest(severity="Cancel", reason="fat finger", by="ann", ts=NOW, source="direct")


@pytest.mark.parametrize(
    ("spec", "severity"),
    [
        ({}, Severity.NONE),
        ({"engaged": False}, Severity.NONE),
        ({"engaged": True}, Severity.CANCEL),
        ({"engaged": True, "action": "Flatten"}, Severity.FLATTEN),
        ({"engaged": True, "action": "Halt"}, Severity.CANCEL),
        ({"engaged": True, "action": "Explode"}, Severity.CANCEL),
        ({"engaged": True, "action": None}, Severity.CANCEL),
        ({"engaged": "yes"}, Severity.CANCEL),
        ({"engaged": None}, Severity.CANCEL),
        ({"restrict": "ReduceOnly"}, Severity.REDUCE_ONLY),
        ({"restrict": "Halt"}, Severity.HALT),
        ({"restrict": "halt"}, Severity.HALT),
        ({"restrict": 3}, Severity.HALT),
        ({"engaged": True, "restrict": "Halt"}, Severity.CANCEL),
        (None, Severity.HALT),
        ("engaged", Severity.HALT),
    ],
)
def test_what_a_switch_asks_for(spec: object, severity: Severity) -> None:
    """Engaged is at least Cancel, unknown words are severe, and no spec is no permission."""
    assert of_switch(spec)[0] is severity


@pytest.mark.parametrize(
    ("name", "selector", "covered"),
    [
        ("momentum", None, True),
        ("momentum", {"matchLabels": {"desk": "other"}}, True),
        ("all", None, False),
        ("all", {}, False),
        ("all", {"matchLabels": {}}, False),
        ("all", {"matchLabels": {"desk": "crypto"}}, True),
        ("all", {"matchLabels": {"desk": "crypto", "tier": "1"}}, False),
        ("all", {"matchLabels": "crypto"}, True),
        ("all", {"matchExpressions": []}, True),
        ("all", "everything", True),
    ],
)
def test_which_systems_a_switch_covers(name: str, selector: object, covered: bool) -> None:
    """Its own name always; a selector that nobody can read selects everything."""
    switch = {"metadata": {"name": name}, "spec": {"selector": selector}}
    assert covers(switch, "momentum", {"desk": "crypto"}) is covered


def test_signature_round_trip() -> None:
    """What the sender signs, the gate opens."""
    body, headers = signed(TOKEN, REQUEST)
    assert opened(TOKEN, body, headers[SIGNATURE_HEADER], NOW) == REQUEST


def test_everything_else_is_refused() -> None:
    """Another key, another body, no key, an old or a future request, and no request at all."""
    body, headers = signed(TOKEN, REQUEST)
    signature = headers[SIGNATURE_HEADER]
    assert not verify(b"", body, sign(b"", body))
    assert isinstance(opened(b"other", body, signature, NOW), str)
    assert isinstance(opened(TOKEN, body + b" ", signature, NOW), str)
    assert isinstance(opened(TOKEN, body, "é", NOW), str)
    assert isinstance(opened(TOKEN, body, signature, NOW + CLOCK_TOLERANCE_NS + 1), str)
    assert isinstance(opened(TOKEN, body, signature, NOW - CLOCK_TOLERANCE_NS - 1), str)
    assert isinstance(opened(TOKEN, b"{}", sign(TOKEN, b"{}"), NOW), str)


def test_the_answer_speaks_camel_case() -> None:
    """Names on the wire are those of the documents."""
    answer = KillAnswer(state="Cancel", epoch=3, closed_at="x", latency_ms="0.1", working_orders=2, pod="p")
    assert set(msgspec.json.decode(msgspec.json.encode(answer))) == {
        "state",
        "epoch",
        "closedAt",
        "latencyMs",
        "workingOrders",
        "pod",
        "durable",
    }
