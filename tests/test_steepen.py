"""Soft edges become steps: where they are, as high as they are, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from haneul.video.steepen import all_steepened, steepened

Frame = NDArray[np.uint8]


def disc(width: int = 192, height: int = 160) -> Frame:
    """A bright disc on a ground that grows lighter downwards."""
    y, x = np.mgrid[:height, :width]
    ground = np.stack([20 + y / 4, 30 + y / 4, 60 + y / 8], -1)
    inside = ((x - width // 2) ** 2 + (y - height // 2) ** 2 < 40**2)[..., None]
    return np.where(inside, (230, 120, 90), ground).astype(np.uint8)


def blurred(frame: Frame, radius: float) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))


def steepness(frame: Frame) -> float:
    x = frame.astype(np.float64)
    return float(np.sqrt((np.diff(x, axis=0) ** 2).mean() + (np.diff(x, axis=1) ** 2).mean()))


@pytest.mark.parametrize("radius", [3.0, 5.0, 8.0])
def test_edges_become_steeper_where_they_are(radius: float) -> None:
    sharp, soft = disc(), blurred(disc(), radius)
    made = steepened(soft)
    assert steepness(made) > 1.5 * steepness(soft)
    off_before, off_now = (np.abs(v.astype(int) - sharp).mean() for v in (soft, made))
    assert off_now < 0.7 * off_before, "nearer to what it was before it was blurred"
    area = [float((v[..., 0] > 150).mean()) for v in (soft, made)]
    assert abs(area[0] - area[1]) < 0.01, "the disc is as large as it was"


def test_nothing_leaves_the_range_of_the_picture() -> None:
    soft = blurred(disc(), 5.0)
    made = steepened(soft).astype(int)
    for channel in (0, 1, 2):
        assert made[..., channel].min() >= int(soft[..., channel].min()) - 1
        assert made[..., channel].max() <= int(soft[..., channel].max()) + 1


def test_what_has_no_soft_edge_is_left_alone() -> None:
    plain = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    assert np.array_equal(steepened(plain), plain)
    slope = np.repeat(np.linspace(0, 255, 192).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    inner = np.s_[24:-24, 48:-48]
    assert np.abs(steepened(slope)[inner].astype(int) - slope[inner]).max() <= 2
    step = np.zeros((64, 96, 3), np.uint8)
    step[:, 48:] = 200
    assert np.abs(steepened(step).astype(int) - step).max() <= 1


def test_left_and_right_up_and_down_are_alike() -> None:
    soft = blurred(disc(), 4.0)
    made = steepened(soft).astype(int)
    for turn in (np.s_[:, ::-1], np.s_[::-1]):
        assert np.abs(steepened(soft[turn])[turn].astype(int) - made).max() <= 2


def test_the_frame_given_is_not_written_to() -> None:
    soft = blurred(disc(), 4.0)
    kept = soft.copy()
    assert steepened(soft) is not soft
    assert np.array_equal(soft, kept)


@pytest.mark.parametrize("threads", [1, 3])
def test_frames_come_in_their_order_as_they_are_made(threads: int) -> None:
    frames = [np.roll(blurred(disc(), 4.0), 8 * k, 1) for k in range(9)]
    made = []

    def one_by_one() -> Iterator[Frame]:
        for k, frame in enumerate(frames):
            made.append(k)
            yield frame

    found = all_steepened(one_by_one(), threads)
    first = next(found)
    assert len(made) == threads + 1, "no more is taken than is worked on"
    for got, frame in zip([first, *found], frames, strict=True):
        assert np.array_equal(got, steepened(frame))


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(8, 24).map(lambda n: 2 * n), st.integers(8, 24).map(lambda n: 2 * n), st.just(3)),
    )
)
def test_any_picture(frame: Frame) -> None:
    made = steepened(frame)
    assert made.shape == frame.shape
    assert made.dtype == np.uint8
