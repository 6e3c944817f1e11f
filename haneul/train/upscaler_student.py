"""A small upscaler learns to draw as a large one does.

What a picture should look like at eight times its size is only half told by the picture: who learns it from renders
needs a large network and long hours. What a large upscaler draws is told whole by its input, so a network of a third of
the work can learn that much faster (Hinton et al., arXiv 1503.02531), and from the very frames that it will see: those
that the transformer made (remake.py), for which there need be no render.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.processes import each
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, file_digest, load, load_into, save
from haneul.model.codec import Codec
from haneul.model.presets import Preset
from haneul.train.codec import edges, psnr
from haneul.train.upscaler import steepness
from haneul.video.upscale import Upscaler, UpscalerConfig

Say = Callable[[str], None]

NARROW: Final = UpscalerConfig(width=80, depth=3, fine=8, middle=2, fold=2)
MARGIN: Final = 4  #: small pixels along a crop's border, whose surroundings the student does not see
STILL: Final = 0.08  #: share of lessons that are pictures without motion


@dataclass(frozen=True, kw_only=True)
class UpscalerStudentRecipe:
    """`budget` in seconds of training, over all calls; after two fifths of it the learning rate falls to nothing."""

    teacher: Path  # weights of the upscaler to learn from
    codec: Path
    remade: Path  # latents that a transformer made (remake.py)
    folder: Path  # for lessons, 2.8 MB each at 896x512, and the state
    output: Path
    config: UpscalerConfig = field(default=NARROW)
    lessons: int = 1600
    budget: float = 3600.0
    steps: int | None = None  # at most
    batch: int = 6
    crop: int = 32  # small pixels
    learning_rate: float = 8e-4
    ema: float = 0.99
    threads: int = 2
    workers: int = 2
    save_every: float = 120.0
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """Of one file: what upscalers see, uint8 [n, 3, h, w, 3], and what the teacher draws, uint8 [n, 2, H, W, 3]."""

    seen: NDArray[np.uint8]
    drawn: NDArray[np.uint8]


def read_upscaler(path: Path) -> Upscaler:
    """The weights of `path`, in float32.

    Raises CheckpointError for a file that is none.
    """
    tensors, card = load(path, "upscaler")
    net = Upscaler(UpscalerConfig(**card.config))
    load_into(net, tensors, path)
    net.float().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


@torch.no_grad()
def _lessons(job: tuple[Path, Path, Path, Path, Preset, int, int]) -> int:
    """Lessons from one file of remade windows: a moment of each of so many, some at the ends of what there is."""
    remade, target, teacher_path, codec_path, shape, count, seed = job
    if target.exists():
        return count
    torch.set_num_threads(1)
    teacher, codec = read_upscaler(teacher_path), Codec(shape.codec)
    load_into(codec, load(codec_path, "codec")[0], codec_path)
    z = torch.load(remade, weights_only=True)["z"]
    rng = np.random.default_rng([seed, *remade.stem.encode()])
    seen, drawn = [], []
    for window in rng.choice(len(z), count, replace=count > len(z)):
        video = codec.decode(z[window : window + 1].float())[0].float().clamp(-1, 1)
        last = video.shape[1] - 1
        at = int(rng.integers(last + 1))
        three = [at] * 3 if rng.random() < STILL else [max(at - 1, 0), at, min(at + 1, last)]
        small = ((video[:, three] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0)
        x = _triples(small[None].numpy())
        features = teacher.see(x)
        seen.append(small.numpy())
        drawn.append(np.stack([teacher.picture(x, features, k)[0].numpy() for k in (0, 1)]))
    np.save(_seen(target), np.stack(seen))
    temporary = target.with_suffix(".tmp")
    with temporary.open("wb") as f:
        np.save(f, np.stack(drawn))
    temporary.replace(target)
    return count


def draw_lessons(preset: Preset, recipe: UpscalerStudentRecipe, say: Say = print) -> list[Path]:
    """Have the teacher draw what is missing of the lessons; resumable. Returns their files.

    Raises TrainingError where there is nothing remade to draw from.
    """
    files = sorted(recipe.remade.glob("shard-*.pt"))
    if not files:
        raise TrainingError(f"{recipe.remade} holds nothing that a transformer made; remake clips first")
    recipe.folder.mkdir(parents=True, exist_ok=True)
    count = -(-recipe.lessons // len(files))
    targets = [recipe.folder / f"drawn-{path.stem}.npy" for path in files]
    jobs = [
        (path, target, recipe.teacher, recipe.codec, preset, count, recipe.seed)
        for path, target in zip(files, targets, strict=True)
    ]
    done = 0
    for number in each(_lessons, jobs, recipe.workers):
        done += number
        say(f"{done} lessons drawn")
    return targets


def train_student(preset: Preset, recipe: UpscalerStudentRecipe, say: Say = print) -> Upscaler:
    """Draw the lessons, learn them for the budget, and write the average of the last weights, in eight bits, with its
    card; goes on where it stopped."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    lessons = [_read(path) for path in draw_lessons(preset, recipe, say)]
    held, lessons = lessons[-1:], lessons[:-1] or lessons  # the last file's are for measuring
    net = Upscaler(recipe.config)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net).requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    state = recipe.folder / "state.pt"
    step, before = 0, 0.0
    if state.exists():
        found = torch.load(state, weights_only=True)
        net.load_state_dict(found["net"])
        average.load_state_dict(found["average"])
        optimiser.load_state_dict(found["optimiser"])
        step, before = found["step"], found["seconds"]
        say(f"upscaler: goes on at step {step}")

    def keep() -> None:
        parts = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save(parts | {"step": step, "seconds": elapsed}, state.with_suffix(".tmp"))
        state.with_suffix(".tmp").replace(state)

    rng = np.random.default_rng([recipe.seed, step])
    begin, elapsed = time.monotonic() - before, before
    saved, losses = elapsed, []
    while (elapsed := time.monotonic() - begin) < recipe.budget and step != recipe.steps:
        rate = recipe.learning_rate * min(1, (step + 1) / 30) * max(0.01, min(1, (1 - elapsed / recipe.budget) / 0.6))
        for group in optimiser.param_groups:
            group["lr"] = rate
        x, y = _crops(lessons[int(rng.integers(len(lessons)))], recipe, rng)
        m = MARGIN * recipe.config.scale
        out, y = net(x)[..., m:-m, m:-m], y[..., m:-m, m:-m]
        loss = F.l1_loss(out, y) + edges(out, y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(value, 1 - min(recipe.ema, (1 + step) / (10 + step)))
        if elapsed - saved > recipe.save_every:
            saved = elapsed
            keep()
            say(f"{elapsed / 60:.0f} min, step {step}, loss {np.mean(losses[-100:]):.4f}, {report(average, held)}")
    keep()
    scores = report(average, held)
    say(f"upscaler: {scores}")
    write(recipe, average, step, scores, preset)
    return average


def write(recipe: UpscalerStudentRecipe, net: Upscaler, steps: int, scores: str, preset: Preset) -> None:
    """The checkpoint, with a card that names the teacher by its hash and what that one's card says of its training."""
    _, teacher = load(recipe.teacher, "upscaler")
    told = {
        "method": "distilled from a larger upscaler, on frames that the transformer made", "steps": str(steps),
        "teacher_sha256": file_digest(recipe.teacher), "teacher_trained": teacher.trained,
        **{f"teacher_{name}": value for name, value in teacher.recipe.items()},
    }  # fmt: skip
    told |= {n: str(getattr(recipe, n)) for n in ("lessons", "budget", "batch", "crop", "learning_rate", "ema", "seed")}
    card = Card(
        part="upscaler", preset=preset.name, config=asdict(recipe.config), recipe=told, evaluation={"held_out": scores},
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    save(recipe.output, net.state_dict(), card, bits=8)  # draws the same to .01 dB (docs/log.md)


def _seen(drawn: Path) -> Path:
    """The file beside the one with what a teacher drew."""
    return drawn.with_name(drawn.name.replace("drawn-", "seen-"))


def _read(path: Path) -> Lesson:
    """Read from the disk as it is needed: the drawings of all lessons are gigabytes."""
    return Lesson(np.load(_seen(path)), np.load(path, mmap_mode="r"))


def _triples(seen_N3HWC: NDArray[np.uint8]) -> Tensor:
    """What an upscaler is given, [n, 9, h, w] in [-1, 1]."""
    x = torch.from_numpy(np.ascontiguousarray(seen_N3HWC)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    return x.flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _crops(lesson: Lesson, recipe: UpscalerStudentRecipe, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Inputs [b, 9, c, c] and the teacher's [b, 2, 3, C, C] in [-1, 1], mirrored or not, from even corners on: the
    student sees pixels folded."""
    fold, scale = recipe.config.fold, recipe.config.scale
    h, w = lesson.seen.shape[2:4]
    tall, wide = min(recipe.crop, h), min(recipe.crop, w)
    seen, drawn = [], []
    for _ in range(recipe.batch):
        i = int(rng.integers(len(lesson.seen)))
        y, x = (fold * int(rng.integers((n - c) // fold + 1)) for n, c in ((h, tall), (w, wide)))
        turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
        seen.append(lesson.seen[i, :, y : y + tall, x : x + wide][:, :, turn])
        large = lesson.drawn[i, :, scale * y : scale * (y + tall), scale * x : scale * (x + wide)]
        drawn.append(large[:, :, turn])
    target = torch.from_numpy(np.stack(drawn)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    return _triples(np.stack(seen)), target


@torch.no_grad()
def report(net: Upscaler, held: list[Lesson], most: int = 24) -> str:
    """PSNR against what the teacher draws, of the frame and of the moment between frames, bilinear beside; and how
    steep edges are against the teacher's."""
    own: list[list[float]] = [[], []]
    plain, steep = [], []
    for lesson in held:
        for seen, drawn in zip(lesson.seen[:most], lesson.drawn[:most], strict=True):
            x = _triples(seen[None])
            out = net(x)[0].clamp(-1, 1)
            y = torch.from_numpy(drawn.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
            for k in (0, 1):
                own[k].append(psnr(out[k], y[k]))
            small = F.interpolate(x[:, 3:6], scale_factor=net.cfg.scale, mode="bilinear")[0]
            plain.append(psnr(small, y[0]))
            steep.append(steepness(out[0]) / steepness(y[0]))
    frame, between, bilinear, edge = (float(np.mean(v)) for v in (*own, plain, steep))
    return (
        f"as the teacher to {frame:.2f} dB (bilinear {bilinear:.2f}), between frames {between:.2f} dB, "
        f"edges {100 * edge:.0f}% as steep"
    )
