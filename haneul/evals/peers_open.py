"""`haneul bench open`: an open checkpoint through our engine's backbone against the same one through plain diffusers.

The checkpoints are Wan's networks with random weights, made here: what is compared is what lies around them. Both take
turns in one process, on the device that our engine would take, and each has a process of its own for the time from its
start and the memory at its peak. On a machine that others use too, the time of the processor says more than the clock,
so both are told. Skipping what hardly changes from step to step is measured at as many steps as videos are made with.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from haneul.backbones.base import Request
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.device import usual_device
from haneul.backbones.open.extras import Extras
from haneul.backbones.open.folder import read
from haneul.evals.data import Say
from haneul.evals.speed import timed

GOAL_EXACT, GOAL_CACHED = 1.3, 2.0
PROMPTS = ("a red ball rolls down a hill", "a boat in a storm", "a robot pours tea", "clouds over a city")


@dataclass(frozen=True, kw_only=True)
class Size:
    """A checkpoint and the video that it makes."""

    width: int
    layers: int
    text_width: int
    text_layers: int
    frames: int = 9
    sides: tuple[int, int] = (128, 96)
    steps: int = 8
    long_steps: int = 30  #: where blocks are skipped


SIZES = {
    "tiny": Size(width=96, layers=4, text_width=64, text_layers=2),
    "medium": Size(width=384, layers=12, text_width=512, text_layers=8, frames=17, sides=(192, 128), steps=10),
}


def build(size: Size, folder: Path) -> Path:
    """A checkpoint of Wan's networks with random weights."""
    import diffusers
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    letters = ["<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(letters)}, merges=[], unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    text: Any = transformers.UMT5Config(
        vocab_size=300, d_model=size.text_width, d_ff=2 * size.text_width, d_kv=64, num_layers=size.text_layers,
        num_heads=size.text_width // 64, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    parts: dict[str, Any] = {
        "tokenizer": tokenizer,
        "text_encoder": transformers.UMT5EncoderModel(text).eval(),
        "vae": diffusers.AutoencoderKLWan(
            base_dim=16, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        "transformer": diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=size.width // 48, attention_head_dim=48,
            text_dim=size.text_width, freq_dim=64, ffn_dim=4 * size.width, num_layers=size.layers,
            rope_max_seq_len=128,
        ),
        "scheduler": diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    }  # fmt: skip
    pipe: Any = diffusers.WanPipeline(**parts)
    pipe.save_pretrained(folder)
    return folder


class Clock:
    """When steps end, by the clock."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def tick(self) -> None:
        """A step has ended, on a graphics card too."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    @property
    def step(self) -> float:
        """Seconds of a step after the first one."""
        return (self.ends[-1] - self.ends[0]) / max(1, len(self.ends) - 1)


#: A prompt and a number of steps -> frames [T, H, W, 3], and when each step ended.
Way = Callable[[str, int, Clock], np.ndarray[Any, Any]]


def plain(folder: Path, size: Size) -> Way:
    """A video of a prompt by diffusers alone."""
    import diffusers

    from haneul.model.precision import fast_dtype

    device = usual_device()
    pipe = diffusers.WanPipeline.from_pretrained(folder, dtype=fast_dtype(device)).to(device)
    pipe.set_progress_bar_config(disable=True)

    def make(prompt: str, steps: int, clock: Clock) -> np.ndarray[Any, Any]:
        def ended(_pipe: Any, _step: int, _time: Any, told: dict[str, Any]) -> dict[str, Any]:
            clock.tick()
            return told

        w, h = size.sides
        answer = pipe(
            prompt=prompt, height=h, width=w, num_frames=size.frames, num_inference_steps=steps,
            generator=torch.Generator().manual_seed(1), output_type="np", callback_on_step_end=ended,
        )  # fmt: skip
        frames: np.ndarray[Any, Any] = (answer.frames[0] * 255).round().astype(np.uint8)
        return frames

    return make


def ours(folder: Path, size: Size, extras: Extras | None = None) -> Way:
    """A video of a prompt by our backbone."""
    model = Open(read(folder), extras=extras)

    def make(prompt: str, steps: int, clock: Clock) -> np.ndarray[Any, Any]:
        request = Request(
            prompt=prompt, seconds=size.frames / model.rules.fps, size=size.sides, seed=1, steps=steps,
            guidance=model.rules.guidance,
        )  # fmt: skip
        return np.stack(list(model.generate(request, lambda *_: clock.tick())))

    return make


def measure(
    say: Say, names: tuple[str, ...] = ("tiny", "medium"), turns: int = 3, cache: float = 0.1
) -> dict[str, Any]:
    """Seconds, by the clock and of the processor, of plain diffusers and of ours: bit for bit, as it is by default, for
    a text that was seen, and with the first-block cache against plain diffusers at as many steps; milliseconds of a
    step; how pixels differ; seconds and peak memory of a process of its own."""
    goals = {"goal_exact": GOAL_EXACT, "goal_cached": GOAL_CACHED}
    found: dict[str, Any] = goals | {"cache": cache, "device": usual_device()}
    for name in names:
        size = SIZES[name]
        with tempfile.TemporaryDirectory() as at, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = build(size, Path(at) / name)
            usual, skips = ours(folder, size), ours(folder, size, Extras(cache=cache))
            ways: dict[str, tuple[Way, int]] = {
                "plain": (plain(folder, size), size.steps),
                "exact": (ours(folder, size, Extras(exact=True)), size.steps),
                "ours": (usual, size.steps),
            }
            ways["plain, long"] = (ways["plain"][0], size.long_steps)
            ways["cached"] = (skips, size.long_steps)
            frames = {key: make(PROMPTS[0], steps, Clock()).astype(float) for key, (make, steps) in ways.items()}
            seconds: dict[str, list[float]] = {key: [] for key in (*ways, "seen")}
            processor: dict[str, list[float]] = {key: [] for key in seconds}
            step: dict[str, list[float]] = {key: [] for key in seconds}
            for turn in range(turns):
                for key, (make, steps) in (*ways.items(), ("seen", (usual, size.steps))):
                    began, used, clock = time.perf_counter(), time.process_time(), Clock()
                    make(PROMPTS[0 if key == "seen" else 1 + turn % 3], steps, clock)
                    seconds[key].append(round(time.perf_counter() - began, 3))
                    processor[key].append(round(time.process_time() - used, 3))
                    step[key].append(round(1000 * clock.step, 1))
                    say(f"open, {name}, {key}: {seconds[key][-1]:.2f} s, {processor[key][-1]:.2f} s of the processor")
            alone = {}
            for key in ("plain", "ours"):
                told = [key, json.dumps(asdict(size)), str(folder), str(Path(at) / key)]
                took, peak = timed([sys.executable, "-W", "ignore", "-m", "haneul.evals.peers_open", *told])
                card = int((Path(at) / key).read_text())
                alone[key] = {
                    "seconds": round(took, 2), "peak_mib": round(peak / 2**20), "card_mib": round(card / 2**20),
                }  # fmt: skip
                say(f"open, {name}, {key} from the start: {took:.1f} s, {peak / 2**20:.0f} MiB")
        apart = {key: np.abs(frames[key] - frames[against(key)]) for key in ("exact", "ours", "cached")}
        found[name] = asdict(size) | {
            "seconds": seconds, "processor": processor, "process": alone, "step_ms": step,
            "median_step_ms": {key: statistics.median(values) for key, values in step.items()},
            "median": {key: statistics.median(values) for key, values in seconds.items()},
            "largest_difference": {key: int(value.max()) for key, value in apart.items()},
            "mean_difference": {key: round(float(value.mean()), 3) for key, value in apart.items()},
            "faster": {key: faster(seconds, key) for key in ("exact", "ours", "seen", "cached")},
            "faster_processor": {key: faster(processor, key) for key in ("exact", "ours", "seen", "cached")},
        }  # fmt: skip
    return found


def against(key: str) -> str:
    """What a way is compared with."""
    return "plain, long" if key == "cached" else "plain"


def faster(seconds: dict[str, list[float]], key: str) -> float:
    """How many times as fast as plain diffusers: the median of the turns."""
    return round(statistics.median(a / b for a, b in zip(seconds[against(key)], seconds[key], strict=True)), 2)


def rows(result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Measure, goal, figure, beside it."""
    table = []
    for name in SIZES:
        if (r := result.get(name)) is None:
            continue
        shape = f"{r['frames']} frames of {r['sides'][0]}x{r['sides'][1]}, {r['layers']} layers"
        labels = {
            "exact": ("bit for bit", "", r["steps"]),
            "ours": ("a new text", f"≥ {result['goal_exact']:g}x plain", r["steps"]),
            "seen": ("a text seen before", f"≥ {result['goal_exact']:g}x plain", r["steps"]),
            "cached": (
                f"first-block cache {result['cache']:g}",
                f"≥ {result['goal_cached']:g}x plain",
                r["long_steps"],
            ),
        }
        for key, (label, goal, steps) in labels.items():
            apart = {which: r[f"{which}_difference"]["ours" if key == "seen" else key] for which in ("largest", "mean")}
            a_step, plainly = (r["median_step_ms"][which] for which in (key, against(key)))
            beside = (
                f"{a_step:.0f} ms a step against {plainly:.0f}; "
                f"{r['median'][key]:.2f} s against {r['median'][against(key)]:.2f} s, of the processor "
                f"{r['faster_processor'][key]:.2f}x; {shape}, {steps} steps; pixels differ by {apart['largest']} at "
                f"most, {apart['mean']:g} on average"
            )
            table.append((f"open, {name}: {label}", goal, f"{r['faster'][key]:.2f}x", beside))
        a, b = r["process"]["ours"], r["process"]["plain"]
        beside = f"{a['seconds']:.1f} s against {b['seconds']:.1f} s; {a['peak_mib']} against {b['peak_mib']} MiB"
        if result["device"] == "cuda":
            beside += f", on the card {a['card_mib']} against {b['card_mib']} MiB"
        table.append(
            (f"open, {name}: process start to frames", "no slower", f"{b['seconds'] / a['seconds']:.2f}x", beside)
        )
    return table


def main() -> None:
    """One video in this process: plain or ours, a size, a folder, and a file for the most bytes on a graphics card."""
    way, told, folder, out = sys.argv[1:5]
    size = Size(**json.loads(told))
    make = {"plain": plain, "ours": ours}[way](Path(folder), size)
    make(PROMPTS[0], size.steps, Clock())
    Path(out).write_text(str(torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0))


if __name__ == "__main__":
    main()
