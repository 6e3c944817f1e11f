"""The light of every setting at every time of day: colours of sun, sky and haze."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.world.scene import Environment
from haneul.world.vocabulary import SETTINGS, TIMELESS, TIMES

_Color = tuple[float, float, float]

#: sun direction, sun colour, zenith, horizon, ambient, fog; all colours linear RGB
_Light = tuple[_Color, _Color, _Color, _Color, _Color, float]
_TIMES: Final[dict[str, _Light]] = {
    "noon": (
        (0.42, -0.55, 0.90), (1.75, 1.62, 1.36), (0.06, 0.22, 0.74), (0.52, 0.74, 0.98), (0.38, 0.44, 0.54), 6e-6,
    ),
    "sunset": (
        (-0.72, 0.52, 0.27), (2.10, 0.86, 0.28), (0.20, 0.12, 0.38), (1.35, 0.50, 0.12), (0.50, 0.35, 0.38), 1e-5,
    ),
    "night": (
        (0.50, -0.40, 0.75), (0.26, 0.34, 0.60), (0.004, 0.010, 0.050), (0.022, 0.046, 0.16), (0.080, 0.11, 0.23), 1e-5,
    ),
    "foggy morning": (
        (0.40, -0.50, 0.60), (0.50, 0.48, 0.44), (0.58, 0.62, 0.66), (0.72, 0.74, 0.76), (0.48, 0.50, 0.52), 0.004,
    ),
}  # fmt: skip
#: setting -> zenith and horizon it pulls towards, and by how much; scaled with the brightness of the time's own sky
_TINTS: Final[dict[str, tuple[_Color, _Color, float]]] = {
    "neon street": ((0.06, 0.12, 0.30), (0.22, 0.30, 0.50), 0.70),
    "desert": ((0.12, 0.34, 0.78), (0.95, 0.84, 0.62), 0.55),
    "sea": ((0.05, 0.28, 0.80), (0.60, 0.84, 0.95), 0.50),
    "snowy field": ((0.34, 0.50, 0.80), (0.84, 0.90, 0.98), 0.60),
    "forest": ((0.14, 0.38, 0.62), (0.66, 0.80, 0.70), 0.50),
    "brick courtyard": ((0.16, 0.32, 0.70), (0.80, 0.76, 0.74), 0.45),
    "cyberpunk city": ((0.05, 0.03, 0.20), (0.42, 0.16, 0.60), 0.85),
}
_GALLERY: Final[_Light] = (
    (0.16, -0.34, 0.92), (0.95, 0.88, 0.76), (0.62, 0.58, 0.53), (0.66, 0.61, 0.55), (0.72, 0.68, 0.62), 0.0,
)  # fmt: skip
_SPACE: Final[_Light] = (
    (0.62, -0.60, 0.50), (1.75, 1.65, 1.50), (0.004, 0.005, 0.016), (0.010, 0.008, 0.030), (0.075, 0.080, 0.12), 0.0,
)  # fmt: skip
#: What a street's own lamps and signs add to shade and horizon, and its haze.
_STREETS: Final[dict[str, tuple[_Color, _Color, float]]] = {
    "neon street": ((0.045, 0.045, 0.065), (0.045, 0.022, 0.045), 0.0004),
    "cyberpunk city": ((0.060, 0.035, 0.110), (0.060, 0.016, 0.115), 0.0012),
}


def _vector(values: _Color | NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def make_environment(setting: str, time: str | None, richness: float, seed: float) -> Environment:
    """Light and air of a setting, without point lights or snow (the scene builder adds those).

    setting: one of vocabulary.SETTINGS. time: one of vocabulary.TIMES; ignored (None) in the timeless settings.
    richness: contrast of all texture, 0 calm .. 1 full. seed: shifts dunes, skylines and clouds, in [0, 1).
    Raises WorldError for names out of the vocabulary.
    """
    if setting not in SETTINGS:
        raise WorldError(f"unknown setting {setting!r}; choose one of {', '.join(SETTINGS)}")
    if setting in TIMELESS:
        time, row = None, _GALLERY if setting == "art gallery" else _SPACE
    elif time in _TIMES:
        row = _TIMES[time]
    else:
        raise WorldError(f"unknown time {time!r} for {setting!r}; choose one of {', '.join(TIMES)}")
    sun, sun_rgb, top, horizon, ambient, fog = row
    sky_top, sky_horizon = np.array(top), np.array(horizon)
    light, shade = np.array(sun_rgb), np.array(ambient)
    if setting in _TINTS:
        tint_top, tint_horizon, share = _TINTS[setting]
        # A tint keeps the brightness of the hour: noon's palette, darkened to the night's level.
        noon_top, noon_horizon = np.array(_TIMES["noon"][2]), np.array(_TIMES["noon"][3])
        sky_top += share * (np.array(tint_top) * _level(sky_top, noon_top) - sky_top) * _hold(time)
        sky_horizon += share * (np.array(tint_horizon) * _level(sky_horizon, noon_horizon) - sky_horizon) * _hold(time)
    if setting in _STREETS:  # between towers: less sun, a glow of their own, more haze
        own_shade, own_glow, haze = _STREETS[setting]
        light, shade = light * 0.62, shade * 0.70 + np.array(own_shade)
        sky_horizon, fog = sky_horizon + np.array(own_glow), fog + haze
    if setting == "snowy field":
        shade = shade * 1.12
    direction = np.array(sun) / np.linalg.norm(sun)
    return Environment(
        setting=setting,
        time=time,
        sun=_vector(direction),
        sun_rgb=_vector(light),
        sky_top=_vector(sky_top),
        sky_horizon=_vector(sky_horizon),
        ambient=_vector(shade),
        fog=fog,
        richness=richness,
        seed=seed,
    )


def _level(color: NDArray[np.float64], noon: NDArray[np.float64]) -> float:
    return float(color.sum() / noon.sum())


def _hold(time: str | None) -> float:
    """How far a setting's tint may displace the hour's own sky: sunset must stay a sunset."""
    return {"sunset": 0.35, "foggy morning": 0.45, "night": 0.45}.get(time or "", 1.0)
