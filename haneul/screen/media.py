"""What is given and what comes out: pictures and frames on lists of known bad ones, photographed faces, credentials
that forbid to build on a file, near copies of known works, and what plugins find.

A plugin is a function `find(frames) -> {category: probability}` for uint8 [n, H, W, 3], under the entry point group
`haneul.screen`; the category's threshold decides. So a site adds what no free model does well enough, such as nudity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from haneul.config import Settings
from haneul.errors import InputError
from haneul.screen import faces, pdq
from haneul.screen.audit import AuditLog, file_hash
from haneul.screen.policy import Policy, load_policy
from haneul.screen.words import Finding, decide
from haneul.screen.works import read_works
from haneul.trust import credentials

__all__ = ["GROUP", "given", "made"]

GROUP: Final = "haneul.screen"  #: of entry points
SAMPLES: Final = 12  #: frames of a clip that are held against the list
FACE_SAMPLES: Final = 4  #: frames of a clip in which faces are looked for

Frames = NDArray[np.uint8]  # [T, H, W, 3]


def given(settings: Settings, paths: Sequence[Path], clips: Sequence[Frames]) -> list[str]:
    """Look at the files of a request and at the frames that were read from them. Returns warnings; raises RefusedError.

    Faces in what this installation made itself are nobody's.
    """
    if not paths and not clips:
        return []
    policy = load_policy(settings)
    found: list[Finding] = []
    ours = bool(paths)
    for path in paths:
        verdict = credentials.verify(path, settings=settings)
        ours = ours and verdict.here
        if verdict.do_not_edit and not verdict.here:
            found.append(Finding(category="do-not-edit", part="given file", by="credentials"))
    found += _seen(settings, policy, [frame for clip in clips for frame in sampled(clip, SAMPLES)], "given picture")
    if not ours and policy.categories["face"].action != "allow":
        count = faces.count_faces([frame for clip in clips for frame in sampled(clip, FACE_SAMPLES)])
        if count:
            found.append(Finding(category="face", part="given picture", by=f"{count} seen"))
    hashes = [file_hash(path) for path in paths]
    return decide(policy, AuditLog(settings), found, where="given", what={"files": hashes})


def made(settings: Settings, frames: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Look at frames that came out, before they are signed. Returns warnings; raises RefusedError."""
    policy = load_policy(settings)
    found = _seen(settings, policy, list(frames), "result")
    if settings.known_works is not None and policy.categories["near-copy"].action != "allow":
        copy = read_works(settings.known_works).copied(frames)
        if copy is not None:
            found.append(Finding(category="near-copy", part="result", by=f"hash, {copy.bits} bits", of=copy.name))
    if not found:
        return []
    return decide(policy, AuditLog(settings), found, where="made", what={})


def _seen(settings: Settings, policy: Policy, frames: list[NDArray[np.uint8]], part: str) -> list[Finding]:
    """What the list of hashes and the plugins find."""
    found = []
    if settings.known_bad is not None and pdq.matches(frames, pdq.read_list(settings.known_bad)):
        found.append(Finding(category="known-bad", part=part, by="hash"))
    for name, find in plugins().items():
        for category, probability in find(np.stack(frames) if frames else np.zeros((0, 1, 1, 3), np.uint8)).items():
            if category not in policy.categories:
                raise InputError(
                    f"the screen's plugin {name} names {category!r}; there are {', '.join(policy.categories)}"
                )
            if probability >= policy.categories[category].threshold:
                found.append(Finding(category=category, part=part, by=f"{name} {probability:.2f}"))
    return found


Plugin = Callable[[Frames], Mapping[str, float]]


@lru_cache(maxsize=1)
def plugins() -> dict[str, Plugin]:
    """The plugins that are installed. One that cannot be loaded is an error: nothing leaves unseen because of it."""
    found: dict[str, Plugin] = {}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise InputError(f"the screen's plugin {point.name} cannot be loaded: {error}; take it out") from error
    return found


def sampled(clip: Frames, count: int) -> list[NDArray[np.uint8]]:
    """At most so many frames, evenly spread."""
    if len(clip) <= count:
        return list(clip)
    return [clip[i] for i in np.linspace(0, len(clip) - 1, count).round().astype(int)]
