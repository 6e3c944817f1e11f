"""Who signs: a certificate made on this computer at first use, or the user's own by configuration.

The local signer is one file, `credentials/signer.pem` (key, certificate, authority; mode 600), written in one rename,
so that two processes may start at once. Its authority's key is thrown away as soon as it has signed the one
certificate: nobody can make another that passes as this installation. The authority's certificate stays for good in
`credentials/anchors`, so that files signed before a renewal are still recognised.
"""

from __future__ import annotations

import itertools
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from haneul.config import Settings
from haneul.errors import CredentialError

#: Purposes under which a certificate may sign claims: e-mail protection, document signing, C2PA claim signing.
CLAIM_PURPOSES = (
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ObjectIdentifier("1.3.6.1.5.5.7.3.36"),
    ObjectIdentifier("1.3.6.1.4.1.62558.2.1"),
)
# Files carry no trusted time stamp (that needs the network), so each is verifiable only as long as its certificate
# lasts. Hence a long life, and an early successor: every file can be verified for at least nine years.
_LIFETIME = timedelta(days=3652)
_RENEW_AFTER = timedelta(days=365)
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key and its certificate chain, leaf first. `local` means made by this installation."""

    chain: tuple[x509.Certificate, ...]
    key: Any  # an EC, RSA or Ed25519 private key of `cryptography`
    local: bool

    @property
    def algorithm(self) -> str:
        """The COSE algorithm that fits the key. Raises CredentialError if none does."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                names = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
                if self.key.curve.name in names:
                    return names[self.key.curve.name]
                raise CredentialError(f"the key's curve is {self.key.curve.name}; P-256, P-384 or P-521 are needed")
            case rsa.RSAPrivateKey() if self.key.key_size >= 2048:
                return "ps256"
            case ed25519.Ed25519PrivateKey():
                return "ed25519"
        raise CredentialError(
            "the private key is of no kind that C2PA allows: use EC P-256, RSA of 2048 bits or Ed25519"
        )

    @property
    def name(self) -> str:
        names = self.chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else self.chain[0].subject.rfc4514_string()

    @property
    def serial(self) -> int:
        return self.chain[0].serial_number

    def chain_pem(self) -> bytes:
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in self.chain)

    def key_pem(self) -> bytes:
        """Unencrypted PKCS#8, the only form that the C2PA library takes."""
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem


def find_signer(settings: Settings) -> Signer:
    """The user's own signer if one is configured, else the local one, made now if need be. Not yet checked.

    Raises:
        CredentialError: the configured files cannot be read, or the local signer cannot be stored.
    """
    if settings.certificate_chain and settings.private_key:
        return _read_own(settings.certificate_chain, settings.private_key)
    return _local_signer(settings.data / "credentials")


def check_certificate(signer: Signer) -> None:
    """Refuses a key and certificate that could not sign, in plain words.

    Raises:
        CredentialError: expired, not yet valid, wrong purpose, wrong key, self-signed, or a broken chain.
    """
    leaf, now = signer.chain[0], datetime.now(UTC)
    name = signer.name
    if _public(leaf.public_key()) != _public(signer.key.public_key()):
        raise CredentialError(
            f"the private key does not belong to the certificate {name!r}; the chain's first certificate must be the "
            "signing one, and the key its own"
        )
    if now > leaf.not_valid_after_utc:
        raise CredentialError(f"the certificate {name!r} expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it")
    if now < leaf.not_valid_before_utc:
        raise CredentialError(
            f"the certificate {name!r} is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC and it is now "
            f"{now:%Y-%m-%d %H:%M}; check the computer's clock"
        )
    if leaf.subject == leaf.issuer:
        raise CredentialError(f"the certificate {name!r} is self-signed; C2PA needs one that an authority issued")
    for certificate, issuer in itertools.pairwise(signer.chain):  # the library does not look at this
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise CredentialError(
                f"in the certificate chain, {certificate.subject.rfc4514_string()!r} was not issued by the next, "
                f"{issuer.subject.rfc4514_string()!r}; order it from the signing certificate to the root"
            ) from error
    try:
        purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        purposes = set()
    if not purposes & set(CLAIM_PURPOSES):
        wanted = ", ".join(purpose.dotted_string for purpose in CLAIM_PURPOSES)
        raise CredentialError(
            f"the certificate {name!r} may not sign claims; its extended key usage needs one of {wanted}"
        )


def _public(key: Any) -> bytes:
    der: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der


# -------------------------------------------------------------------------------------------------- the user's own


def read_certificates(path: Path, what: str) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file. Raises CredentialError; `what` names the setting."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise CredentialError(f"{what} {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CredentialError(f"{what} {path} holds no certificate in PEM form: {error}") from error


def _read_own(chain_path: Path, key_path: Path) -> Signer:
    chain = read_certificates(chain_path, "credentials.certificate_chain")
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except OSError as error:
        raise CredentialError(
            f"credentials.private_key {key_path} cannot be read: {error.strerror or error}"
        ) from error
    except TypeError as error:
        raise CredentialError(
            f"credentials.private_key {key_path} is encrypted; store it unencrypted with mode 600"
        ) from error
    except ValueError as error:
        raise CredentialError(
            f"credentials.private_key {key_path} holds no private key in PEM form: {error}"
        ) from error
    return Signer(chain=chain, key=key, local=False)


# ------------------------------------------------------------------------------------------------ the local signer


def local_anchors(settings: Settings) -> dict[int, x509.Certificate]:
    """Authorities of this installation, present and past: serial number of the signing certificate -> authority."""
    anchors = {}
    for path in sorted((settings.data / "credentials" / "anchors").glob("*.pem")):
        try:
            anchors[int(path.stem, 16)] = read_certificates(path, "the local authority")[0]
        except (ValueError, CredentialError):
            continue  # a stray or damaged file only means that its signatures are not recognised as local
    return anchors


def _local_signer(folder: Path) -> Signer:
    store = folder / "signer.pem"
    signer = _read_local(store)
    now = datetime.now(UTC)
    if signer is None or not 0 <= (now - signer.chain[0].not_valid_before_utc) / _RENEW_AFTER <= 1:
        signer = _create_local(now)
        try:
            (folder / "anchors").mkdir(mode=0o700, parents=True, exist_ok=True)
            authority = signer.chain[-1].public_bytes(serialization.Encoding.PEM)
            # The anchor first: whatever happens next, no signature is ever made that cannot be recognised.
            _write_private(folder / "anchors" / f"{signer.serial:x}.pem", authority)
            _write_private(store, signer.key_pem() + signer.chain_pem())
        except OSError as error:
            raise CredentialError(
                f"the local signing certificate cannot be stored in {folder} ({error.strerror or error}); make the "
                "folder writable or set folders.data (see haneul config show)"
            ) from error
    return signer


def _read_local(store: Path) -> Signer | None:
    """None if there is no usable file; a new one is then made, for a damaged key serves nobody."""
    try:
        pem = store.read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        chain = tuple(x509.load_pem_x509_certificates(pem[pem.index(b"-----BEGIN CERTIFICATE") :]))
    except (OSError, ValueError, TypeError):
        return None
    return Signer(chain=chain, key=key, local=True)


def _write_private(path: Path, content: bytes) -> None:
    """Writes with mode 600 from the first byte, and appears under its name only when complete."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _create_local(now: datetime) -> Signer:
    """A new authority, and the one certificate that it will ever issue. Nothing in it names the user or the machine."""
    label = secrets.token_hex(4)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, name = (_name(f"Haneul local {role} {label}") for role in ("authority", "signer"))
    authority = (
        _builder(authority_name, authority_name, authority_key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _builder(name, authority_name, key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Signer(chain=(leaf, authority), key=key, local=True)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Haneul, self-issued"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
