"""Which certificates may sign: unusable ones are refused before any work, and the local one is made and renewed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from signers import INFO, configure, issue, mismatched

from haneul.errors import CredentialError
from haneul.trust import certificates
from haneul.trust.credentials import Signer, check_signer, sign, verify

# ------------------------------------------------------------------------------------------ refused before any work


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
