"""The frames of one video while it is made: what is given, what is there by then, and how a call is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.backbones.base import Request
from haneul.backbones.open import context, modes
from haneul.backbones.open.modes import Piece
from haneul.errors import CheckpointError
from haneul.video.timeline import fit

Frames = NDArray[np.uint8]  # [T, H, W, 3]
GREY = 128  #: what a mask hides
MEMORY = 200  #: frames that are kept of a long video


class Canvas:
    """The frames of a video as far as they are there: given ones, and those that were made, all of the size that the
    checkpoint makes."""

    def __init__(self, request: Request, total: int, size: tuple[int, int]) -> None:
        self.request, self.total, self.size = request, total, size
        self.known = modes.given_at(request.given, total)
        self.frames: dict[int, NDArray[np.uint8]] = {}  # that were made

    def __getitem__(self, at: int) -> NDArray[np.uint8]:
        at = self._turned(at)
        if at in self.frames:
            return self.frames[at]
        which, i = self.known[at]
        return fit(self.request.given[which].frames[i], self.size)

    def seen(self, piece: Piece, at: int, noise: float) -> NDArray[np.uint8]:
        """A frame as a piece sees it: with a share of noise, where it is from the piece before and not shown again."""
        again = at < piece.first + context.seen_again(piece)
        return context.noised(self[at], noise if again else 0.0, self.request.seed, piece.first, at)

    def before(self, piece: Piece, noise: float) -> list[Image.Image]:
        """The frames that a piece goes on from."""
        return [Image.fromarray(self.seen(piece, at, noise)) for at in range(piece.first, piece.show)]

    def there(self, at: int) -> bool:
        """Whether a frame is given or made."""
        at = self._turned(at)
        return at in self.frames or at in self.known

    def _turned(self, at: int) -> int:
        """Beyond the end of a loop is its beginning."""
        return at - self.total if self.request.loop and at >= self.total else at

    def whole(self, piece: Piece) -> list[Image.Image]:
        """All frames of a piece as they were given, whatever may stay of them; beyond the end the last one stands."""
        found = []
        for at in range(piece.first, piece.first + piece.length):
            for one in self.request.given:
                i = min(at, self.total - 1) - one.at
                if 0 <= i < len(one.frames):
                    found.append(Image.fromarray(fit(one.frames[i], self.size)))
                    break
        return found

    def masked(self, piece: Piece, noise: float = 0.0) -> dict[str, Any]:
        """A piece's frames as far as they are there, and a mask that is white where they are not. `noise`: on those
        that are seen again."""
        w, h = self.size
        video, mask = [], []
        for at in range(piece.first, piece.first + piece.length):
            box = self._box(at)
            followed = self._followed(at)
            if followed is not None and not self.there(at):
                video.append(Image.fromarray(followed))
                mask.append(Image.new("L", (w, h), 255))
                continue
            frame = self.seen(piece, at, noise) if self.there(at) else None if box is None else box[0]
            hidden = np.zeros((h, w), np.uint8)
            if frame is None:
                hidden[:] = 255
                frame = np.full((h, w, 3), GREY, np.uint8)
            elif box is not None and at not in self.frames:
                left, top, right, bottom = box[1]
                hidden[round(top * h) : round(bottom * h), round(left * w) : round(right * w)] = 255
                frame = np.where(hidden[..., None] > 0, np.uint8(GREY), frame)
            video.append(Image.fromarray(frame))
            mask.append(Image.fromarray(hidden, "L"))
        if not self.request.given and all(np.asarray(one).all() for one in mask):
            return {}  # nothing is given, so a call without media is the same and cheaper
        return {"video": video, "mask": mask}

    def _box(self, at: int) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]] | None:
        for one in self.request.given:
            if one.box is not None and 0 <= at - one.at < len(one.frames):
                return fit(one.frames[at - one.at], self.size), one.box
        return None

    def _followed(self, at: int) -> NDArray[np.uint8] | None:
        for one in self.request.given:
            i = min(at, self.total - 1) - one.at
            if one.control and 0 <= i < len(one.frames):
                return fit(one.frames[i], self.size)
        return None

    def runs(self, piece: Piece, step: int, noise: float = 0.0) -> list[tuple[int, list[Image.Image]]]:
        """Where in a piece frames are there, and those frames: as many at a time as latent frames take. A run that does
        not begin with a latent frame is told from the next one on, or as the picture that it begins with. `noise`: on
        those that are seen again."""
        found: list[tuple[int, list[Image.Image]]] = []
        at, end = piece.first, piece.first + piece.length
        while at < end:
            last = at
            while last < end and self.there(last):
                last += 1
            if last > at:
                start = at if at == piece.first else piece.first + -(-(at - piece.first) // step) * step
                count = (last - start - 1) // step * step + 1
                if start != piece.first and count < 2 * step + 1:
                    start, count = at, 1
                frames = [Image.fromarray(self.seen(piece, i, noise)) for i in range(start, start + count)]
                found.append((start - piece.first, frames))
            at = max(last, at + 1)
        return found

    def anchor(self, piece: Piece) -> NDArray[np.uint8]:
        """The frame that a piece leads to."""
        return self[self._anchor(piece)]

    def _anchor(self, piece: Piece) -> int:
        if piece.last in self.known and piece.last not in self.frames:
            return piece.last
        return 0 if piece.last + 1 >= self.total else piece.last + 1

    def put(self, piece: Piece, made: Frames) -> None:
        """Keep what a piece made. One that leads to a given frame is stretched to be there in time."""
        if piece.kind == "ends":
            anchor = self._anchor(piece)
            count = (anchor if anchor > piece.first else self.total) - piece.first + 1
            made = made[np.linspace(0, len(made) - 1, count).round().astype(int)]
        if len(made) < piece.last - piece.first + 1:
            raise CheckpointError(
                f"the checkpoint made {len(made)} frames where {piece.last - piece.first + 1} were asked for"
            )
        for at in range(piece.show, piece.last + 1):
            self.frames[at] = made[at - piece.first]
        self._forget(piece.last)

    def _forget(self, last: int) -> None:
        """Of long videos only what the next window sees again is kept, and the very first frame."""
        for at in [at for at in self.frames if 0 < at < last - MEMORY]:
            del self.frames[at]
