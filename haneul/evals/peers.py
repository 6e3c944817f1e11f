"""One step of our transformer against peers of equal width, depth and tokens, and against plain matrix products.

The peers are Wan's and LTX-Video's transformers as the package diffusers has them, with random weights: what is
compared is how fast they are built. All take turns in the same process, so that what else the machine does hits them
alike; what counts are the ratios within a turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from haneul.backbones.native import Native, base_grid
from haneul.evals.data import Say
from haneul.model.codec import GROUP, PATCH
from haneul.model.modes import timeline
from haneul.model.precision import fast, fast_dtype

TURNS = 7
PRODUCT = 1024  #: rows and columns of the matrices that are multiplied
GOAL_SHARE, GOAL_FASTER = 0.60, 1.5
Step = Callable[[], object]


def our_step(model: Native) -> tuple[Step, dict[str, int]]:
    """One evaluation of our transformer for the default clip, as the sampler makes it, and what it works on."""
    dit, preset = model.dit, model.preset
    h, w = base_grid((896, 512), preset.base_size[0] * preset.base_size[1] // PATCH**2)
    frames = 1 + preset.frames // GROUP
    text = model.reading.encode(["a red rubber ball bounces down grey stairs in a desert at sunset"])
    z, t = torch.randn(1, dit.cfg.latent, frames, h, w), torch.full((1, frames, 1), 0.5)
    time_F, single_F = timeline(frames, preset.base_fps)
    null = torch.zeros(1, dtype=torch.bool)

    def step() -> Tensor:
        v: Tensor = dit(z, t, text, time_F=time_F, single_F=single_F, null_B=null)[0]
        return v

    words = len(dit.cfg.concepts) + (text.states.shape[1] if dit.cfg.text and text.states is not None else 0)
    shape = {
        "width": dit.cfg.width, "depth": dit.cfg.depth, "heads": dit.cfg.heads, "channels": dit.cfg.latent,
        "frames": frames, "h": h, "w": w, "tokens": frames * h * w, "text": words,
    }  # fmt: skip
    return step, shape


def wan_step(s: dict[str, int]) -> tuple[Step, nn.Module]:
    """The same of diffusers' Wan transformer."""
    from diffusers import WanTransformer3DModel

    peer: Any = WanTransformer3DModel(
        patch_size=(1, 1, 1), num_attention_heads=s["heads"], attention_head_dim=s["width"] // s["heads"],
        in_channels=s["channels"], out_channels=s["channels"], text_dim=s["width"], ffn_dim=4 * s["width"],
        num_layers=s["depth"],
    )  # fmt: skip
    peer.eval().to(fast_dtype())
    z = torch.randn(1, s["channels"], s["frames"], s["h"], s["w"], dtype=fast_dtype())
    words = torch.randn(1, s["text"], s["width"], dtype=fast_dtype())
    return lambda: peer(z, torch.tensor([500]), words, return_dict=False), peer


def ltx_step(s: dict[str, int]) -> tuple[Step, nn.Module]:
    """The same of diffusers' LTX-Video transformer."""
    from diffusers import LTXVideoTransformer3DModel

    peer: Any = LTXVideoTransformer3DModel(
        in_channels=s["channels"], out_channels=s["channels"], num_attention_heads=s["heads"],
        attention_head_dim=s["width"] // s["heads"], cross_attention_dim=s["width"], num_layers=s["depth"],
        caption_channels=s["width"],
    )  # fmt: skip
    peer.eval().to(fast_dtype())
    z = torch.randn(1, s["tokens"], s["channels"], dtype=fast_dtype())
    words = torch.randn(1, s["text"], s["width"], dtype=fast_dtype())
    mask = torch.ones(1, s["text"], dtype=torch.bool)
    shape = {"num_frames": s["frames"], "height": s["h"], "width": s["w"]}
    return lambda: peer(z, words, torch.tensor([500]), mask, return_dict=False, **shape), peer


def measure(model: Native, say: Say, turns: int = TURNS) -> dict[str, Any]:
    """Milliseconds of a step of each, our share of the rate of plain matrix products, and how often we are faster."""
    ours, shape = our_step(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ours()
    a = torch.randn(PRODUCT, PRODUCT).to(fast_dtype())
    steps: dict[str, Step] = {"ours": ours, "product": lambda: a @ a}
    sizes = {"ours": sum(p.numel() for p in model.dit.parameters())}
    try:
        for name, build in (("wan", wan_step), ("ltx", ltx_step)):
            steps[name], peer = build(shape)
            sizes[name] = sum(p.numel() for p in peer.parameters())
    except ImportError as error:
        say(f"peers: {error}; install haneul[bench] to compare with them")
    took: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            with fast():
                step()  # weights are cast once for all steps of a clip
                began = time.perf_counter()
                step()
                seconds = time.perf_counter() - began
            if turn:  # the first one warms up
                took[name].append(seconds)
    say("peers: " + ", ".join(f"{name} {1e3 * statistics.median(v):.1f} ms" for name, v in took.items()))
    flops = counter.get_total_flops()
    shares = [
        (flops / one) / (2 * PRODUCT**3 / plain) for one, plain in zip(took["ours"], took["product"], strict=True)
    ]
    result: dict[str, Any] = {
        "shape": shape, "dtype": str(fast_dtype()).removeprefix("torch."), "threads": torch.get_num_threads(),
        "turns": turns, "gflop_a_step": round(flops / 1e9, 2), "parameters": sizes,
        "milliseconds": {name: round(1e3 * statistics.median(v), 2) for name, v in took.items()},
        "product_gflops": round(2 * PRODUCT**3 / statistics.median(took["product"]) / 1e9, 1),
        "share": round(statistics.median(shares), 3), "goal_share": GOAL_SHARE, "goal_faster": GOAL_FASTER,
    }  # fmt: skip
    for name in ("wan", "ltx"):
        if name in took:
            ratios = [peer / one for peer, one in zip(took[name], took["ours"], strict=True)]
            result[f"faster_than_{name}"] = round(statistics.median(ratios), 2)
    return result
