"""The upscaler's last lesson: to draw its own pictures with steep edges.

The transformer's shapes are soft, and a distance to the truth makes them softer: where an edge may be here or there,
its best guess is a ramp. Yet everything in the world has an edge. A shock filter (Osher & Rudin, SIAM J. Numer. Anal.
27, 1990) makes steps of ramps and leaves everything where it is, without the overshoot of sharpening; it takes a second
a picture. So the upscaler learns to draw at once what the filter would make of its own pictures, which costs nothing
when it is used. Nothing is invented: flat parts stay flat, and shapes keep their form.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.errors import TrainingError
from haneul.model.checkpoint import file_digest, load, load_into, save
from haneul.model.codec import Codec
from haneul.model.precision import autocast
from haneul.model.presets import Preset
from haneul.train.codec import edges
from haneul.train.upscaler import CROP
from haneul.video.upscale import Upscaler, UpscalerConfig

Say = Callable[[str], None]

ROUNDS = 4  #: in each of which the edges are found anew
STEPS = 5  #: of a round, each of at most half a pixel
SIGMA = 3.0  #: pixels; what is finer is not an edge
CONTRAST = 400.0  #: of the second derivative at which a ramp is filtered fully; flat parts are left alone
PATHS = ("remade", "codec", "begin", "output")  #: of a recipe that say nothing to others


@dataclass(frozen=True, kw_only=True)
class SteepenRecipe:
    remade: Path  # the transformer's versions of clips (remake.py)
    codec: Path
    begin: Path  # the upscaler to teach
    output: Path
    budget: float = 900.0  # seconds of wall clock; the learning rate falls over it
    batch: int = 8
    learning_rate: float = 6e-4
    threads: int = 2
    seed: int = 0


def blurred(x_BCHW: Tensor, sigma: float) -> Tensor:
    """Convolved with a Gaussian of `sigma` pixels; borders are repeated."""
    r, channels = int(3 * sigma + 0.5), x_BCHW.shape[1]
    bell = torch.exp(-(torch.arange(-r, r + 1, dtype=x_BCHW.dtype) ** 2) / (2 * sigma**2))
    bell = (bell / bell.sum()).expand(channels, 1, -1)
    x = F.conv2d(F.pad(x_BCHW, (r, r, 0, 0), mode="replicate"), bell[:, :, None, :], groups=channels)
    return F.conv2d(F.pad(x, (0, 0, r, r), mode="replicate"), bell[:, :, :, None], groups=channels)


def bend(x_BCHW: Tensor, sigma: float) -> Tensor:
    """Second derivative across the edge, of the picture smoothed by `sigma`. The edge's direction is one for all
    channels, the main one of the structure tensor, as in Weickert's coherence-enhancing shock filters (DAGM 2003)."""
    p = F.pad(blurred(x_BCHW, sigma), (1, 1, 1, 1), mode="replicate")
    mid = p[..., 1:-1, 1:-1]
    left, right, up, down = p[..., 1:-1, :-2], p[..., 1:-1, 2:], p[..., :-2, 1:-1], p[..., 2:, 1:-1]
    gx, gy = (right - left) / 2, (down - up) / 2
    xx, yy = right - 2 * mid + left, down - 2 * mid + up
    xy = (p[..., 2:, 2:] - p[..., 2:, :-2] - p[..., :-2, 2:] + p[..., :-2, :-2]) / 4
    tensor = torch.cat([(a * b).sum(1, keepdim=True) for a, b in ((gx, gx), (gy, gy), (gx, gy))], 1)
    a, b, c = blurred(tensor, sigma).split(1, 1)
    angle = torch.atan2(2 * c, a - b) / 2
    cos, sin = angle.cos(), angle.sin()
    return cos * cos * xx + 2 * cos * sin * xy + sin * sin * yy


@torch.no_grad()
def steepened(x_B3HW: Tensor) -> Tensor:
    """Pictures in [-1, 1] whose soft edges are steps; no value leaves the range of its neighbourhood.

    Alvarez & Mazorra's filter (SIAM J. Numer. Anal. 31, 1994): a pixel on the hollow side of an edge goes towards the
    least of its neighbours, one on the other side towards the greatest.
    """
    for _ in range(ROUNDS):
        pull = torch.tanh(CONTRAST * bend(x_B3HW, SIGMA))
        hollow, bulge = pull.clamp(min=0) * 0.4, (-pull).clamp(min=0) * 0.4
        for _ in range(STEPS):
            p = F.pad(x_B3HW, (1, 1, 1, 1), mode="replicate")
            around = (p[..., 1:-1, :-2], p[..., 1:-1, 2:], p[..., :-2, 1:-1], p[..., 2:, 1:-1])
            least, most = x_B3HW, x_B3HW
            for one in around:
                least, most = torch.minimum(least, one), torch.maximum(most, one)
            x_B3HW = x_B3HW + hollow * (least - x_B3HW) + bulge * (most - x_B3HW)
    return x_B3HW


@torch.no_grad()
def drawn(codec: Codec, remade: Path) -> list[Tensor]:
    """The windows of all files of remade latents as the decoder draws them, fp16 [T, 3, h, w] in [-1, 1]."""
    found: list[Tensor] = []
    for path in sorted(remade.glob("shard-*.pt")):
        with autocast():
            clips = [codec.decode(z.float())[0] for z in torch.load(path, weights_only=True)["z"].split(1)]
        found += [clip.float().clamp(-1, 1).transpose(0, 1).half() for clip in clips]
    if not found:
        raise TrainingError(f"{remade} holds no remade clips to learn from")
    return found


def crops(windows: list[Tensor], batch: int) -> Tensor:
    """Random crops of three frames that follow each other, [b, 9, CROP, CROP], half of them mirrored."""
    found = []
    for pick in torch.randint(len(windows), (batch,)).tolist():
        T, _, h, w = windows[pick].shape
        t, y, x = (int(torch.randint(n + 1, ())) for n in (T - 3, h - CROP, w - CROP))
        crop = windows[pick][t : t + 3, :, y : y + CROP, x : x + CROP].flatten(0, 1).float()
        found.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
    return torch.stack(found)


def steepen(preset: Preset, recipe: SteepenRecipe, say: Say = print) -> Upscaler:
    """Train for the budget; writes the upscaler and returns it."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    codec = Codec(preset.codec)
    load_into(codec, load(recipe.codec, "codec")[0], recipe.codec)
    windows = drawn(codec, recipe.remade)
    tensors, card = load(recipe.begin, "upscaler")
    net = Upscaler(UpscalerConfig(**card.config))
    load_into(net, tensors, recipe.begin)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = copy.deepcopy(net).requires_grad_(False)
    params = list(net.parameters())
    optimiser = torch.optim.AdamW(params, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    begin, step, told = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1, (step + 1) / 50) * max(0.02, 1 - elapsed / recipe.budget)
        loss, _ = losses(net, before, crops(windows, recipe.batch))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        step += 1
        if elapsed - told > 60:
            told = elapsed
            say(f"{elapsed / 60:.0f} min, {step} steps, loss {float(loss.detach()):.4f}")
    with torch.no_grad():
        now, was = losses(net, before, crops(windows, 32))
    say(f"steepened: off {now:.4f} before {was:.4f}")
    kept = {k: str(v) for k, v in asdict(recipe).items() if k not in PATHS}
    taught = {f"steepen_{k}": v for k, v in kept.items()} | {
        "steepen_steps": str(step),
        "steepen_windows": str(len(windows)),
    }
    card = replace(
        card,
        recipe=card.recipe | taught | {"before_steepening_sha256": file_digest(recipe.begin)},
        trained=time.strftime("%Y-%m-%d"),
    )
    save(recipe.output, net.state_dict(), card, dtype=torch.float16)
    return net


def losses(net: Upscaler, before: Upscaler, x_B9hw: Tensor) -> tuple[Tensor, Tensor]:
    """How far what `net` draws, and what it drew `before`, is from the steepened picture of before."""
    with autocast():
        out, was = net(x_B9hw).float(), before(x_B9hw).float()
    aim = steepened(was.flatten(0, 1)).view_as(was)
    m = 2 * net.cfg.scale  # the crop's border lacks context
    now, then = (
        F.l1_loss(a, b) + edges(a, b) for a, b in ((v[..., m:-m, m:-m], aim[..., m:-m, m:-m]) for v in (out, was))
    )
    return now, then
