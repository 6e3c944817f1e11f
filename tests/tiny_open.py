"""Tiny checkpoints of open video models, random weights in the layout of diffusers, one for each kind of pipeline.

What they are put together from is in tiny_parts.py; nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
import transformers as t
from tiny_parts import (
    WORDS,
    chat_tokenizer,
    clip_text,
    cosmos_transformer,
    hunyuan_vae,
    qwen,
    seeded,
    t5,
    tokenizer,
    wan_transformer,
    wan_vae,
    word_tokenizer,
)

Parts = dict[str, Any]


def wan() -> tuple[Any, Parts]:
    parts = {
        "tokenizer": tokenizer(), "text_encoder": t5("UMT5"), "vae": wan_vae(), "transformer": wan_transformer(),
        "scheduler": d.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    }  # fmt: skip
    return d.WanPipeline, parts


def wan_i2v() -> tuple[Any, Parts]:
    """Wan 2.2's: the picture on channels of its own, two denoisers."""
    _, parts = wan()
    parts |= {
        "transformer": wan_transformer(36), "transformer_2": wan_transformer(36), "image_encoder": None,
        "image_processor": None, "boundary_ratio": 0.9,
    }  # fmt: skip
    return d.WanImageToVideoPipeline, parts


def wan_clip_i2v() -> tuple[Any, Parts]:
    """Wan 2.1's: the picture also through an image encoder."""
    _, parts = wan()
    config = t.CLIPVisionConfig(
        hidden_size=4, projection_dim=4, num_hidden_layers=2, num_attention_heads=2, image_size=16,
        intermediate_size=16, patch_size=4,
    )  # fmt: skip
    parts |= {
        "transformer": wan_transformer(36, image_dim=4),
        "image_encoder": seeded(lambda: t.CLIPVisionModelWithProjection(config)).eval(),
        "image_processor": t.CLIPImageProcessorPil(crop_size=16, size=16),
    }
    return d.WanImageToVideoPipeline, parts


def wan_ti2v() -> tuple[Any, Parts]:
    """Wan 2.2's small one: a noise level for each token."""
    _, parts = wan()
    vae = seeded(
        lambda: d.AutoencoderKLWan(
            base_dim=3, z_dim=48, in_channels=12, out_channels=12, is_residual=True, patch_size=2,
            latents_mean=[0.0] * 48, latents_std=[1.0] * 48, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            scale_factor_spatial=16, scale_factor_temporal=4, temperal_downsample=[False, True, True],
        )
    )  # fmt: skip
    transformer = wan_transformer(48, out_channels=48)
    parts |= {"vae": vae, "transformer": transformer, "boundary_ratio": None, "expand_timesteps": True}
    return d.WanPipeline, parts


def wan_vace() -> tuple[Any, Parts]:
    _, parts = wan()
    parts["transformer"] = seeded(
        lambda: d.WanVACETransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=32, freq_dim=32, ffn_dim=32, num_layers=3, cross_attn_norm=True,
            qk_norm="rms_norm_across_heads", rope_max_seq_len=32, vace_layers=[0, 2], vace_in_channels=96,
        )
    )  # fmt: skip
    return d.WanVACEPipeline, parts


def skyreels() -> tuple[Any, Parts]:
    """SkyReels-V2's, with a noise level for each frame."""
    _, parts = wan()
    parts["transformer"] = seeded(
        lambda: d.SkyReelsV2Transformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2, cross_attn_norm=True,
            qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        )
    )  # fmt: skip
    parts["scheduler"] = d.UniPCMultistepScheduler(
        prediction_type="flow_prediction", flow_shift=8.0, use_flow_sigmas=True
    )
    return d.SkyReelsV2DiffusionForcingPipeline, parts


def skyreels_t2v() -> tuple[Any, Parts]:
    return d.SkyReelsV2Pipeline, skyreels()[1]


def ltx() -> tuple[Any, Parts]:
    vae = seeded(
        lambda: d.AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, False, False),
            decoder_spatio_temporal_scaling=(True, True, False, False),
            decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
            timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True, decoder_causal=False,
        )
    )  # fmt: skip
    transformer = seeded(
        lambda: d.LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
            cross_attention_dim=32, num_layers=2, caption_channels=32,
        )
    )  # fmt: skip
    return d.LTXPipeline, {
        "scheduler": d.FlowMatchEulerDiscreteScheduler(), "vae": vae, "text_encoder": t5(), "tokenizer": tokenizer(),
        "transformer": transformer,
    }  # fmt: skip


def ltx2() -> tuple[Any, Parts]:
    """LTX-2, which makes sound as well."""
    text = {
        "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    }  # fmt: skip
    vision = {
        "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
        "patch_size": 8,
    }  # fmt: skip
    config = t.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=270, boi_token_index=271,
        eoi_token_index=272,
    )  # fmt: skip
    connect = {"num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 1, "num_learnable_registers": None}
    from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder

    parts = {
        "scheduler": d.FlowMatchEulerDiscreteScheduler(),
        "text_encoder": seeded(lambda: t.Gemma3ForConditionalGeneration(config)).eval(),
        "tokenizer": tokenizer(),
        "vae": seeded(
            lambda: d.AutoencoderKLLTX2Video(
                latent_channels=4, block_out_channels=(8,), decoder_block_out_channels=(8,), layers_per_block=(1,),
                decoder_layers_per_block=(1, 1), spatio_temporal_scaling=(True,),
                decoder_spatio_temporal_scaling=(True,), decoder_inject_noise=(False, False),
                downsample_type=("spatiotemporal",), upsample_residual=(False,), upsample_factor=(1,),
                timestep_conditioning=False, patch_size=8, patch_size_t=1, encoder_causal=True, decoder_causal=False,
            )
        ),
        "audio_vae": seeded(
            lambda: d.AutoencoderKLLTX2Audio(
                base_channels=4, output_channels=2, ch_mult=(1,), num_res_blocks=1, attn_resolutions=None,
                in_channels=2, resolution=32, latent_channels=2, norm_type="pixel", causality_axis="height",
                dropout=0.0, mid_block_add_attention=False, sample_rate=16000, mel_hop_length=160, is_causal=True,
                mel_bins=8,
            )
        ),
        "connectors": seeded(
            lambda: LTX2TextConnectors(
                caption_channels=32, text_proj_in_factor=3, connector_rope_base_seq_len=32, rope_theta=10000.0,
                rope_double_precision=False, causal_temporal_positioning=False, rope_type="split",
                **{f"{kind}_connector_{k}": v for kind in ("video", "audio") for k, v in connect.items()},
            )
        ),
        "transformer": seeded(
            lambda: d.LTX2VideoTransformer3DModel(
                in_channels=4, out_channels=4, patch_size=1, patch_size_t=1, num_attention_heads=2,
                attention_head_dim=8, cross_attention_dim=16, audio_in_channels=4, audio_out_channels=4,
                audio_num_attention_heads=2, audio_attention_head_dim=4, audio_cross_attention_dim=8, num_layers=29,
                qk_norm="rms_norm_across_heads", caption_channels=32, rope_double_precision=False, rope_type="split",
            )
        ),
        "vocoder": seeded(
            lambda: LTX2Vocoder(
                in_channels=16, hidden_channels=32, out_channels=2, upsample_kernel_sizes=[4, 4],
                upsample_factors=[2, 2], resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]],
                leaky_relu_negative_slope=0.1, output_sampling_rate=16000,
            )
        ),
    }  # fmt: skip
    return d.LTX2Pipeline, parts


def cogvideox(channels: int = 4) -> tuple[Any, Parts]:
    vae = seeded(
        lambda: d.AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
            temporal_compression_ratio=4,
        )
    )  # fmt: skip
    transformer = seeded(
        lambda: d.CogVideoXTransformer3DModel(
            num_attention_heads=4, attention_head_dim=8, in_channels=channels, out_channels=4, time_embed_dim=2,
            text_embed_dim=32, num_layers=2, sample_width=4, sample_height=4, sample_frames=9, patch_size=2,
            temporal_compression_ratio=4, max_text_seq_length=226,
        )
    )  # fmt: skip
    return d.CogVideoXPipeline, {
        "tokenizer": tokenizer(), "text_encoder": t5(), "vae": vae, "transformer": transformer,
        "scheduler": d.CogVideoXDDIMScheduler(),
    }  # fmt: skip


def cogvideox_i2v() -> tuple[Any, Parts]:
    return d.CogVideoXImageToVideoPipeline, cogvideox(8)[1]


def cogvideox_fun() -> tuple[Any, Parts]:
    """CogVideoX Fun-Control: a control video on channels of its own."""
    return d.CogVideoXFunControlPipeline, cogvideox(8)[1]


def hunyuan(channels: int = 4, condition: str | None = None) -> tuple[Any, Parts]:
    config = t.LlamaConfig(
        hidden_size=16, intermediate_size=37, num_attention_heads=4, num_hidden_layers=4, vocab_size=WORDS,
        pad_token_id=0, bos_token_id=3, eos_token_id=1,
    )  # fmt: skip
    transformer = seeded(
        lambda: d.HunyuanVideoTransformer3DModel(
            in_channels=channels, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, patch_size=1, patch_size_t=1, guidance_embeds=True,
            text_embed_dim=16, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4), image_condition_type=condition,
        )
    )  # fmt: skip
    return d.HunyuanVideoPipeline, {
        "text_encoder": seeded(lambda: t.LlamaModel(config)).eval(), "tokenizer": tokenizer(),
        "transformer": transformer, "vae": hunyuan_vae(),
        "scheduler": d.FlowMatchEulerDiscreteScheduler(shift=7.0), "text_encoder_2": clip_text(),
        "tokenizer_2": tokenizer(),
    }  # fmt: skip


def hunyuan_i2v() -> tuple[Any, Parts]:
    """HunyuanVideo's image to video: the picture in place of the first latent frame, and before the text's eyes."""
    _, parts = hunyuan(condition="token_replace")
    words = word_tokenizer("<image>", "<|end_header_id|>")
    vision = t.CLIPVisionConfig(
        hidden_size=8, projection_dim=8, num_hidden_layers=2, num_attention_heads=2, image_size=48, patch_size=2,
        intermediate_size=8,
    )  # fmt: skip
    config = t.LlavaConfig(
        text_config=parts["text_encoder"].config, vision_config=vision, pad_token_id=0,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    parts |= {
        "text_encoder": seeded(lambda: t.LlavaForConditionalGeneration(config)).eval(), "tokenizer": words,
        "image_processor": t.CLIPImageProcessorPil(crop_size=48, size=48),
    }  # fmt: skip
    return d.HunyuanVideoImageToVideoPipeline, parts


def hunyuan_i2v_wide() -> tuple[Any, Parts]:
    """The same with the picture on channels of its own."""
    _, parts = hunyuan_i2v()
    parts["transformer"] = hunyuan(9, "latent_concat")[1]["transformer"]
    return d.HunyuanVideoImageToVideoPipeline, parts


def hunyuan15(task: str = "t2v") -> tuple[Any, Parts]:
    transformer = seeded(
        lambda: d.HunyuanVideo15Transformer3DModel(
            in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
            num_refiner_layers=1, mlp_ratio=2.0, patch_size=1, patch_size_t=1, text_embed_dim=16, text_embed_2_dim=32,
            image_embed_dim=12, rope_axes_dim=(2, 2, 4), target_size=32, task_type=task,
        )
    )  # fmt: skip
    vae = seeded(
        lambda: d.AutoencoderKLHunyuanVideo15(
            latent_channels=4, block_out_channels=(16, 16), layers_per_block=1, spatial_compression_ratio=4,
            temporal_compression_ratio=2, downsample_match_channel=False, upsample_match_channel=False,
        )
    )  # fmt: skip
    return d.HunyuanVideo15Pipeline, {
        "text_encoder": qwen(16, [1, 1, 2], "Qwen2_5_VLTextModel"), "tokenizer": chat_tokenizer(),
        "transformer": transformer, "vae": vae, "scheduler": d.FlowMatchEulerDiscreteScheduler(shift=7.0),
        "text_encoder_2": t5(), "tokenizer_2": tokenizer(), "guider": d.ClassifierFreeGuidance(guidance_scale=6.0),
    }  # fmt: skip


def hunyuan15_i2v() -> tuple[Any, Parts]:
    _, parts = hunyuan15("i2v")
    config = t.SiglipVisionConfig(
        hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    parts["image_encoder"] = seeded(lambda: t.SiglipVisionModel(config)).eval()
    parts["feature_extractor"] = t.SiglipImageProcessorPil(size={"height": 16, "width": 16})
    return d.HunyuanVideo15ImageToVideoPipeline, parts


def mochi() -> tuple[Any, Parts]:
    transformer = seeded(
        lambda: d.MochiTransformer3DModel(
            patch_size=2, num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
            in_channels=12, out_channels=None, qk_norm="rms_norm", text_embed_dim=32, time_embed_dim=4,
            max_sequence_length=256,
        )
    )  # fmt: skip
    with torch.no_grad():
        transformer.pos_frequencies.normal_(generator=torch.Generator().manual_seed(0))  # it is made empty
    vae = seeded(
        lambda: d.AutoencoderKLMochi(
            latent_channels=12, out_channels=3, encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
        )
    )  # fmt: skip
    return d.MochiPipeline, {
        "scheduler": d.FlowMatchEulerDiscreteScheduler(), "vae": vae, "text_encoder": t5(), "tokenizer": tokenizer(),
        "transformer": transformer,
    }  # fmt: skip


def sana() -> tuple[Any, Parts]:
    config = t.Gemma2Config(
        head_dim=16, hidden_size=8, intermediate_size=64, num_attention_heads=2, num_hidden_layers=1,
        num_key_value_heads=2, vocab_size=WORDS, pad_token_id=0, bos_token_id=3, eos_token_id=1,
    )  # fmt: skip
    transformer = seeded(
        lambda: d.SanaVideoTransformer3DModel(
            in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=12, num_layers=2,
            num_cross_attention_heads=2, cross_attention_head_dim=12, cross_attention_dim=24, caption_channels=8,
            sample_size=30, patch_size=(1, 2, 2), qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        )
    )  # fmt: skip
    return d.SanaVideoPipeline, {
        "tokenizer": tokenizer(), "text_encoder": seeded(lambda: t.Gemma2Model(config)).eval(), "vae": wan_vae(),
        "transformer": transformer, "scheduler": d.FlowMatchEulerDiscreteScheduler(),
    }  # fmt: skip


def cosmos() -> tuple[Any, Parts]:
    """Cosmos-Predict1's text to world."""
    vae = seeded(
        lambda: d.AutoencoderKLCosmos(
            latent_channels=4, encoder_block_out_channels=(8, 8, 8, 8), decode_block_out_channels=(8, 8, 8, 8),
            attention_resolutions=(8,), resolution=64, num_layers=2, patch_size=4, patch_type="haar",
            scaling_factor=1.0, spatial_compression_ratio=4, temporal_compression_ratio=4,
        )
    )  # fmt: skip
    scheduler = d.EDMEulerScheduler(
        sigma_min=0.002, sigma_max=80, sigma_data=0.5, sigma_schedule="karras", num_train_timesteps=1000,
        prediction_type="epsilon", rho=7.0, final_sigmas_type="sigma_min",
    )  # fmt: skip
    return d.CosmosTextToWorldPipeline, {
        "text_encoder": t5(), "tokenizer": tokenizer(), "transformer": cosmos_transformer(4, 4), "vae": vae,
        "scheduler": scheduler,
    }  # fmt: skip


def cosmos2() -> tuple[Any, Parts]:
    """Cosmos-Predict2's video to world."""
    return d.Cosmos2VideoToWorldPipeline, {
        "text_encoder": t5(), "tokenizer": tokenizer(), "transformer": cosmos_transformer(17, 16), "vae": wan_vae(),
        "scheduler": d.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
    }  # fmt: skip


def cosmos25() -> tuple[Any, Parts]:
    """Cosmos-Predict2.5, which takes a picture, a video or neither."""
    return d.Cosmos2_5_PredictBasePipeline, {
        "text_encoder": qwen(16, [1, 1, 2]), "tokenizer": chat_tokenizer(),
        "transformer": cosmos_transformer(17, 16, words=64), "vae": wan_vae(),
        "scheduler": d.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
    }  # fmt: skip


def cosmos25_transfer() -> tuple[Any, Parts]:
    """Cosmos-Predict 2.5 Transfer: a network beside the denoiser reads a control video."""
    _, parts = cosmos25()
    control = seeded(
        lambda: d.CosmosControlNetModel(
            n_controlnet_blocks=2, in_channels=20, latent_channels=18, model_channels=32, num_attention_heads=2,
            attention_head_dim=16, mlp_ratio=2, text_embed_dim=64, adaln_lora_dim=4, patch_size=(1, 2, 2),
            max_size=(4, 32, 32), rope_scale=(2.0, 1.0, 1.0), extra_pos_embed_type="learnable",
        )
    )  # fmt: skip
    parts |= {"transformer": cosmos_transformer(17, 16, words=64, controlnet_block_every_n=1), "controlnet": control}
    return d.Cosmos2_5_TransferPipeline, parts


def kandinsky(pictured: bool = False) -> tuple[Any, Parts]:
    transformer = seeded(
        lambda: d.Kandinsky5Transformer3DModel(
            in_visual_dim=16, in_text_dim=32, in_text_dim2=8, time_dim=16, out_visual_dim=16, patch_size=(1, 2, 2),
            model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=2, axes_dims=(1, 1, 2),
            visual_cond=pictured, attention_type="regular",
        )
    )  # fmt: skip
    vae = hunyuan_vae(16, block_out_channels=(8, 8, 8, 8), mid_block_add_attention=False)
    return d.Kandinsky5I2VPipeline if pictured else d.Kandinsky5T2VPipeline, {
        "transformer": transformer, "vae": vae, "text_encoder": qwen(32, [2, 2, 4]), "tokenizer": tokenizer(),
        "text_encoder_2": clip_text(), "tokenizer_2": tokenizer(),
        "scheduler": d.FlowMatchEulerDiscreteScheduler(shift=7.0),
    }  # fmt: skip


FAMILIES: dict[str, Callable[[], tuple[Any, Parts]]] = {
    "wan": wan, "wan-i2v": wan_i2v, "wan-clip-i2v": wan_clip_i2v, "wan-ti2v": wan_ti2v, "wan-vace": wan_vace,
    "skyreels": skyreels, "skyreels-t2v": skyreels_t2v, "ltx": ltx, "ltx2": ltx2, "cogvideox": cogvideox,
    "cogvideox-i2v": cogvideox_i2v, "cogvideox-fun": cogvideox_fun, "cosmos25-transfer": cosmos25_transfer,
    "hunyuan": hunyuan, "hunyuan-i2v": hunyuan_i2v, "hunyuan-i2v-wide": hunyuan_i2v_wide,
    "hunyuan15": hunyuan15, "hunyuan15-i2v": hunyuan15_i2v,
    "mochi": mochi, "sana": sana, "cosmos": cosmos, "cosmos2": cosmos2, "cosmos25": cosmos25, "kandinsky": kandinsky,
    "kandinsky-i2v": lambda: kandinsky(pictured=True),
}  # fmt: skip


def save(name: str, folder: Path) -> Path:
    """The tiny checkpoint of a family, written as its makers would."""
    pipeline, parts = FAMILIES[name]()
    pipeline(**parts).save_pretrained(folder, safe_serialization=True)
    index = json.loads((folder / "model_index.json").read_text())
    if index.pop("safety_checker", None):
        shutil.rmtree(folder / "safety_checker")
        (folder / "model_index.json").write_text(json.dumps(index))
    return folder
