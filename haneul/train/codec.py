"""Training of the codec: principal components first, then the convolutions on top of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.shards import read_shard, shard_paths
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, load, load_into, save
from haneul.model.codec import GROUP, PATCH, Codec, groups_of, with_neighbours
from haneul.model.precision import autocast
from haneul.model.presets import Preset

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CodecRecipe:
    """`budget` is in seconds of wall clock; the learning rate falls linearly over it."""

    data: Path
    output: Path
    budget: float = 900.0
    batch: int = 6  # clips
    window: int = 13  # frames
    learning_rate: float = 4e-4
    edge: float = 0.5  # weight of the gradient loss
    motion: float = 1.0  # weight of the loss on changes from frame to frame, which a group's borders must not show
    noise: float = 0.25  # most of the latent noise that the decoder sees, so that it forgives a sampler's errors
    held_out_every: int = 16  # every n-th shard is for measuring
    threads: int = 2
    seed: int = 0


def split(folder: Path, every: int) -> tuple[list[Path], list[Path]]:
    """Shards for training and for measuring."""
    paths = shard_paths(folder)
    if len(paths) < 2:
        raise TrainingError(f"{folder} holds {len(paths)} shards; at least 2 are needed (haneul world render)")
    held = paths[every - 1 :: every] or paths[-1:]
    return [p for p in paths if p not in held], held


def to_video(clip: NDArray[np.uint8]) -> Tensor:
    """uint8 [..., T, H, W, 3] -> float [..., 3, T, H, W] in [-1, 1]."""
    return torch.from_numpy(clip).movedim(-1, -4).float() / 127.5 - 1


def principal_components(paths: list[Path], components: int, limit: int = 60_000) -> tuple[Tensor, Tensor]:
    """Mean [P] and leading components [P, C] of the patches (P = 12*16*16) of a sample of the clips."""
    rng = np.random.default_rng(0)
    rows: list[Tensor] = []
    per_shard = limit // max(1, min(len(paths), 40))
    for path in paths[:40]:
        video = to_video(read_shard(path).video_nTHW3)
        g = groups_of(video)
        patches = g.unflatten(4, (-1, PATCH)).unflatten(3, (-1, PATCH))  # B G 12 h 16 w 16
        patches = patches.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, 3 * GROUP * PATCH * PATCH)
        rows.append(patches[torch.from_numpy(rng.choice(len(patches), min(per_shard, len(patches)), replace=False))])
    x = torch.cat(rows)
    mean = x.mean(0)
    _, _, basis = torch.svd_lowrank(x - mean, q=components + 16, niter=3)
    return mean, basis[:, :components]


def edges(a: Tensor, b: Tensor) -> Tensor:
    """L1 distance of horizontal and vertical gradients."""
    return F.l1_loss(a.diff(dim=-1), b.diff(dim=-1)) + F.l1_loss(a.diff(dim=-2), b.diff(dim=-2))


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of videos in [-1, 1]."""
    return float(10 * torch.log10(4 / (a.clamp(-1, 1) - b).square().mean()))


@torch.no_grad()
def measure(codec: Codec, paths: list[Path], clips: int = 48) -> float:
    """PSNR over whole held-out clips, by the mean squared error over all."""
    errors = []
    for path in paths:
        for clip in read_shard(path).video_nTHW3[: max(1, clips // len(paths))]:
            x = to_video(clip[None])
            errors.append(float((codec.decode(codec.encode(x)).clamp(-1, 1) - x).square().mean()))
    return float(10 * np.log10(4 / np.mean(errors)))


class Clips:
    """Random windows from a rotating handful of shards in memory."""

    def __init__(self, paths: list[Path], rng: np.random.Generator, hold: int = 12) -> None:
        self.paths, self.rng, self.hold, self.uses = paths, rng, hold, 0
        self.loaded = [self._load() for _ in range(min(hold, len(paths)))]

    def _load(self) -> NDArray[np.uint8]:
        return read_shard(self.paths[self.rng.integers(len(self.paths))]).video_nTHW3

    def batch(self, clips: int, frames: int) -> Tensor:
        """[clips, 3, frames, H, W]; all of one size."""
        self.uses += 1
        if self.uses % 12 == 0 and len(self.paths) > self.hold:
            self.loaded[self.rng.integers(len(self.loaded))] = self._load()
        shard = self.loaded[self.rng.integers(len(self.loaded))]
        picks = self.rng.integers(len(shard), size=clips)
        starts = self.rng.integers(shard.shape[1] - frames + 1, size=clips)
        x = to_video(np.stack([shard[p, s : s + frames] for p, s in zip(picks, starts, strict=True)]))
        return x.flip(-1) if self.rng.random() < 0.5 else x


@torch.no_grad()
def start(preset: Preset, train: list[Path]) -> Codec:
    """A codec that works from the first step: principal components, latents of unit variance."""
    codec = Codec(preset.codec)
    codec.start_linear(*principal_components(train, preset.codec.latent))
    rescale(codec, train)
    guess_linearly(codec, train)
    return codec


@torch.no_grad()
def guess_linearly(codec: Codec, train: list[Path], *, noise: float = 0.15, limit: int = 960) -> None:
    """Set the decoder's linear branch to the least-squares guess of a group's pixels from the latents of the group and
    its two neighbours (a Wiener filter), given latents that are off by `noise`; clips and single pictures alike."""
    C = codec.cfg.latent
    inputs = torch.zeros(3 * C + 1, 3 * C + 1)
    crossed = torch.zeros(3 * C + 1, 3 * GROUP * PATCH**2)
    rows = 0
    shards = train[:: max(1, len(train) // 40)]
    for path in shards:
        for clip in read_shard(path).video_nTHW3[: max(1, limit // len(shards))]:
            x = to_video(clip[None])
            for part in (x, x[:, :, :1]):
                groups = groups_of(part)
                z = codec.encode_groups(groups).transpose(1, 2).flatten(0, 1)
                seen = with_neighbours(z, groups.shape[1]).movedim(1, -1).flatten(0, 2)
                seen = F.pad(seen, (0, 1), value=1.0)
                pixels = F.pixel_unshuffle(groups.flatten(0, 1), PATCH).movedim(1, -1).flatten(0, 2)
                inputs += seen.T @ seen
                crossed += seen.T @ pixels
                rows += len(seen)
    spare = torch.full((3 * C + 1,), rows * noise**2)
    spare[-1] = 0
    found = torch.linalg.solve(inputs.double() + spare.double().diag(), crossed.double()).float()
    # The branch reads latents as the encoder gives them, before they were normalised.
    scale, shift = codec.scale.repeat(3), codec.shift.repeat(3)
    weight = found[:-1].T / scale
    codec.decoder.linear.weight.copy_(weight)
    codec.decoder.linear.bias.copy_(found[-1] - weight @ shift)


@torch.no_grad()
def rescale(codec: Codec, train: list[Path]) -> None:
    """Measure what the encoder gives on a sample of the clips and normalise it."""
    rows = []
    for path in train[:24]:
        groups = groups_of(to_video(read_shard(path).video_nTHW3[:8]))
        rows.append(codec.encoder(groups.flatten(0, 1)).movedim(1, -1).flatten(0, 2))
    z = torch.cat(rows)
    codec.normalise(z.mean(0), z.std(0))


def train_codec(preset: Preset, recipe: CodecRecipe, say: Say = print) -> Codec:
    """Train for the budget, from the checkpoint at `recipe.output` if there is one; writes it and returns the codec.

    Where the encoder is not learned it stays as it is, and with it every latent that was made already.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    train, held = split(recipe.data, recipe.held_out_every)
    if recipe.output.exists():
        codec = Codec(preset.codec)
        load_into(codec, load(recipe.output, "codec")[0], recipe.output)
    else:
        codec = start(preset, train)
    say(f"start: {measure(codec, held):.2f} dB held out")
    if recipe.budget > 0:
        fit(codec, recipe, train, held, say)
        if preset.codec.learned:
            rescale(codec, train)
    db = measure(codec, held, 96)
    say(f"codec: {db:.2f} dB on held-out clips")
    card = Card(
        part="codec",
        preset=preset.name,
        config=asdict(preset.codec),
        recipe={k: str(v) for k, v in asdict(recipe).items() if k not in ("data", "output")},
        evaluation={"psnr_db": round(db, 2)},
        trained=time.strftime("%Y-%m-%d"),
    )
    save(recipe.output, codec.state_dict(), card, dtype=torch.float16)
    return codec


def fit(codec: Codec, recipe: CodecRecipe, train: list[Path], held: list[Path], say: Say) -> None:
    """The loop: reconstruct, with a little noise on the latents."""
    codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    params = list((codec if codec.cfg.learned else codec.decoder).parameters())
    clips = Clips(train, np.random.default_rng(recipe.seed))
    optimiser = torch.optim.AdamW(params, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    begin, step, told = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 50)
            group["lr"] = recipe.learning_rate * warm * max(0.02, 1 - elapsed / recipe.budget)
        x = clips.batch(recipe.batch, recipe.window)
        with autocast():
            with torch.set_grad_enabled(codec.cfg.learned):
                z = codec.encode(x)
            most = recipe.noise * torch.rand(len(z), 1, 1, 1, 1)  # of each clip its own
            y = codec.decode(z + most * torch.randn_like(z))
        loss = F.l1_loss(y, x) + recipe.edge * edges(y, x) + 4 * F.mse_loss(y, x)
        loss = loss + recipe.motion * F.l1_loss(y.diff(dim=2), x.diff(dim=2))
        if codec.cfg.learned:
            loss = loss + 1e-4 * z.square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        step += 1
        if elapsed - told > 60:
            told = elapsed
            rate = step * recipe.batch / elapsed
            db = measure(codec, held, 16)
            say(f"{elapsed / 60:.0f} min, {rate:.1f} clips/s, loss {loss:.4f}, {db:.2f} dB held out")
