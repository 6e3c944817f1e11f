"""`haneul world render`: many clips into shards, on every core, resumable. `haneul world show`: a prompt's animatic."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haneul.data.ledger import simulated
from haneul.data.processes import each
from haneul.data.shards import Shard, read_meta, write_manifest, write_shard
from haneul.errors import InputError, OutputError, WorldError
from haneul.world import vocabulary
from haneul.world.scene import CALM, FPS, ClipSpec, Facts, Truth

Quality = Literal["fast", "fine"]  # as in world.render, which is imported late: it compiles

STRIDE = 2  #: training clips take every second frame of the 24 fps log
PATCH = 16
WINDOW = 17  #: frames of the short windows whose facts are logged
STEERED = 6  #: the stream of a seed's random numbers that decides whether its clip is steered
SHOW_DRAWS = 8  #: of a prompt, until its subjects are clearly visible
MIN_SHARE = 0.004  #: of the picture that the main subject must cover, median over the clip

#: Sizes of the shards, by turns: mostly 16:9, some square, some upright.
SIZES: tuple[tuple[int, int], ...] = ((112, 64),) * 4 + ((80, 80),) + ((112, 64),) * 4 + ((64, 112),)


RIDE_SIZES = ((112, 64),)  #: of rides: the live model has one size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to render. Equal plans give equal bytes on one machine; `held_out` keeps to the combinations that training
    never sees (for evaluation)."""

    clips: int
    seed: int = 0
    richness: float = CALM
    seconds: float = 4.0
    shard: int = 32
    held_out: bool = False
    sizes: tuple[tuple[int, int], ...] = SIZES
    steered: float = 0.0  # share of clips whose subject is steered
    rides: bool = False  # clips as somebody who plays sees them (rides.py), instead of the usual ones
    riders: tuple[str, ...] = ()  # of rides, in turns (rides.RIDERS); empty: those of rides.SHOWN, drawn by the seed
    stops: float = 0.0  # share of rides that stand still once or twice

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise InputError(f"cannot render {self.clips} clips; ask for at least 1")
        if not 0 <= self.richness <= 1:
            raise InputError(f"richness {self.richness} is out of range; it goes from 0 (calm) to 1 (full)")
        if not 0.5 <= self.seconds <= 20:
            raise InputError(f"clips of {self.seconds} s cannot be rendered; choose 0.5 to 20 s")
        if not 0 <= self.steered <= 1:
            raise InputError(f"a share of steered clips of {self.steered} is out of range; it goes from 0 to 1")
        if self.rides and self.steered:
            raise InputError("rides are steered anyway; leave out the share of steered clips")
        if not 0 <= self.stops <= 1:
            raise InputError(f"a share of rides with stops of {self.stops} is out of range; it goes from 0 to 1")
        if (self.stops or self.riders) and not self.rides:
            raise InputError("only rides have riders and stops; leave these out, or render rides")
        if self.shard < 1 or not self.sizes:
            raise InputError(f"shards of {self.shard} clips and {len(self.sizes) or 'no'} sizes cannot be rendered")
        for w, h in self.sizes:
            if w % PATCH or h % PATCH or not (PATCH <= w <= 1920 and PATCH <= h <= 1920):
                raise InputError(f"clips of {w}x{h} cannot be coded; both sides must be multiples of {PATCH}, to 1920")

    def seed_of(self, number: int, attempt: int = 0) -> int:
        """What decides clip `number`, of 64 attempts."""
        return (self.seed * 1_000_003 + number) * 64 + attempt

    def number_of(self, seed: int) -> int:
        """The inverse: which clip a seed is of."""
        return seed // 64 - self.seed * 1_000_003

    def size_of(self, number: int) -> tuple[int, int]:
        """Width and height of clip `number`."""
        return self.sizes[number // self.shard % len(self.sizes)]

    def spec_of(self, seed: int) -> ClipSpec:
        """What a seed of this plan draws."""
        from haneul.world.rides import ride_spec
        from haneul.world.sample import sample_spec

        held = self.held_out
        if self.rides:
            kind = self.riders[seed // 64 % len(self.riders)] if self.riders else None
            return ride_spec(seed, self.seconds, kind=kind, only_held_out=held, stops=self.stops)
        fixed: dict[str, Any] = {}
        if self.steered and np.random.default_rng([seed, STEERED]).random() < self.steered:
            fixed["steered"] = True
        return sample_spec(
            seed, richness=self.richness, seconds=self.seconds, only_held_out=held, allow_held_out=held, **fixed
        )


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One rendered clip: video uint8 [T, H, W, 3], ids uint8 [T, H, W] of the visible subjects, its truth."""

    video_THW3: NDArray[np.uint8]
    ids_THW: NDArray[np.uint8]
    truth: Truth


def render_clip(
    spec: ClipSpec, size: tuple[int, int], *, stride: int = STRIDE, quality: Quality = "fast", ride: bool = False
) -> Clip:
    """Simulate and draw. `size` is (width, height); every `stride`-th frame of the log is drawn."""
    from haneul.world.physics import simulate
    from haneul.world.rides import simulate_ride

    truth = simulate_ride(spec) if ride else simulate(spec)
    drawn = list(draw(truth, size, stride=stride, quality=quality))
    return Clip(
        video_THW3=np.stack([rgb for rgb, _ in drawn]), ids_THW=np.stack([ids for _, ids in drawn]), truth=truth
    )


def draw(
    truth: Truth, size: tuple[int, int], *, stride: int, quality: Quality
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Every `stride`-th frame of a simulation: picture uint8 [H, W, 3] and the visible subjects' ids uint8 [H, W]."""
    from haneul.world.render import render_frame

    for i in range(0, len(truth.cameras), stride):
        frame = render_frame(
            truth.geoms_TNG[i],
            truth.environment,
            truth.cameras[i],
            style=truth.spec.style,
            time=i / FPS,
            width=size[0],
            height=size[1],
            quality=quality,
        )
        yield frame.rgb, frame.ids


def clearly_visible(ids_THW: NDArray[np.uint8], spec: ClipSpec) -> bool:
    """Whether the subjects, if there are any, cover enough of the picture, and some of it from the start."""
    if not spec.subjects:
        return True
    share = (ids_THW > 0).mean((1, 2))
    return bool(np.median(share) >= MIN_SHARE and share[0] >= MIN_SHARE / 4)


def windows(frames: int) -> list[tuple[int, int]]:
    """Windows [start, stop) of training frames whose facts are logged: whole, short ones, and single frames."""
    starts = range(0, frames, 4)
    short = [(s, s + WINDOW) for s in starts if s + WINDOW <= frames and frames > WINDOW]
    return [(0, frames), *short, *((s, s + 1) for s in starts)]


def clip_facts(truth: Truth, frames: int, stride: int = STRIDE) -> dict[str, dict[str, object]]:
    """Facts of every window, keyed "start:stop" in training frames."""
    from haneul.world.events import observe

    found = {}
    for start, stop in windows(frames):
        facts: Facts = observe(truth, start * stride, (stop - 1) * stride + 1)
        found[f"{start}:{stop}"] = facts.to_json()
    return found


def coverage(ids_THW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Share (0..255) of each 16x16 patch that the first, and that the other subjects cover: [T, h, w, 2]."""
    T, H, W = ids_THW.shape
    patches = ids_THW.reshape(T, H // PATCH, PATCH, W // PATCH, PATCH)
    both = [(patches == 1).mean((2, 4)), (patches > 1).mean((2, 4))]
    return (np.stack(both, -1) * 255 + 0.5).astype(np.uint8)


def _make(plan: Plan, index: int, size: tuple[int, int]) -> tuple[Clip, dict[str, Any]]:
    """Clip number `index` of a plan: the first of its seeds whose subject is clearly on screen."""
    for attempt in range(50):
        seed = plan.seed_of(index, attempt)
        spec = plan.spec_of(seed)
        clip = render_clip(spec, size, ride=plan.rides)
        if clearly_visible(clip.ids_THW, spec):
            break
    frames = len(clip.video_THW3)
    meta = {
        "seed": seed,
        "spec": asdict(spec),
        "facts": {} if plan.rides else clip_facts(clip.truth, frames),
        "ledger": asdict(simulated(clip.video_THW3.tobytes(), seed)),
        "visible": [int(v) for v in (clip.ids_THW > 0).sum((1, 2))],
        "contacts": [list(c) for c in clip.truth.contacts[:64]],
        "pos": np.round(clip.truth.pos_TS3[:, :3], 3).tolist(),
    }
    return clip, meta


def _shard_job(job: tuple[Plan, int, Path]) -> int:
    """Render shard number `number` unless it is there already; returns how many clips it holds."""
    plan, number, folder = job
    path = folder / f"shard-{number:05d}.npz"
    first = number * plan.shard
    count = min(plan.shard, plan.clips - first)
    if path.exists() and len(read_meta(path)) >= count:
        return count
    size = plan.size_of(first)
    made = [_make(plan, first + i, size) for i in range(count)]
    shard = Shard(
        video_nTHW3=np.stack([c.video_THW3 for c, _ in made]),
        coverage_nThw2=np.stack([coverage(c.ids_THW) for c, _ in made]),
        controls_nTK=np.stack([c.truth.controls_TK.astype(np.float16) for c, _ in made]),
        meta=[m for _, m in made],
    )
    write_shard(path, shard)
    return count


def render_dataset(
    folder: Path,
    plan: Plan,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Render `plan` into `folder`; shards that are there already are kept. Returns the manifest.

    `progress(done, total)` is called in clips. Raises OutputError when the folder cannot be used or holds another
    plan's shards, InputError when a shard in it is damaged.
    """
    recipe = claim(folder, plan)
    jobs = [(plan, n, folder) for n in range(-(-plan.clips // plan.shard))]
    done = 0
    for count in each(_shard_job, jobs, workers):
        done += count
        if progress:
            progress(done, plan.clips)
    return write_manifest(folder, {"plan": recipe})


def plan_from(told: dict[str, Any]) -> Plan:
    """Of `asdict`, as folders and cards keep it; older ones know fewer fields."""
    sizes = tuple((w, h) for w, h in told["sizes"])
    return Plan(**{**told, "sizes": sizes, "riders": tuple(told.get("riders", ()))})


def planned(folder: Path, plan: Plan) -> Plan:
    """The plan that a folder's clips were rendered by, with as many clips as `plan` has; `plan` where it is new."""
    mark = folder / "plan.json"
    try:
        return replace(plan_from(json.loads(mark.read_text())), clips=plan.clips) if mark.exists() else plan
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{mark} is damaged ({error}); render into another folder") from error


def claim(folder: Path, plan: Plan) -> dict[str, Any]:
    """Make the folder this plan's, by its plan.json; returns the plan as JSON has it. More clips are the same plan."""
    recipe: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    mark = folder / "plan.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = json.loads(mark.read_text()) if mark.exists() else recipe
        if {"steered": 0.0, "rides": False, "riders": [], "stops": 0.0, **before, "clips": 0} != {**recipe, "clips": 0}:
            raise OutputError(f"{folder} holds shards of another plan ({before}); choose another folder")
        temporary = folder / f".plan.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(recipe))
        temporary.replace(mark)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}; choose another folder") from error
    except ValueError as error:
        raise OutputError(f"{mark} is damaged ({error}); delete it if the folder's shards are of this plan") from error
    return recipe


def show(
    prompt: str,
    output: str | Path,
    *,
    size: tuple[int, int] = (448, 256),
    seconds: float = 4.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Render what a prompt says by simulation, as a signed mp4 at 24 frames a second; returns warnings for the user.

    `size` is (width, height), both even, 64 to 1920; `seconds` 0.5 to 20. What the prompt leaves open is drawn by
    `seed`. `progress(done, total)` is called in frames. No model takes part, and the credentials say so. Raises
    WorldError when the prompt says nothing that the world knows or what cannot be, InputError for numbers out of range,
    OutputError and CredentialError as the engine; a file of the final name is always whole.
    """
    from haneul.world.grammar import parse

    parsed = parse(prompt)
    show_scene(
        parsed.attributes, output, size=size, seconds=seconds, seed=seed, overwrite=overwrite, progress=progress
    )  # fmt: skip
    return [f"the world does not know {word!r}" for word in parsed.unknown]


def show_scene(
    attributes: dict[str, object],
    output: str | Path,
    *,
    size: tuple[int, int] = (448, 256),
    seconds: float = 4.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """As `show`, of what has been read already: values by the name of their slot. What cannot be fixed is drawn."""
    from haneul.trust import credentials
    from haneul.video import io

    if not (all(64 <= side <= 1920 and side % 2 == 0 for side in size)):
        raise InputError(f"size {size[0]}x{size[1]} cannot be used: both sides must be even, 64 to 1920 pixels")
    if not 0.5 <= seconds <= 20:
        raise InputError(f"{seconds:g} s cannot be rendered; choose 0.5 to 20 s")
    if not 0 <= seed < 2**31:
        raise InputError(f"seed {seed} is out of range; choose 0 to 2^31 - 1")
    signer = credentials.check_signer()
    with io.atomic_output(output, overwrite=overwrite) as unsigned:
        truth = stage_prompt(attributes, seed, seconds)
        frames = (rgb for rgb, _ in draw(truth, size, stride=1, quality="fine"))
        io.write_mp4(_counted(frames, round(seconds * FPS), progress), unsigned, fps=FPS)
        manifest = credentials.ManifestInfo(
            title=Path(output).name,
            model="haneul-world",
            weights_sha256="",
            data_ledger_root="",
            mode="world render",
            seed=seed,
            source_type="algorithmicMedia",
        )
        credentials.sign_in_place(unsigned, manifest, signer)


def stage_prompt(attributes: dict[str, object], seed: int, seconds: float) -> Truth:
    """Simulate what was said; of the first few draws of the rest, the first that shows its subjects clearly."""
    from haneul.world.physics import simulate
    from haneul.world.sample import FIXABLE, sample_spec

    said: dict[str, Any] = {name: value for name, value in attributes.items() if name in FIXABLE}
    if not said:
        raise WorldError(
            "the prompt says nothing that the world knows; name a setting "
            f"({', '.join(vocabulary.SETTINGS)}), a thing ({', '.join(vocabulary.KINDS)}) or both"
        )
    for attempt in range(SHOW_DRAWS):
        spec = sample_spec(seed * 64 + attempt, seconds=seconds, allow_held_out=True, **said)
        truth = simulate(spec)
        small = np.stack([ids for _, ids in draw(truth, (96, 64), stride=FPS // 2, quality="fast")])
        if clearly_visible(small, spec):
            break
    return truth


def _counted(
    frames: Iterator[NDArray[np.uint8]], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.uint8]]:
    """The first `total` frames."""
    for done, frame in enumerate(islice(frames, total), start=1):
        yield frame
        if progress:
            progress(done, total)
