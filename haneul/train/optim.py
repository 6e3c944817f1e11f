"""Optimisers: AdamW for everything, or Muon for the matrices inside the blocks and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard

from haneul.model.precision import fast_dtype


class Optimisers:
    """One face for one or two torch optimisers."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts
        self.base = [[g["lr"] for g in p.param_groups] for p in parts]

    def set_rate(self, factor: float) -> None:
        """Scale every learning rate from its base."""
        for part, rates in zip(self.parts, self.base, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [p.state_dict() for p in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Muon(torch.optim.Optimizer):
    """Muon (Keller Jordan et al. 2024): momentum whose update is brought close to an orthogonal matrix, scaled to
    AdamW's root mean square (Liu et al., arXiv 2502.16982, eq. 4), so that both optimisers take the same learning rate.

    The arithmetic and the state are torch.optim.Muon's, with `match_rms_adamw`. Matrices of one shape, of which a
    transformer has one in every block, are done together in batched products: seven groups of launches and not
    fifty-six, which is what a small model waits for on a GPU.
    """

    def __init__(
        self, params: list[nn.Parameter], *, lr: float, weight_decay: float, momentum: float = 0.95, steps: int = 5
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "ns_steps": steps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():
                grads = [p.grad for p in params if p.grad is not None]
                buffers = [self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in params]
                torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
                nesterov = torch._foreach_lerp(grads, buffers, group["momentum"])
                update = orthogonal(torch.stack(nesterov), group["ns_steps"]).to(params[0].dtype)
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(update.unbind()), alpha=-0.2 * max(shape) ** 0.5 * group["lr"])


def orthogonal(g_NRC: Tensor, steps: int = 5) -> Tensor:
    """About the nearest orthogonal matrices: the quintic Newton-Schulz iteration of Muon, in bfloat16
    where that is fast.

    Of matrices whose rows lie on several processes (sharded.py), each process gets a few whole ones by one all-to-all,
    and gives their rows back by another: every matrix is worked on once.
    """
    if isinstance(g_NRC, DTensor):
        rows = cast(DTensor, g_NRC.to(fast_dtype(g_NRC.device.type)))
        own = rows.redistribute(placements=[Shard(0)])
        whole = DTensor.from_local(
            orthogonal(own.to_local(), steps), own.device_mesh, own.placements, shape=own.shape, stride=own.stride()
        )
        return whole.redistribute(placements=rows.placements)
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g_NRC.to(fast_dtype(g_NRC.device.type))
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if tall else x
    return found


def split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices inside the transformer blocks, and all else."""
    inside = {id(p) for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2}
    params: Iterator[nn.Parameter] = model.parameters()
    every = list(params)
    return [p for p in every if id(p) in inside], [p for p in every if id(p) not in inside]


class Rates(Protocol):
    """What a recipe says of its optimisers."""

    @property
    def optimiser(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def build(model: nn.Module, recipe: Rates) -> Optimisers:
    """The recipe's optimisers over `model`."""
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.98), "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "adamw":
        return Optimisers([torch.optim.AdamW(model.parameters(), **adam)])  # type: ignore[arg-type]
    matrices, rest = split(model)
    muon = Muon(matrices, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Optimisers([muon, torch.optim.AdamW(rest, **adam)])  # type: ignore[arg-type]


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, most: float, step: int) -> None:
    """Exponential moving average of the weights after `step` steps, faster at the start; at most `most` is kept."""
    keep = min(most, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
