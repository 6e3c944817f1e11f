"""A HANEUL_HOME whose model is tiny and untrained, so that what is measured is the service.

python tools/tiny_home.py FOLDER && HANEUL_HOME=FOLDER python tools/load_service.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from tiny_native import write

from haneul.backbones.native import BUNDLED


def main() -> None:
    home = Path(sys.argv[1])
    weights = home / "weights"
    weights.mkdir(parents=True)
    write(weights)
    for name in ("known_words.json", "scenes.json"):
        (weights / name).symlink_to(BUNDLED / name)
    (home / "config.toml").write_text(f'threads = 1\n\n[folders]\nweights = "{weights}"\n', encoding="utf-8")


if __name__ == "__main__":
    main()
