"""Make the README's pictures of the studio: runs the tests that make them on their way.

    HANEUL_CHROMIUM=/path/to/chromium python tools/make_studio_pictures.py docs/img

A font with Korean letters must be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folder: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_studio_shipped.py", "-k", "takes or storyboard"]
    return subprocess.call(command, cwd=ROOT, env=os.environ | {"HANEUL_PICTURES": str(folder.resolve())})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
