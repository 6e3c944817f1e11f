"""`haneul bench open`: an open checkpoint through our engine's backbone against the same one through plain diffusers.

The checkpoints are Wan's networks with random weights, made here: what is compared is what lies around them. Both take
turns in one process, and each has a process of its own for the time from its start and the memory at its peak.
"""

from __future__ import annotations

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


def plain(folder: Path, size: Size) -> Callable[[str], np.ndarray[Any, Any]]:
    """A video of a prompt by diffusers alone."""
    import diffusers

    from haneul.model.precision import fast_dtype

    pipe = diffusers.WanPipeline.from_pretrained(folder, dtype=fast_dtype())
    pipe.set_progress_bar_config(disable=True)

    def make(prompt: str) -> np.ndarray[Any, Any]:
        w, h = size.sides
        answer = pipe(
            prompt=prompt, height=h, width=w, num_frames=size.frames, num_inference_steps=size.steps,
            generator=torch.Generator().manual_seed(1), output_type="np",
        )  # fmt: skip
        frames: np.ndarray[Any, Any] = (answer.frames[0] * 255).round().astype(np.uint8)
        return frames

    return make


def ours(folder: Path, size: Size, extras: Extras | None = None) -> Callable[[str], np.ndarray[Any, Any]]:
    """A video of a prompt by our backbone."""
    model = Open(read(folder), extras=extras)

    def make(prompt: str) -> np.ndarray[Any, Any]:
        request = Request(
            prompt=prompt, seconds=size.frames / model.rules.fps, size=size.sides, seed=1, steps=size.steps,
            guidance=model.rules.guidance,
        )  # fmt: skip
        return np.stack(list(model.generate(request)))

    return make


def measure(say: Say, names: tuple[str, ...] = ("tiny", "medium"), turns: int = 3) -> dict[str, Any]:
    """Seconds of plain diffusers and of ours: for a new text, for one that was seen, and with the first-block cache;
    the largest difference of a pixel; seconds and peak memory of a process of its own."""
    found: dict[str, Any] = {"goal_exact": GOAL_EXACT, "goal_cached": GOAL_CACHED}
    for name in names:
        size = SIZES[name]
        with tempfile.TemporaryDirectory() as at, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = build(size, Path(at) / name)
            ways = {
                "plain": plain(folder, size),
                "ours": ours(folder, size),
                "cached": ours(folder, size, Extras(cache=0.1)),
            }
            seconds: dict[str, list[float]] = {key: [] for key in (*ways, "seen")}
            frames = {key: way(PROMPTS[0]) for key, way in ways.items()}  # warm
            for turn in range(turns):
                for key, way, prompt in (
                    *((key, way, PROMPTS[1 + turn % 3]) for key, way in ways.items()),
                    ("seen", ways["ours"], PROMPTS[0]),
                ):
                    began = time.perf_counter()
                    way(prompt)
                    seconds[key].append(round(time.perf_counter() - began, 3))
                    say(f"open, {name}, {key}: {seconds[key][-1]:.2f} s")
            median = {key: statistics.median(values) for key, values in seconds.items()}
            alone = {}
            for key in ("plain", "ours"):
                took, peak = timed(
                    [sys.executable, "-W", "ignore", "-m", "haneul.evals.peers_open", key, name, str(folder)]
                )
                alone[key] = {"seconds": round(took, 2), "peak_mib": round(peak / 2**20)}
                say(f"open, {name}, {key} from the start: {took:.1f} s, {peak / 2**20:.0f} MiB")
        near = {key: int(np.abs(frames["plain"].astype(int) - frames[key]).max()) for key in ("ours", "cached")}
        found[name] = asdict(size) | {
            "seconds": seconds, "median": median, "largest_difference": near, "process": alone,
            "faster": {key: round(median["plain"] / median[key], 2) for key in ("ours", "seen", "cached")},
        }  # fmt: skip
    return found


def rows(result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Measure, goal, figure, beside it."""
    table = []
    for name in SIZES:
        if (r := result.get(name)) is None:
            continue
        shape = f"{r['frames']} frames of {r['sides'][0]}x{r['sides'][1]}, {r['steps']} steps, {r['layers']} layers"
        goals = {"ours": result["goal_exact"], "seen": result["goal_exact"], "cached": result["goal_cached"]}
        labels = {"ours": "a new text", "seen": "a text seen before", "cached": "with the first-block cache"}
        for key, goal in goals.items():
            near = r["largest_difference"]["cached" if key == "cached" else "ours"]
            beside = f"{r['median'][key]:.2f} s against {r['median']['plain']:.2f} s; {shape}; pixels differ by {near}"
            table.append((f"open, {name}: {labels[key]}", f"≥ {goal:g}x plain", f"{r['faster'][key]:.2f}x", beside))
        a, b = r["process"]["ours"], r["process"]["plain"]
        beside = f"{a['seconds']:.1f} s against {b['seconds']:.1f} s; {a['peak_mib']} against {b['peak_mib']} MiB"
        table.append(
            (f"open, {name}: process start to frames", "no slower", f"{b['seconds'] / a['seconds']:.2f}x", beside)
        )
    return table


def main() -> None:
    """One video in this process: plain or ours, a size, a folder."""
    way, name, folder = sys.argv[1:4]
    make = {"plain": plain, "ours": ours}[way](Path(folder), SIZES[name])
    make(PROMPTS[0])


if __name__ == "__main__":
    main()
