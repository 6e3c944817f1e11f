"""The model's parts against their definitions: shapes, exact inverses, invariances, the probability path."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from haneul.model.codec import Codec, CodecConfig, frames_of, groups_of
from haneul.model.concepts import one_hot, sizes_of
from haneul.model.dit import DiT, DiTConfig
from haneul.model.flow import LevelMix, clean_from_velocity, draw_levels, mix, shift_levels, velocity
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.modes import Start, field, sample, text_to_video, timeline, with_given
from haneul.model.presets import preset
from haneul.model.rollout import window_count
from haneul.model.sampler import Sampling, euler, guide, heun, multistep, schedule
from haneul.model.text import Text, join

TINY = DiTConfig(latent=8, width=64, depth=2, heads=2, text=384, truth=12)


def tiny_dit(seed: int = 0) -> DiT:
    """A small transformer whose zero-initialised parts are filled, so that every path is alive."""
    torch.manual_seed(seed)
    dit = DiT(TINY)
    with torch.no_grad():
        for p in dit.parameters():
            if float(p.abs().sum()) == 0:
                p.normal_(std=0.05)
    return dit.eval()


def call(dit: DiT, z: torch.Tensor, t: torch.Tensor, text: Text | None = None, **changes: object) -> torch.Tensor:
    B, _, T = z.shape[:3]
    torch.manual_seed(1)
    time_F, single_F = timeline(T, 12)
    args = {
        "text": text or Text(states=torch.randn(B, 5, 384), mask=torch.ones(B, 5, dtype=torch.bool)),
        "time_F": time_F,
        "single_F": single_F,
        "null_B": torch.zeros(B, dtype=torch.bool),
    }
    v, _ = dit(z, t, **(args | changes))
    return v


def test_groups_are_inverted_exactly() -> None:
    video = torch.randn(2, 3, 13, 32, 48)
    assert torch.equal(frames_of(groups_of(video)), video)
    with pytest.raises(ValueError, match="4k\\+1"):
        groups_of(video[:, :, :12])


def test_codec_latents_of_a_window_are_those_of_the_clip() -> None:
    torch.manual_seed(0)
    codec = Codec(CodecConfig(latent=8, width=16)).eval()
    for p in codec.parameters():
        torch.nn.init.normal_(p, std=0.05)
    video = torch.rand(1, 3, 17, 32, 32) * 2 - 1
    whole, part = codec.encode(video), codec.encode(video[:, :, 8:])
    assert torch.allclose(whole[:, :, 3:], part[:, :, 1:], atol=1e-5)
    alone = codec.encode(video[:, :, 8:9])
    assert torch.allclose(part[:, :, :1], alone, atol=1e-5)


def test_decoder_sees_two_groups_around() -> None:
    torch.manual_seed(0)
    codec = Codec(CodecConfig(latent=8, width=16)).eval()
    for p in codec.parameters():
        torch.nn.init.normal_(p, std=0.05)
    z = torch.randn(1, 8, 6, 2, 2)
    changed = z.clone()
    changed[:, :, 3] += 1
    a, b = codec.decode_groups(z), codec.decode_groups(changed)
    assert torch.equal(a[:, 0], b[:, 0])  # three groups away
    for group in range(1, 6):
        assert not torch.allclose(a[:, group], b[:, group])


def test_linear_codec_reconstructs_what_its_basis_spans() -> None:
    codec = Codec(CodecConfig(latent=8, width=16))
    basis = torch.linalg.qr(torch.randn(12 * 256, 8))[0]
    codec.start_linear(torch.zeros(12 * 256), basis)
    codec.normalise(torch.zeros(8), torch.rand(8) + 0.5)
    z = torch.randn(1, 8, 3, 2, 2)
    again = codec.encode_groups(codec.decode_groups(z))
    assert torch.allclose(again, z, atol=1e-3)


def test_presets_grow_as_promised() -> None:
    with torch.device("meta"):
        models = [DiT(preset(name).dit) for name in ("nano", "mini", "base", "large")]
    sizes = [sum(p.numel() for p in model.parameters()) / 1e6 for model in models]
    for size, low, high in zip(sizes, (18, 25, 250, 2500), (24, 45, 450, 3600), strict=True):
        assert low < size < high
    with pytest.raises(ValueError, match="known sizes"):
        preset("giant")


def test_attention_functions_agree() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 16)
    bias = torch.zeros(2, 1, 1, 9)
    bias[1, ..., 5:] = -1e4
    assert torch.allclose(attend_plain(q, k, v, bias), attend_fused(q, k, v, bias), atol=1e-5)


def test_one_level_per_frame_equals_one_level_per_token() -> None:
    dit, z = tiny_dit(), torch.randn(2, 8, 3, 2, 3)
    t = torch.rand(2, 3, 1)
    assert torch.allclose(call(dit, z, t), call(dit, z, t.expand(2, 3, 6)), atol=1e-4)


def test_masked_words_do_not_matter() -> None:
    dit, z, t = tiny_dit(), torch.randn(1, 8, 2, 2, 2), torch.full((1, 1, 1), 0.5)
    words = torch.randn(1, 6, 384)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    other = words.clone()
    other[:, 4:] = 9.0
    a = call(dit, z, t, Text(states=words, mask=mask))
    b = call(dit, z, t, Text(states=other, mask=mask))
    assert torch.allclose(a, b, atol=1e-4)
    assert not torch.allclose(a, call(dit, z, t, Text(states=words * 0.5, mask=mask)), atol=1e-3)


def test_concepts_steer_and_are_dropped() -> None:
    slots = {"color": ("red", "blue"), "setting": ("sea",)}
    torch.manual_seed(0)
    dit = DiT(dataclasses.replace(TINY, text=0, concepts=sizes_of(slots)))
    for p in dit.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.05)
    z, t = torch.randn(1, 8, 2, 2, 2), torch.full((1, 1, 1), 0.5)
    red, blue = (Text(concepts=one_hot([{"color": c}], slots)) for c in ("red", "blue"))
    between = Text(concepts=(red.concepts + blue.concepts) / 2)  # type: ignore[operator]
    a, b, c = (call(dit, z, t, text) for text in (red, blue, between))
    assert not torch.allclose(a, b, atol=1e-3)
    assert (c - a).norm() < (b - a).norm(), "a doubt between two values lies between them"
    nothing = torch.ones(1, dtype=torch.bool)
    assert torch.equal(call(dit, z, t, red, null_B=nothing), call(dit, z, t, blue, null_B=nothing))
    with pytest.raises(ValueError, match="was given none"):
        call(dit, z, t, Text())
    with pytest.raises(ValueError, match="must read something"):
        dataclasses.replace(TINY, text=0)


def test_a_model_that_says_nothing_guesses_linearly() -> None:
    """An untrained transformer's velocity is the best linear guess for each channel (checked by least squares)."""
    torch.manual_seed(0)
    dit = DiT(TINY)
    dit.set_spread(torch.linspace(0.1, 5, 8), torch.ones(8), torch.ones(10))
    z = torch.randn(64, 8, 5, 4, 4) * torch.linspace(0.1, 5, 8)[:, None, None, None]
    noise, level = torch.randn(z.shape), torch.tensor(0.2)
    z_t, v = mix(z, noise, level), velocity(z, noise)
    said = call(dit, z_t, level.view(1, 1, 1), single_F=torch.zeros(5, dtype=torch.bool))
    factor = (z_t * v).sum((0, 2, 3, 4)) / z_t.square().sum((0, 2, 3, 4))
    assert torch.allclose(said[0, :, 0, 0, 0] / z_t[0, :, 0, 0, 0], factor, rtol=0.1, atol=0.03)


def test_texts_join() -> None:
    a = Text(states=torch.ones(1, 2, 4), mask=torch.ones(1, 2, dtype=torch.bool), concepts=torch.zeros(1, 3))
    b = Text(states=torch.ones(1, 5, 4), mask=torch.ones(1, 5, dtype=torch.bool), concepts=torch.ones(1, 3))
    both = join(a, b)
    assert both.states is not None
    assert both.mask is not None
    assert both.concepts is not None
    assert both.mask.tolist() == [[True] * 2 + [False] * 3, [True] * 5]
    assert float(both.states[0].sum()) == 8
    assert both.concepts.tolist() == [[0] * 3, [1] * 3]
    assert join(Text(concepts=torch.zeros(1, 3)), Text(concepts=torch.zeros(1, 3))).states is None


def test_order_of_time_matters() -> None:
    dit, z, t = tiny_dit(), torch.randn(1, 8, 3, 2, 2), torch.full((1, 1, 1), 0.5)
    time_F, _ = timeline(3, 12)
    moved = call(dit, z, t, time_F=time_F * 2)
    assert not torch.allclose(call(dit, z, t), moved, atol=1e-4)


def test_path_and_velocity_fit_together() -> None:
    z, noise = torch.randn(2, 4, 8)
    for t in (0.0, 0.3, 0.9):
        level = torch.tensor(t)
        z_t = mix(z, noise, level)
        assert torch.allclose(clean_from_velocity(z_t, velocity(z, noise), level), z, atol=1e-5)
    u = torch.linspace(0, 1, 9)
    shifted = shift_levels(u, 3.0)
    assert shifted[0] == 0
    assert shifted[-1] == 1
    assert bool((shifted[1:-1] < u[1:-1]).all())


def test_levels_cover_the_whole_family() -> None:
    gen = torch.Generator().manual_seed(0)
    kinds = set()
    for _ in range(300):
        levels, weight = draw_levels(LevelMix(), 4, 5, 2, 3, gen)
        assert levels.shape == weight.shape
        assert float(levels.min()) >= 0
        assert float(levels.max()) <= 1
        assert float(weight.sum()) > 0, "a batch must have something to learn"
        given = weight == 0
        assert bool((levels[given] >= 0.9).all())
        kinds.add((levels.shape[2], bool(given[:, 0].all()), bool(given[:, -1].all()), bool(given.any())))
    assert {(1, False, False, False), (1, True, False, True), (1, False, True, True), (1, True, True, True)} <= kinds
    assert any(k[0] == 6 for k in kinds), "boxes have a level per token"
    with pytest.raises(ValueError, match="add up"):
        LevelMix(prefix=0.9, suffix=0.9)


def test_levels_of_going_on_leave_one_to_three_frames_to_the_model() -> None:
    alone = LevelMix(prefix=0, suffix=0, ends=0, random_frames=0, independent=0, box=0, next=1)
    gen = torch.Generator().manual_seed(0)
    for frames, most in ((2, 1), (3, 2), (5, 3), (13, 3)):
        seen = set()
        for _ in range(30):
            levels, weight = draw_levels(alone, 4, frames, 2, 3, gen)
            new = weight[:, :, 0].sum(1)
            seen |= set(new.tolist())
            assert bool((weight[:, :, 0].diff(dim=1) >= 0).all()), "what is given comes first"
            assert bool((levels[weight == 0] >= 0.9).all())
        assert seen == set(range(1, most + 1))
    with pytest.raises(ValueError, match="add up"):
        LevelMix(next=0.7)


@pytest.mark.parametrize("sampler", [euler, heun, multistep])
def test_samplers_solve_a_straight_flow_exactly(sampler) -> None:  # type: ignore[no-untyped-def]
    target, z = torch.randn(2, 1, 3, 2, 3, 2)
    start = torch.zeros(1, 2, 1)
    out = sampler(lambda x, t: target - z, z.clone(), schedule(4), start)
    assert torch.allclose(out, target, atol=1e-5)


def test_higher_order_samplers_are_nearer_on_a_curved_flow() -> None:
    """dz/dt = -z * pi * sin(pi t) has the solution z0 * exp(cos(pi t) - 1)."""

    def field(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return -z * math.pi * torch.sin(math.pi * t).reshape(1, 1, 1, 1, 1)

    z = torch.ones(1, 1, 1, 1, 1)
    exact = math.exp(-2)
    start = torch.zeros(1, 1, 1)
    errors = [abs(float(s(field, z, schedule(16, 1.0), start)) - exact) for s in (euler, multistep, heun)]
    assert max(errors[1:]) < errors[0] / 3


def test_given_tokens_never_move() -> None:
    dit = tiny_dit()
    gen = torch.Generator().manual_seed(0)
    start = text_to_video(batch=1, channels=8, frames=3, h=2, w=2, fps=12, generator=gen)
    image = torch.randn(1, 8, 3, 2, 2)
    level = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1)
    given: Start = with_given(start, image, level, gen)
    text = Text(states=torch.randn(1, 4, 384), mask=torch.ones(1, 4, dtype=torch.bool))
    z = sample(dit, text, given, how=Sampling(steps=3))
    assert torch.equal(z[:, :, 0], image[:, :, 0])
    assert not torch.allclose(z[:, :, 1], given.z[:, :, 1])


def test_guidance_of_a_model_that_says_nothing_is_nothing() -> None:
    still = torch.zeros(1, 2, 3, 2, 2)
    assert torch.equal(guide(still, still, 4.0, 0.3), still)
    cond, uncond = torch.randn(2, 1, 2, 3, 2, 2)
    assert torch.allclose(guide(cond, uncond, 1.0), cond, atol=1e-6)
    assert torch.allclose(guide(cond, uncond, 4.0, 1.0).std(), cond.std(), atol=1e-5)


def test_guidance_leads_away_from_a_weakened_model() -> None:
    """The guided velocity is what the three answers give by hand, in every combination; one of them is the model
    without one of its blocks."""
    dit = tiny_dit()
    gen = torch.Generator().manual_seed(0)
    z = torch.randn(2, 8, 3, 2, 2, generator=gen)
    level = torch.full((2, 3, 1), 0.3)
    time_F, single_F = timeline(3, 12)
    text, negative = (
        Text(states=torch.randn(2, 4, 384, generator=gen), mask=torch.ones(2, 4, dtype=torch.bool)) for _ in range(2)
    )
    common = {"time_F": time_F, "single_F": single_F}
    no, yes = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    with torch.no_grad():
        cond, _ = dit(z, level, text, null_B=no, **common)
        null, _ = dit(z, level, text, null_B=yes, **common)
        other, _ = dit(z, level, negative, null_B=no, **common)
        weak, _ = dit(z, level, text, null_B=no, skip_B=yes, **common)
        some, _ = dit(z, level, text, null_B=no, skip_B=torch.tensor([True, False]), **common)
        assert torch.allclose(some[0], weak[0], atol=1e-5)
        assert torch.allclose(some[1], cond[1], atol=1e-5)
        assert float((weak - cond).abs().mean()) > 1e-3
        for how, against, expected in (
            (Sampling(guidance=1.0, weak=0.0), None, cond),
            (Sampling(guidance=3.0, rescale=0.0, weak=0.0), None, null + 3 * (cond - null)),
            (Sampling(guidance=3.0, rescale=0.0, weak=0.0), negative, other + 3 * (cond - other)),
            (Sampling(guidance=1.0, rescale=0.0, weak=0.5), None, cond + 0.5 * (cond - weak)),
            (Sampling(guidance=3.0, rescale=0.0, weak=0.5), negative, other + 3 * (cond - other) + 0.5 * (cond - weak)),
        ):
            found = field(dit, text, how, negative=against, **common)(z, level)
            assert torch.allclose(found, expected, atol=1e-4), how


def test_window_count() -> None:
    assert window_count(13, 13, 4) == 1
    assert window_count(14, 13, 4) == 2
    assert window_count(22, 13, 4) == 2
    assert window_count(23, 13, 4) == 3


def test_controls_that_were_never_shown_can_be_heard_later() -> None:
    """Only what never varied takes its spread from new data: the others' weights were learned with theirs."""
    model = DiT(DiTConfig(width=64, heads=2, depth=1, concepts=(3,), latent=8))
    first = torch.full((10,), 0.5)
    first[6] = 0.0
    model.set_spread(torch.ones(8), torch.ones(8), first)
    model.hear(torch.full((10,), 0.25))
    assert model.control_spread.tolist() == [0.5] * 6 + [0.25] + [0.5] * 3
