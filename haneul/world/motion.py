"""Where every pixel goes from one frame to the next, known exactly: the physics has moved it there.

A pixel's point lies at a known depth on its ray. On a subject it goes with the rigid part that it lies on, elsewhere it
stays, and the next frame's camera sees it at another place. What covers it there is not asked, as in the optical flow
that is measured between pictures. Scenery that moves by itself (water, clouds) counts as at rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haneul.world.scene import GEOM_OBJECT, GEOM_POS, GEOM_ROT, GEOM_SIZE, GEOM_TYPE, Camera

Floats = NDArray[np.float64]
#: The colours that directions are drawn in, and how many steps of the wheel lie between them (Baker et al. 2011, A
#: Database and Evaluation Methodology for Optical Flow, IJCV 92, as their flow pictures have it).
_WHEEL = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255), (255, 0, 0))
_STEPS = (0, 15, 21, 25, 36, 49, 55)
FAST = 99.0  #: percentile of a clip's speeds that is drawn in full colour


def flow(
    depth_HW: NDArray[np.float32], ids_HW: NDArray[np.uint8], geoms_NG: NDArray[np.float32],
    next_NG: NDArray[np.float32], camera: Camera, after: Camera,
) -> NDArray[np.float32]:  # fmt: skip
    """Pixels to the right and down that every pixel moves, [H, W, 2]. Depth in metres along the ray, infinity for the
    sky, which only turns with the camera."""
    rays_HW3 = _rays(camera, depth_HW.shape)
    far = ~np.isfinite(depth_HW)
    points = camera.origin + rays_HW3 * np.where(far, 1.0, depth_HW)[..., None]
    points[far] = after.origin + rays_HW3[far]  # at no distance that the camera's own way could change
    for subject in np.unique(ids_HW[(ids_HW > 0) & ~far]):
        on = (ids_HW == subject) & ~far
        points[on] = _moved(points[on], geoms_NG, next_NG, int(subject))
    return (_seen(after, points, depth_HW.shape) - _seen(camera, camera.origin + rays_HW3, depth_HW.shape)).astype(
        np.float32
    )


def _rays(camera: Camera, shape: tuple[int, ...]) -> Floats:
    """Unit vectors through the pixels' centres, [H, W, 3], as the tracer has them (tracer.camera_ray)."""
    H, W = shape
    u = (2 * (np.arange(W) + 0.5) - W) / H
    v = (H - 2 * (np.arange(H) + 0.5)) / H
    rays: Floats = (
        camera.forward * camera.focal + u[None, :, None] * camera.right + v[:, None, None] * camera.up
    ).astype(np.float64)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return rays


def _seen(camera: Camera, points: Floats, shape: tuple[int, ...]) -> Floats:
    """Where a camera sees points [..., 3]: pixels from the left and from above, [..., 2]."""
    H, W = shape
    way = points - camera.origin
    ahead = np.maximum(way @ camera.forward, 1e-6)
    u, v = (camera.focal * (way @ axis) / ahead for axis in (camera.right, camera.up))
    return np.stack([(u * H + W) / 2, (H - v * H) / 2], axis=-1)


def _moved(points_P3: Floats, geoms: NDArray[np.float32], after: NDArray[np.float32], subject: int) -> Floats:
    """Where points of a subject are in the next frame: each goes with the part whose surface it is nearest to."""
    parts = np.flatnonzero(geoms[:, GEOM_OBJECT] == subject)
    local = [(points_P3 - geoms[n, GEOM_POS]) @ geoms[n, GEOM_ROT].reshape(3, 3) for n in parts]
    off = np.stack(
        [_off(where, int(geoms[n, GEOM_TYPE]), geoms[n, GEOM_SIZE]) for n, where in zip(parts, local, strict=True)]
    )
    found = np.empty_like(points_P3)
    for k, n in enumerate(parts):
        on = off.argmin(0) == k
        found[on] = local[k][on] @ after[n, GEOM_ROT].reshape(3, 3).T + after[n, GEOM_POS]
    return found


def _off(local_P3: Floats, kind: int, size: NDArray[np.float32]) -> Floats:
    """How far points lie from the surface of a solid, as a share of its size. Kinds as in scene.GEOM_TYPE."""
    x = np.abs(local_P3)
    if kind == 1:
        inside = (x / np.maximum(size, 1e-6)).max(-1)
    elif kind == 2:
        inside = np.maximum(np.hypot(x[:, 0], x[:, 1]) / size[0], x[:, 2] / size[1])
    elif kind == 3:
        beyond = np.maximum(x[:, 2] - size[1], 0)
        inside = np.sqrt(x[:, 0] ** 2 + x[:, 1] ** 2 + beyond**2) / size[0]
    else:
        inside = np.linalg.norm(x / (size[0] if kind == 0 else np.maximum(size, 1e-6)), axis=-1)
    off: Floats = np.abs(inside - 1)
    return off


def colours(flow_THW2: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Motion as a picture, [T, H, W, 3]: the hue is the direction and white is rest; one scale for the whole clip."""
    speed = np.linalg.norm(flow_THW2, axis=-1)
    full = max(float(np.percentile(speed, FAST)), 1e-3)
    share = np.minimum(speed / full, 1.0)[..., None]
    turn = (np.arctan2(-flow_THW2[..., 1], -flow_THW2[..., 0]) / np.pi + 1) / 2 * _STEPS[-1]
    hue = np.stack([np.interp(turn, _STEPS, [colour[c] for colour in _WHEEL]) for c in range(3)], axis=-1)
    drawn: NDArray[np.uint8] = (255 - share * (255 - hue)).round().astype(np.uint8)
    return drawn
