"""The text encoder in the form that transformers reads: a `BertModel` and a fast tokenizer, and back.

It is a BERT (Devlin et al., arXiv 1810.04805) in all but the names: three projections where ours are one matrix, an
embedding of the segment, which is zero here, and the sentence marks put around by the tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from haneul.model.text import TextEncoder

#: Our name of a layer's part -> transformers'.
_NAMES = {
    "out": "attention.output.dense", "norm1": "attention.output.LayerNorm", "up": "intermediate.dense",
    "down": "output.dense", "norm2": "output.LayerNorm",
}  # fmt: skip
_WORDS, _PLACES = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
_SEGMENTS, _NORM = "embeddings.token_type_embeddings.weight", "embeddings.LayerNorm"
_QKV = tuple(f"attention.self.{name}" for name in ("query", "key", "value"))
_MARKS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


class Words(nn.Embedding):
    """An embedding table of plain numbers."""

    @property
    def width(self) -> int:
        return self.embedding_dim


def to_bert(encoder: TextEncoder) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights by the names of `BertModel`, float32, and its configuration."""
    words, places = encoder.words, encoder.positions.weight
    rows = words.weight if isinstance(words, Words) else words(torch.arange(words.rows))
    state = {_WORDS: rows, _PLACES: places, _SEGMENTS: torch.zeros(1, encoder.width)}
    state |= {f"{_NORM}.{kind}": getattr(encoder.norm, kind) for kind in ("weight", "bias")}
    for number, layer in enumerate(encoder.layers):
        for kind in ("weight", "bias"):
            thirds = getattr(layer.qkv, kind).chunk(3)
            at = f"encoder.layer.{number}"
            state |= {f"{at}.{name}.{kind}": third for name, third in zip(_QKV, thirds, strict=True)}
            state |= {f"{at}.{theirs}.{kind}": getattr(getattr(layer, ours), kind) for ours, theirs in _NAMES.items()}
    first: Any = encoder.layers[0]
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(rows), "hidden_size": encoder.width,
        "num_hidden_layers": len(encoder.layers), "num_attention_heads": first.heads,
        "intermediate_size": first.up.out_features, "hidden_act": "gelu", "layer_norm_eps": encoder.norm.eps,
        "max_position_embeddings": len(places), "type_vocab_size": 1, "pad_token_id": _MARKS["<pad>"],
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    return {name: value.detach().float() for name, value in state.items()}, config


def from_bert(state: Mapping[str, Tensor], config: Mapping[str, Any], tokenizer: str) -> TextEncoder:
    """The inverse: an encoder that computes the same numbers. `tokenizer` is a tokenizer's JSON.

    Raises KeyError, TypeError, ValueError or RuntimeError for what is no encoder of ours in that form.
    """
    table = state[_WORDS].float()
    encoder = TextEncoder(
        Words(*table.shape), state[_PLACES].float(), config["num_hidden_layers"],
        config["num_attention_heads"], config["intermediate_size"], config["layer_norm_eps"],
    )  # fmt: skip
    if state[_SEGMENTS].any():
        raise ValueError("it tells segments apart, which ours does not")
    own = {f"norm.{kind}": state[f"{_NORM}.{kind}"] for kind in ("weight", "bias")}
    own |= {"words.weight": table, "positions.weight": state[_PLACES]}
    for number in range(len(encoder.layers)):
        for kind in ("weight", "bias"):
            at = f"encoder.layer.{number}"
            own[f"layers.{number}.qkv.{kind}"] = torch.cat([state[f"{at}.{name}.{kind}"] for name in _QKV])
            own |= {f"layers.{number}.{ours}.{kind}": state[f"{at}.{theirs}.{kind}"] for ours, theirs in _NAMES.items()}
    encoder.load_state_dict({name: value.float() for name, value in own.items()})
    plain = json.loads(tokenizer) | {"post_processor": None, "added_tokens": []}  # the encoder puts the marks itself
    encoder.tokenizer = Tokenizer.from_str(json.dumps(plain))
    return encoder.eval().requires_grad_(False)


def tokenizer_files(encoder: TextEncoder) -> dict[str, str]:
    """File name -> JSON, as `AutoTokenizer` reads them; it answers the same ids as the encoder's own."""
    assert encoder.tokenizer is not None
    table = json.loads(encoder.tokenizer.to_str())
    mark = {name: {"id": name, "ids": [_MARKS[name]], "tokens": [name]} for name in ("<s>", "</s>")}
    first, last = ({"SpecialToken": {"id": name, "type_id": 0}} for name in mark)
    sequence = [{"Sequence": {"id": which, "type_id": 0}} for which in "AB"]
    table["post_processor"] = {
        "type": "TemplateProcessing", "single": [first, sequence[0], last],
        "pair": [first, sequence[0], last, sequence[1], last], "special_tokens": mark,
    }  # fmt: skip
    table["added_tokens"] = [
        {"id": number, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for name, number in _MARKS.items()
    ]  # fmt: skip
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": len(encoder.positions.weight),
        "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>",
    }  # fmt: skip
    return {
        "tokenizer.json": json.dumps(table, ensure_ascii=False),
        "tokenizer_config.json": json.dumps(told, indent=2, ensure_ascii=False) + "\n",
    }
