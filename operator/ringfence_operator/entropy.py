"""Where randomness comes from: Secrets that are made once. Builders and decisions never see it, only its results."""

import random
import secrets
from typing import Protocol

import zmq


class Entropy(Protocol):
    """New random content for one Secret, by what the Secret is for."""

    def content(self, kind: str) -> dict[str, str]: ...


class SystemEntropy:
    """The operating system's randomness."""

    def content(self, kind: str) -> dict[str, str]:
        """``curve``: a CurveZMQ key pair; ``kill-token``: 32 bytes; ``credentials``: a simulated account's key."""
        if kind == "curve":
            public, secret = zmq.curve_keypair()
            return {"public": public.decode(), "secret": secret.decode()}
        if kind == "kill-token":
            return {"token": secrets.token_hex(32)}  # sim-ok: made once, kept in a Secret
        if kind == "credentials":
            return {"api-key": secrets.token_hex(32), "api-secret": secrets.token_hex(32)}  # sim-ok: as above
        raise ValueError(f"no Secret is of kind {kind!r}")


def jitter() -> random.Random:
    """For pauses between retries, where equal numbers would let everybody come back at once."""
    return random.Random()  # sim-ok: spreads retries, decides nothing
