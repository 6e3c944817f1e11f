"""What `haneul verify` says of files that were tampered with: bytes, manifests and streams."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from haneul.config import Settings
from haneul.evals.data import Say
from haneul.evals.distortions import coded
from haneul.trust import credentials, stamp
from haneul.trust.origin import verify
from haneul.video.io import read_video, write_mp4

_INFO = credentials.ManifestInfo(
    title="clip.mp4", model="haneul-nano", weights_sha256="ab" * 32, data_ledger_root="cd" * 32, mode="text-to-video",
    seed=7,
)  # fmt: skip
Box = tuple[str, int, int]  # type, start, end


def boxes(content: bytes) -> Iterator[Box]:
    """The top level boxes of an MP4 (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8].decode("latin-1")
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        end = len(content) if size == 0 else at + size
        yield kind, at, end
        at = max(end, at + 8)


def _manifest(content: bytes) -> tuple[int, int]:
    return next((start, end) for kind, start, end in boxes(content) if kind == "uuid")


def _clip(ours: stamp.Stamp, path: Path, seed: int) -> bytes:
    """A signed and marked clip: a square that moves over a soft ground."""
    y, x = np.mgrid[0:288, 0:512]
    frames = []
    for t in range(12):
        frame = np.stack([x * 0.45, y * 0.8, 128 + 40 * np.sin((x + y) / 30 + seed)], -1).astype(np.uint8)
        frame[90:180, 30 + 18 * t : 120 + 18 * t] = (220, 30 + 50 * seed, 30)
        frames.append(frame)
    number = ours.number("tampering", seed)
    write_mp4(ours.mark(frames, number), path, fps=24, overwrite=True)
    ours.sign(path, dataclasses.replace(_INFO, seed=seed), number)
    return path.read_bytes()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def tamperings(one: bytes, two: bytes, folder: Path) -> dict[str, Callable[[], bytes]]:
    """Name -> the tampered file. `one` and `two` are two signed files of the same kind."""
    found: dict[str, Callable[[], bytes]] = {}
    for kind, start, end in boxes(one):
        found[f"a byte flipped in {kind}"] = lambda start=start, end=end: _flipped(one, (start + 8 + end) // 2)  # type: ignore[misc]
    (a, b), (c, d) = _manifest(one), _manifest(two)
    found["manifest of another file"] = lambda: one[:a] + two[c:d] + one[b:]
    found["manifest taken out"] = lambda: one[:a] + one[b:]
    found["manifest made a free box"] = lambda: one[: a + 4] + b"free" + one[a + 8 :]
    found["cut off after three quarters"] = lambda: one[: 3 * len(one) // 4]
    found["another file appended"] = lambda: one + two
    found["a free box appended"] = lambda: one + b"\0\0\0\x10free" + bytes(8)
    data = {kind: (start, end) for kind, start, end in boxes(one)}["mdat"]
    other = {kind: (start, end) for kind, start, end in boxes(two)}["mdat"]

    def spliced() -> bytes:
        """The second half of the stream's bytes from the other file."""
        middle, length = (data[0] + data[1]) // 2, min(data[1] - data[0], other[1] - other[0]) // 2
        return one[:middle] + two[other[1] - length : other[1]] + one[middle + length :]

    def encoded(change: Callable[[list[Any]], list[Any]]) -> bytes:
        (folder / "source.mp4").write_bytes(one)
        write_mp4(change(list(read_video(folder / "source.mp4").frames)), folder / "again.mp4", fps=24, overwrite=True)
        return (folder / "again.mp4").read_bytes()

    found["streams spliced"] = spliced
    found["encoded again"] = lambda: encoded(lambda frames: coded(frames, crf=28))
    found["encoded again, old manifest put in"] = lambda: one[:a] + one[a:b] + encoded(lambda f: f)[a:]
    found["encoded again, mirrored and cropped"] = lambda: encoded(lambda f: [x[8:-8, 14:-14][:, ::-1] for x in f])
    return found


def measure(folder: Path, say: Say) -> dict[str, Any]:
    """The verdict on each tampering, with a registry and key of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        settings = Settings(data=place / "data", cache=place / "cache")
        ours = stamp.ready(settings)
        one, two = _clip(ours, place / "clip.mp4", 1), _clip(ours, place / "other.mp4", 2)
        table: dict[str, Any] = {}
        for what, tampered in {"untouched": lambda: one, **tamperings(one, two, place)}.items():
            path = place / "tampered.mp4"
            path.write_bytes(tampered())
            verdict = verify(path, settings=settings)
            table[what] = {
                "state": verdict.state, "exit_code": verdict.exit_code, "found": [o.id for o in verdict.origins],
            }  # fmt: skip
            say(f"{what}: {verdict.state} ({verdict.exit_code})")
    return table
