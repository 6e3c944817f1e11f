"""Seconds and memory of the default clip, from the start of the process to the signed file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from haneul.errors import HaneulError
from haneul.evals.data import Say

PROMPT = "a red rubber ball bounces down grey stairs in a desert at sunset"
GOAL_SECONDS = 45.0
GOAL_BYTES = 2 * 2**30
#: Linux counts the memory of whoever starts a program towards that program's peak. A small process between this one
#: (which may hold torch) and the one that is measured keeps the figure honest. It prints seconds, bytes and exit code.
_LAUNCHER = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
unit = 1 if sys.platform == "darwin" else 1024
code = process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([time.monotonic() - began, usage.ru_maxrss * unit, code]))
"""


def timed(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a process; raises HaneulError when it fails."""
    launched = [sys.executable, "-S", "-E", "-c", _LAUNCHER, *command]
    done = subprocess.run(launched, capture_output=True, text=True, check=True)
    seconds, peak, code = json.loads(done.stdout)
    if code:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise HaneulError(f"{shlex.join(command)} ended with exit code {code}: {last}")
    return float(seconds), int(peak)


def measure(say: Say, runs: int = 2) -> dict[str, Any]:
    """The default clip `runs` times, each in a fresh process, by the settings in force."""
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            output = Path(folder) / f"{run}.mp4"
            command = [sys.executable, "-m", "haneul", "generate", PROMPT, "-o", str(output), "--seed", "1", "-q"]
            took, peak = timed(command)
            say(f"speed: {took:.1f} s, {peak / 2**20:.0f} MiB")
            seconds.append(round(took, 2))
            peaks.append(peak)
    return {
        "prompt": PROMPT,
        "seconds": seconds,
        "peak_mib": round(max(peaks) / 2**20),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "goal_seconds": GOAL_SECONDS,
        "goal_mib": GOAL_BYTES // 2**20,
    }
