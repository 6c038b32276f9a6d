"""What can go wrong, named by how one reacts.

ApiError                anything else that the API server refused: a bug or a surprise
├── NotFound            404: it is not there
├── Conflict            409: somebody else wrote; read again
│   └── AlreadyExists   409 on create: it is there
├── Forbidden           401, 403: rights are missing; retrying helps only once somebody grants them
├── Invalid             400, 415, 422: what was sent will never be accepted
├── Gone                410: the resource version is too old; list again
└── RetryLater          429, 5xx, timeouts, no connection: the same request may succeed later
"""

# ruff: noqa: N818 - a reaction is a better name than an Error suffix

import contextlib
from typing import Any, Final

import msgspec

MESSAGE_MAX: Final = 2_000
"""Longest message of a server that is kept: it ends up in conditions and logs."""


class ApiError(Exception):
    """A request that failed. The text says verb, path, status and the server's words, and never a token."""

    def __init__(self, verb: str, path: str, status: int, message: str, reason: str = "") -> None:
        super().__init__(f"{verb} {path}: {status or 'no answer'} {message}".strip())
        self.verb = verb
        self.path = path
        self.status = status
        """HTTP status; 0 when there was no answer."""
        self.message = message
        self.reason = reason
        """The server's machine-readable reason, such as ``AlreadyExists``."""


class NotFound(ApiError):
    """404."""


class Conflict(ApiError):
    """409."""


class AlreadyExists(Conflict):
    """409 on create."""


class Forbidden(ApiError):
    """401 or 403."""


class Invalid(ApiError):
    """400, 415 or 422."""


class Gone(ApiError):
    """410: expired resource version or continue token."""


class RetryLater(ApiError):
    """The server is busy, restarting or out of reach."""

    def __init__(
        self, verb: str, path: str, status: int, message: str, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(verb, path, status, message, reason)
        self.retry_after_s = retry_after_s
        """What the server asked for, if it did."""


_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    415: Invalid,
    422: Invalid,
}


def from_answer(verb: str, path: str, status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """The error of an answer with a status of 400 or more."""
    document: Any = None
    with contextlib.suppress(msgspec.DecodeError):
        document = msgspec.json.decode(body)
    if isinstance(document, dict) and document.get("kind") == "Status":
        return from_status(verb, path, status, document, retry_after)
    return _make(verb, path, status, body.decode("utf-8", "replace").strip()[:MESSAGE_MAX], "", retry_after)


def from_status(
    verb: str, path: str, status: int, document: dict[str, Any], retry_after: str | None = None
) -> ApiError:
    """The error of a Status object: of an answer, or of an ERROR event in a watch."""
    details = document.get("details") or {}
    seconds = retry_after or details.get("retryAfterSeconds")
    message = str(document.get("message") or "")[:MESSAGE_MAX]
    return _make(verb, path, status, message, str(document.get("reason") or ""), seconds)


def _make(verb: str, path: str, status: int, message: str, reason: str, retry_after: str | int | None) -> ApiError:
    if status == 429 or status >= 500:
        return RetryLater(verb, path, status, message, reason, _seconds(retry_after))
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists(verb, path, status, message, reason)
    return _BY_STATUS.get(status, ApiError)(verb, path, status, message, reason)


def _seconds(retry_after: str | int | None) -> float | None:
    """Retry-After in seconds; the date form, which API servers do not send, counts as not given."""
    try:
        return None if retry_after is None else float(retry_after)
    except ValueError:
        return None
