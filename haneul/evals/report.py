"""`haneul eval report`: measures the bundled model against the goals, as JSON and as a table for the README.

Every measure's result is kept in the work folder under a key of what it depends on (weights, reader, number of clips,
sampling), so a report that was interrupted, or that is asked for one more measure, only does what is missing.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from haneul.backbones.native import Native
from haneul.errors import InputError
from haneul.evals import fidelity, following, modes, physics, speed
from haneul.evals.clips import MODEL_FILES, Work, digest_of
from haneul.evals.data import Say
from haneul.evals.reader import Reader, load_reader
from haneul.model.checkpoint import load
from haneul.train.pipeline import commit
from haneul.video.io import atomic_output

MEASURES: Final = ("speed", "reader", "following", "fidelity", "modes", "physics")
_WHOLE: Final = (*MODEL_FILES, "upscaler.safetensors")
#: Files of the model that each measure depends on, and the measures that the reader takes no part in.
_FILES: Final[dict[str, tuple[str, ...]]] = {
    "speed": _WHOLE, "reader": (), "following": MODEL_FILES, "fidelity": _WHOLE, "modes": MODEL_FILES,
    "physics": MODEL_FILES,
}  # fmt: skip
_UNREAD: Final = ("speed", "modes", "physics")
Row = tuple[str, str, str, str]  # measure, goal, figure, beside it


@dataclass(kw_only=True)
class _Parts:
    """The model and the reader, read when a measure first needs them."""

    work: Work
    _model: Native | None = None
    _reader: Reader | None = None

    def model(self) -> Native:
        self._model = self._model or Native(self.work.weights)
        return self._model

    def reader(self) -> Reader:
        self._reader = self._reader or load_reader(self.work.reader)
        return self._reader


def _measure(name: str, parts: _Parts, say: Say) -> dict[str, Any]:
    if name == "speed":
        return speed.measure(say)
    if name == "reader":
        return following.check_reader(parts.work, parts.reader(), say)
    if name == "modes":
        return modes.measure(parts.work, parts.model(), say, count=min(parts.work.clips, modes.CLIPS))
    if name == "physics":
        return physics.measure(parts.work, parts.model(), say, count=min(parts.work.clips, physics.CLIPS))
    run = {"following": following.measure, "fidelity": fidelity.measure}[name]
    return run(parts.work, parts.model(), parts.reader(), say)


def _key(name: str, work: Work) -> str:
    """Changes with everything that the result of a measure depends on."""
    choice: list[object] = [name, commit() if name == "speed" else work.clips]
    if name not in ("speed", "reader"):
        choice += [work.steps, work.guidance, work.expand, work.korean if name == "following" else None]
    files = [work.weights / file for file in _FILES[name]]
    return digest_of([*files, *(() if name in _UNREAD else (work.reader,))], *choice)


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model, "cores": cores, "system": platform.system(), "python": platform.python_version(),
        "torch": torch.__version__,
    }  # fmt: skip


def report(
    work: Work, names: Sequence[str], command: Sequence[str], say: Say, *, fresh: bool = False
) -> dict[str, Any]:
    """Run the named measures and gather the results; those that are kept already are not run again unless `fresh`.

    Raises InputError for an unknown name.
    """
    for name in names:
        if name not in MEASURES:
            raise InputError(f"no measure is called {name!r}; there are: {', '.join(MEASURES)}")
    if work.clips < 4:
        raise InputError(f"{work.clips} clips are too few to measure anything; take at least 4")
    if work.threads:
        torch.set_num_threads(work.threads)
    _, card = load(work.weights / "dit.safetensors", "dit")  # missing weights are told before anything is measured
    work.folder.mkdir(parents=True, exist_ok=True)
    parts = _Parts(work=work)
    results: dict[str, Any] = {}
    for name in (n for n in MEASURES if n in names):
        kept = work.folder / f"{name}-{_key(name, work)}.json"
        if fresh or not kept.exists():
            say(f"{name}: measuring")
            began = time.monotonic()
            result = _measure(name, parts, say)
            result["took_seconds"] = round(time.monotonic() - began, 1)
            with atomic_output(kept, overwrite=True) as unfinished:
                unfinished.write_text(json.dumps(result, indent=1), encoding="utf-8")
        results[name] = json.loads(kept.read_text(encoding="utf-8"))
    return {
        "command": shlex.join(Path(word).name if word.startswith("/") else word for word in command),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "model": {"preset": card.preset, "trained": card.trained, "commit": card.commit, "recipe": card.recipe},
        "measures": results,
    }


# ---------------------------------------------------------------------------------------------------------- the table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def _speed_rows(r: dict[str, Any]) -> list[Row]:
    return [
        (
            f"default clip on {r['cores']} cores, process start to signed file",
            f"≤ {r['goal_seconds']:.0f} s", f"{min(r['seconds']):.1f} s", f"runs: {r['seconds']}",
        ),
        ("its peak memory", f"≤ {r['goal_mib']} MiB", f"{r['peak_mib']} MiB", ""),
    ]  # fmt: skip


def _reader_rows(r: dict[str, Any]) -> list[Row]:
    figures = ", ".join(f"{name} {_percent(one['accuracy'])}" for name, one in r["accuracy"].items())
    chances = ", ".join(f"{name} {_percent(one['chance_majority'])}" for name, one in r["accuracy"].items())
    note = f"{r['clips']} clips of combinations never trained on; most frequent answer: {chances}"
    return [("attribute reader on held-out renders", f"≥ {100 * r['goal']:.0f}% each", figures, note)]


def _following_rows(r: dict[str, Any]) -> list[Row]:
    rows = []
    for name, goal in r["goals"].items():
        made, real, coded = (r[k][name] for k in ("generated", "renders", "renders_through_codec"))
        low, high = made["interval"]
        rows.append((
            f"{name} as the prompt says, combinations never trained on",
            f"≥ {100 * goal:.0f}%",
            f"{_percent(made['accuracy'])} ({_percent(low)} to {_percent(high)}, {made['clips']} clips)",
            f"chance {_percent(made['chance_majority'])} (most frequent) or {_percent(made['chance_uniform'])}; "
            f"the reader on renders {_percent(real['accuracy'])}, after the codec {_percent(coded['accuracy'])}",
        ))  # fmt: skip
    for name, both in r["korean_against_english"].items():
        rows.append((
            f"{name}: the same facts in Korean", f"within {r['language_goal_points']:.0f} points",
            f"{both['points']:+.1f} points (± {both['points_interval']:.1f})",
            f"Korean {_percent(both['korean'])}, English {_percent(both['english'])}, {both['clips']} clips",
        ))  # fmt: skip
    return rows


def _fidelity_rows(r: dict[str, Any]) -> list[Row]:
    f, c = r["frechet"], r["codec"]
    beside = f"renders to renders {f['renders_to_renders']:g}, renders after the codec {f['codec_to_renders']:g}"
    rows = [
        ("Frechet distance to held-out renders", "reported", f"{f['generated_to_renders']:g}",
         f"{beside}; {f['clips_a_side']} clips a side, {f['features']} features of the reader"),
        ("codec on held-out clips", f"≥ {c['goal_db']:.0f} dB", f"{c['psnr_db']:.2f} dB", f"{c['clips']} clips"),
    ]  # fmt: skip
    rows.insert(1, (
        "kernel distance to renders of the same prompts", "0", f"{f['kernel_to_renders']:g}",
        f"renders to other renders {f['kernel_of_renders']:g}; {f['features']} features of the reader",
    ))  # fmt: skip
    for key, what, goal in (
        ("grain", "second differences of neighbouring pixels, of 255", "as renders"),
        ("change", "change from frame to frame, of 255", "as renders"),
        ("judder", "change between latent frames against within them", "1"),
        ("seams", "change across borders of patches against within them", "1"),
    ):
        if key not in r:  # of a result that is older
            continue
        j = r[key]
        rows.insert(2, (
            what, goal, f"{j['generated']:.2f}",
            f"renders {j['renders']:.2f}, after the codec {j['codec']:.2f}; {j['clips']} clips",
        ))  # fmt: skip
    if "upscaler" in r:
        u = r["upscaler"]
        for key, what in (("frame", "a frame"), ("between_frames", "a moment between frames")):
            rows.append((
                f"upscaler, {what}", "better than bicubic", f"{u[key]['network']:.2f} dB",
                f"bicubic {u[key]['bicubic']:.2f} dB; {u['pairs']} pairs",
            ))  # fmt: skip
    return rows


def _modes_rows(r: dict[str, Any]) -> list[Row]:
    return [
        (what, f"{sign} {r[key]['goal']:g}{unit}", f"{r[key]['median']:g}{unit}",
         f"half of {r['clips']} clips within {r[key]['p25']:g} to {r[key]['p75']:g}{unit}")
        for key, what, unit, sign, _ in modes.ROWS
    ]  # fmt: skip


def _spread_text(s: dict[str, Any]) -> str:
    if not s["n"]:
        return "no fall found"
    return f"{s['median']:.2f} m/s² (half of {s['n']} falls within {s['p25']:.2f} to {s['p75']:.2f})"


def _physics_rows(r: dict[str, Any]) -> list[Row]:
    error = r["tracker_error_median"]
    return [(
        f"gravity in generated falls ({r['clips']} prompts)", f"reported; the world has {r['truth']}",
        _spread_text(r["generated"]),
        f"by the same tracker: renders {_spread_text(r['renders'])}, after the codec "
        f"{_spread_text(r['renders_through_codec'])}; the tracker's own error {_percent(error)} (median)",
    )]  # fmt: skip


_ROWS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "speed": _speed_rows, "reader": _reader_rows, "following": _following_rows, "fidelity": _fidelity_rows,
    "modes": _modes_rows, "physics": _physics_rows,
}  # fmt: skip


def markdown(result: dict[str, Any]) -> str:
    """The report as a table: measure, goal, figure, and what to hold it against."""
    rows: list[Row] = [row for name, r in result["measures"].items() for row in _ROWS[name](r)]
    lines = ["| measure | goal | figure | beside it |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    m = result["machine"]
    made = f"`{result['command']}`, commit {result['commit'] or 'unknown'}, {result['date']}"
    return "\n".join([*lines, "", f"Made by {made}, on {m['cores']} cores of {m['processor']}.", ""])


def write(
    result: dict[str, Any], output: Path, tell: Callable[[dict[str, Any]], str] = markdown
) -> Path:  # fmt: skip
    """Write `output` (JSON) and the table beside it (.md), replacing earlier ones; returns the table's path."""
    table = output.with_suffix(".md")
    for path, text in ((output, json.dumps(result, indent=1, ensure_ascii=False) + "\n"), (table, tell(result))):
        with atomic_output(path, overwrite=True) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return table
