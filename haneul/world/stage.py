"""The stage of one clip: bodies that MuJoCo moves, puppets that a formula moves, and fixtures that stand still.

An event's builder fills a `Stage`; `physics` compiles and runs it. Lengths are metres, angles radians, z is up, the
ground is the plane z = 0 and the camera looks roughly along +y, so +x is the viewer's right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from haneul.world.scene import (
    FPS,
    GEOM_EMISSION,
    GEOM_MATERIAL,
    GEOM_OBJECT,
    GEOM_POS,
    GEOM_RADIUS,
    GEOM_RGB,
    GEOM_ROT,
    GEOM_SEED,
    GEOM_SIZE,
    GEOM_TYPE,
    GEOM_WIDTH,
    ClipSpec,
)
from haneul.world.surfaces import SURFACES
from haneul.world.vocabulary import COLORS, MATERIALS

Array = NDArray[Any]  # of floats
Vector = Sequence[float] | Array
#: Called once per physics step with the simulation time; it writes controls, forces or mocap poses.
Actuate = Callable[[float], None]

TYPES = {"sphere": 0, "box": 1, "cylinder": 2, "capsule": 3, "ellipsoid": 4}
SHAPE_TYPES = {"ball": "sphere", "box": "box", "cylinder": "cylinder", "capsule": "capsule"}
#: Share of the speed that is left after a bounce on hard ground.
RESTITUTION = {"rubber": 0.88, "plastic": 0.84, "wood": 0.80, "metal": 0.76, "marble": 0.72, "neon": 0.83}
FRICTION = {"rubber": 1.0, "plastic": 0.5, "wood": 0.6, "metal": 0.4, "marble": 0.45, "neon": 0.5}
STIFFNESS_STEP = 0.36  # a contact's natural frequency times the physics step: it lasts about 9 steps, and is stable
TIMESTEP = 1.0 / 480.0
IDENTITY = np.eye(3)
# What a geom can touch: bit 1 is the ground and the fixtures, bit 2 the other solids.
ANYTHING = 'contype="3" conaffinity="3"'
SOLIDS_ONLY = 'contype="2" conaffinity="2"'
FIXED_ONLY = 'contype="1" conaffinity="1"'


def contact_spring(restitution: float, timestep: float) -> tuple[float, float]:
    """Stiffness (1/s^2) and damping (1/s) of a contact that gives back `restitution` of the speed.

    A damped oscillator over half a period; the stiffness follows from the physics step.
    """
    frequency = STIFFNESS_STEP / timestep
    log = math.log(restitution)
    return frequency**2, -2.0 * log / math.hypot(math.pi, log) * frequency


def bounding_radius(kind: str, size: Vector) -> float:
    """Radius of the sphere around a geom of type `kind` with MuJoCo half sizes `size`."""
    a, b, c = (*map(float, size), 0.0, 0.0, 0.0)[:3]
    return {
        "sphere": a,
        "box": math.hypot(a, b, c),
        "cylinder": math.hypot(a, b),
        "capsule": a + b,
        "ellipsoid": max(a, b, c),
    }[kind]


def rotation(axis: Vector, angle: float) -> Array:
    """Rotation matrix [3, 3] by `angle` around unit vector `axis` (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], float)
    return np.asarray(IDENTITY + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross))


def turns(axis: Vector, angles_T: Array) -> Array:
    """Rotation matrices [T, 3, 3] around one axis."""
    return np.array([rotation(axis, float(a)) for a in angles_T])


def quaternion(rot: Array) -> Array:
    """Unit quaternion (w, x, y, z) of a rotation matrix."""
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(rot, float).reshape(9))
    return quat


def text(values: Vector) -> str:
    """Numbers as MJCF attribute text."""
    return " ".join(f"{float(v):.6g}" for v in values)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a geom is drawn. `subject` is 0 for scenery; `surface` is a name in render.SURFACES."""

    rgb: tuple[float, float, float]
    surface: str = "plastic"
    emission: float = 0.0
    subject: int = 0
    seed: float = 0.0

    def fill(self, row: NDArray[np.float32], kind: str, size: Vector) -> None:
        """Write everything but the pose into `row` [GEOM_WIDTH]."""
        row[GEOM_TYPE] = TYPES[kind]
        row[GEOM_SIZE] = (*map(float, size), 0.0, 0.0)[:3]
        row[GEOM_RGB] = self.rgb
        row[GEOM_MATERIAL] = SURFACES.index(self.surface)
        row[GEOM_EMISSION] = self.emission
        row[GEOM_OBJECT] = self.subject
        row[GEOM_SEED] = self.seed
        row[GEOM_RADIUS] = bounding_radius(kind, size)


@dataclass(frozen=True, kw_only=True)
class Puppet:
    """A geom whose pose is given for each logged frame."""

    kind: str
    size: tuple[float, ...]
    look: Look
    pos_T3: Array
    rot_T33: Array


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A frame that moves, to which a figure's puppets are fixed."""

    stage: Stage
    pos_T3: Array
    frame_T33: Array

    def attach(self, kind: str, size: Vector, local: Array | Vector, look: Look, rot: Array = IDENTITY) -> None:
        """Add a puppet at `local` ([3] or [T, 3]) turned by `rot` ([3, 3] or [T, 3, 3]) in the rig's axes."""
        frames = len(self.pos_T3)
        offset = np.broadcast_to(np.asarray(local, float), (frames, 3))
        turn = np.broadcast_to(rot, (frames, 3, 3))
        pos = self.pos_T3 + np.einsum("tij,tj->ti", self.frame_T33, offset)
        self.stage.puppet(kind, size, look, pos, self.frame_T33 @ turn)


@dataclass(kw_only=True)
class Shot:
    """What an event asks of the camera; `framing` does the rest."""

    azimuth: float = math.radians(16)  # the middle of the clip is seen from within +- this angle
    elevation: tuple[float, float] = (math.radians(5), math.radians(15))
    height: tuple[float, float] = (0.34, 0.50)  # wanted share of the frame's height
    width: float = 1.45  # subjects stay within +- this many half frame heights (16:9 has 1.78)
    distance: float | None = None  # fixed instead of computed, with `target`
    target: Array | None = None
    ceiling: float | None = None  # subjects above this height may be out of the picture
    truck: float | None = None  # metres per second, instead of the usual share of the distance


@dataclass(kw_only=True)
class Scenery:
    """What an event asks of the scenery around it."""

    build: bool = True
    clear: float = 0.0  # nothing nearer than this behind the subjects, beyond the default margin
    sign: Array | None = None  # where a glowing sign hangs that the event speaks of


@dataclass(kw_only=True)
class Stage:
    """Collects what is on stage. Bodies are named `subject K` or `subject K.PART`."""

    spec: ClipSpec
    rng: np.random.Generator
    gravity: float = -9.81
    ground: bool = True
    grip: float = 0.3  # friction of the ground and the fixtures; of two that touch the greater counts
    timestep: float = TIMESTEP
    options: str = ""  # further attributes of MJCF's <option>
    worldbody: list[str] = field(default_factory=list)
    actuators: list[str] = field(default_factory=list)
    equalities: list[str] = field(default_factory=list)
    looks: dict[str, tuple[str, tuple[float, ...], Look]] = field(default_factory=dict)
    velocities: dict[str, Array] = field(default_factory=dict)
    members: dict[int, list[str]] = field(default_factory=dict)  # bodies of each subject
    puppets: list[Puppet] = field(default_factory=list)
    roots: dict[int, tuple[Array, Array]] = field(default_factory=dict)  # pose tracks of puppet subjects
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    lights: list[NDArray[np.float32]] = field(default_factory=list)
    focus: set[str] = field(default_factory=set)  # fixtures that the camera must show besides the subjects
    frame_only: list[tuple[Array, float]] = field(default_factory=list)  # points (with radius) that it must show
    actuate: Callable[[mujoco.MjModel, mujoco.MjData], Actuate] | None = None
    actions_T4: Array | None = None  # steer, throttle, jump, grasp
    told: tuple[Array, Array] | None = None  # of a ride: steering and throttle [T], instead of drawn ones
    shot: Shot = field(default_factory=Shot)
    scenery: Scenery = field(default_factory=Scenery)
    snow: float = 0.0
    wind: float = 0.0
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def times_T(self) -> Array:
        """Seconds of the logged frames."""
        return np.arange(round(self.spec.seconds * FPS) + 1) / FPS

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def sign(self) -> float:
        """-1 or 1, evenly."""
        return float(self.rng.choice((-1.0, 1.0)))

    @property
    def heading(self) -> float:
        """1 where the spec's direction is right, -1 where it is left, random where it is open."""
        if self.spec.direction is None:
            return self.sign()
        return 1.0 if self.spec.direction == "right" else -1.0

    def subject_look(self, index: int, surface: str | None = None) -> Look:
        """Look of subject `index` (1-based) in its own colour and material."""
        subject = self.spec.subjects[index - 1]
        surface = surface or subject.material or "plastic"
        glow = 0.9 if surface == "neon" else 0.0
        seed = self.uniform(0, 0.99)
        return Look(rgb=COLORS[subject.color], surface=surface, emission=glow, subject=index, seed=seed)

    def geom(
        self, name: str, kind: str, size: Vector, look: Look | None, *, pos: Vector = (0, 0, 0),
        quat: Vector = (1, 0, 0, 0), density: float | None = None, material: str | None = None,
        restitution: float | None = None, friction: float | None = None, rolling: float = 0.0, attrs: str = "",
    ) -> str:  # fmt: skip
        """MJCF of a geom, and note how it is drawn.

        Contact properties come from `material` where one is given. `rolling` is the coefficient of rolling friction in
        metres; without it the contact resists sliding only.
        """
        size = tuple(float(v) for v in size)
        if look is not None:
            self.looks[name] = (kind, size, look)
        if material is not None:
            stiffness, damping = contact_spring(restitution or RESTITUTION[material], self.timestep)
            grip = FRICTION[material] if friction is None else friction
            spring = f'solref="{-stiffness:.6g} {-damping:.4g}"'
            attrs += f' {spring} friction="{grip} .005 {rolling}" condim="{6 if rolling else 3}"'
        if density is None:
            density = MATERIALS[material] if material else 500.0
        return (
            f'<geom name="{name}" type="{kind}" size="{text(size)}" pos="{text(pos)}" quat="{text(quat)}" '
            f'density="{density:.6g}" {attrs}/>'
        )

    def body(self, index: int, content: str, pos: Vector, *, quat: Vector = (1, 0, 0, 0), part: int | None = None,
             joint: str = "<freejoint/>", velocity: Vector | None = None) -> str:  # fmt: skip
        """Add a top level body of subject `index`; `velocity` is linear (world), then angular (body axes)."""
        name = f"subject {index}" if part is None else f"subject {index}.{part}"
        self.members.setdefault(index, []).append(name)
        if velocity is not None:
            self.velocities[name] = np.asarray(velocity, float)
        self.worldbody.append(f'<body name="{name}" pos="{text(pos)}" quat="{text(quat)}">{joint}{content}</body>')
        return name

    def solid(self, index: int, size: Vector, pos: Vector, *, part: int | None = None, quat: Vector = (1, 0, 0, 0),
              velocity: Vector | None = None, shape: str | None = None, look: Look | None = None,
              restitution: float | None = None, friction: float | None = None,
              rolling: float = 0.0, stands: bool = False) -> str:  # fmt: skip
        """Add a free rigid body with the shape, colour and material of subject `index`; an upright one `stands`."""
        subject = self.spec.subjects[index - 1]
        kind = SHAPE_TYPES[shape or subject.kind]
        name = f"subject {index}" if part is None else f"subject {index}.{part}"
        contact: dict[str, Any] = {
            "material": subject.material or "plastic", "restitution": restitution, "friction": friction,
            "rolling": rolling,
        }  # fmt: skip
        foot = ""
        if stands and kind == "cylinder":
            # MuJoCo's flat cylinder rocks on a plane by itself: it touches solids only and stands on a box inside it
            inner, half = 0.7 * float(size[0]), float(size[1]) / 2
            foot = self.geom(f"{name} foot", "box", (inner, inner, half), None, pos=(0, 0, -half), density=0.0,
                             **contact, attrs=FIXED_ONLY)  # fmt: skip
        solid_attrs = SOLIDS_ONLY if foot else ANYTHING
        geom = self.geom(name, kind, size, look or self.subject_look(index), **contact, attrs=solid_attrs)
        return self.body(index, geom + foot, pos, quat=quat, part=part, velocity=velocity)

    def fixture(self, name: str, kind: str, pos: Vector, size: Vector, look: Look, *, rot: Array = IDENTITY,
                solid: bool = False, focus: bool = False) -> None:  # fmt: skip
        """Add something that never moves; `solid` ones can be touched, and the camera keeps `focus` ones in view."""
        if solid:
            attrs = f'friction="{self.grip} .001 .0001"'
            self.worldbody.append(self.geom(name, kind, size, look, pos=pos, quat=quaternion(rot), attrs=attrs))
            if focus:
                self.focus.add(name)
            return
        self.rows.append(geom_row(kind, pos, size, look, rot))
        if focus:
            self.frame_only.append((np.asarray(pos, float), bounding_radius(kind, size)))

    def light(self, pos: Vector, rgb: Vector, power: float) -> None:
        """Add a point light; the renderer takes the first four."""
        self.lights.append(np.array([*pos, *rgb, power], np.float32))

    def puppet(self, kind: str, size: Vector, look: Look, pos_T3: Array, rot_T33: Array) -> None:
        """Add a geom that follows a given path."""
        size = tuple(float(v) for v in size)
        self.puppets.append(Puppet(kind=kind, size=size, look=look, pos_T3=pos_T3, rot_T33=rot_T33))

    def mjcf(self) -> str:
        """The model as MuJoCo's XML."""
        plane = f'<geom name="ground" type="plane" size="0 0 1" friction="{self.grip} .001 .0001"/>'
        floor = plane if self.ground else ""
        return (
            f'<mujoco><option timestep="{self.timestep:.9f}" gravity="0 0 {self.gravity}" integrator="implicitfast" '
            f"{self.options}/><worldbody>{floor}{''.join(self.worldbody)}</worldbody>"
            f"<actuator>{''.join(self.actuators)}</actuator><equality>{''.join(self.equalities)}</equality></mujoco>"
        )


def geom_row(kind: str, pos: Vector, size: Vector, look: Look, rot: Array = IDENTITY) -> NDArray[np.float32]:
    """One line of the renderer's geometry table, float32 [GEOM_WIDTH]."""
    row = np.zeros(GEOM_WIDTH, np.float32)
    look.fill(row, kind, size)
    row[GEOM_POS] = pos
    row[GEOM_ROT] = np.asarray(rot).reshape(9)
    return row
