"""How clips look, beside renders of the same facts: flicker, motion, sharpness, diversity, distances of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.evals.card.iq import moving
from haneul.evals.card.models import Graded
from haneul.evals.card.physics import share
from haneul.evals.card.staged import Array, Frames, film
from haneul.evals.clips import SEED, Work, render_held_out, word
from haneul.evals.data import Say, load_videos
from haneul.evals.drift import traits
from haneul.evals.fidelity import judder, seams
from haneul.evals.reader import Reader, read
from haneul.evals.statistics import bootstrap, frechet, kernel_distance
from haneul.world.physics import simulate
from haneul.world.sample import sample_spec
from haneul.world.scene import CALM, Facts

STATIC: Final = 0.005  #: of the picture that must move at some time, or the clip is called static
TIMES: Final = 3  #: clips of one prompt whose differences are looked at
WORDS: Final = 8  #: prompts for that
LEAST: Final = 8  #: clips a side from which distances are told


def flicker(video: Frames) -> float:
    """Temporal flickering as VBench has it (Huang et al., arXiv 2311.17982): 1 less the mean absolute difference of
    neighbouring frames, in shares of the range. A still picture gives 1. Theirs are larger and of another rate."""
    x = video.astype(np.float32)
    return float(1 - np.abs(np.diff(x, axis=0)).mean() / 255)


def amount(video: Frames) -> float:
    """Share of the picture that moves, mean over time."""
    return float(moving(video)[1:].mean())


def is_static(video: Frames) -> bool:
    return bool(moving(video).any(0).mean() < STATIC)


def figures(clips: Sequence[Frames], still: Sequence[bool]) -> dict[str, Any]:
    """Of clips; `still` says which were asked for with a camera that stands still."""
    each = [traits(clip) for clip in clips]
    quiet = [clip for clip, s in zip(clips, still, strict=True) if s]
    return {
        "flicker": bootstrap([flicker(c) for c in quiet], np.mean),
        "motion": bootstrap([amount(c) for c in clips], np.mean),
        "static": share(sum(map(is_static, clips)), len(clips)),
        "sharpness": bootstrap([t["sharpness"] for t in each], np.mean),
        "contrast": bootstrap([t["contrast"] for t in each], np.mean),
        "judder": {"value": round(judder(clips), 3), "n": len(clips)},
        "seams": {"value": round(seams(clips), 3), "n": len(clips)},
    }  # fmt: skip


def apart(groups: Sequence[Sequence[NDArray[np.float64]]], std: Array) -> dict[str, Any]:
    """Mean distance of the features of two clips of one prompt, in standard deviations of renders."""
    values = []
    for group in groups:
        x = np.stack(group) / std
        pairs = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(x) for b in x[:i]]
        values.append(float(np.mean(pairs)))
    return bootstrap(values, np.mean)


def drawn_again(facts: Facts, seed: int) -> Frames | None:
    """A render of what a full caption says, the rest drawn anew; None where no such combination is found."""
    fixed: dict[str, Any] = {"camera": facts.camera, "style": facts.style, "setting": facts.setting}
    fixed |= {"event": facts.event, "subjects": facts.subjects, "time": facts.time, "direction": facts.direction}
    try:
        said = {name: value for name, value in fixed.items() if value is not None}
        spec = sample_spec(seed, richness=CALM, allow_held_out=True, **said)
        return film(simulate(spec))[0]
    except WorldError:
        return None


def _ends(real: Array, found: Array) -> dict[str, Any]:
    """Distances to renders: Frechet between halves with other captions, kernel of all."""
    n = len(real) // 2
    return {
        "clips_a_side": n, "frechet": round(frechet(found[:n], real[n : 2 * n]), 3),
        "kernel": round(kernel_distance(found, real), 4),
    }  # fmt: skip


def measure(
    models: Sequence[Graded], folder: Path, reader: Reader, prompts: int, say: Say
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Looks of `prompts` clips of each model and of the renders of the same held-out facts; and clips of one prompt
    with several seeds for the page."""
    work = Work(folder=folder, weights=folder, reader=folder, clips=prompts)
    videos, facts = load_videos(render_held_out(work, prompts, say), prompts)
    texts = [word(f, i).text for i, f in enumerate(facts)]
    still = [f.camera == "static" for f in facts]
    real = read(reader, list(videos)).features
    std = real.std(0) + 1e-3
    out: dict[str, Any] = {"prompts": prompts, "renders": figures(list(videos), still), "models": {}}
    n = prompts // 2
    if n >= LEAST:
        out["renders"]["distances"] = {
            "clips_a_side": n, "frechet": round(frechet(real[:n], real[n : 2 * n]), 3),
            "kernel": round(kernel_distance(real[:n], real[n : 2 * n]), 4),
        }  # fmt: skip
    some = [i for i in range(prompts) if drawn_again(facts[i], 1) is not None][:WORDS]
    others = [[v for k in range(TIMES) if (v := drawn_again(facts[i], k + SEED)) is not None] for i in some]
    out["renders"]["diversity"] = apart([list(read(reader, group).features) for group in others if len(group) > 1], std)
    shown: dict[str, Any] = {}
    for model in models:
        clips = model.clips("said-english", texts, range(prompts))
        one = figures(list(clips), still)
        if n >= LEAST:
            one["distances"] = _ends(real, read(reader, list(clips)).features)
        soft = [c for v in videos[:24] if (c := model.coded(v)) is not None]
        if soft:
            one["codec"] = figures(soft, still[: len(soft)])
        again = model.clips(
            "seeds", [texts[i] for i in some for _ in range(TIMES)], [SEED + k for _ in some for k in range(TIMES)]
        )
        groups = again.reshape(len(some), TIMES, *again.shape[1:])
        one["diversity"] = apart([list(read(reader, list(group)).features) for group in groups], std)
        out["models"][model.name] = one
        if some:
            shown.setdefault(texts[some[0]], {})[model.name] = list(groups[0])
        say(f"looks: {model.name}")
    return out, shown
