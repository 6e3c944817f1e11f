"""Physics on the card: every measure on the same set-ups for the simulator, its renders, and every model.

The tracker is checked on the renders first. Set-ups whose subject it cannot tell from the place there are left out, and
counted; its error on the others stands beside every figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from haneul.evals.card import iq
from haneul.evals.card.measures import MEASURES, Measure, Seen, Value, as_json, truth_of
from haneul.evals.card.models import REFERENCES, Graded, Predictor
from haneul.evals.card.staged import SCENES, cases
from haneul.evals.card.tracking import Sight
from haneul.evals.data import Say
from haneul.evals.statistics import bootstrap, correlation, wilson

MOST: Final = 3  #: set-ups that are tried for each that is wanted
ENOUGH: Final = 8  #: set-ups from which a correlation is told


def chosen(name: str, count: int) -> tuple[list[Sight], int]:
    """So many set-ups of a scene on whose render the tracker tells what it must, and how many it could not."""
    found: list[Sight] = []
    tried = 0
    for case in itertools.islice(cases(name), MOST * count):
        tried += 1
        sight = Sight(case)
        if sight.agrees():
            found.append(sight)
        if len(found) == count:
            break
    return found, tried - len(found)


@dataclass(kw_only=True)
class Values:
    """Truths and what was read, for one measure and one kind of clip."""

    measure: Measure
    truths: list[Value] = field(default_factory=list)
    found: list[Value] = field(default_factory=list)

    def add(self, truth: Value, value: Value) -> None:
        self.truths.append(truth)
        self.found.append(value)

    def pairs(self) -> list[tuple[float, float]]:
        """Of truth and value where both could be read."""
        both = zip(self.truths, self.found, strict=True)
        return [(t, v) for t, v in both if t is not None and v is not None and np.isfinite((t, v)).all()]

    def errors(self) -> list[float]:
        relative = self.measure.error == "relative"
        return [abs(v - t) / (abs(t) if relative else 1.0) for t, v in self.pairs() if t or not relative]

    def result(self) -> dict[str, Any]:
        """Figure, error and share that could be read, each with its 95% interval."""
        pairs = self.pairs()
        due = sum(t is not None for t in self.truths)
        out: dict[str, Any] = {
            "read": share(len(pairs), due), "points": [[as_json(t), as_json(v)] for t, v in pairs],
        }  # fmt: skip
        if self.measure.kind == "share":
            return out | {"figure": share(sum(t == v for t, v in pairs), len(pairs))}
        out |= {"figure": bootstrap([v for _, v in pairs]), "error": bootstrap(self.errors())}
        truths = [t for t, _ in pairs]
        if len(pairs) >= ENOUGH and np.std(truths) > 1e-6:
            out["follows"] = correlation(pairs)
        return out


def share(right: int, total: int) -> dict[str, Any]:
    """A share with its interval."""
    low, high = wilson(right, total)
    return {
        "value": round(right / total, 4) if total else None, "low": round(low, 4), "high": round(high, 4), "n": total,
    }  # fmt: skip


def measure(models: Sequence[Graded], count: int, say: Say) -> dict[str, Any]:
    """All measures on `count` set-ups of every scene, and the Physics-IQ measures on the same clips."""
    predictors: list[Predictor] = [*REFERENCES, *(m for m in models if m.given != "nothing")]
    lines, tables, sheets = {}, iq.Table(), {}
    left_out = {}
    for name in SCENES:
        sights, left_out[name] = chosen(name, count)
        own = [m for m in MEASURES if m.scene == name]
        values = {m.key: {"renders": Values(measure=m), **{p.name: Values(measure=m) for p in predictors}} for m in own}
        coded = {m.key: {p.name: Values(measure=m) for p in models} for m in own}
        for number, sight in enumerate(sights):
            case = sight.case
            truths = {m.key: truth_of(m, sight) for m in own}
            clips = {"renders": case.video, **{p.name: p.predict(case) for p in predictors}}
            for who, clip in clips.items():
                seen = Seen(sight=sight, video=clip)
                for m in own:
                    values[m.key][who].add(truths[m.key], m.value(seen))
            for model in models:
                soft = model.coded(case.video)
                seen = Seen(sight=sight, video=soft)
                for m in own if soft is not None else ():
                    coded[m.key][model.name].add(truths[m.key], m.value(seen))
            tables.add(name, case, clips)
            if number == 0:
                sheets[name] = {"caption": case.caption, "clips": clips}
            if models:
                say(f"physics: {name}: {number + 1} of {len(sights)} set-ups")
        for m in own:
            lines[m.key] = _line(m, values[m.key], coded[m.key], left_out[name])
    return {
        "setups": count, "left_out": left_out, "lines": lines, "iq": tables.result(), "sheets": sheets,
        "given": {m.name: m.given for m in models},
    }  # fmt: skip


def _line(m: Measure, values: dict[str, Values], coded: dict[str, Values], left_out: int) -> dict[str, Any]:
    renders = values.pop("renders")
    truths = [t for t in renders.truths if t is not None]
    own = renders.result()
    models = {name: found.result() for name, found in values.items()}
    for name, found in coded.items():
        if found.truths and name in models:
            models[name]["tracker"] = {k: v for k, v in found.result().items() if k != "points"}
    return {
        "title": m.title, "unit": m.unit, "kind": m.kind, "error": m.error, "scene": m.scene,
        "given": "half a second" if SCENES[m.scene].given else "the first frame",
        "left_out": left_out, "truth": bootstrap(truths) if m.kind == "value" else None,
        "renders": own, "models": models,
    }  # fmt: skip
