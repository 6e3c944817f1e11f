"""An open checkpoint behind the engine's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.backbones.base import Capabilities, Given, Identity, Progress, Request
from haneul.backbones.open import context, control, family, licences, memory, modes
from haneul.backbones.open.canvas import Canvas
from haneul.backbones.open.digest import digest
from haneul.backbones.open.extras import Extras
from haneul.backbones.open.folder import Checkpoint
from haneul.backbones.open.hub import find
from haneul.backbones.open.memory import Plan
from haneul.backbones.open.modes import Piece
from haneul.config import Settings, load_settings
from haneul.errors import CheckpointError, InputError
from haneul.video.timeline import fit

if TYPE_CHECKING:
    from haneul.backbones.open.pipelines import Pipelines
    from haneul.backbones.open.sources import Pipeline

Frames = NDArray[np.uint8]  # [T, H, W, 3]
MAX_SECONDS = 600.0  #: of a video that is made window by window
#: How much the whole is noised where only a box of it will be shown: enough for other things, not for another scene.
INPAINTED = 0.85


def open_checkpoint(model: str, settings: Settings, extras: Extras | None = None) -> Open:
    """The open checkpoint of a name. Raises CheckpointError, InputError; see `hub.find` and `folder.read`."""
    return Open(find(model), settings, extras)


class Open:
    """A checkpoint of diffusers. It is checked at once and loaded when the first frame is asked for."""

    def __init__(
        self, checkpoint: Checkpoint, settings: Settings | None = None, extras: Extras | None = None, *,
        device: str | None = None,
    ) -> None:  # fmt: skip
        self.checkpoint = checkpoint
        self.settings = settings or load_settings()
        self.extras = extras or Extras()
        self.calls = family.calls(checkpoint)
        control.check(checkpoint, self.extras)
        self.rules = family.rules(checkpoint)
        self.smaller = control.downscale(self.extras) if self.calls.reference else 1
        if self.smaller > 1:  # the reference's sides have to be multiples, too
            self.rules = replace(self.rules, multiple=self.rules.multiple * self.smaller)
        self.device = device
        self.licence = licences.of(checkpoint)
        self._pipelines: Pipelines | None = None
        self._plans: list[Plan] = []
        self._told: list[str] = []

    def capabilities(self) -> Capabilities:
        """See `Backbone.capabilities`."""
        able = self.calls
        onward = able.picture or able.clips or able.control or able.history
        return Capabilities(
            modes=modes.available(able, self.slides),
            max_size=(1920, 1920),
            max_seconds=MAX_SECONDS if onward else self.rules.window / self.rules.fps,
            fps=self.rules.fps,
            default_steps=self.rules.steps,
            default_guidance=self.rules.guidance,
        )

    @property
    def slides(self) -> bool:
        """Whether the latents are a plain row of frames while they are sampled, each of them as noisy as the others."""
        text = self.calls.text
        pairs = self.rules.step != family.compression(self.checkpoint.vae.config)[0]
        return text is not None and text.time_axis is not None and "DiffusionForcing" not in text.name and not pairs

    def identity(self) -> Identity:
        """See `Backbone.identity`: the checkpoint, and the files that go with it."""
        card: dict[str, Any] = {"licence": self.licence.name, "pipeline": self.checkpoint.pipeline.name}
        if self.extras.weights is not None:
            card["weights"] = self.extras.weights.name
        if self.extras.loras:
            card["loras"] = [f"{path.name}:{weight:g}" for path, weight in self.extras.loras]
        return Identity(model=self.checkpoint.name, weights_sha256=self._digest, data_ledger_root="", card=card)

    @cached_property
    def _digest(self) -> str:
        added = [path for path in (self.extras.weights, *(path for path, _ in self.extras.loras)) if path is not None]
        return digest(self.checkpoint, self.settings.cache / "digests.json", added)

    def first_use(self) -> str:
        """The checkpoint's terms, once; "" from then on."""
        shown = self.settings.data / "licences-shown.json"
        new = licences.first_use(self.licence, self.checkpoint, shown)
        return f"{self.checkpoint.name} is used under its own terms. {self.licence.text()}" if new else ""

    def notes(self, request: Request) -> list[str]:
        """See `Backbone.notes`: terms at first use, what was chosen and why, and what differs from what was asked."""
        w, h = self.rules.sides(request.size)
        found = [self.first_use(), *self._told]
        self._told = []
        if (w, h) != request.size:
            found.append(
                f"the checkpoint makes {w}x{h}; the video is cut and scaled to {'x'.join(map(str, request.size))}"
            )
        if self.calls.text is not None and "audio_vae" in self.checkpoint.parts:
            found.append("the checkpoint makes sound as well, which is left out")
        call = self.checkpoint.pipeline.call
        if request.negative and ("negative_prompt" not in call or "true_cfg_scale" in call or request.guidance <= 1):
            found.append("what should not be seen counts for nothing: guidance is distilled into this checkpoint, or 1")
        if request.fixed.get("camera"):
            found.append("the camera's move is told to the checkpoint in words, which it may follow or not")
        return [note for note in found if note]

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """Its text encoder knows words by their pieces, so none is unknown."""
        return {}

    def understood(self, prompt: str, remember: str = "") -> dict[str, tuple[str, float]]:
        """It cannot tell."""
        return {}

    def expanded(self, request: Request) -> dict[str, str]:
        """It fills in nothing that could be told."""
        return {}

    def load(self, frames: int, size: tuple[int, int]) -> Pipelines:
        """The checkpoint in memory, as a video of `frames` and `size` fits it best."""
        if self._pipelines is None:
            import torch

            from haneul.backbones.open import device as machine
            from haneul.model.precision import fast_dtype

            if self.settings.threads:
                torch.set_num_threads(self.settings.threads)
            device = self.device or machine.usual_device()
            dtype = str(fast_dtype(device)).removeprefix("torch.")
            self._plans = memory.plans(
                self.checkpoint,
                self.rules,
                frames=frames,
                size=size,
                device=device,
                dtype=dtype,
                quantised=self.extras.quantise,
            )
            self._placed(memory.choose(self._plans, machine.free_memory(device)))
        assert self._pipelines is not None
        return self._pipelines

    def _placed(self, plan: Plan) -> None:
        """Load by a plan, or by the next cheaper one that the memory is enough for."""
        from haneul.backbones.open.pipelines import Pipelines

        if self._pipelines is not None:
            self._pipelines.release()
            self._pipelines = None
        self._told.append(f"memory: {plan.text()}")
        try:
            self._pipelines = Pipelines(self.checkpoint, plan, self.extras)
        except MemoryError as error:
            self._cheaper(plan, error)
        else:
            self._told += self._pipelines.doubts

    def _cheaper(self, plan: Plan, error: MemoryError) -> None:
        following = memory.after(self._plans, plan)
        if following is None:
            raise CheckpointError(
                f"{self.checkpoint.name} does not fit into the memory of {plan.device} in any way that is known here; "
                "ask for a smaller or shorter video"
            ) from error
        self._placed(following)

    def generate(self, request: Request, progress: Progress | None = None) -> Iterator[Frames]:
        """See `Backbone.generate`: piece by piece, each shown as soon as it is made."""
        if request.action is not None:
            raise InputError("an open checkpoint cannot be told actions frame by frame; say in the prompt what happens")
        if request.camera is not None and not request.fixed.get("camera"):
            raise InputError(
                "an open checkpoint cannot be told a camera's path frame by frame; give one move, or say it in the "
                "prompt"
            )
        total = max(1, round(request.seconds * self.rules.fps))
        found = modes.pieces(request, total, self.calls, self.rules, self.slides)
        if any(control.needs_lora(self.calls, piece, self.extras) for piece in found):
            raise InputError(
                "this checkpoint follows a scene only with a control LoRA (an IC-LoRA for depth, edges or the like); "
                "give one with --lora"
            )
        return self._made(request, found, total, progress)

    def _made(self, request: Request, found: list[Piece], total: int, progress: Progress | None) -> Iterator[Frames]:
        sides = self.rules.sides(request.size)
        canvas = Canvas(request, total, sides)
        work = [piece for piece in found if piece.kind != "kept"]
        for piece in found:
            if piece.kind != "kept":
                canvas.put(piece, self._piece(request, piece, canvas, progress, (work.index(piece), len(work))))
            for at in range(piece.show, piece.last + 1):
                yield fit(canvas[at], request.size)

    def _piece(
        self, request: Request, piece: Piece, canvas: Canvas, progress: Progress | None, turn: tuple[int, int]
    ) -> Frames:
        """The frames that one call makes."""
        from haneul.backbones.open.pipelines import teller

        kind = "text" if piece.kind == "turn" else piece.kind
        pipeline: Pipeline | None = getattr(self.calls, kind)
        if pipeline is None:
            raise InputError(f"this checkpoint has no call for {piece.kind}")
        while True:
            given = self._arguments(request, pipeline, piece.length, turn[0])
            given |= self._media(pipeline, piece, canvas, request)
            loaded = self.load(piece.length, canvas.size)
            try:
                answer = loaded.call(pipeline, teller(progress, *turn), **given)
                break
            except MemoryError as error:
                self._cheaper(loaded.plan, error)
        made = as_frames(answer.frames)
        if piece.kind == "turn":
            from haneul.backbones.open.loops import before

            made = made[before((piece.last + 1) // self.rules.step, self.rules.step) :]
        return made

    def _arguments(self, request: Request, pipeline: Pipeline, length: int, turn: int) -> dict[str, Any]:
        """What every call is told, as far as it takes it; what it is not told, it decides as diffusers has it."""
        import torch

        w, h = self.rules.sides(request.size)
        move = request.fixed.get("camera")
        prompt = ". ".join(filter(None, [request.prompt, request.remember, f"camera: {move}" if move else ""]))
        told: dict[str, Any] = {
            "prompt": prompt,
            "height": h,
            "width": w,
            "num_inference_steps": request.steps,
            "generator": torch.Generator("cpu").manual_seed(request.seed + turn),
            "output_type": "np",
        }
        if pipeline.frames:
            told[pipeline.frames] = length + self.rules.lost
        if request.negative:
            told["negative_prompt"] = request.negative
        for rate in ("frame_rate", "fps"):
            told[rate] = self.rules.fps
        if "use_resolution_binning" in pipeline.call:
            told["use_resolution_binning"] = False  # sides are multiples already; it knows two sizes alone
        told = {name: value for name, value in told.items() if name in pipeline.call}
        if "guidance_scale" in pipeline.call or request.guidance != self.rules.guidance:
            told["guidance_scale"] = request.guidance
        return told

    def _media(self, pipeline: Pipeline, piece: Piece, canvas: Canvas, request: Request) -> dict[str, Any]:
        """What a call is given besides text."""
        level = context.level(pipeline, self.extras.context_noise)
        noise = level if context.noising(pipeline) == "frames" else 0.0
        given = context.told(pipeline, piece, level)
        if piece.kind == "picture":
            return {"image": Image.fromarray(canvas.seen(piece, piece.first, noise))}
        if piece.kind == "history":
            frames = canvas.before(piece, noise)
            return given | {"video": frames, "overlap_history": len(frames), "base_num_frames": piece.length}
        if piece.kind == "ends":
            return {"image": Image.fromarray(canvas[piece.first]), "last_image": Image.fromarray(canvas.anchor(piece))}
        if piece.kind == "control":
            return canvas.masked(piece, noise)
        if piece.kind == "video":
            return {"video": canvas.whole(piece), "strength": max(noised(request.given), 1.01 / request.steps)}
        if piece.kind == "follow":
            return control.followed(pipeline, canvas.whole(piece), self.rules.window)
        if piece.kind in ("clips", "reference"):
            from haneul.backbones.open.pipelines import class_of, condition

            if piece.kind == "reference":
                given |= control.referred(class_of(pipeline), canvas.whole(piece), self.smaller)
            runs = canvas.runs(piece, self.rules.step, noise)
            told = context.noising(pipeline) == "strength" and context.seen_again(piece)
            keep = {0: 1 - level} if told else {}  # where in the piece -> how clean it is told to be
            return given | {
                "conditions": [condition(pipeline, run, at, self.rules.step, keep.get(at, 1.0)) for at, run in runs]
            }
        if piece.kind == "turn":
            from haneul.backbones.open.loops import turning

            return turning(pipeline)
        return {}


def noised(given: tuple[Given, ...]) -> float:
    """How much of a given video is noised, from 0 to 1."""
    if any(one.box is not None for one in given):
        return INPAINTED
    keep = np.concatenate([one.keep_T for one in given])
    return float(np.clip(1 - keep.mean(), 0.05, 1.0))


def as_frames(video: Any) -> Frames:
    """What a pipeline answers, [1, T, H, W, 3] from 0 to 1, as frames."""
    found: Mapping[str, Any] | Any = video[0]
    pixels = np.asarray(found, np.float32)
    if not np.isfinite(pixels).all():
        raise CheckpointError(
            "the checkpoint made numbers that are none (NaN); its weights are damaged, or it needs more precision or "
            "more frames"
        )
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)
