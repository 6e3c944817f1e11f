"""A video that can be watched while it is being made: fragmented MP4, a piece for every second and sooner.

It goes to a file that grows, or to a stream such as standard output, beside the finished video: the same encoded
pictures, so nothing is encoded twice. It cannot be signed, for a signature covers a whole file; the finished one is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av

from haneul.video.io import check_output

FRAGMENT_SECONDS = 0.25


class Live:
    """The watched copy of what an encoder makes. When it can't be written any more (the player was closed, the disk is
    full) it stops, remembers why in `failure`, and the finished video goes on."""

    def __init__(self, target: BinaryIO) -> None:
        self.target = target
        self.failure: OSError | None = None
        self._container: Any = None
        self._stream: Any = None

    def write(self, data: Any) -> int:
        """For the muxer."""
        if self.failure is None:
            try:
                self.target.write(data)
                self.target.flush()
            except OSError as error:
                self.failure = error
        return len(data)

    def begin(self, encoder: Any) -> None:
        """`encoder` is the stream whose packets are copied; it is open already."""
        options = {
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": str(round(FRAGMENT_SECONDS * 1e6)),
        }
        self._container = av.open(self, "w", format="mp4", options=options)
        self._stream = self._container.add_stream_from_template(encoder)

    def add(self, packet: Any) -> None:
        """A copy of a packet: muxing changes the packet that it is given."""
        if self.failure is not None:
            return
        copy = av.Packet(bytes(packet))
        copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
        copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, self._stream
        self._container.mux(copy)

    def end(self) -> None:
        """Everything that is still held is written."""
        if self._container is not None:
            self._container.close()
            self._container = None


@contextmanager
def live_output(target: str | os.PathLike[str] | BinaryIO | None, *, overwrite: bool = False) -> Iterator[Live | None]:
    """A Live for a file that is to be made, or for a binary stream that is open; None for None. The file goes away at
    the end, whatever happens: the finished video is then there, or none.

    Raises OutputError as `io.check_output`.
    """
    if target is None:
        yield None
    elif not isinstance(target, str | os.PathLike):
        yield Live(target)
    else:
        path = check_output(target, overwrite=overwrite)
        try:
            with path.open("wb", buffering=0) as file:
                yield Live(file)  # unbuffered, so that players see all of it at once
        finally:
            path.unlink(missing_ok=True)


def live_name(output: str | os.PathLike[str]) -> Path:
    """Where a video is watched while it is made: out.mp4 as out.stream.mp4."""
    return Path(output).with_suffix(".stream.mp4")
