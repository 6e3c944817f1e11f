"""What the engine asks of any video model, ours or another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: DESIGN.md's table of modes.
MODES = (
    "text-to-video", "text-to-image", "image-to-video", "extend", "connect", "keyframes", "loop", "remix", "retake",
    "inpaint", "blend",
)  # fmt: skip

#: (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]
#: (draws what the model thinks that the video will be, as a small picture uint8 [h, w, 3], steps done, steps in all).
#: Called at every step; a step costs nothing more unless the picture is drawn.
Glimpse = Callable[[Callable[[], NDArray[np.uint8]], int, int], None]


class Memory(Protocol):
    """Tensors that outlive the process. A request that is made again with the same ones goes on where it stopped, and
    what it makes is the same to the last bit."""

    def get(self, name: str) -> Tensor | None: ...

    def put(self, name: str, value: Tensor) -> None: ...

    def drop(self, prefix: str) -> None:
        """All whose names begin so are not needed any more."""
        ...


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backbone can do by itself."""

    modes: tuple[str, ...]
    max_size: tuple[int, int]
    max_seconds: float
    fps: int
    default_steps: int
    default_guidance: float
    actions: tuple[str, ...] = ()  # those of prompt/action.py's CHANNELS that it was shown
    #: what it knows, slot by slot, for who writes prompts; empty for a model of free words
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Frames that a video must hold: uint8 [T, H, W, 3] of any size at the backbone's frame rate, the first of them at
    frame `at` of the video. A single frame is a picture: the video passes through it.

    `keep` is how much of them stays, one number or one for each frame: 1 all of it, 0 nothing, in between they are what
    the model starts from. Inside `box` (left, top, right, bottom as shares of the picture) nothing is given.
    """

    frames: NDArray[np.uint8]
    at: int = 0
    keep: float | NDArray[np.float64] = 1.0
    #: these frames are not seen but followed: depth or outlines of what shall be seen, for a model that takes such
    control: bool = False
    box: tuple[float, float, float, float] | None = None

    @property
    def keep_T(self) -> NDArray[np.float64]:
        """One number for each frame."""
        return np.broadcast_to(np.asarray(self.keep, np.float64), len(self.frames))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One shot to make. `size` is (width, height) in pixels; `prompt` is checked and normalised already. `mode` names
    what is made (one of MODES), `given` what it must hold; with `loop` its end leads into its beginning."""

    prompt: str
    negative: str = ""
    remember: str = ""  # what holds where the prompt is silent
    #: slots that are decided otherwise: their value, or None for one that must stay open
    fixed: Mapping[str, str | None] = field(default_factory=dict)
    expand: bool = False  # whether what is still open is filled in, as the model has seen it
    seconds: float = 4.0
    size: tuple[int, int] = (896, 512)
    seed: int = 0
    steps: int
    guidance: float
    mode: str = "text-to-video"
    given: tuple[Given, ...] = field(default=(), repr=False, compare=False)
    loop: bool = False
    #: float [frames, 6]: the camera's velocity at every frame, as prompt/camera.py has it; None leaves it to the model
    camera: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    #: float [frames, 4]: what the subject does at every frame, as prompt/action.py has it; None leaves it to the model
    action: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    glimpse: Glimpse | None = field(default=None, repr=False, compare=False)
    memory: Memory | None = field(default=None, repr=False, compare=False)


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

    def understood(self, prompt: str, remember: str = "") -> dict[str, tuple[str, float]]:
        """What the model takes the prompt to say, slot -> (value, probability); empty for models that can't tell."""
        ...

    def expanded(self, request: Request) -> dict[str, str]:
        """What the model fills in where the prompt is silent, slot -> value; empty for models that can't tell."""
        ...

    def notes(self, request: Request) -> list[str]:
        """What a user should know of how a request was made, such as another model's terms; asked once it was made."""
        ...
