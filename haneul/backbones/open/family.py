"""What a checkpoint can do, found out from its own configuration and from the calls of diffusers that fit it.

A call fits if every component that it needs is there and is of the type that it wants, and if the denoiser was made for
what the call gives it. How that is told: a denoiser that is given a picture on channels of its own has more channels
going in than coming out, and works with its own pipeline alone; one that is told how noisy each token is (DESIGN.md,
one mechanism for every mode) takes given frames anywhere, and so every such call of its family; a video that is made
anew from a noised one needs nothing but the denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haneul.backbones.open import sources
from haneul.backbones.open.folder import Checkpoint

#: Frames a second of a family's footage, which no file of a checkpoint says: as its makers published it. The key is
#: the folder of diffusers that its pipelines lie in. Where a call has the rate as an argument, its default counts.
RATES = {
    "wan": 16,  # https://github.com/Wan-Video/Wan2.1 (sample_fps)
    "cogvideo": 8,  # https://huggingface.co/THUDM/CogVideoX-5b
    "hunyuan_video": 24,  # https://huggingface.co/tencent/HunyuanVideo
    "hunyuan_video1_5": 24,  # https://huggingface.co/tencent/HunyuanVideo-1.5
    "mochi": 30,  # https://huggingface.co/genmo/mochi-1-preview
    "sana_video": 16,  # https://huggingface.co/Efficient-Large-Model/SANA-Video_2B_480p_diffusers
    "skyreels_v2": 24,  # https://huggingface.co/Skywork/SkyReels-V2-DF-14B-540P
    "cosmos": 16,  # https://huggingface.co/nvidia/Cosmos-Predict2-2B-Video2World
    "kandinsky5": 24,  # https://github.com/kandinskylab/kandinsky-5
    "allegro": 15,  # https://huggingface.co/rhymes-ai/Allegro
    "latte": 8,  # https://huggingface.co/maxin-cn/Latte-1
}
USUAL_RATE = 24  #: of a family that is not known
#: Frames that a family makes at a time, where its call's default is less than what it was trained for.
WINDOWS = {"mochi": 85}  # https://huggingface.co/genmo/mochi-1-preview: up to 5.4 s; its examples make 85
#: Calls that take a picture and also do without: their signatures don't tell them from those that only look so.
EITHER = ("Cosmos2_5_PredictBasePipeline", "Cosmos3OmniPipeline")
#: Frames that a call cannot do without: with fewer, diffusers' own normalisation of the first four latent frames by
#: those that follow divides by nothing.
SHORTEST = {"Kandinsky5I2VPipeline": 21}
#: Calls that leave the first four frames out, where the picture has channels of its own.
CUT = ("HunyuanVideoImageToVideoPipeline",)
HD = 1280 * 720  #: pixels up to which every family is let go


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The pipelines that fit a checkpoint, by what they are given; None where there is none."""

    text: sources.Pipeline | None = None  #: nothing
    picture: sources.Pipeline | None = None  #: the first frame
    ends: sources.Pipeline | None = None  #: the first and the last frame
    clips: sources.Pipeline | None = None  #: frames anywhere, as a list of conditions
    control: sources.Pipeline | None = None  #: a video and a mask of what is made anew in it
    video: sources.Pipeline | None = None  #: a video, and how much of it is noised
    follow: sources.Pipeline | None = None  #: a control video, whole
    reference: sources.Pipeline | None = None  #: a control video that a LoRA looks at
    history: sources.Pipeline | None = None  #: the last frames of a video that it goes on from


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What sizes, lengths and rates a checkpoint has."""

    fps: int
    step: int  #: frames of a latent frame: lengths are step * k + 1
    multiple: int  #: both sides are multiples of this
    window: int  #: frames that it was made for at a time
    size: tuple[int, int]  #: width and height that it was made for
    steps: int
    guidance: float
    shortest: int = 1  #: frames
    lost: int = 0  #: frames that the call makes and does not give, so that as many more are asked for
    fixed: bool = False  #: whether the size that it was made for is the only one

    @property
    def largest(self) -> int:
        """Pixels that are made at most; what is larger is resized afterwards."""
        return max(HD, self.size[0] * self.size[1])

    def length(self, frames: int) -> int:
        """The least length that the checkpoint has and that is no less than `frames`."""
        return self.step * -(-(max(frames, self.shortest) - 1) // self.step) + 1

    def sides(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height that are made for a wanted size: its aspect as nearly as the multiples allow, and no larger
        than what the checkpoint is let go."""
        if self.fixed:
            return self.size
        w, h = size
        scale = min(1.0, math.sqrt(self.largest / (w * h)))

        def side(pixels: float) -> int:
            return max(1, round(pixels / self.multiple)) * self.multiple

        return side(w * scale), side(h * scale)


def calls(checkpoint: Checkpoint) -> Calls:
    """Which pipelines of diffusers fit a checkpoint."""
    own = checkpoint.pipeline
    found: dict[str, sources.Pipeline] = {}
    for pipeline in (own, *sources.neighbours(own)):
        kind = _given(pipeline)
        if kind is not None and (pipeline is own or _fits(checkpoint, pipeline)):
            found.setdefault(kind, pipeline)
    if "ends" in found and not _both_ends(checkpoint, found["ends"]):
        found["picture"] = found.pop("ends")
    if "ends" in found:
        found.setdefault("picture", found["ends"])
    if "text" not in found and own.name in EITHER:
        found["text"] = own
    return Calls(**found)


def _given(pipeline: sources.Pipeline) -> str | None:
    """What a pipeline is given besides the text; None for one that is given what we have not got."""
    call = pipeline.call
    if "prompt" not in call or not pipeline.makes_video:
        return None
    asked = {name for name, default in call.items() if default is sources.REQUIRED}
    if asked - {"prompt", "image", "video", "controls"}:
        return None
    if pipeline.follows is not None:
        return "follow"
    if "reference_conditions" in call:
        return "reference" if "conditions" in call else None
    if "overlap_history" in call and "video" in call:
        return "history"
    if "mask" in call and "video" in call:
        return "control"
    if "conditions" in call:
        return "clips"
    if "video" in call and "strength" in call and "frame_index" not in call:
        return "video"
    if "image" in call:
        return "ends" if "last_image" in call else "picture"
    return "text" if "video" not in call and "control_video" not in call else None


def _fits(checkpoint: Checkpoint, pipeline: sources.Pipeline) -> bool:
    """Whether another pipeline of the same folder can work with a checkpoint's parts."""
    own = checkpoint.pipeline
    for name, default in pipeline.parts.items():
        part = checkpoint.parts.get(name)
        if part is None:
            if default is sources.REQUIRED and name not in checkpoint.config:
                return False
        elif name.startswith("transformer") and part.kind not in pipeline.kinds[name]:
            return False
    config = checkpoint.denoiser.config
    into, out = channels(config)
    if into != out:
        return False
    kind = _given(pipeline)
    if kind == "video":  # diffusers' call for Wan is not yet one for a noise level per token
        return not checkpoint.config.get("expand_timesteps") or "expand_timesteps" in pipeline.parts
    mine = _given(own)
    pictured = own if kind == "text" else pipeline
    if kind == "text" and mine == "video":
        return True
    if "DiffusionForcing" in own.name and "DiffusionForcing" in pipeline.name:
        return True  # Diffusion Forcing is a noise level for each frame (arXiv:2407.01392)
    if "expand_timesteps" in pipeline.parts:
        return bool(checkpoint.config.get("expand_timesteps"))
    return pictured.per_token and not pictured.channels


def _both_ends(checkpoint: Checkpoint, pipeline: sources.Pipeline) -> bool:
    """Whether a denoiser whose call takes a last frame was made for one.

    Those of Wan 2.1 that see the picture through an image encoder have a place for a second one only where the
    configuration says so (pos_embed_seq_len); a noise level per token, as diffusers has it for Wan 2.2 TI2V, marks the
    first frame alone.
    """
    config = checkpoint.denoiser.config
    if checkpoint.config.get("expand_timesteps"):
        return False
    if config.get("image_dim") is not None:
        return config.get("pos_embed_seq_len") is not None
    return "DiffusionForcing" in pipeline.name or channels(config)[0] != channels(config)[1]


def channels(config: Mapping[str, Any]) -> tuple[int, int]:
    """Channels that go into a denoiser and that come out of it."""
    into = config.get("in_channels", config.get("in_visual_dim", 0))
    out = config.get("out_channels", config.get("out_visual_dim"))
    return int(into), int(into if out is None else out)


def rules(checkpoint: Checkpoint) -> Rules:
    """Sizes, lengths and rates of a checkpoint."""
    own = checkpoint.pipeline
    denoiser, vae = checkpoint.denoiser.config, checkpoint.vae.config
    step, space = compression(vae)
    if checkpoint.vae.kind == "AutoencoderKLCogVideoX":
        step *= 2  # it decodes latent frames in pairs besides the first one; an even number of them comes out longer
    patch = _patch(denoiser)
    frames = (own.call.get(own.frames) if own.frames else None) or own.call.get("num_frames_per_chunk")
    window = WINDOWS.get(own.package) or frames or denoiser.get("sample_frames") or 16 * step + 1
    lost = step if own.name in CUT and denoiser.get("image_condition_type") == "latent_concat" else 0
    return Rules(
        fps=_rate(checkpoint),
        step=step,
        multiple=math.lcm(own.multiple, space * patch, 2),
        window=step * max(1, (int(window) - 1 - lost) // step) + 1,
        size=_size(own, denoiser, space),
        steps=int(own.call.get("num_inference_steps") or 50),
        guidance=_guidance(checkpoint),
        shortest=SHORTEST.get(own.name, 1),
        lost=lost,
        fixed=bool(denoiser.get("use_learned_positional_embeddings")),
    )


def compression(vae: Mapping[str, Any]) -> tuple[int, int]:
    """Frames of a latent frame, and pixels of a side of a latent pixel."""
    scaling = vae.get("spatio_temporal_scaling")
    doubled = vae.get("temperal_downsample") or vae.get("temporal_downsample")
    time: Any
    space: Any
    time = vae.get("scale_factor_temporal") or vae.get("temporal_compression_ratio")
    space = vae.get("scale_factor_spatial") or vae.get("spatial_compression_ratio")
    if scaling is not None and not isinstance(scaling, bool):
        time = time or vae.get("patch_size_t", 1) * 2 ** sum(scaling)
        space = space or vae.get("patch_size", 1) * 2 ** sum(scaling)
    if vae.get("temporal_expansions"):
        time = time or math.prod(vae["temporal_expansions"])
        space = space or math.prod(vae["spatial_expansions"])
    if isinstance(doubled, list | tuple):
        time = time or 2 ** sum(doubled)
        space = space or 2 ** len(doubled)
    blocks = vae.get("block_out_channels") or ()
    return int(time or 4), int(space or (2 ** (len(blocks) - 1) if blocks else 8))


def _patch(denoiser: Mapping[str, Any]) -> int:
    patch: Any = denoiser.get("patch_size") or 1
    return int(max(patch[1:]) if isinstance(patch, list | tuple) and len(patch) > 1 else patch)


def _rate(checkpoint: Checkpoint) -> int:
    call, package = checkpoint.pipeline.call, checkpoint.pipeline.package
    for name in ("frame_rate", "fps"):
        if isinstance(call.get(name), int | float):
            return round(float(call[name]))
    rate = RATES.get(package, USUAL_RATE)
    if package == "wan" and checkpoint.vae.config.get("z_dim") == 48:
        return 24  # Wan 2.2 TI2V: https://huggingface.co/Wan-AI/Wan2.2-TI2V-5B-Diffusers
    if package == "cogvideo" and checkpoint.denoiser.config.get("patch_size_t"):
        return 16  # CogVideoX 1.5: https://huggingface.co/THUDM/CogVideoX1.5-5B
    return rate


def _size(own: sources.Pipeline, denoiser: Mapping[str, Any], space: int) -> tuple[int, int]:
    h, w = own.call.get("height"), own.call.get("width")
    if isinstance(h, int) and isinstance(w, int):
        return w, h
    if denoiser.get("sample_height") and denoiser.get("sample_width"):
        return int(denoiser["sample_width"]) * space, int(denoiser["sample_height"]) * space
    return 848, 480  # Mochi's and HunyuanVideo 1.5's, whose calls say nothing


def _guidance(checkpoint: Checkpoint) -> float:
    value = checkpoint.pipeline.call.get("guidance_scale")
    guider = checkpoint.parts.get("guider")
    if value is None and guider is not None:
        value = guider.config.get("guidance_scale")
    return float(value) if isinstance(value, int | float) else 6.0
