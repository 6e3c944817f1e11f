"""Pixels of the ray tracer: camera rays, what they hit, one mirror bounce, adaptive anti-aliasing, falling snow."""

from __future__ import annotations

import math

from haneul.world.backdrop import SEA, SPACE, sky
from haneul.world.light import FAR, FLOOR, NOTHING, halo, hazed, lit
from haneul.world.scalar import (
    P_BOUNCE,
    P_FOCAL,
    P_FORWARD,
    P_GLOW,
    P_HEIGHT,
    P_NIGHT,
    P_ORIGIN,
    P_PIXEL,
    P_RIGHT,
    P_SAMPLES,
    P_SEED,
    P_SETTING,
    P_SNOW,
    P_TIME,
    P_UP,
    P_WIDTH,
    P_WIND,
    Array,
    Keys,
    fract,
    hash2,
    scalar,
)
from haneul.world.solids import hit, normalize

RGB = tuple[float, float, float]


@scalar
def nearest(G: Array, N: int, P: Array, o: RGB, d: RGB, own: int) -> tuple[float, int]:
    """First hit of a secondary ray that starts on geom `own`."""
    t, found = FAR, NOTHING
    if d[2] < -1e-5 and o[2] > 0.0 and own != FLOOR and int(P[P_SETTING]) != SPACE:
        t, found = -o[2] / d[2], FLOOR
    for i in range(N):
        if i != own:
            x = hit(G, i, o, d)
            if 1e-4 < x < t:
                t, found = x, i
    return t, found


@scalar
def primary(G: Array, N: int, P: Array, bounds: Array, u: float, v: float, d: RGB) -> tuple[float, int]:
    """First hit of the camera ray through (u, v); geoms whose screen bounds miss it are not tried."""
    t, found = FAR, NOTHING
    o = (P[P_ORIGIN], P[P_ORIGIN + 1], P[P_ORIGIN + 2])
    if d[2] < -1e-5 and o[2] > 0.0 and int(P[P_SETTING]) != SPACE:
        t, found = -o[2] / d[2], FLOOR
    for i in range(N):
        if bounds[i, 0] <= u <= bounds[i, 1] and bounds[i, 2] <= v <= bounds[i, 3]:
            x = hit(G, i, o, d)
            if 1e-4 < x < t:
                t, found = x, i
    return t, found


@scalar
def develop(x: float) -> float:
    """Linear light to display value in [0, 1]: extended Reinhard (white at 3.2), then gamma 2."""
    x = 1.18 * max(x, 0.0)
    return math.sqrt(min(x * (1.0 + x * (1.0 / 10.24)) / (1.0 + 0.80 * x), 1.0))


@scalar
def vivid(c: RGB) -> RGB:
    """The tone curve bleaches; give colour back before it."""
    grey = 0.16 * (0.30 * c[0] + 0.59 * c[1] + 0.11 * c[2])
    return 1.16 * c[0] - grey, 1.16 * c[1] - grey, 1.16 * c[2] - grey


@scalar
def camera_ray(P: Array, x: float, y: float) -> tuple[float, float, RGB]:
    """Screen position (u right, v up; v spans -1..1) and direction of the ray through pixel position (x, y)."""
    u, v = (2.0 * x - P[P_WIDTH]) / P[P_HEIGHT], (P[P_HEIGHT] - 2.0 * y) / P[P_HEIGHT]
    f = P[P_FOCAL]
    d = normalize(
        P[P_FORWARD] * f + P[P_RIGHT] * u + P[P_UP] * v,
        P[P_FORWARD + 1] * f + P[P_RIGHT + 1] * u + P[P_UP + 1] * v,
        P[P_FORWARD + 2] * f + P[P_RIGHT + 2] * u + P[P_UP + 2] * v,
    )
    return u, v, d


@scalar
def sample(
    G: Array, N: int, P: Array, bounds: Array, x: float, y: float
) -> tuple[float, float, float, float, int, int]:
    """Trace pixel position (x, y): display RGB, distance, index of what was hit, and its face (for edges)."""
    u, v, d = camera_ray(P, x, y)
    o = (P[P_ORIGIN], P[P_ORIGIN + 1], P[P_ORIGIN + 2])
    t, i = primary(G, N, P, bounds, u, v, d)
    face = 0
    if i == NOTHING:
        color = sky(d, P)
    else:
        p = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
        color, n, mirror, tint = lit(G, N, P, p, d, t, i, False)
        if i >= 0:
            face = int(4.5 + 2.0 * n[0]) + 9 * int(4.5 + 2.0 * n[1]) if int(G[i, 0]) == 1 else 0
        if mirror > 0.02:
            color = _mirrored(G, N, P, p, d, t, i, n, mirror, tint, color)
        color = hazed(P, color, t, p[2])
    if P[P_GLOW] > 0.0:
        h = halo(P, d, t)
        color = (color[0] + h[0], color[1] + h[1], color[2] + h[2])
    color = vivid(color)
    return develop(color[0]), develop(color[1]), develop(color[2]), t, i, face


@scalar
def _mirrored(
    G: Array, N: int, P: Array, p: RGB, d: RGB, t: float, i: int, n: RGB, mirror: float, tint: RGB, color: RGB
) -> RGB:
    """Mix in what the surface mirrors: one bounce."""
    k = -2.0 * (d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
    x, y, z = d[0] + k * n[0], d[1] + k * n[1], d[2] + k * n[2]
    setting = int(P[P_SETTING])
    if i == FLOOR:
        z = abs(z)
        if setting == SEA:  # slopes that face the viewer dominate at grazing angles: higher, bluer sky
            z += 0.16
    r = normalize(x, y, z)
    if mirror < 0.075 and i != FLOOR:  # a faint gloss mirrors the sky only
        seen = sky(r, P) if r[2] > 0.0 or setting == SPACE else (P[P_BOUNCE], P[P_BOUNCE + 1], P[P_BOUNCE + 2])
    else:
        far, j = nearest(G, N, P, p, r, i)
        if j == NOTHING:
            seen = sky(r, P)
        else:
            q = (p[0] + far * r[0], p[1] + far * r[1], p[2] + far * r[2])
            seen, _, _, _ = lit(G, N, P, q, r, t + far, j, True)
            seen = hazed(P, seen, far, q[2])
        if i == FLOOR and setting != SEA:  # polish and water films are rough: what is far from them blurs away
            mirror = mirror / (1.0 + 0.35 * min(far, 12.0))
    seen = (min(seen[0], 1.6), min(seen[1], 1.6), min(seen[2], 1.6))  # no hard spot from the sun's disc
    return (
        color[0] + mirror * (seen[0] * tint[0] - color[0]),
        color[1] + mirror * (seen[1] * tint[1] - color[1]),
        color[2] + mirror * (seen[2] * tint[2] - color[2]),
    )


@scalar
def first_pass(
    G: Array, N: int, P: Array, bounds: Array, x: int, y: int, row: int, col: int, color: Array, depth: Array, key: Keys
) -> None:
    """One sample at the centre of full-frame pixel (x, y), stored at [row, col]."""
    r, g, b, t, i, face = sample(G, N, P, bounds, x + 0.5, y + 0.5)
    color[row, col, 0], color[row, col, 1], color[row, col, 2] = r, g, b
    depth[row, col] = t
    key[row, col] = (i + 2) * 128 + face


@scalar
def _differs(color: Array, key: Keys, row: int, col: int, r2: int, c2: int) -> bool:
    change = (
        abs(color[row, col, 0] - color[r2, c2, 0])
        + abs(color[row, col, 1] - color[r2, c2, 1])
        + abs(color[row, col, 2] - color[r2, c2, 2])
    )
    return bool(change > (0.08 if key[row, col] != key[r2, c2] else 0.22))


@scalar
def second_pass(
    G: Array, N: int, P: Array, bounds: Array, x: int, y: int, row: int, col: int,
    color: Array, depth: Array, key: Keys, out: Array,
) -> None:  # fmt: skip
    """Anti-aliased colour of full-frame pixel (x, y): more samples where a neighbour differs, then falling snow."""
    rows, cols = key.shape[0], key.shape[1]
    r, g, b = color[row, col, 0], color[row, col, 1], color[row, col, 2]
    edge = (
        (row > 0 and _differs(color, key, row, col, row - 1, col))
        or (row + 1 < rows and _differs(color, key, row, col, row + 1, col))
        or (col > 0 and _differs(color, key, row, col, row, col - 1))
        or (col + 1 < cols and _differs(color, key, row, col, row, col + 1))
    )
    if edge:
        count = int(P[P_SAMPLES])
        for k in range(count):
            # An additive recurrence fills the pixel evenly for any count (R2 sequence, M. Roberts 2018).
            ox, oy = fract(0.5 + 0.7548776662 * (k + 1)), fract(0.5 + 0.5698402910 * (k + 1))
            sr, sg, sb, _, _, _ = sample(G, N, P, bounds, x + ox, y + oy)
            r, g, b = r + sr, g + sg, b + sb
        inv = 1.0 / (count + 1)
        r, g, b = r * inv, g * inv, b * inv
    if P[P_SNOW] > 0.0:
        flake = snowfall(P, x + 0.5, y + 0.5, depth[row, col])
        white = 0.93 - 0.25 * P[P_NIGHT]
        r, g, b = r + (white - r) * flake, g + (white - g) * flake, b + (white - b) * flake
    out[row, col, 0], out[row, col, 1], out[row, col, 2] = r, g, b


@scalar
def snowfall(P: Array, x: float, y: float, t: float) -> float:
    """Cover by falling flakes: layers of cells on upright cylinders around the viewer, hidden by what is closer."""
    _, _, d = camera_ray(P, x, y)
    across = math.sqrt(d[0] * d[0] + d[1] * d[1]) + 1e-6
    angle, cover = math.atan2(d[0], d[1]), 0.0
    for k in range(4):
        radius = 1.6 + 1.3 * k
        if radius / across > t:
            break
        cell = 0.34
        wind = P[P_WIND] * 0.5 + 0.12 * math.sin(0.9 * P[P_TIME] + 2.0 * k)
        u = (angle * radius - wind * P[P_TIME] + 0.37 * k) / cell
        v = (P[P_ORIGIN + 2] + radius * d[2] / across + (0.80 - 0.06 * k) * P[P_TIME]) / cell
        iu, iv = math.floor(u), math.floor(v)
        if hash2(int(iu) + 71 * k, int(iv) + int(997.0 * P[P_SEED])) > 0.75 * P[P_SNOW]:
            continue
        cx, cy = 0.3 + 0.4 * hash2(int(iu), int(iv) + 7 * k), 0.3 + 0.4 * hash2(int(iu) + 3, int(iv) + k)
        size, pixel = 0.026, radius * P[P_PIXEL]
        soft = max(size, 0.9 * pixel)
        du, dv = (u - iu - cx) * cell, (v - iv - cy) * cell
        near = 1.0 - (du * du + dv * dv) / (soft * soft)
        if near > 0.0:
            cover = max(cover, near * (2.0 - near) * 0.85 * min(1.0, 1.4 * (size / soft) * (size / soft)))
    return cover
