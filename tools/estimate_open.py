"""What open checkpoints of the usual sizes take, by our own estimate (haneul/backbones/open/memory.py), as rows of the
table in docs/open-models.md:

    python tools/estimate_open.py

Networks are built without memory (PyTorch's meta device), to count their numbers; nothing is downloaded. Where a size
is not that of diffusers' or transformers' defaults, it is written here, as its makers' configuration has it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import models as networks

from haneul.backbones.open import family, memory, sources
from haneul.backbones.open.folder import Checkpoint, Header, Part

Build = tuple[str, Mapping[str, Any]]  #: class and what differs from its defaults


def t5(vocabulary: int = 32128) -> Mapping[str, Any]:
    """T5 1.1 XXL, and UMT5 XXL, which knows more words."""
    return {
        "vocab_size": vocabulary, "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_layers": 24, "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
    }  # fmt: skip


T5: Build = ("T5EncoderModel", t5())
UMT5: Build = ("UMT5EncoderModel", t5(256384))
BYT5: Build = (
    "T5EncoderModel",
    {**t5(1510), "d_model": 1472, "d_ff": 3584, "num_layers": 12, "num_heads": 6},
)
LLAMA: Build = (
    "LlamaModel",
    {"vocab_size": 128320, "hidden_size": 4096, "intermediate_size": 14336, "num_key_value_heads": 8},
)
QWEN: Build = (
    "Qwen2Model",
    {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4,
    },
)  # fmt: skip
GEMMA2: Build = ("Gemma2Model", {})
GEMMA3: Build = (
    "Gemma3TextModel",
    {
        "vocab_size": 262208, "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
    },
)  # fmt: skip
CLIP: Build = ("CLIPTextModel", {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12})
WAN_VAE: Build = ("AutoencoderKLWan", {})
WAN22_VAE: Build = (
    "AutoencoderKLWan",
    {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "in_channels": 12,
        "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16, "scale_factor_temporal": 4,
        "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    },
)  # fmt: skip
SMALL = {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}  #: Wan's 1.3B


SKYREELS = {"num_attention_heads": 40, "num_layers": 40, "ffn_dim": 13824}
TI2V = {"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "num_layers": 30, "ffn_dim": 14336}
COSMOS = {
    "num_attention_heads": 16, "num_layers": 28, "in_channels": 17, "max_size": (128, 240, 240),
    "rope_scale": (1.0, 3.0, 3.0), "extra_pos_embed_type": None,
}  # fmt: skip
T5_11B: Build = (
    "T5EncoderModel",
    {**t5(), "d_model": 1024, "d_kv": 128, "d_ff": 65536, "num_heads": 128, "feed_forward_proj": "relu"},
)
WAN, SKY = "WanTransformer3DModel", "SkyReelsV2Transformer3DModel"
COG = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
HUNYUAN_VAE: Build = ("AutoencoderKLHunyuanVideo", {})
COG_VAE: Build = ("AutoencoderKLCogVideoX", {})


def row(
    pipeline: str, denoiser: Build, text: Build, vae: Build, video: tuple[int, int, int], **more: Build
) -> tuple[str, Mapping[str, Build], tuple[int, int, int]]:
    """A pipeline, its parts, and the width, height and frames of a video."""
    return pipeline, {"transformer": denoiser, "text_encoder": text, "vae": vae, **more}, video


ROWS = {
    "Wan 2.1 T2V-1.3B": row("WanPipeline", (WAN, SMALL), UMT5, WAN_VAE, (832, 480, 81)),
    "Wan 2.1 T2V-14B": row("WanPipeline", (WAN, {}), UMT5, WAN_VAE, (1280, 720, 81)),
    "Wan 2.2 T2V-A14B": row("WanPipeline", (WAN, {}), UMT5, WAN_VAE, (1280, 720, 81), transformer_2=(WAN, {})),
    "Wan 2.2 TI2V-5B": row("WanPipeline", (WAN, TI2V), UMT5, WAN22_VAE, (1280, 704, 121)),
    "SkyReels-V2 T2V-14B-540P": row("SkyReelsV2Pipeline", (SKY, SKYREELS), UMT5, WAN_VAE, (960, 544, 97)),
    "HunyuanVideo": row(
        "HunyuanVideoPipeline", ("HunyuanVideoTransformer3DModel", {}), LLAMA, HUNYUAN_VAE, (1280, 720, 129),
        text_encoder_2=CLIP,
    ),
    "HunyuanVideo 1.5 480p": row(
        "HunyuanVideo15Pipeline", ("HunyuanVideo15Transformer3DModel", {}), QWEN,
        ("AutoencoderKLHunyuanVideo15", {}), (848, 480, 121), text_encoder_2=BYT5,
    ),
    "LTX-Video 2B": row(
        "LTXPipeline", ("LTXVideoTransformer3DModel", {}), T5, ("AutoencoderKLLTXVideo", {}), (704, 480, 161)
    ),
    "LTX-2 19B": row(
        "LTX2Pipeline", ("LTX2VideoTransformer3DModel", {}), GEMMA3, ("AutoencoderKLLTX2Video", {}), (768, 512, 121)
    ),
    "CogVideoX-2B": row("CogVideoXPipeline", ("CogVideoXTransformer3DModel", {}), T5, COG_VAE, (720, 480, 49)),
    "CogVideoX-5B": row("CogVideoXPipeline", ("CogVideoXTransformer3DModel", COG), T5, COG_VAE, (720, 480, 49)),
    "SANA-Video 2B": row("SanaVideoPipeline", ("SanaVideoTransformer3DModel", {}), GEMMA2, WAN_VAE, (832, 480, 81)),
    "Mochi 1": row("MochiPipeline", ("MochiTransformer3DModel", {}), T5, ("AutoencoderKLMochi", {}), (848, 480, 85)),
    "Kandinsky 5 Lite": row(
        "Kandinsky5T2VPipeline", ("Kandinsky5Transformer3DModel", {}), QWEN, HUNYUAN_VAE, (768, 512, 121),
        text_encoder_2=CLIP,
    ),
    "Cosmos-Predict2 2B": row(
        "Cosmos2VideoToWorldPipeline", ("CosmosTransformer3DModel", COSMOS), T5_11B, WAN_VAE, (1280, 704, 93)
    ),
}  # fmt: skip


def part(name: str, kind: str, given: Mapping[str, Any]) -> Part:
    """A part as its files would have it: how many numbers, and its configuration."""
    build: Callable[[], Any]
    if hasattr(transformers, kind):
        cls = getattr(transformers, kind)
        build = lambda: cls(cls.config_class(**given))  # noqa: E731
    else:
        cls = getattr(diffusers, kind, None) or getattr(networks, kind)
        build = lambda: cls(**given)  # noqa: E731
    with torch.device("meta"):
        numbers = sum(value.numel() for value in build().parameters())
    header = Header(path=Path(kind), tensors={"all": ("BF16", (numbers,))})
    return Part(name=name, library="", kind=kind, config={**sources.config_defaults(kind), **given}, headers=(header,))


def main() -> None:
    warnings.simplefilter("ignore")
    print("| checkpoint | numbers: denoiser, text, decoder | video | all of it | the part that computes | its layer |")
    print("|---|---|---|---|---|---|")
    for name, (kind, builds, (width, height, frames)) in ROWS.items():
        pipeline = sources.pipeline(kind)
        assert pipeline is not None
        parts = {each: part(each, *build) for each, build in builds.items()}
        checkpoint = Checkpoint(folder=Path(), name=name, pipeline=pipeline, parts=parts, config={})
        rules = family.rules(checkpoint)
        plans = memory.plans(
            checkpoint, rules, frames=frames, size=(width, height), device="cuda", dtype="bfloat16"
        )  # fmt: skip
        text = sum(p.parameters for n, p in parts.items() if n.startswith("text"))
        thinks = sum(p.parameters for n, p in parts.items() if n.startswith("transformer"))
        counted = ", ".join(f"{n / 1e9:.2f}" for n in (thinks, text, parts["vae"].parameters))
        peaks = {(plan.place, plan.tiled, plan.fp8): plan.peak / memory.GIB for plan in plans}
        told = [peaks["whole", True, False], peaks["parts", True, False], peaks["layers", True, False]]
        cells = [name, f"{counted} billion", f"{frames} x {width}x{height}", *(f"{peak:.0f} GiB" for peak in told)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
