"""What the engine asks of any video model, ours or another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backbone can do by itself."""

    modes: tuple[str, ...]
    max_size: tuple[int, int]
    max_seconds: float
    fps: int
    default_steps: int
    default_guidance: float


@dataclass(frozen=True, kw_only=True)
class Request:
    """One shot to make. `size` is (width, height) in pixels; `prompt` is checked and normalised already. `first` is the
    picture that the video begins with, of any size."""

    prompt: str
    negative: str = ""
    seconds: float = 4.0
    size: tuple[int, int] = (896, 512)
    seed: int = 0
    steps: int = 24
    guidance: float = 2.5
    first: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)  # [H, W, 3], what it begins with

    @property
    def mode(self) -> str:
        """DESIGN.md's table of modes."""
        return "text-to-video" if self.first is None else "image-to-video"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which model made a video: for its credentials."""

    model: str
    weights_sha256: str
    data_ledger_root: str
    card: dict[str, Any] = field(default_factory=dict)


class Backbone(Protocol):
    """A video model behind the engine."""

    def capabilities(self) -> Capabilities: ...

    def identity(self) -> Identity: ...

    def generate(self, request: Request, progress: Progress | None = None) -> Iterator[NDArray[np.uint8]]:
        """Frames uint8 [H, W, 3] of request.size, at capabilities().fps, as they become ready."""
        ...

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """Words that the model never learned, each with the nearest ones that it knows."""
        ...

    def understood(self, prompt: str) -> dict[str, tuple[str, float]]:
        """What the model takes the prompt to say, slot -> (value, probability); empty for models that can't tell."""
        ...
