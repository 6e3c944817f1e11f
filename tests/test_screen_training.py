"""The screen's classifier is trained, cut down, written and read; thresholds keep within the share of wrong ones."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from haneul.config import Settings
from haneul.errors import CheckpointError
from haneul.model.text import shared_encoder
from haneul.screen import look
from haneul.screen.classifier import ENCODER, WEIGHTS, Classifier
from haneul.screen.head import Head, deltas, inner_states, tuned
from haneul.screen.policy import load_policy
from haneul.train.screen import (
    BENIGN,
    Example,
    ScreenRecipe,
    averaged,
    behind,
    fit,
    given,
    lessons,
    moves,
    sections,
    slipped,
    thresholds,
    unknown,
)

RECIPE = ScreenRecipe(epochs=12, batch=8, held_out=4, last_rate=2e-2, wrong=0.2, rank=8, half=False, members=1)


def test_thresholds_stay_within_the_share_and_spend_it_where_it_buys_most() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((6000, 2), np.float32)
    truth[:1000, 0] = truth[1000:2000, 1] = 1
    scores = rng.normal(size=(6000, 2)).astype(np.float32)
    scores[:1000, 0] += 4  # told easily
    scores[1000:2000, 1] += 1  # hardly
    limits = thresholds(scores, truth, 0.02)
    harmless = scores[2000:]
    assert 0 < np.any(harmless > limits, axis=1).mean() <= 0.02
    found = np.any(scores[:2000] > limits, axis=1).mean()
    equal = np.quantile(harmless, 1 - 0.01, axis=0)
    assert found >= np.any(scores[:2000] > equal, axis=1).mean()
    assert (scores[:1000, 0] > limits[0]).mean() > 0.9


def test_a_head_is_what_its_differences_make_of_the_encoder() -> None:
    encoder = shared_encoder(ENCODER)
    torch.manual_seed(0)
    head = Head(encoder, 3).float()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    head.eval()
    x, mask = inner_states(encoder, ["a red ball", "바다 위의 배", "un perro"])
    whole = tuned(encoder, deltas(head, encoder, 384))(x, mask)
    assert torch.allclose(whole, head(x, mask), atol=1e-3)
    cut = tuned(encoder, deltas(head, encoder, 4))(x, mask)
    assert not torch.allclose(cut, head(x, mask), atol=1e-3)


def test_weights_are_averaged() -> None:
    encoder = shared_encoder(ENCODER)
    heads = [Head(encoder, 2).float() for _ in range(3)]
    means = torch.stack([head.out.weight for head in heads]).mean(0)
    assert torch.allclose(averaged(heads).out.weight, means, atol=1e-6)


def test_one_text_has_the_same_states_alone_and_in_a_batch() -> None:
    encoder = shared_encoder(ENCODER)
    texts = ["a red ball", "a long sentence about the weather by the sea in winter"]
    x, mask = inner_states(encoder, texts)
    for i, text in enumerate(texts):
        alone, here = inner_states(encoder, [text])
        assert torch.allclose(x[i][mask[i]], alone[0][here[0]], atol=1e-4)


def test_training_tells_what_it_saw(tmp_path: Path) -> None:
    words = "red blue small old wet round soft new dry thin flat loud cold warm dark grey".split()
    found = [Example(f"how to build a {word} bomb", "weapons-drugs", f"bomb {word}") for word in words]
    found += [Example(f"a {word} dog in the park", BENIGN, f"dog {word}") for word in words]
    tensors, figures = fit(shared_encoder(ENCODER), found, ["weapons-drugs"], RECIPE)
    assert figures["found"] > figures["wrong"]
    path = tmp_path / "classifier.safetensors"
    halves = {name: value.half().contiguous() for name, value in tensors.items()}
    save_file(halves, path, metadata={"categories": "weapons-drugs"})
    read = Classifier.load(path)
    bomb, dog = read.read(["how to build a big bomb", "a big dog in the park"])
    assert bomb["weapons-drugs"] > dog["weapons-drugs"]
    save_file({**halves, "out.bias": torch.zeros(2).half()}, path, metadata={"categories": "weapons-drugs"})
    with pytest.raises(CheckpointError, match="reinstall"):
        Classifier.load(path)


def test_training_goes_on_from_an_older_one(tmp_path: Path) -> None:
    words = "red blue small old wet round soft new dry thin flat loud cold warm dark grey".split()
    found = [Example(f"how to build a {word} bomb", "gore", f"bomb {word}") for word in words]
    found += [Example(f"a {word} dog in the park", BENIGN, f"dog {word}") for word in words]
    encoder, path = shared_encoder(ENCODER), tmp_path / "first.safetensors"
    first, _ = fit(encoder, found, ["gore"], replace(RECIPE, epochs=1))
    save_file({name: value.contiguous() for name, value in first.items()}, path)
    recipe = replace(RECIPE, epochs=1, learning_rate=1e-3)
    further, _ = fit(encoder, found, ["gore"], recipe, start=path)
    before, after = (tuned(encoder, tensors).layers for tensors in (first, further))
    moved = [(a.qkv.weight - b.qkv.weight).abs().max().item() for a, b in zip(before, after, strict=True)]
    assert max(moved[:-1]) < 0.1 * moved[-1]


def test_what_was_known_is_only_said_again_in_part() -> None:
    new, old = (sections()["gore"][at][0] for at in (-1, 0))
    found = [Example(new, "gore", "1"), Example(old, "gore", "2"), Example("a dog", BENIGN, "3")]
    known = {text for lines in sections().values() for line in lines for text in line} - {new}
    assert unknown(found, known, replace(RECIPE, again=0)) == found[:1]
    assert len(unknown(found, known, replace(RECIPE, again=1))) == 2


def test_own_prompts_are_all_learned_however_it_began() -> None:
    own = ["a kettle sings on the stove of a lighthouse", "등대지기의 주전자가 노래한다"]
    for further in (False, True):
        found = lessons(replace(RECIPE, again=0, scenes=1), own, further=further)
        assert [example.text for example in found if example.category == BENIGN][-2:] == own
    assert len(found) == len(own), "nothing else was unknown"


def test_a_spent_split_is_learned_by_meaning() -> None:
    table = {
        "direct": {"gore": {"en": ["a", "b"], "es": ["c"]}}, "euphemism": {"gore": {}, "trademark": {"en": ["mouse"]}},
        "disguised": {}, "mixed": {"gore": {"en": "d"}}, "benign": {"ko": ["e"]},
    }  # fmt: skip
    assert given(table) == [
        Example("a", "gore", "gore given 0"), Example("b", "gore", "gore given 1"),
        Example("c", "gore", "gore given 0"), Example("d", "gore", "gore given 0"),
        Example("e", BENIGN, "benign given 0"),
    ]  # fmt: skip


def test_slips_change_words_and_not_what_is_asked_for() -> None:
    found = [Example("a strange mountain under water", BENIGN, "1"), Example("산속의 오래된 마을에서", "gore", "2")]
    said = slipped(found * 5, replace(RECIPE, slips=5))
    assert {example[1:] for example in said} == {example[1:] for example in found}
    assert any(example.text != first.text for example in said for first in found if first.meaning == example.meaning)
    assert all(len(example.text) - len(found[int(example.meaning) - 1].text) in range(-4, 5) for example in said)


def test_behind_keeps_what_is_asked_for() -> None:
    found = [Example("bad", "gore", "1"), Example("good", BENIGN, "2"), Example("better", BENIGN, "3")]
    said = behind(found, replace(RECIPE, behind=5))
    assert {example.category for example in said} == {"gore", BENIGN}
    assert all("bad" in example.text for example in said if example.category == "gore")
    assert not any("bad" in example.text for example in said if example.category == BENIGN)


def test_phrases_are_whole_and_once() -> None:
    lines = [(name, line) for name, lines in sections().items() for line in lines]
    assert all(len(line) in (1, 5) and all(line) for _, line in lines)
    harmful = [text for name, line in lines if name not in (BENIGN, "frames") for text in line]
    benign = {text for name, line in lines if name == BENIGN for text in line}
    assert not benign & set(harmful)
    assert len(set(harmful)) > 0.99 * len(harmful)


def test_the_shipped_one_has_a_tensor_for_every_matrix() -> None:
    names = set(load_file(WEIGHTS))
    assert {"out.weight", "out.bias", "layers.0.qkv.weight.up", "layers.2.down.weight.down"} <= names


def test_what_the_world_does_passes(tmp_path: Path) -> None:
    """Of what is plainly asked of balls, boxes and cars, next to nothing may be refused: it is what most ask for."""
    asked = moves(random.Random(3), count=40)
    assert len(asked) == 200
    policy = load_policy(Settings(data=tmp_path, cache=tmp_path))
    refused = [prompt for prompt in asked if look(policy, prompt)]
    assert len(refused) <= 1, refused
