"""Finished videos and uploaded files in a bucket that speaks S3, for services of many machines.

Where and how is a URL: s3://bucket/prefix?region=eu-west-1&endpoint=https://minio.example. Who asks is what AWS's tools
take too: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's own role.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from haneul.errors import InputError
from haneul.serve.store import StoreError, checked

_PIECE = 256 * 2**10  # bytes that are read at once
_UNUSED = 3600.0  # seconds after which a file that nobody read here is forgotten here


def bucket_of(url: str) -> S3Store:
    """The client for a URL. Raises InputError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - {"endpoint", "region"}):
        raise InputError(f"a store's URL has no option {unknown[0]!r}; known are endpoint and region")
    if not parts.netloc:
        raise InputError(f"{url!r} names no bucket; give s3://bucket/prefix")
    given: dict[str, Any] = {"region": options.get("region", "us-east-1")}
    if "endpoint" in options:
        given |= {"endpoint": options["endpoint"], "client_options": {"allow_http": True}}
    elif "region" not in options:
        del given["region"]  # AWS_REGION says it, or the machine
    return S3Store(parts.netloc, prefix=parts.path.strip("/") or None, **given)


@contextmanager
def _calling(key: str) -> Iterator[None]:
    """What goes wrong on the way, as errors of ours."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise KeyError(key) from None
    except BaseError as error:
        raise StoreError(f"{key} is out of reach: {' '.join(str(error).split())[:300]}") from error


class BucketStore:
    """See `Store`. What is needed as a local file is fetched into `cache` and kept there while it is used."""

    def __init__(self, url: str, cache: Path) -> None:
        self.url, self.bucket, self.cache = url, bucket_of(url), cache
        self._swept = time.monotonic()
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: str, source: Path) -> None:
        with _calling(checked(key)):
            version = obstore.put(self.bucket, key, source)["e_tag"]
        self._keep(self._here(key, version), source)  # whoever stores a file often reads it next

    def copy(self, key: str, other: str) -> None:
        with _calling(key):
            obstore.copy(self.bucket, checked(key), checked(other))

    def local(self, key: str) -> Path:
        with _calling(checked(key)):
            path = self._here(key, obstore.head(self.bucket, key)["e_tag"])
        if path.is_file():
            os.utime(path)
            return path
        part = self.cache / f"part-{secrets.token_hex(8)}"
        try:
            with part.open("wb") as file:
                for piece in self.read(key):
                    file.write(piece)
            self._keep(path, part)
        finally:
            part.unlink(missing_ok=True)
        return path

    def _here(self, key: str, version: str | None) -> Path:
        """Where a version of a file is kept on this machine, under its own name."""
        folder, _, name = key.rpartition("/")
        return self.cache / folder / hashlib.sha256(str(version).encode()).hexdigest()[:16] / name

    def _keep(self, path: Path, source: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, path)
        os.utime(path)
        if time.monotonic() - self._swept > _UNUSED / 10:
            self._swept = time.monotonic()
            self._forget()

    def _forget(self) -> None:
        """Removes what nobody used of late."""
        for path in sorted(self.cache.rglob("*"), reverse=True):
            try:
                if path.is_file() and time.time() - path.stat().st_mtime > _UNUSED:
                    path.unlink()
                elif path.is_dir():
                    path.rmdir()  # if it is empty
            except OSError:
                continue

    def size(self, key: str) -> int:
        with _calling(key):
            return int(obstore.head(self.bucket, checked(key))["size"])

    def read(self, key: str, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        with _calling(key):
            if end is None:
                found = obstore.get(self.bucket, checked(key))
            else:
                found = obstore.get(self.bucket, checked(key), options={"range": (first, end)})
            for piece in found.stream(_PIECE):
                yield bytes(piece)

    def delete(self, prefix: str) -> None:
        checked(prefix)
        with _calling(prefix):
            for entries in obstore.list(self.bucket, prefix):  # below it
                obstore.delete(self.bucket, [self._own(entry["path"]) for entry in entries])
        with contextlib.suppress(KeyError), _calling(prefix):
            obstore.delete(self.bucket, prefix)  # itself
        shutil.rmtree(self.cache / prefix, ignore_errors=True)  # of a single file, it goes when it is not used

    def keys(self, prefix: str) -> list[str]:
        with _calling(checked(prefix)):
            listed = obstore.list(self.bucket, prefix, chunk_size=1000)
            return sorted(self._own(entry["path"]) for entries in listed for entry in entries)

    def groups(self, top: str, *, older: float) -> Iterator[str]:
        newest: dict[str, datetime] = {}
        with _calling(top):
            for entries in obstore.list(self.bucket, top, chunk_size=1000):
                for entry in entries:
                    group = self._own(entry["path"]).split("/")[1]
                    newest[group] = max(newest.get(group, entry["last_modified"]), entry["last_modified"])
        now = datetime.now(UTC)
        yield from (group for group, when in newest.items() if (now - when).total_seconds() > older)

    def _own(self, path: str) -> str:
        """A listed path without the store's prefix, where it has it still."""
        prefix = f"{self.bucket.prefix}/" if self.bucket.prefix else ""
        return path.removeprefix(prefix)

    def free(self) -> int:
        """A bucket takes all; what must fit is what passes through this machine."""
        return shutil.disk_usage(self.cache).free
