"""Another library, `@trustnxt/c2pa-ts` of npm, reads what we sign or tampered with, and signs what we read."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from npm import script_beside
from signers import INFO, issue

from haneul.config import Settings
from haneul.evals.tamper import _clip, tamperings
from haneul.trust import stamp
from haneul.trust.credentials import check_signer, sign, verify
from haneul.video.picture import write_picture

VERSION = "0.9.4"
#: A byte of `ftyp` is outside of what the signature covers; a free box at the end is covered by it, and not by ours.
TOLD_OTHERWISE = {"a byte flipped in ftyp", "a free box appended"}


@pytest.fixture(scope="module")
def script(request: pytest.FixtureRequest) -> Path:
    return script_beside(request, "npm_c2pa.mjs", "@trustnxt/c2pa-ts", VERSION)


def node(script: Path, *words: str | Path) -> str:
    done = subprocess.run(["node", script, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def read(script: Path, *files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node(script, "read", *files).splitlines()]


def test_it_reads_what_we_sign(script: Path, signed: Path, plain: Path, tmp_path: Path) -> None:
    built = tmp_path / "built-on.mp4"
    sign(plain, built, dataclasses.replace(INFO, ingredients=(signed,)), check_signer())
    picture, marked = tmp_path / "picture.png", tmp_path / "signed.png"
    write_picture(np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8), picture)
    sign(picture, marked, INFO, check_signer())
    for found, manifests in zip(read(script, signed, built, marked), (1, 2, 1), strict=True):
        assert (found["valid"], found["failures"], found["generator"]) == (True, [], "Haneul")
        assert found["manifests"] == manifests
        assert {"c2pa.actions.v2", "cawg.training-mining", "org.haneul.generation"} <= set(found["assertions"])
    assert read(script, plain) == [{"readable": True, "signed": False}]


def test_it_sees_every_tampering_too(script: Path, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", cache=tmp_path / "cache")
    ours = stamp.ready(settings)
    one, two = _clip(ours, tmp_path / "one.mp4", 1), _clip(ours, tmp_path / "two.mp4", 2)
    changes = tamperings(one, two, tmp_path)
    assert len(changes) >= 10
    files = {}
    for number, (name, tampered) in enumerate(changes.items()):
        files[name] = tmp_path / f"{number}.mp4"
        files[name].write_bytes(tampered())
    theirs = {name: bool(found.get("valid")) for name, found in zip(files, read(script, *files.values()), strict=True)}
    mine = {name: verify(path, settings=settings).state in ("trusted", "valid") for name, path in files.items()}
    assert {name for name, valid in theirs.items() if valid} == {"a byte flipped in ftyp"}
    assert {name for name in files if theirs[name] != mine[name]} <= TOLD_OTHERWISE


@pytest.mark.parametrize("kind", [".png", ".mp4"])
def test_we_read_what_it_signs(script: Path, plain: Path, tmp_path: Path, kind: str) -> None:
    signer = issue()
    key, form = tmp_path / "key", serialization.Encoding.DER
    key.write_bytes(signer.key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    chain = [tmp_path / f"{number}.der" for number in range(len(signer.chain))]
    for path, certificate in zip(chain, signer.chain, strict=True):
        path.write_bytes(certificate.public_bytes(form))
    source, target = plain, tmp_path / f"signed{kind}"
    if kind == ".png":
        source = tmp_path / "plain.png"
        write_picture(np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8), source)
    node(script, "sign", source, target, key, *chain)
    verdict = verify(target)
    assert (verdict.state, verdict.here) == ("valid", False)
    assert verdict.generator is not None
    assert verdict.generator.startswith("c2pa-ts")
    content = bytearray(target.read_bytes())
    content[-200] ^= 1
    target.write_bytes(content)
    assert verify(target).state == "invalid"
