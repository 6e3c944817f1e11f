"""What training takes, counted without doing it; and what more of it would give."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import TINY_DIT
from torch.utils.checkpoint import checkpoint

from haneul import cli
from haneul.errors import InputError, TrainingError
from haneul.model.codec import CodecConfig
from haneul.model.dit import DiT
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.presets import Preset, preset
from haneul.train import counts, fits, plan
from haneul.train.counts import passed, weightless
from haneul.train.plan import Wish


@pytest.fixture(scope="module")
def small() -> Preset:
    """A preset whose models can really be run: 5 latent frames of 2 x 4 tokens."""
    return dataclasses.replace(
        preset("nano"), dit=TINY_DIT, codec=CodecConfig(latent=16, width=16), base_size=(64, 32), frames=17
    )


# ---------------------------------------------------------------------------------------------------------- operations


def test_a_model_without_weights_has_the_shapes_of_one_with_them(small: Preset) -> None:
    with weightless():
        model = DiT(small.dit)
    real = DiT(small.dit)
    assert all(p.is_meta for p in model.parameters())
    assert [(n, p.shape) for n, p in model.named_parameters()] == [(n, p.shape) for n, p in real.named_parameters()]
    assert model.concepts is not None
    assert real.concepts is not None
    assert torch.equal(model.concepts.members, real.concepts.members), "what is computed is there"


def test_operations_are_those_of_a_real_step(small: Preset) -> None:
    """Counted on the meta device, and by torch's counter while a model with numbers takes the step."""
    deep = counts.shallow(small, 4)
    model = DiT(deep.dit)
    model.set_attention(attend_plain)
    real = counts.flops_of(lambda: passed(model, deep, 5, 1, "cpu"), attends=True)
    assert counts.transformer_flops(deep) == real
    assert all(p.grad is not None for p in model.blocks.parameters())


def test_operations_of_a_block_are_those_on_paper(small: Preset) -> None:
    """What one more block adds: products with its matrices, attention over N tokens and over L words and concepts."""

    def at(depth: int) -> counts.Flops:
        return counts.transformer_flops(counts.shallow(small, depth))

    N, D, H = 40, small.dit.width, small.dit.hidden
    L = counts.WORDS + small.dit.registers + len(small.dit.concepts)
    matrices = 2 * N * D * (3 * D + D + D + D + 2 * H + H) + 2 * L * D * 2 * D
    attention = 4 * N * N * D + 4 * N * L * D
    assert at(3).forward - at(2).forward == matrices + attention
    assert at(3).backward - at(2).backward == 2 * (matrices + attention)
    assert at(3).attention - at(2).attention == 3 * attention


def test_a_fixed_encoder_has_no_backward_pass(small: Preset) -> None:
    learned = counts.codec_flops(small, 5)
    fixed = counts.codec_flops(dataclasses.replace(small, codec=CodecConfig(latent=16, width=16, learned=False)), 5)
    assert fixed.forward < learned.forward
    assert 2 * learned.forward > learned.backward > 1.8 * learned.forward
    assert fixed.backward > 1.7 * fixed.forward - 2 * 2 * 3 * 16 * 16 * 4 * 16 * 8 * 2


# --------------------------------------------------------------------------------------------------------- activations


def test_activations_are_those_that_autograd_keeps(small: Preset) -> None:
    """Fake and real counts agree; so does a deeper model with what two shallow ones foretell."""
    assert counts.activations(small) == counts.activations(small, fake=False)
    deep = counts.shallow(small, 5)
    model = DiT(deep.dit)
    model.set_attention(attend_fused)
    with torch.autocast("cpu", torch.bfloat16):
        kept = counts.kept_bytes(lambda: passed(model, deep, 5, 3, "cpu"), model)
    assert counts.activations(deep).whole(3) == kept


def test_recomputed_blocks_keep_their_input(small: Preset) -> None:
    """What torch's checkpoint around every block keeps, inputs of blocks among it, is all but one block's share."""
    found = counts.activations(small)
    model = DiT(small.dit)
    model.set_attention(attend_fused)
    inputs: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        forward = block.forward
        block.forward = lambda *a, forward=forward: checkpoint(forward, *a, use_reentrant=False)
    with torch.autocast("cpu", torch.bfloat16):
        kept = counts.kept_bytes(lambda: passed(model, small, 5, 1, "cpu"), model)
    assert [x.nbytes for x in inputs] == [found.block_input] * small.dit.depth
    assert found.recomputed(1) - (found.fixed_block + found.clip_block) == pytest.approx(kept, rel=0.01)


def test_kept_bytes_by_hand() -> None:
    """A product keeps its input for the weight's gradient, and the square its own; the weight is not counted."""
    layer, x = torch.nn.Linear(8, 4, bias=False), torch.zeros(16, 8)
    assert counts.kept_bytes(lambda: layer(x).square().sum(), layer) == 4 * (16 * 8 + 16 * 4)


# ---------------------------------------------------------------------------------------------------------------- plan


def test_hours_operations_and_cost_agree() -> None:
    one = plan.plan(Wish(size="mini", gpus=8, price=2.0, mfu=0.5, mfu_convolutions=0.25))
    two = plan.plan(Wish(size="mini", gpus=16, price=2.0, mfu=0.5, mfu_convolutions=0.25))
    assert one.hours == pytest.approx(2 * two.hours)
    assert sum(s.cost or 0 for s in one.stages) == pytest.approx(one.hours * 8 * 2.0)
    assert {s.name for s in one.stages} == {"codec", "transformer", "upscaler", "narrow upscaler", "distillation"}
    stage = next(s for s in one.stages if s.name == "transformer")
    assert stage.sees == pytest.approx(20 * one.parameters)
    assert stage.hours * 3600 * 8 * 989.5e12 * 0.5 == pytest.approx(stage.flops)
    # Six operations for each token and parameter of the blocks, and attention on top (arXiv 2001.08361, table 1).
    blocks = counts.parameters(counts.transformer(preset_of("mini")).blocks)
    assert 1 < stage.flops_each / (6 * blocks) < 1.5
    timed = plan.plan(Wish(size="mini", gpus=8, mfu=0.5, mfu_convolutions=0.25, hours=3 * one.hours))
    assert timed.hours == pytest.approx(3 * one.hours)
    more = [t.sees / s.sees for s, t in zip(one.stages, timed.stages, strict=True)]
    assert more == pytest.approx([3.0] * len(more))


def test_memory_is_shared_out() -> None:
    """Of the largest: 3.5 billion parameters, four bytes each four times over, leave one GPU little room for clips."""
    few, many = (plan.plan(Wish(size="large", gpus=n)).memory for n in (1, 64))
    assert few.weights == pytest.approx(64 * many.weights)
    assert few.weights == few.gradients == few.average
    assert few.weights < few.optimiser < 2 * few.weights
    assert (few.fits("a100"), many.fits("h100")) == ("with blocks computed again",) * 2
    assert plan.plan(Wish(size="large", gpus=1, clips=2)).memory.fits("h100") == "not at all"
    split = plan.plan(Wish(size="large", gpus=64, context=4)).memory
    assert many.activations / 4 < split.activations < many.activations / 2.5
    assert split.fits("h100") == "as it is"
    assert [s.name for s in plan.plan(Wish(size="large", gpus=1)).stages] == ["codec", "transformer", "distillation"]


def test_passes_of_a_student() -> None:
    """Its own, four of a teacher in three versions, and 1.5 on average to get where half of its starts are."""
    recipe = plan.distill_recipe()
    assert plan.distill_passes(dataclasses.replace(recipe, guidance=2.0, weak=1.0, own=0.5)) == (1 + 12 + 0.75, 1)
    assert plan.distill_passes(dataclasses.replace(recipe, guidance=1.0, weak=0.0, own=0.0, method="guide")) == (2, 1)


def test_the_command_prints_a_plan() -> None:
    command = ["train", "plan", "nano", "--gpus", "2", "--gpu", "a100", "--price", "1.5"]
    text = CliRunner().invoke(cli.main, command)
    assert text.exit_code == 0, text.stderr
    assert "# nano on 2 a100" in text.stdout
    assert "It fits as it is." in text.stdout
    found = json.loads(CliRunner().invoke(cli.main, [*command, "--json"]).stdout)
    assert found["total"]["cost"] == pytest.approx(found["total"]["hours"] * 2 * 1.5)
    assert found["parameters"] == sum(p.numel() for p in counts.transformer(preset_of("nano")).parameters())


def preset_of(name: str) -> Preset:
    from haneul.model.concepts import sizes_of
    from haneul.world.concepts import SLOTS

    return preset(name, sizes_of(SLOTS))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gpu": "tpu"}, "unknown GPU 'tpu'"),
        ({"gpus": 0}, "choose 1 or more"),
        ({"gpus": 6, "context": 4}, "cannot be grouped by 4"),
        ({"mfu": 1.5}, "must lie within 0 and 1"),
        ({"hours": 0.0}, "are no training"),
        ({"price": -1.0}, "must not be negative"),
    ],
)
def test_unusable_wishes(change: dict[str, object], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        Wish(**{"size": "nano", "gpus": 8} | change)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------- fits


def bins_of(a: float, b: float, c: float, *, noise: float, seed: int, steps: int = 6000) -> list[fits.Bin]:
    """The curve of a made-up run of equal steps, whose losses are a + b C^-c and noise; C in steps."""
    rng = np.random.default_rng(seed)
    number = np.arange(1, steps + 1)
    losses = a + b * number**-c + noise * rng.standard_normal(steps)
    log = {int(n): {"step": n, "loss": x, "frames": 13, "clips": 2} for n, x in zip(number, losses, strict=True)}
    return fits.curve(log, lambda frames: frames / 26, 13)


def test_a_clean_curve_is_found_exactly() -> None:
    found = fits.fit(bins_of(0.4, 3.0, 0.3, noise=1e-6, seed=0))
    assert found.c == pytest.approx(0.3, rel=0.02)
    assert found.a == pytest.approx(0.4, rel=0.02)
    assert found.at(1e5) == pytest.approx(0.4 + 3.0 * 1e5**-0.3, rel=0.005)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """120 noisy curves: about 95 in 100 intervals hold the true power, and the loss at ten times the operations."""
    held = np.zeros(2)
    for seed in range(120):
        found = fits.fit(bins_of(0.4, 3.0, 0.3, noise=0.05, seed=seed), draws=200)
        low, high = found.intervals()[2]
        held[0] += low <= 0.3 <= high
        low, high = found.interval_at(6e4)
        held[1] += low <= 0.4 + 3.0 * 6e4**-0.3 <= high
    assert (held >= 0.9 * 120).all()
    assert (held < 120).all()


def test_less_noise_narrower_intervals() -> None:
    wide, narrow = (
        np.diff(fits.fit(bins_of(0.4, 3.0, 0.3, noise=noise, seed=1)).intervals()).ravel() for noise in (0.2, 0.02)
    )
    assert (narrow < wide / 3).all()


def test_a_loss_that_does_not_fall_promises_nothing() -> None:
    found = fits.fit(bins_of(1.0, -0.5, 0.2, noise=0.01, seed=2))
    assert found.b == 0
    assert found.at(1e9) == pytest.approx(found.a)


def test_of_several_runs_the_lowest_counts() -> None:
    """A small model is better first, a large one later."""

    def one(*points: tuple[float, float]) -> list[fits.Bin]:
        return [fits.Bin(compute=c, losses=np.array([x, x])) for c, x in points]

    envelope = fits.lowest([one((1, 3.0), (10, 2.5), (100, 2.4)), one((5, 4.0), (50, 2.45), (500, 2.0))])
    assert [b.compute for b in envelope] == [1, 10, 50, 100, 500]


def test_the_command_fits_logs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        {"s": 1.0, "step": n, "loss": 0.5 + 2 * n**-0.4 + 0.02 * rng.standard_normal(), "frames": 13, "clips": 12}
        for n in [*range(1, 1501), *range(1401, 2001)]  # killed at 1500, gone on from 1400
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(fits.read_log(path)) == 2000
    result = CliRunner().invoke(cli.main, ["train", "fit", f"nano={path}", "--at", "1e18"])
    assert result.exit_code == 0, result.stderr
    foretold = re.search(r"L\(1e\+18\) = (\S+) \((\S+) to (\S+)\)", result.stdout)
    assert foretold is not None
    middle, low, high = (float(x) for x in foretold.groups())
    assert low < middle < high
    assert low < 0.5 + 2 * (1e18 / (12 * counts.transformer_flops(preset_of("nano")).total)) ** -0.4 < high
    assert "times what was measured" in result.stdout
    for given, words in ((f"pico={path}", "not of the form"), ("nano=none", "no log"), (str(path), "not of the form")):
        result = CliRunner().invoke(cli.main, ["train", "fit", given])
        assert result.exit_code == InputError.exit_code
        assert words in result.stderr


def test_too_little_to_fit() -> None:
    with pytest.raises(InputError, match="train on"):
        bins_of(0.4, 3.0, 0.3, noise=0.1, seed=0, steps=205)
    with pytest.raises(InputError, match="5 are needed"):
        fits.fit(bins_of(0.4, 3.0, 0.3, noise=0.1, seed=0)[:4])


# ---------------------------------------------------------------------------------------------------------------- docs


def test_the_commands_of_the_page_are_commands() -> None:
    """Each line of docs/training.md that plans, fits or trains on many is read by the command line as it stands."""
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.partition("#")[0] for line in page.splitlines() if re.match(r"(haneul|torchrun) ", line)]
    found = [
        words for line in lines if (words := line.split("haneul train ")[-1].split())[0] in ("plan", "fit", "sharded")
    ]
    assert len(found) == 7
    for words in found:
        command = cli.main.commands["train"].commands[words[0]]  # type: ignore[attr-defined]
        assert command.make_context(words[0], words[1:]).params
