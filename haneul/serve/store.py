"""Where finished videos and uploaded files lie: a folder here, a bucket in bucket.py."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from haneul.errors import OutputError

#: Keys are made by the service, never by a user: words and ids with slashes between.
_KEY = re.compile(r"[a-z0-9_]+(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")

_PIECE = 256 * 2**10  # bytes that are read at once


class StoreError(OutputError):
    """The store is out of reach; it may be back later."""


def checked(key: str) -> str:
    """The key, if it is one. KeyError otherwise: nothing can lie there."""
    if not _KEY.fullmatch(key) or ".." in key:
        raise KeyError(key)
    return key


class Store(Protocol):
    """Files under keys such as videos/video_1/video.mp4."""

    def put(self, key: str, source: Path) -> None:
        """Takes a file away from `source`; what lay under the key is replaced."""
        ...

    def copy(self, key: str, other: str) -> None:
        """The file under `key` under another key too, whatever becomes of the first. KeyError: there is none."""
        ...

    def local(self, key: str) -> Path:
        """A local file to read (of a bucket: fetched). KeyError: there is none."""
        ...

    def size(self, key: str) -> int:
        """Bytes. KeyError: there is none."""
        ...

    def read(self, key: str, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The file piece by piece, or what lies from byte `first` up to `end`. KeyError: there is none."""
        ...

    def delete(self, prefix: str) -> None:
        """Everything under a key or under all keys that begin with it and a slash; nothing there is fine."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """What lies under a prefix, in order."""
        ...

    def groups(self, top: str, *, older: float) -> Iterator[str]:
        """Second parts of the keys below a top word that nothing was put under for `older` seconds."""
        ...

    def free(self) -> int:
        """Bytes that still fit."""
        ...


class FolderStore:
    """Files in a folder. Copies are hard links, so a reference to a video costs nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def put(self, key: str, source: Path) -> None:
        target = self._path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as file:
                os.fsync(file.fileno())  # a job that is told to be done must have its file after a power cut
            try:
                source.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._carry(source, target)
        except OSError as error:
            raise OutputError(f"{key} could not be stored: {error.strerror or error}") from error

    def _carry(self, source: Path, target: Path) -> None:
        """To another file system; the file is never seen half."""
        part = target.with_name(f"{target.name}.part-{secrets.token_hex(4)}")
        try:
            shutil.copyfile(source, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        source.unlink()

    def copy(self, key: str, other: str) -> None:
        source, target = self._path(key), self._path(other)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError:  # a file system without links
            shutil.copyfile(source, target)

    def local(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        return path

    def size(self, key: str) -> int:
        return self.local(key).stat().st_size

    def read(self, key: str, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self.local(key).open("rb") as file:
            left = (self.size(key) if end is None else end) - first
            file.seek(first)
            while left > 0 and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece

    def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        folder = self._path(prefix)
        found = [path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file()]
        return sorted(key for key in found if ".part-" not in key)

    def groups(self, top: str, *, older: float) -> Iterator[str]:
        folder, now = self.root / top, time.time()
        if not folder.is_dir():
            return
        for entry in os.scandir(folder):
            try:
                if now - entry.stat().st_mtime > older:
                    yield entry.name
            except FileNotFoundError:
                continue

    def free(self) -> int:
        return shutil.disk_usage(self.root).free
