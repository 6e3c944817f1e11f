"""What tiny checkpoints are put together from (tiny_open.py): tokenizers, text encoders, codecs and denoisers that more
than one family has. The proportions follow what each network insists on; weights are random, the same every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers as d
import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<pad>", "</s>", "<unk>", "<s>"]


def tokenizer() -> t.PreTrainedTokenizerFast:
    """Bytes, one token each."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: i for i, piece in enumerate([*SPECIAL, *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>",
        model_max_length=64,
    )  # fmt: skip


def chat_tokenizer() -> Any:
    made = tokenizer()
    made.chat_template = (
        "{% for m in messages %}<s>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endif %}</s>{% endfor %}"
    )
    return made


def word_tokenizer(*special: str) -> t.PreTrainedTokenizerFast:
    """Words and marks, one token each, of which it knows a few."""
    vocab = {piece: i for i, piece in enumerate([*SPECIAL, "red", "ball", "hill", ".", ",", *special])}
    made = Tokenizer(models.WordLevel(vocab=vocab, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>",
        additional_special_tokens=list(special),
    )  # fmt: skip


WORDS = 300  #: vocabulary of every text encoder here


def t5(kind: str = "T5") -> Any:
    """A T5 or UMT5 encoder of width 32."""
    config = getattr(t, f"{kind}Config")(
        vocab_size=WORDS, d_model=32, d_ff=37, d_kv=8, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0,
    )  # fmt: skip
    return seeded(lambda: getattr(t, f"{kind}EncoderModel")(config)).eval()


def clip_text() -> Any:
    config = t.CLIPTextConfig(
        hidden_size=8, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2, pad_token_id=0,
        bos_token_id=3, eos_token_id=1, vocab_size=WORDS, projection_dim=8,
    )  # fmt: skip
    return seeded(lambda: t.CLIPTextModel(config)).eval()


def qwen(width: int, sections: list[int], kind: str = "Qwen2_5_VLForConditionalGeneration") -> Any:
    text = {
        "hidden_size": width, "intermediate_size": width, "num_hidden_layers": 4, "num_attention_heads": 2,
        "num_key_value_heads": 2, "vocab_size": WORDS, "rope_theta": 1000000.0,
        "rope_scaling": {"mrope_section": sections, "rope_type": "default", "type": "default"},
    }  # fmt: skip
    vision = {"depth": 2, "hidden_size": width, "intermediate_size": width, "num_heads": 2, "out_hidden_size": width}
    if kind.endswith("TextModel"):
        return seeded(lambda: t.Qwen2_5_VLTextModel(t.Qwen2_5_VLTextConfig(**text))).eval()
    config = t.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, hidden_size=width, vocab_size=WORDS, vision_end_token_id=293,
        vision_start_token_id=292, vision_token_id=294, image_token_id=295, video_token_id=296,
    )  # fmt: skip
    return seeded(lambda: t.Qwen2_5_VLForConditionalGeneration(config)).eval()


def seeded(build: Callable[[], Any]) -> Any:
    """The same weights every time."""
    torch.manual_seed(0)
    return build()


def wan_vae() -> Any:
    return seeded(
        lambda: d.AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        )
    )


def wan_transformer(channels: int = 16, **more: Any) -> Any:
    options = {"in_channels": channels, "out_channels": 16} | more
    return seeded(
        lambda: d.WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, text_dim=32, freq_dim=32, ffn_dim=32,
            num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32, **options,
        )
    )  # fmt: skip


def hunyuan_vae(latent: int = 4, **more: Any) -> Any:
    options = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "mid_block_add_attention": True} | more
    blocks = len(options["block_out_channels"])
    return seeded(
        lambda: d.AutoencoderKLHunyuanVideo(
            latent_channels=latent, down_block_types=("HunyuanVideoDownBlock3D",) * blocks,
            up_block_types=("HunyuanVideoUpBlock3D",) * blocks, layers_per_block=1, **options,
        )
    )  # fmt: skip


def cosmos_transformer(channels: int, latent: int, words: int = 32, **more: Any) -> Any:
    return seeded(
        lambda: d.CosmosTransformer3DModel(
            in_channels=channels, out_channels=latent, num_attention_heads=2, attention_head_dim=16, num_layers=2,
            mlp_ratio=2, text_embed_dim=words, adaln_lora_dim=4, max_size=(4, 32, 32), patch_size=(1, 2, 2),
            rope_scale=(2.0, 1.0, 1.0), concat_padding_mask=True, extra_pos_embed_type="learnable", **more,
        )
    )  # fmt: skip


class Guard(d.ModelMixin, d.ConfigMixin):  # type: ignore[misc]
    """Stands for the guardrail of Cosmos, gigabytes of networks of a package of its own: it passes everything."""

    config_name = "config.json"

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames
