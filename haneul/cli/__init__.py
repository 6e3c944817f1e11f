"""The command line. Each command only reads its options, calls the library, and says what came of it.

What the library needs (torch, numba, MuJoCo) is imported inside the commands, so that `haneul --help` is immediate.
Results go to stdout, everything else to stderr. Exit codes: those of `haneul.errors`; 10 and 11 from `verify`; 130
when interrupted.
"""

from haneul.cli import bench, export, facts, film, models, play, scale, screen, serve, studio, training, video, world
from haneul.cli.base import DURATION, SIZE, Group, main, progress_display, run
from haneul.cli.training import train

__all__ = [
    "DURATION",
    "SIZE",
    "Group",
    "bench",
    "export",
    "facts",
    "film",
    "main",
    "models",
    "play",
    "progress_display",
    "run",
    "scale",
    "screen",
    "serve",
    "studio",
    "train",
    "training",
    "video",
    "world",
]
