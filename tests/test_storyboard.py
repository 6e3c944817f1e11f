"""Storyboards: read strictly, made shot by shot, remade only where something changed, joined as they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import haneul
from haneul import cli, engine
from haneul.backbones.native import Native
from haneul.errors import InputError, OutputError
from haneul.model.concepts import CARRIED, ConceptReader, ConceptsConfig, one_hot
from haneul.prompt.camera import velocities
from haneul.storyboard import DISSOLVE, Piece, Shot, Storyboard, crossing, film, joined, read
from haneul.video.io import probe, read_video, write_mp4

BOARD = """
title = "Winter"
size = "112x64"
seed = 5
remember = "a red ball in the snow"

[[shots]]
prompt = "it rolls to the right"
seconds = 0.5
steps = 1

[[shots]]
prompt = "it bounces"
seconds = 0.5
steps = 1
transition = "dissolve"
"""


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


def board_file(folder: Path, text: str = BOARD) -> Path:
    path = folder / "board.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    board = read(board_file(tmp_path))
    assert (board.title, board.size, board.seed) == ("Winter", (112, 64), 5)
    assert [shot.transition for shot in board.shots] == ["cut", "dissolve"]
    table = {
        "title": "Winter", "size": "112x64", "seed": 5, "remember": "a red ball in the snow",
        "shots": [{"prompt": "it rolls to the right", "seconds": 0.5, "steps": 1},
                  {"prompt": "it bounces", "seconds": 0.5, "steps": 1, "transition": "dissolve"}],
    }  # fmt: skip
    (tmp_path / "board.json").write_text(json.dumps(table))
    assert read(tmp_path / "board.json") == board


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no shots"),
        ("shots = []", "has no shots"),
        ("[[shots]]\nseconds = 3", "shot 1 has no prompt"),
        ('[[shots]]\nprompt = "x"\nsecond = 3', "shot 1 has an unknown key 'second'"),
        ('[[shots]]\nprompt = "x"\nseconds = "long"', "seconds of shot 1 is 'long'"),
        ('[[shots]]\nprompt = "x"\nsteps = true', "steps of shot 1 is True"),
        ('[[shots]]\nprompt = "x"\ntransition = "wipe"', "choose cut, dissolve, connect, continue"),
        ('[[shots]]\nprompt = "x"\ntransition = "continue"', "shot 1 follows nothing"),
        ('[[shots]]\nprompt = "x"\nimage = "gone.png"', "gone.png, which is not beside"),
        ('speed = 2\n[[shots]]\nprompt = "x"', "an unknown key 'speed'"),
        ('size = "wide"\n[[shots]]\nprompt = "x"', "'wide' is not a size"),
        ("[[shots", "is not valid TOML"),
        ('[[shots]]\nprompt = "x"\nseconds = 0', "a length of 0 s"),
        ('size = "113x64"\n[[shots]]\nprompt = "x"', "is odd"),
    ],
)
def test_a_wrong_storyboard_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = board_file(tmp_path, text)
    result = CliRunner().invoke(cli.main, ["film", str(path), "-o", str(tmp_path / "film.mp4")])
    assert result.exit_code == InputError.exit_code
    assert words in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["board.toml"]


def test_missing_files_and_names(tmp_path: Path, native: Native) -> None:
    with pytest.raises(InputError, match="there is no storyboard"):
        read(tmp_path / "gone.toml")
    board = read(board_file(tmp_path))
    with pytest.raises(InputError, match=r"name it \.mp4, \.webm or \.gif for a film"):
        film(board, output=tmp_path / "film.avi", backbone=native)
    with pytest.raises(InputError, match="there is no shot 3 to redo"):
        film(board, output=tmp_path / "film.mp4", redo=[3], backbone=native)


def test_a_film_is_made_and_only_what_changed_is_made_again(tmp_path: Path, native: Native) -> None:
    path, target = board_file(tmp_path), tmp_path / "film.mp4"
    first = film(path, output=target, backbone=native)
    assert [piece.new for piece in first.pieces] == [True, True]
    cross = 6  # a quarter of a second of the shorter shot
    assert probe(target).frames == 24 - cross
    verdict = haneul.verify(target)
    assert (verdict.exit_code, verdict.mode) == (0, "film")
    assert all(piece.path.name in verdict.text() for piece in first.pieces)
    assert all(haneul.verify(piece.path).exit_code == 0 for piece in first.pieces)
    again = film(path, output=target, overwrite=True, backbone=native)
    assert [piece.new for piece in again.pieces] == [False, False]
    board_file(tmp_path, BOARD.replace("it bounces", "it rolls to the left"))
    changed = film(path, output=target, overwrite=True, backbone=native)
    assert [piece.new for piece in changed.pieces] == [False, True]
    redone = film(path, output=target, overwrite=True, redo=[1], backbone=native)
    assert [piece.new for piece in redone.pieces] == [True, False]
    assert redone.pieces[0].path.read_bytes() != first.pieces[0].path.read_bytes()
    kept = film(path, output=target, overwrite=True, backbone=native)
    assert [piece.new for piece in kept.pieces] == [False, False], "what was redone stays"


def test_shots_continue_and_connect(tmp_path: Path, native: Native) -> None:
    shots = [
        {"prompt": "a red ball rolls", "seconds": 1.0, "steps": 1},
        {"prompt": "it stops", "seconds": 1.0, "steps": 1, "transition": "continue"},
        {"prompt": "a blue car drives", "seconds": 0.5, "steps": 1, "transition": "connect"},
    ]
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"size": "112x64", "shots": shots}))
    made = film(path, output=tmp_path / "film.mp4", backbone=native)
    assert [(piece.number, piece.bridge) for piece in made.pieces] == [(1, False), (2, False), (3, True), (3, False)]
    assert [haneul.verify(piece.path).mode for piece in made.pieces] == [
        "text-to-video", "extend", "connect", "text-to-video",
    ]  # fmt: skip
    frames = [probe(piece.path).frames for piece in made.pieces]
    assert frames == [24, 24, 24, 12]
    assert probe(tmp_path / "film.mp4").frames == sum(frames)
    shots[0]["prompt"] = "a green ball rolls"
    path.write_text(json.dumps({"size": "112x64", "shots": shots}))
    again = film(path, output=tmp_path / "film.mp4", overwrite=True, backbone=native)
    assert [piece.new for piece in again.pieces] == [True, True, True, False], "what follows from a shot follows"


def test_a_shot_begins_with_its_picture(tmp_path: Path, native: Native) -> None:
    Image.new("RGB", (112, 64), (200, 30, 30)).save(tmp_path / "p.png")
    text = '[[shots]]\nprompt = "a ball"\nseconds = 0.5\nsteps = 1\nimage = "p.png"'
    made = film(board_file(tmp_path, f'size = "112x64"\n{text}'), output=tmp_path / "film.mp4", backbone=native)
    assert haneul.verify(made.pieces[0].path).mode == "image-to-video"
    Image.new("RGB", (112, 64), (30, 200, 30)).save(tmp_path / "p.png")
    again = film(tmp_path / "board.toml", output=tmp_path / "film.mp4", overwrite=True, backbone=native)
    assert again.pieces[0].new, "another picture is another shot"


def test_dissolves_cross_half_a_second(tmp_path: Path) -> None:
    pieces = []
    for number, value in enumerate((40, 200), start=1):
        path = tmp_path / f"{number}.mp4"
        write_mp4(np.full((48, 64, 112, 3), value, np.uint8), path, fps=24, crf=4)
        transition = "cut" if number == 1 else "dissolve"
        shot = Shot(prompt="x", seconds=2.0, transition=transition)
        pieces.append(Piece(path=path, number=number, shot=shot))
    levels = [int(frame.mean().round()) for frame in joined(pieces, 24)]
    cross = round(DISSOLVE * 24)
    assert len(levels) == 96 - cross
    assert levels[: 48 - cross] == pytest.approx([40] * (48 - cross), abs=2)
    assert levels[48 - cross : 48] == sorted(levels[48 - cross : 48])
    assert levels[48:] == pytest.approx([200] * (48 - cross), abs=2)


def test_a_time_line_for_editing_programs(tmp_path: Path, native: Native) -> None:
    made = film(board_file(tmp_path), output=tmp_path / "film.otio", backbone=native)
    line = otio.adapters.read_from_file(str(made.path))
    clips = line.find_clips()
    assert [clip.metadata["haneul"]["prompt"] for clip in clips] == ["it rolls to the right", "it bounces"]
    assert all((tmp_path / clip.media_reference.target_url).is_file() for clip in clips)
    assert line.duration().rescaled_to(24).value == 24 - 6, "as long as the film"
    assert sum(1 for _ in joined(made.pieces, 24)) == 24 - 6
    assert len(line.tracks[0].find_children(otio.schema.Transition)) == 1


def test_the_command_tells_what_was_made(tmp_path: Path, native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "default_backbone", lambda _: native)
    arguments = ["film", str(board_file(tmp_path)), "-o", str(tmp_path / "film.mp4")]
    result = CliRunner().invoke(cli.main, arguments)
    assert (result.exit_code, result.stdout.strip()) == (0, str(tmp_path / "film.mp4"))
    assert result.stderr.count("(made)") == 2
    refused = CliRunner().invoke(cli.main, arguments)
    assert "exists already" in refused.stderr
    again = CliRunner().invoke(cli.main, [*arguments, "--overwrite", "--redo", "2"])
    assert (again.stderr.count("(made)"), again.stderr.count("(kept)")) == (1, 1)


# ------------------------------------------------------------------------------------------------- what is remembered

SLOTS = {"setting": ("snow", "sea"), "kind": ("ball", "car"), "color": ("red", "blue"), "event": ("roll",)}


@pytest.mark.parametrize(
    ("said", "carried"),
    [
        ({}, {"setting": "snow", "kind": "ball", "color": "red"}),
        ({"event": "roll"}, {"setting": "snow", "kind": "ball", "color": "red", "event": "roll"}),
        ({"setting": "sea"}, {"setting": "sea", "kind": "ball", "color": "red"}),
        ({"kind": "ball", "color": "blue"}, {"setting": "snow", "kind": "ball", "color": "blue"}),
        ({"kind": "ball"}, {"setting": "snow", "kind": "ball", "color": "red"}),
        ({"kind": "car"}, {"setting": "snow", "kind": "car"}),
    ],
)
def test_what_is_not_said_is_remembered(said: dict[str, str], carried: dict[str, str]) -> None:
    reader = ConceptReader(ConceptsConfig(slots=SLOTS, width=8, heads=1, depth=1))
    remembered = one_hot([{"setting": "snow", "kind": "ball", "color": "red"}], SLOTS)
    found = reader.carry(one_hot([said], SLOTS), remembered)
    assert torch.equal(found, one_hot([carried], SLOTS))


def test_the_bundled_model_remembers() -> None:
    model = Native()
    found = model.understood("it bounces down the stairs", "a red ball in the snow")
    assert (found["kind"][0], found["color"][0]) == ("ball", "red")
    assert model.reading.concepts is not None
    assert set(model.reading.concepts.cfg.slots) >= set(CARRIED)


@pytest.mark.parametrize("name", ["robot", "gallery"])
def test_the_examples_are_storyboards(name: str) -> None:
    board = read(Path(__file__).parent.parent / "examples" / f"{name}.toml")
    lengths = sum(shot.seconds for shot in board.shots)
    assert lengths >= (60 if name == "robot" else 20)
    model = Native()
    for shot in board.shots:
        assert model.unknown_words(shot.prompt) == {}, shot.prompt
        assert model.understood(shot.prompt, board.remember)["setting"][1] > 0.5
        if shot.camera:
            assert len(velocities(shot.camera, 240, 24)) == 240


def test_a_file_where_the_shots_belong_is_told(tmp_path: Path, native: Native) -> None:
    (tmp_path / "film.shots").write_text("mine")
    with pytest.raises(OutputError, match="is a file, and the shots go into a folder"):
        film(board_file(tmp_path), output=tmp_path / "film.mp4", backbone=native)
    assert (tmp_path / "film.shots").read_text() == "mine"


def test_a_crossing_fits_into_both_pieces(tmp_path: Path) -> None:
    dissolve = Piece(path=tmp_path, number=2, shot=Shot(prompt="x", seconds=0.25, transition="dissolve"))
    assert [crossing(n, dissolve, 24) for n in (96, 8, 4, 1)] == [3, 3, 2, 0]
    assert crossing(96, None, 24) == 0


def test_a_stripped_film_leads_to_its_shots_and_to_itself(tmp_path: Path) -> None:
    native = Native()  # what an untrained one draws is noise, under which a mark is only just found, or not
    shots = tuple(Shot(prompt=p, seconds=2.0) for p in ("a red ball bounces", "a blue cube slides"))
    made = film(Storyboard(shots=shots, size=(896, 512)), output=tmp_path / "f.mp4", backbone=native)
    write_mp4(read_video(made.path).frames, tmp_path / "bare.mp4", fps=24, crf=23)
    verdict = haneul.verify(tmp_path / "bare.mp4")
    assert verdict.state == "recovered"
    assert {origin.title for origin in verdict.origins} == {piece.path.name for piece in made.pieces}
    assert all(origin.parts_of == ("f.mp4",) for origin in verdict.origins)
    assert set(haneul.verify(made.path).bindings) == {origin.id for origin in verdict.origins}
