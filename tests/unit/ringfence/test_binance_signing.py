"""Signatures against published vectors."""

import base64

import pytest

from ringfence.venues.binance import calls
from ringfence.venues.binance.request import signed_query
from ringfence.venues.binance.signing import signer

PKCS8_LEAD = bytes.fromhex("302e020100300506032b657004220420")
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pem(body: bytes) -> str:
    return f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(body).decode()}\n-----END PRIVATE KEY-----"


def test_ed25519_signs_as_rfc_8032_says() -> None:
    """Test 2 of section 7.1: the message is one byte, the letter r."""
    assert base64.b64decode(signer(pem(PKCS8_LEAD + SEED))("r")) == SIGNATURE


def test_a_base64_signature_is_percent_encoded_in_a_query() -> None:
    """Plus, slash and equals sign mean other things there."""
    query = signed_query(calls.query_account(), lambda _: "a+b/c==", 7, 5000)
    assert query.endswith("&signature=a%2Bb%2Fc%3D%3D")


@pytest.mark.parametrize("body", [b"", b"nonsense", PKCS8_LEAD + SEED[:-1]])
def test_a_private_key_that_cannot_be_used_is_an_error_that_does_not_show_it(body: bytes) -> None:
    with pytest.raises(ValueError, match="private key cannot be read") as caught:
        signer(pem(body))
    assert caught.value.__cause__ is None
    assert base64.b64encode(body).decode() not in str(caught.value) or not body
