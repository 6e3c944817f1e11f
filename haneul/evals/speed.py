"""Seconds and memory of the default clip, from the start of the process to the signed file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from haneul.errors import HaneulError
from haneul.evals.data import Say

PROMPT = "a red rubber ball bounces down grey stairs in a desert at sunset"
GOAL_SECONDS = 45.0
GOAL_BYTES = 2 * 2**30
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def timed(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a process; raises HaneulError when it fails."""
    with tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise HaneulError(f"{' '.join(command)} ended with exit code {process.returncode}: {' '.join(last)}")
    return seconds, usage.ru_maxrss * _UNIT


def measure(say: Say, runs: int = 2) -> dict[str, Any]:
    """The default clip `runs` times; each run is a fresh process, the first one may read the weights from a cold disk."""
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            output = Path(folder) / f"{run}.mp4"
            took, peak = timed([sys.executable, "-m", "haneul", "generate", PROMPT, "-o", str(output), "--seed", "1", "-q"])
            say(f"speed: {took:.1f} s, {peak / 2**20:.0f} MiB")
            seconds.append(round(took, 2))
            peaks.append(peak)
    return {
        "prompt": PROMPT,
        "seconds": seconds,
        "peak_mib": round(max(peaks) / 2**20),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "goal_seconds": GOAL_SECONDS,
        "goal_mib": GOAL_BYTES // 2**20,
    }
