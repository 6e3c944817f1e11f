"""Everything that has no geom: sky, stars, far silhouettes, and the floor of every setting.

The sky is a function of direction, the floor (z = 0) of the world's x and y. Both are band-limited by a pixel's width.
`make_environment` (colours of every setting and hour) is re-exported here.
"""

from __future__ import annotations

import math

from haneul.world.environments import make_environment
from haneul.world.scalar import (
    P_DETAIL,
    P_FOG,
    P_HORIZON,
    P_NIGHT,
    P_PIXEL,
    P_SEED,
    P_SETTING,
    P_SUN,
    P_SUN_RGB,
    P_TIME,
    P_TOP,
    Array,
    cell,
    checker,
    clamp01,
    fade,
    fbm2,
    fract,
    hash2,
    mix3,
    noise2,
    noise3,
    pulse,
    scalar,
    scale3,
    smooth,
)

__all__ = ["GALLERY", "SEA", "SPACE", "ground", "make_environment", "sky"]

RGB = tuple[float, float, float]
# Indices into vocabulary.SETTINGS.
GALLERY, STREET, DESERT, SEA, SNOW, FOREST, PLAZA, SPACE, COURTYARD, CITY = range(10)


@scalar
def _star_cell(u: float, v: float, cells: float, pixel: float, seed: int) -> float:
    """One star at most per cell; a star smaller than a pixel is drawn pixel-sized and dimmer."""
    x, y = u * cells, v * cells
    ix, iy = cell(x), cell(y)
    h = hash2(ix + seed, iy + 3 * seed)
    if h < 0.72:
        return 0.0
    cx, cy = ix + 0.25 + 0.5 * hash2(ix, iy + 11), iy + 0.25 + 0.5 * hash2(ix + 5, iy)
    size = 0.0022 * cells * (0.6 + 2.5 * (h - 0.72))
    radius = max(size, 0.85 * pixel * cells)
    d2 = ((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (radius * radius)
    if d2 >= 1.0:
        return 0.0
    return (1.0 - d2) * (1.0 - d2) * (0.35 + 2.3 * (h - 0.72)) * max((size / radius) * (size / radius), 0.30)


@scalar
def _stars(d: RGB, pixel: float, seed: float) -> float:
    """Stars on the faces of a cube around the viewer."""
    ax, ay, az = abs(d[0]), abs(d[1]), abs(d[2])
    u, v, face = d[0] / max(az, 1e-6), d[1] / max(az, 1e-6), 1
    if ax >= ay and ax >= az:
        u, v, face = d[1] / ax, d[2] / ax, 2
    elif ay >= az:
        u, v, face = d[0] / ay, d[2] / ay, 3
    s = 100 * face + int(50.0 * seed)
    return _star_cell(u, v, 9.0, pixel, s) + 0.6 * _star_cell(u + 0.37, v + 0.21, 23.0, pixel, s + 7) * fade(
        60.0 * pixel
    )


@scalar
def _towers(a: float, z: float, P: Array, near: int) -> tuple[float, float]:
    """Coverage of a skyline layer at azimuth a and elevation z, and how much of it is a lit window."""
    pixel, city = P[P_PIXEL], int(P[P_SETTING]) == CITY
    width = 0.115 if near == 1 else 0.071
    x = a / width + 13.0 * P[P_SEED] + 5.0 * near
    k = cell(x)
    tall = (0.34 if city else 0.20) * (0.8 if near == 1 else 1.0)
    height = tall * (0.25 + 0.75 * hash2(k, 3 + near) * hash2(k, 9 + near)) + 0.02
    other = math.floor(x + 0.5)  # nearest wall between two towers: blends over a pixel
    side = k - 1 if other == k else k + 1
    height2 = tall * (0.25 + 0.75 * hash2(side, 3 + near) * hash2(side, 9 + near)) + 0.02
    w = clamp01(0.5 + abs(x - other) * width / pixel)
    cover = w * (1.0 - smooth(height - 0.6 * pixel, height + 0.6 * pixel, z))
    cover += (1.0 - w) * (1.0 - smooth(height2 - 0.6 * pixel, height2 + 0.6 * pixel, z))
    u, v = x * 5.0, z * 62.0
    lit = 0.30 + ((1.0 if hash2(cell(u) + 17 * near, cell(v)) > 0.70 else 0.0) - 0.30) * fade(62.0 * pixel)
    return cover, lit * pulse(u, 5.0 * pixel / width, 0.6) * pulse(v, 62.0 * pixel, 0.55)


@scalar
def _skyline(c: RGB, d: RGB, P: Array) -> RGB:
    a, z = math.atan2(d[0], d[1]), d[2]
    city = int(P[P_SETTING]) == CITY
    horizon = (P[P_HORIZON], P[P_HORIZON + 1], P[P_HORIZON + 2])
    detail, night = P[P_DETAIL], P[P_NIGHT]
    for near in range(2):
        cover, lit = _towers(a, z, P, near)
        if cover <= 0.0:
            continue
        dark = (0.020, 0.018, 0.060) if city else (0.022, 0.024, 0.040)
        body = mix3(horizon, dark, (0.42 + 0.30 * near) * (0.75 + 0.25 * night))
        glow = (0.15, 0.75, 0.80) if city and near == 1 else (1.0, 0.62, 0.35)
        if city and near == 0:
            glow = (0.95, 0.25, 0.75)
        strength = lit * (0.12 + 0.88 * detail) * (0.25 + 0.75 * night) * (0.9 if city else 0.6)
        body = mix3(body, glow, min(strength, 1.0))
        c = mix3(c, body, cover)
    return c


@scalar
def _hills(c: RGB, d: RGB, P: Array) -> RGB:
    """Far silhouettes of the open settings: two ridges, hazier behind."""
    a, z, setting, pixel, shift = math.atan2(d[0], d[1]), d[2], int(P[P_SETTING]), P[P_PIXEL], 20.0 * P[P_SEED]
    horizon = (P[P_HORIZON], P[P_HORIZON + 1], P[P_HORIZON + 2])
    sun = (P[P_SUN_RGB], P[P_SUN_RGB + 1], P[P_SUN_RGB + 2])
    detail = P[P_DETAIL]
    for near in range(2):
        x = a * (2.2 + 1.3 * near) + shift + 7.0 * near
        height = 0.055 - 0.022 * near + (0.040 - 0.012 * near) * math.sin(x) * math.sin(0.63 * x + 1.0)
        ink = (0.62, 0.42, 0.22)
        if setting == SNOW:
            ink = (0.66, 0.76, 0.90)
        elif setting == PLAZA:  # low roofs
            k = cell(a * 9.0 + shift)
            height = 0.030 + 0.030 * hash2(k, near) if near == 1 else 0.028
            ink = (0.52, 0.28, 0.18) if near == 1 else (0.30, 0.42, 0.26)
        elif setting == COURTYARD:
            k = cell(a * 5.0 + shift)
            height = 0.07 + 0.06 * hash2(k, near) if near == 1 else 0.05
            ink = (0.36, 0.15, 0.09)
        elif setting == FOREST:
            jag = (abs(2.0 * fract(a * 13.0 + 5.0 * near) - 1.0)) * (0.6 + 0.4 * noise2(a * 6.0 + shift, near))
            height = 0.150 - 0.035 * near + 0.05 * noise2(a * 3.0 + shift, 4.0 + near)
            height += (0.25 + 0.75 * detail) * (0.03 * jag + 0.02 * noise2(a * 40.0, 1.0 + near) * fade(40.0 * pixel))
            ink = (0.055, 0.17, 0.065) if near == 1 else (0.10, 0.24, 0.12)
        cover = 1.0 - smooth(height - 0.7 * pixel, height + 0.7 * pixel, z)
        if cover <= 0.0:
            continue
        bright = 0.40 * luma3(horizon) + 0.28 * luma3(sun)
        body = mix3(horizon, (ink[0] * bright * 1.7, ink[1] * bright * 1.7, ink[2] * bright * 1.7), 0.58 + 0.27 * near)
        if P[P_FOG] > 0.003:
            body = mix3(body, horizon, 1.0 - (0.45 + 0.2 * near) * smooth(-0.02, 0.12, z))
        c = mix3(c, body, cover)
    return c


@scalar
def luma3(c: RGB) -> float:
    return 0.30 * c[0] + 0.59 * c[1] + 0.11 * c[2]


@scalar
def _space(d: RGB, P: Array) -> RGB:
    detail, shift = P[P_DETAIL], 8.0 * P[P_SEED]
    cloud = noise3(1.7 * d[0] + shift, 1.7 * d[1], 1.7 * d[2])
    fine = noise3(4.1 * d[0], 4.1 * d[1] + shift, 4.1 * d[2])
    m = clamp01(0.45 + 0.5 * cloud + 0.22 * fine * detail)
    m = m * m * (0.45 + 0.55 * detail)
    c = (P[P_TOP] + 0.150 * m, P[P_TOP + 1] + 0.045 * m, P[P_TOP + 2] + 0.22 * m)
    c = mix3(c, (0.02, 0.10, 0.19), 0.6 * m * clamp01(0.5 - 0.9 * fine))
    star = _stars(d, P[P_PIXEL], P[P_SEED]) * (0.8 + 0.9 * detail)
    sun = max(d[0] * P[P_SUN] + d[1] * P[P_SUN + 1] + d[2] * P[P_SUN + 2], 0.0)
    star += 4.0 * smooth(0.9985, 0.9995, sun)
    return c[0] + star, c[1] + 0.96 * star, c[2] + 0.90 * star


@scalar
def sky(d: RGB, P: Array) -> RGB:
    """Light that arrives from direction d (unit vector)."""
    setting = int(P[P_SETTING])
    if setting == SPACE:
        return _space(d, P)
    z = clamp01(d[2])
    u = 1.0 - z
    u = u * u
    horizon, top = (P[P_HORIZON], P[P_HORIZON + 1], P[P_HORIZON + 2]), (P[P_TOP], P[P_TOP + 1], P[P_TOP + 2])
    c = mix3(top, horizon, u * u * u)
    if setting == GALLERY:
        return c
    toward = d[0] * P[P_SUN] + d[1] * P[P_SUN + 1] + d[2] * P[P_SUN + 2]
    sun = (P[P_SUN_RGB], P[P_SUN_RGB + 1], P[P_SUN_RGB + 2])
    night, foggy = P[P_NIGHT], clamp01(250.0 * P[P_FOG])
    if toward > 0.0:
        s2 = toward * toward
        s8 = s2 * s2 * s2 * s2
        s64 = s8 * s8 * s8 * s8 * s8 * s8 * s8 * s8
        disc = smooth(0.9975, 0.9985, toward) * (1.0 - foggy) * (4.0 - 1.0 * night)
        glow = (0.16 * s8 + 0.40 * s64) * (1.0 - 0.6 * night) + disc
        c = (c[0] + sun[0] * glow, c[1] + sun[1] * glow, c[2] + sun[2] * glow)
    if night > 0.5 and d[2] > 0.0 and setting != CITY:
        star = _stars(d, P[P_PIXEL], P[P_SEED]) * smooth(0.02, 0.25, d[2]) * (0.25 + 0.75 * P[P_DETAIL])
        c = (c[0] + star, c[1] + star, c[2] + star)
    if foggy < 0.7 and d[2] > 0.03 and P[P_DETAIL] > 0.05 and setting != CITY and setting != STREET:
        c = _clouds(c, d, sun, P)
    if setting in (STREET, CITY):
        if d[2] < 0.38:
            c = _skyline(c, d, P)
    elif setting != SEA and d[2] < 0.26:
        c = _hills(c, d, P)
    return c


@scalar
def _clouds(c: RGB, d: RGB, sun: RGB, P: Array) -> RGB:
    inv = 1.3 / (d[2] + 0.14)
    drift = 0.03 * P[P_TIME] + 40.0 * P[P_SEED]
    cloud = smooth(0.02, 0.60, fbm2(d[0] * inv + drift, 1.4 * d[1] * inv, P[P_PIXEL] * inv * inv))
    cloud *= 0.65 * P[P_DETAIL] * smooth(0.03, 0.22, d[2])
    glow = 0.55 - 0.35 * P[P_NIGHT]
    bright = (0.30 * c[0] + glow * sun[0], 0.30 * c[1] + glow * sun[1], 0.34 * c[2] + glow * sun[2])
    return mix3(c, bright, cloud)


# --- the floor -----------------------------------------------------------------------------------------------------


@scalar
def _planks(x: float, y: float, fx: float, fy: float, detail: float) -> RGB:
    v = 3.2 * y
    row = math.floor(v)
    u = 0.55 * x + 0.37 * row
    tone = (hash2(int(row), cell(u)) - 0.5) * fade(3.2 * fy)
    grain = fbm2(2.0 * x + 5.0 * row, 38.0 * y, max(2.0 * fx, 38.0 * fy))
    k = 1.0 + (0.10 + 0.50 * detail) * tone + 0.22 * detail * grain
    gap = max(pulse(v + 0.02, 3.2 * fy, 0.04), pulse(u + 0.005, 0.55 * fx, 0.010))
    k *= 1.0 - (0.25 + 0.5 * detail) * gap
    return 0.47 * k, 0.265 * k, 0.125 * k


@scalar
def _tiles(x: float, y: float, fx: float, fy: float, detail: float) -> RGB:
    c = checker(x, y, fx, fy) * (0.55 + 0.45 * detail)
    base = mix3((0.40, 0.42, 0.46), (0.66, 0.61, 0.52), 0.5 + 0.5 * c)
    tone = 1.0 + 0.14 * detail * (hash2(cell(x), cell(y)) - 0.5) * fade(max(fx, fy))
    tone *= 1.0 + 0.10 * detail * fbm2(3.0 * x, 3.0 * y, 3.0 * max(fx, fy))
    gap = max(pulse(x + 0.012, fx, 0.024), pulse(y + 0.012, fy, 0.024))
    return scale3(base, tone * (1.0 - 0.6 * detail * gap))


@scalar
def _flagstones(x: float, y: float, fx: float, fy: float, detail: float) -> RGB:
    v = 1.8 * y
    row = math.floor(v)
    u = 1.15 * x + 0.5 * (row - 2.0 * math.floor(0.5 * row))
    keep = fade(1.8 * max(fx, fy))
    tone = (hash2(cell(u), int(row)) - 0.5) * keep
    rough = fbm2(5.0 * x, 5.0 * y, 5.0 * max(fx, fy))
    k = 1.0 + (0.15 + 0.45 * detail) * tone + 0.22 * detail * rough
    gap = max(pulse(v + 0.03, 1.8 * fy, 0.06), pulse(u + 0.02, 1.15 * fx, 0.04))
    return mix3((0.47 * k, 0.245 * k, 0.160 * k), (0.24, 0.17, 0.13), gap * (0.35 + 0.55 * detail))


@scalar
def _street(x: float, y: float, fx: float, fy: float, P: Array) -> tuple[RGB, RGB, float, float]:
    """Wet asphalt: albedo, bump, reflection, emission."""
    detail, city, wide = P[P_DETAIL], int(P[P_SETTING]) == CITY, max(fx, fy)
    grit = 1.0 + 0.5 * detail * noise2(28.0 * x, 28.0 * y) * fade(28.0 * wide)
    puddle = smooth(-0.15, 0.35, fbm2(0.55 * x + 9.0 * P[P_SEED], 0.8 * y, 0.8 * wide))
    base = scale3((0.040, 0.036, 0.070) if city else (0.052, 0.054, 0.066), grit)
    reflect = 0.20 + (0.05 + 0.28 * detail) * puddle
    base = scale3(base, 1.0 - 0.4 * detail * puddle)
    rough = 0.05 * (1.0 - 0.8 * puddle) * fade(9.0 * wide)
    bump = (rough * noise2(9.0 * x, 9.0 * y), rough * noise2(9.0 * x + 5.0, 9.0 * y), 0.0)
    if city:
        line = pulse((y + 2.06) / 4.0, fy / 4.0, 0.03) * (0.35 + 0.65 * P[P_NIGHT])
        line *= 1.0 - smooth(2.5, 4.0, abs(y))
        return mix3(base, (0.08, 0.85, 0.80), 0.9 * line), bump, reflect, 0.75 * line
    dash = pulse(0.4 * x, 0.4 * fx, 0.5) * clamp01((0.07 - abs(y + 1.4)) / max(fy, 0.01) + 0.5)
    dash *= min(1.0, 0.14 / max(fy, 0.14))
    return mix3(base, (0.62, 0.55, 0.30), dash * (0.35 + 0.45 * detail)), bump, reflect * (1.0 - 0.6 * dash), 0.0


@scalar
def _dunes(x: float, y: float, wide: float, detail: float) -> tuple[RGB, RGB]:
    """Sand and its slope: broad waves always, ripples with detail."""
    warp = noise2(0.22 * x, 0.30 * y) if wide < 3.0 else 0.0
    broad = 0.45 * x + 0.9 * y + 1.6 * warp
    slope = 0.10 * math.cos(broad) * fade(0.2 * wide)
    phase = 10.5 * x + 2.6 * y + 2.6 * noise2(0.8 * x, 0.8 * y) * fade(wide)
    ripple = 0.22 * detail * math.cos(phase) * fade(2.2 * wide)
    tone = 1.0 + 0.06 * math.sin(broad) * fade(0.2 * wide) + 0.08 * detail * fbm2(4.0 * x, 4.0 * y, 4.0 * wide)
    return (0.80 * tone, 0.515 * tone, 0.245 * tone), (slope * 0.5 + ripple, slope, 0.0)


@scalar
def _waves(x: float, y: float, wide: float, P: Array) -> RGB:
    """Gradient of the water's height: four travelling waves of deep-water speed (omega^2 = g k)."""
    gx, gy = 0.0, 0.0
    for k in range(5):
        number = 1.1 * (1.75**k)
        keep = fade(0.16 * number * wide)
        if keep <= 0.0:
            continue
        angle = 1.9 * k + 0.5
        cx, cy = math.cos(angle), math.sin(angle)
        swell = (0.060 + 0.050 * P[P_DETAIL]) * (1.0 - 0.12 * k)
        height = swell * math.cos(number * (cx * x + cy * y) + P[P_TIME] * math.sqrt(9.81 * number) + 1.3 * k) * keep
        gx += cx * height
        gy += cy * height
    return -gx, -gy, 0.0


@scalar
def ground(x: float, y: float, d: RGB, t: float, P: Array) -> tuple[RGB, RGB, float, float, float, float]:
    """Material of the floor where a ray of direction d meets it after t metres.

    Returns what surfaces.material returns: albedo, bump, reflection, emission, highlight, gloss.
    """
    setting, detail = int(P[P_SETTING]), P[P_DETAIL]
    # A pixel's footprint on the plane is drawn out along the view by 1 / |dz|.
    flat, long = t * P[P_PIXEL], t * P[P_PIXEL] / max(abs(d[2]), 0.02)
    across = d[0] * d[0] + d[1] * d[1] + 1e-9
    sx, sy = d[0] * d[0] / across, d[1] * d[1] / across
    fx, fy = flat + (long - flat) * sx, flat + (long - flat) * sy
    wide = math.sqrt(flat * long) * 0.6 + 0.4 * long
    none = (0.0, 0.0, 0.0)
    if setting == GALLERY:
        return _planks(x, y, fx, fy, detail), none, 0.09, 0.0, 0.15, 0.6
    if setting in (STREET, CITY):
        color, bump, reflect, glow = _street(x, y, fx, fy, P)
        return color, bump, reflect, glow, 0.25, 0.5
    if setting == DESERT:
        color, bump = _dunes(x, y, wide, detail)
        return color, bump, 0.0, 0.0, 0.0, 0.0
    if setting == SEA:
        return (0.004, 0.062, 0.098), _waves(x, y, wide, P), 0.05, 0.0, 0.8, 1.0
    if setting == SNOW:
        roll = fbm2(0.7 * x + 3.0, 0.9 * y, 0.9 * wide)
        k = 0.97 + 0.05 * (0.4 + 0.6 * detail) * roll
        tilt = 0.30 * detail * fbm2(2.3 * x, 2.3 * y, 2.3 * wide)
        return (0.74 * k, 0.79 * k, 0.87 * k), (tilt, 0.5 * tilt + 0.05 * roll, 0.0), 0.0, 0.0, 0.04, 0.0
    if setting == FOREST:
        patch = smooth(-0.25, 0.45, fbm2(0.55 * x + 7.0, 0.55 * y, 0.55 * wide)) * (0.12 + 0.70 * detail)
        blade = 1.0 + 0.55 * detail * fbm2(9.0 * x, 7.0 * y, 9.0 * wide)
        return scale3(mix3((0.125, 0.265, 0.045), (0.27, 0.19, 0.08), patch), blade), none, 0.0, 0.0, 0.0, 0.0
    if setting == PLAZA:
        return _tiles(x, y, fx, fy, detail), none, 0.035, 0.0, 0.15, 0.6
    return _flagstones(x, y, fx, fy, detail), none, 0.0, 0.0, 0.03, 0.2
