"""The clips that are measured: renders of combinations never trained on, and what the model makes of their captions.

Both are kept in a work folder, so that measures share them and an interrupted evaluation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.native import Native
from haneul.evals.data import Say
from haneul.prompt.language import check
from haneul.world.captions import Language, describe
from haneul.world.produce import Plan, render_dataset
from haneul.world.scene import CALM, Facts

SIZE = (112, 64)  #: of the renders, as of the smallest model's clips
SEED = 4242  #: of the renders; training uses small numbers and never these combinations
ASKED = ("setting", "event", "camera", "color")  #: what a caption is asked to state
TRIES = 60
SHARD = 32  #: clips of a file of renders
BATCH = 10  #: prompts of one call of the sampler
#: Files that decide what the model makes of a prompt, before the upscaler.
MODEL_FILES = (
    "dit.safetensors", "codec.safetensors", "concepts.safetensors", "text_encoder.safetensors", "scenes.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the measures work with. `steps` and `guidance` None: the model's defaults."""

    folder: Path
    weights: Path  # the folder of the model's files
    reader: Path
    clips: int = 500
    korean: int | None = None  # clips captioned in Korean; None: as many as in English
    steps: int | None = None
    guidance: float | None = None
    expand: bool = True  # whether what a prompt leaves open is filled in, as users get it
    threads: int = 0
    pairs: Path | None = None  # the upscaler's training pairs, the last ones of which it never saw

    @property
    def renders(self) -> Path:
        return self.folder / "renders"


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A caption and the facts that it states."""

    text: str
    said: frozenset[str]


def word(facts: Facts, seed: int, language: Language = "en") -> Wording:
    """A caption that states setting, event, camera and colour if any of many does, else the one that states most."""
    best = Wording(text="", said=frozenset())
    for attempt in range(TRIES):
        found = describe(facts, np.random.default_rng([seed, attempt]), language=language, length="full")
        if not best.text or len(found.said & set(ASKED)) > len(best.said & set(ASKED)):
            best = Wording(text=check(found.text).encoded, said=found.said)
        if set(ASKED) <= best.said:
            break
    return best


def render_held_out(work: Work, count: int, say: Say) -> Path:
    """A folder with at least `count` renders of held-out combinations; renders what is missing."""

    def tell(done: int, total: int) -> None:
        say(f"renders: {done} of {total}")

    plan = Plan(clips=-(-count // SHARD) * SHARD, seed=SEED, richness=CALM, shard=SHARD, held_out=True, sizes=(SIZE,))
    have = len(list(work.renders.glob("shard-*.npz")))
    if have * SHARD < plan.clips:
        render_dataset(work.renders, plan, progress=tell)
    return work.renders


def digest_of(paths: Iterable[Path], *choices: object) -> str:
    """A short name for what depends on these files and choices."""
    digest = hashlib.sha256(" ".join(map(str, choices)).encode())
    for path in paths:
        digest.update(path.read_bytes() if path.exists() else b"missing")
    return digest.hexdigest()[:16]


def generate_clips(
    work: Work, model: Native, name: str, texts: list[str], say: Say, first_seed: int = 0
) -> NDArray[np.uint8]:
    """Clips uint8 [n, T, H, W, 3] of the prompts at the model's own size, kept by batches under `name`.

    Clip i has seed `first_seed` + i whatever the batch: equal prompts give equal clips, and two languages get the same
    noise.
    """
    able = model.capabilities()
    steps, guidance = work.steps or able.default_steps, work.guidance or able.default_guidance
    files = (model.folder / file for file in MODEL_FILES)
    folder = work.folder / "generated" / digest_of(files, steps, guidance, work.expand) / name
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        mark = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:12]
        path = folder / f"{start:05d}-{mark}.npy"
        if not path.exists():
            videos = model.base_videos(
                batch,
                seeds=[first_seed + i for i in range(start, start + len(batch))],
                steps=steps,
                guidance=guidance,
                size=SIZE,
                expand=work.expand,
            )
            _save(path, videos)
            say(f"{name}: {start + len(batch)} of {len(texts)} clips")
        parts.append(np.load(path))
    return np.concatenate(parts)


def _save(path: Path, videos: NDArray[np.uint8]) -> None:
    """Atomically: a file with its final name is whole."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as f:
            np.save(f, videos)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
