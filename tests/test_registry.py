"""The registry, the key, and `verify` on files that lost their credentials: end to end through real files."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from signers import INFO

import haneul
from haneul import cli
from haneul.config import Settings
from haneul.errors import CredentialError, OutputError
from haneul.evals import tamper
from haneul.trust import keys, stamp
from haneul.trust.origin import look_up, verify
from haneul.trust.registry import Record, Registry, id_of, number_of, registry_path
from haneul.trust.watermark import ALGORITHM
from haneul.video.io import read_video, write_mp4


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """uint8 [12, 288, 512, 3]: a square that moves over a soft ground."""
    y, x = np.mgrid[0:288, 0:512]
    ground = np.stack([x * 0.45, y * 0.8, 128 + 40 * np.sin((x + y) / 30)], -1).astype(np.uint8)
    video = np.repeat(ground[None], 12, 0)
    for t in range(12):
        video[t, 90:180, 30 + 18 * t : 120 + 18 * t] = (220, 80, 30)
    return video


def finished(settings: Settings, frames: NDArray[np.uint8], path: Path, seed: int = 7) -> int:
    """A marked, signed and recorded file, as the engine makes it; returns its number."""
    ours = stamp.ready(settings)
    number = ours.number(frames, seed)
    write_mp4(ours.mark(frames, number), path, fps=24)
    ours.sign(path, dataclasses.replace(INFO, title=path.name, seed=seed), number)
    return number


def stripped(path: Path, target: Path, *, mirror: bool = False) -> Path:
    """The same pictures, encoded again at crf 28: no credentials are left."""
    video = read_video(path).frames
    write_mp4(video[:, :, ::-1] if mirror else video, target, fps=24, crf=28)
    return target


# ------------------------------------------------------------------------------------------------------ end to end


def test_a_stripped_file_is_found_again(settings: Settings, frames: NDArray[np.uint8], tmp_path: Path) -> None:
    number = finished(settings, frames, tmp_path / "a.mp4")
    signed = verify(tmp_path / "a.mp4", settings=settings)
    assert (signed.state, signed.here, signed.watermark) == ("trusted", True, ALGORITHM)
    assert signed.bindings == (id_of(number),)
    assert signed.origins == (), "with a valid signature of our own nothing needs to be searched"
    for mirror in (False, True):
        verdict = verify(stripped(tmp_path / "a.mp4", tmp_path / f"b{mirror}.mp4", mirror=mirror), settings=settings)
        assert (verdict.state, verdict.exit_code, verdict.here) == ("recovered", 12, False)
        assert (verdict.seed, verdict.model, verdict.title) == (7, INFO.model, "a.mp4")
        assert (verdict.origins[0].id, verdict.origins[0].title) == (id_of(number), "a.mp4")
        assert verdict.origins[0].false_alarm < 1e-5
        assert "watermark leads to" in verdict.text()
        assert json.loads(json.dumps(verdict.to_json()))["origins"][0]["id"] == id_of(number)


def test_unmarked_files_and_those_of_others_stay_unsigned(
    settings: Settings, plain: Path, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    other = Settings(data=tmp_path / "other", cache=tmp_path / "cache")
    finished(other, frames, tmp_path / "theirs.mp4")
    finished(settings, frames[:, ::-1], tmp_path / "mine.mp4")
    assert verify(plain, settings=settings).exit_code == 10
    assert verify(stripped(tmp_path / "theirs.mp4", tmp_path / "s.mp4"), settings=settings).exit_code == 10
    assert verify(tmp_path / "theirs.mp4", settings=settings).state == "valid"


def test_a_strangers_signature_over_our_mark_is_told(
    settings: Settings, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    from signers import issue

    from haneul.trust.credentials import sign

    number = finished(settings, frames, tmp_path / "a.mp4")
    sign(stripped(tmp_path / "a.mp4", tmp_path / "b.mp4"), tmp_path / "c.mp4", INFO, issue())
    verdict = verify(tmp_path / "c.mp4", settings=settings)
    assert verdict.state == "valid"
    assert verdict.origins[0].id == id_of(number)
    assert "watermark.other" in [problem.code for problem in verdict.problems]


def test_tampered_files(tmp_path: Path) -> None:
    """No tampering passes for the original, but in places that the standard leaves out and nobody sees."""
    table = tamper.measure(tmp_path, lambda _: None)
    assert len(table) > 12
    passed = {name for name, row in table.items() if row["state"] == "trusted"}
    assert passed == {"untouched", "a byte flipped in ftyp", "a free box appended"}
    assert table["encoded again"]["exit_code"] == 12
    assert table["encoded again, mirrored and cropped"]["exit_code"] == 12
    assert table["encoded again, old manifest put in"]["state"] == "invalid"


# --------------------------------------------------------------------------------------- registry missing or damaged


def test_without_a_record_a_mark_is_still_a_mark(settings: Settings, frames: NDArray[np.uint8], tmp_path: Path) -> None:
    number = finished(settings, frames, tmp_path / "a.mp4")
    bare = stripped(tmp_path / "a.mp4", tmp_path / "b.mp4")
    registry_path(settings).unlink()
    verdict = verify(bare, settings=settings)
    assert (verdict.state, verdict.exit_code, verdict.origins[0].id) == ("marked", 13, id_of(number))
    registry_path(settings).write_bytes(b"not a database" * 100)
    verdict = verify(bare, settings=settings)
    assert (verdict.state, [p.code for p in verdict.problems]) == ("marked", ["registry.unreadable"])
    with pytest.raises(CredentialError, match=r"is damaged .* restore a copy"):
        stamp.ready(settings)


def test_signed_files_can_be_registered_again(home: Path, frames: NDArray[np.uint8], tmp_path: Path) -> None:
    from haneul.config import load_settings

    settings = load_settings()
    finished(settings, frames, tmp_path / "a.mp4")
    bare = stripped(tmp_path / "a.mp4", tmp_path / "b.mp4")
    registry_path(settings).unlink()
    assert haneul.verify(bare).state == "marked"
    done = CliRunner().invoke(cli.main, ["registry", "add", str(tmp_path / "a.mp4"), str(bare)])
    assert done.exit_code == 11, "one of the two is not signed"
    assert "a.mp4" in done.stdout
    assert "b.mp4" in done.stderr
    assert haneul.verify(bare).state == "recovered"
    assert haneul.verify(bare).seed == 7


def test_a_changed_record_does_not_count(settings: Settings, frames: NDArray[np.uint8], tmp_path: Path) -> None:
    number = finished(settings, frames, tmp_path / "a.mp4")
    answer = look_up(number, settings=settings)
    assert answer is not None
    assert answer.credentials.here
    forged = answer.record.manifest.replace(b"haneul-nano", b"haneul-nada")
    assert forged != answer.record.manifest
    Registry(registry_path(settings)).keep(dataclasses.replace(answer.record, manifest=forged))
    verdict = verify(stripped(tmp_path / "a.mp4", tmp_path / "b.mp4"), settings=settings)
    assert (verdict.state, verdict.model) == ("marked", None)
    assert "registry.record" in [problem.code for problem in verdict.problems]


def test_a_registry_that_cannot_be_written_is_told_before_any_work(settings: Settings) -> None:
    registry_path(settings).mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be used"):
        stamp.ready(settings)


def test_many_writers(settings: Settings) -> None:
    registry = Registry(registry_path(settings))
    registry.check()

    def keep(number: int) -> None:
        registry.keep(
            Record(number=number, key="k", title=f"{number}.mp4", sha256="ab", media_type="video/mp4", manifest=b"m",
                   parts=(number + 1,))
        )  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(40)))
    assert sorted(registry.numbers("k").tolist()) == list(range(40))
    assert [record.number for record in registry.wholes(8)] == [7]
    assert registry.find(7) is not None
    assert registry.find(99) is None
    assert registry.strangers("k") == 0
    assert registry.strangers("another") == 40
    with sqlite3.connect(registry.path) as base:
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_numbers_as_text() -> None:
    assert number_of(id_of(42)) == 42
    assert number_of("00000000002g") is None
    assert number_of("2a") is None


# ------------------------------------------------------------------------------------------------------------ the key


def test_the_key_is_made_once_and_private(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.ready_key(settings), range(8)))
    assert len(made) == 1
    assert len(made.pop()) == 32
    path = keys.key_path(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing half-made is left"


def test_a_lost_or_damaged_key_is_told(settings: Settings, frames: NDArray[np.uint8], tmp_path: Path) -> None:
    finished(settings, frames, tmp_path / "a.mp4")
    bare = stripped(tmp_path / "a.mp4", tmp_path / "b.mp4")
    key = keys.key_path(settings)
    key.write_text("short")
    assert [p.code for p in verify(bare, settings=settings).problems] == ["watermark.key"]
    with pytest.raises(CredentialError, match="damaged"):
        stamp.ready(settings)
    key.unlink()
    verdict = verify(bare, settings=settings)
    assert (verdict.exit_code, [p.code for p in verdict.problems]) == (10, ["watermark.key"])
    assert any("1 earlier files" in warning for warning in stamp.ready(settings).warnings)
