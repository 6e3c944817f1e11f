"""The ray tracer: intersection with the geom table, light and shadow, one mirror bounce, adaptive anti-aliasing.

Shadows and contact darkening need no random rays: every primitive is convex and knows its closest point to any point,
so the distance between a ray towards the sun and a solid is found by alternating projection, and the ratio of that
distance to the way travelled is the visible share of the sun's disc (soft, noise-free, equal at every resolution).
"""

from __future__ import annotations

import math

from haneul.world.backdrop import GALLERY, SEA, SPACE, ground, sky
from haneul.world.scalar import (
    P_AMBIENT,
    P_BOUNCE,
    P_FOCAL,
    P_FOG,
    P_FORWARD,
    P_GLOW,
    P_HEIGHT,
    P_HORIZON,
    P_LIGHT_COUNT,
    P_LIGHTS,
    P_NIGHT,
    P_ORIGIN,
    P_PIXEL,
    P_RIGHT,
    P_SAMPLES,
    P_SEED,
    P_SETTING,
    P_SNOW,
    P_SOFTNESS,
    P_SUN,
    P_SUN_RGB,
    P_TIME,
    P_UP,
    P_WIDTH,
    P_WIND,
    Array,
    clamp01,
    fract,
    hash2,
    mix3,
    scalar,
)
from haneul.world.surfaces import METAL, material

RGB = tuple[float, float, float]
FLOOR, NOTHING = -1, -2  # instead of a geom's index
FAR = 1e9


@scalar
def to_local(G: Array, i: int, v: RGB) -> RGB:
    """World vector to the axes of geom i."""
    return (
        v[0] * G[i, 4] + v[1] * G[i, 7] + v[2] * G[i, 10],
        v[0] * G[i, 5] + v[1] * G[i, 8] + v[2] * G[i, 11],
        v[0] * G[i, 6] + v[1] * G[i, 9] + v[2] * G[i, 12],
    )


@scalar
def to_world(G: Array, i: int, v: RGB) -> RGB:
    return (
        v[0] * G[i, 4] + v[1] * G[i, 5] + v[2] * G[i, 6],
        v[0] * G[i, 7] + v[1] * G[i, 8] + v[2] * G[i, 9],
        v[0] * G[i, 10] + v[1] * G[i, 11] + v[2] * G[i, 12],
    )


@scalar
def normalize(x: float, y: float, z: float) -> RGB:
    k = 1.0 / math.sqrt(x * x + y * y + z * z + 1e-20)
    return x * k, y * k, z * k


@scalar
def _slabs(o: RGB, d: RGB, sx: float, sy: float, sz: float) -> float:
    """Distance to a box around the origin from outside, or -1."""
    mx = 1.0 / (d[0] if abs(d[0]) > 1e-9 else 1e-9)
    my = 1.0 / (d[1] if abs(d[1]) > 1e-9 else 1e-9)
    mz = 1.0 / (d[2] if abs(d[2]) > 1e-9 else 1e-9)
    kx, ky, kz = abs(mx) * sx, abs(my) * sy, abs(mz) * sz
    near = max(max(-mx * o[0] - kx, -my * o[1] - ky), -mz * o[2] - kz)
    far = min(min(-mx * o[0] + kx, -my * o[1] + ky), -mz * o[2] + kz)
    return near if 0.0 < near < far else -1.0


@scalar
def _sphere(o: RGB, d: RGB, sx: float, sy: float, sz: float) -> float:
    p, q = (o[0] / sx, o[1] / sy, o[2] / sz), (d[0] / sx, d[1] / sy, d[2] / sz)
    a = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
    b = p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
    h = b * b - a * (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] - 1.0)
    return (-b - math.sqrt(h)) / a if h > 0.0 else -1.0


@scalar
def _tube(o: RGB, d: RGB, radius: float, half: float, capped: bool) -> float:
    """Cylinder (capped) or capsule along z."""
    a, b = d[0] * d[0] + d[1] * d[1] + 1e-18, o[0] * d[0] + o[1] * d[1]
    h = b * b - a * (o[0] * o[0] + o[1] * o[1] - radius * radius)
    if h <= 0.0:
        return -1.0
    t = (-b - math.sqrt(h)) / a
    z = o[2] + t * d[2]
    if abs(z) <= half:
        return t
    end = half if z > 0.0 else -half
    if capped:
        t = (end - o[2]) / (d[2] if abs(d[2]) > 1e-12 else 1e-12)
        x, y = o[0] + t * d[0], o[1] + t * d[1]
        return t if x * x + y * y < radius * radius else -1.0
    b = o[0] * d[0] + o[1] * d[1] + (o[2] - end) * d[2]
    h = b * b - (o[0] * o[0] + o[1] * o[1] + (o[2] - end) * (o[2] - end)) + radius * radius
    return -b - math.sqrt(h) if h > 0.0 else -1.0


@scalar
def hit(G: Array, i: int, o: RGB, d: RGB) -> float:
    """Distance from o along d to the surface of geom i seen from outside, or -1."""
    v = (o[0] - G[i, 1], o[1] - G[i, 2], o[2] - G[i, 3])
    b, c = v[0] * d[0] + v[1] * d[1] + v[2] * d[2], v[0] * v[0] + v[1] * v[1] + v[2] * v[2] - G[i, 23] * G[i, 23]
    if c > 0.0 and (b > 0.0 or b * b < c):
        return -1.0
    kind = int(G[i, 0])
    if kind == 0:
        h = b * b - (c + G[i, 23] * G[i, 23] - G[i, 13] * G[i, 13])
        return -b - math.sqrt(h) if h > 0.0 else -1.0
    p, q = to_local(G, i, v), to_local(G, i, d)
    if kind == 1:
        return _slabs(p, q, G[i, 13], G[i, 14], G[i, 15])
    if kind == 4:
        return _sphere(p, q, G[i, 13], G[i, 14], G[i, 15])
    return _tube(p, q, G[i, 13], G[i, 14], kind == 2)


@scalar
def local_normal(G: Array, i: int, l: RGB) -> RGB:
    """Outward normal, in local axes, at local surface point l of geom i."""
    kind = int(G[i, 0])
    if kind == 1:
        x, y, z = l[0] / G[i, 13], l[1] / G[i, 14], l[2] / G[i, 15]
        ax, ay, az = abs(x), abs(y), abs(z)
        if ax > ay and ax > az:
            return (1.0 if x > 0.0 else -1.0), 0.0, 0.0
        if ay > az:
            return 0.0, (1.0 if y > 0.0 else -1.0), 0.0
        return 0.0, 0.0, (1.0 if z > 0.0 else -1.0)
    if kind == 4:
        return normalize(l[0] / (G[i, 13] * G[i, 13]), l[1] / (G[i, 14] * G[i, 14]), l[2] / (G[i, 15] * G[i, 15]))
    if kind == 0:
        return normalize(l[0], l[1], l[2])
    half = G[i, 14]
    if kind == 2:
        if abs(l[2]) > half * (1.0 - 1e-6):
            return 0.0, 0.0, (1.0 if l[2] > 0.0 else -1.0)
        return normalize(l[0], l[1], 0.0)
    return normalize(l[0], l[1], l[2] - min(max(l[2], -half), half))


@scalar
def closest(G: Array, i: int, l: RGB) -> RGB:
    """The point of solid i that is closest to l, both in local axes (l itself inside)."""
    kind = int(G[i, 0])
    if kind == 1:
        sx, sy, sz = G[i, 13], G[i, 14], G[i, 15]
        return min(max(l[0], -sx), sx), min(max(l[1], -sy), sy), min(max(l[2], -sz), sz)
    if kind == 0:
        k = min(1.0, G[i, 13] / math.sqrt(l[0] * l[0] + l[1] * l[1] + l[2] * l[2] + 1e-12))
        return l[0] * k, l[1] * k, l[2] * k
    if kind == 4:  # along the line to the centre: close enough for shadows
        x, y, z = l[0] / G[i, 13], l[1] / G[i, 14], l[2] / G[i, 15]
        k = min(1.0, 1.0 / math.sqrt(x * x + y * y + z * z + 1e-12))
        return l[0] * k, l[1] * k, l[2] * k
    z = min(max(l[2], -G[i, 14]), G[i, 14])
    if kind == 2:
        k = min(1.0, G[i, 13] / math.sqrt(l[0] * l[0] + l[1] * l[1] + 1e-12))
        return l[0] * k, l[1] * k, z
    k = min(1.0, G[i, 13] / math.sqrt(l[0] * l[0] + l[1] * l[1] + (l[2] - z) * (l[2] - z) + 1e-12))
    return l[0] * k, l[1] * k, z + (l[2] - z) * k


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
            l = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
            q = closest(G, i, l)
            gx, gy, gz = q[0] - l[0], q[1] - l[1], q[2] - l[2]
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
        l = to_local(G, i, v)
        q = closest(G, i, l)
        g = to_world(G, i, (q[0] - l[0], q[1] - l[1], q[2] - l[2]))
        gap = math.sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2])
        if gap < reach:
            facing = (n[0] * g[0] + n[1] * g[1] + n[2] * g[2]) / (gap + 1e-4)
            near = 1.0 - gap / reach
            free *= 1.0 - 0.72 * near * near * clamp01(0.25 + 0.75 * facing)
    return free


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
def highlight(gloss: float, cosine: float) -> float:
    """Blinn-Phong lobe, exponent 8 (gloss 0) to 128 (gloss 1)."""
    c2 = cosine * cosine
    c8 = c2 * c2 * c2 * c2
    c32 = c8 * c8 * c8 * c8
    return c8 * 0.25 * (1.0 - gloss) + c32 * c32 * c32 * c32 * gloss * 1.4 + 0.12 * c32


@scalar
def lit(
    G: Array, N: int, P: Array, p: RGB, d: RGB, t: float, i: int, plain: bool
) -> tuple[RGB, RGB, float, RGB]:
    """Colour of what a ray meets, the normal there, its reflectance now, and the mirror's tint.

    plain: leave out shadow and contact darkening (what is seen in a mirror only).
    """
    setting, tint = int(P[P_SETTING]), (1.0, 1.0, 1.0)
    n = (0.0, 0.0, 1.0)
    if i == FLOOR:
        c, bump, mirror, glow, shine, gloss = ground(p[0], p[1], d, t, P)
    else:
        l = to_local(G, i, (p[0] - G[i, 1], p[1] - G[i, 2], p[2] - G[i, 3]))
        n = to_world(G, i, local_normal(G, i, l))
        foot = t * P[P_PIXEL] / max(0.25, -(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]))
        c, bump, mirror, glow, shine, gloss = material(G, P, i, p, n, l, foot)
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
    if setting == SPACE or setting == GALLERY:
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


@scalar
def develop(x: float) -> float:
    """Linear light to display value in [0, 1]: extended Reinhard (white at 3.2), then gamma 2."""
    x = 1.18 * max(x, 0.0)
    return math.sqrt(min(x * (1.0 + x * (1.0 / 10.24)) / (1.0 + 0.80 * x), 1.0))


@scalar
def vivid(c: RGB) -> RGB:
    """The tone curve bleaches; give colour back before it."""
    l = 0.16 * (0.30 * c[0] + 0.59 * c[1] + 0.11 * c[2])
    return 1.16 * c[0] - l, 1.16 * c[1] - l, 1.16 * c[2] - l


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
def sample(G: Array, N: int, P: Array, bounds: Array, x: float, y: float) -> tuple[float, float, float, float, int, int]:
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
    G: Array, N: int, P: Array, bounds: Array, x: int, y: int, row: int, col: int, color: Array, depth: Array, key: Array
) -> None:
    """One sample at the centre of full-frame pixel (x, y), stored at [row, col]."""
    r, g, b, t, i, face = sample(G, N, P, bounds, x + 0.5, y + 0.5)
    color[row, col, 0], color[row, col, 1], color[row, col, 2] = r, g, b
    depth[row, col] = t
    key[row, col] = (i + 2) * 128 + face


@scalar
def _differs(color: Array, key: Array, row: int, col: int, r2: int, c2: int) -> bool:
    change = (
        abs(color[row, col, 0] - color[r2, c2, 0])
        + abs(color[row, col, 1] - color[r2, c2, 1])
        + abs(color[row, col, 2] - color[r2, c2, 2])
    )
    return bool(change > (0.08 if key[row, col] != key[r2, c2] else 0.22))


@scalar
def second_pass(
    G: Array, N: int, P: Array, bounds: Array, x: int, y: int, row: int, col: int,
    color: Array, depth: Array, key: Array, out: Array,
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

