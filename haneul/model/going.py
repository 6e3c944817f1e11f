"""How a rider goes through the country (see live.py).

Shapes: B batch, T frames, A actions, R riders, H state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Going(nn.Module):
    """How a rider goes while keys are held: from frame to frame the metres ahead and to the left, and the radians to
    the left, by a small recurrent network that reads the keys alone."""

    unit: Tensor

    def __init__(self, actions: int, riders: int, width: int = 32) -> None:
        super().__init__()
        self.cell = nn.GRUCell(actions + riders, width)
        self.out = nn.Linear(width, 3)
        self.register_buffer("unit", torch.ones(3))  # of the three numbers

    def forward(self, actions_BA: Tensor, rider_BR: Tensor, state_BH: Tensor | None) -> tuple[Tensor, Tensor]:
        """The step [B, 3] to the next frame, and the state then."""
        state = self.cell(torch.cat([actions_BA, rider_BR], -1), state_BH)
        return self.out(state) * self.unit, state

    def along(self, actions_BTA: Tensor, rider_BR: Tensor) -> Tensor:
        """The steps [B, T, 3] of a whole ride."""
        steps, state = [], None
        for actions in actions_BTA.unbind(1):
            step, state = self(actions, rider_BR, state)
            steps.append(step)
        return torch.stack(steps, 1)
