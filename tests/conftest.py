"""What all tests share. Every test run has its own HANEUL_HOME, so nothing of the user's is read or written."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Before torch is there: whatever of it runs beside another takes one core and waits without spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import psutil
import pytest
import torch
import visiting
from buckets import bucket
from clusters import cluster, missing
from hypothesis import settings
from numpy.typing import NDArray
from serving import Running
from signers import INFO

from haneul.backbones.native import BUNDLED
from haneul.data import latents
from haneul.model.checkpoint import Card, file_digest, load, load_into, save
from haneul.model.codec import Codec, CodecConfig
from haneul.model.concepts import ConceptReader, ConceptsConfig, sizes_of
from haneul.model.dit import DiT, DiTConfig
from haneul.model.live import LiveConfig, LiveModel
from haneul.model.presets import preset
from haneul.train.codec import CodecRecipe, train_codec
from haneul.train.recipes import Recipe
from haneul.trust.credentials import check_signer, sign
from haneul.video.io import write_mp4
from haneul.video.upscale import Upscaler, UpscalerConfig
from haneul.world.concepts import SLOTS
from haneul.world.produce import Plan, render_dataset
from haneul.world.rides import RIDERS

#: Reads words and concepts, so that both ways in are tested.
TINY_DIT = DiTConfig(latent=16, width=64, depth=2, heads=2, truth=12, text=384, concepts=sizes_of(SLOTS))

#: The same examples in every run: a change is to blame for what fails. HYPOTHESIS_PROFILE=explore tries new ones.
settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

torch.set_num_threads(1)  # small tensors, and the tests' results then don't depend on the machine's cores


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `pytest -n auto` shares the files out to: one for each core that we may use and each 6 GiB of
    memory, and at most 4 (every one has a service of its own). With a single core 0: pytest alone does it all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = min(cores, int(psutil.virtual_memory().total // (6 << 30)), 4)
    return found if found > 1 else 0


@pytest.fixture(autouse=True, scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for the settings, certificate and caches of the whole run."""
    before = os.environ.get("HANEUL_HOME")
    home = tmp_path_factory.mktemp("home")
    os.environ["HANEUL_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["HANEUL_HOME"]
    else:
        os.environ["HANEUL_HOME"] = before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HANEUL_HOME for one test: a computer on which Haneul never ran."""
    path = tmp_path / "haneul home"
    path.mkdir()
    monkeypatch.setenv("HANEUL_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def clip() -> NDArray[np.uint8]:
    """uint8 [12, 64, 96, 3]: a smooth gradient on which a red square moves right."""
    y, x = np.mgrid[0:64, 0:96]
    ground = np.stack([x * 2, y * 3, 128 - x // 2], axis=-1).astype(np.uint8)
    frames = np.repeat(ground[None], 12, axis=0)
    for t in range(12):
        frames[t, 20:44, 4 + 5 * t : 28 + 5 * t] = (220, 30, 30)
    return frames


@pytest.fixture(scope="session")
def plain(clip: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`clip` as an unsigned mp4. Not to be written to."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    write_mp4(clip, path, fps=24)
    return path


@pytest.fixture
def signed(plain: Path, tmp_path: Path) -> Path:
    """`plain`, signed by the local signer."""
    path = tmp_path / "signed.mp4"
    sign(plain, path, INFO, check_signer())
    return path


def alive(module: torch.nn.Module) -> torch.nn.Module:
    """The module with small random numbers where it begins with zeros, so that every path does something."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return module


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights as Native reads it: tiny untrained networks and the real text encoder."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    dit = TINY_DIT
    concepts = ConceptsConfig(slots=dict(SLOTS), width=32, heads=2, depth=1)
    codec = CodecConfig(latent=16, width=16, learned=False)
    upscaler = UpscalerConfig(width=8, depth=1, fine=4, scale=4)
    live = LiveConfig(latent=16, width=32, depth=1, heads=2, concepts=sizes_of(SLOTS), riders=tuple(RIDERS))
    riders = {kind: (rider.event, rider.settings) for kind, rider in RIDERS.items()}
    recipes = {
        "concepts": {"text_encoder_sha256": file_digest(BUNDLED / "text_encoder.safetensors")},
        "live": {"riders": riders},
    }
    live_model = LiveModel(live)
    live_model.code.fit(torch.rand(32, 3, 64, 112))
    parts = {
        "dit": (DiT(dit), dit),
        "concepts": (ConceptReader(concepts), concepts),
        "codec": (Codec(codec), codec),
        "upscaler": (Upscaler(upscaler), upscaler),
        "live": (live_model, live),
    }
    for name, (module, config) in parts.items():
        card = Card(
            part=name, preset="nano", config=dataclasses.asdict(config), recipe=recipes.get(name, {}),
            data_ledger_root="ab" * 32,
        )  # fmt: skip
        save(folder / f"{name}.safetensors", alive(module).state_dict(), card)
    for name in ("text_encoder.safetensors", "known_words.json", "scenes.json"):
        (folder / name).symlink_to(BUNDLED / name)
    return folder


@pytest.fixture(scope="session")
def serving_home(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HANEUL_HOME whose settings name `weights`."""
    home = tmp_path_factory.mktemp("serving")
    (home / "config.toml").write_text(f'threads = 1\n\n[folders]\nweights = "{weights}"\n', encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def service(serving_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running service with one worker, shared by all tests. Its own addresses count as trusted."""
    running = Running(serving_home, tmp_path_factory.mktemp("service"), "--trust-host", "localhost", "--grace", "5")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a throw-away PostgreSQL database."""
    if reason := missing():
        pytest.skip(reason)
    with cluster() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of a throw-away bucket."""
    pytest.importorskip("moto")
    with bucket() as url:
        yield url


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Two shards of four tiny clips."""
    return Plan(clips=8, shard=4, seconds=4 / 3, seed=5, sizes=((64, 64),))


@pytest.fixture(scope="session")
def shards(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips that the real world rendered by `plan`. Not to be written to."""
    folder = tmp_path_factory.mktemp("shards")
    render_dataset(folder, plan, workers=1)
    return folder


@pytest.fixture(scope="session")
def tiny(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe for a tiny transformer on `shards`, with its codec and latents made."""
    folder = tmp_path_factory.mktemp("tiny")
    parts = {
        "codec": CodecConfig(latent=16, width=16, learned=False),
        "dit": TINY_DIT,
    }
    small = dataclasses.replace(preset("nano"), **parts)
    weights = CodecRecipe(data=shards, output=folder / "codec.safetensors", budget=1.0, batch=2, window=5, threads=1)
    codec = train_codec(small, weights, lambda _: None)
    with torch.no_grad():
        latents.build(shards, folder / "latents", codec, dtype=torch.float32)
    return Recipe(
        preset=small, latents=folder / "latents", folder=folder / "run", codec=weights.output,
        text_encoder=BUNDLED / "text_encoder.safetensors", curriculum=((0, {1: 0.4, 5: 0.6}),), tokens=320,
        text_length=24, truth_at=1, warmup=2, threads=1, compile=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def codec(tiny: Recipe) -> Codec:
    """The codec of `tiny`."""
    net = Codec(tiny.preset.codec)
    load_into(net, load(tiny.codec, "codec")[0], tiny.codec)
    return net.requires_grad_(False)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open checkpoints compute in float32, as what they are compared with does, on any processor."""
    monkeypatch.setattr("haneul.model.precision.fast_dtype", lambda device="cpu": torch.float32)


@pytest.fixture
def cosmos_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """What diffusers asks of torchvision for Cosmos, and a guardrail; neither is among the tests' packages."""
    import tiny_parts
    from diffusers.models.controlnets import controlnet_cosmos
    from diffusers.models.transformers import transformer_cosmos
    from diffusers.pipelines.cosmos import (
        pipeline_cosmos2_5_predict,
        pipeline_cosmos2_5_transfer,
        pipeline_cosmos2_video2world,
        pipeline_cosmos_text2world,
    )

    from haneul.backbones.open import folder

    def resize(mask: torch.Tensor, size: list[int], **_: Any) -> torch.Tensor:
        return torch.nn.functional.interpolate(mask, size)

    of = SimpleNamespace(functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST=0))
    for module in (transformer_cosmos, controlnet_cosmos):
        monkeypatch.setattr(module, "transforms", of, raising=False)
    read = SimpleNamespace(to_tensor=lambda one: torch.from_numpy(np.array(one)).permute(2, 0, 1) / 255.0)
    vision = SimpleNamespace(transforms=SimpleNamespace(functional=read))
    monkeypatch.setattr(pipeline_cosmos2_5_predict, "torchvision", vision, raising=False)
    for module in (
        pipeline_cosmos_text2world, pipeline_cosmos2_video2world, pipeline_cosmos2_5_predict,
        pipeline_cosmos2_5_transfer,
    ):  # fmt: skip
        monkeypatch.setattr(module, "CosmosSafetyChecker", tiny_parts.Guard)
    monkeypatch.setattr(folder, "_check_installed", lambda *_: None)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an open family's tiny checkpoint. Not to be written to."""
    import tiny_open  # only where it is wanted: it takes seconds

    root, made = tmp_path_factory.mktemp("open"), dict[str, Path]()

    def get(name: str) -> Path:
        if name not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[name] = tiny_open.save(name, root / name)
        return made[name]

    return get


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=visiting.CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, service: Running) -> Iterator[visiting.Visit]:
    made = visiting.Visit(browser, service.root)
    yield made
    problems = made.problems
    made.context.close()
    assert problems == []


@pytest.fixture(scope="module")
def clips(service: Running) -> list[str]:
    """Two finished clips of one sentence."""
    body = {"prompt": "a cyan box slides", "seconds": 0.7, "size": "64x64", "count": 2, "seed": 21}
    ids = [video["id"] for video in service.http.post("/haneul/variations", json=body).json()["data"]]
    for video in ids:
        assert service.over(video)["status"] == "completed"
    return ids
