"""The training loop of the transformer: load, loss, step, evaluate, sample, save.

Every batch is a function of (seed, step) alone, so a run that was killed and resumed takes the same steps as one that
was not.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.data.latents import Batch, Pool, draw, load_pools
from haneul.errors import TrainingError
from haneul.model.concepts import one_hot
from haneul.model.dit import DiT
from haneul.model.flow import draw_levels, flow_loss, mix
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.modes import timeline
from haneul.model.text import Text, TextEncoder
from haneul.train import optim
from haneul.train.captions import stated, worded
from haneul.train.recipes import Recipe
from haneul.world.concepts import SLOTS
from haneul.world.vocabulary import COLORS

Say = Callable[[str], None]


@dataclass
class Run:
    """What a run consists of; `step` is the number of the next step."""

    recipe: Recipe
    pools: list[Pool]
    text: TextEncoder | None  # of a model that reads words; concepts need none
    model: DiT
    ema: DiT
    optimisers: optim.Optimisers
    step: int = 0
    seconds: float = 0.0
    clips: int = 0


def setup(recipe: Recipe) -> Run:
    """Load data and build the model, or take up the state that `recipe.folder` holds."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    pools = load_pools(recipe.latents)
    if not pools:
        raise TrainingError(f"{recipe.latents} holds no latents; make them with: haneul train nano --stage latents")
    model = DiT(recipe.preset.dit)
    model.set_spread(*spreads(pools))
    text = TextEncoder.load(recipe.text_encoder) if model.refine is not None else None
    if model.refine is not None and text is not None:
        model.refine.standardise(*text.encode(sample_texts(pools[0])))
        text.to(torch.bfloat16)
    run = Run(recipe, pools, text, model, copy.deepcopy(model), None)  # type: ignore[arg-type]
    run.ema.requires_grad_(False)
    if recipe.device != "cpu":
        for part in (run.model, run.ema, run.text):
            if part is not None:
                part.to(recipe.device)
    run.optimisers = optim.build(run.model, recipe)
    resume(run)
    # Attention and compilation wrap the model from outside; the weights stay the model's own.
    run.model.set_attention(attend_plain if recipe.device == "cpu" else attend_fused)
    if recipe.compile:
        torch._dynamo.config.recompile_limit = 64
        for block in run.model.blocks:
            block.compile(dynamic=False)
    return run


def sample_texts(pool: Pool, count: int = 256) -> list[str]:
    """Captions by which the text states are standardised; the same for the same data."""
    rng = np.random.default_rng(0)
    return [worded(list(f.values())[rng.integers(len(f))], False, rng)[0] for f in pool.facts[:count]]


def spreads(pools: list[Pool], limit: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviations [C] of the channels of groups and of single frames, and [K] of the controls."""
    found = []
    for name in ("groups", "singles"):
        rows = [getattr(p, name)[:limit].float().movedim(3, -1).flatten(0, -2) for p in pools]
        found.append(torch.cat(rows).square().mean(0).sqrt())
    controls = torch.cat([p.controls[:limit].float().flatten(0, 1) for p in pools])
    return found[0], found[1], controls.square().mean(0).sqrt()


def text_of(run: Run, batch: Batch, rng: np.random.Generator) -> Text:
    """What the model reads of the captions of a batch, worded anew."""
    pairs = list(zip(batch.facts, batch.mirrored, strict=True))
    if run.text is None:
        return Text(concepts=one_hot([stated(f, m, rng) for f, m in pairs], SLOTS))
    found = [worded(f, m, rng) for f, m in pairs]
    states, mask = run.text.encode([text for text, _ in found], run.recipe.text_length)
    concepts = one_hot([said for _, said in found], SLOTS) if run.model.concepts is not None else None
    return Text(states=states, mask=mask, concepts=concepts)


def state_path(recipe: Recipe) -> Path:
    return recipe.folder / "state.pt"


def resume(run: Run) -> None:
    """Take up a saved state if there is one."""
    path = state_path(run.recipe)
    if not path.exists():
        return
    state = torch.load(path, map_location=run.recipe.device, weights_only=True)
    run.model.load_state_dict(state["model"])
    run.ema.load_state_dict(state["ema"])
    run.optimisers.load_state_dict(state["optimisers"])
    run.step, run.seconds, run.clips = state["step"], state["seconds"], state["clips"]


def save(run: Run) -> None:
    """Write the whole state atomically."""
    run.recipe.folder.mkdir(parents=True, exist_ok=True)
    path = state_path(run.recipe)
    temporary = path.with_suffix(".tmp")
    keep = {"step": run.step, "seconds": run.seconds, "clips": run.clips}
    torch.save(
        {
            "model": run.model.state_dict(),
            "ema": run.ema.state_dict(),
            "optimisers": run.optimisers.state_dict(),
            **keep,
        },
        temporary,
    )
    temporary.replace(path)


def pick(recipe: Recipe, step: int, pools: list[Pool], rng: np.random.Generator) -> Batch:
    """A batch of one size and one length; sizes come up as often as they have clips."""
    weights = np.array([p.clips for p in pools], float)
    pool = pools[rng.choice(len(pools), p=weights / weights.sum())]
    wanted = recipe.lengths(step)
    lengths = [n for n in wanted if n <= pool.groups.shape[2]]
    shares = np.array([wanted[n] for n in lengths])
    frames = int(rng.choice(lengths, p=shares / shares.sum()))
    h, w = pool.grid
    return draw(pool, max(1, recipe.tokens // (frames * h * w)), frames, rng)


def truth_target(batch: Batch) -> Tensor:
    """[B, F, S, 12]: coverage by the first and by the other subjects, then the first one's colour times its share."""
    names = list(COLORS)
    colour = torch.zeros(len(batch.facts), len(names))
    for i, facts in enumerate(batch.facts):
        if facts["subjects"]:
            colour[i, names.index(facts["subjects"][0]["color"])] = 1
    cover = batch.cover.flatten(2, 3)
    return torch.cat([cover, cover[..., :1] * colour[:, None, None]], -1)


def loss_of(run: Run, step: int) -> tuple[Tensor, dict[str, float]]:
    """Loss of the batch that belongs to `step`, and what to log of it."""
    r = run.recipe
    rng = np.random.default_rng([r.seed, step])
    gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
    batch = pick(r, step, run.pools, rng)
    B, _, T, h, w = batch.z.shape
    text = text_of(run, batch, rng)
    levels, weight = draw_levels(r.levels, B, T, h, w, gen)
    noise = torch.randn(batch.z.shape, generator=gen)
    grid = levels.expand(B, T, levels.shape[2]).reshape(B, 1, T, *((h, w) if levels.shape[2] > 1 else (1, 1)))
    z_t = mix(batch.z, noise, grid)
    null = torch.rand(B, generator=gen) < r.drop_text
    known = (torch.rand(B, 2, generator=gen) < r.keep_controls).float()
    time_F, single_F = timeline(T, r.preset.base_fps)
    weight = weight.expand(B, T, -1).reshape(B, T, *((h, w) if weight.shape[2] > 1 else (1, 1))).expand(B, T, h, w)
    weight = weight * (1 + r.subject_weight * batch.cover.sum(-1).clamp(max=1))
    device = r.device
    with torch.autocast(device, torch.bfloat16):
        v, truth = run.model(
            z_t.to(device),
            levels.to(device),
            text.to(device),
            time_F=time_F.to(device),
            single_F=single_F.to(device),
            null_B=null.to(device),
            ctrl_BFK=batch.controls.to(device),
            known_BG=known.to(device),
            truth_at=r.truth_at,
        )
    loss = flow_loss(v, batch.z.to(device), noise.to(device), weight.to(device))
    log = {"loss": loss.item(), "frames": T, "clips": B}
    if truth is not None and r.truth_weight:
        extra = F.mse_loss(truth.float(), truth_target(batch).to(device))
        log["truth"] = extra.item()
        loss = loss + r.truth_weight * extra
    return loss, log


def rate(recipe: Recipe, step: int) -> float:
    """Factor on the learning rate: warm-up, then constant, then a linear fall if there is a cool-down."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    if recipe.cooldown is None:
        return warm
    first, last = recipe.cooldown
    return warm * min(1.0, max(0.0, (last - step) / (last - first)))


@torch.no_grad()
def update_ema(run: Run) -> None:
    """Exponential moving average of the weights, faster at the start."""
    keep = min(run.recipe.ema, (1 + run.step) / (10 + run.step))
    torch._foreach_lerp_(list(run.ema.parameters()), list(run.model.parameters()), 1 - keep)


def take_step(run: Run) -> dict[str, float]:
    """Take the step `run.step`; returns what to log of it."""
    loss, facts = loss_of(run, run.step)
    run.optimisers.set_rate(rate(run.recipe, run.step))
    run.optimisers.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.clip, foreach=True)
    run.optimisers.step()
    update_ema(run)
    run.step += 1
    run.clips += int(facts["clips"])
    return facts


def train(recipe: Recipe, say: Say = print) -> Run:
    """Train until the budget is spent (or the cool-down is over); resumes by itself."""
    run = setup(recipe)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    size = sum(p.numel() for p in run.model.parameters()) / 1e6
    clips = sum(p.clips for p in run.pools)
    say(f"{size:.1f}M parameters, {clips} clips, step {run.step}, {run.seconds / 60:.0f} min so far")
    begin = saved = sheeted = time.monotonic()
    recent: dict[int, list[float]] = {n: [] for _, lengths in recipe.curriculum for n in lengths}
    with (recipe.folder / "log.jsonl").open("a") as log:
        while (now := time.monotonic()) - begin < recipe.budget:
            if recipe.cooldown and run.step >= recipe.cooldown[1]:
                break
            facts = take_step(run)
            run.seconds += time.monotonic() - now
            recent[int(facts["frames"])].append(facts["loss"])
            log.write(log_line(run, facts))
            if run.step % recipe.log_every == 0:
                say(progress_line(run, recent, facts, time.monotonic() - now))
                log.flush()
            if time.monotonic() - saved > recipe.save_every:
                save(run)
                saved = time.monotonic()
            if time.monotonic() - sheeted > recipe.sheet_every:
                from haneul.train.sheet import write_sheet

                write_sheet(run)
                sheeted = time.monotonic()
    save(run)
    return run


def log_line(run: Run, facts: dict[str, float]) -> str:
    """One line of log.jsonl."""
    return (
        json.dumps({"step": run.step, "s": round(run.seconds, 1), **{k: round(v, 5) for k, v in facts.items()}}) + "\n"
    )


def progress_line(run: Run, recent: dict[int, list[float]], facts: dict[str, Any], took: float) -> str:
    """One line: step, minutes, clips, running loss for each length, speed."""
    means = " ".join(f"{n}f {np.mean(v[-50:]):.4f}" for n, v in recent.items() if v)
    speed = facts["clips"] / max(took, 1e-9)
    so_far = f"step {run.step} {run.seconds / 60:.1f} min {run.clips} clips"
    return f"{so_far} | loss {means} | {took:.2f} s a step, {speed:.0f} clips/s"
