"""Haneul: text to video by a model that learned how a world moves.

>>> import haneul
>>> haneul.generate("a red ball bounces in the snow", output="out.mp4")  # doctest: +SKIP
>>> haneul.verify("out.mp4").state  # doctest: +SKIP
'trusted'

Both names are resolved on first use, so that `import haneul` loads neither torch nor the video libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "generate", "verify"]

if TYPE_CHECKING:
    from haneul.engine import generate
    from haneul.trust.credentials import verify


def __getattr__(name: str) -> Any:
    if name == "generate":
        from haneul.engine import generate

        return generate
    if name == "verify":
        from haneul.trust.credentials import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
