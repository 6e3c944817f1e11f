"""A world to play in: what a prompt calls for, keys, the ride as a video, and the terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from haneul import cli, play, verify
from haneul.backbones.live import CAMERA, Live, Ride
from haneul.backbones.native import BUNDLED
from haneul.cli.play import cells, meant
from haneul.config import Settings, load_settings
from haneul.errors import CheckpointError, InputError, RefusedError
from haneul.model.checkpoint import Card, save
from haneul.model.concepts import one_hot, sizes_of
from haneul.model.live import LiveConfig, LiveModel
from haneul.play import Kept, Keys, Player, Shown, World
from haneul.video.io import stream_video
from haneul.world.concepts import SLOTS
from haneul.world.journey import Journey
from haneul.world.rides import RIDERS, SHOWN

SIZE = (112, 64)


@pytest.fixture(scope="module")
def settings(weights: Path) -> Settings:
    return replace(load_settings(), weights=weights, threads=1)


@pytest.fixture(scope="module")
def live(weights: Path) -> Live:
    return Live(weights)


# ------------------------------------------------------------------------------------------------ what is called for


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The shipped reader with a live model that was not trained."""
    folder = tmp_path_factory.mktemp("sure")
    for name in ("concepts", "text_encoder"):
        (folder / f"{name}.safetensors").symlink_to(BUNDLED / f"{name}.safetensors")
    for name in ("known_words.json", "scenes.json"):
        (folder / name).symlink_to(BUNDLED / name)
    torch.manual_seed(0)
    config = LiveConfig(width=32, depth=1, heads=2, concepts=sizes_of(SLOTS), riders=tuple(RIDERS))
    riders = {kind: (rider.event, rider.settings) for kind, rider in RIDERS.items()}
    card = Card(part="live", preset="live", config=asdict(config), recipe={"riders": riders})
    save(folder / "live.safetensors", LiveModel(config).state_dict(), card)
    return Live(folder)


@pytest.mark.parametrize("prompt", ["a red car drives in the desert", "사막을 달리는 빨간 자동차"])
def test_what_is_said_is_kept_and_the_rest_is_drawn_by_the_seed(sure: Live, prompt: str) -> None:
    scene = sure.scene(prompt, 1)
    assert {slot: scene.said.get(slot) for slot in ("kind", "setting", "color")} == {
        "kind": "car", "setting": "desert", "color": "red",
    }  # fmt: skip
    assert set(scene.added) == {"time"}
    assert scene.concepts.shape == (1, sum(sizes_of(sure.slots)))
    again = sure.scene(prompt, 1)
    assert (again.added, again.seed) == (scene.added, scene.seed)
    assert torch.equal(again.concepts, scene.concepts)
    assert {sure.scene("", seed).added["kind"] for seed in range(20)} == set(SHOWN)


@pytest.mark.parametrize(
    ("prompt", "setting"),
    [
        ("walk through a desert at sunset", "desert"),
        ("a camera flight over the sea at sunset", "sea"),
        ("first person view of a snowy field", "snowy field"),
        ("숲 속을 산책", "forest"),
        ("카메라로 해 질 녘 사막을 둘러보기", "desert"),
    ],
)
def test_a_walk_is_the_cameras(sure: Live, prompt: str, setting: str) -> None:
    scene = sure.scene(prompt, 1)
    assert scene.kind == CAMERA
    assert scene.said["setting"] == setting
    assert not {"color", "event"} & set(scene.said | scene.added)
    told = {"setting": setting, "time": (scene.said | scene.added)["time"], "camera": "push in"}
    assert torch.equal(scene.concepts, one_hot([told], sure.slots))


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("a robot walks in a neon street", "robot"),
        ("로봇이 네온 거리를 걷는다", "robot"),
        ("the camera follows a red car", "car"),
        ("a bird flies over the forest, camera", "bird"),
    ],
)
def test_who_walks_or_is_filmed_is_ridden(sure: Live, prompt: str, kind: str) -> None:
    assert sure.scene(prompt, 1).kind == kind


def test_a_world_without_a_rider_is_played(settings: Settings, sure: Live) -> None:
    world = World("first person walk through a desert", seed=5, settings=settings, live=sure)
    assert world.scene.kind == CAMERA
    assert not world.warnings, "words of a walk are known"
    for keys in (Keys(1, 1), Keys(1, 0)):
        assert world.step(keys).shape == (256, 448, 3)


def test_a_rider_whose_key_is_let_go_does_not_creep(weights: Path) -> None:
    """What the network of steps errs by is not gone, so that who stands stands."""
    live = Live(weights)
    scene = live.scene("", 3)
    taken: list[tuple[float, float, float]] = []

    class Watched(Journey):
        def go(self, step: tuple[float, float, float]) -> NDArray[np.float32]:
            taken.append(step)
            return super().go(step)

    ride = Ride(live, scene, Watched(scene.kind, scene.setting, 0))
    with torch.no_grad():
        live.model.going.out.weight.zero_()
        live.model.going.out.bias.copy_(torch.tensor([-0.011, 0.001, 0.3]))
    for go in (1.0, 1.0, 0.0):
        ride.next(0.0, go)
    assert taken[1] == pytest.approx((-0.011, 0.001, 0.3), abs=1e-3), "while it goes it goes as it learned"
    assert taken[2] == pytest.approx((0.0, 0.0, 0.3), abs=1e-3), "it turns where it stands"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a red ball rolls", "a ball cannot be steered; what can be played: car, robot, bird"),
        ("a red car drives in a forest", "car can be played in 'forest'; what can: "),
        ("빨간 공이 굴러간다", "a ball cannot be steered"),
    ],
)
def test_what_was_never_learned_is_said_so(sure: Live, prompt: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sure.scene(prompt, 1)


# --------------------------------------------------------------------------------------------------- while it is played


def test_the_same_seed_and_keys_give_the_same_pictures(settings: Settings, live: Live) -> None:
    keys = [Keys(go=1), Keys(-1, 1), Keys(1, 0)]
    one, two = (World(seed=5, settings=settings, live=live) for _ in range(2))
    for held in keys:
        assert np.array_equal(one.step(held), two.step(held))
    assert one.frames == 3
    assert one.seconds == 3 / live.fps
    other = World(seed=5, settings=settings, live=live)
    other.step(keys[0])
    assert not np.array_equal(other.step(Keys(1, 1)), two.step(keys[1])), "keys decide what comes"


def test_patches_do_not_show(live: Live) -> None:
    torch.manual_seed(0)
    code = live.model.code
    rows, columns = code.grid
    frame = torch.randn(rows * columns, len(code.scale)) * 0.02
    raw, shown = code.decode(frame[None])[0], live.small(frame)

    def step(x: torch.Tensor) -> float:
        return float((x[..., 16::16] - x[..., 15:-1:16]).abs().mean())

    assert step(shown) < 0.7 * step(raw)


def test_pictures_are_large_and_marked(settings: Settings, live: Live) -> None:
    world = World(seed=1, settings=settings, live=live)
    picture = world.step(Keys(go=1))
    assert picture.shape == (256, 448, 3)
    assert world.size == (448, 256)
    plain = World(seed=1, settings=settings, live=live)
    frame = plain.dream(Keys(go=1))
    assert not np.array_equal(picture[::4, ::4], plain._ride.picture(frame))


@pytest.mark.parametrize("held", [(2.0, 0.0), (0.0, -0.5), (float("nan"), 0.0)])
def test_keys_that_cannot_be(held: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="cannot be"):
        Keys(*held)


def test_the_screen_refuses_before_anything_is_dreamt(weights: Path, tmp_path: Path) -> None:
    mine = replace(load_settings(), weights=weights, threads=1, data=tmp_path)
    with pytest.raises(RefusedError, match="refused"):
        World("a naked woman", settings=mine)


def test_weights_without_a_live_model(weights: Path, tmp_path: Path) -> None:
    shutil.copytree(weights, tmp_path / "old", ignore=shutil.ignore_patterns("live.*"), symlinks=True)
    with pytest.raises(CheckpointError, match=r"no live model at .*live\.safetensors"):
        World(settings=replace(load_settings(), weights=tmp_path / "old"))


def test_a_player_plays_in_time_and_hears_new_keys(settings: Settings, live: Live) -> None:
    seen: list[Shown] = []
    player = Player(World(seed=2, settings=settings, live=live), seen.append)
    player.start()
    ends = time.monotonic() + 60
    while len(seen) < 4 and time.monotonic() < ends:
        time.sleep(0.01)
    player.keys = Keys(-1, 1, number=7)
    while not any(shown.keys.number == 7 for shown in seen) and time.monotonic() < ends:
        time.sleep(0.01)
    player.stop()
    assert player.over
    assert player.failure is None
    assert [shown.number for shown in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].keys == Keys(-1, 1, number=7)
    assert all(0 < shown.delay < 60 for shown in seen)
    after = Player(player.world, seen.append)  # it goes on where it was
    after.start()
    before = len(seen)
    while len(seen) == before and time.monotonic() < ends:
        time.sleep(0.01)
    after.stop()
    assert seen[before].number == before + 1


def test_what_goes_wrong_ends_the_ride_and_is_told(settings: Settings, live: Live) -> None:
    def look(_shown: Shown) -> None:
        raise InputError("seen enough")

    player = Player(World(seed=2, settings=settings, live=live), look)
    player.start()
    player.wait()
    assert player.over
    assert isinstance(player.failure, InputError)


# ---------------------------------------------------------------------------------------------------------- the ride


@pytest.fixture(scope="module")
def ridden(settings: Settings, live: Live) -> World:
    world = World(seed=3, settings=settings, live=live)
    for i in range(8):
        world.step(Keys(0.0, float(i % 2)))
    return world


def test_a_saved_ride_is_signed_and_says_what_it_is(ridden: World, tmp_path: Path) -> None:
    result = ridden.save(tmp_path / "ride.mp4", size=SIZE)
    verdict = verify(result.path)
    assert verdict.state in ("trusted", "valid")
    assert verdict.mode == "play"
    assert verdict.model == "haneul-live"
    frames = list(stream_video(result.path))
    assert frames[0].shape == (64, 112, 3)
    assert abs(len(frames) - 16) <= 1
    assert result.report["added"] == ridden.scene.added
    with pytest.raises(Exception, match="exists"):
        ridden.save(tmp_path / "ride.mp4", size=SIZE)


def test_a_ride_is_kept_as_a_file_and_drawn_elsewhere(ridden: World, settings: Settings, tmp_path: Path) -> None:
    kept = ridden.kept()
    kept.write(tmp_path / "ride.safetensors")
    found = Kept.read(tmp_path / "ride.safetensors")
    assert torch.equal(found.frames, kept.frames)
    assert found.added == ridden.scene.added
    assert len(ridden.kept(0.25).frames) == 3
    one = play.save(found, tmp_path / "one.mp4", size=SIZE, settings=settings)
    two = ridden.save(tmp_path / "two.mp4", size=SIZE)
    for a, b in zip(stream_video(one.path), stream_video(two.path), strict=True):
        assert np.array_equal(a, b)


def test_what_is_no_ride(ridden: World, settings: Settings, live: Live, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was played"):
        World(seed=1, settings=settings, live=live).save(tmp_path / "x.mp4")
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="holds no ride"):
        Kept.read(tmp_path / "x.safetensors")
    kept = ridden.kept()
    strange = Kept(**vars(kept) | {"weights_sha256": "00"})
    with pytest.raises(CheckpointError, match="another live model"):
        play.save(strange, tmp_path / "x.mp4", settings=settings)
    assert not (tmp_path / "x.mp4").exists()


# ------------------------------------------------------------------------------------------------------ the terminal


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_no_terminal_no_game(tmp_path: Path) -> None:
    result = invoke("play", "--terminal")
    assert result.exit_code == 2
    assert "a terminal is needed" in result.stderr
    result = invoke("play", "--save", tmp_path / "ride.mp4")
    assert result.exit_code == 2
    assert "goes with --terminal" in result.stderr


def test_what_a_terminal_says() -> None:
    assert list(meant("\x1b[Aa\x1bOCㅈx")) == ["go", "left", "right", "go"]
    assert list(meant("q")) == ["quit"]


def test_a_picture_in_half_blocks() -> None:
    picture = np.zeros((256, 448, 3), np.uint8)
    picture[128:] = (0, 0, 255)
    lines = cells(picture, 28, 40)
    assert len(lines) == 8
    assert lines[0] == "\x1b[38;2;0;0;0;48;2;0;0;0m" + 28 * "▀"
    assert lines[-1].startswith("\x1b[38;2;0;0;255;48;2;0;0;255m")
    assert len(cells(picture, 500, 10)) == 10, "as high as the terminal"


@contextlib.contextmanager
def terminal(command: list[str], home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
        env=os.environ | {"HANEUL_HOME": str(home), "COLUMNS": "80", "LINES": "24"},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(fd: int, what: bytes, seconds: float = 120) -> bytes:
    found, ends = b"", time.monotonic() + seconds
    while what not in found:
        assert time.monotonic() < ends, found[-500:]
        if select.select([fd], [], [], 0.2)[0]:
            try:
                found += os.read(fd, 65536)
            except OSError:  # the other side is closed
                assert what in found, found[-500:]
    return found


def test_a_ride_in_the_terminal(serving_home: Path, tmp_path: Path) -> None:
    ride = tmp_path / "ride.mp4"
    command = [sys.executable, "-m", "haneul", "play", "--terminal", "--seed", "4", "--save", str(ride)]
    with terminal(command, serving_home) as (process, fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        before = termios.tcgetattr(fd)
        shown = read_until(fd, b"pictures/s")
        assert b"\x1b[38;2;" in shown
        assert "▀".encode() in shown
        os.write(fd, b"\x1b[A\x1b[D")
        read_until(fd, b"pictures/s")
        os.write(fd, b"q")
        rest = read_until(fd, b"ride.mp4")
        assert b"\x1b[?1049l" in rest, "the terminal is as it was"
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert termios.tcgetattr(fd) == before
    verdict = verify(ride)
    assert (verdict.mode, verdict.model) == ("play", "haneul-live")
