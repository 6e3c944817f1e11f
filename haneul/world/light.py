"""Light at a point: sun with soft shadow, ambient with contact darkening, point lights, haze and halos.

Shadows and contact darkening need no random rays: every primitive is convex and knows its closest point to any point,
so the distance between a ray towards the sun and a solid is found by alternating projection, and the ratio of that
distance to the way travelled is the visible share of the sun's disc (soft, noise-free, equal at every resolution).
"""

from __future__ import annotations

import math

from haneul.world.backdrop import GALLERY, SPACE, ground
from haneul.world.scalar import (
    P_AMBIENT,
    P_BOUNCE,
    P_FOG,
    P_GLOW,
    P_HORIZON,
    P_LIGHT_COUNT,
    P_LIGHTS,
    P_ORIGIN,
    P_PIXEL,
    P_SETTING,
    P_SOFTNESS,
    P_SUN,
    P_SUN_RGB,
    Array,
    clamp01,
    mix3,
    scalar,
)
from haneul.world.solids import closest, local_normal, normalize, to_local, to_world
from haneul.world.surfaces import METAL, material

RGB = tuple[float, float, float]
FLOOR, NOTHING = -1, -2  # instead of a geom's index
FAR = 1e9


@scalar
def sunlight(G: Array, N: int, P: Array, p: RGB, own: int) -> float:
    """Visible share of the sun's disc from p on geom `own`: 0 in full shadow, 1 in the open."""
    sun, softness, light = (P[P_SUN], P[P_SUN + 1], P[P_SUN + 2]), P[P_SOFTNESS], 1.0
    # The gallery is lit from its ceiling, inside the walls.
    largest = 2.5 if int(P[P_SETTING]) == GALLERY else FAR
    for i in range(N):
        if i == own or G[i, 20] > 0.5:
            continue
        v = (p[0] - G[i, 1], p[1] - G[i, 2], p[2] - G[i, 3])
        b, radius = v[0] * sun[0] + v[1] * sun[1] + v[2] * sun[2], G[i, 23]
        if b > radius or radius > largest:
            continue
        reach = radius + softness * max(radius - b, 0.0)
        c = v[0] * v[0] + v[1] * v[1] + v[2] * v[2] - b * b
        if c > reach * reach:
            continue
        o, d = to_local(G, i, v), to_local(G, i, sun)
        q = closest(G, i, o)
        gx, gy, gz = o[0] - q[0], o[1] - q[1], o[2] - q[2]
        away = gx * d[0] + gy * d[1] + gz * d[2]
        if away > 0.0 and away * away >= softness * softness * (gx * gx + gy * gy + gz * gz):
            continue  # the plane at q parts the solid from all rays to the disc
        t, gap = max(-b, 0.0), 0.0
        for _ in range(3):
            local = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
            q = closest(G, i, local)
            gx, gy, gz = q[0] - local[0], q[1] - local[1], q[2] - local[2]
            gap = gx * gx + gy * gy + gz * gz
            if gap < 1e-10:
                break
            t = max((q[0] - o[0]) * d[0] + (q[1] - o[1]) * d[1] + (q[2] - o[2]) * d[2], 0.0)
        if t < 1e-4:
            continue
        share = math.sqrt(gap) / (softness * t + 1e-4)
        if share < 1.0:
            light = min(light, share * share * (3.0 - 2.0 * share))
            if light < 0.01:
                return 0.0
    return light


@scalar
def openness(G: Array, N: int, p: RGB, n: RGB, own: int) -> float:
    """Ambient light left by solids close to p: the soft darkening at contacts."""
    free = 1.0
    for i in range(N):
        if i == own or G[i, 20] > 0.5:
            continue
        reach = min(1.3 * G[i, 23], 0.7)
        v = (p[0] - G[i, 1], p[1] - G[i, 2], p[2] - G[i, 3])
        far = G[i, 23] + reach
        if v[0] * v[0] + v[1] * v[1] + v[2] * v[2] > far * far:
            continue
        local = to_local(G, i, v)
        q = closest(G, i, local)
        g = to_world(G, i, (q[0] - local[0], q[1] - local[1], q[2] - local[2]))
        gap = math.sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2])
        if gap < reach:
            facing = (n[0] * g[0] + n[1] * g[1] + n[2] * g[2]) / (gap + 1e-4)
            near = 1.0 - gap / reach
            free *= 1.0 - 0.72 * near * near * clamp01(0.25 + 0.75 * facing)
    return free


@scalar
def highlight(gloss: float, cosine: float) -> float:
    """Blinn-Phong lobe, exponent 8 (gloss 0) to 128 (gloss 1)."""
    c2 = cosine * cosine
    c8 = c2 * c2 * c2 * c2
    c32 = c8 * c8 * c8 * c8
    return c8 * 0.25 * (1.0 - gloss) + c32 * c32 * c32 * c32 * gloss * 1.4 + 0.12 * c32


@scalar
def lit(G: Array, N: int, P: Array, p: RGB, d: RGB, t: float, i: int, plain: bool) -> tuple[RGB, RGB, float, RGB]:
    """Colour of what a ray meets, the normal there, its reflectance now, and the mirror's tint.

    plain: leave out shadow and contact darkening (what is seen in a mirror only).
    """
    setting, tint = int(P[P_SETTING]), (1.0, 1.0, 1.0)
    n = (0.0, 0.0, 1.0)
    if i == FLOOR:
        c, bump, mirror, glow, shine, gloss = ground(p[0], p[1], d, t, P)
    else:
        local = to_local(G, i, (p[0] - G[i, 1], p[1] - G[i, 2], p[2] - G[i, 3]))
        n = to_world(G, i, local_normal(G, i, local))
        foot = t * P[P_PIXEL] / max(0.25, -(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]))
        c, bump, mirror, glow, shine, gloss = material(G, P, i, p, n, local, foot)
        glow = max(glow, G[i, 20])
        if int(G[i, 19]) == METAL:
            tint = (0.2 + 0.8 * c[0], 0.2 + 0.8 * c[1], 0.2 + 0.8 * c[2])
    flat = n
    if bump[0] != 0.0 or bump[1] != 0.0 or bump[2] != 0.0:
        n = normalize(n[0] + bump[0], n[1] + bump[1], n[2] + bump[2])
    sun = (P[P_SUN], P[P_SUN + 1], P[P_SUN + 2])
    direct, free = n[0] * sun[0] + n[1] * sun[1] + n[2] * sun[2], 1.0
    if plain:
        direct = 0.8 * max(direct, 0.0)
    else:
        start = (p[0] + 2e-3 * flat[0], p[1] + 2e-3 * flat[1], p[2] + 2e-3 * flat[2])
        direct = direct * sunlight(G, N, P, start, i) if direct > 0.0 else 0.0
        free = openness(G, N, p, flat, i)
    if i != FLOOR and setting != SPACE:  # the floor darkens what stands on it
        free *= 1.0 - 0.42 * (0.5 - 0.5 * n[2]) * clamp01(1.0 - 1.6 * p[2])
    up = 0.5 + 0.5 * n[2]
    r, g, b = 0.0, 0.0, 0.0
    sky_part, floor_part = (0.35 + 0.65 * up) * free, (1.0 - up) * free
    r = P[P_AMBIENT] * sky_part + P[P_BOUNCE] * floor_part + P[P_SUN_RGB] * direct
    g = P[P_AMBIENT + 1] * sky_part + P[P_BOUNCE + 1] * floor_part + P[P_SUN_RGB + 1] * direct
    b = P[P_AMBIENT + 2] * sky_part + P[P_BOUNCE + 2] * floor_part + P[P_SUN_RGB + 2] * direct
    half = normalize(sun[0] - d[0], sun[1] - d[1], sun[2] - d[2])
    spark = 0.0
    if shine > 0.0 and direct > 0.0:
        spark = shine * direct * highlight(gloss, max(n[0] * half[0] + n[1] * half[1] + n[2] * half[2], 0.0))
    out = (c[0] * r + spark * P[P_SUN_RGB], c[1] * g + spark * P[P_SUN_RGB + 1], c[2] * b + spark * P[P_SUN_RGB + 2])
    if P[P_LIGHT_COUNT] > 0.0:
        out = _lamps(P, p, d, n, c, shine, gloss, free, out)
    if glow > 0.0:
        # A glowing solid is whitest where it faces the viewer, coloured at its rim, as a neon tube is.
        core = max(-(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]), 0.0)
        power = 0.95 + 0.75 * core * core
        out = mix3(out, (c[0] * power, c[1] * power, c[2] * power), clamp01(glow))
    facing = clamp01(1.0 + n[0] * d[0] + n[1] * d[1] + n[2] * d[2])
    f2 = facing * facing
    mirror = mirror + (1.0 - mirror) * 0.75 * f2 * f2 * facing if mirror > 0.0 else 0.0
    return out, n, mirror, tint


@scalar
def _lamps(P: Array, p: RGB, d: RGB, n: RGB, c: RGB, shine: float, gloss: float, free: float, out: RGB) -> RGB:
    """Add the light of the point lights, unshadowed."""
    for k in range(int(P[P_LIGHT_COUNT])):
        j = P_LIGHTS + 7 * k
        x, y, z = P[j] - p[0], P[j + 1] - p[1], P[j + 2] - p[2]
        d2 = x * x + y * y + z * z
        power = P[j + 6] / (0.35 + d2)
        if power < 0.004:
            continue
        inv = 1.0 / math.sqrt(d2 + 1e-6)
        x, y, z = x * inv, y * inv, z * inv
        wrap = clamp01(0.25 + 0.75 * (x * n[0] + y * n[1] + z * n[2])) * (0.4 + 0.6 * free)
        half = normalize(x - d[0], y - d[1], z - d[2])
        spark = shine * 0.5 * highlight(gloss, max(half[0] * n[0] + half[1] * n[1] + half[2] * n[2], 0.0))
        out = (
            out[0] + P[j + 3] * power * (c[0] * wrap + spark),
            out[1] + P[j + 4] * power * (c[1] * wrap + spark),
            out[2] + P[j + 5] * power * (c[2] * wrap + spark),
        )
    return out


@scalar
def hazed(P: Array, color: RGB, t: float, height: float) -> RGB:
    """Air between: squared distance as in mist near the ground, and everything far melts into the horizon."""
    setting = int(P[P_SETTING])
    if setting in (SPACE, GALLERY):
        return color
    x = P[P_FOG] * t * t + (t * (1.0 / 900.0)) ** 2
    if x < 1e-3:
        return color
    return mix3(color, (P[P_HORIZON], P[P_HORIZON + 1], P[P_HORIZON + 2]), 1.0 - math.exp(-x))


@scalar
def halo(P: Array, d: RGB, t: float) -> RGB:
    """Glow of the air around the point lights, integrated along the ray up to t."""
    r, g, b = 0.0, 0.0, 0.0
    for k in range(int(P[P_LIGHT_COUNT])):
        j = P_LIGHTS + 7 * k
        x, y, z = P[j] - P[P_ORIGIN], P[j + 1] - P[P_ORIGIN + 1], P[j + 2] - P[P_ORIGIN + 2]
        along = x * d[0] + y * d[1] + z * d[2]
        if along <= 0.0 or along > t + 0.6:
            continue
        away = x * x + y * y + z * z - along * along
        glow = P[P_GLOW] * P[j + 6] * 0.016 / (away + 0.06)
        r, g, b = r + P[j + 3] * glow, g + P[j + 4] * glow, b + P[j + 5] * glow
    return r, g, b
