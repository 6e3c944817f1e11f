"""The measures: right on cases whose answer is known, and the whole report on a model of random weights."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tiny_native
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from haneul.backbones.native import Native
from haneul.cli import main
from haneul.data.shards import read_shard, shard_paths
from haneul.errors import CheckpointError, HaneulError, InputError, TrainingError
from haneul.evals import clips, fidelity, modes, physics, report, speed
from haneul.evals.data import (
    ATTRIBUTES,
    IGNORE,
    MOMENTS,
    NAMES,
    SPANS,
    answers,
    both_answers,
    glimpse,
    load_clips,
    settled,
    smeared,
    whole_clip,
)  # fmt: skip
from haneul.evals.following import languages, score, stated
from haneul.evals.reader import Reader, ReaderConfig, load_reader, read
from haneul.evals.statistics import frechet, kernel_distance, spread, wilson
from haneul.evals.training import ReaderRecipe, accuracy, batch_of, loss_of, train_reader
from haneul.world.scene import Facts, Subject

BALL = Subject(kind="ball", color="red", material="rubber")
ROLL = Facts(
    setting="desert", time="noon", style="photo", camera="truck right", event="roll", outcome="rolls",
    subjects=(BALL,), direction="right", seconds=4.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with eight renders of held-out combinations in two shards."""
    folder = tmp_path_factory.mktemp("evals")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "SHARD", 4)
        work = clips.Work(folder=folder, weights=folder, reader=folder, clips=8)
        return clips.render_held_out(work, 8, print).parent


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_native.write(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def reader_file(renders: Path) -> Path:
    """A reader that was trained for a moment."""
    path = renders / "reader.safetensors"
    recipe = ReaderRecipe(data=(renders / "renders",), output=path, budget=0.5, batch=4)
    train_reader(recipe, lambda line: None)
    return path


def falling(gravity: float, bounce: float = 0.85) -> NDArray[np.uint8]:
    """A red disc of diameter 20 pixels that bounces before stripes, 12 frames a second, `gravity` in diameters/s^2."""
    rng = np.random.default_rng(0)
    y, speed_, rows = 14.0, 0.0, []
    for _ in range(49):
        rows.append(y)
        for _ in range(200):
            speed_ += gravity * 20 / 2400
            y += speed_ / 2400
            if y > 50:
                y, speed_ = 50.0, -bounce * abs(speed_)
    yy, xx = np.mgrid[0:64, 0:112]
    ground = np.stack([110 + 20 * np.sin(xx / 5), 120 + 0 * yy, 110 + 20 * np.cos(yy / 7)], -1)
    frames = []
    for t, row in enumerate(rows):
        inside = (10.5 - np.hypot(yy - row, xx - 40 - 0.5 * t)).clip(0, 1)[..., None]
        frames.append(ground * (1 - inside) + inside * np.array([200, 40, 40]) + rng.normal(0, 2, ground.shape))
    return np.stack(frames).clip(0, 255).astype(np.uint8)


# -------------------------------------------------------------------------------------------------------- statistics


def test_wilson_gives_the_textbook_interval() -> None:
    assert wilson(90, 100) == pytest.approx((0.8256, 0.9448), abs=2e-4)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20_000, 3))
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, a + np.array([3.0, 4.0, 0.0])) == pytest.approx(25, rel=1e-6)
    assert frechet(a, a * np.array([2.0, 1.0, 1.0])) == pytest.approx((2 - 1) ** 2, rel=0.05)


def test_spread_of_nothing_is_said() -> None:
    assert spread([]) == {"n": 0}
    assert spread([1.0, 2.0, 3.0])["median"] == 2.0


# -------------------------------------------------------------------------------------------------------------- data


def test_answers_follow_the_facts_and_their_mirror_image() -> None:
    found = {n: ATTRIBUTES[n][i] for n, i in zip(NAMES, answers(ROLL), strict=True)}
    assert found == {
        "setting": "desert", "event": "roll", "color": "red", "kind": "ball", "camera": "truck right", "time": "noon",
        "style": "photo", "direction": "right",
    }  # fmt: skip
    mirrored = {n: ATTRIBUTES[n][i] for n, i in zip(NAMES, answers(ROLL.mirrored()), strict=True)}
    assert mirrored == {**found, "camera": "truck left", "direction": "left"}


def test_colours_do_not_count_where_none_are_seen() -> None:
    sketch = Facts.from_json({**ROLL.to_json(), "style": "pencil sketch", "subjects": [asdict(BALL)]})
    assert answers(sketch)[NAMES.index("color")] == IGNORE


PAIR = Facts.from_json(
    {**ROLL.to_json(), "event": "relation", "outcome": "rests", "relation": "left of", "direction": None}
    | {"subjects": [asdict(BALL), asdict(Subject(kind="box", color="blue", material="wood"))]}
)


def test_of_two_things_of_equal_rank_either_may_be_named_first() -> None:
    color, kind = NAMES.index("color"), NAMES.index("kind")
    red_ball, blue_box = both_answers(PAIR)
    assert (ATTRIBUTES["color"][red_ball[color]], ATTRIBUTES["kind"][blue_box[kind]]) == ("red", "box")
    assert settled(np.array([blue_box]), [PAIR]).tolist() == [blue_box]
    assert settled(np.array([red_ball]), [PAIR]).tolist() == [red_ball]
    mixed = np.array([red_ball])
    mixed[0, color] = blue_box[color]  # a blue ball: one of both is wrong, whoever is named first
    assert (settled(mixed, [PAIR]) != mixed).sum() == 1
    on_top = Facts.from_json({**PAIR.to_json(), "relation": "on top of"})
    for facts in (ROLL, on_top):  # who lies on top is seen
        assert settled(np.array([blue_box]), [facts]).tolist() == [answers(facts)]


def test_the_order_of_naming_that_fits_better_is_learned() -> None:
    reader = Reader(ReaderConfig(widths=(8, 16, 24), motion=8, feature=12)).eval()
    pictures, motion = torch.zeros(2, MOMENTS, 3, 64, 112), torch.zeros(2, SPANS, 5, 8, 14)
    cover = torch.zeros(2, MOMENTS, 4, 7, 2)
    pairs = torch.tensor([both_answers(PAIR)] * 2)

    def loss(answers_B2A: torch.Tensor) -> float:
        return float(loss_of(reader, pictures, motion, cover, answers_B2A).detach())

    each = [loss(pairs[:, [k, k]]) for k in (0, 1)]
    assert abs(each[0] - each[1]) > 1e-3
    assert loss(pairs) == loss(pairs.flip(1)) == pytest.approx(min(each), rel=1e-6)


@pytest.mark.parametrize("step", [1, -1])
def test_motion_is_the_shift_of_the_picture(step: int) -> None:
    wide = np.random.default_rng(1).integers(0, 255, (8, 40, 3)).astype(np.uint8)
    wide = wide.repeat(8, 0).repeat(8, 1)  # soft enough for optical flow once it is averaged
    video = np.stack([wide[:, 100 - step * t : 212 - step * t] for t in range(49)])
    u, v = glimpse(video).motion[:, :2].float().unbind(1)
    assert float(u.median()) == pytest.approx(step / 2, abs=0.12)  # half-size pixels
    assert abs(float(v.median())) < 0.05


def test_every_size_and_length_can_be_read() -> None:
    reader = Reader(ReaderConfig(widths=(8, 16, 24), motion=8, feature=12)).eval()
    for frames, height, width in ((49, 64, 112), (25, 112, 64), (97, 256, 448), (2, 80, 80)):
        found = read(reader, [np.zeros((frames, height, width, 3), np.uint8)])
        assert found.answers.shape == (1, len(NAMES))
        assert found.features.shape == (1, 12)
    with pytest.raises(InputError, match="1 frames"):
        glimpse(np.zeros((1, 64, 112, 3), np.uint8))


def test_facts_of_the_whole_clip(renders: Path) -> None:
    meta = read_shard(shard_paths(renders / "renders")[0]).meta[0]
    assert whole_clip(meta).seconds == pytest.approx(97 / 24)
    with pytest.raises(InputError, match="render it again"):
        whole_clip({**meta, "facts": {}})


def test_smearing_keeps_the_still_and_softens_the_quick() -> None:
    still = np.tile(np.linspace(40, 200, 112).astype(np.uint8)[None, None, :, None], (9, 64, 1, 3))
    moving = np.random.default_rng(0).integers(0, 255, (9, 64, 112, 3)).astype(np.uint8)
    for seed in range(3):
        soft = smeared(still, np.random.default_rng(seed))
        assert soft.shape == still.shape
        assert np.abs(soft.astype(int) - still).mean() < 2
        assert smeared(moving, np.random.default_rng(seed))[1:].std() < 0.7 * moving.std()


# ------------------------------------------------------------------------------------------------------------ reader


def test_the_reader_is_small_trains_and_comes_back(reader_file: Path, renders: Path) -> None:
    assert reader_file.stat().st_size <= 3_000_000
    reader = load_reader(reader_file)
    held = load_clips(shard_paths(renders / "renders")[-1:])
    shares = accuracy(reader, held)
    assert set(shares) <= set(NAMES)
    assert all(0 <= share <= 1 for share in shares.values())


def test_training_goes_on_from_what_it_wrote(reader_file: Path, renders: Path, tmp_path: Path) -> None:
    path = tmp_path / "reader.safetensors"
    path.write_bytes(reader_file.read_bytes())
    said: list[str] = []
    train_reader(ReaderRecipe(data=(renders / "renders",), output=path, budget=0.1, batch=2), said.append)
    assert any("goes on from" in line for line in said)
    assert path.read_bytes() != reader_file.read_bytes()


def test_training_learns_the_clips(renders: Path) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    data = load_clips(shard_paths(renders / "renders"))
    reader = Reader(ReaderConfig(widths=(16, 24, 32), motion=16, feature=48))
    optimiser = torch.optim.AdamW(reader.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        loss = loss_of(reader, *batch_of(data[0], torch.arange(8), generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.6 * losses[0]


def test_mirroring_a_batch_turns_motion_cover_and_answers(renders: Path) -> None:
    data = load_clips(shard_paths(renders / "renders"))[0]
    generator = torch.Generator().manual_seed(3)
    index = torch.zeros(16, dtype=torch.long)
    _, motion, cover, right = batch_of(data, index, generator)
    mirrored = (cover - data.cover[0].flip(2) / 255).abs().amax((1, 2, 3, 4)) < 1e-6
    assert 0 < int(mirrored.sum()) < 16
    assert bool((right[mirrored] == data.answers[0, 1]).all())
    assert bool((right[~mirrored] == data.answers[0, 0]).all())
    wanted = data.motion[0].float().flip(-1) * torch.tensor([-1.0, 1, 1, 1, 1])[:, None, None]
    assert float((motion[mirrored] - wanted).abs().mean()) < 0.1  # but for the noise


def test_a_reader_without_data_or_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder"):
        ReaderRecipe(data=(), output=tmp_path / "r")
    with pytest.raises(TrainingError, match="abacus"):
        ReaderRecipe(data=(tmp_path,), output=tmp_path / "r", device="abacus")
    with pytest.raises(CheckpointError, match="no weights"):
        load_reader(tmp_path / "none.safetensors")


# --------------------------------------------------------------------------------------------------------- following


def test_captions_state_what_is_asked_in_both_languages() -> None:
    for language in ("en", "ko"):
        found = clips.word(ROLL, 5, language)  # type: ignore[arg-type]
        assert set(clips.ASKED) <= found.said
        assert found == clips.word(ROLL, 5, language)  # type: ignore[arg-type]


def test_only_what_the_caption_states_counts() -> None:
    right = np.array([answers(ROLL)] * 4)
    found = right.copy()
    found[0, NAMES.index("setting")] = 0
    said = [clips.Wording(text="", said=frozenset(s)) for s in (["setting"], ["setting"], ["color"], [])]
    result = score(found, right, stated(said, right, "setting"), "setting")
    assert (result["accuracy"], result["clips"]) == (0.5, 2)
    assert result["chance_uniform"] == 0.1
    assert score(found, right, stated(said, right, "time"), "time")["accuracy"] is None


def test_languages_are_compared_on_the_same_clips() -> None:
    right = np.array([answers(ROLL)] * 4)
    english, korean = right.copy(), right.copy()
    korean[:2, NAMES.index("event")] += 1
    counted = {"event": np.array([True, True, True, False])}
    result = languages(english == right, korean == right, counted)
    assert result["event"]["points"] == pytest.approx(-66.67, abs=0.01)


def test_batches_do_not_change_the_clips(weights: Path) -> None:
    model = Native(weights)
    both = model.base_videos(["a red ball", "눈"], seeds=[1, 2], size=(112, 64), steps=1)
    assert both.shape == (2, 49, 64, 112, 3)
    assert both.dtype == np.uint8
    alone = model.base_videos(["a red ball"], seeds=[1], size=(112, 64), steps=1)
    assert np.abs(both[0].astype(int) - alone[0]).mean() < 2  # bf16 rounds differently with padding


# ----------------------------------------------------------------------------------------------------------- gravity


@pytest.mark.parametrize("gravity", [10.0, 14.4])
def test_the_tracker_measures_a_known_gravity(gravity: float) -> None:
    track = physics.track_ball(falling(gravity), "red")
    assert track is not None
    assert track.diameter == pytest.approx(20, rel=0.06)
    assert physics.gravity_of(track, 0.5) == pytest.approx(gravity, rel=0.06)


def test_a_ball_that_floats_does_not_fall_and_no_ball_has_no_track() -> None:
    assert physics.gravity_of(physics.track_ball(falling(0.0), "red"), 0.34) is None
    sideways = np.stack([np.linspace(0, 50, 49), 30 + 5 * np.sin(np.arange(49) * 1.7)], 1)
    assert physics.fit_fall(physics.Track(centre_T2=sideways, diameter=10.0)) is None
    assert physics.track_ball(np.full((49, 64, 112, 3), 90, np.uint8), "red") is None


def test_a_fall_is_found_though_frames_are_missing() -> None:
    t = np.arange(49) / 12
    share = physics.fallen(t, np.array([0.55]), np.array([0.8]))[0]
    assert share[0] == 0
    assert share.max() <= 1
    track = np.stack([np.zeros(49), 10 + 36 * share], 1)
    track[5:9] = np.nan
    fall = physics.fit_fall(physics.Track(centre_T2=track, diameter=18.0))
    assert fall is not None
    assert fall.height == pytest.approx(2.0, rel=0.03)
    assert fall.seconds == pytest.approx(0.55, abs=0.01)
    assert fall.restitution == pytest.approx(0.8, abs=0.02)


def test_a_seam_is_one_where_nothing_jumps() -> None:
    smooth = np.stack([np.full((4, 4, 3), 0.01 * t, np.float32) for t in range(9)])
    assert modes.seam(smooth, 4) == pytest.approx(1, rel=1e-3)
    smooth[5:] += 0.04
    assert modes.seam(smooth, 4) == pytest.approx(5, rel=1e-3)


def test_kernel_distance_is_zero_for_two_samples_of_the_same() -> None:
    rng = np.random.default_rng(0)
    found = [kernel_distance(rng.normal(size=(40, 64)), rng.normal(size=(40, 64))) for _ in range(20)]
    assert abs(np.mean(found)) < 0.02
    assert frechet(rng.normal(size=(40, 64)), rng.normal(size=(40, 64))) > 10, "which is far from it"
    assert kernel_distance(rng.normal(size=(40, 64)) + 0.5, rng.normal(size=(40, 64))) > 5 * max(found)


def test_seams_are_changes_at_the_borders_of_patches() -> None:
    rng = np.random.default_rng(0)
    assert fidelity.seams([rng.integers(0, 256, (3, 64, 112, 3), dtype=np.uint8)]) == pytest.approx(1, abs=0.05)
    ramp = np.arange(112, dtype=np.uint8)[None, None, :, None].repeat(64, 1).repeat(3, 3)
    stairs = ramp // 16 * 16
    assert fidelity.seams([ramp, ramp.transpose(0, 2, 1, 3)]) == pytest.approx(1, abs=0.1)
    assert fidelity.seams([stairs]) > 1000


def test_change_and_grain_tell_noise_from_smoothness() -> None:
    ramp = np.broadcast_to(np.arange(112, dtype=np.uint8)[None, None, :, None], (9, 64, 112, 3))
    noise = np.random.default_rng(0).integers(0, 21, (9, 64, 112, 3), dtype=np.uint8)
    assert (fidelity.change([ramp]), fidelity.grain([ramp])) == (0, 0)
    assert fidelity.change([ramp + noise]) == pytest.approx(7, abs=0.3)
    assert fidelity.grain([ramp + noise]) > 10
    brighter = np.arange(0, 90, 10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 64, 112, 3), np.uint8)
    assert (fidelity.change([brighter]), fidelity.grain([brighter])) == (10, 0)


def test_judder_is_one_for_smooth_motion() -> None:
    smooth = np.stack([np.full((4, 4, 3), 3 * t, np.uint8) for t in range(13)])
    assert fidelity.judder([smooth, smooth]) == pytest.approx(1)
    steps = np.stack([np.full((4, 4, 3), 30 * -(-t // 4) + t, np.uint8) for t in range(13)])
    assert fidelity.judder([steps]) == pytest.approx(31)


# ---------------------------------------------------------------------------------------------------- speed, reports


def test_time_and_memory_of_a_process() -> None:
    code = "import time; x = bytearray(200 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(0.2)"
    seconds, peak = speed.timed([sys.executable, "-c", code])
    assert seconds > 0.2
    assert 200 << 20 < peak < 300 << 20  # not this process's own memory too
    with pytest.raises(HaneulError, match="exit code 3"):
        speed.timed([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_report_is_whole_and_is_kept(
    weights: Path, renders: Path, reader_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "SHARD", 4)
    work = clips.Work(folder=renders, weights=weights, reader=reader_file, clips=8, korean=4, steps=1, guidance=1.0)
    names = ["reader", "following", "fidelity", "modes", "physics"]
    said: list[str] = []
    monkeypatch.setattr(physics, "CLIPS", 4)
    monkeypatch.setattr(modes, "CLIPS", 2)
    result = report.report(work, names, ["haneul", "eval", "report"], said.append)
    assert list(result["measures"]) == names
    made = result["measures"]["following"]
    assert made["generated"]["setting"]["clips"] == 8
    assert made["korean_clips"] == 4
    assert result["measures"]["fidelity"]["codec"]["psnr_db"] > 0
    assert result["measures"]["fidelity"]["judder"]["renders"] == pytest.approx(1, abs=0.3)
    assert result["measures"]["modes"]["clips"] == 2
    assert result["measures"]["modes"]["first_frame_db"]["median"] > 0
    assert result["measures"]["physics"]["renders"]["median"] == pytest.approx(9.81, rel=0.15)
    assert any(line.startswith("english: 8 of 8") for line in said)
    table = report.write(result, tmp_path / "report.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == result
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert all(len(row.split(" | ")) == 4 for row in rows)
    assert "setting as the prompt says" in table
    said.clear()
    again = report.report(work, names, ["haneul", "eval", "report"], said.append)
    assert said == []  # nothing was measured twice
    assert again["measures"] == result["measures"]


def test_the_command_names_what_it_cannot_measure(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["eval", "report", "beauty", "--work", str(tmp_path)])
    assert done.exit_code == InputError.exit_code
    assert "beauty" in done.output
    assert "following" in done.output
