"""What makes an output ours, in one object: the signer, the watermark key and the registry, all checked beforehand."""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.config import Settings
from haneul.trust import carriers, credentials
from haneul.trust.keys import existing_key, fingerprint, ready_key
from haneul.trust.registry import Record, Registry, digest_of, id_of, number_of, registry_path
from haneul.trust.watermark import ALGORITHM, SpreadSpectrum


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """Marks frames, signs files and keeps their records. `warnings` are for the user."""

    signer: credentials.Signer
    key: bytes = field(repr=False)
    registry: Registry
    warnings: tuple[str, ...] = ()

    def number(self, *what: object) -> int:
        """The number of an output, from all that decides it: the nonce from which its pattern is drawn.

        Only who has the key can tell what it follows from, and the same request gives the same frames again. Arrays
        and files count by their content.
        """
        digest = hashlib.sha256()
        for part in what:
            match part:
                case np.ndarray():
                    content = f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes()
                case Path():
                    content = digest_of(part).encode()
                case _:
                    content = repr(part).encode()
            digest.update(hashlib.sha256(content).digest())
        return int.from_bytes(hmac.digest(self.key, b"number " + digest.digest(), "sha256")[: carriers.ID_BITS // 8])

    def mark(self, frames: Iterable[NDArray[np.uint8]], number: int) -> Iterator[NDArray[np.uint8]]:
        """The frames with the number in each."""
        return SpreadSpectrum(self.key).embed(frames, number.to_bytes(carriers.ID_BITS // 8, "big"))

    def sign(
        self, path: Path, info: credentials.ManifestInfo, number: int, *, parts: tuple[credentials.Binding, ...] = ()
    ) -> None:
        """Signs a marked file in place and keeps its record under its number.

        With `parts` the file was put together from marked files, and each part's own mark is named with its time.
        """
        bindings = parts or (credentials.Binding(value=id_of(number)),)
        bound = replace(info, watermark=ALGORITHM, bindings=bindings)
        manifest = credentials.sign_in_place(path, bound, self.signer)
        self._keep(path, info.title, manifest, number, tuple(part.value for part in parts))

    def register(self, path: Path, settings: Settings) -> str | None:
        """Keeps the record of a signed file of this installation anew; returns why not where that can't be.

        A film, which names its parts and not a number of its own, gets a record only with its parts.
        """
        verdict = credentials.verify(path, settings=settings)
        if not verdict.here:
            return "not signed by this installation, or changed since"
        manifest = credentials.manifest_in(path)
        numbers = [number for value in verdict.bindings if (number := number_of(value)) is not None]
        if not numbers or manifest is None:
            return "its credentials name no watermark"
        film = verdict.mode == "film"
        number = self.number("registered", path) if film else numbers[0]
        self._keep(path, verdict.title or path.name, manifest, number, verdict.bindings if film else ())
        return None

    def _keep(self, path: Path, title: str, manifest: bytes, number: int, parts: tuple[str, ...]) -> None:
        numbers = (number_of(part) for part in parts)
        self.registry.keep(
            Record(
                number=number,
                key=fingerprint(self.key),
                title=title,
                sha256=digest_of(path),
                media_type=mimetypes.guess_type(title)[0] or "application/octet-stream",
                manifest=manifest,
                parts=tuple(dict.fromkeys(n for n in numbers if n is not None and n != number)),
            )
        )


def ready(settings: Settings) -> Stamp:
    """The stamp of this installation, with all that it needs made and checked: before any compute is spent.

    Raises CredentialError as `credentials.check_signer`, `keys.ready_key`; OutputError too as `Registry.check`.
    """
    signer = credentials.check_signer(settings)
    registry = Registry(registry_path(settings))
    registry.check()
    new = existing_key(settings) is None
    key = ready_key(settings)
    lost = registry.strangers(fingerprint(key)) if new else 0
    warnings = (
        (
            f"the watermark key was missing and a new one was made: {lost} earlier files can be recognised by their "
            "watermark no more; restore the old key if there is a copy",
        )
        if lost
        else ()
    )
    return Stamp(signer=signer, key=key, registry=registry, warnings=warnings)
