"""Our own model behind the engine's protocol: text encoder, transformer, codec, upscaler, in that order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from haneul.backbones.base import Capabilities, Identity, Progress, Request
from haneul.errors import CheckpointError
from haneul.model.checkpoint import Card, file_digest, load, load_into
from haneul.model.codec import GROUP, PATCH, Codec, CodecConfig
from haneul.model.concepts import ConceptReader, ConceptsConfig
from haneul.model.dit import DiT, DiTConfig
from haneul.model.modes import Start, begin_with, sample, text_to_video
from haneul.model.presets import Preset, preset
from haneul.model.rollout import rollout, window_count
from haneul.model.text import Text, TextEncoder
from haneul.prompt.language import unknown
from haneul.video.upscale import Upscaler, UpscalerConfig

BUNDLED = Path(__file__).resolve().parent.parent / "weights"
NEAREST = 3  #: known words that are suggested for an unknown one
_HANGUL = re.compile("[가-힣]")
_PLAIN = re.compile("[a-z가-힣]")  # a letter of one of the two scripts that suggestions are made in
OVERLAP = 4  #: latent frames that a window of a long video shares with the one before


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


def fit(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut the middle to the wanted aspect and scale (Lanczos) to size."""
    W, H = size
    h, w = frame.shape[:2]
    if (w, h) == (W, H):
        return frame
    cut_w = min(w, round(h * W / H))
    cut_h = min(h, round(w * H / W))
    y, x = (h - cut_h) // 2, (w - cut_w) // 2
    part = np.ascontiguousarray(frame[y : y + cut_h, x : x + cut_w])
    picture = av.VideoFrame.from_ndarray(part, format="rgb24")
    scaled: NDArray[np.uint8] = np.asarray(
        picture.reformat(width=W, height=H, format="rgb24", interpolation="LANCZOS").to_ndarray(), np.uint8
    )
    return scaled


def latent_frames(frames: int) -> int:
    """Latent frames from which the codec and the upscaler (which doubles the rate) draw at least `frames` frames."""
    base = frames // 2 + 1  # T base frames become 2T - 1
    return 1 + -(-(base - 1) // GROUP)


Part = TypeVar("Part", bound=nn.Module)


def read_part(folder: Path, name: str, build: Callable[[dict[str, Any]], Part]) -> tuple[Part, Card]:
    """One network of a folder of weights and its card; `build` makes it from the card's configuration."""
    path = folder / f"{name}.safetensors"
    weights, card = load(path, name)
    try:
        part = build(card.config)
    except (TypeError, ValueError, RuntimeError) as err:
        raise CheckpointError(f"the card of {path} is damaged: {err}; fetch it again") from err
    load_into(part, weights, path)
    return part, card


class Native:
    """The bundled `nano` model, or another folder of the same files."""

    def __init__(self, folder: Path = BUNDLED) -> None:
        self.folder = folder
        self.dit, self.card = read_part(folder, "dit", lambda config: DiT(DiTConfig(**config)))
        self.codec, _ = read_part(folder, "codec", lambda config: Codec(CodecConfig(**config)))
        self.upscaler, _ = read_part(folder, "upscaler", lambda config: Upscaler(UpscalerConfig(**config)))
        try:
            self.preset: Preset = preset(self.card.preset)
        except ValueError as err:
            raise CheckpointError(f"the card of {folder / 'dit.safetensors'} is damaged: {err}") from err
        self.text = TextEncoder.load(folder / "text_encoder.safetensors")
        self.concepts: ConceptReader | None = None
        if self.dit.cfg.concepts:
            self.concepts, card = read_part(folder, "concepts", lambda config: ConceptReader(ConceptsConfig(**config)))
            if self.concepts.sizes != self.dit.cfg.concepts:
                raise CheckpointError(f"concepts and transformer of {folder} do not belong together; fetch both again")
            learned_from = card.recipe.get("text_encoder_sha256")
            if learned_from and learned_from != file_digest(folder / "text_encoder.safetensors"):
                path = folder / "text_encoder.safetensors"
                raise CheckpointError(
                    f"{path} is not what the concepts were learned from, or was changed; fetch it again"
                )
            self.concepts.eval().requires_grad_(False)
        for part in (self.dit, self.codec, self.upscaler):
            part.eval().requires_grad_(False)
        for part in (self.codec, self.upscaler):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def capabilities(self) -> Capabilities:
        return Capabilities(
            modes=("text-to-video", "image-to-video", "text-to-image"),
            max_size=(1920, 1920),
            max_seconds=20.0,
            fps=2 * self.preset.base_fps,
            default_steps=24,
            default_guidance=2.5,
        )

    def identity(self) -> Identity:
        digest = file_digest(self.folder / "dit.safetensors")
        name = f"haneul-{self.card.preset}"
        return Identity(model=name, weights_sha256=digest, data_ledger_root=self.card.data_ledger_root)

    def frame_count(self, request: Request) -> int:
        """Frames of the finished video."""
        return max(1, round(request.seconds * self.capabilities().fps))

    def encode(self, prompts: list[str]) -> Text:
        """The prompts as the transformer reads them."""
        states, mask = self.text.encode(prompts)
        concepts = None if self.concepts is None else self.concepts.read(states, mask)
        return Text(states=states, mask=mask, concepts=concepts)

    def understood(self, prompt: str) -> dict[str, tuple[str, float]]:
        """See `Backbone.understood`."""
        if self.concepts is None:
            return {}
        concepts = self.encode([prompt]).concepts
        assert concepts is not None
        return self.concepts.named(concepts[0])

    @torch.no_grad()
    def encode_picture(self, picture: NDArray[np.uint8], h: int, w: int) -> Tensor:
        """Latents [1, C, 1, h, w] of a picture uint8 [H, W, 3], its middle cut to the aspect of the grid."""
        small = torch.from_numpy(np.array(fit(picture, (w * PATCH, h * PATCH))))
        z: Tensor = self.codec.encode(small.permute(2, 0, 1).float()[None, :, None] / 127.5 - 1)
        return z

    def latents(self, request: Request, progress: Progress | None = None) -> Tensor:
        """Sample the latents [1, C, F, h, w] of a request."""
        text = self.encode([request.prompt])
        negative = self.encode([request.negative]) if request.negative else None
        h, w = base_grid(request.size, self.preset.base_size[0] * self.preset.base_size[1] // PATCH**2)
        frames = latent_frames(self.frame_count(request))
        window = 1 + self.preset.frames // GROUP
        windows = window_count(frames, window, OVERLAP)
        given = None if request.first is None else self.encode_picture(request.first, h, w)

        def one(start: Start, number: int) -> Tensor:
            def tell(done: int, total: int) -> None:
                if progress:
                    progress("denoising", number * total + done, windows * total)

            if given is not None and number == 0:
                start = begin_with(start, given)
            with torch.autocast("cpu", torch.bfloat16):
                return sample(
                    self.dit,
                    text,
                    start,
                    negative=negative,
                    guidance=request.guidance,
                    steps=request.steps,
                    progress=tell,
                )

        return rollout(
            self.codec, one, frames=frames, window=window, overlap=OVERLAP, channels=self.dit.cfg.latent,
            h=h, w=w, fps=self.preset.base_fps, generator=torch.Generator().manual_seed(request.seed),
        )  # fmt: skip

    @torch.no_grad()
    def generate(self, request: Request, progress: Progress | None = None) -> Iterator[NDArray[np.uint8]]:
        """See `Backbone.generate`."""
        z = self.latents(request, progress)
        with torch.autocast("cpu", torch.bfloat16):
            video = self.codec.decode(z)[0].float().clamp(-1, 1).transpose(0, 1)
            total = self.frame_count(request)
            for i, frame in enumerate(self.upscaler.stream(video)):
                if i == total:
                    return
                if progress:
                    progress("drawing", i + 1, total)
                yield fit(frame.numpy(), request.size)

    @torch.no_grad()
    def base_videos(
        self, prompts: list[str], *, seeds: list[int], size: tuple[int, int], steps: int = 24, guidance: float = 2.5
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
        text = self.encode(prompts)
        noise = replace(
            starts[0], z=torch.cat([s.z for s in starts]), start_BFS=torch.cat([s.start_BFS for s in starts])
        )
        with torch.autocast("cpu", torch.bfloat16):
            z = sample(self.dit, text, noise, guidance=guidance, steps=steps)
            video = self.codec.decode(z).float().clamp(-1, 1)
        return ((video + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).numpy()

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """See `Backbone.unknown_words`; the nearest ones are of the word's own script (the prompt's, if it is another).

        Nearness is the cosine of mean token states, less the mean of all known words: what all words share, which is
        most of a state, says nothing (docs/log.md).
        """
        path = self.folder / "known_words.json"
        try:
            known: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise CheckpointError(f"{path} cannot be read ({err}); reinstall haneul") from err
        strange = unknown(prompt, frozenset(known["known"]))
        found: dict[str, list[str]] = {}
        for korean in (False, True):
            names = [name for name in known["nearest"] if bool(_HANGUL.search(name)) == korean]
            here = [w for w in strange if bool(_HANGUL.search(w if _PLAIN.search(w) else prompt)) == korean]
            if here and names:
                vectors = self._word_vectors(names)
                middle = vectors.mean(0)
                a, b = (F.normalize(v - middle, dim=-1) for v in (self._word_vectors(here), vectors))
                order = (a @ b.T).argsort(1, descending=True)[:, :NEAREST]
                found |= {word: [names[int(j)] for j in row] for word, row in zip(here, order, strict=True)}
        return {word: found.get(word, []) for word in strange}

    def _word_vectors(self, words: list[str]) -> Tensor:
        """[n, width]: the mean of each word's token states, without the sentence marks."""
        states, mask = self.text.encode(words)
        inner = mask.clone()
        inner[:, 0] = False
        inner[torch.arange(len(words)), mask.sum(1) - 1] = False
        return (states * inner[..., None]).sum(1) / inner.sum(1, keepdim=True).clamp(min=1)
