"""What the evaluation reads off a clip, and clips with their right answers from shards.

An attribute's answer is an index into its classes; `IGNORE` where it can't be seen (colours in a pencil sketch). Of two
things of equal rank, a red ball and a blue box that collide, a caption may name either first, and no picture says which
one it was: so either one's colour and kind are right there, see `named_otherwise` and `settled`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.native import base_grid
from haneul.data.shards import iterate, read_shard
from haneul.errors import InputError
from haneul.model.codec import GROUP, PATCH
from haneul.world.scene import Facts
from haneul.world.vocabulary import CAMERAS, COLORS, EVENTS, KINDS, SETTINGS, STYLES, TIMES
from haneul.world.wording import COLORLESS_STYLES

NONE: Final = "none"
#: Attribute -> its classes. Colour and kind are the main subject's.
ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "setting": SETTINGS,
    "event": tuple(EVENTS),
    "color": (*COLORS, NONE),
    "kind": (*KINDS, NONE),
    "camera": CAMERAS,
    "time": (*TIMES, NONE),
    "style": STYLES,
    "direction": ("left", "right", NONE),
}
NAMES: Final = tuple(ATTRIBUTES)
IGNORE: Final = -100
FRAMES: Final = 49  #: frames of a clip, 4 s at 12 a second
MOMENTS: Final = 4  #: of which the pictures are looked at
SPANS: Final = 12  #: thirds of a second of which the motion is looked at
CELL: Final = 8  #: pixels of a cell of motion
TOKENS: Final = 28  #: 16x16 patches of a picture, about: 112x64, 80x80, 64x112

#: Events and relations whose two things can be named in either order: "a ball left of a box" is a box right of a ball.
EQUAL_EVENTS: Final = ("collide", "space collide")
EQUAL_RELATIONS: Final = ("left of", "right of", "behind", "in front of")
SUBJECT_COLUMNS: Final = [NAMES.index(name) for name in ("color", "kind")]  #: answers about the thing named first

Say = Callable[[str], None]


def answers(facts: Facts) -> list[int]:
    """The right answer for each attribute, in the order of NAMES."""
    main = facts.subjects[0] if facts.subjects else None
    values = {
        "setting": facts.setting,
        "event": facts.event,
        "color": main.color if main else NONE,
        "kind": main.kind if main else NONE,
        "camera": facts.camera,
        "time": facts.time or NONE,
        "style": facts.style,
        "direction": facts.direction or NONE,
    }
    found = [ATTRIBUTES[name].index(values[name]) for name in NAMES]
    if main and facts.style in COLORLESS_STYLES and main.color not in ("white", "black"):
        found[NAMES.index("color")] = IGNORE
    return found


def named_otherwise(facts: Facts) -> Facts:
    """The same facts with the second thing named first, where both are of equal rank; else as they are."""
    equal = facts.event in EQUAL_EVENTS or (facts.event == "relation" and facts.relation in EQUAL_RELATIONS)
    if not equal or len(facts.subjects) != 2:
        return facts
    return replace(facts, subjects=facts.subjects[::-1])


def both_answers(facts: Facts) -> list[list[int]]:
    """The right answers [2, A], of either order in which the things may be named."""
    return [answers(facts), answers(named_otherwise(facts))]


def nearer(found: NDArray[np.int64], both_n2A: NDArray[np.int64]) -> NDArray[np.int64]:
    """The right answers [n, A] to judge those that were `found` [n, A] by: of both orders the one in which more of
    colour and kind are right."""
    hits = (both_n2A[:, :, SUBJECT_COLUMNS] == found[:, None, SUBJECT_COLUMNS]).sum(2)
    right: NDArray[np.int64] = both_n2A[np.arange(len(found)), hits.argmax(1)]
    return right


def settled(found: NDArray[np.int64], facts: Sequence[Facts]) -> NDArray[np.int64]:
    """`nearer` of clips with these facts."""
    return nearer(found, np.array([both_answers(f) for f in facts]).reshape(len(facts), 2, len(NAMES)))


def whole_clip(meta: dict[str, Any]) -> Facts:
    """Facts of a shard's whole clip; raises InputError where the shard has none."""
    stops = [int(key[2:]) for key in meta["facts"] if key.startswith("0:")]
    if not stops:
        raise InputError(f"clip {meta.get('seed')} has no facts; render it again: haneul world render")
    return Facts.from_json(meta["facts"][f"0:{max(stops)}"])


def _resized(frames: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if frames.shape[1:3] == (height, width):
        return frames
    pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24") for f in frames)
    return np.stack(
        [p.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray() for p in pictures]
    )


def _motion(frames_TCHW: Tensor) -> Tensor:
    """How things move, [SPANS, 5, H/8, W/8]: optical flow (right, down; in steps of two pixels a frame), then how much
    the picture changes, how much structure it has, and what the flow leaves unexplained, as logarithms.

    Lucas and Kanade (IJCAI 1981) at half size, over cells of 8x8 pixels and the four frame pairs of a
    third of a second.
    """
    x = F.avg_pool2d(frames_TCHW.float() / 255, 2)
    x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    mean, change = (x[1:] + x[:-1]) / 2, x[1:] - x[:-1]
    wide = F.pad(mean, (1, 1, 1, 1), mode="replicate")
    dx, dy = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    products = torch.stack([dx * dx, dx * dy, dy * dy, dx * change, dy * change, change * change], 1).sum(2)
    cells = F.avg_pool2d(products, CELL // 2).unflatten(0, (SPANS, -1)).mean(1)
    xx, xy, yy, xt, yt, tt = cells.unbind(1)
    ridge = 5e-5  # of squared contrast: without structure there is no motion to see
    determinant = (xx + ridge) * (yy + ridge) - xy * xy
    u = (xy * yt - (yy + ridge) * xt) / determinant
    v = (xy * xt - (xx + ridge) * yt) / determinant
    left = (tt + u * xt + v * yt).clamp(min=0)
    logs = [torch.log10(part + 1e-5) + 4 for part in (tt, xx + yy, left)]
    return torch.stack([u.clamp(-4, 4), v.clamp(-4, 4), *logs], 1)


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """What the reader sees of a clip: pictures uint8 [MOMENTS, 3, h, w], motion float16 [SPANS, 5, h/8, w/8]."""

    pictures: Tensor
    motion: Tensor


def glimpse(video_THW3: NDArray[np.uint8]) -> Glimpse:
    """Clips of any size and length are brought to about TOKENS patches and to FRAMES frames.

    Raises InputError for fewer than two frames.
    """
    T, H, W = video_THW3.shape[:3]
    if T < 2:
        raise InputError(f"a clip of {T} frames shows no motion; give at least 2 frames")
    rows, columns = base_grid((W, H), TOKENS)
    index = np.linspace(0, T - 1, FRAMES).round().astype(int)
    frames = _resized(video_THW3[index], columns * PATCH, rows * PATCH)
    x = torch.from_numpy(frames).permute(0, 3, 1, 2)
    return Glimpse(pictures=x[moments(FRAMES)].contiguous(), motion=_motion(x).half())


def moments(frames: int) -> list[int]:
    """The frames of a clip whose pictures are looked at."""
    return [round(k * (frames - 1) / (MOMENTS - 1)) for k in range(MOMENTS)]


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips of one size: pictures and motion as in `Glimpse`, cover uint8 [n, MOMENTS, h, w, 2], answers [n, 2, 2, A]
    (of the clip and of its mirror image, in either order of naming), and the facts."""

    pictures: Tensor
    motion: Tensor
    cover: Tensor
    answers: Tensor
    facts: list[Facts]

    def __len__(self) -> int:
        return len(self.facts)


def _cosines(n: int) -> Tensor:
    """The orthonormal cosine transform of n values (DCT-II), [n, n]; row k is frequency k."""
    k, x = torch.arange(n)[:, None], torch.arange(n)[None]
    basis: Tensor = torch.cos(torch.pi / n * (x + 0.5) * k) * (2 / n) ** 0.5
    basis[0] /= 2**0.5
    return basis


def smeared(video_THW3: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A clip as a video autoencoder might give it back: of each block of 4 frames x 16 x 16 pixels only low
    frequencies, the fewer the quicker they change, and fewer of colour than of brightness. How many is drawn anew for
    every clip, so that a reader learns to bear smearing and not one codec's own."""
    across, along, chroma = rng.uniform(4, 10), rng.uniform(0.9, 4), rng.uniform(0.45, 0.8)
    x = torch.from_numpy(video_THW3).permute(3, 0, 1, 2).float()
    brightness = x.mean(0, keepdim=True)
    parts = torch.cat([brightness, x - brightness])
    padded = torch.cat([parts[:, :1].expand(-1, GROUP - 1, -1, -1), parts], 1)  # the first frame stands alone
    blocks = padded.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH)).unflatten(1, (-1, GROUP))
    time, space = _cosines(GROUP), _cosines(PATCH)
    t, y, z = torch.arange(GROUP)[:, None, None], torch.arange(PATCH)[:, None], torch.arange(PATCH)
    radius = ((t / along) ** 2 + (y / across) ** 2 + (z / across) ** 2).sqrt()
    keep = torch.stack([radius < 1, *[radius < chroma] * 3]).float()
    found = torch.einsum("cgthywx,it,jy,kx->cghwijk", blocks, time, space, space)
    back = torch.einsum("cghwijk,cijk,it,jy,kx->cgthywx", found, keep, time, space, space)
    flat = back.flatten(1, 2).flatten(2, 3).flatten(3, 4)[:, GROUP - 1 :]
    out: NDArray[np.uint8] = (flat[1:] + flat[:1]).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).numpy()
    return out


def _of_shard(path: Path, smear: bool) -> Clips:
    shard = read_shard(path)
    facts = [whole_clip(m) for m in shard.meta]
    rng = np.random.default_rng(int(shard.meta[0]["seed"]))
    seen = [glimpse(smeared(v, rng) if smear else v) for v in shard.video_nTHW3]
    return Clips(
        pictures=torch.stack([g.pictures for g in seen]),
        motion=torch.stack([g.motion for g in seen]),
        cover=torch.from_numpy(shard.coverage_nThw2[:, moments(shard.coverage_nThw2.shape[1])]),
        answers=torch.tensor([[both_answers(f), both_answers(f.mirrored())] for f in facts]),
        facts=facts,
    )


def load_clips(paths: Sequence[Path], *, smear: bool = False) -> list[Clips]:
    """Clips of the shards, one entry for each size; with `smear` as a codec might give them back."""
    by_size: dict[tuple[int, ...], list[Clips]] = {}
    for path in paths:
        clips = _of_shard(path, smear)
        by_size.setdefault(tuple(clips.cover.shape[2:4]), []).append(clips)
    return [
        Clips(
            pictures=torch.cat([c.pictures for c in parts]),
            motion=torch.cat([c.motion for c in parts]),
            cover=torch.cat([c.cover for c in parts]),
            answers=torch.cat([c.answers for c in parts]),
            facts=[f for c in parts for f in c.facts],
        )
        for parts in by_size.values()
    ]


def load_videos(folder: Path, limit: int) -> tuple[NDArray[np.uint8], list[Facts]]:
    """The first `limit` clips of a folder of equal-sized shards, uint8 [n, T, H, W, 3], and their facts."""
    videos: list[NDArray[np.uint8]] = []
    facts: list[Facts] = []
    for _, shard in iterate(folder):
        videos += list(shard.video_nTHW3)
        facts += [whole_clip(m) for m in shard.meta]
        if len(videos) >= limit:
            break
    return np.stack(videos[:limit]), facts[:limit]
