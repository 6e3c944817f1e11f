"""What solids are made of: albedo, bumps, reflection and glow of every entry of SURFACES.

Textures live in each geom's local coordinates (building and brick: in the world's), so they travel with the object.
"""

from __future__ import annotations

import math
from typing import Final

from haneul.world.paintings import picture
from haneul.world.scalar import (
    P_DETAIL,
    P_NIGHT,
    P_SETTING,
    Array,
    cell,
    clamp01,
    fade,
    fbm2,
    fract,
    hash2,
    hue,
    mix3,
    noise2,
    noise3,
    pulse,
    scalar,
    scale3,
    smooth,
)
from haneul.world.vocabulary import SETTINGS

RGB = tuple[float, float, float]
#: albedo, bump to add to the normal, reflection at normal incidence, emission 0..1, highlight strength, gloss 0..1
Material = tuple[RGB, RGB, float, float, float, float]

#: Material names; a geom's GEOM_MATERIAL column holds the index. The first six are vocabulary.MATERIALS.
SURFACES: Final = (
    "plastic",
    "rubber",
    "wood",
    "metal",
    "marble",
    "neon",
    "plaster",
    "brick",
    "foliage",
    "bark",
    "painting",  # frame and picture; manner = WORKS[int(6 * seed)]
    "building",  # wall with a grid of windows, lit at night
    "sign",  # glowing panel with bars and glyph-like blocks
    "stripes",  # beach ball: white against the geom's colour
    "glass",  # dark visor or windscreen
    "leaf",
    "cloth",
    "snow-capped",  # the geom's colour below, snow on what faces up
)
CITY: Final = SETTINGS.index("cyberpunk city")
METAL: Final = SURFACES.index("metal")
_PLASTIC, _RUBBER, _WOOD, _MARBLE, _NEON, _PLASTER, _BRICK, _FOLIAGE, _BARK, _PAINTING, _BUILDING, _SIGN = (
    0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12,
)  # fmt: skip
_STRIPES, _GLASS, _LEAF, _CLOTH = 13, 14, 15, 16


@scalar
def _wood(c: RGB, at: RGB, seed: float, radius: float, foot: float, detail: float) -> Material:
    """Growth rings around the local x axis, drawn out along it: about as many on a small thing as on a large one."""
    number = min(max(2.1 / radius, 2.0), 14.0)  # rings per metre
    wave = 0.07 * noise2(1.5 * at[0] + 31.0 * seed, 6.0 * (at[1] + at[2]))
    y, z = at[1] + 0.11, at[2] + 0.07
    rings = number * (math.sqrt(y * y + z * z) + wave)
    keep = fade(number * foot)
    early = fract(rings)  # light early wood that darkens slowly, then ends sharply
    ring = (early * early + (1.0 - smooth(0.0, 0.12, early)) - 0.40) * keep
    fibre = fbm2(6.0 * at[0], 45.0 * (at[1] + 0.7 * at[2]), 45.0 * foot)
    base = mix3(c, (0.30, 0.15, 0.06), clamp01(0.26 + 0.55 * ring))
    k = 1.06 - (0.46 + 0.10 * detail) * ring + 0.25 * detail * fibre
    return (base[0] * k, base[1] * k, base[2] * k), (0.0, 0.0, 0.0), 0.0, 0.0, 0.15, 0.3


@scalar
def _marble(c: RGB, at: RGB, seed: float, foot: float) -> Material:
    x, y, z = at[0] + 9.0 * seed, at[1], at[2]
    warp = noise3(3.0 * x, 3.0 * y, 3.0 * z)
    fine = noise3(8.0 * x, 8.0 * y, 8.0 * z) * fade(8.0 * foot)
    vein = abs(math.sin(5.0 * x + 3.6 * y + 4.4 * z + 2.6 * warp + 0.8 * fine))
    line = (1.0 - smooth(0.02, 0.30, vein)) * (0.55 + 0.45 * warp) * fade(2.5 * foot)
    cloud = 0.5 + 0.5 * warp
    base = mix3(c, (0.82, 0.80, 0.78), 0.25 + 0.20 * cloud)
    dark = mix3((0.10, 0.09, 0.10), c, 0.25)
    if c[0] + c[1] + c[2] < 0.3:  # black marble has white veins
        dark = (0.75, 0.73, 0.68)
        base = mix3(c, (0.20, 0.20, 0.22), 0.4 * cloud)
    return mix3(base, dark, 0.85 * line), (0.0, 0.0, 0.0), 0.06, 0.0, 0.8, 1.0


@scalar
def _brick(p: RGB, n: RGB, foot: float, detail: float) -> Material:
    along = p[1] if abs(n[0]) > 0.5 else p[0]
    x, z = 1.9 * along, 4.6 * (p[2] if abs(n[2]) < 0.7 else p[1])
    row = math.floor(z)
    x = x + 0.5 * (row - 2.0 * math.floor(0.5 * row))
    tone = (hash2(cell(x), int(row)) - 0.5) * fade(1.2 * 2.5 * foot)
    mortar = max(pulse(x + 0.04, 1.9 * foot, 0.08), pulse(z + 0.07, 4.6 * foot, 0.14))
    k = 1.0 + 0.45 * (0.35 + 0.65 * detail) * tone
    face = (0.46 * k, 0.175 * k, 0.105 * k)
    return mix3(face, (0.48, 0.44, 0.40), mortar * (0.35 + 0.55 * detail)), (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0


@scalar
def _foliage(c: RGB, at: RGB, foot: float, detail: float) -> Material:
    big, small = noise3(4.0 * at[0], 4.0 * at[1], 4.0 * at[2]), 0.0
    keep = fade(4.0 * foot)
    if foot < 0.06:
        small = noise3(13.0 * at[0], 13.0 * at[1], 13.0 * at[2]) * fade(13.0 * foot)
    a = (0.25 + 0.75 * detail) * 0.9
    k = 1.0 + a * (0.32 * big * keep + 0.45 * small)
    tip = clamp01(0.35 * big + 0.5 * small) * a
    bump = (a * 0.5 * small, a * 0.5 * big * keep, a * 0.4 * small)
    return (c[0] * k + 0.05 * tip, c[1] * k + 0.05 * tip, c[2] * k), bump, 0.0, 0.0, 0.0, 0.0


@scalar
def _painting(at: RGB, s: RGB, seed: float, foot: float) -> Material:
    """Picture on the box's large faces (thin axis y or x), golden frame around it."""
    u, v, w, h = at[0] / s[0], at[2] / s[2], s[0], s[2]
    flat = abs(at[1]) > 0.98 * s[1]
    if s[0] < s[1]:
        u, w = at[1] / s[1], s[1]
        flat = abs(at[0]) > 0.98 * s[0]
    border = 0.09 * (w + h)  # metres of frame
    inner_u, inner_v = 1.0 - border / w, 1.0 - border / h
    edge = max((abs(u) - inner_u) * w, (abs(v) - inner_v) * h)
    frame = smooth(-0.6 * foot, 0.6 * foot, edge)
    lip = 0.75 + 0.35 * math.cos(9.0 * edge / border)
    gold = (0.50 * lip, 0.33 * lip, 0.10 * lip)
    if not flat or frame >= 1.0:
        return gold, (0.0, 0.0, 0.0), 0.0, 0.0, 0.35, 0.5
    art = picture(u / inner_u, v / inner_v, seed, foot / min(w, h))
    return mix3(art, gold, frame), (0.0, 0.0, 0.0), 0.0, 0.12, 0.05, 0.0


@scalar
def _building(c: RGB, p: RGB, n: RGB, seed: float, foot: float, detail: float, night: float, city: bool) -> Material:
    if abs(n[2]) > 0.7:
        return scale3(c, 0.6), (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0
    x = 1.15 * (p[1] if abs(n[0]) > 0.5 else p[0])
    z = 0.95 * p[2]
    pane = pulse(x + 0.2, 1.15 * foot, 0.55) * pulse(z + 0.22, 0.95 * foot, 0.50)
    ix, iz = cell(x + 0.2), cell(z + 0.22)
    s = int(997.0 * seed)
    lit = 1.0 if hash2(ix + 31 * s, iz) > 0.72 else 0.0
    keep = fade(1.2 * foot)
    lit = 0.28 + (lit - 0.28) * keep
    strength = 0.16 + 0.84 * detail
    tint = mix3((1.0, 0.66, 0.30), hue(hash2(ix + s, iz + 77)), 0.25 * keep)
    if city:
        tint = (0.25, 0.85, 0.90) if hash2(ix + s, iz + 78) > 0.4 else (0.95, 0.30, 0.80)
    glow = pane * lit * strength * (0.10 + 0.90 * night)
    glass = mix3(c, (0.06, 0.09, 0.13), pane * (0.12 + 0.6 * detail))
    return mix3(glass, tint, min(1.0, 1.6 * glow)), (0.0, 0.0, 0.0), 0.0, 0.62 * glow, 0.0, 0.0


@scalar
def _sign(c: RGB, at: RGB, s: RGB, seed: float, foot: float) -> Material:
    """A glowing frame, one bar, and rows of blocks that read as writing in no language."""
    w = s[1] if s[0] < s[1] else s[0]
    u = (at[1] if s[0] < s[1] else at[0]) / w
    v, f = at[2] / s[2], foot / min(w, s[2])
    n = int(997.0 * seed)
    tall = s[2] > 1.2 * w
    columns, rows = (2.0, 5.0) if tall else (5.0, 2.0)
    x, y = 0.5 * (u / 0.80 + 1.0) * columns, 0.5 * (v / 0.80 + 1.0) * rows
    ix, iy = math.floor(x), math.floor(y)
    on = 0.0
    if abs(u) < 0.80 and abs(v) < 0.80:
        gx, gy = math.floor(3.0 * (x - ix)), math.floor(3.0 * (y - iy))
        stroke = 1.0 if hash2(n + int(3.0 * ix + gx), int(3.0 * iy + gy) + 5 * n) > 0.42 else 0.0
        gap = pulse(x + 0.08, 0.6 * columns * f, 0.84) * pulse(y + 0.10, 0.6 * rows * f, 0.80)
        keep = fade(1.2 * max(columns, rows) * f)
        on = gap * (0.58 + (stroke - 0.58) * keep)
    rim = smooth(0.86 - f, 0.86 + f, max(abs(u), abs(v))) * (
        1.0 - 0.6 * smooth(0.96 - f, 0.96 + f, max(abs(u), abs(v)))
    )
    on = max(on, rim)
    base = (0.03 + 0.10 * c[0], 0.03 + 0.10 * c[1], 0.04 + 0.10 * c[2])
    peak = max(max(c[0], c[1]), max(c[2], 0.05))
    bright = (c[0] / peak + 0.08, c[1] / peak + 0.08, c[2] / peak + 0.08)
    return mix3(base, bright, on), (0.0, 0.0, 0.0), 0.0, 0.15 + 0.80 * on, 0.2, 0.6


@scalar
def _stripes_ball(c: RGB, at: RGB, s: RGB, foot: float) -> Material:
    angle = math.atan2(at[1], at[0]) * (3.0 / math.pi)
    radius = max(math.sqrt(at[0] * at[0] + at[1] * at[1]), 0.02)
    white = pulse(0.5 * angle, 0.5 * foot / radius, 0.5)
    pole = smooth(0.90, 0.94, abs(at[2]) / max(s[0], 1e-3))
    return mix3(mix3(c, (0.86, 0.85, 0.82), white), (0.86, 0.85, 0.82), pole), (0.0, 0.0, 0.0), 0.035, 0.0, 0.6, 1.0


@scalar
def _plain(kind: int, c: RGB, at: RGB, n: RGB, seed: float, foot: float, detail: float) -> Material:
    """The surfaces that need no pattern of their own, or a slight one."""
    none = (0.0, 0.0, 0.0)
    if kind == _PLASTIC:
        return c, none, 0.045, 0.0, 1.0, 1.0
    if kind == _RUBBER:
        dull = mix3(c, (0.13, 0.13, 0.13), 0.22)
        grain = 1.0 + 0.10 * noise3(40.0 * at[0], 40.0 * at[1], 40.0 * at[2]) * fade(40.0 * foot)
        return scale3(dull, 0.80 * grain), none, 0.0, 0.0, 0.05, 0.0
    if kind == METAL:
        brushed = 0.5 * fbm2(3.0 * at[0], 60.0 * at[2] + 20.0 * at[1], 60.0 * foot)
        return scale3(c, 1.0 + 0.15 * brushed), none, 0.70, 0.0, 1.2, 0.7
    if kind == _NEON:
        peak = max(max(c[0], c[1]), max(c[2], 0.05))
        return scale3(c, 1.0 / peak), none, 0.0, 0.95, 0.0, 0.0
    if kind == _PLASTER:
        mottle = 1.0 + 0.10 * detail * fbm2(1.3 * at[0] + 1.1 * at[1], 1.3 * at[2], 1.3 * foot)
        return scale3(c, mottle), none, 0.0, 0.0, 0.0, 0.0
    if kind == _BARK:
        rough = fbm2(14.0 * (at[0] + at[1]), 3.0 * at[2], 14.0 * foot)
        return scale3(c, 1.0 + 0.7 * detail * rough), none, 0.0, 0.0, 0.0, 0.0
    if kind == _GLASS:
        return scale3(c, 0.35), none, 0.16, 0.0, 1.2, 1.0
    if kind == _LEAF:
        rib = 1.0 - 0.35 * (1.0 - smooth(0.0, 0.012 + foot, abs(at[1])))
        return scale3(c, rib), none, 0.0, 0.06, 0.15, 0.3
    if kind == _CLOTH:
        weave = 1.0 + 0.12 * detail * (checker_weave(at, foot))
        return scale3(c, weave), none, 0.0, 0.0, 0.04, 0.0
    white = smooth(0.15, 0.55, n[2] + 0.25 * noise2(5.0 * at[0] + 9.0 * seed, 5.0 * at[1]) * fade(5.0 * foot))
    return mix3(c, (0.86, 0.90, 0.96), white), none, 0.0, 0.0, 0.05, 0.0


@scalar
def checker_weave(at: RGB, foot: float) -> float:
    """Threads of a woven cloth, 120 to the metre, zero mean."""
    keep = fade(120.0 * foot)
    return keep * math.sin(380.0 * (at[0] + at[1])) * math.sin(380.0 * at[2]) if keep > 0.0 else 0.0


@scalar
def material(G: Array, P: Array, i: int, p: RGB, n: RGB, at: RGB, foot: float) -> Material:
    """Material of geom i at world point p, local point at, with world normal n; foot is a pixel's width in metres."""
    kind = int(G[i, 19])
    c, seed = (G[i, 16], G[i, 17], G[i, 18]), G[i, 22]
    s = (max(G[i, 13], 1e-3), max(G[i, 14], 1e-3), max(G[i, 15], 1e-3))  # a sphere has one size, the rest is 0
    detail = P[P_DETAIL]
    if kind == _WOOD:
        return _wood(c, at, seed, G[i, 23], foot, detail)
    if kind == _MARBLE:
        return _marble(c, at, seed, foot)
    if kind == _BRICK:
        return _brick(p, n, foot, detail)
    if kind == _FOLIAGE:
        return _foliage(c, at, foot, detail)
    if kind == _PAINTING:
        return _painting(at, s, seed, foot)
    if kind == _BUILDING:
        return _building(c, p, n, seed, foot, detail, P[P_NIGHT], int(P[P_SETTING]) == CITY)
    if kind == _SIGN:
        return _sign(c, at, s, seed, foot)
    if kind == _STRIPES:
        return _stripes_ball(c, at, s, foot)
    return _plain(kind, c, at, n, seed, foot, detail)
