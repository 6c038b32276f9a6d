"""A request, and the two ways to write it: the query of REST and the message of the WebSocket API. Pure."""

import re
from typing import Final
from urllib.parse import quote

import msgspec

from ringfence.venues.binance.limits import Kind
from ringfence.venues.binance.signing import Sign

_plain: Final = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
"""Needs no percent-encoding; asking costs a fraction of encoding, and almost everything we send is plain."""

Parameter = tuple[str, str | int]
"""The WebSocket API wants its integers as such, and decimal numbers as text."""


class Request(msgspec.Struct, frozen=True):
    """One request before it is signed. Says nothing about who asks."""

    method: str
    path: str
    parameters: list[Parameter]
    kind: Kind
    weight: int
    signed: bool = True
    orders: int = 1
    """How many it places, where its kind is that."""
    ws_method: str = ""
    """Its name in the WebSocket API, if it goes that way while that can be used; empty: always by REST."""

    @property
    def query(self) -> str:
        return encoded(self.parameters)


def encoded(parameters: list[Parameter]) -> str:
    """The query string, percent-encoded: the venue checks the signature over the encoded text."""
    return "&".join([f"{name}={_encoded(str(value))}" for name, value in parameters])


def _encoded(value: str) -> str:
    return value if _plain(value) else quote(value, safe="")


def signed_query(request: Request, sign: Sign, timestamp_ms: int, recv_window_ms: int) -> str:
    """The query of a signed request, complete with time, validity and signature."""
    lead = f"{request.query}&" if request.parameters else ""
    payload = f"{lead}recvWindow={recv_window_ms}&timestamp={timestamp_ms}"
    return f"{payload}&{encoded([('signature', sign(payload))])}"


def signed_message(
    request_id: str,
    method: str,
    parameters: list[Parameter],
    key: str,
    sign: Sign,
    timestamp_ms: int,
    recv_window_ms: int,
) -> str:
    """A signed request of the WebSocket API.

    Its signature is over the parameters in alphabetical order, unlike REST, which signs them as they come.
    """
    params = dict(parameters) | {"apiKey": key, "recvWindow": recv_window_ms, "timestamp": timestamp_ms}
    params["signature"] = sign("&".join([f"{name}={params[name]}" for name in sorted(params)]))
    return msgspec.json.encode({"id": request_id, "method": method, "params": params}).decode()
