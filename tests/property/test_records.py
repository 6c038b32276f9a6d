"""What a pass writes down, the next one reads as it was: nothing of a rollout lives in memory."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator import records
from ringfence_operator.api import TradingSystem
from ringfence_operator.rollout.evidence import EvaluationState, Look, Measurement, MetricState, Verdict
from ringfence_operator.rollout.state import (
    Earned,
    Failure,
    Handover,
    Mode,
    Outlook,
    Progress,
    PromotionResult,
    Purpose,
    Stage,
    State,
    TrackState,
)

SPEC = next(
    iter(yaml.safe_load_all((Path(__file__).parents[1] / "golden" / "inputs" / "simulated-live.yaml").read_text()))
)
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
hashes = st.text("0123456789abcdef", min_size=8, max_size=10)
times = st.integers(0, 10**8).map(lambda seconds: START + timedelta(seconds=seconds))
precise = st.integers(0, 10**11).map(lambda ms: START + timedelta(milliseconds=ms))
counts = st.integers(0, 10**6)
numbers = st.floats(allow_nan=False)
tracks = st.builds(
    TrackState,
    revision=hashes,
    stage=st.sampled_from(Stage),
    weight=st.integers(0, 100),
    grant=hashes,
    since=times,
)
states = st.builds(
    State,
    stable=tracks,
    candidate=st.none() | tracks,
    shadow=st.none() | tracks,
    progress=st.none()
    | st.builds(
        Progress,
        session_ms=counts,
        counting=st.booleans(),
        silent_since=st.none() | times,
        baking=st.booleans(),
        returning=st.booleans(),
    ),
    attempt=counts,
    clock=st.none() | times,
    failure=st.none() | st.builds(Failure, revision=hashes, reason=texts, message=texts, at=times),
    retry=counts,
    handovers=st.lists(
        st.builds(
            Handover,
            id=texts,
            purpose=st.sampled_from(Purpose),
            source=texts,
            target=texts | st.just(""),
            mode=st.sampled_from(Mode),
            since=times,
        ),
        max_size=3,
    ).map(tuple),
    earned=st.lists(st.builds(Earned, revision=hashes, grant=hashes, at=times), max_size=6).map(tuple),
)
metrics = st.builds(
    MetricState,
    name=texts,
    verdict=st.sampled_from(Verdict),
    reason=texts,
    dry_run=st.booleans(),
    measured=counts,
    successful=counts,
    failed=counts,
    errors_in_a_row=counts,
    inconclusive_in_a_row=counts,
    looks=st.lists(
        st.builds(
            Look,
            number=st.integers(1, 3),
            at=precise,
            lower=numbers,
            upper=numbers,
            verdict=st.sampled_from(Verdict),
        ),
        max_size=3,
    ).map(tuple),
    measurements=st.lists(
        st.builds(
            Measurement,
            at=precise,
            verdict=st.sampled_from(Verdict),
            value=texts,
            samples=texts,
            query=texts,
            reason=texts,
        ),
        max_size=20,
    ).map(tuple),
)
evaluations = st.builds(
    EvaluationState,
    started=times,
    metrics=st.lists(metrics, max_size=4, unique_by=lambda metric: metric.name).map(tuple),
)


def system(status: dict[str, Any]) -> TradingSystem:
    metadata = SPEC["metadata"] | {"namespace": "trading", "uid": "1", "generation": 1}
    return TradingSystem.parse(SPEC | {"metadata": metadata, "status": status})


@given(states)
def test_a_state_survives_the_status(state: State) -> None:
    """Whole, but for seconds' fractions that no state has."""
    rollout = records.rollout_status(state, Outlook(), (), None).dump()
    status = {"rollout": rollout}
    for name in ("stable", "candidate", "shadow"):
        found = records.track_status(getattr(state, name))
        if found is not None:
            status[name] = found.dump()
    assert state == records.state_of(system(status))


@given(evaluations)
def test_measurements_survive_their_evaluation(state: EvaluationState) -> None:
    """To the millisecond: what was measured is never measured again, and never forgotten."""
    raw = {"metadata": {"name": "momentum-e", "uid": "7"}, "status": records.evaluation_status(state, None, "")}
    found = records.evaluation_seen("momentum", "e", [raw])
    assert found is not None
    assert ("e", "7", state) == (found.name, found.uid, found.state)


def test_an_evaluation_that_cannot_be_read_proves_nothing() -> None:
    raw = {"metadata": {"name": "momentum-e", "uid": "7"}, "status": {"metrics": "damaged"}}
    found = records.evaluation_seen("momentum", "e", [raw])
    assert found is not None
    assert EvaluationState() == found.state
    assert records.evaluation_seen("momentum", "other", [raw]) is None


def promotion(name: str, **changes: Any) -> dict[str, Any]:
    spec = {
        "system": "momentum",
        "revision": "7f3a9c00",
        "stage": "Live",
        "evaluation": "uid",
        "limitsRevision": "67e2d55d93",
        "by": "alice",
        "reason": "good",
        "validFor": "1h",
    } | changes
    metadata = {"name": name, "namespace": "trading", "uid": "1", "creationTimestamp": "2026-11-21T12:00:00Z"}
    return {"metadata": metadata, "spec": spec}


def test_an_approval_expires_by_the_api_servers_clock_and_is_used_once() -> None:
    """And one that cannot be read approves nothing."""
    used = promotion("used") | {"status": {"state": "Used"}}
    found = {one.name: one for one in records.promotions_seen([promotion("good"), used, promotion("bad", stage="Up")])}
    assert {"good", "used"} == set(found)
    assert START + timedelta(hours=1) == found["good"].expires
    assert (False, True) == (found["good"].final, found["used"].final)


def test_what_is_told_of_an_approval_changes_only_when_it_does() -> None:
    """So that a pass that says the same again writes nothing."""
    result = PromotionResult(name="good", state="Waiting", message="a good verdict")
    first = records.promotion_status(result, {}, START)
    assert first == records.promotion_status(result, first, START + timedelta(hours=1))
    other = PromotionResult(name="good", state="Used", message="into Live")
    assert first["at"] != records.promotion_status(other, first, START + timedelta(hours=1))["at"]


@pytest.mark.parametrize(("count", "gone"), [(5, 0), (20, 0), (30, 9)])
def test_evidence_is_bounded_and_what_is_measured_into_stays(count: int, gone: int) -> None:
    """The oldest go, though the one that is measured into may be the oldest of all."""
    found = [
        {"metadata": {"name": f"momentum-{number:02}", "creationTimestamp": f"2026-11-21T12:00:{number:02}Z"}}
        for number in range(count)
    ]
    dropped = records.over_and_old(found, "momentum-00")
    assert [f"momentum-{number:02}" for number in range(1, gone + 1)] == [one["metadata"]["name"] for one in dropped]
