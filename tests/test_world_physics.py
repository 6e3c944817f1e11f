"""The simulated world: its physics against theory, its staging, its observers and its sampling."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math

import numpy as np
import pytest

from haneul.errors import WorldError
from haneul.world import framing, vocabulary
from haneul.world.events import EVENT_RULES, check_spec, observe
from haneul.world.events.humanoid import Pose, solve
from haneul.world.physics import simulate
from haneul.world.sample import PHOTO_SHARE, sample_spec
from haneul.world.scene import CONTROLS, FPS, GEOM_OBJECT, ClipSpec, Facts, Truth, held_out


def run(event: str, seed: int = 0, **options: object) -> Truth:
    return simulate(sample_spec(seed, event=event, allow_held_out=True, **options))  # type: ignore[arg-type]


def camera_view(truth: Truth) -> framing.View:
    axes = {k: np.array([getattr(c, k) for c in truth.cameras], float) for k in ("origin", "forward", "right", "up")}
    return framing.View(**axes)


# --- physics ----------------------------------------------------------------------------------------------------------


def test_free_fall_is_earths() -> None:
    for seed in range(4):
        truth = run("bounce", seed)
        before = int(truth.contacts[0][0] * FPS)
        t = np.arange(before) / FPS
        measured = -2 * np.polyfit(t, truth.pos_TS3[:before, 0, 2].astype(float), 2)[0]
        assert measured == pytest.approx(9.81, abs=0.02)


def test_rubber_bounces_higher_than_marble_and_each_bounce_is_lower() -> None:
    heights = {}
    for material in ("rubber", "marble"):
        truth = run("bounce", 3, material=material)
        first, second, third = (t for t, *_rest in truth.contacts[:3])
        z = truth.pos_TS3[:, 0, 2]
        peaks = [z[int(a * FPS) : int(b * FPS) + 1].max() for a, b in ((first, second), (second, third))]
        assert peaks[0] > peaks[1]
        heights[material] = peaks[0]
    assert heights["rubber"] > heights["marble"] + 0.1


def test_momentum_is_conserved_in_space() -> None:
    for seed in range(5):
        truth = run("space collide", seed)
        mass: dict[int, float] = truth.extra["mass"]  # type: ignore[assignment]
        momentum = np.sum([mass[k + 1] * truth.vel_TS6[:, k, :3].astype(float) for k in range(2)], axis=0)
        scale = sum(mass[k + 1] * np.linalg.norm(truth.vel_TS6[0, k, :3]) for k in range(2))
        assert any(a == "subject 2" and b == "subject 1" for _t, a, b, _f, _p in truth.contacts)
        assert np.abs(momentum - momentum[0]).max() < 2e-3 * scale


def test_pendulum_keeps_its_theoretical_period() -> None:
    truth = run("pendulum", 5, seconds=12.0)
    length, start = float(truth.extra["length"]), abs(float(truth.extra["angle"]))  # type: ignore[arg-type]
    radius = max(row[13] for row in truth.geoms_TNG[0] if row[GEOM_OBJECT] == 1 and row[0] == 0)
    inertia = length**2 + 0.4 * radius**2  # of the bob per kilogram, about the pivot
    a, b = 1.0, math.cos(start / 2)
    for _ in range(6):  # arithmetic-geometric mean: the exact factor for large swings
        a, b = (a + b) / 2, math.sqrt(a * b)
    period = 2 * math.pi * math.sqrt(inertia / (9.81 * length)) / a
    angle = 2 * np.arctan2(truth.quat_TS4[:, 0, 2].astype(float), truth.quat_TS4[:, 0, 0])
    up = np.flatnonzero((angle[:-1] < 0) & (angle[1:] >= 0))
    crossings = up - angle[up] / (angle[up + 1] - angle[up])
    assert np.diff(crossings).mean() / FPS == pytest.approx(period, rel=0.01)


def test_things_at_rest_stay_at_rest() -> None:
    for seed in range(12):
        truth = run("relation", seed)
        assert np.linalg.norm(truth.pos_TS3 - truth.pos_TS3[0], axis=-1).max() < 0.02


def test_equal_specs_give_equal_bytes() -> None:
    for event in ("tower", "flag", "robot pushes", "leaves"):
        first, second = run(event, 7, seconds=2.0), run(event, 7, seconds=2.0)
        for name in ("geoms_TNG", "pos_TS3", "quat_TS4", "vel_TS6", "controls_TK"):
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
        assert first.contacts == second.contacts
        assert all(a.origin.tobytes() == b.origin.tobytes() for a, b in zip(first.cameras, second.cameras, strict=True))


# --- staging ----------------------------------------------------------------------------------------------------------

PLACES = [(event, setting) for event in EVENT_RULES for setting in vocabulary.event_settings(event)]


@pytest.mark.parametrize("event", EVENT_RULES)
def test_every_event_runs_in_every_setting(event: str) -> None:
    for k, setting in enumerate(vocabulary.event_settings(event)):
        truth = run(event, 100 + k, setting=setting, seconds=2.0, richness=(k % 3) / 2)
        assert len(truth.cameras) == len(truth.geoms_TNG) == len(truth.controls_TK) == 49
        assert np.isfinite(truth.geoms_TNG).all()
        assert np.isfinite(truth.controls_TK).all()
        assert truth.geoms_TNG.shape[1] <= 45
        subjects = set(truth.geoms_TNG[0, :, GEOM_OBJECT].astype(int)) - {0}
        assert subjects == set(range(1, len(truth.spec.subjects) + 1))
        facts = observe(truth, 0, 49)
        assert facts.outcome in (*vocabulary.EVENTS[facts.event][1], None)
        still = observe(truth, 20, 21)
        assert still.outcome is None
        assert still.direction is None


@pytest.mark.parametrize("event", [e for e, rule in EVENT_RULES.items() if rule.cast])
def test_subjects_are_large_and_mostly_in_the_picture(event: str) -> None:
    for seed in range(3):
        truth = run(event, seed)
        geoms = truth.geoms_TNG.astype(float)
        subject = geoms[0, :, GEOM_OBJECT] > 0
        outline = framing.project(geoms, camera_view(truth))
        height = np.median(framing.filled_height(outline, subject))
        assert 0.2 <= height <= 0.62, (seed, truth.spec)
        centre_x = (outline.left + outline.right)[:, subject].mean(1) / 2
        centre_y = (outline.top + outline.bottom)[:, subject].mean(1) / 2
        assert ((np.abs(centre_x) < 16 / 9) & (np.abs(centre_y) < 1.3)).mean() > 0.9, (seed, truth.spec)


def test_calm_scenes_have_few_geoms() -> None:
    counts = [run(event, 1).geoms_TNG.shape[1] for event in EVENT_RULES]
    assert max(counts) <= 28
    assert np.mean(counts) <= 15


def test_camera_moves_as_it_is_called() -> None:
    x = {c: CONTROLS.index(c) for c in CONTROLS}
    still = run("pendulum", 1, camera="static").controls_TK[:, :6]
    assert np.abs(still).max() < 1e-4
    right = run("pendulum", 1, camera="truck right").controls_TK
    assert (right[:, x["cam_vx"]] > 0.08).all()
    assert np.abs(right[:, 3:6]).max() < 1e-3
    closer = run("pendulum", 1, camera="push in").controls_TK
    assert (closer[:, x["cam_vz"]] < -0.08).all()  # camera axes: x right, y up, z backwards
    orbit = run("pendulum", 1, camera="orbit left").controls_TK
    assert (orbit[:, x["cam_vx"]] < -0.1).all()
    assert (np.abs(orbit[:, x["cam_wy"]]) > 0.1).all()
    rising = run("pendulum", 1, camera="crane up")
    assert rising.cameras[-1].origin[2] > rising.cameras[0].origin[2] + 0.5


def test_planted_feet_do_not_slide() -> None:
    t = np.arange(97) / FPS
    figure = solve(Pose(travel_T=1.0 * t, start=np.zeros(3), heading=0.0, cycle=1.1))
    for _hip, _knee, ankle, _pitch in figure.legs:
        down = ankle[:, 2] < ankle[:, 2].min() + 1e-3
        steady = down[:-1] & down[1:]
        assert steady.sum() > 30
        assert np.linalg.norm(np.diff(ankle, axis=0), axis=1)[steady].max() < 0.01


# --- observers --------------------------------------------------------------------------------------------------------


def test_direction_is_what_the_viewer_sees() -> None:
    for event in ("roll", "car", "bird", "quadruped", "robot walks"):
        for seed, direction in enumerate(("left", "right")):
            facts = observe(run(event, seed, direction=direction), 0, 97)
            assert facts.direction == direction
            assert facts.mirrored().direction == {"left": "right", "right": "left"}[direction]


def test_relation_is_what_the_viewer_sees() -> None:
    for seed, relation in enumerate(vocabulary.RELATIONS):
        truth = run("relation", seed, relation=relation, camera="static")
        assert observe(truth, 0, 97).relation == relation
        assert observe(truth, 48, 49).relation == relation


def test_bounces_are_counted_in_their_window_only() -> None:
    truth = run("bounce", 2, material="rubber", camera="static")
    whole = observe(truth, 0, 97)
    assert whole.outcome == "bounces"
    assert whole.count is not None
    assert whole.count >= 3
    first = truth.contacts[0][0]
    assert observe(truth, 0, int(first * FPS)).outcome == "falls"
    halves = [observe(truth, a, b).count or 0 for a, b in ((0, 49), (48, 97))]
    assert min(halves) > 0
    assert whole.count - 1 <= sum(halves) <= whole.count


def test_what_happens_later_is_not_told_earlier() -> None:
    truth = run("collide", 4)
    touch = next(t for t, a, b, _f, _p in truth.contacts if {a, b} == {"subject 1", "subject 2"})
    before = int(touch * FPS)
    assert observe(truth, 0, before).outcome == "approach"
    assert observe(truth, 0, before + 4).outcome == "collide"
    assert observe(truth, 96, 97).outcome is None


def test_dominoes_fall_one_after_another() -> None:
    truth = run("dominoes", 1)
    counts = [observe(truth, 0, stop).fallen or 0 for stop in range(2, 98, 8)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] == truth.extra["count"]
    assert len(set(counts)) >= 4


def test_robot_lifts_and_pushes_real_boxes() -> None:
    lift = run("robot picks up", 2)
    grasp = round(float(lift.extra["grasp"]) * FPS)  # type: ignore[arg-type]
    z = lift.pos_TS3[:, 1, 2]
    assert np.ptp(z[:grasp]) < 0.01
    assert z[-1] > z[0] + 0.5
    assert observe(lift, 0, grasp).outcome == "reaches for"
    assert observe(lift, 0, 97).outcome == "picks up"
    assert lift.controls_TK[-1, CONTROLS.index("grasp")] == 1
    push = run("robot pushes", 2)
    assert observe(push, 0, 97).outcome == "pushes"
    assert any({a, b} == {"subject 1", "subject 2"} and force > 1 for _t, a, b, force, _p in push.contacts)


def test_robot_that_only_stands_stands() -> None:
    truth = run("robot stops", 3)
    assert observe(truth, 0, 97).outcome == "walks and stops"
    assert observe(truth, 84, 97).outcome == "stands"
    early = observe(truth, 0, 16)
    assert (early.event, early.outcome) == ("robot walks", "walks")


def test_gallery_tour_names_the_works_in_passing_order() -> None:
    truth = run("gallery tour", 1, seconds=20.0)
    works = observe(truth, 0, len(truth.cameras)).works
    assert len(works) >= 6
    assert len(set(works)) >= 5
    assert all(a != b for a, b in itertools.pairwise(works))
    assert len(observe(truth, 0, 49).works) < len(works)


def test_mirrored_twice_is_the_same() -> None:
    facts = Facts(
        setting="art gallery", time=None, style="photo", camera="truck left", event="paintings", outcome="hang",
        relation="left of", works=("portrait", "stripes"),
    )  # fmt: skip
    once = facts.mirrored()
    assert (once.camera, once.relation, once.works) == ("truck right", "right of", ("stripes", "portrait"))
    assert once.mirrored() == facts


def test_window_outside_the_clip_is_refused() -> None:
    truth = run("waves", 0, seconds=1.0)
    with pytest.raises(WorldError, match="outside"):
        observe(truth, 0, 26)


# --- sampling ---------------------------------------------------------------------------------------------------------


def test_events_are_evenly_mixed_and_held_out_ones_never_drawn() -> None:
    specs = [sample_spec(seed) for seed in range(1500)]
    assert not any(held_out(spec) for spec in specs)
    counts = collections.Counter(spec.event for spec in specs)
    mean = len(specs) / len(EVENT_RULES)
    assert set(counts) == set(EVENT_RULES)
    assert all(abs(n - mean) < 4.5 * math.sqrt(mean) for n in counts.values())
    assert sum(s.style == "photo" for s in specs) / len(specs) == pytest.approx(PHOTO_SHARE, abs=0.05)
    assert 0.18 < sum(s.camera == "static" for s in specs) / len(specs) < 0.32
    directions = collections.Counter(s.direction for s in specs if s.direction)
    assert abs(directions["left"] - directions["right"]) < 4.5 * math.sqrt(sum(directions.values()))


def test_held_out_ones_can_be_asked_for() -> None:
    assert all(held_out(sample_spec(seed, only_held_out=True)) for seed in range(60))


def test_sampling_is_repeatable_and_keeps_what_is_fixed() -> None:
    assert sample_spec(11) == sample_spec(11)
    spec = sample_spec(5, setting="desert", event="bounce", color="red", material="rubber", camera="orbit left",
                       time="sunset", style="watercolor", allow_held_out=True)  # fmt: skip
    assert (spec.setting, spec.camera, spec.time, spec.style) == ("desert", "orbit left", "sunset", "watercolor")
    assert (spec.subjects[0].color, spec.subjects[0].material) == ("red", "rubber")
    assert sample_spec(9, kind="robot").event.startswith("robot")


@pytest.mark.parametrize(
    ("fixed", "hint"),
    [
        ({"event": "car", "setting": "sea"}, "neon street"),
        ({"event": "bounce", "kind": "car"}, "ball"),
        ({"setting": "outer space", "time": "noon"}, "leave one"),
        ({"color": "beige"}, "red"),
        ({"event": "juggle"}, "bounce"),
        ({"size": 3}, "setting"),
    ],
)
def test_impossible_wishes_name_what_is_possible(fixed: dict[str, object], hint: str) -> None:
    with pytest.raises(WorldError, match=hint):
        sample_spec(1, allow_held_out=True, **fixed)  # type: ignore[arg-type]


def test_specs_are_checked_before_they_run() -> None:
    spec = sample_spec(3, event="roll")
    check_spec(spec)
    for change in ({"direction": None}, {"seconds": 99.0}, {"richness": 2.0}, {"subjects": ()}, {"camera": "zoom"}):
        with pytest.raises(WorldError):
            simulate(dataclasses.replace(spec, **change))
    assert isinstance(spec, ClipSpec)
