"""READ FIRST. A sentence in, a signed video out, in plain order:

    prompt -> language -> text encoder -> concepts -> transformer (N steps) -> codec -> upscaler -> watermark -> mp4
    -> signature

Everything in Haneul that makes a video goes through `generate` here: command line, Python, service. Watermark and
signature are stages of it and not options, so nothing leaves without them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.base import Backbone, Capabilities, Identity, Progress, Request
from haneul.config import Settings, load_settings
from haneul.errors import InputError
from haneul.prompt import language
from haneul.trust import credentials
from haneul.trust.watermark import NoWatermark, Watermark
from haneul.video import io
from haneul.video.picture import is_picture, read_picture, write_picture

SIDES = (64, 1920)  #: shortest and longest side of a picture in pixels
MAX_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished video: its file, the seed that makes it again, warnings for the user, and a report."""

    path: Path
    seed: int
    warnings: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)


def generate(
    prompt: str,
    *,
    output: str | Path = "out.mp4",
    seconds: float = 4.0,
    size: tuple[int, int] = (896, 512),
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    negative: str = "",
    image: str | Path | None = None,
    overwrite: bool = False,
    preview: str | Path | None = None,
    progress: Progress | None = None,
    settings: Settings | None = None,
    backbone: Backbone | None = None,
) -> Result:
    """Make one video; or one picture, where the output's name ends in .png or .webp (`seconds` then means nothing).

    `image` is a picture file that the video begins with, its middle cut to the video's aspect.
    `size` is (width, height), both even, 64 to 1920; `seconds` 0.1 to 20; `guidance` how strictly the prompt is
    followed (1 to 20); `negative` what to keep away from; `preview` a .png of sampled frames, signed too. Raises
    InputError for what cannot be used, OutputError when the file cannot be written, CredentialError when it could not
    be signed: all three before any compute is spent where that can be known. A file of the final name is always whole.
    """
    began = time.monotonic()
    settings = settings or load_settings()
    checked = language.check(prompt)
    unwanted = language.check(negative) if negative.strip() else None
    check_numbers(seconds, size, steps, guidance, seed)
    check_preview(preview, overwrite)
    still = is_picture(output)
    if still and image is not None:
        raise InputError(
            f"{Path(output).name} is a picture, and so is the first frame; name the output .mp4 for a video"
        )
    first = None if image is None else read_picture(image)
    signer = credentials.check_signer(settings)
    with io.atomic_output(Path(output), overwrite=overwrite) as unsigned:
        backbone = backbone or default_backbone(settings)
        able = backbone.capabilities()
        request = Request(
            prompt=checked.encoded,
            negative=unwanted.encoded if unwanted else "",
            seconds=1 / able.fps if still else seconds,
            size=size,
            first=first,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            steps=steps or able.default_steps,
            guidance=able.default_guidance if guidance is None else guidance,
        )
        check_able(request, able)
        warnings = warn_of(backbone.unknown_words(checked.encoded))
        understood = backbone.understood(checked.encoded)
        loaded = time.monotonic()
        watermark = NoWatermark()
        frames = watermark.embed(backbone.generate(request, progress))
        kept = Keep(frames, count=1 if still else round(seconds * able.fps))
        if still:
            write_picture(next(iter(kept)), unsigned)
        else:
            io.write_mp4(kept, unsigned, fps=able.fps)
        identity = backbone.identity()
        mode = "text-to-image" if still else request.mode
        given = () if image is None else (Path(image),)
        manifest = manifest_of(Path(output).name, identity, request, watermark, mode, given)
        credentials.sign_in_place(unsigned, manifest, signer)
    if preview:
        write_preview(kept.frames, Path(preview), manifest, signer, overwrite=overwrite)
    took = {"setup": round(loaded - began, 2), "total": round(time.monotonic() - began, 2)}
    asked = {k: v for k, v in asdict(replace(request, first=None)).items() if k != "first"}
    asked |= {"mode": mode, "image": image and Path(image).name}
    report = {"prompt": prompt, "language": checked.language, "request": asked, "model": asdict(identity)}
    report |= {"understood": understood_json(understood), "warnings": warnings, "seconds": took}
    return Result(path=Path(output), seed=request.seed, warnings=warnings, report=report)


def understand(
    prompt: str, *, settings: Settings | None = None, backbone: Backbone | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the model takes a prompt to say, slot -> {"value", "probability"}, and a warning for each unknown word.

    Raises InputError for a prompt that cannot be used.
    """
    checked = language.check(prompt)
    backbone = backbone or default_backbone(settings or load_settings())
    return understood_json(backbone.understood(checked.encoded)), warn_of(backbone.unknown_words(checked.encoded))


def default_backbone(settings: Settings) -> Backbone:
    """The bundled model."""
    import torch

    from haneul.backbones.native import BUNDLED, Native

    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Native(settings.weights or BUNDLED)


def check_numbers(
    seconds: float, size: tuple[int, int], steps: int | None, guidance: float | None, seed: int | None
) -> None:
    """Refuse numbers that no model can work with."""
    w, h = size
    if not (SIDES[0] <= w <= SIDES[1] and SIDES[0] <= h <= SIDES[1]):
        raise InputError(f"size {w}x{h} is out of range: each side must be {SIDES[0]} to {SIDES[1]} pixels")
    if w % 2 or h % 2:
        raise InputError(f"size {w}x{h} is odd: H.264 needs even sides; try {w + w % 2}x{h + h % 2}")
    if not 0.4 <= w / h <= 2.5:
        raise InputError(f"size {w}x{h} is too long and narrow: the sides must be within 1:2.5 of each other")
    if not 0.1 <= seconds <= 3600:
        raise InputError(f"a length of {seconds:g} s cannot be made; choose 0.1 s or more")
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise InputError(f"{steps} steps is out of range; choose 1 to {MAX_STEPS}")
    if guidance is not None and not 1 <= guidance <= 20:
        raise InputError(f"guidance {guidance:g} is out of range; choose 1 (off) to 20")
    if seed is not None and not 0 <= seed < 2**63:
        raise InputError(f"seed {seed} is out of range; choose 0 to 2^63 - 1")


def manifest_of(
    title: str, identity: Identity, request: Request, watermark: Watermark, mode: str, given: tuple[Path, ...]
) -> credentials.ManifestInfo:
    """What is said about a video that was made."""
    return credentials.ManifestInfo(
        title=title,
        model=identity.model,
        weights_sha256=identity.weights_sha256,
        data_ledger_root=identity.data_ledger_root,
        mode=mode,
        ingredients=given,
        seed=request.seed,
        watermark=watermark.name,
    )


def check_preview(preview: str | Path | None, overwrite: bool) -> None:
    """Refuse a preview that could not be written or signed."""
    if preview is None:
        return
    if Path(preview).suffix.lower() != ".png":
        raise InputError(f"the preview {str(preview)!r} is a PNG; give it a name that ends in .png")
    io.check_output(preview, overwrite=overwrite)


def check_able(request: Request, able: Capabilities) -> None:
    """Refuse what this model cannot do."""
    if request.seconds > able.max_seconds:
        raise InputError(f"{request.seconds:g} s is longer than this model's {able.max_seconds:g} s; ask for less")
    if request.size[0] > able.max_size[0] or request.size[1] > able.max_size[1]:
        most, asked = (f"{w}x{h}" for w, h in (able.max_size, request.size))
        raise InputError(f"{asked} is larger than this model's {most}; ask for less")


def write_preview(
    frames: list[NDArray[np.uint8]],
    path: Path,
    manifest: credentials.ManifestInfo,
    signer: credentials.Signer,
    *,
    overwrite: bool,
) -> None:
    """A signed sheet of frames."""
    sheet = io.contact_sheet(np.stack(frames), columns=4, rows=-(-len(frames) // 4))
    with io.atomic_output(path, overwrite=overwrite) as unsigned:
        io.write_png(sheet, unsigned)
        credentials.sign_in_place(unsigned, replace(manifest, title=path.name), signer)


def understood_json(understood: dict[str, tuple[str, float]]) -> dict[str, dict[str, Any]]:
    """What the prompt was taken to say, for the report."""
    return {slot: {"value": value, "probability": round(sure, 3)} for slot, (value, sure) in understood.items()}


def warn_of(unknown: dict[str, list[str]]) -> list[str]:
    """One line for each word that the model never learned."""
    return [f"the model never learned {w!r}; nearest it knows: {', '.join(near)}" for w, near in unknown.items()]


class Keep:
    """Passes frames through and keeps a dozen of them, evenly spread, for a preview."""

    def __init__(self, frames: Iterator[NDArray[np.uint8]], count: int, keep: int = 12) -> None:
        self.source = frames
        self.frames: list[NDArray[np.uint8]] = []
        self.picks = set(np.linspace(0, max(0, count - 1), keep).round().astype(int).tolist())

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for i, frame in enumerate(self.source):
            if i in self.picks:
                self.frames.append(frame)
            yield frame
