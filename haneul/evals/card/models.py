"""Who is graded: any backbone, as clips of the size and rate that the measures look at; and who it is held against."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
import torch

from haneul.backbones.base import Backbone, Given, Request
from haneul.backbones.native import Native
from haneul.evals.card.staged import RATE, Case, Frames
from haneul.evals.clips import BATCH, MODEL_FILES, SIZE, digest_of
from haneul.evals.following import through_codec
from haneul.video.io import atomic_output

SECONDS: Final = 4.0
FRAMES: Final = round(SECONDS * RATE) + 1
LARGE: Final = (896, 512)  #: that a model is asked for where it has no small size of its own


class Predictor(Protocol):
    """Says how a set-up goes on."""

    @property
    def name(self) -> str: ...

    def predict(self, case: Case) -> Frames:
        """What is thought to happen, uint8 [FRAMES, H, W, 3] at RATE, at SIZE."""
        ...


@dataclass(frozen=True, kw_only=True)
class AnotherRun:
    """The world itself once more, its start a little different: what physics alone leaves open."""

    name: str = "another run"

    def predict(self, case: Case) -> Frames:
        return case.second


@dataclass(frozen=True, kw_only=True)
class Still:
    """The first frame for ever: what knowing nothing of motion gives."""

    name: str = "a still"

    def predict(self, case: Case) -> Frames:
        return case.video[:1].repeat(len(case.video), 0)


REFERENCES: Final[tuple[Predictor, ...]] = (AnotherRun(), Still())


def small(frames: Sequence[Frames], fps: float) -> Frames:
    """Frames [H, W, 3] of any size and rate at SIZE and RATE; what is too short stays as it ends."""
    picked = [frames[min(round(i * fps / RATE), len(frames) - 1)] for i in range(FRAMES)]
    if picked[0].shape[:2] == (SIZE[1], SIZE[0]):
        return np.stack(picked)
    pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24") for f in picked)
    return np.stack(
        [p.reformat(width=SIZE[0], height=SIZE[1], format="rgb24", interpolation="AREA").to_ndarray() for p in pictures]
    )


@dataclass(kw_only=True)
class Graded:
    """A backbone with its name on the card. `steps` and `guidance` None: its own. Clips are kept in `folder`."""

    name: str
    backbone: Backbone
    folder: Path
    steps: int | None = None
    guidance: float | None = None
    size: tuple[int, int] = LARGE

    def __post_init__(self) -> None:
        able = self.backbone.capabilities()
        self.fps = able.fps
        self.steps = self.steps or able.default_steps
        self.guidance = able.default_guidance if self.guidance is None else self.guidance
        self.modes = able.modes
        if isinstance(self.backbone, Native):
            who = digest_of(self.backbone.folder / file for file in MODEL_FILES)
        else:
            who = self.backbone.identity().weights_sha256 + str(self.size)
        self.key = hashlib.sha256(f"{who} {self.steps} {self.guidance}".encode()).hexdigest()[:16]

    @property
    def given(self) -> str:
        """What of a beginning it can be given: "clip", "picture" or "nothing"."""
        return "clip" if "extend" in self.modes else "picture" if "image-to-video" in self.modes else "nothing"

    def predict(self, case: Case) -> Frames:
        """How it goes on from the first frame or half second (all of which a model may not be able to take)."""
        start = case.begin(self.fps)
        if self.given == "picture":
            start = start[:1]
        clip = len(start) > 1
        mode = "extend" if clip else "image-to-video"
        mark = hashlib.sha256(start.tobytes() + case.caption.encode()).hexdigest()[:16]
        return self._kept(f"{case.scene}-{mark}", lambda: self._made(case.caption, case.spec.seed, mode, start))

    def clips(self, name: str, texts: Sequence[str], seeds: Sequence[int], *, expand: bool = True) -> Frames:
        """What it makes of prompts alone, [n, FRAMES, H, W, 3]."""
        made = []
        for first in range(0, len(texts), BATCH):
            some, numbers = list(texts[first : first + BATCH]), list(seeds[first : first + BATCH])
            mark = hashlib.sha256(repr((some, numbers, expand)).encode()).hexdigest()[:16]
            make = functools.partial(self._worded, some, numbers, expand)
            made.append(self._kept(f"{name}-{mark}", make))
        return np.concatenate(made)

    def coded(self, video: Frames) -> Frames | None:
        """A clip through its codec: the best that it could show. None where it has none of our kind."""
        return through_codec(self.backbone, video[None])[0] if isinstance(self.backbone, Native) else None

    def _kept(self, name: str, make: Callable[[], Frames]) -> Frames:
        path = self.folder / self.key / f"{name}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_output(path, overwrite=True) as unfinished, unfinished.open("wb") as file:
                np.save(file, make())
        found: Frames = np.load(path)
        return found

    def _request(self, prompt: str, seed: int, mode: str, given: tuple[Given, ...], expand: bool) -> Request:
        assert self.steps is not None
        assert self.guidance is not None
        return Request(
            prompt=prompt, seed=seed % 2**31, steps=self.steps, guidance=self.guidance, mode=mode, given=given,
            seconds=SECONDS, expand=expand, size=SIZE if isinstance(self.backbone, Native) else self.size,
        )  # fmt: skip

    @torch.no_grad()
    def _made(self, prompt: str, seed: int, mode: str, start: Frames | None = None, expand: bool = False) -> Frames:
        given = () if start is None else (Given(frames=start),)
        request = self._request(prompt, seed, mode, given, expand)
        if isinstance(self.backbone, Native):
            base = self.backbone.base_frames(request)
            return small([((f + 1) * 127.5).round().byte().permute(1, 2, 0).numpy() for f in base], RATE)
        return small(list(self.backbone.generate(request)), self.fps)

    def _worded(self, texts: list[str], seeds: list[int], expand: bool) -> Frames:
        if isinstance(self.backbone, Native):
            return self.backbone.base_videos(
                texts, seeds=seeds, steps=self.steps, guidance=self.guidance, size=SIZE, expand=expand
            )
        return np.stack(
            [self._made(text, seed, "text-to-video", None, expand) for text, seed in zip(texts, seeds, strict=True)]
        )
