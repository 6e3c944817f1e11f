"""Who the clips come from, and one hash that names a whole data set.

Every clip has an entry: the hash of its pixels, where it comes from and under which terms. The Merkle root over the
entries goes into every checkpoint's card and from there into the credentials of every video, so that "what did it learn
from" has an answer that can be checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from haneul.errors import InputError


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


LEDGER = "ledger.npz"  #: the ledger of simulated clips, beside a run's state or the weights that came of it


def write_seeds(path: Path, ledger: dict[int, bytes]) -> None:
    """Write the ledger of simulated clips, atomically: the seeds that each can be made again from, and its leaves."""
    seeds = sorted(ledger)
    leaves = np.frombuffer(b"".join(ledger[s] for s in seeds), np.uint8).reshape(-1, 32)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as f:
        np.savez_compressed(f, seeds=np.array(seeds, np.int64), leaves=leaves)
    temporary.replace(path)


def read_seeds(path: Path) -> dict[int, bytes]:
    """Seed -> leaf of a ledger that `write_seeds` wrote, by rising seeds. Raises InputError when it is none."""
    try:
        with path.open("rb") as f, np.load(f) as z:
            seeds, leaves = z["seeds"].tolist(), z["leaves"]
            return dict(zip(seeds, (leaf.tobytes() for leaf in leaves), strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no ledger of clips ({error})") from error


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
