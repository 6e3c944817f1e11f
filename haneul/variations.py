"""Several videos of one prompt, to choose from."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul import engine
from haneul.config import load_settings
from haneul.errors import InputError
from haneul.trust import stamp
from haneul.video import io
from haneul.video.picture import is_picture, read_picture

MOST_VARIATIONS = 64


def vary(
    prompt: str, *, count: int = 4, output: str | Path = engine.OUTPUT, seed: int | None = None,
    overwrite: bool = False, **given: Any,
) -> tuple[list[engine.Result], Path]:  # fmt: skip
    """`count` videos of one prompt, with seeds one after another, to choose from; the rest as `generate`.

    They are named after the output and numbered (out-1.mp4, out-2.mp4, ...); out.png, signed too, shows three moments
    of each, one a row. Returns the results and the path of that sheet.
    """
    if not 1 <= count <= MOST_VARIATIONS:
        raise InputError(f"{count} variations cannot be made; choose 1 to {MOST_VARIATIONS}")
    target = Path(output)
    sheet = target.with_suffix(".png")
    paths = [target.with_stem(f"{target.stem}-{number}") for number in range(1, count + 1)]
    engine.check_names(target, sheet, overwrite)
    for path in paths:
        io.check_output(path, overwrite=overwrite)
    settings = given.pop("settings", None) or load_settings()
    backbone = given.pop("backbone", None) or engine.default_backbone(settings)
    first = secrets.randbelow(2**31) if seed is None else seed
    results: list[engine.Result] = []
    rows: list[NDArray[np.uint8]] = []
    for number, path in enumerate(paths):
        options = given | {"output": path, "seed": first + number, "overwrite": overwrite}
        results.append(engine.generate(prompt, settings=settings, backbone=backbone, **options))
        frames = read_picture(path)[None] if is_picture(path) else io.read_video(path).frames
        rows.append(io.contact_sheet(frames, columns=min(3, len(frames)), rows=1))
    manifest = engine.manifest_of(sheet.name, backbone.identity(), mode="variations", seed=first, media=tuple(paths))
    engine.write_signed(np.concatenate(rows), sheet, manifest, stamp.ready(settings), overwrite=overwrite)
    return results, sheet
