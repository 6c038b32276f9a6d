"""Names by content: hashes that anybody can recompute from the text that is stored. Pure; standard library only."""

import hashlib
import json
from typing import Any, Final

from ringfence_operator.api.tradingsystem import Strategy

LIMITS_DIGITS: Final = 10
REVISION_DIGITS: Final = 8


def canonical_json(document: Any) -> str:
    """Compact JSON with sorted keys: equal documents give equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(text: str, digits: int = LIMITS_DIGITS) -> str:
    """First hex digits of the SHA-256 of a text as UTF-8. Store exactly this text: readers hash it again."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def revision_json(strategy: Strategy) -> str:
    """What changes a strategy's behaviour, as canonical JSON.

    Named field by field: a field that a later version adds with a default must not turn every running system into a
    new revision, which would have to start again on paper. The order of instruments means nothing.
    """
    instruments = sorted((found.venue, found.symbol) for found in strategy.instruments)
    return canonical_json(
        {
            "image": strategy.image,
            "class": strategy.strategy_class,
            "parameters": dict(strategy.parameters),
            "instruments": [{"venue": venue, "symbol": symbol} for venue, symbol in instruments],
        }
    )


def revision_hash(strategy: Strategy) -> str:
    """Name of a strategy revision: the first eight hex digits of the hash of `revision_json`."""
    return content_hash(revision_json(strategy), REVISION_DIGITS)
