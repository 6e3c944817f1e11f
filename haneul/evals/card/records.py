"""The records (docs/records.md): a line for each model each time it is graded, so that progress is seen over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from haneul.errors import InputError
from haneul.evals.card.plots import interval
from haneul.video.io import atomic_output

Figure = dict[str, Any]

HEAD: Final = """# Records

What `haneul eval card` found, a line for each model each time; `--records docs/records.md` adds them. Errors are
medians over set-ups, held against the simulator; figures of different commands are not comparable.

"""
COLUMNS: Final = ("date", "commit", "machine", "command", "model", "figures")
RULE: Final = "|" + "---|" * len(COLUMNS)
#: Figures of a line: what it is called, where it stands, whether it is a share.
PHYSICS: Final = (
    ("gravity off by", "gravity", "error", True), ("bounce off by", "restitution", "error", True),
    ("slope off by", "rolling", "error", True), ("pendulum off by", "period", "error", True),
    ("dominoes in order", "domino_order", "figure", True), ("towers right", "stands", "figure", True),
    ("comes back", "returns", "figure", True),
)  # fmt: skip


def figures(result: dict[str, Any], model: str) -> str:
    """The figures of one model in one line."""
    parts, out = result["parts"], []

    def add(title: str, figure: Figure | None, percent: bool, read: Figure | None = None) -> None:
        if figure and figure.get("value") is not None:
            missed = read and read["value"] not in (None, 1)
            seen = f", {round(read['value'] * read['n'])} of {read['n']} read" if read and missed else ""
            out.append(f"{title} {' '.join(interval(figure, percent)).strip()}{seen}")
        elif read:
            out.append(f"{title} –, 0 of {read['n']} read")

    if "physics" in parts:
        for title, key, what, percent in PHYSICS:
            line = parts["physics"]["lines"].get(key, {}).get("models", {}).get(model, {})
            add(title, line.get(what), percent, line.get("read"))
        add("motion score", parts["physics"]["iq"].get(model, {}).get("score"), False)
    if "obedience" in parts:
        for name in ("setting", "event", "color", "camera"):
            add(name, parts["obedience"]["models"][model]["ways"]["english"][name], True)
    if "looks" in parts:
        found = parts["looks"]["models"][model]
        add("flicker", found["flicker"], False)
        if "distances" in found:
            out.append(f"kernel distance {found['distances']['kernel']:g}")
    if "arrow" in parts:
        add("forwards", parts["arrow"]["of"][model]["figure"], True)
    if "memory" in parts and model in parts["memory"]["models"]:
        add("near copies", parts["memory"]["models"][model]["copies"], True)
    return "; ".join(out) or "nothing could be read"


def _cell(text: object) -> str:
    return " ".join(str(text).replace("|", "/").split())


def lines(result: dict[str, Any]) -> list[str]:
    """One line of the table for each model."""
    machine = f"{result['machine']['cores']} cores of {result['machine']['processor']}"
    return [
        "| " + " | ".join(map(_cell, (
            result["date"], result["commit"] or "unknown", machine, f"`{result['command']}`",
            f"{m['name']} ({m['weights_sha256'][:12]})", figures(result, m["name"]),
        ))) + " |"
        for m in result["models"]
    ]  # fmt: skip


def append(result: dict[str, Any], path: Path) -> Sequence[str]:
    """Add the lines to a file of records, which is begun where there is none. Raises InputError where the file is
    something else."""
    empty = f"{HEAD}| {' | '.join(COLUMNS)} |\n{RULE}\n"
    text = path.read_text(encoding="utf-8") if path.exists() else empty
    if RULE not in text:
        raise InputError(f"{path} is not a table of records; name another file")
    new = lines(result)
    with atomic_output(path, overwrite=True) as unfinished:
        unfinished.write_text(text.rstrip("\n") + "\n" + "\n".join(new) + "\n", encoding="utf-8")
    return new
