"""Memorisation: is what a model makes of the captions that it was trained on a copy of the clips that it was shown?

Training clips are drawn again from the world's seeds. Each is asked for by its caption, and what comes is compared with
it and with its nearest relatives among the training clips (the same event and setting). A fresh render of the same
facts, which can't have copied anything, shows how near clips come by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from haneul.backbones.native import Native
from haneul.data.ledger import LEDGER, read_seeds
from haneul.data.prove import plan_for, plans_of
from haneul.evals.card.looks import drawn_again
from haneul.evals.card.models import Graded
from haneul.evals.card.physics import share
from haneul.evals.card.staged import Array, Frames
from haneul.evals.clips import SEED, SIZE, word
from haneul.evals.data import Say
from haneul.evals.statistics import bootstrap
from haneul.model.checkpoint import load
from haneul.world.events import observe
from haneul.world.produce import Plan, clearly_visible, render_clip
from haneul.world.scene import ClipSpec, Facts

RELATIVES: Final = 6  #: training clips that each one is compared with, itself among them
MOMENTS: Final = 5  #: of a clip that are compared
HALF: Final = 0.5  #: of a fresh render's distance, below which a clip is a near copy
CELL: Final = 4  #: pixels of a cell of the pictures that are compared


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Which clips a model of ours was trained on: all of some plans, or of these only those of the seeds in `only`."""

    plans: tuple[Plan, ...] = (Plan(clips=17_696, seed=1),)
    only: frozenset[int] | None = None

    @staticmethod
    def of(weights: Path) -> Trained:
        """Those that the ledger beside a folder's weights names; without one, those of `haneul train nano`."""
        if not (weights / LEDGER).exists():
            return Trained()
        plans = plans_of(load(weights / "dit.safetensors", "dit")[1].recipe)
        return Trained(plans=tuple(plans), only=frozenset(read_seeds(weights / LEDGER)))

    @property
    def seeds(self) -> list[int]:
        """Of the clips, rising within a plan."""
        if self.only is not None:
            return sorted(self.only)
        return [plan.seed_of(number) for plan in self.plans for number in range(plan.clips)]

    def spec_of(self, seed: int) -> ClipSpec:
        """The specification of the clip of a seed, as world/produce.py draws it first."""
        return plan_for(self.plans, seed).spec_of(seed)

    def wide(self, seed: int) -> bool:
        """Whether the clip of a seed has the size that is compared."""
        plan = plan_for(self.plans, seed)
        return plan.size_of(plan.number_of(seed)) == SIZE


def clip_of(trained: Trained, seed: int) -> tuple[Frames, Facts] | None:
    """A training clip drawn again, and its facts; None where its first draw did not show its subject and another one
    took its place."""
    spec = trained.spec_of(seed)
    clip = render_clip(spec, SIZE)
    if not clearly_visible(clip.ids_THW, spec):
        return None
    return clip.video_THW3, observe(clip.truth, 0, len(clip.truth.cameras))


def coarse(video: Frames) -> Array:
    """What is compared: means of cells at a few moments, less the clip's mean colour, in shares of the range."""
    index = np.linspace(0, len(video) - 1, MOMENTS).round().astype(int)
    x = video[index].astype(float) / 255
    T, H, W, C = x.shape
    cells = x.reshape(T, H // CELL, CELL, W // CELL, CELL, C).mean((2, 4))
    return np.asarray(cells - cells.mean((0, 1, 2)))


def distance(video: Frames, others: Sequence[Array]) -> float:
    """Root mean square to the nearest of others, which may be mirrored, as training mirrors clips."""
    x = coarse(video)
    return float(min(min(np.sqrt(((x - o) ** 2).mean()), np.sqrt(((x - o[:, :, ::-1]) ** 2).mean())) for o in others))


def relatives(specs: dict[int, ClipSpec], index: int) -> list[int]:
    """The clip itself and the ones that are most like it."""
    own = specs[index]

    def likeness(other: ClipSpec) -> float:
        same = [own.camera == other.camera, own.style == other.style, own.time == other.time]
        same += [own.subjects[:1] == other.subjects[:1], own.direction == other.direction]
        return -sum(same)

    alike = [i for i, s in specs.items() if i != index and (s.event, s.setting) == (own.event, own.setting)]
    return [index, *sorted(alike, key=lambda i: likeness(specs[i]))[: RELATIVES - 1]]


def measure(models: Sequence[Graded], trained: Trained, count: int, say: Say) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of `count` training clips: distances of what models of ours make of their captions to the nearest of their
    relatives, those of fresh renders of the same facts, and the share that is less than half as far as those."""
    ours = [m for m in models if isinstance(m.backbone, Native)]
    specs = {seed: trained.spec_of(seed) for seed in trained.seeds if trained.wide(seed)}
    say(f"memory: {len(specs)} training clips of {SIZE[0]}x{SIZE[1]}")
    rng = np.random.default_rng(SEED)
    chosen: list[tuple[int, Facts, list[Array], Frames]] = []
    fresh: list[Frames] = []
    for index in rng.permutation(list(specs)):
        own = clip_of(trained, int(index))
        if own is None or (other := drawn_again(own[1], SEED + int(index))) is None:
            continue
        near = [clip_of(trained, i) for i in relatives(specs, int(index))[1:]]
        others = [coarse(own[0]), *(coarse(clip[0]) for clip in near if clip is not None)]
        chosen.append((int(index), own[1], others, own[0]))
        fresh.append(other)
        if len(chosen) == count:
            break
    texts = [word(facts, index).text for index, facts, _, _ in chosen]
    base = [distance(v, others) for v, (_, _, others, _) in zip(fresh, chosen, strict=True)]
    exact = [distance(video, others) for _, _, others, video in chosen]
    out: dict[str, Any] = {
        "clips": len(chosen), "trained": {"plans": len(trained.plans), "clips": len(trained.seeds)},
        "fresh": {"distance": bootstrap(base), "values": [round(d, 4) for d in base]},
        "training clips themselves": {"distance": bootstrap(exact)},
        "models": {},
    }  # fmt: skip
    shown: dict[str, Any] = {}
    for model in ours:
        clips = model.clips("trained", texts, [index for index, *_ in chosen])
        found = [distance(v, others) for v, (_, _, others, _) in zip(clips, chosen, strict=True)]
        copies = sum(d < HALF * b for d, b in zip(found, base, strict=True))
        out["models"][model.name] = {
            "distance": bootstrap(found), "copies": share(copies, len(found)),
            "values": [round(d, 4) for d in found],
        }  # fmt: skip
        for k in np.argsort(found)[:3]:
            views = shown.setdefault(texts[k], {"the training clip": chosen[k][3], "another render": fresh[k]})
            views[model.name] = clips[k]
        say(f"memory: {model.name}")
    return out, shown
