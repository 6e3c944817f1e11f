"""Where this machine computes, and how much memory is free there."""

from __future__ import annotations

import torch


def free_memory(device: str) -> int:
    """Bytes that are free."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def usual_device() -> str:
    """Where this machine computes fastest."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
