"""A country without an end: what stands where, as a function of a seed alone.

The ground is cut into cells, and each cell draws by its own random numbers whether something stands in it, what, and
how it looks. So a place that was left is the same when somebody comes back, and nothing has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haneul.world.scene import CALM, ClipSpec
from haneul.world.scenery import cactus, fir, fir_looks, glowing_sign, tree
from haneul.world.stage import Look, Stage

STREAM = 8  #: of a seed's random numbers
FULL = 0.6  #: share of the cells in which something stands
_KEPT = 4096  #: cells that are remembered

Put = Callable[[Stage, float, float, np.random.Generator], None]


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that stands at (x, y) and reaches `near` metres around; `rows` [N, GEOM_WIDTH] are its geoms."""

    x: float
    y: float
    near: float
    rows: NDArray[np.float32]


class Country:
    """What stands in a setting around wherever one is. Settings without such things are empty."""

    def __init__(self, setting: str, seed: int) -> None:
        self._seed = seed
        spec = ClipSpec(seed=seed, setting=setting, event="car", richness=CALM)
        self._stage = Stage(spec=spec, rng=np.random.default_rng(seed))  # where things are made, one at a time
        make = _THINGS.get(setting)
        self.empty = make is None
        if make is not None:
            self.gap, self.near, self._put = make(np.random.default_rng([seed, STREAM]))
        self._cells: dict[tuple[int, int], Thing | None] = {}

    def within(self, low: tuple[float, float], high: tuple[float, float]) -> Iterator[Thing]:
        """All that stands in the cells that a rectangle touches, metres."""
        if self.empty:
            return
        (i0, j0), (i1, j1) = (np.floor(np.array(edge) / self.gap).astype(int) for edge in (low, high))
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                thing = self._cell(i, j)
                if thing is not None:
                    yield thing

    def _cell(self, i: int, j: int) -> Thing | None:
        if (i, j) not in self._cells:
            if len(self._cells) >= _KEPT:
                self._cells.clear()
            self._cells[i, j] = self._made(i, j)
        return self._cells[i, j]

    def _made(self, i: int, j: int) -> Thing | None:
        rng = np.random.default_rng([self._seed, STREAM, i % 2**32, j % 2**32])
        if rng.random() >= FULL:
            return None
        x, y = (np.array([i, j]) + 0.5 + rng.uniform(-0.38, 0.38, 2)) * self.gap
        self._stage.rows, self._stage.lights = [], []
        self._put(self._stage, float(x), float(y), rng)
        return Thing(x=float(x), y=float(y), near=self.near, rows=np.array(self._stage.rows, np.float32))


# ------------------------------------------------------------------------------- what: metres between, reach, how


def _desert(rng: np.random.Generator) -> tuple[float, float, Put]:
    look = Look(rgb=(0.09, 0.26, 0.08), surface="foliage", seed=rng.uniform())
    return 4.5, 0.4, lambda stage, x, y, r: cactus(stage, x, y, r.uniform(0.5, 0.9), look, r)


def _snow(rng: np.random.Generator) -> tuple[float, float, Put]:
    bark, needles = fir_looks(rng)
    return 4.2, 0.5, lambda stage, x, y, r: fir(stage, x, y, r.uniform(0.6, 1.1), bark, needles)


def _forest(rng: np.random.Generator) -> tuple[float, float, Put]:
    green = (0.06, rng.uniform(0.2, 0.3), 0.05)
    return 3.6, 0.6, lambda stage, x, y, r: tree(stage, x, y, r.uniform(0.6, 0.95), green, r)


def _stones(rgb: tuple[float, float, float], surface: str, gap: float) -> Callable[..., tuple[float, float, Put]]:
    def things(rng: np.random.Generator) -> tuple[float, float, Put]:
        look = Look(rgb=rgb, surface=surface, seed=rng.uniform())

        def put(stage: Stage, x: float, y: float, r: np.random.Generator) -> None:
            tall = r.uniform(0.5, 1.2)
            if r.random() < 0.5:
                stage.fixture("column", "cylinder", (x, y, tall), (0.28, tall), look)
            else:
                stage.fixture("block", "box", (x, y, tall / 2), (0.7, 0.35, tall / 2), look)

        return gap, 0.6, put

    return things


def _towers(blue: float) -> Callable[..., tuple[float, float, Put]]:
    def things(rng: np.random.Generator) -> tuple[float, float, Put]:
        def put(stage: Stage, x: float, y: float, r: np.random.Generator) -> None:
            tone, half, tall = r.uniform(0.04, 0.12), r.uniform(1.0, 1.7), r.uniform(1.5, 4.0)
            look = Look(rgb=(tone, tone, tone * blue), surface="building", seed=r.uniform())
            stage.fixture("tower", "box", (x, y, tall), (half, half, tall), look)
            if r.random() < 0.35:
                color = str(r.choice(("pink", "cyan", "orange")))
                glowing_sign(stage, (x, y - half - 0.06, r.uniform(1.0, 2.2)), (0.5, 0.4), color, r, power=0.0)

        return 6.5, 1.7, put

    return things


_THINGS: dict[str, Callable[..., tuple[float, float, Put]]] = {
    "desert": _desert,
    "snowy field": _snow,
    "forest": _forest,
    "tiled plaza": _stones((0.55, 0.53, 0.50), "plaster", 5.5),
    "brick courtyard": _stones((0.46, 0.18, 0.11), "brick", 5.5),
    "neon street": _towers(1.1),
    "cyberpunk city": _towers(1.5),
}
