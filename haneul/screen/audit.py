"""The audit log: what the screen decided, append-only, one JSON object a line, each bound to the one before.

Every record carries an HMAC-SHA256 over itself and its predecessor's, under a key of this installation; a head file
says how many records there are and how long the file is, under the same key. So an edit, a deletion, a record put in, a
changed order and a cut-off end all show. Prompts are not in it, but a keyed hash of each: the same prompt has the same
one, and nobody without the key can try prompts out.

What it cannot show: somebody who can read the key can write a log of their own, and who puts back an older log together
with its older head goes unseen, unless a later head was noted elsewhere (`haneul audit verify` prints it, and takes it
back with --head).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from haneul.config import Settings
from haneul.errors import OutputError

__all__ = ["AuditLog", "Head", "Report"]

START: Final = "0" * 64  #: what the first record is bound to
WAIT: Final = 20.0  #: seconds for another process to finish its record


@dataclass(frozen=True, kw_only=True)
class Head:
    """The end of the log: number of records, the last one's code, and bytes."""

    count: int = 0
    code: str = START
    size: int = 0

    def __str__(self) -> str:
        return f"{self.count}:{self.code}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `verify` found."""

    head: Head
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.problems


class AuditLog:
    """The log of an installation, in the folder `audit` of its data. Several processes may write it at once."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data / "audit"
        self.path = self.folder / "log.jsonl"
        self.head_path = self.folder / "head.json"
        self.key_path = self.folder / "key"

    # ----------------------------------------------------------------------------------------------------- writing

    def append(self, **entry: Any) -> None:
        """Add a record. It is on the disk when this returns. Raises OutputError when it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock", timeout=WAIT):
                self._append(entry)
        except Timeout as error:
            raise OutputError(f"the audit log {self.path} is held by another process; try again") from error
        except OSError as error:
            raise OutputError(f"the audit log {self.path} cannot be written: {error.strerror or error}") from error

    def _append(self, entry: dict[str, Any]) -> None:
        key = self._key(make=True)
        head = self._caught_up(key)
        record = {"number": head.count + 1, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
        code = _code(key, head.code, record)
        line = _line(record, code)
        with self.path.open("ab") as log:
            log.write(line)
            log.flush()
            os.fsync(log.fileno())
            size = log.tell()
        self._write_head(key, Head(count=head.count + 1, code=code, size=size))

    def _caught_up(self, key: bytes) -> Head:
        """The head, and beyond it what a process wrote that was cut off before it could write the head.

        Half a line at the end, which nobody was told was written, is taken away. Anything else that is amiss stays as
        it is for `verify` to find: the chain goes on from the head, whatever the file holds.
        """
        head = self._head(key) or Head()
        try:
            with self.path.open("rb") as log:
                log.seek(head.size)
                rest = log.read()
        except FileNotFoundError:
            return head
        whole, _, half = rest.rpartition(b"\n")
        for line in whole.split(b"\n") if whole else ():
            record = _parsed(line)
            code = record.pop("code", None)
            if code != _code(key, head.code, record) or record.get("number") != head.count + 1:
                return head
            head = Head(count=head.count + 1, code=code, size=head.size + len(line) + 1)
        if half:
            os.truncate(self.path, head.size)
        return head

    def _write_head(self, key: bytes, head: Head) -> None:
        values = {"count": head.count, "code": head.code, "size": head.size}
        unfinished = self.head_path.with_suffix(".new")
        unfinished.write_text(json.dumps(values | {"seal": _code(key, "head", values)}), encoding="utf-8")
        unfinished.replace(self.head_path)

    def keyed(self, text: str) -> str:
        """A text's keyed hash, as it stands in the log for a prompt."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock", timeout=WAIT):
                key = self._key(make=True)
        except (OSError, Timeout) as error:
            raise OutputError(f"the audit log's key {self.key_path} cannot be made: {error}") from error
        return hmac.digest(key, b"text\0" + text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

    def _key(self, *, make: bool) -> bytes:
        try:
            key = self.key_path.read_bytes()
        except FileNotFoundError:
            if not make:
                return b""
            key = secrets.token_bytes(32)
            with open(os.open(self.key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                file.write(key)
        return key

    # --------------------------------------------------------------------------------------------------- verifying

    def verify(self, noted: str | None = None) -> Report:
        """Whether the log is as it was written. `noted` is a head printed earlier, which must be part of it.

        Raises OutputError when the log cannot be read.
        """
        if not self.path.exists() and not self.head_path.exists():
            return Report(head=Head(), problems=("the log that the noted head is of is gone",) if noted else ())
        try:
            with FileLock(self.folder / "lock", timeout=WAIT):
                key = self._key(make=False)
                if not key:
                    return Report(
                        head=Head(), problems=(f"the key {self.key_path} is gone, so nothing can be checked",)
                    )
                return self._verify(key, noted)
        except Timeout as error:
            raise OutputError(f"the audit log {self.path} is held by another process; try again") from error
        except OSError as error:
            raise OutputError(f"the audit log {self.path} cannot be read: {error.strerror or error}") from error

    def _verify(self, key: bytes, noted: str | None) -> Report:
        problems: list[str] = []
        head = self._head(key)
        if head is None:
            problems.append("the head is missing or was changed")
        seen = Head()
        found = noted is None or noted == str(seen)
        ends = {0: START}  # size -> code, to hold against the head
        for number, line in enumerate(self._lines(), start=1):
            record = _parsed(line)
            code = record.pop("code", None)
            if code != _code(key, seen.code, record) or line != _line(record, code):
                problems.append(f"line {number} was changed, put in, moved or cut off, or one before it was taken out")
            elif record.get("number") != seen.count + 1:
                problems.append(f"line {number} is record {record.get('number')}, not {seen.count + 1}")
            seen = Head(count=seen.count + 1, code=str(code), size=seen.size + len(line))
            ends[seen.size] = seen.code
            found = found or noted == str(seen)
        if head is not None and ends.get(head.size) != head.code:
            problems.append(
                f"the end was cut off or changed: {head.count} records were written, {seen.count} are there"
            )
        if not found:
            problems.append(f"the noted head {noted} is not part of the log: an older log was put in its place")
        return Report(head=seen, problems=tuple(problems))

    def _lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as log:
                yield from log

    def _head(self, key: bytes) -> Head | None:
        """The head, if it is there and sealed with the key."""
        try:
            values = json.loads(self.head_path.read_text(encoding="utf-8"))
            seal = values.pop("seal")
            if hmac.compare_digest(seal, _code(key, "head", values)):
                return Head(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return None


def _code(key: bytes, before: str, record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hmac.digest(key, f"{before}\n{text}".encode("utf-8", "surrogatepass"), "sha256").hex()


def _line(record: dict[str, Any], code: str) -> bytes:
    """A record as it stands in the log: exactly these bytes, so that spaces or a missing line end show as well."""
    text = json.dumps(record | {"code": code}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def file_hash(path: Path) -> str:
    """SHA-256 of a file, for the log."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
