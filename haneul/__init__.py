"""Haneul: text to video by a model that learned how a world moves.

>>> import haneul
>>> haneul.generate("a red ball bounces in the snow", output="out.mp4")  # doctest: +SKIP
>>> haneul.extend("out.mp4", "a red ball rolls to the right in the snow", output="longer.mp4")  # doctest: +SKIP
>>> haneul.verify("longer.mp4").state  # doctest: +SKIP
'trusted'

All names are resolved on first use, so that `import haneul` loads neither torch nor the video libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
#: Name -> the module that has it.
_HOMES = {
    "generate": "engine", "vary": "variations", "film": "storyboard", "verify": "trust.origin", "extend": "edits",
    "connect": "edits", "loop": "edits", "retake": "edits", "keyframes": "edits", "remix": "edits", "inpaint": "edits",
    "blend": "edits",
}  # fmt: skip
__all__ = [
    "__version__", "blend", "connect", "extend", "film", "generate", "inpaint", "keyframes", "loop", "remix", "retake",
    "vary", "verify",
]  # fmt: skip

if TYPE_CHECKING:
    from haneul.edits import blend, connect, extend, inpaint, keyframes, loop, remix, retake
    from haneul.engine import generate
    from haneul.storyboard import film
    from haneul.trust.origin import verify
    from haneul.variations import vary


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"haneul.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
