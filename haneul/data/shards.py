"""Shards of raw clips on disk: one uncompressed .npz of equal-sized clips each, and a manifest over them.

A shard holds, for n clips: `video` uint8 [n, T, H, W, 3] at the training frame rate, `coverage` uint8 [n, T, h, w, 2]
(how much of each 16x16 patch the first and the other subjects cover, 0..255), `controls` float16 [n, T24, K] and
`meta`, a JSON list with one record for each clip: specification, facts of every window, ledger entry, visible pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.data.ledger import Entry, merkle_root
from haneul.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Shard:
    video_nTHW3: NDArray[np.uint8]
    coverage_nThw2: NDArray[np.uint8]
    controls_nTK: NDArray[np.float16]
    meta: list[dict[str, Any]]


def write_shard(path: Path, shard: Shard) -> None:
    """Write atomically: a shard with its final name is whole."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as f:
            np.savez(
                f,
                video=shard.video_nTHW3,
                coverage=shard.coverage_nThw2,
                controls=shard.controls_nTK,
                meta=np.frombuffer(json.dumps(shard.meta, ensure_ascii=False).encode(), np.uint8),
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_shard(path: Path) -> Shard:
    """Raises InputError when the file is no shard."""
    try:
        with path.open("rb") as f, np.load(f) as z:
            return Shard(
                video_nTHW3=z["video"],
                coverage_nThw2=z["coverage"],
                controls_nTK=z["controls"],
                meta=json.loads(z["meta"].tobytes()),
            )
    except Exception as err:
        raise InputError(f"{path} is not a readable shard ({err}); delete it and render again") from err


def shard_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.npz"))


def read_meta(path: Path) -> list[dict[str, Any]]:
    """Only the records of a shard, without its pixels; raises InputError as `read_shard`."""
    try:
        with path.open("rb") as f, np.load(f) as z:
            data: list[dict[str, Any]] = json.loads(z["meta"].tobytes())
    except Exception as err:
        raise InputError(f"{path} is not a readable shard ({err}); delete it and render again") from err
    return data


def write_manifest(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Hash all shards and write manifest.json; returns it. `facts` (recipe, seed, ...) are kept in it."""
    shards: list[dict[str, Any]] = []
    leaves: list[bytes] = []
    for path in shard_paths(folder):
        meta = read_meta(path)
        leaves += [Entry(**m["ledger"]).digest() for m in meta]
        digest = hashlib.sha256()
        with path.open("rb") as f:
            for block in iter(lambda: f.read(1 << 22), b""):
                digest.update(block)
        shards.append({"file": path.name, "clips": len(meta), "sha256": digest.hexdigest()})
    manifest = {
        "format": "haneul-shards-1",
        "clips": sum(s["clips"] for s in shards),
        "ledger_root": merkle_root(leaves),
        **facts,
        "shards": shards,
    }
    temporary = folder / "manifest.tmp"
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    temporary.replace(folder / "manifest.json")
    return manifest


def iterate(folder: Path) -> Iterator[tuple[Path, Shard]]:
    """Every shard in order; raises InputError when there is none."""
    paths = shard_paths(folder)
    if not paths:
        raise InputError(f"{folder} holds no shards; make some with: haneul world render {folder}")
    for path in paths:
        yield path, read_shard(path)
