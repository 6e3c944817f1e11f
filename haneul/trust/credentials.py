"""Content credentials (C2PA): what a file says about its own making, signed so that a change shows.

Signing is the last step, for re-encoding or remuxing strips the manifest. Verifying never uses the network: the
library would by default fetch a manifest from an address that the inspected file names.

Specification: C2PA 2.2 (claim version 2); training and data mining assertion: CAWG 1.1.
"""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from PIL import Image

from haneul import __version__
from haneul.config import Settings, load_settings
from haneul.errors import CredentialError, InputError
from haneul.trust.certificates import (
    CLAIM_PURPOSES,
    Signer,
    check_certificate,
    find_signer,
    local_anchors,
    read_certificates,
)
from haneul.trust.verdict import GENERATION, SOFT_BINDING, TRAINING, Problem, Verdict, detached, verdict_from
from haneul.video.io import SIDECAR, atomic_output

__all__ = ["Binding", "ManifestInfo", "Problem", "Signer", "Verdict", "check_signer", "sign", "sign_in_place", "verify"]

#: How pixels can come about, in the words of IPTC: by a trained model, or by an algorithm such as a simulation.
SOURCE_TYPES = ("trainedAlgorithmicMedia", "algorithmicMedia")
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_USES = ("cawg.ai_generative_training", "cawg.ai_inference", "cawg.ai_training", "cawg.data_mining")
#: Media types that C2PA has no place in: their credentials are a file beside them.
_APART = ("video/webm",)
_MOST_BESIDE = 64 * 2**20  #: bytes of such a file that are read
#: Bytes that stand in every manifest, to tell a damaged one from none.
_TRACE = b"c2pa.signature"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """A watermark's value, and the milliseconds in which it lies where it is not the whole file."""

    value: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestInfo:
    """What is said about a generated file."""

    title: str
    model: str  #: model id
    weights_sha256: str
    data_ledger_root: str  #: Merkle root of the training data's ledger
    mode: str  #: DESIGN.md's table of modes, e.g. "text-to-video"
    seed: int
    ingredients: tuple[Path, ...] = ()  #: given images and videos, in order
    licence: str = ""  #: the terms of a model that is another's
    prompt: str | None = None  #: only if the user asks that it be told
    do_not_train: bool = True
    watermark: str = "none"  #: the algorithm's name
    bindings: tuple[Binding, ...] = ()  #: what the watermark says
    source_type: str = "trainedAlgorithmicMedia"  #: one of SOURCE_TYPES

    def __post_init__(self) -> None:
        if self.source_type not in SOURCE_TYPES:
            raise InputError(f"the source type is {self.source_type!r}; known are {', '.join(SOURCE_TYPES)}")
        if not -(2**63) <= self.seed < 2**63:
            raise InputError(f"the seed is {self.seed}; a whole number of 64 bits is needed")

    def to_manifest(self) -> dict[str, Any]:
        """The manifest definition that the C2PA library takes.

        The library binds an unsigned ingredient by its title alone, so the generation assertion adds its hash.
        """
        given = [{"title": path.name, "sha256": _sha256(path)} for path in self.ingredients]
        generation = {
            "haneul": __version__,
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "data_ledger_root": self.data_ledger_root,
            "mode": self.mode,
            "seed": self.seed,
            "watermark": self.watermark,
        }
        if self.licence:
            generation["model_licence"] = self.licence
        if given:
            generation["ingredients"] = given
        if self.prompt is not None:
            generation["prompt"] = self.prompt
        use = "notAllowed" if self.do_not_train else "allowed"
        made = [_created(len(given), self.source_type)]
        bound = []
        if self.bindings:
            made.append({"action": "c2pa.watermarked", "when": made[0]["when"], "softwareAgent": _agent()})
            blocks = [
                {"scope": {"timespan": {"start": b.span[0], "end": b.span[1]}} if b.span else {}, "value": b.value}
                for b in self.bindings
            ]
            bound.append({"label": SOFT_BINDING, "data": {"alg": self.watermark, "blocks": blocks}})
        return {
            "claim_generator_info": [_agent()],
            "title": self.title,
            "assertions": [
                _actions(made),
                *bound,
                {"label": TRAINING, "data": {"entries": {name: {"use": use} for name in _USES}}},
                {"label": GENERATION, "data": generation},
            ],
        }


# ------------------------------------------------------------------------------------------------------- signing


def check_signer(settings: Settings | None = None) -> Signer:
    """The signer in force, made on first use, and known to work. Call it before any compute is spent.

    Besides the plain checks a tiny picture is signed in memory: what the library would refuse at the end, it refuses
    now (a few milliseconds).

    Raises:
        CredentialError: the signer is expired, not yet valid, self-signed, for another purpose, with another's key, or
            refused by the library; its files cannot be read; or the local signer cannot be stored.
    """
    signer = find_signer(settings or load_settings())
    check_certificate(signer)
    picture, signed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    picture.seek(0)
    _sign_stream(
        picture, signed, {"title": "trial", "assertions": [_actions([_created()])]}, signer, media_type="image/png"
    )
    return signer


def sign(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    info: ManifestInfo,
    signer: Signer,
    *,
    overwrite: bool = False,
) -> bytes:
    """Writes a signed copy of `source` to `target`, complete or not at all, and returns the signed manifest. What
    cannot hold its credentials (WebM) has them in a file of their own, see `beside`.

    Raises:
        InputError: the source or an ingredient cannot be read.
        CredentialError: the library refused.
        OutputError: as `atomic_output`.
    """
    media_type = mimetypes.guess_type(target)[0] or "video/mp4"
    apart = media_type in _APART
    try:
        manifest = info.to_manifest()
        with (
            atomic_output(target, overwrite=overwrite) as unfinished,
            Path(source).open("rb") as unsigned,
            _Target(unfinished, "w+") as raw,
            io.BufferedRandom(raw) as signed,
        ):
            try:
                manifest_bytes = _sign_stream(
                    unsigned, signed, manifest, signer, media_type=media_type, ingredients=info.ingredients, apart=apart
                )
                if apart:
                    beside(unfinished).write_bytes(manifest_bytes)
            except CredentialError:
                if raw.failure is not None:  # the library saw a failed write and lost its reason
                    raise raw.failure from None
                raise
    except FileNotFoundError as error:
        raise InputError(f"there is no file {error.filename}") from error
    except IsADirectoryError as error:
        raise InputError(f"{error.filename} is a folder, not a file") from error
    return manifest_bytes


def sign_in_place(path: str | os.PathLike[str], info: ManifestInfo, signer: Signer) -> bytes:
    """Replaces a file by its signed copy and returns the manifest. Raises as `sign`; the file is then as it was."""
    return sign(path, path, info, signer, overwrite=True)


def beside(path: Path) -> Path:
    """Where the credentials of a file are that cannot hold them: clip.webm has them in clip.webm.c2pa."""
    return path.with_name(path.name + SIDECAR)


class _Target(io.FileIO):
    """A file that remembers why a write failed: the library tells its caller only that one did.

    After a failure it swallows what the buffer still tries to flush, so that closing does not raise once more.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        if self.failure is not None:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def _sign_stream(
    source: BinaryIO,
    target: BinaryIO | io.BufferedRandom,
    manifest: dict[str, Any],
    signer: Signer,
    *,
    media_type: str,
    ingredients: tuple[Path, ...] = (),
    apart: bool = False,
) -> bytes:
    """Signs from one open binary stream to another (readable and writable), and returns the credentials; with `apart`
    the target is the source as it was. Raises CredentialError."""
    try:
        info = c2pa.C2paSignerInfo(signer.algorithm, signer.chain_pem(), signer.key_pem(), None)
        with (
            c2pa.Signer.from_info(info) as native,
            _context(()) as context,
            c2pa.Builder(json.dumps(manifest), context) as builder,
        ):
            for index, path in enumerate(ingredients):
                entry = {"title": path.name, "relationship": "inputTo", "label": _label(index)}
                with path.open("rb") as file:
                    builder.add_ingredient(entry, mimetypes.guess_type(path)[0] or "application/octet-stream", file)
            if apart:
                builder.set_no_embed()
            return bytes(builder.sign(native, media_type, source, target))
    except c2pa.C2paError as error:
        raise CredentialError(f"the certificate {signer.name!r} could not sign: {error}") from error


def _agent() -> dict[str, str]:
    return {"name": "Haneul", "version": __version__}


def _created(ingredients: int = 0, source_type: str = SOURCE_TYPES[0]) -> dict[str, Any]:
    """The actions assertion: made just now, in this way, out of so many ingredients."""
    action: dict[str, Any] = {
        "action": "c2pa.created",
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "softwareAgent": _agent(),
        "digitalSourceType": _SOURCE_TYPE + source_type,
    }
    if ingredients:
        action["parameters"] = {"ingredientIds": [_label(index) for index in range(ingredients)]}
    return action


def _actions(actions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"label": "c2pa.actions.v2", "data": {"actions": actions}}


def _label(index: int) -> str:
    return f"given{index}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _context(anchors: tuple[x509.Certificate, ...]) -> Any:
    """Library settings: only our anchors, no network, no thumbnails (a thumbnail would publish a given picture)."""
    trust: dict[str, str] = {"trust_config": "\n".join(purpose.dotted_string for purpose in CLAIM_PURPOSES)}
    if anchors:
        trust["user_anchors"] = b"".join(a.public_bytes(serialization.Encoding.PEM) for a in anchors).decode()
    return c2pa.Context.from_dict(
        {
            "trust": trust,
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
            "builder": {"thumbnail": {"enabled": False}},
        }
    )


# ------------------------------------------------------------------------------------------------------ verifying


def verify(path: str | os.PathLike[str], *, settings: Settings | None = None) -> Verdict:
    """Reads and checks a file's credentials, offline.

    `trusted` means that the signer is this installation (present or past certificate, or the user's own) or one of
    the user's trust anchors; `valid`, that the file is as it was signed, by somebody whom nobody here vouches for.

    Raises:
        InputError: no such file, or it cannot be opened.
        CredentialError: the configured certificates cannot be read.
    """
    source, settings = Path(path).expanduser(), settings or load_settings()
    try:
        return _vouched(lambda anchors, ours: _read(source, anchors, ours), settings)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error


def verify_manifest(manifest: bytes, path: Path, *, settings: Settings | None = None) -> Verdict:
    """Checks a manifest that was kept apart from its file: the verdict is on what it says and who signed it.

    It is read beside a picture that isn't its file, so that the one finding that it doesn't fit this content is
    expected; a state of `invalid` means another one.
    """
    settings = settings or load_settings()

    def read(anchors: tuple[x509.Certificate, ...], ours: frozenset[int]) -> Verdict:
        picture = io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        picture.seek(0)
        try:
            with (
                _context(anchors) as context,
                c2pa.Reader("image/png", picture, manifest, context=context) as reader,
            ):
                return verdict_from(path, detached(json.loads(reader.json())), ours)
        except c2pa.C2paError as error:
            words = f"the record's credentials are damaged ({error})"
            return Verdict(path=path, state="invalid", problems=(Problem(code="manifest.damaged", words=words),))

    return _vouched(read, settings)


def _vouched(read: Callable[[tuple[x509.Certificate, ...], frozenset[int]], Verdict], settings: Settings) -> Verdict:
    """What `read` says with the anchors that are trusted here."""
    local = local_anchors(settings)
    anchors = tuple(local.values())
    if settings.trust_anchors:
        anchors += read_certificates(settings.trust_anchors, "credentials.trust_anchors")
    verdict = read(anchors, frozenset(local))
    if verdict.state == "valid" and settings.certificate_chain:
        own = read_certificates(settings.certificate_chain, "credentials.certificate_chain")
        # The chain's top becomes an anchor for the user's own certificate only: it may be a public authority
        # whose other customers are strangers.
        if verdict.serial == own[0].serial_number:
            verdict = read((*anchors, own[-1]), frozenset({own[0].serial_number}))
    return verdict


def manifest_in(path: str | os.PathLike[str]) -> bytes | None:
    """The signed manifest that a file holds or has beside it, byte for byte; None where none is found in one piece, as
    in a GIF.

    It is a JUMBF superbox of the label c2pa (ISO/IEC 19566-5): size, "jumb", then a description box.
    """
    apart = beside(Path(path))
    content = (apart if apart.exists() else Path(path)).read_bytes()
    at = content.find(b"jumb")
    while at >= 4:
        size = int.from_bytes(content[at - 4 : at], "big")
        if content[at + 8 : at + 16] == b"jumdc2pa" and at - 4 + size <= len(content):
            return content[at - 4 : at - 4 + size]
        at = content.find(b"jumb", at + 4)
    return None


def _read(source: Path, anchors: tuple[x509.Certificate, ...], ours: frozenset[int]) -> Verdict:
    """By the credentials in the file; where it has none, by those beside it."""
    apart = beside(source)
    with source.open("rb") as file, _context(anchors) as context:
        try:
            with c2pa.Reader(None, file, context=context) as reader:
                return verdict_from(source, json.loads(reader.json()), ours)
        except c2pa.C2paError as error:
            found = _unreadable(source, file, str(error))
            if found.state != "unsigned" or not apart.is_file():
                return found
    with source.open("rb") as file, apart.open("rb") as other, _context(anchors) as context:
        media_type = mimetypes.guess_type(source)[0] or "application/octet-stream"
        try:
            with c2pa.Reader(media_type, file, other.read(_MOST_BESIDE), context=context) as reader:
                return verdict_from(source, json.loads(reader.json()), ours)
        except c2pa.C2paError as error:
            words = f"the credentials in {apart.name} are damaged and cannot be read ({error})"
            return Verdict(path=source, state="invalid", problems=(Problem(code="manifest.damaged", words=words),))


def _unreadable(source: Path, file: BinaryIO, reason: str) -> Verdict:
    """No manifest could be read: there is none, it lies elsewhere, or it was damaged."""
    if reason.startswith("Remote:"):
        problem = Problem(code="manifest.remote", words="the credentials lie at another address; they were not fetched")
        return Verdict(path=source, state="unsigned", problems=(problem,))
    size = os.fstat(file.fileno()).st_size
    if size:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(_TRACE) >= 0:
                words = f"the file holds credentials that are damaged and cannot be read ({reason})"
                return Verdict(path=source, state="invalid", problems=(Problem(code="manifest.damaged", words=words),))
    return Verdict(path=source, state="unsigned")
