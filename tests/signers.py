"""Certificates and signed files that the tests of trust share."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from haneul.config import Settings, load_settings
from haneul.trust import certificates
from haneul.trust.credentials import ManifestInfo, Signer

INFO = ManifestInfo(
    title="하늘.mp4",
    model="haneul-nano",
    weights_sha256="ab" * 32,
    data_ledger_root="cd" * 32,
    mode="text-to-video",
    seed=7,
)


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


def mismatched() -> Signer:
    """A certificate with another one's key."""
    return dataclasses.replace(issue(), key=ec.generate_private_key(ec.SECP256R1()))
