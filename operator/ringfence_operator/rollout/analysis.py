"""Measurements in, verdicts out. Pure: `due` says what to measure, `record` folds it in, `assess` says what it means.

Counts and limits are judged at each measurement and fail at once. Statistics are judged at three fixed looks: the
first two can only fail (by the O'Brien-Fleming bound), the last, at the end of the stage, decides. Looking more often
would fail good candidates and pass bad ones.

What can only fail follows the stage's time and the metric's own samples, not the stage's orders: a candidate whose
every intent is refused gets no order, and would be waited for for ever. And once the time is over, while orders or an
approval are waited for, every measurement may fail, by the strictest of the bounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Final, NamedTuple

from ringfence_operator.rollout import bounds
from ringfence_operator.rollout.bounds import LEVEL, LOOKS, Interval
from ringfence_operator.rollout.evidence import (
    WORST_FIRST,
    EvaluationState,
    Look,
    MeanWithin,
    Measurement,
    MetricSpec,
    MetricState,
    NonInferior,
    Ratio,
    Reading,
    Shown,
    Sums,
    Verdict,
    Within,
)

KEPT: Final = 20
"""Measurements of a metric that are kept."""
GRACE: Final = timedelta(seconds=60)
"""A verdict is good for two intervals and this; then it is no data."""


BURST: Final = 5
"""Rejects come in bursts: where a share fails, so many orders count as one, as by Korn and Graubard's effective size.
Taken one by one, a good candidate failed a stage in seven of a hundred: ``make looks``. To pass, each counts."""


class Done(NamedTuple):
    """How much of its stage is done, 0 to 1."""

    time: float
    """Of its session time alone."""
    all: float
    """The least of time, orders and episodes."""


class Said(NamedTuple):
    verdict: Verdict
    reason: str
    value: str = ""
    samples: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What all metrics of a stage say together."""

    verdict: Verdict
    message: str
    """Which metric, and why."""
    metrics: tuple[MetricState, ...]
    """Each metric with its present verdict."""
    critical: bool = False
    """Something failed that goes to Paper at once."""
    person: str = ""
    """Why waiting will not help; empty where it may."""


def due(metrics: Iterable[MetricSpec], state: EvaluationState, now: datetime) -> tuple[MetricSpec, ...]:
    """What to measure now. Nothing before the stage began."""
    return tuple(spec for spec in metrics if state.started is not None and _next(spec, state, state.started) <= now)


def _next(spec: MetricSpec, state: EvaluationState, started: datetime) -> datetime:
    last = state.metric(spec.name).measurements
    if last:
        return last[-1].at + timedelta(seconds=spec.interval_s)
    return started + timedelta(seconds=spec.initial_delay_s)


def record(
    metrics: Iterable[MetricSpec], state: EvaluationState, readings: Iterable[Reading], done: Done
) -> EvaluationState:
    """The evaluation with these readings folded in. A look is due at each third of the stage.
    A metric that is not specified any more goes; a reading older than the last is dropped."""
    found = {reading.metric: reading for reading in readings}
    folded = []
    for spec in metrics:
        known = replace(state.metric(spec.name), dry_run=not spec.judged)
        reading = found.get(spec.name)
        old = known.measurements and reading is not None and reading.at <= known.measurements[-1].at
        folded.append(known if reading is None or old else _fold(spec, known, reading, done))
    return replace(state, metrics=tuple(folded))


def assess(metrics: Iterable[MetricSpec], state: EvaluationState, now: datetime) -> Assessment:
    """The worst verdict of all that are judged. Nothing judged is no data; so is what was not measured of late."""
    specs = tuple(metrics)
    now_states = tuple(_present(spec, state.metric(spec.name), now) for spec in specs)
    judged = [(spec, found) for spec, found in zip(specs, now_states, strict=True) if spec.judged]
    if not judged:
        return Assessment(verdict=Verdict.NO_DATA, message="no metric is judged", metrics=now_states)
    worst = next(v for v in WORST_FIRST if any(found.verdict is v for _, found in judged))
    names = [f"{found.name}: {found.reason}" for _, found in judged if found.verdict is worst]
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return Assessment(
        verdict=worst,
        message=names[0] + more,
        metrics=now_states,
        critical=any(spec.critical and found.verdict is Verdict.FAILED for spec, found in judged),
        person=next((why for spec, found in judged if (why := _person(spec, found))), ""),
    )


def _present(spec: MetricSpec, found: MetricState, now: datetime) -> MetricState:
    """A failure stays; anything else is only as good as it is recent."""
    if found.verdict is Verdict.FAILED:
        return found
    if not found.measurements:
        return replace(found, verdict=Verdict.NO_DATA, reason="not measured yet")
    at = found.measurements[-1].at
    if not timedelta(0) <= now - at <= 2 * timedelta(seconds=spec.interval_s) + GRACE:
        return replace(found, verdict=Verdict.NO_DATA, reason=f"last measured at {at:%Y-%m-%dT%H:%M:%SZ}")
    return found


def _person(spec: MetricSpec, found: MetricState) -> str:
    if found.verdict is Verdict.FAILED:
        return ""
    if found.errors_in_a_row > spec.consecutive_error_limit:
        return f"{spec.name} could not be measured {found.errors_in_a_row} times in a row: {found.reason}"
    if found.inconclusive_in_a_row > spec.inconclusive_limit:
        return f"{spec.name} was inconclusive {found.inconclusive_in_a_row} times in a row: {found.reason}"
    if found.looks and found.looks[-1].number == LOOKS and found.looks[-1].verdict is Verdict.INCONCLUSIVE:
        return f"{spec.name} is inconclusive at its last look: {found.reason}"
    return ""


# --- one measurement


def _fold(spec: MetricSpec, before: MetricState, reading: Reading, done: Done) -> MetricState:
    said = _usable(spec, reading) or _judged(spec, reading)
    after, looks = said, before.looks
    if spec.statistical and said.verdict not in {Verdict.ERROR, Verdict.NO_DATA}:
        after, looks = _looked(spec, before, reading, said, done)
    measurement = Measurement(
        at=reading.at,
        verdict=after.verdict,
        value=after.value or said.value,
        samples=after.samples or said.samples,
        query=reading.query,
        reason=after.reason,
    )
    found = replace(
        before,
        measured=before.measured + 1,
        successful=before.successful + (after.verdict is Verdict.SUCCESSFUL),
        failed=before.failed + (after.verdict is Verdict.FAILED),
        errors_in_a_row=before.errors_in_a_row + 1 if after.verdict is Verdict.ERROR else 0,
        inconclusive_in_a_row=(
            before.inconclusive_in_a_row + 1 if after.verdict is Verdict.INCONCLUSIVE and not spec.statistical else 0
        ),
        looks=looks,
        measurements=(*before.measurements, measurement)[-KEPT:],
    )
    verdict, reason = _standing(spec, before, found, after)
    return replace(found, verdict=verdict, reason=reason)


def _standing(spec: MetricSpec, before: MetricState, found: MetricState, said: Said) -> tuple[Verdict, str]:
    """The metric's verdict after this measurement. A failure stays."""
    if before.verdict is Verdict.FAILED:
        return before.verdict, before.reason
    if said.verdict is Verdict.FAILED and not spec.statistical:
        if found.failed > spec.failure_limit:
            return Verdict.FAILED, said.reason
        return Verdict.INCONCLUSIVE, f"{found.failed} of {spec.failure_limit} tolerated failures: {said.reason}"
    if said.verdict is Verdict.SUCCESSFUL and not spec.statistical and found.successful < spec.count:
        return Verdict.INCONCLUSIVE, f"{found.successful} of {spec.count} measurements"
    return said.verdict, said.reason


def _usable(spec: MetricSpec, reading: Reading) -> Said | None:
    """Why a reading says nothing; None where it can be judged."""
    if reading.error:
        return Said(Verdict.ERROR, reading.error)
    values = _values(spec, reading)
    if any(value is None for value in values):
        return Said(Verdict.NO_DATA, "the query found nothing")
    if not all(isfinite(value) for value in values if value is not None):
        return Said(Verdict.NO_DATA, "the query found NaN or infinity")
    if reading.age_s is None:
        return Said(Verdict.NO_DATA, "the age of the newest sample is not known")
    if not abs(reading.age_s) <= spec.freshness_s:
        return Said(Verdict.NO_DATA, f"the newest sample is {reading.age_s:.0f} s old, {spec.freshness_s} s is allowed")
    return None


def _values(spec: MetricSpec, reading: Reading) -> tuple[float | None, ...]:
    match spec.rule:
        case Ratio():
            return reading.value, reading.total
        case NonInferior():
            return (*_parts(reading.candidate), *_parts(reading.stable))
        case MeanWithin():
            return _parts(reading.candidate)
        case Within() | Shown():
            return (reading.value,)


def _parts(sums: Sums | None) -> tuple[float | None, ...]:
    return (None,) if sums is None else (sums.count, sums.positive, sums.negative, sums.squares)


def _judged(spec: MetricSpec, reading: Reading) -> Said:
    """What a usable reading says alone."""
    match spec.rule:
        case Shown():
            return Said(Verdict.SUCCESSFUL, "shown, not judged", _text(reading.value))
        case Within() as rule:
            return _within(spec, rule, reading)
        case Ratio():
            return _ratio(spec, reading)
        case NonInferior():
            return _episodes(spec, (reading.candidate, reading.stable))
        case MeanWithin():
            return _episodes(spec, (reading.candidate,))


def _within(spec: MetricSpec, rule: Within, reading: Reading) -> Said:
    value, samples = reading.value or 0.0, reading.samples
    if spec.min_samples > 1:
        if samples is None or not isfinite(samples):
            return Said(Verdict.NO_DATA, "on how many samples it rests is not known", _text(value))
        if samples < spec.min_samples:
            return Said(Verdict.INCONCLUSIVE, _few(samples, spec.min_samples), _text(value), _text(samples))
    told = (_text(value), _text(samples))
    if rule.high is not None and value > rule.high:
        return Said(Verdict.FAILED, f"{_text(value)} is above {_text(rule.high)}", *told)
    if rule.low is not None and value < rule.low:
        return Said(Verdict.FAILED, f"{_text(value)} is below {_text(rule.low)}", *told)
    return Said(Verdict.SUCCESSFUL, f"{_text(value)} is within its range", *told)


def _ratio(spec: MetricSpec, reading: Reading) -> Said:
    events, total = reading.value or 0.0, reading.total or 0.0
    if events < 0 or total < 0 or events > total:
        return Said(Verdict.ERROR, f"{_text(events)} of {_text(total)} is no share")
    if total == 0:
        return Said(Verdict.NO_DATA, "0 of 0 says nothing")
    return Said(Verdict.INCONCLUSIVE, _few(total, spec.min_samples), _text(events / total), _text(total))


def _episodes(spec: MetricSpec, tracks: tuple[Sums | None, ...]) -> Said:
    found = [sums for sums in tracks if sums is not None]
    fewest = min(sums.count for sums in found)
    for sums in found:
        if min(sums.count, sums.positive, sums.negative, sums.squares) < 0:
            return Said(Verdict.ERROR, "a sum that should only grow is below 0")
    if fewest == 0:
        return Said(Verdict.NO_DATA, "no episode yet")
    value = _mean(found[0]) - (_mean(found[1]) if len(found) > 1 else 0.0)
    return Said(Verdict.INCONCLUSIVE, _few(fewest, spec.min_samples), _text(value), _text(fewest))


def _mean(sums: Sums) -> float:
    return (sums.positive - sums.negative) / sums.count


# --- looks


def _looked(
    spec: MetricSpec, before: MetricState, reading: Reading, said: Said, done: Done
) -> tuple[Said, tuple[Look, ...]]:
    """What stands after this measurement, and the looks taken. Between looks it is shown and not judged."""
    samples = _samples(reading)
    sampled = samples / spec.min_samples
    number = max(_third(min(done.all, sampled)), min(LOOKS - 1, _third(min(done.time, sampled))))
    taken = before.looks[-1].number if before.looks else 0
    enough = samples >= 2 or isinstance(spec.rule, Ratio)
    if number <= taken or not enough:
        if enough and done.time >= 1 and sampled >= 1:
            watched = _look(spec, reading, number=1)
            if watched.verdict is Verdict.FAILED:
                reason = f"after its time: {_judgement(watched)}"
                return said._replace(verdict=Verdict.FAILED, reason=reason), before.looks
        if before.looks:
            last = before.looks[-1]
            return said._replace(verdict=last.verdict, reason=_look_reason(last)), before.looks
        waits = said.reason if samples < spec.min_samples else f"look 1 of {LOOKS} is not due yet"
        return said._replace(reason=waits), before.looks
    look = _look(spec, reading, number)
    return Said(look.verdict, _look_reason(look), said.value, said.samples), (*before.looks, look)


def _third(done: float) -> int:
    """The number of the look that is due."""
    return min(LOOKS, int(done * LOOKS + 1e-9))


def _samples(reading: Reading) -> float:
    """On how many it rests: the total of a ratio, or the episodes of the track that has fewest."""
    counts = [sums.count for sums in (reading.candidate, reading.stable) if sums is not None]
    return min(counts) if counts else reading.total or 0.0


def _look(spec: MetricSpec, reading: Reading, number: int) -> Look:
    """Fails where it is worse beyond the early bound; passes only at the last look, where all of the range is good."""
    early = _interval(spec, reading, bounds.tail(number), BURST)
    final = number == LOOKS
    shown = _interval(spec, reading, LEVEL) if final and isinstance(spec.rule, Ratio) else early
    low, high = _range(spec)
    if (high is not None and early.lower > high) or (low is not None and early.upper < low):
        verdict = Verdict.FAILED
    elif final and (high is None or shown.upper <= high) and (low is None or shown.lower >= low):
        verdict = Verdict.SUCCESSFUL
    else:
        verdict = Verdict.INCONCLUSIVE
    return Look(number=number, at=reading.at, lower=shown.lower, upper=shown.upper, verdict=verdict)


def _interval(spec: MetricSpec, reading: Reading, level: float, alike: int = 1) -> Interval:
    """``alike``: so many orders of a share count as one."""
    match spec.rule:
        case NonInferior() if reading.candidate is not None and reading.stable is not None:
            return bounds.difference_interval(_mean_of(reading.candidate), _mean_of(reading.stable), level)
        case MeanWithin() if reading.candidate is not None:
            return bounds.mean_interval(_mean_of(reading.candidate), level)
        case _:
            events, total = reading.value or 0.0, reading.total or 0.0
            return bounds.clopper_pearson(events / alike, total / alike, level)


def _mean_of(sums: Sums) -> bounds.Mean:
    return bounds.mean(sums.count, sums.positive - sums.negative, sums.squares)


def _range(spec: MetricSpec) -> tuple[float | None, float | None]:
    """The good range of what is bounded."""
    match spec.rule:
        case NonInferior(margin, higher_is_worse):
            return (None, margin) if higher_is_worse else (-margin, None)
        case MeanWithin(low, high):
            return low, high
        case Ratio(high):
            return None, high
        case Within() | Shown():
            return None, None


def _look_reason(look: Look) -> str:
    return f"look {look.number} of {LOOKS}: {_judgement(look)}"


def _judgement(look: Look) -> str:
    span = f"95 % bounds {_text(look.lower)} to {_text(look.upper)}"
    said = {
        Verdict.FAILED: "worse than allowed",
        Verdict.SUCCESSFUL: "good",
        Verdict.INCONCLUSIVE: "not shown to be good" if look.number == LOOKS else "no harm shown",
    }[look.verdict]
    return f"{said}, {span}"


def _few(samples: float, needed: int) -> str:
    return f"{_text(samples)} of {needed} samples"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
