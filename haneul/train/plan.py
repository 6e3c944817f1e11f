"""`haneul train plan`: what a size takes to train on so many GPUs: operations, memory, hours, money.

Operations and activations are counted (counts.py). What is assumed and not counted stands in `Wish` and in the table:
how much of a GPU's rate is reached, how much each stage sees, and what a GPU hour costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from haneul.errors import TrainingError
from haneul.model.concepts import sizes_of
from haneul.model.presets import Preset, preset
from haneul.train import counts, recipes
from haneul.train.codec import CodecRecipe
from haneul.train.upscaler import CROP
from haneul.train.upscaler_student import NARROW, UpscalerStudentRecipe
from haneul.video.upscale import Upscaler, UpscalerConfig
from haneul.world.concepts import SLOTS

#: (dense bfloat16 matrix operations a second, bytes of memory) of the SXM boards. NVIDIA's data sheets give the rates
#: of H100 and H200 with sparsity, which is twice as much.
GPUS: Mapping[str, tuple[float, float]] = {
    "a100": (312e12, 80e9),
    "h100": (989.5e12, 80e9),
    "h200": (989.5e12, 141e9),
}
FULL = 0.9  #: of a GPU's memory; the rest is for the allocator, the libraries and what is not counted


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked. `hours`: of all stages together, which then see as much as fits; without, the transformer sees
    `per_parameter` tokens for each of its parameters. 20 is what Hoffmann et al. (arXiv 2203.15556) found for language
    and is not shown for video. `mfu`: share of the GPU's rate that counts, recomputed blocks not counted (Chowdhery et
    al., arXiv 2204.02311, appendix B), `mfu_convolutions` that of codec and upscaler. `codec`, `upscaler`, `distill`:
    what these stages see, as shares of the transformer's clips. `clips`: in memory at once, to each `context` GPUs."""

    size: str
    gpus: int
    gpu: str = "h100"
    hours: float | None = None
    per_parameter: float = 20.0
    mfu: float = 0.4
    mfu_convolutions: float = 0.2
    codec: float = 0.25
    upscaler: float = 0.25
    distill: float = 0.05
    price: float | None = None  # of a GPU hour
    clips: int = 1
    context: int = 1

    def __post_init__(self) -> None:
        if self.gpu not in GPUS:
            raise TrainingError(f"unknown GPU {self.gpu!r}; known ones: {', '.join(GPUS)}")
        if self.gpus < 1 or self.context < 1 or self.clips < 1:
            raise TrainingError(
                f"{self.gpus} GPUs by {self.context} with {self.clips} clips are none; choose 1 or more"
            )
        if self.gpus % self.context:
            raise TrainingError(
                f"{self.gpus} GPUs cannot be grouped by {self.context}; choose a divisor as the context"
            )
        if not (0 < self.mfu <= 1 and 0 < self.mfu_convolutions <= 1):
            raise TrainingError(
                f"shares of a GPU's rate of {self.mfu} and {self.mfu_convolutions} must lie within 0 and 1"
            )
        if self.per_parameter <= 0 or (self.hours is not None and self.hours <= 0):
            raise TrainingError(f"{self.per_parameter} tokens a parameter or {self.hours} hours are no training")
        if min(self.codec, self.upscaler, self.distill) < 0 or (self.price or 0) < 0:
            raise TrainingError("shares of stages and a price must not be negative")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`sees`: how many of `what`; `flops_each` in forward, backward and teacher passes together."""

    name: str
    what: str
    parameters: int
    sees: float
    flops_each: float
    flops: float
    per_second: float
    hours: float
    cost: float | None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on each GPU while the transformer trains: its share of weights, their average, gradients and optimiser
    state; what FSDP2 has whole for a while; and activations, kept or with blocks computed again."""

    weights: float
    average: float
    gradients: float
    optimiser: float
    gathered: float
    activations: float
    activations_recomputed: float

    @property
    def state(self) -> float:
        return self.weights + self.average + self.gradients + self.optimiser + self.gathered

    def fits(self, gpu: str) -> str:
        """Which way of keeping activations has room."""
        room = FULL * GPUS[gpu][1] - self.state
        if self.activations <= room:
            return "as it is"
        return "with blocks computed again" if self.activations_recomputed <= room else "not at all"


@dataclass(frozen=True, kw_only=True)
class Plan:
    wish: Wish
    parameters: int
    tokens: int  # in one of the longest clips
    transformer: counts.Flops  # of one of the longest clips
    stages: list[Stage]
    memory: Memory

    @property
    def hours(self) -> float:
        return sum(stage.hours for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        costs = [s.cost for s in self.stages if s.cost is not None]
        total = {"hours": self.hours, "flops": sum(s.flops for s in self.stages), "cost": sum(costs) if costs else None}
        return asdict(self) | {"total": total, "fits": self.memory.fits(self.wish.gpu)}


def mixed_flops(shape: Preset, lengths: Mapping[int, float], passes: tuple[float, float] = (1.0, 1.0)) -> float:
    """Operations a token over clips of all lengths (latent frames: share of the tokens); so many forward and backward
    passes of the transformer."""
    found = 0.0
    for frames, share in lengths.items():
        flops = counts.transformer_flops(shape, frames)
        tokens = counts.tokens(shape) / counts.latent_frames(shape) * frames
        found += share * (passes[0] * flops.forward + passes[1] * flops.backward) / tokens
    return found


def distill_recipe() -> recipes.DistillRecipe:
    """The settings of distillation; its paths are of no interest here."""
    nowhere = dict.fromkeys(("latents", "folder", "codec", "text_encoder", "begin"), Path())
    return recipes.distill(**nowhere)


def distill_passes(r: recipes.DistillRecipe) -> tuple[float, float]:
    """Forward and backward passes for each clip that a student sees (distill.py): its own, those of the guided teacher,
    and those that lead to its own starts."""
    guided = 1 + (r.guidance != 1.0) + bool(r.weak)
    teacher = {"solve": r.teacher_steps * guided, "bootstrap": guided + 1, "guide": guided}[r.method]
    return 1 + teacher + r.own * (r.student_steps - 1) / 2, 1.0


def memory_of(shape: Preset, wish: Wish) -> Memory:
    """See Memory. Everything is float32 but for products, as loop.py and sharded.py have it; Muon keeps one number for
    each weight of the blocks' matrices, AdamW two for each other. FSDP2 holds what is outside the blocks whole, weights
    and gradients, and of the blocks the weights of the one at work and of the next, and the gradients of one."""
    model = counts.transformer(shape)
    every = counts.parameters(model)
    block = counts.parameters(model.blocks[0])
    matrices = sum(p.numel() for p in model.blocks.parameters() if p.ndim == 2)
    kept = counts.activations(shape)
    each = wish.clips / wish.context
    # Attention keeps the keys and values of all frames, of which a process made only its share.
    others = 2 * 2 * counts.tokens(shape) * shape.dit.width * wish.clips * (1 - 1 / wish.context)
    return Memory(
        weights=4 * every / wish.gpus,
        average=4 * every / wish.gpus,
        gradients=4 * every / wish.gpus,
        optimiser=(4 * matrices + 8 * (every - matrices)) / wish.gpus,
        gathered=0 if wish.gpus == 1 else 8 * (every - shape.dit.depth * block) + 12 * block,
        activations=kept.whole(each) + shape.dit.depth * others,
        activations_recomputed=kept.recomputed(each) + others,
    )


def upscalers_of(shape: Preset) -> list[tuple[Upscaler, str, int, int]]:
    """Without numbers, as train/upscaler.py and upscaler_student.py have them: the wide one and the one that ships; the
    side of a crop of each, and what a teacher takes to draw one. None where the model's own size is that of videos."""
    if shape.upscale < 2:
        return []
    with counts.weightless():
        wide = Upscaler(UpscalerConfig(scale=shape.upscale, middle=2, fine=32)).to("meta")
        narrow = Upscaler(replace(NARROW, scale=shape.upscale)).to("meta")
    crop = UpscalerStudentRecipe.crop
    taught = counts.upscaler_flops(wide, crop).forward
    return [(wide, "upscaler", CROP, 0), (narrow, "narrow upscaler", crop, taught)]


def plan(wish: Wish) -> Plan:
    """Count and reckon."""
    shape = preset(wish.size, sizes_of(SLOTS))
    model = counts.transformer(shape)
    size, per_clip = counts.parameters(model), counts.tokens(shape)
    student, lengths = distill_recipe(), recipes.Recipe.curriculum[-1][1]
    window = CodecRecipe.window
    # (name, what, parameters, how many for each of the transformer's clips, operations each, share of the GPU's rate)
    rows = [
        ("codec", f"windows of {window} frames", counts.parameters(counts.codec(shape)), wish.codec,
         float(counts.codec_flops(shape, window).total), wish.mfu_convolutions),
        ("transformer", "tokens", size, float(per_clip), mixed_flops(shape, lengths), wish.mfu),
        ("distillation", "tokens", size, wish.distill * per_clip,
         mixed_flops(shape, student.curriculum[-1][1], distill_passes(student)), wish.mfu),
    ]  # fmt: skip
    for net, name, crop, taught in upscalers_of(shape):
        counted = counts.upscaler_flops(net, crop)
        rows.insert(-2, (
            name, f"crops of {crop} pixels", counts.parameters(net), wish.upscaler,
            float(counted.total + taught), wish.mfu_convolutions,
        ))  # fmt: skip
    rate = wish.gpus * GPUS[wish.gpu][0]
    seconds_a_clip = sum(sees * flops / (rate * share) for *_, sees, flops, share in rows)
    clips = wish.per_parameter * size / per_clip if wish.hours is None else wish.hours * 3600 / seconds_a_clip
    stages = []
    for name, what, parameters, sees, flops, share in rows:
        hours = clips * sees * flops / (rate * share) / 3600
        cost = None if wish.price is None else hours * wish.gpus * wish.price
        stages.append(
            Stage(
                name=name, what=what, parameters=parameters, sees=clips * sees, flops_each=flops,
                flops=clips * sees * flops, per_second=rate * share / flops, hours=hours, cost=cost,
            )
        )  # fmt: skip
    return Plan(
        wish=wish, parameters=size, tokens=per_clip, transformer=counts.transformer_flops(shape), stages=stages,
        memory=memory_of(shape, wish),
    )  # fmt: skip


def table(found: Plan) -> str:
    """The plan as markdown."""
    w, m, f = found.wish, found.memory, found.transformer
    shape = preset(w.size, sizes_of(SLOTS))
    rate, room = GPUS[w.gpu]
    lines = [
        f"# {w.size} on {w.gpus} {w.gpu}",
        "",
        f"{found.parameters / 1e6:,.1f}M parameters; a clip of {shape.frames} frames of "
        f"{shape.base_size[0]}x{shape.base_size[1]} is {found.tokens:,} tokens and takes {f.forward:.3g} operations "
        f"forward, {f.backward:.3g} backward, {f.attention / f.total:.0%} of them attention.",
        f"Assumed: {rate / 1e12:g} TFLOP/s a GPU, of which {w.mfu:.0%} are reached in the transformer and "
        f"{w.mfu_convolutions:.0%} in convolutions; for each of the transformer's clips {w.codec:g} windows for the "
        f"codec, {w.upscaler:g} crops for the upscaler, {w.distill:g} clips for distillation.",
        "",
        "| stage | parameters | sees | operations | a second | hours | cost |",
        "|---|---|---|---|---|---|---|",
    ]
    total = [s.cost for s in found.stages if s.cost is not None]
    for s in found.stages:
        cost = "" if s.cost is None else f"{s.cost:,.2f}"
        lines.append(
            f"| {s.name} | {s.parameters / 1e6:,.1f}M | {s.sees:.3g} {s.what} | {s.flops:.3g} | {s.per_second:.3g} | "
            f"{s.hours:.3g} | {cost} |"
        )
    flops = sum(s.flops for s in found.stages)
    lines += [
        f"| all | | | {flops:.3g} | | {found.hours:.3g} | {f'{sum(total):,.2f}' if total else ''} |",
        "",
        f"Memory of a GPU ({room / 1e9:g} GB) while the transformer trains, {w.clips} of the longest clips to "
        f"{w.context} GPU{'s' if w.context > 1 else ''}:",
        "",
        "| | GB |",
        "|---|---|",
    ]
    parts = asdict(m)
    lines += [f"| {name.replace('_', ', ')} | {value / 1e9:.2f} |" for name, value in parts.items()]
    lines += [
        f"| in all, activations kept | {(m.state + m.activations) / 1e9:.2f} |",
        f"| in all, blocks computed again | {(m.state + m.activations_recomputed) / 1e9:.2f} |",
        "",
        f"It fits {m.fits(w.gpu)}." if m.fits(w.gpu) != "not at all" else "It does not fit: name a larger --context.",
    ]
    return "\n".join(lines) + "\n"
