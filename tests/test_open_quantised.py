"""A denoiser's weights in eight bits by torchao."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from asking import SIDES, Saved, asked, frames_of
from click.testing import CliRunner
from test_open_files import lora_file

from haneul import cli
from haneul.backbones.open import folder, memory, quantise
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras
from haneul.backbones.open.memory import Plan
from haneul.errors import InputError

pytestmark = pytest.mark.usefixtures("in_float32")


def plans_of(model: Open, device: str, *, quantised: bool = False) -> list[Plan]:
    return memory.plans(
        model.checkpoint, model.rules, frames=81, size=(832, 480), device=device, dtype="bfloat16", quantised=quantised
    )


def version(monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    """torchao of a version, or none, as the packages' list has it."""
    own = importlib.metadata.version

    def of(name: str) -> str:
        if name != "torchao":
            return own(name)
        if told is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return told

    monkeypatch.setattr(importlib.metadata, "version", of)


@pytest.mark.parametrize(
    ("told", "there"), [(None, False), ("0.15.9", False), ("0.16.0", True), ("0.18.0+cpu", True), ("1.0", True)]
)
def test_which_torchao_will_do(told: str | None, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    version(monkeypatch, told)
    assert quantise.installed() == there
    if there:
        Extras(quantise=True)
    else:
        with pytest.raises(InputError, match=r"pip install 'haneul\[quantise\]'"):
            Extras(quantise=True)


def test_without_it_the_command_says_what_to_install(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(monkeypatch, None)
    told = ["generate", "a ball", "--model", str(saved("wan")), "--quantise", "-o", str(tmp_path / "out.mp4")]
    refused = CliRunner().invoke(cli.main, told)
    assert refused.exit_code == InputError.exit_code
    assert "haneul[quantise]" in refused.stderr


def test_the_planner_takes_it_before_a_layer_at_a_time(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Open(folder.read(saved("wan")))
    version(monkeypatch, None)
    without = plans_of(model, "cuda")
    version(monkeypatch, "0.18.0")
    found = plans_of(model, "cuda")
    assert [(plan.place, plan.fp8, plan.int8) for plan in without] == [
        ("whole", False, False), ("whole", False, False), ("parts", False, False), ("parts", True, False),
        ("layers", False, False),
    ]  # fmt: skip
    assert [(plan.place, plan.fp8, plan.int8) for plan in found] == [
        ("whole", False, False), ("whole", False, False), ("parts", False, False), ("parts", False, True),
        ("layers", False, False),
    ]  # fmt: skip
    assert without[3].peak <= found[3].peak <= 1.05 * without[3].peak  # the scales, and what is not quantised
    assert plans_of(model, "cpu")[-1].int8
    eight = dataclasses.replace(found[3], peak=found[2].peak // 2)  # as of a large denoiser
    chosen = memory.choose([*found[:3], eight, found[4]], int(eight.peak / 0.9))
    assert (chosen.place, chosen.int8) == ("parts", True)
    assert "weights in 8 bits by torchao" in chosen.text()
    assert "moving a layer at a time would cost more at every step" in chosen.text()
    after = memory.after(found, found[2])
    assert after is not None
    assert after.int8


def test_asked_for_it_is_in_every_plan(saved: Saved) -> None:
    model = Open(folder.read(saved("wan")))
    usual, found = plans_of(model, "cuda"), plans_of(model, "cuda", quantised=True)
    assert [(plan.place, plan.tiled) for plan in found] == [("whole", False), ("whole", True), ("parts", True)]
    assert all(plan.int8 and not plan.fp8 for plan in found)
    assert found[0].peak < usual[0].peak
    saves = usual[0].peak - found[0].peak
    assert abs(saves - (2 - 1.05) * model.checkpoint.denoiser.parameters) <= 2  # bytes: two of bfloat16 become one
    assert "moving a layer" not in memory.choose(found, 2**50).text()


def test_torchao_quantises_the_denoiser_alone(saved: Saved, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    from torchao.quantization import Int8Tensor

    plain = Open(folder.read(saved("wan")), device="cpu")
    request = asked(plain, 5, SIDES)
    exact = frames_of(plain.generate(request)).astype(float)
    model = Open(folder.read(saved("wan")), extras=Extras(quantise=True), device="cpu")
    made = frames_of(model.generate(request)).astype(float)
    parts = model.load(5, SIDES).own
    layer = parts.transformer.blocks[0].attn1.to_q.weight
    assert isinstance(layer, Int8Tensor)
    assert not any(isinstance(weight, Int8Tensor) for weight in parts.text_encoder.parameters())
    assert type(parts.transformer.patch_embedding.weight.data) is torch.Tensor
    assert 0 < np.abs(made - exact).mean() < 3  # of 255
    assert any("torchao" in note for note in model.notes(request))
    lora = lora_file(tmp_path / "a.safetensors")
    with_lora = Open(folder.read(saved("wan")), extras=Extras(quantise=True, loras=((lora, 1.0),)), device="cpu")
    assert not np.array_equal(frames_of(with_lora.generate(request)), made)
