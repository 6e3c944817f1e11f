"""Signing and verifying: a change shows, a stranger is not trusted, and an unusable certificate is refused early."""

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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from numpy.typing import NDArray

from haneul.config import Settings, load_settings
from haneul.errors import CredentialError, InputError, OutputError
from haneul.trust import certificates
from haneul.trust.credentials import ManifestInfo, Signer, check_signer, sign, sign_in_place, verify
from haneul.trust.watermark import NoWatermark
from haneul.video.io import write_mp4

INFO = ManifestInfo(
    title="하늘.mp4",
    model="haneul-nano",
    weights_sha256="ab" * 32,
    data_ledger_root="cd" * 32,
    mode="text-to-video",
    seed=7,
)


@pytest.fixture(scope="module")
def plain(clip: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    write_mp4(clip, path, fps=24)
    return path


@pytest.fixture
def signed(plain: Path, tmp_path: Path) -> Path:
    path = tmp_path / "signed.mp4"
    sign(plain, path, INFO, check_signer())
    return path


def issue(
    key: certificates.Any = None,
    *,
    days: tuple[float, float] = (-1, 30),
    purposes: tuple[ObjectIdentifier, ...] = (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    name: str = "Somebody",
) -> Signer:
    """A certificate from an authority that this installation does not know."""
    now = datetime.now(UTC)
    key, root_key = key or ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def start(subject: str, public: certificates.Any, until: float) -> x509.CertificateBuilder:
        def full(common: str) -> x509.Name:
            return x509.Name(
                [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
            )

        return (
            x509.CertificateBuilder()
            .subject_name(full(subject))
            .issuer_name(full("Root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=min(days[0], -1) if subject == "Root" else days[0]))
            .not_valid_after(now + timedelta(days=until))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )

    root = (
        start("Root", root_key.public_key(), 365)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(certificates._usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        start(name, key.public_key(), days[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(certificates._usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return Signer(chain=(leaf, root), key=key, local=False)


def configure(home: Path, signer: Signer) -> Settings:
    """Makes `signer` the user's own, by the settings file."""
    (home / "chain.pem").write_bytes(signer.chain_pem())
    (home / "key.pem").write_bytes(signer.key_pem())
    (home / "config.toml").write_text(
        '[credentials]\ncertificate_chain = "chain.pem"\nprivate_key = "key.pem"\n', encoding="utf-8"
    )
    return load_settings()


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


# ------------------------------------------------------------------------------------------ refused before any work


def mismatched() -> Signer:
    return dataclasses.replace(issue(), key=ec.generate_private_key(ec.SECP256R1()))


def misissued() -> Signer:
    signer = issue()
    return dataclasses.replace(signer, chain=(signer.chain[0], issue().chain[1]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (misissued, "was not issued by the next"),
        (lambda: issue(days=(-30, -2)), "expired on"),
        (lambda: issue(days=(2, 30)), "valid only from"),
        (mismatched, "does not belong to the certificate"),
        (lambda: issue(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), "may not sign claims"),
        (lambda: issue(ec.generate_private_key(ec.SECP256K1())), "curve is secp256k1"),
        (lambda: issue(rsa.generate_private_key(65537, 1024)), "of no kind that C2PA allows"),
        (lambda: issue(name="Root"), "self-signed"),
    ],
)
def test_unusable_signers(make: certificates.Any, words: str, home: Path) -> None:
    configure(home, make())
    with pytest.raises(CredentialError, match=words):
        check_signer()


def test_what_only_the_library_sees(home: Path) -> None:
    """The plain checks pass; that C2PA forbids this mix of purposes is found by the trial signature."""
    configure(home, issue(purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.TIME_STAMPING)))
    with pytest.raises(CredentialError, match="could not sign"):
        check_signer()


def test_unreadable_files(home: Path) -> None:
    signer = issue()
    configure(home, signer)
    (home / "key.pem").write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CredentialError, match="is encrypted"):
        check_signer()
    (home / "key.pem").write_text("hello")
    with pytest.raises(CredentialError, match="no private key in PEM form"):
        check_signer()
    (home / "key.pem").unlink()
    with pytest.raises(CredentialError, match=r"key\.pem cannot be read"):
        check_signer()
    (home / "chain.pem").write_text("hello")
    with pytest.raises(CredentialError, match="no certificate in PEM form"):
        check_signer()


def test_an_old_style_key_file_works(home: Path) -> None:
    """The library itself takes PKCS#8 only; `openssl ecparam -genkey` writes another form."""
    signer = issue()
    configure(home, signer)
    (home / "key.pem").write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    check_signer()


# ------------------------------------------------------------------------------------------------- the local signer


def test_first_use_makes_one_signer(home: Path) -> None:
    first = check_signer()
    assert first.local
    assert check_signer().serial == first.serial
    store = home / "data" / "credentials" / "signer.pem"
    assert store.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in store.parent.iterdir()) == ["anchors", "signer.pem"]


def test_expired_local_signer_is_renewed_and_old_files_stay_trusted(
    home: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = check_signer()
    sign(plain, tmp_path / "old.mp4", INFO, old)
    monkeypatch.setattr(certificates, "_RENEW_AFTER", timedelta(hours=1))
    new = check_signer()
    assert new.serial != old.serial
    sign(plain, tmp_path / "new.mp4", INFO, new)
    assert all(verify(tmp_path / name).here for name in ("old.mp4", "new.mp4"))


def test_a_damaged_local_signer_is_replaced(home: Path) -> None:
    first = check_signer()
    (home / "data" / "credentials" / "signer.pem").write_bytes(b"")
    assert check_signer().serial != first.serial


def test_an_expired_signature_is_not_called_tampering(
    home: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(certificates, "_LIFETIME", timedelta(seconds=2))
    signer = check_signer()
    sign(plain, tmp_path / "s.mp4", INFO, signer)
    assert verify(tmp_path / "s.mp4").state == "trusted"
    time.sleep(max(0.0, (signer.chain[0].not_valid_after_utc - datetime.now(UTC)).total_seconds()) + 1.1)
    verdict = verify(tmp_path / "s.mp4")
    assert verdict.exit_code == 11
    assert "unchanged since it was signed, but the signature does not count" in verdict.text()


def test_two_processes_at_once(home: Path, plain: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom haneul.trust.credentials import *\n"
        "info = ManifestInfo(title='t', model='m', weights_sha256='', data_ledger_root='', mode='', seed=0)\n"
        "sys.stdin.read()\nsign(sys.argv[1], sys.argv[2], info, check_signer())\n"
    )
    files = [tmp_path / f"{n}.mp4" for n in range(3)]
    jobs = [
        subprocess.Popen([sys.executable, "-c", program, str(plain), str(file)], stdin=subprocess.PIPE)
        for file in files
    ]
    for job in jobs:
        assert job.stdin is not None
        job.stdin.close()  # all wait here, imports done, and start together
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert [verify(file).here for file in files] == [True, True, True]


def test_nowhere_to_store(home: Path) -> None:
    (home / "data").write_text("a file in the way")
    with pytest.raises(CredentialError, match="cannot be stored"):
        check_signer()


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
