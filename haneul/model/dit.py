"""The diffusion transformer over spacetime patches, with one noise level per token.

After DiT (Peebles & Xie, arXiv 2212.09748) with the shared modulation of PixArt-alpha (arXiv 2310.00426, AdaLN-single),
rms-normed queries and keys, three-dimensional rotary positions in real time and centred space, cross-attention to what
the prompt says and SwiGLU. Because each token carries its own noise level (diffusion forcing, arXiv 2407.01392),
text-to-video, image-to-video, extension, editing and inpainting are one model: a mode only chooses which tokens are
given.

Shapes: B batch, F latent frames, h w latent rows and columns, S = h*w, N = F*S, D width, L text tokens, C latent
channels, K control channels, V concept entries. Inside, tokens are x_BFSD.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import preconditioning
from .layers import Attend, attend_fused, fourier, mask_bias, rms, rotate, swiglu_width
from .text import Text

WEAK_AT = 0.375  #: how far through the blocks the one is that is left out of a weakened model (docs/log.md)
LEAST_SPREAD = 0.02  #: of a channel that never varies (a single frame has no motion), so that nothing divides by zero


def spread_level(t: Tensor) -> Tensor:
    """Noise levels with both ends drawn out, so that .01 and .02, or .99 and .995, look different to the model: the
    sigmoid of a third of the log signal-to-noise ratio."""
    a, b = t.clamp(0, 1) ** (1 / 3), (1 - t).clamp(0, 1) ** (1 / 3)
    return a / (a + b)


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Size of the transformer. `width` must be divisible by `heads`, and a head's width by 8.

    `concepts` are the entries of each slot (concepts.sizes_of) and `text` the width of word states; a model reads
    either or both, and what it does not read is empty or 0.
    """

    latent: int = 64
    width: int = 256
    depth: int = 8
    heads: int = 4
    text: int = 0
    concepts: tuple[int, ...] = ()
    controls: tuple[int, ...] = (6, 4)  # channels of the camera, and of the subject's action
    focal: float = 2.2  # of the cameras that it learned from: 1 / tan(half of the vertical field of view)
    registers: int = 4  # learned tokens beside the words
    truth: int = 0  # channels of the auxiliary head that predicts the simulator's truth; 0 for none

    def __post_init__(self) -> None:
        object.__setattr__(self, "concepts", tuple(self.concepts))
        object.__setattr__(self, "controls", tuple(self.controls))
        if not self.text and not self.concepts:
            raise ValueError("a model must read something: give it concepts, text or both")
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise ValueError(f"width {self.width} must be heads ({self.heads}) times a multiple of 8")

    @property
    def hidden(self) -> int:
        return swiglu_width(self.width)


class Block(nn.Module):
    """Self-attention, cross-attention to text, SwiGLU; each branch modulated or gated by the noise level."""

    def __init__(self, cfg: DiTConfig) -> None:
        super().__init__()
        D = cfg.width
        self.heads = cfg.heads
        self.attend: Attend = attend_fused
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.text_q = nn.Linear(D, D, bias=False)
        self.text_kv = nn.Linear(D, 2 * D, bias=False)
        self.text_out = nn.Linear(D, D, bias=False)
        self.gate_up = nn.Linear(D, 2 * cfg.hidden, bias=False)
        self.down = nn.Linear(cfg.hidden, D, bias=False)
        self.modulation = nn.Parameter(torch.zeros(6 * D))
        nn.init.zeros_(self.text_out.weight)

    def split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, N, parts*D] -> parts tensors [B, heads, N, d]."""
        B, N, _ = x.shape
        return tuple(x.view(B, N, parts, self.heads, -1).permute(2, 0, 3, 1, 4))

    def forward(
        self,
        x_BFSD: Tensor,
        mod_BFS6D: Tensor,
        txt_BLD: Tensor,
        bias_B11L: Tensor | None,
        cos_Nd: Tensor,
        sin_Nd: Tensor,
    ) -> Tensor:
        B, T, S, D = x_BFSD.shape
        x = x_BFSD
        shift1, scale1, gate1, shift2, scale2, gate2 = (mod_BFS6D + self.modulation).chunk(6, -1)
        q, k, v = self.split(self.qkv(rms(x) * (1 + scale1) + shift1).view(B, T * S, -1), 3)
        a = self.attend(rotate(rms(q), cos_Nd, sin_Nd), rotate(rms(k), cos_Nd, sin_Nd), v, None)
        x = x + gate1 * self.out(a.transpose(1, 2).reshape(B, T, S, D))
        (q,) = self.split(self.text_q(rms(x)).view(B, T * S, D), 1)
        k, v = self.split(self.text_kv(txt_BLD), 2)
        a = self.attend(rms(q), rms(k), v, bias_B11L)
        x = x + self.text_out(a.transpose(1, 2).reshape(B, T, S, D))
        gate, up = self.gate_up(rms(x) * (1 + scale2) + shift2).chunk(2, -1)
        y: Tensor = x + gate2 * self.down(F.silu(gate) * up)
        return y


class TextRefiner(nn.Module):
    """Fits the frozen text states to the model's width and lets words look at each other.

    The states are standardised first and no layer has a bias: what all texts have in common would otherwise grow until
    the words are lost in it (measured, docs/log.md). Constants that attention wants to rest on are tokens of their own,
    the registers (Darcet et al., arXiv 2309.16588).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, cfg: DiTConfig) -> None:
        super().__init__()
        D = cfg.width
        self.heads = cfg.heads
        self.attend: Attend = attend_fused
        self.register_buffer("mean", torch.zeros(cfg.text))
        self.register_buffer("std", torch.ones(cfg.text))
        self.inp = nn.Linear(cfg.text, D, bias=False)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.gate_up = nn.Linear(D, 2 * D, bias=False)
        self.down = nn.Linear(D, D, bias=False)
        self.pool = nn.Linear(cfg.text, D, bias=False)
        self.null = nn.Parameter(torch.randn(D) * 0.5)
        self.null_pool = nn.Parameter(torch.zeros(D))
        self.registers = nn.Parameter(torch.randn(cfg.registers, D))
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)

    @torch.no_grad()
    def standardise(self, states_BLC: Tensor, mask_BL: Tensor) -> None:
        """Take mean and standard deviation from a sample of texts."""
        rows = states_BLC[mask_BL].float()
        self.mean.copy_(rows.mean(0))
        self.std.copy_(rows.std(0).clamp(min=1e-3))

    def forward(self, txt_BLC: Tensor, mask_BL: Tensor, null_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, L + R, D] (registers last), their attention bias, and the pooled text [B, D].

        `null_B` is true where the text is dropped (the unconditional half of guidance).
        """
        dtype = self.inp.weight.dtype
        z = ((txt_BLC.float() - self.mean) / self.std).to(dtype)
        weight = mask_BL[..., None].to(dtype)
        # The mean of L standardised states has a spread of about 1/3; undo that.
        pooled = self.pool(3 * (z * weight).sum(1) / weight.sum(1))
        pooled = torch.where(null_B[:, None], self.null_pool.to(pooled.dtype), pooled)
        x = self.inp(z)
        B, L, D = x.shape
        x = rms(torch.where(null_B[:, None, None], self.null.to(x.dtype), x))
        q, k, v = self.qkv(x).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = self.attend(rms(q), rms(k), v, mask_bias(mask_BL))
        x = x + self.out(a.transpose(1, 2).reshape(B, L, D))
        gate, up = self.gate_up(rms(x)).chunk(2, -1)
        x = rms(x + self.down(F.silu(gate) * up))
        registers = rms(self.registers).to(x.dtype).expand(B, -1, -1)
        known = torch.ones(B, registers.shape[1], dtype=torch.bool, device=x.device)
        return torch.cat([x, registers], 1), mask_bias(torch.cat([mask_BL, known], 1)), pooled


class ConceptTokens(nn.Module):
    """One token for each slot, the mean of its values' embeddings by their probabilities, and all slots pooled."""

    members: Tensor

    def __init__(self, cfg: DiTConfig) -> None:
        super().__init__()
        D, sizes = cfg.width, cfg.concepts
        total = sum(sizes)
        slot = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        self.register_buffer("members", F.one_hot(slot, len(sizes)).T.float(), persistent=False)  # [K, V]
        self.values = nn.Parameter(torch.randn(total, D))
        self.null = nn.Parameter(torch.randn(len(sizes), D))
        self.pool = nn.Sequential(nn.Linear(total, 2 * D), nn.SiLU(), nn.Linear(2 * D, D))
        self.null_pool = nn.Parameter(torch.zeros(D))

    def forward(self, concepts_BV: Tensor, null_B: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, K, D] and the pooled prompt [B, D]."""
        p = concepts_BV.to(self.values.dtype)
        tokens = rms((p[:, None] * self.members) @ self.values)
        tokens = torch.where(null_B[:, None, None], rms(self.null).to(tokens.dtype), tokens)
        pooled: Tensor = self.pool(p)
        return tokens, torch.where(null_B[:, None], self.null_pool.to(pooled.dtype), pooled)


class DiT(nn.Module):
    """Velocity of the flow for noisy latents `z_BCFhw`; see `forward`."""

    spread: Tensor
    control_spread: Tensor

    def __init__(self, cfg: DiTConfig) -> None:
        super().__init__()
        D = cfg.width
        self.cfg = cfg
        self.register_buffer("spread", torch.ones(2, cfg.latent))  # of each channel, in groups and in single frames
        self.register_buffer("control_spread", torch.ones(sum(cfg.controls)))
        self.inp = nn.Linear(cfg.latent, D)
        self.place = nn.Linear(64, D, bias=False)  # absolute position inside the picture
        self.single = nn.Parameter(torch.randn(D) * 0.02)  # marks a latent frame that holds one frame, not a group
        self.noise = nn.Sequential(nn.Linear(256, D), nn.SiLU(), nn.Linear(D, D))
        self.control = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * k, D), nn.SiLU(), nn.Linear(D, D)) for k in cfg.controls
        )
        self.gaze = nn.Linear(32, D, bias=False)  # where a token looks, seen from the first frame
        self.refine = TextRefiner(cfg) if cfg.text else None
        self.concepts = ConceptTokens(cfg) if cfg.concepts else None
        self.modulate = nn.Linear(D, 6 * D)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.depth))
        self.final = nn.Linear(D, 2 * D)
        self.out = nn.Linear(D, cfg.latent)
        self.truth = nn.Linear(D, cfg.truth) if cfg.truth else None
        for zero in (*(part[2] for part in self.control), self.gaze, self.modulate, self.final, self.out):  # type: ignore[index]
            for p in zero.parameters():
                nn.init.zeros_(p)
        # Gates start at 1/depth-ish instead of 0, so that the first steps already reach every block.
        with torch.no_grad():
            self.modulate.bias.view(6, D)[[2, 5]] = 0.3

    def set_attention(self, attend: Attend) -> None:
        """Choose the attention function from outside; the arithmetic is the same up to rounding."""
        for part in (*self.blocks, self.refine):
            if part is not None:
                part.attend = attend

    @torch.no_grad()
    def set_spread(self, group_C: Tensor, single_C: Tensor, control_K: Tensor) -> None:
        """Standard deviations of the latents' channels and of the controls, as the data have them."""
        self.spread.copy_(torch.stack([group_C, single_C]).clamp(min=LEAST_SPREAD))
        self.control_spread.copy_(control_K.clamp(min=LEAST_SPREAD))

    @torch.no_grad()
    def hear(self, control_K: Tensor) -> None:
        """Take the spread of controls that never varied before from data in which they do; the others keep theirs,
        with which their weights were learned."""
        unheard = self.control_spread <= 1.01 * LEAST_SPREAD
        self.control_spread.copy_(torch.where(unheard, control_K.clamp(min=LEAST_SPREAD), self.control_spread))

    def scales(self, t_BFS: Tensor, single_F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`flow.preconditioning` of each channel, [B, F, S, C]."""
        s = torch.where(single_F[:, None, None], self.spread[1], self.spread[0]).float()  # [F, 1, C]
        return preconditioning(t_BFS[..., None].float(), s)

    def angles(self, time_F: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines [N, d/2]: half of the channels turn with time (seconds), a quarter each with
        row and column (latent pixels from the centre)."""
        n = self.cfg.width // self.cfg.heads // 2
        nt, ns = n // 2, n // 4
        dev = time_F.device
        ft = 8.0 * 40.0 ** (-torch.arange(nt, device=dev) / max(nt - 1, 1))  # radians per second, 8 .. 0.2
        fs = 1.5 * 15.0 ** (-torch.arange(ns, device=dev) / max(ns - 1, 1))  # radians per patch, 1.5 .. 0.1
        y = torch.arange(h, device=dev) - (h - 1) / 2
        x = torch.arange(w, device=dev) - (w - 1) / 2
        F_ = len(time_F)
        angle = torch.cat(
            [
                (time_F[:, None] * ft)[:, None, None].expand(F_, h, w, nt),
                (y[:, None] * fs)[None, :, None].expand(F_, h, w, ns),
                (x[:, None] * fs)[None, None].expand(F_, h, w, ns),
            ],
            -1,
        ).reshape(F_ * h * w, -1)
        return angle.cos(), angle.sin()

    def places(self, h: int, w: int, device: torch.device) -> Tensor:
        """Features [S, 64] of where a token stands in the picture, edges at -1 and 1, whatever the size."""
        y = (torch.arange(h, device=device) + 0.5) / h * 2 - 1
        x = (torch.arange(w, device=device) + 0.5) / w * 2 - 1
        octaves = torch.pi / 2 * 2.0 ** torch.arange(8, device=device)
        fy, fx = y[:, None] * octaves, x[:, None] * octaves
        rows = torch.cat([fy.sin(), fy.cos()], -1)[:, None].expand(h, w, 16)
        cols = torch.cat([fx.sin(), fx.cos()], -1)[None].expand(h, w, 16)
        aspect = torch.full((h, w, 32), 0.0, device=device)
        aspect[..., 0] = w / h - 1
        aspect[..., 1] = h / w - 1
        return torch.cat([rows, cols, aspect], -1).view(h * w, 64)

    def read(self, text: Text, null_B: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """What blocks attend to: tokens [B, L, D] and their bias (None: all count); and the pooled prompt [B, D]."""
        if self.concepts is not None:
            if text.concepts is None:
                raise ValueError("this model reads concepts, and was given none")
            tokens, pooled = self.concepts(text.concepts, null_B)
        if self.refine is None:
            return tokens, None, pooled
        if text.states is None or text.mask is None:
            raise ValueError("this model reads words, and was given none")
        words, bias, pooled_words = self.refine(text.states, text.mask, null_B)
        if self.concepts is None:
            return words, bias, pooled_words
        return torch.cat([words, tokens], 1), F.pad(bias, (0, tokens.shape[1])), pooled + pooled_words

    def gazes(self, course_BFK: Tensor, h: int, w: int) -> Tensor:
        """Features [B, F, S, 32] of where each token looks in the first frame's picture, by how far the camera has come
        since (`course_BFK`: look distances to the right, up and back, then radians about these axes).

        Of scenery far away only the turn counts; of things at the look distance the way too. So a token and what it
        shows keep their features while the camera moves. Small angles; the ray's place in half picture heights.
        """
        y = 1 - (torch.arange(h, device=course_BFK.device) + 0.5) / h * 2
        x = ((torch.arange(w, device=course_BFK.device) + 0.5) / w * 2 - 1) * (w / h)
        right, up, back, pitch, yaw, _ = course_BFK[..., :6, None].unbind(2)  # each [B, F, 1]
        f = self.cfg.focal
        x_far, y_far = x - f * yaw, y + f * pitch
        x_near, y_near = (x_far + f * right) + x * back, (y_far + f * up) + y * back
        octaves = torch.pi / 2 * 2.0 ** torch.arange(4, device=x.device)

        def waves(place: Tensor) -> Tensor:
            angle = place[..., None] * (octaves * 2 / (1 + w / h))
            return torch.cat([angle.sin(), angle.cos()], -1)

        B, T = course_BFK.shape[:2]
        rows = [waves(v)[:, :, :, None].expand(B, T, h, w, 8) for v in (y_far, y_near)]
        columns = [waves(v)[:, :, None].expand(B, T, h, w, 8) for v in (x_far, x_near)]
        return torch.cat([*rows, *columns], -1).flatten(2, 3)

    def condition(
        self, t_BFS: Tensor, pooled_BD: Tensor, ctrl: tuple[Tensor, Tensor, Tensor] | None, dtype: torch.dtype
    ) -> Tensor:
        """[B, F or 1, S or 1, D]: noise level, pooled prompt and controls of every token.

        Of the controls, which are rates, both they and their sums over time are told: how fast the camera goes, and how
        far it has come since the first frame. `ctrl` are both and which groups are known [B, G].
        """
        c = self.noise(fourier(spread_level(t_BFS), 256).to(dtype)) + pooled_BD[:, None, None]
        if ctrl is not None:
            rates, courses, known_BG = ctrl
            groups = zip(
                *((x / self.control_spread).split(self.cfg.controls, -1) for x in (rates, courses)), strict=True
            )
            for part, both, known in zip(self.control, groups, known_BG.T, strict=True):
                c = c + (part(torch.cat(both, -1).to(dtype)) * known[:, None, None].to(dtype))[:, :, None]
        return F.silu(c)

    def forward(
        self,
        z_BCFhw: Tensor,
        t_BFS: Tensor,
        text: Text,
        *,
        time_F: Tensor,
        single_F: Tensor,
        null_B: Tensor,
        ctrl_BFK: Tensor | None = None,
        known_BG: Tensor | None = None,
        truth_at: int | None = None,
        skip_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Velocity [B, C, F, h, w] of the flow at noise levels `t_BFS` (0 noise .. 1 clean; F and S may be 1).

        `time_F` is the real time of each latent frame in seconds, `single_F` is true where it holds a single frame,
        `null_B` true where the prompt is to be ignored. `ctrl_BFK` are controls (rates a second, in the order of the
        world's CONTROLS), of which `known_BG` says whether the camera's and the subject's count. With `truth_at`, also
        the truth head's output [B, F, S, truth] read after that many blocks. Where `skip_B` is true, one block is left
        out: a weaker model, to be guided away from.
        """
        B, C, T, h, w = z_BCFhw.shape
        dtype = self.inp.weight.dtype
        z_BFSC = z_BCFhw.flatten(3).permute(0, 2, 3, 1)
        enter, skip, leave = self.scales(t_BFS, single_F)
        x = self.inp((z_BFSC * enter).to(dtype).contiguous())  # else the product is one for each frame
        x = x + self.place(self.places(h, w, x.device).to(dtype))
        nothing = torch.zeros((), dtype=dtype, device=x.device)
        x = x + torch.where(single_F[:, None, None], self.single.to(dtype), nothing)
        txt, bias, pooled = self.read(text, null_B)
        ctrl = None
        if ctrl_BFK is not None:
            known = torch.ones(B, len(self.control), device=x.device) if known_BG is None else known_BG
            course = (ctrl_BFK * time_F.diff(prepend=time_F[:1])[:, None]).cumsum(1)
            ctrl = ctrl_BFK, course, known
            x = x + self.gaze(self.gazes(course, h, w).to(dtype)) * known[:, :1, None, None].to(dtype)
        c = self.condition(t_BFS, pooled, ctrl, dtype)
        mod = self.modulate(c)
        cos, sin = (a.to(x.dtype) for a in self.angles(time_F, h, w))
        truth = None
        for i, block in enumerate(self.blocks):
            y = block(x, mod, txt, bias, cos, sin)
            if skip_B is not None and i == int(WEAK_AT * len(self.blocks)):
                y = torch.where(skip_B[:, None, None, None], x, y)
            x = y
            if self.truth is not None and truth_at == i + 1:
                truth = self.truth(rms(x))
        scale, shift = self.final(c).chunk(2, -1)
        v = skip * z_BFSC + leave * self.out(rms(x) * (1 + scale) + shift).float()
        return v.permute(0, 3, 1, 2).reshape(B, C, T, h, w), truth
