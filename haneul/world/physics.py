"""From a specification to the truth: build the stage, let MuJoCo run, place the camera, add the scenery.

`simulate` is deterministic: equal specifications give equal bytes on one machine.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.world.backdrop import make_environment
from haneul.world.events import EVENT_RULES, check_spec
from haneul.world.framing import Framing, frame_clip
from haneul.world.scene import (
    CONTROLS,
    FPS,
    GEOM_OBJECT,
    GEOM_POS,
    GEOM_RADIUS,
    GEOM_ROT,
    GEOM_SIZE,
    GEOM_WIDTH,
    Camera,
    ClipSpec,
    Environment,
    Truth,
)
from haneul.world.scenery import dress
from haneul.world.stage import IDENTITY, Array, Stage, quaternion

TOUCH_GAP = 0.05  # seconds without contact after which the next one is a new touch
JOLT = 0.05  # how much another run's speeds differ at the start: share of each, and m/s or rad/s besides
FORCE_SPAN = 0.025  # seconds over which the greatest force of a touch is looked for

Contact = tuple[float, str, str, float, tuple[float, float, float]]


class _Touches:
    """Turns contact points of single physics steps into touches of one thing with another."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._owner = [_label(model, g) for g in range(model.ngeom)]
        self._seen: dict[tuple[str, str], float] = {}  # last moment of contact
        self._young: dict[tuple[str, str], int] = {}  # index in `touches` while its force is being measured
        self._pairs: set[tuple[str, str]] = set()
        self._signature = b""
        self.touches: list[list[Any]] = []

    @property
    def open(self) -> bool:
        """Whether anything touched anything in the last step looked at."""
        return bool(self._pairs or self._young)

    def step(self, data: mujoco.MjData) -> None:
        """Look at the contacts of the step just made."""
        geoms = data.contact.geom
        signature = geoms.tobytes()
        if signature == self._signature and not self._young:
            return
        if signature != self._signature:
            self._signature = signature
            self._change(data, geoms)
        self._measure(data, geoms)

    def _pair(self, a: int, b: int) -> tuple[str, str]:
        first, second = self._owner[a], self._owner[b]
        return (first, second) if first >= second else (second, first)  # subjects before the ground

    def _change(self, data: mujoco.MjData, geoms: NDArray[np.int32]) -> None:
        now = {self._pair(a, b) for a, b in geoms.tolist()}
        now = {pair for pair in now if pair[0] != pair[1]}
        for pair in self._pairs - now:
            self._seen[pair] = data.time
        for pair in sorted(now - self._pairs):
            if data.time - self._seen.get(pair, -1.0) > TOUCH_GAP:
                self._young[pair] = len(self.touches)
                self.touches.append([data.time, *pair, 0.0, (0.0, 0.0, 0.0)])
        self._pairs = now

    def _measure(self, data: mujoco.MjData, geoms: NDArray[np.int32]) -> None:
        if not self._young:
            return
        force = np.zeros(6)
        sums: dict[tuple[str, str], float] = {}
        where: dict[tuple[str, str], tuple[float, float, float]] = {}
        for k, (a, b) in enumerate(geoms.tolist()):
            pair = self._pair(a, b)
            if pair in self._young:
                mujoco.mj_contactForce(self._model, data, k, force)
                sums[pair] = sums.get(pair, 0.0) + float(force[0])
                x, y, z = data.contact.pos[k].tolist()
                where.setdefault(pair, (x, y, z))
        for pair, index in list(self._young.items()):
            touch = self.touches[index]
            if sums.get(pair, -1.0) > touch[3]:
                touch[3], touch[4] = sums[pair], where[pair]
            if data.time - touch[0] > FORCE_SPAN:
                del self._young[pair]

    def log(self) -> tuple[Contact, ...]:
        """All touches as (time, a, b, greatest force in newton, position)."""
        return tuple(
            (round(t, 5), a, b, round(f, 3), (round(p[0], 4), round(p[1], 4), round(p[2], 4)))
            for t, a, b, f, p in self.touches
        )


def _label(model: mujoco.MjModel, geom: int) -> str:
    """What a geom belongs to in the contact log: its top level body, or its own name where it is fixed."""
    root = model.body_rootid[model.geom_bodyid[geom]]
    return str(model.body(root).name) if root else str(model.geom(geom).name)


@dataclasses.dataclass(kw_only=True)
class _Log:
    """What the run leaves behind: poses of all MuJoCo geoms and subjects' bodies."""

    xpos_TG3: Array
    xmat_TG9: Array
    body_pos: dict[str, Array]
    body_quat: dict[str, Array]
    body_vel: dict[str, Array]
    contacts: tuple[Contact, ...]


def _run(stage: Stage, model: mujoco.MjModel, jolt: np.random.Generator | None = None) -> _Log:
    data = mujoco.MjData(model)
    bodies = [name for names in stage.members.values() for name in names]
    ids = {name: model.body(name).id for name in bodies}
    for name, velocity in stage.velocities.items():
        start = model.body_dofadr[ids[name]]
        data.qvel[start : start + len(velocity)] = velocity
    if jolt is not None:
        data.qvel *= 1 + JOLT * jolt.normal(size=model.nv)
        data.qvel += JOLT * jolt.normal(size=model.nv)
    act = stage.actuate(model, data) if stage.actuate else None
    touches = _Touches(model)
    frames, substeps = len(stage.times_T), round(1 / FPS / stage.timestep)
    log = _Log(
        xpos_TG3=np.zeros((frames, model.ngeom, 3)), xmat_TG9=np.zeros((frames, model.ngeom, 9)),
        body_pos={n: np.zeros((frames, 3)) for n in bodies}, body_quat={n: np.zeros((frames, 4)) for n in bodies},
        body_vel={n: np.zeros((frames, 6)) for n in bodies}, contacts=(),
    )  # fmt: skip
    velocity = np.zeros(6)
    for frame in range(frames if model.nbody > 1 else 1):
        for _ in range(substeps if frame else 0):
            if act is not None:
                act(data.time)
            mujoco.mj_step(model, data)
            if data.ncon or touches.open:
                touches.step(data)
        mujoco.mj_kinematics(model, data)  # mj_step leaves poses one step behind
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        log.xpos_TG3[frame], log.xmat_TG9[frame] = data.geom_xpos, data.geom_xmat
        for name, body in ids.items():
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
            log.body_pos[name][frame], log.body_quat[name][frame] = data.xpos[body], data.xquat[body]
            log.body_vel[name][frame, :3], log.body_vel[name][frame, 3:] = velocity[3:], velocity[:3]
    if model.nbody == 1:  # nothing moves but puppets
        log.xpos_TG3[:], log.xmat_TG9[:] = log.xpos_TG3[0], log.xmat_TG9[0]
    if data.warning.number[mujoco.mjtWarning.mjWARN_BADQACC]:  # MuJoCo has started over: what is logged is not true
        raise WorldError(f"the physics of seed {stage.spec.seed} ({stage.spec.event}) diverged; draw another seed")
    log.contacts = touches.log()
    return log


def _geometry(stage: Stage, model: mujoco.MjModel, log: _Log) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The moving part of the geometry table [T, N, GEOM_WIDTH] and which of it the camera must show [N]."""
    frames = len(stage.times_T)
    names = list(stage.looks)
    index = [model.geom(name).id for name in names]
    table = np.zeros((frames, len(names) + len(stage.puppets), GEOM_WIDTH), np.float32)
    focus = np.zeros(table.shape[1], bool)
    for k, name in enumerate(names):
        kind, size, look = stage.looks[name]
        look.fill(table[0, k], kind, size)
        focus[k] = look.subject > 0 or name in stage.focus
    for k, puppet in enumerate(stage.puppets, len(names)):
        puppet.look.fill(table[0, k], puppet.kind, puppet.size)
        focus[k] = puppet.look.subject > 0
    table[1:] = table[0]
    table[:, : len(names), GEOM_POS] = log.xpos_TG3[:, index]
    table[:, : len(names), GEOM_ROT] = log.xmat_TG9[:, index]
    for k, puppet in enumerate(stage.puppets, len(names)):
        table[:, k, GEOM_POS] = puppet.pos_T3
        table[:, k, GEOM_ROT] = puppet.rot_T33.reshape(-1, 9)
    return table, focus


def _focus_table(stage: Stage, table: NDArray[np.float32], focus: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Geoms for the framing: those in focus, then points that an event wants in the picture, as spheres."""
    shown = table[:, focus]
    if stage.shot.ceiling is not None:
        shown[..., 3] = np.minimum(shown[..., 3], stage.shot.ceiling)
    if not stage.frame_only:
        return shown
    points = np.zeros((len(table), len(stage.frame_only), GEOM_WIDTH), np.float32)
    points[..., GEOM_ROT] = IDENTITY.reshape(9)
    for k, (pos, radius) in enumerate(stage.frame_only):
        points[:, k, GEOM_POS] = pos
        points[:, k, GEOM_SIZE] = (radius, 0, 0)
        points[:, k, GEOM_RADIUS] = radius
    return np.concatenate([shown, points], 1)


def subject_tracks(stage: Stage, log: _Log) -> tuple[Array, Array, Array]:
    """Positions [T, S, 3], orientations [T, S, 4] and velocities [T, S, 6]; of several bodies, their mean."""
    frames, count = len(stage.times_T), len(stage.spec.subjects)
    pos, quat, vel = np.zeros((frames, count, 3)), np.zeros((frames, count, 4)), np.zeros((frames, count, 6))
    quat[..., 0] = 1.0
    for k in range(1, count + 1):
        if k in stage.members:
            names = stage.members[k]
            pos[:, k - 1] = np.mean([log.body_pos[n] for n in names], axis=0)
            vel[:, k - 1] = np.mean([log.body_vel[n] for n in names], axis=0)
            quat[:, k - 1] = log.body_quat[names[0]]
        elif k in stage.roots:
            pos[:, k - 1], rot = stage.roots[k]
            vel[:, k - 1, :3] = np.gradient(pos[:, k - 1], 1 / FPS, axis=0)
            quat[:, k - 1] = [quaternion(r) for r in rot]
            vel[:, k - 1, 3:] = _spin(rot)
    return pos, quat, vel


def _spin(rot_T33: Array) -> Array:
    """Angular velocity [T, 3] in world axes of a sequence of rotations."""
    step = np.gradient(rot_T33, 1 / FPS, axis=0) @ np.swapaxes(rot_T33, 1, 2)
    x, y, z = step[:, 2, 1] - step[:, 1, 2], step[:, 0, 2] - step[:, 2, 0], step[:, 1, 0] - step[:, 0, 1]
    return np.asarray(np.stack([x, y, z], -1) / 2)


def _controls(stage: Stage, framing: Framing) -> NDArray[np.float32]:
    """Camera velocity in camera axes (linear part in look distances) and the subject's action, [T, len(CONTROLS)]."""
    cameras = framing.cameras
    origin = np.array([c.origin for c in cameras], float)
    axes = np.array([[c.right, c.up, -c.forward] for c in cameras], float)  # rows
    controls = np.zeros((len(cameras), len(CONTROLS)), np.float32)
    if len(cameras) > 1:
        speed = np.gradient(origin, 1 / FPS, axis=0) / framing.distance_T[:, None]
        controls[:, 0:3] = np.einsum("tij,tj->ti", axes, speed)
        controls[:, 3:6] = np.einsum("tij,tj->ti", axes, _spin(np.swapaxes(axes, 1, 2)))
    if stage.actions_T4 is not None:
        controls[:, 6:10] = stage.actions_T4
    return controls


def _environment(stage: Stage) -> Environment:
    spec = stage.spec
    environment = make_environment(spec.setting, spec.time, spec.richness, spec.seed)
    lights = [np.asarray(light, np.float32) for light in environment.lights] + stage.lights
    table = np.array(lights[-4:], np.float32).reshape(-1, 7)
    return dataclasses.replace(
        environment, lights=table, snow=max(environment.snow, stage.snow), wind=max(environment.wind, stage.wind)
    )


def simulate(spec: ClipSpec, *, jolt: int | None = None) -> Truth:
    """Simulate a clip and log it at 24 frames per second, seconds * 24 + 1 frames.

    With `jolt` (a seed) it is another run on the same stage, seen by the same camera: every speed at the start is a
    little different, as when somebody sets up the same thing twice. Raises WorldError where the specification names
    something that cannot be, and where the physics diverges.
    """
    stage, model, log = staged(spec)
    table, focus = _geometry(stage, model, log)
    shown = _focus_table(stage, table, focus)
    subjects = shown[0, :, GEOM_OBJECT] > 0
    framing = frame_clip(shown, subjects, spec.camera, stage.shot, np.random.default_rng([spec.seed, 2]))
    dress(stage, shown, framing, np.random.default_rng([spec.seed, 3]))
    if jolt is not None:
        log = _run(stage, model, np.random.default_rng([spec.seed, 4, jolt]))
    return truth_of(stage, model, log, framing)


def staged(spec: ClipSpec, *, told: tuple[Array, Array] | None = None) -> tuple[Stage, mujoco.MjModel, _Log]:
    """A stage, its model and the log of its run; `told` are the steering and throttle [T] of a ride."""
    check_spec(spec)
    stage = Stage(spec=spec, rng=np.random.default_rng([spec.seed, 1]), told=told)
    if spec.setting == "outer space":
        stage.gravity, stage.ground = 0.0, False
    if spec.setting == "sea":
        stage.ground = False
    EVENT_RULES[spec.event].build(stage)
    return stage, *run(stage)


def run(stage: Stage) -> tuple[mujoco.MjModel, _Log]:
    """The model of a finished stage, and the log of its run."""
    model = mujoco.MjModel.from_xml_string(stage.mjcf())
    return model, _run(stage, model)


def truth_of(stage: Stage, model: mujoco.MjModel, log: _Log, framing: Framing) -> Truth:
    """What a finished stage logs, with its scenery and seen by these cameras."""
    table, _ = _geometry(stage, model, log)
    if stage.rows:
        still = np.repeat(np.array(stage.rows, np.float32)[None], len(table), axis=0)
        table = np.concatenate([table, still], 1)
    pos, quat, vel = subject_tracks(stage, log)
    parts = {k: names for k, names in stage.members.items() if len(names) > 1}
    extra: dict[str, object] = dict(stage.extra)
    extra["height"] = framing.height
    extra["mass"] = {
        k: float(sum(model.body_subtreemass[model.body(n).id] for n in names)) for k, names in stage.members.items()
    }
    extra["parts_pos"] = {k: np.array([log.body_pos[n] for n in names]).swapaxes(0, 1) for k, names in parts.items()}
    extra["parts_quat"] = {k: np.array([log.body_quat[n] for n in names]).swapaxes(0, 1) for k, names in parts.items()}
    return Truth(
        spec=stage.spec, environment=_environment(stage), geoms_TNG=table, cameras=framing.cameras,
        pos_TS3=pos.astype(np.float32), quat_TS4=quat.astype(np.float32), vel_TS6=vel.astype(np.float32),
        controls_TK=_controls(stage, framing), contacts=log.contacts, extra=extra,
    )  # fmt: skip


def camera_axes(camera: Camera) -> Array:
    """Rows right, up, forward of a camera, float [3, 3]."""
    return np.array([camera.right, camera.up, camera.forward], float)
