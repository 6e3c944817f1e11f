"""The registry over HTTP: what another installation is told of files that were made here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from serving import Running
from test_registry import finished, frames, stripped

from haneul import cli
from haneul.config import load_settings
from haneul.trust.registry import id_of, number_of

__all__ = ["frames"]  # a fixture


@pytest.fixture(scope="module")
def made(serving_home: Path, frames: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file that the serving installation made, and its number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANEUL_HOME", str(serving_home))
        path = tmp_path_factory.mktemp("made") / "ball.mp4"
        return path, id_of(finished(load_settings(), frames, path))


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli.main, ["verify", "--json", *arguments])
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("{") else {"error": done.output}


def test_a_number_leads_to_its_manifest(service: Running, made: tuple[Path, str]) -> None:
    number = made[1]
    (match,) = service.http.post("/haneul/registry/lookup", json={"number": number.upper()}).json()["matches"]
    assert (match["number"], match["title"], match["by"], match["sure"]) == (number, "ball.mp4", "number", None)
    assert match["state"] == "trusted"
    assert b"c2pa" in base64.b64decode(match["manifest"])
    none = service.http.post("/haneul/registry/lookup", json={"number": "0" * 12}).json()
    assert none == {"object": "registry.lookup", "matches": [], "marks": 0}


@pytest.mark.parametrize("body", [{"number": "12"}, {"number": "g" * 12}, {}, {"number": 7}, {"colour": "red"}])
def test_what_is_no_number_is_refused(service: Running, body: dict[str, Any]) -> None:
    assert service.http.post("/haneul/registry/lookup", json=body).status_code == 400


def test_a_file_without_credentials_is_recognised(
    service: Running, made: tuple[Path, str], tmp_path: Path, home: Path
) -> None:
    path, number = made
    bare = stripped(path, tmp_path / "bare.mp4")
    found = service.http.post("/haneul/registry/lookup", files={"file": ("x", bare.read_bytes())}).json()
    (match,) = found["matches"]
    assert (match["number"], match["by"], found["marks"]) == (number, "watermark", 1)
    assert match["sure"]["z"] > 6
    assert match["sure"]["false_alarm"] < 1e-6
    # Another computer, which has neither the key nor the registry:
    assert home.is_dir()
    assert verify(str(bare))[0] == 10
    code, verdict = verify(str(bare), "--registry", service.root)
    assert (code, verdict["state"], verdict["title"], verdict["origins"][0]["id"]) == (
        12, "recovered", "ball.mp4", number,
    )  # fmt: skip
    assert not verdict["here"]


def test_a_file_that_names_its_number_is_not_sent(
    service: Running, made: tuple[Path, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from haneul.trust import remote

    monkeypatch.setattr(remote, "_form", lambda _path: pytest.fail("the file was sent"))
    path, number = made
    assert home.is_dir()
    code, verdict = verify(str(path), "--registry", service.url)
    assert (code, verdict["state"], verdict["origins"][0]["id"]) == (0, "valid", number)
    assert verdict["origins"][0]["title"] == "ball.mp4"


def test_a_strangers_file_stays_strange(service: Running, plain: Path, home: Path) -> None:
    assert home.is_dir()
    code, verdict = verify(str(plain), "--registry", service.root)
    assert (code, verdict["state"]) == (10, "unsigned")
    assert "registry.unknown" in [problem["code"] for problem in verdict["problems"]]


@pytest.mark.parametrize("address", ["ftp://x", "http://127.0.0.1:9", "file:///etc/passwd"])
def test_an_address_that_is_no_registry(plain: Path, home: Path, address: str) -> None:
    assert home.is_dir()
    code, said = verify(str(plain), "--registry", address)
    assert code == 2, said


def test_what_a_registry_must_not_make_up(made: tuple[Path, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that lies: its manifest was changed, or is none."""
    from haneul.trust import remote
    from haneul.trust.registry import Registry, registry_path

    path, number = made
    record = Registry(registry_path(load_settings())).find(number_of(number) or 0)
    assert record is None  # this computer has no such record
    match = {
        "number": number, "title": "ball.mp4", "made": "", "sha256": "", "media_type": "video/mp4", "parts_of": [],
        "sure": None,
    }  # fmt: skip
    bare = np.frombuffer(path.read_bytes(), np.uint8)
    for manifest in (b"", b"not a manifest", bare[:2000].tobytes()):
        told = [match | {"manifest": base64.b64encode(manifest).decode()}]
        monkeypatch.setattr(remote, "_ask", lambda *_given, told=told: told)
        code, verdict = verify(str(path), "--registry", "http://liar")
        assert verdict["origins"][0]["title"] is None
        assert "registry.record" in [problem["code"] for problem in verdict["problems"]]
        assert code == 0  # what the file itself says holds anyway
