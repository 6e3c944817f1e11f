"""Distillation: a student that takes a few large steps where its teacher takes many small ones, without guidance.

The noise levels of sampling are cut into as many segments as the student has steps. From anywhere in a segment the
student's velocity points straight to where the guided teacher arrives at the segment's end. The teacher goes there
itself, by a few second-order steps, so a target carries no error of the student's own; this is what progressive
distillation (Salimans & Ho, arXiv 2202.00512) ends in and what consistency models in segments (Heek et al., arXiv
2403.06807; Wang et al., arXiv 2405.18407) learn by bootstrapping, which is there too; the two were not compared yet.
Part of the starts are the student's own: what it gets wrong in one step the teacher then shows it to mend in the next.

Guidance is part of what is learned (Meng et al., arXiv 2210.03142), so a step costs one evaluation and not two. Given
tokens keep their levels, so every mode is distilled with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haneul.data.latents import Batch
from haneul.model.checkpoint import load, load_into
from haneul.model.dit import DiT, DiTConfig
from haneul.model.flow import draw_levels, mix, shift_levels
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.modes import field, timeline
from haneul.model.precision import autocast
from haneul.model.sampler import Denoise, Sampling, euler, over_tokens, schedule
from haneul.model.text import Text
from haneul.train import loop
from haneul.train.loop import Run, Say, noise_like, pick, text_of, whole
from haneul.train.recipes import DistillRecipe


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What both networks are told of a batch besides the noisy latents."""

    text: Text
    time_F: Tensor
    single_F: Tensor
    ctrl_BFK: Tensor
    known_BG: Tensor

    def field(self, dit: DiT, how: Sampling) -> Denoise:
        """The velocity field of a network as sampling has it."""
        return field(
            dit, self.text, how, time_F=self.time_F, single_F=self.single_F, ctrl_BFK=self.ctrl_BFK,
            known_BG=self.known_BG,
        )  # fmt: skip


def solve(velocity: Denoise, z: Tensor, levels: list[Tensor]) -> Tensor:
    """The multistep sampler over levels [B, F, S] that differ from token to token."""
    before: Tensor | None = None
    for i in range(len(levels) - 1):
        step = over_tokens(levels[i + 1] - levels[i], z)
        v = velocity(z, levels[i])
        use = v
        if before is not None:
            last = over_tokens(levels[i] - levels[i - 1], z)
            use = v + step / last.clamp(min=1e-6) / 2 * (v - before) * (last > 0)
        z, before = z + step * use, v
    return z


@torch.no_grad()
def starts(run: Run, recipe: DistillRecipe, batch: Batch, scene: Scene, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Noisy latents, their levels, the levels where their segments end [B, F, S], places in the schedule [B], where
    segments end there [B], and weights (0 on given tokens)."""
    gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
    B, _, T, h, w = batch.z.shape
    k = recipe.student_steps
    segment = torch.randint(k, (B,), generator=gen)
    inside = torch.rand(B, generator=gen) * (torch.rand(B, generator=gen) < recipe.inside)
    own = bool(torch.rand((), generator=gen) < recipe.own)
    if own:  # a batch of the student's own starts is at one place: it goes there together
        segment, inside = segment[:1].expand(B), torch.zeros(B)
    u, u_end = (segment + inside) / k, (segment + 1) / k
    t, t_end = shift_levels(u, recipe.shift), shift_levels(u_end, recipe.shift)
    levels, weight = draw_levels(recipe.levels, B, T, h, w, gen, t)
    place = batch.z.device
    levels, weight, u, u_end, t_end = (x.to(place) for x in (levels, weight, u, u_end, t_end))
    noise = noise_like(batch.z, gen)
    given = weight == 0
    ends = torch.where(given, levels, t_end[:, None, None].expand_as(levels))
    at = mix(batch.z, noise, over_tokens(levels, batch.z))
    if own:
        zero = torch.where(given, levels, torch.zeros_like(levels))
        noisy = mix(batch.z, noise, over_tokens(zero, batch.z)).to(recipe.device)
        places = schedule(k, recipe.shift)[: int(segment[0]) + 1].to(recipe.device)
        at = euler(scene.field(run.ema, recipe.sampling), noisy, places, zero.to(recipe.device)).to(place)
    return at, levels, ends, u, u_end, weight


def loss_of(run: Run, teacher: DiT, step: int) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the batch that belongs to `step`, and what to log of it."""
    r = run.recipe
    assert isinstance(r, DistillRecipe)
    rng = np.random.default_rng([r.seed, step])
    batch = pick(r, step, run.pools, rng)
    B, _, T, h, w = batch.z.shape
    text = text_of(run, batch, rng)
    time_F, single_F = timeline(T, r.preset.base_fps)
    gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
    known = (torch.rand(B, 2, generator=gen) < r.keep_controls).float()
    d = r.device
    scene = Scene(
        text=text.to(d), time_F=time_F.to(d), single_F=single_F.to(d), ctrl_BFK=batch.controls.to(d),
        known_BG=known.to(d),
    )  # fmt: skip
    with autocast(d):
        # On a GPU only the student's own batches are worth compiling for: they have the shapes of training.
        with whole(d == "cpu" or not r.compile):
            z, levels, ends, u, u_end, weight = (x.to(d) for x in starts(run, r, batch, scene, rng))
            target = segment_target(run, r, teacher, scene, z, levels, ends, u, u_end)
        with whole(levels.shape[2] == 1 or not r.compile):
            v = scene.field(run.model, r.sampling)(z, levels)
    cover = batch.cover.to(d).sum(-1).clamp(max=1)
    weight = weight.expand(B, T, -1).reshape(B, T, *((h, w) if weight.shape[2] > 1 else (1, 1))).expand(B, T, h, w)
    weight = weight * (1 + r.subject_weight * cover)
    error = (v.float() - target).square().mean(1)
    loss = (error * weight).sum() / weight.sum().clamp(min=1e-6)
    return loss, {"loss": loss.detach(), "frames": T, "clips": B}


@torch.no_grad()
def segment_target(
    run: Run, r: DistillRecipe, teacher: DiT, scene: Scene, z: Tensor, levels: Tensor, ends: Tensor, u: Tensor,
    u_end: Tensor,
) -> Tensor:  # fmt: skip
    """The velocity [B, C, F, h, w] that leads straight to the end of each segment: where the teacher arrives
    ("solve"), or where one small step of the teacher and then the averaged student lead ("bootstrap"); or the guided
    velocity itself ("guide")."""

    def at(place_B: Tensor) -> Tensor:
        level = shift_levels(place_B, r.shift)[:, None, None].expand_as(levels)
        return torch.where(ends > levels, torch.minimum(torch.maximum(level, levels), ends), levels)

    velocity = scene.field(teacher, Sampling(guidance=r.guidance, rescale=r.rescale, weak=r.weak))
    if r.method == "guide":
        return velocity(z, levels) * (over_tokens(ends - levels, z) > 0)
    whole = over_tokens(ends - levels, z)
    if r.method == "solve":
        places = [u + (u_end - u) * i / r.teacher_steps for i in range(r.teacher_steps + 1)]
        end = solve(velocity, z, [at(p) for p in places])
    else:
        small = torch.minimum(u + 1 / (r.student_steps * r.teacher_steps), u_end)
        t = at(small)
        end = z + over_tokens(t - levels, z) * velocity(z, levels)
        end = end + over_tokens(ends - t, z) * scene.field(run.ema, r.sampling)(end, t)
    return (end - z) / whole.clamp(min=1e-6) * (whole > 0)


def teacher_of(recipe: DistillRecipe) -> DiT:
    """The frozen network that the student learns from, and begins as."""
    assert recipe.begin is not None
    tensors, card = load(recipe.begin, "dit")
    teacher = DiT(DiTConfig(**card.config))
    load_into(teacher, tensors, recipe.begin)
    teacher.requires_grad_(False).to(recipe.device)
    teacher.set_attention(attend_plain if recipe.device == "cpu" else attend_fused)
    if recipe.compile:
        for block in teacher.blocks:
            block.compile(dynamic=False)
    return teacher


def distill(recipe: DistillRecipe, say: Say = print) -> Run:
    """Train a student until the budget is spent (or the cool-down is over); resumes by itself."""
    teacher = teacher_of(recipe)
    return loop.train(recipe, say, lambda run, step: loss_of(run, teacher, step))
