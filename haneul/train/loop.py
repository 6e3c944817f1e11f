"""The training loop of the transformer: load, loss, step, evaluate, sample, save.

Every batch is a function of (seed, step) alone, so a run that was killed and resumed takes the same steps as one that
was not.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.data.latents import Batch, Pool, draw, load_pools
from haneul.data.ledger import LEDGER, read_seeds, write_seeds
from haneul.data.resident import Feed, Resident
from haneul.errors import TrainingError
from haneul.model.checkpoint import load, load_into
from haneul.model.concepts import one_hot_of_numbers, sizes_of
from haneul.model.dit import DiT
from haneul.model.flow import draw_levels, flow_loss, mix
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.modes import timeline
from haneul.model.precision import autocast, fast_dtype
from haneul.model.text import Text, TextEncoder
from haneul.train import optim
from haneul.train.captions import told, worded
from haneul.train.recipes import DistillRecipe, Recipe
from haneul.world.concepts import SLOTS
from haneul.world.vocabulary import COLORS

Say = Callable[[str], None]


#: (run, step) -> the loss of that step's batch, and what to log of it (numbers, or scalars still on the device)
Loss = Callable[["Run", int], tuple[Tensor, dict[str, Any]]]


@dataclass
class Run:
    """What a run consists of; `step` is the number of the next step."""

    recipe: Recipe
    pools: list[Pool | Resident]
    text: TextEncoder | None  # of a model that reads words; concepts need none
    model: DiT
    ema: DiT
    optimisers: optim.Optimisers
    step: int = 0
    seconds: float = 0.0
    clips: int = 0
    feed: Feed | None = None  # of a run whose clips are made while it trains
    began: float = 0.0  # on the monotonic clock, of this call's first step


def gather(recipe: Recipe) -> tuple[list[Pool | Resident], Feed | None]:
    """The latents to train on; of a stream, waits until there are enough to begin."""
    if recipe.stream is None:
        pools: list[Pool | Resident] = [*load_pools(recipe.latents)]
        if not pools:
            raise TrainingError(f"{recipe.latents} holds no latents; make them with: haneul train nano --stage latents")
        return pools, None
    feed = Feed(recipe.stream, recipe.device, capacity=recipe.capacity, files=recipe.files)
    begin, clips = time.monotonic(), 0
    while clips < recipe.begin_clips:
        if time.monotonic() - begin > recipe.patience:
            raise TrainingError(f"{recipe.stream} gave {clips} clips in {recipe.patience:g} s; is a stream running?")
        clips += feed.take(wait=0.5)
    return list(feed.pools.values()), feed


def fresh(recipe: Recipe, pools: list[Pool | Resident]) -> tuple[DiT, TextEncoder | None]:
    """The model that a run begins with, and what encodes its words if it reads any."""
    model = DiT(recipe.preset.dit)
    found = spreads(pools)
    model.set_spread(*found)
    text = TextEncoder.load(recipe.text_encoder) if model.refine is not None else None
    if model.refine is not None and text is not None:
        if not isinstance(pools[0], Pool):
            raise TrainingError(
                "a stream keeps what captions state and not their words; train a model that reads concepts"
            )
        model.refine.standardise(*text.encode(sample_texts(pools[0])))
        text.to(fast_dtype(recipe.device))
    if recipe.begin is not None:
        load_into(model, load(recipe.begin, "dit")[0], recipe.begin)
        if not isinstance(recipe, DistillRecipe):  # a student begins as its teacher
            model.hear(found[2])
    return model, text


def setup(recipe: Recipe) -> Run:
    """Load data and build the model, or take up the state that `recipe.folder` holds."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    pools, feed = gather(recipe)
    model, text = fresh(recipe, pools)
    run = Run(recipe, pools, text, model, copy.deepcopy(model), None, feed=feed)  # type: ignore[arg-type]
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


def spreads(pools: list[Pool | Resident], limit: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviations [C] of the channels of groups and of single frames, and [K] of the controls."""
    found = []
    for name in ("groups", "singles"):
        rows = [getattr(p, name)[:limit].float().movedim(3, -1).flatten(0, -2) for p in pools]
        found.append(torch.cat(rows).square().mean(0).sqrt())
    controls = torch.cat([p.controls[:limit].float().flatten(0, 1) for p in pools])
    return found[0], found[1], controls.square().mean(0).sqrt()


def text_of(run: Run, batch: Batch, rng: np.random.Generator) -> Text:
    """What the model reads of the captions of a batch, worded anew (or beforehand, of a resident pool)."""
    if batch.said_BK is not None:
        return Text(concepts=one_hot_of_numbers(batch.said_BK, sizes_of(SLOTS)))
    return told(batch, rng, run.text, run.recipe.text_length, concepts=run.model.concepts is not None)


def state_path(recipe: Recipe) -> Path:
    return recipe.folder / "state.pt"


def ledger_path(recipe: Recipe) -> Path:
    """The clips that a run on a stream has learned from, so far."""
    return recipe.folder / LEDGER


def resume(run: Run) -> None:
    """Take up a saved state if there is one."""
    path = state_path(run.recipe)
    if not path.exists():
        return
    if run.feed is not None and ledger_path(run.recipe).exists():
        run.feed.ledger |= read_seeds(ledger_path(run.recipe))
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
    if run.feed is not None:
        write_seeds(ledger_path(run.recipe), run.feed.ledger)
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


def choose(
    recipe: Recipe, step: int, pools: list[Pool | Resident], rng: np.random.Generator
) -> tuple[Pool | Resident, int, int]:
    """Where a batch comes from, its clips and its latent frames; sizes come up as often as they have clips."""
    weights = np.array([p.clips for p in pools], float)
    pool = pools[rng.choice(len(pools), p=weights / weights.sum())]
    wanted = recipe.lengths(step)
    lengths = [n for n in wanted if n <= pool.groups.shape[2]]
    shares = np.array([wanted[n] for n in lengths])
    frames = int(rng.choice(lengths, p=shares / shares.sum()))
    h, w = pool.grid
    return pool, max(1, recipe.tokens // (frames * h * w)), frames


def pick(recipe: Recipe, step: int, pools: list[Pool | Resident], rng: np.random.Generator) -> Batch:
    """A batch of one size and one length."""
    pool, batch, frames = choose(recipe, step, pools, rng)
    return draw(pool, batch, frames, rng) if isinstance(pool, Pool) else pool.draw(batch, frames, rng)


def truth_target(batch: Batch) -> Tensor:
    """[B, F, S, 12]: coverage by the first and by the other subjects, then the first one's colour times its share."""
    names = list(COLORS)
    if batch.colour_B is not None:
        colour = F.one_hot(batch.colour_B + 1, len(names) + 1)[:, 1:].float()
    else:
        colour = torch.zeros(len(batch.facts), len(names))
        for i, facts in enumerate(batch.facts):
            if facts["subjects"]:
                colour[i, names.index(facts["subjects"][0]["color"])] = 1
    cover = batch.cover.flatten(2, 3)
    return torch.cat([cover, cover[..., :1] * colour[:, None, None]], -1)


def noise_like(z: Tensor, gen: torch.Generator) -> Tensor:
    """Normal noise, drawn where `z` lies: on a GPU by its own generator, which `gen` seeds."""
    if z.device.type == "cpu":
        return torch.randn(z.shape, generator=gen)
    own = torch.Generator(z.device).manual_seed(int(torch.randint(2**62, (), generator=gen)))
    return torch.randn(z.shape, generator=own, device=z.device)


@dataclass(frozen=True, kw_only=True)
class Chances:
    """What chance decides of a batch besides its clips: noise levels [B, F, S or 1], their weights (0 on given tokens),
    noise [B, C, F, h, w], whether the prompt is dropped [B] and which controls are told [B, 2]."""

    levels: Tensor
    weight: Tensor
    noise: Tensor
    null: Tensor
    known: Tensor


def chances(r: Recipe, z: Tensor, gen: torch.Generator) -> Chances:
    """Drawn for latents shaped like `z` [B, C, F, h, w]."""
    B, _, T, h, w = z.shape
    levels, weight = (x.to(z.device, non_blocking=True) for x in draw_levels(r.levels, B, T, h, w, gen))
    noise = noise_like(z, gen)
    null = torch.rand(B, generator=gen) < r.drop_text
    known = (torch.rand(B, 2, generator=gen) < r.keep_controls).float()
    return Chances(levels=levels, weight=weight, noise=noise, null=null, known=known)


def parts_of(run: Run, batch: Batch, text: Text, drawn: Chances) -> dict[str, Tensor]:
    """Of a batch: "loss", its mean over tokens by weight; "weight", the sum of those; "truth", the auxiliary head's."""
    r, device = run.recipe, run.recipe.device
    B, _, T, h, w = batch.z.shape
    levels, weight, noise = drawn.levels, drawn.weight, drawn.noise
    grid = levels.expand(B, T, levels.shape[2]).reshape(B, 1, T, *((h, w) if levels.shape[2] > 1 else (1, 1)))
    z_t = mix(batch.z, noise, grid)
    time_F, single_F = timeline(T, r.preset.base_fps)
    weight = weight.expand(B, T, -1).reshape(B, T, *((h, w) if weight.shape[2] > 1 else (1, 1))).expand(B, T, h, w)
    weight = weight * (1 + r.subject_weight * batch.cover.sum(-1).clamp(max=1))
    with autocast(device), whole(levels.shape[2] == 1 or not r.compile):
        v, truth = run.model(
            z_t.to(device),
            levels.to(device),
            text.to(device),
            time_F=time_F.to(device),
            single_F=single_F.to(device),
            null_B=drawn.null.to(device),
            ctrl_BFK=batch.controls.to(device),
            known_BG=drawn.known.to(device),
            truth_at=r.truth_at,
        )
    parts = {"loss": flow_loss(v, batch.z.to(device), noise.to(device), weight.to(device)), "weight": weight.sum()}
    if truth is not None and r.truth_weight:
        parts["truth"] = F.mse_loss(truth.float(), truth_target(batch).to(device))
    return parts


def loss_of(run: Run, step: int) -> tuple[Tensor, dict[str, Any]]:
    """Loss of the batch that belongs to `step`, and what to log of it."""
    r = run.recipe
    rng = np.random.default_rng([r.seed, step])
    gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
    batch = pick(r, step, run.pools, rng)
    text = text_of(run, batch, rng)
    parts = parts_of(run, batch, text, chances(r, batch.z, gen))
    loss = parts["loss"]
    log = {"loss": loss.detach(), "frames": batch.z.shape[2], "clips": len(batch.z)}
    if "truth" in parts:
        log["truth"] = parts["truth"].detach()
        loss = loss + r.truth_weight * parts["truth"]
    return loss, log


def whole(usual: bool) -> AbstractContextManager[Any]:
    """Compiled blocks take the usual shapes; what comes seldom (a noise level of its own for each token) runs as it is,
    which costs less than compiling for it."""
    return nullcontext() if usual else torch.compiler.set_stance("force_eager")


class Schedule(Protocol):
    """What a recipe says of its learning rate over time."""

    @property
    def warmup(self) -> int: ...
    @property
    def cool_share(self) -> float | None: ...
    @property
    def cooldown(self) -> tuple[int, int] | None: ...


def rate(recipe: Schedule, step: int, spent: float = 0.0) -> float:
    """Factor on the learning rate: warm-up, then constant, then a linear fall if there is a cool-down, by steps or by
    the share `spent` of this call's budget."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    if recipe.cool_share is not None:
        return warm * min(1.0, max(0.0, (1 - spent) / recipe.cool_share))
    if recipe.cooldown is None:
        return warm
    first, last = recipe.cooldown
    return warm * min(1.0, max(0.0, (last - step) / (last - first)))


def take_step(run: Run, loss_of: Loss = loss_of) -> dict[str, Any]:
    """Take the step `run.step`; returns what to log of it."""
    loss, facts = loss_of(run, run.step)
    spent = (time.monotonic() - run.began) / run.recipe.budget if run.began else 0.0
    run.optimisers.set_rate(rate(run.recipe, run.step, spent))
    run.optimisers.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.clip, foreach=True)
    run.optimisers.step()
    optim.follow(run.ema, run.model, run.recipe.ema, run.step)
    run.step += 1
    run.clips += int(facts["clips"])
    return facts


def train(recipe: Recipe, say: Say = print, loss_of: Loss = loss_of) -> Run:
    """Train until the budget is spent (or the cool-down is over); resumes by itself."""
    run = setup(recipe)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    size = sum(p.numel() for p in run.model.parameters()) / 1e6
    clips = sum(p.clips for p in run.pools)
    say(f"{size:.1f}M parameters, {clips} clips, step {run.step}, {run.seconds / 60:.0f} min so far")
    run.began = begin = saved = sheeted = noted = time.monotonic()
    waiting: list[dict[str, Any]] = []  # not yet written down: a GPU is asked for its losses only now and then
    recent: dict[int, list[float]] = {n: [] for _, lengths in recipe.curriculum for n in lengths}
    with (recipe.folder / "log.jsonl").open("a") as log:
        while time.monotonic() - begin < recipe.budget:
            if recipe.cooldown and run.step >= recipe.cooldown[1]:
                break
            waiting.append({"step": run.step + 1, **take_step(run, loss_of)})
            if recipe.device == "cpu" or run.step % recipe.log_every == 0:
                facts = settled(waiting)
                waiting = []
                ended = time.monotonic()
                took, noted = ended - noted, ended
                run.seconds += took
                for found in facts:
                    recent[int(found["frames"])].append(found["loss"])
                    log.write(log_line(run, found))
                if run.step % recipe.log_every == 0:
                    say(progress_line(run, recent, facts[-1], took / len(facts)))
                    log.flush()
            if run.feed is not None and run.step % recipe.feed_every == 0:
                run.feed.take(2)
                run.pools = list(run.feed.pools.values())
            if time.monotonic() - saved > recipe.save_every:
                save(run)
                saved = time.monotonic()
            if time.monotonic() - sheeted > recipe.sheet_every:
                from haneul.train.sheet import write_sheet

                write_sheet(run)
                sheeted = time.monotonic()
        log.writelines(log_line(run, found) for found in settled(waiting))
    save(run)
    if run.feed is not None:
        run.feed.close()
    return run


def settled(facts: list[dict[str, Any]]) -> list[dict[str, float]]:
    """What steps reported, as plain numbers, fetched from the device all at once."""
    held = [(i, k) for i, found in enumerate(facts) for k, v in found.items() if isinstance(v, Tensor)]
    if held:
        values = torch.stack([facts[i][k].float() for i, k in held]).tolist()
        for (i, k), value in zip(held, values, strict=True):
            facts[i][k] = value
    return facts


def log_line(run: Run, facts: dict[str, float]) -> str:
    """One line of log.jsonl."""
    return json.dumps({"s": round(run.seconds, 1), **{k: round(v, 5) for k, v in facts.items()}}) + "\n"


def progress_line(run: Run, recent: dict[int, list[float]], facts: dict[str, Any], took: float) -> str:
    """One line: step, minutes, clips, running loss for each length, speed."""
    means = " ".join(f"{n}f {np.mean(v[-50:]):.4f}" for n, v in recent.items() if v)
    speed = facts["clips"] / max(took, 1e-9)
    so_far = f"step {run.step} {run.seconds / 60:.1f} min {run.clips} clips"
    return f"{so_far} | loss {means} | {took:.2f} s a step, {speed:.0f} clips/s"
