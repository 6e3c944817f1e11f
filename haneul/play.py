"""A world to play in: keys in, pictures out, twelve a second, drawn by the live model; and the ride as a signed video.

    keys -> live model -> larger, with steep edges -> watermark -> who looks
                      |                                                       (upscaler -> watermark -> mp4
                      +-> the ride, as latents  ->  `save`  ->                 -> signature)

Like everything that leaves (engine.py), prompts are screened, every picture carries the watermark, and what is saved is
signed. Where things stand in the country comes from a seed (world/journey.py) and is told to the model; how all of it
looks, and how a rider goes and turns, it knows from the rides that it was shown (world/rides.py); no physics is run.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from haneul import screen
from haneul.backbones.given import RATE
from haneul.backbones.live import CAMERA, Live, Ride
from haneul.backbones.native import BUNDLED, read_part
from haneul.config import Settings, load_settings
from haneul.engine import Result, check_names, check_shape, manifest_of, warn_of
from haneul.errors import CheckpointError, InputError
from haneul.model.precision import quickly
from haneul.prompt import language
from haneul.prompt.walk import walk_words
from haneul.trust import stamp
from haneul.video import io
from haneul.video.output import write_video
from haneul.video.picture import Keep, enlarged
from haneul.video.steepen import all_steepened, steepened
from haneul.video.timeline import fit
from haneul.video.upscale import Upscaler, UpscalerConfig
from haneul.world.journey import Journey

SCALE = 4  #: of the pictures that are shown while it is played, times the model's own
MOST = 600.0  #: seconds of a ride that are kept to be saved, the last ones
LOOK = 2.0  #: seconds between two pictures that the screen looks at


@dataclass(frozen=True)
class Keys:
    """What is held: `steer` from -1 (left, as the rider sees it) to 1, `go` from 0 to 1. `number` is for whoever holds
    them: a picture tells which it was drawn with."""

    steer: float = 0.0
    go: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        if not (-1 <= self.steer <= 1 and 0 <= self.go <= 1):
            raise InputError(f"keys {self.steer:g}, {self.go:g} cannot be; steering is -1 to 1, going 0 to 1")


class World:
    """One world. `prompt` says what is ridden (a car, a robot or a bird), its colour, the setting and the time of day,
    in English or Korean, or speaks of a walk or the camera, which is then led itself; what it leaves open is drawn by
    `seed`.

    Raises InputError for what cannot be played, RefusedError for what the screen refuses, CredentialError where nothing
    could be signed. Not for several threads at once; `Player` plays it in time.
    """

    def __init__(
        self, prompt: str = "", *, seed: int | None = None, settings: Settings | None = None, live: Live | None = None
    ) -> None:
        self._settings = settings or load_settings()
        text = language.check(prompt).encoded if prompt.strip() else ""
        self._stamp = stamp.ready(self._settings)
        flagged = screen.words(self._settings, prompt=text) if text else []
        self.live = live or Live(self._settings.weights or BUNDLED)
        self.seed = secrets.randbelow(2**31) if seed is None else seed
        self.scene = self.live.scene(text, self.seed)
        strange = self.live.reading.unknown_words(text) if text else {}
        walks = walk_words(text) if self.scene.kind == CAMERA else frozenset()
        unknown = warn_of({word: near for word, near in strange.items() if word not in walks})
        self.warnings = [*self._stamp.warnings, *flagged, *unknown]
        self.prompt = prompt
        self.frames = 0  #: dreamt so far
        self.journey = Journey(self.scene.kind, self.scene.setting, self.seed)
        self._ride = Ride(self.live, self.scene, self.journey)
        self._number = number_of(self._stamp, prompt, self.seed, self.live)
        self._kept: deque[Tensor] = deque(maxlen=round(MOST * self.live.fps))
        self._seen = 0

    @property
    def fps(self) -> int:
        return self.live.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        width, height = self.live.size
        return SCALE * width, SCALE * height

    @property
    def seconds(self) -> float:
        """Of the ride, as far as it is kept."""
        return len(self._kept) / self.fps

    def step(self, keys: Keys = Keys()) -> NDArray[np.uint8]:
        """The next picture, uint8 [H, W, 3], a twelfth of a second later, while these keys are held."""
        return self.paint(self.dream(keys))

    def dream(self, keys: Keys) -> Tensor:
        """The first half of a step: the next frame as the model has it."""
        frame = self._ride.next(keys.steer, keys.go)
        self._kept.append(frame.half())
        self.frames += 1
        return frame

    def paint(self, frame: Tensor) -> NDArray[np.uint8]:
        """The second half, which may be done while the next frame is dreamt: how a frame looks, with its watermark.
        Raises RefusedError where the screen refuses it."""
        picture = steepened(enlarged(self._ride.picture(frame), SCALE))
        if self._seen % round(LOOK * self.fps) == 0:
            self.warnings += screen.made(self._settings, [picture])
        self._seen += 1
        return next(self._stamp.mark([picture], self._number))

    def kept(self, seconds: float | None = None) -> Kept:
        """The ride so far, or the last so many seconds of it. Raises InputError before the first step."""
        frames = list(self._kept)  # a step that comes meanwhile is not part of it
        if seconds is not None:
            frames = frames[-max(1, round(seconds * self.fps)) :]
        if not frames:
            raise InputError("nothing was played yet, so there is nothing to save")
        return Kept(
            frames=torch.stack(frames), prompt=self.prompt, seed=self.seed, said=self.scene.said,
            added=self.scene.added, warnings=tuple(self.warnings), weights_sha256=self.live.identity().weights_sha256,
        )  # fmt: skip

    def save(
        self, output: str | Path, *, size: tuple[int, int] = (896, 512), overwrite: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Result:  # fmt: skip
        """The ride so far (the last MOST seconds of it) as a signed video; see `save`."""
        return save(
            self.kept(), output, size=size, overwrite=overwrite, progress=progress, settings=self._settings,
            live=self.live,
        )  # fmt: skip


def number_of(ours: stamp.Stamp, prompt: str, seed: int, live: Live) -> int:
    """The number in the pictures of a world."""
    text = language.check(prompt).encoded if prompt.strip() else ""
    return ours.number("play", text, seed, live.identity())


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A ride as it was dreamt, not drawn yet: latents fp16 [T, S, C], and what it was asked for with."""

    frames: Tensor
    prompt: str
    seed: int
    said: dict[str, str]
    added: dict[str, str]
    warnings: tuple[str, ...]
    weights_sha256: str

    def write(self, path: Path) -> None:
        """As a file, to be drawn by another process."""
        told = {name: value for name, value in vars(self).items() if name != "frames"}
        save_file({"frames": self.frames.contiguous()}, path, {"ride": json.dumps(told)})

    @classmethod
    def read(cls, path: Path) -> Kept:
        """The inverse of `write`. Raises InputError for another file."""
        try:
            with safe_open(path, "pt") as file:
                told: dict[str, Any] = json.loads((file.metadata() or {})["ride"])
                frames = file.get_tensor("frames")
            return cls(frames=frames, **told | {"warnings": tuple(told["warnings"])})
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path.name} holds no ride ({error})") from error


def save(
    kept: Kept, output: str | Path, *, size: tuple[int, int] = (896, 512), overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None, settings: Settings | None = None, live: Live | None = None,
) -> Result:  # fmt: skip
    """A ride as a signed video, 24 frames a second, drawn anew by the upscaler.

    Raises as `engine.make`, and CheckpointError where another live model dreamt it.
    """
    settings = settings or load_settings()
    count = len(kept.frames)
    live = live or Live(settings.weights or BUNDLED)
    check_shape(max(count / live.fps, 0.1), size)
    check_names(output, None, overwrite)
    identity = live.identity()
    if kept.weights_sha256 != identity.weights_sha256:
        raise CheckpointError("this ride was dreamt by another live model, so it cannot be drawn; play it again")
    ours = stamp.ready(settings)
    upscaler, _ = read_part(live.folder, "upscaler", lambda config: Upscaler(UpscalerConfig(**config)))
    upscaler.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    total = RATE * count
    with io.atomic_output(Path(output), overwrite=overwrite) as unsigned:
        drawn = islice(quickly(upscaler.stream(live.small(frame.float()) for frame in kept.frames)), total)
        sharp = all_steepened((frame.numpy() for frame in drawn), torch.get_num_threads())
        world = number_of(ours, kept.prompt, kept.seed, live)
        number = ours.number("ride", world, count, size, kept.frames.numpy())
        told = _told((fit(frame, size) for frame in sharp), total, progress)
        video = Keep(ours.mark(told, number), count=total)
        write_video(video, unsigned, fps=RATE * live.fps)
        warnings = [*kept.warnings, *screen.made(settings, video.frames)]
        manifest = manifest_of(Path(output).name, identity, mode="play", seed=kept.seed, media=())
        ours.sign(unsigned, manifest, number)
    report = {
        "prompt": kept.prompt, "said": kept.said, "added": kept.added, "model": asdict(identity), "warnings": warnings,
    }  # fmt: skip
    return Result(path=Path(output), seed=kept.seed, warnings=warnings, report=report)


def _told(
    frames: Iterator[io.Frame], total: int, progress: Callable[[str, int, int], None] | None
) -> Iterator[io.Frame]:
    for i, frame in enumerate(frames, start=1):
        if progress:
            progress("drawing", i, total)
        yield frame


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture of a world that is being played."""

    picture: NDArray[np.uint8]
    number: int  # of the frame, from 1
    keys: Keys  # that it was drawn with
    delay: float  # seconds from the moment when its keys were read
    near: list[tuple[float, float, float]]  # what stands around the rider, as `Journey.near` has it


class Player:
    """Plays a world in real time in threads of its own: the next frame is dreamt while the last one is painted, and
    whoever looks gets each picture as soon as it is there. Keys that change count from the next frame on.

    `look` is called with each picture, in one thread. Nobody has to keep up: where looking takes longer than a frame,
    the world waits. What goes wrong ends the ride, and `failure` says what. A world that was stopped goes on with
    another player.
    """

    def __init__(self, world: World, look: Callable[[Shown], None]) -> None:
        self.world = world
        self.keys = Keys()
        self.failure: BaseException | None = None
        self.late = 0  #: frames that took longer than their time
        self._look = look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="play", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the ride; returns when no more picture comes."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def wait(self) -> None:
        """Until the ride has ended."""
        self._thread.join()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def _play(self) -> None:
        torch.set_num_threads(1)  # one for dreaming, one for painting
        beat = 1 / self.world.fps
        painted: Future[None] | None = None
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="paint") as painter:
                due = time.monotonic()
                while not self._over.is_set():
                    began, keys = time.monotonic(), self.keys
                    frame = self.world.dream(keys)
                    if painted is not None:
                        painted.result()
                    near = self.world.journey.near()
                    painted = painter.submit(self._paint, frame, self.world.frames, keys, began, near)
                    due += beat
                    wait = due - time.monotonic()
                    if wait > 0:
                        self._over.wait(wait)
                    else:
                        due, self.late = time.monotonic(), self.late + 1
                if painted is not None:
                    painted.result()
        except BaseException as error:  # noqa: BLE001 - told by `failure`, in the thread that asks
            self.failure = error
            self._over.set()

    def _paint(
        self, frame: Tensor, number: int, keys: Keys, began: float, near: list[tuple[float, float, float]]
    ) -> None:
        picture = self.world.paint(frame)
        self._look(Shown(picture=picture, number=number, keys=keys, delay=time.monotonic() - began, near=near))
