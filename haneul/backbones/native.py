"""Our own model behind the engine's protocol: text encoder, transformer, codec, upscaler, in that order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from haneul.backbones.base import MODES, Capabilities, Identity, Progress, Request
from haneul.backbones.exported import check_config, read_text_encoder
from haneul.backbones.given import RATE, controls, lay, within
from haneul.backbones.layout import is_exported, part_file
from haneul.backbones.reading import Reading
from haneul.backbones.watching import Watch
from haneul.config import Settings
from haneul.errors import CheckpointError
from haneul.model.canvas import Canvas, blank, put
from haneul.model.checkpoint import Card, file_digest, load, load_into
from haneul.model.codec import GROUP, PATCH, Codec, CodecConfig
from haneul.model.concepts import ConceptReader, ConceptsConfig
from haneul.model.dit import LEAST_SPREAD, DiT, DiTConfig
from haneul.model.modes import Start, sample, text_to_video
from haneul.model.precision import fast, quickly
from haneul.model.presets import Preset, preset
from haneul.model.quick import quicken
from haneul.model.rollout import CONTEXT_LEVEL, rollout, window_count
from haneul.model.sampler import Sampling
from haneul.model.text import shared_encoder
from haneul.prompt.action import CHANNELS
from haneul.video.steepen import all_steepened
from haneul.video.timeline import fit
from haneul.video.upscale import Upscaler, UpscalerConfig

BUNDLED = Path(__file__).resolve().parent.parent / "weights"
AWAY = 2.0  #: guidance away from a negative prompt where there is none otherwise
OVERLAP = 4  #: latent frames that a window of a long video shares with the one before
SEAM = 4  #: latent frames that a loop is sampled beyond its turn, as the same moments as its first ones
OPEN = 5  #: latent frames between the end of a long loop and its beginning, which the last window fills in


def base_grid(size: tuple[int, int], tokens: int) -> tuple[int, int]:
    """Latent rows and columns for a picture of `size`: the aspect nearest to it with about `tokens` tokens."""
    aspect = size[0] / size[1]
    best, score = (1, 1), float("inf")
    for h in range(2, tokens + 1):
        for w in range(2, tokens + 1):
            if 0.7 * tokens <= h * w <= 1.15 * tokens:
                miss = abs(np.log(w / h / aspect)) + 0.15 * abs(np.log(h * w / tokens))
                if miss < score:
                    best, score = (h, w), miss
    return best


def latent_frames(frames: int) -> int:
    """Latent frames from which the codec and the upscaler (which doubles the rate) draw at least `frames` frames."""
    base = frames // 2 + 1  # T base frames become 2T - 1
    return 1 + -(-(base - 1) // GROUP)


def loop_windows(period: int, window: int) -> int:
    """How many windows a loop takes."""
    return 1 if period + 3 <= window else window_count(1 + period - OPEN, window, OVERLAP) + 1


def loop_pieces(
    roll: Callable[..., Iterator[Tensor]], channels: int, period: int, window: int, h: int, w: int
) -> Iterator[Tensor]:
    """Latents of 1 + period + n latent frames, piece by piece, whose last n, at least 2, are the moments of latent
    frames 1 to n again.

    What fits into one window is denoised as a circle. Longer ones end with a window that leads from the end of the rest
    to its beginning.
    """
    if loop_windows(period, window) == 1:
        shared = min(SEAM, period, window - 1 - period)
        yield from roll(blank(channels, 1 + period + shared, h, w, period=period))
        return
    made, tail = 0, torch.empty(0)
    canvas = blank(channels, 1 + period + SEAM, h, w)
    again = list(range(1 + period, 1 + period + SEAM))
    for piece in roll(blank(channels, 1 + period - OPEN, h, w)):
        if not made:
            canvas = put(canvas, piece[:, :, 1 : 1 + SEAM], torch.full((SEAM, 1), CONTEXT_LEVEL), again)
        tail = torch.cat([tail, piece], 2)[:, :, -window:] if made else piece
        made += piece.shape[2]
        yield piece
    yield from roll(canvas, (tail, made))


def own(folder: Path | None, settings: Settings) -> Native:
    """Our own model of a folder, or the bundled one, with as many threads as the settings say."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Native(folder or BUNDLED)


Part = TypeVar("Part", bound=nn.Module)


def read_part(folder: Path, name: str, build: Callable[[dict[str, Any]], Part]) -> tuple[Part, Card]:
    """One network of a folder of weights and its card; `build` makes it from the card's configuration."""
    path = part_file(folder, name)
    weights, card = load(path, name)
    if path.parent != folder:
        check_config(path, card)
    try:
        part = build(card.config)
    except (TypeError, ValueError, RuntimeError) as err:
        raise CheckpointError(f"the card of {path} is damaged: {err}; fetch it again") from err
    load_into(part, weights, path)
    return part, card


class Native:
    """The bundled `nano` model, or another folder of the same files, or what `haneul export` made of one."""

    def __init__(self, folder: Path = BUNDLED) -> None:
        self.folder = folder
        self.dit, self.card = read_part(folder, "dit", lambda config: DiT(DiTConfig(**config)))
        self.codec, codec = read_part(folder, "codec", lambda config: Codec(CodecConfig(**config)))
        self.upscaler, upscaler = read_part(folder, "upscaler", lambda config: Upscaler(UpscalerConfig(**config)))
        self._cards = {"dit": self.card, "codec": codec, "upscaler": upscaler}
        try:
            self.preset: Preset = preset(self.card.preset)
            self.sampling = Sampling(**self.card.sampling)
        except (TypeError, ValueError) as err:
            raise CheckpointError(f"the card of {part_file(folder, 'dit')} is damaged: {err}") from err
        if is_exported(folder):
            text, self.text_encoder_sha256 = read_text_encoder(folder)
        else:
            text = shared_encoder(folder / "text_encoder.safetensors")
            self.text_encoder_sha256 = file_digest(folder / "text_encoder.safetensors")
        concepts: ConceptReader | None = None
        if self.dit.cfg.concepts:
            concepts, card = read_part(folder, "concepts", lambda config: ConceptReader(ConceptsConfig(**config)))
            if concepts.sizes != self.dit.cfg.concepts:
                raise CheckpointError(f"concepts and transformer of {folder} do not belong together; fetch both again")
            learned_from = card.recipe.get("text_encoder_sha256")
            if learned_from and learned_from != self.text_encoder_sha256:
                raise CheckpointError(
                    f"text_encoder of {folder} is not what the concepts were learned from, or was changed; "
                    "fetch it again"
                )
            self._cards["concepts"] = card
            concepts.eval().requires_grad_(False)
        self.reading = Reading(folder, text, concepts)
        for part in (self.dit, self.codec, self.upscaler):
            part.eval().requires_grad_(False)
        for part in (self.codec, self.upscaler):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(self.dit)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            modes=MODES,
            max_size=(1920, 1920),
            max_seconds=3600.0,
            fps=RATE * self.preset.base_fps,
            default_steps=self.sampling.steps,
            default_guidance=self.sampling.guidance,
            actions=tuple(
                name
                for name, spread in zip(CHANNELS, self.dit.control_spread[-len(CHANNELS) :].tolist(), strict=True)
                if spread > 1.01 * LEAST_SPREAD
            ),
            vocabulary=self.reading.vocabulary(),
        )

    @cached_property
    def _digest(self) -> str:
        return file_digest(part_file(self.folder, "dit"))

    def parts(self) -> dict[str, tuple[nn.Module, Card]]:
        """Every network that was trained, by its name in a folder of weights, and its card."""
        modules: dict[str, nn.Module | None] = {
            "dit": self.dit, "codec": self.codec, "upscaler": self.upscaler, "concepts": self.reading.concepts,
        }  # fmt: skip
        return {name: (module, self._cards[name]) for name, module in modules.items() if module is not None}

    def identity(self) -> Identity:
        name = f"haneul-{self.card.preset}"
        return Identity(model=name, weights_sha256=self._digest, data_ledger_root=self.card.data_ledger_root)

    def frame_count(self, request: Request) -> int:
        """Frames of the finished video."""
        return max(1, round(request.seconds * self.capabilities().fps))

    def understood(self, prompt: str, remember: str = "") -> dict[str, tuple[str, float]]:
        """See `Backbone.understood`."""
        return self.reading.understood(prompt, remember)

    def expanded(self, request: Request) -> dict[str, str]:
        """See `Backbone.expanded`."""
        return self.reading.expanded(request)

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """See `Backbone.unknown_words`."""
        return self.reading.unknown_words(prompt)

    def notes(self, request: Request) -> list[str]:
        """Nothing: it makes what is asked."""
        return []

    def how(self, steps: int, guidance: float, *, negative: bool = False) -> Sampling:
        """How to sample with so many steps and so much guidance; 1 is none of either kind, but for a negative prompt,
        which could not be heard without any: a model that has its guidance built in is led away from that by AWAY."""
        weak = 0.0 if guidance == 1.0 else self.sampling.weak
        guidance = AWAY if negative and guidance == 1.0 else guidance
        return replace(self.sampling, steps=steps, guidance=guidance, weak=weak)

    def period(self, request: Request) -> int:
        """Latent frames of a loop."""
        return max(2, round(self.frame_count(request) / (RATE * GROUP)))

    def latents(self, request: Request, progress: Progress | None = None) -> Tensor:
        """All latents [1, C, F, h, w] of a request; of a loop see `loop_pieces`."""
        return torch.cat(list(self.pieces(request, progress)), 2)

    def pieces(self, request: Request, progress: Progress | None = None) -> Iterator[Tensor]:
        """Latents of a request, window by window."""
        text = self.reading.encode([request.prompt], request.remember)
        if request.expand or request.fixed:
            text = self.reading.complete(text, [request.seed if request.expand else None], request.fixed)
        negative = self.reading.encode([request.negative]) if request.negative else None
        h, w = base_grid(request.size, self.preset.base_size[0] * self.preset.base_size[1] // PATCH**2)
        period = self.period(request) if request.loop else 0
        frames = 1 + period + SEAM if period else latent_frames(self.frame_count(request))
        window = 1 + self.preset.frames // GROUP
        windows = loop_windows(period, window) if period else window_count(frames, window, OVERLAP)

        ctrl, known = controls(request.camera, request.action, frames, self.dit.cfg.controls)
        if ctrl is not None:
            ctrl = within(ctrl, self.dit.control_spread)

        finished = 0  # windows
        watch = Watch(request, self.identity, self.codec)

        def one(start: Start, first: int) -> Tensor:
            nonlocal finished
            steps = finished * request.steps, windows * request.steps

            def tell(done: int, total: int) -> None:
                nonlocal steps
                steps = finished * total + done, windows * total
                if progress:
                    progress("denoising", *steps)

            if (before := watch.finished(finished)) is not None:
                finished += 1
                return before
            with fast():
                z = sample(
                    self.dit,
                    text,
                    start,
                    negative=negative,
                    how=self.how(request.steps, request.guidance, negative=bool(request.negative)),
                    progress=tell,
                    ctrl_BFK=None if ctrl is None else ctrl[:, first : first + start.z.shape[2]],
                    known_BG=known,
                    around=watch.around(finished, lambda: steps),
                )
            watch.finish(finished, z)
            finished += 1
            return z

        generator = torch.Generator().manual_seed(request.seed)

        def roll(canvas: Canvas, past: tuple[Tensor, int] | None = None) -> Iterator[Tensor]:
            return rollout(
                self.codec, one, canvas, window=window, overlap=OVERLAP, fps=self.preset.base_fps,
                generator=generator, past=past,
            )  # fmt: skip

        channels = self.dit.cfg.latent
        if period:
            return loop_pieces(roll, channels, period, window, h, w)
        canvas = blank(channels, frames, h, w)
        for given in request.given:
            canvas = lay(self.codec, canvas, given, self.frame_count(request))
        return roll(canvas)

    def base_frames(self, request: Request, progress: Progress | None = None) -> Iterator[Tensor]:
        """Frames [3, h, w] in [-1, 1] at the model's own small size and rate, before the upscaler."""
        for video in quickly(self.codec.decode_pieces(self.pieces(request, progress))):
            yield from video[0].float().clamp(-1, 1).unbind(1)

    def generate(self, request: Request, progress: Progress | None = None) -> Iterator[NDArray[np.uint8]]:
        """See `Backbone.generate`: window by window, each drawn as soon as it is sampled."""
        first, total = 0, self.frame_count(request)
        if request.loop:  # one turn, from the second group on, where the decoder has seen both neighbours
            first, total = RATE * (GROUP + 1), RATE * GROUP * self.period(request)
        small = self.base_frames(request, progress)
        drawn = islice(quickly(self.upscaler.stream(small)), first, first + total)
        sharp = all_steepened((frame.numpy() for frame in drawn), torch.get_num_threads())
        for i, frame in enumerate(sharp, start=1):
            if progress:
                progress("drawing", i, total)
            yield fit(frame, request.size)

    @torch.no_grad()
    def base_videos(
        self,
        prompts: list[str],
        *,
        seeds: list[int],
        size: tuple[int, int],
        steps: int | None = None,
        guidance: float | None = None,
        expand: bool = True,
    ) -> NDArray[np.uint8]:
        """One window of clips for many prompts at once, uint8 [B, T, H, W, 3] at the model's own small size and frame
        rate, before the upscaler: what evaluation looks at. `size` only chooses the aspect."""
        frames = 1 + self.preset.frames // GROUP
        h, w = base_grid(size, self.preset.base_size[0] * self.preset.base_size[1] // PATCH**2)
        starts = [
            text_to_video(
                batch=1, channels=self.dit.cfg.latent, frames=frames, h=h, w=w, fps=self.preset.base_fps,
                generator=torch.Generator().manual_seed(seed),
            )
            for seed in seeds
        ]  # fmt: skip
        text = self.reading.complete(self.reading.encode(prompts), seeds) if expand else self.reading.encode(prompts)
        noise = replace(
            starts[0], z=torch.cat([s.z for s in starts]), start_BFS=torch.cat([s.start_BFS for s in starts])
        )
        how = self.how(steps or self.sampling.steps, self.sampling.guidance if guidance is None else guidance)
        with fast():
            z = sample(self.dit, text, noise, how=how)
            video = self.codec.decode(z).float().clamp(-1, 1)
        return ((video + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).numpy()
