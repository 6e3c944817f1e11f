"""Who the clips come from, and one hash that names a whole data set.

Every clip has an entry: the hash of its pixels, where it comes from and under which terms. The Merkle root over the
entries goes into every checkpoint's card and from there into the credentials of every video, so that "what did it learn
from" has an answer that can be checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip of a data set. `consent` says on what ground it may be trained on."""

    sha256: str
    source: str
    licence: str
    rights_holder: str
    consent: str

    def digest(self) -> bytes:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()


def simulated(pixels: bytes, seed: int) -> Entry:
    """The entry of a clip that our own world rendered: nobody else has rights in it."""
    return Entry(
        sha256=hashlib.sha256(pixels).hexdigest(),
        source=f"haneul.world seed {seed}",
        licence="Apache-2.0",
        rights_holder="the Haneul authors",
        consent="simulated; no third-party material",
    )


def merkle_root(leaves: Iterable[bytes]) -> str:
    """Hex SHA-256 Merkle root (RFC 6962 tree: leaves and nodes are prefixed by 0 and 1, an odd node moves up)."""
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        level = pairs
    return level[0].hex()
