"""Rides that the live model plays itself while it learns, with the keys and through the country of rendered ones.

What it sees in them is its own, frame after frame, as when somebody plays. Since keys and country are those of a
rendered ride, that ride's frames are where it ought to have come out, however far it went astray: so it learns to find
back (dataset aggregation, Ross et al., arXiv 1011.0686; compare self forcing, arXiv 2506.08009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.model.live import Drawing, LiveModel, Past
from haneul.model.precision import autocast

ASTRAY = 40.0  #: latents beyond which a ride is given up


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Which windows of which rides: frames `start` to `start + frames` of `clips`, some of them mirrored, and which
    slots of each are left unsaid."""

    clips: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    start: NDArray[np.int64]
    frames: int
    unsaid: tuple[frozenset[str], ...]


@dataclass
class Played:
    """A few rides that go on together: the past as the model has it, whose last frame is `at`."""

    windows: Windows
    at: int
    past: Past


@dataclass
class Company:
    """Groups of rides that are played in turns. `batch_of` cuts windows, as train/live.py does."""

    begin: Callable[[int, np.random.Generator], Windows]  # windows of so many frames
    batch_of: Callable[[Windows], Any]
    length: int  # frames of a ride
    groups: int = 8
    afresh: float = 0.1  # share of turns at which a group begins anew
    nothing: float = 0.5  # share of these that begin with a first frame of the model's own
    how: Drawing = field(default_factory=Drawing)
    playing: dict[int, Played] = field(default_factory=dict)
    turn: int = 0

    @torch.no_grad()
    def go_on(self, model: LiveModel, frames: int, rng: np.random.Generator) -> tuple[Any, Tensor]:
        """The next `frames` frames of the group whose turn it is: the batch that belongs to them, and what the model
        drew, [B, frames, S, C], the first of them the last one of its turn before."""
        number = self.turn % self.groups
        self.turn += 1
        group = self.playing.get(number)
        if group is None or group.at + frames > self.length or rng.random() < self.afresh:
            group = self.playing[number] = self._begin(model, frames, rng)
        now = _moved(group.windows, group.at, frames)
        assert group.past.last is not None  # it has begun
        batch, seen = self.batch_of(now), [group.past.last]
        with autocast(batch.z.device.type):  # as it is played
            for t in range(1, frames):
                told = (batch.actions[:, t], batch.concepts, batch.rider, batch.sight[:, t])
                frame, group.past = model.play(group.past, *told, self.how)
                seen.append(frame.float())
        group.at += frames - 1
        if not bool(seen[-1].abs().max() < ASTRAY):  # nan too
            del self.playing[number]
        return batch, torch.stack(seen, 1).nan_to_num().clamp(-ASTRAY, ASTRAY)

    def _begin(self, model: LiveModel, frames: int, rng: np.random.Generator) -> Played:
        windows = self.begin(frames, rng)
        first = self.batch_of(_moved(windows, 0, 1))
        actions, sight = first.actions[:, 0], first.sight[:, 0]
        if rng.random() < self.nothing:
            _, past = model.play(Past(), actions, first.concepts, first.rider, sight, self.how)
        else:
            past = model.see(Past(), first.z[:, 0], actions, first.concepts, sight, sigma=self.how.sigma)
        return Played(windows=windows, at=0, past=past)


def _moved(windows: Windows, at: int, frames: int) -> Windows:
    """The same rides, `at` frames later."""
    return Windows(
        clips=windows.clips, mirrored=windows.mirrored, start=windows.start + at, frames=frames, unsaid=windows.unsaid
    )
