"""Signatures of requests: HMAC-SHA256 with a shared secret, or Ed25519 with a private key of our own. Pure.

An Ed25519 key is known by its PEM header; the venue holds only its public half, so nothing that leaks there can
sign for us. Signatures are case-sensitive base64 for Ed25519 and hex for HMAC.
"""

import base64
import hmac
from collections.abc import Callable
from typing import Final

Sign = Callable[[str], str]
"""What the venue has signed to its signature, before percent-encoding."""
PEM_LEAD: Final = "-----BEGIN"


def signer(secret: str) -> Sign:
    """How this secret signs. Raises ValueError, without what is in it, for a private key that cannot be used."""
    return _ed25519(secret) if secret.startswith(PEM_LEAD) else _hmac(secret.encode())


def _hmac(secret: bytes) -> Sign:
    def sign(payload: str) -> str:
        return hmac.digest(secret, payload.encode(), "sha256").hex()

    return sign


def _ed25519(pem: str) -> Sign:
    # loaded only where such a key is used: it costs several MB of memory
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the private key cannot be read: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the private key is no Ed25519 key")  # noqa: TRY004 - of a document, not of a type

    def sign(payload: str) -> str:
        return base64.b64encode(key.sign(payload.encode())).decode()

    return sign
