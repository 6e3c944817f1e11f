"""The report card's models: an open checkpoint is asked and looked at as ours is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_open

from haneul.backbones.open import folder
from haneul.backbones.open.backbone import Open
from haneul.config import load_settings
from haneul.evals.card import card
from haneul.evals.card.measures import MEASURES, Seen
from haneul.evals.card.models import FRAMES, Graded
from haneul.evals.card.staged import cases
from haneul.evals.card.tracking import Sight

SMALL = (64, 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_open.save("wan-i2v", tmp_path_factory.mktemp("open"))


def test_an_open_checkpoint_goes_on_from_a_set_up(checkpoint: Path, tmp_path: Path) -> None:
    model = Graded(
        name="open", backbone=Open(folder.read(checkpoint)), folder=tmp_path, steps=1, guidance=1.0, size=SMALL
    )
    assert model.given in ("picture", "clip")
    case = next(cases("falling"))
    clip = model.predict(case)
    assert clip.shape == (FRAMES, 64, 112, 3)
    assert clip.dtype == np.uint8
    assert clip.std() > 0
    assert model.coded(case.video) is None
    seen = Seen(sight=Sight(case), video=clip)
    for measure in MEASURES:
        if measure.scene == "falling":
            measure.value(seen)  # noise is no fall, and no error either
    again = Graded(
        name="open", backbone=Open(folder.read(checkpoint)), folder=tmp_path, steps=1, guidance=1.0, size=SMALL
    )
    assert again.key == model.key
    assert np.array_equal(again.predict(case), clip)


def test_models_are_found_by_folder_and_name(checkpoint: Path, tmp_path: Path) -> None:
    import tiny_native

    own = tiny_native.write(tmp_path)
    name, backbone = card.named(f"tiny={own}", load_settings())
    assert (name, backbone.identity().model) == ("tiny", "haneul-nano")
    name, backbone = card.named(str(checkpoint), load_settings())
    assert name == checkpoint.name
    assert isinstance(backbone, Open)
