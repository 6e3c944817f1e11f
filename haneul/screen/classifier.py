"""A small classifier on the text encoder's states, for what the rules have no word for.

The encoder's last layers, tuned to this task (head.py), and of their states the mean and the largest values; trained by
`haneul eval train-screen`. Biases are shifted so that 0.8 is the same sureness in every category (train/screen.py). It
adds to the rules and never overrides them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from haneul.errors import CheckpointError

__all__ = ["Classifier", "bundled"]

WEIGHTS: Final = Path(str(files("haneul"))) / "screen" / "classifier.safetensors"
ENCODER: Final = Path(str(files("haneul"))) / "weights" / "text_encoder.safetensors"


@dataclass(frozen=True)
class Classifier:
    """`probabilities` gives [B, categories] in 0 to 1 for B texts."""

    categories: list[str]
    probabilities: Callable[[list[str]], NDArray[np.float32]]

    @staticmethod
    def load(path: Path) -> Classifier:
        """Raises CheckpointError when it cannot be used."""
        import torch  # which whoever only imports the engine need not load

        from haneul.model.checkpoint import from_few_bits
        from haneul.model.text import TextEncoder, shared_encoder
        from haneul.screen.head import inner_states, tuned

        try:
            with safe_open(path, "pt") as tensors:
                categories = (tensors.metadata() or {})["categories"].split()
                found = from_few_bits({name: tensors.get_tensor(name) for name in tensors.keys()})  # noqa: SIM118
            encoder = shared_encoder(ENCODER)
            one = encoder.norm.weight
            exact = one.device.type == "cpu" and one.dtype == torch.float32  # else it was moved for a model
            head = tuned(encoder if exact else TextEncoder.load(ENCODER), found)
            if len(head.out.bias) != len(categories):
                raise ValueError(f"{len(head.out.bias)} answers for {len(categories)} categories")
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"the screen's classifier {path} cannot be read ({error}); reinstall haneul"
            ) from error

        def probabilities(texts: list[str]) -> NDArray[np.float32]:
            # The first as it stands, whose states are kept for the video, and the others together.
            parts = [part for part in (texts[:1], texts[1:]) if part]
            with torch.no_grad():
                rows = [head(*inner_states(encoder, part)).sigmoid() for part in parts]
            answer: NDArray[np.float32] = torch.cat(rows).numpy()
            return answer

        return Classifier(categories, probabilities)

    def read(self, texts: list[str]) -> list[dict[str, float]]:
        """Category -> probability for each text."""
        return [dict(zip(self.categories, map(float, row), strict=True)) for row in self.probabilities(texts)]


@lru_cache(maxsize=1)
def bundled() -> Classifier:
    """The classifier that ships."""
    return Classifier.load(WEIGHTS)
