"""What a clip of the world is: its specification, the facts that an observer may state, and the truth behind them.

`ClipSpec` is drawn (or parsed from a prompt) before the simulation; `Facts` are read off the finished simulation and
are the only thing that captions may speak of; `Truth` is the whole log.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Richness of clips unless another is asked for: what the smallest model can follow (docs/log.md). Raise it with the
#: model.
CALM = 0.15
FPS = 24  #: simulation log and full frame rate; training clips take every second frame

# Columns of the geometry table that the renderer draws, float32 [N, GEOM_WIDTH] for each frame.
GEOM_TYPE = 0  # 0 sphere, 1 box, 2 cylinder (axis z), 3 capsule (axis z), 4 ellipsoid
GEOM_POS = slice(1, 4)  # centre, world metres, z up
GEOM_ROT = slice(4, 13)  # world-from-local rotation, row major
GEOM_SIZE = slice(13, 16)  # half sizes as MuJoCo's geom size
GEOM_RGB = slice(16, 19)  # linear albedo
GEOM_MATERIAL = 19  # index into render.SURFACES
GEOM_EMISSION = 20  # 0..1
GEOM_OBJECT = 21  # 0 scenery, k = subject k (1-based)
GEOM_SEED = 22  # texture seed in [0, 1)
GEOM_RADIUS = 23  # bounding sphere
GEOM_WIDTH = 24

# Control channels per frame: camera velocity in camera axes, then the acting subject's action.
CONTROLS = ("cam_vx", "cam_vy", "cam_vz", "cam_wx", "cam_wy", "cam_wz", "steer", "throttle", "jump", "grasp")


def _swap_sides(words: str) -> str:
    sides = {"left": "right", "right": "left"}
    return " ".join(sides.get(word, word) for word in words.split(" "))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One captioned thing. `kind` is in vocabulary.KINDS; `material` is None where it means nothing (a bird)."""

    kind: str
    color: str
    material: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """Everything that is decided before the simulation. Equal specs give equal clips on one machine."""

    seed: int
    setting: str
    event: str
    style: str = "photo"
    camera: str = "static"
    time: str | None = None  # None in vocabulary.TIMELESS settings
    subjects: tuple[Subject, ...] = ()
    relation: str | None = None
    direction: str | None = None  # "left" | "right": towards which side of the picture, as the viewer sees it
    seconds: float = 4.0
    richness: float = CALM  # 0 calm backdrop without clutter .. 1 everything the setting has
    steered: bool = False  # whether the subject is steered, left and right, over the clip
    stops: bool = False  # of a ride: whether the key is let go for a while, once or twice

    @staticmethod
    def from_json(data: dict[str, Any]) -> ClipSpec:
        """Of `asdict`, as shards keep it."""
        return ClipSpec(**data | {"subjects": tuple(Subject(**s) for s in data["subjects"])})


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is seen and happened between two moments of a clip. Captions are worded from this and nothing else."""

    setting: str
    time: str | None
    style: str
    camera: str
    event: str
    outcome: str | None  # one of vocabulary.EVENTS[event][1]; None for a single frame
    subjects: tuple[Subject, ...] = ()
    count: int | None = None
    fallen: int | None = None
    direction: str | None = None
    relation: str | None = None
    works: tuple[str, ...] = ()
    seconds: float = 0.0
    turns: tuple[str, ...] = ()  # "left" | "right" as the subject itself sees it, one after the other

    def to_json(self) -> dict[str, object]:
        return dataclasses.asdict(self)

    def mirrored(self) -> Facts:
        """Facts of the horizontally flipped clip: left and right change places, a wall of works reads the other way."""
        return dataclasses.replace(
            self,
            camera=_swap_sides(self.camera),
            direction=None if self.direction is None else _swap_sides(self.direction),
            relation=None if self.relation is None else _swap_sides(self.relation),
            works=self.works[::-1] if self.event == "paintings" else self.works,
            turns=tuple(_swap_sides(turn) for turn in self.turns),
        )

    @staticmethod
    def from_json(data: dict[str, object]) -> Facts:
        d = dict(data)
        d["subjects"] = tuple(Subject(**s) for s in d.get("subjects", ()))  # type: ignore[attr-defined]
        d["works"] = tuple(d.get("works", ()))  # type: ignore[arg-type]
        d["turns"] = tuple(d.get("turns", ()))  # type: ignore[arg-type]
        return Facts(**d)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole camera. Axes are unit vectors in the world; `focal` is 1 / tan(vertical field of view / 2)."""

    origin: NDArray[np.float32]  # [3]
    forward: NDArray[np.float32]  # [3]
    right: NDArray[np.float32]  # [3]
    up: NDArray[np.float32]  # [3]
    focal: float


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The setting as the renderer sees it."""

    setting: str
    time: str | None
    sun: NDArray[np.float32]  # [3] unit vector towards the sun
    sun_rgb: NDArray[np.float32]
    sky_top: NDArray[np.float32]
    sky_horizon: NDArray[np.float32]
    ambient: NDArray[np.float32]
    fog: float
    richness: float
    seed: float
    lights: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 7), np.float32))  # [<=4, xyz rgb power]
    snow: float = 0.0  # 0..1 density of falling snow
    wind: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The log of one simulation at FPS. S subjects, T frames, N geoms."""

    spec: ClipSpec
    environment: Environment
    geoms_TNG: NDArray[np.float32]
    cameras: tuple[Camera, ...]
    pos_TS3: NDArray[np.float32]
    quat_TS4: NDArray[np.float32]
    vel_TS6: NDArray[np.float32]  # linear then angular, world axes
    controls_TK: NDArray[np.float32]  # [T, len(CONTROLS)]
    contacts: tuple[tuple[float, str, str, float, tuple[float, float, float]], ...]  # time, a, b, force N, position
    extra: dict[str, object] = field(default_factory=dict)  # what an event's observer needs besides


def held_out(spec: ClipSpec, share: float = 0.1) -> bool:
    """Whether this combination of attributes is kept from training, by a stable hash of what defines it.

    The combination is (event, setting, main subject's kind and colour). Style, camera and time vary freely on both
    sides, so every single attribute is seen in training; only the combination is not.
    """
    main = spec.subjects[0] if spec.subjects else None
    key = "|".join([spec.event, spec.setting, main.kind if main else "-", main.color if main else "-"])
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32
