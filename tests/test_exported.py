"""Our own model in the layout of diffusers: what we make of it, and what other tools load of it."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import diffusers
import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import haneul
from haneul import cli, engine
from haneul.backbones import exported
from haneul.backbones.base import Request
from haneul.backbones.layout import PARTS, is_exported, weight_files
from haneul.backbones.native import Native
from haneul.config import Settings
from haneul.errors import CheckpointError, HaneulError, InputError, OutputError, RefusedError
from haneul.model.checkpoint import file_digest
from haneul.model.text import TextEncoder

PROMPT = "a red ball rolls down the stairs"


def frames(model: Native, seconds: float = 0.3, size: tuple[int, int] = (128, 64)) -> NDArray[np.uint8]:
    request = Request(prompt=PROMPT, seconds=seconds, size=size, seed=3, steps=2, guidance=1.5)
    return np.stack(list(model.generate(request)))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two networks have the same tensors, to the last bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.fixture(scope="module")
def tiny(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture(scope="module")
def folder(tiny: Native, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, exported. Not to be written to."""
    return exported.write(tiny, tmp_path_factory.mktemp("exported") / "ours")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("settings")
    return Settings(data=root / "data", cache=root / "cache")


def test_the_bundled_model_makes_the_same_frames(tmp_path: Path, settings: Settings) -> None:
    """Its matrices are in eight bits; what is written is what they stand for, so every frame is the same bytes."""
    made = CliRunner().invoke(cli.main, ["export", str(tmp_path / "nano")])
    assert made.exit_code == 0, made.output
    assert "MiB of weights" in made.output
    ours, again = Native(), engine.backbone_of(tmp_path / "nano", settings)
    assert isinstance(again, Native)
    for part, (module, card) in ours.parts().items():
        other, told = again.parts()[part]
        assert told == card
        assert same(module, other)
    assert ours.understood(PROMPT) == again.understood(PROMPT)
    assert ours.unknown_words("a zyzzyva rolls") == again.unknown_words("a zyzzyva rolls")
    assert np.array_equal(frames(ours), frames(again))
    assert (again.identity().model, again.identity().data_ledger_root) == ("haneul-nano", ours.card.data_ledger_root)
    weights = tmp_path / "nano" / "transformer" / "diffusion_pytorch_model.safetensors"
    assert again.identity().weights_sha256 == file_digest(weights)


def test_half_is_half_the_size_and_nearly_the_same(
    tiny: Native, folder: Path, tmp_path: Path, in_float32: None
) -> None:
    half = exported.write(tiny, tmp_path / "half", half=True)
    whole, rounded = (sum(path.stat().st_size for path in weight_files(where)) for where in (folder, half))
    assert rounded < 0.55 * whole
    one, other = frames(tiny), frames(Native(half))
    assert 0 < np.abs(one.astype(int) - other).max() < 40
    assert np.abs(one.astype(int) - other).mean() < 1
    twice = exported.write(Native(half), tmp_path / "twice")  # an exported model can be exported
    assert np.array_equal(frames(Native(twice)), other)


def test_what_lies_in_it(tiny: Native, folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["data_ledger_root"] == "ab" * 32
    assert index["exported_from_sha256"] == tiny.identity().weights_sha256
    for name, entry in index.items():
        if isinstance(entry, list) and isinstance(entry[0], str):
            assert any((folder / name).iterdir()), name
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".md", ""}  # "": LICENSE and NOTICE
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "Permission is hereby granted" in (folder / "NOTICE").read_text()
    card = (folder / "README.md").read_text()
    for told in ("license: apache-2.0", "ab" * 32, "multilingual-e5-small", *map(file_digest, weight_files(folder))):
        assert told in card
    for part, (module, _) in tiny.parts().items():  # any reader of safetensors has the numbers, by their names
        tensors = load_file(folder / PARTS[part][0] / "diffusion_pytorch_model.safetensors")
        assert tensors.keys() == module.state_dict().keys()
        assert all(torch.equal(tensors[name], value) for name, value in module.state_dict().items())
        assert f"{sum(value.numel() for value in tensors.values()):,}" in card
    assert "`blocks.*.qkv.weight` [192, 64] x2" in card


def test_transformers_loads_the_text_encoder(tiny: Native, folder: Path) -> None:
    encoder: TextEncoder = tiny.reading.text
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    bert = transformers.AutoModel.from_pretrained(folder / "text_encoder", add_pooling_layer=False).eval()
    for text in (PROMPT, "파란 바다에 물결이 친다", "ball " * 300):
        told = tokenizer(text, return_tensors="pt", truncation=True)
        assert told.input_ids[0].tolist() == encoder.tokenize(text)
        with torch.no_grad():
            states = bert(**told).last_hidden_state
        assert torch.allclose(states, encoder.encode([text])[0], atol=1e-4)


def test_diffusers_loads_the_parts_of_who_has_haneul(
    tiny: Native, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AttributeError, match="no attribute HaneulPipeline"):  # and it has no pipeline for them
        diffusers.DiffusionPipeline.from_pretrained(folder)
    monkeypatch.delitem(sys.modules, "haneul.parts", raising=False)
    with pytest.raises(ValueError, match=r"import haneul\.parts before"):
        diffusers.AutoModel.from_pretrained(str(folder), subfolder="vae")
    monkeypatch.setitem(sys.modules, "haneul.parts", import_module("haneul.parts"))
    for part, (module, _) in tiny.parts().items():
        loaded = diffusers.AutoModel.from_pretrained(str(folder), subfolder=PARTS[part][0])
        assert isinstance(loaded, type(module))
        assert same(loaded, module)
    video = torch.rand(1, 3, 5, 32, 48) * 2 - 1
    codec = diffusers.AutoModel.from_pretrained(str(folder), subfolder="vae")
    with torch.no_grad():
        one, other = (net.decode(net.encode(video)) for net in (codec, tiny.codec))
    assert torch.allclose(one, other, atol=1e-5)  # ours lies in memory channels last, which rounds otherwise
    half = diffusers.AutoModel.from_pretrained(str(folder), subfolder="vae", dtype=torch.float16)
    assert half.shift.dtype == torch.float16
    parts = import_module("haneul.parts")
    with pytest.raises(CheckpointError, match="no Codec in transformer"):
        parts.Codec.from_pretrained(folder, subfolder="transformer")


def test_from_the_command_line_it_is_screened_marked_and_signed(folder: Path, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    told = ["--model", str(folder), "-o", str(out), "--steps", "1", "--size", "128x128", "--seconds", "0.3"]
    made = CliRunner().invoke(cli.main, ["generate", PROMPT, *told])
    assert made.exit_code == 0, made.output
    found = haneul.verify(out)
    assert (found.here, found.model) == (True, "haneul-nano")
    assert found.data_ledger_root == "ab" * 32
    refused = CliRunner().invoke(cli.main, ["generate", "a beheading with blood and guts", *told, "--overwrite"])
    assert refused.exit_code == RefusedError.exit_code, refused.output
    shown = CliRunner().invoke(cli.main, ["models", "show", str(folder)])
    assert shown.exit_code == 0, shown.output
    for line in ("HaneulPipeline", "Apache-2.0", "ab" * 32, "112x64 at 12", "DiT", "BertModel", "keyframes"):
        assert line in shown.output
    again = CliRunner().invoke(cli.main, ["export", str(folder)])
    assert again.exit_code == OutputError.exit_code
    extra = CliRunner().invoke(cli.main, ["generate", PROMPT, *told, "--overwrite", "--exact"])
    assert extra.exit_code == InputError.exit_code


def test_a_folder_of_weights_and_a_name_of_the_hub(
    weights: Path, folder: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(engine.backbone_of(weights, settings), Native)
    shown = CliRunner().invoke(cli.main, ["models", "show", str(weights)])
    assert "upscaler:" in shown.output
    cache = tmp_path / "models--someone--ours"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, cache / "snapshots" / ("0" * 40))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    found = engine.backbone_of("someone/ours", settings)
    assert isinstance(found, Native)
    assert is_exported(found.folder)


def damage(kind: str, where: Path) -> None:
    """What can be wrong with a folder."""
    weights = where / "vae" / "diffusion_pytorch_model.safetensors"
    if kind == "cut":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif kind == "changed":
        data = weights.read_bytes()
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif kind == "missing":
        weights.unlink()
    elif kind == "config":
        config = json.loads((where / "vae" / "config.json").read_text())
        (where / "vae" / "config.json").write_text(json.dumps(config | {"width": 32}))
    elif kind == "no config":
        (where / "transformer" / "config.json").unlink()
    elif kind == "swapped":
        shutil.copyfile(where / "upscaler" / weights.name, weights)
    elif kind == "tokenizer":
        path = where / "tokenizer" / "tokenizer.json"
        path.write_text(path.read_text().replace("▁ball", "▁call", 1))
    elif kind == "words":
        path = where / "text_encoder" / "model.safetensors"
        tensors = load_file(path)
        save_file({name: value * 1.01 for name, value in tensors.items()}, path, {"format": "pt"})
    elif kind == "no words":
        (where / "text_encoder" / "model.safetensors").unlink()
    elif kind == "index":
        index = json.loads((where / "model_index.json").read_text())
        (where / "model_index.json").write_text(json.dumps(index | {"_class_name": "NoPipeline"}))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("cut", "is damaged"),
        ("changed", "was changed since it was written"),
        ("missing", "no weights at"),
        ("config", "does not fit the weights beside it"),
        ("no config", "config.json cannot be read"),
        ("swapped", "holds a upscaler, not a codec"),
        ("tokenizer", "text encoder of .* was changed"),
        ("words", "text encoder of .* was changed"),
        ("no words", "text encoder of .* cannot be read"),
        ("index", "has no NoPipeline"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(kind: str, says: str, copy: Path, settings: Settings) -> None:
    damage(kind, copy)
    with pytest.raises(HaneulError, match=says) as found:
        engine.backbone_of(copy, settings)
    assert isinstance(found.value, CheckpointError)
    assert "\n" not in str(found.value)


def test_nothing_is_left_of_an_export_that_failed(
    tiny: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left"):
        exported.write(tiny, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
