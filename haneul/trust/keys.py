"""The watermark's secret key: one for each installation, made on first use, readable by its owner alone.

Who has it can find and read the marks, and make marks that pass as ours; who loses it can never read them again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from haneul.config import Settings
from haneul.errors import CredentialError

_BYTES = 32


def key_path(settings: Settings) -> Path:
    return settings.data / "credentials" / "watermark.key"


def fingerprint(key: bytes) -> str:
    """Tells keys apart without telling the key."""
    return hashlib.sha256(b"haneul watermark key " + key).hexdigest()[:16]


def existing_key(settings: Settings) -> bytes | None:
    """The key, None if there is none. Raises CredentialError for one that is damaged or can't be read."""
    path = key_path(settings)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError:
        key = b""
    except OSError as error:
        raise CredentialError(f"the watermark key {path} cannot be read: {error.strerror or error}") from error
    if len(key) != _BYTES:
        raise CredentialError(
            f"the watermark key {path} is damaged; restore a copy, or move it away: a new one is made, and what was "
            "marked with the old one can't be recognised any more"
        )
    return key


def ready_key(settings: Settings) -> bytes:
    """The key, made now if there is none. Raises CredentialError where that can't be."""
    key = existing_key(settings)
    if key is not None:
        return key
    path = key_path(settings)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link and no rename: of two processes that begin at once, the second takes the first one's key.
            path.hardlink_to(part)
        except FileExistsError:
            pass
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CredentialError(
            f"the watermark key cannot be stored in {path.parent} ({error.strerror or error}); make the folder "
            "writable or set folders.data (see haneul config show)"
        ) from error
    made = existing_key(settings)
    if made is None:
        raise CredentialError(f"the watermark key {path} vanished while it was made; try again")
    return made
