"""Packages of npm that tests hold Haneul against: fetched once, kept in the cache of pytest; skipped without Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def script_beside(request: pytest.FixtureRequest, script: str, name: str, version: str) -> Path:
    """A script of this folder, copied beside the package that it needs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    assert request.config.cache is not None
    folder = request.config.cache.mkdir(f"npm-{name.rpartition('/')[2]}-{version}")
    if not (folder / "node_modules" / name / "package.json").is_file():
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        try:
            done = subprocess.run(
                [*command, f"{name}@{version}"], capture_output=True, text=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not fetch the package within 5 minutes")
        if done.returncode:
            pytest.skip(f"npm cannot fetch the package: {done.stderr[-200:]}")
    target = folder / script
    shutil.copyfile(Path(__file__).with_name(script), target)
    return target
