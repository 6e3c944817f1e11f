"""The shape of the code: who may import whom, and how long a file may be (DESIGN.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "haneul"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 500

BASE = {"errors", "config"}
OUTER = {"world", "data", "train", "evals", "serve", "cli"}
#: room -> rooms of ours that it may import, besides itself.
ALLOWED = {
    "errors": set(),
    "config": {"errors"},
    "model": {"errors"},
    "prompt": {"errors", "config"},
    "video": BASE,
    "trust": BASE | {"video"},
    "screen": BASE | {"prompt", "model", "video", "trust"},
    "backbones": BASE | {"model", "prompt", "video", "trust"},
    "parts": BASE | {"model", "backbones", "video"},
    "engine": BASE | {"prompt", "model", "screen", "backbones", "video", "trust"},
    "edits": BASE | {"engine", "backbones", "video"},
    "variations": BASE | {"engine", "video", "trust"},
    "play": BASE | {"prompt", "model", "screen", "backbones", "engine", "video", "trust", "world"},
    "assemble": BASE | {"engine", "screen", "backbones", "video", "trust"},
    "storyboard": BASE | {"edits", "engine", "screen", "backbones", "prompt", "video", "trust"},
}


def room(path: Path) -> str:
    """haneul/model/dit.py -> model, haneul/engine.py -> engine."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str, package: str) -> set[str]:
    """Rooms of haneul that a module imports anywhere in it; `package` resolves relative imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parent = package.split(".")
                module = ".".join([*parent[: len(parent) - node.level + 1], *filter(None, [module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("haneul.") and "__version__" not in name}


def package_of(path: Path) -> str:
    return ".".join(["haneul", *path.relative_to(PACKAGE).parent.parts])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_design(path: Path) -> None:
    mine = room(path)
    rooms = imported_rooms(path.read_text(encoding="utf-8"), package_of(path)) - {mine}
    if mine in ALLOWED:
        assert rooms <= ALLOWED[mine], f"{mine} may not import {sorted(rooms - ALLOWED[mine])}"
    elif mine in OUTER - {"cli"}:
        assert "cli" not in rooms
        assert mine == "serve" or "serve" not in rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_every_room_has_a_rule() -> None:
    rooms = {room(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms <= set(ALLOWED) | OUTER, "a new room needs a line in ALLOWED or OUTER"


def test_the_reader_of_imports_sees_every_form() -> None:
    source = (
        "import haneul.world.scene\n"
        "from haneul import data, __version__\n"
        "def f():\n    from ..train.loop import x\n    from . import dit\n"
        "from haneul.evals import report\n"
    )
    assert imported_rooms(source, "haneul.model") == {"world", "data", "train", "model", "evals"}
