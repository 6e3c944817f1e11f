"""Rides as the live model learns from them (live.py): latents, keys, and what is told of the country."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.ledger import Entry, merkle_root
from haneul.data.processes import each
from haneul.data.shards import read_meta, read_shard, shard_paths
from haneul.errors import InputError
from haneul.model.framecode import FrameCode
from haneul.train.codec import to_video
from haneul.world.rides import CAMERA, WALK, simulate_ride, way_of
from haneul.world.scene import GEOM_OBJECT, ClipSpec
from haneul.world.sight import sight

STRIDE = 2  #: logged frames to one that is drawn
TOLD = ("setting", "time", "event", "kind", "color")  #: slots that say what a ride is, unless left out; a camera stays

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rides:
    """Latents fp16 [n, 2, T, S, C] (index 1 of the second axis is the mirrored clip), keys [n, T, A], what each is."""

    z: Tensor
    keys: Tensor
    sight: Tensor  # fp16 [n, T, rows, columns, channels]: world/sight.py
    covers: Tensor  # [n, rows, columns]: how often the rider is seen at each point
    steps: Tensor  # [n, T, 3]: how far the rider has gone since the frame before (model/going.py)
    said: list[dict[str, str]]


def frames_of(video_THW3: NDArray[np.uint8]) -> Tensor:
    """[T, 3, H, W] in [-1, 1]."""
    return to_video(video_THW3).transpose(0, 1)


def told_of(spec: ClipSpec) -> dict[str, Tensor]:
    """Of a ride, simulated again: `sight` fp16 [T, rows, columns, channels], `covers` [rows, columns] by the rider, and
    `steps` [T, 3], the first of them 0."""
    truth = simulate_ride(spec)
    rider = truth.geoms_TNG[0, :, GEOM_OBJECT] > 0
    cameras = truth.cameras[::STRIDE]
    scenery = truth.geoms_TNG[0, ~rider]
    seen = np.stack([
        sight(scenery, camera, spec.setting, before)
        for before, camera in zip((cameras[0], *cameras), cameras, strict=False)
    ])  # fmt: skip
    covers = [
        sight(truth.geoms_TNG[i, rider], truth.cameras[i], spec.setting)[..., 2]
        for i in range(0, len(truth.cameras), 12 * STRIDE)
    ]
    way, heading = (track[::STRIDE] for track in way_of(truth))
    went = np.diff(way, axis=0)
    c, s = np.cos(heading[:-1]), np.sin(heading[:-1])
    steps = np.stack([c * went[:, 0] + s * went[:, 1], c * went[:, 1] - s * went[:, 0], np.diff(heading)], -1)
    return {
        "sight": torch.from_numpy(seen).half(), "covers": torch.from_numpy(np.mean(covers, 0)),
        "steps": torch.tensor(np.concatenate([np.zeros((1, 3)), steps])).float(),
    }  # fmt: skip


@torch.no_grad()
def encoded(code: FrameCode, video_THW3: NDArray[np.uint8]) -> Tensor:
    """Every frame, as it is and mirrored, fp16 [2, T, S, C]."""
    x = frames_of(video_THW3)
    return torch.stack([code.encode(x), code.encode(x.flip(-1))]).half()


def fitted(code: FrameCode, data: Path) -> None:
    """Take the code from frames of all rides, a second apart."""
    paths = shard_paths(data)
    if not paths:
        raise InputError(f"{data} holds no shards; make some with: haneul world render {data} --rides")
    few = [read_shard(path).video_nTHW3[:: 1 + len(paths) // 8, ::12] for path in paths]
    code.fit(torch.cat([frames_of(video.reshape(-1, *video.shape[2:])) for video in few]))


def said_of(spec: dict[str, Any]) -> dict[str, str]:
    """The slots that say what a ride is, of its specification as shards keep it. Of the camera, which has no subject,
    one says so that no other ride has."""
    place = {"setting": spec["setting"], "time": spec["time"]}
    if spec["event"] == WALK:
        return place | {"camera": spec["camera"]}
    subject = spec["subjects"][0]
    return place | {"event": spec["event"], "kind": subject["kind"], "color": subject["color"]}


def rider_of(said: Mapping[str, str]) -> str:
    """The kind that is ridden, of what a ride says."""
    return said.get("kind", CAMERA)


def read_rides(
    data: Path, cache: Path, code: FrameCode, say: Say = print, workers: int | None = None, more: Sequence[Path] = ()
) -> Rides:
    """All rides of a folder of shards, and of further ones; their latents are kept in `cache`, which belongs to the
    code."""
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(path, cache / f"{path.stem}.pt", code) for path in shard_paths(data)]
    for folder in more:
        name = root_of([folder])[:12]
        jobs += [(path, cache / f"{name}-{path.stem}.pt", code) for path in shard_paths(folder)]
    for name in each(_encode_job, [job for job in jobs if not job[1].exists()], workers):
        say(f"live: encoded {name}")
    parts = [torch.load(file, mmap=True) for _, file, _ in jobs]
    if len(lengths := {p["z"].shape[2] for p in parts}) > 1:
        raise InputError(f"rides of {' and '.join(map(str, sorted(lengths)))} frames do not go together; render equal")
    return Rides(
        **{name: torch.cat([p[name] for p in parts]) for name in ("z", "keys", "sight", "covers", "steps")},
        said=[s for p in parts for s in p["said"]],
    )  # fmt: skip


def _encode_job(job: tuple[Path, Path, FrameCode]) -> str:
    """Keep the latents of a shard, and what its rides are told of the country; returns its name."""
    path, kept, code = job
    torch.set_num_threads(1)
    shard = read_shard(path)
    keys = torch.from_numpy(shard.controls_nTK[:, ::STRIDE, 6:8].astype(np.float32))
    z = torch.stack([encoded(code, video) for video in shard.video_nTHW3])
    ways = [told_of(ClipSpec.from_json(m["spec"])) for m in shard.meta]
    item = {
        "z": z, "keys": keys, "said": [said_of(m["spec"]) for m in shard.meta],
        **{name: torch.stack([way[name] for way in ways]) for name in ways[0]},
    }  # fmt: skip
    temporary = kept.with_suffix(f".{os.getpid()}.tmp")
    torch.save(item, temporary)
    temporary.replace(kept)
    return path.name


def riders_of(said: Sequence[dict[str, str]], riders: Sequence[str]) -> Tensor:
    """[n, R]"""
    return torch.tensor([[float(rider_of(one) == kind) for kind in riders] for one in said])


def evened(chosen: NDArray[np.int64], said: Sequence[dict[str, str]]) -> NDArray[np.int64]:
    """The same rides, those of rarer riders more than once, so that all riders are seen alike."""
    kinds: dict[str, list[int]] = {}
    for c in chosen.tolist():
        kinds.setdefault(rider_of(said[c]), []).append(c)
    most = max(len(found) for found in kinds.values())
    return np.sort(np.concatenate([np.resize(found, most) for found in kinds.values()]))


def root_of(folders: Sequence[Path]) -> str:
    """The ledger's root over all rides of some folders."""
    if len(folders) == 1:
        return str(json.loads((folders[0] / "manifest.json").read_text())["ledger_root"])
    every = [m for folder in folders for path in shard_paths(folder) for m in read_meta(path)]
    return merkle_root([Entry(**m["ledger"]).digest() for m in every])
