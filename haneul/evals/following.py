"""Whether generated clips show what their prompt says, read by the attribute reader."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haneul.backbones.native import Native
from haneul.evals.clips import Wording, Work, generate_clips, render_held_out, word
from haneul.evals.data import ATTRIBUTES, IGNORE, NAMES, Say, load_videos, settled
from haneul.evals.reader import Reader, read
from haneul.evals.statistics import wilson
from haneul.model.precision import autocast
from haneul.train.codec import to_video
from haneul.world.captions import Language
from haneul.world.scene import Facts

GOALS = {"setting": 0.90, "color": 0.80, "event": 0.70, "camera": 0.70}
READER_GOAL = 0.95
LANGUAGE_GOAL = 5.0  #: points of Korean against English

Counted = NDArray[np.bool_]


def through_codec(model: Native, videos: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Encoded and decoded again: the best that the model could show."""
    out = []
    with torch.no_grad(), autocast():
        for video in videos:
            y = model.codec.decode(model.codec.encode(to_video(video[None])))[0].float().clamp(-1, 1)
            out.append(((y + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy())
    return out


def stated(wordings: list[Wording], right: NDArray[np.int64], name: str) -> Counted:
    """Which clips count for an attribute: those whose caption states it and whose style shows it."""
    said = np.array([name in w.said for w in wordings])
    return np.asarray(said & (right[:, NAMES.index(name)] != IGNORE))


def score(found: NDArray[np.int64], right: NDArray[np.int64], counted: Counted, name: str) -> dict[str, Any]:
    """Accuracy of one attribute with its interval, and what guessing gives."""
    k = NAMES.index(name)
    truth = right[counted, k]
    hits, total = int((found[counted, k] == truth).sum()), int(counted.sum())
    low, high = wilson(hits, total)
    most = Counter(truth.tolist()).most_common(1)
    return {
        "accuracy": round(hits / total, 4) if total else None,
        "interval": [round(low, 4), round(high, 4)],
        "clips": total,
        "chance_majority": round(most[0][1] / total, 4) if total else None,
        "chance_uniform": round(1 / len(ATTRIBUTES[name]), 4),
    }


def scores(found: NDArray[np.int64], right: NDArray[np.int64], wordings: list[Wording]) -> dict[str, Any]:
    """Accuracy of every attribute where the captions state it."""
    return {name: score(found, right, stated(wordings, right, name), name) for name in NAMES}


def check_reader(work: Work, reader: Reader, say: Say) -> dict[str, Any]:
    """The reader's own accuracy on renders of combinations that neither it nor the model was trained on."""
    videos, facts = load_videos(render_held_out(work, work.clips, say), work.clips)
    found = read(reader, list(videos)).answers
    right = settled(found, facts)
    shown = {name: np.asarray(right[:, k] != IGNORE) for k, name in enumerate(NAMES)}
    return {
        "goal": READER_GOAL,
        "clips": len(facts),
        "accuracy": {name: score(found, right, counted, name) for name, counted in shown.items()},
    }


def _worded(facts: list[Facts], language: Language) -> list[Wording]:
    return [word(f, i, language) for i, f in enumerate(facts)]


def languages(english: NDArray[np.bool_], korean: NDArray[np.bool_], counted: dict[str, Counted]) -> dict[str, Any]:
    """Accuracy of the same clips in both languages, of which it is known what was right [n, A], where both captions
    state the attribute."""
    out: dict[str, Any] = {}
    for name, mask in counted.items():
        k = NAMES.index(name)
        en, ko = english[mask, k], korean[mask, k]
        if mask.any():
            out[name] = {
                "english": round(float(en.mean()), 4), "korean": round(float(ko.mean()), 4), "clips": int(mask.sum()),
                "points": round(100 * float(ko.mean() - en.mean()), 2),
                # of the mean of paired differences
                "points_interval": round(196 * float(np.std(ko.astype(float) - en) / max(1, mask.sum()) ** 0.5), 2),
            }  # fmt: skip
    return out


def measure(work: Work, model: Native, reader: Reader, say: Say) -> dict[str, Any]:
    """Accuracy on generated clips, on the renders of the same facts, and on those renders after the codec."""
    videos, facts = load_videos(render_held_out(work, work.clips, say), work.clips)
    wordings = _worded(facts, "en")
    found = read(reader, list(generate_clips(work, model, "english", [w.text for w in wordings], say))).answers
    count = len(facts) if work.korean is None else min(work.korean, len(facts))
    other = _worded(facts[:count], "ko")
    korean = read(reader, list(generate_clips(work, model, "korean", [w.text for w in other], say))).answers
    right, right_korean = settled(found, facts), settled(korean, facts[:count])
    both = {name: stated(wordings[:count], right[:count], name) & stated(other, right_korean, name) for name in GOALS}
    real, coded = (read(reader, list(v)).answers for v in (videos, through_codec(model, videos)))
    return {
        "clips": len(facts),
        "korean_clips": count,
        "goals": GOALS,
        "generated": scores(found, right, wordings),
        "renders": scores(real, settled(real, facts), wordings),
        "renders_through_codec": scores(coded, settled(coded, facts), wordings),
        "korean": scores(korean, right_korean, other),
        "language_goal_points": LANGUAGE_GOAL,
        "korean_against_english": languages(found[:count] == right[:count], korean == right_korean, both),
    }
