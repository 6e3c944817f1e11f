"""What goes on around the model while it samples: glimpses of what it makes, memory that outlives the process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.base import Identity, Request
from haneul.model.codec import Codec, filtered
from haneul.model.sampler import Denoise, over_tokens
from haneul.video.timeline import fit

GLIMPSE = 192  #: pixels of a glimpse's longer side, at most


class Watch:
    """Of one request. Windows are told apart by their numbers, as they follow one another."""

    def __init__(self, request: Request, identity: Callable[[], Identity], codec: Codec) -> None:
        self.request, self.identity, self.codec = request, identity, codec

    @cached_property
    def mark(self) -> str:
        """Changes with everything that decides what is made: what was kept for something else is not found."""
        digest = hashlib.sha256(repr((self.request, self.identity().weights_sha256)).encode())
        arrays: list[NDArray[Any] | None] = [self.request.camera, self.request.action]
        for given in self.request.given:
            digest.update(repr((given.at, given.box)).encode())
            arrays += [given.frames, given.keep_T]
        for array in arrays:
            if array is not None:
                digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def finished(self, window: int) -> Tensor | None:
        """What was made of a window before the process ended."""
        return self.request.memory.get(f"{self.mark}-w{window}") if self.request.memory else None

    def finish(self, window: int, z: Tensor) -> None:
        if self.request.memory is not None:
            self.request.memory.put(f"{self.mark}-w{window}", z)
            self.request.memory.drop(f"{self.mark}-v{window}-")

    def around(self, window: int, steps: Callable[[], tuple[int, int]]) -> Callable[[Denoise], Denoise]:
        """See `modes.sample`. `steps` says how many are done and how many there are in all. Velocities are what is
        remembered: with those of all steps so far, the sampler gets by itself to where it was."""
        memory, glimpse = self.request.memory, self.request.glimpse

        def wrap(denoise: Denoise) -> Denoise:
            calls = 0

            def watched(z: Tensor, t_BFS: Tensor) -> Tensor:
                nonlocal calls
                name = f"{self.mark}-v{window}-{calls}"
                calls += 1
                v = memory.get(name) if memory else None
                if v is None:
                    v = denoise(z, t_BFS)
                    if memory is not None:
                        memory.put(name, v)
                if glimpse is not None:
                    here, speed = z, v
                    done, total = steps()
                    glimpse(lambda: self.picture(here + over_tokens(1 - t_BFS, here) * speed), done + 1, total)
                return v

            return watched

        return wrap if memory or glimpse else lambda denoise: denoise

    @torch.no_grad()
    def picture(self, z: Tensor) -> NDArray[np.uint8]:
        """The middle of a window's latents [1, C, F, h, w] as a small picture: three groups are drawn, for one sees its
        neighbours."""
        middle = z.shape[2] // 2
        first = max(0, middle - 1)
        groups = self.codec.decode_groups(z[:, :, first : middle + 2].float())
        group = filtered(groups, first=not first)[0, middle - first]
        frame = ((group[-3:].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        w, h = self.request.size
        scale = min(1.0, GLIMPSE / max(w, h))
        return fit(frame, (max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)))
