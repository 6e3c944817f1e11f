"""Training of the live model (model/live.py) on rides of the world (world/rides.py).

Every frame of a window is drawn at a noise level of its own from the frames before it as they are seen: a little
disturbed or, in every second step once it draws well enough, drawn by the model itself (played.py), so that it learns
to go on from its own mistakes.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haneul.errors import InputError
from haneul.model.checkpoint import Card, load, save
from haneul.model.concepts import one_hot, sizes_of
from haneul.model.flow import mix, velocity
from haneul.model.going import Going
from haneul.model.live import GUESSES, Drawing, LiveConfig, LiveModel
from haneul.model.precision import autocast
from haneul.train import optim
from haneul.train.loop import rate
from haneul.train.optim import Optimisers
from haneul.train.pipeline import commit
from haneul.train.played import Company, Windows
from haneul.train.rides import TOLD, Rides, evened, fitted, read_rides, rider_of, riders_of, root_of
from haneul.world.concepts import SLOTS
from haneul.world.rides import RIDERS

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class LiveRecipe:
    """`budget` is in seconds of wall clock; over its last third the learning rate falls to nothing. The defaults are
    what did best in an hour on two cores (docs/log.md)."""

    data: Path  # shards of rides
    folder: Path  # where latents and checkpoints are kept
    more: tuple[Path, ...] = ()  # further folders of rides, as long as the first one's
    begin: Path | None = None  # weights to go on from where the folder has no checkpoint
    budget: float = 3600.0
    batch: int = 4
    frames: int = 12  # of a window
    first_every: int = 2  # steps to one that also learns to begin: first frames, of `firsts` windows
    firsts: int = 48
    kinds: tuple[str, ...] = tuple(RIDERS)  # of the rides, those that are learned from
    lowest: float = 0.85  # share of frames that are drawn from noise alone, which is where most is decided
    optimiser: str = "muon"  # "adamw" | "muon"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup: int = 60  # steps until the learning rate is whole
    cool_share: float | None = 1 / 3
    cooldown: tuple[int, int] | None = None
    silent: float = 0.15  # share of slots that are left unsaid
    disturbed: float = 0.6  # most disturbance of what is seen, in a difference's spread
    played_from: int = 500  # step from which on every second one learns from rides that the model plays itself
    shifts: float = 0.15  # how much it counts to know how far things have moved
    ema: float = 0.995
    threads: int = 2
    save_every: float = 180.0
    device: str = "cpu"
    compile: bool = True
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Batch:
    z: Tensor  # [B, T, S, C]
    actions: Tensor  # [B, T, A]
    concepts: Tensor  # [B, V]
    sight: Tensor  # [B, T, Y, X, K]
    rider: Tensor  # [B, R]


def mirror(sight_TYXK: Tensor) -> Tensor:
    """Of the mirrored clip: what was on the right is on the left."""
    signs = torch.ones(sight_TYXK.shape[-1])
    signs[-2] = -1
    return sight_TYXK.flip(2) * signs


def windows(rides: Rides, chosen: NDArray[np.int64], recipe: LiveRecipe, rng: np.random.Generator) -> Windows:
    """Random windows of random rides, half of them mirrored."""
    return Windows(
        clips=rng.choice(chosen, recipe.batch), mirrored=rng.random(recipe.batch) < 0.5,
        start=rng.integers(rides.z.shape[2] - recipe.frames + 1, size=recipe.batch), frames=recipe.frames,
        unsaid=tuple(frozenset(s for s in TOLD if rng.random() < recipe.silent) for _ in range(recipe.batch)),
    )  # fmt: skip


def batch_of(rides: Rides, cut: Windows, recipe: LiveRecipe) -> Batch:
    """What stands in these windows."""
    z, actions, seen = [], [], []
    for c, mirrored, start in zip(cut.clips.tolist(), cut.mirrored.tolist(), cut.start.tolist(), strict=True):
        now = slice(start, start + cut.frames)
        z.append(rides.z[c, int(mirrored), now])
        actions.append(rides.keys[c, now] * torch.tensor([-1.0 if mirrored else 1.0, 1.0]))
        sight = rides.sight[c, now].float()
        seen.append(mirror(sight) if mirrored else sight)
    whole = [rides.said[c] for c in cut.clips.tolist()]
    said = [
        {k: v for k, v in one.items() if k not in unsaid} for one, unsaid in zip(whole, cut.unsaid, strict=True)
    ]  # fmt: skip
    return Batch(
        z=torch.stack(z).float().to(recipe.device), actions=torch.stack(actions).to(recipe.device),
        concepts=one_hot(said, SLOTS).to(recipe.device), sight=torch.stack(seen).to(recipe.device),
        rider=riders_of(whole, recipe.kinds).to(recipe.device),
    )  # fmt: skip


def draw(rides: Rides, chosen: NDArray[np.int64], recipe: LiveRecipe, rng: np.random.Generator) -> Batch:
    """A batch of random windows."""
    return batch_of(rides, windows(rides, chosen, recipe, rng), recipe)


def company(rides: Rides, chosen: NDArray[np.int64], recipe: LiveRecipe) -> Company:
    """Rides that the model plays itself; they begin in the first half of rendered ones."""
    length = rides.z.shape[2]

    def begin(frames: int, rng: np.random.Generator) -> Windows:
        found = windows(rides, chosen, recipe, rng)
        start = int(rng.integers(max(1, (length - frames) // 2)))
        return replace(found, start=np.full(recipe.batch, start))

    def ends(cut: Windows) -> Batch:
        return batch_of(rides, cut, recipe)

    return Company(begin=begin, batch_of=ends, length=length // 2)


def targets(model: LiveModel, z: Tensor, seen: Tensor) -> Tensor:
    """What is drawn of frames `z` after those `seen`, both [B, T, S, C]: the first whole, then differences."""
    first = z[:, :1] / model.unit[0]
    return torch.cat([first, (z[:, 1:] - seen[:, :-1]) / model.unit[1]], 1)


def disturb(model: LiveModel, z: Tensor, sigma_B: Tensor) -> Tensor:
    """Frames with noise of `sigma_B` times a difference's spread."""
    return z + sigma_B[:, None, None, None] * torch.randn_like(z) * (model.spread[1] * model.unit[1])


def levels(B: int, T: int, recipe: LiveRecipe, device: torch.device) -> Tensor:
    """Noise levels of frames: `lowest` of them 0, the others from 0 to 1, lower ones more often."""
    t = torch.rand(B, T, device=device) ** 1.5
    return torch.where(torch.rand(B, T, device=device) < recipe.lowest, torch.zeros_like(t), t)


def loss_of(
    model: LiveModel, net: Callable[..., Tensor], batch: Batch, recipe: LiveRecipe, *, starts: bool | None = None,
    seen: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Mean squared error of the velocity, and what `misled` says of the guesses. `seen` are frames that the model drew
    itself; else it sees the true ones, a little disturbed."""
    z, dev = batch.z, batch.z.device
    B, T = z.shape[:2]
    starts = bool(torch.rand(()) < 0.3) and seen is None if starts is None else starts
    first = torch.zeros(T, dtype=torch.bool, device=dev)
    first[0] = starts
    if seen is None:
        sigma = torch.rand(B, device=dev) * recipe.disturbed * (torch.rand(B, device=dev) < 0.8)
        seen = disturb(model, z, sigma)
    else:
        sigma = torch.full((B,), Drawing().sigma, device=dev)
    t = levels(B, T, recipe, dev)
    target = targets(model, z, seen)
    noise = torch.randn_like(target)
    noisy = mix(target, noise, t[:, :, None, None])
    moved = z.new_zeros(B, 1, z.shape[2], GUESSES, z.shape[3])
    if T > 1:
        moved = torch.cat([moved, model.moved_of(seen[:, :-1], batch.sight[:, 1:], batch.rider)], 1)
    with autocast(dev.type):
        v, logits = net(seen, noisy, t, batch.actions, batch.concepts, batch.sight, sigma, first, moved)
    error = (v - velocity(target, noise)).square().mean((2, 3))
    loss: Tensor = recipe.shifts * misled(logits, moved, target) + (error if starts else error[:, 1:]).mean()
    return loss


def misled(logits_BTSK: Tensor, moved_BTSKC: Tensor, target_BTSC: Tensor) -> Tensor:
    """Cross-entropy of the shifts against the one that would leave least to draw, each place by how much that would
    save: of an even ground all are equal."""
    if logits_BTSK.shape[1] == 1:
        return logits_BTSK.new_zeros(())
    errors = (moved_BTSKC[:, 1:] - target_BTSC[:, 1:, :, None]).square().mean(-1)
    least, best = errors.min(-1)
    weight = (errors.mean(-1) - least).clamp(max=2.0)
    each = F.cross_entropy(logits_BTSK[:, 1:].flatten(0, 2), best.flatten(), reduction="none")
    return (each * weight.flatten()).sum() / weight.sum().clamp(min=1e-6)


def around(covers_YX: Tensor) -> Tensor:
    """1 at the points of a sight where a rider is seen now and then, and two points around these: what the sight leads
    is then nearest to the next frame (docs/log.md)."""
    return F.max_pool2d((covers_YX > 0.05).float()[None], 5, stride=1, padding=2)[0]


def learn_going(
    going: Going, rides: Rides, chosen: NDArray[np.int64], riders: tuple[str, ...], say: Say, steps: int = 400
) -> None:
    """Fit how riders go to whole rides and their mirror images; the rate falls to nothing over `steps`."""
    keys, went = rides.keys[chosen], rides.steps[chosen]
    rider = riders_of([rides.said[c] for c in chosen], riders)
    sides = torch.tensor([1.0, -1.0, -1.0])
    keys = torch.cat([keys, keys * torch.tensor([-1.0, 1.0])])
    went, rider = torch.cat([went, went * sides]), rider.repeat(2, 1)
    going.unit.copy_(went.flatten(0, 1).square().mean(0).sqrt().clamp(min=1e-4))
    optimiser = torch.optim.Adam(going.parameters(), 1e-2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        some = torch.randint(len(keys), (64,))
        error = (going.along(keys[some, 1:], rider[some]) - went[some, 1:]) / going.unit
        loss = error.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    say(f"live: how riders go is known but for {loss.item():.4f} of its variance")


def of_riders(name: str) -> bool:
    """Whether a tensor of a live model has the number of riders in its shape; where riders are added it is found anew,
    which takes seconds."""
    return name == "rider" or name.startswith("going.")


def begun(weights: Path | None) -> dict[str, Any] | None:
    """Of finished weights, what a checkpoint has, but for the optimisers."""
    if weights is None:
        return None
    tensors, card = load(weights, "live")
    return {
        "model": tensors, "ema": tensors, "step": int(card.recipe["steps"]), "config": card.config,
        "data_ledger_root": card.data_ledger_root, "begun_with": card.recipe.get("begun_with", []),
    }  # fmt: skip


def checkpoint_of(recipe: LiveRecipe) -> Path:
    return recipe.folder / "live.pt"


def train_live(recipe: LiveRecipe, cfg: LiveConfig | None = None, say: Say = print) -> LiveModel:
    """Train for the budget, from the folder's checkpoint if there is one, or from given weights, whose shape then
    counts, though it may learn riders more than it knew; returns the averaged model."""
    torch.set_num_threads(recipe.threads)
    path, step = checkpoint_of(recipe), 0
    state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else begun(recipe.begin)
    if state is not None:
        cfg = LiveConfig(**state["config"])
    torch.manual_seed(recipe.seed)
    cfg = cfg or LiveConfig(concepts=sizes_of(SLOTS), riders=recipe.kinds)
    known = cfg.riders if state is not None else ()
    if cfg.riders != recipe.kinds[: len(cfg.riders)]:
        raise InputError(
            f"{recipe.folder} holds a model of {', '.join(cfg.riders)}, not of {', '.join(recipe.kinds)}; "
            "go on with the same kinds, name further ones after them, or choose another folder"
        )
    model = LiveModel(replace(cfg, riders=recipe.kinds))
    if state is not None:
        fresh = {name: v for name, v in model.state_dict().items() if of_riders(name) and known != recipe.kinds}
        model.load_state_dict(state["model"] | fresh)
        step = state["step"]
    else:
        fitted(model.code, recipe.data)
    digest = hashlib.sha256(model.code.basis.numpy().tobytes()).hexdigest()[:16]
    rides = read_rides(recipe.data, recipe.folder / f"latents-{digest}", model.code, say, more=recipe.more)
    origin = origin_of((recipe.data, *recipe.more), state)
    every = np.array([i for i, said in enumerate(rides.said) if rider_of(said) in recipe.kinds])
    held, chosen = every[31::32], np.delete(every, np.s_[31::32])
    if missing := set(recipe.kinds) - {rider_of(rides.said[c]) for c in chosen}:
        raise InputError(
            f"{recipe.data} holds no rides of a {' or a '.join(sorted(missing))}; render more of them, or name the "
            "kinds that are to be learned"
        )
    if state is None:
        few = rides.z[chosen[:: max(1, len(chosen) // 64)], 0].float()
        model.measure(few.flatten(0, 2), (few[:, 1:] - few[:, :-1]).flatten(0, 2))
    if known != recipe.kinds:
        for k, kind in enumerate(model.cfg.riders):
            covers = [rides.covers[c] for c in chosen if rider_of(rides.said[c]) == kind]
            model.rider[k] = around(torch.stack(covers).mean(0))
        learn_going(model.going, rides, chosen, model.cfg.riders, say)
    model.going.requires_grad_(False)  # it is small and was learned before
    model.to(recipe.device)
    ema = copy.deepcopy(model).requires_grad_(False)
    if state is not None:
        riders = {name: v for name, v in model.state_dict().items() if of_riders(name)}
        ema.load_state_dict(state["ema"] | riders)
    optimisers = optim.build(model, recipe)
    if state is not None and "optimisers" in state:
        optimisers.load_state_dict(state["optimisers"])
    net = torch.compile(model) if recipe.compile else model
    rng = np.random.default_rng([recipe.seed, step])
    torch.manual_seed(int(rng.integers(2**31)))  # going on, it draws other noise than before
    say(f"live: {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M parameters, {len(chosen)} rides, step {step}")
    chosen = evened(chosen, rides.said)
    begin = saved = told = time.monotonic()
    losses: dict[str, list[float]] = {"loss": [], "of rides it plays": [], "of first frames": []}
    plays = company(rides, chosen, recipe)
    first_step = step
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        optimisers.set_rate(rate(recipe, step, elapsed / recipe.budget))
        if step >= recipe.played_from and step % 2:
            batch, seen = plays.go_on(model, recipe.frames, rng)
            loss = loss_of(model, net, batch, recipe, seen=seen)
            losses["of rides it plays"].append(loss.item())
        else:
            loss = loss_of(model, net, draw(rides, chosen, recipe, rng), recipe)
            losses["loss"].append(loss.item())
        optimisers.zero_grad()
        loss.backward()
        if step % recipe.first_every == 0:
            begins = replace(recipe, batch=recipe.firsts, frames=1)
            first = loss_of(model, model, draw(rides, chosen, begins, rng), begins, starts=True)
            first.backward()
            losses["of first frames"].append(first.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimisers.step()
        step += 1
        optim.follow(ema, model, recipe.ema, step)
        now = time.monotonic()
        if now - told > 30:
            told = now
            pace = (step - first_step) / (now - begin)
            means = ", ".join(f"{name} {np.mean(found[-50:]):.4f}" for name, found in losses.items() if found)
            say(f"live: step {step}, {elapsed / 60:.1f} min, {means}, {pace:.2f} steps/s")
        if now - saved > recipe.save_every:
            saved = now
            _keep(path, model, ema, optimisers, step, origin)
    _keep(path, model, ema, optimisers, step, origin)
    say(f"live: held-out loss {held_loss(ema, rides, held, recipe):.4f} at step {step}")
    return ema


def origin_of(folders: Sequence[Path], state: dict[str, Any] | None) -> dict[str, Any]:
    """Whose rides are learned from, and of a model that learned from others before, from which and for how long."""
    root = root_of(folders)
    begun_with = list((state or {}).get("begun_with", ()))
    if state is not None and state.get("data_ledger_root", root) != root:
        before = {"steps": state["step"], "data_ledger_root": state["data_ledger_root"]}
        begun_with.append(before | {"riders": list(state["config"]["riders"])})
    return {"data_ledger_root": root, "begun_with": begun_with}


def _keep(
    path: Path, model: LiveModel, ema: LiveModel, optimisers: Optimisers, step: int, origin: dict[str, Any]
) -> None:
    state = {
        "model": model.state_dict(), "ema": ema.state_dict(), "optimisers": optimisers.state_dict(), "step": step,
        "config": asdict(model.cfg), **origin,
    }  # fmt: skip
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


@torch.no_grad()
def held_loss(model: LiveModel, rides: Rides, held: NDArray[np.int64], recipe: LiveRecipe) -> float:
    """The loss on rides that were not trained on, by fixed random numbers; nan where there are none."""
    if not len(held):
        return float("nan")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        rng = np.random.default_rng(1)
        batches = [draw(rides, held, replace(recipe, silent=0.0), rng) for _ in range(8)]
        losses = [loss_of(model, model, batch, recipe, starts=False) for batch in batches]
    return float(torch.stack(losses).mean())


def export(recipe: LiveRecipe, output: Path, drawing: Drawing | None = None) -> None:
    """The averaged weights of the folder's checkpoint as a file in eight bits, with their card."""
    state = torch.load(checkpoint_of(recipe), map_location="cpu", weights_only=True)
    card = Card(
        part="live", preset="live", config=state["config"], sampling=asdict(drawing or Drawing()), commit=commit(),
        recipe={
            "steps": state["step"], "batch": recipe.batch, "frames": recipe.frames,
            "riders": {kind: (rider.event, rider.settings) for kind, rider in RIDERS.items() if kind in recipe.kinds},
            "begun_with": state["begun_with"],
        },
        data_ledger_root=state["data_ledger_root"],
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    save(output, state["ema"], card, bits=8)
