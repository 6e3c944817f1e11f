"""Training of the attribute reader on rendered clips; see `reader`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.errors import TrainingError
from haneul.evals.data import IGNORE, NAMES, Clips, Say, load_clips, nearer
from haneul.evals.reader import Reader, ReaderConfig, read_glimpses
from haneul.model.checkpoint import Card, load, load_into, save
from haneul.model.precision import autocast
from haneul.train.codec import split
from haneul.train.pipeline import commit

#: Weights of the losses; what is hard and what the goals speak of counts more.
WEIGHTS = {"setting": 1.0, "event": 1.5, "color": 2.0, "camera": 1.5, "direction": 1.0}
OTHER_WEIGHT = 0.7
FIND_WEIGHT = 4.0


@dataclass(frozen=True, kw_only=True)
class ReaderRecipe:
    """`budget` is in seconds of wall clock; the learning rate falls over it to zero."""

    data: tuple[Path, ...]
    output: Path
    config: ReaderConfig = field(default_factory=ReaderConfig)
    budget: float = 600.0
    batch: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    held_out_every: int = 16  # every n-th shard is for measuring
    threads: int = 1
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise TrainingError("no folder of clips to train the reader on; make one with: haneul world render")
        if self.budget <= 0:
            raise TrainingError(f"a budget of {self.budget} s leaves no time to train")
        if self.device not in ("cpu", "cuda") or (self.device == "cuda" and not torch.cuda.is_available()):
            raise TrainingError(f"the device {self.device!r} is not at hand; use cpu")


def disturb(pictures_BM3HW: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 pictures as floats in about [-1, 1], a little softer, noisier, lighter or darker: what a codec does to
    them, and nothing that changes an answer."""
    B, M = pictures_BM3HW.shape[:2]
    x = pictures_BM3HW.flatten(0, 1).float() / 127.5 - 1

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        one = low + (high - low) * torch.rand(B, channels, 1, 1, generator=generator)
        return one.repeat_interleave(M, 0).to(x.device)

    if torch.rand((), generator=generator) < 0.6:
        x = x + draw(0, 1) * (F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False) - x)
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    x = x * draw(0.95, 1.05, 3) * draw(0.92, 1.08) + draw(-0.06, 0.06) + draw(0, 0.05) * noise
    return x.view(B, M, *x.shape[1:])


def batch_of(clips: Clips, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Disturbed pictures [B, MOMENTS, 3, H, W], motion [B, SPANS, 5, H/8, W/8], cover [B, MOMENTS, h, w, 2] in 0..1 and
    answers [B, 2, A], in either order of naming; half of the clips are mirrored."""
    mirror = torch.rand(len(index), generator=generator) < 0.5
    x, motion, cover = clips.pictures[index], clips.motion[index].float(), clips.cover[index].float() / 255
    x[mirror], cover[mirror] = x[mirror].flip(-1), cover[mirror].flip(3)
    flow = motion[mirror].flip(-1)
    flow[:, :, 0] *= -1
    motion[mirror] = flow
    motion = motion + 0.05 * torch.randn(motion.shape, generator=generator).to(motion.device)
    return disturb(x, generator), motion, cover, clips.answers[index, mirror.long()]


def loss_of(reader: Reader, pictures: Tensor, motion: Tensor, cover: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy of every attribute, and of where the subjects are. Of `answers` [B, 2, A], the order of naming with
    the smaller loss counts (Yu et al., arXiv 1607.00325)."""
    with autocast(pictures.device.type):
        logits, _, found = reader(pictures, motion)
    orders = torch.zeros(answers.shape[:2], device=answers.device)
    for k, name in enumerate(NAMES):
        weight = WEIGHTS.get(name, OTHER_WEIGHT) / max(1, int((answers[:, 0, k] != IGNORE).sum()))
        for order in (0, 1):
            orders[:, order] += weight * F.cross_entropy(
                logits[k].float(), answers[:, order, k], ignore_index=IGNORE, label_smoothing=0.02, reduction="none"
            )
    return orders.amin(1).sum() + FIND_WEIGHT * F.binary_cross_entropy_with_logits(found, cover)


def accuracy(reader: Reader, clips: list[Clips]) -> dict[str, float]:
    """Share of right answers for each attribute, of the clips where it can be seen."""
    was = reader.training
    reader.eval()
    found = np.concatenate([read_glimpses(reader, c.pictures, c.motion).answers for c in clips])
    reader.train(was)
    right = nearer(found, np.concatenate([c.answers[:, 0].cpu().numpy() for c in clips]))
    return {
        name: float((found[:, k] == right[:, k])[right[:, k] != IGNORE].mean())
        for k, name in enumerate(NAMES)
        if (right[:, k] != IGNORE).any()
    }


def told(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f}%" for name, share in scores.items())


def fit(reader: Reader, recipe: ReaderRecipe, train: list[Clips], held: list[Clips], say: Say) -> int:
    """The loop; returns how many clips were seen."""
    gen = torch.Generator().manual_seed(recipe.seed)
    sizes = torch.tensor([float(len(c)) for c in train])
    optimiser = torch.optim.AdamW(
        reader.parameters(), recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )
    begin, step, spoken, losses = time.monotonic(), 0, 0.0, []
    reader.train()
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 60) * max(0.005, 1 - elapsed / recipe.budget)
        clips = train[int(torch.multinomial(sizes, 1, generator=gen))]
        loss = loss_of(reader, *batch_of(clips, torch.randint(len(clips), (recipe.batch,), generator=gen), gen))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 2.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
        if elapsed - spoken > 60:
            spoken = elapsed
            rate, mean = step * recipe.batch / elapsed, np.mean(losses[-100:])
            scores = told(accuracy(reader, held))
            say(f"{elapsed / 60:.0f} min, {rate:.0f} clips/s, loss {mean:.3f}, held out: {scores}")
    return step * recipe.batch


def _on(clips: Clips, device: str) -> Clips:
    names = ("pictures", "motion", "cover", "answers")
    return replace(clips, **{name: getattr(clips, name).to(device) for name in names})


def train_reader(recipe: ReaderRecipe, say: Say = print) -> dict[str, float]:
    """Train for the budget, from the checkpoint at `recipe.output` if there is one, and write it; returns the accuracy
    on held-out shards."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    parts = [split(folder, recipe.held_out_every) for folder in recipe.data]
    paths, held_paths = ([p for part in parts for p in part[k]] for k in (0, 1))
    train = [_on(c, recipe.device) for smear in (False, True) for c in load_clips(paths, smear=smear)]
    held, held_smeared = (load_clips(held_paths, smear=smear) for smear in (False, True))
    count, checked = sum(map(len, train)) // 2, sum(map(len, held))
    reader = Reader(recipe.config).to(recipe.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.output.exists():
        load_into(reader, load(recipe.output, "reader")[0], recipe.output)
        say(f"reader: goes on from {recipe.output}: {told(accuracy(reader, held))}")
    size = sum(p.numel() for p in reader.parameters()) / 1e6
    say(f"reader: {size:.2f}M parameters, {count} clips to train on, {checked} to check")
    seen = fit(reader, recipe, train, held, say)
    scores = accuracy(reader, held)
    smeared_scores = accuracy(reader, held_smeared)
    say(f"reader: {seen} clips seen; held out: {told(scores)}; smeared: {told(smeared_scores)}")
    card = Card(
        part="reader",
        preset="reader",
        config=asdict(recipe.config),
        recipe={
            "budget": recipe.budget, "batch": recipe.batch, "learning_rate": recipe.learning_rate,
            "clips": count, "clips_seen": seen, "seed": recipe.seed,
        },
        commit=commit(),
        evaluation={
            "held_out_clips": checked,
            "clips": {k: round(v, 4) for k, v in scores.items()},
            "smeared_clips": {k: round(v, 4) for k, v in smeared_scores.items()},
        },
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    recipe.output.parent.mkdir(parents=True, exist_ok=True)
    save(recipe.output, reader.state_dict(), card, dtype=torch.float16)
    return scores
