"""What a prompt leaves open, filled in as the world would have it: a short prompt becomes a whole scene.

The table holds scenes that the model was shown, slot by slot (tools/build_scenes.py). One is drawn that agrees with all
that was said, and lends what was not: so that "a red ball" is a red ball somewhere, doing something, in one style. What
was said is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.errors import CheckpointError

#: A scene that says otherwise in one of these is another scene; of the rest only what is open is taken.
DEFINING = ("event", "setting", "kind", "kind2", "relation", "direction", "count", "outcome", "work1")
#: What every scene can have, if none of the table agrees with what was said.
PLAIN = {"style": "photo", "camera": "static"}


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Rows [n, slots] of indices into the slots' values; 0 is a slot that a scene does not have."""

    slots: dict[str, tuple[str, ...]]
    rows: NDArray[np.int16]

    def add(self, said: Mapping[str, str], seed: int) -> dict[str, str]:
        """Slot -> value of what was left open, by a scene that agrees with `said`; the same for the same seed.

        Among the scenes that agree in what defines one, those are preferred that agree in the most of the rest.
        """
        names = list(self.slots)
        told = {name: self.slots[name].index(value) + 1 for name, value in said.items() if value in self.slots[name]}
        fits = np.ones(len(self.rows), bool)
        near = np.zeros(len(self.rows))
        for name, value in told.items():
            column = self.rows[:, names.index(name)] == value
            if name in DEFINING:
                fits &= column
            near += column
        if not fits.any():
            return {name: value for name, value in PLAIN.items() if name not in said}
        candidates = np.flatnonzero(fits & (near == near[fits].max()))
        row = self.rows[np.random.default_rng([seed, 3]).choice(candidates)]
        found = {name: self.slots[name][index - 1] for name, index in zip(names, row, strict=True) if index}
        return {name: value for name, value in found.items() if name not in said}


def read_scenes(path: Path) -> Scenes:
    """Raises CheckpointError for a table that is missing or damaged."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        slots = {str(name): tuple(values) for name, values in table["slots"].items()}
        rows = np.array([[int(n) for n in row.split()] for row in table["rows"]], np.int16)
        if rows.ndim != 2 or rows.shape[1] != len(slots):
            raise ValueError(f"rows of {rows.shape[1:]} for {len(slots)} slots")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); reinstall haneul") from error
    return Scenes(slots=slots, rows=rows)
