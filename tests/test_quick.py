"""The transformer's quick blocks against its own: as near to the truth, and only where they may stand in for them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from haneul.backbones.native import Native
from haneul.evals.peers import our_step
from haneul.model import precision
from haneul.model.dit import Block, DiT, DiTConfig
from haneul.model.layers import attend_fused, attend_plain, attend_unshifted, mask_bias, rms
from haneul.model.modes import timeline
from haneul.model.quick import quicken
from haneul.model.text import Text

READS_BOTH = DiTConfig(latent=8, width=64, depth=4, heads=2, text=384, concepts=(3, 2), truth=12)
with_bf16 = pytest.mark.skipif(not precision.bf16_is_fast(), reason="this processor is not fast with bfloat16")


def twins(config: DiTConfig = READS_BOTH) -> tuple[DiT, DiT]:
    """The same frozen transformer, as it is and quickened; every path of it is alive."""
    torch.manual_seed(0)
    plain = DiT(config)
    for p in plain.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.05)
    quick = DiT(config)
    quick.load_state_dict(plain.state_dict())
    for dit in (plain, quick):
        dit.eval().requires_grad_(False)
    quicken(quick)
    return plain, quick


def step(dit: DiT, seed: int = 0, **changes: object) -> Tensor:
    """Velocities of two clips, of which one is short of words and of text, and one is weakened."""
    gen = torch.Generator().manual_seed(seed)
    z, t = torch.randn(2, 8, 3, 2, 3, generator=gen), torch.rand(2, 3, 6, generator=gen)
    time_F, single_F = timeline(3, 12)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    text = Text(states=torch.randn(2, 5, 384, generator=gen), mask=mask, concepts=torch.rand(2, 5, generator=gen))
    args: dict[str, object] = {
        "text": text, "time_F": time_F, "single_F": single_F, "null_B": torch.tensor([False, True]),
        "skip_B": torch.tensor([True, False]),
    }  # fmt: skip
    v: Tensor = dit(z, t, **(args | changes))[0]
    return v


def off(x: Tensor, truth: Tensor) -> float:
    return float((x - truth).norm() / truth.norm())


def test_attention_without_a_shift_is_attention() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 16)
    q, k = 4 * rms(q), rms(k)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    for bias in (None, mask_bias(mask)):
        assert torch.allclose(attend_unshifted(q / 4, k, v, bias), attend_plain(q / 4, k, v, bias), atol=1e-5)
    alike = rms(torch.ones(1, 1, 9, 128))  # the greatest scores that there are
    half = [x.to(torch.bfloat16) for x in (alike, alike, torch.ones(1, 1, 9, 128))]
    assert torch.allclose(attend_unshifted(*half).float(), torch.ones(()), atol=0.01)


@with_bf16
def test_quick_blocks_are_as_near_to_the_truth() -> None:
    plain, quick = twins()
    for seed in range(3):
        with torch.no_grad():
            truth = step(plain, seed)
        with precision.fast():
            usual, found = step(plain, seed), step(quick, seed)
        assert not torch.equal(found, usual)
        assert off(found, truth) < 1.1 * off(usual, truth) < 0.1


@with_bf16
def test_a_step_of_the_bundled_model_is_as_near_to_the_truth() -> None:
    model = Native()
    quick, plain = model.dit, DiT(model.dit.cfg)
    plain.load_state_dict(quick.state_dict())
    plain.eval().requires_grad_(False)
    found = []
    for dit in (quick, plain):
        torch.manual_seed(0)
        model.dit = dit
        with precision.fast():
            found.append(our_step(model)[0]())
    torch.manual_seed(0)
    with torch.no_grad():
        truth: Tensor = our_step(model)[0]()  # type: ignore[assignment]
    assert off(found[0], truth) < 1.1 * off(found[1], truth)  # type: ignore[arg-type]


@with_bf16
def test_something_else_that_is_said_is_heard() -> None:
    _, quick = twins()
    _, fresh = twins()
    with precision.fast():
        first = step(quick, 0)
        assert not torch.equal(step(quick, 0, null_B=torch.tensor([True, True])), first)
        assert torch.equal(step(quick, 1), step(fresh, 1))
        assert torch.equal(step(quick, 0), first)


@with_bf16
def test_a_model_that_reads_concepts_alone_too() -> None:
    plain, quick = twins(dataclasses.replace(READS_BOTH, text=0))
    with torch.no_grad():
        truth = step(plain)
    with precision.fast():
        assert off(step(quick), truth) < 1.1 * off(step(plain), truth)


def test_weights_and_gradients_are_the_model_s_own() -> None:
    plain, quick = twins()
    assert {name: x.dtype for name, x in quick.state_dict().items()} == {
        name: x.dtype for name, x in plain.state_dict().items()
    }
    assert all(torch.equal(x, plain.state_dict()[name]) for name, x in quick.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(step(quick), step(plain), atol=1e-4)  # nothing is quick outside of `fast`
    quick.requires_grad_(True)
    with precision.autocast():
        step(quick).square().mean().backward()
    assert all(p.grad is not None for p in quick.blocks.parameters())


def test_nothing_changes_where_bfloat16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bf16_is_fast", lambda: False)
    plain, quick = twins()
    for block in quick.blocks:
        assert isinstance(block, Block)
        assert block.attend is attend_fused
        assert "forward" not in vars(block)
    with precision.fast():
        assert torch.equal(step(quick), step(plain))
