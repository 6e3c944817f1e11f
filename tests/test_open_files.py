"""What goes with an open checkpoint and what can be wrong with it: single files and LoRAs, memory, damaged folders,
licences, and the ways in."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import gguf
import huggingface_hub
import numpy as np
import pytest
import torch
from asking import PROMPT, SIDES, Frames, Saved, asked, frames_of
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from haneul import cli, storyboard
from haneul.backbones.base import Given
from haneul.backbones.open import folder, hub, licences, memory
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras
from haneul.config import load_settings, to_toml
from haneul.errors import CheckpointError, InputError
from haneul.trust import credentials
from haneul.world import guide as guides

pytestmark = pytest.mark.usefixtures("in_float32")

# ----------------------------------------------------------------------------------------------- weights beside it


def lora_file(path: Path, width: int = 24, rank: int = 2) -> Path:
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for block in range(2):
        for part in ("to_q", "to_v"):
            key = f"transformer.blocks.{block}.attn1.{part}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(rank, width, generator=generator)
            tensors[f"{key}.lora_B.weight"] = torch.randn(width, rank, generator=generator)
    save_file(tensors, path)
    return path


def test_loras_count_as_much_as_they_are_told(saved: Saved, tmp_path: Path) -> None:
    where = saved("wan")
    files = [lora_file(tmp_path / f"{name}.safetensors") for name in "ab"]

    def made(*loras: tuple[Path, float]) -> Frames:
        model = Open(folder.read(where), extras=Extras(loras=loras))
        return frames_of(model.generate(asked(model, 5, SIDES)))

    without, with_one = made(), made((files[0], 1.0))
    assert not np.array_equal(without, with_one)
    assert np.array_equal(made((files[0], 0.5), (files[1], 0.5)), with_one)  # the same LoRA twice, each half
    model = Open(folder.read(where), extras=Extras(loras=((files[0], 0.5),)))
    assert model.identity().card["loras"] == ["a.safetensors:0.5"]
    assert model.identity().weights_sha256 != Open(folder.read(where)).identity().weights_sha256


def test_a_lora_that_does_not_fit_is_said(saved: Saved, tmp_path: Path) -> None:
    def told(path: Path) -> list[str]:
        model = Open(folder.read(saved("wan")), extras=Extras(loras=((path, 1.0),)))
        model.load(5, SIDES)
        return model.notes(asked(model, 5, SIDES))

    ours = lora_file(tmp_path / "ours.safetensors")
    assert not any("layers of" in note for note in told(ours))
    tensors = load_file(ours)
    foreign = {name.replace("attn1", "attn9"): value.clone() for name, value in tensors.items()}
    save_file(tensors | foreign, tmp_path / "half.safetensors")
    assert any("only 4 of the 8 layers of half.safetensors" in note for note in told(tmp_path / "half.safetensors"))
    other = {name.replace("transformer.blocks", "unet.blocks"): value for name, value in tensors.items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.safetensors is a LoRA of another model"):
        told(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"wide\.safetensors cannot be loaded .* size mismatch for blocks"):
        told(lora_file(tmp_path / "wide.safetensors", width=32))
    model = Open(folder.read(saved("hunyuan15")), extras=Extras(loras=((ours, 1.0),)))
    with pytest.raises(CheckpointError, match="takes no LoRA"):
        model.load(5, SIDES)


def single(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An LTX denoiser's weights as its makers name them."""
    names = {"proj_in": "patchify_proj", "time_embed": "adaln_single", "norm_q": "q_norm", "norm_k": "k_norm"}
    found = {}
    for key, value in state.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        found[f"model.diffusion_model.{key}"] = value.contiguous()
    return found


def test_the_denoiser_comes_from_one_file(saved: Saved, tmp_path: Path) -> None:
    where = saved("ltx")
    model = Open(folder.read(where))
    expected = frames_of(model.generate(asked(model, 5, SIDES)))
    kind = diffusers.LTXVideoTransformer3DModel
    other = kind.from_config(kind.load_config(where / "transformer"))
    weights = single(other.state_dict())
    save_file(weights, tmp_path / "other.safetensors")
    changed = Open(folder.read(where), extras=Extras(weights=tmp_path / "other.safetensors"))
    made = frames_of(changed.generate(asked(changed, 5, SIDES)))
    assert not np.array_equal(made, expected)
    assert torch.equal(changed.load(5, SIDES).own.transformer.proj_in.weight, other.proj_in.weight)
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "ltxv")
    for key, value in weights.items():
        writer.add_tensor(key.removeprefix("model.diffusion_model."), value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    packed = Open(folder.read(where), extras=Extras(weights=tmp_path / "other.gguf"))
    near = frames_of(packed.generate(asked(packed, 5, SIDES)))
    assert np.abs(near.astype(float) - made).mean() < 3


# ---------------------------------------------------------------------------------------------------------- memory


def test_a_plan_is_the_first_that_fits(saved: Saved) -> None:
    checkpoint = folder.read(saved("wan"))
    rules = Open(checkpoint).rules
    found = memory.plans(checkpoint, rules, frames=81, size=(832, 480), device="cuda", dtype="bfloat16")
    peaks = [plan.peak for plan in found]
    roomy = memory.choose(found, 2 * max(peaks))
    assert roomy == dataclasses.replace(found[0], why=roomy.why)
    tight = memory.choose(found, int(found[1].peak / 0.9))
    assert (tight.place, tight.tiled) == ("whole", True)
    assert "GiB are free" in tight.why
    assert memory.choose(found, 1).place == "layers"
    walked, plan = [found[0]], memory.after(found, found[0])
    while plan is not None:
        walked.append(plan)
        plan = memory.after(found, plan)
    assert [(p.place, p.tiled, p.fp8) for p in walked] == [(p.place, p.tiled, p.fp8) for p in found]
    params = sum(p.parameters for p in checkpoint.parts.values())
    assert params == sum(tensor.numel() for path in checkpoint.weights for tensor in load_file(path).values())


def test_every_plan_of_a_processor_makes_the_video(saved: Saved) -> None:
    made = []
    for i in range(3):
        model = Open(folder.read(saved("wan")), device="cpu")
        plans = memory.plans(model.checkpoint, model.rules, frames=5, size=SIDES, device="cpu", dtype="float32")
        assert len(plans) == 3
        model._placed(plans[i])
        made.append(frames_of(model.generate(asked(model, 5, SIDES))).astype(float))
    assert np.array_equal(made[0], made[1])
    assert 0 < np.abs(made[0] - made[2]).mean() < 6  # eight bits are fewer than thirty-two


def test_out_of_memory_leads_to_the_next_plan(saved: Saved) -> None:
    model = Open(folder.read(saved("wan")), device="cpu")
    expected = frames_of(Open(folder.read(saved("wan"))).generate(asked(model, 5, SIDES)))
    full = [1]

    def exhausted(*_: Any) -> None:
        if full:
            full.pop()
            raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    model.load(5, SIDES).own.transformer.register_forward_pre_hook(exhausted)
    request = asked(model, 5, SIDES)
    made = frames_of(model.generate(request))
    assert not full
    assert np.array_equal(made, expected)  # tiles of 256 x 256 hold this picture whole
    notes = model.notes(request)
    assert [note for note in notes if "in tiles" in note and "ran out of memory" in note]


# ---------------------------------------------------------------------------------------------------------- errors


@pytest.fixture
def copy(saved: Saved, tmp_path: Path) -> Path:
    """A checkpoint that may be damaged."""
    return Path(shutil.copytree(saved("wan"), tmp_path / "wan"))


def shards(where: Path) -> None:
    """The denoiser's weights in two files and an index."""
    file = where / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    names = sorted(tensors)
    parts = (names[: len(names) // 2], names[len(names) // 2 :])
    table = {}
    for i, part in enumerate(parts, start=1):
        shard = f"diffusion_pytorch_model-0000{i}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, file.with_name(shard))
        table |= dict.fromkeys(part, shard)
    file.unlink()
    file.with_name(f"{file.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


def test_shards_are_read(copy: Path, saved: Saved) -> None:
    shards(copy)
    model, whole = Open(folder.read(copy)), Open(folder.read(saved("wan")))
    assert folder.read(copy).denoiser.parameters == folder.read(saved("wan")).denoiser.parameters
    request = asked(model, 5, SIDES)
    assert np.array_equal(frames_of(model.generate(request)), frames_of(whole.generate(request)))


def damage(kind: str, where: Path) -> None:
    transformer = where / "transformer"
    weights = transformer / "diffusion_pytorch_model.safetensors"
    index = json.loads((where / "model_index.json").read_text())
    if kind == "no index":
        (where / "model_index.json").unlink()
    elif kind == "broken index":
        (where / "model_index.json").write_text('{"_class_name": ')
    elif kind == "picture model":
        (where / "model_index.json").write_text(json.dumps(index | {"_class_name": "StableDiffusionPipeline"}))
    elif kind == "unknown pipeline":
        (where / "model_index.json").write_text(json.dumps(index | {"_class_name": "NoSuchPipeline"}))
    elif kind == "own code":
        (where / "model_index.json").write_text(json.dumps(index | {"_class_name": ["mine", "MyPipeline"]}))
    elif kind == "foreign part":
        (where / "model_index.json").write_text(json.dumps(index | {"vae": ["evil", "Vae"]}))
    elif kind == "no vae":
        shutil.rmtree(where / "vae")
    elif kind == "no weights":
        weights.unlink()
    elif kind == "pickle":
        weights.rename(transformer / "diffusion_pytorch_model.bin")
    elif kind == "only pickles":
        (where / "model_index.json").unlink()
        (where / "wan.ckpt").write_bytes(b"x")
    elif kind == "cut short":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif kind == "no header":
        weights.write_bytes(b"\xff" * 4000)
    elif kind == "broken config":
        (transformer / "config.json").write_text("[1, 2]")
    elif kind == "missing shard":
        shards(where)
        (transformer / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    elif kind == "wrong shard":
        shards(where)
        one, two = sorted(transformer.glob("*-of-*"))
        one.write_bytes(two.read_bytes())
    elif kind == "no shard index":
        shards(where)
        next(transformer.glob("*.index.json")).unlink()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no index", "has no model_index.json"),
        ("broken index", "no valid JSON"),
        ("picture model", "StableDiffusionPipeline, which makes no video"),
        ("unknown pipeline", "has no NoSuchPipeline"),
        ("own code", "brings its own code"),
        ("foreign part", "made by 'evil'"),
        ("no vae", "lacks the folder vae"),
        ("no weights", "has no weights"),
        ("pickle", "never opened"),
        ("only pickles", "wan.ckpt, a pickle"),
        ("cut short", "has .* bytes and should have"),
        ("no header", "no safetensors file"),
        ("broken config", "holds a list"),
        ("missing shard", "00002-of-00002.safetensors is missing"),
        ("wrong shard", "shards of different checkpoints are mixed"),
        ("no shard index", "shards and no index"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(kind: str, says: str, copy: Path) -> None:
    damage(kind, copy)
    with pytest.raises(CheckpointError, match=says) as found:
        folder.read(copy)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("part", ["tokenizer", "scheduler"])
def test_what_only_loading_shows_is_one_error_too(part: str, copy: Path) -> None:
    for file in (copy / part).iterdir():
        file.unlink()
    model = Open(folder.read(copy))
    with pytest.raises(CheckpointError, match="cannot be loaded by diffusers") as found:
        list(model.generate(asked(model, 5, SIDES)))
    assert "\n" not in str(found.value)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        hub.find(str(tmp_path / "nothing"))
    (tmp_path / "model.ckpt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is a pickle"):
        hub.find(str(tmp_path / "model.ckpt"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="hub cannot be reached"):
        hub.find("Wan-AI/Wan2.2-TI2V-5B-Diffusers")
    for name, says in (("a.bin", "never opened"), ("a.txt", "none of"), ("a.safetensors", "no file")):
        with pytest.raises(CheckpointError, match=says):
            Extras(loras=((tmp_path / name, 1.0),))


def test_a_size_that_is_learned_is_the_only_one(saved: Saved, tmp_path: Path) -> None:
    where = Path(shutil.copytree(saved("cogvideox"), tmp_path / "cogvideox"))
    assert Open(folder.read(where)).rules.sides((64, 48)) == (64, 48)
    config = where / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_learned_positional_embeddings": True}))
    assert Open(folder.read(where)).rules.sides((64, 48)) == (32, 32)


# ------------------------------------------------------------------------------------------- licences and the engine


def test_terms_are_those_of_the_card(copy: Path) -> None:
    assert licences.of(folder.read(copy)).name == "unknown"
    card = "---\nlicense: other\nlicense_name: tencent-hunyuan-community\nlicense_link: LICENSE\n---\n"
    (copy / "README.md").write_text(card)
    found = licences.of(folder.read(copy))
    assert (found.name, found.link) == ("tencent-hunyuan-community", "LICENSE")
    assert "European Union" in found.meaning
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Wan\n")
    assert licences.of(folder.read(copy)).name == "apache-2.0"


def test_a_signed_video_from_the_command_line(copy: Path, home: Path, tmp_path: Path) -> None:
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    out = tmp_path / "out.mp4"
    told = ["generate", PROMPT, "--model", str(copy), "-o", str(out)]
    told += ["--steps", "1", "--size", "96x64", "--seconds", "0.3"]
    first = CliRunner().invoke(cli.main, [*told, "--report"])
    assert first.exit_code == 0, first.output
    assert "apache-2.0" in first.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["model"]["card"]["licence"] == "apache-2.0"
    assert any("memory:" in line for line in report["warnings"])
    found = credentials.verify(out)
    assert found.here
    assert found.model_licence == "apache-2.0"
    second = CliRunner().invoke(cli.main, [*told, "--overwrite"])
    assert second.exit_code == 0
    assert "is used under its own terms" not in second.output  # shown once
    shown = CliRunner().invoke(cli.main, ["models", "show", str(copy)])
    assert shown.exit_code == 0, shown.output
    for line in ("WanPipeline", "apache-2.0", "4k + 1 frames at 16", "multiples of 16", "native", "unavailable", "GiB"):
        assert line in shown.output
    nothing = ["--model", str(tmp_path / "none"), "-o", str(out), "--overwrite"]
    refused = CliRunner().invoke(cli.main, ["generate", PROMPT, *nothing])
    assert refused.exit_code == CheckpointError.exit_code


def test_the_settings_and_a_storyboard_name_a_model(saved: Saved, home: Path, tmp_path: Path) -> None:
    (home / "config.toml").write_text(f'model = "{saved("wan")}"\n')
    settings = load_settings()
    assert load_settings().model == str(saved("wan"))
    assert f'model = "{saved("wan")}"' in to_toml(settings)
    (tmp_path / "board.toml").write_text('size = "64x64"\n[[shots]]\nprompt = "a red ball"\nseconds = 0.2\nsteps = 1\n')
    film = storyboard.film(tmp_path / "board.toml", output=tmp_path / "film.mp4", settings=settings)
    assert film.path.exists()
    assert credentials.verify(film.path).here


def test_what_should_not_be_seen_and_is_not_heeded_is_said(saved: Saved) -> None:
    def told(name: str, **more: Any) -> bool:
        model = Open(folder.read(saved(name)))
        return any("counts for nothing" in note for note in model.notes(asked(model, 5, SIDES, **more)))

    assert told("hunyuan", negative="rain")
    assert told("wan", negative="rain", guidance=1.0)
    assert not told("wan", negative="rain")
    assert not told("hunyuan")


def test_paths_of_numbers_are_refused(saved: Saved) -> None:
    model = Open(folder.read(saved("wan")))
    camera = np.zeros((5, 6), np.float32)
    with pytest.raises(InputError, match="camera's path"):
        list(model.generate(asked(model, 5, SIDES, camera=camera)))
    list(model.generate(asked(model, 5, SIDES, camera=camera, fixed={"camera": "push in"})))
    with pytest.raises(InputError, match="actions frame by frame"):
        list(model.generate(asked(model, 5, SIDES, action=np.zeros((5, 4), np.float32))))


# ----------------------------------------------------------------------------------------------------------- guides


def test_a_guide_is_followed_by_who_takes_control(saved: Saved) -> None:
    model = Open(folder.read(saved("wan-vace")))

    def made(frames: Frames) -> Frames:
        given = (Given(frames=frames, keep=0.4, control=True),)
        return frames_of(model.generate(asked(model, 5, SIDES, mode="guided", given=given)))

    dark, bright = (np.full((5, 32, 32, 3), value, np.uint8) for value in (0, 255))
    assert np.array_equal(made(dark), made(dark))
    assert not np.array_equal(made(dark), made(bright))
    anew = Open(folder.read(saved("wan")))
    given = (Given(frames=bright, keep=0.4, control=True),)
    assert len(frames_of(anew.generate(asked(anew, 5, SIDES, mode="guided", given=given)))) == 5
    none = Open(folder.read(saved("wan-ti2v")))
    with pytest.raises(InputError, match="cannot make guided"):
        list(none.generate(asked(none, 5, SIDES, mode="guided", given=given)))


def test_how_a_scene_is_told() -> None:
    depth = np.full((2, 4, 4), 10.0, np.float32)
    depth[:, :2] = np.inf
    depth[:, 3] = 2.0
    shade = guides.shades(depth)[..., 0]
    assert (shade[:, :2] == 0).all()  # the sky
    assert (shade[:, 2] < shade[:, 3]).all()  # near is bright
    ids = np.zeros((4, 4), np.uint8)
    ids[:, 2:] = 3
    assert (guides.outlines(ids)[:, 2, 0] == 255).all()
    assert guides.outlines(ids).sum() == 4 * 3 * 255


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('tell = "depth"', "has no scene"),
        ('scene = "a red ball rolls"\ntell = "heat"', "choose picture, depth, objects, masks, motion"),
        ('scene = "a red ball rolls"\nhold = 1.5', "hold of 1.5"),
        ('scene = "a red ball rolls"\ncolour = 1', "unknown key 'colour'"),
        ("scene = ", "not valid TOML"),
    ],
)
def test_a_guide_that_is_none(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text(text)
    with pytest.raises(InputError, match=says):
        guides.read(tmp_path / "scene.toml")


def test_a_simulated_scene_directs_from_the_command_line(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text('scene = "a red ball rolls in the snow"\ntell = "depth"\n')
    told = ["generate", PROMPT, "--guide", str(tmp_path / "scene.toml"), "-o", str(tmp_path / "out.mp4")]
    told += ["--steps", "1", "--size", "64x64", "--seconds", "0.5", "-q"]
    made = CliRunner().invoke(cli.main, [*told, "--model", str(saved("wan-vace"))])
    assert made.exit_code == 0, made.output
    assert credentials.verify(tmp_path / "out.mp4").here
    native = CliRunner().invoke(cli.main, [*told, "--overwrite"])
    assert native.exit_code == InputError.exit_code
    assert "cannot follow a guide" in native.stderr
