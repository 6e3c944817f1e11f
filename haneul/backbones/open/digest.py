"""One number that names all weights of a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from haneul.backbones.open.folder import Checkpoint

_BLOCK = 2**22


def digest(checkpoint: Checkpoint, known: Path | None = None, added: Sequence[Path] = ()) -> str:
    """SHA-256 over the names and SHA-256s of all files of weights, and of what is `added` to them.

    Gigabytes take a while, so what was found once is kept in the file `known`, by path, size and time of change. A file
    in the hub's cache lies under its own SHA-256, which is then taken from there.
    """
    table: dict[str, str] = {}
    if known is not None and known.is_file():
        try:
            table = {str(k): str(v) for k, v in json.loads(known.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, AttributeError):
            table = {}
    before, whole = dict(table), hashlib.sha256()
    names = [(path.relative_to(checkpoint.folder).as_posix(), path) for path in checkpoint.weights]
    for name, path in [*names, *((f"+{path.name}", path) for path in added)]:
        real = path.resolve()
        stat = real.stat()
        key = f"{real}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in table:
            table[key] = real.name if _is_digest(real) else _file(real)
        whole.update(f"{name} {table[key]}\n".encode())
    if known is not None and table != before:
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(table), encoding="utf-8")
    return whole.hexdigest()


def _is_digest(path: Path) -> bool:
    return path.parent.name == "blobs" and len(path.name) == 64 and set(path.name) <= set("0123456789abcdef")


def _file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
