"""What a file is: by its credentials, and where those are missing or don't hold, by the watermark in its frames.

`verify` is what `haneul verify` and the library call; `look_up` is the part that needs no file, for a service.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.config import Settings, load_settings
from haneul.errors import CredentialError, InputError, OutputError
from haneul.trust import credentials
from haneul.trust.keys import existing_key, fingerprint
from haneul.trust.registry import Record, Registry, id_of, registry_path
from haneul.trust.verdict import Origin, Problem, Verdict
from haneul.video import io
from haneul.video.picture import read_picture

_MOMENTS, _EACH = 5, 12  #: places in a video that are looked at, and frames of each
_STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a number: its record, what its credentials say, and the films that hold it."""

    record: Record
    credentials: Verdict
    wholes: tuple[Record, ...]


def look_up(number: int, *, settings: Settings | None = None) -> Answer | None:
    """The record of a watermark's number, its credentials checked; None if there is none.

    Raises CredentialError or OutputError where the registry can't be read.
    """
    settings = settings or load_settings()
    registry = Registry(registry_path(settings))
    record = registry.find(number)
    if record is None:
        return None
    verdict = credentials.verify_manifest(record.manifest, Path(record.title), settings=settings)
    return Answer(record=record, credentials=verdict, wholes=tuple(registry.wholes(number)))


def verify(path: str | os.PathLike[str], *, settings: Settings | None = None, watermark: bool | None = None) -> Verdict:
    """Reads and checks a file's credentials, offline; where they are missing, broken or a stranger's, also looks for
    this installation's watermark in the frames and for the record that it leads to.

    With `watermark` it is looked for in any case, without (False) in none. Raises as `credentials.verify`.
    """
    settings = settings or load_settings()
    verdict = credentials.verify(path, settings=settings)
    wanted = not verdict.here if watermark is None else watermark
    if not wanted:
        return verdict
    problems: list[Problem] = []
    try:
        key = existing_key(settings)
        registry = Registry(registry_path(settings))
        known: Sequence[int] = ()
        try:
            lost = registry.strangers(fingerprint(key) if key else None)
            known = registry.numbers(fingerprint(key)).tolist() if key else ()
        except (CredentialError, OutputError) as error:
            lost = 0
            problems.append(Problem(code="registry.unreadable", words=str(error)))
        if lost:
            words = f"{lost} records are of a watermark key that is not here: files with their marks go unrecognised"
            problems.append(Problem(code="watermark.key", words=words))
        origins = [] if key is None else find(Path(path).expanduser(), key, known)
    except CredentialError as error:
        return replace(verdict, problems=(*verdict.problems, Problem(code="watermark.key", words=str(error))))
    if not origins:
        return replace(verdict, problems=(*verdict.problems, *problems))
    return recovered(verdict, origins, problems, lambda number: look_up(number, settings=settings))


def recovered(
    verdict: Verdict, origins: list[Origin], problems: list[Problem], find_record: Callable[[int], Answer | None]
) -> Verdict:
    """The verdict with what the watermarks lead to; the first that leads somewhere speaks for the file."""
    found: list[Origin] = []
    told: Verdict | None = None
    for origin in origins:
        answer: Answer | None = None
        if origin.id is not None:
            try:
                answer = find_record(int(origin.id, 16))
            except (CredentialError, OutputError) as error:
                problems.append(Problem(code="registry.unreadable", words=str(error)))
        if answer is not None and answer.credentials.state != "invalid":
            told = told or answer.credentials
            titles = tuple(whole.title for whole in answer.wholes)
            origin = replace(origin, title=answer.record.title, made=answer.record.made, parts_of=titles)
        elif answer is not None:
            words = f"the record of {origin.id} does not hold: its signature or content was changed"
            problems.append(Problem(code="registry.record", words=words))
        found.append(origin)
    unique = tuple(dict.fromkeys((*verdict.problems, *problems)))
    if verdict.state in ("trusted", "valid"):
        strange = set(verdict.bindings).isdisjoint(o.id for o in found)
        if strange and verdict.state == "valid":
            words = "a stranger signed it, but its frames carry a watermark of this installation"
            unique = (*unique, Problem(code="watermark.other", words=words))
        return replace(verdict, origins=tuple(found), problems=unique)
    if verdict.state == "invalid":  # what the file itself says does not hold, whatever its frames tell
        return replace(verdict, origins=tuple(found), problems=unique)
    if told is None:
        return replace(verdict, state="marked", origins=tuple(found), problems=unique)
    return replace(
        told, path=verdict.path, state="recovered", here=False, origins=tuple(found),
        problems=(*unique, *told.problems),
    )  # fmt: skip


def find(path: Path, key: bytes, known: Sequence[int] = ()) -> list[Origin]:
    """The watermarks of a key in a file's frames, the surest first; none where it holds no picture."""
    return find_in(_frames(path), key, known)


def find_in(parts: Sequence[Sequence[NDArray[np.uint8]]], key: bytes, known: Sequence[int] = ()) -> list[Origin]:
    """The same in frames, uint8 [H, W, 3], of one or more parts of a video."""
    from haneul.trust.detect import Found, detector_of, field_of

    detector = detector_of(key)
    fields = [field_of(frames) for frames in parts]
    if not fields:
        return []
    marks: dict[int | None, Found] = {}

    def note(found: Sequence[Found]) -> None:
        for mark in found:
            if mark.number not in marks or marks[mark.number].z < mark.z:
                marks[mark.number] = mark

    for field in fields:  # each by itself: a film shows another mark in each of its shots
        note(detector.search(field, known=known, thorough=False))
    if not any(number is not None for number in marks):
        whole = np.mean([f for f in fields if f.shape == fields[0].shape], axis=0)
        note(detector.search(whole, known=known))
        if len(fields) > 1 and not any(number is not None for number in marks):
            note(detector.search(fields[len(fields) // 2], known=known))
    if len(marks) > 1:
        marks.pop(None, None)
    return [
        Origin(
            id=None if mark.number is None else id_of(mark.number), z=round(mark.z, 1),
            bits=None if mark.bits is None else round(mark.bits, 3), false_alarm=mark.false_alarm,
        )
        for mark in sorted(marks.values(), key=lambda m: -m.z)
    ]  # fmt: skip


def _frames(path: Path) -> list[list[NDArray[np.uint8]]]:
    try:
        if path.suffix.lower() in _STILLS:
            return [[read_picture(path)]]
        return io.glimpses(path, _MOMENTS, _EACH)
    except InputError:
        return []
