"""A gate's report of its tracks comes back as it was written, or not at all."""

import msgspec
import pytest

from ringfence.wire import tracks
from ringfence.wire.tracks import BookEntry, Capacity, Handover, Position, Track, TracksError, TracksReport

REPORT = TracksReport(
    version=tracks.REPORT_VERSION,
    gate="sim-execution",
    paper=False,
    pod="momentum-sim-execution-0",
    build="ringfence:1",
    state="Active",
    observed_ns=3,
    epoch=7,
    confirmed_ns=2,
    stale="",
    tracks=(
        Track(
            name="candidate",
            revision="abc123",
            stage="Canary",
            weight=5,
            grant="momentum-limits-0123456789",
            allowed=True,
            refusal="",
            starved="Gross: the others take up 100 of 100",
            starved_limit="Gross",
            working_orders=1,
            positions=(Position(symbol="BTCUSDT", quantity="0.5", average="100", worst="0.6"),),
            capacity=(Capacity(limit="Gross", share="5", account="100", worst="1", others="99", free="0"),),
            orders_sent=4,
            orders_filled=2,
            fills=3,
            adopts=True,
            strategy_seen_ns=1,
        ),
    ),
    handovers=(
        Handover(
            id="p-1",
            source="candidate",
            target="stable",
            mode="Adopt",
            state="Done",
            reason="",
            entries=(BookEntry(symbol="BTCUSDT", quantity="0.5", price="101"),),
            ts=9,
        ),
    ),
    held="an upgrade",
    reconciled=True,
    in_flight=0,
    min_notional="5",
)


def test_a_report_survives_the_wire() -> None:
    assert tracks.decode(tracks.encode(REPORT)) == REPORT


def test_names_are_camel_case_and_money_is_text() -> None:
    found = msgspec.json.decode(tracks.encode(REPORT))
    assert found["tracks"][0]["workingOrders"] == 1
    assert found["tracks"][0]["capacity"][0]["free"] == "0"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not a report"),
        (b"{}", "missing required field `version`"),
        (b"\xff\xfe", "not a report"),
        (tracks.encode(msgspec.structs.replace(REPORT, version=2)), "version 2"),
        (tracks.encode(REPORT).replace(b'"epoch":7', b'"epoch":"x"'), "`$.epoch`"),
    ],
)
def test_what_is_no_report_is_an_error_that_names_the_field(data: bytes, told: str) -> None:
    with pytest.raises(TracksError, match=told.replace("$", r"\$")):
        tracks.decode(data)
