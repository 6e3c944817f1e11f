"""The video autoencoder: 4 frames x 16 x 16 pixels become one latent token of C channels.

Time is coded in groups. The first frame of a clip stands alone (as a group of four copies of itself), then each four
frames make a group, so a clip of T = 4k+1 frames becomes F = k+1 latent frames and an image is a clip of one frame.
The encoder looks at one group at a time: a latent frame never depends on its neighbours, so any window of a clip has
the same latents as the clip. The decoder also looks at the groups before and after, for what moves through a group
says where it is at the borders; at an end, which a stream always has, a group is its own neighbour.

A linear branch carries what is linear from the first step: principal components of the patches on the way in, and on
the way out the best linear guess of a group from its own latents and its neighbours'. Convolutions add the rest, and a
filter without weights takes out what is left of the borders between patches and groups (deblock.py). The smallest
model's encoder is the linear branch alone (`learned=False`): its latents are fixed before any training, so the
transformer can start at once and the decoder can get better later without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .deblock import across_groups, across_patches

GROUP = 4  #: frames per latent frame
PATCH = 16  #: pixels per latent row and column
REACH = 2  #: groups on either side that the decoder sees of a group: its two `Neighbours`
SEEN = REACH + 1  #: groups on either side that a drawn one depends on: the filter sees its neighbours' frames


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    latent: int = 64
    width: int = 64
    learned: bool = True  # whether the encoder has convolutions besides its linear branch


def groups_of(video_BCTHW: Tensor) -> Tensor:
    """[B, 3, 4k+1, H, W] -> [B, k+1, 12, H, W]; the first frame is repeated four times."""
    B, C, T, H, W = video_BCTHW.shape
    if T % GROUP != 1:
        raise ValueError(f"a clip must have {GROUP}k+1 frames, not {T}")
    if H % PATCH or W % PATCH:
        raise ValueError(f"height and width must be multiples of {PATCH}, not {H}x{W}")
    x = torch.cat([video_BCTHW[:, :, :1].expand(-1, -1, GROUP - 1, -1, -1), video_BCTHW], 2)
    groups: Tensor = x.unflatten(2, (-1, GROUP)).permute(0, 2, 3, 1, 4, 5).reshape(B, -1, GROUP * C, H, W)
    return groups


def frames_of(groups_BGCHW: Tensor) -> Tensor:
    """Inverse of `groups_of`: of the first group only its last frame is kept."""
    B, G, C, H, W = groups_BGCHW.shape
    x = groups_BGCHW.reshape(B, G * GROUP, C // GROUP, H, W).transpose(1, 2)
    return x[:, :, GROUP - 1 :]


def filtered(groups_BGCHW: Tensor, *, first: bool) -> Tensor:
    """Groups [B, G, 12, H, W] with all borders filtered, those of patches too; `first`: they begin a clip."""
    return across_groups(across_patches(groups_BGCHW, PATCH).unflatten(2, (GROUP, -1)), first=first).flatten(2, 3)


def laplacian(x: Tensor) -> Tensor:
    """Of pictures [..., H, W], how much each inner pixel differs from its four neighbours, [..., H-2, W-2]."""
    across = x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return 4 * x[..., 1:-1, 1:-1] - across - x[..., :-2, 1:-1] - x[..., 2:, 1:-1]


class Residual(nn.Module):
    """Two 3x3 convolutions with group normalisation, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        y: Tensor = x + self.conv2(F.silu(self.norm2(h)))
        return y


def with_neighbours(x: Tensor, groups: int) -> Tensor:
    """[B*G, C, h, w] -> [B*G, 3C, h, w]: itself, the group before, the group after."""
    y = x.unflatten(0, (-1, groups))
    before = torch.cat([y[:, :1], y[:, :-1]], 1).flatten(0, 1)
    after = torch.cat([y[:, 1:], y[:, -1:]], 1).flatten(0, 1)
    return torch.cat([x, before, after], 1)


class Neighbours(nn.Module):
    """Mixes in the features of the groups before and after; at the ends a group is its own neighbour."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3 * channels, channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, groups: int) -> Tensor:
        mixed: Tensor = x + self.mix(with_neighbours(x, groups))
        return mixed


class Encoder(nn.Module):
    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        w, inp = cfg.width, 3 * GROUP
        self.linear = nn.Conv2d(inp, cfg.latent, PATCH, stride=PATCH)
        self.net: nn.Sequential | None = None
        if not cfg.learned:
            return
        self.net = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(inp * 16, w, 1),
            Residual(w),
            nn.Conv2d(w, 2 * w, 2, stride=2),
            Residual(2 * w),
            nn.Conv2d(2 * w, 4 * w, 2, stride=2),
            Residual(4 * w),
            nn.Conv2d(4 * w, cfg.latent, 1),
        )
        nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.net[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        # The same as self.linear(x), as one matrix product: 16x16 kernels at stride 16 are slow on CPUs.
        y = self.project(x, self.linear.bias).float()
        return y if self.net is None else y + self.net(x).float()

    def project(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The linear branch, without its bias unless that is given: then of a change of pictures."""
        patches = F.pixel_unshuffle(x, PATCH).movedim(1, -1).contiguous()  # or the product is slow
        return F.linear(patches, self.linear.weight.flatten(1), bias).movedim(-1, 1)


class Decoder(nn.Module):
    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        w, out = cfg.width, 3 * GROUP
        self.linear = nn.Linear(3 * cfg.latent, out * PATCH**2)
        self.inp = nn.Conv2d(cfg.latent, 4 * w, 3, padding=1)
        self.around1 = Neighbours(4 * w)
        self.deep = nn.Sequential(Residual(4 * w), Residual(4 * w))
        self.up1 = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2)
        self.around2 = Neighbours(2 * w)
        self.mid = nn.Sequential(Residual(2 * w), Residual(2 * w))
        self.up2 = nn.ConvTranspose2d(2 * w, w, 2, stride=2)
        self.fine = nn.Sequential(Residual(w), Residual(w), Residual(w))
        self.out = nn.Conv2d(w, out * 16, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor, groups: int) -> Tensor:
        h = self.deep(self.around1(self.inp(z), groups))
        h = self.mid(self.around2(self.up1(h), groups))
        h = self.fine(self.up2(h))
        return self.sketch(z, groups).float() + F.pixel_shuffle(self.out(F.silu(h)), 4).float()

    def sketch(self, z: Tensor, groups: int) -> Tensor:
        """The linear branch alone."""
        patches = self.linear(with_neighbours(z, groups).movedim(1, -1).contiguous()).movedim(-1, 1)
        return F.pixel_shuffle(patches, PATCH)


class Codec(nn.Module):
    """Encodes video in [-1, 1] to latents of about unit variance and back."""

    shift: Tensor
    scale: Tensor

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.decoder = Decoder(cfg)
        self.register_buffer("shift", torch.zeros(cfg.latent))
        self.register_buffer("scale", torch.ones(cfg.latent))

    def encode_groups(self, groups_BGCHW: Tensor) -> Tensor:
        """[B, G, 12, H, W] in [-1, 1] -> latents [B, C, G, h, w]."""
        B, G = groups_BGCHW.shape[:2]
        z: Tensor = self.encoder(groups_BGCHW.flatten(0, 1)).unflatten(0, (B, G))
        z = (z - self.shift[:, None, None]) / self.scale[:, None, None]
        return z.transpose(1, 2)

    def decode_groups(self, z_BCFhw: Tensor) -> Tensor:
        """Latents [B, C, F, h, w] -> groups [B, F, 12, H, W], not filtered yet."""
        return self._drawn(z_BCFhw, self.decoder)

    def sketch_groups(self, z_BCFhw: Tensor) -> Tensor:
        """`decode_groups` by the linear branch alone: rough, and nearly for nothing."""
        return self._drawn(z_BCFhw, self.decoder.sketch)

    def _drawn(self, z_BCFhw: Tensor, draw: Callable[[Tensor, int], Tensor]) -> Tensor:
        z = z_BCFhw.transpose(1, 2) * self.scale[:, None, None] + self.shift[:, None, None]
        groups: Tensor = draw(z.flatten(0, 1), z.shape[1]).unflatten(0, z.shape[:2])
        return groups

    def change(self, groups_BCHW: Tensor) -> Tensor:
        """What a change of groups [B, 12, H, W] is in latents, [B, C, h, w], by the encoder's linear branch."""
        return self.encoder.project(groups_BCHW) / self.scale[:, None, None]

    def fineness(self) -> Tensor:
        """How fine what each latent channel draws is, [C]: the energy of its patches' Laplacian over their own."""
        patches = self.decoder.linear.weight[:, : self.cfg.latent].T.unflatten(1, (-1, PATCH, PATCH)).float()
        energy = patches.square().sum((1, 2, 3))
        fine: Tensor = laplacian(patches).square().sum((1, 2, 3)) / energy.clamp(min=1e-8)
        return fine

    def encode(self, video_BCTHW: Tensor) -> Tensor:
        """[B, 3, 4k+1, H, W] in [-1, 1] -> z [B, C, k+1, H/16, W/16]."""
        return self.encode_groups(groups_of(video_BCTHW))

    def decode(self, z_BCFhw: Tensor) -> Tensor:
        """z [B, C, F, h, w] -> video [B, 3, 4(F-1)+1, 16h, 16w], about in [-1, 1] (not clamped)."""
        return frames_of(filtered(self.decode_groups(z_BCFhw), first=True))

    def decode_pieces(self, pieces: Iterable[Tensor], most: int = 6) -> Iterator[Tensor]:
        """Latents [B, C, n, h, w] piece by piece -> video [B, 3, m, H, W] piece by piece: what `decode` makes of all
        together, up to rounding, in constant memory. A group is drawn as soon as the SEEN after it are known, at most
        `most` at once."""
        held: Tensor | None = None  # begins SEEN groups before the next one to draw, or with the first of all
        before = 0  # how many of `held` are drawn already
        first = True  # of the first group only one frame is kept
        whole = True  # whether `held` begins with it still
        ended = object()
        source = iter(pieces)
        while True:
            piece = next(source, ended)
            if isinstance(piece, Tensor):
                held = piece if held is None else torch.cat([held, piece], 2)
            if held is None:
                return
            ready = held.shape[2] - (SEEN if isinstance(piece, Tensor) else 0)
            while before < ready:
                until = min(before + most, ready)
                drawn = self.decode_groups(held[:, :, : until + SEEN])
                groups = filtered(drawn, first=whole)[:, before:until]
                video = groups.reshape(len(groups), -1, 3, *groups.shape[3:]).transpose(1, 2)
                yield video[:, :, GROUP - 1 :] if first else video
                first = False
                drop = max(0, until - SEEN)
                whole = whole and not drop
                held, before, ready = held[:, :, drop:], until - drop, ready - drop
            if not isinstance(piece, Tensor):
                return

    @torch.no_grad()
    def start_linear(self, mean_P: Tensor, basis_PC: Tensor) -> None:
        """Set the linear branch to principal components of patches laid out as [12, 16, 16] flattened."""
        kernel = basis_PC.T.reshape(self.cfg.latent, 3 * GROUP, PATCH, PATCH)
        self.encoder.linear.weight.copy_(kernel)
        self.encoder.linear.bias.copy_(-(mean_P @ basis_PC))  # type: ignore[union-attr]
        self.decoder.linear.weight.zero_()
        self.decoder.linear.weight[:, : self.cfg.latent].copy_(basis_PC)
        self.decoder.linear.bias.copy_(mean_P)

    @torch.no_grad()
    def normalise(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Scale latents by std^0.5, then all together to unit variance: large components stay larger, so that the
        layout is not decided at tiny noise levels, nor is the finest detail lifted to the same loudness
        (docs/log.md)."""
        soft = std_C.clamp(min=1e-4).sqrt()
        self.shift.copy_(mean_C)
        self.scale.copy_(soft * (std_C / soft).square().mean().sqrt())
