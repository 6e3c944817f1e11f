"""Latents that lie in the memory of the device that trains, and grow while it does.

A Pool (latents.py) is gathered clip by clip, which keeps a GPU waiting. Here a batch is a few index operations on the
device, and what its captions state was worded beforehand, several times for each window (stream.py makes the chunks).
Once a pool is full, new clips take the places of the oldest: training never needs to see the end of its data.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haneul.data.latents import MIRROR, Batch, places
from haneul.errors import TrainingError

#: of a chunk, what is kept on the device
KEPT = ("groups", "singles", "cover", "controls", "said", "colour")


class Resident:
    """Clips of one size on one device; see Pool for the shapes. said [n, W, 2, R, K]: window, mirrored, wording, slot
    (windows in the order of produce.windows: whole, short ones, single frames). colour [n]: of the first subject."""

    def __init__(self, first: dict[str, Any], capacity: int, device: str) -> None:
        """Room for `capacity` clips like those of the chunk `first`, which is the first one in it."""
        self.data = {k: torch.empty((capacity, *first[k].shape[1:]), dtype=first[k].dtype, device=device) for k in KEPT}
        self.capacity, self.device = capacity, device
        self.clips = 0  # that are there
        self.seen = 0  # that were ever added
        self.mirror = MIRROR.to(device)
        self.add(first)

    @property
    def groups(self) -> Tensor:
        return self.data["groups"][: self.clips]

    @property
    def singles(self) -> Tensor:
        return self.data["singles"][: self.clips]

    @property
    def controls(self) -> Tensor:
        return self.data["controls"][: self.clips]

    @property
    def grid(self) -> tuple[int, int]:
        h, w = self.data["groups"].shape[4:]
        return h, w

    def add(self, chunk: dict[str, Any]) -> None:
        """Take in a chunk of clips; the oldest go where there is no room."""
        n = len(chunk["groups"])
        if n > self.capacity:
            raise TrainingError(f"a chunk of {n} clips does not fit into a pool of {self.capacity}")
        place = (torch.arange(n) + self.seen) % self.capacity
        place = place.to(self.device)
        for name, kept in self.data.items():
            kept.index_copy_(0, place, chunk[name].to(self.device, non_blocking=True))
        self.seen += n
        self.clips = min(self.seen, self.capacity)

    def draw(self, batch: int, frames: int, rng: np.random.Generator) -> Batch:
        """A random batch of windows of `frames` latent frames, all of it on the device."""
        groups = self.data["groups"].shape[2]
        clips, mirror, starts = places(self.clips, groups, batch, frames, rng)
        wording = rng.integers(self.data["said"].shape[3], size=batch)
        short = groups - 4 if groups > 5 else 0  # windows of 5 latent frames; a whole clip of 5 is none of them
        window = np.zeros(batch, np.int64) if frames == groups else starts + (1 if frames == 5 else 1 + short)
        numbers = torch.from_numpy(np.stack([clips, mirror, starts, window, wording])).to(self.device)
        c, m, s, w, r = numbers
        span = s[:, None] + torch.arange(frames, device=self.device)
        d = self.data
        z = d["groups"][c[:, None], m[:, None], span]
        z[:, 0] = d["singles"][c, m, s]
        sign = torch.where(m[:, None, None] == 1, self.mirror, torch.ones_like(self.mirror))
        return Batch(
            z=z.float().transpose(1, 2),
            cover=d["cover"][c[:, None], m[:, None], span].float() / 255,
            controls=d["controls"][c[:, None], span].float() * sign,
            facts=[],
            mirrored=[bool(x) for x in mirror],
            clips=clips,
            starts=starts,
            said_BK=d["said"][c, w, m, r].long(),
            colour_B=d["colour"][c].long(),
        )


class Feed:
    """Chunks of a folder, as they come: one resident pool for each size. The first `kept_back` chunks of each size are
    never trained on; they are for measuring. Chunks are read ahead by a thread of their own.
    """

    def __init__(
        self, folder: Path, device: str, *, capacity: int, kept_back: int = 1, files: int | None = None
    ) -> None:
        """`capacity`: clips in memory, of all sizes together. `files`: chunks beyond so many are deleted once they are
        in memory; none: all stay."""
        self.folder, self.device, self.capacity = folder, device, capacity
        self.kept_back, self.files = kept_back, files
        self.pools: dict[tuple[int, ...], Resident] = {}
        self.held: dict[tuple[int, ...], list[dict[str, Any]]] = {}
        self.ledger: dict[int, bytes] = {}  # seed -> leaf, of what is trained on
        self.ready: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=8)
        self.failed: Exception | None = None
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self) -> None:
        """Read no more. Until then the thread keeps the pools alive, and with them most of a GPU's memory."""
        self.ended.set()
        self.reader.join()

    def _put(self, chunk: dict[str, Any]) -> bool:
        """Whether it found room before the end."""
        while not self.ended.is_set():
            with contextlib.suppress(queue.Full):
                self.ready.put(chunk, timeout=0.2)
                return True
        return False

    def _read(self) -> None:
        taken: set[str] = set()
        try:
            while not self.ended.is_set():
                new = [p for p in sorted(self.folder.glob("chunk-*.pt")) if p.name not in taken]
                for path in new:
                    chunk = torch.load(path, weights_only=True)
                    if self.device != "cpu":  # pinned memory is copied to the device without keeping it waiting
                        chunk |= {k: chunk[k].pin_memory() for k in KEPT}
                    if not self._put(chunk):
                        return
                    taken.add(path.name)
                    if self.files is not None and len(taken) > self.files:
                        path.unlink(missing_ok=True)
                if not new:
                    time.sleep(0.2)
        except Exception as error:  # noqa: BLE001 - told to whoever takes next: a thread has nobody to raise to
            self.failed = error

    def take(self, most: int = 1, wait: float = 0.0) -> int:
        """Take in up to so many chunks that are ready, the first of them after up to `wait` seconds; returns how many
        clips there are to train on more than before."""
        clips = 0
        for _ in range(most):
            if self.failed is not None:
                raise TrainingError(f"{self.folder} cannot be read: {self.failed}") from self.failed
            try:
                chunk = self.ready.get(timeout=wait) if wait else self.ready.get_nowait()
            except queue.Empty:
                break
            clips += self._add(chunk)
        return clips

    def _add(self, chunk: dict[str, Any]) -> int:
        size = tuple(chunk["groups"].shape[2:])
        held = self.held.setdefault(size, [])
        if len(held) < self.kept_back:
            held.append(chunk)
            return 0
        if size in self.pools:
            self.pools[size].add(chunk)
        else:
            share = 0.8 if size[-1] > size[-2] else 0.1  # most clips are wide; see produce.SIZES
            self.pools[size] = Resident(chunk, max(len(chunk["groups"]), int(self.capacity * share)), self.device)
        self.ledger |= zip(chunk["seeds"], chunk["leaves"], strict=True)
        return len(chunk["groups"])
