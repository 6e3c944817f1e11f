"""What `haneul bench` measures, with tiny untrained networks: the figures mean what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from haneul import cli
from haneul.backbones.native import Native
from haneul.evals import bench, drift, peers
from haneul.model.precision import fast_dtype


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


def quiet(_: str) -> None:
    pass


def test_drift_of_what_is_known() -> None:
    noise = np.random.default_rng(0).integers(60, 180, (1, 32, 32, 3))
    still = np.repeat(noise, 240, 0).astype(np.uint8)
    assert drift.drift(still, 12) == pytest.approx({"colour": 1, "contrast": 1, "sharpness": 1, "motion": 0})
    ramp = np.linspace(0, 51, 240)[:, None, None, None]
    brighter = (noise + ramp).round().astype(np.uint8)
    assert drift.drift(brighter, 12)["colour"] == pytest.approx(1 + 51 * 180 / 239 / 255, abs=0.002)
    dull = brighter.copy()
    dull[120:] = (dull[120:].astype(float) - 120) * 0.5 + 120
    assert drift.drift(dull, 12)["sharpness"] == pytest.approx(0.5, abs=0.02)
    moving = np.stack([np.roll(noise[0], t if t < 120 else 120, 1) for t in range(240)]).astype(np.uint8)
    assert drift.drift(moving, 12)["motion"] == 0
    assert drift.traits(moving[:60])["motion"] > 10


def test_long_frames_are_the_model_s_own(native: Native) -> None:
    result = drift.measure(native, quiet, prompts=drift.PROMPTS[:1], steps=1, seconds=11.0)
    assert set(result["median"]) == {"colour", "contrast", "sharpness", "motion"}
    frames = drift.long_frames(native, "a ball", seed=1, steps=1, seconds=2.0)
    assert frames.shape == (25, 64, 112, 3)
    assert frames.dtype == np.uint8


def test_a_step_against_products_and_peers(native: Native) -> None:
    result = peers.measure(native, quiet, turns=2)
    assert result["shape"]["tokens"] == 13 * 4 * 7
    assert result["dtype"] == str(fast_dtype()).removeprefix("torch.")
    # Of every token: qkv, out, text query and out, SwiGLU; twice, for a multiplication and an addition.
    width, hidden, tokens = 64, native.dit.cfg.hidden, 364
    least = 2 * tokens * native.dit.cfg.depth * (6 * width**2 + 3 * width * hidden)
    assert least < 1e9 * result["gflop_a_step"] < 3 * least
    assert 0 < result["share"] < 1.5
    assert result["milliseconds"]["product"] > 0
    with_peers = importlib.util.find_spec("diffusers") is not None
    assert ("faster_than_wan" in result, "faster_than_ltx" in result) == (with_peers, with_peers)
    text = "\n".join(" | ".join(row) for row in bench.rows({"peers": result}))
    assert ("install haneul[bench]" in text) == (not with_peers)


def test_when_a_second_can_be_played(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.engine, "generate", small(bench.engine.generate))
    result = bench.stream(native, quiet, runs=1)
    whole = bench.warm(native, quiet, runs=1)
    assert result["median"] > 0
    assert len(whole["seconds"]) == 1


def small(generate):  # type: ignore[no-untyped-def]
    return lambda prompt, **options: generate(prompt, **options | {"seconds": 2.0, "size": (112, 64), "steps": 1})


def test_the_command(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.peers, "TURNS", 1)
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(cli.main, ["bench", "peers", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert "| measure | goal | figure | beside it |" in result.stdout
    found = json.loads(out.read_text())
    assert found["machine"]["cores"]
    assert list(found["measures"]) == ["peers"]
    result = CliRunner().invoke(cli.main, ["bench", "fast"])
    assert result.exit_code == 2
    assert "no measure is called 'fast'; there are: warm, cold, stream, peers, long, drift" in result.stderr
