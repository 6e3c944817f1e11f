"""How near generated clips are to rendered ones, and how much the codec and the upscaler keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.native import Native
from haneul.data.shards import shard_paths
from haneul.evals.clips import Work, generate_clips, render_held_out, word
from haneul.evals.data import Say, load_videos
from haneul.evals.following import through_codec
from haneul.evals.reader import Reader, read
from haneul.evals.statistics import frechet, kernel_distance
from haneul.model.codec import GROUP, PATCH
from haneul.train import codec as codec_training
from haneul.train.codec import psnr
from haneul.train.upscaler import take
from haneul.train.upscaler import through_codec as degraded

CODEC_GOAL = 30.0  #: dB
CODEC_CLIPS = 96


def distances(work: Work, model: Native, reader: Reader, say: Say) -> dict[str, Any]:
    """Frechet distances, every one between sets of the same size: half of the clips asked for."""
    videos, facts = load_videos(render_held_out(work, work.clips, say), work.clips)
    texts = [word(f, i).text for i, f in enumerate(facts)]
    generated = generate_clips(work, model, "english", texts, say)
    n = len(facts) // 2
    real = read(reader, list(videos)).features
    made = read(reader, list(generated)).features
    coded = read(reader, through_codec(model, videos[:n])).features
    return {
        "clips_a_side": n,
        "features": real.shape[1],
        # other captions than the renders of the other side: nothing but the distribution is compared
        "generated_to_renders": round(frechet(made[:n], real[n : 2 * n]), 3),
        "renders_to_renders": round(frechet(real[:n], real[n : 2 * n]), 3),
        "codec_to_renders": round(frechet(coded, real[n : 2 * n]), 3),
        # all of each: the captions are those of the renders, so contents are shared out alike
        "kernel_to_renders": round(kernel_distance(made, real), 3),
        "kernel_of_renders": round(kernel_distance(real[:n], real[n : 2 * n]), 3),
    }


def judder(videos: Sequence[NDArray[np.uint8]]) -> float:
    """How much more the picture changes from one latent frame to the next than within one: mean absolute change of
    uint8 videos [4k+1, H, W, 3], in groups of GROUP frames after the first. Smooth motion gives 1."""
    across, within = [], []
    for video in videos:
        change = np.abs(np.diff(video.astype(np.float32), axis=0)).mean((1, 2, 3))
        across.append(change[::GROUP])
        within.append(np.delete(change, np.arange(0, len(change), GROUP)))
    return float(np.concatenate(across).mean() / max(1e-6, float(np.concatenate(within).mean())))


def seams(videos: Sequence[NDArray[np.uint8]]) -> float:
    """How much more the picture changes across the borders of patches than within them: mean absolute difference of
    neighbouring pixels of uint8 videos [T, H, W, 3], at every PATCH-th place against the others. 1 is none."""
    across, within = [], []
    for video in videos:
        for axis in (1, 2):
            others = tuple(a for a in range(4) if a != axis)
            change = np.abs(np.diff(video.astype(np.float32), axis=axis)).mean(others)
            border = np.arange(len(change)) % PATCH == PATCH - 1
            across.append(change[border])
            within.append(change[~border])
    return float(np.concatenate(across).mean() / max(1e-6, float(np.concatenate(within).mean())))


def change(videos: Sequence[NDArray[np.uint8]]) -> float:
    """Mean absolute change from one frame to the next of uint8 videos, in steps of 0 to 255. Judder is a ratio, and
    flicker everywhere lowers it; this tells flicker from smoothness."""
    return float(np.mean([np.abs(np.diff(v.astype(np.float32), axis=0)).mean() for v in videos]))


def grain(videos: Sequence[NDArray[np.uint8]]) -> float:
    """Mean absolute second difference of neighbouring pixels, across and down, in steps of 0 to 255: the same for
    seams, which grain everywhere would hide."""
    axes = (1, 2)
    return float(np.mean([np.abs(np.diff(v.astype(np.float32), 2, axis=a)).mean() for v in videos for a in axes]))


def steadiness(work: Work, model: Native, say: Say) -> dict[str, Any]:
    """Judder and seams, and the change and grain that they are relative to: of renders, of the same after the codec,
    and of generated clips."""
    videos, facts = load_videos(render_held_out(work, work.clips, say), work.clips)
    made = generate_clips(work, model, "english", [word(f, i).text for i, f in enumerate(facts)], say)
    sets = {"renders": list(videos), "codec": through_codec(model, videos[:96]), "generated": list(made)}
    measures = {"judder": judder, "seams": seams, "change": change, "grain": grain}
    return {
        what: {"clips": len(facts)} | {name: round(measure(clips), 2) for name, clips in sets.items()}
        for what, measure in measures.items()
    }


def upscaler_psnr(model: Native, folder: Path) -> dict[str, Any]:
    """PSNR in dB of the upscaler and of bicubic on the last sixteenth of the pairs, which training leaves out."""
    paths = sorted(folder.glob("pairs-*.npz"))
    triples, large, corners = [], [], []
    for path in paths[-max(1, len(paths) // 16) :]:
        with np.load(path) as z:
            triples.append(degraded(model.codec, z["small"]))
            large.append(torch.from_numpy(z["large"]))
            corners.append(torch.from_numpy(z["at"].astype(np.int64)))
    small = list(torch.cat(triples).unbind())
    x, y = take((small, torch.cat(large), torch.cat(corners)), torch.arange(len(small)), False)
    scale = model.upscaler.cfg.scale
    out = torch.cat([model.upscaler(part) for part in x.split(8)])
    edge = 2 * scale  # the crop's border lacks context
    cut = (..., slice(edge, -edge), slice(edge, -edge))

    def compare(k: int, small: Tensor) -> dict[str, float]:
        cubic = F.interpolate(small, scale_factor=scale, mode="bicubic", align_corners=False)
        network, bicubic = psnr(out[:, k][cut], y[:, k][cut]), psnr(cubic[cut], y[:, k][cut])
        return {"network": round(network, 2), "bicubic": round(bicubic, 2)}

    here, after = x[:, 3:6], x[:, 6:9]
    return {"pairs": len(x), "frame": compare(0, here), "between_frames": compare(1, (here + after) / 2)}


@torch.no_grad()
def measure(work: Work, model: Native, reader: Reader, say: Say) -> dict[str, Any]:
    """Distances of distributions, judder, seams, the codec's PSNR on held-out renders, the upscaler's where there are
    pairs."""
    result: dict[str, Any] = {"frechet": distances(work, model, reader, say)}
    result |= steadiness(work, model, say)
    paths = shard_paths(work.renders)
    say("codec: measuring")
    result["codec"] = {
        "psnr_db": round(codec_training.measure(model.codec, paths, CODEC_CLIPS), 2),
        "clips": max(1, CODEC_CLIPS // len(paths)) * len(paths),
        "goal_db": CODEC_GOAL,
    }
    if work.pairs is not None and any(work.pairs.glob("pairs-*.npz")):
        say("upscaler: measuring")
        result["upscaler"] = upscaler_psnr(model, work.pairs)
    return result
