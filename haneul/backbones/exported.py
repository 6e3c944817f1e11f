"""Our own model as a folder in the layout of diffusers: an index, and for each part its configuration and weights.

    model_index.json     which parts there are and which class reads each; sizes, rate, sampling, ledger root, licence
    transformer/         config.json and diffusion_pytorch_model.safetensors; so vae/, upscaler/, concepts/
    text_encoder/        a BertModel of transformers, and tokenizer/ its fast tokenizer
    scenes.json          what fills in a short prompt; known_words.json: the words that it learned
    README.md            the model card; LICENSE and NOTICE beside it

There is no code in it and no pickle. The weights are plain numbers, so any tool that reads safetensors reads them; the
networks of the other parts are Haneul's own (docs/open-models.md says who can load what).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from haneul import __version__
from haneul.backbones.layout import INDEX, KIND, LIBRARY, PARTS, WEIGHTS
from haneul.errors import CheckpointError, OutputError
from haneul.model.checkpoint import Card, file_digest, save, tensors_digest

if TYPE_CHECKING:
    from haneul.backbones.native import Native
    from haneul.model.text import TextEncoder

TABLES = ("scenes.json", "known_words.json")


def check_config(path: Path, card: Card) -> None:
    """Refuse a part whose config.json, which other tools read, is not what its weights were made with."""
    told = _json(path.with_name("config.json"))
    if {name: value for name, value in told.items() if not name.startswith("_")} != card.config:
        raise CheckpointError(f"{path.with_name('config.json')} does not fit the weights beside it; fetch both again")


def read_text_encoder(folder: Path) -> tuple[TextEncoder, str]:
    """The text encoder of an exported folder, and the SHA-256 of the file that it was made from.

    Raises CheckpointError for one that is missing, damaged, or was changed since it was written.
    """
    from haneul.model.bert import from_bert

    path, words = folder / "text_encoder" / "model.safetensors", folder / "tokenizer" / "tokenizer.json"
    config = _json(path.with_name("config.json"))
    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        tokenizer = words.read_text(encoding="utf-8")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"the text encoder of {folder} cannot be read ({error}); fetch it again") from error
    if (tensors_digest(state), file_digest(words)) != (told.get("digest"), told.get("tokenizer_sha256")):
        raise CheckpointError(f"the text encoder of {folder} was changed since it was written; fetch it again")
    try:
        return from_bert(state, config, tokenizer), told["from_sha256"]
    except Exception as error:
        raise CheckpointError(f"the text encoder of {folder} does not fit its own configuration ({error})") from error


def write(model: Native, folder: Path, *, half: bool = False) -> Path:
    """Write a model into a folder that is empty or not there, and return it; `half` as float16, else float32, which
    is bit for bit what the model computes with.

    Raises OutputError where it cannot be written. What is there in the end is whole.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is there already and not empty; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            made = Path(temporary) / folder.name
            made.mkdir()
            _write(model, made, torch.float16 if half else torch.float32)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _write(model: Native, folder: Path, dtype: torch.dtype) -> None:
    from haneul.backbones.model_card import text

    index: dict[str, Any] = {"_class_name": KIND, "_haneul_version": __version__}
    for part, (module, card) in model.parts().items():
        where, kind = PARTS[part]
        (folder / where).mkdir()
        save(folder / where / WEIGHTS, module.state_dict(), card, dtype=dtype)
        _dump(folder / where / "config.json", {"_class_name": kind, "_haneul_version": __version__, **card.config})
        index[where] = [LIBRARY, kind]
    _write_text_encoder(model, folder, dtype)
    index["text_encoder"] = ["transformers", "BertModel"]
    index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
    index |= {
        "preset": model.card.preset,
        "base_size": list(model.preset.base_size),
        "base_fps": model.preset.base_fps,
        "sampling": model.card.sampling,
        "licence": model.card.licence,
        "data_ledger_root": model.card.data_ledger_root,
        "exported_from_sha256": model.identity().weights_sha256,
    }
    for name in TABLES:
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, folder / name)
    for name in ("LICENSE", "NOTICE"):
        (folder / name).write_text(terms(name), encoding="utf-8")
    _dump(folder / INDEX, index)
    (folder / "README.md").write_text(text(model, folder, dtype), encoding="utf-8")


def _write_text_encoder(model: Native, folder: Path, dtype: torch.dtype) -> None:
    from haneul.model.bert import to_bert, tokenizer_files

    state, config = to_bert(model.reading.text)
    tensors = {name: value.to(dtype).clone().contiguous() for name, value in state.items()}
    for where in ("text_encoder", "tokenizer"):
        (folder / where).mkdir()
    for name, written in tokenizer_files(model.reading.text).items():
        (folder / "tokenizer" / name).write_text(written, encoding="utf-8")
    told = {
        "format": "pt", "digest": tensors_digest(tensors), "from_sha256": model.text_encoder_sha256,
        "tokenizer_sha256": file_digest(folder / "tokenizer" / "tokenizer.json"),
    }  # fmt: skip
    file = folder / "text_encoder" / "model.safetensors"
    save_file(tensors, file, told)
    file.chmod(0o644)  # the library makes files that only their owner can read
    _dump(folder / "text_encoder" / "config.json", config | {"dtype": str(dtype).removeprefix("torch.")})


def terms(name: str) -> str:
    """The text of LICENSE or NOTICE, which have to go with the weights. Raises OutputError where the installation has
    lost them."""
    beside = Path(__file__).resolve().parents[2] / name
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    try:
        found = metadata.distribution("haneul").read_text(f"licenses/{name}")
    except metadata.PackageNotFoundError:
        found = None
    if found is None:
        raise OutputError(f"this installation of haneul lacks its {name}, which has to go with the weights; reinstall")
    return found


def _dump(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no object; fetch it again")
    return found
