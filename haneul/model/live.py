"""The live model: what a world looks like a twelfth of a second later, when somebody holds these keys.

A causal transformer over frames, each of them a few patches in a linear code of its own (`FrameCode`). Each frame is
drawn by a flow that begins with noise, in one step or a few, given the frames before it, the keys at each of them, and
what the place is like. What is drawn is not the frame but its difference from the one before, in units of how much it
usually is: nearly all of a frame is where it was a moment ago, or close by. So for each patch the model says first how
far what is there has moved, as a mixture of the frame before shifted by a few pixels this way or that (dynamic neural
advection, Finn et al., arXiv 1605.07157), and the flow only draws what is left: what came into view, or turned.

In training a clip stands in the sequence twice, as in teacher forcing for autoregressive diffusion (compare MAR, arXiv
2406.11838, and CausVid, arXiv 2412.07772): once as it is seen, a little disturbed, and once as it is drawn, at noise
levels of its own. A frame that is drawn attends to itself and to the frames seen before it; so one pass trains all
frames of a clip as they will be played, where each frame is seen once and its keys and values are kept (`Past`).

Shapes: B batch, T frames, S places of the latent picture, C latent channels, D width, A actions, V concept entries,
R riders, and [Y, X, K] of a sight: its rows, columns and channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import preconditioning
from .framecode import PATCH, SHIFTS, FrameCode
from .going import Going
from .layers import attend_fused, fourier, rms, rotate, swiglu_width

SURE = 2.0  #: how much surer of a shift than it is the model acts: a mean of many shifts is a blur
LEAST_SPREAD = 1e-3
STANDS = 5e-3  #: patches by which a sight's points move at most where nothing moves
POINTS = 8  #: rows and columns of a sight in a place
CHANNELS = 10  #: of a sight; the last two say where a point was before, in patches right and down
GUESSES = len(SHIFTS) + 1


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """`window` is how many frames a frame is drawn from, itself included."""

    latent: int = 128
    width: int = 192
    depth: int = 6
    heads: int = 4
    grid: tuple[int, int] = (4, 7)  # latent rows and columns
    concepts: tuple[int, ...] = ()  # entries of each slot
    actions: int = 2  # steering and throttle
    riders: tuple[str, ...] = ()  # kinds that it knows how to go as
    window: int = 10
    fps: int = 12

    def __post_init__(self) -> None:
        for name in ("grid", "concepts", "riders"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise ValueError(f"width {self.width} must be heads ({self.heads}) times a multiple of 8")

    @property
    def places(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def hidden(self) -> int:
        return swiglu_width(self.width)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How weights are best played: evaluations for a frame, for the one that begins all, how disturbed frames are said
    to be that are seen, in a difference's spread, and how much of each frame is what the model would begin with there,
    so that nothing grows from frame to frame; and how much stays of the frame before while the sight says that nothing
    moves, so that what stands does not flicker. Of weights that learned for an hour one evaluation is best: more add
    noise to every frame (docs/log.md)."""

    steps: int = 1
    first_steps: int = 1
    sigma: float = 0.1
    anchor: float = 0.2
    rest: float = 0.7

    def __post_init__(self) -> None:
        shares = 0 <= self.anchor <= 1 and 0 <= self.rest <= 1
        if self.steps < 1 or self.first_steps < 1 or self.sigma < 0 or not shares:
            raise ValueError("a frame takes at least one evaluation; no disturbance is below 0, no share above 1")


@dataclass
class Past:
    """Keys and values of the frames seen so far, for each block [B, heads, n * S, d], the last frame seen, how many
    there were, and the noise from which anchors are drawn: always the same, so that they stand while nothing moves. Of
    more than the window they are dropped."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    last: Tensor | None = None  # [B, S, C]
    frames: int = 0
    noise: Tensor | None = None  # [B, S, C]


class Block(nn.Module):
    """Self-attention and SwiGLU, each modulated and gated by the frame's condition."""

    def __init__(self, cfg: LiveConfig) -> None:
        super().__init__()
        D = cfg.width
        self.heads = cfg.heads
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.gate_up = nn.Linear(D, 2 * cfg.hidden, bias=False)
        self.down = nn.Linear(cfg.hidden, D, bias=False)
        self.modulation = nn.Parameter(torch.zeros(6 * D))

    def heads_of(self, x_BTSD: Tensor, mod: tuple[Tensor, ...], cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, heads, T * S, d]; the modulation is [B, T, 1, D] each."""
        shift, scale, *_ = mod
        B, T, S, _ = x_BTSD.shape
        qkv = self.qkv(rms(x_BTSD) * (1 + scale) + shift).view(B, T * S, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return rotate(rms(q), cos, sin), rotate(rms(k), cos, sin), v

    def rest(self, x_BTSD: Tensor, attended: Tensor, mod: tuple[Tensor, ...]) -> Tensor:
        """What follows the attention, whose output is [B, heads, T * S, d]."""
        _, _, gate1, shift, scale, gate2 = mod
        x = x_BTSD + gate1 * self.out(attended.transpose(1, 2).reshape(x_BTSD.shape))
        gate, up = self.gate_up(rms(x) * (1 + scale) + shift).chunk(2, -1)
        y: Tensor = x + gate2 * self.down(F.silu(gate) * up)
        return y


class LiveModel(nn.Module):
    """See the module."""

    spread: Tensor
    unit: Tensor
    rider: Tensor

    def __init__(self, cfg: LiveConfig) -> None:
        super().__init__()
        D, S = cfg.width, cfg.places
        self.cfg = cfg
        #: deviation of each channel of a first frame, and of a difference, in units of `unit`, their mean deviation
        self.register_buffer("spread", torch.ones(2, cfg.latent))
        self.register_buffer("unit", torch.ones(2))
        self.code = FrameCode(cfg.latent, cfg.grid)
        self.inp = nn.Linear(cfg.latent, D)
        self.around = nn.Linear(5 * cfg.latent, D, bias=False)  # of the frame before: itself, left, right, above, below
        told = POINTS**2 * CHANNELS
        self.view = nn.Sequential(nn.Linear(told, 2 * D), nn.SiLU(), nn.Linear(2 * D, D, bias=False))
        self.place = nn.Parameter(torch.randn(S, D) * 0.02)
        self.seen = nn.Parameter(torch.randn(D) * 0.02)  # marks a frame that is seen, not drawn
        self.noise = nn.Sequential(nn.Linear(128, D), nn.SiLU(), nn.Linear(D, D))
        self.disturbed = nn.Linear(64, D, bias=False)
        self.action = nn.Sequential(nn.Linear(cfg.actions, D), nn.SiLU(), nn.Linear(D, D))
        self.first = nn.Parameter(torch.zeros(D))  # of the frame that begins all
        total = sum(cfg.concepts)
        self.concepts = nn.Sequential(nn.Linear(total, D), nn.SiLU(), nn.Linear(D, D))
        self.modulate = nn.Linear(D, 6 * D)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.depth))
        self.final = nn.Linear(D, 2 * D)
        self.out = nn.Linear(D, cfg.latent)
        self.moves = nn.Linear(D, GUESSES)  # how likely each shift is, and what the sight says
        #: 1 where a rider may be in the picture, else 0
        self.register_buffer("rider", torch.zeros(len(cfg.riders), POINTS * cfg.grid[0], POINTS * cfg.grid[1]))
        self.going = Going(cfg.actions, len(cfg.riders))
        for zero in (self.modulate, self.final, self.out, self.moves):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)
        with torch.no_grad():
            self.modulate.bias.view(6, D)[[2, 5]] = 0.4

    @property
    def stack(self) -> list[Block]:
        """The blocks in order."""
        return cast(list[Block], list(self.blocks))

    @torch.no_grad()
    def measure(self, first_NC: Tensor, difference_NC: Tensor) -> None:
        """Take units and spreads from samples of latents and of their differences from frame to frame."""
        for k, sample in enumerate((first_NC, difference_NC)):
            deviation = sample.float().square().mean(0).sqrt()
            self.unit[k] = deviation.square().mean().sqrt()
            self.spread[k] = (deviation / self.unit[k]).clamp(min=LEAST_SPREAD)

    # ------------------------------------------------------------------------------------------------- the parts

    def angles(self, frames_T: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines [T * S, d/2]: half of the channels turn with time, a quarter each with row and
        column. Only differences of time count, so a world can be played for ever."""
        h, w = self.cfg.grid
        n = self.cfg.width // self.cfg.heads // 2
        nt, ns = n // 2, n // 4
        dev = frames_T.device
        ft = 8.0 * 20.0 ** (-torch.arange(nt, device=dev) / max(nt - 1, 1)) / self.cfg.fps
        fs = 1.5 * 10.0 ** (-torch.arange(ns, device=dev) / max(ns - 1, 1))
        time = (frames_T.double()[:, None] * ft.double()).remainder(2 * torch.pi).float()
        T = len(frames_T)
        y, x = torch.arange(h, device=dev).float(), torch.arange(w, device=dev).float()
        angle = torch.cat([
            time[:, None, None].expand(T, h, w, nt),
            (y[:, None] * fs)[None, :, None].expand(T, h, w, ns),
            (x[:, None] * fs)[None, None].expand(T, h, w, ns),
        ], -1).reshape(T * h * w, -1)  # fmt: skip
        return angle.cos(), angle.sin()

    def scales(self, t_BT: Tensor, first_T: Tensor, sigma_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`flow.preconditioning` of each channel, [B, T, 1, C]. A disturbed frame before makes differences larger."""
        grown = (1 + sigma_B.square()).sqrt()[:, None, None, None]
        s = torch.where(first_T[:, None, None], self.spread[0], self.spread[1] * grown)
        return preconditioning(t_BT[:, :, None, None], s)

    def condition(
        self, level_BT: Tensor | None, actions_BTA: Tensor, concepts_BV: Tensor, sigma_B: Tensor, first_T: Tensor
    ) -> Tensor:
        """[B, T, 1, D]; `level_BT` are noise levels, or None of frames that are seen."""
        whole = self.concepts(concepts_BV) + self.disturbed(fourier(sigma_B, 64, 10.0))
        c = self.action(actions_BTA) + whole[:, None]
        c = c + first_T[:, None] * self.first
        c = c + (self.seen if level_BT is None else self.noise(fourier(level_BT, 128)))
        return F.silu(c)[:, :, None]

    def enter(self, before_BTSC: Tensor, noisy_BTSC: Tensor, view_BTSD: Tensor) -> Tensor:
        """Tokens [B, T, S, D] of what is noisy over what stands there and beside it: things come from next door; and of
        what `view` says of the frame's sight."""
        h, w = self.cfg.grid
        x = F.pad(before_BTSC.unflatten(2, (h, w)), (0, 0, 1, 1, 1, 1))
        rows, columns = slice(1, h + 1), slice(1, w + 1)
        beside = [
            x[:, :, rows, columns], x[:, :, rows, :w], x[:, :, rows, 2:], x[:, :, :h, columns], x[:, :, 2:, columns]
        ]  # fmt: skip
        y: Tensor = self.inp(noisy_BTSC) + self.around(torch.cat(beside, -1).flatten(2, 3)) + self.place + view_BTSD
        return y

    @torch.no_grad()
    def moved(self, before_NSC: Tensor, sight_NYXK: Tensor, rider_NR: Tensor) -> Tensor:
        """What is drawn by each of the guesses, [N, S, GUESSES, C]: the frame before as a whole moved by each of
        SHIFTS, and led to where the sight says that its points are now."""
        whole = self.code.shifted(before_NSC)
        led = self.code.encode(self.led(self.code.decode(before_NSC), sight_NYXK[..., -2:], rider_NR))
        found: Tensor = (torch.cat([whole, led[:, :, None]], 2) - before_NSC[:, :, None]) / self.unit[1]
        return found

    def led(self, frames_N3HW: Tensor, were_NYX2: Tensor, rider_NR: Tensor) -> Tensor:
        """Frames whose points are taken from where they were, in patches right and down; the rider stays in place."""
        N, _, H, W = frames_N3HW.shape
        stays = (rider_NR @ self.rider.flatten(1)).view(N, 1, *self.rider.shape[1:])
        were = F.interpolate(were_NYX2.movedim(-1, 1), (H, W), mode="bilinear", align_corners=False)
        stays = F.interpolate(stays, (H, W), mode="bilinear", align_corners=False)
        were = (were * (stays < 0.5)).movedim(1, -1) * PATCH
        y, x = (torch.arange(n, device=were.device) + 0.5 for n in (H, W))
        at = torch.stack([(x + were[..., 0]) * 2 / W - 1, (y[:, None] + were[..., 1]) * 2 / H - 1], -1)
        return F.grid_sample(frames_N3HW, at, mode="bicubic", padding_mode="border", align_corners=False)

    def moved_of(self, before_BTSC: Tensor, sight_BTYXK: Tensor, rider_BR: Tensor) -> Tensor:
        """`moved` of many, [B, T, S, GUESSES, C]; a sight is that of the frame after each."""
        rider = rider_BR[:, None].expand(-1, before_BTSC.shape[1], -1)
        found = self.moved(before_BTSC.flatten(0, 1), sight_BTYXK.flatten(0, 1), rider.flatten(0, 1))
        every: Tensor = found.unflatten(0, list(before_BTSC.shape[:2]))
        return every

    def leave(
        self, x_BTSD: Tensor, c_BT1D: Tensor, noisy: Tensor, t_BT: Tensor, moved_BTSKC: Tensor,
        scales: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The velocity: of what moved as it is, of the rest by the best linear guess and what the model says; and how
        likely it thinks each shift, as logits [B, T, S, K]."""
        scale, shift = self.final(c_BT1D).chunk(2, -1)
        x = rms(x_BTSD) * (1 + scale) + shift
        logits = self.moves(x).float()
        mean = ((SURE * logits).softmax(-1)[..., None, :] @ moved_BTSKC)[..., 0, :]
        skip, leave = scales
        v: Tensor = skip * (noisy - t_BT[:, :, None, None] * mean) + mean + leave * self.out(x).float()
        return v, logits

    # --------------------------------------------------------------------------------------------------- training

    def forward(
        self, seen_BTSC: Tensor, noisy_BTSC: Tensor, t_BT: Tensor, actions_BTA: Tensor, concepts_BV: Tensor,
        sight_BTYXK: Tensor, sigma_B: Tensor, first_T: Tensor, moved_BTSKC: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Velocity [B, T, S, C] of the flow of every frame's difference, at levels `t_BT` (0 noise .. 1 clean), and the
        logits of the shifts [B, T, S, K].

        `seen_BTSC` are the frames as they are seen, disturbed by `sigma_B` of a difference's spread. `first_T` is true
        for a frame that is the first of all; where the clip's first is not, it is only seen, and its velocity means
        nothing. `moved_BTSKC` is `moved` of the frames before each, of the first one 0.
        """
        T = seen_BTSC.shape[1]
        before = before_of(seen_BTSC)
        enter, skip, leave = self.scales(t_BT, first_T, sigma_B)
        view = self.view(by_place(sight_BTYXK))
        x = torch.cat([
            self.enter(seen_BTSC, torch.zeros_like(seen_BTSC), view), self.enter(before, noisy_BTSC * enter, view)
        ], 1)  # fmt: skip
        told = (actions_BTA, concepts_BV, sigma_B, first_T)
        drawn = self.condition(t_BT, *told)
        mod = self.modulate(torch.cat([self.condition(None, *told), drawn], 1))
        cos, sin = (a.repeat(2, 1) for a in self.angles(torch.arange(T, device=x.device)))
        bias = self.bias(T, x.device)
        for block in self.stack:
            parts = (mod + block.modulation).chunk(6, -1)
            q, k, v = block.heads_of(x, parts, cos, sin)
            x = block.rest(x, _attend_twice(q, k, v, bias, T), parts)
        return self.leave(x[:, T:], drawn, noisy_BTSC, t_BT, moved_BTSKC, (skip, leave))

    def bias(self, T: int, device: torch.device) -> Tensor:
        """Additive mask [2TS, TS] on the frames seen: those seen look at them up to themselves, those drawn at the ones
        before; both only as far back as the window."""
        i, j = torch.arange(T, device=device)[:, None], torch.arange(T, device=device)
        near = i - j < self.cfg.window
        may = torch.cat([(j <= i) & near, (j < i) & near])
        S = self.cfg.places
        mask = torch.zeros(may.shape, device=device).masked_fill(~may, -1e4)
        return mask.repeat_interleave(S, 0).repeat_interleave(S, 1)

    # ---------------------------------------------------------------------------------------------------- playing

    def play(
        self, past: Past, actions_BA: Tensor, concepts_BV: Tensor, rider_BR: Tensor, sight_BYXK: Tensor, how: Drawing,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """The next frame [B, S, C], drawn and seen, and the past with it."""
        told = (actions_BA, concepts_BV, rider_BR, sight_BYXK)
        steps = how.steps if past.frames else how.first_steps
        frame, noise = self.draw(past, *told, steps=steps, sigma=how.sigma, generator=generator), past.noise
        if past.frames and how.anchor:
            noise = self.noise_of(len(frame), generator, frame.device) if noise is None else noise
            afresh = self.draw(Past(), *told, steps=how.first_steps, sigma=how.sigma, noise=noise)
            frame = torch.lerp(frame, afresh, how.anchor)
        if past.last is not None and how.rest:
            stands = sight_BYXK[..., -2:].abs().amax((1, 2, 3)) < STANDS
            frame = torch.lerp(frame, past.last, how.rest * stands.to(frame.dtype)[:, None, None])
        return frame, replace(self.see(past, frame, actions_BA, concepts_BV, sight_BYXK, sigma=how.sigma), noise=noise)

    def noise_of(self, batch: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """[B, S, C]"""
        return torch.randn(batch, self.cfg.places, self.cfg.latent, generator=generator, device=device)

    def draw(
        self, past: Past, actions_BA: Tensor, concepts_BV: Tensor, rider_BR: Tensor,
        sight_BYXK: Tensor, *, steps: int, sigma: float = 0.0, generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The next frame [B, S, C], by `steps` evaluations from `noise`, or what the generator draws; it is not seen
        yet (see `see`)."""
        B, S, C = len(concepts_BV), self.cfg.places, self.cfg.latent
        first = past.last is None
        dev = concepts_BV.device
        before = torch.zeros(B, S, C, device=dev) if past.last is None else past.last
        unit = self.unit[0 if first else 1]
        still = torch.zeros(B, S, GUESSES, C, device=dev)
        moved = (still if first else self.moved(before, sight_BYXK, rider_BR))[:, None]
        y = self.noise_of(B, generator, dev) if noise is None else noise
        view = self.view(by_place(sight_BYXK))
        levels = torch.linspace(0, 1, steps + 1)
        for t, until in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
            y = y + (until - t) * self._velocity(past, before, moved, y, t, actions_BA, concepts_BV, view, sigma)
        # what is darker than black or brighter than white would grow from frame to frame
        return self.code.encode(self.code.decode(before + y * unit).clamp(-1, 1))

    def _velocity(
        self, past: Past, before: Tensor, moved: Tensor, y: Tensor, t: float, actions_BA: Tensor, concepts_BV: Tensor,
        view_BSD: Tensor, sigma: float,
    ) -> Tensor:  # fmt: skip
        B = len(y)
        first = torch.tensor([past.last is None], device=y.device)
        t_BT, sigma_B = torch.full((B, 1), t, device=y.device), torch.full((B,), sigma, device=y.device)
        enter, skip, leave = self.scales(t_BT, first, sigma_B)
        c = self.condition(t_BT, actions_BA[:, None], concepts_BV, sigma_B, first)
        x, _ = self._through(past, self.enter(before[:, None], y[:, None] * enter, view_BSD[:, None]), c, keep=False)
        return self.leave(x, c, y[:, None], t_BT, moved, (skip, leave))[0][:, 0]

    def see(
        self, past: Past, frame_BSC: Tensor, actions_BA: Tensor, concepts_BV: Tensor, sight_BYXK: Tensor, *,
        sigma: float = 0.0,
    ) -> Past:  # fmt: skip
        """The past with one frame more."""
        dev = frame_BSC.device
        first = torch.tensor([past.last is None], device=dev)
        told = torch.full((len(frame_BSC),), sigma, device=dev)
        c = self.condition(None, actions_BA[:, None], concepts_BV, told, first)
        nothing, view = torch.zeros_like(frame_BSC), self.view(by_place(sight_BYXK))
        _, kept = self._through(past, self.enter(frame_BSC[:, None], nothing[:, None], view[:, None]), c, keep=True)
        return Past(keys=[k for k, _ in kept], values=[v for _, v in kept], last=frame_BSC, frames=past.frames + 1)

    def _through(
        self, past: Past, x_B1SD: Tensor, c: Tensor, *, keep: bool
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """One frame through the blocks, with what it sees of the past; with `keep` also the keys and values of the
        frames that the next one will see."""
        cos, sin = self.angles(torch.tensor([past.frames], device=x_B1SD.device))
        mod, x = self.modulate(c), x_B1SD
        kept: list[tuple[Tensor, Tensor]] = []
        most = (self.cfg.window - 1) * self.cfg.places
        for i, block in enumerate(self.stack):
            parts = (mod + block.modulation).chunk(6, -1)
            q, k, v = block.heads_of(x, parts, cos, sin)
            if past.keys:
                k, v = torch.cat([past.keys[i], k], 2), torch.cat([past.values[i], v], 2)
            if keep:
                kept.append((k[:, :, -most:], v[:, :, -most:]))
                if i == len(self.blocks) - 1:
                    break
            x = block.rest(x, attend_fused(q, k, v), parts)
        return x, kept


def by_place(sight_: Tensor) -> Tensor:
    """Sights [..., Y, X, K] cut into the places of latent frames, [..., S, POINTS^2 K]."""
    cut = sight_.unflatten(-2, (-1, POINTS)).unflatten(-4, (-1, POINTS)).transpose(-4, -3)
    found: Tensor = cut.flatten(-3).flatten(-3, -2)
    return found


def before_of(seen_BTSC: Tensor) -> Tensor:
    """The frame before each, of the first one nothing."""
    return torch.cat([torch.zeros_like(seen_BTSC[:, :1]), seen_BTSC[:, :-1]], 1)


def _attend_twice(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, T: int) -> Tensor:
    """Attention of T frames seen and then T drawn, [B, heads, 2TS, d]: all look at those seen, as `bias` [2TS, TS] lets
    them, and each one drawn at itself. In plain products, as `attend_plain`; half of the scores of a mask over all."""
    half = q.shape[2] // 2
    q = q * q.shape[-1] ** -0.5
    scores = q @ k[:, :, :half].mT + bias.to(q.dtype)
    seen = scores[:, :, :half].softmax(-1).to(v.dtype) @ v[:, :, :half]

    def frames(x: Tensor) -> Tensor:
        parts: Tensor = x[:, :, half:].unflatten(2, (T, -1))
        return parts

    own = (frames(q) @ frames(k).mT).flatten(2, 3)
    weights = torch.cat([scores[:, :, half:], own], -1).softmax(-1).to(v.dtype)
    drawn = weights[..., :half] @ v[:, :, :half]
    drawn = drawn + (weights[..., half:].unflatten(2, (T, -1)) @ frames(v)).flatten(2, 3)
    both: Tensor = torch.cat([seen, drawn], 2)
    return both
