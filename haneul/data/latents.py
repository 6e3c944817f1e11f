"""Latents of a data set, cached once, and the batches that training draws from them.

Because the encoder codes each group of four frames by itself, the latents of any window are a single frame followed by
groups of the whole clip: the cache holds both for every start, so that images, short and long windows all come from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.shards import Shard, read_meta, read_shard, shard_paths
from haneul.errors import InputError
from haneul.model.codec import GROUP, Codec, groups_of

LOG_STRIDE = 2  # controls are logged at twice the training frame rate
#: Signs of world.scene.CONTROLS in the mirror: sideways velocity, yaw, roll and steering turn round.
MIRROR = torch.tensor([-1.0, 1, 1, 1, -1, -1, -1, 1, 1, 1])


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Clips of one size. G latent frames; index 1 of the second axis is the mirrored clip.

    groups, singles [n, 2, G, C, h, w] fp16: latent frame g as a group, and frame 4g alone. cover [n, 2, G, h, w, 2]
    uint8. controls [n, G, K] fp16. facts: per clip a dict "start:stop" -> facts.
    """

    groups: Tensor
    singles: Tensor
    cover: Tensor
    controls: Tensor
    facts: list[dict[str, Any]]

    @property
    def clips(self) -> int:
        return self.groups.shape[0]

    @property
    def grid(self) -> tuple[int, int]:
        return self.groups.shape[4], self.groups.shape[5]


def encode_clips(codec: Codec, video_nTHW3: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Groups and singles of a Pool [n, 2, G, C, h, w] fp16 of clips uint8, on their device."""
    x = video_nTHW3.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    both = torch.stack([x, x.flip(-1)], 1).flatten(0, 1)
    alone = both[:, :, ::GROUP].transpose(1, 2).repeat(1, 1, GROUP, 1, 1)
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        found = [codec.encode_groups(part).transpose(1, 2).half() for part in (groups_of(both), alone)]
    groups, singles = (part.unflatten(0, (-1, 2)) for part in found)
    return groups, singles


def grouped_cover(cover_nThw2: Tensor) -> Tensor:
    """Coverage of a Pool [n, 2, G, h, w, 2] from that of every frame, uint8."""
    padded = torch.cat([cover_nThw2[:, :1].expand(-1, GROUP - 1, -1, -1, -1), cover_nThw2], 1)
    cover = padded.unflatten(1, (-1, GROUP)).float().mean(2).round().to(torch.uint8)
    return torch.stack([cover, cover.flip(3)], 1)


def grouped_controls(controls_nTK: Tensor, groups: int) -> Tensor:
    """Controls of a Pool [n, G, K] fp16: their mean over the frames that a group holds."""
    step = GROUP * LOG_STRIDE
    spans = [slice(max(0, step * (g - 1)), step * g + 1) for g in range(groups)]
    return torch.stack([controls_nTK[:, span].float().mean(1) for span in spans], 1).half()


def _encode(codec: Codec, shard: Shard, dtype: torch.dtype) -> dict[str, Tensor]:
    one_by_one = [encode_clips(codec, torch.from_numpy(clip[None]), dtype) for clip in shard.video_nTHW3]
    groups, singles = (torch.cat(parts) for parts in zip(*one_by_one, strict=True))
    return {
        "groups": groups,
        "singles": singles,
        "cover": grouped_cover(torch.from_numpy(shard.coverage_nThw2)),
        "controls": grouped_controls(torch.from_numpy(shard.controls_nTK), groups.shape[2]),
    }


@torch.no_grad()
def build(
    data: Path, cache: Path, codec: Codec, *, dtype: torch.dtype, progress: Callable[[str], None] | None = None
) -> None:
    """Encode every shard of `data` that `cache` doesn't hold yet. Raises InputError for shards that can't be used."""
    cache.mkdir(parents=True, exist_ok=True)
    for path in shard_paths(data):
        target = cache / (path.stem + ".pt")
        if target.exists() and torch.load(target, mmap=True)["groups"].shape[0] == len(read_meta(path)):
            continue
        shard = read_shard(path)
        if shard.video_nTHW3.shape[1] % GROUP != 1:
            raise InputError(
                f"clips of {path} have {shard.video_nTHW3.shape[1]} frames and not {GROUP}k+1; render them with a "
                "length of a multiple of 1/3 s"
            )
        item = {**_encode(codec, shard, dtype), "facts": [m["facts"] for m in shard.meta]}
        temporary = target.with_suffix(".tmp")
        torch.save(item, temporary)
        temporary.replace(target)
        if progress:
            progress(path.name)


def load_pools(cache: Path) -> list[Pool]:
    """All cached latents in memory, one pool per picture size, the largest first."""
    by_size: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for path in sorted(cache.glob("shard-*.pt")):
        item = torch.load(path, weights_only=True, mmap=True)  # copied once, into its pool
        by_size.setdefault(tuple(item["groups"].shape[2:]), []).append(item)
    pools = []
    for items in by_size.values():
        tensors = {k: torch.cat([i[k] for i in items]) for k in ("groups", "singles", "cover", "controls")}
        pools.append(Pool(**tensors, facts=[f for i in items for f in i["facts"]]))
    return sorted(pools, key=lambda p: -p.clips)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """z [B, C, F, h, w], cover [B, F, h, w, 2] in 0..1, controls [B, F, K]; per clip its facts, whether mirrored, its
    number in the pool and the latent frame that it begins at. Of a resident pool (resident.py) there are no facts, but
    what a caption of them states, said_BK (the value's number in each slot, 0 for nothing), and the first subject's
    colour_B (-1 for none)."""

    z: Tensor
    cover: Tensor
    controls: Tensor
    facts: list[dict[str, Any]]
    mirrored: list[bool]
    clips: NDArray[np.int64]
    starts: NDArray[np.int64]
    said_BK: Tensor | None = None
    colour_B: Tensor | None = None


def places(clips: int, groups: int, batch: int, frames: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """A random batch of windows of `frames` latent frames: clips, whether mirrored, and starts, which are free wherever
    facts were logged."""
    which = rng.integers(clips, size=batch)
    mirror: NDArray[np.int64] = rng.integers(2, size=batch)
    starts = rng.integers(groups - frames + 1, size=batch) if frames in (1, 5) else np.zeros(batch, np.int64)
    return which, mirror, starts


def draw(pool: Pool, batch: int, frames: int, rng: np.random.Generator) -> Batch:
    """A random batch of windows of `frames` latent frames."""
    clips, mirror, starts = places(pool.clips, pool.groups.shape[2], batch, frames, rng)
    z, cover, controls, facts = [], [], [], []
    for c, m, s in zip(clips, mirror, starts, strict=True):
        z.append(torch.cat([pool.singles[c, m, s : s + 1], pool.groups[c, m, s + 1 : s + frames]]))
        cover.append(pool.cover[c, m, s : s + frames])
        controls.append(pool.controls[c, s : s + frames] * (MIRROR if m else 1))
        last = GROUP * (s + frames - 1)
        facts.append(pool.facts[c][f"{GROUP * s}:{last + 1}"])
    return Batch(
        z=torch.stack(z).float().transpose(1, 2),
        cover=torch.stack(cover).float() / 255,
        controls=torch.stack(controls).float(),
        facts=facts,
        mirrored=[bool(m) for m in mirror],
        clips=clips,
        starts=starts,
    )
