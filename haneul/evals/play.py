"""How well the live model plays: do keys do what they say, does the world stay what it was, and is it in time?

What the simulated world does under the same keys stands beside each figure, measured by the same tracker.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haneul.backbones.live import Live, Ride, Scene
from haneul.errors import InputError
from haneul.evals.data import Say
from haneul.evals.drift import drift
from haneul.evals.report import machine
from haneul.evals.statistics import wilson
from haneul.model.concepts import one_hot
from haneul.play import Keys, Player, Shown, World
from haneul.train.rides import rider_of, said_of
from haneul.world.journey import Journey
from haneul.world.produce import STRIDE, draw
from haneul.world.rides import RIDERS, kind_of, ride_spec, simulate_ride
from haneul.world.scene import FPS, ClipSpec

Frames = NDArray[np.uint8]  # [T, H, W, 3]

SECONDS = 4.0  #: that a key is held
HOLDS = ((-1, 1), (1, 1), (0, 1), (0, 0))  #: steer, go: left, right, ahead, standing
SKIP = 0.75  #: seconds after which its effect is measured
FPS_GOAL, DELAY_GOAL = 12.0, 0.25
PARTS = ("obedience", "minute", "time")


def pan(frames: Frames) -> float:
    """How fast the far country moves through the picture, pixels of its width (112) a second, right positive: the
    median over frames of the shift that leaves the least difference above the ground and beside the rider, found among
    whole pixels and refined by a parabola."""
    y = frames.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    _, H, W = y.shape
    band = y[:, H // 8 : H // 2]
    band = band - band.mean(2, keepdims=True)  # what is the same in a whole row says nothing
    most = W // 8
    columns = np.r_[most : round(0.34 * W), round(0.66 * W) : W - most]
    found = []
    for before, after in pairwise(band):
        shifts = range(-most, most + 1)
        errors = np.array([np.abs(after[:, columns] - before[:, columns - shift]).mean() for shift in shifts])
        best = int(errors.argmin())
        step = 0.0
        if 0 < best < len(errors) - 1:
            low, mid, high = errors[best - 1 : best + 2]
            bend = low - 2 * mid + high
            step = 0.5 * (low - high) / bend if bend > 1e-9 else 0.0
        found.append(best - most + step)
    return float(np.median(found)) * 12 * 112 / float(W)


def stir(frames: Frames) -> float:
    """Mean change from frame to frame of the ground on both sides of the rider, of 255."""
    y = frames.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    _, H, W = y.shape
    near = np.concatenate([y[:, H // 2 :, : W // 3], y[:, H // 2 :, -(W // 3) :]], 2)
    return float(np.abs(np.diff(near, axis=0)).mean())


def scene_of(live: Live, spec: ClipSpec) -> Scene:
    """What a specification of the world is to the live model."""
    said = said_of(asdict(spec))
    concepts = one_hot([said], live.slots)
    return Scene(said=said | {"kind": rider_of(said)}, added={}, concepts=concepts, seed=spec.seed)


def ride_of(live: Live, spec: ClipSpec) -> Ride:
    """A ride of the model through the specification's country."""
    return Ride(live, scene_of(live, spec), Journey(kind_of(spec), spec.setting, spec.seed))


def played(live: Live, spec: ClipSpec, steer: float, go: float, seconds: float = SECONDS) -> Frames:
    """A ride of the model while a key is held."""
    ride = ride_of(live, spec)
    return np.stack([ride.picture(ride.next(steer, go)) for _ in range(round(seconds * live.fps) + 1)])


def simulated(spec: ClipSpec, steer: float, go: float) -> Frames:
    """The same in the simulated world."""
    frames = round(spec.seconds * FPS) + 1
    truth = simulate_ride(spec, (np.full(frames, steer), np.full(frames, go)))
    return np.stack([rgb for rgb, _ in draw(truth, (112, 64), stride=STRIDE, quality="fast")])


def obedience(live: Live, say: Say, *, scenes: int = 24) -> dict[str, Any]:
    """Of combinations that were never trained on, for the model and for the simulation: in how many scenes the country
    moves right while the rider steers left, and left while it steers right; and in how many the ground moves less while
    no key is held. Also for each rider."""
    rows: dict[str, list[dict[str, float]]] = {"model": [], "simulation": []}
    skip, kinds = round(SKIP * live.fps), [list(live.riders)[n % len(live.riders)] for n in range(scenes)]
    for number, kind in enumerate(kinds):
        spec = ride_spec(10_000 + number, SECONDS, kind=kind, only_held_out=True)
        for name, found in rows.items():
            left, right, ahead, stand = (
                (played(live, spec, *keys) if name == "model" else simulated(spec, *keys))[skip:] for keys in HOLDS
            )
            found.append({
                "left": pan(left), "right": pan(right), "ahead": pan(ahead), "going": stir(ahead),
                "standing": stir(stand), "stops": float(RIDERS[kind].slowest == 0),
            })  # fmt: skip
        say(f"play: {spec.setting}, {kind}: " + ", ".join(f"{k} {v:.1f}" for k, v in rows["model"][-1].items()))
    return {
        name: summed(found) | {
            "riders": {
                kind: summed([row for row, its in zip(found, kinds, strict=True) if its == kind])
                for kind in dict.fromkeys(kinds)
            }
        }
        for name, found in rows.items()
    } | {"scenes": scenes}  # fmt: skip


def summed(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Shares with their intervals, and medians; of no stops where nobody can."""
    obeyed = [row["left"] > 1 and row["right"] < -1 for row in rows]
    halts = [row["standing"] < 0.6 * row["going"] for row in rows if row["stops"]]
    return {
        "steers": float(np.mean(obeyed)), "steers_interval": wilson(sum(obeyed), len(obeyed)),
        **({"stops": float(np.mean(halts)), "stops_interval": wilson(sum(halts), len(halts))} if halts else {}),
        **{f"pan_{side}": statistics.median(row[side] for row in rows) for side in ("left", "ahead", "right")},
    }  # fmt: skip


def long_ride(live: Live, say: Say, *, scenes: int = 4, seconds: float = 60.0) -> dict[str, Any]:
    """The last five seconds against the first ones, of rides whose keys change all the time (see drift.py)."""
    found = []
    for number in range(scenes):
        spec = ride_spec(20_000 + number, SECONDS, kind=list(live.riders)[number % len(live.riders)])
        rng, ride, frames = np.random.default_rng(number), ride_of(live, spec), []
        steer, go = 0.0, 1.0
        for t in range(round(seconds * live.fps)):
            if t % round(0.75 * live.fps) == 0:
                steer, go = float(rng.integers(-1, 2)), float(rng.random() < 0.85)
            frames.append(ride.picture(ride.next(steer, go)))
        found.append(drift(np.stack(frames), live.fps))
        say(f"play: {seconds:g} s: " + ", ".join(f"{name} {value:.2f}" for name, value in found[-1].items()))
    return {
        "seconds": seconds, "each": found,
        "median": {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]},
    }  # fmt: skip


def measure(live: Live, parts: Sequence[str], say: Say, *, scenes: int) -> dict[str, Any]:
    """The named ones of PARTS, and by what. Raises InputError for another name."""
    for name in parts:
        if name not in PARTS:
            raise InputError(f"no part is called {name!r}; there are: {', '.join(PARTS)}")
    every: dict[str, Callable[[], dict[str, Any]]] = {
        "obedience": functools.partial(obedience, live, say, scenes=scenes),
        "minute": functools.partial(long_ride, live, say),
        "time": functools.partial(in_time, live, say),
    }
    told = {"weights": live.identity().weights_sha256, "machine": machine()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as playing has it; more wait for each other longer than they work
    try:
        return told | {name: every[name]() for name in PARTS if name in parts}
    finally:
        torch.set_num_threads(threads)


def in_time(live: Live, say: Say, *, seconds: float = 10.0) -> dict[str, Any]:
    """Pictures a second of a world that is played in time, and how long after its key was read a picture was there.
    A key waits for the next frame at most one beat more, and a browser shows it at its own next frame."""
    shown: list[Shown] = []
    threads = torch.get_num_threads()
    player = Player(World("a red car in the desert at noon", seed=1, live=live), shown.append)
    player.keys = Keys(go=1.0)
    player.start()
    while not player.over and len(shown) < live.fps:  # what is loaded and compiled at first is another measure
        time.sleep(0.05)
    began, first = time.perf_counter(), len(shown)
    time.sleep(seconds)
    count, took = len(shown) - first, time.perf_counter() - began
    player.stop()
    torch.set_num_threads(threads)
    if player.failure is not None:
        raise player.failure
    delays = sorted(s.delay for s in shown[first:])
    result = {
        "fps": round(count / took, 2), "goal_fps": FPS_GOAL, "goal_delay": DELAY_GOAL,
        "delay_median": round(statistics.median(delays), 3), "delay_p95": round(delays[int(0.95 * len(delays))], 3),
        "beat": round(1 / live.fps, 3),
    }  # fmt: skip
    say(f"play: {result['fps']:.1f} pictures a second, {1000 * result['delay_median']:.0f} ms after their keys")
    return result
