"""The transformer trained by many processes: torchrun starts them, FSDP2 shares weights, gradients and optimiser state.

    torchrun --nproc-per-node 8 -m haneul train sharded mini --folder FOLDER

A thin layer around loop.py. Every process knows from (seed, step) what the whole batch is, and draws its own clips of
it; losses are weighed so that the mean over processes, which FSDP takes of the gradients, is the loss of the whole
batch: many processes take the step that one would. With `context` processes a clip, its frames are shared out as well
(context.py). Checkpoints are torch.distributed.checkpoint's, and resume on any number of processes.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from haneul.data.latents import MIRROR, Batch, Pool, places
from haneul.errors import TrainingError
from haneul.model.codec import GROUP
from haneul.model.dit import DiT
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.precision import fast_dtype
from haneul.model.text import Text, TextEncoder
from haneul.train import loop, optim
from haneul.train.captions import told
from haneul.train.context import Context, shares
from haneul.train.counts import weightless
from haneul.train.loop import Run, Say
from haneul.train.recipes import Recipe
from haneul.world.vocabulary import COLORS

KEPT = 2  #: checkpoints


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """`context`: processes that share a clip's frames; `recompute`: blocks keep nothing but their input for the
    backward pass and are computed once more, which saves memory for a third more work."""

    context: int = 1
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.context < 1:
            raise TrainingError(f"{self.context} processes cannot share a clip; choose 1 or more")


@dataclass
class ShardedRun(Run):
    """A run of which this process holds a share."""

    rank: int = 0
    world: int = 1
    mesh: DeviceMesh | None = None  # "data" x "context"
    context: Context | None = None


@contextmanager
def processes(device: str) -> Iterator[None]:
    """The process group that torchrun laid out; raises TrainingError where it did not start this process."""
    if not dist.is_torchelastic_launched():
        raise TrainingError("start it by torchrun, such as: torchrun --nproc-per-node 2 -m haneul train sharded nano")
    if device == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl")
    try:
        with warnings.catch_warnings():
            # What the model returns may be a view; nothing here writes into it.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
            yield
    finally:
        dist.destroy_process_group()


def check(recipe: Recipe, how: Sharding, world: int) -> None:
    """Raises TrainingError for what many processes cannot do."""
    if world % how.context:
        raise TrainingError(f"{world} processes cannot be grouped by {how.context}; choose a divisor as the context")
    if recipe.stream is not None:
        raise TrainingError("many processes learn from cached latents, not from a stream; name a folder of latents")
    if recipe.cool_share is not None:
        raise TrainingError("the clocks of processes differ; name the cool-down by its first and last step")


def parted(
    recipe: Recipe, mesh: DeviceMesh, how: Sharding, group: dist.ProcessGroup | None
) -> tuple[DiT, Context | None]:
    """The transformer, shared out over the mesh, with nothing in its weights yet."""
    with weightless():
        model = DiT(recipe.preset.dit)
    kept = {name: b.clone() for name, b in model.named_buffers() if not b.is_meta}  # that no state holds
    attend = attend_plain if recipe.device == "cpu" else attend_fused
    context = None if group is None else Context(model, group, attend)
    if context is None:
        model.set_attention(attend)
    for block in model.blocks:
        if how.recompute:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if recipe.compile:
            block.compile(dynamic=False)
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device=recipe.device)
    for name, buffer in model.named_buffers():
        if name in kept:
            buffer.copy_(kept[name])
    return model, context


def setup(recipe: Recipe, how: Sharding = Sharding()) -> ShardedRun:
    """As loop.setup, inside a process group; takes up the newest checkpoint, or else the state of one process."""
    rank, world = dist.get_rank(), dist.get_world_size()
    check(recipe, how, world)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    pools, _ = loop.gather(recipe)
    wanted, channels = recipe.preset.dit.latent, pools[0].groups.shape[3]
    if wanted != channels:
        raise TrainingError(
            f"{recipe.latents} holds latents of {channels} channels, {recipe.preset.name} learns from {wanted}; "
            "make them with its own codec"
        )
    mesh = init_device_mesh(recipe.device, (world // how.context, how.context), mesh_dim_names=("data", "context"))
    flat = init_device_mesh(recipe.device, (world,))
    model, context = parted(recipe, flat, how, mesh.get_group("context") if how.context > 1 else None)
    ema, _ = parted(replace(recipe, compile=False), flat, Sharding(), None)
    ema.requires_grad_(False)
    text, state = None, {}
    if rank == 0:  # alone holds the whole model, and gives it to the others
        whole, text = loop.fresh(recipe, pools)
        state = whole.state_dict()
    elif recipe.preset.dit.text:
        text = TextEncoder.load(recipe.text_encoder)
        text.to(fast_dtype(recipe.device))
    if text is not None:
        text.to(recipe.device)
    for part in (model, ema):
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        set_model_state_dict(part, dict(state), options=options)
    run = ShardedRun(
        recipe, pools, text, model, ema, optim.build(model, recipe), rank=rank, world=world, mesh=mesh, context=context
    )
    resume(run)
    return run


# ------------------------------------------------------------------------------------------------- a step's own share


class OwnTexts:
    """Encodes of the texts of a batch the own rows alone."""

    def __init__(self, encoder: TextEncoder, rows: slice) -> None:
        self.encoder, self.rows = encoder, rows

    def encode(self, texts: list[str], length: int) -> tuple[Tensor, Tensor]:
        return self.encoder.encode(texts[self.rows], length)


def clips_of(
    run: Run, pool: Pool, batch: int, frames: int, rng: np.random.Generator, rows: slice
) -> tuple[Batch, Text]:
    """The rows of the batch that loop.pick and loop.text_of would draw, on the device; nothing else is read."""
    clips, mirror, starts = places(pool.clips, pool.groups.shape[2], batch, frames, rng)
    facts = [pool.facts[c][f"{GROUP * s}:{GROUP * (s + frames - 1) + 1}"] for c, s in zip(clips, starts, strict=True)]
    c, m, s = (torch.from_numpy(x[rows]) for x in (clips, mirror, starts))
    span = s[:, None] + torch.arange(frames)
    z = pool.groups[c[:, None], m[:, None], span]
    z[:, 0] = pool.singles[c, m, s]
    sign = torch.where(m[:, None, None] == 1, MIRROR, torch.ones_like(MIRROR))
    names = list(COLORS)
    first = [f["subjects"][0]["color"] if f["subjects"] else None for f in facts[rows]]
    whole = Batch(
        z=z.to(run.recipe.device).float().transpose(1, 2),
        cover=pool.cover[c[:, None], m[:, None], span].to(run.recipe.device).float() / 255,
        controls=(pool.controls[c[:, None], span].float() * sign).to(run.recipe.device),
        facts=facts,
        mirrored=[bool(x) for x in mirror],
        clips=clips,
        starts=starts,
        colour_B=torch.tensor([-1 if n is None else names.index(n) for n in first], device=run.recipe.device),
    )
    encoder = None if run.text is None else cast(TextEncoder, OwnTexts(run.text, rows))
    text = told(whole, rng, encoder, run.recipe.text_length, concepts=run.model.concepts is not None)
    if text.concepts is not None:
        text = replace(text, concepts=text.concepts[rows])
    own = replace(whole, facts=facts[rows], mirrored=whole.mirrored[rows], clips=clips[rows], starts=starts[rows])
    return own, text


def loss_of(run: Run, step: int) -> tuple[Tensor, dict[str, Any]]:
    """The share of this process in the loss of the whole batch, times the number of processes, and what to log of it
    (the same everywhere)."""
    assert isinstance(run, ShardedRun)
    assert run.mesh is not None
    r = run.recipe
    rng = np.random.default_rng([r.seed, step])
    gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
    pool, B, T = loop.choose(r, step, run.pools, rng)
    assert isinstance(pool, Pool)
    cut = run.context is not None and run.context.size <= T  # shorter clips are not worth cutting: whole ones go round
    if run.context is not None:
        run.context.frames = T if cut else 0
    parts, part = (run.mesh["data"].size(), run.mesh.get_local_rank("data")) if cut else (run.world, run.rank)
    sizes = shares(B, parts)
    mine, first = sizes[part], sum(sizes[:part])
    rows = slice(first, first + mine) if mine else slice(0, 1)  # who gets no clip takes part for nothing
    batch, text = clips_of(run, pool, B, T, rng, rows)
    drawn = loop.chances(r, torch.empty((B, *batch.z.shape[1:]), device=r.device), gen)
    drawn = loop.Chances(**{name: value[rows] for name, value in vars(drawn).items()})
    found = loop.parts_of(run, batch, text, drawn)
    own = torch.stack([found["weight"], found["weight"].new_tensor(float(len(batch.z)))]) * bool(mine)
    total = own.clone()
    dist.all_reduce(total)
    share = own * run.world / total
    loss = found["loss"] * share[0]
    seen = {"loss": loss.detach()}
    if "truth" in found:
        seen["truth"] = found["truth"].detach() * share[1]
        loss = loss + r.truth_weight * found["truth"] * share[1]
    means = torch.stack(list(seen.values())) / run.world
    dist.all_reduce(means)
    return loss, dict(zip(seen, means.unbind(), strict=True)) | {"frames": T, "clips": B}


# -------------------------------------------------------------------------------------------------------- checkpoints


def saved(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; the file .metadata is written last."""
    return sorted(path.parent for path in (folder / "sharded").glob("step-*/.metadata"))


def state_of(run: ShardedRun) -> dict[str, Any]:
    model, optimisers = get_state_dict(run.model, run.optimisers.parts)
    keep = {"step": run.step, "seconds": run.seconds, "clips": run.clips}
    return {"model": model, "optimisers": optimisers, "ema": get_model_state_dict(run.ema), **keep}


def save(run: ShardedRun) -> Path:
    """Write a checkpoint, each process its share; the oldest go."""
    path = run.recipe.folder / "sharded" / f"step-{run.step:08d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    state_dict_saver.save(state_of(run), checkpoint_id=path)
    if run.rank == 0:
        for old in saved(run.recipe.folder)[:-KEPT]:
            shutil.rmtree(old)
    return path


def resume(run: ShardedRun) -> None:
    """Take up the newest checkpoint, or the state that one process left (loop.save) if that is newer."""
    paths, whole = saved(run.recipe.folder), loop.state_path(run.recipe)
    newest = int(paths[-1].name.removeprefix("step-")) if paths else -1
    if whole.exists():
        found = torch.load(whole, map_location="cpu", weights_only=True, mmap=True)
        if found["step"] > newest:
            share_out(run, found)
            return
    if not paths:
        return
    state = state_of(run)
    state_dict_loader.load(state, checkpoint_id=paths[-1])
    set_state_dict(
        run.model, run.optimisers.parts, model_state_dict=state["model"], optim_state_dict=state["optimisers"]
    )
    set_model_state_dict(run.ema, state["ema"])
    run.step, run.seconds, run.clips = state["step"], state["seconds"], state["clips"]


def share_out(run: ShardedRun, state: dict[str, Any]) -> None:
    """Take up the state of one process; each keeps its share of it."""
    for part, name in ((run.model, "model"), (run.ema, "ema")):
        set_model_state_dict(part, state[name], options=StateDictOptions(full_state_dict=True))
    for optimiser, found in zip(run.optimisers.parts, state["optimisers"], strict=True):
        params = [p for group in optimiser.param_groups for p in group["params"]]
        for number, slots in found["state"].items():
            p = params[number]
            assert isinstance(p, DTensor)
            for name, value in slots.items():
                if value.shape == p.shape:
                    slots[name] = distribute_tensor(value.to(p.device), p.device_mesh, p.placements)
        optimiser.load_state_dict(found)
    run.step, run.seconds, run.clips = state["step"], state["seconds"], state["clips"]


def gather_in(run: ShardedRun) -> None:
    """Write the whole state as loop.save does, so that one process can go on from it and `pipeline.export` finds it."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: whole(v) for k, v in value.items()}
        if isinstance(value, list):
            return [whole(v) for v in value]
        if isinstance(value, DTensor):  # all take part, one keeps
            value = value.full_tensor()
        return value.cpu() if isinstance(value, Tensor) and run.rank == 0 else value if run.rank == 0 else None

    state = {
        "model": whole(dict(run.model.state_dict())),
        "ema": whole(dict(run.ema.state_dict())),
        "optimisers": whole(run.optimisers.state_dict()),
        "step": run.step, "seconds": run.seconds, "clips": run.clips,
    }  # fmt: skip
    if run.rank == 0:
        temporary = loop.state_path(run.recipe).with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(loop.state_path(run.recipe))
    dist.barrier()


# ----------------------------------------------------------------------------------------------------------- the loop


def agreed(run: ShardedRun, yes: bool) -> bool:
    """What the first process says."""
    word = torch.tensor([int(yes)])
    dist.broadcast(word, 0)
    return bool(word.item())


def train(recipe: Recipe, how: Sharding = Sharding(), say: Say = print) -> ShardedRun:
    """Train until the first process's budget is spent (looked at every `log_every` steps) or the cool-down is over."""
    run = setup(recipe, how)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    if run.rank == 0:
        size = sum(p.numel() for p in run.model.parameters()) / 1e6
        say(f"{size:.1f}M parameters on {run.world} processes, step {run.step}")
    recent: dict[int, list[float]] = {n: [] for _, lengths in recipe.curriculum for n in lengths}
    waiting: list[dict[str, Any]] = []
    begin = kept = noted = time.monotonic()
    last = None if recipe.cooldown is None else recipe.cooldown[1]
    over = last is not None and run.step >= last
    with (recipe.folder / "log.jsonl").open("a") as log:
        while not over:
            waiting.append({"step": run.step + 1, **loop.take_step(run, loss_of)})
            ended = last is not None and run.step >= last
            if not ended and run.step % recipe.log_every:
                continue
            facts, waiting = loop.settled(waiting), []
            now = time.monotonic()
            took, noted = now - noted, now
            run.seconds += took
            if run.rank == 0:
                for found in facts:
                    recent[int(found["frames"])].append(found["loss"])
                log.writelines(loop.log_line(run, found) for found in facts)
                log.flush()
                say(loop.progress_line(run, recent, facts[-1], took / len(facts)))
            over = ended or agreed(run, now - begin > recipe.budget)
            if not over and agreed(run, now - kept > recipe.save_every):
                save(run)
                kept = time.monotonic()
    save(run)
    gather_in(run)
    return run
