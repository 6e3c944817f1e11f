"""From a job to the engine: which function makes it, and what is kept of the result. Runs in the worker."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from haneul import assemble, edits, engine, storyboard
from haneul.backbones.base import Backbone, Glimpse, Identity, Memory, Progress
from haneul.config import Settings
from haneul.errors import InputError
from haneul.serve.jobs import Job
from haneul.serve.kept import KeptShots
from haneul.serve.store import Store
from haneul.trust import credentials
from haneul.trust.certificates import find_signer
from haneul.video import io

#: Options of a request that `engine.make` takes as they are.
OPTIONS = ("seed", "steps", "guidance", "negative", "remember", "expand", "camera")
CUT = ("start", "end", "dissolve")  #: what a cut says beside its clip
LIVE = "live.mp4"  #: what can be watched while a video is made; gone when it is finished
_SHEET = 12  #: pictures on a sprite sheet
_SHOT = re.compile(r"(way to )?shot (\d+)/(\d+) ")

#: Says what a character looks like, by its id.
Look = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a worker works with."""

    store: Store
    settings: Settings
    backbone: Backbone
    look: Look
    steps: int | None = None  #: where a request names none


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished video and its previews, not stored yet, and what is told about it."""

    files: dict[str, Path]  #: variant -> file
    told: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who follows the making of a job; see `engine.make`."""

    progress: Progress
    glimpse: Glimpse | None = None
    memory: Memory | None = None


def make(job: Job, bench: Bench, folder: Path, watch: Watch) -> Made:
    """Makes what a job asks for, in a folder. Raises what the engine raises, and what the watch does."""
    request = dict(job.request)
    prompt, remember = with_characters(request.get("prompt", ""), request.get("characters", {}), bench.look)
    if remember:
        request["remember"] = " ".join(filter(None, [request.get("remember"), remember]))
    options: dict[str, Any] = {name: request[name] for name in OPTIONS if request.get(name) is not None}
    if options.get("steps") is None and bench.steps is not None:
        options["steps"] = bench.steps
    options.setdefault("seed", seed_of(job.id))
    options |= {"settings": bench.settings, "backbone": bench.backbone}
    options |= {"progress": watch.progress, "glimpse": watch.glimpse, "memory": watch.memory}
    given: dict[str, Any] = dict(request.get("args", {}))
    if request.get("size"):
        given["size"] = tuple(request["size"])
    media = [_local(bench.store, key) for key in request.get("media", [])]
    output = folder / "video.mp4"
    identity = bench.backbone.identity()
    if job.mode == "storyboard":
        shots = KeptShots(bench.store, job.id, output.with_suffix(".shots"))
        report = film(request, media, bench, output, dataclasses.replace(watch, progress=carrying(watch, shots)))
        seed = int(request.get("seed") or 0)
    elif job.mode == "assemble":
        cuts = [assemble.Cut(path=media[cut["clip"]], **{k: cut[k] for k in CUT if k in cut}) for cut in given["cuts"]]
        joined = assemble.assemble(
            cuts, output=output, size=given.get("size"), overwrite=True, progress=watch.progress,
            settings=bench.settings, backbone=bench.backbone,
        )  # fmt: skip
        report, seed = joined.report, joined.seed
    elif job.mode == "play":
        from haneul import play  # not needed by whoever answers, who imports this too

        ridden = play.save(
            play.Kept.read(media[0]), output, size=given["size"], overwrite=True, progress=watch.progress,
            settings=bench.settings,
        )  # fmt: skip
        report, seed = ridden.report, ridden.seed
        report.pop("prompt", None)
        identity = Identity(**report["model"])
    else:
        files = {"output": output, "overwrite": True, "stream": folder / LIVE}
        result = FUNCTIONS[job.mode](prompt, media, given | options | files)
        report, seed = result.report, result.seed
        report.pop("prompt", None)  # what a store says about a video must not repeat what its maker wrote
    return finish(output, folder, bench, seed, report, identity)


def seed_of(job: str) -> int:
    """For a job that names none: whoever makes it, and however often, it is the same video."""
    return int.from_bytes(hashlib.sha256(job.encode()).digest()[:4]) >> 1


def carrying(watch: Watch, shots: KeptShots) -> Progress:
    """Stores each shot once the next thing is begun."""
    before = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal before
        found = _SHOT.match(stage)
        if found and found[0] != before:
            before = found[0]
            shots.carry()
        watch.progress(stage, done, total)

    return progress


def film(request: dict[str, Any], media: list[Path], bench: Bench, output: Path, watch: Watch) -> dict[str, Any]:
    """A storyboard. Its shots stay beside the output, so what was finished before a worker died is not made again."""
    shots = []
    for entry in request["shots"]:
        words = {name: value for name, value in entry.items() if value is not None and name != "image"}
        words.setdefault("steps", bench.steps)
        image = entry.get("image")
        shots.append(storyboard.Shot(**words, image=None if image is None else media[image]))
    board = storyboard.Storyboard(
        shots=tuple(shots), title=request.get("title", ""), size=tuple(request["size"]),
        seed=int(request.get("seed") or 0), remember=request.get("remember") or "",
    )  # fmt: skip
    made = storyboard.film(
        board, output=output, overwrite=True, progress=watch.progress, glimpse=watch.glimpse, memory=watch.memory,
        settings=bench.settings, backbone=bench.backbone,
    )  # fmt: skip
    again = sum(not piece.new for piece in made.pieces)
    return {"warnings": made.warnings, "shots": len(shots), "pieces": len(made.pieces), "kept": again}


def _generate(prompt: str, media: list[Path], given: dict[str, Any]) -> engine.Result:
    return engine.generate(prompt, image=media[0] if media else None, **given)


def _one(edit: Callable[..., engine.Result]) -> Callable[[str, list[Path], dict[str, Any]], engine.Result]:
    return lambda prompt, media, given: edit(media[0], prompt, **given)


def _two(edit: Callable[..., engine.Result]) -> Callable[[str, list[Path], dict[str, Any]], engine.Result]:
    return lambda prompt, media, given: edit(media[0], media[1], prompt, **given)


def _keyframes(prompt: str, media: list[Path], given: dict[str, Any]) -> engine.Result:
    moments = given.pop("moments")
    return edits.keyframes(dict(zip(moments, media, strict=True)), prompt, **given)


#: Mode -> how it is made of a prompt, given files, and everything else.
FUNCTIONS: dict[str, Callable[[str, list[Path], dict[str, Any]], engine.Result]] = {
    "generate": _generate,
    "extend": _one(edits.extend),
    "loop": _one(edits.loop),
    "retake": _one(edits.retake),
    "remix": _one(edits.remix),
    "inpaint": _one(edits.inpaint),
    "connect": _two(edits.connect),
    "blend": _two(edits.blend),
    "keyframes": _keyframes,
}


def with_characters(prompt: str, characters: dict[str, str], look: Look) -> tuple[str, str]:
    """The prompt with each @mention replaced by what that character looks like, and the looks to be remembered."""
    looks = []
    for mention, identity in characters.items():
        words = look(identity)
        prompt = re.sub(rf"(?<!\w)@{re.escape(mention)}(?!\w)", f"the {words}", prompt)
        looks.append(f"a {words}")
    return prompt, ", ".join(looks)


def _local(store: Store, key: str) -> Path:
    try:
        return store.local(key)
    except KeyError:
        raise InputError("a picture or video that was given is not there any more") from None


def finish(video: Path, folder: Path, bench: Bench, seed: int, report: dict[str, Any], identity: Identity) -> Made:
    """Thumbnail and sprite sheet of a finished video, each signed as made of it, and what is told about all three."""
    info = io.probe(video)
    frames = info.frames or sum(1 for _ in io.stream_video(video))
    picks = set(np.linspace(0, frames - 1, min(_SHEET, frames)).round().astype(int).tolist())
    kept = [frame for i, frame in enumerate(io.stream_video(video)) if i in picks]
    columns = min(4, len(kept))
    thumbnail = io.contact_sheet(np.stack(kept[:1]), columns=1, width=min(480, info.width), gap=0)
    sheet = io.contact_sheet(
        np.stack(kept), columns=columns, rows=-(-len(kept) // columns), width=min(240, info.width)
    )  # fmt: skip
    pictures = {"thumbnail": (folder / "thumbnail.webp", thumbnail), "spritesheet": (folder / "spritesheet.jpg", sheet)}
    signer = find_signer(bench.settings)  # the engine has just checked it
    files = {"video": video}
    for name, (path, picture) in pictures.items():
        manifest = engine.manifest_of(path.name, identity, mode=name, seed=seed, media=(video,))
        plain = path.with_name(f"plain-{path.name}")
        Image.fromarray(picture).save(plain, quality=90)
        credentials.sign(plain, path, manifest, signer, overwrite=True)
        files[name] = path
    told = {
        "size": f"{info.width}x{info.height}", "frames": frames, "fps": info.fps, "seconds": frames / info.fps,
        "seed": seed, "report": report, "sha256": {name: _sha256(path) for name, path in files.items()},
    }  # fmt: skip
    return Made(files=files, told=told)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Share:
    """How much of a job is done, in per cent, by what the engine tells. A long video is sampled and drawn by turns, so
    both are remembered: sampling is two thirds of a shot, drawing the rest."""

    def __init__(self) -> None:
        self.shot, self.sampled, self.drawn = "", 0.0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> int:
        """0 to 99, and never less than before within one shot."""
        found = _SHOT.match(stage)
        shot = found[0] if found else ""
        if shot != self.shot:
            self.shot, self.sampled, self.drawn = shot, 0.0, 0.0
        share = done / total if total else 0.0
        if stage.endswith("denoising"):
            self.sampled = max(self.sampled, share)
        elif stage.endswith("drawing"):
            self.drawn = max(self.drawn, share)
        elif stage.endswith("joining"):
            self.sampled = self.drawn = share
        of_shot = (2 * self.sampled + self.drawn) / 3
        whole = (int(found[2]) - 1 + of_shot) / int(found[3]) if found else of_shot
        return min(99, int(100 * whole))
