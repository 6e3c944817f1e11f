"""What `haneul bench open` measures, on networks of a few thousand numbers."""

from __future__ import annotations

import pytest

from haneul.evals import bench, peers_open
from haneul.evals.peers_open import Size


@pytest.mark.usefixtures("in_float32")
def test_ours_is_held_against_plain_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Size(
        width=48, layers=2, text_width=64, text_layers=1, frames=5, sides=(32, 32), steps=3, long_steps=6,
    )  # fmt: skip
    monkeypatch.setitem(peers_open.SIZES, "tiny", small)
    said: list[str] = []
    result = peers_open.measure(said.append, ("tiny",), turns=2, cache=0.9)
    found = result["tiny"]
    assert found["largest_difference"]["exact"] == 0  # bit for bit
    assert found["largest_difference"]["ours"] <= 1
    assert set(found["seconds"]) == {"plain", "exact", "ours", "plain, long", "cached", "seen"}
    for key, seconds in found["seconds"].items():
        assert len(seconds) == len(found["processor"][key]) == 2
        steps = small.long_steps if key in ("plain, long", "cached") else small.steps
        for whole, step in zip(seconds, found["step_ms"][key], strict=True):
            assert 0 < (steps - 1) * step / 1000 < whole  # all steps but the first one
    assert all(one["seconds"] > 0 and one["peak_mib"] > 50 for one in found["process"].values())
    text = "\n".join(" | ".join(row) for row in bench.rows({"open": result}))
    assert "open, tiny: bit for bit" in text
    assert "ms a step against" in text
    assert "open, tiny: process start to frames" in text
    assert len(said) == 2 * 6 + 2
