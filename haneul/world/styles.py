"""The style pass: from the rendered picture to watercolour, pixel art, pencil and the rest.

Every measure is in units of 1/64 of the frame's height and every pattern is anchored to the frame, so one scene looks
like the same picture at every resolution, and nothing flickers over time.
"""

from __future__ import annotations

import math

from haneul.world.scalar import Array, Keys, cell, clamp01, fade, fract, luma, noise2, pulse, scalar, smooth

RGB = tuple[float, float, float]
# Indices into vocabulary.STYLES.
PHOTO, WATERCOLOR, PIXEL, CYBERPUNK, PENCIL, OIL, CARTOON, NOIR = range(8)
#: How far, in units of 1/64 of the height, a style looks around a pixel; sets the margin of a crop.
REACH = (0.0, 2.2, 2.2, 3.2, 1.2, 3.6, 1.2, 0.0)


@scalar
def _at(image: Array, row: int, col: int) -> RGB:
    r, c = min(max(row, 0), image.shape[0] - 1), min(max(col, 0), image.shape[1] - 1)
    return image[r, c, 0], image[r, c, 1], image[r, c, 2]


@scalar
def _kuwahara(image: Array, row: int, col: int, radius: float, steps: int) -> RGB:
    """Mean of the calmest of four quadrants: flattens areas, keeps edges (Kuwahara 1976)."""
    best, calm = _at(image, row, col), 1e9
    stride = radius / steps
    for quadrant in range(4):
        sx, sy = (1.0 if quadrant % 2 == 0 else -1.0), (1.0 if quadrant < 2 else -1.0)
        r, g, b, square = 0.0, 0.0, 0.0, 0.0
        for j in range(steps + 1):
            for k in range(steps + 1):
                c = _at(image, row + cell(sy * j * stride + 0.5), col + cell(sx * k * stride + 0.5))
                r, g, b = r + c[0], g + c[1], b + c[2]
                square += c[0] * c[0] + c[1] * c[1] + c[2] * c[2]
        n = 1.0 / ((steps + 1) * (steps + 1))
        r, g, b = r * n, g * n, b * n
        spread = square * n - r * r - g * g - b * b
        if spread < calm:
            best, calm = (r, g, b), spread
    return best


@scalar
def _same(key: Keys, row: int, col: int, r2: int, c2: int) -> float:
    r, c = min(max(r2, 0), key.shape[0] - 1), min(max(c2, 0), key.shape[1] - 1)
    return 0.0 if key[row, col] == key[r, c] else 1.0


@scalar
def _outline(image: Array, key: Keys, row: int, col: int, unit: float) -> float:
    """Ink of outlines: borders between things, their faces, and strong steps of brightness.

    A line that is thinner than a pixel inks it by its share of it, so that a small picture is a large one's miniature.
    """
    reach = max(int(0.30 * unit + 0.5), 1)
    covered = min(0.40 * unit / reach, 1.0)
    ink, here = 0.0, luma(image[row, col, 0], image[row, col, 1], image[row, col, 2])
    for k in range(2 if unit < 1.5 else 4):
        dr, dc = (reach if k == 0 else -reach if k == 2 else 0), (reach if k == 1 else -reach if k == 3 else 0)
        there = _at(image, row + dr, col + dc)
        step = abs(luma(there[0], there[1], there[2]) - here)
        ink = max(
            ink,
            max(
                _same(key, row, col, row + dr, col + dc) * (0.45 + 0.55 * smooth(0.0, 0.06, step)),
                smooth(0.20, 0.42, step),
            ),
        )
    return ink * covered


@scalar
def _vivid(c: RGB, amount: float) -> RGB:
    lum = luma(c[0], c[1], c[2])
    return lum + (c[0] - lum) * amount, lum + (c[1] - lum) * amount, lum + (c[2] - lum) * amount


@scalar
def _watercolor(image: Array, key: Keys, row: int, col: int, x: float, y: float, unit: float) -> RGB:
    c = _kuwahara(image, row, col, 1.9 * unit, 3)
    wash = 0.5 + 0.5 * noise2(0.11 * x, 0.11 * y)
    bloom = 0.5 + 0.5 * noise2(0.33 * x + 9.0, 0.33 * y)
    c = _vivid(c, 1.20)
    paper = 0.20 + 0.16 * wash + 0.06 * bloom
    c = (c[0] + (0.985 - c[0]) * paper, c[1] + (0.97 - c[1]) * paper, c[2] + (0.92 - c[2]) * paper)
    rim = _outline(image, key, row, col, unit)
    grain = noise2(1.1 * x, 1.1 * y) * 0.018 + noise2(3.1 * x, 3.1 * y) * 0.035 * fade(3.1 / unit)
    k = 1.0 - 0.20 * rim + grain
    return c[0] * k, c[1] * k, c[2] * k


@scalar
def _pixel_art(image: Array, row: int, col: int, x: float, y: float, unit: float) -> RGB:
    size = 2.0  # units to a block: 32 rows of blocks
    bx, by = math.floor(x / size), math.floor(y / size)
    r, g, b = 0.0, 0.0, 0.0
    for j in range(4):
        for k in range(4):
            dx, dy = (bx + (k + 0.5) * 0.25) * size - x, (by + (j + 0.5) * 0.25) * size - y
            # x, y are this pixel's centre: step to the pixel that holds the sample point
            c = _at(image, row + cell(dy * unit + 0.5), col + cell(dx * unit + 0.5))
            r, g, b = r + c[0], g + c[1], b + c[2]
    c = _vivid((r / 16.0, g / 16.0, b / 16.0), 1.30)
    odd = (int(bx) + int(by)) % 2
    dither = 0.07 if odd == 0 else -0.07
    # A palette of 9 levels of brightness in steps of 1/8 of each colour difference.
    lum = luma(c[0], c[1], c[2])
    q = math.floor(clamp01(lum) * 8.0 + 0.5 + dither) / 8.0
    return (
        q + math.floor((c[0] - lum) * 8.0 + 0.5) / 8.0,
        q + math.floor((c[1] - lum) * 8.0 + 0.5) / 8.0,
        q + math.floor((c[2] - lum) * 8.0 + 0.5) / 8.0,
    )


@scalar
def _cyberpunk(image: Array, row: int, col: int, y: float, unit: float) -> RGB:
    r, g, b = 0.0, 0.0, 0.0
    for k in range(12):  # bloom on a golden-angle spiral
        radius = unit * (0.5 + 0.22 * k)
        c = _at(image, row + cell(radius * math.sin(2.4 * k) + 0.5), col + cell(radius * math.cos(2.4 * k) + 0.5))
        r, g, b = r + max(c[0] - 0.55, 0.0), g + max(c[1] - 0.55, 0.0), b + max(c[2] - 0.55, 0.0)
    c = _at(image, row, col)
    lum = luma(c[0], c[1], c[2])
    low, high = smooth(0.0, 0.5, lum), smooth(0.42, 0.92, lum)
    tone = (0.05 + 0.80 * low - 0.62 * high, 0.01 + 0.06 * low + 0.80 * high, 0.20 + 0.42 * low + 0.32 * high)
    c = _vivid((0.82 * c[0], 0.82 * c[1], 0.92 * c[2]), 1.25)
    scan = 1.0 - 0.06 * (pulse(0.5 * y, 0.5 / unit, 0.5) - 0.5)
    return (
        (0.48 * c[0] + 0.52 * tone[0] + 0.050 * r) * scan,
        (0.48 * c[1] + 0.52 * tone[1] + 0.040 * g) * scan,
        (0.48 * c[2] + 0.52 * tone[2] + 0.060 * b) * scan,
    )


@scalar
def _hatch(x: float, y: float, slope: float, period: float, darkness: float, unit: float) -> float:
    """Parallel pencil strokes whose width grows with darkness; wobbly, band-limited."""
    along, across = x * slope + y, (x - slope * y) / period
    wobble = 0.10 * noise2(0.20 * along, 3.0 + 0.5 * across)
    lead = 0.80 + 0.20 * noise2(0.45 * along, 2.0 * math.floor(across + wobble))
    return pulse(across + wobble, 1.2 / (period * unit), clamp01(darkness)) * lead


@scalar
def _pencil(image: Array, key: Keys, row: int, col: int, x: float, y: float, unit: float) -> RGB:
    c = _at(image, row, col)
    lum = clamp01(luma(c[0], c[1], c[2]))
    ink = 0.85 * _outline(image, key, row, col, unit)
    shade = 0.34 * _hatch(x, y, 0.7, 3.0, 0.80 - 1.15 * lum, unit)
    shade = max(shade, 0.48 * _hatch(x, y, -0.8, 3.3, 0.50 - 1.4 * lum, unit))
    fine = 0.30 * _hatch(x, y, 0.9, 0.55, 0.85 - 0.95 * lum, unit)
    tone = 0.20 * (1.0 - smooth(0.05, 0.85, lum))
    paper = 0.955 + 0.020 * noise2(1.3 * x, 1.3 * y) + 0.02 * noise2(5.0 * x, 5.0 * y) * fade(5.0 / unit)
    value = paper * (1.0 - ink) * (1.0 - shade) * (1.0 - fine) * (1.0 - tone)
    return value, 0.99 * value, 0.955 * value


@scalar
def _oil(image: Array, row: int, col: int, x: float, y: float, unit: float) -> RGB:
    # Dabs: the colour is taken a little off, by noise that is constant along a stroke.
    dx, dy = 0.7 * noise2(0.35 * x + 3.0, 0.35 * y), 0.7 * noise2(0.35 * x, 0.35 * y + 8.0)
    dx, dy = dx + 0.3 * noise2(0.9 * x, 0.9 * y + 4.0), dy + 0.3 * noise2(0.9 * x + 6.0, 0.9 * y)
    c = _kuwahara(image, row + cell(dy * unit + 0.5), col + cell(dx * unit + 0.5), 1.5 * unit, 3)
    c = _vivid(c, 1.40)
    # Strokes lie across the local gradient of brightness, like a brush following the form.
    e = max(int(1.2 * unit), 1)
    a, b = _at(image, row, col - e), _at(image, row, col + e)
    gx = luma(b[0], b[1], b[2]) - luma(a[0], a[1], a[2])
    a, b = _at(image, row - e, col), _at(image, row + e, col)
    gy = luma(b[0], b[1], b[2]) - luma(a[0], a[1], a[2])
    strong = smooth(0.02, 0.12, math.sqrt(gx * gx + gy * gy))
    sway = 2.0 * noise2(0.05 * x, 0.05 * y)
    broad = noise2(0.12 * (x + y), 0.42 * (x - y) + sway) + 0.8 * noise2(0.4 * (x + y), 2.1 * (x - y)) * fade(
        4.2 / unit
    )
    cross = noise2(0.45 * x + sway, 0.14 * y + 5.0) + 0.8 * noise2(2.1 * x, 0.4 * y) * fade(4.2 / unit)
    stroke = broad + (cross - broad) * strong
    k = 1.0 + 0.085 * stroke
    warm = 0.02 * stroke
    return c[0] * k + 0.015 + warm, c[1] * k + 0.01, c[2] * k - 0.01 - warm


@scalar
def _cartoon(image: Array, key: Keys, row: int, col: int, unit: float) -> RGB:
    c = _vivid(_at(image, row, col), 1.25)
    lum = max(luma(c[0], c[1], c[2]), 0.02)
    q = 4.0 * lum
    band = (math.floor(q) + smooth(0.42, 0.58, fract(q)) + 0.35) / 4.35
    k = band / lum * (1.0 - 0.92 * _outline(image, key, row, col, unit))
    return c[0] * k, c[1] * k, c[2] * k


@scalar
def _noir(image: Array, row: int, col: int, x: float, y: float, aspect: float, time: float) -> RGB:
    c = _at(image, row, col)
    lum = smooth(0.10, 0.88, 0.42 * c[0] + 0.46 * c[1] + 0.12 * c[2])
    u, v = (x / 32.0 - aspect) / aspect, y / 32.0 - 1.0
    lum *= 1.0 - 0.55 * smooth(0.25, 1.9, u * u + v * v)
    frame = int(12.0 * time + 0.5)  # film grain changes twelve times a second; its size is that of the frame
    lum += 0.022 * noise2(1.9 * x + 37.0 * (frame % 64), 1.9 * y + 11.0 * (frame % 64))
    return lum, lum, lum


@scalar
def style_pixel(
    image: Array, key: Keys, row: int, col: int, x: int, y: int, style: int, height: float, width: float, time: float
) -> RGB:
    """Display RGB (unclamped) of full-frame pixel (x, y), which lies at [row, col] of `image` and `key`."""
    unit = height / 64.0
    ux, uy = (x + 0.5) / unit, (y + 0.5) / unit
    if style == WATERCOLOR:
        return _watercolor(image, key, row, col, ux, uy, unit)
    if style == PIXEL:
        return _pixel_art(image, row, col, ux, uy, unit)
    if style == CYBERPUNK:
        return _cyberpunk(image, row, col, uy, unit)
    if style == PENCIL:
        return _pencil(image, key, row, col, ux, uy, unit)
    if style == OIL:
        return _oil(image, row, col, ux, uy, unit)
    if style == CARTOON:
        return _cartoon(image, key, row, col, unit)
    if style == NOIR:
        return _noir(image, row, col, ux, uy, width / height, time)
    return _at(image, row, col)
