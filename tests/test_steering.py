"""Steered subjects: they go where they are told, their turns are seen and worded, and without them nothing changes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from haneul.cli import main
from haneul.data import latents
from haneul.data.latents import MIRROR
from haneul.data.shards import read_shard, shard_paths
from haneul.errors import InputError, OutputError, WorldError
from haneul.model.codec import Codec
from haneul.model.dit import LEAST_SPREAD
from haneul.train.loop import spreads
from haneul.world import vocabulary as voc
from haneul.world.captions import Language, describe
from haneul.world.events import EVENT_RULES, observe
from haneul.world.events.humanoid import Pose, solve
from haneul.world.events.steered import STREAM, commands, draw_course, headings, turns_of
from haneul.world.grammar import parse
from haneul.world.physics import simulate
from haneul.world.produce import Plan, claim
from haneul.world.sample import sample_spec
from haneul.world.scene import CONTROLS, FPS, Facts, Subject, Truth
from haneul.world.stage import Stage

STEER, THROTTLE = CONTROLS.index("steer"), CONTROLS.index("throttle")
STEERABLE = tuple(name for name, rule in EVENT_RULES.items() if rule.steerable)
assert STEERABLE == ("car", "bird", "robot walks")


def run(event: str, seed: int) -> Truth:
    return simulate(sample_spec(seed, event=event, steered=True, allow_held_out=True, camera="static"))


def way(truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steering, speed and rate of turning (to the left), each [T]."""
    heading = headings(truth.quat_TS4[:, 0].astype(float))
    speed = np.linalg.norm(truth.vel_TS6[:, 0, :2], axis=1)
    return truth.controls_TK[:, STEER], speed, np.gradient(heading) * FPS


# --- what they do -----------------------------------------------------------------------------------------------------


def test_commands_turn_at_least_once_within_their_ranges() -> None:
    slower = 0
    for seconds in (4 / 3, 4.0, 20.0):
        times = np.arange(round(seconds * FPS) + 1) / FPS
        for seed in range(60):
            steer, throttle = commands(times, 0.2, np.random.default_rng([seed, STREAM]))
            assert len(steer) == len(throttle) == len(times)
            assert 0.5 < np.abs(steer).max() <= 1
            assert 0.2 - 1e-9 <= throttle.min() <= throttle.max() <= 1
            assert np.abs(np.diff(steer)).max() <= 2 / 7 + 1e-9, "no command jumps"
            slower += throttle.min() < 0.5
    assert 30 < slower < 90


@pytest.mark.parametrize("event", STEERABLE)
def test_it_goes_where_it_is_steered(event: str) -> None:
    sides: Counter[str] = Counter()
    for seed in range(5):
        truth = run(event, seed)
        steer, speed, rate = way(truth)
        assert np.corrcoef(-steer * speed, rate)[0, 1] > 0.85
        moving = speed > 0.5
        for side, sign in (("left", -1), ("right", 1)):
            hard = moving & (sign * steer > 0.5)
            sides[side] += int(hard.sum())
            if hard.sum() > FPS // 2:
                assert (sign * rate[hard]).mean() < -np.radians(8), "steering left turns to the left, growing angles"
        straight = moving & (np.abs(steer) < 0.02)
        if straight.sum() > 4:
            assert np.abs(rate[straight]).mean() < np.radians(8)
        height = truth.pos_TS3[:, 0, 2]
        assert np.ptp(height) < (0.2 if event == "bird" else 0.08), "it stays on its feet, wheels or wings"
    assert min(sides.values()) > FPS


def test_a_car_drives_as_fast_as_it_is_told() -> None:
    stopped = 0
    for seed in range(6):
        truth = run("car", seed)
        told = truth.controls_TK[:, THROTTLE] * 2.4
        speed = np.linalg.norm(truth.vel_TS6[:, 0, :2], axis=1)
        assert np.abs(speed - told).mean() < 0.2
        stopped += bool((speed < 0.15).any())
    assert stopped, "some stop on the way"


def test_planted_feet_do_not_slide_on_a_bend() -> None:
    spec = sample_spec(1, event="robot walks", steered=True, allow_held_out=True)
    stage = Stage(spec=spec, rng=np.random.default_rng(0))
    course = draw_course(stage, side=1.0, speed=1.0, tightest=0.9, slowest=0.45)
    figure = solve(Pose(travel_T=course.travel_T, start=np.zeros(3), heading=0.0, course=course, cycle=1.1))
    assert np.ptp(course.heading_T) > np.radians(20)
    for _hip, _knee, ankle, _pitch in figure.legs:
        down = ankle[:, 2] < ankle[:, 2].min() + 1e-3
        steady = down[:-1] & down[1:]
        assert steady.sum() > 30
        assert np.linalg.norm(np.diff(ankle, axis=0), axis=1)[steady].max() < 0.01
    assert np.abs(course.pos_T2.max(0) + course.pos_T2.min(0)).max() < 1e-9, "the middle of the way is the origin"


# --- what is seen of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "turns"),
    [
        ((0, 5, 10, 5, 0), ()),
        ((0, 10, 20, 30), ("left",)),
        ((0, -40, -41, -35, -80), ("right",)),
        ((170, 190, 210, 195, 170), ("left", "right")),
        ((0, 30, 0, 30, 0), ("left", "right", "left", "right")),
        ((0, 5, 10, 15, 10, 5, 0, -5), ("left", "right")),
        ((0,), ()),
    ],
)
def test_turns_are_changes_of_heading(degrees: tuple[int, ...], turns: tuple[str, ...]) -> None:
    heading = np.radians(np.array(degrees, float))
    assert turns_of(heading) == turns
    swapped = {"left": "right", "right": "left"}
    assert turns_of(-heading) == tuple(swapped[t] for t in turns), "in the mirror the sides change places"


def test_turns_are_told_of_the_window_that_shows_them() -> None:
    seen: Counter[tuple[str, ...]] = Counter()
    for event in STEERABLE:
        for seed in range(6):
            truth = run(event, seed)
            steer, _, _ = way(truth)
            whole = observe(truth, 0, 97)
            seen[whole.turns] += 1
            assert whole.turns, "a steered clip shows a turn"
            assert whole.direction is None
            assert observe(truth, 40, 41).turns == ()
            for start in (0, 24, 48):
                facts = observe(truth, start, start + 33)
                if facts.turns and len(set(facts.turns)) == 1:
                    side = -1 if facts.turns[0] == "left" else 1
                    assert side * steer[start : start + 33].sum() > 0
                if not facts.turns and facts.outcome in ("drives", "walks", "flies"):
                    assert facts.direction in ("left", "right", None)
    assert len(seen) >= 3, seen


def test_turns_survive_mirror_and_json() -> None:
    facts = observe(run("car", 0), 0, 97)
    once = facts.mirrored()
    assert once.turns == tuple({"left": "right", "right": "left"}[t] for t in facts.turns) != facts.turns
    assert once.mirrored() == facts
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    old = {k: v for k, v in facts.to_json().items() if k != "turns"}
    assert Facts.from_json(old).turns == (), "facts that were written before there was steering"
    assert [name for name, sign in zip(CONTROLS, MIRROR.tolist(), strict=True) if sign < 0][-1] == "steer"


# --- how it is worded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ko", "ko-hanja"])
def test_captions_of_turns_say_them_and_no_direction(language: Language) -> None:
    rng = np.random.default_rng(3)
    stated, texts = 0, set()
    for i in range(600):
        event, kind, outcome = (
            ("car", "car", "drives"), ("robot walks", "robot", "walks"), ("bird", "bird", "flies"),
        )[i % 3]  # fmt: skip
        turns = (("left",), ("right",), ("left", "right"), ("right", "left", "right"), ("left", "right") * 2)[i % 5]
        facts = Facts(
            setting="tiled plaza", time=str(rng.choice(voc.TIMES)), style=str(rng.choice(voc.STYLES)),
            camera=str(rng.choice(voc.CAMERAS)), event=event, outcome=outcome, turns=turns, seconds=4.0,
            subjects=(Subject(kind=kind, color="red"),),
        )  # fmt: skip
        said = describe(facts, rng, language=language, length=("medium", "full")[i // 3 % 2])  # type: ignore[arg-type]
        parsed = parse(said.text)
        assert not parsed.unknown, said.text
        assert "direction" not in parsed.attributes or "turns" not in said.said, said.text
        if "turns" not in said.said:
            continue
        stated += 1
        texts.add(said.text)
        assert parsed.attributes["event"] == event, said.text
        if language == "en":
            clause = said.text.lower().split("turn", 1)[1]
            assert clause.index(turns[0]) < (clause + " left right").index({"left": "right"}.get(turns[0], "left"))
            assert len(set(turns)) == 1 or ("left" in clause and "right" in clause), said.text
        elif len(turns) < 4:
            sides = {"left": "왼좌左", "right": "오우右"}
            assert any(c in said.text for c in sides[turns[0]]), said.text
            assert any(c in said.text for c in "꺾"), said.text
    assert stated > 400
    assert len(texts) > 350


def test_steering_reaches_what_training_sees(codec: Codec, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    asked = ["--clips", "4", "--seconds", "2", "--size", "64x64", "--steered", "1", "--workers", "1", "-q"]
    result = CliRunner().invoke(main, ["world", "render", str(shards), *asked])
    assert result.exit_code == 0, result.output
    shard = read_shard(shard_paths(shards)[0])
    assert (np.abs(shard.controls_nTK[:, :, STEER].astype(float)).max(1) > 0.4).all()
    assert all(meta["spec"]["steered"] and meta["facts"]["0:25"]["turns"] for meta in shard.meta)
    latents.build(shards, tmp_path / "latents", codec, dtype=torch.float32)
    _, _, control = spreads(latents.load_pools(tmp_path / "latents"))
    assert float(control[STEER]) > 5 * LEAST_SPREAD, "no channel that never varied any more"


# --- the dial ---------------------------------------------------------------------------------------------------------


def test_without_steering_nothing_changes() -> None:
    """Clips of a plan that steers some are, where they are not steered, those of the plan that steers none."""
    plain, some = Plan(clips=400, seed=3), Plan(clips=400, seed=3, steered=0.3)
    steered = 0
    for number in range(400):
        seed = plain.seed_of(number)
        spec = some.spec_of(seed)
        if spec.steered:
            steered += 1
            assert spec.event in STEERABLE
        else:
            assert spec == plain.spec_of(seed) == sample_spec(seed)
    assert 85 < steered < 155
    assert all(Plan(clips=9, steered=1.0).spec_of(seed).steered for seed in range(9))


def test_a_folder_from_before_there_was_steering_is_gone_on_with(tmp_path: Path) -> None:
    plan = Plan(clips=4, seed=2)
    recipe = claim(tmp_path, plan)
    assert recipe.pop("steered") == 0.0
    (tmp_path / "plan.json").write_text(json.dumps(recipe))
    claim(tmp_path, plan)
    (tmp_path / "plan.json").write_text(json.dumps(recipe))
    with pytest.raises(OutputError, match="another plan"):
        claim(tmp_path, Plan(clips=4, seed=2, steered=0.5))


def test_what_cannot_be_steered_is_refused() -> None:
    with pytest.raises(WorldError, match="steered=True"):
        sample_spec(1, event="bounce", steered=True)
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="steered clips"):
            Plan(clips=4, steered=share)
