"""The pictures that hang in the gallery: one bold, band-limited image per manner of vocabulary.WORKS."""

from __future__ import annotations

import math

from haneul.world.scalar import cell, fbm2, hash2, hue, mix3, noise2, pulse, scalar, smooth

RGB = tuple[float, float, float]


@scalar
def _disc(u: float, v: float, x: float, y: float, radius: float, soft: float) -> float:
    """Coverage of a disc around (x, y)."""
    return 1.0 - smooth(radius - soft, radius + soft, math.sqrt((u - x) * (u - x) + (v - y) * (v - y)))


@scalar
def _circles(u: float, v: float, seed: int, soft: float) -> RGB:
    color = mix3(hue(hash2(seed, 1)), (0.92, 0.88, 0.78), 0.82)
    for k in range(5):
        x, y = 1.5 * hash2(seed, 10 + k) - 0.75, 1.5 * hash2(seed, 20 + k) - 0.75
        radius = 0.2 + 0.32 * hash2(seed, 30 + k)
        ink = mix3(hue(hash2(seed, 40) + 0.19 * k), (0.1, 0.1, 0.14), 0.12)
        color = mix3(color, ink, _disc(u, v, x, y, radius, soft))
        if k % 2 == 0:
            color = mix3(color, (0.92, 0.88, 0.78), _disc(u, v, x, y, 0.55 * radius, soft))
    return color


@scalar
def _grid(u: float, v: float, seed: int, soft: float) -> RGB:
    x, y = 1.5 * (u + 1.0) + 0.5 * hash2(seed, 1), 1.3 * (v + 1.0) + 0.5 * hash2(seed, 2)
    pick = hash2(cell(x) + 7 * seed, cell(y))
    color = (0.88, 0.86, 0.80)
    if pick < 0.28:
        color = (0.72, 0.04, 0.04)
    elif pick < 0.50:
        color = (0.04, 0.10, 0.55)
    elif pick < 0.72:
        color = (0.90, 0.66, 0.04)
    line = max(pulse(x + 0.05, 1.5 * soft, 0.1), pulse(y + 0.05, 1.3 * soft, 0.1))
    return mix3(color, (0.02, 0.02, 0.02), line)


@scalar
def _landscape(u: float, v: float, seed: int, soft: float) -> RGB:
    warm = hash2(seed, 3)
    color = mix3((1.0, 0.55 + 0.2 * warm, 0.25), (0.15, 0.38, 0.80), smooth(-0.1, 0.9, v))
    color = mix3(color, (1.0, 0.90, 0.55), _disc(u, v, 1.2 * hash2(seed, 4) - 0.6, 0.42, 0.2, soft))
    phase = 6.0 * hash2(seed, 5)
    hill = 0.16 * math.sin(3.1 * u + phase) + 0.08 * math.sin(7.0 * u + 2.0 * phase)
    color = mix3(color, (0.22, 0.30, 0.48), 1.0 - smooth(hill - soft, hill + soft, v))
    hill = -0.32 + 0.13 * math.sin(2.3 * u + 2.7 * phase)
    color = mix3(color, (0.12, 0.36, 0.10), 1.0 - smooth(hill - soft, hill + soft, v))
    hill = -0.68 + 0.10 * math.sin(2.9 * u + 1.3 * phase)
    return mix3(color, (0.05, 0.18, 0.07), 1.0 - smooth(hill - soft, hill + soft, v))


@scalar
def _swirls(u: float, v: float, seed: int, soft: float) -> RGB:
    wind = 0.0
    for k in range(3):
        x, y = 1.4 * hash2(seed, 50 + k) - 0.7, 1.2 * hash2(seed, 60 + k) - 0.5
        r = math.sqrt((u - x) * (u - x) + (v - y) * (v - y))
        wind += math.sin(9.0 * r - 2.0 * math.atan2(v - y, u - x)) * math.exp(-2.6 * r)
    wind = wind + 0.25 * noise2(3.0 * u + seed, 3.0 * v)
    color = mix3((0.03, 0.08, 0.34), (0.16, 0.42, 0.72), smooth(-0.7, 0.5, wind))
    color = mix3(color, (0.95, 0.80, 0.28), smooth(0.35, 0.75, wind))
    ground = -0.66 + 0.12 * math.sin(3.0 * u + seed)
    return mix3(color, (0.02, 0.10, 0.10), 1.0 - smooth(ground - soft, ground + soft, v))


@scalar
def _stripes(u: float, v: float, seed: int, soft: float) -> RGB:
    x = 3.0 * (u + 1.0)
    k = math.floor(x)
    a = hue(0.11 * k + hash2(seed, 2))
    b = hue(0.11 * (k + 1.0) + hash2(seed, 2))
    color = mix3(a, b, smooth(1.0 - 3.0 * soft, 1.0, x - k))
    return mix3(color, (0.90, 0.88, 0.82), 0.75 * pulse(0.5 * x, 1.5 * soft, 0.5))


@scalar
def _portrait(u: float, v: float, seed: int, soft: float) -> RGB:
    tone = hash2(seed, 7)
    back = mix3((0.08, 0.16, 0.15), (0.24, 0.08, 0.06), hash2(seed, 8))
    color = mix3(back, (0.30, 0.26, 0.18), 0.6 * (1.0 - smooth(0.2, 1.3, math.sqrt(u * u + (v - 0.3) * (v - 0.3)))))
    coat = mix3(hue(hash2(seed, 9)), (0.05, 0.04, 0.05), 0.72)
    color = mix3(color, coat, _disc(u / 0.85, v / 0.9, 0.0, -1.05, 0.78, soft))
    skin = mix3((0.85, 0.56, 0.40), (0.32, 0.17, 0.10), tone)
    hair = mix3((0.05, 0.03, 0.02), (0.50, 0.30, 0.10), hash2(seed, 11))
    color = mix3(color, hair, _disc(u / 0.46, (v - 0.22) / 0.60, 0.0, 0.0, 1.0, 2.0 * soft))
    face = mix3(skin, (0.10, 0.04, 0.03), 0.45 * smooth(-0.05, 0.40, u))
    color = mix3(color, face, _disc(u / 0.34, (v - 0.10) / 0.50, 0.0, 0.0, 1.0, 2.5 * soft))
    eyes = max(_disc(u, v, -0.13, 0.18, 0.05, soft), _disc(u, v, 0.13, 0.18, 0.05, soft))
    color = mix3(color, (0.04, 0.03, 0.03), eyes)
    return mix3(color, (0.55, 0.10, 0.10), _disc(u / 1.8, v, 0.0, -0.17, 0.05, soft))


@scalar
def picture(u: float, v: float, seed: float, foot: float) -> RGB:
    """Linear albedo of the picture at (u, v) in [-1, 1]; manner and variation come from `seed` in [0, 1)."""
    manner = int(6.0 * seed)
    variation = int(4096.0 * (6.0 * seed - manner)) + 1
    soft = max(0.75 * foot, 0.012)
    color = (0.0, 0.0, 0.0)
    if manner == 0:
        color = _circles(u, v, variation, soft)
    elif manner == 1:
        color = _grid(u, v, variation, soft)
    elif manner == 2:
        color = _landscape(u, v, variation, soft)
    elif manner == 3:
        color = _swirls(u, v, variation, soft)
    elif manner == 4:
        color = _stripes(u, v, variation, soft)
    else:
        color = _portrait(u, v, variation, soft)
    canvas = 1.0 + 0.10 * fbm2(14.0 * u, 14.0 * v, 14.0 * foot)
    return color[0] * canvas, color[1] * canvas, color[2] * canvas
