"""What a gate that is well says of itself and its tracks."""

from typing import Any

import msgspec

from ringfence.wire.tracks import REPORT_VERSION, TracksReport


def report(role: str, image: str, **changes: Any) -> TracksReport:
    """Of the system momentum, reconciled, with nothing under way; where ``changes`` say nothing else."""
    found = TracksReport(
        version=REPORT_VERSION,
        gate=role,
        paper=role == "sim-paper",
        pod=f"momentum-{role}-0",
        build=image,
        state="Active",
        observed_ns=1,
        epoch=1,
        confirmed_ns=1,
        stale="",
        tracks=(),
        handovers=(),
        reconciled=True,
        in_flight=0,
    )
    return msgspec.structs.replace(found, **changes)
