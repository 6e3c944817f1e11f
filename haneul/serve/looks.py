"""What a character looks like, in words that the model knows: read off its clip by the attribute reader."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.serve.database import Tables
from haneul.serve.store import Store

if TYPE_CHECKING:
    from haneul.evals.reader import Reader


class Looks:
    """Reads each character once and remembers it in the table."""

    def __init__(self, database: Tables, store: Store) -> None:
        self.db, self.store = database, store

    def __call__(self, identity: str) -> str:
        row = self.db.connection.execute("SELECT clip, look FROM characters WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise InputError("a character that the prompt mentions is not there any more")
        if row["look"] is None:
            look = self._read(row["clip"])
            with self.db.write() as sql:
                sql.execute("UPDATE characters SET look = ? WHERE id = ?", (look, identity))
            return look
        return str(row["look"])

    def _read(self, clip: str) -> str:
        from haneul.video.io import read_video

        return words_of(seen(read_video(self.store.local(clip)).frames))


def seen(video_THW3: NDArray[np.uint8]) -> dict[str, str]:
    """What the attribute reader says of a clip, by the names of what it reads."""
    from haneul.evals.data import ATTRIBUTES, NAMES
    from haneul.evals.reader import read

    answers = read(_reader(), [video_THW3]).answers[0]
    return {name: ATTRIBUTES[name][answer] for name, answer in zip(NAMES, answers, strict=True)}


def words_of(found: dict[str, str]) -> str:
    """The words for what was `seen`. Raises InputError where it was nothing."""
    from haneul.evals.data import NONE

    words = [found[name] for name in ("color", "kind") if found[name] != NONE]
    if not words:
        raise InputError("no subject could be made out in the clip of the character; give one that shows it well")
    return " ".join(words)


@lru_cache(maxsize=1)
def _reader() -> Reader:
    from haneul.backbones.native import BUNDLED
    from haneul.evals.reader import load_reader

    return load_reader(BUNDLED / "reader.safetensors")
