"""Measurements to verdicts: what each rule says, the three looks, and the ways in which others promote on nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from ringfence_operator.api.rollout import COMPARED
from ringfence_operator.rollout import analysis, library
from ringfence_operator.rollout.analysis import Done
from ringfence_operator.rollout.evidence import (
    EvaluationState,
    MeanWithin,
    MetricSpec,
    NonInferior,
    Ratio,
    Reading,
    Shown,
    Sums,
    Verdict,
    Within,
)
from ringfence_operator.rollout.state import Stage

T0 = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATENCY = MetricSpec(name="latency", rule=Within(None, 100.0))
REJECTS = MetricSpec(name="rejects", rule=Ratio(0.01), min_samples=300)
SLIPPAGE = MetricSpec(name="slippage", rule=NonInferior(2.0), min_samples=60)
NOTHING = EvaluationState(started=T0)
OVER = Done(1.0, 1.0)


def reading(metric: str = "latency", at: datetime = T0, **parts: object) -> Reading:
    return replace(Reading(metric=metric, at=at, age_s=1.0), **parts)  # type: ignore[arg-type]


def judged(spec: MetricSpec, *readings: Reading, fraction: float = 1.0) -> EvaluationState:
    state = NOTHING
    for one in readings:
        state = analysis.record((spec,), state, (one,), Done(fraction, fraction))
    return state


def verdict(spec: MetricSpec, *readings: Reading, fraction: float = 1.0, now: datetime = T0) -> Verdict:
    return analysis.assess((spec,), judged(spec, *readings, fraction=fraction), now).verdict


class TestFailOpenHoles:
    """Where other tools promote on nothing. Each is closed here."""

    def test_hole_no_condition_is_no_success(self) -> None:
        """A metric without a rule is shown; a stage with nothing else has no data."""
        assert verdict(MetricSpec(name="m", rule=Shown()), reading("m", value=1.0)) is Verdict.NO_DATA

    def test_hole_unknown_metric_is_no_success(self) -> None:
        """Nobody measured it: readings of other names do not count for it."""
        assert verdict(LATENCY, reading("latencies", value=1.0)) is Verdict.NO_DATA

    def test_hole_ended_before_the_first_sample_is_no_success(self) -> None:
        assert analysis.assess((LATENCY,), NOTHING, T0).verdict is Verdict.NO_DATA
        assert analysis.assess((LATENCY,), EvaluationState(), T0).verdict is Verdict.NO_DATA
        assert analysis.assess((), NOTHING, T0).verdict is Verdict.NO_DATA

    def test_hole_a_metric_that_vanishes_is_no_success(self) -> None:
        """Neither an old sample that Prometheus still returns, nor an old verdict of ours."""
        assert verdict(LATENCY, reading(value=1.0), reading(at=T0 + MINUTE, value=1.0, age_s=300.0),
                       now=T0 + MINUTE) is Verdict.NO_DATA  # fmt: skip
        assert verdict(LATENCY, reading(value=1.0), now=T0 + MINUTE) is Verdict.SUCCESSFUL
        assert verdict(LATENCY, reading(value=1.0), now=T0 + 4 * MINUTE) is Verdict.NO_DATA

    def test_hole_inconclusive_in_the_background_is_no_success(self) -> None:
        """However good the others are."""
        few = MetricSpec(name="few", rule=Within(None, 1.0), min_samples=10)
        state = analysis.record(
            (LATENCY, few), NOTHING, (reading(value=1.0), reading("few", value=0.0, samples=3)), OVER
        )
        assert analysis.assess((LATENCY, few), state, T0).verdict is Verdict.INCONCLUSIVE

    def test_hole_a_breach_while_waiting_at_a_gate_counts(self) -> None:
        """After the stage is done and its last look was good, a limit still fails at once."""
        state = judged(LATENCY, reading(value=1.0), reading(at=T0 + MINUTE, value=101.0))
        assert analysis.assess((LATENCY,), state, T0 + MINUTE).verdict is Verdict.FAILED

    def test_hole_nothing_of_nothing_is_no_success(self) -> None:
        """0/0, as both counts and as the NaN that PromQL makes of it."""
        assert verdict(REJECTS, reading("rejects", value=0.0, total=0.0)) is Verdict.NO_DATA
        assert verdict(LATENCY, reading(value=float("nan"))) is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ({"value": 100.0}, Verdict.SUCCESSFUL),
        ({"value": 100.1}, Verdict.FAILED),
        ({"value": None}, Verdict.NO_DATA),
        ({"value": float("inf")}, Verdict.NO_DATA),
        ({"value": 1.0, "age_s": None}, Verdict.NO_DATA),
        ({"value": 1.0, "age_s": float("nan")}, Verdict.NO_DATA),
        ({"value": 1.0, "age_s": -500.0}, Verdict.NO_DATA),
        ({"error": "connection refused"}, Verdict.ERROR),
        ({"error": "2 series", "value": 1.0}, Verdict.ERROR),
    ],
)
def test_a_value_is_judged_at_each_measurement(parts: dict[str, object], wanted: Verdict) -> None:
    assert verdict(LATENCY, reading(**parts)) is wanted


def test_failures_are_tolerated_up_to_their_number_and_never_forgotten() -> None:
    """With 2, the third fails; good ones in between do not reset it; and it stays failed."""
    spec = replace(LATENCY, failure_limit=2)
    values = [200.0, 1.0, 200.0, 1.0, 1.0, 200.0, 1.0]
    readings = [reading(at=T0 + n * MINUTE, value=value) for n, value in enumerate(values)]
    found = [verdict(spec, *readings[: n + 1], now=T0 + n * MINUTE) for n in range(len(values))]
    assert found == [
        *(Verdict.INCONCLUSIVE, Verdict.SUCCESSFUL, Verdict.INCONCLUSIVE, Verdict.SUCCESSFUL, Verdict.SUCCESSFUL),
        *(Verdict.FAILED, Verdict.FAILED),
    ]


def test_a_count_of_good_measurements_is_needed() -> None:
    spec = replace(LATENCY, count=2)
    assert verdict(spec, reading(value=1.0)) is Verdict.INCONCLUSIVE
    assert verdict(spec, reading(value=1.0), reading(at=T0 + MINUTE, value=1.0), now=T0 + MINUTE) is Verdict.SUCCESSFUL


def test_too_few_samples_neither_pass_nor_fail() -> None:
    spec = replace(LATENCY, min_samples=1000)
    assert verdict(spec, reading(value=500.0, samples=999.0)) is Verdict.INCONCLUSIVE
    assert verdict(spec, reading(value=1.0)) is Verdict.NO_DATA
    assert verdict(spec, reading(value=500.0, samples=1000.0)) is Verdict.FAILED


def test_the_worst_verdict_wins_and_dry_runs_do_not_count() -> None:
    wrong = MetricSpec(name="wrong", rule=Within(None, 0.0), dry_run=True)
    state = analysis.record((LATENCY, wrong), NOTHING, (reading(value=1.0), reading("wrong", value=5.0)), OVER)
    found = analysis.assess((LATENCY, wrong), state, T0)
    assert found.verdict is Verdict.SUCCESSFUL
    assert {one.name: one.verdict for one in found.metrics}["wrong"] is Verdict.FAILED
    assert analysis.assess((LATENCY, replace(wrong, dry_run=False)), state, T0).verdict is Verdict.FAILED


def test_histories_are_bounded_and_counts_are_not() -> None:
    state = judged(LATENCY, *(reading(at=T0 + n * MINUTE, value=1.0) for n in range(200)))
    (found,) = state.metrics
    assert (found.measured, len(found.measurements)) == (200, analysis.KEPT)


def test_a_reading_is_folded_once() -> None:
    """A pass that is repeated after a crash does not count its failures twice."""
    one = reading(value=200.0)
    assert judged(replace(LATENCY, failure_limit=1), one, one, one).metrics[0].failed == 1


def test_metrics_are_due_by_what_was_recorded() -> None:
    """From the stage's begin, then by the last measurement: no schedule lives in memory."""
    spec = replace(LATENCY, initial_delay_s=30)
    assert analysis.due((spec,), EvaluationState(), T0) == ()
    assert analysis.due((spec,), NOTHING, T0 + timedelta(seconds=29)) == ()
    assert analysis.due((spec,), NOTHING, T0 + timedelta(seconds=30)) == (spec,)
    state = judged(spec, reading(value=1.0))
    assert analysis.due((spec,), state, T0 + timedelta(seconds=59)) == ()
    assert analysis.due((spec,), state, T0 + MINUTE) == (spec,)


def test_waiting_that_will_not_help_asks_for_a_person() -> None:
    spec = replace(LATENCY, consecutive_error_limit=1)
    errors = [reading(at=T0 + n * MINUTE, error="down") for n in range(2)]
    assert analysis.assess((spec,), judged(spec, errors[0]), T0).person == ""
    assert "2 times in a row" in analysis.assess((spec,), judged(spec, *errors), T0 + MINUTE).person


class TestLooks:
    """Statistics are judged three times, and only the last can pass."""

    def test_a_share_passes_at_the_last_look_only(self) -> None:
        good = reading("rejects", value=0.0, total=300.0)
        assert verdict(REJECTS, good, fraction=0.99) is Verdict.INCONCLUSIVE
        assert verdict(REJECTS, good, fraction=1.0) is Verdict.SUCCESSFUL
        assert verdict(REJECTS, reading("rejects", value=0.0, total=298.9), fraction=1.0) is Verdict.INCONCLUSIVE

    def test_a_clearly_bad_share_fails_at_the_first(self) -> None:
        assert verdict(REJECTS, reading("rejects", value=30.0, total=110.0), fraction=0.4) is Verdict.FAILED

    def test_a_share_that_is_none_is_an_error(self) -> None:
        assert verdict(REJECTS, reading("rejects", value=3.0, total=2.0)) is Verdict.ERROR

    def test_between_looks_nothing_is_judged(self) -> None:
        """A bad moment between two looks does not fail: else each minute would be a look."""
        calm = reading("rejects", value=0.0, total=150.0)
        wild = reading("rejects", at=T0 + MINUTE, value=60.0, total=160.0)
        assert verdict(REJECTS, calm, wild, fraction=0.5, now=T0 + MINUTE) is Verdict.INCONCLUSIVE

    def test_a_share_that_keeps_orders_from_coming_fails_by_time_and_its_own_total(self) -> None:
        """Orders are what a look that may pass waits for; one that can only fail does not."""
        refused = reading("rejects", value=110.0, total=110.0)
        early = analysis.record((REJECTS,), NOTHING, (refused,), Done(time=0.3, all=0.0))
        assert analysis.assess((REJECTS,), early, T0).verdict is Verdict.INCONCLUSIVE
        state = analysis.record((REJECTS,), NOTHING, (refused,), Done(time=0.4, all=0.0))
        assert analysis.assess((REJECTS,), state, T0).verdict is Verdict.FAILED
        few = reading("rejects", value=90.0, total=90.0)
        state = analysis.record((REJECTS,), NOTHING, (few,), Done(time=1.0, all=0.0))
        assert analysis.assess((REJECTS,), state, T0).verdict is Verdict.INCONCLUSIVE
        good = reading("rejects", value=0.0, total=900.0)
        state = analysis.record((REJECTS,), NOTHING, (good,), Done(time=1.0, all=0.9))
        assert analysis.assess((REJECTS,), state, T0).verdict is Verdict.INCONCLUSIVE, "orders are missing"

    @pytest.mark.parametrize("all_", [0.9, 1.0])
    def test_a_share_that_turns_bad_after_its_looks_fails_while_others_are_waited_for(self, all_: float) -> None:
        """For orders, whose last look may never come, or for a person after it."""
        state = analysis.record((REJECTS,), NOTHING, (reading("rejects", value=0.0, total=400.0),), Done(1.0, all_))
        assert len(state.metrics[0].looks) == 1
        bad = reading("rejects", at=T0 + MINUTE, value=60.0, total=460.0)
        during = analysis.record((REJECTS,), state, (bad,), Done(0.99, 0.9))
        assert analysis.assess((REJECTS,), during, T0 + MINUTE).verdict is not Verdict.FAILED
        after = analysis.record((REJECTS,), state, (bad,), Done(1.0, all_))
        found = analysis.assess((REJECTS,), after, T0 + MINUTE)
        assert found.verdict is Verdict.FAILED
        assert "after its time: worse than allowed" in found.message

    def test_undecided_at_the_last_look_asks_for_a_person(self) -> None:
        state = judged(REJECTS, reading("rejects", value=3.0, total=300.0))
        found = analysis.assess((REJECTS,), state, T0)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "last look" in found.person

    def test_a_comparison_without_stable_has_no_data(self) -> None:
        sums = Sums(count=100, positive=10, negative=10, squares=900)
        assert verdict(SLIPPAGE, reading("slippage", candidate=sums)) is Verdict.NO_DATA
        assert verdict(SLIPPAGE, reading("slippage", candidate=sums, stable=sums)) is Verdict.SUCCESSFUL

    def test_a_mean_must_lie_within_with_its_bounds(self) -> None:
        spec = MetricSpec(name="twin", rule=MeanWithin(-1.0, 1.0), min_samples=100)
        narrow = Sums(count=100, positive=20, negative=10, squares=120)
        wide = replace(narrow, squares=12_000)
        assert verdict(spec, reading("twin", candidate=narrow)) is Verdict.SUCCESSFUL
        assert verdict(spec, reading("twin", candidate=wide)) is Verdict.INCONCLUSIVE


def passes(random: Random, worse: float, episodes: int = 60, sd: float = 3.5) -> tuple[bool, bool]:
    """One canary whose slippage grows over three looks; whether it passes, and whether it fails."""
    candidate = [random.gauss(worse, sd) for _ in range(episodes)]
    stable = [random.gauss(0, sd) for _ in range(episodes)]
    state = NOTHING
    for look in (1, 2, 3):
        taken = episodes * look // 3
        one = reading(
            "slippage", T0 + look * MINUTE, candidate=sums_of(candidate[:taken]), stable=sums_of(stable[:taken])
        )
        state = analysis.record((SLIPPAGE,), state, (one,), Done(look / 3, look / 3))
    found = analysis.assess((SLIPPAGE,), state, T0 + 3 * MINUTE).verdict
    assert len(state.metrics[0].looks) == 3
    return found is Verdict.SUCCESSFUL, found is Verdict.FAILED


def sums_of(values: list[float]) -> Sums:
    return Sums(
        count=len(values),
        positive=sum(v for v in values if v > 0),
        negative=-sum(v for v in values if v < 0),
        squares=sum(v * v for v in values),
    )


def test_a_candidate_worse_by_the_margin_passes_at_most_five_times_in_a_hundred() -> None:
    """By simulation with a fixed seed; a good one passes most of the time, and is hardly ever failed."""
    random = Random(11)
    worse = [passes(random, 2.0) for _ in range(2000)]
    same = [passes(random, 0.0) for _ in range(2000)]
    much = [passes(random, 6.0) for _ in range(300)]
    assert sum(passed for passed, _ in worse) / 2000 <= 0.05
    assert sum(passed for passed, _ in same) / 2000 > 0.9
    assert sum(failed for _, failed in same) / 2000 < 0.001
    assert sum(failed for _, failed in much) / 300 > 0.99


class TestLibrary:
    """The rules of the ready metrics."""

    def test_money_is_shown_and_never_judged(self) -> None:
        assert not library.LIBRARY["profit"].judged

    def test_comparisons_are_left_out_where_there_is_nothing_to_compare_with(self) -> None:
        with_stable = {spec.name for spec in library.defaults(Stage.CANARY, compared=True)}
        without = {spec.name for spec in library.defaults(Stage.CANARY, compared=False)}
        assert with_stable - without == set(COMPARED)

    @pytest.mark.parametrize("stage", Stage)
    def test_every_stage_watches_the_counts_that_must_be_zero(self, stage: Stage) -> None:
        critical = {spec.name for spec in library.defaults(stage, compared=False) if spec.critical}
        assert critical >= {"reconciliation-breaks", "overfills", "self-matches", "unknown-orders", "daily-loss"}
