"""Signing and verifying: a change shows, a stranger is not trusted, and nothing half-signed is left."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import socket
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ObjectIdentifier
from numpy.typing import NDArray
from signers import INFO, configure, issue, mismatched

from haneul.errors import CredentialError, InputError, OutputError
from haneul.trust.credentials import Signer, check_signer, sign, sign_in_place, verify
from haneul.trust.watermark import NoWatermark

# ------------------------------------------------------------------------------------------------------ round trip


def test_round_trip(signed: Path) -> None:
    verdict = verify(signed)
    assert (verdict.state, verdict.exit_code, verdict.here, verdict.problems) == ("trusted", 0, True, ())
    for name in ("title", "model", "weights_sha256", "data_ledger_root", "mode", "seed"):
        assert getattr(verdict, name) == getattr(INFO, name)
    assert verdict.ai_generated is True
    assert verdict.do_not_train is True
    assert verdict.prompt is None
    assert verdict.watermark == NoWatermark.name == "none"
    assert verdict.generator is not None
    assert verdict.generator.startswith("Haneul ")
    made = datetime.fromisoformat(verdict.when or "")
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=5)


def test_verdict_as_text_and_json(signed: Path) -> None:
    verdict = verify(signed)
    text = verdict.text()
    for words in ("signed by this installation", "by an AI model", "haneul-nano", "seed           7", "not allowed"):
        assert words in text
    table = json.loads(json.dumps(verdict.to_json()))
    assert table["state"] == "trusted"
    assert table["seed"] == 7
    assert table["ingredients"] == []


def test_frames_are_untouched(signed: Path, plain: Path) -> None:
    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0)]

    assert packets(signed) == packets(plain)


def test_prompt_and_permission_are_the_users_choice(plain: Path, tmp_path: Path) -> None:
    info = dataclasses.replace(INFO, prompt="빨간 공\x1b[31m", do_not_train=False)
    sign(plain, tmp_path / "p.mp4", info, check_signer())
    verdict = verify(tmp_path / "p.mp4")
    assert verdict.prompt == "빨간 공\x1b[31m"
    assert verdict.do_not_train is False
    assert "\x1b" not in verdict.text()  # a file must not steer the terminal of who inspects it


def test_signing_in_place(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(plain.read_bytes())
    sign_in_place(path, INFO, check_signer())
    assert verify(path).state == "trusted"


def test_ingredients_are_kept(signed: Path, plain: Path, tmp_path: Path) -> None:
    info = dataclasses.replace(INFO, mode="connect", ingredients=(signed, plain))
    sign(plain, tmp_path / "out.mp4", info, check_signer())
    verdict = verify(tmp_path / "out.mp4")
    assert verdict.state == "trusted"
    assert [(i.title, i.state) for i in verdict.ingredients] == [("signed.mp4", "valid"), ("plain.mp4", None)]
    assert all(i.sha256 and len(i.sha256) == 64 for i in verdict.ingredients)


def test_a_tampered_ingredient_is_told(signed: Path, plain: Path, tmp_path: Path) -> None:
    flip(signed, signed.stat().st_size - 50)
    sign(plain, tmp_path / "out.mp4", dataclasses.replace(INFO, ingredients=(signed,)), check_signer())
    verdict = verify(tmp_path / "out.mp4")
    assert verdict.state == "trusted"
    assert verdict.ingredients[0].state == "invalid"


# ------------------------------------------------------------------------------------------------------ what changed


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (b"mdat", "assertion.bmffHash.mismatch"),
        (b"moov", "assertion.bmffHash.mismatch"),
        (b"haneul-nano", "assertion."),
    ],
)
def test_a_flipped_byte_shows(signed: Path, where: bytes, code: str) -> None:
    flip(signed, signed.read_bytes().index(where) + (60 if where != b"haneul-nano" else 3))
    verdict = verify(signed)
    assert (verdict.state, verdict.exit_code, verdict.here) == ("invalid", 11, False)
    assert any(problem.code.startswith(code) for problem in verdict.problems), verdict.problems
    assert "changed after it was signed" in verdict.text()


def test_no_flip_passes_for_another_content(signed: Path) -> None:
    """Bytes that the standard leaves unprotected exist (padding); none of them changes what is reported or played."""
    content = signed.read_bytes()
    honest = verify(signed).to_json()
    first_frame_data = content.index(b"mdat")
    for place in range(32, len(content), 61):
        broken = bytearray(content)
        broken[place] ^= 0x10
        signed.write_bytes(broken)
        verdict = verify(signed)
        assert verdict.state in ("invalid", "trusted", "unsigned")
        if verdict.state == "trusted":
            assert verdict.to_json() == honest
            assert place < first_frame_data
        if verdict.state == "unsigned":
            assert place < 60  # in the box's own type and identifier: then there is no manifest any more


def test_cut_and_extended_files(signed: Path) -> None:
    content = signed.read_bytes()
    for changed in (content[:-40], content + b"more", content[: len(content) // 2]):
        signed.write_bytes(changed)
        assert verify(signed).exit_code == 11


def test_a_decoy_before_the_frames_shows(signed: Path) -> None:
    """Sample offsets are absolute: a skipped box put before the frames would be played in their place."""
    content = signed.read_bytes()
    place = content.index(b"mdat") - 4
    (size,) = struct.unpack(">I", content[place : place + 4])
    decoy = struct.pack(">I4s", size, b"free") + bytes(size - 8)
    signed.write_bytes(content[:place] + decoy + content[place:])
    assert verify(signed).state == "invalid"


def test_remuxing_strips(signed: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.mp4"
    with av.open(str(signed)) as source, av.open(str(bare), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    verdict = verify(bare)
    assert (verdict.state, verdict.exit_code) == ("unsigned", 10)
    assert "carries no content credentials" in verdict.text()


def test_unsigned_and_other_files(plain: Path, tmp_path: Path) -> None:
    assert verify(plain).exit_code == 10
    for content in (b"", b"a text\n", bytes(1000)):
        (tmp_path / "x").write_bytes(content)
        assert verify(tmp_path / "x").exit_code == 10
    with pytest.raises(InputError, match="cannot be read"):
        verify(tmp_path / "no.mp4")
    with pytest.raises(InputError, match="cannot be read"):
        verify(tmp_path)


def test_verifying_never_uses_the_network(plain: Path, tmp_path: Path) -> None:
    """A file may name an address where its manifest lies; the library's default is to go there."""
    import c2pa

    signer = check_signer()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        path = tmp_path / "remote.mp4"
        info = c2pa.C2paSignerInfo(signer.algorithm, signer.chain_pem(), signer.key_pem(), None)
        with (
            c2pa.Signer.from_info(info) as native,
            c2pa.Builder(json.dumps(INFO.to_manifest())) as builder,
            plain.open("rb") as source,
            path.open("w+b") as target,
        ):
            builder.set_no_embed()
            builder.set_remote_url(f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa")
            builder.sign(native, "video/mp4", source, target)
        verdict = verify(path)
        with pytest.raises(TimeoutError):
            server.accept()
    assert verdict.state == "unsigned"
    assert verdict.problems[0].code == "manifest.remote"


# ------------------------------------------------------------------------------------------------- who is trusted


def test_a_stranger_is_valid_but_not_trusted(plain: Path, tmp_path: Path) -> None:
    sign(plain, tmp_path / "s.mp4", INFO, issue(name="Stranger"))
    verdict = verify(tmp_path / "s.mp4")
    assert (verdict.state, verdict.exit_code, verdict.here) == ("valid", 0, False)
    assert verdict.signer == "Stranger"
    assert "not known here" in verdict.text()
    assert [problem.code for problem in verdict.problems] == ["signingCredential.untrusted"]


def test_trust_anchors_are_trusted(plain: Path, tmp_path: Path, home: Path) -> None:
    friend = issue(name="Friend")
    sign(plain, tmp_path / "s.mp4", INFO, friend)
    (home / "friends.pem").write_bytes(friend.chain[-1].public_bytes(serialization.Encoding.PEM))
    (home / "config.toml").write_text('[credentials]\ntrust_anchors = "friends.pem"\n')
    verdict = verify(tmp_path / "s.mp4")
    assert (verdict.state, verdict.here) == ("trusted", False)


def test_own_certificate(plain: Path, tmp_path: Path, home: Path) -> None:
    configure(home, issue(name="My studio"))
    signer = check_signer()
    assert (signer.name, signer.local) == ("My studio", False)
    sign(plain, tmp_path / "s.mp4", INFO, signer)
    verdict = verify(tmp_path / "s.mp4")
    assert (verdict.state, verdict.here, verdict.signer) == ("trusted", True, "My studio")
    assert not (home / "data").exists()  # no local certificate is made where none is needed


def test_other_customers_of_ones_authority_are_strangers(plain: Path, tmp_path: Path, home: Path) -> None:
    mine, other = issue(name="Mine"), issue(name="Other")
    sign(plain, tmp_path / "s.mp4", INFO, other)
    configure(home, Signer(chain=(mine.chain[0], other.chain[-1]), key=mine.key, local=False))
    assert verify(tmp_path / "s.mp4").state == "valid"


@pytest.mark.parametrize("make", ["p384", "rsa", "ed25519"])
def test_other_kinds_of_keys(make: str, plain: Path, tmp_path: Path) -> None:
    key = {
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[make]()
    signer = issue(key)
    sign(plain, tmp_path / "s.mp4", INFO, signer)
    assert verify(tmp_path / "s.mp4").state == "valid"


def test_c2pa_purpose_is_understood(plain: Path, tmp_path: Path) -> None:
    """The purpose in certificates of the C2PA conformance programme, which the library refuses by default."""
    signer = issue(purposes=(ObjectIdentifier("1.3.6.1.4.1.62558.2.1"),))
    sign(plain, tmp_path / "s.mp4", INFO, signer)
    assert verify(tmp_path / "s.mp4").state == "valid"


# ------------------------------------------------------------------------------------------------------- outputs


def test_failed_signing_leaves_nothing(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="could not sign"):
        sign(plain, tmp_path / "s.mp4", INFO, mismatched())
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    with pytest.raises(CredentialError, match="could not sign"):
        sign(broken, tmp_path / "s.mp4", INFO, check_signer())
    with pytest.raises(InputError, match="there is no file"):
        sign(tmp_path / "no.mp4", tmp_path / "s.mp4", INFO, check_signer())
    with pytest.raises(InputError, match="there is no file"):
        sign(plain, tmp_path / "s.mp4", dataclasses.replace(INFO, ingredients=(tmp_path / "no.png",)), check_signer())
    assert [broken] == list(tmp_path.iterdir())


def test_existing_output_is_kept(plain: Path, signed: Path) -> None:
    before = signed.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        sign(plain, signed, INFO, check_signer())
    assert signed.read_bytes() == before


def test_disk_full_while_signing(plain: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom haneul.errors import OutputError\nfrom haneul.trust.credentials import *\n"
        "info = ManifestInfo(title='t', model='m', weights_sha256='', data_ledger_root='', mode='', seed=0)\n"
        "try:\n    sign(sys.argv[1], sys.argv[2], info, check_signer())\n"
        "except OutputError as error:\n    print(error)\n"
    )
    limit = plain.stat().st_size - 200
    check_signer()
    done = subprocess.run(
        [sys.executable, "-c", program, str(plain), str(tmp_path / "s.mp4")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )
    assert "no space left to write s.mp4" in done.stdout, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_seed_of_more_than_64_bits() -> None:
    with pytest.raises(InputError, match="seed is"):
        dataclasses.replace(INFO, seed=2**63)


def test_no_watermark_passes_frames_through(clip: NDArray[np.uint8]) -> None:
    marked = list(NoWatermark().embed(iter(clip), b"id"))
    np.testing.assert_array_equal(np.stack(marked), clip)
