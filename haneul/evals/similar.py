"""How close a video is to the clips that a model learned from: its nearest ones among the attribute reader's features.

What a distance means is measured on the training clips themselves, and kept in the index: how far each lies from its
nearest other one (no copy), and how far from itself after it went through a lossy codec (a copy). So the statement is
one about shares: "as near as only 1 of 100 training clips is to another".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from haneul.data.shards import iterate
from haneul.errors import InputError
from haneul.evals.data import smeared
from haneul.evals.reader import Reader, read
from haneul.video.io import atomic_output, read_video

Closeness = Literal["ordinary", "close", "near copy"]
COPY: Final = 0.95  #: share of copies that are called so
CLOSE: Final = 0.05  #: share of the training clips that are called close to another
CALIBRATED: Final = 300  #: copies that are made to know how far copies are
FEWEST: Final = 8  #: clips


@dataclass(frozen=True, kw_only=True)
class Index:
    """Features float32 [n, D] of n training clips in units of their own spread, their names, and what distances mean:
    `others` [n] from each to its nearest other one, `copies` [m] from some to their own copies, both sorted."""

    features: NDArray[np.float32]
    names: list[str]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    others: NDArray[np.float32]
    copies: NDArray[np.float32]

    @property
    def copy_distance(self) -> float:
        """Nearer than this is a near copy: as most copies are, but no more than 1 of 100 different clips."""
        return min(float(np.quantile(self.copies, COPY)), float(np.quantile(self.others, 0.01)))

    @property
    def close_distance(self) -> float:
        """Nearer than this is close."""
        return max(float(np.quantile(self.others, CLOSE)), self.copy_distance)

    @property
    def caught(self) -> float:
        """Share of real copies that are called near copies."""
        return float((self.copies <= self.copy_distance).mean())


@dataclass(frozen=True, kw_only=True)
class Similar:
    """The nearest training clips, name -> distance, nearest first, and what it means."""

    closeness: Closeness
    nearest: list[tuple[str, float]]
    share: float  #: of the training clips that are at least as near to another one
    caught: float  #: share of real copies that are called near copies by this index

    def text(self) -> str:
        lines = [f"{self.closeness}: {100 * self.share:.1f}% of the training clips are as near to another one"]
        lines += [f"  {name}: distance {distance:.2f}" for name, distance in self.nearest]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def build_index(
    reader: Reader, folder: Path, output: Path, tick: Callable[[int], None] = lambda done: None
) -> Index:  # fmt: skip
    """Index the rendered clips of a folder (`haneul world render`), and write it. Raises InputError for too few."""
    rng = np.random.default_rng(0)
    rows: list[NDArray[np.float64]] = []
    again: list[NDArray[np.float64]] = []
    which: list[int] = []
    names: list[str] = []
    for path, shard in iterate(folder):
        videos = list(shard.video_nTHW3)
        rows.append(read(reader, videos).features)
        chosen = [i for i in range(len(videos)) if len(which) < CALIBRATED and (i % 4 == 0)]
        if chosen:
            again.append(read(reader, [smeared(videos[i], rng) for i in chosen]).features)
            which += [len(names) + i for i in chosen]
        names += [f"{path.stem}:{i}" for i in range(len(videos))]
        tick(len(names))
    if len(names) < FEWEST:
        raise InputError(f"{folder} holds {len(names)} clips; at least {FEWEST} are needed to say what is near")
    features = np.concatenate(rows)
    mean, scale = features.mean(0), features.std(0) + 1e-6
    x = ((features - mean) / scale).astype(np.float32)
    copies = np.linalg.norm((np.concatenate(again) - mean) / scale - x[which], axis=1)
    index = Index(
        features=x, names=names, mean=mean.astype(np.float32), scale=scale.astype(np.float32),
        others=np.sort(_nearest_other(x)), copies=np.sort(copies).astype(np.float32),
    )  # fmt: skip
    with atomic_output(output, overwrite=True) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file, features=x.astype(np.float16), names=np.array(names), mean=index.mean, scale=index.scale,
            others=index.others, copies=index.copies,
        )  # fmt: skip
    return index


def _nearest_other(x: NDArray[np.float32], block: int = 1024) -> NDArray[np.float32]:
    """Distance of each row to its nearest other one."""
    square = (x * x).sum(1)
    found = []
    for first in range(0, len(x), block):
        some = x[first : first + block]
        distance = square[first : first + block, None] + square - 2 * some @ x.T
        distance[np.arange(len(some)), first + np.arange(len(some))] = np.inf
        found.append(np.sqrt(np.maximum(distance.min(1), 0)))
    return np.concatenate(found).astype(np.float32)


def load_index(path: Path) -> Index:
    """Raises InputError when there is none, or it is damaged."""
    try:
        with np.load(path) as z:
            return Index(
                features=z["features"].astype(np.float32), names=[str(name) for name in z["names"]], mean=z["mean"],
                scale=z["scale"], others=z["others"], copies=z["copies"],
            )  # fmt: skip
    except FileNotFoundError:
        raise InputError(
            f"there is no index of training clips {path}; make one with: haneul eval index CLIPS -o {path}"
        ) from None
    except Exception as error:
        raise InputError(f"the index {path} cannot be read ({error}); make it anew with: haneul eval index") from error


def similar(reader: Reader, index: Index, file: Path, count: int = 5) -> Similar:
    """The training clips that are nearest to a video, and what the distance means. Raises InputError."""
    features = read(reader, [read_video(file).frames]).features[0]
    distances = np.linalg.norm((features - index.mean) / index.scale - index.features, axis=1)
    order = np.argsort(distances)[:count]
    nearest = float(distances[order[0]])
    closeness: Closeness = (
        "near copy" if nearest <= index.copy_distance else "close" if nearest <= index.close_distance else "ordinary"
    )
    return Similar(
        closeness=closeness,
        nearest=[(index.names[i], round(float(distances[i]), 3)) for i in order],
        share=float((index.others <= nearest).mean()),
        caught=index.caught,
    )
