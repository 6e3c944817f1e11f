"""What hangs and swings or waves: pendulum, rope, flag."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from haneul.world.events.base import EventRule, Observation, Role, Window
from haneul.world.stage import Actuate, Look, Shot, Stage, quaternion, rotation

POST = Look(rgb=(0.16, 0.15, 0.15), surface="metal")
Y, Z = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def _gallows(stage: Stage, height: float, behind: float) -> None:
    """A post behind the swinging thing and an arm that reaches over it, so that nothing hangs from the air."""
    stage.fixture("post", "box", (0, behind, (height + 0.08) / 2), (0.05, 0.05, (height + 0.08) / 2), POST)
    stage.fixture("arm", "box", (0, behind / 2, height + 0.05), (0.05, behind / 2 + 0.1, 0.05), POST)
    stage.fixture("foot", "box", (0, behind, 0.03), (0.32, 0.22, 0.03), POST)
    stage.frame_only.append((np.array([0.0, 0.0, height]), 0.12))


def build_pendulum(stage: Stage) -> None:
    length, radius = stage.uniform(1.15, 1.35), stage.uniform(0.30, 0.36)
    height = length + radius + stage.uniform(0.12, 0.25)
    angle = stage.sign() * math.radians(stage.uniform(34, 52))
    rod = stage.geom("rod", "capsule", (0.025, (length - radius) / 2),
                     Look(rgb=(0.3, 0.3, 0.32), surface="metal", subject=1), pos=(0, 0, -(length - radius) / 2),
                     density=1.0, attrs='contype="0" conaffinity="0"')  # fmt: skip
    bob = stage.geom("bob", "sphere", (radius,), stage.subject_look(1), pos=(0, 0, -length), density=4000.0,
                     attrs='contype="0" conaffinity="0"')  # fmt: skip
    stage.body(1, rod + bob, (0, 0, height), quat=quaternion(rotation(Y, angle)),
               joint='<joint name="swing" type="hinge" axis="0 1 0" damping="0"/>')  # fmt: skip
    _gallows(stage, height, radius + 0.3)
    stage.shot = Shot(height=(0.50, 0.58), width=1.5)
    stage.extra["length"], stage.extra["angle"] = length, angle


def _turned(window: Window) -> float:
    """Degrees between the extreme orientations of the first subject in the window."""
    quat = window.truth.quat_TS4[window.start : window.stop, 0].astype(float)
    dot = np.abs(quat @ quat.T).clip(0, 1)
    return float(np.degrees(2 * np.arccos(dot.min())))


def observe_swing(window: Window) -> Observation:
    return {"outcome": "swings" if not window.still and _turned(window) > 5 else None}


def build_rope(stage: Stage) -> None:
    links, length = 9, stage.uniform(0.16, 0.19)
    height = links * length + stage.uniform(0.25, 0.35)
    look = stage.subject_look(1, "rubber")
    thick = stage.uniform(0.065, 0.085)
    bend = stage.sign() * stage.uniform(0.06, 0.14)
    chain = ""
    for k in range(links):
        geom = stage.geom(f"link {k}", "capsule", (thick, length / 2), look, pos=(0, 0, -length / 2), density=600.0,
                          attrs='contype="0" conaffinity="0"')  # fmt: skip
        joint = f'<joint name="joint {k}" type="ball" damping="{0.02 if k else 0.005}"/>'
        if k == 0:
            chain = joint + geom
        else:
            turn = text_quat(bend)
            chain += f'<body pos="0 0 {-length:.5g}" quat="{turn}">{joint}{geom}'
    chain += "</body>" * (links - 1)
    angle = math.copysign(math.radians(stage.uniform(45, 62)), -bend)
    stage.body(1, chain, (0, 0, height), quat=quaternion(rotation(Y, angle)), joint="")
    _gallows(stage, height, 0.42)
    stage.shot = Shot(height=(0.52, 0.6), width=1.5)


def text_quat(angle: float) -> str:
    """MJCF text of a turn around y."""
    return f"{math.cos(angle / 2):.6g} 0 {math.sin(angle / 2):.6g} 0"


def build_flag(stage: Stage) -> None:
    """Thin panels hinged one to the next; wind pulls them out, a travelling gust makes them wave."""
    side = stage.heading
    panels, width, half_height = 9, stage.uniform(0.17, 0.20), stage.uniform(0.42, 0.52)
    top = stage.uniform(2.2, 2.6)
    height = top - half_height - 0.08
    look = stage.subject_look(1, "cloth")
    chain = ""
    for k in range(panels):
        size = (width / 2 + 0.012, 0.012, half_height)
        geom = stage.geom(f"panel {k}", "box", size, look, pos=(side * width / 2, 0, 0), density=30.0,
                          attrs='contype="0" conaffinity="0"')  # fmt: skip
        joint = f'<joint name="hinge {k}" type="hinge" axis="0 0 1" damping="0.006" stiffness="0.03" range="-70 70"/>'
        start = f'<body pos="{side * width:.5g} 0 0">' if k else ""
        chain += start + joint + geom
    chain += "</body>" * (panels - 1)
    stage.body(1, chain, (side * 0.05, 0, height), joint="")
    stage.fixture("pole", "cylinder", (0, 0, (top + 0.05) / 2), (0.045, (top + 0.05) / 2), POST)
    stage.fixture("knob", "sphere", (0, 0, top + 0.08), (0.08,), POST)
    stage.options = 'density="1.2"'
    phase, pace, strength = stage.uniform(0, 6.28), stage.uniform(6.5, 8.5), stage.uniform(5.0, 7.0)

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        lag = 0.85 * np.arange(panels)
        force = 0.17 * np.linspace(1.0, 0.55, panels)

        def act(time: float) -> None:
            model.opt.wind[0] = side * strength
            model.opt.wind[1] = 1.2 * math.sin(1.9 * time + phase)
            data.qfrc_applied[:panels] = force * np.sin(pace * time + phase - lag)

        return act

    stage.actuate = actuate
    stage.wind = 1.0
    stage.shot = Shot(height=(0.40, 0.5), elevation=(math.radians(2), math.radians(8)), width=1.5)


def observe_flag(window: Window) -> Observation:
    return {"outcome": None if window.still else "waves"}


HEAVY = ("wood", "metal", "marble", "plastic", "rubber", "neon")
RULES = {
    "pendulum": EventRule(build=build_pendulum, observe=observe_swing,
                          cast=(Role(kinds=("pendulum",), materials=HEAVY),)),
    "rope": EventRule(build=build_rope, observe=observe_swing, cast=(Role(kinds=("rope",)),)),
    "flag": EventRule(build=build_flag, observe=observe_flag, cast=(Role(kinds=("flag",)),)),
}  # fmt: skip
