"""Sizes by name, by aspect, and in numbers."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from haneul import cli
from haneul.backbones.native import base_grid
from haneul.engine import check_shape
from haneul.errors import InputError
from haneul.video.sizes import AREA, SIZES, size_named


@pytest.mark.parametrize("name", [*SIZES, "16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21", "4:5", "2:1"])
def test_every_size_can_be_made(name: str) -> None:
    check_shape(1.0, size_named(name.upper()))


@pytest.mark.parametrize(
    ("name", "aspect"), [("16:9", 16 / 9), ("9:16", 9 / 16), ("1:1", 1), ("4:3", 4 / 3), ("21:9", 21 / 9)]
)
def test_an_aspect_is_as_large_as_the_default(name: str, aspect: float) -> None:
    w, h = size_named(name)
    assert w / h == pytest.approx(aspect, rel=0.005)
    assert w * h == pytest.approx(AREA, rel=0.01)
    rows, columns = base_grid((w, h), 28)
    assert columns / rows == pytest.approx(aspect, rel=0.2), "the model's own grid is near it"


def test_numbers() -> None:
    assert size_named("896x512") == size_named(" 896 × 512 ") == (896, 512)


@pytest.mark.parametrize("text", ["", "big", "896", "896x", "0x0", "1:0", "-4x4", "9" * 50 + "x1", "1e3x2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a size; write width x height"):
        size_named(text)


def test_the_command_line_says_what_there_is() -> None:
    result = CliRunner().invoke(cli.main, ["generate", "a ball", "--size", "imax"])
    assert result.exit_code == 2
    assert "youtube" in result.stderr
    assert cli.SIZE.convert("tiktok", None, None) == (1080, 1920)
