"""Concepts: what captions state, one-hot and back, and a reader that learns to read them in two languages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from haneul import cli
from haneul.backbones.native import BUNDLED, Native
from haneul.model.checkpoint import load
from haneul.model.concepts import ConceptReader, ConceptsConfig, one_hot, sizes_of, softmax_by_slot
from haneul.train.captions import stated, worded
from haneul.train.concepts import ConceptsRecipe, accuracy, draw, facts_in, train_concepts
from haneul.world.captions import describe
from haneul.world.concepts import SLOTS, concepts_of
from haneul.world.grammar import parse
from haneul.world.scene import Facts, Subject

COLLISION = Facts(
    setting="desert", time="noon", style="photo", camera="orbit left", event="collide", outcome="collide",
    subjects=(Subject(kind="ball", color="red", material="rubber"), Subject(kind="box", color="blue", material="wood")),
    seconds=4.0,
)  # fmt: skip


def test_one_hot_says_what_is_said() -> None:
    slots = {"color": ("red", "blue"), "count": ("1", "2", "3")}
    assert sizes_of(slots) == (3, 4)
    assert one_hot([{"color": "blue"}, {"count": "1"}], slots).tolist() == [
        [0, 0, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 1, 0, 0],
    ]
    with pytest.raises(ValueError, match="green"):
        one_hot([{"color": "green"}], slots)
    with pytest.raises(KeyError):
        one_hot([{"size": "small"}], slots)


def test_probabilities_add_up_in_each_slot() -> None:
    p = softmax_by_slot(torch.randn(5, 7) * 9, (3, 4))
    assert torch.allclose(p[:, :3].sum(1), torch.ones(5))
    assert torch.allclose(p[:, 3:].sum(1), torch.ones(5))


@pytest.mark.parametrize("language", ["en", "ko", "ko-hanja"])
def test_a_full_caption_fills_its_slots(language: str) -> None:
    """Of both subjects, and nothing that the facts do not have."""
    rng = np.random.default_rng(0)
    everything = {
        "setting": "desert", "time": "noon", "camera": "orbit left", "event": "collide", "outcome": "collide",
        "kind": "ball", "color": "red", "material": "rubber", "kind2": "box", "color2": "blue", "material2": "wood",
    }  # fmt: skip
    seen: dict[str, str] = {}
    for _ in range(60):
        caption = describe(COLLISION, rng, language=language, length="full")  # type: ignore[arg-type]
        found = concepts_of(COLLISION, caption.said)
        assert found.items() <= {**everything, "style": "photo"}.items()
        seen |= found
    assert everything.items() <= seen.items()


def test_concepts_agree_with_the_grammar() -> None:
    """What a caption is said to state is what the rules read in it, for the second subject too."""
    rng = np.random.default_rng(1)
    names = ("setting", "time", "color", "kind", "color2", "kind2")
    hits = []
    for i in range(120):
        caption = describe(COLLISION, rng, language=("en", "ko")[i % 2], length=("medium", "full")[i % 2])  # type: ignore[arg-type]
        attributes, said = parse(caption.text).attributes, concepts_of(COLLISION, caption.said)
        hits += [said.get(name) == attributes.get(name) for name in names]
    assert np.mean(hits) > 0.93


def test_works_and_counts_are_concepts() -> None:
    tour = Facts(
        setting="art gallery", time=None, style="photo", camera="truck left", event="gallery tour",
        outcome="walks past", works=("swirls", "portrait", "stripes", "landscape", "swirls"), seconds=4.0,
    )  # fmt: skip
    found = concepts_of(tour, {"works", "setting"})
    assert found == {"setting": "art gallery", "work1": "swirls", "work2": "portrait", "work3": "stripes"}
    row = Facts(
        setting="desert", time="noon", style="film noir", camera="static", event="dominoes", outcome="topple", count=7,
        subjects=(Subject(kind="dominoes", color="red"), Subject(kind="dominoes", color="white")), seconds=4.0,
    )  # fmt: skip
    assert concepts_of(row, {"count", "color"}) == {"count": "7"}, "red can't be seen in black and white"


def test_every_slot_of_every_clip_exists(shards: Path) -> None:
    from haneul.data.shards import shard_paths

    rng = np.random.default_rng(0)
    said = [
        stated(clip[key], mirrored, rng) for clip in facts_in(shard_paths(shards)) for key in clip
        for mirrored in (False, True)
    ]  # fmt: skip
    p = one_hot(said, SLOTS)
    assert p.shape == (len(said), sum(sizes_of(SLOTS)))
    assert bool((p.sum(1) == len(SLOTS)).all())
    same = np.random.default_rng(3), np.random.default_rng(3)
    facts = facts_in(shard_paths(shards))[0]["0:17"]
    assert worded(facts, False, same[0])[1] == stated(facts, False, same[1]), "the text or its concepts: the same dice"


def test_a_reader_learns(shards: Path, tmp_path: Path) -> None:
    recipe = ConceptsRecipe(
        data=shards, text_encoder=BUNDLED / "text_encoder.safetensors", output=tmp_path / "concepts.safetensors",
        budget=20.0, batch=32, threads=1,
    )  # fmt: skip
    said: list[str] = []
    scores = train_concepts(recipe, said.append)
    assert scores["unsaid"] > 0.8
    card = load(recipe.output, "concepts")[1]
    assert ConceptsConfig(**card.config).slots == SLOTS
    assert scores["unsaid"] == pytest.approx(card.evaluation["captions_of_held_out_clips"]["unsaid"], abs=1e-3)


@pytest.mark.parametrize("change", [{"slots": {}}, {"slots": {"color": ()}}, {"slots": {"a": ("b",)}, "width": 30}])
def test_unusable_readers(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needs slots|must be a multiple"):
        ConceptReader(ConceptsConfig(**{"heads": 4, **change}))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- what ships


@pytest.fixture(scope="module")
def nano() -> Native:
    return Native()


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "a red rubber ball bounces down grey stairs in a desert at sunset",
            {"color": "red", "material": "rubber", "kind": "ball", "setting": "desert", "time": "sunset"},
        ),
        ("파란 자동차가 눈밭을 달린다", {"color": "blue", "kind": "car", "setting": "snowy field", "event": "car"}),
        ("an orange cube next to a cyan ball", {"color": "orange", "kind": "box", "color2": "cyan", "kind2": "ball"}),
        ("snow", {}),
    ],
)
def test_the_bundled_reader_understands(nano: Native, prompt: str, expected: dict[str, str]) -> None:
    understood = nano.understood(prompt)
    assert {slot: value for slot, (value, _) in understood.items() if slot in expected} == expected


def test_the_bundled_reader_reads_captions_of_both_languages(nano: Native, shards: Path) -> None:
    from haneul.data.shards import shard_paths

    assert nano.reading.concepts is not None
    texts, said = draw(facts_in(shard_paths(shards)), 200, np.random.default_rng(5))
    scores = accuracy(nano.reading.concepts, nano.reading.text, texts, said, 64)
    assert np.mean([scores[name] for name in ("setting", "event", "color", "camera", "kind")]) > 0.95
    assert scores["unsaid"] > 0.95


def test_the_command_tells_what_was_understood() -> None:
    told = CliRunner().invoke(cli.main, ["understand", "파란 자동차가 눈밭을 달린다"])
    assert told.exit_code == 0, told.stderr
    lines = {line.split()[0]: line for line in told.stdout.splitlines()}
    assert "snowy field" in lines["setting"]
    assert "blue" in lines["color"]
    as_json = CliRunner().invoke(cli.main, ["understand", "--json", "파란 자동차가 눈밭을 달린다"])
    assert json.loads(as_json.stdout)["kind"]["value"] == "car"
    assert CliRunner().invoke(cli.main, ["understand", "  "]).exit_code == 2
