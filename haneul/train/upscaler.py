"""Training of the upscaler on renders of one moment at both sizes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.processes import each
from haneul.data.shards import read_meta, read_shard
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, file_digest, load, load_into, save
from haneul.model.codec import GROUP, Codec
from haneul.model.precision import autocast
from haneul.model.presets import Preset
from haneul.train.codec import edges, psnr, to_video
from haneul.video.upscale import Upscaler, UpscalerConfig
from haneul.world.produce import STRIDE
from haneul.world.scene import FPS, ClipSpec

if TYPE_CHECKING:
    from haneul.world.render import Frame

Say = Callable[[str], None]
FRAMES = 9  #: small frames around the moment, enough for the codec
AT = 5  #: the moment is small frame 5: inside the second group, with a frame before and after
CROP = 24  #: small pixels of a training crop


PATHS = ("data", "codec", "output", "remade", "world", "begin")  #: of a recipe that say nothing to others


@dataclass(frozen=True, kw_only=True)
class UpscalerRecipe:
    data: Path  # where the pairs are kept
    codec: Path
    output: Path
    pairs: int = 2000
    remade: Path | None = None  # the model's own versions of clips (remake.py), which are learned from as well
    world: Path | None = None  # the clips themselves
    begin: Path | None = None  # an upscaler's weights to begin with, as far as they fit
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
    from haneul.world.render import render_frame
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
    x0, y0 = corner(small[AT].ids, rng)
    crop = (x0 * scale, y0 * scale, CROP * scale, CROP * scale)
    large = [draw(first + 2 * AT + d, w * scale, h * scale, crop).rgb for d in (0, 1)]
    return {
        "small": np.stack([s.rgb for s in small]),
        "large": np.stack(large),
        "at": np.array([x0, y0], np.uint8),
    }


def render_moment(meta: dict[str, Any], start: int, mirrored: bool, seed: int, scale: int) -> dict[str, Any]:
    """Of a moment inside a remade window that begins at latent frame `start` of a clip: its number in the window, the
    crop's corner in the window's small frames, and the large crops as `render_pair` has them."""
    from haneul.world.physics import simulate
    from haneul.world.render import render_frame

    rng = np.random.default_rng([seed, 78])
    spec = ClipSpec.from_json(meta["spec"])
    w, h = meta["size"]
    truth = simulate(spec)
    at = int(rng.integers(1, meta["frames"] - 1))
    first = STRIDE * (GROUP * start + at)

    def draw(i: int, times: int, crop: tuple[int, int, int, int] | None = None) -> Frame:
        return render_frame(
            truth.geoms_TNG[i], truth.environment, truth.cameras[i], style=spec.style, time=i / FPS,
            width=w * times, height=h * times, quality="fast", crop=crop,
        )  # fmt: skip

    x0, y0 = corner(draw(first, 1).ids, rng)
    large = np.stack([draw(first + d, scale, (x0 * scale, y0 * scale, CROP * scale, CROP * scale)).rgb for d in (0, 1)])
    if mirrored:
        x0, large = w - CROP - x0, large[:, :, ::-1]
    return {"large": large, "at": np.array([at, x0, y0], np.int64)}


def corner(ids: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int]:
    """Where to cut: mostly where something happens."""
    h, w = ids.shape
    ys, xs = np.nonzero(ids)
    if len(ys) and rng.random() < 0.75:
        pick = rng.integers(len(ys))
        cx, cy = xs[pick], ys[pick]
    else:
        cx, cy = rng.integers(w), rng.integers(h)
    return int(np.clip(cx - CROP // 2, 0, w - CROP)), int(np.clip(cy - CROP // 2, 0, h - CROP))


def _moments(job: tuple[Path, Path, Path, int]) -> int:
    """The large crops of one file of remade windows."""
    world, remade, target, scale = job
    item = torch.load(remade, weights_only=True)
    if not target.exists():
        metas, video = read_meta(world), read_shard(world).video_nTHW3
        size = {"size": (video.shape[3], video.shape[2]), "frames": GROUP * (item["z"].shape[2] - 1) + 1}
        rows = zip(*(item[k].tolist() for k in ("clip", "start", "mirrored")), strict=True)
        made = [
            render_moment(metas[clip] | size, start, mirrored, metas[clip]["seed"] + number, scale)
            for number, (clip, start, mirrored) in enumerate(rows)
        ]
        temporary = target.with_suffix(".tmp")
        with temporary.open("wb") as f:
            np.savez(f, large=np.stack([m["large"] for m in made]), at=np.stack([m["at"] for m in made]))
        temporary.replace(target)
    return len(item["z"])


def moments_path(recipe: UpscalerRecipe, remade: Path) -> Path:
    """Where the large crops of a file of remade windows are kept."""
    return recipe.data / f"moments-{remade.stem}.npz"


def render_moments(preset: Preset, recipe: UpscalerRecipe, say: Say = print) -> None:
    """Render what is missing of the large crops of remade windows; resumable."""
    assert recipe.remade is not None
    assert recipe.world is not None
    recipe.data.mkdir(parents=True, exist_ok=True)
    jobs = [
        (recipe.world / f"{path.stem}.npz", path, moments_path(recipe, path), preset.upscale)
        for path in sorted(recipe.remade.glob("shard-*.pt"))
    ]
    done = 0
    for count in each(_moments, jobs, recipe.workers):
        done += count
        say(f"{done} moments")


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
    for count in each(_job, jobs, recipe.workers):
        done += count
        say(f"{done} of {recipe.pairs} pairs")


@torch.no_grad()
def through_codec(codec: Codec, small: NDArray[np.uint8]) -> Tensor:
    """The triple of frames around the moment after encoding and decoding, [n, 9, H, W] in [-1, 1]."""
    out = []
    with autocast():
        for clip in small:
            y = codec.decode(codec.encode(to_video(clip[None])))[0].float().clamp(-1, 1)
            out.append(torch.cat([y[:, AT - 1], y[:, AT], y[:, AT + 1]], 0))
    return torch.stack(out)


@torch.no_grad()
def drawn(codec: Codec, remade: Path, at: Tensor) -> list[Tensor]:
    """The triples [9, H, W] around the moments `at` [n] of a file of remade windows, as the decoder draws them."""
    z = torch.load(remade, weights_only=True)["z"]
    out = []
    with autocast():
        for i, moment in enumerate(at.tolist()):
            y = codec.decode(z[i : i + 1].float())[0].float().clamp(-1, 1)
            out.append(torch.cat([y[:, moment - 1], y[:, moment], y[:, moment + 1]], 0))
    return out


Pairs = tuple[list[Tensor], Tensor, Tensor]


def load_pairs(recipe: UpscalerRecipe, codec: Codec, say: Say) -> Pairs:
    """Degraded triples, each [9, h, w], large crops uint8 [n, 2, H, W, 3], crop corners [n, 2]; remade ones first."""
    triples: list[Tensor] = []
    large, corners = [], []
    for windows in sorted(recipe.remade.glob("shard-*.pt")) if recipe.remade is not None else ():
        if not (path := moments_path(recipe, windows)).exists():
            continue
        with np.load(path) as z:
            at = torch.from_numpy(z["at"])
            triples += drawn(codec, windows, at[:, 0])
            large.append(torch.from_numpy(z["large"]))
            corners.append(at[:, 1:])
    for path in sorted(recipe.data.glob("pairs-*.npz")):
        with np.load(path) as z:
            triples += through_codec(codec, z["small"]).unbind()
            large.append(torch.from_numpy(z["large"]))
            corners.append(torch.from_numpy(z["at"].astype(np.int64)))
    if not triples:
        raise TrainingError(f"{recipe.data} holds no pairs to learn from; render them first")
    say(f"{len(triples)} pairs loaded")
    return triples, torch.cat(large), torch.cat(corners)


def take(data: Pairs, index: Tensor, flip: bool) -> tuple[Tensor, Tensor]:
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
    cfg = UpscalerConfig(scale=preset.upscale, middle=2, fine=32)
    net, begun = Upscaler(cfg), ""
    if recipe.begin is not None:
        known, shapes, begun = load(recipe.begin, "upscaler")[0], net.state_dict(), file_digest(recipe.begin)
        fitting = {k: v.float() for k, v in known.items() if k in shapes and v.shape == shapes[k].shape}
        net.load_state_dict(shapes | fitting)
        say(f"{len(fitting)} of {len(shapes)} tensors taken over")
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n = len(data[0])
    kept = max(1, n // 16)  # for measuring
    held = torch.arange(n - kept, n)
    params = list(net.parameters())
    optimiser = torch.optim.AdamW(params, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    begin, step, told = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1, (step + 1) / 50) * max(0.02, 1 - elapsed / recipe.budget)
        index = torch.randint(n - kept, (recipe.batch,))
        x, y = take(data, index, bool(torch.rand(()) < 0.5))
        with autocast():
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
    recipe_text = {k: str(v) for k, v in asdict(recipe).items() if k not in PATHS} | {"learned_from": str(n - kept)}
    if begun:
        recipe_text["begin_sha256"] = begun
    card = Card(
        part="upscaler", preset=preset.name, config=asdict(cfg), recipe=recipe_text, evaluation={"held_out": scores},
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    save(recipe.output, net.state_dict(), card, dtype=torch.float16)
    return net


@torch.no_grad()
def report(net: Upscaler, data: Pairs, held: Tensor) -> str:
    """PSNR on held-out pairs, of the frame and of the moment between frames, with bicubic beside."""
    s = net.cfg.scale
    x, y = take(data, held[:96], False)
    out = net(x)
    m = 2 * s
    here, after = x[:, 3:6], x[:, 6:9]
    cubic = [F.interpolate(v, scale_factor=s, mode="bicubic") for v in (here, (here + after) / 2)]
    cut = (..., slice(m, -m), slice(m, -m))
    pairs = [(psnr(out[:, k][cut], y[:, k][cut]), psnr(cubic[k][cut], y[:, k][cut])) for k in (0, 1)]
    told = [f"{n} {a:.2f} dB (bicubic {b:.2f})" for n, (a, b) in zip(("frame", "between"), pairs, strict=True)]
    steep = [steepness(v[cut]) / steepness(y[:, 0][cut]) for v in (out[:, 0], cubic[0])]
    return ", ".join([*told, f"edges {100 * steep[0]:.0f}% as steep as rendered ones (bicubic {100 * steep[1]:.0f}%)"])


def steepness(x: Tensor) -> float:
    """Root mean square of the differences between neighbouring pixels: a few steep edges count for more than many soft
    ones of the same height, which a mean of absolute differences does not tell apart."""
    return float((x.diff(dim=-1).square().mean() + x.diff(dim=-2).square().mean()).sqrt())
