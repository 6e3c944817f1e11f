"""How well prompts are obeyed: by attribute, with what was read instead, and by the way in which something is said.

The attribute reader says what a clip shows; it is trained on renders only, and what it says of the renders of the same
facts stands beside every figure. Where a thing lies to another is read from their colours, checked on renders too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.evals.card.measures import components
from haneul.evals.card.models import Graded
from haneul.evals.card.physics import share
from haneul.evals.card.staged import Frames, film, hue, told_apart
from haneul.evals.clips import SEED, Wording, Work, render_held_out, word
from haneul.evals.data import ATTRIBUTES, NAMES, Say, load_videos, settled
from haneul.evals.following import stated
from haneul.evals.reader import Reader, read
from haneul.prompt.language import check
from haneul.world.captions import describe
from haneul.world.events import observe
from haneul.world.physics import simulate
from haneul.world.sample import sample_spec
from haneul.world.scene import CALM, ClipSpec, Facts
from haneul.world.vocabulary import COLORS
from haneul.world.wording import Length

Answers = NDArray[np.int64]  # [n, attributes]
Words = Callable[[Facts, int], Wording]

SHOWN: Final = ("setting", "event", "color", "kind", "camera", "direction", "style", "time")
SIDES: Final = ("left of", "right of", "on top of")
PURE: Final = 0.9  #: how much of a pixel's chroma must lie along a hue to be that colour
STRONG: Final = 0.8  #: of a colour's own chroma over brightness, from which a pixel can be of it
DAY: Final = (None, "noon", "foggy morning")  #: when colours look as they are named
PALE: Final = ("marble", "neon")  #: materials whose pixels are seldom of the colour's own hue
ENOUGH: Final = 12  #: pixels of a colour in a frame
#: Sentences around a caption that say nothing of what is asked.
PADDING: Final = (
    "What follows was written down by somebody who likes to describe things at length and who was in no hurry.",
    "Nothing here is meant as a metaphor, and nobody needs to guess what was intended by any of these words.",
    "It was looked at for a while, calmly, and then described once more, so that nothing of importance was left out.",
    "There is no text in the picture, there are no captions, and nothing of the kind was wished for by anyone.",
    "All of this takes a few seconds, no more, and afterwards it might well be looked at from the start again.",
)
#: What no caption was ever in: setting, event, colour, kind, then the same in German, Spanish, French and Japanese.
FOREIGN: Final = (
    ("desert", "roll", "red", "ball", ("Ein roter Ball rollt durch die Wüste", "Una pelota roja rueda por el desierto",
     "Une balle rouge roule dans le désert", "砂漠で赤いボールが転がる")),
    ("snowy field", "bounce", "blue", "ball", ("Ein blauer Ball hüpft auf einem verschneiten Feld",
     "Una pelota azul rebota en un campo nevado", "Une balle bleue rebondit dans un champ enneigé",
     "雪原で青いボールが弾む")),
    ("sea", "float", "yellow", "ball", ("Ein gelber Ball schwimmt auf dem Meer",
     "Una pelota amarilla flota en el mar", "Une balle jaune flotte sur la mer", "海に黄色いボールが浮かぶ")),
    ("forest", "pendulum", "purple", "pendulum", ("Ein lila Pendel schwingt im Wald",
     "Un péndulo morado oscila en el bosque", "Un pendule violet se balance dans la forêt", "森で紫の振り子が揺れる")),
    ("outer space", "drift", "green", "box", ("Eine grüne Kiste schwebt im Weltall",
     "Una caja verde flota en el espacio exterior", "Une boîte verte dérive dans l'espace", "宇宙空間に緑の箱が漂う")),
    ("desert", "car", "orange", "car", ("Ein orangefarbenes Auto fährt durch die Wüste",
     "Un coche naranja conduce por el desierto", "Une voiture orange roule dans le désert",
     "砂漠をオレンジ色の車が走る")),
)  # fmt: skip
LANGUAGES: Final = ("German", "Spanish", "French", "Japanese")


def _length(length: Length) -> Words:
    def say(facts: Facts, seed: int) -> Wording:
        found = describe(facts, np.random.default_rng([seed, 7]), length=length)
        return Wording(text=check(found.text).encoded, said=found.said)

    return say


def _again(facts: Facts, seed: int) -> Wording:
    return word(facts, seed + 100_003)


def _long(facts: Facts, seed: int) -> Wording:
    own = word(facts, seed)
    around = [PADDING[(seed + k) % len(PADDING)] for k in range(len(PADDING))]
    text = " ".join([*around[:2], own.text.strip().rstrip(".") + ".", *around[2:]])
    return replace(own, text=check(text).encoded)


def _denied(facts: Facts, seed: int) -> Wording:
    """The caption, and a colour and a place that are said not to be there."""
    own = word(facts, seed)
    there = {s.color for s in facts.subjects}
    others = [c for c in ("red", "blue", "green", "yellow", "purple") if c not in there]
    places = [s for s in ("desert", "sea", "forest", "snowy field") if s != facts.setting]
    no = f"There is no {others[seed % len(others)]} thing, and this is not a {places[seed % len(places)]}."
    return replace(own, text=check(f"{own.text.strip().rstrip('.')}. {no}").encoded)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to say facts: its title on the card, and the words."""

    title: str
    say: Words


WAYS: Final[dict[str, Way]] = {
    "english": Way(title="English, everything said", say=word),
    "paraphrase": Way(title="the same in other words", say=_again),
    "short": Way(title="a few words", say=_length("short")),
    "word": Way(title="one word", say=_length("word")),
    "long": Way(title="very long: five sentences around it that say nothing", say=_long),
    "negation": Way(title="with what is not there: no red thing, not a forest", say=_denied),
    "korean": Way(title="Korean", say=lambda facts, seed: word(facts, seed, "ko")),
    "mixed": Way(title="Korean, mixed script", say=lambda facts, seed: word(facts, seed, "ko-hanja")),
}


def scored(found: Answers, right: Answers, wordings: Sequence[Wording]) -> dict[str, Any]:
    """Of every attribute, where it is said: the share that is right, with its interval."""
    out = {}
    for name in SHOWN:
        asked, k = stated(list(wordings), right, name), NAMES.index(name)
        out[name] = share(int((found[asked, k] == right[asked, k]).sum()), int(asked.sum()))
    return out


def confusion(found: Answers, right: Answers, wordings: Sequence[Wording], name: str) -> list[list[int]]:
    """How often each class was read [columns] where each was said [rows]."""
    asked, k = stated(list(wordings), right, name), NAMES.index(name)
    table = np.zeros((len(ATTRIBUTES[name]),) * 2, int)
    np.add.at(table, (right[asked, k], found[asked, k]), 1)
    return [[int(v) for v in row] for row in table]


def measure(
    models: Sequence[Graded], folder: Path, reader: Reader, prompts: int, say: Say
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`prompts` clips of held-out facts said in full, and a quarter of them in every other way; and clips of the first
    ones for the page."""
    work = Work(folder=folder, weights=folder, reader=folder, clips=prompts)
    videos, facts = load_videos(render_held_out(work, prompts, say), prompts)
    few = max(2, prompts // 4)
    worded = {
        key: [way.say(f, i) for i, f in enumerate(facts[: prompts if key == "english" else few])]
        for key, way in WAYS.items()
    }
    real = read(reader, list(videos)).answers
    english = worded["english"]
    out: dict[str, Any] = {
        "prompts": prompts, "few": few, "titles": {key: way.title for key, way in WAYS.items()},
        "classes": {name: list(ATTRIBUTES[name]) for name in SHOWN},
        "renders": scored(real, settled(real, facts), english),
        "models": {}, "relations": relations(models, few, say), "foreign": foreign(models, reader, say),
    }  # fmt: skip
    shown: dict[str, Any] = {english[i].text: {"renders": videos[i]} for i in range(min(4, prompts))}
    for model in models:
        ways, confused = {}, {}
        for key, wordings in worded.items():
            clips = model.clips(f"said-{key}", [w.text for w in wordings], range(len(wordings)))
            found = read(reader, list(clips)).answers
            right = settled(found, facts[: len(found)])
            ways[key] = scored(found, right, wordings)
            if key == "english":
                confused = {name: confusion(found, right, wordings, name) for name in SHOWN}
                ways["same"] = scored(found[:few], right[:few], wordings[:few])  # what the other ways stand beside
                for i, views in enumerate(shown.values()):
                    views[model.name] = clips[i]
            say(f"obedience: {model.name}: {WAYS[key].title}")
        out["models"][model.name] = {"ways": ways, "confusion": confused}
    return out, shown


def foreign(models: Sequence[Graded], reader: Reader, say: Say) -> dict[str, Any]:
    """What comes through in languages without training, by hand-written sentences."""
    slots = ("setting", "event", "color", "kind")
    wanted = [dict(zip(slots, row[:4], strict=True)) for row in FOREIGN for _ in row[4]]
    texts = [check(text).encoded for row in FOREIGN for text in row[4]]
    out: dict[str, Any] = {}
    for model in models:
        found = read(reader, list(model.clips("foreign", texts, range(len(texts))))).answers
        rows = list(zip(found, wanted, strict=True))
        out[model.name] = {
            slot: share(sum(ATTRIBUTES[slot][row[NAMES.index(slot)]] == one[slot] for row, one in rows), len(rows))
            for slot in slots
        }
        say(f"obedience: {model.name}: other languages")
    return {"sentences": len(texts), "languages": list(LANGUAGES), "models": out}


# ----------------------------------------------------------------------------------------------------------- relations


def middle_of(video: Frames, color: str) -> NDArray[np.float64] | None:
    """Where in the picture a colour lies (x, y down), median over a clip; None where it is hardly there."""
    x = video.astype(float) / 255
    chroma = x - x.mean(-1, keepdims=True)
    bright = np.maximum(x.mean(-1), 0.15)
    along, whole = (chroma @ hue(color)) / bright, np.linalg.norm(chroma, axis=-1) / bright
    own = np.array(COLORS[color]) ** (1 / 2.2)
    mask = (along > PURE * whole) & (along > STRONG * np.linalg.norm(own - own.mean()) / own.mean())
    # what reaches up to the top of the picture is sky or a wall
    things = [[part for part in components(m) if part[:, 0].min() > 0] for m in mask]
    parts = [max(found, key=len, default=np.zeros((0, 2))) for found in things]
    places = [part[:, ::-1].mean(0) for part in parts if len(part) >= ENOUGH]
    return np.asarray(np.median(places, 0)) if len(places) >= len(video) // 2 else None


def relation_of(video: Frames, colors: tuple[str, str]) -> str | None:
    """How the first colour lies to the second in the picture; None where either isn't seen."""
    one, two = (middle_of(video, c) for c in colors)
    if one is None or two is None:
        return None
    across, up = float(one[0] - two[0]), float(two[1] - one[1])
    if up > abs(across):
        return "on top of"
    return "right of" if across > 0 else "left of"


def relations(models: Sequence[Graded], count: int, say: Say) -> dict[str, Any]:
    """Left, right and on top, as said and as seen; of renders the same. Behind and in front can't be read so."""
    specs: list[ClipSpec] = []
    seed = SEED * 2000
    while len(specs) < count:
        seed += 1
        try:
            spec = sample_spec(
                seed, richness=CALM, allow_held_out=True, event="relation", camera="static", style="photo",
                relation=SIDES[len(specs) % len(SIDES)],
            )  # fmt: skip
        except WorldError:
            continue
        if told_apart(spec) and spec.time in DAY and not any(s.material in PALE for s in spec.subjects):
            specs.append(spec)
    truths = [simulate(spec) for spec in specs]
    texts = [word(observe(t, 0, len(t.cameras)), s.seed).text for t, s in zip(truths, specs, strict=True)]
    sets: dict[str, Sequence[Frames]] = {"renders": [film(t)[0] for t in truths]}
    for model in models:
        sets[model.name] = list(model.clips("relation", texts, range(count)))
        say(f"obedience: {model.name}: relations")
    out: dict[str, Any] = {}
    for who, clips in sets.items():
        table = np.zeros((len(SIDES) + 1,) * 2, int)
        for spec, clip in zip(specs, clips, strict=True):
            seen = relation_of(clip, (spec.subjects[0].color, spec.subjects[1].color))
            table[SIDES.index(spec.relation or ""), SIDES.index(seen) if seen else len(SIDES)] += 1
        read_of = count - int(table[:, -1].sum())
        out[who] = {
            "figure": share(int(np.trace(table)), read_of), "read": share(read_of, count), "confusion": table.tolist(),
        }  # fmt: skip
    return {"classes": [*SIDES, "not seen"], "of": out}
