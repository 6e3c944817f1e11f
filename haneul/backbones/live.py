"""The live model behind a small face: what a prompt calls for, the next frame, and how a frame looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.base import Identity
from haneul.backbones.layout import live_file
from haneul.backbones.native import BUNDLED, read_part
from haneul.backbones.reading import Reading
from haneul.errors import CheckpointError, InputError
from haneul.model.checkpoint import file_digest
from haneul.model.concepts import ConceptReader, ConceptsConfig, one_hot
from haneul.model.deblock import across_patches
from haneul.model.framecode import PATCH
from haneul.model.live import Drawing, LiveConfig, LiveModel, Past
from haneul.model.precision import fast
from haneul.model.text import shared_encoder
from haneul.prompt.walk import walk_words

TRUST = 0.5  #: certainty from which on a slot counts as said
NAMED = 0.9  #: certainty of a kind from which on words of a walk are taken to be of its own
CAMERA = "camera"  #: the rider that is not in the picture: it has no slots of its own but that the camera moves ahead
AHEAD = {"camera": "push in"}
#: Metres ahead and to the left, and radians: what a rider whose key is let go seems to go less than, a frame, is what
#: the network of its steps errs by (docs/log.md).
LEAST_STEP = (0.02, 0.02, 0.006)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is played: what was said and what the seed added, by slot, with the rider's kind (`CAMERA` is one though no
    slot has it), and as the model reads it, [1, V]."""

    said: dict[str, str]
    added: dict[str, str]
    concepts: Tensor
    seed: int

    @property
    def kind(self) -> str:
        """Of the rider."""
        return (self.said | self.added)["kind"]

    @property
    def setting(self) -> str:
        return (self.said | self.added)["setting"]


class Live:
    """The bundled live model, or another folder of the same files. Not for several threads at once."""

    def __init__(self, folder: Path = BUNDLED) -> None:
        self.folder = folder
        live_file(folder)
        self.model, self.card = read_part(folder, "live", lambda config: LiveModel(LiveConfig(**config)))
        concepts, _ = read_part(folder, "concepts", lambda config: ConceptReader(ConceptsConfig(**config)))
        if concepts.sizes != self.model.cfg.concepts:
            raise CheckpointError(f"live model and concepts of {folder} do not belong together; fetch both again")
        for part in (self.model, concepts):
            part.eval().requires_grad_(False)
        self.reading = Reading(folder, shared_encoder(folder / "text_encoder.safetensors"), concepts)
        self.slots = concepts.cfg.slots
        try:
            #: kind -> the event that it is, and the settings where it can be played
            self.riders: dict[str, tuple[str, tuple[str, ...]]] = {
                kind: (str(event), tuple(settings)) for kind, (event, settings) in self.card.recipe["riders"].items()
            }
            self.drawing = Drawing(**self.card.sampling)
        except (KeyError, TypeError, ValueError) as err:
            raise CheckpointError(f"the card of {folder / 'live.safetensors'} is damaged: {err}") from err
        if set(self.riders) != set(self.model.cfg.riders):
            raise CheckpointError(f"the card of {folder / 'live.safetensors'} names other riders than its model has")

    @property
    def fps(self) -> int:
        return self.model.cfg.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the model's own small frames."""
        rows, columns = self.model.cfg.grid
        return 16 * columns, 16 * rows

    def identity(self) -> Identity:
        digest = file_digest(self.folder / "live.safetensors")
        return Identity(model="haneul-live", weights_sha256=digest, data_ledger_root=self.card.data_ledger_root)

    def small(self, frame_SC: Tensor) -> Tensor:
        """A frame as it is shown at the model's own size, [3, h, w] in [-1, 1], the borders of its patches filtered."""
        return across_patches(self.model.code.decode(frame_SC[None].float())[0], PATCH).clamp(-1, 1)

    def scene(self, prompt: str, seed: int) -> Scene:
        """What a prompt calls for; what it leaves open is drawn by the seed. Raises InputError for what this model
        cannot play."""
        understood = self.reading.understood(prompt) if prompt.strip() else {}
        said = {slot: value for slot, (value, sure) in understood.items() if sure >= TRUST}
        if walk_words(prompt) and understood.get("kind", ("", 0.0))[1] < NAMED:
            said["kind"] = CAMERA
        rng = np.random.default_rng([seed, 9])
        kind, setting = said.get("kind"), said.get("setting")
        if kind is not None and kind not in self.riders:
            raise InputError(f"a {kind} cannot be steered; what can be played: {', '.join(self.riders)}")
        able = {k: places for k, (_, places) in self.riders.items() if setting in (None, *places)}
        fitting = [k for k in able if k == kind or (kind is None and k != CAMERA)] or [k for k in able if kind is None]
        if not fitting:
            places = self.riders[kind][1] if kind else sorted({p for _, where in self.riders.values() for p in where})
            raise InputError(f"{kind or 'nothing'} can be played in {setting!r}; what can: {', '.join(places)}")
        kind = str(rng.choice(fitting))
        event, places = self.riders[kind]
        drawn = {
            "setting": str(rng.choice(places)), "time": str(rng.choice(self.slots["time"])),
            "color": str(rng.choice(self.slots["color"])),
        }  # fmt: skip
        whole = {**drawn, **{slot: said[slot] for slot in drawn if slot in said}, "kind": kind, "event": event}
        told = whole
        if kind == CAMERA:
            whole = {slot: whole[slot] for slot in ("setting", "time", "kind")}
            told = {slot: whole[slot] for slot in ("setting", "time")} | AHEAD
        return Scene(
            said={slot: value for slot, value in whole.items() if said.get(slot) == value},
            added={slot: value for slot, value in whole.items() if said.get(slot) != value and slot != "event"},
            concepts=one_hot([told], self.slots), seed=seed,
        )  # fmt: skip


class Way(Protocol):
    """A way through a country, as journey.Journey: takes a step, and tells what is before the camera then."""

    def go(self, step: tuple[float, float, float]) -> NDArray[np.float32]: ...


class Ride:
    """One world while it is played. `next` draws a frame and is not to be called by two threads at once; `picture` may
    be called meanwhile."""

    def __init__(self, live: Live, scene: Scene, way: Way, drawing: Drawing | None = None) -> None:
        self.live, self.scene, self.way, self.drawing = live, scene, way, drawing or live.drawing
        self._past = Past()
        self._going: Tensor | None = None
        self._rider = torch.tensor([[float(kind == scene.kind) for kind in live.model.cfg.riders]])
        self._generator = torch.Generator().manual_seed(scene.seed)

    def next(self, steer: float, go: float) -> Tensor:
        """The next frame [S, C] in latents, while a key is held: `steer` -1 (left) to 1, `go` 0 to 1."""
        actions = torch.tensor([[min(max(float(steer), -1.0), 1.0), min(max(float(go), 0.0), 1.0)]])
        model, concepts = self.live.model, self.scene.concepts
        with fast():
            step, self._going = model.going(actions, self._rider, self._going)
            taken = step[0].tolist() if self._past.frames else (0.0, 0.0, 0.0)
            if not go > 0:
                taken = [size if abs(size) > least else 0.0 for size, least in zip(taken, LEAST_STEP, strict=True)]
            ahead, left, turn = taken
            sight = torch.from_numpy(self.way.go((ahead, left, turn)))[None]
            frame, self._past = model.play(
                self._past, actions, concepts, self._rider, sight, self.drawing, self._generator
            )  # fmt: skip
        return frame[0]

    def picture(self, frame_SC: Tensor) -> NDArray[np.uint8]:
        """A frame as bytes at the model's own size, uint8 [h, w, 3]."""
        return ((self.live.small(frame_SC) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
