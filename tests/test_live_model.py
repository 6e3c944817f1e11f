"""The live model: played frame by frame it is what was trained, it learns, goes on where it stopped, and is kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from haneul.backbones.native import read_part
from haneul.data.shards import read_shard, shard_paths
from haneul.errors import InputError
from haneul.model.checkpoint import load
from haneul.model.concepts import sizes_of
from haneul.model.framecode import SHIFTS, FrameCode
from haneul.model.live import CHANNELS, GUESSES, POINTS, Drawing, LiveConfig, LiveModel, Past, by_place
from haneul.train import live
from haneul.train.rides import evened, frames_of, root_of
from haneul.world.concepts import SLOTS
from haneul.world.produce import Plan, render_dataset
from haneul.world.rides import RIDERS

TINY = LiveConfig(latent=16, width=64, depth=3, heads=2, grid=(2, 3), concepts=(3, 4), riders=("car", "bird"), window=4)


RIDER = torch.tensor([[1.0, 0.0]])


def sights(*shape: int) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, POINTS * TINY.grid[0], POINTS * TINY.grid[1], CHANNELS)


def moved_of(model: LiveModel, z: torch.Tensor, sight: torch.Tensor) -> torch.Tensor:
    """As training has it: the first frame comes from nothing."""
    first = torch.zeros(len(z), 1, TINY.places, GUESSES, TINY.latent)
    return torch.cat([first, model.moved_of(z[:, :-1], sight[:, 1:], RIDER.expand(len(z), 2))], 1)


@pytest.fixture
def model() -> LiveModel:
    torch.manual_seed(0)
    net = LiveModel(TINY)
    net.code.fit(torch.rand(8, 3, 32, 48))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def test_played_it_is_what_was_trained(model: LiveModel) -> None:
    """More frames than the window, so that what is dropped is what the mask hides."""
    B, T, S, C = 2, 7, TINY.places, TINY.latent
    z, y, actions = torch.randn(B, T, S, C), torch.randn(B, T, S, C), torch.randn(B, T, 2)
    concepts, t, sight = torch.randn(B, 7), torch.rand(1, T).expand(B, T), sights(B, T)
    moved = moved_of(model, z, sight)
    whole = model(z, y, t, actions, concepts, sight, torch.zeros(B), torch.arange(T) == 0, moved)[0]
    past = Past()
    for i in range(T):
        before = torch.zeros(B, S, C) if past.last is None else past.last
        view, told = model.view(by_place(sight[:, i])), (actions[:, i], concepts)
        v = model._velocity(past, before, moved[:, i : i + 1], y[:, i], float(t[0, i]), *told, view, 0.0)
        torch.testing.assert_close(v, whole[:, i], atol=1e-4, rtol=1e-4)
        past = model.see(past, z[:, i], actions[:, i], concepts, sight[:, i])
    assert past.frames == T
    assert past.keys[0].shape[2] == (TINY.window - 1) * S


def test_a_frame_knows_nothing_of_later_ones(model: LiveModel) -> None:
    B, T, S, C = 1, 5, TINY.places, TINY.latent
    z, y, actions = torch.randn(B, T, S, C), torch.randn(B, T, S, C), torch.randn(B, T, 2)
    sight = sights(B, T)
    rest = (torch.rand(B, T), actions, torch.randn(B, 7), sight, torch.zeros(B), torch.zeros(T, dtype=torch.bool))
    first = model(z, y, *rest, moved_of(model, z, sight))[0]
    z[:, 3], actions[:, 4], sight[:, 4] = 5.0, 5.0, 5.0
    second = model(z, y, *rest, moved_of(model, z, sight))[0]
    torch.testing.assert_close(first[:, :4], second[:, :4])
    assert not torch.allclose(first[:, 4], second[:, 4])


def test_a_world_can_be_played_for_ever(model: LiveModel) -> None:
    """Only differences of time count: the same past a hundred thousand frames later gives the same frame."""
    concepts, actions, sight = torch.randn(1, 7), torch.zeros(1, 2), sights(1)
    frames = torch.randn(4, 1, TINY.places, TINY.latent)

    def after(start: int) -> torch.Tensor:
        past = Past(last=torch.zeros_like(frames[0]), frames=start)
        for frame in frames:
            past = model.see(past, frame, actions, concepts, sight)
        return model.draw(past, actions, concepts, RIDER, sight, steps=2, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(after(5), after(100_005), atol=1e-3, rtol=1e-3)


def test_what_moved_is_what_stood_there(model: LiveModel) -> None:
    """Frames of one row of patches that slide by whole pixels: the shift that was made gives the next frame, inside."""
    code = FrameCode(768, (2, 3))
    wide, still = torch.rand(1, 3, 32, 80), torch.zeros(1, 16, 24, CHANNELS)
    code.fit(torch.rand(200, 3, 32, 48))
    model.code = code
    for right, down in ((5, 0), (-9, 0), (4, 1), (0, 2)):
        before = wide[:, :, :, 16:64]
        after = torch.roll(wide, (down, right), (2, 3))[:, :, :, 16:64]
        z, target = code.encode(before), code.encode(after)
        guess = z + model.moved(z, still, RIDER)[:, :, SHIFTS.index((right, down))] * model.unit[1]
        inside = (slice(None), slice(None), slice(down, None), slice(9, -9))  # of borders nothing is known
        error = (code.decode(guess) - code.decode(target))[inside].abs().max()
        assert error < 1e-3
        assert (code.decode(z) - code.decode(target))[inside].abs().max() > 0.1


def test_what_the_sight_leads_is_where_its_points_are_now(model: LiveModel) -> None:
    """A frame whose left half slides by half a patch and whose right half stands, and a rider that stays in place."""
    model.code = FrameCode(768, (2, 3))
    model.code.fit(torch.rand(200, 3, 32, 48))
    frame, told = torch.rand(1, 3, 32, 48), torch.zeros(1, 16, 24, CHANNELS)
    told[:, :, :12, -2] = 0.5  # it was half a patch further right
    model.rider.zero_()
    model.rider[0, 8:, :12] = 1.0
    led = model.led(frame, told[..., -2:], RIDER)
    torch.testing.assert_close(led[:, :, :14, :14], frame[:, :, :14, 8:22])
    torch.testing.assert_close(led[:, :, :14, 26:], frame[:, :, :14, 26:])
    torch.testing.assert_close(led[:, :, 18:, :22], frame[:, :, 18:, :22], msg="the rider stays")
    guess = model.code.encode(frame) + model.moved(model.code.encode(frame), told, RIDER)[:, :, -1] * model.unit[1]
    torch.testing.assert_close(model.code.decode(guess), led, atol=1e-3, rtol=1e-3)


def test_the_mirror_image_of_a_sight() -> None:
    """Its points moved the other way; twice mirrored it is itself."""
    sight = sights(2)
    turned = live.mirror(sight)
    torch.testing.assert_close(turned[0, 3, 0, :-2], sight[0, 3, -1, :-2])
    torch.testing.assert_close(turned[0, 3, 0, -2:], sight[0, 3, -1, -2:] * torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(live.mirror(turned), sight)


def test_units_come_from_the_data(model: LiveModel) -> None:
    first, difference = 3 * torch.randn(500, TINY.latent), 0.5 * torch.randn(500, TINY.latent)
    model.measure(first, difference)
    assert model.unit.tolist() == pytest.approx([3.0, 0.5], rel=0.1)
    assert model.spread.mean(1).tolist() == pytest.approx([1.0, 1.0], rel=0.1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> live.LiveRecipe:
    folder = tmp_path_factory.mktemp("live")
    render_dataset(
        folder / "rides",
        Plan(clips=4, shard=2, seconds=2.0, sizes=((112, 64),), rides=True, riders=tuple(RIDERS), stops=0.5), workers=1,
    )  # fmt: skip
    return live.LiveRecipe(
        data=folder / "rides", folder=folder / "run", budget=6.0, batch=2, frames=5, firsts=4, threads=1,
        compile=False, played_from=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(recipe: live.LiveRecipe) -> tuple[LiveModel, list[str]]:
    said: list[str] = []
    cfg = LiveConfig(latent=16, width=64, depth=2, heads=2, concepts=sizes_of(SLOTS), riders=tuple(RIDERS), window=4)
    return live.train_live(recipe, cfg, said.append), said


def test_it_learns_and_goes_on(recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]]) -> None:
    first = torch.load(live.checkpoint_of(recipe), weights_only=True)
    assert first["step"] > 4
    said: list[str] = []
    live.train_live(dataclasses.replace(recipe, budget=2.0), None, said.append)
    assert f"step {first['step']}" in next(line for line in said if "parameters" in line)
    assert torch.load(live.checkpoint_of(recipe), weights_only=True)["step"] > first["step"]


def test_the_loss_falls(recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path) -> None:
    rides = live.read_rides(recipe.data, tmp_path, trained[0].code, lambda _: None)
    assert rides.z.shape == (4, 2, 25, 28, 16)
    assert rides.keys.shape == (4, 25, 2)
    every = np.arange(4)
    fresh = LiveModel(trained[0].cfg)
    for name, buffer in fresh.named_buffers():
        buffer.copy_(trained[0].get_buffer(name))
    assert live.held_loss(trained[0], rides, every, recipe) < 0.98 * live.held_loss(fresh, rides, every, recipe)


def test_the_mirror_turns_the_keys_round(
    recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path
) -> None:
    rides = live.read_rides(recipe.data, tmp_path, trained[0].code, lambda _: None)
    rng = np.random.default_rng(0)
    batch = live.draw(rides, np.array([0]), dataclasses.replace(recipe, batch=32, frames=25, silent=0.0), rng)
    plain = (batch.actions == rides.keys[0]).all(2).all(1)
    mirrored = (batch.actions == rides.keys[0] * torch.tensor([-1.0, 1.0])).all(2).all(1)
    assert (plain | mirrored).all()
    for row in range(32):
        which = 1 if mirrored[row] else 0
        torch.testing.assert_close(batch.z[row], rides.z[0, which].float())
        sight = rides.sight[0].float()
        torch.testing.assert_close(batch.sight[row], live.mirror(sight) if which else sight)


def test_rides_that_it_plays_itself_go_on_where_they_were(
    recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path
) -> None:
    """What it sees is its own, and what belongs to it is what the rendered ride shows then; a ride that is over, or
    gone astray, begins anew."""
    rides = live.read_rides(recipe.data, tmp_path, trained[0].code, lambda _: None, workers=1)
    plays = dataclasses.replace(live.company(rides, np.arange(4), recipe), groups=1, afresh=0.0)
    rng = np.random.default_rng(0)
    batch, seen = plays.go_on(trained[0], 5, rng)
    group = plays.playing[0]
    assert (group.at, group.past.frames) == (4, 5)
    assert seen.shape == batch.z.shape
    clip, mirrored, start = (part[0] for part in (group.windows.clips, group.windows.mirrored, group.windows.start))
    torch.testing.assert_close(batch.z[0], rides.z[clip, int(mirrored), start : start + 5].float())
    again, later = plays.go_on(trained[0], 5, rng)
    torch.testing.assert_close(later[:, 0], seen[:, -1])
    torch.testing.assert_close(again.z[0], rides.z[clip, int(mirrored), start + 4 : start + 9].float())
    assert plays.playing[0] is group
    plays.go_on(trained[0], 5, rng)
    assert plays.playing[0] is not group, "half of the ride's 25 frames is over"
    plays.playing[0].past.last = torch.full_like(seen[:, 0], torch.nan)
    _, lost = plays.go_on(trained[0], 5, rng)
    assert 0 not in plays.playing
    assert lost.isfinite().all()


def test_it_is_kept_with_its_card(
    recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path
) -> None:
    live.export(recipe, tmp_path / "live.safetensors")
    net, card = read_part(tmp_path, "live", lambda config: LiveModel(LiveConfig(**config)))
    assert set(card.recipe["riders"]) == set(RIDERS)
    assert card.data_ledger_root == json.loads((recipe.data / "manifest.json").read_text())["ledger_root"]
    kept = torch.load(live.checkpoint_of(recipe), weights_only=True)["ema"]
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, kept[name].float(), atol=0.02, rtol=0.02)
    assert load(tmp_path / "live.safetensors", "live")[1].part == "live"


def test_other_riders_are_told(recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="holds a model of car, robot, bird, camera, not of car; go on with the same kinds"
    ):
        live.train_live(dataclasses.replace(recipe, kinds=("car",)))
    render_dataset(tmp_path, Plan(clips=2, seconds=1.0, sizes=((112, 64),), rides=True, riders=("bird",)), workers=1)
    with pytest.raises(InputError, match="holds no rides of a camera or a car or a robot; render more"):
        live.train_live(dataclasses.replace(recipe, data=tmp_path, folder=tmp_path / "run"))


def test_it_learns_further_riders(recipe: live.LiveRecipe, tmp_path: Path) -> None:
    """What it knew stays; who can be played, and how each goes, is found anew."""
    alone = dataclasses.replace(recipe, folder=tmp_path, kinds=("car",), budget=0.0)
    cfg = LiveConfig(latent=16, width=64, depth=2, heads=2, concepts=sizes_of(SLOTS), riders=("car",), window=4)
    before = live.train_live(alone, cfg)
    after = live.train_live(dataclasses.replace(alone, kinds=("car", "bird")))
    assert after.cfg.riders == ("car", "bird")
    assert len(after.rider) == 2
    assert torch.equal(after.rider[0], before.rider[0])
    assert not torch.equal(after.rider[0], after.rider[1])
    for name, value in before.state_dict().items():
        assert live.of_riders(name) or torch.equal(value, after.state_dict()[name]), name
    with pytest.raises(InputError, match="name further ones after them"):
        live.train_live(dataclasses.replace(alone, kinds=("bird", "car")))


def test_the_card_tells_of_rides_that_were_learned_from_before(recipe: live.LiveRecipe, tmp_path: Path) -> None:
    again = dataclasses.replace(recipe, folder=tmp_path, kinds=("car",), budget=0.0)
    cfg = LiveConfig(latent=16, width=64, depth=2, heads=2, concepts=sizes_of(SLOTS), riders=("car",), window=4)
    live.train_live(again, cfg)
    path = live.checkpoint_of(again)
    state = torch.load(path, weights_only=True)
    assert state["begun_with"] == []
    torch.save(state | {"data_ledger_root": "of other rides", "step": 7}, path)
    more = dataclasses.replace(again, kinds=("car", "bird"))
    for _ in range(2):  # once more with the same rides: nothing is to be added
        live.train_live(more)
    live.export(more, tmp_path / "live.safetensors")
    card = load(tmp_path / "live.safetensors", "live")[1]
    assert card.data_ledger_root == json.loads((recipe.data / "manifest.json").read_text())["ledger_root"]
    assert card.recipe["begun_with"] == [{"steps": 7, "data_ledger_root": "of other rides", "riders": ["car"]}]


def test_it_goes_on_from_weights(recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path) -> None:
    """Where a folder has no checkpoint: at their step, with what they knew; a checkpoint that is there counts first."""
    weights = tmp_path / "live.safetensors"
    live.export(recipe, weights)
    tensors, card = load(weights, "live")
    other = dataclasses.replace(recipe, folder=tmp_path / "run", begin=weights, budget=0.0)
    said: list[str] = []
    found = live.train_live(other, None, said.append).state_dict()
    assert any(f"step {card.recipe['steps']}" in line for line in said)
    for name, value in tensors.items():
        torch.testing.assert_close(found[name], value.to(found[name].dtype), msg=name)
    live.train_live(dataclasses.replace(other, budget=1.0))
    after = torch.load(live.checkpoint_of(other), weights_only=True)["step"]
    assert after > card.recipe["steps"]
    live.train_live(other, None, said.append)
    assert f"step {after}" in said[-1]


def test_further_rides_come_from_further_folders(
    recipe: live.LiveRecipe, trained: tuple[LiveModel, list[str]], tmp_path: Path
) -> None:
    """A model of a car learns the camera too, from another folder; its card names the rides of both."""
    alone = dataclasses.replace(recipe, folder=tmp_path / "run", kinds=("car",), budget=0.0)
    cfg = LiveConfig(latent=16, width=64, depth=2, heads=2, concepts=sizes_of(SLOTS), riders=("car",), window=4)
    live.train_live(alone, cfg)
    walks = Plan(clips=2, seed=1, seconds=2.0, sizes=((112, 64),), rides=True, riders=("camera",))
    render_dataset(tmp_path / "walks", walks, workers=1)
    both = dataclasses.replace(alone, kinds=("car", "camera"), more=(tmp_path / "walks",))
    said: list[str] = []
    after = live.train_live(both, say=said.append)
    assert after.cfg.riders == ("car", "camera")
    assert not after.rider[1].any(), "nothing is in the way of what a camera sees"
    assert any("4 rides" in line for line in said), "one car, and of the cameras one of each folder's and its two"
    live.export(both, tmp_path / "live.safetensors")
    card = load(tmp_path / "live.safetensors", "live")[1]
    assert card.data_ledger_root not in (root_of([recipe.data]), root_of([tmp_path / "walks"]))
    assert card.data_ledger_root == root_of([recipe.data, tmp_path / "walks"])
    assert card.recipe["riders"]["camera"][0] == "walk"
    short = dataclasses.replace(walks, seconds=1.0)
    render_dataset(tmp_path / "short", short, workers=1)
    with pytest.raises(InputError, match="rides of 13 and 25 frames do not go together"):
        live.train_live(dataclasses.replace(both, more=(tmp_path / "short",)))


def test_rarer_riders_are_seen_as_often(recipe: live.LiveRecipe) -> None:
    said = [{"kind": "car"}] * 5 + [{"camera": "push in"}] * 2
    found = evened(np.array([0, 1, 2, 4, 5, 6]), said)
    assert found.tolist() == [0, 1, 2, 4, 5, 5, 6, 6]


def test_anchors_of_a_world_that_stands_are_the_same(model: LiveModel) -> None:
    """While nothing changes, what is drawn afresh is the same frame after frame."""
    told = (torch.zeros(1, 2), torch.randn(1, 7), RIDER, sights(1))
    how, past, frames = Drawing(anchor=1.0), Past(), []
    for _ in range(4):
        frame, past = model.play(past, *told, how, torch.Generator().manual_seed(len(frames)))
        frames.append(frame)
    torch.testing.assert_close(frames[1], frames[3])


def test_what_stands_does_not_flicker(model: LiveModel) -> None:
    """Where the sight says that nothing moves, each ride of a batch for itself, most of a frame is the one before."""
    sight = sights(2)
    sight[0, ..., -2:] = 0
    sight[1, ..., -2:] = 0.5
    told = (torch.zeros(2, 2), torch.randn(2, 7), RIDER.expand(2, 2), sight)
    changes = {}
    for rest in (0.0, 0.7):
        torch.manual_seed(0)
        _, past = model.play(Past(), *told, Drawing(rest=rest))
        before = past.last
        frame, _ = model.play(past, *told, Drawing(rest=rest))
        assert before is not None
        changes[rest] = (frame - before).square().mean((1, 2)).sqrt()
    assert changes[0.7][0].item() == pytest.approx(0.3 * changes[0.0][0].item(), rel=1e-3)
    assert changes[0.7][1].item() == pytest.approx(changes[0.0][1].item(), rel=1e-3)


def test_no_rides_are_told(tmp_path: Path) -> None:
    empty = live.LiveRecipe(data=tmp_path, folder=tmp_path / "run", compile=False)
    with pytest.raises(InputError, match="holds no shards"):
        live.train_live(empty)


def test_the_code_holds_what_a_frame_shows(recipe: live.LiveRecipe) -> None:
    """With all components it is exact; with the first ones it errs by what the others hold."""
    frames = frames_of(np.concatenate([read_shard(p).video_nTHW3[0] for p in shard_paths(recipe.data)]))
    errors = []
    for latent in (16, 64, 256):
        code = FrameCode(latent, (4, 7))
        code.fit(frames)
        z = code.encode(frames)
        assert z.shape == (len(frames), 28, latent)
        errors.append(float((code.decode(z) - frames).square().mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-3
    assert z.square().mean().item() == pytest.approx(1, rel=0.05)
