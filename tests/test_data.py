"""Rendered shards, their ledger, and the latents that training reads: with the real world, at a tiny size."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from haneul.data import latents
from haneul.data.ledger import Entry, merkle_root, simulated
from haneul.data.shards import iterate, read_meta, read_shard, shard_paths, write_manifest, write_shard
from haneul.errors import InputError, OutputError
from haneul.model.codec import Codec
from haneul.train.recipes import Recipe
from haneul.world.produce import Plan, coverage, render_dataset, windows
from haneul.world.scene import CONTROLS, ClipSpec, Facts, Subject, held_out


def spec_of(record: dict[str, Any]) -> ClipSpec:
    spec = dict(record["spec"])
    return ClipSpec(**{**spec, "subjects": tuple(Subject(**s) for s in spec["subjects"])})


# ------------------------------------------------------------------------------------------------------- rendering


def test_shards_hold_what_they_say(shards: Path, plan: Plan) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    assert manifest["clips"] == plan.clips == 8
    assert manifest["plan"] == json.loads(json.dumps(dataclasses.asdict(plan)))
    leaves = []
    for (path, shard), told in zip(iterate(shards), manifest["shards"], strict=True):
        assert told == {"file": path.name, "clips": 4, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        assert shard.video_nTHW3.shape == (4, 17, 64, 64, 3)
        assert shard.coverage_nThw2.shape == (4, 17, 4, 4, 2)
        assert shard.controls_nTK.shape == (4, 33, len(CONTROLS))
        assert shard.video_nTHW3.std() > 5, "pictures, not flat colour"
        for video, record in zip(shard.video_nTHW3, shard.meta, strict=True):
            entry = simulated(video.tobytes(), record["seed"])
            assert record["ledger"] == dataclasses.asdict(entry)
            leaves.append(entry.digest())
            assert not held_out(spec_of(record)), "a combination kept for evaluation was rendered for training"
            assert set(record["facts"]) == {f"{a}:{b}" for a, b in windows(17)}
            assert Facts.from_json(record["facts"]["0:17"]).event == record["spec"]["event"]
    assert manifest["ledger_root"] == merkle_root(leaves)


def test_rendering_goes_on_and_gives_equal_bytes(shards: Path, plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(shards, folder)
    before = [p.read_bytes() for p in shard_paths(folder)]
    kept, lost = shard_paths(folder)
    lost.unlink()
    time = kept.stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    manifest = render_dataset(folder, plan, workers=1, progress=lambda *now: told.append(now))
    assert [p.read_bytes() for p in shard_paths(folder)] == before
    assert kept.stat().st_mtime_ns == time, "what was there is kept"
    assert manifest == json.loads((shards / "manifest.json").read_text())
    assert told == [(4, 8), (8, 8)]
    assert not list(folder.glob("*.tmp"))


def test_another_plan_is_refused(shards: Path, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds shards of another plan"):
        render_dataset(shards, dataclasses.replace(plan, seed=plan.seed + 1), workers=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write into"):
        render_dataset(tmp_path / "file", plan, workers=1)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(OutputError, match="is damaged"):
        render_dataset(tmp_path, plan, workers=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clips": 0}, "cannot render 0 clips"),
        ({"richness": 1.5}, "richness 1.5"),
        ({"richness": float("nan")}, "richness nan"),
        ({"seconds": 0.1}, "clips of 0.1 s"),
        ({"seconds": 90}, "clips of 90 s"),
        ({"sizes": ((100, 64),)}, "100x64"),
        ({"sizes": ()}, "no size"),
        ({"shard": 0}, "0 clips"),
    ],
)
def test_unusable_plans(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Plan(**{"clips": 4, **change})


def test_coverage_counts_pixels() -> None:
    ids = np.zeros((1, 32, 32), np.uint8)
    ids[0, :16, :8] = 1
    ids[0, 16:, 16:] = 2
    expected = np.zeros((1, 2, 2, 2), np.uint8)
    expected[0, 0, 0, 0] = 128
    expected[0, 1, 1, 1] = 255
    assert np.array_equal(coverage(ids), expected)


# ---------------------------------------------------------------------------------------------------------- ledger


def test_merkle_root_is_that_of_rfc_6962() -> None:
    """Known answers: certificate-transparency's reference test vectors for 0, 1, 2, 3, 5, 6 and 8 leaves."""
    leaves = [
        bytes.fromhex(h)
        for h in (
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        )
    ]  # fmt: skip
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert merkle_root(leaves[:count]) == root


def test_any_change_in_the_ledger_changes_the_root(shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "s")
    root = write_manifest(tmp_path / "s", {})["ledger_root"]
    assert root == json.loads((shards / "manifest.json").read_text())["ledger_root"]
    path = shard_paths(tmp_path / "s")[1]
    shard = read_shard(path)
    shard.meta[2]["ledger"]["licence"] = "unknown"
    write_shard(path, shard)
    assert write_manifest(tmp_path / "s", {})["ledger_root"] != root


def test_every_field_of_an_entry_counts() -> None:
    entry = simulated(b"pixels", 3)
    changed = {dataclasses.replace(entry, **{f.name: "x"}).digest() for f in dataclasses.fields(Entry)}
    assert len(changed | {entry.digest()}) == 1 + len(dataclasses.fields(Entry))


# ---------------------------------------------------------------------------------------------------- damaged shards


def test_damaged_shards(shards: Path, plan: Plan, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "s")
    path = shard_paths(tmp_path / "s")[0]
    whole = path.read_bytes()
    for content in (b"", b"no shard", whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        for read in (read_shard, read_meta):
            with pytest.raises(InputError, match="is not a readable shard"):
                read(path)
    with pytest.raises(InputError, match="delete it and render again"):
        render_dataset(tmp_path / "s", plan, workers=1)
    with pytest.raises(InputError, match="holds no shards; make some with"):
        list(iterate(tmp_path))


# --------------------------------------------------------------------------------------------------------- latents


def test_latents_of_windows_are_those_of_their_clips(tiny: Recipe, shards: Path, codec: Codec) -> None:
    (pool,) = latents.load_pools(tiny.latents)
    assert (pool.clips, pool.grid) == (8, (4, 4))
    shard = read_shard(shard_paths(shards)[0])
    video = torch.from_numpy(shard.video_nTHW3[:2]).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    for mirrored, x in ((0, video), (1, video.flip(-1))):
        whole = codec.encode(x)
        part = codec.encode(x[:, :, 8:])
        groups, singles = pool.groups[:2, mirrored].float(), pool.singles[:2, mirrored].float()
        assert torch.allclose(groups[:, 1:].transpose(1, 2), whole[:, :, 1:], atol=0.02)
        assert torch.allclose(singles[:, 0], whole[:, :, 0], atol=0.02)
        assert torch.allclose(torch.cat([singles[:, 2:3], groups[:, 3:]], 1).transpose(1, 2), part, atol=0.02)


def test_batches_are_windows_with_their_facts(tiny: Recipe) -> None:
    (pool,) = latents.load_pools(tiny.latents)
    for frames in (1, 5):
        batch = latents.draw(pool, 16, frames, np.random.default_rng(0))
        assert batch.z.shape == (16, 16, frames, 4, 4)
        assert batch.cover.shape == (16, frames, 4, 4, 2)
        assert batch.controls.shape == (16, frames, len(CONTROLS))
        assert 0 <= float(batch.cover.min()) <= float(batch.cover.max()) <= 1
        assert {True, False} == set(batch.mirrored)
        known = [facts for clip in pool.facts for facts in clip.values()]
        assert all(facts in known for facts in batch.facts)
    again = latents.draw(pool, 16, 5, np.random.default_rng(0))
    assert torch.equal(batch.z, again.z), "a batch is a function of its random numbers"


def test_a_mirrored_clip_has_mirrored_controls(tiny: Recipe) -> None:
    (pool,) = latents.load_pools(tiny.latents)
    pool = dataclasses.replace(pool, controls=torch.ones_like(pool.controls))
    batch = latents.draw(pool, 8, 1, np.random.default_rng(1))
    for controls, mirrored in zip(batch.controls, batch.mirrored, strict=True):
        turned = {name for name, value in zip(CONTROLS, controls[0], strict=True) if value < 0}
        assert turned == ({"cam_vx", "cam_wy", "cam_wz", "steer"} if mirrored else set())


def test_latents_are_encoded_once(tiny: Recipe, shards: Path, codec: Codec) -> None:
    times = {p: p.stat().st_mtime_ns for p in tiny.latents.iterdir()}
    latents.build(shards, tiny.latents, codec, dtype=torch.float32)
    assert {p: p.stat().st_mtime_ns for p in tiny.latents.iterdir()} == times


def test_clips_of_a_wrong_length_are_refused(shards: Path, codec: Codec, tmp_path: Path) -> None:
    shard = read_shard(shard_paths(shards)[0])
    write_shard(tmp_path / "shard-00000.npz", dataclasses.replace(shard, video_nTHW3=shard.video_nTHW3[:, :16]))
    with pytest.raises(InputError, match="have 16 frames and not 4k\\+1"):
        latents.build(tmp_path, tmp_path / "latents", codec, dtype=torch.float32)
