"""What a short prompt leaves open is filled in by scenes that go together; what was said stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from haneul import cli, engine
from haneul.backbones.base import Request
from haneul.backbones.native import BUNDLED, Native
from haneul.errors import CheckpointError
from haneul.prompt.expand import PLAIN, Scenes, read_scenes
from haneul.world.concepts import SLOTS
from haneul.world.events import EVENT_RULES
from haneul.world.vocabulary import event_settings


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return read_scenes(BUNDLED / "scenes.json")


def test_the_table_is_of_this_world(scenes: Scenes) -> None:
    assert scenes.slots == SLOTS
    events = {SLOTS["event"][row[list(SLOTS).index("event")] - 1] for row in scenes.rows}
    assert events == set(EVENT_RULES), "every event has scenes"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"kind": "ball", "color": "red"},
        {"setting": "sea"},
        {"event": "car", "setting": "desert"},
        {"kind": "robot", "time": "night"},
        {"event": "gallery tour"},
        {"style": "watercolor", "camera": "push in"},
    ],
)
def test_what_is_added_goes_together(said: dict[str, str], scenes: Scenes) -> None:
    added = [scenes.add(said, seed) for seed in range(20)]
    assert added[0] == scenes.add(said, 0), "the same for the same seed"
    assert len({json.dumps(a, sort_keys=True) for a in added}) > 1, "another for another"
    for extra in added:
        assert not set(extra) & set(said), "what was said stays"
        scene = said | extra
        assert scene["setting"] in event_settings(scene["event"])
        cast = EVENT_RULES[scene["event"]].cast
        assert ("kind" in scene) == bool(cast)
        assert not cast or scene["kind"] in cast[0].kinds
        assert scene["style"] == said.get("style", "photo")


def test_what_no_scene_has_gets_the_plain_rest(scenes: Scenes) -> None:
    assert scenes.add({"kind": "fish", "setting": "desert"}, 1) == PLAIN
    assert scenes.add({"kind": "fish", "setting": "desert", "style": "cartoon"}, 1) == {"camera": "static"}


@pytest.mark.parametrize("text", ["", "{}", '{"slots": {"a": ["x"]}, "rows": ["1 2"]}', '{"slots": [], "rows": []}'])
def test_a_damaged_table_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"scenes\.json cannot be read"):
        read_scenes(tmp_path / "scenes.json")
    with pytest.raises(CheckpointError):
        read_scenes(tmp_path / "gone.json")


def test_the_bundled_model_hears_what_is_added() -> None:
    model = Native()
    said = model.understood("a red ball")
    assert {name: value for name, (value, _) in said.items()} == {"kind": "ball", "color": "red"}
    asked = {"prompt": "a red ball", "seed": 3, "steps": 1, "guidance": 1.0}
    added = model.expanded(Request(**asked, expand=True))
    concepts = model.reading.complete(model.reading.encode(["a red ball"]), [3]).concepts
    assert concepts is not None
    assert model.reading.concepts is not None
    heard = {name: value for name, (value, _) in model.reading.concepts.named(concepts[0]).items()}
    assert heard == {"kind": "ball", "color": "red"} | added
    plain = model.reading.encode(["a red ball"]).concepts
    assert plain is not None
    assert not plain.equal(concepts)
    assert model.expanded(Request(**asked)) == {}
    moved = model.expanded(Request(**asked, expand=True, fixed={"camera": "push in"}))
    assert (moved["camera"], moved["style"]) == ("push in", "photo")
    assert "camera" not in model.expanded(Request(**asked, expand=True, fixed={"camera": None}))
    assert model.expanded(Request(**asked, fixed={"camera": "push in"})) == {"camera": "push in"}


def test_a_path_of_one_move_is_said_in_a_word() -> None:
    assert engine.camera_slot("orbit left 40") == {"camera": "orbit left"}
    assert engine.camera_slot("orbit left 40, then push in") == {"camera": None}
    assert engine.camera_slot(np.zeros((3, 6), np.float32)) == {"camera": None}
    assert engine.camera_slot(None) == engine.camera_slot("") == {}


def test_it_is_told_and_can_be_left_out(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = Native(weights)
    monkeypatch.setattr(engine, "default_backbone", lambda _: native)
    monkeypatch.setattr(native, "expanded", lambda request: {"style": "photo"} if request.expand else {})
    common = ["--seconds", "0.1", "--size", "112x64", "--steps", "1", "--seed", "1", "--report", "--overwrite"]
    arguments = ["generate", "snow", "-o", str(tmp_path / "x.mp4"), *common]
    told = CliRunner().invoke(cli.main, arguments)
    assert told.exit_code == 0, told.stderr
    assert "added: style photo" in told.stderr
    assert json.loads((tmp_path / "x.json").read_text())["expanded"] == {"style": "photo"}
    plain = CliRunner().invoke(cli.main, [*arguments, "--no-expand"])
    assert "added" not in plain.stderr
    assert json.loads((tmp_path / "x.json").read_text())["expanded"] == {}
