"""`haneul eval trust`: what the watermark survives, how often it is seen where there is none, what tampering shows,
what the screen lets through (refusals.py), and what all of it costs.

Clips are drawn by the model and rendered by the world, without a mark; each is marked, attacked and searched as
`haneul verify` would. For false alarms the unmarked clips, and patterns made to provoke them, are searched with many
keys: to a key that did not mark it, a clip is as good as unmarked, and every key is another trial.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.evals import refusals, tamper
from haneul.evals.attacks import SPLITS
from haneul.evals.data import Say
from haneul.evals.distortions import ATTACKS, Attack, Frames
from haneul.evals.statistics import wilson
from haneul.trust import detect
from haneul.trust.origin import find_in
from haneul.trust.registry import id_of
from haneul.trust.watermark import PAYLOAD, SpreadSpectrum
from haneul.video.io import atomic_output

Video = NDArray[np.uint8]  # [T, H, W, 3]
_KEY = b"a key for the measures alone    "
PROMPTS = (
    "a red ball bounces in the snow", "a robot walks through a neon street at night", "a tour of a gallery",
    "a blue car drives through a desert", "a green cube slides across the sea", "a yellow ball rolls in a forest",
)  # fmt: skip
SIZES = ((64, 64), (256, 256), (512, 896), (1920, 1080))
_SMALL = ("as written (H.264 crf 18)", "H.264 crf 28", "cropped by 10%", "scaled to 1/2", "one frame")


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What is measured on: so many clips of each source, of so many frames and this size; so many keys for alarms."""

    folder: Path
    clips: int = 3
    frames: int = 48
    size: tuple[int, int] = (896, 512)
    keys: int = 20
    unmarked: int = 24
    splits: tuple[str, ...] = SPLITS  #: of the red team's attacks


def generated(work: Trust, say: Say) -> Iterator[tuple[str, Video]]:
    """Clips of the bundled model as they leave it, before the watermark; kept in the work folder."""
    from haneul.backbones.base import Request
    from haneul.backbones.native import BUNDLED, Native

    model: Native | None = None
    for number in range(work.clips):
        kept = work.folder / f"generated-{number}-{work.size[0]}x{work.size[1]}-{work.frames}.npy"
        if not kept.exists():
            say(f"generating clip {number + 1} of {work.clips}")
            model = model or Native(BUNDLED)
            able = model.capabilities()
            request = Request(
                prompt=PROMPTS[number % len(PROMPTS)], seconds=work.frames / able.fps, size=work.size, seed=number,
                steps=able.default_steps, guidance=able.default_guidance, expand=True,
            )  # fmt: skip
            _keep(kept, np.stack(list(model.generate(request))))
        yield f"generated {number}", np.load(kept)


def rendered(work: Trust, count: int, size: tuple[int, int], say: Say, *, frames: int) -> Iterator[tuple[str, Video]]:
    """Clips of the world, sharp and full of detail; kept in the work folder."""
    from haneul.world.physics import simulate
    from haneul.world.produce import draw
    from haneul.world.sample import sample_spec

    for number in range(count):
        kept = work.folder / f"rendered-{number}-{size[0]}x{size[1]}-{frames}.npy"
        if not kept.exists():
            say(f"rendering clip {number + 1} of {count}")
            truth = simulate(sample_spec(1000 + number, richness=1.0, seconds=max(1.0, frames / 12)))
            drawn = draw(truth, size, stride=1, quality="fast")
            _keep(kept, np.stack([rgb for (rgb, _), _ in zip(drawn, range(frames), strict=False)]))
        yield f"rendered {number}", np.load(kept)


def _keep(path: Path, video: Video) -> None:
    with atomic_output(path, overwrite=True) as unfinished, unfinished.open("wb") as file:
        np.save(file, video)


def marked(video: Video, number: int) -> list[NDArray[np.uint8]]:
    """The clip with a mark in every frame."""
    return list(SpreadSpectrum(_KEY).embed(iter(video), number.to_bytes(PAYLOAD, "big")))


def psnr(one: Frames | Video, other: Frames) -> float:
    """Peak signal to noise ratio in dB over all frames."""
    errors = [np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(one, other, strict=True)]
    return float(10 * np.log10(255**2 / max(np.mean(errors), 1e-9)))


def _parts(frames: Frames) -> list[Frames]:
    """As `haneul verify` looks at a short file: every second frame of a second, from several places."""
    if len(frames) < 48:
        return [frames[::2][:12]]
    return [frames[at : at + 24 : 2] for at in range(0, len(frames) - 23, 24)][:5]


def attack(clips: Sequence[tuple[str, Video]], attacks: dict[str, Attack], say: Say) -> dict[str, Any]:
    """Each attack on each clip: how many marks were read, the share of right bits (half where nothing was read)."""
    table: dict[str, Any] = {}
    for name, change in attacks.items():
        read, bits, zs, missed = 0, [], [], []
        for index, (clip, video) in enumerate(clips):
            number = 0x123456789ABC + index
            found = find_in(_parts(change(marked(video, number))), _KEY)
            mine = next((o for o in found if o.id == id_of(number)), None)
            read += mine is not None
            bits.append(mine.bits if mine is not None and mine.bits is not None else 0.5)
            zs.append(mine.z if mine is not None else 0.0)
            if mine is None:
                missed.append(clip)
        table[name] = {
            "read": read, "of": len(clips), "bits": round(float(np.mean(bits)), 3),
            "z": round(float(np.median(zs)), 1), "missed": missed,
        }  # fmt: skip
        say(f"{name}: {read} of {len(clips)} read, {100 * table[name]['bits']:.1f}% of bits, z {table[name]['z']}")
    return table


def patterns(size: tuple[int, int]) -> Iterator[tuple[str, Video]]:
    """Pictures made to provoke false alarms: noise, grids, bars, flat ones, ramps."""
    w, h = size
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:h, 0:w]
    yield "noise", rng.integers(0, 256, (2, h, w, 3)).astype(np.uint8)
    soft = rng.integers(0, 256, (h // 8 + 1, w // 8 + 1, 3)).astype(np.uint8)
    yield "blocks of noise", np.repeat(np.repeat(soft, 8, 0), 8, 1)[None, :h, :w]
    bars = np.array([[235, 235, 235], [235, 235, 16], [16, 235, 235], [16, 235, 16], [235, 16, 235], [235, 16, 16]])
    yield "colour bars", np.broadcast_to(bars[x * 6 // w], (1, h, w, 3)).astype(np.uint8)
    yield "flat", np.full((1, h, w, 3), 128, np.uint8)
    yield "black", np.zeros((1, h, w, 3), np.uint8)
    yield "ramp", np.repeat((x * 255 // w)[None, ..., None], 3, -1).astype(np.uint8)
    for cell in (4, 16, 40):
        board = ((x // cell + y // cell) % 2 * 200 + 20)[None, ..., None]
        yield f"checkerboard of {cell}", np.repeat(board, 3, -1).astype(np.uint8)
    yield "rings", np.repeat((127 + 120 * np.sin((x**2 + y**2) / 900))[None, ..., None], 3, -1).astype(np.uint8)


def alarms(clips: Sequence[tuple[str, Video]], keys: int, say: Say) -> dict[str, Any]:
    """Every unmarked clip searched with many keys that marked nothing: reads, marks told unread, greatest sync z."""
    tops: list[float] = []
    read = told = 0
    worst = ""
    fields = [(name, detect.field_of(list(video[:24:2]))) for name, video in clips]
    for index in range(keys):
        detector = detect.Detector(f"stranger {index}".encode())
        for name, field in fields:
            found = detector.search(field)
            read += any(mark.number is not None for mark in found)
            told += bool(found)
            places = detector.places(field, [1.0])
            tops.append(max([p.z for p in places] + [m.z for m in found], default=0.0))
            worst = name if tops[-1] == max(tops) else worst
        say(f"false alarms: {read} read and {told} told in {len(tops)} searches")
    trials = len(tops)
    return {
        "clips": len(fields), "keys": keys, "searches": trials, "read": read, "told": told,
        "at_most_95": round(wilson(told, trials)[1], 5), "greatest_z": round(max(tops), 2), "where": worst,
        "theory_read": detect.TRIES * 2.0**-detect.CHECKED,
        "theory_told": detect.HYPOTHESES * detect.tail(detect.CERTAIN),
    }  # fmt: skip


def speed(say: Say) -> dict[str, Any]:
    """Milliseconds to mark one frame, the best of many, and to set up; in one thread."""
    rng = np.random.default_rng(1)
    table: dict[str, Any] = {}
    for width, height in ((896, 512), (1920, 1080)):
        frame = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        began = time.perf_counter()
        stream = SpreadSpectrum(_KEY).embed(iter([frame] * 40), bytes(PAYLOAD))
        next(stream)
        setup, took = time.perf_counter() - began, []
        while True:
            began = time.perf_counter()
            if next(stream, None) is None:
                break
            took.append(time.perf_counter() - began)
        table[f"{width}x{height}"] = {
            "ms_best": round(1000 * min(took), 2), "ms_median": round(1000 * float(np.median(took)), 2),
            "setup_ms": round(1000 * setup, 1),
        }  # fmt: skip
        say(f"marking {width}x{height}: {table[f'{width}x{height}']}")
    return table


def measure(work: Trust, parts: Sequence[str], say: Say) -> dict[str, Any]:
    """The parts of PARTS that are asked for; see the module. Raises InputError for an unknown one."""
    for part in parts:
        if part not in PARTS:
            raise InputError(f"no part is called {part!r}; there are: {', '.join(PARTS)}")
    work.folder.mkdir(parents=True, exist_ok=True)
    return {part: _MEASURES[part](work, say) for part in parts}


def _clips(work: Trust, source: str, say: Say) -> list[tuple[str, Video]]:
    if source == "generated":
        return list(generated(work, say))
    return list(rendered(work, work.clips, work.size, say, frames=min(24, work.frames)))


def _quality(work: Trust, say: Say) -> dict[str, Any]:
    clips = _clips(work, "generated", say) + _clips(work, "rendered", say)
    return {name: round(psnr(video, marked(video, 1)), 2) for name, video in clips}


def _sizes(work: Trust, say: Say) -> dict[str, Any]:
    found = {}
    for size in SIZES:
        few = list(rendered(work, 2, size, say, frames=12))
        say(f"size {size[0]}x{size[1]}")
        found[f"{size[0]}x{size[1]}"] = {
            "psnr": round(min(psnr(video, marked(video, 1)) for _, video in few), 2),
            **attack(few, {name: ATTACKS[name] for name in _SMALL}, say),
        }
    return found


def _alarms(work: Trust, say: Say) -> dict[str, Any]:
    clips = _clips(work, "generated", say) + _clips(work, "rendered", say)
    many = rendered(work, work.unmarked, (320, 180), say, frames=12)
    return alarms([*clips, *many, *patterns((640, 360))], work.keys, say)


_MEASURES: Final[dict[str, Callable[[Trust, Say], dict[str, Any]]]] = {
    "speed": lambda work, say: speed(say),
    "quality": _quality,
    "generated": lambda work, say: attack(_clips(work, "generated", say), ATTACKS, say),
    "rendered": lambda work, say: attack(_clips(work, "rendered", say), ATTACKS, say),
    "sizes": _sizes,
    "alarms": _alarms,
    "tampering": lambda work, say: tamper.measure(work.folder, say),
    "screen": lambda work, say: refusals.measure(work.folder, say, work.splits),
    "cost": lambda work, say: refusals.cost(work.folder, say),
}
PARTS: Final = tuple(_MEASURES)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown; of a part that was not measured nothing."""
    lines: list[str] = []
    sources = [name for name in ("generated", "rendered") if name in result]
    if sources:
        heads = " | ".join(f"{name}: read | bits | z" for name in sources)
        lines += [f"| attack | {heads} |", "|---|" + "---|---|---|" * len(sources)]
        for name in (n for n in ATTACKS if all(n in result[source] for source in sources)):
            rows = [result[source][name] for source in sources]
            cells = [f"{row['read']}/{row['of']} | {100 * row['bits']:.1f}% | {row['z']}" for row in rows]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    if "sizes" in result:
        lines += ["", "| size | PSNR | " + " | ".join(_SMALL) + " |", "|" + "---|" * (len(_SMALL) + 2)]
        for size, row in result["sizes"].items():
            cells = [f"{row[n]['read']}/{row[n]['of']} ({100 * row[n]['bits']:.0f}%)" for n in _SMALL]
            lines.append(f"| {size} | {row['psnr']} dB | {' | '.join(cells)} |")
    if "quality" in result:
        lines += ["", f"PSNR: {min(result['quality'].values())} to {max(result['quality'].values())} dB."]
    if "speed" in result:
        fast = ", ".join(f"{row['ms_best']} ms a frame of {size}" for size, row in result["speed"].items())
        lines += ["", f"Marking takes {fast} at best, in one thread."]
    if "alarms" in result:
        alarm = result["alarms"]
        lines += [
            "",
            f"False alarms: {alarm['read']} read and {alarm['told']} told in {alarm['searches']} searches of "
            f"{alarm['clips']} unmarked clips; by theory at most {alarm['theory_read']:.0e} and "
            f"{alarm['theory_told']:.0e}; greatest sync z {alarm['greatest_z']} ({alarm['where']}).",
        ]
    if "tampering" in result:
        lines += ["", "| tampering | verdict | exit code |", "|---|---|---|"]
        lines += [f"| {name} | {row['state']} | {row['exit_code']} |" for name, row in result["tampering"].items()]
    if "screen" in result:
        lines += refusals.rows(result["screen"])
    if "cost" in result:
        row = result["cost"]
        lines += [
            "",
            f"Trust adds {100 * row['share']:.1f}% to {row['frames']} frames of {row['size']}: "
            f"marking {row['marking']} s, "
            f"screening {row['screening']} s, signing {row['signing']} s, to {row['making']} s of making; "
            f"a process loads what it needs for them once, in {row.get('loading', 'unknown')} s.",
        ]
    return "\n".join(lines) + "\n"


def write(result: dict[str, Any], path: Path) -> Path:
    """JSON at `path`, over what it held of the same parts, and the table beside it; returns the table's path."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    result = (before if isinstance(before, dict) else {}) | result
    with atomic_output(path, overwrite=True) as unfinished:
        unfinished.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside = path.with_suffix(".md")
    with atomic_output(beside, overwrite=True) as unfinished:
        unfinished.write_text(table(result), encoding="utf-8")
    return beside
