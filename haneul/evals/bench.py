"""`haneul bench`: what speed and steadiness were promised, measured on this machine, as a table and as JSON."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from haneul import engine
from haneul.backbones.native import Native
from haneul.evals import drift, peers
from haneul.evals.data import Say
from haneul.evals.speed import PROMPT, timed

Row = tuple[str, str, str, str]  # measure, goal, figure, beside it
GOALS = {"warm": 4.0, "cold": 12.0, "stream": 1.5, "ratio": 6.3, "peak_mib": 3072}
QUICK = ("warm", "cold", "stream", "peers")
LONG = ("long", "drift", "open")
HD = "1920x1080"


def warm(model: Native, say: Say, runs: int = 3) -> dict[str, Any]:
    """Seconds of the default clip by an engine that has made one already."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            began = time.perf_counter()
            engine.generate(PROMPT, output=Path(folder) / f"{run}.mp4", seed=1, backbone=model)
            seconds.append(round(time.perf_counter() - began, 2))
            say(f"warm: {seconds[-1]:.1f} s")
    return {"seconds": seconds[1:], "median": statistics.median(seconds[1:])}


class _Clock(io.BytesIO):
    """A stream that remembers when it got what."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.perf_counter()
        self.marks: list[tuple[float, int]] = []  # seconds since the beginning, bytes until then

    def write(self, data: Any) -> int:
        count = super().write(data)
        self.marks.append((time.perf_counter() - self.began, self.tell()))
        return count


def playable(data: bytes) -> int:
    """Frames that a player finds in the beginning of a file."""
    found = 0
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            for _ in container.decode(video=0):
                found += 1
    except FFmpegError:
        return found
    return found


def stream(model: Native, say: Say, runs: int = 3) -> dict[str, Any]:
    """Seconds until the first second of a stream can be played, by an engine that is warm."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            clock = _Clock()
            engine.generate(PROMPT, output=Path(folder) / f"{run}.mp4", seed=1, backbone=model, stream=clock)
            whole = clock.getvalue()
            fps = model.capabilities().fps
            seconds.append(round(next(at for at, size in clock.marks if playable(whole[:size]) >= fps), 2))
            say(f"stream: first second after {seconds[-1]:.2f} s")
    return {"seconds": seconds, "median": statistics.median(seconds)}


def cold(say: Say, runs: int = 2) -> dict[str, Any]:
    """Seconds and peak memory of the default clip from the start of a process to the signed file."""
    return _processes(say, "cold", ["4"] * runs, "896x512")


def long(say: Say) -> dict[str, Any]:
    """Seconds and peak memory of 10 and 60 seconds at 1920x1080."""
    result = _processes(say, "long", ["10", "60"], HD)
    ten, sixty = result["seconds"]
    return result | {"ratio": round(sixty / ten, 2)}


def _processes(say: Say, name: str, lengths: list[str], size: str) -> dict[str, Any]:
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run, length in enumerate(lengths):
            output = str(Path(folder) / f"{run}.mp4")
            command = [sys.executable, "-m", "haneul", "generate", PROMPT, "-o", output, "--seed", "1", "-q"]
            took, peak = timed([*command, "--seconds", length, "--size", size])
            say(f"{name}: {length} s at {size} in {took:.1f} s, {peak / 2**20:.0f} MiB")
            seconds.append(round(took, 2))
            peaks.append(round(peak / 2**20))
    return {"seconds": seconds, "peak_mib": max(peaks)}


def run(names: tuple[str, ...], model: Native, say: Say) -> dict[str, Any]:
    """The named measures, each on its own."""
    every: dict[str, Callable[[], dict[str, Any]]] = {
        "warm": functools.partial(warm, model, say),
        "cold": functools.partial(cold, say),
        "stream": functools.partial(stream, model, say),
        "peers": functools.partial(peers.measure, model, say),
        "long": functools.partial(long, say),
        "drift": functools.partial(drift.measure, model, say),
        "open": functools.partial(_open, say),
    }
    return {name: every[name]() for name in names}


def _open(say: Say) -> dict[str, Any]:
    """Open checkpoints against plain diffusers, where the extra is installed."""
    if any(importlib.util.find_spec(name) is None for name in ("diffusers", "transformers", "accelerate")):
        return {"missing": "haneul[open]"}
    from haneul.evals import peers_open

    return peers_open.measure(say)


# ---------------------------------------------------------------------------------------------------------- the table


def rows(results: dict[str, Any]) -> list[Row]:
    """Measure, goal, figure, beside it."""
    table: list[Row] = []
    if r := results.get("warm"):
        note = f"runs: {r['seconds']}"
        table.append(("default clip, warm engine", f"≤ {GOALS['warm']:g} s", f"{r['median']:.1f} s", note))
    if r := results.get("cold"):
        note = f"runs: {r['seconds']}; peak memory {r['peak_mib']} MiB"
        goal = f"≤ {GOALS['cold']:g} s"
        table.append(("the same, process start to signed file", goal, f"{min(r['seconds']):.1f} s", note))
    if r := results.get("stream"):
        note = f"runs: {r['seconds']}"
        goal = f"≤ {GOALS['stream']:g} s"
        table.append(("first playable second of a stream, warm", goal, f"{r['median']:.1f} s", note))
    if r := results.get("long"):
        note = f"{r['seconds'][0]:.0f} s and {r['seconds'][1]:.0f} s"
        table.append((f"60 s at {HD}: time against 10 s", f"≤ {GOALS['ratio']:g}x", f"{r['ratio']:.1f}x", note))
        table.append(("its peak memory", f"≤ {GOALS['peak_mib']} MiB", f"{r['peak_mib']} MiB", ""))
    if r := results.get("peers"):
        table += _peer_rows(r)
    if r := results.get("open"):
        from haneul.evals import peers_open

        table += peers_open.rows(r) or [("open checkpoints", "", "not measured", "install haneul[open]")]
    if r := results.get("drift"):
        note = f"median of {len(r['each'])} prompts at the model's own size"
        for name, value in r["median"].items():
            goal = f"within {100 * r['goal']:.0f}%" if name in ("colour", "sharpness") else "reported"
            table.append(
                (f"{name} of the last 5 s over the first 5 s of {r['seconds']:g} s", goal, f"{value:.2f}", note)
            )
    return table


def _peer_rows(r: dict[str, Any]) -> list[Row]:
    s, ms = r["shape"], r["milliseconds"]
    note = (
        f"{r['gflop_a_step']:g} GFLOP in {ms['ours']:.0f} ms; products of {peers.PRODUCT}x{peers.PRODUCT} matrices: "
        f"{r['product_gflops']:.0f} GFLOP/s; {r['dtype']}, {r['threads']} threads"
    )
    share = f"share of this machine's rate of matrix products ({r['dtype']}) that the transformer reaches"
    table = [(share, f"≥ {100 * r['goal_share']:.0f}%", f"{100 * r['share']:.0f}%", note)]
    for name, peer in (("wan", "Wan"), ("ltx", "LTX-Video")):
        goal = f"≥ {r['goal_faster']:g}x faster"
        what = f"a step against diffusers' {peer} transformer of equal width, depth and tokens"
        if name not in ms:
            table.append((what, goal, "not measured", "install haneul[bench]"))
            continue
        sizes = {k: f"{r['parameters'][k] / 1e6:.1f}M" for k in ("ours", name)}
        beside = (
            f"{ms['ours']:.0f} ms ({sizes['ours']}) against {ms[name]:.0f} ms ({sizes[name]}); {s['tokens']} tokens, "
            f"{s['width']} wide, {s['depth']} deep, random weights, {r['turns']} turns"
        )
        table.append((what, goal, f"{r[f'faster_than_{name}']:.2f}x", beside))
    return table


def markdown(result: dict[str, Any]) -> str:
    """The results as a table, with the machine."""
    lines = ["| measure | goal | figure | beside it |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(result["measures"])]
    m = result["machine"]
    made = f"`{result['command']}`, commit {result['commit'] or 'unknown'}, {result['date']}"
    load = f"; load average {result['load']:.1f} when it began" if result["load"] is not None else ""
    return "\n".join([*lines, "", f"Made by {made}, on {m['cores']} cores of {m['processor']}{load}.", ""])


def load_average() -> float | None:
    """What else the machine does, where it says so."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
