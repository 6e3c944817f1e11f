"""What another installation's registry knows of a file: `haneul verify --registry URL`.

The registry is not taken at its word. What it gives is a signed manifest, and that is checked here like the credentials
in a file. If the file names its own number, only that is sent; otherwise the file is, for only who has the watermark's
key can see the mark.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from haneul.config import Settings, load_settings
from haneul.errors import InputError
from haneul.trust import credentials
from haneul.trust.origin import Answer, recovered
from haneul.trust.registry import Record, number_of
from haneul.trust.verdict import Origin, Problem, Verdict

_PATH = "/v1/haneul/registry/lookup"
_MOST = 64 * 2**20  # bytes of an answer
_WAIT = 200.0  # seconds: it may look for the mark in many places


def consult(verdict: Verdict, url: str, *, key: str | None = None, settings: Settings | None = None) -> Verdict:
    """The verdict with what the registry at a URL adds to it; `key` is that service's, where it asks for one.

    Raises InputError where the registry cannot be asked, or answers what no registry does.
    """
    settings = settings or load_settings()
    numbers = [value for value in verdict.bindings if number_of(value) is not None]
    if numbers:
        told: list[dict[str, Any]] = []
        for name in numbers:
            told += _ask(url, key, json.dumps({"number": name}).encode(), "application/json")
    else:
        told = _ask(url, key, *_form(Path(verdict.path).expanduser()))
    answers: dict[int, Answer] = {}
    origins: list[Origin] = []
    try:
        for match in told:
            number = int(match["number"], 16)
            record = Record(
                number=number, key="", title=str(match["title"]), sha256=str(match["sha256"]), made=str(match["made"]),
                media_type=str(match["media_type"]), manifest=base64.b64decode(match["manifest"], validate=True),
            )  # fmt: skip
            checked = credentials.verify_manifest(record.manifest, Path(record.title), settings=settings)
            wholes = tuple(replace(record, title=str(title), manifest=b"") for title in match["parts_of"])
            answers[number] = Answer(record=record, credentials=checked, wholes=wholes)
            sure = match["sure"] or {"z": 0.0, "bits": None, "false_alarm": 1.0}
            bits = None if sure["bits"] is None else float(sure["bits"])
            origins.append(Origin(id=record.id, z=float(sure["z"]), bits=bits, false_alarm=float(sure["false_alarm"])))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{url} answers what no registry does ({error!r}); check the address") from error
    if not origins:
        words = f"the registry at {urlsplit(url).netloc} knows nothing of it"
        return replace(verdict, problems=(*verdict.problems, Problem(code="registry.unknown", words=words)))
    return recovered(verdict, origins, [], answers.get)


def _form(path: Path) -> tuple[bytes, str]:
    """A file as the body of a form, and its content type."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    mark = secrets.token_hex(16)
    head = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="file{path.suffix}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def _ask(url: str, key: str | None, body: bytes, kind: str) -> list[dict[str, Any]]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url!r} is no address of a registry; give one such as https://haneul.example")
    headers = {"content-type": kind} | ({"authorization": f"Bearer {key}"} if key else {})
    address = url.rstrip("/").removesuffix("/v1") + _PATH
    request, ends = urllib.request.Request(address, body, headers), time.monotonic() + _WAIT
    try:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=_WAIT) as answer:
                    matches = json.loads(answer.read(_MOST))["matches"]
                break
            except urllib.error.HTTPError as error:
                after = error.headers.get("retry-after", "")
                if error.code != 503 or not after.isdecimal() or time.monotonic() + int(after) > ends:
                    raise
                time.sleep(int(after))  # it goes on looking meanwhile
    except urllib.error.HTTPError as error:
        raise InputError(f"the registry at {url} refuses: {_message(error)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the registry at {url} cannot be asked: {error}; check the address") from error
    if not isinstance(matches, list):
        raise InputError(f"{url} answers what no registry does; check the address")
    return matches


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"]["message"])[:300]
    except (OSError, ValueError, KeyError, TypeError):
        return f"status {error.code}"
