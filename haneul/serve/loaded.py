"""What is loaded before it is needed, so that whoever begins in a dead process's place is there at once.

multiprocessing's fork server imports preload.py, and preload_model.py where workers make videos with a model of our
own, and every child is a copy of it. So these load nothing that does not survive a copy: no thread, no open database,
no GPU.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path

from haneul.backbones.base import Backbone
from haneul.config import Settings, load_settings

_log = logging.getLogger("haneul.serve.loaded")
_models: dict[Path | None, Backbone] = {}  # folder of weights -> what was loaded from it


def ahead(*loads: Callable[[], None]) -> None:
    """Before copies are made."""
    import torch

    torch.set_num_threads(1)  # a pool of threads does not survive a copy; workers choose their own number
    for load in loads:
        attempt(load)
    gc.collect()
    gc.freeze()  # else each collection would touch, and so copy, all that is shared


def attempt(load: Callable[[], None]) -> None:
    """What cannot be loaded ahead is loaded by who needs it, who says why it cannot."""
    try:
        load()
    except Exception as error:  # noqa: BLE001
        _log.warning("%s could not be loaded ahead: %s", load.__name__, error)


def screen() -> None:
    """What every prompt is looked at with: some 3 s of computing."""
    from haneul import screen
    from haneul.screen.policy import load_policy

    screen.look(load_policy(load_settings()), "a red ball rolls")


def model() -> None:
    """The networks of the settings, and what numba has compiled."""
    import numpy as np
    import torch

    from haneul.engine import default_backbone
    from haneul.trust.imprint import fixed, imprint
    from haneul.video.steepen import steepened
    from haneul.video.upscale import Upscaler, UpscalerConfig

    settings = load_settings()
    found = default_backbone(settings)
    found.identity()  # digests the weights
    _models[settings.weights] = found
    list(Upscaler(UpscalerConfig(width=8, depth=1, fine=8)).requires_grad_(False).stream(torch.zeros(1, 3, 8, 8)))
    imprint(steepened(np.zeros((64, 64, 3), np.uint8)), fixed(np.zeros((64, 64), np.float32)), 4)


def backbone_of(settings: Settings) -> Backbone:
    """The model of the settings: the one that was loaded ahead, if it is that."""
    from haneul.engine import default_backbone

    if settings.model or settings.weights not in _models:
        return default_backbone(settings)
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    return _models[settings.weights]
