"""Training of the upscaler on renders of one moment at both sizes."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.model.checkpoint import Card, load, load_into, save
from haneul.model.codec import Codec
from haneul.model.presets import Preset
from haneul.train.codec import edges, psnr, to_video
from haneul.video.upscale import Upscaler, UpscalerConfig
from haneul.world.scene import FPS

Say = Callable[[str], None]
FRAMES = 9  #: small frames around the moment, enough for the codec
AT = 5  #: the moment is small frame 5: inside the second group, with a frame before and after
CROP = 24  #: small pixels of a training crop


@dataclass(frozen=True, kw_only=True)
class UpscalerRecipe:
    data: Path  # where the pairs are kept
    codec: Path
    output: Path
    pairs: int = 2000
    budget: float = 900.0
    batch: int = 12
    learning_rate: float = 1e-3
    richness: float = 0.4
    workers: int = 2
    threads: int = 2
    seed: int = 0


def render_pair(seed: int, size: tuple[int, int], scale: int, richness: float) -> dict[str, NDArray[np.uint8]]:
    """Small frames [9, H, W, 3]; large crops [2, 8*CROP, 8*CROP, 3] at the moment and half a small frame after it."""
    from haneul.world.physics import simulate
    from haneul.world.render import Frame, render_frame
    from haneul.world.sample import sample_spec

    rng = np.random.default_rng([seed, 77])
    spec = sample_spec(seed, richness=richness, seconds=2.0)
    truth = simulate(spec)
    first = int(rng.integers(0, len(truth.cameras) - 2 * FRAMES))

    def draw(i: int, width: int, height: int, crop: tuple[int, int, int, int] | None = None) -> Frame:
        return render_frame(
            truth.geoms_TNG[i], truth.environment, truth.cameras[i], style=spec.style, time=i / FPS,
            width=width, height=height, quality="fast", crop=crop,
        )  # fmt: skip

    w, h = size
    small = [draw(first + 2 * k, w, h) for k in range(FRAMES)]
    ids = small[AT].ids
    ys, xs = np.nonzero(ids)
    if len(ys) and rng.random() < 0.75:  # where something happens
        pick = rng.integers(len(ys))
        cx, cy = xs[pick], ys[pick]
    else:
        cx, cy = rng.integers(w), rng.integers(h)
    x0 = int(np.clip(cx - CROP // 2, 0, w - CROP))
    y0 = int(np.clip(cy - CROP // 2, 0, h - CROP))
    crop = (x0 * scale, y0 * scale, CROP * scale, CROP * scale)
    large = [draw(first + 2 * AT + d, w * scale, h * scale, crop).rgb for d in (0, 1)]
    return {
        "small": np.stack([s.rgb for s in small]),
        "large": np.stack(large),
        "at": np.array([x0, y0], np.uint8),
    }


def _job(job: tuple[int, int, tuple[int, int], int, float, Path]) -> int:
    first, count, size, scale, richness, folder = job
    path = folder / f"pairs-{first:06d}.npz"
    if not path.exists():
        made = [render_pair(10_000_000 + first + i, size, scale, richness) for i in range(count)]
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as f:
            small, large, at = (np.stack([m[k] for m in made]) for k in ("small", "large", "at"))
            np.savez(f, small=small, large=large, at=at)
        temporary.replace(path)
    return count


def render_pairs(preset: Preset, recipe: UpscalerRecipe, say: Say = print) -> None:
    """Render what is missing of the pairs, on every core; resumable."""
    recipe.data.mkdir(parents=True, exist_ok=True)
    per = 50
    jobs = [
        (first, per, preset.base_size, preset.upscale, recipe.richness, recipe.data)
        for first in range(0, recipe.pairs, per)
    ]
    done = 0
    with mp.get_context("spawn").Pool(recipe.workers) as pool:
        for count in pool.imap_unordered(_job, jobs):
            done += count
            say(f"{done} of {recipe.pairs} pairs")


@torch.no_grad()
def through_codec(codec: Codec, small: NDArray[np.uint8]) -> Tensor:
    """The triple of frames around the moment after encoding and decoding, [n, 9, H, W] in [-1, 1]."""
    out = []
    with torch.autocast("cpu", torch.bfloat16):
        for clip in small:
            y = codec.decode(codec.encode(to_video(clip[None])))[0].float().clamp(-1, 1)
            out.append(torch.cat([y[:, AT - 1], y[:, AT], y[:, AT + 1]], 0))
    return torch.stack(out)


def load_pairs(recipe: UpscalerRecipe, codec: Codec, say: Say) -> tuple[Tensor, Tensor, Tensor]:
    """Degraded triples [n, 9, h, w], large crops uint8 [n, 2, H, W, 3], crop corners [n, 2]."""
    triples, large, corners = [], [], []
    for path in sorted(recipe.data.glob("pairs-*.npz")):
        with np.load(path) as z:
            triples.append(through_codec(codec, z["small"]))
            large.append(torch.from_numpy(z["large"]))
            corners.append(torch.from_numpy(z["at"].astype(np.int64)))
    say(f"{sum(len(t) for t in triples)} pairs loaded")
    return torch.cat(triples), torch.cat(large), torch.cat(corners)


def take(data: tuple[Tensor, Tensor, Tensor], index: Tensor, flip: bool) -> tuple[Tensor, Tensor]:
    """Inputs [b, 9, c, c] and targets [b, 2, 3, C, C] in [-1, 1]."""
    triples, large, corners = data
    x = torch.stack([triples[i][:, y : y + CROP, x : x + CROP] for i in index for x, y in [corners[i].tolist()]])
    y = large[index].permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    return (x.flip(-1), y.flip(-1)) if flip else (x, y)


def train_upscaler(preset: Preset, recipe: UpscalerRecipe, say: Say = print) -> Upscaler:
    """Train for the budget on the pairs that are there; writes the checkpoint."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    tensors, _ = load(recipe.codec, "codec")
    codec = Codec(preset.codec)
    load_into(codec, tensors, recipe.codec)
    codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = load_pairs(recipe, codec, say)
    cfg = UpscalerConfig(scale=preset.upscale)
    net = Upscaler(cfg)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n = len(data[0])
    held = torch.arange(n - n // 16, n)
    params = list(net.parameters())
    optimiser = torch.optim.AdamW(params, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    begin, step, told = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1, (step + 1) / 50) * max(0.02, 1 - elapsed / recipe.budget)
        index = torch.randint(n - n // 16, (recipe.batch,))
        x, y = take(data, index, bool(torch.rand(()) < 0.5))
        with torch.autocast("cpu", torch.bfloat16):
            out = net(x)
        m = 2 * cfg.scale  # the crop's border lacks context
        out, y = out[..., m:-m, m:-m], y[..., m:-m, m:-m]
        loss = F.l1_loss(out, y) + edges(out, y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        step += 1
        if elapsed - told > 60:
            told = elapsed
            rate, scores = step * recipe.batch / elapsed, report(net, data, held)
            say(f"{elapsed / 60:.0f} min, {rate:.0f} crops/s, loss {loss:.4f}, {scores}")
    scores = report(net, data, held)
    say(f"upscaler: {scores}")
    recipe_text = {k: str(v) for k, v in asdict(recipe).items() if k not in ("data", "codec", "output")}
    card = Card(
        part="upscaler", preset=preset.name, config=asdict(cfg), recipe=recipe_text, evaluation={"held_out": scores},
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    save(recipe.output, net.state_dict(), card, dtype=torch.float16)
    return net


@torch.no_grad()
def report(net: Upscaler, data: tuple[Tensor, Tensor, Tensor], held: Tensor) -> str:
    """PSNR on held-out pairs, of the frame and of the moment between frames, with bicubic beside."""
    s = net.cfg.scale
    x, y = take(data, held[:96], False)
    out = net(x)
    m = 2 * s
    here, after = x[:, 3:6], x[:, 6:9]
    cubic = [F.interpolate(v, scale_factor=s, mode="bicubic") for v in (here, (here + after) / 2)]
    cut = (..., slice(m, -m), slice(m, -m))
    pairs = [(psnr(out[:, k][cut], y[:, k][cut]), psnr(cubic[k][cut], y[:, k][cut])) for k in (0, 1)]
    return ", ".join(f"{n} {a:.2f} dB (bicubic {b:.2f})" for n, (a, b) in zip(("frame", "between"), pairs, strict=True))
