"""`haneul eval card` as a whole, with tiny models of real parts: figures, page and records."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tiny_native
from click.testing import CliRunner

from haneul.backbones.native import BUNDLED, Native
from haneul.cli import main
from haneul.data.ledger import LEDGER, read_seeds
from haneul.errors import InputError
from haneul.evals import clips
from haneul.evals.card import arrow, card, looks, memory, obedience, physics, pictures, plots, records
from haneul.evals.card.measures import MEASURES
from haneul.evals.card.models import FRAMES, Graded
from haneul.evals.card.staged import SCENES, film
from haneul.evals.clips import Wording
from haneul.evals.data import ATTRIBUTES, NAMES, answers
from haneul.evals.reader import Reader, ReaderConfig
from haneul.world.physics import simulate
from haneul.world.sample import sample_spec
from haneul.world.scene import Facts, Subject

STAGED = ("falling", "toppling", "stacked", "hidden")  #: scenes that are measured here; test_card.py looks at all
VOID = {"meta", "img", "br", "link", "line", "circle", "rect", "path"}


class Tree(HTMLParser):
    """Checks that what is opened is closed, and gathers addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two tiny models graded once, by the command, and the weights of the first."""
    folder = tmp_path_factory.mktemp("card")
    models = [tiny_native.write(tmp_path_factory.mktemp(f"weights{k}"), seed=k) for k in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "SHARD", 4)
        patch.setattr(physics, "SCENES", {name: SCENES[name] for name in STAGED})
        patch.setattr(arrow, "LEARN", 2)
        patch.setattr(arrow, "ONE_WAY", ("falling", "toppling"))
        patch.setattr(looks, "WORDS", 1)
        patch.setattr(obedience, "FOREIGN", obedience.FOREIGN[:1])
        found = CliRunner().invoke(
            main,
            [
                "--debug", "eval", "card", f"one={models[0]}", f"two={models[1]}", "--setups", "1", "--prompts", "8",
                "--steps", "1", "--guidance", "1", "--trained", "1", "64", "--work", str(folder), "--out",
                str(folder / "card.html"), "--records", str(folder / "records.md"),
            ],
            catch_exceptions=False,
        )  # fmt: skip
    assert found.exit_code == 0, found.output
    return folder, models[0]


@pytest.fixture(scope="module")
def result(done: tuple[Path, Path]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done[0] / "card.json").read_text(encoding="utf-8"))
    return found


def test_every_part_is_measured_of_every_model(result: dict[str, Any]) -> None:
    parts = result["parts"]
    assert list(parts) == list(card.PARTS)
    assert [m["name"] for m in result["models"]] == ["one", "two"]
    assert list(parts["physics"]["lines"]) == [m.key for m in MEASURES if m.scene in STAGED]
    for line in parts["physics"]["lines"].values():
        assert {"another run", "a still", "one", "two"} == set(line["models"])
        assert line["renders"]["read"]["n"] <= 1
    assert parts["physics"]["iq"]["another run"]["score"]["value"] == 1
    assert parts["physics"]["iq"]["one"]["score"]["n"] == len(STAGED) - 1  # nothing moves in one of them
    ways = parts["obedience"]["models"]["two"]["ways"]
    assert set(ways) == {*obedience.WAYS, "same"}
    assert sum(map(sum, parts["obedience"]["models"]["one"]["confusion"]["setting"])) == ways["english"]["setting"]["n"]
    assert 0.5 < parts["looks"]["renders"]["flicker"]["value"] < 1
    assert parts["memory"]["training clips themselves"]["distance"]["value"] == 0
    assert set(parts["memory"]["models"]) == {"one", "two"}
    assert parts["arrow"]["of"]["one"]["figure"]["n"] == 2
    assert parts["arrow"]["of"]["renders"]["figure"]["value"] == 1


def test_the_page_stands_alone_and_is_well_formed(done: tuple[Path, Path]) -> None:
    text = (done[0] / "card.html").read_text(encoding="utf-8")
    tree = Tree()
    tree.feed(text)
    assert tree.open == []
    assert all(a.startswith(("data:image/webp;base64,", "#")) for a in tree.addresses)
    assert not re.findall(r"https?://", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)
    for title in ("Physics", "Obedience", "Looks", "Memory", "Arrow of time"):
        assert f">{title}</h2>" in text


def test_records_are_lines_of_a_table_and_are_added_to(done: tuple[Path, Path], result: dict[str, Any]) -> None:
    path = done[0] / "records.md"
    before = path.read_text(encoding="utf-8").splitlines()
    rows = [line for line in before if line.startswith("| 2")]
    assert len(rows) == 2
    assert all(len(row.split(" | ")) == len(records.COLUMNS) for row in rows)
    assert "one (" in rows[0]
    assert "motion score" in rows[0]
    records.append(result, path)
    assert path.read_text(encoding="utf-8").splitlines()[: len(before)] == before
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(before) + 2
    other = done[0] / "other.md"
    other.write_text("# Something else\n")
    with pytest.raises(InputError, match="not a table of records"):
        records.append(result, other)


def test_clips_are_kept_and_hang_on_the_weights(done: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, weights = done
    one, other = (
        Graded(name="one", backbone=Native(weights), folder=folder / "clips", steps=steps, guidance=1.0)
        for steps in (1, 2)
    )
    assert one.key != other.key
    kept = one.clips("said-english", ["a red ball rolls"], [3])
    assert kept.shape == (1, FRAMES, 64, 112, 3)
    monkeypatch.setattr(Graded, "_worded", lambda *_: pytest.fail("made again"))
    assert np.array_equal(one.clips("said-english", ["a red ball rolls"], [3]), kept)


def test_what_cannot_be_graded_is_refused(done: tuple[Path, Path]) -> None:
    weights = str(done[1])
    run = CliRunner()
    found = run.invoke(main, ["eval", "card", weights, "--part", "beauty", "--work", str(done[0])])
    assert found.exit_code == InputError.exit_code
    assert "beauty" in found.output
    assert "obedience" in found.output
    found = run.invoke(main, ["eval", "card", weights, weights, "--work", str(done[0])])
    assert found.exit_code == InputError.exit_code
    assert "NAME=MODEL" in found.output


# --------------------------------------------------------------------------------------------------------- obedience


def test_ways_of_saying_state_the_same_facts() -> None:
    facts = Facts(
        setting="desert", time="noon", style="photo", camera="truck right", event="roll", outcome="rolls",
        subjects=(Subject(kind="ball", color="red", material="rubber"),), direction="right", seconds=4.0,
    )  # fmt: skip
    own = obedience.WAYS["english"].say(facts, 3)
    assert obedience.WAYS["paraphrase"].say(facts, 3).text != own.text
    assert obedience.WAYS["long"].say(facts, 3).said == own.said
    assert len(obedience.WAYS["long"].say(facts, 3).text) > 400
    assert len(obedience.WAYS["word"].say(facts, 3).text.split()) <= 2
    denied = obedience.WAYS["negation"].say(facts, 3).text
    assert "There is no" in denied
    assert "no red" not in denied
    assert "not a desert" not in denied
    assert re.search("[가-힣]", obedience.WAYS["korean"].say(facts, 3).text)
    right = np.array([answers(facts)] * 2)
    found = right.copy()
    found[0, NAMES.index("setting")] = ATTRIBUTES["setting"].index("sea")
    says = [Wording(text="", said=frozenset({"setting"}))] * 2
    assert obedience.scored(found, right, says)["setting"]["value"] == 0.5
    table = obedience.confusion(found, right, says, "setting")
    desert, sea = (ATTRIBUTES["setting"].index(s) for s in ("desert", "sea"))
    assert (table[desert][sea], table[desert][desert]) == (1, 1)


@pytest.mark.parametrize("relation", obedience.SIDES)
def test_where_things_lie_is_read_from_their_colours(relation: str) -> None:
    spec = sample_spec(
        11, event="relation", relation=relation, camera="static", style="photo", setting="snowy field", time="noon",
        color="red", color2="blue", allow_held_out=True,
    )  # fmt: skip
    video, _ = film(simulate(spec))
    assert obedience.relation_of(video, ("red", "blue")) == relation
    assert obedience.relation_of(video, ("red", "yellow")) is None


# ------------------------------------------------------------------------------------------------------ looks, arrow


def test_flicker_is_that_of_vbench_and_static_is_static() -> None:
    still = np.full((49, 64, 112, 3), 90, np.uint8)
    assert looks.flicker(still) == 1
    assert looks.is_static(still)
    blinking = still.copy()
    blinking[::2] += 51
    assert looks.flicker(blinking) == pytest.approx(1 - 51 / 255)
    assert not looks.is_static(blinking)


def test_reversing_a_clip_turns_its_signs_and_what_is_learned_is_forwards() -> None:
    reader = Reader(ReaderConfig(widths=(8, 16, 24), motion=8, feature=12)).eval()
    rng = np.random.default_rng(0)
    several = []
    for _ in range(6):  # a square that moves, then rests
        video = np.full((49, 64, 112, 3), 60, np.uint8)
        x, y, step = rng.integers(5, 40), rng.integers(5, 40), int(rng.integers(2, 4))
        for t in range(49):
            at = x + step * min(t, 16)
            video[t, y : y + 14, at : at + 14] = 220
        several.append(video)
    x = arrow.signs(reader, several)
    assert x + arrow.signs(reader, [v[::-1] for v in several]) == pytest.approx(0, abs=1e-4)
    weights = arrow.fitted(x[:4])
    assert (x[4:] @ weights > arrow.PLAIN).all()
    still = np.full((49, 64, 112, 3), 60, np.uint8)
    assert np.abs(arrow.signs(reader, [still]) @ weights) < arrow.PLAIN / 2  # neither way


# ------------------------------------------------------------------------------------------------------------ memory


def test_training_clips_are_drawn_again_as_they_were(tmp_path: Path) -> None:
    from haneul.data.shards import read_shard, shard_paths
    from haneul.world.produce import Plan, render_dataset

    render_dataset(tmp_path, Plan(clips=2, seed=5, shard=2), workers=1)
    shard = read_shard(shard_paths(tmp_path)[0])
    trained = memory.Trained(plans=(Plan(clips=2, seed=5),))
    for index, seed in enumerate(trained.seeds):
        again = memory.clip_of(trained, seed)
        if again is not None:
            assert np.array_equal(again[0], shard.video_nTHW3[index])
            assert memory.distance(again[0], [memory.coarse(shard.video_nTHW3[index])]) == 0
            mirrored = shard.video_nTHW3[index][:, :, ::-1]
            assert memory.distance(mirrored, [memory.coarse(again[0])]) == pytest.approx(0, abs=1e-9)
    assert memory.distance(shard.video_nTHW3[0], [memory.coarse(shard.video_nTHW3[1])]) > 0.02


# ------------------------------------------------------------------------------------------------------------- plots


def test_plots_hold_what_they_are_given() -> None:
    figure = {"value": 2.0, "low": 1.5, "high": 2.5, "n": 4}
    line = plots.Line(name="a <model>", color="--model0", figure=figure, values=[1.9, 2.1, 500.0])
    svg = plots.intervals([line], title="t", truth=[2.0, 2.1])
    tree = ElementTree.fromstring(svg)
    texts = [node.text for node in tree.iter("text")]
    assert "a <model>" in texts
    assert "2.00 (1.50 to 2.50)" in texts
    assert len(list(tree.iter("path"))) == 1  # what lies beyond the axis
    assert plots.confusion([[3, 1], [0, 0]], ["x", "y"], title="c").count("<rect") == 4
    assert plots.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [plots.number(v) for v in (None, 0, 9.8123, 0.01234, 123.4)] == ["–", "0", "9.81", "0.012", "123"]


def test_clips_in_the_page_play_side_by_side() -> None:
    clip = np.random.default_rng(0).integers(0, 255, (5, 16, 32, 3)).astype(np.uint8)
    both = pictures.beside([clip, clip])
    assert both.shape == (5, 16, 64 + pictures.GAP, 3)
    assert pictures.animated(both).startswith("data:image/webp;base64,")


def test_the_bundled_models_clips_are_those_of_its_ledger() -> None:
    trained = memory.Trained.of(BUNDLED)
    seeds = read_seeds(BUNDLED / LEDGER)
    assert {plan.seed for plan in trained.plans} == {3, 5}, "it went on learning, from other clips"
    assert trained.seeds == sorted(seeds)
    assert {plan.steered for plan in trained.plans} == {0.0, 0.15}
