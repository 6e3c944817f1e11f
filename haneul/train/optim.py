"""Optimisers: AdamW for everything, or Muon for the matrices inside the blocks and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .recipes import Recipe


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


def split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices inside the transformer blocks, and all else."""
    inside = {id(p) for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2}
    params: Iterator[nn.Parameter] = model.parameters()
    every = list(params)
    return [p for p in every if id(p) in inside], [p for p in every if id(p) not in inside]


def build(model: nn.Module, recipe: Recipe) -> Optimisers:
    """The recipe's optimisers over `model`."""
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.98), "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "adamw":
        return Optimisers([torch.optim.AdamW(model.parameters(), **adam)])  # type: ignore[arg-type]
    matrices, rest = split(model)
    # Keller Jordan et al. 2024; the update is scaled to AdamW's root mean square (Liu et al., arXiv 2502.16982, eq. 4),
    # so that both optimisers take the same learning rate.
    muon = torch.optim.Muon(
        matrices,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    return Optimisers([muon, torch.optim.AdamW(rest, **adam)])  # type: ignore[arg-type]
