"""Clips made while a model trains on them, from the simulator straight to latents.

Worker processes simulate, one on each core. One more process draws what they made, all frames of a clip at once on a
GPU (world/render_cuda.py), encodes it and writes chunks of latents; pixels are hashed for the ledger, never stored.
Without a GPU the workers draw themselves. Chunks are what `resident.Feed` reads.
"""

from __future__ import annotations

import multiprocessing as mp
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.latents import encode_clips, grouped_controls, grouped_cover
from haneul.data.ledger import simulated
from haneul.errors import WorldError
from haneul.model.checkpoint import load, load_into
from haneul.model.codec import Codec, CodecConfig
from haneul.world.produce import STRIDE, Plan, claim, clearly_visible, clip_facts, coverage, draw
from haneul.world.render import ClipTables, clip_tables, objects_of
from haneul.world.scene import ClipSpec

CHUNK = 64  #: clips of one size that are encoded and written together
TELL = 30.0  #: seconds from one line on the stream's progress to the next
WORDINGS = 3  #: captions of each window and its mirror image


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A simulated clip on its way to be drawn; with `video` and `ids` it is drawn already."""

    seed: int
    size: tuple[int, int]
    objects: NDArray[np.uint8]  # see render.objects_of
    spec: ClipSpec
    controls_TK: NDArray[np.float16]
    said: NDArray[np.uint8]  # [W, 2, R, K]
    colour: int
    tables: ClipTables | None = None
    video: NDArray[np.uint8] | None = None
    ids: NDArray[np.uint8] | None = None


def wordings(facts: dict[str, dict[str, object]], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What captions of each window state, [W, 2, R, K]: window, mirrored, wording, slot; see Batch.said_BK."""
    from haneul.train.captions import stated
    from haneul.world.concepts import SLOTS

    index = {name: {value: i + 1 for i, value in enumerate(values)} for name, values in SLOTS.items()}
    out = np.zeros((len(facts), 2, WORDINGS, len(SLOTS)), np.uint8)
    for w, found in enumerate(facts.values()):
        for m in (0, 1):
            for r in range(WORDINGS):
                said = stated(found, bool(m), rng)
                out[w, m, r] = [index[name][said[name]] if name in said else 0 for name in SLOTS]
    return out


def scene_of(plan: Plan, number: int, *, drawn: bool) -> Scene:
    """Clip `number` of a plan, simulated and worded; `drawn` on the CPU or not at all yet."""
    from haneul.world.physics import simulate
    from haneul.world.vocabulary import COLORS

    seed = plan.seed_of(number)
    spec = plan.spec_of(seed)
    truth = simulate(spec)
    size = plan.size_of(number)
    facts = clip_facts(truth, len(range(0, len(truth.cameras), STRIDE)))
    whole: Any = next(iter(facts.values()))
    colour = list(COLORS).index(whole["subjects"][0]["color"]) if whole["subjects"] else -1
    parts: dict[str, Any] = {}
    if drawn:
        frames = list(draw(truth, size, stride=STRIDE, quality="fast"))
        parts = {"video": np.stack([rgb for rgb, _ in frames]), "ids": np.stack([ids for _, ids in frames])}
    else:
        parts = {"tables": clip_tables(truth, size, stride=STRIDE)}
    return Scene(
        seed=seed, size=size, objects=objects_of(truth.geoms_TNG[0]), spec=spec,
        controls_TK=truth.controls_TK.astype(np.float16), said=wordings(facts, np.random.default_rng([seed, 9])),
        colour=colour, **parts,
    )  # fmt: skip


def orphaned() -> bool:
    """Whether the process that started this one is gone: then nobody waits for what this one makes."""
    parent = mp.parent_process()
    return parent is not None and not parent.is_alive()


def can_draw() -> bool:
    """Whether there is a GPU, and what drawing on it needs (numba-cuda)."""
    try:
        from haneul.world.render_cuda import available
    except ImportError:
        return False
    return available()


def _work(plan: Plan, first: int, step: int, drawn: bool, out: Queue[Scene], stop: Event) -> None:
    """A worker: every `step`-th clip from `first` on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    for number in range(first, plan.clips, step):
        try:
            scene = scene_of(plan, number, drawn=drawn)
        except WorldError:
            continue  # physics that diverges: the clip is left out
        while not (stop.is_set() or orphaned()):
            try:
                out.put(scene, timeout=1)
                break
            except queue.Full:
                continue
        else:
            out.cancel_join_thread()
            return


class Painter:
    """Draws scenes, drops those whose subjects can't be seen, encodes the others and writes chunks of them."""

    def __init__(self, folder: Path, codec: Path, device: str, chunk: int = CHUNK) -> None:
        tensors, card = load(codec, "codec")
        self.codec = Codec(CodecConfig(**card.config))
        load_into(self.codec, tensors, codec)
        self.codec.requires_grad_(False).to(device)
        self.folder, self.device, self.chunk = folder, device, chunk
        self.canvases: dict[tuple[int, ...], Any] = {}
        self.waiting: dict[tuple[int, int], list[tuple[Scene, Tensor, Tensor]]] = {}
        self.written = max((int(p.stem.rpartition("-")[2]) + 1 for p in folder.glob("chunk-*.pt")), default=0)
        self.clips = self.dropped = 0

    def pixels(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Video uint8 [T, H, W, 3] and ids uint8 [T, H, W] on the device."""
        if scene.tables is None:
            video, ids = (torch.from_numpy(x).to(self.device) for x in (scene.video, scene.ids) if x is not None)
            return video, ids
        from haneul.world.render_cuda import ClipCanvas

        key = (len(scene.tables.times_T), *scene.size)
        canvas = self.canvases.get(key) or self.canvases.setdefault(key, ClipCanvas(*key))
        rgb, keys = (torch.as_tensor(x, device=self.device) for x in canvas.draw(scene.tables))
        return rgb, torch.from_numpy(scene.objects).to(self.device)[keys // 128]

    def add(self, scene: Scene) -> bool:
        """Take in one scene; returns whether a chunk was written."""
        video, ids = self.pixels(scene)
        waiting = self.waiting.setdefault(scene.size, [])
        waiting.append((scene, video, ids))
        if len(waiting) < self.chunk:
            return False
        self.write(scene.size)
        return True

    @torch.no_grad()
    def write(self, size: tuple[int, int]) -> None:
        """Encode what waits of a size and write it."""
        found = self.waiting.pop(size, [])
        if not found:
            return
        ids = [i.cpu().numpy() for _, _, i in found]
        clear = [clearly_visible(i, s.spec) for i, (s, _, _) in zip(ids, found, strict=True)]
        keep = [f for f, ok in zip(found, clear, strict=True) if ok]
        self.dropped += len(found) - len(keep)
        if not keep:
            return
        video = torch.stack([v for _, v, _ in keep])
        groups, singles = encode_clips(self.codec, video, torch.float32)
        cover = np.stack([coverage(i) for i, ok in zip(ids, clear, strict=True) if ok])
        controls = torch.from_numpy(np.stack([s.controls_TK for s, _, _ in keep]))
        host = video.cpu().numpy()
        entries = [simulated(v.tobytes(), s.seed) for v, (s, _, _) in zip(host, keep, strict=True)]
        item = {
            "groups": groups.cpu(), "singles": singles.cpu(),
            "cover": grouped_cover(torch.from_numpy(cover)),
            "controls": grouped_controls(controls, groups.shape[2]),
            "said": torch.from_numpy(np.stack([s.said for s, _, _ in keep])),
            "colour": torch.tensor([s.colour for s, _, _ in keep], dtype=torch.int8),
            "seeds": [s.seed for s, _, _ in keep], "leaves": [e.digest() for e in entries],
        }  # fmt: skip
        target = self.folder / f"chunk-{self.written:05d}.pt"
        temporary = target.with_suffix(".tmp")
        torch.save(item, temporary)
        temporary.replace(target)
        self.written += 1
        self.clips += len(keep)


def stream(
    folder: Path, plan: Plan, codec: Path, *, device: str = "cpu", draw_on: str | None = None, workers: int = 2,
    seconds: float = 1e9, first: int = 0, chunk: int = CHUNK, say: Callable[[str], None] = print,
) -> int:  # fmt: skip
    """Make the clips of a plan from number `first` on, until it is done or `seconds` are over; returns how many.

    `device` encodes; `draw_on` ("cpu" or "cuda", by default the same if it can) draws. Equal seeds are equal clips,
    whoever draws (docs/log.md); started again in the same folder it goes on. In which chunk a clip lands depends on
    which worker was ready first.
    """
    claim(folder, plan)
    mark = folder / "next"
    first = max(first, int(mark.read_text()) if mark.exists() else 0)
    drawn = (draw_on or ("cuda" if device == "cuda" and can_draw() else "cpu")) == "cpu"
    spawn = mp.get_context("spawn")
    scenes: Queue[Scene] = spawn.Queue(4 * workers)
    stop = spawn.Event()
    processes = [
        spawn.Process(target=_work, args=(plan, first + i, workers, drawn, scenes, stop), daemon=True)
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    painter = Painter(folder, codec, device, chunk)
    begin = told = time.monotonic()
    most = first
    while True:
        try:
            scene = scenes.get(timeout=1)
            most = max(most, plan.number_of(scene.seed))
            if painter.add(scene):
                mark.write_text(str(most + 1))  # a stream that is started again makes other clips
        except queue.Empty:
            if not any(p.is_alive() for p in processes):
                break
        now = time.monotonic()
        if now - told > TELL:
            told = now
            rate = painter.clips / (now - begin)
            say(f"stream: {painter.clips} clips, {painter.dropped} unseen, {rate:.1f}/s, {scenes.qsize()} waiting")
        if now - begin > seconds or orphaned():
            break
    stop.set()
    for size in list(painter.waiting):
        painter.write(size)
    for process in processes:
        process.join(3)
        process.kill()
    return painter.clips
