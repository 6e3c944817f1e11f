"""`haneul eval card`: several models side by side, as JSON, as one page, and as lines of the records."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from haneul.backbones.base import Backbone
from haneul.config import Settings
from haneul.errors import InputError
from haneul.evals.card import arrow, looks, memory, obedience, page, physics, records, sections
from haneul.evals.card.models import Graded
from haneul.evals.data import Say
from haneul.evals.reader import load_reader
from haneul.evals.report import machine
from haneul.train.pipeline import commit
from haneul.video.io import atomic_output

Shown = dict[str, Any]  # what a part shows in the page and not in the JSON: clips


@dataclass(frozen=True, kw_only=True)
class Grading:
    """What is graded and how much of it."""

    models: Sequence[Graded]
    folder: Path  # where renders and clips are kept
    reader: Path
    setups: int = 16
    prompts: int = 96
    trained: memory.Trained = field(default_factory=memory.Trained)


Part = Callable[[Grading, Say], tuple[dict[str, Any], Shown]]


def _physics(grading: Grading, say: Say) -> tuple[dict[str, Any], Shown]:
    found = physics.measure(grading.models, grading.setups, say)
    return found, found.pop("sheets")


def _obedience(grading: Grading, say: Say) -> tuple[dict[str, Any], Shown]:
    return obedience.measure(grading.models, grading.folder, load_reader(grading.reader), grading.prompts, say)


def _looks(grading: Grading, say: Say) -> tuple[dict[str, Any], Shown]:
    return looks.measure(grading.models, grading.folder, load_reader(grading.reader), grading.prompts, say)


def _arrow(grading: Grading, say: Say) -> tuple[dict[str, Any], Shown]:
    count = min(grading.setups, ARROWS)
    return arrow.measure(grading.models, load_reader(grading.reader), count, say), {}


def _memory(grading: Grading, say: Say) -> tuple[dict[str, Any], Shown]:
    return memory.measure(grading.models, grading.trained, max(4, grading.prompts // 4), say)


PARTS: Final[dict[str, Part]] = {
    "physics": _physics, "obedience": _obedience, "looks": _looks, "arrow": _arrow, "memory": _memory,
}  # fmt: skip
SECTIONS: Final[dict[str, tuple[str, page.Teller]]] = {
    "physics": ("Physics", page.physics), "arrow": ("Arrow of time", sections.arrow),
    "obedience": ("Obedience", sections.obedience), "looks": ("Looks", sections.looks),
    "memory": ("Memory", sections.memory),
}  # fmt: skip
ARROWS: Final = 8  #: set-ups of a one-way scene, at most


def grade(grading: Grading, parts: Sequence[str], command: Sequence[str], say: Say) -> tuple[dict[str, Any], Shown]:
    """Run the named parts. Clips are kept, so what was interrupted goes on. Raises InputError for an unknown part."""
    for name in parts:
        if name not in PARTS:
            raise InputError(f"no part of the card is called {name!r}; there are: {', '.join(PARTS)}")
    names = [m.name for m in grading.models]
    if len(set(names)) < len(names):
        raise InputError(f"two models have one name: {', '.join(names)}; give each its own, as NAME=MODEL")
    found, shown = {}, {}
    for name in (n for n in PARTS if n in parts):
        began = time.monotonic()
        figures, shown[name] = PARTS[name](grading, say)
        found[name] = figures | {"took_seconds": round(time.monotonic() - began, 1)}
    result = {
        "command": shlex.join(Path(word).name if word.startswith("/") else word for word in command),
        "commit": commit(), "date": time.strftime("%Y-%m-%d"), "machine": machine(),
        "models": [_about(m) for m in grading.models], "parts": found,
    }  # fmt: skip
    return result, shown


def _about(model: Graded) -> dict[str, Any]:
    identity = model.backbone.identity()
    return {
        "name": model.name, "model": identity.model, "weights_sha256": identity.weights_sha256, "steps": model.steps,
        "guidance": model.guidance, "fps": model.fps, "given": model.given,
    }  # fmt: skip


def write(result: dict[str, Any], shown: Shown, output: Path, record: Path | None = None) -> Path:
    """The page `output` (.html) and its figures beside it (.json), replacing earlier ones, and lines at the end of the
    records; returns the page's path."""
    data = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    for path, text in ((output.with_suffix(".json"), data), (output, page.html(result, shown, SECTIONS))):
        with atomic_output(path, overwrite=True) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    if record is not None:
        records.append(result, record)
    return output


def named(word: str, settings: Settings) -> tuple[str, Backbone]:
    """A model of the command line: NAME=MODEL or MODEL, which is a folder of our own weights, a folder or a name of an
    open checkpoint, or "nano" for the settings' own."""
    from haneul.backbones.native import BUNDLED, Native
    from haneul.engine import backbone_of

    name, _, which = word.rpartition("=")
    name = name or Path(which).name
    if which == "nano":
        return name, Native(settings.weights or BUNDLED)
    if (Path(which) / "dit.safetensors").exists():
        return name, Native(Path(which))
    return name, backbone_of(which, settings)
