"""Ask Prometheus for one number, and say exactly why there is none. Nothing that fails is ever a number.

An answer counts only if it is one finite value, without warnings, of series that were scraped lately: each query is
sent with `lookback_delta`, so a series that stopped does not go on answering with its last sample for five minutes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

TIMEOUT_S: Final = 10.0
ANSWER_MAX: Final = 1_048_576
"""Bytes; one number takes a few hundred, a range of eleven thousand points less than this."""
POINTS_MAX: Final = 11_000
"""As many as Prometheus itself admits in a range."""
SKEW_S: Final = 30.0
"""Furthest that Prometheus' clock may be from ours before its times prove nothing."""
MESSAGE_MAX: Final = 300


class Reason(StrEnum):
    """Why there is no number."""

    UNREACHABLE = "Unreachable"
    """No connection, or no answer in time."""
    HTTP_ERROR = "HTTPError"
    """Answered, but not with 200: the query is wrong, or Prometheus is overloaded or starting."""
    MALFORMED = "Malformed"
    """Not what the API of Prometheus says, or too much of it."""
    WRONG_TYPE = "WrongType"
    """A string, a matrix, or several series where one value is needed."""
    EMPTY = "Empty"
    """Prometheus answered: no series matches, or none was scraped lately."""
    NOT_FINITE = "NotFinite"
    """NaN or infinite: most often 0/0."""
    STALE = "Stale"
    """The newest sample is too old, or lies in the future."""
    WARNINGS = "Warnings"
    """Prometheus itself says that the answer is not complete."""

    @property
    def no_data(self) -> bool:
        """Prometheus works and has nothing to say, as against: asking it failed."""
        return self in {Reason.EMPTY, Reason.NOT_FINITE, Reason.STALE}


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    at: float
    """UTC seconds, Prometheus' clock: when it was evaluated; for a range, of the point."""
    value: float
    """Finite."""


@dataclass(frozen=True, slots=True)
class Failure:
    """No number."""

    reason: Reason
    message: str
    """One line for a person."""


class Prometheus:
    """One server. Holds no state but its address."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """``url``: base of the server, such as ``http://prometheus.monitoring:9090``, with a path prefix or without.

        Raises ValueError for what is no HTTP address.
        """
        base = URL(url)
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(f"{url!r} is no address of a Prometheus server: http://host:port is needed")
        self.url = base
        self._session = session
        self._limits = aiohttp.ClientTimeout(total=timeout_s)

    async def instant(self, query: str, *, at: float, lookback_s: float) -> Sample | Failure:
        """The one value of ``query`` at ``at`` (UTC seconds), from series not older than ``lookback_s``."""
        answer = await self._ask("query", {"query": query, "time": _number(at), "lookback_delta": _number(lookback_s)})
        if isinstance(answer, Failure):
            return answer
        match answer:
            case {"resultType": "scalar", "result": [_, _] as point}:
                return _fresh(_sample(point), at)
            case {"resultType": "vector", "result": []}:
                return Failure(Reason.EMPTY, "Prometheus answered, no series matches")
            case {"resultType": "vector", "result": [{"value": [_, _] as point}]}:
                return _fresh(_sample(point), at)
            case {"resultType": "vector", "result": [*several]}:
                told = f"one value is needed, {len(several)} series came: aggregate them"
                return Failure(Reason.WRONG_TYPE, told if len(several) > 1 else "a histogram, no number")
            case {"resultType": "string" | "matrix" as kind}:
                return Failure(Reason.WRONG_TYPE, f"one value is needed, a {kind} came")
            case _:
                return Failure(Reason.MALFORMED, "an answer that is none of Prometheus' types")

    async def range(
        self, query: str, *, start: float, end: float, step_s: float, lookback_s: float
    ) -> tuple[Sample, ...] | Failure:
        """All values of the one series of ``query`` from ``start`` to ``end`` (UTC seconds), oldest first.

        One that is not finite fails the whole. Its last point must lie within ``lookback_s`` of the end: a series that
        broke off is stale, however good it was before.
        """
        if not step_s > 0 or (end - start) / step_s >= POINTS_MAX:
            return Failure(Reason.MALFORMED, f"a range of more than {POINTS_MAX} points")
        asked = {"query": query, "start": _number(start), "end": _number(end), "step": _number(step_s)}
        answer = await self._ask("query_range", asked | {"lookback_delta": _number(lookback_s)})
        if isinstance(answer, Failure):
            return answer
        match answer:
            case {"resultType": "matrix", "result": []}:
                return Failure(Reason.EMPTY, "Prometheus answered, no series matches")
            case {"resultType": "matrix", "result": [{"values": [_, *_] as points}]}:
                found = []
                for point in points:
                    one = _sample(point)
                    if isinstance(one, Failure):
                        return one
                    found.append(one)
                if end - found[-1].at > max(lookback_s, step_s):
                    return Failure(Reason.STALE, f"the series ends {end - found[-1].at:.0f} s before the range does")
                return tuple(found)
            case {"resultType": "matrix", "result": [*several]}:
                told = f"one series is needed, {len(several)} came: aggregate them"
                return Failure(Reason.WRONG_TYPE, told if len(several) > 1 else "a histogram, no numbers")
            case _:
                return Failure(Reason.MALFORMED, "an answer that is none of Prometheus' types")

    async def _ask(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any] | Failure:
        """The ``data`` of an answer. By POST: queries may be longer than a URL."""
        try:
            async with self._session.post(
                self.url / "api/v1" / path, data=parameters, timeout=self._limits, allow_redirects=False
            ) as response:
                status, body = response.status, await _read(response)
        except TimeoutError:
            return Failure(Reason.UNREACHABLE, f"no answer within {self._limits.total:g} s from {self.url}")
        except aiohttp.ClientConnectorError as error:
            # its own text names the host twice more, and this one stands beside every metric
            return Failure(Reason.UNREACHABLE, _short(f"no connection to {self.url}: {error.strerror}"))
        except (aiohttp.ClientError, OSError) as error:
            return Failure(Reason.UNREACHABLE, _short(f"{self.url}: {str(error) or type(error).__name__}"))
        if body is None:
            return Failure(Reason.MALFORMED, f"an answer of more than {ANSWER_MAX} bytes")
        try:
            document = msgspec.json.decode(body)
        except msgspec.DecodeError:
            document = None
        if status != 200:
            said = document.get("error") if isinstance(document, dict) else None
            return Failure(Reason.HTTP_ERROR, _short(f"HTTP {status} {said or body[:200].decode(errors='replace')}"))
        match document:
            case {"warnings": [first, *_]}:
                return Failure(Reason.WARNINGS, _short(str(first)))
            case {"status": "success", "data": {"resultType": str(kind), "result": result}}:
                return {"resultType": kind, "result": result}
            case _:
                return Failure(Reason.MALFORMED, "answered 200 with something that is no result")


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body; None where it is larger than any answer may be."""
    found = bytearray()
    async for part in response.content.iter_chunked(65_536):
        found += part
        if len(found) > ANSWER_MAX:
            return None
    return bytes(found)


def _sample(point: object) -> Sample | Failure:
    """``[time, "text"]`` as Prometheus writes it."""
    match point:
        case [int() | float() as at, str(text)] if math.isfinite(at):
            try:
                value = float(text)
            except ValueError:
                return Failure(Reason.WRONG_TYPE, _short(f"a number is needed, {text!r} came"))
            if not math.isfinite(value):
                return Failure(Reason.NOT_FINITE, f"{text}: a division by zero, or a sample that is none")
            return Sample(float(at), value)
        case _:
            return Failure(Reason.MALFORMED, "a sample that is not time and text")


def _fresh(found: Sample | Failure, at: float) -> Sample | Failure:
    """An evaluation of another time than was asked for comes from a cache that lies, or from a clock that does."""
    if isinstance(found, Sample) and abs(found.at - at) > SKEW_S:
        return Failure(Reason.STALE, f"evaluated {found.at - at:+.0f} s from the time that was asked for")
    return found


def _number(value: float) -> str:
    return f"{value:.3f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_MAX else line[: MESSAGE_MAX - 1] + "…"
