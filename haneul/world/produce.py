"""`haneul world render`: many clips into shards, on every core, resumable. `haneul world show`: a prompt's animatic."""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haneul.data.ledger import simulated
from haneul.data.shards import Shard, read_meta, write_manifest, write_shard
from haneul.errors import InputError, OutputError, WorldError
from haneul.world import vocabulary
from haneul.world.scene import FPS, ClipSpec, Facts, Truth

Quality = Literal["fast", "fine"]  # as in world.render, which is imported late: it compiles

STRIDE = 2  #: training clips take every second frame of the 24 fps log
PATCH = 16
WINDOW = 17  #: frames of the short windows whose facts are logged
MIN_SHARE = 0.004  #: of the picture that the main subject must cover, median over the clip

#: Sizes of the shards, by turns: mostly 16:9, some square, some upright.
SIZES: tuple[tuple[int, int], ...] = ((112, 64),) * 4 + ((80, 80),) + ((112, 64),) * 4 + ((64, 112),)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to render. Equal plans give equal bytes on one machine; `held_out` keeps to the combinations that training
    never sees (for evaluation)."""

    clips: int
    seed: int = 0
    richness: float = 0.3
    seconds: float = 4.0
    shard: int = 32
    held_out: bool = False
    sizes: tuple[tuple[int, int], ...] = SIZES

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise InputError(f"cannot render {self.clips} clips; ask for at least 1")
        if not 0 <= self.richness <= 1:
            raise InputError(f"richness {self.richness} is out of range; it goes from 0 (calm) to 1 (full)")
        if not 0.5 <= self.seconds <= 20:
            raise InputError(f"clips of {self.seconds} s cannot be rendered; choose 0.5 to 20 s")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One rendered clip: video uint8 [T, H, W, 3], ids uint8 [T, H, W] of the visible subjects, its truth."""

    video_THW3: NDArray[np.uint8]
    ids_THW: NDArray[np.uint8]
    truth: Truth


def render_clip(spec: ClipSpec, size: tuple[int, int], *, stride: int = STRIDE, quality: Quality = "fast") -> Clip:
    """Simulate and draw. `size` is (width, height); every `stride`-th frame of the log is drawn."""
    from haneul.world.physics import simulate

    truth = simulate(spec)
    drawn = list(draw(truth, size, stride=stride, quality=quality))
    return Clip(video_THW3=np.stack([rgb for rgb, _ in drawn]), ids_THW=np.stack([ids for _, ids in drawn]), truth=truth)


def draw(
    truth: Truth, size: tuple[int, int], *, stride: int, quality: Quality
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Every `stride`-th frame of a simulation: picture uint8 [H, W, 3] and the visible subjects' ids uint8 [H, W]."""
    from haneul.world.render import render_frame

    for i in range(0, len(truth.cameras), stride):
        frame = render_frame(
            truth.geoms_TNG[i],
            truth.environment,
            truth.cameras[i],
            style=truth.spec.style,
            time=i / FPS,
            width=size[0],
            height=size[1],
            quality=quality,
        )
        yield frame.rgb, frame.ids


def clearly_visible(ids_THW: NDArray[np.uint8], spec: ClipSpec) -> bool:
    """Whether the subjects, if there are any, cover enough of the picture, and some of it from the start."""
    if not spec.subjects:
        return True
    share = (ids_THW > 0).mean((1, 2))
    return bool(np.median(share) >= MIN_SHARE and share[0] >= MIN_SHARE / 4)


def windows(frames: int) -> list[tuple[int, int]]:
    """Windows [start, stop) of training frames whose facts are logged: whole, short ones, and single frames."""
    starts = range(0, frames, 4)
    short = [(s, s + WINDOW) for s in starts if s + WINDOW <= frames and WINDOW < frames]
    return [(0, frames), *short, *((s, s + 1) for s in starts)]


def clip_facts(truth: Truth, frames: int, stride: int = STRIDE) -> dict[str, dict[str, object]]:
    """Facts of every window, keyed "start:stop" in training frames."""
    from haneul.world.events import observe

    found = {}
    for start, stop in windows(frames):
        facts: Facts = observe(truth, start * stride, (stop - 1) * stride + 1)
        found[f"{start}:{stop}"] = facts.to_json()
    return found


def coverage(ids_THW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Share (0..255) of each 16x16 patch that the first, and that the other subjects cover: [T, h, w, 2]."""
    T, H, W = ids_THW.shape
    patches = ids_THW.reshape(T, H // PATCH, PATCH, W // PATCH, PATCH)
    both = [(patches == 1).mean((2, 4)), (patches > 1).mean((2, 4))]
    return (np.stack(both, -1) * 255 + 0.5).astype(np.uint8)


def _make(plan: Plan, index: int, size: tuple[int, int]) -> tuple[Clip, dict[str, Any]]:
    """Clip number `index` of a plan: the first of its seeds whose subject is clearly on screen."""
    from haneul.world.sample import sample_spec

    for attempt in range(50):
        seed = (plan.seed * 1_000_003 + index) * 64 + attempt
        held = plan.held_out
        spec = sample_spec(
            seed, richness=plan.richness, seconds=plan.seconds, only_held_out=held, allow_held_out=held
        )
        clip = render_clip(spec, size)
        if clearly_visible(clip.ids_THW, spec):
            break
    frames = len(clip.video_THW3)
    meta = {
        "seed": seed,
        "spec": asdict(spec),
        "facts": clip_facts(clip.truth, frames),
        "ledger": asdict(simulated(clip.video_THW3.tobytes(), seed)),
        "visible": [int(v) for v in (clip.ids_THW > 0).sum((1, 2))],
        "contacts": [list(c) for c in clip.truth.contacts[:64]],
        "pos": np.round(clip.truth.pos_TS3[:, :3], 3).tolist(),
    }
    return clip, meta


def _shard_job(job: tuple[Plan, int, Path]) -> int:
    """Render shard number `number` unless it is there already; returns how many clips it holds."""
    plan, number, folder = job
    path = folder / f"shard-{number:05d}.npz"
    first = number * plan.shard
    count = min(plan.shard, plan.clips - first)
    if path.exists() and len(read_meta(path)) >= count:
        return count
    size = plan.sizes[number % len(plan.sizes)]
    made = [_make(plan, first + i, size) for i in range(count)]
    shard = Shard(
        video_nTHW3=np.stack([c.video_THW3 for c, _ in made]),
        coverage_nThw2=np.stack([coverage(c.ids_THW) for c, _ in made]),
        controls_nTK=np.stack([c.truth.controls_TK.astype(np.float16) for c, _ in made]),
        meta=[m for _, m in made],
    )
    write_shard(path, shard)
    return count


def render_dataset(
    folder: Path,
    plan: Plan,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Render `plan` into `folder`; shards that are there already are kept. Returns the manifest.

    `progress(done, total)` is called in clips. Raises OutputError when the folder holds another plan's shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = json.loads(json.dumps(asdict(plan)))
    mark = folder / "plan.json"
    if mark.exists():
        before = json.loads(mark.read_text())
        if {**before, "clips": 0} != {**recipe, "clips": 0}:
            raise OutputError(f"{folder} holds shards of another plan ({before}); choose another folder")
    mark.write_text(json.dumps(recipe))
    jobs = [(plan, n, folder) for n in range(-(-plan.clips // plan.shard))]
    done = 0
    with mp.get_context("spawn").Pool(workers or mp.cpu_count()) as pool:
        for count in pool.imap_unordered(_shard_job, jobs):
            done += count
            if progress:
                progress(done, plan.clips)
    return write_manifest(folder, {"plan": recipe})
