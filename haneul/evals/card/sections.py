"""What the page says of the parts that are not physics: obedience, looks, time's arrow, memory."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np

from haneul.evals.card import pictures, plots
from haneul.evals.card.page import Result, block, film, table, told
from haneul.evals.card.plots import Line, color, intervals, number

OBEDIENCE: Final = (
    "Combinations that training never showed, read by the attribute reader, which is trained on renders only. What it "
    "says of the renders of the same facts is its own error. A prompt counts for what it states."
)
LOOKS: Final = (
    "Beside renders of the same facts. Flicker is measured as VBench does it, on clips with a camera that stands still "
    "(1 is a still picture). Static is a clip of which less than 0.5% ever moves; some renders rightly are. Diversity "
    "is the mean distance of clips of one prompt with different seeds, in the reader's features."
)
ARROW: Final = (
    "A classifier that was trained on renders says whether a clip runs forwards. Of events that physics does not let "
    "run backwards it should be right of a model's clips as often as of renders; backwards as often as forwards is no "
    "arrow at all."
)
MEMORY: Final = (
    "Captions of training clips, and what is made of them, compared with those clips and their nearest relatives, "
    "which are drawn again from the world's seeds. A near copy is less than half as far as a fresh render of the same "
    "facts."
)


def obedience(part: Result, clips: dict[str, Any], models: Sequence[str]) -> str:
    """Attributes, confusion, ways of saying, relations, other languages."""
    names = list(part["renders"])
    rows = [
        [name, told(part["renders"][name], True),
         *(told(part["models"][m]["ways"]["english"][name], True) for m in models)]
        for name in names
    ]  # fmt: skip
    text = f"<p>{OBEDIENCE}</p>"
    text += block(
        table([f"{part['prompts']} prompts", "reader on renders", *map(escape, models)], rows)
        + "".join(film(views, prompt) for prompt, views in clips.items())
    )
    text += "".join(block(_ways(part, m)) for m in models)
    for name in ("setting", "event", "color", "camera", "direction", "kind"):
        views = "".join(
            f"<figure>{plots.confusion(part['models'][m]['confusion'][name], part['classes'][name], title=name)}"
            f"<figcaption>{escape(m)}</figcaption></figure>"
            for m in models
        )
        text += block(f'<h3>{name}: said (rows) and seen (columns)</h3><div class="row">{views}</div>')
    return text + block(_relations(part["relations"], models)) + block(_foreign(part["foreign"], models))


def _ways(part: Result, model: str) -> str:
    ways = part["models"][model]["ways"]
    shown = ("setting", "event", "color", "camera")
    rows = [["the same prompts in English", *(told(ways["same"][name], True) for name in shown)]]
    rows += [
        [escape(title), *(told(ways[key][name], True) if ways[key][name]["n"] else "not said" for name in shown)]
        for key, title in part["titles"].items()
        if key != "english"
    ]
    return f"<h3>{escape(model)}: ways to say it, {part['few']} prompts each</h3>" + table(["", *shown], rows)


def _relations(part: Result, models: Sequence[str]) -> str:
    views = ""
    for who in ("renders", *models):
        found = part["of"][who]
        plot = plots.confusion(found["confusion"], part["classes"], title=f"relations: {who}")
        views += f"<figure>{plot}<figcaption>{escape(who)}: {told(found['figure'], True)} of the "
        views += f"{told(found['read'], True)} that can be read</figcaption></figure>"
    note = "Read from where the two colours lie. Behind and in front of can't be read so, and are left out."
    return f'<h3>Where one thing lies to another</h3><div class="row">{views}</div><p class="soft">{note}</p>'


def _foreign(part: Result, models: Sequence[str]) -> str:
    slots = ("setting", "event", "color", "kind")
    rows = [[escape(m), *(told(part["models"][m][slot], True) for slot in slots)] for m in models]
    spoken = ", ".join(part["languages"])
    note = f"{part['sentences']} hand-written sentences in {spoken}; no caption was ever in one of these."
    return "<h3>Languages without training</h3>" + table(["", *slots], rows) + f'<p class="soft">{note}</p>'


def looks(part: Result, clips: dict[str, Any], models: Sequence[str]) -> str:
    """One table, and several seeds of one prompt."""
    sets = {"renders": part["renders"]}
    for m in models:
        sets[m] = part["models"][m]
        if "codec" in sets[m]:
            sets[f"renders after the codec of {m}"] = sets[m]["codec"]
    rows = []
    for key, title, percent in (
        ("flicker", "temporal flickering (1 is none)", False), ("motion", "share of the picture that moves", True),
        ("static", "static clips", True), ("sharpness", "sharpness", False), ("contrast", "contrast", False),
        ("judder", "change between latent frames against within (1 is none)", False),
        ("seams", "change across patches against within (1 is none)", False),
        ("diversity", "diversity across seeds", False),
    ):  # fmt: skip
        rows.append([title, *(told(found.get(key), percent) for found in sets.values())])
    for key, title in (("frechet", "Fréchet distance to renders"), ("kernel", "kernel distance to renders")):
        rows.append([title, *(number(found.get("distances", {}).get(key)) for found in sets.values())])
    note = (
        f"{part['prompts']} prompts. The renders' own distances are those of two halves of them, the floor for so few "
        "clips; the kernel distance has no bias, the Fréchet distance has. Distances and ratios have no interval here."
    )
    text = f"<p>{LOOKS}</p>" + block(table(["", *map(escape, sets)], rows) + f'<p class="soft">{note}</p>')
    for prompt, views in clips.items():
        for model, several in views.items():
            film_of = pictures.animated(pictures.beside(several))
            text += block(
                f'<figure><img alt="" width="{224 * len(several)}" src="{film_of}"><figcaption>{escape(model)}, '
                f"{len(several)} seeds: {escape(prompt)}</figcaption></figure>"
            )
    return text


def arrow(part: Result, clips: dict[str, Any], models: Sequence[str]) -> str:
    """How often the classifier is right."""
    lines = [
        Line(name=who, color=color(who, models) if who in models else "--renders", figure=found["figure"])
        for who, found in part["of"].items()
    ]
    plot = intervals(lines, title="clips told forwards", bounds=(0.0, 1.0), percent=True)
    scenes = list(next(iter(part["of"].values()))["scenes"])
    rows = [
        [escape(who), told(found["figure"], True), told(found["backwards"], True),
         *(told(found["scenes"][s], True) for s in scenes)]
        for who, found in part["of"].items()
    ]  # fmt: skip
    head = ["", "told forwards", "told backwards", *(f"forwards: {s}" for s in scenes)]
    return f"<p>{ARROW}</p>" + block(plot + table(head, rows))


def memory(part: Result, clips: dict[str, Any], models: Sequence[str]) -> str:
    """Distances, near copies, and the nearest clips."""
    shown = [m for m in models if m in part["models"]]
    sets = {"another render": ("--renders", part["fresh"])} | {m: (color(m, models), part["models"][m]) for m in shown}
    lines = [
        Line(name=who, color=paint, figure=found["distance"], values=found["values"])
        for who, (paint, found) in sets.items()
    ]
    top = max([v for _, found in sets.values() for v in found["values"]] or [1.0])
    plot = intervals(lines, title="distance to the nearest training clip", bounds=(0.0, float(np.ceil(top * 20) / 20)))
    rows = [[escape(m), told(part["models"][m]["copies"], True)] for m in shown]
    which = part["trained"]
    note = (
        f"{part['clips']} of the {which['clips']} training clips. Distance: root mean square "
        "of coarse pictures, 0 for the very clip."
    )
    text = f"<p>{MEMORY}</p>" + block(plot + table(["", "near copies"], rows) + f'<p class="soft">{note}</p>')
    films = "".join(film(views, prompt) for prompt, views in clips.items())
    return text + (block("<h3>The nearest</h3>" + films) if films else "")
