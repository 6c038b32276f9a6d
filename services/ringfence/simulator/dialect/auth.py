"""Who is asking: API keys, HMAC-SHA256 and Ed25519 signatures, and the receive window. Pure."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.simulator.dialect import errors
from ringfence.simulator.dialect.errors import ApiError

AHEAD_MAX_MS: Final = 1_000
RECV_WINDOW_MS: Final = 5_000
RECV_WINDOW_MAX_MS: Final = 60_000
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_MICROSECONDS_FROM: Final = 100_000_000_000_000


class Credential(msgspec.Struct, frozen=True):
    """An API key of one account."""

    api_key: str
    api_secret: str
    """The shared secret, or the PEM of an Ed25519 public key."""
    account: str

    def __repr__(self) -> str:
        return f"Credential(account={self.account!r})"


def sign(secret: str, payload: str) -> str:
    """Hex HMAC-SHA256 of what is signed."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def verified(secret: str, payload: str, signature: str) -> bool:
    """Whether this secret, or the private half of this public key, has signed it."""
    if not secret.startswith("-----BEGIN PUBLIC KEY"):
        return hmac.compare_digest(sign(secret, payload).encode(), signature.lower().encode())
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(secret.encode())
    if not isinstance(key, Ed25519PublicKey):
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), payload.encode())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def rest_payload(query: str, body: str) -> str:
    """What a REST request signs: query and body as they were sent, one after the other, without the signature."""
    return _unsigned(query) + _unsigned(body)


def ws_payload(params: Mapping[str, str]) -> str:
    """What a WebSocket API request signs: its parameters in alphabetical order."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def credential(credentials: Mapping[str, Credential], api_key: str | None) -> Credential:
    """Whose key this is. Raises ApiError."""
    if not api_key or _KEY.fullmatch(api_key) is None:
        raise ApiError(*errors.KEY_FORMAT, status=401)
    found = credentials.get(api_key)
    if found is None:
        raise ApiError(*errors.KEY_REJECTED, status=401)
    return found


def check(owner: Credential, params: Mapping[str, str], payload: str, now_ms: int) -> None:
    """Signature first, then the time. Raises ApiError."""
    signature = params.get("signature")
    if not signature:
        raise errors.missing("signature")
    if not verified(owner.api_secret, payload, signature):
        raise ApiError(*errors.SIGNATURE)
    timestamp = params.get("timestamp", "")
    if _NUMBER.fullmatch(timestamp) is None:
        raise errors.missing("timestamp")
    sent_ms = int(timestamp)
    if sent_ms >= _MICROSECONDS_FROM:
        sent_ms //= 1_000
    window = params.get("recvWindow", str(RECV_WINDOW_MS))
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", window) is None:
        raise errors.illegal("recvWindow", "^[0-9]{1,5}$")
    window_ms = int(window.partition(".")[0])
    if window_ms > RECV_WINDOW_MAX_MS:
        raise ApiError(*errors.RECV_WINDOW)
    if sent_ms >= now_ms + AHEAD_MAX_MS:
        raise ApiError(*errors.TIMESTAMP_AHEAD)
    if now_ms - sent_ms > window_ms:
        raise ApiError(*errors.TIMESTAMP_OUTSIDE)


def _unsigned(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))
