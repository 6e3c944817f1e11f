"""How well what is made fits to what was given: pictures that are begun or ended with, and the seams of joins."""

from __future__ import annotations

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
FIRST_GOAL, LAST_GOAL = 28.0, 25.0  #: dB
SEAM_GOAL = 1.3  #: of the clip's median change from frame to frame
KEPT = 17  #: base frames of a clip that is extended

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


def measure(work: Work, model: Native, say: Say, count: int = CLIPS) -> dict[str, Any]:
    """Of `count` held-out renders: the first frame of image to video and the last one between two keyframes against
    the given picture through the codec; and the seams of an extension and of a loop."""
    videos, facts = load_videos(render_held_out(work, count, say), count)
    able = model.capabilities()
    first, last, extended, closed = [], [], [], []
    for i, (video, clip_facts) in enumerate(zip(videos, facts, strict=True)):
        asked: dict[str, Any] = {
            "prompt": word(clip_facts, i).text, "size": SIZE, "seed": i, "steps": work.steps or able.default_steps,
            "guidance": work.guidance or able.default_guidance,
        }  # fmt: skip

        def made(mode: str, seconds: float, *given: Given, asked: dict[str, Any] = asked, loop: bool = False) -> Frames:
            request = Request(**asked, mode=mode, seconds=seconds, given=given, loop=loop)
            z = model.latents(request)
            with torch.no_grad():
                clip = model.codec.decode(z)[0].float().clamp(-1, 1)
            found: Frames = clip.permute(1, 2, 3, 0).numpy()
            return found

        def against(frame: Frames, picture: NDArray[np.uint8]) -> float:
            return psnr(torch.from_numpy(frame).permute(2, 0, 1), shown(model, picture))

        begun = made("image-to-video", 4.0, Given(frames=video[:1]))
        first.append(against(begun[0], video[0]))
        ends = made("keyframes", 4.0, Given(frames=video[:1]), Given(frames=video[-1:], at=RATE * (len(video) - 1)))
        last.append(against(ends[len(video) - 1], video[-1]))
        twice = video[:KEPT].repeat(RATE, 0)[: RATE * (KEPT - 1) + 1]  # at the finished rate
        extended.append(seam(made("extend", 4.0, Given(frames=twice)), KEPT - 1))
        turn = made("loop", 10 / 3, loop=True)
        period = GROUP * model.period(Request(**asked, seconds=10 / 3, loop=True))
        begin = GROUP + 1  # the second group, where a loop is cut
        around = np.concatenate([turn[begin : begin + period], turn[begin : begin + 1]])
        closed.append(seam(around, period - 1))
        say(f"modes: {i + 1} of {count} clips")

    def told(values: list[float]) -> dict[str, float]:
        low, middle, high = np.percentile(values, (25, 50, 75))
        return {"median": round(float(middle), 2), "p25": round(float(low), 2), "p75": round(float(high), 2)}

    return {
        "clips": count,
        "first_frame_db": told(first) | {"goal": FIRST_GOAL},
        "last_frame_db": told(last) | {"goal": LAST_GOAL},
        "extension_seam": told(extended) | {"goal": SEAM_GOAL},
        "loop_seam": told(closed) | {"goal": SEAM_GOAL},
    }


#: What the report says of each figure: (its key, the measure, unit, sign of the goal).
ROWS: tuple[tuple[str, str, str, str], ...] = (
    ("first_frame_db", "image to video: first frame against the picture through the codec", " dB", "≥"),
    ("last_frame_db", "between keyframes: last frame against the picture through the codec", " dB", "≥"),
    ("extension_seam", "seam of an extension over the median change between frames", "", "≤"),
    ("loop_seam", "seam of a loop over the median change between frames", "", "≤"),
)
