"""How well what is made fits to what was given: pictures that are begun or ended with, and the seams of joins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haneul.backbones.base import Given, Request
from haneul.backbones.given import RATE
from haneul.backbones.native import Native
from haneul.evals.clips import SIZE, Work, render_held_out, word
from haneul.evals.data import Say, load_videos
from haneul.model.codec import GROUP
from haneul.train.codec import psnr, to_video

CLIPS = 12
KEPT = 17  #: base frames of a clip that is extended
TURN = 10  #: latent frames of a loop, thirds of a second

Frames = NDArray[np.float32]  # [T, H, W, 3] in -1..1


def seam(frames: Frames, at: int) -> float:
    """The change from frame `at` to the next one over the median change of all others."""
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    return float(change[at] / max(1e-6, float(np.median(np.delete(change, at)))))


@torch.no_grad()
def shown(model: Native, picture: NDArray[np.uint8]) -> torch.Tensor:
    """A picture [H, W, 3] as the codec gives it back, [3, H, W]."""
    coded: torch.Tensor = model.codec.decode(model.codec.encode(to_video(picture[None, None])))[0, :, 0]
    return coded.float()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A held-out render, base frames uint8 [T, H, W, 3], and what the model is asked to make of its caption."""

    model: Native
    video: NDArray[np.uint8]
    asked: dict[str, Any]

    def made(self, mode: str, *given: Given, seconds: float = 4.0, loop: bool = False) -> Frames:
        """Base frames of the model's answer."""
        z = self.model.latents(Request(**self.asked, mode=mode, seconds=seconds, given=given, loop=loop))
        with torch.no_grad():
            clip = self.model.codec.decode(z)[0].float().clamp(-1, 1)
        found: Frames = clip.permute(1, 2, 3, 0).numpy()
        return found

    def against(self, frame: Frames, picture: NDArray[np.uint8]) -> float:
        """PSNR of a frame against a given picture as the codec gives it back."""
        return psnr(torch.from_numpy(frame).permute(2, 0, 1), shown(self.model, picture))

    def first_frame_db(self) -> float:
        first = self.video[:1]
        return self.against(self.made("image-to-video", Given(frames=first))[0], first[0])

    def last_frame_db(self) -> float:
        end = len(self.video) - 1
        given = Given(frames=self.video[:1]), Given(frames=self.video[-1:], at=RATE * end)
        return self.against(self.made("keyframes", *given)[end], self.video[end])

    def extension_seam(self) -> float:
        kept = self.video[:KEPT].repeat(RATE, 0)[: RATE * (KEPT - 1) + 1]  # at the finished rate
        return seam(self.made("extend", Given(frames=kept)), KEPT - 1)

    def loop_seam(self) -> float:
        frames = self.made("loop", seconds=TURN / 3, loop=True)
        begin, turn = GROUP + 1, GROUP * TURN  # a loop is cut at its second group
        return seam(np.concatenate([frames[begin : begin + turn], frames[begin : begin + 1]]), turn - 1)


def measure(work: Work, model: Native, say: Say, count: int = CLIPS) -> dict[str, Any]:
    """Of `count` held-out renders: the first frame of image to video and the last one between two keyframes against
    the given picture through the codec; and the seams of an extension and of a loop."""
    videos, facts = load_videos(render_held_out(work, count, say), count)
    able = model.capabilities()
    found: dict[str, list[float]] = {key: [] for key, *_ in ROWS}
    for i, (video, clip_facts) in enumerate(zip(videos, facts, strict=True)):
        asked = {
            "prompt": word(clip_facts, i).text, "size": SIZE, "seed": i, "steps": work.steps or able.default_steps,
            "guidance": work.guidance or able.default_guidance,
        }  # fmt: skip
        case = Case(model=model, video=video, asked=asked)
        for key, values in found.items():
            values.append(getattr(case, key)())
        say(f"modes: {i + 1} of {count} clips")
    result: dict[str, Any] = {"clips": count}
    for key, _, _, _, goal in ROWS:
        low, middle, high = (round(float(v), 2) for v in np.percentile(found[key], (25, 50, 75)))
        result[key] = {"median": middle, "p25": low, "p75": high, "goal": goal}
    return result


#: What is measured: (method of Case, what the report calls it, unit, sign of the goal, goal).
ROWS: tuple[tuple[str, str, str, str, float], ...] = (
    ("first_frame_db", "image to video: first frame against the picture through the codec", " dB", "≥", 28.0),
    ("last_frame_db", "between keyframes: last frame against the picture through the codec", " dB", "≥", 25.0),
    ("extension_seam", "seam of an extension over the median change between frames", "", "≤", 1.3),
    ("loop_seam", "seam of a loop over the median change between frames", "", "≤", 1.3),
)
