"""Take measurements: ask Prometheus all that a metric needs, at one moment, and say what came of it. Judges nothing."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ringfence_operator.cluster.prometheus import Failure, Prometheus, Reason, Sample
from ringfence_operator.rollout import queries
from ringfence_operator.rollout.evidence import MeanWithin, MetricSpec, NonInferior, Queries, Reading, Sums

CONCURRENCY: Final = 4
"""Queries of one pass in flight at once."""
AGE_LOOKBACK_S: Final = 3_600.0
"""How far back the newest sample is looked for, so that its age can be told."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: values for the names in queries."""

    names: Mapping[str, str]
    stable: Mapping[str, str] | None
    """The same of the stable that it is compared to; None = there is none."""


class Measurer:
    """The queries of one pass. Once Prometheus cannot be reached, the rest of the pass does not wait for it again."""

    def __init__(self, prometheus: Prometheus, at: datetime) -> None:
        self._prometheus = prometheus
        self._at = at
        self._free = asyncio.Semaphore(CONCURRENCY)
        self._away: Failure | None = None

    async def readings(self, metrics: Sequence[MetricSpec], subject: Subject) -> tuple[Reading, ...]:
        """One reading a metric, in their order. Never raises for what Prometheus does."""
        return tuple(await asyncio.gather(*(self._reading(metric, subject) for metric in metrics)))

    async def number(self, entry: queries.Entry, subject: Subject, lookback_s: float) -> float | None:
        """One number of the library; None where there is none."""
        found = await self._ask(queries.resolved(entry.queries.value, subject.names), lookback_s)
        return found.value if isinstance(found, Sample) else None

    async def _reading(self, metric: MetricSpec, subject: Subject) -> Reading:
        known = queries.LIBRARY.get(metric.name)
        asked = metric.queries or (known.queries if known else None)
        if asked is None:
            return Reading(metric=metric.name, at=self._at, error=f"{metric.name} has no query")
        fresh = queries.FRESH if known is None or metric.queries is not None else known.fresh
        try:
            text = queries.resolved(asked.value, subject.names)
            others = [queries.resolved(query, subject.names) for query in (asked.total, asked.samples) if query]
            if isinstance(metric.rule, NonInferior):
                return await self._compared(metric, asked, fresh, subject)
            if isinstance(metric.rule, MeanWithin):
                return await self._mean(metric, asked, fresh, subject)
        except KeyError as error:
            return Reading(metric=metric.name, at=self._at, query=asked.value, error=f"$({error.args[0]}) is not known")
        value, age, rest = await asyncio.gather(
            self._ask(text, metric.freshness_s), self._age(fresh, subject.names), self._all(others, metric.freshness_s)
        )
        wrong = _error([value, *rest])
        numbers = [_number(found) for found in rest]
        return Reading(
            metric=metric.name,
            at=self._at,
            query=text if not asked.total else f"{text} / {others[0]}",
            error=wrong,
            value=None if wrong else _shown(value),
            total=numbers[0] if asked.total and not wrong else None,
            samples=numbers[-1] if asked.samples and not wrong else None,
            age_s=age,
        )

    async def _compared(self, metric: MetricSpec, asked: Queries, fresh: str, subject: Subject) -> Reading:
        """Both sides at the same moment over the same window, so that the market was the same."""
        text = queries.resolved(asked.value, subject.names)
        if subject.stable is None:
            return Reading(metric=metric.name, at=self._at, query=text, error="there is no stable to compare with")
        candidate, stable, age, stable_age = await asyncio.gather(
            self._sums(asked, subject.names, metric.freshness_s),
            self._sums(asked, subject.stable, metric.freshness_s),
            self._age(fresh, subject.names),
            self._age(fresh, subject.stable),
        )
        failures = [side for side in (candidate, stable) if isinstance(side, Failure)]
        return Reading(
            metric=metric.name,
            at=self._at,
            query=text,
            error=_error(failures),
            candidate=None if isinstance(candidate, Failure) else candidate,
            stable=None if isinstance(stable, Failure) else stable,
            age_s=None if age is None or stable_age is None else max(age, stable_age),
        )

    async def _mean(self, metric: MetricSpec, asked: Queries, fresh: str, subject: Subject) -> Reading:
        found, age = await asyncio.gather(
            self._sums(asked, subject.names, metric.freshness_s), self._age(fresh, subject.names)
        )
        return Reading(
            metric=metric.name,
            at=self._at,
            query=queries.resolved(asked.value, subject.names),
            error=_error([found]) if isinstance(found, Failure) else "",
            candidate=None if isinstance(found, Failure) else found,
            age_s=age,
        )

    async def _sums(self, asked: Queries, names: Mapping[str, str], lookback_s: float) -> Sums | Failure:
        parts = (asked.samples, asked.value, asked.negative or "vector(0)", asked.squares)
        numbers = []
        for one in await self._all([queries.resolved(part, names) for part in parts], lookback_s):
            if isinstance(one, Failure):
                return one
            numbers.append(one.value)
        count, positive, negative, squares = numbers
        return Sums(count=count, positive=positive, negative=negative, squares=squares)

    async def _age(self, selector: str, names: Mapping[str, str]) -> float | None:
        """Seconds since the newest sample of a selector; None where there was none for an hour."""
        newest = f"time() - max(timestamp({queries.resolved(selector, names)}))"
        return _number(await self._ask(newest, AGE_LOOKBACK_S))

    async def _all(self, asked: Sequence[str], lookback_s: float) -> list[Sample | Failure]:
        return list(await asyncio.gather(*(self._ask(query, lookback_s) for query in asked)))

    async def _ask(self, query: str, lookback_s: float) -> Sample | Failure:
        async with self._free:
            if self._away is not None:
                return self._away
            found = await self._prometheus.instant(query, at=self._at.timestamp(), lookback_s=lookback_s)
            if isinstance(found, Failure) and found.reason is Reason.UNREACHABLE:
                self._away = found
            return found


def _error(found: Sequence[Sample | Failure]) -> str:
    """Why it could not be measured; nothing where it was, or where Prometheus simply had nothing to say."""
    for one in found:
        if isinstance(one, Failure) and not one.reason.no_data:
            return f"{one.reason}: {one.message}"
    return ""


def _number(found: Sample | Failure) -> float | None:
    return found.value if isinstance(found, Sample) else None


def _shown(found: Sample | Failure) -> float | None:
    """NaN is kept, so that people see it; nothing else that failed has a value."""
    if isinstance(found, Failure):
        return math.nan if found.reason is Reason.NOT_FINITE else None
    return found.value
