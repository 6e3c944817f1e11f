"""The five convex solids of the geom table: ray intersection, normals, closest points."""

from __future__ import annotations

import math

from haneul.world.scalar import (
    Array,
    scalar,
)

RGB = tuple[float, float, float]


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
def local_normal(G: Array, i: int, local: RGB) -> RGB:
    """Outward normal, in local axes, at local surface point local of geom i."""
    kind = int(G[i, 0])
    if kind == 1:
        x, y, z = local[0] / G[i, 13], local[1] / G[i, 14], local[2] / G[i, 15]
        ax, ay, az = abs(x), abs(y), abs(z)
        if ax > ay and ax > az:
            return (1.0 if x > 0.0 else -1.0), 0.0, 0.0
        if ay > az:
            return 0.0, (1.0 if y > 0.0 else -1.0), 0.0
        return 0.0, 0.0, (1.0 if z > 0.0 else -1.0)
    if kind == 4:
        return normalize(
            local[0] / (G[i, 13] * G[i, 13]), local[1] / (G[i, 14] * G[i, 14]), local[2] / (G[i, 15] * G[i, 15])
        )
    if kind == 0:
        return normalize(local[0], local[1], local[2])
    half = G[i, 14]
    if kind == 2:
        if abs(local[2]) > half * (1.0 - 1e-6):
            return 0.0, 0.0, (1.0 if local[2] > 0.0 else -1.0)
        return normalize(local[0], local[1], 0.0)
    return normalize(local[0], local[1], local[2] - min(max(local[2], -half), half))


@scalar
def closest(G: Array, i: int, local: RGB) -> RGB:
    """The point of solid i that is closest to local, both in local axes (local itself inside)."""
    kind = int(G[i, 0])
    if kind == 1:
        sx, sy, sz = G[i, 13], G[i, 14], G[i, 15]
        return min(max(local[0], -sx), sx), min(max(local[1], -sy), sy), min(max(local[2], -sz), sz)
    if kind == 0:
        k = min(1.0, G[i, 13] / math.sqrt(local[0] * local[0] + local[1] * local[1] + local[2] * local[2] + 1e-12))
        return local[0] * k, local[1] * k, local[2] * k
    if kind == 4:  # along the line to the centre: close enough for shadows
        x, y, z = local[0] / G[i, 13], local[1] / G[i, 14], local[2] / G[i, 15]
        k = min(1.0, 1.0 / math.sqrt(x * x + y * y + z * z + 1e-12))
        return local[0] * k, local[1] * k, local[2] * k
    z = min(max(local[2], -G[i, 14]), G[i, 14])
    if kind == 2:
        k = min(1.0, G[i, 13] / math.sqrt(local[0] * local[0] + local[1] * local[1] + 1e-12))
        return local[0] * k, local[1] * k, z
    k = min(
        1.0, G[i, 13] / math.sqrt(local[0] * local[0] + local[1] * local[1] + (local[2] - z) * (local[2] - z) + 1e-12)
    )
    return local[0] * k, local[1] * k, z + (local[2] - z) * k
