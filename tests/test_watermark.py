"""The watermark: unseen where it is, found after what happens to videos, and not found where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from haneul.evals.distortions import ATTACKS, coded
from haneul.trust import carriers, codes, imprint
from haneul.trust.detect import CERTAIN, detector_of, field_of
from haneul.trust.origin import find, find_in
from haneul.trust.registry import id_of
from haneul.trust.watermark import PAYLOAD, SpreadSpectrum
from haneul.video.picture import write_gif
from haneul.world.physics import simulate
from haneul.world.produce import draw
from haneul.world.sample import sample_spec

KEY, OTHER_KEY = b"one key" * 5, b"another" * 5
NUMBER, OTHER = 0xC0FFEE123456, 0x00000000002A


def mark(video: NDArray[np.uint8], number: int = NUMBER, key: bytes = KEY) -> list[NDArray[np.uint8]]:
    return list(SpreadSpectrum(key).embed(iter(video), number.to_bytes(PAYLOAD, "big")))


def read(frames: list[NDArray[np.uint8]], key: bytes = KEY) -> list[str | None]:
    return [origin.id for origin in find_in([frames], key)]


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    """uint8 [8, 288, 512, 3]: half a second of the world."""
    drawn = draw(simulate(sample_spec(1003, richness=0.5, seconds=1.0)), (512, 288), stride=3, quality="fast")
    return np.stack([rgb for (rgb, _), _ in zip(drawn, range(8), strict=False)])


@pytest.fixture(scope="module")
def marked(scene: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return mark(scene)


# -------------------------------------------------------------------------------------------------------- unseen


def test_it_is_quiet_steady_and_the_same_for_every_colour(
    scene: NDArray[np.uint8], marked: list[NDArray[np.uint8]]
) -> None:
    difference = np.stack(marked).astype(int) - scene
    assert 10 * np.log10(255**2 / np.mean(difference**2)) >= 42
    inside = (np.stack(marked).min(-1) > 0) & (np.stack(marked).max(-1) < 255)
    assert np.ptp(difference, axis=-1)[inside].max() == 0, "brightness alone is changed"
    still = mark(np.repeat(scene[:1], 2, 0))
    assert np.array_equal(still[0], still[1]), "a picture that stands still does not flicker"


def test_flat_areas_get_single_steps() -> None:
    flat = np.full((1, 512, 896, 3), 128, np.uint8)
    difference = mark(flat)[0].astype(int) - 128
    assert np.abs(difference).max() <= 2
    assert np.sqrt(np.mean(difference**2)) < 1.1


def test_black_and_white_stay_in_range() -> None:
    for level in (0, 255):
        frame = mark(np.full((1, 64, 64, 3), level, np.uint8))[0].astype(int)
        assert np.abs(frame - level).max() <= 3, "nothing wraps around"


def test_every_size_can_be_marked() -> None:
    for width, height in ((64, 64), (66, 128), (160, 64), (1920, 1080), (1080, 1920), (336, 192)):
        frame = np.full((1, height, width, 3), 90, np.uint8)
        out = mark(frame)[0]
        assert out.shape == frame[0].shape
        assert (out != frame[0]).any()


@pytest.mark.parametrize(("width", "height"), [(64, 66), (101, 65), (336, 192)])
def test_the_strokes_are_those_of_the_formula(width: int, height: int) -> None:
    """The compiled loops against plain array arithmetic, on a picture with flat, busy, black and white parts."""
    rng = np.random.default_rng(width)
    soft = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)).resize((width, height), 3)
    frame = np.array(soft)
    frame[: height // 2, : width // 2] = rng.integers(0, 256, (height // 2, width // 2, 3))
    frame[: height // 4, width // 2 :] = 255
    block = imprint.block_of(carriers.unit_of(width, height))
    pattern = carriers.carriers_of(KEY).window(carriers.Mark(key=KEY, number=NUMBER), width, height)
    steps = np.rint(np.clip(pattern, -2.5, 2.5) * 50) / 50 * spread(strengths(frame, block), block, (height, width))
    expected = np.clip(frame + np.floor(steps + 0.5)[..., None], 0, 255).astype(int)
    difference = np.abs(imprint.imprint(frame, imprint.fixed(pattern), block).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3, "rounding may differ where a step lies between two numbers"


def strengths(frame: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """What `imprint` says of how strong a mark may be, from activities that are reckoned the long way."""
    green = frame[..., 1].astype(int)
    h, w = green.shape
    activity = np.zeros((-(-h // block), -(-w // block)), np.float32)
    for r, c in np.ndindex(activity.shape):
        ys = range(r * block, min(r * block + block, h - 2), max(2, block // 4))
        xs = range(c * block, min(c * block + block, w - 2), 2)
        found = [abs(green[y, x + 2] - green[y, x]) + abs(green[y + 2, x] - green[y, x]) for y in ys for x in xs]
        before = activity[r, c - 1] if c else activity[r - 1, c]
        activity[r, c] = np.mean(found) / 2 if found else before
    return imprint.strength_of(activity)


def spread(values: NDArray[np.float32], block: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Values in the middles of blocks, interpolated in between and held at the borders."""
    middles = [(np.arange(n) + 0.5) * block - 0.5 for n in values.shape]
    across = np.stack([np.interp(np.arange(shape[1]), middles[1], row) for row in values])
    return np.stack([np.interp(np.arange(shape[0]), middles[0], column) for column in across.T], 1)


def test_a_read_only_installation_can_mark_too() -> None:
    """Without a folder in which numba may keep what it compiles."""
    program = (
        "import numpy as np\n"
        "from haneul.trust import imprint\n"
        "grey = np.full((16, 16, 3), 128, np.uint8)\n"
        "print(np.ptp(imprint.imprint(grey, np.full((16, 16), 100, np.int8), 4)))\n"
        "print(imprint.imprint(grey, np.full((16, 16), 100, np.int8), 4)[0, 0])\n"
    )
    nowhere = {**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}  # that keeps notebooks' cells alone
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=nowhere)
    assert done.stdout == "0\n[130 130 130]\n"


# --------------------------------------------------------------------------------------------------------- found


@pytest.mark.parametrize(
    "name",
    [
        "as written (H.264 crf 18)", "H.264 crf 28", "AV1 crf 38", "scaled to 1/2", "cropped by 10%",
        "cropped by 25%, a corner, scaled back", "letterboxed", "contrast 70%", "caption burnt in", "mirrored",
        "one frame",
    ],
)  # fmt: skip
def test_it_survives(name: str, marked: list[NDArray[np.uint8]]) -> None:
    found = find_in([ATTACKS[name](marked)], KEY)
    assert [origin.id for origin in found] == [id_of(NUMBER)]
    assert found[0].bits is not None
    assert found[0].bits > 0.65
    assert found[0].false_alarm < 1e-5


def test_two_marks_are_both_read(marked: list[NDArray[np.uint8]]) -> None:
    twice = mark(np.stack(marked), OTHER)
    assert set(read(coded(twice, crf=23))) == {id_of(NUMBER), id_of(OTHER)}


def test_a_known_number_is_recognised_where_it_cannot_be_decoded(marked: list[NDArray[np.uint8]]) -> None:
    weak = [np.clip(f.astype(np.float32) + n, 0, 255).astype(np.uint8) for f, n in zip(marked, noise(50), strict=True)]
    field = field_of(weak)
    detector = detector_of(KEY)
    places = [detector.refined(field, place) for place in detector.places(field, [1.0])]
    soft = {place.set: detector.soft(field, place) for place in places}
    mine = carriers.Mark(key=KEY, number=NUMBER)
    place = next(p for p in places if p.set == mine.set)
    known = [NUMBER, *range(500)]
    assert detector.nearest(soft[mine.set], place, known)[0] == NUMBER
    assert detector.nearest(soft[mine.set], place, known[1:])[0] is None


def noise(sigma: float) -> NDArray[np.float32]:
    return (sigma * np.random.default_rng(3).standard_normal((8, 288, 512, 3))).astype(np.float32)


# ----------------------------------------------------------------------------------------------------- not found


def test_nothing_is_found_where_nothing_is(scene: NDArray[np.uint8], marked: list[NDArray[np.uint8]]) -> None:
    assert read(list(scene)) == []
    assert read(marked, OTHER_KEY) == []
    assert read(list(np.random.default_rng(0).integers(0, 256, (2, 200, 300, 3)).astype(np.uint8))) == []
    assert read([np.zeros((64, 64, 3), np.uint8)]) == []


def test_a_forged_message_needs_the_key() -> None:
    bits = carriers.message(KEY, NUMBER)
    chosen = carriers.Mark(key=KEY, number=NUMBER).set
    assert carriers.number_in(KEY, bits, chosen) == NUMBER
    assert carriers.number_in(KEY, bits, (chosen + 1) % carriers.SETS) is None
    for place in range(len(bits)):
        wrong = bits.copy()
        wrong[place] ^= 1
        assert carriers.number_in(KEY, wrong, chosen) is None


def test_the_mean_of_many_videos_does_not_show_the_pattern() -> None:
    """What an attacker gets who averages the marks of 200 videos is as small as chance makes it."""
    layers = carriers.carriers_of(KEY)
    windows = np.stack([layers.window(carriers.Mark(key=KEY, number=n), 160, 96) for n in range(200)])
    assert windows.mean(0).std() < 1.5 * windows.std() / np.sqrt(200)


def test_z_of_unmarked_clips_is_as_chance_has_it(scene: NDArray[np.uint8]) -> None:
    field = field_of(list(scene))
    unit = carriers.loose_unit_of(field.shape[1], field.shape[0])
    detectors = [detector_of(bytes([n] * 32)) for n in range(4)]
    tops = np.concatenate([d.surface(d.spectrum(field, (unit, unit))).max(1) for d in detectors])
    assert tops.max() < CERTAIN - 2
    assert 3.5 < np.median(tops) < 4.8, "the greatest of some 10,000 independent normal values is near 4"


# ------------------------------------------------------------------------------------------------------- the code


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**72 - 1), st.integers(0, 2**32 - 1))
def test_a_message_survives_noise(value: int, seed: int) -> None:
    message = np.array([(value >> i) & 1 for i in range(72)], np.uint8)
    signal = 1 - 2.0 * codes.encode(message)
    soft = signal + 0.8 * np.random.default_rng(seed).standard_normal(codes.LENGTH)  # 10% of the bits are wrong
    tries = codes.decode(soft[None].astype(np.float32), 72)[0]
    assert any(np.array_equal(t, message) for t in tries)


def test_the_code_is_its_own_inverse_and_linear() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 72)).astype(np.uint8)
    assert np.array_equal(codes.encode(a) ^ codes.encode(b), codes.encode(a ^ b))
    weights = [int(codes.encode(rng.integers(0, 2, 72).astype(np.uint8)).sum()) for _ in range(200)]
    assert min(weights) >= 16, "words lie far apart"


def test_a_still_picture_keeps_it_as_png_webp_and_gif(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path
    picture = Image.fromarray(mark(scene[:1])[0])
    for name in ("x.png", "x.webp", "x.jpg"):
        picture.save(folder / name, quality=90)
        assert [o.id for o in find(folder / name, KEY)] == [id_of(NUMBER)]
    write_gif(mark(scene), folder / "x.gif", fps=24)
    assert [o.id for o in find(folder / "x.gif", KEY)] == [id_of(NUMBER)]
