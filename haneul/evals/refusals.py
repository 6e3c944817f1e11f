"""The screen's part of `haneul eval trust`: every cell of the red team, false refusals, and what trust adds to a video.

Of the fresh split only counts are told, as everywhere (redteam.py).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from haneul.config import load_settings
from haneul.evals.attacks import LANGUAGES, SPLITS, TECHNIQUES
from haneul.evals.data import Say
from haneul.evals.redteam import Split, redteam

_AXES: Final = ("category", "language", "technique")


def measure(folder: Path, say: Say, splits: tuple[str, ...] = SPLITS) -> dict[str, Any]:
    """Attacks the policy in force: by split what got through, of how many, and the benign prompts that were refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        report = redteam(load_settings(), Path(scratch), splits=splits)
    table = {name: _counts(split) for name, split in report.splits.items()}
    for name, row in table.items():
        say(f"{name}: {row['through']} of {row['tried']} through, {row['refused']} of {row['benign']} benign refused")
    return {"splits": table, "ms": round(report.milliseconds, 2), "passed": report.passed}


def _counts(split: Split) -> dict[str, Any]:
    cells = {
        f"{category}, {language}, {technique}": [cell.through, cell.tried]
        for (category, language, technique), cell in sorted(split.cells.items())
    }
    return {
        "through": split.attacks.through, "tried": split.attacks.tried,
        "refused": split.benign.through, "benign": split.benign.tried,
        **{
            name: {key: [cell.through, cell.tried] for key, cell in split.by(axis).items()}
            for axis, name in enumerate(_AXES)
        },
        "cells": cells,
    }  # fmt: skip


def rows(result: dict[str, Any]) -> list[str]:
    """The result as Markdown: one row for each category, language and technique, one column for each split."""
    splits = result["splits"]
    lines = [
        "", "| through | " + " | ".join(splits) + " |", "|---|" + "---|" * len(splits),
        "| all | " + " | ".join(_said(row["through"], row["tried"]) for row in splits.values()) + " |",
    ]  # fmt: skip
    for axis, known in zip(_AXES, ((), LANGUAGES, TECHNIQUES), strict=True):
        keys = known or sorted({key for row in splits.values() for key in row[axis]})
        for key in keys:
            cells = [_said(*row[axis].get(key, (0, 0))) for row in splits.values()]
            lines.append(f"| {axis}: {key} | {' | '.join(cells)} |")
    refused = " | ".join(_said(row["refused"], row["benign"]) for row in splits.values())
    return [*lines, f"| benign, refused | {refused} |", "", f"A request takes the screen {result['ms']} ms."]


def _said(through: int, tried: int) -> str:
    return f"{through}/{tried} ({100 * through / tried:.1f}%)" if tried else "none"


def cost(folder: Path, say: Say, size: tuple[int, int] = (1920, 1080), seconds: float = 1.0) -> dict[str, Any]:
    """Seconds that marking, screening and signing add to those that a video takes to be made and written; what a
    process loads for them once is told apart."""
    from haneul import screen
    from haneul.backbones.base import Request
    from haneul.backbones.native import BUNDLED, Native
    from haneul.engine import manifest_of
    from haneul.trust import stamp
    from haneul.video.io import write_mp4
    from haneul.video.picture import Keep

    settings, model = load_settings(), Native(BUNDLED)
    able, ours, clock = model.capabilities(), stamp.ready(settings), time.perf_counter
    request = Request(
        prompt="a red ball bounces in the snow", seconds=seconds, size=size, seed=1, steps=able.default_steps,
        guidance=able.default_guidance,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cost.mp4"
    began = clock()
    screen.words(settings, prompt=request.prompt, where="eval")
    next(ours.mark(iter([np.zeros((64, 64, 3), np.uint8)]), 0))
    loading = clock() - began
    began = clock()
    screen.words(settings, prompt=request.prompt + " again", where="eval")
    words = clock() - began
    began = clock()
    frames = list(model.generate(request))
    write_mp4(frames, path, fps=able.fps, overwrite=True)
    making = clock() - began
    number = ours.number("cost")
    began = clock()
    kept = Keep(ours.mark(iter(frames), number), count=len(frames))
    count = sum(1 for _ in kept)  # one at a time, as an encoder takes them
    marking = clock() - began
    began = clock()
    screen.made(settings, kept.frames)
    screening = words + clock() - began
    began = clock()
    manifest = manifest_of(path.name, model.identity(), mode="text-to-video", seed=1, media=())
    ours.sign(path, manifest, number)
    signing = clock() - began
    added = marking + screening + signing
    found = {
        "size": f"{size[0]}x{size[1]}", "frames": count, "making": round(making, 2), "marking": round(marking, 3),
        "screening": round(screening, 3), "signing": round(signing, 3), "share": round(added / making, 4),
        "loading": round(loading, 3),
    }  # fmt: skip
    say(f"trust adds {added:.2f} s to {making:.1f} s ({100 * added / making:.1f}%)")
    return found
