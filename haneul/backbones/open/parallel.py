"""One video by several graphics cards: the tokens of each denoiser are split over the processes of a `torchrun`.

    torchrun --nproc-per-node 2 -m haneul generate "a fox runs through snow" --model ./Wan2.2-TI2V-5B-Diffusers

The first process is the command itself: it screens, plans, makes, marks and signs. The others follow it: they load
the same checkpoint by the same plan, and whenever the first one calls a pipeline they make the same call, so that their
denoisers compute their share of the tokens (diffusers' context parallel, Ulysses: Jacobs et al. 2023,
arXiv:2309.14509). They decode nothing and write nothing. Every process needs the memory for all weights; only what is
computed in between is shared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haneul.backbones.open.extras import Extras
    from haneul.backbones.open.memory import Plan
    from haneul.backbones.open.sources import Pipeline

#: Denoisers that are split. diffusers 0.42.1 has plans for those of LTX, Helios and ChronoEdit too; LTX's breaks off
#: (its attention mask has all heads where a process has its share), the others were not tried.
SPLIT = ("WanTransformer3DModel",)
#: How long the others wait for the first one, which decodes, marks and writes alone between two calls.
PATIENCE = timedelta(days=1)
_calling = False  #: whether the first process is within a call that the others make with it


@dataclass(frozen=True, kw_only=True)
class Load:
    """Bring a checkpoint into memory."""

    folder: Path
    name: str
    plan: Plan
    extras: Extras


@dataclass(frozen=True, kw_only=True)
class Call:
    """Make a call of a pipeline. What cannot be sent is told otherwise: the generator by its seed, the turning of a
    loop by whether it turns."""

    pipeline: str
    given: dict[str, Any]
    seed: int
    turns: bool


def count() -> int:
    """How many processes have found each other; 1 outside of `together`."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def leads() -> bool:
    """Whether this process is the first of several that have found each other."""
    import torch.distributed as dist

    return count() > 1 and dist.get_rank() == 0


@contextmanager
def together() -> Iterator[bool]:
    """Runs a command by all processes that torchrun started: True in the one that runs it. The others follow it until
    it has ended."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":  # without loading torch
        yield True
        return
    import torch
    import torch.distributed as dist

    cards = torch.cuda.is_available()
    if cards:
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo", timeout=PATIENCE)
    if dist.get_rank() > 0:
        follow()
        yield False
    else:
        try:
            yield True
        finally:
            if not _calling:  # else the others wait within a call, and torchrun ends them
                tell(None)
    dist.destroy_process_group()


def tell(message: Load | Call | None) -> None:
    """Tell all other processes what to do; None that all is done."""
    _shared(message)


def follow() -> None:
    """Do what the first process tells, until it says that all is done."""
    from haneul.backbones.open import folder, loops, sources
    from haneul.backbones.open.pipelines import Pipelines

    loaded: Pipelines | None = None
    while (message := _shared(None)) is not None:
        if isinstance(message, Load):
            if loaded is not None:
                loaded.release()
            loaded = Pipelines(folder.read(message.folder, message.name), message.plan, message.extras)
        elif loaded is not None:
            import torch

            pipeline = sources.pipeline(message.pipeline)
            assert pipeline is not None
            given = message.given | {"generator": torch.Generator("cpu").manual_seed(message.seed)}
            loaded.call(pipeline, None, **given, **(loops.turning(pipeline) if message.turns else {}))


@contextmanager
def called(pipeline: Pipeline, given: dict[str, Any]) -> Iterator[None]:
    """Within it, all other processes make the call that this one makes."""
    global _calling
    if not leads():
        yield
        return
    sent = {name: value for name, value in given.items() if name not in ("generator", "callback_on_step_end")}
    tell(
        Call(
            pipeline=pipeline.name, given=sent | {"output_type": "latent"}, seed=given["generator"].initial_seed(),
            turns="callback_on_step_end" in given,
        )
    )  # fmt: skip
    _calling = True
    yield
    _calling = False  # not where the call broke off


def split(denoiser: Any) -> None:
    """Let each process compute its share of a denoiser's tokens."""
    from diffusers import ContextParallelConfig

    denoiser.enable_parallelism(config=ContextParallelConfig(ulysses_degree=count(), ulysses_anything=True))


def _shared(message: Load | Call | None) -> Any:
    """What the first process says, in every process."""
    import torch
    import torch.distributed as dist

    box = [message]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]
