"""Time's arrow: can it be told whether a clip runs forwards or backwards, as it can of renders?

A linear classifier compares a clip with itself reversed. It is trained on renders only, of events that physics does not
let run backwards, and checked on other renders. Of what a model makes of such events it should be right as often; a
model whose motion has no direction in time is told backwards as often as forwards, or not at all. Models are given the
captions alone, so that no frame that was given tells where the beginning is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from haneul.evals.card.iq import moving
from haneul.evals.card.models import Graded
from haneul.evals.card.physics import share
from haneul.evals.card.staged import SCENES, Array, Frames, cases
from haneul.evals.clips import SEED
from haneul.evals.data import Say
from haneul.evals.reader import Reader, read

ONE_WAY: Final = ("falling", "floating", "toppling", "knocking")
LEARN: Final = 24  #: renders of each that are learned from
RIDGE: Final = 30.0  #: weight of the penalty, in standardised features
PLAIN: Final = 0.2  #: of what renders are trained to give, from which a clip is told to run either way
PARTS: Final = 8  #: of a clip, in each of which the share of motion is looked at


def profile(video: Frames) -> Array:
    """How much moves in each part of a clip, and how high in the picture it is, in shares of the whole clip."""
    mask = moving(video)[1:].astype(float)
    rows = np.linspace(1, -1, mask.shape[1])
    pieces = np.array_split(mask, PARTS)
    much = np.array([p.mean() for p in pieces]) / (mask.mean() + 1e-3)
    high = np.array([(p.mean((0, 2)) @ rows) / (p.mean((0, 2)).sum() + 0.05) for p in pieces])
    return np.concatenate([np.log(much + 0.05), high])


def signs(reader: Reader, clips: Sequence[Frames]) -> Array:
    """Features of each clip less those of itself reversed, [n, features]: reversing changes their sign."""
    both = [read(reader, [c[::step] for c in clips]).features for step in (1, -1)]
    shapes = [np.stack([profile(c[::step]) for c in clips]) for step in (1, -1)]
    return np.concatenate([both[0] - both[1], shapes[0] - shapes[1]], 1)


def fitted(x_ND: Array) -> Array:
    """Weights [D] by which forwards is positive: ridge regression on 1, which needs no constant as x is odd."""
    scale = np.sqrt((x_ND**2).mean(0)) + 1e-3
    x = x_ND / scale
    # in the space of the clips, of which there are fewer than features
    a = np.linalg.solve(x @ x.T + RIDGE * np.eye(len(x)), np.ones(len(x)))
    return np.asarray(x.T @ a / scale)


def measure(models: Sequence[Graded], reader: Reader, count: int, say: Say) -> dict[str, Any]:
    """How often the classifier is right of renders it never saw, of them after a codec, and of what models make of the
    captions of the first `count` set-ups of the one-way scenes."""
    learned = [case.video for name in ONE_WAY for case in itertools.islice(cases(name, first_seed=SEED * 3000), LEARN)]
    weights = fitted(signs(reader, learned))
    say(f"arrow: learned from {len(learned)} renders")
    staged = [case for name in ONE_WAY for case in itertools.islice(cases(name), count)]
    sets: dict[str, list[Frames]] = {"renders": [c.video for c in staged]}
    for model in models:
        texts, seeds = [c.caption for c in staged], [c.spec.seed for c in staged]
        sets[model.name] = list(model.clips("arrow", texts, seeds, expand=False))
        soft = [model.coded(c.video) for c in staged]
        if soft[0] is not None:
            sets[f"renders after the codec of {model.name}"] = [c for c in soft if c is not None]
    out: dict[str, Any] = {}
    for name, clips in sets.items():
        score = signs(reader, clips) @ weights
        right = score > PLAIN
        out[name] = {
            "figure": share(int(right.sum()), len(right)), "backwards": share(int((score < -PLAIN).sum()), len(right)),
            "scenes": {
                scene: share(int(right[k * count : (k + 1) * count].sum()), count) for k, scene in enumerate(ONE_WAY)
            },
        }  # fmt: skip
        say(f"arrow: {name}")
    return {"learned": len(learned), "scenes": [s for s in SCENES if s in ONE_WAY], "of": out}
